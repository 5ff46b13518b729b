//! A table without a key that is read anew: its topic is ended by a truncate, and all of its rows are read again.
//!
//! Owns the place of the truncate. It has to stand in the stream at the very moment whose rows are read: the consistent point of a
//! slot that is created for it and let go at once. While that is asked for, the stream goes on, and is followed for changes of
//! the table. One from behind the place would be ended by the truncate and not be read, so then another place is asked
//! for; when that has happened a few times, the stream waits for the place.
//! Invariant: no change of the table from behind the place is in its topic before the truncate, and none from before it comes after.
//! Start reading at `Engine::ask_place`.

use std::time::Duration;

use tokio::time;
use walferry_event::Lsn;

use crate::{
    encode::Encoder,
    error::Error,
    snapshot::{
        engine::{
            Engine,
            sweeping::origin,
            topic_end::{Anew, Place},
        },
        mailbox::Event,
        shape::Described,
    },
};

/// Places that may be missed before the stream waits for one.
const MISSED_MAX: u32 = 3;
/// How long the stream waits for a place.
const WAIT_MAX: Duration = Duration::from_secs(3);

impl Engine {
    /// Asks for a place at which the topic of a table can be ended, if none is asked for.
    pub(super) fn ask_place(&mut self, job: usize, table: &Described) {
        let anew = self.anew.entry(job).or_insert(Anew {
            oid: table.oid,
            touched: Lsn::ZERO,
            place: Place::Wanted,
            missed: 0,
        });
        if !matches!(anew.place, Place::Wanted) {
            return;
        }
        anew.place = Place::Asked;
        let sessions = self.sessions.clone();
        if anew.missed >= MISSED_MAX {
            let asking = async { time::timeout(WAIT_MAX, sessions.base()).await };
            match self.runtime.block_on(asking) {
                Ok(place) => self.place_is(job, place),
                Err(_) => self.no_place(
                    job,
                    "transactions that are running have to end before its rows can be told from the stream's",
                    "timeout",
                ),
            }
            return;
        }
        let (events, pause) = (self.events.clone(), self.pause());
        self.runtime.spawn(async move {
            time::sleep(pause).await;
            let _ = events.send(Event::Place(job, sessions.base().await));
        });
    }

    /// A place is known, or there is none.
    pub(super) fn place_is(
        &mut self,
        job: usize,
        place: Result<(String, Lsn), walferry_postgres::Error>,
    ) {
        match place {
            Ok((base, at)) => {
                if let Some(anew) = self.anew.get_mut(&job) {
                    anew.place = Place::Known(base, at);
                }
            }
            Err(error) => self.no_place(job, &error.to_string(), error.kind()),
        }
    }

    fn no_place(&mut self, job: usize, reason: &str, kind: &'static str) {
        if let Some(anew) = self.anew.get_mut(&job) {
            anew.place = Place::Wanted;
            self.hold_back(job, reason, kind);
        }
    }

    /// The stream brings a change of a table, of the transaction that commits there.
    pub(super) fn touch_anew(&mut self, oid: u32, commit_lsn: Lsn) {
        for anew in self.anew.values_mut().filter(|anew| anew.oid == oid) {
            anew.touched = anew.touched.max(commit_lsn);
        }
    }

    /// A transaction begins that commits there: the stream has brought all that commits before.
    pub(crate) fn stream_brings(
        &mut self,
        encoder: &mut Encoder,
        commit_lsn: Lsn,
    ) -> Result<(), Error> {
        match self.anew.is_empty() {
            true => Ok(()),
            false => self.end_topics(encoder, commit_lsn),
        }
    }

    /// Ends the topics whose place the stream has come to: it has brought everything from before `at`.
    pub(super) fn end_topics(&mut self, encoder: &mut Encoder, at: Lsn) -> Result<(), Error> {
        let passed = |anew: &Anew| matches!(anew.place, Place::Known(_, place) if at >= place);
        let reached = self.anew.iter().filter(|(_, anew)| passed(anew));
        let jobs: Vec<usize> = reached.map(|(&job, _)| job).collect();
        for job in jobs {
            self.end_topic(encoder, job)?;
        }
        Ok(())
    }

    fn end_topic(&mut self, encoder: &mut Encoder, job: usize) -> Result<(), Error> {
        let name = self.progress.tables[job].shown.name.clone();
        let Some(anew) = self.anew.get_mut(&job) else {
            return Ok(());
        };
        let Place::Known(base, place) = std::mem::replace(&mut anew.place, Place::Wanted) else {
            return Ok(());
        };
        // Of a table that is parked, or of a transaction that is in the topics in part, the place is missed as well.
        let course = encoder.builder.course();
        let part = course.has(&name) || course.position().ordinal.is_some();
        if anew.touched >= place || part {
            anew.missed += 1;
            tracing::info!(
                table = name,
                missed = anew.missed,
                "the stream has passed the place at which the topic was to be ended: another is asked for"
            );
            self.described.remove(&job);
            return Ok(());
        }
        let Some(Some(table)) = self.described.get(&job) else {
            return Ok(());
        };
        // Just before the place, where no change stands.
        let before = Lsn(place.0.saturating_sub(1));
        encoder.truncate_topic(&table.relation, &origin(before))?;
        tracing::info!(target: "audit", table = name, lsn = %place, "a truncate ends what its topic holds");
        self.anew.remove(&job);
        let table = &mut self.progress.tables[job];
        (table.truncate, table.base) = (false, Some(base));
        self.mark(encoder)
    }
}
