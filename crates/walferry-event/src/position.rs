//! Where we are in PostgreSQL's log.
//!
//! Owns [`Lsn`] and [`Position`]. A position names a transaction by the LSN of its commit record and, when only part of
//! it is meant, the ordinal of the last change inside it.
//! Invariant: positions of one slot only grow.
//! Source: PostgreSQL documentation, "Write-Ahead Log Internals" and "Logical Streaming Replication Protocol".

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A byte position in the write-ahead log, written `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The invalid LSN, before any log.
    pub const ZERO: Lsn = Lsn(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The text is not two hexadecimal halves of at most eight digits around a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseLsnError(String);

impl fmt::Display for ParseLsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an LSN, which looks like 16/B374D848",
            self.0
        )
    }
}

impl std::error::Error for ParseLsnError {}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let half = |digits: &str| {
            (1..=8)
                .contains(&digits.len())
                .then(|| u64::from_str_radix(digits, 16).ok())
                .flatten()
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Lsn(half(high)? << 32 | half(low)?)))
            .ok_or_else(|| ParseLsnError(text.to_owned()))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What has been reached: everything up to and including one change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The commit LSN (start of the commit record) of the last transaction that is held, whole or in part.
    pub commit_lsn: Lsn,
    /// Where the stream goes on: the end LSN of the last transaction that is held whole, or a later LSN up to which
    /// an idle stream has been seen. This is what may be confirmed to the slot.
    pub end_lsn: Lsn,
    /// How many changes of the transaction at `commit_lsn` are held, counted from 1; absent when all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u64>,
}

impl Position {
    /// A position at the consistent point of a new slot: nothing before it is owed.
    pub fn at(lsn: Lsn) -> Position {
        Position {
            commit_lsn: Lsn::ZERO,
            end_lsn: lsn,
            ordinal: None,
        }
    }

    /// Whether the change `ordinal` (from 1) of the transaction that commits at `commit_lsn` is already held.
    pub fn covers(&self, commit_lsn: Lsn, ordinal: u64) -> bool {
        match commit_lsn.cmp(&self.commit_lsn) {
            Ordering::Less => true,
            Ordering::Equal => self.ordinal.is_none_or(|held| ordinal <= held),
            Ordering::Greater => false,
        }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        let ordinal = |p: &Position| p.ordinal.unwrap_or(u64::MAX);
        self.commit_lsn
            .cmp(&other.commit_lsn)
            .then_with(|| ordinal(self).cmp(&ordinal(other)))
            .then_with(|| self.end_lsn.cmp(&other.end_lsn))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ordinal {
            Some(ordinal) => write!(f, "{} change {ordinal}", self.commit_lsn),
            None => write!(f, "{} (next {})", self.commit_lsn, self.end_lsn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsn_reads_what_it_writes_and_nothing_else() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "/",
            "1",
            "1/",
            "/1",
            "1/G",
            "123456789/0",
            "0/123456789",
            "1/2/3",
            "-1/0",
        ] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_position_inside_a_transaction_covers_its_first_changes_only() {
        let whole = Position {
            commit_lsn: Lsn(50),
            end_lsn: Lsn(60),
            ordinal: None,
        };
        let part = Position {
            ordinal: Some(3),
            ..whole
        };
        for (position, commit_lsn, ordinal, covered) in [
            (whole, 49, 9, true),
            (whole, 50, 9, true),
            (whole, 51, 1, false),
            (part, 49, 9, true),
            (part, 50, 3, true),
            (part, 50, 4, false),
        ] {
            assert_eq!(
                position.covers(Lsn(commit_lsn), ordinal),
                covered,
                "{position} {commit_lsn} {ordinal}"
            );
        }
        assert!(part < whole);
    }
}
