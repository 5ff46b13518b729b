//! What the open transaction holds, kept until its outcome is known.
//!
//! Owns the blocks that were sent, the records among them that a broker refused, and what went instead.
//! Invariant: sent again, it yields the same records in the same places.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use crate::{
    Error, OwnedRecord, RecordBlock, Refusal, Verdict,
    error::Kind,
    transactions::{Fault, Grouping, Transactions},
};

/// What the open transaction holds.
pub(super) struct Batch {
    /// The client's transaction is begun.
    pub(super) open: bool,
    /// Records that were handed to the client.
    sent: usize,
    /// The part that is being sent, and the place of its first record.
    part: usize,
    part_first: usize,
    /// How they are sent.
    pub(super) grouping: Grouping,
    parts: Vec<(Arc<RecordBlock>, Range<usize>)>,
    /// Records that were refused, by their place, and what is sent instead.
    exceptions: BTreeMap<usize, Option<OwnedRecord>>,
    /// How often the change whose first record has this place was refused.
    asked: HashMap<usize, u32>,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch {
            open: false,
            sent: 0,
            part: 0,
            part_first: 0,
            grouping: Grouping::Full,
            parts: Vec::new(),
            exceptions: BTreeMap::new(),
            asked: HashMap::new(),
        }
    }

    /// Adds records. Those that follow on the ones before in the same block need no part of their own, so that many small
    /// transactions cost no more than a large one.
    pub(super) fn push(&mut self, block: &Arc<RecordBlock>, records: Range<usize>) {
        match self.parts.last_mut() {
            Some((last, held)) if Arc::ptr_eq(last, block) && held.end == records.start => {
                held.end = records.end;
            }
            _ => self.parts.push((block.clone(), records)),
        }
    }

    /// From now on nothing of it counts as sent.
    pub(super) fn rewind(&mut self) {
        self.open = false;
        self.sent = 0;
        self.part = 0;
        self.part_first = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sends what has not been sent yet.
    pub(super) fn send(&mut self, client: &mut impl Transactions) -> Result<(), Fault> {
        while let Some((block, records)) = self.parts.get(self.part) {
            let mut rest = records.start + (self.sent - self.part_first)..records.end;
            while !rest.is_empty() {
                let first = self.sent;
                if let Some(instead) = self.exceptions.get(&first) {
                    if let Some(other) = instead {
                        client.send_one(&other.as_ref(), first)?;
                    }
                    rest.start += 1;
                    self.sent += 1;
                    continue;
                }
                let next = self.exceptions.range(first..).next();
                let own = next.map_or(rest.len(), |(next, _)| rest.len().min(next - first));
                client.send(block, rest.start..rest.start + own, first)?;
                rest.start += own;
                self.sent += own;
            }
            // The last part may still grow.
            if self.part + 1 == self.parts.len() {
                break;
            }
            self.part += 1;
            self.part_first = self.sent;
        }
        Ok(())
    }

    /// How many records each topic gets of it.
    pub(super) fn records(&self) -> Vec<(Arc<str>, u64)> {
        let mut counts: Vec<(Arc<str>, u64)> = Vec::new();
        let mut count = |topic: &Arc<str>, records| {
            match counts.iter_mut().find(|it| it.0 == *topic) {
                Some(known) => known.1 += records,
                None => counts.push((topic.clone(), records)),
            };
        };
        let mut exceptions = self.exceptions.iter().peekable();
        let mut first = 0;
        for (block, records) in &self.parts {
            let mut from = records.start;
            while let Some((sequence, other)) =
                exceptions.next_if(|it| *it.0 < first + records.len())
            {
                let index = records.start + (sequence - first);
                block.count(from..index, &mut count);
                if let Some(other) = other {
                    count(&other.topic, 1);
                }
                from = index + 1;
            }
            block.count(from..records.end, &mut count);
            first += records.len();
        }
        counts
    }

    /// Does what was said of the record at a place that was refused, and of those that stand with it.
    pub(super) fn except(&mut self, sequence: usize, refusal: &Refusal) -> Result<(), Error> {
        let mut at = sequence;
        let place = self.parts.iter().find_map(|(block, records)| {
            if at < records.len() {
                return Some((block.clone(), records.start + at));
            }
            at -= records.len();
            None
        });
        let ends = |text| Error::new(Kind::of_refusal(refusal), text);
        let Some((block, index)) = place else {
            let reason = &refusal.reason;
            return Err(ends(format!("the checkpoint record is refused: {reason}")));
        };
        let Some(watched) = block.watched(index) else {
            return Err(Error::refused(refusal.clone()));
        };
        // What stands together stands in one part, because a batch ends behind whole changes only.
        let first = sequence - (index - watched.records.start);
        let asked = self.asked.entry(first).or_default();
        let instead = match (watched.judge)(refusal, *asked) {
            Verdict::Stop(text) => return Err(ends(text)),
            Verdict::Restart(text) => return Err(Error::new(Kind::Diverged, text)),
            Verdict::Skip => None,
            Verdict::Replace(other) => Some(other),
        };
        *asked += 1;
        let all = first..first + watched.records.len();
        self.exceptions.extend(all.map(|sequence| (sequence, None)));
        self.exceptions.insert(first, instead);
        Ok(())
    }
}
