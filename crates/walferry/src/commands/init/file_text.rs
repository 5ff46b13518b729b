//! The text of a first configuration file.
//!
//! Owns its comments. Never: holds a password; the role's comes from the environment.
//! Invariants: a name of the database stays on its line, quoted as TOML has it; each glob of the survey's schemas is there, and each
//! table that is left out is excluded by its name with the reason beside it.

use std::collections::BTreeSet;

use toml::Value;
use walferry_operations::init::{LeftOut, Survey, Surveyed};
use walferry_pipeline::config::{ConnectConfig, TlsMode};

use super::{
    super::one_line,
    answers::{Answer, Answers, PASSWORD},
};
use crate::{configuration::draft::url_of, quantity};

/// What the text is of.
pub(super) struct Of<'a> {
    pub(super) answers: &'a Answers,
    pub(super) role: &'a str,
    pub(super) connect: &'a ConnectConfig,
    pub(super) globs: &'a [String],
    pub(super) survey: &'a Survey,
}

pub(super) fn text(of: &Of<'_>) -> String {
    let Of {
        answers, connect, ..
    } = of;
    let name = &answers.name.value;
    let version = of.survey.server_version / 10_000;
    let mut text = format!(
        "# Walferry follows database {} of {}:{} (PostgreSQL {version}). Written by `walferry init`; docs/CONFIG.md has every key.\n\
         # Before the first run: the SQL that init has printed, whatever is marked SETTLE, then `walferry check`.\n\n\
         # Stem of the slot and the publication ({}) and of the transactional id in Kafka. It is for good: under another name it is\n\
         # another connector that begins anew.\n\
         name = {}\n",
        quoted(&connect.database),
        connect.host,
        connect.port,
        quoted(&format!("walferry_{name}")),
        quoted(name)
    );
    source(of, &mut text);
    tls(connect, &mut text);
    text.push_str(&format!(
        "\n[snapshot]\n\
         # initial: the rows that there are come first, then what changes; never: only what changes from the first run on.\n\
         mode = \"initial\"\n\
         # Sessions that read at the same time.\n\
         readers = 2\n\
         \n[kafka]\n{}\
         # Topics are {name}.<schema>.<table>.\n\
         topic_prefix = {}\n\
         \n# For topics that are created. `walferry estimate` says how many partitions the load is worth.\n\
         [kafka.topics]\n\
         partitions = 1\n\
         \n# Any librdkafka property; a value may be a secret.\n\
         # [kafka.properties]\n\
         # \"security.protocol\" = \"sasl_ssl\"\n\
         # \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
         # \"sasl.username\" = \"walferry\"\n\
         # \"sasl.password\" = {{ env = \"WALFERRY_KAFKA_PASSWORD\" }}\n\
         \n[registry]\n{}\
         # username = \"walferry\"\n\
         # password = {{ env = \"WALFERRY_REGISTRY_PASSWORD\" }}\n\
         \n[errors]\n\
         # A change that cannot be encoded or published: stop, dead-letter, park (its table waits, the others go on) or skip.\n\
         policy = \"stop\"\n\
         \n[admin]\n\
         # /livez, /readyz, /metrics, /status, and a page for people at /.\n\
         listen = \"127.0.0.1:9464\"\n\
         # Switches pause, resume and snapshots on.\n\
         # token = {{ env = \"WALFERRY_TOKEN\" }}\n",
        answered("brokers", &answers.brokers),
        quoted(name),
        answered("url", &answers.registry),
    ));
    text
}

fn answered(key: &str, answer: &Answer) -> String {
    let value = quoted(&answer.value);
    match answer.settled {
        true => format!("{key} = {value}\n"),
        false => format!(
            "# SETTLE: nobody has said where it is; this is a placeholder.\n{key} = {value}\n"
        ),
    }
}

fn source(of: &Of<'_>, text: &mut String) {
    let connect = of.connect;
    let url = url_of(
        of.role,
        &connect.host,
        &connect.port.to_string(),
        &connect.database,
    );
    text.push_str(&format!(
        "\n[source]\n\
         # The role of the SQL that init has printed: it may follow these tables, and owns nothing.\n\
         url = {}\n\
         # Its password: {{ env = \"NAME\" }} or {{ file = \"PATH\" }}, read again at each connection.\n\
         {}password = {{ env = \"{PASSWORD}\" }}\n",
        quoted(&url),
        // Who gets in without one has no variable to set.
        if connect.password.is_some() { "" } else { "# " },
    ));
    let tables = &of.survey.tables;
    let bytes: i64 = tables.iter().map(|it| it.bytes).sum();
    text.push_str(&format!(
        "# Globs of schema.table in order; ! excludes; the last match decides. Followed: {} tables, {}.\n\
         # A table that comes to match later is told of, and followed once it is in the publication.\n\
         tables = [\n",
        tables.len(),
        quantity::bytes(bytes.unsigned_abs())
    ));
    let schemas: BTreeSet<&str> = tables.iter().map(|it| schema_of(&it.name)).collect();
    match of.globs {
        [] => {
            for schema in schemas {
                line(text, &quoted(&format!("{schema}.*")));
                let here = tables.iter().filter(|it| schema_of(&it.name) == schema);
                here.for_each(|it| table(text, it));
                let out = of.survey.left_out.iter();
                let out = out.filter(|it| schema_of(&it.name) == schema);
                out.for_each(|it| left_out(text, it));
            }
            // Nothing of their schemas is followed, so that no glob brings them in.
            let elsewhere = |it: &&LeftOut| {
                !tables
                    .iter()
                    .any(|t| schema_of(&t.name) == schema_of(&it.name))
            };
            for it in of.survey.left_out.iter().filter(elsewhere) {
                line(text, &format!("# {}", why(it)));
            }
        }
        globs => {
            globs.iter().for_each(|it| line(text, &quoted(it)));
            tables.iter().for_each(|it| table(text, it));
            of.survey.left_out.iter().for_each(|it| left_out(text, it));
        }
    }
    text.push_str("]\n");
    text.push_str(
        "# WAL that the slot may keep on the server before /readyz fails; `walferry estimate` proposes a figure from the load.\n\
         slot_retained_bytes_max = \"50 GiB\"\n",
    );
}

/// One entry of the list. A comment ends its line itself.
fn line(text: &mut String, entry: &str) {
    let comma = if entry.starts_with('#') { "" } else { "," };
    text.push_str(&format!("    {entry}{comma}\n"));
}

fn table(text: &mut String, it: &Surveyed) {
    let key = match it.key.is_empty() {
        true => "no key".to_owned(),
        false => format!("key ({})", it.key.join(", ")),
    };
    let rows = match it.rows_estimated {
        Some(rows) => format!("about {} rows", quantity::count(rows.unsigned_abs())),
        None => "never analysed, so its rows are not known".to_owned(),
    };
    let partitions = match it.partitions {
        Some(count) => format!(", partitions: {count}"),
        None => String::new(),
    };
    let said = format!(
        "{}: {}, {rows}{partitions}, {key}, replica identity {}",
        it.name,
        quantity::bytes(it.bytes.unsigned_abs()),
        it.replica_identity
    );
    line(text, &format!("# {}", one_line(&said)));
    for warning in &it.warnings {
        line(text, &format!("#   ! {}", one_line(warning)));
    }
}

fn left_out(text: &mut String, it: &LeftOut) {
    line(text, &format!("# {}", why(it)));
    line(text, &quoted(&format!("!{}", it.name)));
}

fn why(it: &LeftOut) -> String {
    let LeftOut { name, why, remedy } = it;
    one_line(&format!(
        "{name} is left out: {why}. To follow it: {remedy}; then take it off this list, and add it to the publication"
    ))
}

fn schema_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(schema, _)| schema)
}

fn tls(connect: &ConnectConfig, text: &mut String) {
    let tls = &connect.tls;
    text.push_str("\n# disable, require, verify-ca or verify-full; only the last one knows the server for sure.\n");
    if tls.mode == TlsMode::Disable {
        text.push_str("# [source.tls]\n# mode = \"verify-full\"\n# ca = \"/etc/ssl/pg-ca.pem\"\n");
        return;
    }
    text.push_str(&format!(
        "[source.tls]\nmode = {}\n",
        quoted(&tls.mode.to_string())
    ));
    for (key, path) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
        if let Some(path) = path {
            text.push_str(&format!(
                "{key} = {}\n",
                quoted(&path.display().to_string())
            ));
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
