//! Somebody else changes what is published, or what a table is, while the connector runs: it is noticed within seconds, and told, put
//! back or made good; the application's writers go on.

use std::time::{Duration, Instant};

use walferry_stack::test_postgres_major;
use walferry_testkit::checker::Session;

use super::{TABLE, TAKEN, Watched, While, agrees, rows, settings};
use crate::place::{Place, READY};

#[test]
fn partitions_that_are_published_under_another_name_are_told_and_read_again() {
    let place = Place::shared("via_root");
    let publication = place.slot();
    place.sql(
        "create table m (id int primary key, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000);
         insert into m select i, 'a' from generate_series(1, 500) i",
    );
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let set = |root: bool| {
        format!("alter publication {publication} set (publish_via_partition_root = {root});")
    };
    let change =
        "update m set note = 'b' where id < 50; delete from m where id between 100 and 120;";
    // It stays so.
    it.meet(&place, &settings, While::Running, &(set(false) + change));
    let told = it.walferry.wait_not_ready("public.m", READY);
    assert!(told.contains("publish_via_partition_root = true"), "{told}");
    place.sql("update m set note = 'c' where id between 200 and 220");
    it.meet(&place, &settings, While::Running, &set(true));
    it.reads("public.m");
    it.walferry.wait_ready(READY);
    agrees(&place, &settings, "insert into m values (600, 'x')", 1);
    // Put back before anybody looks.
    let sql = set(false)
        + "update m set note = 'd' where id < 20; delete from m where id = 30;"
        + &set(true);
    it.meet(&place, &settings, While::Running, &sql);
    it.reads("public.m");
    agrees(&place, &settings, "insert into m values (601, 'x')", 1);
}

/// Up to PostgreSQL 17 the stream ends, and starts are refused. From 18 on the server leaves the changes out with a warning of its own.
#[test]
fn changes_without_a_publication_are_known_to_be_missing() {
    if test_postgres_major() < 18 {
        return;
    }
    let place = Place::shared("no_publication");
    let publication = place.slot();
    place.sql(&format!("create table t {TABLE}; {}", rows("t", 1, 500)));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let change = |n: u32| {
        format!(
            "update t set note = 'n{n}' where id < {n} + 10; delete from t where id between {n} + 50 and {n} + 60; insert into t values ({n} + 1000, 'n')"
        )
    };
    for at in [While::Running, While::Stopped] {
        let n = if at == While::Running { 0 } else { 100 };
        let sql = format!("drop publication {publication}; {}", change(n));
        it.meet(&place, &settings, at, &sql);
        if at == While::Running {
            let told = it.walferry.wait_not_ready("public.t", READY);
            assert!(told.contains("does not exist any more"), "{told}");
            // The next start makes it anew.
            it.meet(&place, &settings, While::Stopped, &change(n + 10));
        }
        it.reads("public.t");
        it.walferry.wait_ready(READY);
        agrees(&place, &settings, &change(n + 20), 1);
    }
}

#[test]
fn rows_and_columns_that_somebody_else_chooses_are_put_back_while_it_runs() {
    if test_postgres_major() < 15 {
        return;
    }
    let place = Place::shared("filters");
    let publication = place.slot();
    place.sql(
        "create table t (id int primary key, note text, secret text);
         insert into t select i, 'a', 's' from generate_series(1, 1000) i;
         create table u (id int primary key, note text)",
    );
    let mut settings = settings(&place);
    settings.table("name = \"public.t\"\nwhere = \"id > 100\"\nexclude_columns = [\"secret\"]");
    let mut it = Watched::new(&place, &settings);
    let shown = || {
        place.value(&format!(
            "select concat(rowfilter, attnames) from pg_publication_tables where pubname = '{publication}' and tablename = 't'"
        ))
    };
    let (before, change) = (
        shown(),
        "update t set note = note || 'b' where id % 10 = 0; delete from t where id % 100 = 7;",
    );
    for (at, to) in [
        (While::Running, "t (id, note) where (id > 500)"),
        (While::Running, "t"),
        (While::Stopped, "t (id, secret) where (id < 300)"),
    ] {
        // All of what is in the publication is said anew.
        let sql = format!("alter publication {publication} set table {to}, u; {change}");
        it.meet(&place, &settings, at, &sql);
        it.hears(&["put back", "public.t"]);
        it.reads("public.t");
        assert_eq!(shown(), before);
        agrees(
            &place,
            &settings,
            "update t set note = 'x' where id = 700",
            2,
        );
    }
    it.walferry.wait_ready(READY);
    // What is not ours to change is told.
    settings.set("source.create", "false");
    it.meet(&place, &settings, While::Stopped, "select 1");
    let sql = format!("alter publication {publication} set table t where (id > 500), u; {change}");
    it.meet(&place, &settings, While::Running, &sql);
    let told = it.walferry.wait_not_ready("public.t", READY);
    assert!(
        told.contains("ADD TABLE") && told.contains("id > 100"),
        "{told}"
    );
    let sql = format!("alter publication {publication} set table t (id, note) where (id > 100), u");
    it.meet(&place, &settings, While::Running, &sql);
    it.reads("public.t");
    it.walferry.wait_ready(READY);
    agrees(
        &place,
        &settings,
        "update t set note = 'y' where id = 700",
        2,
    );
}

#[test]
fn a_partition_that_is_not_in_the_wal_is_told_until_it_is() {
    let place = Place::shared("unlogged");
    place.sql(
        "create table m (id int primary key, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000);
         create unlogged table m_2 partition of m for values from (1000) to (2000);
         insert into m select i, 'a' from generate_series(900, 1100) i",
    );
    let settings = settings(&place);
    let (_, said) = place.ends(
        &settings,
        &[
            "check",
            "-c",
            &settings.write(&place.folder).unwrap().to_string_lossy(),
        ],
    );
    assert!(said.contains("a partition of it is unlogged"), "{said}");
    let mut it = Watched::new(&place, &settings);
    let change = "update m set note = 'b' where id % 7 = 0; delete from m where id % 20 = 3;";
    let told = it.walferry.wait_not_ready("public.m", READY);
    assert!(
        told.contains("SET LOGGED") && told.contains("m_2"),
        "{told}"
    );
    // A start knows it too.
    it.meet(&place, &settings, While::Stopped, change);
    it.walferry.wait_not_ready("m_2", READY);
    it.meet(
        &place,
        &settings,
        While::Running,
        "alter table m_2 set logged",
    );
    it.reads("public.m");
    it.walferry.wait_ready(READY);
    agrees(&place, &settings, "insert into m values (1500, 'x')", 1);
    // One that was followed until now.
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!("alter table m_1 set unlogged; {change}"),
    );
    let told = it.walferry.wait_not_ready("public.m", READY);
    assert!(
        told.contains("SET LOGGED") && told.contains("m_1"),
        "{told}"
    );
    // What is asked for now is right for a moment only.
    let path = settings.write(&place.folder).unwrap();
    it.seen = it.walferry.log().len();
    let (code, said) = crate::place::told(&["resync", "-c", path.to_str().unwrap(), "public.m"]);
    assert_eq!(code, Some(0), "{said}");
    it.reads("public.m");
    it.hears(&["m_1", "unlogged"]);
    it.walferry.wait_not_ready("m_1", READY);
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!("delete from m where id < 910; alter table m_1 set logged; {change}"),
    );
    it.reads("public.m");
    it.walferry.wait_ready(READY);
    agrees(&place, &settings, "insert into m values (1501, 'x')", 1);
}

/// Whatever takes a table's identity away, the application's changes pass again within seconds, and are in the topic in the end.
#[test]
fn the_application_goes_on_when_a_table_loses_its_identity() {
    let place = Place::shared("loses");
    let table = "(id int not null, k int not null, note text)";
    place.sql(&format!(
        "create table a {table}; alter table a add primary key (id);
         create table b {table}; create unique index b_k on b (k); alter table b replica identity using index b_k;
         create table c {table}; alter table c add primary key (id);
         create table m (id int primary key, k int not null, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000)"
    ));
    for name in ["a", "b", "c", "m"] {
        place.sql(&format!(
            "insert into {name} select i, i, '{name}' from generate_series(1, 100) i"
        ));
    }
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let loses = [
        (
            "a",
            "alter table a drop constraint a_pkey",
            "alter table a add primary key (id)",
        ),
        (
            "b",
            "drop index b_k",
            "create unique index b_k on b (k); alter table b replica identity using index b_k",
        ),
        (
            "c",
            "alter table c replica identity nothing",
            "alter table c replica identity default",
        ),
        (
            "m",
            "alter table m_1 replica identity nothing",
            "alter table m_1 replica identity default",
        ),
    ];
    for (name, lose, _) in &loses {
        it.meet(&place, &settings, While::Running, lose);
        it.hears(&["taken out of the publication", &format!("public.{name}")]);
        goes_on(
            &place,
            &format!("update {name} set note = 'b' where id < 50"),
        );
        goes_on(&place, &format!("delete from {name} where id = 60"));
        it.walferry.wait_status("it is left out", READY, |status| {
            let tables = status["tables"].as_array().cloned().unwrap_or_default();
            let name = format!("public.{name}");
            tables
                .iter()
                .any(|it| it["name"] == *name && it["state"] == "left-out")
        });
    }
    for (name, _, mend) in &loses {
        it.meet(&place, &settings, While::Running, mend);
        it.reads(&format!("public.{name}"));
        place.sql(&format!(
            "update {name} set note = 'c' where id between 20 and 40"
        ));
    }
    it.walferry.wait_ready(READY);
    agrees(
        &place,
        &settings,
        "update a set note = 'last' where id = 1",
        4,
    );
}

/// The application's statement passes, now or within a moment.
fn goes_on(place: &Place, sql: &str) {
    let until = Instant::now() + TAKEN;
    loop {
        let mut session = Session::connect(&place.url).unwrap();
        match session.execute(sql) {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < until, "{sql}: {error:#}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_table_that_loses_its_identity_in_anothers_publication_is_told() {
    let place = Place::shared("loses_all");
    let publication = place.slot();
    place.sql(&format!(
        "create table a {TABLE}; insert into a values (1, 'a');
         create publication {publication} for all tables with (publish_via_partition_root)"
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    for sql in [
        "alter table a drop constraint a_pkey",
        "create table b (note text)",
    ] {
        it.meet(&place, &settings, While::Running, sql);
        let name = if sql.starts_with("alter") {
            "public.a"
        } else {
            "public.b"
        };
        it.hears(&[name, "not ours to change", "UPDATE and DELETE"]);
    }
    // They are followed all the same, and that one has no key any more is told of its topic.
    place.drain("insert into a values (2, 'b'); insert into b values ('c')");
    it.walferry.wait_not_ready("message key was (id)", READY);
}
