//! Rows from a kilobyte to hundreds of megabytes, in the stream and in a snapshot, under each policy: they go through, or
//! their table's policy decides; memory stays within its bound, and a stop is obeyed.
//!
//! The sizes of every day are a short list. `WALFERRY_SIZES=all` walks from 1 kB to 200 MB in steps of 1.5, and
//! `WALFERRY_SIZES=1000,140000000` takes these; then the figures are printed.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use walferry_testkit::process::{Settings, Walferry, print_line};

use crate::park::table;
use crate::place::{DRAIN, Place, READY};

const MIB: u64 = 1 << 20;
/// `memory_bytes_max` of these tests, what a process has beside it, and how many times the text of the largest row may be in
/// memory: as it came, encoded, compressed, and in the buffers between (docs/DESIGN.md, "Sizes").
const MEMORY: u64 = 64 * MIB;
const BESIDE: u64 = 96 * MIB;
const TIMES: u64 = 6;
/// A message that is longer is not kept: `message.max.bytes` is 64 MiB, and four times that is the limit.
const KEPT: u64 = 256 * MIB;
/// What the topics of these tests take.
const TAKES: u64 = 20 * MIB;
/// How long a step may take on a machine that runs other tests.
const STEP: Duration = Duration::from_secs(300);
/// The default of `shutdown_ms`, and what it takes to see that a process has ended.
const STOPPED: Duration = Duration::from_millis(10_000 + 2_000);

const ASKED: &str = "WALFERRY_SIZES";

/// Bytes of the rows' large value.
fn sizes() -> Vec<u64> {
    let next = |it: &u64| Some(it * 3 / 2);
    match std::env::var(ASKED).as_deref() {
        Ok("all") => std::iter::successors(Some(1_000), next)
            .take_while(|it| *it <= 200_000_000)
            .collect(),
        Ok(list) => list.split(',').map(|it| it.parse().unwrap()).collect(),
        Err(_) => vec![
            1_000,
            1_000_000,
            9_000_000,
            18_000_000,
            40_000_000,
            140_000_000,
        ],
    }
}

/// Prints a figure where sizes were asked for.
fn tell(figure: &str) {
    if std::env::var(ASKED).is_ok() {
        print_line(figure);
    }
}

/// A value of so many bytes.
fn bytes_sql(bytes: u64) -> String {
    format!(
        "(select substring(convert_to(repeat(noise, ({bytes} / 1000000 + 1)::int), 'UTF8') from 1 for {bytes}) from noise)"
    )
}

fn settings(place: &Place, policy: &str) -> Settings {
    let mut settings = place.all();
    settings
        .set_text("errors.policy", policy)
        .set("source.tables", "[\"public.t\", \"public.beside\"]")
        .set("publish.memory_bytes_max", &MEMORY.to_string())
        .set(
            "kafka.topics.config",
            &format!("{{ \"max.message.bytes\" = \"{TAKES}\" }}"),
        )
        .kafka_property("compression.type", "none");
    settings
}

fn prepare(place: &Place) {
    place.sql(
        "create table t (id int primary key, size bigint, note bytea); alter table t alter note set storage external;
         create table beside (id int primary key);
         create table noise (noise text);
         insert into noise select string_agg(chr(32 + (random() * 90)::int), '') from generate_series(1, 1000000)
             where true;",
    );
}

fn insert(place: &Place, id: usize, bytes: u64) {
    place.sql(&format!(
        "insert into t values ({id}, {bytes}, {})",
        bytes_sql(bytes)
    ));
}

/// Whether the topic takes a row with a value of so many bytes.
fn fits(bytes: u64) -> bool {
    bytes + 1_000 < TAKES
}

fn held(walferry: &Walferry, bytes: u64) {
    let peak = walferry.usage().unwrap().rss_peak_bytes;
    let bound = MEMORY + BESIDE + TIMES * (2 * bytes).min(KEPT);
    tell(&format!(
        "{bytes} bytes: peak {} MiB of {} MiB",
        peak / MIB,
        bound / MIB
    ));
    assert!(
        peak <= bound,
        "{} MiB, and the bound for {bytes} bytes is {} MiB",
        peak / MIB,
        bound / MIB
    );
}

fn ends_in_time(walferry: &mut Walferry) -> Option<i32> {
    let asked = Instant::now();
    walferry.sigterm();
    let code = walferry.wait_exit(STOPPED);
    tell(&format!("SIGTERM obeyed in {:?}", asked.elapsed()));
    assert!(
        asked.elapsed() <= STOPPED,
        "{:?}\n{}",
        asked.elapsed(),
        walferry.log_tail()
    );
    code
}

fn changes(status: &Json, name: &str) -> u64 {
    table(status, name)["changes"].as_u64().unwrap_or(0)
}

#[test]
fn rows_of_every_size_in_the_stream_go_through_or_follow_the_policy() {
    for policy in ["skip", "dead-letter", "park", "stop"] {
        let place = Place::shared(&format!("sizes_{}", policy.replace('-', "_")));
        tell(policy);
        prepare(&place);
        let mut settings = settings(&place, policy);
        settings.set_text("snapshot.mode", "never");
        let mut walferry = place.streaming(&settings);
        let mut letters = 0;
        for (id, bytes) in sizes().into_iter().enumerate() {
            insert(&place, id, bytes);
            let said = format!("{policy}: {bytes} bytes");
            match (policy, fits(bytes)) {
                (_, true) => {
                    walferry.wait_status(&said, STEP, |it| {
                        changes(it, "public.t") > id as u64 || policy == "stop"
                    });
                    place.drain("insert into beside select coalesce(max(id), 0) + 1 from beside");
                }
                ("skip", false) => {
                    place.drain("insert into beside select coalesce(max(id), 0) + 1 from beside")
                }
                ("dead-letter", false) => {
                    letters += 1;
                    walferry.wait_status(&said, STEP, |it| it["dead_letters"] == letters);
                }
                ("park", false) => {
                    let seen = walferry
                        .wait_status(&said, STEP, |it| table(it, "public.t")["state"] == "parked");
                    let reason = table(&seen, "public.t")["reason"]
                        .as_str()
                        .unwrap()
                        .to_owned();
                    assert!(reason.contains("max.message.bytes"), "{reason}");
                }
                _ => {
                    assert_eq!(walferry.wait_exit(STEP), Some(1), "{said}");
                    let tail = walferry.log_tail();
                    assert!(
                        tail.contains("max.message.bytes") && tail.contains("public.t"),
                        "{tail}"
                    );
                }
            }
            if walferry.exited().is_none() {
                held(&walferry, bytes);
            }
            // What has parked its table, or stopped the connector, does so for all that comes after.
            if !fits(bytes) && matches!(policy, "park" | "stop") {
                break;
            }
        }
        if walferry.exited().is_none() {
            // In the middle of the largest.
            place.sql(&format!(
                "insert into t values (1000, 0, {})",
                bytes_sql(140_000_000)
            ));
            ends_in_time(&mut walferry);
        }
    }
}

#[test]
fn rows_of_every_size_in_a_snapshot_go_through_or_follow_the_policy() {
    for policy in ["skip", "dead-letter", "stop"] {
        let place = Place::shared(&format!("sizes_read_{}", policy.replace('-', "_")));
        tell(&format!("snapshot, {policy}"));
        prepare(&place);
        let sizes = sizes();
        for (id, bytes) in sizes.iter().enumerate() {
            insert(&place, id, *bytes);
        }
        let mut walferry = place.start(&settings(&place, policy));
        if policy == "stop" {
            assert_eq!(walferry.wait_exit(STEP), Some(1));
            let tail = walferry.log_tail();
            assert!(
                tail.contains("max.message.bytes") && tail.contains("a row of its snapshot"),
                "{tail}"
            );
            continue;
        }
        walferry.wait_status("streaming", STEP, |it| it["state"] == "streaming");
        let refused = sizes.iter().filter(|it| !fits(**it)).count();
        if policy == "dead-letter" {
            walferry.wait_status("letters", DRAIN, |it| it["dead_letters"] == refused);
        }
        held(&walferry, 2 * sizes.last().unwrap());
        assert_eq!(ends_in_time(&mut walferry), Some(0));
    }
}

#[test]
fn a_record_larger_than_the_queue_is_published_and_a_stop_is_obeyed() {
    let place = Place::shared("sizes_queue");
    place.sql("create table t (id int primary key, note bytea)");
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never").set(
        "kafka.topics.config",
        "{ \"max.message.bytes\" = \"30000000\" }",
    );
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t select i, decode(repeat('00ff', 9 * 512 * 1024), 'hex') from generate_series(1, 3) i");
    place.drain("insert into t values (0)");
    checker.verdict().unwrap().assert_clean(4);
    walferry.wait_ready(READY);
    assert_eq!(ends_in_time(&mut walferry), Some(0));
}
