//! The recovery table: what to do at a start or a reconnect, for each state of slot and checkpoint.
//!
//! Owns the decision only; it gathers no evidence and acts on none. The table `ROWS` is executed, and the first row
//! that matches decides. Its rows are the ones of `docs/GUARANTEES.md`, where each names its end-to-end test.
//! Invariant: no decision to stream is ever made when the slot has moved past what the topics hold.
//! Start reading at `ROWS`.

use std::fmt;

use walferry_event::{Code, Lsn, Position};

/// What is known of the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// There is none of that name.
    Missing,
    /// It exists, but the server has removed WAL that it needs, or has invalidated it; with the server's reason.
    Lost(String),
    /// It exists and can be used.
    Usable {
        /// `confirmed_flush_lsn`: the server starts here even when asked for less.
        confirmed: Lsn,
    },
}

/// What the checkpoint topic says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// No record for this connector.
    None,
    /// Written before the slot was created: nothing was published.
    Intent(Home),
    /// A position, and where it was written.
    Position(Written),
}

impl Checkpoint {
    /// Where it belongs.
    pub fn home(&self) -> Option<&Home> {
        match self {
            Checkpoint::None => None,
            Checkpoint::Intent(home) => Some(home),
            Checkpoint::Position(written) => Some(&written.home),
        }
    }
}

/// Where a checkpoint belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// `system_identifier` of the cluster.
    pub system_id: String,
    /// The database.
    pub database: String,
    /// The slot.
    pub slot: String,
}

/// A checkpoint with a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What the topics hold.
    pub position: Position,
    /// From where changes are still owed: the position's end, or earlier when a table waits.
    pub needed: Lsn,
    /// Where it belongs.
    pub home: Home,
    /// Timeline on which it was written.
    pub timeline: u32,
}

/// The server that answers now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its `system_identifier`.
    pub system_id: String,
    /// Its timeline.
    pub timeline: u32,
    /// The database that we are connected to.
    pub database: String,
    /// How far its WAL is flushed.
    pub wal_flush: Lsn,
    /// Where each earlier timeline ended, from its history file; empty on timeline 1.
    pub history: Vec<(u32, Lsn)>,
}

/// Everything that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Connector name, for messages.
    pub connector: String,
    /// Slot name, for messages.
    pub slot_name: String,
    /// The slot.
    pub slot: Slot,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The server.
    pub server: Server,
    /// The operator has said to adopt a slot without a checkpoint.
    pub adopt_slot: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Create publication and slot, snapshot if configured, stream.
    Create,
    /// Drop the slot, then as [`Decision::Create`].
    StartOver,
    /// Stream from this position and drop what it already covers.
    Resume(Position),
    /// Take a new slot and read every table again, so that the topics agree with them: only when the operator asks.
    Resync,
    /// Stop with exit status 3 and this message, which ends with its code.
    Refuse(String),
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Create => f.write_str("create publication and slot"),
            Decision::StartOver => f.write_str("drop the unfinished slot and create it anew"),
            Decision::Resume(position) => write!(f, "go on at {}", position.end_lsn),
            Decision::Resync => f.write_str("take a new slot and read every table again"),
            Decision::Refuse(reason) => write!(f, "refuse: {reason}"),
        }
    }
}

/// One row of the table.
pub struct Row {
    /// The row's name: in logs, in the plan of `walferry check`, in tests.
    pub name: &'static str,
    applies: fn(&Evidence) -> bool,
    decide: fn(&Evidence) -> Decision,
    /// Whether `walferry resync` mends what the row refuses.
    mended: bool,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The table. The first row that applies decides.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    Row { name: "another cluster",                 applies: other_cluster,  decide: refuse_cluster,  mended: false },
    Row { name: "another database or slot",        applies: other_slot,     decide: refuse_slot,     mended: false },
    Row { name: "timeline without the checkpoint", applies: other_timeline, decide: refuse_timeline, mended: true },
    Row { name: "server behind the checkpoint",    applies: server_behind,  decide: refuse_behind,   mended: true },
    Row { name: "nothing yet",     applies: |e| missing(e) && no_checkpoint(e), decide: |_| Decision::Create, mended: false },
    Row { name: "intent, no slot", applies: |e| missing(e) && intent(e), decide: |_| Decision::Create, mended: false },
    Row { name: "intent, slot exists",      applies: intent,        decide: |_| Decision::StartOver, mended: false },
    Row { name: "slot without checkpoint",  applies: no_checkpoint, decide: adopt_or_refuse, mended: false },
    Row { name: "slot missing or lost",     applies: |e| confirmed(e).is_none(), decide: refuse_lost, mended: true },
    Row { name: "slot ahead of checkpoint", applies: slot_ahead,    decide: refuse_gap,      mended: true },
    Row { name: "resume",                   applies: |_| true,      decide: resume,          mended: false },
];

/// The decision for this evidence, and the name of the row that made it.
pub fn decide(evidence: &Evidence) -> (&'static str, Decision) {
    let row = row(evidence);
    (row.name, (row.decide)(evidence))
}

/// The decision when the operator asks for a resync: of all tables, or of `some`. `begun`: one has not finished yet.
pub fn resync(evidence: &Evidence, some: bool, begun: bool) -> (&'static str, Decision) {
    let row = row(evidence);
    let decision = match (row.decide)(evidence) {
        Decision::Refuse(reason) if row.mended && some => refuse(
            Code::NothingToResync,
            format!("{reason}; every table has lost changes, not some of them: name no table"),
        ),
        Decision::Refuse(_) if row.mended => Decision::Resync,
        Decision::Resume(_) if !some && !begun => Decision::Resync,
        Decision::Create | Decision::StartOver => refuse(
            Code::NothingToResync,
            format!(
                "connector {:?} has published nothing yet that could be made to agree with the tables: `walferry run` takes \
             its first snapshot",
                evidence.connector
            ),
        ),
        other => other,
    };
    (row.name, decision)
}

fn row(evidence: &Evidence) -> &'static Row {
    ROWS.iter()
        .find(|row| (row.applies)(evidence))
        .expect("the last row applies to any evidence")
}

fn missing(e: &Evidence) -> bool {
    e.slot == Slot::Missing
}

fn no_checkpoint(e: &Evidence) -> bool {
    e.checkpoint == Checkpoint::None
}

fn intent(e: &Evidence) -> bool {
    matches!(e.checkpoint, Checkpoint::Intent(_))
}

fn written(e: &Evidence) -> Option<&Written> {
    match &e.checkpoint {
        Checkpoint::Position(written) => Some(written),
        _ => None,
    }
}

fn confirmed(e: &Evidence) -> Option<Lsn> {
    match e.slot {
        Slot::Usable { confirmed } => Some(confirmed),
        _ => None,
    }
}

fn home(e: &Evidence) -> Option<&Home> {
    e.checkpoint.home()
}

fn other_cluster(e: &Evidence) -> bool {
    home(e).is_some_and(|home| home.system_id != e.server.system_id)
}

fn other_slot(e: &Evidence) -> bool {
    home(e).is_some_and(|home| home.database != e.server.database || home.slot != e.slot_name)
}

/// The checkpoint's timeline is ours, or an ancestor of ours that ended at or after the checkpoint. Of a transaction that
/// is published in part the commit record too has to lie on it.
fn other_timeline(e: &Evidence) -> bool {
    written(e).is_some_and(|w| {
        w.timeline != e.server.timeline
            && !e.server.history.iter().any(|&(timeline, switched_at)| {
                timeline == w.timeline && held_end(w.position) <= switched_at
            })
    })
}

/// Where a timeline has to have come to for it to contain what the topics hold.
fn held_end(position: Position) -> Lsn {
    match position.ordinal {
        None => position.end_lsn,
        Some(_) => position
            .end_lsn
            .max(Lsn(position.commit_lsn.0.saturating_add(1))),
    }
}

/// The server has gone back to an earlier state without a new timeline, as a restored copy of its files does.
fn server_behind(e: &Evidence) -> bool {
    written(e).is_some_and(|w| w.position.end_lsn > e.server.wal_flush)
}

fn slot_ahead(e: &Evidence) -> bool {
    match (written(e), confirmed(e)) {
        (Some(w), Some(confirmed)) => confirmed > w.needed,
        _ => false,
    }
}

fn refuse(code: Code, reason: String) -> Decision {
    Decision::Refuse(code.tag(&reason))
}

fn refuse_cluster(e: &Evidence) -> Decision {
    let Some(home) = home(e) else {
        return Decision::Create;
    };
    let found = format!(
        "the cluster with system identifier {}, but the server that answers has {}",
        home.system_id, e.server.system_id
    );
    refuse(
        Code::OtherCluster,
        match written(e) {
            Some(w) => format!(
                "the checkpoint of connector {:?} at {} belongs to {found}: its positions mean nothing here; point source.url \
             at the old cluster, or give this source a connector name of its own",
                e.connector, w.position.end_lsn
            ),
            None => unfinished(e, &found, home),
        },
    )
}

fn refuse_slot(e: &Evidence) -> Decision {
    let Some(home) = home(e) else {
        return Decision::Create;
    };
    let found = format!(
        "slot {:?} in database {:?}, but the configuration says slot {:?} in database {:?}",
        home.slot, home.database, e.slot_name, e.server.database
    );
    refuse(
        Code::OtherSlot,
        match written(e) {
            Some(w) => format!(
                "the checkpoint of connector {:?} at {} belongs to {found}; restore the old settings, or use another connector \
             name",
                e.connector, w.position.end_lsn
            ),
            None => unfinished(e, &found, home),
        },
    )
}

/// A start that began elsewhere. What it has left there is dropped by a person, and nothing here in its stead.
fn unfinished(e: &Evidence, found: &str, home: &Home) -> String {
    format!(
        "a start of connector {:?} that did not finish belongs to {found}: it may have left slot {:?} there, which keeps WAL; \
         restore the old settings to finish it, or drop that slot and begin here after `walferry checkpoint clear -c FILE`",
        e.connector, home.slot
    )
}

fn refuse_timeline(e: &Evidence) -> Decision {
    let Some(w) = written(e) else {
        return Decision::Create;
    };
    let ended = e.server.history.iter().find(|(tli, _)| *tli == w.timeline);
    let evidence = match ended {
        Some((_, at)) => format!("that timeline ended at {at}, before the checkpoint"),
        None => "its history does not contain that timeline".to_owned(),
    };
    refuse(
        Code::OtherTimeline,
        format!(
            "the checkpoint of connector {:?} is at {} on timeline {}, but the server is on timeline {} and {evidence}: the \
         topics hold changes that this server never had; `walferry resync -c FILE` makes them agree again",
            e.connector,
            held_end(w.position),
            w.timeline,
            e.server.timeline
        ),
    )
}

fn refuse_behind(e: &Evidence) -> Decision {
    let Some(w) = written(e) else {
        return Decision::Create;
    };
    refuse(
        Code::ServerBehind,
        format!(
            "the topics of connector {:?} hold changes up to {}, but the server's log ends at {}: it was restored to an earlier \
         state, and what is written there from now on would pass for published; `walferry resync -c FILE` makes the topics agree \
         with the tables again",
            e.connector, w.position.end_lsn, e.server.wal_flush
        ),
    )
}

fn adopt_or_refuse(e: &Evidence) -> Decision {
    match (confirmed(e), e.adopt_slot) {
        (Some(confirmed), true) => Decision::Resume(Position::at(confirmed)),
        (Some(confirmed), false) => refuse(
            Code::SlotUnknown,
            format!(
                "slot {:?} exists, confirmed up to {confirmed}, but there is no checkpoint of connector {:?}: adopting it would publish \
             the changes after {confirmed} and none before; start with --adopt-slot --with-snapshot to read the tables beside it, \
             with --adopt-slot alone when their topics hold what was before, or drop the slot with SELECT \
             pg_drop_replication_slot('{}') to begin with a snapshot",
                e.slot_name, e.connector, e.slot_name
            ),
        ),
        (None, _) => refuse(
            Code::SlotUnknown,
            format!(
                "slot {:?} exists but is lost ({}), and there is no checkpoint of connector {:?}: drop it with SELECT \
             pg_drop_replication_slot('{}') to begin with a snapshot",
                e.slot_name,
                lost_reason(e),
                e.connector,
                e.slot_name
            ),
        ),
    }
}

fn lost_reason(e: &Evidence) -> &str {
    match &e.slot {
        Slot::Lost(reason) => reason,
        Slot::Missing => "it does not exist",
        Slot::Usable { .. } => "it is usable",
    }
}

fn refuse_lost(e: &Evidence) -> Decision {
    let Some(w) = written(e) else {
        return Decision::Create;
    };
    refuse(
        Code::SlotLost,
        format!(
            "slot {:?} cannot be used ({}), but the topics hold changes up to {}: changes are lost from {} on; `walferry \
         resync -c FILE` takes a new slot and makes the topics agree with the tables again",
            e.slot_name,
            lost_reason(e),
            w.position.end_lsn,
            w.position.end_lsn
        ),
    )
}

fn refuse_gap(e: &Evidence) -> Decision {
    let (Some(w), Some(confirmed)) = (written(e), confirmed(e)) else {
        return Decision::Create;
    };
    let whose = if w.needed < w.position.end_lsn {
        " of the tables that are parked"
    } else {
        ""
    };
    refuse(
        Code::SlotAhead,
        format!(
            "slot {:?} is confirmed up to {confirmed}, but the topics hold changes{whose} only up to {}: the changes from {} \
         to {confirmed} are lost, something else has read from this slot; `walferry resync -c FILE` takes a new slot and makes \
         the topics agree with the tables again",
            e.slot_name, w.needed, w.needed
        ),
    )
}

fn resume(e: &Evidence) -> Decision {
    match written(e) {
        Some(w) => Decision::Resume(w.position),
        None => Decision::Create,
    }
}

#[cfg(test)]
mod tests;
