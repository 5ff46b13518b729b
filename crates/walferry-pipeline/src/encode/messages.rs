//! Logical decoding messages (`pg_logical_emit_message`) become records of `<prefix>.message`.
//!
//! Owns their plan, made with the first of them. A transactional one is a change of its transaction like any other; one that
//! is not stands between transactions, at a position of its own.
//! Invariant: a message is counted whether or not it is published, so that an ordinal means the same after every restart.

use std::sync::Arc;

use walferry_avro::{MessagePlan, Naming};
use walferry_event::{Code, Lsn, Operation, Origin, Position};
use walferry_pgoutput::LogicalMessage;

use crate::{
    config::Policy,
    encode::{
        Encoder, oversize,
        side_plans::Messages,
        transactions::{self, Told},
    },
    error::Error,
};

impl Encoder {
    /// A message has come.
    pub(super) fn logical(&mut self, message: &LogicalMessage<'_>, at: Lsn) -> Result<(), Error> {
        let wanted = !self.config.skipped_operations.contains(&Operation::Message);
        if message.transactional {
            if self.count() && wanted {
                let written = self.tell(true, |encoder, told| {
                    encoder.write_message(message, Some(at), told)
                });
                written.map_err(|error| self.uncounted(error))?;
            }
            return Ok(());
        }
        let position = position_of(message.lsn);
        self.status.ledger.receive(position.end_lsn);
        let handed = self.builder.course().position();
        if !handed.covers(position.commit_lsn, 1) {
            if wanted {
                self.write_message(message, None, None)?;
            }
            self.builder.commit(position, self.builder.clock.now_us, 0);
        }
        // What comes next came after it, as after a commit.
        self.last_commit_lsn = Some(position.end_lsn);
        Ok(())
    }

    /// A message has come that was too long to be kept. It belongs to no table, so the policy of all decides.
    pub(super) fn cut_message(
        &mut self,
        message: &LogicalMessage<'_>,
        at: Lsn,
    ) -> Result<(), Error> {
        let bytes = self.cut.unwrap_or_default();
        let reason = oversize::too_long(bytes, &self.config);
        let wanted = !self.config.skipped_operations.contains(&Operation::Message);
        if wanted && self.config.errors.policy != Policy::Skip {
            let error = Error::failed(
                Code::MessageRefused,
                format!(
                    "a logical decoding message at {at} cannot be published: {reason}; or set errors.policy = \"skip\""
                ),
            );
            return Err(error.labelled("encode", "too_large"));
        }
        if wanted {
            tracing::error!(lsn = %at, error = reason, "logical decoding message skipped");
        }
        // It is counted, and nothing is written of it.
        if message.transactional {
            self.count();
        } else {
            let position = position_of(message.lsn);
            self.status.ledger.receive(position.end_lsn);
            self.builder.commit(position, self.builder.clock.now_us, 0);
        }
        Ok(())
    }

    /// Writes a message of the open transaction, whose LSN is `at`, or one of none.
    fn write_message(
        &mut self,
        message: &LogicalMessage<'_>,
        at: Option<Lsn>,
        told: Option<&mut Told>,
    ) -> Result<(), Error> {
        let now_of = self.writer.relations.generation();
        let known = self.messages.take().filter(|it| it.ids_of == now_of);
        let messages = match known {
            Some(known) => known,
            None => self.message_plan(message.lsn)?,
        };
        let Messages { topic, plan, .. } = &messages;
        let now = self.builder.clock.now_us;
        let origin = match (&self.transaction, at) {
            (Some(tx), Some(at)) => Origin {
                block: told.as_ref().map(|told| told.next(transactions::MESSAGES)),
                ..tx.origin(at, self.last_commit_lsn)
            },
            _ => Origin {
                commit_us: now,
                encoded_us: now,
                lsn: message.lsn,
                commit_lsn: position_of(message.lsn).commit_lsn,
                last_commit_lsn: self.last_commit_lsn,
                ordinal: 1,
                ..Origin::default()
            },
        };
        // The origin borrows what the builder stands beside.
        let (mut key, mut value) = (Vec::new(), Vec::new());
        plan.key(message.prefix, &mut key);
        plan.value(message.prefix, message.content, &origin, &mut value);
        self.builder.record(topic, &key, &value);
        self.messages = Some(messages);
        if let Some(told) = told {
            told.count(transactions::MESSAGES, 1);
        }
        Ok(())
    }

    fn message_plan(&mut self, at: Lsn) -> Result<Messages, Error> {
        let topic: Arc<str> = self.config.message_topic().into();
        let naming = Naming {
            topic: &topic,
            server: &self.config.topic_prefix,
            database: &self.config.source.connect.database,
            shared: false,
            physical_table: None,
        };
        let ids_of = self.writer.relations.generation();
        let mut plan = MessagePlan::new(&naming, &self.config.format);
        let (key, value) = self
            .writer
            .relations
            .side_topic(&topic, plan.key_schema(), plan.value_schema())
            .map_err(|error| error.context(format!("logical decoding message at {at}")))?;
        plan.set_ids(key, value);
        Ok(Messages {
            topic,
            plan,
            ids_of,
        })
    }
}

/// The LSN of a message is the end of its record, where the next record may be a commit: the message lies just before.
fn position_of(lsn: Lsn) -> Position {
    Position {
        commit_lsn: Lsn(lsn.0.saturating_sub(1)),
        end_lsn: lsn,
        ordinal: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_cover_the_commit_behind_it() {
        let held = position_of(Lsn(0x100));
        assert!(held.covers(position_of(Lsn(0x100)).commit_lsn, 1));
        assert!(
            !held.covers(Lsn(0x100), 1),
            "a commit at the very end of the message"
        );
        assert!(!held.covers(position_of(Lsn(0x108)).commit_lsn, 1));
        assert_eq!(held.end_lsn, Lsn(0x100));
    }
}
