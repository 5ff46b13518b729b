//! Where the encoder tells the snapshots beside the stream what it sees.
//!
//! Owns the calls between the two. Each is nothing when no engine is there, and cheap when no snapshot runs.

use std::sync::Arc;

use walferry_event::{Lsn, Relation};

use super::{Engine, Event, Progress};
use crate::{changes::Change, config::Config, encode::Encoder, error::Error};

impl Encoder {
    /// Snapshots beside the stream, from now on.
    pub(crate) fn set_engine(&mut self, engine: Engine) {
        self.engine = Some(Box::new(engine));
    }

    /// Snapshots beside the stream are told something.
    pub(crate) fn snapshot_event(&mut self, event: Event) -> Result<(), Error> {
        self.with_engine(|engine, encoder| engine.event(encoder, event))
    }

    /// A stream begins: what snapshots have to say before everything that it brings.
    pub(crate) fn snapshots_begin(&mut self) -> Result<(), Error> {
        self.with_engine(Engine::begins)
    }

    /// Another configuration is in force from here on.
    pub(crate) fn reload(&mut self, config: Arc<Config>) {
        self.relations().reload(config.clone());
        self.set_config(config);
    }

    /// Goes on with what is left of snapshots.
    pub(crate) fn resume_snapshots(&mut self, progress: Progress) -> Result<(), Error> {
        self.with_engine(|engine, encoder| {
            engine.resume(progress);
            engine.begins(encoder)?;
            let at = encoder.builder.course().position().end_lsn;
            engine.boundary(encoder, at)
        })
    }

    /// The stream stands between two transactions, and has brought everything before `at`.
    pub(crate) fn boundary(&mut self, at: Lsn) -> Result<(), Error> {
        self.with_engine(|engine, encoder| engine.boundary(encoder, at))
    }

    /// A mark is about to stand behind the changes of the open transaction: the message keys that are new with them go with it.
    pub(crate) fn carry_keys(&mut self) -> Result<(), Error> {
        match self.in_transaction() && self.relations().keys.has_news() {
            true => self.with_engine(|engine, encoder| engine.record_keys(encoder)),
            false => Ok(()),
        }
    }

    /// The stream brings a transaction that commits there, after all that commits before.
    pub(crate) fn before(&mut self, commit_lsn: Lsn) -> Result<(), Error> {
        self.with_engine(|engine, encoder| engine.before(encoder, commit_lsn))
    }

    /// The stream brings a change.
    pub(crate) fn touch(&mut self, relation: u32, change: &Change<'_>) {
        let open = self.open_transaction();
        if let (Some(engine), Some((xid, commit_lsn))) = (&mut self.engine, open) {
            engine.touch(relation, change, xid, commit_lsn);
            if let Some(progress) = engine.misplaced(relation, change) {
                self.builder.carry(progress);
            }
        }
    }

    /// The stream describes a relation.
    pub(crate) fn described(&mut self, relation: &Relation) -> Result<(), Error> {
        self.with_engine(|engine, encoder| engine.relation(encoder, relation))
    }

    fn with_engine(
        &mut self,
        work: impl FnOnce(&mut Engine, &mut Encoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(mut engine) = self.engine.take() else {
            return Ok(());
        };
        let outcome = work(&mut engine, self);
        self.engine = Some(engine);
        outcome
    }
}
