//! A checkpoint that a person changes: beside any connector, in a transaction of its own.
//!
//! Owns the order: every instance is fenced before the record is read, so that none writes in between. Never: decides what the
//! record becomes.
//! Start reading at [`amend_checkpoint`].

use std::sync::Arc;

use crate::{
    Checkpoint, Config, Error, RecordRef,
    checkpoint::published_key,
    error::Kind,
    producer::Librdkafka,
    transactions::{End, Fault, Grouping, Transactions},
};

/// Puts what `change` makes of the newest checkpoint in its place; of one that cannot be read, it is given none. With
/// none as the outcome the record is deleted. Returns what is there now. The topic has to exist.
///
/// # Errors
/// Kafka does not answer or does not allow it, or `change` says no. When the outcome of the commit is not known the text
/// says so.
pub fn amend_checkpoint<E: From<Error>>(
    config: &Config,
    change: impl FnOnce(Option<Checkpoint>) -> Result<Option<Checkpoint>, E>,
) -> Result<Option<Checkpoint>, E> {
    let mut client = Librdkafka::new(config.clone(), Arc::default(), Arc::default());
    client.replace(Grouping::Full).map_err(failed)?;
    let found = match client.checkpoint(End::Written) {
        Ok(found) => found,
        Err(Fault::Final(Kind::Unreadable, _)) => None,
        Err(fault) => return Err(failed(fault).into()),
    };
    let next = change(found)?;
    let value = next.as_ref().map(serde_json::to_vec).transpose();
    let value = value.map_err(|error| {
        let text = format!("the checkpoint cannot be written: {error}");
        Error::new(Kind::Broken, text)
    })?;
    let record = RecordRef {
        topic: &config.checkpoint_topic,
        key: Some(config.connector.as_bytes()),
        value: value.as_deref(),
        headers: None,
    };
    client.begin().map_err(failed)?;
    if next.is_none() {
        let key = published_key(&config.connector);
        let published = RecordRef {
            topic: &config.checkpoint_topic,
            key: Some(key.as_bytes()),
            value: None,
            headers: None,
        };
        client.send_one(&published, usize::MAX).map_err(failed)?;
    }
    client.send_one(&record, usize::MAX).map_err(failed)?;
    client.commit().map_err(failed)?;
    Ok(next)
}

fn failed(fault: Fault) -> Error {
    let (kind, text) = match fault {
        // The connector goes on: it is the change that was not made.
        Fault::Fenced(text) => (Kind::Unreachable, text),
        fault => fault.told(),
    };
    Error::new(
        kind,
        format!(
            "changing the checkpoint: {text}; look at it with `walferry checkpoint show` before you try again"
        ),
    )
}
