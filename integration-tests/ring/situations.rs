//! Situations that others test, or have stumbled over, and that had no test here: PostgreSQL's own tests of logical
//! replication and of decoding, Debezium's tests, and the fixed faults of both.
//!
//! `docs/SITUATIONS.md` says of each situation which test holds it. A test here puts many statements of one kind before one
//! connector; the checker holds every event to what `test_decoding` says of the same WAL, and the audit holds the topics to
//! the tables. Start reading at [`Followed`].

mod columns;
mod commits;
mod gone;
mod keys;
mod latest;
mod partitions;
mod publications;
mod renamed;
mod surroundings;
mod texts;
mod writes;

use walferry_stack::{Coordinates, PostgresServer, Stack};
use walferry_testkit::checker::Checker;
use walferry_testkit::process::{Settings, Walferry};

use crate::audit::audit;
use crate::changes::{follow, lines};
use crate::place::Place;

/// A place whose tables are followed from before their first row, and the witness of what is done to them.
struct Followed {
    place: Place,
    settings: Settings,
    checker: Checker,
    walferry: Walferry,
}

impl Followed {
    /// Makes the tables and follows all of `public`; the witness watches those that are named.
    fn new(name: &str, tables: &str, watched: &[&str]) -> Followed {
        Followed::on(Place::shared(name), tables, watched)
    }

    fn on(place: Place, tables: &str, watched: &[&str]) -> Followed {
        place.sql(tables);
        let checker = place.checker(watched);
        let mut settings = place.all();
        let walferry = follow(&place, &mut settings);
        Followed {
            place,
            settings,
            checker,
            walferry,
        }
    }

    /// Each in a session of its own.
    fn run(&self, statements: &[&str]) {
        for sql in statements {
            self.place.sql(sql);
        }
    }

    /// Every event is what was committed, and the topics and the tables agree.
    fn agree(&self, last_sql: &str, events_min: u64) {
        self.place.drain(last_sql);
        self.checker.verdict().unwrap().assert_clean(events_min);
        audit_agrees(&self.place, &self.settings);
    }

    fn lines(&self, table: &str) -> Vec<String> {
        lines(&self.place, table)
    }
}

/// The audit compares every table of the connector and finds nothing.
fn audit_agrees(place: &Place, settings: &Settings) {
    audit_agrees_on(place, settings, &[]);
}

/// The same, of these tables.
fn audit_agrees_on(place: &Place, settings: &Settings, tables: &[&str]) {
    let (code, report, errors) = audit(place, settings, tables);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
}

/// PostgreSQL of the test's own beside the shared Kafka and registry.
fn with_postgres(server: &PostgresServer) -> Coordinates {
    let shared = Stack::shared().unwrap();
    Coordinates {
        postgres_url: server.url(),
        kafka_brokers: shared.kafka_brokers.clone(),
        registry_url: shared.registry_url.clone(),
    }
}

/// The lines that begin with this operation, with the operation taken away.
fn of_op<'a>(told: &'a [String], op: &str) -> Vec<&'a str> {
    let begin = format!("{op} ");
    told.iter()
        .filter_map(|line| line.strip_prefix(&begin))
        .collect()
}
