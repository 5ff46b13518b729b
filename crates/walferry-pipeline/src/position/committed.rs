//! What has been committed: the positions, how far snapshots have come, which tables are followed and what is published of them.
//!
//! Owns the value. A checkpoint record says it, a start reads it, and whoever has to know where the topics stand is given it whole.
//! Never: applies it; `publish::durable` does.

use std::sync::Arc;

use crate::position::{
    published_record::Record, snapshot_progress::Progress, table_positions::Held,
};

/// What the topics hold, and what goes on from there.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// The positions.
    pub(crate) held: Held,
    /// How far snapshots have come, while one is under way.
    pub(crate) snapshot: Option<Arc<Progress>>,
    /// The tables that are followed, by the globs of the configuration.
    pub(crate) followed: Arc<[String]>,
    /// What is published of the tables, once that is known.
    pub(crate) published: Option<Arc<Record>>,
}

impl Committed {
    /// Nothing but these positions.
    pub(crate) fn at(held: Held, followed: &[String]) -> Committed {
        Committed {
            held,
            snapshot: None,
            followed: followed.into(),
            published: None,
        }
    }

    /// As far as this, snapshots have come; and with them what is followed and published, where that is another by now.
    pub(crate) fn carry(&mut self, progress: Arc<Progress>) {
        if let Some(followed) = &progress.followed {
            self.followed = followed.clone();
        }
        if let Some(published) = &progress.published {
            self.published = Some(published.clone());
        }
        self.snapshot = Some(progress);
    }
}
