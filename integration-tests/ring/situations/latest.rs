//! What only the latest servers have: keys without overlaps, virtual columns, generated columns that are published.

use walferry_stack::test_postgres_major;

use super::{Followed, audit_agrees, of_op};
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

#[test]
fn keys_without_overlaps_are_keys() {
    if test_postgres_major() < 18 {
        return;
    }
    let it = Followed::new(
        "temporal",
        "create extension btree_gist;
         create table booking (room int4range, at daterange, who text, primary key (room, at without overlaps));
         create table price (id int not null, at tstzrange not null, n numeric(9,2), constraint price_u unique (id, at without overlaps));
         alter table price replica identity using index price_u;
         create table plain (id int, at daterange, who text); alter table plain replica identity full;
         insert into booking select int4range(i, i + 1), daterange('2020-01-01', '2021-01-01'), 'old' from generate_series(1, 20) i",
        &["public.booking", "public.price", "public.plain"],
    );
    it.run(&[
        "insert into booking values ('[100,101)', '[2018-01-01,2020-01-01)', 'a'), ('[100,101)', '[2020-01-01,)', 'b')",
        "update booking set who = 'c' where room = '[100,101)' and at @> '2019-01-01'::date",
        "update booking set at = '[2017-01-01,2020-01-01)' where room = '[100,101)' and at @> '2019-01-01'::date",
        "delete from booking where room = '[100,101)' and at @> '2021-01-01'::date",
        "insert into price values (1, '[2020-01-01 00:00+00,2021-01-01 00:00+00)', 1.5)",
        "update price set n = 2",
        "delete from price",
        "insert into plain values (1, '[2020-01-01,2021-01-01)', 'x'), (null, null, 'y')",
        "update plain set who = 'z'",
        "delete from plain where id = 1",
    ]);
    it.place.drain("update plain set who = 'end'");
    let report = it.checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    let told = it.lines("public.booking");
    assert_eq!(
        of_op(&told, "d"),
        [
            "room=[100,101) at=[2018-01-01,2020-01-01) | room=[100,101) at=[2018-01-01,2020-01-01) who=null | -",
            "room=[100,101) at=[2020-01-01,) | room=[100,101) at=[2020-01-01,) who=null | -",
        ]
    );
}

#[test]
fn a_snapshot_goes_through_keys_without_overlaps_in_chunks() {
    if test_postgres_major() < 18 {
        return;
    }
    let place = Place::shared("temporal_chunks");
    place.sql(
        "create extension btree_gist;
         create table booking (room int4range, at daterange, who text, primary key (room, at without overlaps));
         insert into booking select int4range(i, i + 1), daterange('2020-01-01', '2021-01-01'), 'old' from generate_series(1, 50) i",
    );
    let mut settings = place.all();
    settings.set("snapshot.chunk_rows", "7");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.drain("delete from booking where room = '[1,2)'");
    assert_eq!(of_op(&lines(&place, "public.booking"), "r").len(), 50);
    audit_agrees(&place, &settings);
}

#[test]
fn generated_columns_are_left_out_or_published_as_the_publication_says() {
    if test_postgres_major() < 18 {
        return;
    }
    for publish in ["none", "stored"] {
        let place = Place::shared(&format!("generated_{publish}"));
        place.sql(&format!(
            "create table t (id int primary key, v int generated always as (id + 1) virtual, s int generated always as (id * 2) stored,
               a text, hole int); alter table t drop column hole; insert into t (id, a) values (1, 'x');
             create table f (id int primary key, a text, s text generated always as (a || a) stored);
             {}
             create publication ours for table t, f with (publish_generated_columns = {publish})",
            if publish == "stored" { "alter table f replica identity full;" } else { "" },
        ));
        let mut settings = place.all();
        settings.set_text("source.publication", "ours");
        let mut walferry = place.streaming(&settings);
        walferry.wait_status("snapshot", READY, done);
        place.sql("insert into t (id, a) values (2, 'y'); update t set a = 'z' where id = 1; update t set id = 5 where id = 2");
        place.sql("insert into f values (1, 'a'); update f set a = 'b'; delete from f");
        place.drain("delete from t where id = 5");
        let s = |id: u32| match publish {
            "stored" => format!(" s={}", id * 2),
            _ => String::new(),
        };
        let told = lines(&place, "public.t");
        assert_eq!(told[0], format!("r id=1 | - | id=1{} a=x", s(1)));
        assert_eq!(told[1], format!("c id=2 | - | id=2{} a=y", s(2)));
        assert_eq!(told[2], format!("u id=1 | - | id=1{} a=z", s(1)));
        assert_eq!(told[5], format!("c id=5 | - | id=5{} a=y", s(5)));
        audit_agrees(&place, &settings);
    }
}
