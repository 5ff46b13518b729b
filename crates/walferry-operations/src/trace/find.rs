//! Finds the records of a transaction in topics, by halving.
//!
//! Owns the search. In a partition the end of the transaction before (`source.sequence`) never falls, so a transaction that is known by it is
//! found for certain. A transaction id only grows nearly so: it is looked for around where it would stand if it did, in steps that grow; once
//! it is found in one partition, the others are searched for certain. So is what has an LSN: its commit comes behind it, by as much as its
//! transaction was long.
//! Start reading at `Finder::xid`.

use std::collections::BTreeMap;

use walferry_avro::RecordEnvelope;
use walferry_event::{Lsn, Position};
use walferry_kafka::Seeker;

use crate::trace::values::Values;
use walferry_pipeline::error::Error;

/// Records that are read around where something is likely, at first; each step reads so many times as much.
const AROUND: usize = 200;
const STEP: usize = 16;
/// A part as small is read and not halved.
const SMALL: i64 = 64;
/// Records without a transaction that are passed over where one is looked at.
const PASSED_OVER_MAX: usize = 500;
/// A commit record, as most are; one of a transaction that has changed the catalog is longer.
const COMMIT_BYTES: u64 = 256;
const COMMIT_BYTES_MAX: u64 = 8 << 10;

/// A record of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The number of its partition among the seeker's places.
    pub(crate) place: usize,
    pub(crate) offset: i64,
    pub(crate) sent_ms: Option<i64>,
    pub(crate) change: RecordEnvelope,
}

impl Found {
    fn xid(&self) -> u32 {
        self.change.xid.unwrap_or_default()
    }

    fn lsn(&self) -> u64 {
        self.change.lsn.unwrap_or_default()
    }

    /// Where the transaction before it ended.
    fn before(&self) -> u64 {
        self.change.last_commit_lsn.unwrap_or_default()
    }
}

/// A transaction's records.
#[derive(Clone, Debug)]
pub(crate) struct FoundTransaction {
    pub(crate) xid: u32,
    /// By topic and partition.
    pub(crate) records: BTreeMap<(String, i32), Vec<Found>>,
}

/// Searches the places of a seeker.
pub(super) struct Finder<'a> {
    seeker: &'a mut Seeker,
    pub(super) values: &'a mut Values,
    pub(super) records_max: usize,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        seeker: &'a mut Seeker,
        values: &'a mut Values,
        records_max: usize,
    ) -> Finder<'a> {
        Finder {
            seeker,
            values,
            records_max,
        }
    }

    /// The transaction of an id.
    pub(super) fn xid(&mut self, xid: u32) -> Result<Vec<FoundTransaction>, Error> {
        // Ids are compared around their wrap.
        let centres = self.halve(|it| it.xid().wrapping_sub(xid).cast_signed() >= 0)?;
        self.around(&centres, |it| it.xid() == xid)
    }

    /// The transaction of which a change, the commit or its end has this LSN.
    pub(super) fn lsn(
        &mut self,
        lsn: Lsn,
        held: Option<Position>,
    ) -> Result<Vec<FoundTransaction>, Error> {
        let centres = self.halve(|it| it.before() >= lsn.0)?;
        let near = self.read(&centres, 2 * AROUND)?;
        if let Some(exact) = near.iter().find(|it| it.lsn() == lsn.0) {
            return self.whole(exact);
        }
        // The end of a transaction is what the next record names.
        let before = near.iter().filter(|it| it.before() < lsn.0);
        let last = before.max_by_key(|it| (it.before(), it.lsn()));
        let next = near.iter().map(Found::before).filter(|it| *it >= lsn.0);
        let last_end = held.map(|it| it.end_lsn.0).filter(|it| *it >= lsn.0);
        let end = next.min().or(last_end);
        let committed = last.zip(end).filter(|(last, _)| {
            let own = |it: &&Found| it.xid() == last.xid();
            near.iter().filter(own).all(|it| it.lsn() < lsn.0)
        });
        let within = |bytes| committed.filter(|(_, end)| end - lsn.0 <= bytes);
        if let Some((last, _)) = within(COMMIT_BYTES) {
            return self.whole(last);
        }
        let found = self.around(&centres, |it| it.lsn() == lsn.0)?;
        match within(COMMIT_BYTES_MAX) {
            Some((last, _)) if found.is_empty() => self.whole(last),
            _ => Ok(found),
        }
    }

    /// For each place the offset of the first change of which this is true, if it turns true once.
    fn halve(&mut self, is_behind: impl Fn(&Found) -> bool) -> Result<Vec<(usize, i64)>, Error> {
        let places = self.seeker.places().iter();
        let mut ranges: Vec<(i64, i64)> = places.map(|it| (it.first, it.end)).collect();
        loop {
            let middle = |(low, high): &(i64, i64)| low + (high - low) / 2;
            let open = ranges
                .iter()
                .enumerate()
                .filter(|(_, it)| it.1 - it.0 > SMALL);
            let probes: Vec<(usize, i64)> = open.map(|(at, it)| (at, middle(it))).collect();
            if probes.is_empty() {
                return Ok(ranges.iter().map(|it| it.0).enumerate().collect());
            }
            let mut seen: Vec<Option<Found>> = vec![None; ranges.len()];
            let mut passed = vec![0; ranges.len()];
            self.scan(&probes, |found, at| {
                seen[at] = found;
                passed[at] += 1;
                found.is_none() && passed[at] < PASSED_OVER_MAX
            })?;
            for (at, probe) in probes {
                let range = &mut ranges[at];
                match seen[at] {
                    Some(found) if is_behind(&found) => range.1 = probe,
                    // Behind the last change there is nothing to look for.
                    None if passed[at] < PASSED_OVER_MAX => range.1 = probe,
                    _ => range.0 = probe,
                }
            }
        }
    }

    /// The transaction of the first record near the places of which this is true, in steps that grow.
    fn around(
        &mut self,
        centres: &[(usize, i64)],
        is_it: impl Fn(&Found) -> bool,
    ) -> Result<Vec<FoundTransaction>, Error> {
        let mut records = AROUND;
        loop {
            let near = self.read(centres, records)?;
            if let Some(found) = near.iter().find(|it| is_it(it)) {
                return self.whole(found);
            }
            if records >= self.records_max {
                return Ok(Vec::new());
            }
            records = (records * STEP).min(self.records_max);
        }
    }

    /// All records of the transaction that one is of.
    fn whole(&mut self, one: &Found) -> Result<Vec<FoundTransaction>, Error> {
        let (xid, before) = (one.xid(), one.before());
        let mut from = self.halve(|it| it.before() >= before)?;
        for (_, offset) in &mut from {
            *offset -= AROUND as i64;
        }
        let mut behind = vec![0; from.len()];
        let mut records = Vec::new();
        self.scan(&from, |found, at| {
            match found {
                Some(found) if found.xid() == xid => {
                    records.push(found);
                    behind[at] = 0;
                }
                Some(found) if found.before() > before => behind[at] += 1,
                _ => {}
            }
            behind[at] < AROUND
        })?;
        Ok(vec![self.transaction(xid, records)])
    }

    /// As found records say it.
    pub(super) fn transaction(&self, xid: u32, records: Vec<Found>) -> FoundTransaction {
        let mut all: BTreeMap<(String, i32), Vec<Found>> = BTreeMap::new();
        for found in records {
            let place = &self.seeker.places()[found.place];
            let key = (place.topic.clone(), place.partition);
            all.entry(key).or_default().push(found);
        }
        FoundTransaction { xid, records: all }
    }

    /// The changes from so many records before each place to as many behind.
    fn read(&mut self, centres: &[(usize, i64)], records: usize) -> Result<Vec<Found>, Error> {
        let half = i64::try_from(records).unwrap_or(i64::MAX);
        let from: Vec<_> = centres.iter().map(|(at, it)| (*at, it - half)).collect();
        let mut left = vec![2 * records + SMALL as usize; self.seeker.places().len()];
        let mut all = Vec::new();
        self.scan(&from, |found, at| {
            all.extend(found);
            left[at] -= 1;
            left[at] > 0
        })?;
        Ok(all)
    }

    /// Gives each record from these places on, as the change that it is, until `each` has enough of a place.
    fn scan(
        &mut self,
        from: &[(usize, i64)],
        mut each: impl FnMut(Option<Found>, usize) -> bool,
    ) -> Result<(), Error> {
        let values = &mut *self.values;
        self.seeker.read::<Error>(from, |place, record| {
            let change = values.change(record.value)?;
            let found = change.map(|change| Found {
                place,
                offset: record.offset,
                sent_ms: record.sent_ms,
                change,
            });
            Ok(each(found, place))
        })
    }

    /// Gives key and change of each record from so many before the end of each place.
    pub(super) fn ends(
        &mut self,
        records: usize,
        mut each: impl FnMut(&mut Values, Option<&[u8]>, Found) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let back = i64::try_from(records).unwrap_or(i64::MAX);
        let places = self.seeker.places().iter().enumerate();
        let from: Vec<_> = places
            .map(|(at, it)| (at, it.end.saturating_sub(back)))
            .collect();
        let values = &mut *self.values;
        self.seeker.read::<Error>(&from, |place, record| {
            if let Some(change) = values.change(record.value)? {
                let found = Found {
                    place,
                    offset: record.offset,
                    sent_ms: record.sent_ms,
                    change,
                };
                each(values, record.key, found)?;
            }
            Ok(true)
        })
    }
}
