//! Where the time goes: each stage is slowed down in turn, and the sentence names it; the stages add up to the whole.
//!
//! Invariant: what is slowed down shows in its own stage's figures, so that a sentence that is right by chance fails.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use walferry_testkit::process::{Walferry, print_line};

use crate::place::{Place, READY, told};
use crate::ways::Ways;

/// What is slowed down, and what is said of it.
struct Case {
    bottleneck: &'static str,
    stages: &'static [&'static str],
    /// Milliseconds that these stages take on average at least.
    mean_ms: f64,
    slow: fn(&Ways),
    /// A transaction that nothing is published of, and one that is.
    before: &'static str,
    sql: &'static str,
}

const ROW: &str = "insert into t default values";
const CASES: [Case; 5] = [
    Case {
        bottleneck: "source decoding",
        stages: &["source"],
        mean_ms: 50.0,
        slow: |_| {},
        before: "insert into unfollowed select g from generate_series(1, 400000) g",
        sql: ROW,
    },
    Case {
        bottleneck: "network",
        stages: &["network"],
        mean_ms: 250.0,
        slow: |ways| ways.postgres.delay(Duration::from_millis(300)),
        before: "",
        sql: ROW,
    },
    Case {
        bottleneck: "registry",
        stages: &["registry"],
        mean_ms: 500.0,
        slow: |ways| ways.registry.delay(Duration::from_millis(700)),
        before: "do $$ begin execute format('alter table t add column c%s int',
                 (select count(*) from pg_attribute where attrelid = 't'::regclass)); end $$",
        sql: ROW,
    },
    Case {
        bottleneck: "encode",
        stages: &["queue", "encode"],
        mean_ms: 50.0,
        slow: |_| {},
        before: "",
        sql: "insert into large (number) select repeat('9', 130000)::numeric from generate_series(1, 10)",
    },
    Case {
        bottleneck: "broker",
        stages: &["send", "commit"],
        mean_ms: 500.0,
        slow: |ways| ways.kafka.delay(Duration::from_millis(200)),
        before: "",
        sql: ROW,
    },
];

fn mean_ms(latency: &Json, stages: &[&str]) -> f64 {
    let all = latency["stages"].as_array().into_iter().flatten();
    let of = all.filter(|it| stages.iter().any(|stage| it["stage"] == *stage));
    of.filter_map(|it| it["mean_ms"].as_f64()).sum()
}

/// The time of all transactions since the start by two accounts, one of the stages and one of the whole way.
fn sums(walferry: &Walferry) -> (f64, f64) {
    let begun = Instant::now();
    loop {
        let of = |name: &str| walferry.metric(name, &[]).unwrap();
        let stages = of("walferry_stage_seconds_sum");
        let counts = ["freshness", "stage"].map(|it| of(&format!("walferry_{it}_seconds_count")));
        let whole = of("walferry_freshness_seconds_sum");
        // The accounts are written one after the other.
        if counts[0] > 0.0 && counts[1] == 9.0 * counts[0] {
            return (stages, whole);
        }
        assert!(begun.elapsed() < READY, "{counts:?}");
    }
}

#[test]
fn the_sentence_names_the_stage_that_is_slow_and_the_stages_add_up() {
    let place = Place::shared("latency");
    place.sql(
        "create table t (id bigserial primary key);
         create table large (id bigserial primary key, number numeric);
         create table unfollowed (id int)",
    );
    let mut settings = place.settings(&["public.t", "public.large"]);
    settings.set_text("snapshot.mode", "never");
    let ways = Ways::of(&place, &mut settings);
    for case in CASES {
        let mut walferry = place.streaming(&settings);
        // Both tables are known from here on, and the clocks were compared before anything is slow.
        place.drain("insert into t default values; insert into large (number) values (1)");
        walferry.wait_status("where the clocks are compared", READY, |it| {
            it["latency"]["clock_skew_error_ms"].is_number()
        });
        (case.slow)(&ways);
        let name = case.bottleneck;
        let status = walferry.wait_status(name, READY, |status| {
            let latency = &status["latency"];
            if latency["bottleneck"] == name && mean_ms(latency, case.stages) >= case.mean_ms {
                return true;
            }
            place.sql(case.before);
            place.drain(case.sql);
            false
        });
        let sentence = status["latency"]["sentence"].as_str().unwrap();
        let begin = format!("The bottleneck is the {name}: ");
        assert!(sentence.starts_with(&begin), "{sentence}");
        let (code, text) = told(&["status", "--admin", walferry.admin_url()]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(&begin), "{text}");
        let (stages, whole) = sums(&walferry);
        print_line(&format!(
            "{name}: stages {stages:.4} s, whole {whole:.4} s; {sentence}"
        ));
        assert!(
            (stages - whole).abs() <= whole * 0.05,
            "{name}: {stages} s in stages, {whole} s from commit to commit\n{status:#}"
        );
        for proxy in [&ways.postgres, &ways.kafka, &ways.registry] {
            proxy.delay(Duration::ZERO);
        }
        walferry.sigterm();
        assert_eq!(walferry.wait_exit(READY), Some(0));
    }
}
