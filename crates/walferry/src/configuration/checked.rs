//! From the keys of the file to what the pipeline is told: defaults that depend on others, and every check.
//!
//! Owns the rules between keys. Invariant: a key whose feature is not in this version is refused when it is set, never
//! ignored.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use walferry_pipeline::config::{
    BaseUrl, Config, ConnectConfig, Credentials, Errors, Format, Kafka, NewTables, Operation,
    Publish, Quirks, Registry, RequireAuth, RetryLimits, Snapshot, SnapshotMode, Source,
    SubjectStrategy, TlsConfig, TlsMode,
};

use super::{
    Choices, Loaded, file,
    file::File,
    rules::{policy, positive, readable, required},
    scalar::SecretSource,
    table,
};

const MEMORY_MIN: u64 = 16 << 20;
/// Readers of a snapshot: each is a session on the primary, and a part of the memory.
const READERS_MAX: u32 = 32;
/// What PostgreSQL allows for the name of a slot, less `walferry_`.
pub(crate) const NAME_MAX: usize = 63 - 9;

pub(super) fn checked(file: File, choices: &Choices) -> Result<Loaded> {
    let name = required("name", file.name.clone())?;
    check_name("name", &name, NAME_MAX)?;
    let prefix = file
        .kafka
        .topic_prefix
        .clone()
        .unwrap_or_else(|| name.clone());
    let listen = file.admin.listen.parse().map_err(|_| {
        anyhow!(
            "admin.listen: {:?} is no address; write for instance \"127.0.0.1:9464\"",
            file.admin.listen
        )
    })?;
    check_level(&file.log.level)?;
    let errors = errors(&file, &prefix)?;
    let publish = publish(&file)?;
    let mut pipeline = Config {
        source: source(&file, &name, choices)?,
        snapshot: snapshot(&file, choices)?,
        kafka: kafka(&file, &name, &publish, &errors)?,
        topic_prefix: prefix,
        registry: registry(&file)?,
        subject_strategy: match file.registry.subject_strategy {
            file::SubjectStrategy::Topic => SubjectStrategy::Topic,
            file::SubjectStrategy::Record => SubjectStrategy::Record,
            file::SubjectStrategy::TopicRecord => SubjectStrategy::TopicRecord,
        },
        format: format(&file)?,
        tombstones: file.format.tombstones,
        transaction_metadata: file.format.transaction_metadata,
        context_headers: file.format.headers,
        skipped_operations: skipped(&file)?,
        publish,
        errors,
        shutdown_ms: positive("shutdown_ms", file.shutdown_ms)?,
        tables: table::tables(&file)?,
        resync: choices.resync.clone(),
        name,
    };
    let token = file.admin.token.clone().map(SecretSource::secret);
    if let Some(token) = &token {
        readable("admin.token", token)?;
    }
    pipeline.kafka.check().map_err(|error| anyhow!("{error}"))?;
    pipeline.agree();
    Ok(Loaded {
        pipeline,
        listen,
        token,
        log_format: file.log.format,
        log_level: file.log.level,
        keys: toml::Table::new(),
    })
}

/// A word that is no level would be taken for the name of a part of the program, and everything else kept silent.
fn check_level(level: &str) -> Result<()> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in level.split(',') {
        let word = directive.rsplit('=').next().unwrap_or(directive).trim();
        if !LEVELS.contains(&word.to_lowercase().as_str()) {
            bail!(
                "log.level: {word:?} is none of {}; for one part of the program write for instance \
                 \"info,walferry_kafka=debug\"",
                LEVELS.join(", ")
            );
        }
    }
    Ok(())
}

fn check_name(key: &str, name: &str, max: usize) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > max || !name.chars().all(allowed) {
        bail!(
            "{key}: {name:?} may only hold lower-case letters, digits and _, and at most {max} of them, because \
             PostgreSQL allows no others in the name of a slot"
        );
    }
    Ok(())
}

fn source(file: &File, name: &str, choices: &Choices) -> Result<Source> {
    let section = &file.source;
    let url = required("source.url", section.url.as_ref())?;
    let mut connect =
        ConnectConfig::from_url(&url.0).map_err(|error| anyhow!("source.url: {error}"))?;
    connect.application_name = format!("walferry_{name}");
    if let Some(secret) = &section.password {
        let secret = secret.clone().secret();
        readable("source.password", &secret)?;
        connect.password = Some(secret);
    }
    if let Some(list) = &section.require_auth {
        let required = RequireAuth::parse(list);
        connect.require_auth = Some(required.map_err(|error| anyhow!("source.{error}"))?);
    }
    let tls = &section.tls;
    if let Some(mode) = &tls.mode {
        let mode = TlsMode::from_name(mode).with_context(|| {
            format!("source.tls.mode: {mode:?} is none of disable, require, verify-ca, verify-full")
        })?;
        connect.tls = TlsConfig {
            mode,
            ..connect.tls
        };
    }
    connect.tls.ca = tls.ca.clone().or(connect.tls.ca);
    connect.tls.cert = tls.cert.clone().or(connect.tls.cert);
    connect.tls.key = tls.key.clone().or(connect.tls.key);
    if section.tables.is_empty() {
        bail!("source.tables is missing: say which tables to follow, for instance [\"public.*\"]");
    }
    let slot = section
        .slot
        .clone()
        .unwrap_or_else(|| format!("walferry_{name}"));
    check_name("source.slot", &slot, 63)?;
    Ok(Source {
        connect,
        tables: section.tables.clone(),
        slot,
        publication: section
            .publication
            .clone()
            .unwrap_or_else(|| format!("walferry_{name}")),
        create: section.create,
        partitions_root: section.partitions == file::Partitions::Root,
        origin_none: section.origin == file::Origin::None,
        slot_retained_bytes_max: section.slot_retained_bytes_max.0,
        heartbeat_ms: positive("source.heartbeat_ms", section.heartbeat_ms)?,
        new_tables: match section.new_tables {
            file::NewTables::Follow => NewTables::Follow,
            file::NewTables::Warn => NewTables::Warn,
            file::NewTables::Ignore => NewTables::Ignore,
        },
        adopt_slot: choices.adopt_slot,
        adopt_with_snapshot: choices.adopt_with_snapshot,
    })
}

fn kafka(file: &File, name: &str, publish: &Publish, errors: &Errors) -> Result<Kafka> {
    let section = &file.kafka;
    let (mut properties, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &section.properties {
        match value {
            SecretSource::Literal(text) => {
                properties.insert(key.clone(), text.clone());
            }
            elsewhere => {
                let secret = elsewhere.clone().secret();
                readable(&format!("kafka.properties.{key}"), &secret)?;
                secrets.insert(key.clone(), secret);
            }
        }
    }
    if section.topics.partitions < 1 {
        bail!("kafka.topics.partitions must be at least 1");
    }
    let brokers = required("kafka.brokers", section.brokers.clone())?;
    if brokers.contains('@') {
        bail!(
            "kafka.brokers: a broker is host:port, without a user; the user is sasl.username in [kafka.properties], and its \
             password sasl.password"
        );
    }
    Ok(Kafka {
        brokers,
        properties,
        secrets,
        connector: name.to_owned(),
        checkpoint_topic: section
            .checkpoint_topic
            .clone()
            .unwrap_or_else(|| format!("walferry_checkpoint_{name}")),
        dead_letter_topic: errors.dead_letter_topic.clone(),
        queue_bytes_max: publish.queue_bytes_max(),
        topic_partitions: section.topics.partitions,
        topic_replication: section.topics.replication_factor,
        topic_config: {
            let config = section.topics.config.iter();
            config
                .map(|(name, value)| (name.clone(), value.0.clone()))
                .collect()
        },
        retries: RetryLimits {
            retries_max: errors.retries_max,
            retry_min_ms: errors.retry_min_ms,
            retry_max_ms: errors.retry_max_ms,
        },
        headers: Vec::new(),
        topics: Default::default(),
        requests: Default::default(),
    })
}

fn registry(file: &File) -> Result<Registry> {
    let section = &file.registry;
    let url = required("registry.url", section.url.as_ref())?;
    let secret = |key: &str, source: &Option<SecretSource>| {
        let secret = source.clone().map(SecretSource::secret);
        match &secret {
            Some(secret) => readable(key, secret).map(|()| Some(secret.clone())),
            None => Ok(None),
        }
    };
    if section.token.is_some() && (section.username.is_some() || section.password.is_some()) {
        bail!(
            "registry.token beside registry.username or registry.password: choose one way to log in"
        );
    }
    if section.password.is_some() && section.username.is_none() {
        bail!("registry.password needs registry.username");
    }
    let (urls, of_urls) = urls(&url.0)?;
    let (mut username, mut password) = (
        section.username.clone(),
        secret("registry.password", &section.password)?,
    );
    if let Some(theirs) = of_urls {
        if username.is_some() || section.token.is_some() {
            bail!(
                "registry.url has a user in it, beside registry.username or registry.token: choose one way to log in"
            );
        }
        (username, password) = (Some(theirs.username), theirs.password);
    }
    Ok(Registry {
        urls,
        username,
        password,
        token: secret("registry.token", &section.token)?,
        ca: section.tls.ca.clone(),
        cert: section.tls.cert.clone(),
        key: section.tls.key.clone(),
        timeout_ms: positive("registry.timeout_ms", section.timeout_ms)?,
    })
}

/// The addresses, and the user and password that they hold.
fn urls(list: &str) -> Result<(Vec<BaseUrl>, Option<Credentials>)> {
    let mut credentials: Option<Credentials> = None;
    let mut urls = Vec::new();
    for text in list.split(',').map(str::trim) {
        let (url, theirs) = BaseUrl::parse(text).map_err(|error| anyhow!("{error}"))?;
        let said = |it: &Credentials| {
            let password = it.password.as_ref().and_then(|it| it.read().ok());
            (it.username.clone(), password)
        };
        match (&credentials, &theirs) {
            (Some(one), Some(other)) if said(one) != said(other) => bail!(
                "registry.url: its addresses have different users or passwords in them; write one into registry.username and \
                 registry.password"
            ),
            _ => {}
        }
        credentials = credentials.or(theirs);
        urls.push(url);
    }
    Ok((urls, credentials))
}

fn format(file: &File) -> Result<Format> {
    fn mode<T: std::str::FromStr<Err: std::fmt::Display>>(key: &str, word: &str) -> Result<T> {
        word.parse()
            .map_err(|error| anyhow!("format.{key}: {error}"))
    }
    let section = &file.format;
    Ok(Format {
        envelope: mode("envelope", &section.envelope)?,
        decimal: mode("decimal", &section.decimal)?,
        time: mode("time", &section.time)?,
        binary: mode("binary", &section.binary)?,
        interval: mode("interval", &section.interval)?,
        hstore: mode("hstore", &section.hstore)?,
        unavailable_value: section.unavailable_value.clone(),
        adjust_names: section.schema_names == file::SchemaNames::Avro,
        quirks: quirks(&section.quirks)?,
        ..Format::default()
    })
}

fn quirks(words: &[String]) -> Result<Quirks> {
    if words.iter().any(|word| word == "all") {
        return Ok(Quirks::all());
    }
    words
        .iter()
        .map(|word| {
            word.parse()
                .map_err(|error| anyhow!("format.quirks: {error}, all"))
        })
        .collect()
}

fn skipped(file: &File) -> Result<Vec<Operation>> {
    let codes = file.format.skipped_operations.iter();
    codes
        .map(|code| match code.as_str() {
            "t" => Ok(Operation::Truncate),
            "c" => Ok(Operation::Create),
            "u" => Ok(Operation::Update),
            "d" => Ok(Operation::Delete),
            "m" => Ok(Operation::Message),
            other => bail!("format.skipped_operations: {other:?} is none of t, c, u, d, m"),
        })
        .collect()
}

fn publish(file: &File) -> Result<Publish> {
    let section = &file.publish;
    let memory_bytes_max = section.memory_bytes_max.0;
    if memory_bytes_max < MEMORY_MIN {
        bail!(
            "publish.memory_bytes_max: {memory_bytes_max} bytes are too few; it must be at least 16 MiB"
        );
    }
    Ok(Publish {
        batch_bytes_max: positive("publish.batch_bytes_max", section.batch_bytes_max.0)?,
        commit_interval_ms: positive("publish.commit_interval_ms", section.commit_interval_ms)?,
        memory_bytes_max,
    })
}

fn snapshot(file: &File, choices: &Choices) -> Result<Snapshot> {
    let section = &file.snapshot;
    Ok(Snapshot {
        mode: match section.mode {
            // It ends when the tables have been read.
            _ if choices.resync.is_some() => SnapshotMode::Only,
            file::SnapshotMode::Initial => SnapshotMode::Initial,
            file::SnapshotMode::Never => SnapshotMode::Never,
            file::SnapshotMode::Only => SnapshotMode::Only,
        },
        readers: positive("snapshot.readers", u64::from(section.readers))
            .map(|_| section.readers.min(READERS_MAX))?,
        chunk_rows: positive("snapshot.chunk_rows", section.chunk_rows)?,
        while_streaming: section.while_streaming,
        statement_timeout_ms: section.statement_timeout_ms,
        rows_per_second_max: section
            .rows_per_second_max
            .map(|rate| positive("snapshot.rows_per_second_max", rate))
            .transpose()?,
        xmin_age_max: Some(section.xmin_age_max).filter(|&max| max > 0),
    })
}

fn errors(file: &File, prefix: &str) -> Result<Errors> {
    let section = &file.errors;
    if section.retry_max_ms < section.retry_min_ms {
        bail!("errors.retry_max_ms is below errors.retry_min_ms");
    }
    Ok(Errors {
        policy: policy(section.policy),
        dead_letter_topic: section
            .dead_letter_topic
            .clone()
            .unwrap_or_else(|| format!("{prefix}.dead_letters")),
        retries_max: section.retries_max,
        retry_min_ms: section.retry_min_ms,
        retry_max_ms: section.retry_max_ms,
    })
}
