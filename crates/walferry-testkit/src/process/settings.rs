//! A connector's configuration file, built key by key.
//!
//! Owns: the TOML text. Never: knowledge of what the product accepts; any key can be set, wrong ones too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use walferry_stack::Port;

/// The keys and values of one connector. Values are TOML literals.
#[derive(Clone, Debug)]
pub struct Settings {
    name: String,
    /// Of the admin server. Reserved, so that nothing takes it while the connector is down between two starts.
    port: Arc<Port>,
    /// Section (empty for the root) to keys to literals.
    sections: BTreeMap<String, BTreeMap<String, String>>,
    tables: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Settings {
    /// The least that a connector needs, with the admin server on a free port.
    pub fn new(
        name: &str,
        source_url: &str,
        tables: &[&str],
        brokers: &str,
        topic_prefix: &str,
        registry_url: &str,
    ) -> Result<Settings> {
        let port = Port::reserve().context("no free port for the admin server")?;
        let listen = listen_on(&port);
        let mut settings = Settings {
            name: name.to_owned(),
            port: Arc::new(port),
            sections: BTreeMap::new(),
            tables: Vec::new(),
            environment: BTreeMap::new(),
        };
        let tables: Vec<String> = tables.iter().map(|table| text(table)).collect();
        settings
            .set("name", &text(name))
            .set("source.url", &text(source_url))
            .set("source.tables", &format!("[{}]", tables.join(", ")))
            .set("kafka.brokers", &text(brokers))
            .set("kafka.topic_prefix", &text(topic_prefix))
            .set("registry.url", &text(registry_url))
            .set("admin.listen", &listen)
            .set("log.format", &text("json"));
        Ok(settings)
    }

    /// Sets a key by its path to a TOML literal: `set("publish.commit_interval_ms", "50")`,
    /// `set("snapshot.mode", "\"never\"")`. The last part is the key, what is before it the section.
    pub fn set(&mut self, path: &str, literal: &str) -> &mut Settings {
        // A name in quotes has dots of its own.
        let plain = path.find('"').unwrap_or(path.len());
        let dot = path[..plain].rfind('.');
        let (section, key) = dot.map_or(("", path), |dot| (&path[..dot], &path[dot + 1..]));
        self.sections
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), literal.to_owned());
        self
    }

    /// Sets a key to a text.
    pub fn set_text(&mut self, path: &str, value: &str) -> &mut Settings {
        self.set(path, &text(value))
    }

    /// Sets one of librdkafka's properties, whose names have dots.
    pub fn kafka_property(&mut self, property: &str, value: &str) -> &mut Settings {
        let section = self
            .sections
            .entry("kafka.properties".to_owned())
            .or_default();
        section.insert(text(property), text(value));
        self
    }

    /// Takes a key out again.
    pub fn unset(&mut self, path: &str) -> &mut Settings {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        if let Some(keys) = self.sections.get_mut(section) {
            keys.remove(key);
        }
        self
    }

    /// Adds a `[[table]]`, whose lines are given as they stand in the file.
    pub fn table(&mut self, lines: &str) -> &mut Settings {
        self.tables.push(lines.to_owned());
        self
    }

    /// Publishes these tables although PostgreSQL then refuses updates and deletes of their rows.
    pub fn without_identity(&mut self, tables: &[&str]) -> &mut Settings {
        for table in tables {
            self.table(&format!(
                "name = {}\npublish_without_identity = true",
                text(table)
            ));
        }
        self
    }

    /// Sets a variable of the process's environment.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Settings {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Another connector of the same name and settings, with its admin server on another port.
    pub fn twin(&self) -> Result<Settings> {
        let mut twin = self.clone();
        twin.port = Arc::new(Port::reserve()?);
        twin.set("admin.listen", &listen_on(&twin.port));
        Ok(twin)
    }

    /// The connector's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Root of its admin server.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut file = String::new();
        for (section, keys) in self.sections.iter().filter(|(_, keys)| !keys.is_empty()) {
            if !section.is_empty() {
                let _ = writeln!(file, "\n[{section}]");
            }
            for (key, literal) in keys {
                let _ = writeln!(file, "{key} = {literal}");
            }
        }
        for table in &self.tables {
            let _ = writeln!(file, "\n[[table]]\n{table}");
        }
        file
    }

    /// Writes `folder/NAME-PORT.toml` and returns its path.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}-{}.toml", self.name, self.port.number()));
        fs::write(&path, self.to_toml())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A text as a TOML literal.
fn text(value: &str) -> String {
    format!(
        "\"{}\"",
        value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}

/// The literal of an address of the admin server.
fn listen_on(port: &Port) -> String {
    text(&format!("127.0.0.1:{}", port.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_its_sections_and_tables() {
        let mut settings = Settings::new(
            "shop",
            "postgresql://a@b/c",
            &["public.*"],
            "k:1",
            "p",
            "http://r",
        )
        .unwrap();
        settings
            .set("publish.commit_interval_ms", "50")
            .kafka_property("linger.ms", "1")
            .unset("log.format")
            .table("name = \"public.t\"");
        let file = settings.to_toml();
        assert!(file.starts_with("name = \"shop\"\n"), "{file}");
        assert!(
            file.contains("\n[source]\ntables = [\"public.*\"]\nurl = \"postgresql://a@b/c\"\n"),
            "{file}"
        );
        assert!(
            file.contains("\n[kafka.properties]\n\"linger.ms\" = \"1\"\n"),
            "{file}"
        );
        assert!(
            file.ends_with("\n[[table]]\nname = \"public.t\"\n"),
            "{file}"
        );
        assert!(!file.contains("[log]"), "{file}");
        assert_ne!(settings.twin().unwrap().admin_url(), settings.admin_url());
    }
}
