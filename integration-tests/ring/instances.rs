//! Two processes with one name: the newer takes over, the older ends with 4, and nothing is doubled.

use std::time::Duration;

use walferry_testkit::load::{MixedLoad, MixedOptions};

use crate::place::{Place, READY};

const ENDS: Duration = Duration::from_secs(60);

#[test]
fn the_older_of_two_processes_ends_with_4() {
    let place = Place::shared("two").with_mixed_tables();
    let checker = place.mixed_checker();
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let mut older = place.streaming(&settings);
    let options = MixedOptions {
        seed: 21,
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &options).unwrap();
    // The older one publishes all the while, up to the moment at which it is fenced.
    let flowing = load.counts().committed + 100;
    while load.counts().committed < flowing {
        std::thread::yield_now();
    }
    let twin = settings.twin().unwrap();
    let path = twin.write(&place.folder).unwrap();
    for _ in 0..5 {
        let (code, said) = place.ends(&twin, &["check", "-c", path.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
    }
    let mut newer = place.streaming(&twin);
    assert_eq!(older.wait_exit(ENDS), Some(4), "{}", older.log_tail());
    assert!(
        older.log_tail().contains("another instance"),
        "{}",
        older.log_tail()
    );
    let enough = load.counts().committed + 100;
    while load.counts().committed < enough {
        std::thread::yield_now();
    }
    load.stop();
    place.verdict(&checker).assert_clean(200);
    newer.sigterm();
    assert_eq!(newer.wait_exit(ENDS), Some(0));
}

/// Without changes nothing fences the older one's producer: it learns of the newer one when its walsender is ended.
#[test]
fn the_older_of_two_processes_ends_with_4_when_nothing_happens_in_the_database() {
    for at_once in [None, Some("insert into t values (2)")] {
        let place = Place::shared(if at_once.is_some() { "moved" } else { "quiet" });
        place.sql("create table t (id int primary key)");
        let checker = place.checker(&["public.t"]);
        let mut settings = place.all();
        settings.set_text("snapshot.mode", "never");
        let mut older = place.streaming(&settings);
        place.drain("insert into t values (1)");
        let mut newer = place.streaming(&settings.twin().unwrap());
        if let Some(sql) = at_once {
            // The newer one commits it, so that the slot is confirmed beyond what the older one knows.
            place.drain(sql);
        }
        assert_eq!(older.wait_exit(ENDS), Some(4), "{}", older.log_tail());
        assert!(older.log_tail().contains("another instance"));
        place.drain("insert into t values (3)");
        checker.verdict().unwrap().assert_clean(2);
        let log = newer.log().join("\n");
        assert!(!log.contains("retrying"), "it was left alone\n{log}");
        newer.sigterm();
        assert_eq!(newer.wait_exit(ENDS), Some(0));
    }
}

#[test]
fn a_process_that_was_stopped_in_the_middle_of_its_batch_wakes_up_and_ends_with_4() {
    let place = Place::shared("stopped").with_mixed_tables();
    let checker = place.mixed_checker();
    let mut settings = place.all();
    // Batches stay open for long, so that the stop falls into one.
    settings
        .set_text("snapshot.mode", "never")
        .set("publish.commit_interval_ms", "2000");
    let mut older = place.streaming(&settings);
    let options = MixedOptions {
        seed: 22,
        transactions_per_second: None,
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &options).unwrap();
    older.wait_status("in a batch", READY, |it| {
        it["positions"]["published"] != it["positions"]["checkpointed"]
    });
    older.sigstop();
    let mut newer = place.streaming(&settings.twin().unwrap());
    let enough = load.counts().committed + 100;
    while load.counts().committed < enough {
        std::thread::yield_now();
    }
    older.sigcont();
    assert_eq!(older.wait_exit(ENDS), Some(4), "{}", older.log_tail());
    load.stop();
    place.verdict(&checker).assert_clean(200);
    newer.sigterm();
    assert_eq!(newer.wait_exit(ENDS), Some(0));
}
