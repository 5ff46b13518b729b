//! An observer that writes down what it is told, and looks at how far the encoder is at each call.
//!
//! Owns `Witness` and `calls_in`, which says from the bytes alone what an observer has to be told. The contract is that of
//! `Observer`: the order of the calls is the order of the stream.
//! Invariant: a call that comes too early or too late for what the encoder does with the same message fails at once.

use std::{collections::HashMap, sync::Arc};

use walferry_event::{Lsn, Relation};
use walferry_pgoutput::{Frame, Message};

use crate::{
    encode::{Encoder, change_records::Change, observer::Observer, tests::answers::Asked},
    error::Error,
    position::snapshot_progress::Progress,
};

/// One call, without what hangs on the server that sent the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Before(Lsn),
    Described(u32, Vec<String>),
    Touch(u32, char, u32, Lsn),
    Mark,
    Boundary(Lsn),
    /// No call: a server was asked.
    Asked(String),
}

pub(super) struct Witness {
    asked: Asked,
    pub(super) calls: Vec<Call>,
    /// What was described last.
    versions: HashMap<u32, Relation>,
    marks: u64,
}

impl Witness {
    /// Notes what these servers are asked between the calls.
    pub(super) fn beside(asked: Asked) -> Witness {
        Witness {
            asked,
            calls: Vec::new(),
            versions: HashMap::new(),
            marks: 0,
        }
    }

    /// The calls that follow from the stream alone.
    pub(super) fn of_the_stream(&self) -> Vec<Call> {
        let calls = self.calls.iter().cloned();
        calls
            .filter(|it| !matches!(it, Call::Mark | Call::Asked(_)))
            .collect()
    }

    fn note(&mut self, call: Call) {
        self.note_asked();
        self.calls.push(call);
    }

    /// What was asked since the last call.
    pub(super) fn note_asked(&mut self) {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        self.calls.extend(asked.into_iter().map(Call::Asked));
    }

    fn name(&self, oid: &u32) -> String {
        self.versions[oid].qualified_name()
    }

    pub(super) fn text(&self, call: &Call) -> String {
        match call {
            Call::Before(commit) => format!("before {commit}"),
            Call::Described(oid, columns) => {
                format!("described {} ({})", self.name(oid), columns.join(" "))
            }
            Call::Touch(oid, operation, xid, commit) => {
                format!(
                    "touch {} {operation} xid {xid} commit {commit}",
                    self.name(oid)
                )
            }
            Call::Mark => "mark".to_owned(),
            Call::Asked(what) => format!("  asks {what}"),
            Call::Boundary(at) => format!("boundary {at}"),
        }
    }
}

impl Observer<Encoder> for Witness {
    fn before(&mut self, encoder: &mut Encoder, commit_lsn: Lsn) -> Result<(), Error> {
        assert!(!encoder.in_transaction(), "before: it has begun");
        self.note(Call::Before(commit_lsn));
        Ok(())
    }

    fn described(&mut self, encoder: &mut Encoder, relation: &Relation) -> Result<(), Error> {
        // The server repeats itself now and then.
        let before = self.versions.insert(relation.oid, relation.clone());
        let news = before.as_ref() != Some(relation);
        let known = encoder.relations().follows(relation);
        assert!(!(news && known), "described: it is in use already");
        let columns = relation.columns.iter().map(|it| it.name.clone());
        self.note(Call::Described(relation.oid, columns.collect()));
        Ok(())
    }

    fn touch(
        &mut self,
        relation: u32,
        change: &Change<'_>,
        xid: u32,
        commit_lsn: Lsn,
    ) -> Option<Arc<Progress>> {
        let operation = change.operation().code().chars().next()?;
        self.note(Call::Touch(relation, operation, xid, commit_lsn));
        None
    }

    fn mark(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        assert!(encoder.in_transaction(), "mark: nothing is open");
        assert!(!encoder.relations().keys.take_news().is_empty());
        self.marks += 1;
        encoder.builder.carry(Arc::new(Progress {
            serial: self.marks,
            ..Progress::default()
        }));
        self.note(Call::Mark);
        Ok(())
    }

    fn boundary(&mut self, encoder: &mut Encoder, at: Lsn) -> Result<(), Error> {
        assert!(!encoder.in_transaction(), "boundary: a transaction is open");
        let ends = self.calls.iter().rev().find_map(|it| match it {
            Call::Before(commit) => Some(*commit),
            _ => None,
        });
        let held = encoder.builder.course().position();
        let covers = ends.is_none_or(|commit| held.covers(commit, u64::MAX));
        assert!(covers, "boundary: what it ends has no mark yet");
        assert!(
            held.end_lsn >= at,
            "boundary: the position is not there yet"
        );
        self.note(Call::Boundary(at));
        Ok(())
    }
}

/// What an observer has to be told of these bytes.
pub(super) fn calls_in(bytes: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open = None;
    for frame in walferry_pgoutput::frames(bytes) {
        let data = match frame.unwrap() {
            Frame::XLogData(data) => data,
            Frame::Keepalive(it) if open.is_none() => {
                calls.push(Call::Boundary(it.wal_end));
                continue;
            }
            Frame::Keepalive(_) | Frame::Cut(_) => continue,
        };
        let touch = |oid, operation| {
            let (xid, commit) = open.unwrap();
            Call::Touch(oid, operation, xid, commit)
        };
        match walferry_pgoutput::parse(data.body, false).unwrap() {
            Message::Begin(it) => {
                open = Some((it.xid, it.final_lsn));
                calls.push(Call::Before(it.final_lsn));
            }
            Message::Relation(it) => {
                let columns = it.to_relation().columns.into_iter().map(|it| it.name);
                calls.push(Call::Described(it.oid, columns.collect()));
            }
            Message::Insert(it) => calls.push(touch(it.relation, 'c')),
            Message::Update(it) => calls.push(touch(it.relation, 'u')),
            Message::Delete(it) => calls.push(touch(it.relation, 'd')),
            Message::Truncate(it) => calls.extend(it.relations().map(|oid| touch(oid, 't'))),
            Message::Commit(it) => {
                open = None;
                calls.push(Call::Boundary(it.end_lsn));
            }
            _ => {}
        }
    }
    calls
}
