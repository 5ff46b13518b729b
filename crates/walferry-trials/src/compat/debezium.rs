//! Debezium's connector: its settings, its start and its end, over Connect's REST interface.
//!
//! Owns: the settings that every group shares. Never: a worker's life; see the stack's `ConnectServer`.
//! Start reading at [`Debezium::start`].

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json, json};

use super::corpus::Group;
use walferry_testkit::process::http;

/// A connector that runs in a worker.
pub struct Debezium {
    worker: String,
    name: String,
}

/// What a connector is pointed at.
pub struct Place<'a> {
    /// The source, `postgresql://user@host:port/database`.
    pub url: &'a str,
    /// Root of the registry's own interface.
    pub registry: &'a str,
    /// Prefix of the topics.
    pub prefix: &'a str,
    /// Slot and publication.
    pub slot: &'a str,
}

impl Debezium {
    /// Creates the connector.
    pub fn start(worker: &str, place: &Place<'_>, group: &Group) -> Result<Self> {
        let name = place.prefix.to_owned();
        let body = Json::Object(settings(place, group)?).to_string();
        let url = format!("{worker}/connectors/{name}/config");
        let begun = Instant::now();
        loop {
            let answer = http::request("PUT", &url, &body, &[], ASK)?;
            match answer.status {
                200 | 201 => break,
                // The worker is settling.
                409 if begun.elapsed() < SETTLED => thread::sleep(Duration::from_millis(100)),
                status => bail!("Connect answers {status}: {}", answer.body),
            }
        }
        Ok(Debezium {
            worker: worker.to_owned(),
            name,
        })
    }

    /// Why its task or itself has failed, if so.
    pub fn failure(&self) -> Option<String> {
        let url = format!("{}/connectors/{}/status", self.worker, self.name);
        let status = http::get(&url, ASK).ok()?.json().ok()?;
        let parts = [&status["connector"], &status["tasks"][0]];
        let failed = parts.into_iter().find(|part| part["state"] == "FAILED")?;
        Some(failed["trace"].as_str().unwrap_or("no trace").to_owned())
    }
}

impl Drop for Debezium {
    fn drop(&mut self) {
        let url = format!("{}/connectors/{}", self.worker, self.name);
        // A worker that is gone has no connector either.
        let _ = http::request("DELETE", &url, "", &[], ASK);
    }
}

fn settings(place: &Place<'_>, group: &Group) -> Result<Map<String, Json>> {
    let (account, rest) = place
        .url
        .strip_prefix("postgresql://")
        .and_then(|rest| rest.split_once('@'))
        .context("the source's URL has no user")?;
    let (address, database) = rest.split_once('/').context("no database")?;
    let (host, port) = address.split_once(':').context("no port")?;
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    let mut all = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "exactly.once.support": "required",
        "transaction.boundary": "poll",
        "plugin.name": "pgoutput",
        "database.hostname": host,
        "database.port": port,
        "database.user": user,
        "database.password": password,
        "database.dbname": database,
        "database.sslmode": "disable",
        "topic.prefix": place.prefix,
        "slot.name": place.slot,
        "publication.name": place.slot,
        "poll.interval.ms": "20",
        // A machine that is busy with other things must not cost a transaction.
        "producer.override.transaction.timeout.ms": "600000",
        "skipped.operations": "none",
        "extended.headers.enabled": "false",
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": group.partitions.to_string(),
    });
    for side in ["key", "value"] {
        let mut set = |name: &str, value: &str| {
            all[format!("{side}.converter{name}")] = json!(value);
        };
        set("", "io.apicurio.registry.utils.converter.AvroConverter");
        set(".apicurio.registry.url", place.registry);
        set(".apicurio.registry.auto-register", "true");
        set(".apicurio.registry.find-latest", "false");
        set(".apicurio.registry.as-confluent", "true");
        set(".apicurio.registry.use-id", "contentId");
        set(".apicurio.registry.headers.enabled", "false");
    }
    let Json::Object(mut all) = all else {
        bail!("settings are an object");
    };
    for (key, value) in &group.debezium {
        all.insert(key.clone(), value.clone());
    }
    Ok(all)
}

const ASK: Duration = Duration::from_secs(60);
const SETTLED: Duration = Duration::from_secs(30);
