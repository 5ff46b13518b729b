//! Columns that come, go and are filled without a change; keys with columns beside them; identities that change over values
//! that are stored out of line; tables without a column.

use walferry_testkit::checker::Start;

use super::{Followed, audit_agrees, audit_agrees_on, of_op};
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

#[test]
fn a_column_that_older_rows_do_not_hold_has_its_default_in_old_rows_and_keys() {
    let place = Place::shared("missing");
    place.sql(
        "create table f (id int primary key, a text); alter table f replica identity full;
         create table d (id int, a text);
         insert into f values (1, 'x'), (2, 'x'), (3, 'x'), (4, 'x'); insert into d values (1, 'x'), (2, 'y'), (3, 'z');
         alter table f add column b bool not null default true, add column c text default 'dflt', add column n int;
         alter table d add column k int not null default 7; alter table d add primary key (k, id)",
    );
    let mut checker = place.checker(&["public.f", "public.d"]);
    checker.rules.start = Start::SnapshotUnchecked;
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    for sql in [
        "update f set a = 'y' where id = 1",
        "update f set id = 20 where id = 2",
        "delete from f where id = 3",
        "alter table f add column late int default 9",
        "update f set a = 'z' where id = 4",
        "delete from f where id = 4",
        "update d set a = 'w' where id = 1",
        "update d set id = 20 where id = 2",
        "delete from d where id = 3",
    ] {
        place.sql(sql);
    }
    place.drain("insert into d values (4, 'last')");
    assert_eq!(
        lines(&place, "public.f")[4..],
        [
            "u id=1 | id=1 a=x b=true c=dflt n=null | id=1 a=y b=true c=dflt n=null",
            "d id=2 | id=2 a=x b=true c=dflt n=null | -",
            "- id=2",
            "c id=20 | - | id=20 a=x b=true c=dflt n=null",
            "d id=3 | id=3 a=x b=true c=dflt n=null | -",
            "- id=3",
            "u id=4 | id=4 a=x b=true c=dflt n=null late=9 | id=4 a=z b=true c=dflt n=null late=9",
            "d id=4 | id=4 a=z b=true c=dflt n=null late=9 | -",
            "- id=4",
        ]
    );
    let told = lines(&place, "public.d");
    assert_eq!(of_op(&told, "u"), ["k=7 id=1 | - | id=1 a=w k=7"]);
    assert_eq!(
        of_op(&told, "d"),
        [
            "k=7 id=2 | id=2 a=null k=7 | -",
            "k=7 id=3 | id=3 a=null k=7 | -"
        ]
    );
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    audit_agrees(&place, &settings);
}

#[test]
fn dropped_columns_leave_no_hole_in_rows_and_keys() {
    let it = Followed::new(
        "holes",
        "create table f (a int, hole int, c int); alter table f replica identity full;
         create table k (hole int, b text not null, id int, c text); alter table k drop column hole;
         alter table k add primary key (id, b);
         create table i (x int, hole int, y int not null, z text, constraint i_y unique (y) include (x));
         alter table i drop column hole; alter table i replica identity using index i_y;
         create table cased (id int primary key, \"ID\" int, \"Id\" text, \"with \"\"quotes\"\"\" int)",
        &["public.f", "public.k", "public.i", "public.cased"],
    );
    it.run(&[
        "insert into f values (1, 1, 1), (1, 1, 1), (2, 2, 2)",
        "alter table f drop column hole",
        "update f set c = 10 where a = 1",
        "alter table f add column hole text default 'back'",
        "update f set a = 3 where a = 2",
        "delete from f where a = 1",
        "insert into k values ('b', 1, 'c'), ('d', 2, 'e')",
        "update k set c = 'x' where id = 1",
        "update k set b = 'y' where id = 1",
        "alter table k drop column c, add column c2 int",
        "delete from k where id = 2",
        "insert into i values (1, 10, 'z')",
        "reindex index concurrently i_y",
        "update i set x = 2",
        "update i set y = 20",
        "delete from i",
        "insert into cased values (1, 2, 'three', 4)",
        "update cased set \"ID\" = 5, \"Id\" = 'six'",
        "update cased set id = 9",
    ]);
    it.place.drain("insert into cased values (3)");
    it.checker.verdict().unwrap().assert_clean(20);
    // Rows of an older form cannot be compared where there is no key.
    let keyed = ["public.k", "public.i", "public.cased"];
    audit_agrees_on(&it.place, &it.settings, &keyed);
    let told = it.lines("public.i");
    assert_eq!(told[1], "u y=10 | - | x=2 y=10 z=z");
    assert_eq!(told[2], "d y=10 | x=null y=10 z=null | -");
    let told = it.lines("public.f");
    assert_eq!(
        told[3..6],
        [
            "u - | a=1 c=1 | a=1 c=10",
            "u - | a=1 c=1 | a=1 c=10",
            "u - | a=2 c=2 hole=back | a=3 c=2 hole=back",
        ]
    );
}

#[test]
fn values_out_of_line_stay_true_while_the_identity_and_the_columns_change() {
    let it = Followed::new(
        "toast_identity",
        "create table w (id int primary key, big text, other text, n int);
         alter table w alter big set storage external, alter other set storage external",
        &["public.w"],
    );
    it.run(&[
        "insert into w select i, repeat('a', 6000), repeat('b', 6000), 0 from generate_series(1, 9) i",
        "update w set n = 1 where id < 3",
        "alter table w replica identity full",
        "update w set n = 2 where id < 3",
        "update w set big = 'short' where id = 1",
        "alter table w replica identity default",
        "update w set n = 3 where id < 3",
        "begin; update w set n = 4 where id = 2; alter table w replica identity full; update w set n = 5 where id = 2; commit",
        "alter table w add column extra int default 3",
        "update w set n = 6 where id = 3",
        "delete from w where id = 3",
        "alter table w replica identity default",
        "begin; update w set big = repeat('c', 7000) where id = 4; update w set n = 7 where id = 4; commit",
        "begin; update w set n = 8 where id = 5; update w set other = null where id = 5; update w set n = 9 where id = 5; commit",
        "begin; savepoint s; update w set big = repeat('lost', 3000); rollback to s; update w set n = 10 where id = 6; commit",
        "alter table w drop column extra, alter big type varchar(20000)",
        "update w set n = 11 where id = 6",
        "alter table w alter big set storage plain",
        "update w set n = 12 where id = 7",
        "update w set big = 'p' where id = 7",
        "alter table w drop column other",
        "update w set n = 13 where id = 8",
        "update w set id = 80 where id = 8",
        "vacuum full w",
        "update w set n = 14 where id in (80, 9)",
        "truncate w; insert into w values (1, repeat('z', 6000), 1)",
        "update w set n = 2",
    ]);
    it.agree("delete from w", 30);
}

#[test]
fn a_table_without_a_column_has_rows_all_the_same() {
    let place = Place::shared("no_columns");
    place.sql(
        "create table nothing (); alter table nothing replica identity full; insert into nothing default values; insert into nothing default values;
         create table beside (id int primary key)",
    );
    let mut settings = place.all();
    settings.without_identity(&["public.nothing"]);
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.sql("insert into nothing default values");
    place
        .sql("begin; alter table nothing add column a int; insert into nothing values (1); commit");
    place.sql("alter table nothing drop column a; insert into nothing default values");
    place.drain("insert into beside values (1)");
    let told = lines(&place, "public.nothing");
    assert_eq!(
        told,
        [
            "r - | - | ",
            "r - | - | ",
            "c - | - | ",
            "c - | - | a=1",
            "c - | - | "
        ]
    );
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}
