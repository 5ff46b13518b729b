//! Whose changes a snapshot sees.
//!
//! Owns [`Visibility`], the text form of `pg_snapshot` and the comparison with the stream's 32-bit transaction ids.
//! Invariant: an id is never compared across half of the 32-bit circle; the stream's ids are recent.
//! Source: PostgreSQL documentation, "Transaction ID and Snapshot Information Functions".
//!
//! ```text
//! xmin:xmax:running,running,…    below xmin: seen, if it committed · from xmax on: not seen · between: seen unless running
//! ```

use std::{fmt, str::FromStr};

use crate::Error;

/// A `pg_snapshot`: the transactions that had not ended when it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visibility {
    xmin: u64,
    xmax: u64,
    running: Vec<u64>,
}

impl Visibility {
    /// Every transaction before this one had ended.
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// No transaction from this one on had begun to write.
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// Those that had begun and not ended.
    pub fn running(&self) -> &[u64] {
        &self.running
    }

    /// Whether the transaction with these low 32 bits, which has committed by now, is seen.
    pub fn sees(&self, xid: u32) -> bool {
        let full = self.widen(xid);
        full < self.xmax && !self.running.contains(&full)
    }

    /// The 64-bit id of a recent transaction.
    fn widen(&self, xid: u32) -> u64 {
        // The signed distance on the circle of 32 bits.
        let distance = xid.wrapping_sub(self.xmax as u32) as i32;
        self.xmax.wrapping_add_signed(i64::from(distance))
    }
}

impl FromStr for Visibility {
    type Err = Error;

    fn from_str(text: &str) -> Result<Visibility, Error> {
        let malformed = || Error::protocol(format!("{text:?} is not a pg_snapshot"));
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or_else(malformed);
        let number = |text: &str| text.parse::<u64>().map_err(|_| malformed());
        let (xmin, xmax, list) = (number(next()?)?, number(next()?)?, next()?);
        let running = list.split(',').filter(|id| !id.is_empty()).map(number);
        Ok(Visibility {
            xmin,
            xmax,
            running: running.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, running.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_reads_what_it_writes_and_nothing_else() {
        for text in ["10:20:10,14", "10:10:", "4294967290:4294967300:4294967295"] {
            assert_eq!(text.parse::<Visibility>().unwrap().to_string(), text);
        }
        for text in ["", "10", "10:20", "a:b:", "1:2:x", "-1:2:"] {
            assert!(text.parse::<Visibility>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn it_sees_what_had_ended_also_across_the_wrap() {
        let snapshot: Visibility = "10:20:10,14".parse().unwrap();
        for (xid, seen) in [(9, true), (10, false), (11, true), (14, false), (20, false)] {
            assert_eq!(snapshot.sees(xid), seen, "{xid}");
        }
        let wrapped: Visibility = "4294967290:4294967300:4294967295".parse().unwrap();
        for (xid, seen) in [
            (u32::MAX - 1, true),
            (u32::MAX, false),
            (1, true),
            (4, false),
            (5, false),
        ] {
            assert_eq!(wrapped.sees(xid), seen, "{xid}");
        }
    }
}
