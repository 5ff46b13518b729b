//! A name that leaves its table and comes back before anybody looks: the stream tells it.

use rdkafka::Message;
use walferry_testkit::topics::Reader;

use super::{TABLE, Watched, While, agrees, rows, settings};
use crate::place::{Place, READY};

#[test]
fn a_name_that_leaves_and_comes_back_between_two_looks_is_noticed() {
    let place = Place::shared("away");
    place.sql(&format!(
        "create table t {TABLE}; create table u {TABLE}; create table k (id int, note text); alter table k replica identity full;
         create table l (id int, note text); alter table l replica identity full; {}; {}; {}; {}",
        rows("t", 1, 400),
        rows("u", 1, 300),
        rows("k", 1, 200),
        rows("l", 1, 100),
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    it.hears(&["snapshot of a table is complete", "\"public.u\""]);
    for at in [While::Running, While::Stopped] {
        // One of two that swap their names is written under the other's, the other under a third.
        let away = |one: &str, other: &str| {
            format!(
                "begin; alter table {one} rename to aside; alter table {other} rename to {one}; commit;
                 update {one} set note = 'of another' where id % 3 = 0; delete from {one} where id = 7;
                 insert into {one} values (5000, 'of another');
                 update aside set note = note || ' aside' where id % 5 = 0; delete from aside where id = 10;
                 begin; alter table {one} rename to {other}; alter table aside rename to {one}; commit;"
            )
        };
        let sql = away("t", "u") + &away("k", "l");
        it.meet(&place, &settings, at, &sql);
        for table in ["t", "u", "k", "l"] {
            it.hears(&["replaced by another", &format!("\"public.{table}\"")]);
        }
        for table in ["t", "u", "k", "l"] {
            it.reads(&format!("public.{table}"));
        }
        agrees(
            &place,
            &settings,
            "delete from u where id = 5000; delete from l where id = 5000",
            4,
        );
    }
    it.walferry.wait_ready(READY);
}

#[test]
fn a_table_that_is_dropped_before_its_changes_are_read_has_the_key_of_its_topic() {
    let place = Place::shared("dropped_full");
    place.sql(&format!(
        "create table t {TABLE}; create table f {TABLE}; alter table f replica identity full"
    ));
    let mut settings = settings(&place);
    settings.set_text("snapshot.mode", "never");
    let mut it = Watched::new(&place, &settings);
    place.drain(&rows("t", 1, 50));
    // Its first changes come under the name of another one, and it is gone when they are read.
    let sql = format!(
        "begin; alter table t rename to aside; alter table f rename to t; commit;
         {}; update t set note = 'b' where id % 2 = 0; delete from t where id % 3 = 0; drop table t;
         alter table aside rename to t",
        rows("t", 20, 60)
    );
    it.meet(&place, &settings, While::Stopped, &sql);
    it.reads("public.t");
    agrees(&place, &settings, "insert into t values (5000, 'x')", 1);
    let mut records = 0;
    let topic = place.topic("public.t");
    let mut reader = Reader::open(&place.brokers, &[topic]).unwrap();
    let read = reader.read_to_end(|message| {
        records += 1;
        assert!(message.key().is_some(), "a record without a key");
        Ok(())
    });
    read.unwrap();
    assert!(records > 150, "{records}");
}
