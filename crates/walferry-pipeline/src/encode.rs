//! The encode thread: blocks off the wire become blocks of records.
//!
//! Owns the state of the transaction in the stream, the relations' plans and the block under construction. Never talks
//! to Kafka; asks catalog and registry only when a relation is described.
//! Invariant: each change is counted in its transaction whether or not it is published, so that an ordinal means the
//! same after every restart; a change that the topics hold already is dropped here.
//! Start reading at `Encoder::block`; what concerns tables that wait is in `parked`.

pub(crate) mod block;
pub(crate) mod block_builder;
mod boundary_records;
pub mod change_records;
mod closing;
mod dead_letter;
pub(crate) mod gone;
mod keys;
mod messages;
mod observed;
pub(crate) mod observer;
mod oversize;
mod parked;
pub(crate) mod passage;
mod policy;
pub(crate) mod recent_transactions;
pub mod record_writer;
pub mod relations;
mod rows;
mod side_plans;
mod snapshot_rows;
pub(crate) mod stage;
#[cfg(test)]
mod tests;
mod transactions;

use std::sync::{Arc, atomic::Ordering};

use metrics::Counter;
use walferry_event::{Code, Lsn, Position};
use walferry_pgoutput::{Frame, Message};

use crate::{
    config::Config,
    encode::{
        block_builder::{Builder, PublisherGone},
        change_records::{Bookmark, Change},
        closing::Closing,
        keys::Left,
        observer::Observer,
        passage::Arrival,
        recent_transactions::Recent,
        record_writer::{Put, RecordWriter},
        relations::{Entry, Relations, urgency::Urgency},
        rows::Rows,
        side_plans::{Boundaries, Messages},
        stage::{STAGE, STUCK},
        transactions::{Told, Transaction},
    },
    error::Error,
    position::published_record::Lack,
    status::{
        Status,
        parked_tables::{Obstacle, Refused},
    },
};

/// Turns the stream of one slot into records.
pub(crate) struct Encoder {
    config: Arc<Config>,
    status: Arc<Status>,
    writer: RecordWriter,
    pub(crate) builder: Builder,
    transaction: Option<Transaction>,
    last_commit_lsn: Option<Lsn>,
    /// Transactions that were streamed lately, for the snapshots beside the stream.
    pub(crate) recent: Recent,
    /// Whether a table has a position of its own, or had until a moment ago.
    parked: bool,
    closing: Closing,
    /// The stream is to begin anew at the next end of a transaction.
    pub(crate) renewal: bool,
    messages: Option<Messages>,
    boundaries: Option<Boundaries>,
    /// Changes that Kafka has refused, whose tables are to be parked.
    refused: Vec<Refused>,
    /// The message that is looked at was too long to be kept: what came of it, in bytes.
    cut: Option<u64>,
    /// Bytes of the stream that came off the session.
    received_bytes: Counter,
}

impl Encoder {
    pub(crate) fn new(
        config: Arc<Config>,
        status: Arc<Status>,
        relations: Relations,
        mut builder: Builder,
    ) -> Encoder {
        Encoder {
            parked: builder.course().is_split(),
            closing: Closing::default(),
            renewal: false,
            messages: None,
            received_bytes: metrics::counter!("walferry_bytes_total",
                "connector" => config.name.clone(), "stage" => "session"),
            boundaries: None,
            cut: None,
            refused: status.parking.refused(),
            writer: RecordWriter::new(config.clone(), status.clone(), relations),
            config,
            status,
            builder,
            transaction: None,
            last_commit_lsn: None,
            recent: Recent::default(),
        }
    }

    /// Another configuration is in force from here on.
    pub(crate) fn reload(&mut self, config: Arc<Config>) {
        self.writer.reload(config.clone());
        self.config = config;
    }

    /// The transaction that the stream stands in: its id, and where it commits.
    pub(crate) fn open_transaction(&self) -> Option<(u32, Lsn)> {
        self.transaction.as_ref().map(|tx| (tx.xid, tx.commit_lsn))
    }

    /// Whether the stream stands inside a transaction.
    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// The relations, for the snapshot, which encodes rows of its own.
    pub(crate) fn relations(&mut self) -> &mut Relations {
        &mut self.writer.relations
    }

    /// Encodes one block of whole frames, and tells the observer what passes. `pause`: nothing more waits
    /// behind it.
    pub(crate) fn block(
        &mut self,
        bytes: &[u8],
        pause: bool,
        arrival: Arrival,
        observer: &mut impl Observer<Encoder>,
    ) -> Result<(), Error> {
        self.received_bytes.increment(bytes.len() as u64);
        self.builder.clock.begins(arrival);
        let mut rows = Rows::default();
        for frame in walferry_pgoutput::frames(bytes) {
            match frame.map_err(|error| self.malformed(Lsn::ZERO, &error))? {
                Frame::Keepalive(keepalive) => {
                    self.status.ledger.receive(keepalive.wal_end);
                    if keepalive.reply_requested {
                        self.closing.asked(arrival.taken.monotonic);
                    }
                    if self.transaction.is_none() {
                        let urgent = keepalive.reply_requested || self.is_waited_for();
                        self.builder.idle(keepalive.wal_end, urgent);
                        observer.boundary(self, keepalive.wal_end)?;
                    }
                }
                Frame::XLogData(data) => {
                    self.closing = Closing::default();
                    self.builder.clock.sent_us = data.sent_us;
                    let message = walferry_pgoutput::parse(data.body, false)
                        .map_err(|error| self.malformed(data.start, &error))?;
                    self.message(message, data.start, &mut rows, observer)?;
                    if self.builder.is_full() {
                        self.hand_over(false, observer)?;
                    }
                }
                Frame::Cut(cut) => {
                    let (at, body) = (cut.data.start, cut.data.body);
                    let message = walferry_pgoutput::parse(body, false)
                        .map_err(|error| self.malformed(at, &error))?;
                    self.cut = Some(cut.bytes);
                    let outcome = self.message(message, at, &mut rows, observer);
                    self.cut = None;
                    outcome?;
                }
            }
        }
        self.hand_over(pause, observer)?;
        self.builder.clock.ends();
        Ok(())
    }

    /// Whether somebody's commit waits for what we confirm, also of a transaction that nothing is published of.
    fn is_waited_for(&self) -> bool {
        self.status.synchronous.load(Ordering::Relaxed)
    }

    fn malformed(&self, at: Lsn, error: &walferry_pgoutput::Error) -> Error {
        Error::failed(
            Code::StreamUnreadable,
            format!(
                "the stream of slot {} cannot be read at {at}: {error}",
                self.config.source.slot
            ),
        )
    }

    /// Hands over what has been encoded, with a mark inside the transaction if one is open.
    pub(crate) fn seal(&mut self, pause: bool) -> Result<(), Error> {
        if let Some(tx) = &self.transaction
            && tx.ordinal > 0
        {
            let events = tx.events();
            self.builder
                .inside(tx.commit_lsn, tx.ordinal, tx.xid, events);
        }
        self.caught_up();
        self.writer.count_changes();
        self.builder.clock.waited(self.writer.relations.waited());
        // While publishing is held, a position alone can wait for what comes next: each would take a place of the queue.
        if self.builder.is_idle() && self.status.pausing.is_held() {
            return Ok(());
        }
        // While it waits for the publisher to take the block, the publisher's own pulse counts.
        self.status.pulse_ends(STAGE);
        let sealed = self.builder.seal(pause && self.transaction.is_none());
        self.status.pulse(STAGE, STUCK);
        sealed.map_err(|PublisherGone| Error::stopped())
    }

    fn message<'a>(
        &mut self,
        message: Message<'a>,
        at: Lsn,
        rows: &mut Rows<'a>,
        observer: &mut impl Observer<Encoder>,
    ) -> Result<(), Error> {
        match message {
            Message::Begin(begin) => {
                observer.before(self, begin.final_lsn)?;
                self.begin(begin.final_lsn, begin.commit_us, begin.xid)?;
            }
            Message::Commit(commit) => {
                self.status.ledger.receive(commit.end_lsn);
                self.tell_end()?;
                self.last_commit_lsn = Some(commit.end_lsn);
                self.writer.relations.ends();
                self.carry_keys(observer)?;
                if let Some(tx) = self.transaction.take() {
                    let position = Position {
                        commit_lsn: tx.commit_lsn,
                        end_lsn: commit.end_lsn,
                        ordinal: None,
                    };
                    self.builder.commit(position, tx.commit_us, tx.xid);
                    if self.is_waited_for() {
                        self.builder.urge();
                    }
                }
                observer.boundary(self, commit.end_lsn)?;
            }
            Message::Origin(origin) => {
                if let Some(tx) = &mut self.transaction {
                    tx.origin = Some((origin.name.to_owned(), origin.commit_lsn));
                }
            }
            Message::Relation(relation) => {
                let relation = relation.to_relation();
                observer.described(self, &relation)?;
                self.writer.relations.learn(relation);
            }
            Message::Type(_) => {}
            Message::Logical(message) if self.cut.is_some() => {
                self.cut_message(&message, at)?;
            }
            Message::Logical(message) => {
                self.logical(&message, at)?;
            }
            Message::Insert(insert) => {
                rows.fill(None, Some(insert.new));
                self.change(insert.relation, Change::Insert(&rows.new), at, observer)?;
            }
            Message::Update(update) => {
                let old = rows.fill(update.old, Some(update.new));
                self.change(
                    update.relation,
                    Change::Update(old(rows), &rows.new),
                    at,
                    observer,
                )?;
            }
            Message::Delete(delete) => {
                let old = rows.fill(Some(delete.old), None);
                if let Some(old) = old(rows) {
                    self.change(delete.relation, Change::Delete(old), at, observer)?;
                }
            }
            Message::Truncate(truncate) => self.truncate(truncate.relations(), at, observer)?,
            other => {
                return Err(Error::failed(
                    Code::StreamUnreadable,
                    format!(
                        "the server sent a {} message at {at}, which was not asked for",
                        other.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn begin(&mut self, commit_lsn: Lsn, commit_us: i64, xid: u32) -> Result<(), Error> {
        if let Err(gap) = self.builder.course().begin(commit_lsn) {
            let of = gap
                .table
                .map(|it| format!(" of table {it} (parked)"))
                .unwrap_or_default();
            return Err(Error::refused(
                Code::TransactionChanged,
                format!(
                    "the topics hold the first {} changes{of} of the transaction that commits at {}, but the server goes on \
                 with the one that commits at {commit_lsn}: the rest is lost; `walferry resync -c FILE` makes the topics agree \
                 with the tables again",
                    gap.position.ordinal.unwrap_or_default(),
                    gap.position.commit_lsn
                ),
            ));
        }
        self.recent.note(xid);
        // What came last may stand behind this transaction, when the stream is read again from an earlier place.
        let before = self.last_commit_lsn.or(self.builder.course().last_commit());
        self.last_commit_lsn = before.filter(|it| *it <= commit_lsn);
        self.writer.relations.begins(xid);
        let told = self.told(xid, commit_lsn);
        self.transaction = Some(Transaction {
            commit_lsn,
            commit_us,
            encoded_us: self.builder.clock.now_us,
            xid,
            ordinal: 0,
            origin: None,
            told,
            keys: None,
        });
        Ok(())
    }

    /// Counts a change of the open transaction. Whether it still has to be published.
    fn count(&mut self) -> bool {
        let handed = self.builder.course().position();
        match &mut self.transaction {
            Some(tx) => {
                tx.ordinal += 1;
                !handed.covers(tx.commit_lsn, tx.ordinal)
            }
            None => false,
        }
    }

    /// One TRUNCATE statement is one change, however many tables it names: it is published whole or not at all, but for
    /// tables that are parked.
    fn truncate(
        &mut self,
        relations: impl Iterator<Item = u32>,
        at: Lsn,
        observer: &mut impl Observer<Encoder>,
    ) -> Result<(), Error> {
        let due = self.count();
        let bookmark = Bookmark::of(self.builder.records());
        let split = self.builder.course().is_split();
        let told = self.transaction.as_ref().and_then(|tx| tx.told.clone());
        for relation in relations {
            self.touch(relation, &Change::Truncate, observer);
            if (due || split)
                && let Err(error) = self.publish(relation, Change::Truncate, at, due)
            {
                bookmark.restore(self.builder.records());
                if let Some(tx) = &mut self.transaction {
                    tx.told = told;
                }
                return Err(self.uncounted(error));
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        relation: u32,
        change: Change<'_>,
        at: Lsn,
        observer: &mut impl Observer<Encoder>,
    ) -> Result<(), Error> {
        self.touch(relation, &change, observer);
        let due = self.count();
        if due || self.builder.course().is_split() {
            self.publish(relation, change, at, due)
                .map_err(|error| self.uncounted(error))?;
        } else if self.writer.relations.defers_keys() || self.is_held_in_part() {
            // What has been published of the transaction decides about the rest.
            self.writer
                .relations
                .settle(relation, at, Urgency::MayPark)?;
            self.note_keys(relation, &change);
        }
        Ok(())
    }

    /// Whether the topics hold a part of the open transaction.
    fn is_held_in_part(&mut self) -> bool {
        let handed = self.builder.course().position();
        let open = self.transaction.as_ref();
        handed.ordinal.is_some() && open.is_some_and(|tx| tx.commit_lsn == handed.commit_lsn)
    }

    /// What becomes of the key that a row leaves by this change.
    fn note_keys(&mut self, oid: u32, change: &Change<'_>) -> Left {
        let (Some(tx), Some(Entry::Followed(plan))) =
            (&mut self.transaction, self.writer.relations.entry(oid))
        else {
            return Left::Free;
        };
        if !plan.deferred {
            return Left::Free;
        }
        let keys = tx.keys.get_or_insert_default();
        let left = keys.note(&plan.table, change);
        if left == Left::Unsure {
            self.status.findings.set(&plan.name, Lack::Incomplete, format!(
                "more keys changed in one transaction than are remembered, and no index of the table is unique after each \
                 change, so that a key may have been deleted that another row has taken; `walferry resync {} -c FILE` makes its topic \
                 agree", plan.name
            ));
        }
        left
    }

    /// The change that was counted last is not published: the mark of what comes before it must not cover it.
    fn uncounted(&mut self, error: Error) -> Error {
        if let Some(tx) = &mut self.transaction {
            tx.ordinal -= 1;
        }
        error
    }

    /// Publishes a change that is `due` for all tables or, while some are parked, for its own.
    fn publish(&mut self, oid: u32, change: Change<'_>, at: Lsn, due: bool) -> Result<(), Error> {
        let left = match self.writer.relations.may_defer(oid, at)? {
            true => self.note_keys(oid, &change),
            false => Left::Free,
        };
        if self.config.skipped_operations.contains(&change.operation()) {
            return Ok(());
        }
        let Some(tx) = &self.transaction else {
            return Err(Error::failed(
                Code::StreamUnreadable,
                format!("a change came outside a transaction at {at}"),
            ));
        };
        if self.builder.course().is_split()
            && let Some(table) = self.writer.relations.name(oid)
            && !self
                .builder
                .course()
                .is_due(&table, tx.commit_lsn, tx.ordinal)
        {
            return Ok(());
        }
        let (commit_lsn, ordinal) = (tx.commit_lsn, tx.ordinal);
        if self.parks_again(oid, commit_lsn, ordinal) {
            return Ok(());
        }
        let parked = self.tell(due, |encoder, told| {
            encoder.written(oid, change, at, left, told)
        })?;
        if let Some((table, obstacle)) = parked {
            self.park(&table, obstacle, commit_lsn, ordinal);
        }
        Ok(())
    }

    fn written(
        &mut self,
        oid: u32,
        change: Change<'_>,
        at: Lsn,
        left: Left,
        told: Option<&mut Told>,
    ) -> Result<Option<(Arc<str>, Obstacle)>, Error> {
        let Some(tx) = &self.transaction else {
            return Ok(None);
        };
        let put = Put {
            change,
            origin: &tx.origin(at, self.last_commit_lsn),
            told,
            left,
            cut: self.cut,
        };
        self.writer.publish(self.builder.records(), oid, put)
    }
}
