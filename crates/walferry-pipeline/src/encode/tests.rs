//! The encoder, driven from what real servers sent: no server, no registry, no thread, and the time is what the test says.
//!
//! The streams are the captures of `walferry-pgoutput`; `tests/NAME.txt` says what is expected of each, and
//! `UPDATE_EXPECTED=1 cargo test -p walferry-pipeline` writes it anew.
//! Start reading at `Bench`.

mod answers;
mod bench;
mod witness;

use std::time::Duration;

use walferry_event::{Code, Lsn};

use crate::{
    clock::Moment,
    config::Policy,
    encode::{
        closing::{ASKED, ASKED_WITHIN},
        tests::{
            bench::{Bench, capture, config, pieces, start},
            witness::{Call, calls_in},
        },
    },
};

const CAPTURES: [&str; 3] = ["ring", "altered", "long"];

/// Each in blocks of a few frames, and as one.
fn sizes() -> [usize; 2] {
    [600, usize::MAX]
}

#[test]
fn records_and_marks_are_what_is_expected_of_each_capture() {
    for name in CAPTURES {
        let mut bench = Bench::begin(config(), start());
        let mut text = String::new();
        for piece in pieces(&capture(name), 600) {
            let before = bench.witness.calls.len();
            bench.block(piece).unwrap();
            let witness = &bench.witness;
            for call in &witness.calls[before..] {
                text.push_str(&format!("{}\n", witness.text(call)));
            }
            text.push_str(&bench.handed_over());
        }
        bench::expect(name, &text);
    }
}

#[test]
fn the_observer_is_told_in_the_order_of_the_stream() {
    for (name, size) in CAPTURES
        .iter()
        .flat_map(|name| sizes().map(|it| (name, it)))
    {
        let bytes = capture(name);
        let mut bench = Bench::begin(config(), start());
        for piece in pieces(&bytes, size) {
            bench.block(piece).unwrap();
        }
        assert_eq!(bench.witness.of_the_stream(), calls_in(&bytes), "{name}");
        assert!(bench.witness.calls.contains(&Call::Mark), "{name}");
    }
}

#[test]
fn an_encoder_that_begins_at_any_mark_writes_what_is_missing_behind_it() {
    for name in CAPTURES {
        let bytes = capture(name);
        let mut whole = Bench::begin(config(), start());
        for piece in pieces(&bytes, 600) {
            whole.block(piece).unwrap();
        }
        let all = whole.records();
        let marks = whole.marks();
        assert!(marks.len() > 3, "{name} has {} marks", marks.len());
        for (written, held) in marks {
            let at = held.position;
            let mut again = Bench::begin(config(), held);
            for piece in pieces(&bytes, 1) {
                again.block(piece).unwrap();
            }
            assert_eq!(again.records(), all[written..], "{name} at {at:?}");
        }
    }
}

#[test]
fn the_time_in_a_record_is_the_one_that_the_encoder_was_told() {
    let bytes = capture("altered");
    let records = |us| {
        let mut bench = Bench::begin(config(), start());
        bench.now.us = us;
        bench.block(&bytes).unwrap();
        bench.records()
    };
    assert_eq!(
        records(1_700_000_000_000_000),
        records(1_700_000_000_000_000)
    );
    for (one, other) in records(1).into_iter().zip(records(5_000_000)) {
        assert_eq!(one.key, other.key);
        assert_ne!(one.value, other.value);
    }
}

#[test]
fn a_change_that_is_refused_was_seen_and_no_mark_covers_it() {
    let mut config = config();
    config.errors.policy = Policy::Stop;
    let mut bench = Bench::refusing(config, start(), "pre.public.by_row-value");
    let error = bench.block(&capture("ring")).unwrap_err();
    assert_eq!(error.code(), Code::SchemaRefused);
    let calls = bench.witness.of_the_stream();
    let Some(Call::Touch(oid, 'c', _, commit_lsn)) = calls.last().cloned() else {
        panic!("the last call is {:?}", calls.last());
    };
    let by_row = bench.witness.text(&Call::Described(oid, Vec::new()));
    assert_eq!(by_row, "described public.by_row ()");
    bench.encoder.hand_over(true, &mut bench.witness).unwrap();
    let (_, held) = bench.marks().pop().unwrap();
    // The update and the change of a key that come before it in its transaction.
    assert_eq!(
        (held.position.commit_lsn, held.position.ordinal),
        (commit_lsn, Some(2))
    );
}

#[test]
fn a_table_that_is_parked_waits_and_the_others_go_on() {
    let mut config = config();
    config.errors.policy = Policy::Park;
    let mut bench = Bench::refusing(config, start(), "pre.public.by_row-value");
    for piece in pieces(&capture("ring"), 600) {
        bench.block(piece).unwrap();
    }
    let held = bench.marks().pop().unwrap().1;
    let parked: Vec<&str> = held.parked.iter().map(|it| it.table.as_str()).collect();
    assert_eq!(parked, ["public.by_row"]);
    assert_eq!(held.parked[0].since, "2026-11-30T12:00:00.000Z");
    let records = bench.records();
    let of = |topic| records.iter().filter(|it| it.topic == topic).count();
    assert_eq!(of("pre.public.by_row"), 0);
    let mut all = Bench::begin(bench::config(), start());
    all.block(&capture("ring")).unwrap();
    let all = all.records();
    assert_eq!(
        of("pre.public.by_key"),
        all.iter()
            .filter(|it| it.topic == "pre.public.by_key")
            .count()
    );
}

#[test]
fn a_transaction_that_is_streamed_in_progress_was_not_asked_for() {
    let mut bench = Bench::begin(config(), start());
    let bytes = capture("stream");
    let error = bench.block(&bytes).unwrap_err();
    assert_eq!(error.code(), Code::StreamUnreadable);
    assert!(
        error.to_string().contains("which was not asked for"),
        "{error}"
    );
}

#[test]
fn a_server_that_asks_again_and_again_is_closing() {
    let pause = |between: Duration| {
        let mut bench = Bench::begin(config(), start());
        for _ in 0..ASKED {
            bench.now = Moment {
                us: bench.now.us,
                monotonic: bench.now.monotonic + between,
            };
            let asks = bench::keepalive(Lsn(0x100), true);
            bench.block(&asks).unwrap();
        }
        bench.encoder.closing.asked
    };
    assert_eq!(pause(ASKED_WITHIN / ASKED), ASKED);
    assert_eq!(pause(ASKED_WITHIN * 2), 1);
}
