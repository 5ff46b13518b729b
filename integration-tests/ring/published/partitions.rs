//! Partitions come and go: in leaf mode each is a stream of its own, in root mode rows come and go without an event.

use walferry_testkit::process::Settings;

use super::{TABLE, Watched, While, agrees, rows, settings};
use crate::place::{Place, READY, told};

#[test]
fn a_new_partition_is_followed_where_partitions_are_streams() {
    let place = Place::shared("leaves");
    place.sql(
        "create table m (id int, day int, note text, primary key (id, day)) partition by list (day);
         create table m_1 partition of m for values in (1);
         insert into m select i, 1, 'a' from generate_series(1, 500) i",
    );
    let mut settings = settings(&place);
    settings.set_text("source.partitions", "leaf");
    let mut it = Watched::new(&place, &settings);
    for (at, day) in [(While::Running, 2), (While::Stopped, 3)] {
        // Rows come into it, and rows move into it.
        let sql = format!(
            "create table m_{day} partition of m for values in ({day});
             insert into m select i, {day}, 'b' from generate_series(1, 400) i;
             update m set day = {day}, id = id + {day} * 1000 where day = 1 and id % 10 = {day}"
        );
        it.meet(&place, &settings, at, &sql);
        it.reads(&format!("public.m_{day}"));
        agrees(
            &place,
            &settings,
            &format!("insert into m values (9999, {day}, 'x')"),
            day,
        );
    }
    it.walferry.wait_ready(READY);
}

#[test]
fn partitions_that_come_go_or_are_emptied_are_noticed() {
    let place = Place::shared("partitions");
    place.sql(
        "create table m (id int primary key, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000);
         create table m_2 partition of m for values from (1000) to (2000);
         insert into m select i, 'a' from generate_series(1, 1999) i;
         create table other (id int primary key, note text)",
    );
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let mut first = 2000;
    for at in [While::Running, While::Stopped] {
        it.meet(&place, &settings, at, "truncate m_2");
        it.reads("public.m");
        agrees(&place, &settings, "insert into m values (1500, 'x')", 2);
        // A partition that was filled before.
        let next = first + 1000;
        it.meet(&place, &settings, at, &format!(
            "create table m_{first} (like m including all); insert into m_{first} select i, 'b' from generate_series({first}, {next} - 1) i;
             alter table m attach partition m_{first} for values from ({first}) to ({next})"));
        it.reads("public.m");
        agrees(
            &place,
            &settings,
            &format!("update m set note = 'c' where id = {first}"),
            2,
        );
        // An empty one is nothing to speak of.
        let seen = it.walferry.log().len();
        let empty = format!(
            "create table m_{next} partition of m for values from ({next}) to ({next} + 1000)"
        );
        it.meet(&place, &settings, at, &empty);
        agrees(
            &place,
            &settings,
            &format!("insert into m values ({next}, 'd')"),
            2,
        );
        if at == While::Running {
            let log = it.walferry.log();
            assert!(
                !log[seen..].iter().any(|line| line.contains("is complete")),
                "{}",
                it.walferry.log_tail()
            );
        }
        // Taken away: told, and made to agree when it is asked for.
        it.meet(
            &place,
            &settings,
            at,
            &format!("alter table m detach partition m_{first}; drop table m_{first}"),
        );
        it.hears(&["public.m", "detached", "walferry resync public.m"]);
        it.walferry.wait_ready(READY);
        let path = settings.write(&place.folder).unwrap();
        it.seen = it.walferry.log().len();
        let (code, said) = told(&["resync", "-c", path.to_str().unwrap(), "public.m"]);
        assert_eq!(code, Some(0), "{said}");
        it.reads("public.m");
        agrees(
            &place,
            &settings,
            "insert into other values (1, 'x') on conflict (id) do update set note = 'y'",
            2,
        );
        it.walferry
            .wait_status("nothing is wrong", READY, |status| {
                let tables = status["tables"].as_array().cloned().unwrap_or_default();
                tables.iter().all(|it| it["state"] == "streaming")
            });
        first = next + 1000;
    }
}

/// The server remembers under which name it publishes a relation; before PostgreSQL 15 also when that has become a partition, or is
/// none any more.
#[test]
fn a_table_that_becomes_a_partition_or_is_none_any_more_is_streamed_as_what_it_is() {
    // Our own publication lists its tables, somebody else's is of all of them.
    for all_tables in [false, true] {
        let place = Place::shared("becomes");
        place.sql(
            "create table m (id int primary key, note text) partition by range (id);
             create table m_1 partition of m for values from (0) to (1000);
             create table own (id int primary key, note text);
             create table alone (id int primary key, note text);
             insert into m select i, 'a' from generate_series(1, 99) i;
             insert into own select i, 'a' from generate_series(1001, 1099) i;
             insert into alone select i, 'a' from generate_series(2001, 2099) i",
        );
        if all_tables {
            let publication = place.slot();
            place.sql(&format!(
                "create publication {publication} for all tables with (publish_via_partition_root)"
            ));
        }
        let mut settings = settings(&place);
        settings.set("source.tables", r#"["public.*", "!public.alone"]"#);
        becomes(&place, &settings);
    }
}

fn becomes(place: &Place, settings: &Settings) {
    let mut it = Watched::new(place, settings);
    // The stream meets each as what it is: two that are followed, and one that is not.
    let write = |name: &str, from: u32, n: u32| {
        let at = from + n;
        format!(
            "update {name} set note = 'c{n}' where id > {at} and id < {at} + 10; delete from {name} where id = {at} + 10;
             insert into {name} values ({at} + 500, 'd');"
        )
    };
    let all = |n| write("own", 1000, n) + &write("alone", 2000, n) + &write("m", 0, n);
    place.drain(&all(0));
    for (name, from) in [("own", 1000), ("alone", 2000)] {
        let sql = format!(
            "alter table m attach partition {name} for values from ({from}) to ({from} + 1000); {}",
            write("m", from, 11)
        );
        it.meet(place, settings, While::Running, &sql);
        it.reads("public.m");
        agrees(place, settings, &write("m", from, 22), 1);
    }
    // Of the two that are taken away one has a topic of its own, the other is followed no more.
    let sql = "alter table m detach partition own; alter table m detach partition alone;";
    it.meet(
        place,
        settings,
        While::Running,
        &format!("{sql} {}", all(33)),
    );
    it.hears(&["public.m", "walferry resync public.m"]);
    it.reads("public.own");
    place.drain(&all(44));
    let path = settings.write(&place.folder).unwrap();
    it.seen = it.walferry.log().len();
    let (code, said) = told(&["resync", "-c", path.to_str().unwrap(), "public.m"]);
    assert_eq!(code, Some(0), "{said}");
    it.reads("public.m");
    agrees(place, settings, &all(55), 2);
    it.walferry.wait_ready(READY);
}

/// PostgreSQL keeps the number of the command that attached a partition where that of one that detached it stands afterwards, also
/// when that was rolled back.
#[test]
fn a_partition_whose_detaching_was_rolled_back_is_read_as_one_that_was_attached() {
    let place = Place::shared("detach_undone");
    place.sql(&format!(
        "create table p {TABLE} partition by range (id); create table p_1 partition of p for values from (0) to (100)"
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let sql = format!(
        "begin; create table p_2 {TABLE}; {}; alter table p attach partition p_2 for values from (100) to (200); commit;
         begin; savepoint s; alter table p detach partition p_2; rollback to savepoint s; commit",
        rows("p_2", 100, 50)
    );
    it.meet(&place, &settings, While::Stopped, &sql);
    it.hears(&["public.p", "attached"]);
    it.reads("public.p");
    agrees(&place, &settings, "insert into p values (1, 'x')", 1);
}
