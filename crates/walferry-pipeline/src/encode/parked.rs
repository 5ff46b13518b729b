//! What the encoder does about tables that wait: it parks them, lets them catch up, and notices that both stand in the
//! way of something else.
//!
//! Owns no position: those are `table_positions`'. Invariant: a table is parked before anything behind its obstacle is encoded.

use walferry_event::Lsn;
use walferry_kafka::Parked;

use crate::{
    encode::{
        Encoder,
        closing::{ASKED, Closing},
    },
    status::parked_tables::{Obstacle, Refused},
};

/// Of a reason, as much as goes into each checkpoint record.
const REASON_CHARS_MAX: usize = 500;

impl Encoder {
    /// A new connection begins: whatever stood half read will come again from its start. It begins early enough for the
    /// parked tables of `released` to catch up.
    pub(crate) fn connection_begins(&mut self, released: &[String]) {
        self.transaction = None;
        self.writer.relations.ends();
        // The stream may begin before what came last, which then is not what came before.
        self.last_commit_lsn = None;
        self.closing = Closing::default();
        self.builder.course().release(released);
    }

    /// Whether a table waits that has been released since the connection began.
    pub(crate) fn is_behind(&mut self) -> bool {
        if !self.parked {
            return false;
        }
        let released = self.status.parking.released();
        let course = self.builder.course();
        released.iter().any(|table| course.waits(table))
    }

    /// Whether the stream is to begin anew where it stands, once for each time that this was asked for.
    pub(crate) fn takes_renewal(&mut self) -> bool {
        std::mem::take(&mut self.renewal)
    }

    /// Whether the server waits in vain for the connection to be confirmed before it ends.
    pub(crate) fn holds_up_the_server(&mut self) -> bool {
        self.closing.asked >= ASKED && self.builder.course().is_split()
    }

    /// The table waits at the change `ordinal` of the open transaction.
    pub(super) fn park(&mut self, table: &str, obstacle: Obstacle, commit_lsn: Lsn, ordinal: u64) {
        tracing::error!(target: "audit", table, lsn = %commit_lsn, ordinal, error = obstacle.reason,
            "the table is parked: the others go on");
        let parked = Parked {
            table: table.to_owned(),
            position: self.builder.course().position(),
            since: walferry_kafka::rfc3339(self.builder.clock.now_us),
            reason: obstacle.reason.chars().take(REASON_CHARS_MAX).collect(),
        };
        let since = self.builder.course().park(parked, commit_lsn, ordinal);
        self.status.parking.park(table, &since, obstacle);
        self.parked = true;
    }

    /// Forgets tables that have caught up.
    pub(super) fn caught_up(&mut self) {
        if !self.parked {
            return;
        }
        let course = self.builder.course();
        for table in self.status.parking.keep(|table| course.has(table)) {
            tracing::info!(target: "audit", table, "the table has caught up with the others");
        }
        self.parked = course.is_split();
    }
}

impl Encoder {
    /// Parks the table of a change that Kafka has refused before. Whether it was one.
    pub(super) fn parks_again(&mut self, oid: u32, commit_lsn: Lsn, ordinal: u64) -> bool {
        if self.refused.is_empty() {
            return false;
        }
        let Some(table) = self.writer.relations.name(oid) else {
            return false;
        };
        let is_it = |it: &Refused| {
            (it.commit_lsn, it.ordinal) == (commit_lsn, ordinal) && it.table == table
        };
        let Some(at) = self.refused.iter().position(is_it) else {
            return false;
        };
        let obstacle = Obstacle {
            reason: self.refused.swap_remove(at).reason,
            offers: Vec::new(),
        };
        self.park(&table, obstacle, commit_lsn, ordinal);
        true
    }
}
