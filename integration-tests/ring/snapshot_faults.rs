//! Snapshots on a server that does not put up with them: readers are ended, cancelled and timed out, servers go away; each row once.

use std::time::Duration;

use walferry_stack::Stack;
use walferry_testkit::checker::{Checker, Start};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::Walferry;

use crate::place::{Place, READY, own_servers};
use crate::snapshots::{clean, consistent_point, done, fill, meddle, rows, small_chunks};

/// A snapshot may take long on a machine that runs other tests.
const TAKEN: Duration = Duration::from_secs(240);
/// How soon `/readyz` says that a server is away.
const SAID: Duration = Duration::from_secs(20);

fn load(place: &Place, seed: u64) -> MixedLoad {
    let options = MixedOptions {
        seed,
        transactions_per_second: Some(40.0),
        ..MixedOptions::default()
    };
    MixedLoad::start(&place.url, &options).unwrap()
}

fn taken(walferry: &Walferry) -> bool {
    walferry.status().is_ok_and(|status| done(&status))
}

/// Ends or cancels one of the connector's sessions after the other, whatever it does, but for the stream itself.
fn harried(name: &str, beside: bool) {
    let place = Place::shared(name).with_mixed_tables();
    let mut checker = place.mixed_checker();
    fill(&place, 20_000);
    // What a careful administrator sets for everybody.
    place.sql(&format!(
        "alter database {} set idle_in_transaction_session_timeout = '400ms'",
        place.name
    ));
    let mut settings = small_chunks(&place);
    settings
        .set("snapshot.while_streaming", &beside.to_string())
        .set("snapshot.statement_timeout_ms", "1500")
        .set("snapshot.rows_per_second_max", "6000");
    let mut walferry = place.start(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    let load = load(&place, 21);
    walferry.wait_ready(READY);
    let mut blows = 0;
    while !taken(&walferry) {
        assert!(walferry.exited().is_none(), "{}", walferry.log_tail());
        let enough = load.counts().committed + 8;
        while load.counts().committed < enough {
            std::thread::yield_now();
        }
        let verb = ["pg_terminate_backend", "pg_cancel_backend"][blows % 2];
        place.sql(&format!(
            "select {verb}(pid) from (select pid from pg_stat_activity
               where application_name = 'walferry_{}' and backend_type = 'client backend' and query like 'COPY%'
               order by random() limit 1) s",
            place.name
        ));
        if blows % 9 == 5 {
            meddle(&place, (blows % 60) as u32);
        }
        blows += 1;
    }
    load.stop();
    clean(&place, &checker, 35_000);
    let log = walferry.log();
    let again = ["begins its range anew", "a chunk is read again"];
    let hurt = log
        .iter()
        .filter(|line| again.iter().any(|part| line.contains(part)));
    assert!(hurt.count() >= 3, "{blows} blows, and none was felt");
}

#[test]
fn readers_of_a_consistent_snapshot_may_be_ended_at_any_moment() {
    harried("kind", false);
}

#[test]
fn readers_beside_the_stream_may_be_ended_at_any_moment() {
    harried("kind_beside", true);
}

/// The session that holds the snapshot is ended as well: what is left is read beside the stream.
#[test]
fn a_snapshot_that_is_too_old_or_lost_goes_on_beside_the_stream() {
    for limit in [true, false] {
        let place = Place::shared(if limit { "kind_old" } else { "kind_lost" }).with_mixed_tables();
        let mut checker = place.mixed_checker();
        fill(&place, 10_000);
        let mut settings = small_chunks(&place);
        settings
            .set("snapshot.rows_per_second_max", "2500")
            .set("snapshot.xmin_age_max", if limit { "100" } else { "0" });
        let mut walferry = place.start(&settings);
        checker.rules.start = Start::Beside(consistent_point(&mut walferry));
        let load = load(&place, 22);
        walferry.wait_ready(READY);
        walferry.wait_status("some rows", READY, |status| {
            status["snapshot"][0]["rows"].as_u64().unwrap_or(0) > 100
        });
        if !limit {
            // Everybody but those that read, and so the anchor among them.
            place.sql(&format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walferry_{}'
                   and backend_type = 'client backend' and query not like 'COPY%'",
                place.name
            ));
        }
        let told = walferry.wait_log("ends early", TAKEN);
        // Whoever notices first says it: the watch over the session, or a reader, to whom older servers say it otherwise.
        let reasons = match limit {
            true => ["xmin_age_max"; 3],
            false => ["was lost", "does not exist", "invalid snapshot identifier"],
        };
        assert!(reasons.iter().any(|it| told.contains(it)), "{told}");
        let before = rows(&walferry);
        meddle(&place, 1);
        walferry.wait_status("the snapshot is complete", TAKEN, done);
        load.stop();
        clean(&place, &checker, 15_000);
        assert!(rows(&walferry) > before, "the rest came beside the stream");
    }
}

/// Each server is away for a few seconds in the middle.
fn outages(place: &Place, stack: &mut Stack, checker: &Checker, walferry: &mut Walferry) {
    let load = load(place, 23);
    for (round, name) in ["kafka", "postgresql", "registry"].into_iter().enumerate() {
        walferry.wait_ready(READY);
        meddle(place, round as u32);
        let enough = rows(walferry) + 1_500;
        walferry.wait_status("more rows", TAKEN, |status| {
            let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
            tables
                .iter()
                .filter_map(|it| it["rows"].as_u64())
                .sum::<u64>()
                >= enough
        });
        assert!(!taken(walferry), "{name} goes away in the middle");
        match name {
            // Not by SIGKILL: a lone broker that dies between the marks of a transaction forgets those that are left when its session
            // expires ("Couldn't find leader endpoint … can be skipped"), and what was committed is aborted with what comes next.
            "kafka" => stack.kafka.terminate().unwrap(),
            "registry" => stack.registry.kill9().unwrap(),
            _ => stack.postgres.kill9().unwrap(),
        }
        walferry.wait_not_ready(name, SAID);
        match name {
            "kafka" => stack.kafka.restart().unwrap(),
            "registry" => stack.registry.restart().unwrap(),
            _ => stack.postgres.restart().unwrap(),
        }
    }
    walferry.wait_ready(READY);
    meddle(place, 3);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    load.stop();
    clean(place, checker, 25_000);
}

#[test]
fn servers_may_go_away_in_the_middle_of_a_snapshot() {
    let mut stack = own_servers();
    for beside in [false, true] {
        let name = if beside { "away_beside" } else { "away" };
        let place = Place::on(&stack.coordinates(), name).with_mixed_tables();
        let mut checker = place.mixed_checker();
        fill(&place, 18_000);
        let mut settings = small_chunks(&place);
        // A server takes long to come back on a machine that is busy, and the snapshot goes on when it is not needed.
        settings
            .set("snapshot.while_streaming", &beside.to_string())
            .set("snapshot.rows_per_second_max", "1000");
        let mut walferry = place.start(&settings);
        checker.rules.start = Start::Beside(consistent_point(&mut walferry));
        outages(&place, &mut stack, &checker, &mut walferry);
        walferry.sigterm();
        walferry.wait_exit(READY);
    }
}

/// The niceness of each thread of a process (`proc_pid_stat(5)`, field 19).
fn niceness(pid: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread may end meanwhile.
    let stats =
        tasks.filter_map(|it| std::fs::read_to_string(it.unwrap().path().join("stat")).ok());
    // The second field is a name in parentheses, which may hold anything.
    let field = |stat: String| {
        let rest = stat.rsplit_once(')').unwrap().1;
        rest.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    stats.map(field).collect()
}

#[test]
fn every_thread_gives_way_to_the_servers() {
    let place = Place::shared("gives_way");
    place.sql("create table t (id int primary key)");
    let walferry = place.streaming(&place.all());
    place.drain("insert into t values (1)");
    let ours = niceness(std::process::id())[0];
    let threads = niceness(walferry.pid());
    assert!(threads.len() > 4, "{threads:?}");
    let given_way = (ours + 5).min(19);
    assert!(threads.iter().all(|it| *it == given_way), "{threads:?}");
}
