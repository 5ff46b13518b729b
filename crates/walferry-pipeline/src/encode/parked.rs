//! What the encoder does about tables that wait: it parks them, lets them catch up, and notices that both stand in the
//! way of something else.
//!
//! Owns no position: those are `course`'s. Invariant: a table is parked before anything behind its obstacle is encoded.

use std::time::{Duration, Instant};

use walferry_event::Lsn;
use walferry_kafka::Parked;

use super::Encoder;
use crate::parking::Obstacle;

/// Of a reason, as much as goes into each checkpoint record.
const REASON_CHARS_MAX: usize = 500;

/// Whether the server is shutting down: it asks for one reply after the other, and waits for the confirmation of all that
/// it has sent, which a parked table keeps back.
#[derive(Debug, Default)]
pub(super) struct Closing {
    first: Option<Instant>,
    asked: u32,
}

/// So many questions in such a time, and nothing else in between, are not the pings of a quiet connection.
const ASKED: u32 = 5;
const ASKED_WITHIN: Duration = Duration::from_secs(5);

impl Closing {
    /// The server has asked for a reply.
    pub(super) fn asked(&mut self) {
        let now = Instant::now();
        match self.first {
            Some(first) if now.saturating_duration_since(first) <= ASKED_WITHIN => self.asked += 1,
            _ => {
                self.first = Some(now);
                self.asked = 1;
            }
        }
    }
}

impl Encoder {
    /// A new connection begins: whatever stood half read will come again from its start. It begins early enough for the
    /// parked tables of `released` to catch up.
    pub(crate) fn connection_begins(&mut self, released: &[String]) {
        self.transaction = None;
        self.relations.ends();
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
    pub(super) fn park(
        &mut self,
        table: &str,
        obstacle: Obstacle,
        (commit_lsn, ordinal): (Lsn, u64),
    ) {
        tracing::error!(target: "audit", table, lsn = %commit_lsn, ordinal, error = obstacle.reason,
            "the table is parked: the others go on");
        let parked = Parked {
            table: table.to_owned(),
            position: self.builder.course().position(),
            since: walferry_kafka::now_rfc3339(),
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
