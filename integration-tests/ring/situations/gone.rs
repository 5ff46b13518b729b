//! What is in the log is from another time than the catalog that a start finds: tables, types and labels that are gone by
//! then, catalogs that were rewritten, tables that have another name.

use super::{Followed, audit_agrees};
use crate::changes::lines;
use crate::place::{Place, READY};

#[test]
fn rows_are_told_whose_types_are_other_ones_by_the_time_they_are_read() {
    let mut it = Followed::new(
        "types_gone",
        "create type mood as enum ('sad', 'ok'); create domain code as varchar(8); create type pair as (x int, y text);
         create domain positive as int check (value > 0);
         create table e (id int primary key, m mood); create table c (id int primary key, d code, p positive);
         create table q (id int primary key, a pair, s pair[]); create table beside (id int primary key)",
        &["public.e", "public.c", "public.q"],
    );
    it.place.drain("insert into beside values (1)");
    it.walferry.sigterm();
    assert_eq!(it.walferry.wait_exit(READY), Some(0));
    it.run(&[
        "insert into e values (1, 'ok')",
        "alter type mood rename value 'ok' to 'fine'",
        "insert into e values (2, 'fine')",
        "alter type mood add value 'late'",
        "update e set m = 'late' where id = 1",
        "alter type mood rename to humour",
        "insert into e values (3, 'sad')",
        "alter table e alter m type text; drop type humour",
        "insert into e values (4, 'text')",
        "alter table e drop column m",
        "insert into e values (5)",
        "insert into c values (1, 'abc', 5)",
        "alter domain positive add constraint small check (value < 100)",
        "insert into c values (2, 'def', 6)",
        "alter table c alter d type text, alter p type bigint; drop domain code; drop domain positive",
        "insert into c values (3, 'longer than eight', 3000000000)",
        "insert into q values (1, row(1, 'a'), array[row(1, 'b')::pair])",
        "alter type pair add attribute z int cascade",
        "insert into q values (2, row(1, 'a', 5), null)",
        "alter type pair drop attribute y cascade",
        "insert into q values (3, row(1, 5), null)",
        "alter type pair rename attribute z to zed cascade",
        "alter table q drop column a, drop column s; drop type pair",
        "insert into q values (4)",
    ]);
    it.walferry = it.place.streaming(&it.settings);
    it.place.drain("insert into e values (6)");
    // Nothing is lost of rows whose types nobody can describe any more.
    let ids = |table: &str| -> Vec<String> {
        let told = it.lines(table);
        let of = |line: &String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        told.iter().map(of).collect()
    };
    assert_eq!(
        ids("public.e"),
        [
            "c id=1", "c id=2", "u id=1", "c id=3", "c id=4", "c id=5", "c id=6"
        ]
    );
    assert_eq!(ids("public.c"), ["c id=1", "c id=2", "c id=3"]);
    assert_eq!(ids("public.q"), ["c id=1", "c id=2", "c id=3", "c id=4"]);
}

#[test]
fn catalogs_that_are_rewritten_between_changes_change_nothing() {
    let mut it = Followed::new(
        "catalogs",
        "create table t (id serial primary key, a int, note varchar(120));
         create materialized view m as select count(*) from t;
         create table made as select repeat(md5(i::text), 300) as long from generate_series(1, 3) i;
         alter table made replica identity full",
        &["public.t", "public.made"],
    );
    it.place.sql("insert into t (a) values (1)");
    it.walferry.sigterm();
    it.walferry.wait_exit(READY);
    it.run(&[
        "begin; insert into t (a) values (2); alter table t add column b int; insert into t (a, b) values (3, 1); commit",
        "vacuum full pg_am",
        "vacuum full pg_proc",
        "vacuum full pg_type",
        "vacuum full pg_index",
        "vacuum full pg_publication_rel",
        "begin; cluster pg_class using pg_class_oid_index; cluster pg_class using pg_class_oid_index; rollback",
        "begin; insert into t (a, b) values (4, 2); cluster pg_class using pg_class_oid_index;
         cluster pg_class using pg_class_oid_index; commit",
        "vacuum full pg_class",
        "vacuum full pg_attribute",
        "reindex table pg_class",
        "insert into t (a, b) values (5, 3)",
        "begin; insert into t (a, b) values (6, 4); alter table t add column c int; insert into t (a, b, c) values (7, 5, 1); commit",
        "checkpoint",
        "vacuum full made",
        "update made set long = long || 'x'",
        "refresh materialized view m",
        "begin; insert into t (a) values (8); refresh materialized view m; alter table t alter a type bigint;
         insert into t (a) values (9); cluster t using t_pkey; insert into t (a) values (10); commit",
        "alter table t alter note type text using 'note ' || coalesce(note, ''), alter c set default 7",
        "insert into t (a) values (11)",
        "begin; alter table t add column r float8 default random(); insert into t (a) values (12); commit",
        "vacuum full t",
        "update t set b = 0 where a > 10",
        "delete from t where a < 3",
    ]);
    it.walferry = it.place.streaming(&it.settings);
    it.place.drain("insert into t (a) values (13)");
    it.checker.verdict().unwrap().assert_clean(18);
}

#[test]
fn rows_of_a_table_that_is_gone_before_they_are_read_are_told() {
    let place = Place::shared("dropped");
    place.sql(
        "create table t (id int primary key); create table gone (id int primary key, big text);
         alter table gone alter big set storage external",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into gone values (1, 'before')");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql(
        "insert into gone values (2, repeat('big', 3000)); update gone set big = 'x' where id = 1",
    );
    place.sql("begin; insert into gone values (3, 'last'); drop table gone; commit");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    // What was committed before the table was dropped, and with it, is in its topic.
    let told = lines(&place, "public.gone");
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told[1].starts_with("c id=2 | - | id=2 big=bigbig"),
        "{told:?}"
    );
    assert_eq!(
        told[2..],
        ["u id=1 | - | id=1 big=x", "c id=3 | - | id=3 big=last"]
    );
    audit_agrees(&place, &settings);
}
