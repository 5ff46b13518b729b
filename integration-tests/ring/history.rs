//! Tables change in every way while the connector is killed and stopped: the short form of `cargo xtask history`.

use walferry_testkit::history::{self, HistoryOptions};

use crate::place::Place;

#[test]
fn each_record_of_a_random_history_has_the_schema_that_was_in_force() {
    for seed in 1..=2 {
        let place = Place::shared(&format!("history{seed}"));
        let mut settings = place.all();
        settings.set_text("snapshot.mode", "never");
        let options = HistoryOptions {
            seed,
            statements: 150,
            restart_every: 5,
        };
        let servers = (place.brokers.as_str(), place.registry.as_str());
        let outcome = history::run(&options, &place.url, &settings, servers, &place.folder);
        let outcome = outcome.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        let report = &outcome.report;
        assert!(
            report.is_clean(),
            "seed {seed}: {report}\n{}",
            outcome.script
        );
        assert!(
            report.expected > 50 && outcome.ddl > 20,
            "seed {seed}: {outcome:?}"
        );
    }
}
