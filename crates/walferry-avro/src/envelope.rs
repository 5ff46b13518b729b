//! What stands around the row in a value: the source block, the operation, the times.
//!
//! Owns: [`Source`], whose constant fields are encoded once. The order of fields is the schema's:
//!
//! ```text
//! version connector name | ts_ms snapshot | db | sequence ts_us ts_ns | schema table
//!     | txId lsn xmin origin origin_lsn
//! ```
//!
//! `sequence` is JSON text: the end of the last transaction before this one (null when none has been
//! seen) and the change's own LSN, both as decimal text. What is not known is null: `txId` when it
//! is 0, `lsn` when it is zero, `ts_ns` beyond the year 2262. `xmin` is always null.

use walferry_event::{Operation, Origin, TransactionBlock};

use crate::format::Naming;
use crate::wire::{self, BRANCH_0, BRANCH_1};

/// The source block of one table.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// `version`, `connector`, `name`.
    head: Box<[u8]>,
    /// `db`.
    database: Box<[u8]>,
    /// `schema`, `table`.
    table: Box<[u8]>,
}

impl Source {
    pub(crate) fn new(naming: &Naming<'_>, schema: &str, table: &str) -> Source {
        let strings = |values: &[&str]| {
            let mut out = Vec::new();
            for value in values {
                wire::bytes(&mut out, value.as_bytes());
            }
            out.into_boxed_slice()
        };
        Source {
            head: strings(&[env!("CARGO_PKG_VERSION"), "postgresql", naming.server]),
            database: strings(&[naming.database]),
            table: strings(&[schema, table]),
        }
    }

    /// Bytes that the block takes at most, without names of origins: each number at its longest.
    pub(crate) fn bytes_max(&self) -> usize {
        self.head.len() + self.database.len() + self.table.len() + 160
    }

    #[inline]
    pub(crate) fn write(&self, origin: &Origin<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        wire::long(out, origin.commit_us.div_euclid(1_000));
        // The first branch is the text: the field has a default.
        out.push(BRANCH_0);
        wire::bytes(out, origin.snapshot.text().as_bytes());
        out.extend_from_slice(&self.database);
        sequence(origin, out);
        optional(Some(origin.commit_us), out);
        optional(origin.commit_us.checked_mul(1_000), out);
        out.extend_from_slice(&self.table);
        optional((origin.xid != 0).then_some(i64::from(origin.xid)), out);
        // An LSN has 64 bits without a sign; as a `long` it stays positive for 8 EiB of log.
        optional((origin.lsn.0 != 0).then_some(origin.lsn.0 as i64), out);
        out.push(BRANCH_0);
        match origin.origin {
            Some(name) => {
                out.push(BRANCH_1);
                wire::bytes(out, name.as_bytes());
            }
            None => out.push(BRANCH_0),
        }
        optional(origin.origin_lsn.map(|lsn| lsn.0 as i64), out);
    }
}

/// The transaction block: null when transactions are not told of.
#[inline]
pub(crate) fn block(block: Option<&TransactionBlock<'_>>, out: &mut Vec<u8>) {
    let Some(block) = block else {
        out.push(BRANCH_0);
        return;
    };
    out.push(BRANCH_1);
    wire::bytes(out, block.id.as_bytes());
    wire::long(out, block.total_order as i64);
    wire::long(out, block.table_order as i64);
}

/// `transaction`, `op`, `ts_ms`, `ts_us`, `ts_ns`.
#[inline]
pub(crate) fn tail(operation: Operation, origin: &Origin<'_>, out: &mut Vec<u8>) {
    let encoded_us = origin.encoded_us;
    block(origin.block.as_ref(), out);
    wire::bytes(out, operation.code().as_bytes());
    optional(Some(encoded_us.div_euclid(1_000)), out);
    optional(Some(encoded_us), out);
    optional(encoded_us.checked_mul(1_000), out);
}

/// `__op`, `__lsn`, `__ts_ms`, `__deleted` of the flat envelope.
#[inline]
pub(crate) fn flat_tail(
    operation: Operation,
    deleted: bool,
    origin: &Origin<'_>,
    out: &mut Vec<u8>,
) {
    wire::bytes(out, operation.code().as_bytes());
    optional((origin.lsn.0 != 0).then_some(origin.lsn.0 as i64), out);
    optional(Some(origin.encoded_us.div_euclid(1_000)), out);
    out.push(BRANCH_1);
    wire::bytes(out, if deleted { b"true" } else { b"false" });
}

#[inline]
fn optional(value: Option<i64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(BRANCH_1);
            wire::long(out, value);
        }
        None => out.push(BRANCH_0),
    }
}

/// `["<end of the last transaction>","<lsn>"]`; null when there is no LSN at all.
#[inline]
fn sequence(origin: &Origin<'_>, out: &mut Vec<u8>) {
    if origin.lsn.0 == 0 {
        out.push(BRANCH_0);
        return;
    }
    out.push(BRANCH_1);
    // Two brackets, four quotes, a comma and two numbers of at most 20 digits are 47 bytes, so that
    // the length takes one byte, which is filled in last.
    let length_at = out.len();
    out.push(0);
    out.push(b'[');
    match origin.last_commit_lsn {
        Some(lsn) => quoted_number(lsn.0, out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b',');
    quoted_number(origin.lsn.0, out);
    out.push(b']');
    out[length_at] = ((out.len() - length_at - 1) * 2) as u8;
}

#[inline]
fn quoted_number(mut number: u64, out: &mut Vec<u8>) {
    // A quote, at most 20 digits, two a step, and a quote.
    let mut text = [b'"'; 22];
    let mut at = 21;
    while number >= 100 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[number as usize]);
    } else {
        at -= 1;
        text[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&text[at - 1..]);
}

/// The two digits of 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};
