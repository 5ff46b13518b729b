//! Tables change in every way while the connector is killed and stopped: the short form of `cargo xtask history`.

use walferry_trials::history::{self, HistoryOptions, Kind, Outcome, Snapshot};

use crate::place::Place;

/// Runs one history and demands that nothing is wrong with it.
fn right(seed: u64, snapshot: Snapshot, kinds: &[Kind]) -> Outcome {
    let place = Place::shared(&format!("history{seed}"));
    let options = HistoryOptions {
        statements: 150,
        restart_every: Some(5),
        rows: 200,
        kinds: Some(kinds.to_vec()),
        snapshot: Some(snapshot),
        ..HistoryOptions::new(seed)
    };
    let servers = (place.brokers.as_str(), place.registry.as_str());
    let outcome = history::run(&options, &place.url, &place.all(), servers, &place.folder);
    let outcome = outcome.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    let faults = outcome.faults();
    assert!(
        faults.is_empty(),
        "seed {seed}: {outcome}\n{}\n{}",
        faults.join("\n"),
        outcome.script
    );
    outcome
}

#[test]
fn each_record_of_a_random_history_has_the_schema_that_was_in_force() {
    for seed in 1..=2 {
        let outcome = right(seed, Snapshot::Never, &[]);
        assert!(
            outcome.report.expected > 50 && outcome.ddl > 20,
            "seed {seed}: {outcome}"
        );
    }
}

/// The old places of rows mean nothing in new files, and a key that another row has taken is not deleted.
#[test]
fn rows_that_are_rewritten_while_they_are_read_and_streamed_are_told_once() {
    for (seed, snapshot) in [(3, Snapshot::Consistent), (4, Snapshot::Beside)] {
        let outcome = right(seed, snapshot, &[Kind::Rewrites, Kind::Swaps]);
        assert!(
            outcome.report.snapshot_rows > 200 && outcome.report.expected > 50,
            "seed {seed}: {outcome}"
        );
    }
}
