//! The PostgreSQL side: where the database is, how it is reached, and what its slot is called.

use toml::{Table, Value};

use super::Migration;
use crate::configuration::draft;

impl Migration {
    pub(super) fn source(&mut self) {
        self.address();
        self.password();
        self.tls();
        self.slot();
        // Debezium's publications send the changes of a partition as its own, unless this is set.
        let root = self.take("publish.via.partition.root");
        let root = root.is_some_and(|it| it == "true");
        self.set("source", "partitions", if root { "root" } else { "leaf" });
        match self.take("heartbeat.interval.ms").as_deref() {
            None | Some("0") => {}
            Some(ms) => self.number("heartbeat.interval.ms", ms, "source", "heartbeat_ms"),
        }
    }

    fn address(&mut self) {
        // A placeholder would be taken apart as a part of a URL; the property's name stands there until its value does.
        let mut part = |property: &str, otherwise: &str| match self.take(property) {
            Some(value) if value.contains("${") => property.to_owned(),
            Some(value) => value,
            None => {
                self.settle(format!("{property} is missing; {otherwise} is taken"));
                otherwise.to_owned()
            }
        };
        let host = part("database.hostname", "localhost");
        let user = part("database.user", "postgres");
        let database = part("database.dbname", "postgres");
        let port = match self.take("database.port") {
            Some(port) if port.contains("${") => "database.port".into(),
            Some(port) => port,
            None => "5432".to_owned(),
        };
        let url = draft::url_of(&user, &host, &port, &database);
        self.set("source", "url", url);
    }

    /// A secret stays where it is, or goes to the environment; it is not repeated.
    fn password(&mut self) {
        let Some(password) = self.left.remove("database.password") else {
            return;
        };
        let secret = self.secret("database.password", &password, "WALFERRY_SOURCE_PASSWORD");
        self.set("source", "password", secret);
    }

    /// Where a secret is to be found.
    pub(super) fn secret(&mut self, property: &str, value: &str, variable: &str) -> Value {
        let theirs = value.strip_prefix("${env:");
        let variable = match theirs.and_then(|rest| rest.strip_suffix('}')) {
            Some(theirs) => theirs,
            None => {
                let remark = format!("put the value of {property} into the variable {variable}");
                self.settle(remark);
                variable
            }
        };
        Value::Table(Table::from_iter([("env".to_owned(), variable.into())]))
    }

    fn tls(&mut self) {
        match self.take("database.sslmode").as_deref() {
            Some(mode @ ("disable" | "require" | "verify-ca" | "verify-full")) => {
                self.set("source.tls", "mode", mode);
            }
            other => {
                let mode = other.unwrap_or("prefer");
                let remark = format!(
                    "database.sslmode = {mode} may go on without encryption; here it is either \"require\" or \"disable\""
                );
                self.settle(remark);
                self.set("source.tls", "mode", "require");
            }
        }
        let files = [
            ("database.sslrootcert", "ca"),
            ("database.sslcert", "cert"),
            ("database.sslkey", "key"),
        ];
        for (property, key) in files {
            if let Some(path) = self.take(property) {
                if property == "database.sslkey" && !path.ends_with(".pem") {
                    self.settle("database.sslkey has to be a PEM file here, not DER");
                }
                self.set("source.tls", key, path);
            }
        }
    }

    /// The slot goes on where Debezium has left it, with the publication that it has been decoded with.
    fn slot(&mut self) {
        let plugin = self
            .take("plugin.name")
            .unwrap_or_else(|| "decoderbufs".into());
        let slot = self.take("slot.name").unwrap_or_else(|| "debezium".into());
        let publication = self.take("publication.name");
        let publication = publication.unwrap_or_else(|| "dbz_publication".into());
        let created = self.take("publication.autocreate.mode");
        if created.as_deref() == Some("disabled") {
            self.set("source", "create", false);
        }
        if plugin != "pgoutput" {
            let remark = format!(
                "the slot {slot} has the plugin {plugin}, and Walferry reads pgoutput: it begins with a slot and a \
                 publication of its own"
            );
            return self.settle(remark);
        }
        let remark = format!(
            "stop Debezium, then start with `walferry run --adopt-slot`: it goes on where the slot {slot} stands. What \
             Debezium had published without telling the slot comes once more"
        );
        self.settle(remark);
        self.set("source", "slot", slot);
        self.set("source", "publication", publication);
    }
}
