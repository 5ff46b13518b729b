//! What is done about a table meets what is under way of it, or another thing that is wrong with its topic.

use std::time::Instant;

use walferry_testkit::checker::Session;

use super::{TABLE, TAKEN, Watched, While, agrees, rows, settings};
use crate::place::{Place, READY, told};
use crate::schemas::WAITING;

#[test]
fn partitions_that_are_written_anew_before_their_turn_are_read_all_the_same() {
    let place = Place::shared("met_rewrite");
    place.sql(&format!(
        "create table a {TABLE}; {};
         create table p (id int primary key, note text) partition by range (id);
         create table p_1 partition of p for values from (0) to (1000); {}",
        rows("a", 1, 2000),
        rows("p", 1, 600)
    ));
    let mut settings = settings(&place);
    settings
        .set("snapshot.while_streaming", "true")
        .set("snapshot.readers", "1")
        .set("snapshot.rows_per_second_max", "300");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("rows of a", READY, |status| {
        let all = status["snapshot"].as_array().cloned().unwrap_or_default();
        all.iter().any(|it| it["rows"].as_u64() > Some(0))
    });
    settings.set("snapshot.rows_per_second_max", "100000");
    let mut it = Watched { walferry, seen: 0 };
    let sql = "alter table p alter column note type varchar(80) using note || '!'";
    it.meet(&place, &settings, While::Stopped, sql);
    it.hears(&["public.p", "written anew"]);
    it.hears(&[
        "snapshot of a table is complete",
        "\"public.p\"",
        "\"rows\":600",
    ]);
    it.hears(&["snapshots beside the stream are complete"]);
    agrees(&place, &settings, "insert into p values (900, 'x')", 2);
}

#[test]
fn a_new_table_whose_name_another_one_had_keeps_none_of_its_keys() {
    let place = Place::shared("met_swap");
    place.sql(&format!("create table f {TABLE}; {}", rows("f", 1000, 100)));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    it.reads("public.f");
    // What the earlier n1 has written is still in the stream when the new one is met.
    let sql = format!(
        "create table n1 {TABLE}; alter publication \"walferry_{}\" add table n1; {};
         begin; alter table f rename to swapped; alter table n1 rename to f; alter table swapped rename to n1; commit",
        place.name,
        rows("n1", 1, 60)
    );
    it.meet(&place, &settings, While::Stopped, &sql);
    it.reads("public.n1");
    it.reads("public.f");
    agrees(&place, &settings, "insert into n1 values (5000, 'x')", 2);
}

#[test]
fn rows_too_many_are_told_until_they_are_deleted_whatever_else_is_mended() {
    let place = Place::shared("met_surplus");
    place.sql(
        "create table m (id int primary key, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (100);
         create table m_2 partition of m for values from (100) to (200);
         insert into m select i, 'a' from generate_series(1, 199) i",
    );
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    it.reads("public.m");
    let sql = "drop table m_2; create table m_3 (like m including all); insert into m_3 select i, 'b' from generate_series(300, 350) i;
               alter table m attach partition m_3 for values from (300) to (400)";
    it.meet(&place, &settings, While::Stopped, sql);
    it.reads("public.m");
    it.walferry
        .wait_status("rows too many are still told", TAKEN, |status| {
            let tables = status["tables"].as_array().into_iter().flatten();
            let mut surplus = tables.filter(|it| it["state"] == "surplus");
            surplus.any(|it| it["name"] == "public.m")
        });
    let path = settings.write(&place.folder).unwrap();
    let (code, said) = told(&["resync", "-c", path.to_str().unwrap(), "public.m"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("100 deletes"), "{said}");
    agrees(
        &place,
        &settings,
        "insert into m values (50001 % 99, 'x') on conflict (id) do update set note = 'y'",
        1,
    );
}

/// A start adds a table, and waits for it; whoever holds that takes another one out meanwhile.
#[test]
fn a_table_that_is_taken_out_while_a_start_looks_is_put_back() {
    let place = Place::shared("met_taken_out");
    place.sql(&format!(
        "create table t {TABLE}; create table e {TABLE}; {}",
        rows("e", 1, 50)
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    it.walferry.sigterm();
    assert_eq!(it.walferry.wait_exit(READY), Some(0));
    place.sql(&format!(
        "create table added {TABLE}; {}",
        rows("added", 1, 20)
    ));
    let mut holder = Session::connect(&place.url).unwrap();
    let publication = format!("walferry_{}", place.name);
    let held = format!(
        "begin; lock table added in access exclusive mode; alter publication {publication} drop table e"
    );
    holder.execute(&held).unwrap();
    it.walferry = place.start(&settings);
    let until = Instant::now() + READY;
    while place.value(WAITING).as_deref() == Some("0") {
        assert!(Instant::now() < until, "{}", it.walferry.log_tail());
    }
    holder
        .execute(&format!("{}; commit", rows("e", 51, 50)))
        .unwrap();
    it.walferry
        .wait_status("streaming", TAKEN, |it| it["state"] == "streaming");
    agrees(&place, &settings, "insert into t values (1, 'x')", 3);
}
