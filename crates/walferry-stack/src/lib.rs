//! Real servers for development and tests, with no container engine needed.
//!
//! Owns: [`PostgresServer`], [`KafkaServer`], [`RegistryServer`] (native processes on ports of their own), and
//! [`Stack`], one of each. Never: touches a server, port or folder that it did not make.
//! Invariants: a server dies with the process that started it, also when that is killed, unless it was told
//! to go on ([`DevelopmentStack`]); a download that was interrupted leaves nothing that a later run would take for complete.
//! Start reading at [`Stack::shared`], then [`PostgresServer::start`].

mod artifacts;
mod cache;
mod clients;
mod connect;
mod containers;
mod java;
mod kafka;
mod monitoring;
mod port;
mod postgres;
mod process;
mod python;
mod registry;
mod state;
mod tools;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};

pub use artifacts::{KAFKA_VERSION, POSTGRES_MAJOR_DEFAULT, POSTGRES_MAJORS, REGISTRY_VERSION};
pub use cache::{cache_folder, say};
pub use clients::{JavaClient, confluent_kafka, flink, registry_deserialiser};
pub use connect::{ConnectServer, DEBEZIUM_VERSION};
pub use kafka::{Door, KafkaOptions, KafkaServer, kafka_shell};
pub use monitoring::{PrometheusServer, monitoring_program};
pub use port::Port;
pub use postgres::{PostgresOptions, PostgresServer};
pub use python::{FASTAVRO_VERSION, fastavro, python_package};
pub use registry::{RegistryOptions, RegistryServer};
pub use state::{DevelopmentStack, Engine};
pub use tools::{
    BROWSER_TOOLS, BUILD_TOOLS, JAVA_TOOLS, PYTHON_TOOLS, SERVER_TOOLS, SYSTEMD_TOOLS, Tool, ensure,
};

/// Where a stack's servers answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinates {
    /// `postgresql://postgres@127.0.0.1:PORT/postgres`, a superuser.
    pub postgres_url: String,
    /// `127.0.0.1:PORT`.
    pub kafka_brokers: String,
    /// Base of the Confluent API: `http://127.0.0.1:PORT/apis/ccompat/v7`.
    pub registry_url: String,
}

impl Coordinates {
    /// Those that `cargo xtask test` passes in the environment; `None` unless all three are there.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self {
            postgres_url: read(POSTGRES_VARIABLE)?,
            kafka_brokers: read(KAFKA_VARIABLE)?,
            registry_url: read(REGISTRY_VARIABLE)?,
        })
    }

    /// Names and values for the environment of a process that shall find this stack.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            (POSTGRES_VARIABLE, &self.postgres_url),
            (KAFKA_VARIABLE, &self.kafka_brokers),
            (REGISTRY_VARIABLE, &self.registry_url),
        ]
    }
}

/// One server of each kind.
#[derive(Debug)]
pub struct Stack {
    /// The database.
    pub postgres: PostgresServer,
    /// The broker.
    pub kafka: KafkaServer,
    /// The schema registry.
    pub registry: RegistryServer,
}

impl Stack {
    /// Starts the three servers side by side, with PostgreSQL of this major version.
    ///
    /// # Errors
    /// A tool or download is missing and cannot be had, or a server does not start; the message says which.
    pub fn start(postgres_major: u32) -> Result<Self> {
        Self::start_with(
            PostgresOptions::new().major(postgres_major).fsync(false),
            KafkaOptions::new(),
            RegistryOptions::new(),
        )
    }

    /// Starts the three servers side by side.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn start_with(
        postgres: PostgresOptions,
        kafka: KafkaOptions,
        registry: RegistryOptions,
    ) -> Result<Self> {
        ensure(SERVER_TOOLS)?;
        fetch(&[postgres.major])?;
        std::thread::scope(|scope| {
            let kafka = scope.spawn(|| KafkaServer::start(kafka));
            let registry = scope.spawn(|| RegistryServer::start(registry));
            let postgres = PostgresServer::start(postgres);
            let panicked = |_| anyhow!("a thread that starts a server panicked");
            let kafka = kafka.join().map_err(panicked)?;
            let registry = registry.join().map_err(panicked)?;
            Ok(Self {
                postgres: postgres.context("PostgreSQL")?,
                kafka: kafka.context("Kafka")?,
                registry: registry.context("schema registry")?,
            })
        })
    }

    /// Where the servers answer.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        Coordinates {
            postgres_url: self.postgres.url(),
            kafka_brokers: self.kafka.brokers(),
            registry_url: self.registry.url(),
        }
    }

    /// The stack that all tests of a run share: the one named in the environment, else one that this process
    /// starts at the first call and that ends with the process. Tests must not kill its servers, and each makes
    /// its own database, slot and topics; a test that kills a server starts its own.
    ///
    /// # Errors
    /// As [`Stack::start`]; every later call then gives the same message.
    pub fn shared() -> Result<&'static Coordinates> {
        static SHARED: OnceLock<Result<(Coordinates, Option<Stack>), String>> = OnceLock::new();
        let outcome = SHARED.get_or_init(|| {
            if let Some(given) = Coordinates::from_environment() {
                return Ok((given, None));
            }
            let stack = Self::start(test_postgres_major()).map_err(|e| format!("{e:#}"))?;
            Ok((stack.coordinates(), Some(stack)))
        });
        match outcome {
            Ok((coordinates, _)) => Ok(coordinates),
            Err(message) => Err(anyhow!("no stack for the tests: {message}")),
        }
    }
}

/// Fetches what the servers are made of, where the cache lacks it; nothing is started.
///
/// # Errors
/// A download failed; the message is Maven's.
pub fn fetch(postgres_majors: &[u32]) -> Result<()> {
    // One after another, so that lines of progress do not mingle.
    for major in postgres_majors {
        artifacts::postgres(*major)?;
    }
    artifacts::kafka()?;
    artifacts::registry()?;
    Ok(())
}

/// The PostgreSQL major version that tests run on: `WALFERRY_TEST_POSTGRES_MAJOR`, else the default.
#[must_use]
pub fn test_postgres_major() -> u32 {
    std::env::var(POSTGRES_MAJOR_VARIABLE)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(POSTGRES_MAJOR_DEFAULT)
}

/// URL of the shared PostgreSQL.
pub const POSTGRES_VARIABLE: &str = "WALFERRY_TEST_POSTGRES";
/// Brokers of the shared Kafka.
pub const KAFKA_VARIABLE: &str = "WALFERRY_TEST_KAFKA";
/// URL of the shared registry.
pub const REGISTRY_VARIABLE: &str = "WALFERRY_TEST_REGISTRY";
/// Major version of PostgreSQL for servers that tests start themselves.
pub const POSTGRES_MAJOR_VARIABLE: &str = "WALFERRY_TEST_POSTGRES_MAJOR";
