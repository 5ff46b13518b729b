//! Publications that somebody else made, roles that may do no more than they must, rows that enter and leave a filter, and
//! what may not be filtered or listed.

use walferry_stack::test_postgres_major;
use walferry_testkit::checker::Session;
use walferry_testkit::process::Settings;

use super::{audit_agrees, of_op};
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::resync::command;
use crate::snapshots::done;

#[test]
fn rows_that_enter_and_leave_a_filter_are_created_and_deleted() {
    if test_postgres_major() < 15 {
        return;
    }
    let place = Place::shared("filtered");
    place.sql(
        "create table f (id int primary key, grp int, note text); alter table f replica identity full;
         alter table f alter note set storage external;
         create table k (id int, grp int, note text, primary key (id, grp));
         create table b (id int primary key, yes boolean); alter table b replica identity full;
         create table l (id int primary key, big text); alter table l replica identity full;
         alter table l alter big set storage external;
         create table p (id int, grp int, note text, primary key (id, grp)) partition by range (id);
         create table p1 (note text, junk int, grp int not null, id int not null); alter table p1 drop column junk;
         alter table p attach partition p1 for values from (0) to (100);
         create table p2 partition of p for values from (100) to (200);
         insert into f values (1, 5, 'out'), (2, 15, 'in'), (3, null, 'null');
         insert into b values (1, true), (2, false), (3, null); insert into p values (1, 5, 'out'), (2, 15, 'in'), (102, 15, 'in')",
    );
    let mut settings = place.all();
    for table in ["f", "k", "p"] {
        settings.table(&format!("name = \"public.{table}\"\nwhere = \"grp > 10\""));
    }
    settings.table("name = \"public.b\"\nwhere = \"yes\"");
    settings.table("name = \"public.l\"\nwhere = \"big = repeat('l', 5000) or id > 100\"");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    for sql in [
        "update f set grp = 20 where id = 1",
        "update f set grp = 1 where id = 2",
        "update f set note = repeat('n', 5000) where id = 1",
        "update f set grp = 30 where id = 1",
        "update f set grp = 30 where id = 3",
        "update f set grp = null where id = 3",
        "insert into f values (4, 5, repeat('o', 5000)), (5, null, 'null')",
        "update f set grp = 40 where id = 4",
        "update f set id = 10, grp = 50 where id = 1",
        "update f set id = 11, grp = 0 where id = 10",
        "delete from f where id in (4, 5, 11)",
        "insert into k values (1, 11, 'in'), (2, 2, 'out')",
        "update k set note = 'still' where id = 1",
        "update k set grp = 12 where id = 1",
        "update k set grp = 3 where id = 1",
        "update k set grp = 13 where id = 2",
        "delete from k",
        "update b set yes = not yes",
        "update b set yes = null where id = 2",
        "insert into l values (1, repeat('l', 5000)), (2, repeat('m', 5000))",
        "update l set id = 3 where id = 1",
        "update l set id = 200 where id = 2",
        "update l set big = 'x' where id = 3",
        "update p set grp = 20 where id = 1",
        "update p set id = 101, grp = 5 where id = 2",
        "update p set id = 103 where id = 1",
        "update p set grp = 4 where id = 102",
        "insert into p values (50, 50, 'in'), (150, 5, 'out')",
    ] {
        place.sql(sql);
    }
    place.drain("insert into k values (99, 99, 'last')");
    let keys = |table: &str, op: &str| -> Vec<String> {
        let told = lines(&place, &format!("public.{table}"));
        let of = |line: &&str| line.split(" |").next().unwrap_or_default().to_owned();
        of_op(&told, op).iter().map(of).collect()
    };
    assert_eq!(keys("f", "r"), ["id=2"]);
    assert_eq!(keys("f", "c"), ["id=1", "id=3", "id=4", "id=10"]);
    assert_eq!(keys("f", "u"), ["id=1", "id=1"]);
    assert_eq!(keys("f", "d"), ["id=2", "id=3", "id=1", "id=10", "id=4"]);
    assert_eq!(keys("b", "r"), ["id=1"]);
    assert_eq!(
        (keys("b", "c"), keys("b", "d")),
        (vec!["id=2".into()], vec!["id=1".into(), "id=2".into()])
    );
    assert_eq!(keys("l", "c"), ["id=1", "id=3", "id=200"]);
    // The filter reads values that the update did not touch.
    let told = lines(&place, "public.f");
    let whole = format!("c id=4 | - | id=4 grp=40 note={}", "o".repeat(40));
    assert!(told.iter().any(|line| line.starts_with(&whole)), "{told:?}");
    assert_eq!(keys("p", "r").len(), 2);
    audit_agrees(&place, &settings);
}

/// A role that reads, replicates and owns nothing.
fn reader(place: &Place, schemas: &[&str]) -> String {
    let role = format!("reader_{}", place.name);
    place.sql(&format!(
        "create role {role} login replication password 'x'"
    ));
    for schema in schemas {
        place.sql(&format!(
            "grant usage on schema {schema} to {role}; grant select on all tables in schema {schema} to {role}"
        ));
    }
    let (_, rest) = place.url.split_once('@').unwrap();
    format!("postgresql://{role}:x@{rest}")
}

fn follows_all(place: &Place, settings: &Settings, insert: &str, table: &str, end: &str) {
    let mut walferry = place.streaming(settings);
    walferry.wait_status("snapshot", READY, done);
    place.sql(insert);
    place.drain(end);
    assert!(lines(place, table).len() >= 2, "{:?}", lines(place, table));
    walferry.sigterm();
    assert_eq!(
        walferry.wait_exit(READY),
        Some(0),
        "{}",
        walferry.log_tail()
    );
    audit_after(place, settings);
}

fn audit_after(place: &Place, settings: &Settings) {
    let _walferry = place.streaming(settings);
    audit_agrees(place, settings);
}

#[test]
fn a_role_that_owns_nothing_follows_the_publications_of_others() {
    let major = test_postgres_major();
    let mut kinds = vec![
        ("all", "for all tables"),
        ("listed", "for table one.t, two.t, one.p, one.p1"),
    ];
    if major >= 15 {
        kinds.push(("schemas", "for tables in schema one, two"));
    }
    for (name, what) in kinds {
        let place = Place::shared(&format!("foreign_{name}"));
        place.sql(&format!(
            "create schema one; create schema two;
             create table one.t (id int primary key, a text); create table two.t (id int primary key, a text);
             create table one.p (id int primary key) partition by range (id);
             create table one.p1 partition of one.p for values from (0) to (100);
             insert into one.t values (1, 'x'); insert into one.p values (1);
             create publication theirs {what} with (publish_via_partition_root = true)"
        ));
        let url = reader(&place, &["one", "two"]);
        let mut settings = place.settings(&["one.*", "two.*"]);
        settings
            .set_text("source.url", &url)
            .set_text("source.publication", "theirs");
        follows_all(
            &place,
            &settings,
            "insert into one.t values (2, 'y'); insert into one.p values (2); update one.t set a = 'z' where id = 1",
            "one.t",
            "insert into two.t values (1, 'end')",
        );
        assert_eq!(lines(&place, "one.p").len(), 2, "{name}");
    }
}

#[test]
fn a_publication_without_the_root_is_not_followed_under_the_roots_name() {
    let place = Place::shared("without_root");
    place.sql(
        "create table p (id int primary key) partition by range (id);
         create table p1 partition of p for values from (0) to (100); insert into p values (1);
         create publication theirs for table p with (publish_via_partition_root = false)",
    );
    let url = reader(&place, &["public"]);
    let mut settings = place.all();
    settings
        .set_text("source.url", &url)
        .set_text("source.publication", "theirs");
    // Its changes come under the leaf's name, its rows would come under the root's.
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("publish_via_partition_root") || log.contains("owner"),
        "{log}"
    );
}

#[test]
fn names_of_slots_publications_tables_and_columns_may_be_anything() {
    let place = Place::shared("anything");
    let long = "länge".repeat(10);
    place.sql(&format!(
        r#"create table "back\slash" (id int primary key, "co\l" text);
           create table "it's" (id int primary key); create table "{long}" ("{long}" int primary key);
           create table "dot.in.name" (id int primary key); create table "1" ("1" int primary key, "2" int);
           create table "per%cent_$1" (id int primary key); create table "💡" (id int primary key, "🐘" text);
           insert into "back\slash" values (1, 'a\b'); insert into "it's" values (1); insert into "{long}" values (1);
           insert into "dot.in.name" values (1); insert into "1" values (1, 1); insert into "per%cent_$1" values (1);
           insert into "💡" values (1, '🐘')"#
    ));
    let mut settings = place.all();
    let slot = format!("{}0", std::process::id());
    settings
        .set_text("source.slot", &slot)
        .set_text("source.publication", "Some \"odd\" publication, it's.1");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    for table in [
        "back\\slash",
        "it's",
        long.as_str(),
        "dot.in.name",
        "1",
        "per%cent_$1",
        "💡",
    ] {
        place.sql(&format!("insert into \"{table}\" values (2)"));
        place.sql(&format!("delete from \"{table}\""));
    }
    walferry_testkit::load::drain(&place.url, &slot, "insert into \"it's\" values (5)", READY)
        .unwrap();
    for topic in [
        "public.back_slash",
        "public.it_s",
        "public.dot.in.name",
        "public.1",
    ] {
        assert!(
            lines(&place, topic).len() >= 6,
            "{topic}: {:?}",
            lines(&place, topic)
        );
    }
    audit_agrees(&place, &settings);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    Session::connect(&place.url)
        .unwrap()
        .execute(&format!("select pg_drop_replication_slot('{slot}')"))
        .unwrap();
}

/// Up to 17 the stream cannot go on without its publication; from 18 on the server leaves out what it would have brought.
#[test]
fn a_publication_that_is_dropped_is_named_and_a_resync_brings_what_it_did_not() {
    let place = Place::shared("unpublished");
    place.sql("create table t (id int primary key, a text); insert into t values (1, 'old')");
    let mut settings = place.all();
    settings.set_text("source.publication", "ours");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.drain("insert into t values (2, 'published')");
    place.sql("drop publication ours");
    place.sql("insert into t values (3, 'not published'); update t set a = 'changed' where id = 1");
    let missed = walferry.wait_log("ours", READY);
    assert!(missed.contains("publication"), "{missed}");
    walferry.sigterm();
    walferry.wait_exit(READY);
    if test_postgres_major() < 18 {
        let (code, log) = place.run_ends(&settings);
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("publication \\\"ours\\\" does not exist")
                && log.contains("walferry resync"),
            "{log}"
        );
    } else {
        let mut walferry = place.start(&settings);
        walferry.wait_not_ready("public.t", READY);
        walferry.sigterm();
        walferry.wait_exit(READY);
    }
    let mut resync = command(&place, &settings, &[]);
    assert_eq!(resync.wait_exit(READY), Some(0), "{}", resync.log_tail());
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (4, 'published')");
    audit_agrees(&place, &settings);
}
