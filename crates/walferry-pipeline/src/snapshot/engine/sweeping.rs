//! The sweeps of a resync: begun when a table's rows have been read, judged when the stream has passed them, given in slices.
//!
//! Owns the moments. Never: finds a candidate (`sweep` does). What has to end a topic before anything else is said here too.
//! Invariants: deletes are given only outside a transaction; the cursor says that a table is swept only behind its last delete.

use walferry_event::{Code, Lsn, Origin, RowRange, SnapshotMark};

use crate::{
    clock::now_us,
    encode::{
        Encoder,
        relations::{Entry, urgency::Urgency},
    },
    error::Error,
    snapshot::{
        chunk::Order,
        engine::{Engine, opening},
        goal::goal,
        mailbox::Event,
        shape::{Described, describe},
        sweep::{
            Sweep,
            search::{self, Search},
        },
    },
};

/// Deletes that are given before the stream goes on.
const SLICE: usize = 10_000;

impl Engine {
    /// Looks for what is gone from a table whose rows have been read, when the stream has brought all that was written to its
    /// topic's name before: by the table before its partitions were emptied, or by an earlier table. What came later would be
    /// taken for rows that the table has.
    pub(super) fn begin_sweep(
        &mut self,
        encoder: &mut Encoder,
        job: usize,
        table: &Described,
    ) -> Result<(), Error> {
        let reads = self.windows.iter().any(|open| open.job == job);
        let behind = self.stream_at < goal(table.wal_insert);
        if reads || behind || self.sweeps.iter().any(|it| it.job == job) {
            return Ok(());
        }
        if !encoder.relations().follows(&table.relation) {
            encoder.relations().learn(table.relation.clone());
        }
        let at = encoder.builder.course().position().end_lsn;
        encoder.relations().settle(table.oid, at, Urgency::Waits)?;
        let plan = match encoder.relations().entry(table.oid) {
            Some(Entry::Followed(plan)) if plan.encode.key_schema().is_some() => {
                Some((plan.encode.clone(), plan.topic.clone()))
            }
            _ => None,
        };
        let Some((keys, topic)) = plan else {
            self.progress.tables[job].sweep = false;
            self.progress.tables[job].settle();
            return self.mark(encoder);
        };
        // When this mark is committed, the topic has all that was streamed or given up to here.
        self.mark(encoder)?;
        let id = self.next_id;
        self.next_id += 1;
        let order = Order {
            table: table.oid,
            range: RowRange::default(),
            rows_max: self.config.now().snapshot.chunk_rows,
            bytes_max: 0,
            condition: None,
            base: None,
            contents: self.progress.tables[job].contents.clone(),
            streamed: encoder.recent.before(),
            added_at: None,
        };
        let relation = table.relation.clone();
        tracing::info!(target: "audit", table = relation.qualified_name(), topic = &*topic,
            "looking for keys that the topic has and the table has no more");
        let sweep = Sweep::new(id, job, table.oid, relation.clone(), keys.clone());
        self.sweeps.push(sweep);
        let search = Search {
            config: self.config.now(),
            status: self.status.clone(),
            sessions: self.sessions.clone(),
            registry: self.registry.clone(),
            events: self.events.clone(),
            relation,
            keys,
            topic,
            order,
            flushed: self.progress.serial,
        };
        self.search(id, search);
        Ok(())
    }

    fn search(&self, id: u64, search: Search<Event>) {
        let (events, sessions) = (self.events.clone(), self.sessions.clone());
        let (status, pause) = (self.status.clone(), self.pause());
        self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            let found = search.run().await;
            let passed = match &found {
                Ok(Some(found)) => Some(goal(found.wal_insert)),
                _ => None,
            };
            let told = events.send(Event::Searched(id, Box::new(found)));
            if let (Ok(()), Some(passed)) = (told, passed) {
                opening::follow(&sessions, &status, &events, passed).await;
            }
        });
    }

    /// What a search has come to.
    pub(super) fn searched(
        &mut self,
        id: u64,
        found: Result<Option<search::Found>, Error>,
    ) -> Result<(), Error> {
        let Some(i) = self.sweeps.iter().position(|it| it.id == id) else {
            return Ok(());
        };
        match found {
            Ok(Some(found)) => {
                self.retry.reset();
                self.was_read(self.sweeps[i].job);
                self.sweeps[i].found(found);
            }
            Ok(None) => self.sweeps[i].give_up(),
            Err(error) if error.is_away() => {
                let _ = self.retry.failed(false);
                tracing::warn!(%error, "a table's keys are looked for again");
                self.status.count_retries("snapshot", 1);
                self.sweeps.swap_remove(i);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the deletes that may be given now.
    pub(super) fn sweep(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        let mut waiting = Vec::new();
        for mut sweep in std::mem::take(&mut self.sweeps) {
            let name = sweep.relation.qualified_name();
            // A table that is parked, or catches up, is not where the stream is.
            if sweep.is_void() || encoder.builder.course().has(&name) {
                tracing::info!(
                    table = name,
                    "the table has changed: its keys are looked for again"
                );
                self.described.remove(&sweep.job);
                continue;
            }
            let due = sweep
                .judged_from()
                .is_some_and(|lsn| self.stream_at >= goal(lsn));
            if !due || !self.give_deletes(encoder, &mut sweep)? {
                waiting.push(sweep);
            }
        }
        self.sweeps.append(&mut waiting);
        Ok(())
    }

    /// Gives a slice of deletes. Whether it was the last.
    fn give_deletes(&mut self, encoder: &mut Encoder, sweep: &mut Sweep) -> Result<bool, Error> {
        let Sweep { oid, job, .. } = *sweep;
        let at = encoder.builder.course().position().end_lsn;
        if !encoder.relations().follows(&sweep.relation) {
            encoder.relations().learn(sweep.relation.clone());
        }
        encoder.relations().settle(oid, at, Urgency::Waits)?;
        let Some(own) = encoder.key_reader(oid)? else {
            sweep.give_up();
            return Ok(false);
        };
        // Known before the first of the deletes is, which a crash does not repeat.
        self.progress.tables[job].retell |= sweep.meets_another_form(&own);
        let sorting = |error| {
            Error::failed(
                Code::TemporaryDisk,
                format!("reading back sorted keys: {error}"),
            )
        };
        let mut ended = false;
        for _ in 0..SLICE {
            let Some(gone) = sweep.next().map_err(sorting)? else {
                ended = true;
                break;
            };
            let Some(written) = sweep.reader(gone.schema_id) else {
                continue; // Every candidate's schema was read with it.
            };
            encoder.delete_key(oid, &gone, written, &own, &origin(at))?;
            self.progress.tables[job].shown.deletes += 1;
            if encoder.builder.is_full() {
                self.mark(encoder)?;
            }
        }
        if ended {
            let table = &mut self.progress.tables[job];
            table.sweep = false;
            if std::mem::take(&mut table.retell) {
                tracing::info!(target: "audit", table = table.shown.name,
                    "keys of the topic had another form than the table's have now: its rows are told again behind their deletes");
                table.begin_again(at);
            }
            table.settle();
        } else if !std::mem::replace(&mut self.going_on, true) {
            let _ = self.events.send(Event::GoOn);
        }
        self.mark(encoder)?;
        Ok(ended)
    }

    /// Ends the topics of tables without a key, before the stream brings anything: what it brings from here on, and the rows
    /// that the slot's own snapshot sees, are all that there is.
    pub(super) fn truncate(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        let due: Vec<usize> = (0..self.progress.tables.len())
            .filter(|&job| {
                // One without a base is read anew, and ended at another place.
                let table = &self.progress.tables[job];
                table.truncate && table.base.is_some()
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let lsn = encoder.builder.course().position().end_lsn;
        for job in due {
            let name = self.progress.tables[job].shown.name.clone();
            let described = self
                .runtime
                .block_on(describe(&self.sessions, &name, false, true))?;
            if let Some(table) = described {
                // Just before the slot's consistent point, where no change stands.
                let before = Lsn(lsn.0.saturating_sub(1));
                encoder.truncate_topic(&table.relation, &origin(before))?;
                tracing::info!(target: "audit", table = name, "a truncate ends what its topic holds");
            }
            self.progress.tables[job].truncate = false;
        }
        self.mark(encoder)
    }
}

pub(super) fn origin(lsn: Lsn) -> Origin<'static> {
    let now = now_us();
    Origin {
        commit_us: now,
        encoded_us: now,
        lsn,
        snapshot: SnapshotMark::Incremental,
        ..Origin::default()
    }
}
