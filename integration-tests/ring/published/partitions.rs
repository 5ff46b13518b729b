//! Partitions come and go: in leaf mode each is a stream of its own, in root mode rows come and go without an event.

use super::{Watched, While, agrees, settings};
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
