//! Reads the newest committed checkpoint: up to the topic's end, or an error, never a guess.
//!
//! Owns the proof that the end was reached: the position of a read_committed reader against the end that another client
//! saw before. A timeout is an error and never "no checkpoint".
//! Start reading at [`read_checkpoint`].

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    Checkpoint, Config, Error,
    admin::topics_missing,
    answers::{Meaning, meaning},
    background_drop::Leaving,
    checkpoint::{VERSION, published_key},
    config::TRANSACTION_TIMEOUT,
    error::Kind,
    journal::Journal,
    transactions::End,
    veil,
};

/// How long the question for the ends may take, and one step of it, after which the stop is looked at.
const ASK: Duration = Duration::from_secs(10);
const ASK_STEP: Duration = Duration::from_secs(2);
const ASK_PAUSE: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(50);
/// An open transaction of another instance holds the reader back until the coordinator ends it.
const SLACK: Duration = Duration::from_secs(15);
/// How long the marks of a transaction that is committed may be on their way.
const END_OF_COMMIT: Duration = Duration::from_secs(2);

/// The newest committed checkpoint of the connector; a transaction that is open is waited for. The topic has to exist.
pub fn read_checkpoint(config: &Config, stop: &AtomicBool) -> Result<Option<Checkpoint>, Error> {
    read_until(End::Written, config, stop)
}

/// The newest checkpoint that is committed by now, for people. A transaction that is open is waited for as long as one takes that
/// is being committed, and no longer: a process that is killed leaves one open until its time limit. None when there is no such
/// topic.
pub fn look_at_checkpoint(config: &Config, stop: &AtomicBool) -> Result<Option<Checkpoint>, Error> {
    if !topics_missing(config, &[&config.checkpoint_topic])?.is_empty() {
        return Ok(None);
    }
    match read_within(END_OF_COMMIT, End::Written, config, stop)? {
        Some(found) => Ok(found),
        None => read_until(End::Stable, config, stop),
    }
}

/// The newest committed checkpoint up to an end.
pub(crate) fn read_until(
    end: End,
    config: &Config,
    stop: &AtomicBool,
) -> Result<Option<Checkpoint>, Error> {
    let patience = TRANSACTION_TIMEOUT + SLACK;
    read_within(patience, end, config, stop)?.ok_or_else(|| late(config, patience))
}

/// The newest note under the connector's name, which is that of no connector. The topic has to exist.
pub(crate) fn read_note(config: &Config, stop: &AtomicBool) -> Result<Option<Vec<u8>>, Error> {
    let patience = TRANSACTION_TIMEOUT + SLACK;
    let note = |_: &str, _, value: &[u8]| Ok(value.to_vec());
    let found = newest(patience, End::Written, config, stop, note)?;
    found
        .map(|it| it.note)
        .ok_or_else(|| late(config, patience))
}

/// The newest committed checkpoint up to an end; none when the end is not reached in time.
fn read_within(
    patience: Duration,
    end: End,
    config: &Config,
    stop: &AtomicBool,
) -> Result<Option<Option<Checkpoint>>, Error> {
    let Some(found) = newest(patience, end, config, stop, parse)? else {
        return Ok(None);
    };
    let Some(mut checkpoint) = found.note else {
        return Ok(Some(None));
    };
    let published = found.published.map(|it| serde_json::from_slice(&it));
    checkpoint.published = published.transpose().map_err(|error| {
        let topic = &config.checkpoint_topic;
        let text = format!(
            "what topic {topic:?} says of the tables that are published cannot be read: {error}; nothing was changed: write the \
             record as it was, or run the version of Walferry that wrote it"
        );
        Error::new(Kind::Unreadable, text)
    })?;
    Ok(Some(Some(checkpoint)))
}

/// The newest records of a connector.
struct Newest<T> {
    /// Under its name.
    note: Option<T>,
    /// Under the key of what is published of its tables.
    published: Option<Vec<u8>>,
}

fn late(config: &Config, patience: Duration) -> Error {
    let (topic, seconds) = (&config.checkpoint_topic, patience.as_secs());
    let text = format!("the end of checkpoint topic {topic:?} was not reached in {seconds} s");
    Error::new(Kind::Unreachable, text)
}

/// The newest committed records of the connector, up to an end; none when the end is not reached in time.
fn newest<T>(
    patience: Duration,
    end: End,
    config: &Config,
    stop: &AtomicBool,
    parse: impl Fn(&str, i64, &[u8]) -> Result<T, Error>,
) -> Result<Option<Newest<T>>, Error> {
    let topic = &config.checkpoint_topic;
    let mut newest = Newest {
        note: None,
        published: None,
    };
    let failed = |error: KafkaError| describe(topic, &error);
    let (low, high) = ends(end, config, stop)?;
    if high <= low {
        return Ok(Some(newest));
    }
    let reader: Leaving<BaseConsumer<Journal>> = config
        .consumer("read_committed")?
        .create_with_context(Journal::of(config))
        .map(Leaving::new)
        .map_err(|error| veil::property(config, &error))?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Offset(low))
        .map_err(failed)?;
    reader.assign(&from).map_err(failed)?;
    let until = Instant::now() + patience;
    let published = published_key(&config.connector);
    loop {
        match reader.poll(POLL) {
            Some(Ok(message)) if message.key() == Some(config.connector.as_bytes()) => {
                newest.note = match message.payload() {
                    Some(value) => Some(parse(topic, message.offset(), value)?),
                    None => None,
                };
            }
            Some(Ok(message)) if message.key() == Some(published.as_bytes()) => {
                newest.published = message.payload().map(<[u8]>::to_vec);
            }
            Some(Err(error)) if is_final(&error) => return Err(failed(error)),
            Some(Err(error)) => tracing::debug!(%error, "reading the checkpoint topic"),
            _ => {}
        }
        let at = reader.position().map_err(failed)?;
        let position = at.find_partition(topic, 0).map(|p| p.offset());
        if matches!(position, Some(Offset::Offset(offset)) if offset >= high) {
            return Ok(Some(newest));
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Stopped, "asked to stop"));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
    }
}

/// The topic's first offset and the one after its last. What is stable is what a read_committed client is told.
fn ends(end: End, config: &Config, stop: &AtomicBool) -> Result<(i64, i64), Error> {
    let topic = &config.checkpoint_topic;
    let isolation = match end {
        End::Stable => "read_committed",
        End::Written => "read_uncommitted",
    };
    let asker: BaseConsumer<Journal> = config
        .consumer(isolation)?
        .remove("group.id")
        .create_with_context(Journal::of(config))
        .map_err(|error| veil::property(config, &error))?;
    let until = Instant::now() + ASK;
    loop {
        let error = match asker.fetch_watermarks(topic, 0, ASK_STEP) {
            Ok(ends) => return Ok(ends),
            Err(error) => error,
        };
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Stopped, "asked to stop"));
        }
        if is_final(&error) || Instant::now() >= until {
            return Err(describe(topic, &error));
        }
        // A broker that has just started may not know its topics yet.
        std::thread::sleep(ASK_PAUSE);
    }
}

const DELETED: &str =
    "; it was there at the start: whoever removed it has removed the position too";

/// Whether asking again cannot help.
fn is_final(error: &KafkaError) -> bool {
    // A broker that has just started may not know its partitions yet.
    let code = error
        .rdkafka_error_code()
        .filter(|it| *it != Code::UnknownPartition);
    code.is_some_and(|code| matches!(meaning(code), Meaning::Topic | Meaning::Connector))
}

fn describe(topic: &str, error: &KafkaError) -> Error {
    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
    let (kind, remedy) = match meaning(code) {
        // Of an empty metadata, one that was deleted.
        Meaning::Topic if code == Code::UnknownPartition => (Kind::NoTopic, DELETED.to_owned()),
        Meaning::Topic | Meaning::Connector if code == Code::TopicAuthorizationFailed => (
            Kind::Denied,
            format!(
                "; grant READ and DESCRIBE on it (kafka-acls --add --allow-principal … --operation Read --operation Describe \
                 --topic {topic})"
            ),
        ),
        Meaning::Topic | Meaning::Connector if code == Code::GroupAuthorizationFailed => (
            Kind::Denied,
            "; grant READ on the group walferry-* (kafka-acls --add --allow-principal … --operation Read --group walferry- \
             --resource-pattern-type prefixed)"
                .to_owned(),
        ),
        Meaning::Topic | Meaning::Connector => (
            Kind::Denied,
            "; check kafka.properties and the secrets in them".to_owned(),
        ),
        Meaning::NoTopic => (Kind::NoTopic, DELETED.to_owned()),
        Meaning::Passing => (Kind::Unreachable, String::new()),
        Meaning::Record | Meaning::Fenced | Meaning::Echo | Meaning::Doubt => {
            (Kind::Doubt, String::new())
        }
    };
    Error::new(
        kind,
        format!("reading checkpoint topic {topic:?}: {error}{remedy}"),
    )
}

/// A record that is not understood to the last field is refused: taken for an intent, it would have the slot dropped.
fn parse(topic: &str, offset: i64, value: &[u8]) -> Result<Checkpoint, Error> {
    let refuse = |reason: String| {
        Error::new(
            Kind::Unreadable,
            format!(
                "the checkpoint at offset {offset} of topic {topic:?} cannot be read: {reason}; nothing was changed: write \
                 the record as it was, or run the version of Walferry that wrote it"
            ),
        )
    };
    let fields: serde_json::Value =
        serde_json::from_slice(value).map_err(|error| refuse(error.to_string()))?;
    if fields["version"] != VERSION {
        return Err(refuse(format!(
            "it is of version {}, and this is version {VERSION}",
            fields["version"]
        )));
    }
    // A position in which anything is wrong reads as none.
    let told = ["commit_lsn", "end_lsn", "ordinal"]
        .iter()
        .any(|name| fields.get(name).is_some());
    let checkpoint: Checkpoint =
        serde_json::from_value(fields).map_err(|error| refuse(error.to_string()))?;
    if told && checkpoint.position.is_none() {
        return Err(refuse(
            "commit_lsn, end_lsn and ordinal are no position".into(),
        ));
    }
    Ok(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"version":1,"system_id":"7","timeline":1,"database":"shop","slot":"walferry_shop",
        "commit_lsn":"0/10","end_lsn":"0/18","instance":"i","counter":3,"written_at":"","walferry":"0.1.0"}"#;

    #[test]
    fn a_record_that_is_not_understood_is_no_intent() {
        let read = |text: &str| parse("t", 9, text.as_bytes());
        assert!(read(RECORD).unwrap().position.is_some());
        for (from, to, part) in [
            ("\"version\":1", "\"version\":2", "version 2"),
            ("0/10", "0/1O", "no position"),
            ("\"commit_lsn\":\"0/10\",", "", "no position"),
            ("\"end_lsn\":", "\"end\":", "no position"),
            ("\"counter\":3", "\"counter\":-3", "-3"),
            ("{", "[", "key must be"),
        ] {
            let error = read(&RECORD.replacen(from, to, 1)).unwrap_err();
            assert!(error.is_unreadable(), "{to}");
            assert!(error.to_string().contains("offset 9"), "{error}");
            if to != "[" {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }
}
