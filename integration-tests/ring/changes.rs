//! Every kind of change and every kind of table: what each becomes in the topics, record by record.
//!
//! Owns the expected records as text, one line a record: `op key | before | after`; a tombstone is `- key`. Where the
//! checker's rules fit, it judges the same history too. Start reading at [`lines`].

use walferry_stack::test_postgres_major;
use walferry_testkit::checker::{Record, Row, Session};
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::{Decoder, Reader};

use crate::place::{Place, READY};

/// The records of a topic, each as a line.
pub(crate) fn lines(place: &Place, topic: &str) -> Vec<String> {
    let mut decoder = Decoder::new(&place.registry);
    let mut lines = Vec::new();
    let row = |row: Option<Row>| row.map_or("-".to_owned(), |row| row.to_string());
    Reader::open(&place.brokers, &[place.topic(topic)])
        .unwrap()
        .read_to_end(|message| {
            lines.push(match decoder.decode(message)?.record {
                Record::Event(event) => format!(
                    "{} {} | {} | {}",
                    event.op.code(),
                    row(event.key),
                    row(event.before),
                    row(event.after)
                ),
                Record::Tombstone { key } => format!("- {}", row(key)),
                Record::Other => "other".to_owned(),
            });
            Ok(())
        })
        .unwrap();
    lines
}

/// A connector that streams from now on.
pub(crate) fn follow(place: &Place, settings: &mut Settings) -> Walferry {
    settings.set_text("snapshot.mode", "never");
    place.streaming(settings)
}

#[test]
fn every_replica_identity_has_its_own_before() {
    let place = Place::shared("identities");
    place.sql(
        "create table d (id int primary key, a text not null, b text);
         create table f (id int primary key, a text not null, b text);
         alter table f replica identity full;
         create table i (id int primary key, a text not null, b text);
         create unique index i_a on i (a);
         alter table i replica identity using index i_a;
         create table n (id int primary key, a text not null, b text);
         alter table n replica identity nothing",
    );
    let checker = place.checker(&["public.d", "public.f", "public.n"]);
    let _walferry = follow(&place, place.all().without_identity(&["public.n"]));
    for table in ["d", "f", "i"] {
        place.sql(&format!("insert into {table} values (1, 'a', 'b')"));
        place.sql(&format!("update {table} set b = 'c'"));
        place.sql(&format!("update {table} set id = 2"));
        place.sql(&format!("update {table} set a = 'z'"));
        place.sql(&format!("delete from {table}"));
    }
    for refused in ["update n set b = 'c'", "delete from n"] {
        let answer = Session::connect(&place.url).unwrap().execute(refused);
        assert!(answer.is_err(), "{refused}: the server lets it pass");
    }
    place.drain("insert into n values (1, 'a', 'b')");
    // What is not known of a row is its type's zero, or NULL where that is allowed.
    assert_eq!(
        lines(&place, "public.d"),
        [
            "c id=1 | - | id=1 a=a b=b",
            "u id=1 | - | id=1 a=a b=c",
            "d id=1 | id=1 a= b=null | -",
            "- id=1",
            "c id=2 | - | id=2 a=a b=c",
            "u id=2 | - | id=2 a=z b=c",
            "d id=2 | id=2 a= b=null | -",
            "- id=2",
        ]
    );
    assert_eq!(
        lines(&place, "public.f"),
        [
            "c id=1 | - | id=1 a=a b=b",
            "u id=1 | id=1 a=a b=b | id=1 a=a b=c",
            "d id=1 | id=1 a=a b=c | -",
            "- id=1",
            "c id=2 | - | id=2 a=a b=c",
            "u id=2 | id=2 a=a b=c | id=2 a=z b=c",
            "d id=2 | id=2 a=z b=c | -",
            "- id=2",
        ]
    );
    // Old rows carry the index's column only, so that is the key: a delete could not name the primary key.
    assert_eq!(
        lines(&place, "public.i"),
        [
            "c a=a | - | id=1 a=a b=b",
            "u a=a | - | id=1 a=a b=c",
            "u a=a | - | id=2 a=a b=c",
            "d a=a | id=0 a=a b=null | -",
            "- a=a",
            "c a=z | - | id=2 a=z b=c",
            "d a=z | id=0 a=z b=null | -",
            "- a=z",
        ]
    );
    assert_eq!(
        lines(&place, "public.n"),
        ["c id=1 | - | id=1 a=a b=b"],
        "the server refuses to change its rows"
    );
    checker.verdict().unwrap().assert_clean(11);
}

#[test]
fn what_an_update_did_not_touch_is_said_or_taken_from_the_old_row() {
    let place = Place::shared("untouched");
    place.sql(
        "create table d (id int primary key, t text, b bytea, n int);
         create table f (id int primary key, t text, b bytea, n int);
         alter table d alter t set storage external, alter b set storage external;
         alter table f alter t set storage external, alter b set storage external;
         alter table f replica identity full",
    );
    let checker = place.checker(&["public.d", "public.f"]);
    let _walferry = follow(&place, &mut place.all());
    for table in ["d", "f"] {
        place.sql(&format!(
            "insert into {table} values (1, repeat('t', 9000), convert_to(repeat('b', 9000), 'UTF8'), 1)"
        ));
        place.sql(&format!("update {table} set n = 2"));
        place.sql(&format!("update {table} set id = 2"));
        place.sql(&format!("update {table} set t = 'short'"));
    }
    place.drain("delete from d");
    let told = lines(&place, "public.d");
    assert_eq!(told[1], "u id=1 | - | id=1 t=(unchanged) b=(unchanged) n=2");
    assert_eq!(told[4], "c id=2 | - | id=2 t=(unchanged) b=(unchanged) n=2");
    assert_eq!(told[5], "u id=2 | - | id=2 t=short b=(unchanged) n=2");
    let told = lines(&place, "public.f");
    assert!(
        told.iter().all(|line| !line.contains("unchanged")),
        "{told:?}"
    );
    checker.verdict().unwrap().assert_clean(11);
}

#[test]
fn a_table_without_a_key_has_records_without_one() {
    let place = Place::shared("keyless");
    place.sql(
        "create table bare (a int, b text);
         alter table bare replica identity full;
         create table log (a int, b text)",
    );
    let checker = place.checker(&["public.bare", "public.log"]);
    let _walferry = follow(&place, place.all().without_identity(&["public.log"]));
    place.sql("insert into bare values (1, 'x'), (1, 'x'), (null, null)");
    place.sql("update bare set b = 'y' where a = 1");
    place.sql("delete from bare where a is null");
    place.drain("insert into log values (7, 'l')");
    // The two rows are the same, and are told twice; a tombstone without a key would say nothing.
    assert_eq!(
        lines(&place, "public.bare"),
        [
            "c - | - | a=1 b=x",
            "c - | - | a=1 b=x",
            "c - | - | a=null b=null",
            "u - | a=1 b=x | a=1 b=y",
            "u - | a=1 b=x | a=1 b=y",
            "d - | a=null b=null | -",
        ]
    );
    assert_eq!(lines(&place, "public.log"), ["c - | - | a=7 b=l"]);
    checker.verdict().unwrap().assert_clean(7);
}

#[test]
fn generated_columns_are_there_when_the_publication_has_them() {
    let place = Place::shared("generated");
    place.sql(
        "create table t (id int primary key, twice int generated always as (id * 2) stored);
         insert into t values (1)",
    );
    let walferry = place.streaming(&place.all());
    place.drain("insert into t values (2)");
    // Snapshot and stream agree on the columns.
    assert_eq!(
        lines(&place, "public.t"),
        ["r id=1 | - | id=1", "c id=2 | - | id=2"]
    );
    drop(walferry);
    if test_postgres_major() < 18 {
        return;
    }
    let place = Place::shared("generated_stored");
    place.sql(
        "create table t (id int primary key, twice int generated always as (id * 2) stored);
         create publication ours for table t with (publish_generated_columns = stored);
         insert into t values (1)",
    );
    let mut settings = place.all();
    settings.set_text("source.publication", "ours");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (2)");
    assert_eq!(
        lines(&place, "public.t"),
        ["r id=1 | - | id=1 twice=2", "c id=2 | - | id=2 twice=4"]
    );
}

const PARTITIONED: &str = "
create table p (id int, part text, n int, primary key (id, part)) partition by list (part);
create table p_a partition of p for values in ('a');
create table p_b partition of p for values in ('b') partition by range (id);
create table p_b_low partition of p_b for values from (0) to (100);
insert into p values (1, 'a', 0), (2, 'b', 0)";

/// What is done to the partitioned table.
fn change_partitions(place: &Place) {
    place.sql("insert into p values (3, 'a', 0)");
    place.sql("update p set n = 1 where id = 2");
    place.sql("update p set part = 'b' where id = 1");
    place.sql("delete from p where id = 3");
    place.drain("truncate p");
}

#[test]
fn a_partitioned_table_is_one_stream_under_its_roots_name() {
    let place = Place::shared("root");
    place.sql(PARTITIONED);
    let _walferry = place.streaming(&place.all());
    change_partitions(&place);
    let mut told = lines(&place, "public.p");
    told[..2].sort();
    // A row that moves to another partition leaves one and enters the other, which both are this table.
    assert_eq!(
        told,
        [
            "r id=1 part=a | - | id=1 part=a n=0",
            "r id=2 part=b | - | id=2 part=b n=0",
            "c id=3 part=a | - | id=3 part=a n=0",
            "u id=2 part=b | - | id=2 part=b n=1",
            "d id=1 part=a | id=1 part=a n=null | -",
            "- id=1 part=a",
            "c id=1 part=b | - | id=1 part=b n=0",
            "d id=3 part=a | id=3 part=a n=null | -",
            "- id=3 part=a",
            "t - | - | -",
        ]
    );
}

#[test]
fn a_partitioned_table_is_one_stream_for_each_leaf() {
    let place = Place::shared("leaf");
    place.sql(PARTITIONED);
    let mut settings = place.all();
    settings.set_text("source.partitions", "leaf");
    let checker = place.checker(&["public.p_a", "public.p_b_low"]);
    let _walferry = place.streaming(&settings);
    change_partitions(&place);
    assert_eq!(
        lines(&place, "public.p_a"),
        [
            "r id=1 part=a | - | id=1 part=a n=0",
            "c id=3 part=a | - | id=3 part=a n=0",
            "d id=1 part=a | id=1 part=a n=null | -",
            "- id=1 part=a",
            "d id=3 part=a | id=3 part=a n=null | -",
            "- id=3 part=a",
            "t - | - | -",
        ]
    );
    assert_eq!(
        lines(&place, "public.p_b_low"),
        [
            "r id=2 part=b | - | id=2 part=b n=0",
            "u id=2 part=b | - | id=2 part=b n=1",
            "c id=1 part=b | - | id=1 part=b n=0",
            "t - | - | -",
        ]
    );
    let mut checker = checker;
    checker.rules.start = walferry_testkit::checker::Start::SnapshotUnchecked;
    checker.verdict().unwrap().assert_clean(7);
}

#[test]
fn a_table_and_its_heirs_are_streams_of_their_own() {
    let place = Place::shared("heirs");
    place.sql(
        "create table parent (id int primary key, a text);
         create table heir (b text, primary key (id)) inherits (parent);
         insert into parent values (1, 'p');
         insert into heir values (2, 'h', 'b')",
    );
    let _walferry = place.streaming(&place.all());
    place.sql("update parent set a = 'q'");
    place.drain("insert into heir values (3, 'i', 'c')");
    assert_eq!(
        lines(&place, "public.parent"),
        ["r id=1 | - | id=1 a=p", "u id=1 | - | id=1 a=q"],
        "the heirs' rows are not the parent's"
    );
    assert_eq!(
        lines(&place, "public.heir"),
        [
            "r id=2 | - | id=2 a=h b=b",
            "u id=2 | - | id=2 a=q b=b",
            "c id=3 | - | id=3 a=i b=c",
        ]
    );
}

#[test]
fn equal_names_in_two_schemas_and_names_of_any_characters() {
    let place = Place::shared("names");
    place.sql(
        r#"create schema one; create schema two; create schema "Odd ""Sch";
           create table one.t (id int primary key, a int);
           create table two.t (id text primary key);
           create table "Odd ""Sch"."T á;b" ("Id""x" int primary key, "1st" text, "a b" int, "select" int)"#,
    );
    let tables = ["one.t", "two.t", "Odd \"Sch.T á;b"];
    let checker = place.checker(&tables);
    let _walferry = follow(&place, &mut place.settings(&["one.*", "two.t", "Odd*.*"]));
    place.sql("insert into one.t values (1, 2); insert into two.t values ('x')");
    place.drain(r#"insert into "Odd ""Sch"."T á;b" values (1, 'f', 2, 3)"#);
    assert_eq!(lines(&place, "one.t"), ["c id=1 | - | id=1 a=2"]);
    assert_eq!(lines(&place, "two.t"), ["c id=x | - | id=x"]);
    assert_eq!(
        lines(&place, "Odd__Sch.T___b"),
        ["c Id_x=1 | - | Id_x=1 _1st=f a_b=2 select=3"]
    );
    checker.verdict().unwrap().assert_clean(3);
}

#[test]
fn a_table_of_1600_columns() {
    let place = Place::shared("wide");
    let columns: Vec<String> = (2..=1600).map(|i| format!("c{i} int")).collect();
    place.sql(&format!(
        "create table wide (c1 int primary key, {})",
        columns.join(", ")
    ));
    let checker = place.checker(&["public.wide"]);
    let _walferry = follow(&place, &mut place.all());
    place.sql("insert into wide (c1, c2, c1600) values (1, 2, 1600)");
    place.sql("alter table wide replica identity full; update wide set c800 = 800");
    place.drain("delete from wide");
    let told = lines(&place, "public.wide");
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("c c1=1 | - | c1=1 c2=2 c3=null"));
    assert!(told[0].ends_with("c1599=null c1600=1600"));
    assert!(told[2].contains("c800=800"));
    checker.verdict().unwrap().assert_clean(3);
}

#[test]
fn transactions_without_a_change_of_ours_move_the_position_and_nothing_else() {
    let place = Place::shared("empty");
    place.sql("create table ours (id int primary key); create table theirs (id int primary key)");
    let checker = place.checker(&["public.ours"]);
    let mut walferry = follow(&place, &mut place.settings(&["public.ours"]));
    place.sql("insert into ours values (1)");
    for i in 0..20 {
        place.sql(&format!("insert into theirs values ({i})"));
        place.sql("select pg_current_xact_id()");
        place.sql("begin; insert into ours values (99); rollback");
        place.sql("begin; savepoint s; insert into ours values (98); rollback to s; commit");
    }
    place.sql("begin; savepoint s; insert into ours values (2); release s; commit");
    // What nobody follows is confirmed too.
    place.drain("insert into theirs values (20)");
    assert_eq!(
        lines(&place, "public.ours"),
        ["c id=1 | - | id=1", "c id=2 | - | id=2"]
    );
    checker.verdict().unwrap().assert_clean(2);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn what_replication_brought_in_is_told_or_left_out() {
    if test_postgres_major() < 16 {
        return;
    }
    for (origin, expected) in [("any", &[1, 2][..]), ("none", &[1])] {
        let place = Place::shared(&format!("origin_{origin}"));
        place.sql("create table t (id int primary key)");
        let mut settings = place.all();
        settings.set_text("source.origin", origin);
        let _walferry = follow(&place, &mut settings);
        place.sql("insert into t values (1)");
        let far = format!("far_{}", place.name);
        let mut session = Session::connect(&place.url).unwrap();
        for sql in [
            format!("select pg_replication_origin_create('{far}')"),
            format!("select pg_replication_origin_session_setup('{far}')"),
            "insert into t values (2)".to_owned(),
            "select pg_replication_origin_session_reset()".to_owned(),
            format!("select pg_replication_origin_drop('{far}')"),
        ] {
            session.query(&sql).unwrap();
        }
        place.drain("insert into t values (3)");
        let mut wanted: Vec<String> = expected
            .iter()
            .map(|id| format!("c id={id} | - | id={id}"))
            .collect();
        wanted.push("c id=3 | - | id=3".to_owned());
        assert_eq!(lines(&place, "public.t"), wanted, "{origin}");
    }
}

#[test]
fn a_truncate_of_several_tables_is_a_record_in_each_topic() {
    let place = Place::shared("truncates");
    place.sql(
        "create table a (id int primary key);
         create table b (id int primary key, a int references a on delete cascade);
         create table c (id int primary key)",
    );
    let checker = place.checker(&["public.a", "public.b"]);
    let mut settings = place.settings(&["public.a", "public.b"]);
    let mut walferry = follow(&place, &mut settings);
    place.sql("insert into a values (1); insert into b values (1, 1); insert into c values (1)");
    place.sql(
        "begin; insert into a values (2); truncate a, c cascade; insert into a values (3); commit",
    );
    place.drain("truncate b, a restart identity");
    assert_eq!(
        lines(&place, "public.a"),
        [
            "c id=1 | - | id=1",
            "c id=2 | - | id=2",
            "t - | - | -",
            "c id=3 | - | id=3",
            "t - | - | -",
        ]
    );
    assert_eq!(
        lines(&place, "public.b"),
        ["c id=1 | - | id=1 a=1", "t - | - | -", "t - | - | -"]
    );
    checker.verdict().unwrap().assert_clean(8);
    // As Debezium has it, on request.
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    settings.set("format.skipped_operations", "[\"t\"]");
    let _walferry = place.streaming(&settings);
    place.sql("truncate a, b");
    place.drain("insert into a values (4)");
    assert_eq!(lines(&place, "public.a")[5..], ["c id=4 | - | id=4"]);
    assert_eq!(lines(&place, "public.b").len(), 3);
}
