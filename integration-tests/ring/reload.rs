//! SIGHUP: a configuration that is read again while the connector runs, under load.

use std::time::Duration;

use walferry_testkit::checker::{Session, Start};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, Walferry};

use crate::audit::audit;
use crate::place::{Place, READY};
use crate::snapshots::{consistent_point, done, fill, same_rows};

/// A snapshot may take long on a machine that runs other tests.
const TAKEN: Duration = Duration::from_secs(180);

fn started(name: &str) -> (Place, Settings, Walferry) {
    let place = Place::shared(name).with_mixed_tables();
    let mut settings = place.settings(&["public.orders"]);
    settings.set("snapshot.chunk_rows", "300");
    let walferry = place.streaming(&settings);
    (place, settings, walferry)
}

fn load(place: &Place) -> MixedLoad {
    let options = MixedOptions {
        seed: 9,
        transactions_per_second: Some(60.0),
        ..MixedOptions::default()
    };
    MixedLoad::start(&place.url, &options).unwrap()
}

/// How often a stream has begun.
fn streams(walferry: &Walferry) -> usize {
    let begun = |line: &&String| line.contains("\"message\":\"streaming\"");
    walferry.log().iter().filter(begun).count()
}

fn history(walferry: &mut Walferry, tables: usize) {
    walferry.wait_status("the history is there", TAKEN, |status| {
        let snapshot = status["snapshot"].as_array();
        snapshot.is_some_and(|it| it.len() == tables) && done(status)
    });
}

#[test]
fn a_table_that_is_added_on_a_hangup_arrives_with_its_history_and_nothing_pauses() {
    let place = Place::shared("hup").with_mixed_tables();
    let mut checker = place.mixed_checker();
    let mut settings = place.settings(&["public.orders"]);
    settings.set("snapshot.chunk_rows", "300");
    let mut walferry = place.streaming(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    fill(&place, 3_000);
    let load = load(&place);
    // A transaction that began to write before its table is added, and commits after.
    let url = place.url.clone();
    let slow = std::thread::spawn(move || {
        let mut session = Session::connect(&url).unwrap();
        session
            .execute("begin; update documents set version = 7 where writer = 99; select pg_sleep(3); commit")
            .unwrap();
    });
    settings.set("source.tables", "[\"public.*\"]");
    settings.write(&place.folder).unwrap();
    walferry.sighup();
    walferry.wait_log("the new configuration is in force", READY);
    history(&mut walferry, 2);
    assert_eq!(streams(&walferry), 1, "the stream has never paused");
    slow.join().unwrap();
    // It is in force after a kill as well.
    walferry.kill9();
    let mut walferry = place.streaming(&settings);
    let enough = load.counts().committed + 50;
    while load.counts().committed < enough {
        std::thread::yield_now();
    }
    load.stop();
    // What was committed before the tables were added is told by their snapshot alone: only the rows of the end are judged.
    checker
        .rules
        .keys
        .retain(|table, _| table == "public.orders");
    let report = place.verdict(&checker);
    assert!(report.is_clean(), "{report}");
    for (table, key) in [("items", "order_id || '/' || line"), ("documents", "name")] {
        same_rows(&place, table, key);
    }
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn a_kill_while_a_table_is_added_forgets_no_history() {
    let (place, mut settings, mut walferry) = started("hup_kill");
    fill(&place, 3_000);
    let load = load(&place);
    settings
        .set("source.tables", "[\"public.*\"]")
        .set("snapshot.rows_per_second_max", "3000");
    settings.write(&place.folder).unwrap();
    for _ in 0..3 {
        let before = walferry.log().len();
        walferry.sighup();
        // Each time a little later: before the checkpoint, before the publication, in the middle of the rows.
        walferry.wait_log("the configuration is read again", READY);
        while walferry.log().len() < before + 2 {
            std::thread::yield_now();
        }
        walferry.kill9();
        walferry = place.streaming(&settings);
    }
    history(&mut walferry, 2);
    load.stop();
    place.drain(&MixedLoad::last_statement("public"));
    for (table, key) in [("items", "order_id || '/' || line"), ("documents", "name")] {
        same_rows(&place, table, key);
    }
}

#[test]
fn what_cannot_be_put_in_force_is_told_and_the_old_configuration_stays() {
    let (place, settings, mut walferry) = started("hup_no");
    place.sql("create table more (id int primary key); insert into more values (1)");
    let written = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings.clone();
        settings.set("source.tables", "[\"public.orders\", \"public.more\"]");
        change(&mut settings);
        settings.write(&place.folder).unwrap()
    };
    // Another key has changed as well.
    written(&|it| {
        it.set("publish.commit_interval_ms", "77");
    });
    walferry.sighup();
    let told = walferry.wait_log("need a new start", READY);
    assert!(told.contains("publish.commit_interval_ms"), "{told}");
    // The file is none.
    let path = written(&|_| ());
    std::fs::write(&path, "name = ").unwrap();
    walferry.sighup();
    walferry.wait_log("cannot be used", READY);
    // A table is not there.
    written(&|it| {
        it.set("source.tables", "[\"public.orders\", \"public.mroe\"]");
    });
    walferry.sighup();
    let told = walferry.wait_log("cannot be put in force", READY);
    assert!(told.contains("public.mroe"), "{told}");
    place.drain("insert into orders (id, writer, amount) values (1, 1, 1)");
    let status = walferry.status().unwrap();
    assert_eq!(
        status["snapshot"].as_array().map(Vec::len),
        Some(1),
        "{status}"
    );
    // And then it is right.
    let topic = place.topic("renamed");
    written(&|it| {
        it.table(&format!("name = \"public.more\"\ntopic = \"{topic}\""));
    });
    walferry.sighup();
    walferry.wait_log("the new configuration is in force", READY);
    history(&mut walferry, 1);
    place.drain("insert into more values (2)");
    let status = walferry.status().unwrap();
    let more = status["tables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "public.more");
    assert_eq!(more.unwrap()["topic"], topic.as_str(), "{status}");
    assert_eq!(streams(&walferry), 1, "the stream has never paused");
}

/// What happened to a table while it was not followed is told when it is again, at a start and on a hangup.
#[test]
fn a_table_that_was_taken_out_and_is_put_back_is_made_to_agree() {
    let place = Place::shared("hup_back");
    place.sql(
        "create table t (id int primary key, note text); insert into t select i, 'a' from generate_series(1, 500) i;
         create table u (id int primary key, note text); insert into u select i, 'a' from generate_series(1, 500) i",
    );
    let mut settings = place.all();
    settings.set("source.heartbeat_ms", "200");
    let (all, one) = ("[\"public.*\"]", "[\"public.t\"]");
    let mut walferry = place.streaming(&settings);
    let changes = [
        "delete from u where id % 5 = 0; update u set note = 'b' where id % 5 = 1; insert into u values (1001, 'c')",
        "delete from u where id % 5 = 2; update u set note = 'd' where id % 5 = 3; insert into u values (1002, 'e')",
    ];
    let clean = |settings: &Settings| {
        place.drain("insert into t select max(id) + 1, 'last' from t");
        let (code, report, errors) = audit(&place, settings, &[]);
        assert_eq!(code, Some(0), "{report:#}\n{errors}");
        assert_eq!(
            report["tables"].as_array().map(Vec::len),
            Some(2),
            "{report:#}"
        );
    };
    // At starts, and then on hangups.
    for hangup in [false, true] {
        for (tables, change) in [(one, changes[usize::from(hangup)]), (all, "")] {
            settings.set("source.tables", tables);
            if hangup {
                let seen = walferry.log().len();
                settings.write(&place.folder).unwrap();
                walferry.sighup();
                let force = |it: &Walferry| {
                    let log = it.log();
                    log[seen..].iter().any(|line| line.contains("is in force"))
                };
                while !force(&walferry) {
                    assert!(walferry.exited().is_none(), "{}", walferry.log_tail());
                    std::thread::yield_now();
                }
            } else {
                walferry.sigterm();
                walferry.wait_exit(READY);
                walferry = place.streaming(&settings);
            }
            if !change.is_empty() {
                place.sql(change);
                place.drain("insert into t select max(id) + 1, 'more' from t");
            }
        }
        // The rows tell this snapshot from the one before, which the status shows until this one has begun.
        let rows = if hangup { 302 } else { 401 };
        walferry.wait_status("it is read again", TAKEN, |status| {
            let table = &status["snapshot"][0];
            table["name"] == "public.u" && table["rows"] == rows && done(status)
        });
        clean(&settings);
    }
}
