//! Another configuration on the encode thread, between two transactions, and the tables that it adds.
//!
//! Owns the moment. Never: alters the publication; the tables wait until that is done.
//! Invariant: a table that was added is not read before it is in the publication, since what changes before would be in neither.

use super::Engine;
use crate::{
    encode::Encoder,
    error::Error,
    snapshot::{added, chunk::Sessions, progress::TableState},
};

impl Engine {
    /// Puts the configuration that waits in force.
    pub(super) fn reload(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        let Some(reload) = self.reload.take() else {
            return Ok(());
        };
        encoder.reload(reload.config.clone());
        // Sessions that are open have the old limits.
        self.sessions = Sessions::new(reload.config.clone());
        self.config = reload.config;
        // The tables that are followed stand in the same checkpoint as what is to be read because of it.
        self.progress.followed = Some(self.config.source.tables.as_slice().into());
        if !reload.added.is_empty() || !reload.again.is_empty() {
            self.forget_finished();
            let tables: Vec<_> = reload.added.iter().collect();
            self.unpublished
                .extend(tables.iter().map(|it| it.qualified_name()));
            let again: Vec<_> = reload.again.iter().collect();
            let progress = std::mem::take(&mut self.progress);
            self.progress = added(Some(progress), &tables, &again).unwrap_or_default();
            self.finished_told = self.progress.finished();
        }
        self.mark(encoder)?;
        let _ = reload.reply.send(());
        Ok(())
    }

    /// The tables are in the publication, and may be read; or they cannot be, and are not.
    pub(super) fn published(
        &mut self,
        encoder: &mut Encoder,
        names: &[String],
        published: bool,
    ) -> Result<(), Error> {
        self.unpublished.retain(|it| !names.contains(it));
        if published {
            return Ok(());
        }
        for table in &mut self.progress.tables {
            if names.contains(&table.shown.name) && table.shown.id == "added" && !table.ended() {
                table.left.clear();
                table.shown.state = TableState::Cancelled;
            }
        }
        self.mark(encoder)
    }
}
