//! The least configuration of a database that has no file yet, for what looks at it before there is one.
//!
//! Owns what stands in for the keys that nobody has given. Never: written to a file.
//! Invariant: it is read with the code that reads a file, so that defaults and refusals are those of a file.

use anyhow::Result;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use toml::Value;

use super::{Choices, Loaded, checked::NAME_MAX, from_text};

/// Where Kafka is when nobody has said so.
pub(crate) const BROKERS: &str = "localhost:9092";
/// Where the registry is when nobody has said so.
pub(crate) const REGISTRY: &str = "http://localhost:8081";

/// What is known of a connector that is still to be.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Its name.
    pub(crate) name: String,
    /// `postgresql://…`, with the password if it has one.
    pub(crate) url: String,
    /// Globs of `schema.table`.
    pub(crate) tables: Vec<String>,
    /// Kafka's.
    pub(crate) brokers: String,
    /// The registry's URL.
    pub(crate) registry: String,
}

impl Draft {
    /// As it would be loaded; the environment does not change it.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let value = |text: &str| Value::from(text).to_string();
        let text = format!(
            "name = {}\n[source]\nurl = {}\ntables = {}\n[kafka]\nbrokers = {}\n[registry]\nurl = {}\n",
            value(&self.name),
            value(&self.url),
            Value::from(self.tables.clone()),
            value(&self.brokers),
            value(&self.registry)
        );
        from_text(&text, "the command line", Vec::new(), &Choices::default())
    }
}

/// A text as the name of a connector may be: lower-case letters, digits and `_`.
pub(crate) fn name_of(text: &str) -> String {
    let allowed = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    text.chars().take(NAME_MAX).map(allowed).collect()
}

/// The URL of a database, without a password.
pub(crate) fn url_of(user: &str, host: &str, port: &str, database: &str) -> String {
    const PLAIN: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let encoded = |text: &str| utf8_percent_encode(text, &PLAIN).to_string();
    let host = match (host.starts_with('/'), host.contains(':')) {
        (true, _) => encoded(host),
        (false, true) => format!("[{host}]"),
        (false, false) => host.to_owned(),
    };
    let (user, database) = (encoded(user), encoded(database));
    format!("postgresql://{user}@{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_back_to_where_it_came_from() {
        for (host, url) in [
            ("db.shop", "postgresql://w_1@db.shop:5432/a%20b"),
            ("::1", "postgresql://w_1@[::1]:5432/a%20b"),
            ("/run/pg", "postgresql://w_1@%2Frun%2Fpg:5432/a%20b"),
        ] {
            assert_eq!(url_of("w_1", host, "5432", "a b"), url);
        }
    }

    #[test]
    fn a_draft_loads_whatever_the_database_is_called() {
        let draft = |url: &str, name: &str| Draft {
            name: name_of(name),
            url: url.to_owned(),
            tables: vec!["*".to_owned()],
            brokers: BROKERS.to_owned(),
            registry: REGISTRY.to_owned(),
        };
        let loaded = draft("postgresql://u:p%22w@h/Sh%C3%B6p%20\\1", "Shöp \\1").load();
        let pipeline = loaded.unwrap().pipeline;
        assert_eq!(pipeline.name, "sh_p__1");
        assert_eq!(pipeline.source.connect.database, "Shöp \\1");
        let error = draft("mysql://u:hunter2@h/d", "a").load().err().unwrap();
        let text = format!("{error:#}");
        assert!(
            text.contains("postgresql://") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
