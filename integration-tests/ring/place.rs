//! Where a test runs: a database of its own, a name for slot and topics, the settings of its connector.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use walferry_stack::{Coordinates, PostgresOptions, Stack, test_postgres_major};
use walferry_testkit::checker::{Checker, Report, Session, quote_literal};
use walferry_testkit::load::{self, MixedLoad};
use walferry_testkit::process::{Settings, Walferry, binary};

/// How long a start may take on a machine that runs other tests.
pub(crate) const READY: Duration = Duration::from_secs(60);
/// How long the rest of a load may take.
pub(crate) const DRAIN: Duration = Duration::from_secs(120);
/// How long a command may take that ends by itself: a refusal, an audit.
pub(crate) const REFUSED: Duration = Duration::from_secs(120);

/// Runs the binary: exit code and standard output, then standard error.
pub(crate) fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary().unwrap())
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A place for one test.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) brokers: String,
    pub(crate) registry: String,
    pub(crate) folder: PathBuf,
}

impl Place {
    /// On the servers that all tests share.
    pub(crate) fn shared(name: &str) -> Place {
        Place::on(Stack::shared().unwrap(), name)
    }

    /// On servers of the test's own. No two places share a name, even where two tests ask for one.
    pub(crate) fn on(servers: &Coordinates, name: &str) -> Place {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}_{}_{number}", std::process::id());
        Place {
            url: load::create_database(&servers.postgres_url, &name).unwrap(),
            brokers: servers.kafka_brokers.clone(),
            registry: servers.registry_url.clone(),
            folder: std::env::temp_dir().join(format!("walferry-test-{name}")),
            name,
        }
    }

    /// The three tables of the mixed load.
    pub(crate) fn with_mixed_tables(self) -> Place {
        MixedLoad::create_tables(&self.url, "public").unwrap();
        self
    }

    pub(crate) fn settings(&self, tables: &[&str]) -> Settings {
        Settings::new(
            &self.name,
            &self.url,
            tables,
            &self.brokers,
            &self.name,
            &self.registry,
        )
        .unwrap()
    }

    /// Settings for every table of `public`.
    pub(crate) fn all(&self) -> Settings {
        self.settings(&["public.*"])
    }

    /// The same, for the stream alone; a change that cannot be published becomes a dead letter.
    pub(crate) fn lettered(&self) -> Settings {
        let mut settings = self.all();
        settings
            .set_text("snapshot.mode", "never")
            .set_text("errors.policy", "dead-letter");
        settings
    }

    pub(crate) fn start(&self, settings: &Settings) -> Walferry {
        Walferry::start(settings, &self.folder).unwrap()
    }

    /// Starts a connector and waits until it streams.
    pub(crate) fn streaming(&self, settings: &Settings) -> Walferry {
        let mut walferry = self.start(settings);
        walferry.wait_ready(READY);
        walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
        walferry
    }

    /// Runs the binary with these arguments to its end: exit code and everything that it printed.
    pub(crate) fn ends(&self, settings: &Settings, arguments: &[&str]) -> (Option<i32>, String) {
        let mut walferry = Walferry::start_with(arguments, settings, &self.folder).unwrap();
        let code = walferry.wait_exit(REFUSED);
        (code, walferry.log().join("\n"))
    }

    /// Runs a connector that is expected to end by itself.
    pub(crate) fn run_ends(&self, settings: &Settings) -> (Option<i32>, String) {
        let path = settings.write(&self.folder).unwrap();
        self.ends(settings, &["run", "-c", &path.to_string_lossy()])
    }

    pub(crate) fn sql(&self, sql: &str) {
        Session::connect(&self.url).unwrap().execute(sql).unwrap();
    }

    pub(crate) fn value(&self, sql: &str) -> Option<String> {
        Session::connect(&self.url).unwrap().value(sql).unwrap()
    }

    pub(crate) fn slot(&self) -> String {
        format!("walferry_{}", self.name)
    }

    /// `confirmed_flush_lsn` of the connector's slot.
    pub(crate) fn confirmed(&self) -> String {
        let slot = quote_literal(&self.slot());
        self.value(&format!(
            "select confirmed_flush_lsn from pg_replication_slots where slot_name = {slot}"
        ))
        .unwrap()
    }

    pub(crate) fn checker(&self, tables: &[&str]) -> Checker {
        let witness = format!("witness_{}", self.name);
        Checker::create(
            &self.url,
            &witness,
            tables,
            &self.brokers,
            &self.registry,
            &self.name,
        )
        .unwrap()
    }

    pub(crate) fn mixed_checker(&self) -> Checker {
        let tables = MixedLoad::tables("public");
        let names: Vec<&str> = tables.iter().map(String::as_str).collect();
        self.checker(&names)
    }

    /// Waits until everything that is committed now has been published and confirmed.
    pub(crate) fn drain(&self, last_sql: &str) {
        load::drain(&self.url, &self.slot(), last_sql, DRAIN).unwrap();
    }

    /// Drains the mixed load, and the verdict on it.
    pub(crate) fn verdict(&self, checker: &Checker) -> Report {
        self.drain(&MixedLoad::last_statement("public"));
        checker.verdict().unwrap()
    }

    pub(crate) fn topic(&self, table: &str) -> String {
        format!("{}.{table}", self.name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failed test leaves its logs.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Servers of a test's own.
pub(crate) fn own_servers() -> Stack {
    Stack::start(test_postgres_major()).unwrap()
}

/// PostgreSQL of a test's own, of the version under test.
pub(crate) fn own_postgres() -> PostgresOptions {
    PostgresOptions::new()
        .major(test_postgres_major())
        .fsync(false)
}
