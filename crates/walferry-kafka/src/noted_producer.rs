//! Records that go out beside a connector, each batch in one transaction with a note of what it was made from.
//!
//! Owns the order: whoever writes under the same name is fenced before the note is read, so that none writes in between. The note
//! is a record of the checkpoint topic with a key of its own, and does what the checkpoint does for a connector: whatever
//! moment the process ends at, the next one knows what is published. Never: decides what a note says.
//! Start reading at [`Noted::open`].

use std::sync::{Arc, atomic::AtomicBool};

use crate::{
    Config, Error, RecordBlock, RecordRef,
    admin::ensure_checkpoint_topic,
    producer::Librdkafka,
    reader::{read_checkpoint, read_note},
    transactions::{Fault, Grouping, Transactions},
};

/// A producer with a note.
pub struct Noted {
    config: Config,
    client: Librdkafka,
    /// The producer is to be replaced before it is used again: its last transaction is open, or was committed slowly or
    /// over a disconnect, so that another end of it may be on its way (KAFKA-17754).
    spent: bool,
}

impl Noted {
    /// Fences whoever has the same name, and reads the newest note. `name` tells it from the connector and from others beside it.
    ///
    /// # Errors
    /// Kafka does not answer or does not allow it.
    pub fn open(config: &Config, name: &str) -> Result<(Noted, Option<Vec<u8>>), Error> {
        ensure_checkpoint_topic(config)?;
        let go = AtomicBool::new(false);
        let connector = config;
        let mut config = config.clone();
        config.connector = format!("{}.{name}", config.connector);
        // First: the transaction of a process that was killed is open until its time limit, or until this ends it. Whoever
        // reads the topic before that waits for it.
        let mut client = Librdkafka::new(config.clone(), Arc::default(), Arc::default());
        client.replace(Grouping::Full).map_err(failed)?;
        // Keys go to the partitions that the connector has spread them over.
        if let Some(checkpoint) = read_checkpoint(connector, &go)? {
            config.topics.load(&checkpoint.topics);
        }
        let note = read_note(&config, &go)?;
        let noted = Noted {
            config,
            client,
            spent: false,
        };
        Ok((noted, note))
    }

    /// The newest note under a name; fences nobody.
    ///
    /// # Errors
    /// Kafka does not answer or does not allow it.
    pub fn read(config: &Config, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut config = config.clone();
        config.connector = format!("{}.{name}", config.connector);
        read_note(&config, &AtomicBool::new(false))
    }

    /// Publishes the records and the note, all or nothing.
    ///
    /// # Errors
    /// Kafka does not answer or does not allow it: then nothing is known of this batch but by opening anew. Or it refuses a
    /// record ([`Error::refusal`]): then nothing of the batch is published, and the next one may be.
    pub fn publish(&mut self, records: RecordBlock, note: &[u8]) -> Result<(), Error> {
        let records = Arc::new(records);
        let outcome = match self.transaction(&records, note, Grouping::Full) {
            // The broker has refused a group of records: each alone is refused for its own size.
            Err(Fault::Refused { alone: false, .. }) => {
                self.transaction(&records, note, Grouping::Single)
            }
            outcome => outcome,
        };
        outcome.map_err(failed)
    }

    fn transaction(
        &mut self,
        records: &Arc<RecordBlock>,
        note: &[u8],
        grouping: Grouping,
    ) -> Result<(), Fault> {
        let note = RecordRef {
            topic: &self.config.checkpoint_topic,
            key: Some(self.config.connector.as_bytes()),
            value: Some(note),
            headers: None,
        };
        if std::mem::replace(&mut self.spent, true) {
            self.client.replace(grouping)?;
        }
        self.client.begin()?;
        self.client.send(records, 0..records.len(), 0)?;
        self.client.send_one(&note, records.len())?;
        let suspect = self.client.commit()?.suspect;
        if suspect {
            tracing::info!(
                "the last commit was slow or saw a disconnect: the producer is replaced"
            );
        }
        self.spent = suspect || grouping == Grouping::Single;
        Ok(())
    }
}

fn failed(fault: Fault) -> Error {
    match fault {
        Fault::Refused { refusal, .. } => Error::refused(refusal),
        fault => {
            let (kind, text) = fault.told();
            Error::new(kind, text)
        }
    }
}
