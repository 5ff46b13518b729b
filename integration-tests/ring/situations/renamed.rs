//! Keys that are less than their index, and tables that have another name by the time they are read.

use super::{audit_agrees, of_op};
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

#[test]
fn columns_that_an_index_only_carries_are_no_part_of_the_key() {
    let place = Place::shared("carried");
    place.sql(
        "create table p (a int, b text, c text, primary key (a) include (b)); insert into p values (1, 'b', 'c'), (2, 'b', 'c')",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    for sql in [
        "insert into p values (3, 'b', 'c')",
        "update p set b = 'other' where a = 1",
        "update p set a = 10 where a = 2",
        "delete from p where a = 1",
    ] {
        place.sql(sql);
    }
    place.drain("insert into p values (4)");
    assert_eq!(
        lines(&place, "public.p"),
        [
            "r a=1 | - | a=1 b=b c=c",
            "r a=2 | - | a=2 b=b c=c",
            "c a=3 | - | a=3 b=b c=c",
            "u a=1 | - | a=1 b=other c=c",
            "d a=2 | a=2 b=null c=null | -",
            "- a=2",
            "c a=10 | - | a=10 b=b c=c",
            "d a=1 | a=1 b=null c=null | -",
            "- a=1",
            "c a=4 | - | a=4 b=null c=null",
        ]
    );
    audit_agrees(&place, &settings);
}

#[test]
fn a_table_that_is_renamed_while_nobody_reads_has_its_rows_under_both_names() {
    let place = Place::shared("renamed_stopped");
    place.sql(
        "create table t (id int primary key); create table old_name (id int primary key, a text)",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into old_name values (0, 'old')");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql("insert into old_name values (1, 'old')");
    place.sql("begin; insert into old_name values (2, 'old'); alter table old_name rename to new_name; insert into new_name values (3, 'new'); commit");
    place.sql("insert into new_name values (4, 'new')");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    walferry.wait_status("history", READY, done);
    let told = lines(&place, "public.old_name");
    assert_eq!(
        of_op(&told, "c"),
        [
            "id=0 | - | id=0 a=old",
            "id=1 | - | id=1 a=old",
            "id=2 | - | id=2 a=old"
        ]
    );
    audit_agrees(&place, &settings);
}

#[test]
fn a_schema_that_is_renamed_and_made_anew_in_one_transaction_mixes_no_tables() {
    let place = Place::shared("schema_renamed");
    place.sql("create schema one; create table one.t (id int primary key, a text); insert into one.t values (0, 'first')");
    let settings = place.settings(&["one.*", "two.*"]);
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.sql(
        "begin; insert into one.t values (1, 'old'); alter schema one rename to two; create schema one;
         create table one.t (id int primary key, a text); insert into one.t values (2, 'new');
         insert into two.t values (3, 'old'); commit",
    );
    place.sql("insert into two.t values (4, 'old'); insert into one.t values (5, 'new')");
    place.drain("select pg_logical_emit_message(true, 'end', '')");
    walferry.sigterm();
    walferry.wait_exit(READY);
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("their history", READY, done);
    place.drain("insert into one.t values (6, 'new')");
    // The new table's topic has the new table's rows in the end, and the renamed one's has its own.
    let told = lines(&place, "two.t");
    assert!(
        told.iter().any(|line| line.contains("id=3 a=old")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.contains("id=4 a=old")),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.contains("a=new")), "{told:?}");
    audit_agrees(&place, &settings);
}
