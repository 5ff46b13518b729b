//! What leaves no trace in the catalog when it is over: a table that was elsewhere for a while, a partition that was one for a while.

use super::{TABLE, Watched, While, agrees, rows, settings};
use crate::place::{Place, READY, told};

#[test]
fn a_table_whose_name_the_stream_said_last_otherwise_is_read_when_it_is_back() {
    let place = Place::shared("back");
    place.sql(&format!(
        "create table t {TABLE}; create table other {TABLE}; {}",
        rows("t", 1, 400)
    ));
    let mut settings = settings(&place);
    settings.set("source.tables", r#"["public.*", "!public.hidden"]"#);
    let mut it = Watched::new(&place, &settings);
    for (number, at) in [(1001, While::Running), (1002, While::Stopped)] {
        let away = format!(
            "alter table t rename to hidden; insert into hidden values ({number}, 'h'); update hidden set note = 'h' where id = {number} - 1000"
        );
        it.meet(&place, &settings, at, &away);
        it.hears(&["its topic stays as it is", "public.t"]);
        // Nothing of it is written from now on, so that the stream does not say its name again.
        it.meet(&place, &settings, at, "alter table hidden rename to t");
        it.reads("public.t");
        let last = format!("insert into other values ({number}, 'x')");
        agrees(&place, &settings, &last, 2);
    }
}

#[test]
fn a_table_that_left_its_published_schema_for_a_while_is_read_again() {
    if walferry_stack::test_postgres_major() < 15 {
        return; // No publication of a schema.
    }
    let place = Place::shared("schema");
    place.sql(&format!(
        "create schema app; create schema elsewhere; create table app.t {TABLE}; create table app.other {TABLE}; {};
         create publication {} for tables in schema app with (publish_via_partition_root)",
        rows("app.t", 1, 400),
        place.slot()
    ));
    let mut settings = settings(&place);
    settings.set("source.tables", r#"["app.*"]"#);
    let mut it = Watched::new(&place, &settings);
    for (number, at) in [(1001, While::Running), (1002, While::Stopped)] {
        let sql = format!(
            "alter table app.t set schema elsewhere; insert into elsewhere.t values ({number}, 'h');
             delete from elsewhere.t where id = {number} - 1000; alter table elsewhere.t set schema app"
        );
        it.meet(&place, &settings, at, &sql);
        it.reads("app.t");
        let last = format!("insert into app.other values ({number}, 'x')");
        agrees(&place, &settings, &last, 2);
    }
    // Other changes of it are no reason.
    it.seen = it.walferry.log().len();
    place.sql("alter table app.t add column late int; comment on table app.t is 'x'; grant select on app.t to public");
    agrees(&place, &settings, "insert into app.t (id) values (5000)", 2);
    let log = it.walferry.log();
    assert!(
        !log[it.seen..]
            .iter()
            .any(|line| line.contains("is complete"))
    );
}

#[test]
fn a_partition_that_was_one_only_for_a_while_is_noticed_by_what_the_stream_says_of_it() {
    let place = Place::shared("passing");
    place.sql(
        "create table m (id int primary key, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000);
         create table own (note text, id int primary key); create table other (id int primary key);
         insert into m select i, 'a' from generate_series(1, 99) i;
         insert into own select 'a', i from generate_series(1001, 1099) i",
    );
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    place.drain("insert into other values (0)");
    for (number, at) in [(1, While::Running), (2, While::Stopped)] {
        let sql = format!(
            "begin; update own set note = 'b' where id = 1010 + {number};
             alter table m attach partition own for values from (1000) to (2000);
             insert into m values (1500 + {number}, 'through the root'); update own set note = 'c' where id = 1020 + {number};
             delete from m where id = 1030 + {number}; alter table m detach partition own;
             update own set note = 'd' where id = 1040 + {number}; commit"
        );
        it.meet(&place, &settings, at, &sql);
        it.hears(&["public.m", "detached", "walferry resync public.m"]);
        it.reads("public.own");
        let path = settings.write(&place.folder).unwrap();
        it.seen = it.walferry.log().len();
        let (code, said) = told(&["resync", "-c", path.to_str().unwrap(), "public.m"]);
        assert_eq!(code, Some(0), "{said}");
        it.reads("public.m");
        let last = format!("insert into other values ({number})");
        agrees(&place, &settings, &last, 3);
    }
    // One that is created is nothing to speak of.
    it.seen = it.walferry.log().len();
    place.sql("create table m_3 partition of m for values from (2000) to (3000); insert into m values (2500, 'x')");
    agrees(
        &place,
        &settings,
        "update m set note = 'y' where id = 2500",
        3,
    );
    it.walferry.wait_ready(READY);
    let log = it.walferry.log();
    assert!(
        !log[it.seen..]
            .iter()
            .any(|line| line.contains("is complete"))
    );
}
