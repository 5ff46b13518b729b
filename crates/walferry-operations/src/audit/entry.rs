//! One line of the comparison: what the table or a record of its topic says of one key.
//!
//! Owns the bytes, which sort by key, then records in the order of their partition, then the table's row:
//!
//! ```text
//! key length u32 BE | key | side u8 | partition u32 BE | offset u64 BE | lsn u64 | form u32 | key schema u32 | operation u8 | flags u8 | columns u64 ...
//! ```

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A record of the topic.
    Topic,
    /// The table, at the moment of the audit.
    Table,
}

/// What is said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Avro's bytes of the key, as the table's keys are written now.
    pub(crate) key: Vec<u8>,
    /// Id of the schema of a key that was written in other bytes than those; else 0. To whoever decodes keys it is the same, to
    /// whoever compares bytes it is another.
    pub(crate) form: u32,
    pub(crate) side: Side,
    /// Partition of the topic.
    pub(crate) partition: u32,
    /// Place in the partition.
    pub(crate) offset: u64,
    /// LSN of the change.
    pub(crate) lsn: u64,
    /// Id of the key's schema, of a record that comes from no transaction: a key that is gone is deleted under each schema that it
    /// was written with. Else 0, because a change is told once, whatever its schema.
    pub(crate) key_schema: u32,
    /// The letter of the operation, or [`TOMBSTONE`].
    pub(crate) operation: u8,
    /// Whether the table's snapshot sees the transaction.
    pub(crate) seen: bool,
    /// A hash for each column of the table, or a reason why there is none.
    pub(crate) columns: Vec<u64>,
}

/// A record without a value.
pub(crate) const TOMBSTONE: u8 = b'-';

/// The record's schema does not have the column.
pub(crate) const ABSENT: u64 = 0;
/// The value has not changed, and the record does not hold it.
pub(crate) const UNCHANGED: u64 = 1;
/// The column had another meaning then.
pub(crate) const OTHER: u64 = 2;
/// The first value of a hash.
const HASH_MIN: u64 = 3;

/// A hash that is none of the reasons.
pub(crate) fn hash(value: u64) -> u64 {
    value.max(HASH_MIN)
}

/// Whether a column holds a value to compare.
pub(crate) fn is_value(column: u64) -> bool {
    column >= HASH_MIN
}

const FIXED_BYTES: usize = 4 + 1 + 4 + 8 + 8 + 4 + 4 + 1 + 1;

impl Entry {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&(self.key.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.key);
        out.push(u8::from(self.side == Side::Table));
        out.extend_from_slice(&self.partition.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.lsn.to_le_bytes());
        out.extend_from_slice(&self.form.to_le_bytes());
        out.extend_from_slice(&self.key_schema.to_le_bytes());
        out.push(self.operation);
        out.push(u8::from(self.seen));
        for column in &self.columns {
            out.extend_from_slice(&column.to_le_bytes());
        }
    }

    /// `None` for bytes that [`Entry::write`] has not written.
    pub(crate) fn read(bytes: &[u8]) -> Option<Entry> {
        if bytes.len() < FIXED_BYTES {
            return None;
        }
        let (length, rest) = bytes.split_at(4);
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        let (key, rest) = rest.split_at_checked(length)?;
        let (side, rest) = rest.split_first()?;
        let (partition, rest) = rest.split_at_checked(4)?;
        let (offset, rest) = rest.split_at_checked(8)?;
        let (lsn, rest) = rest.split_at_checked(8)?;
        let (form, rest) = rest.split_at_checked(4)?;
        let (key_schema, rest) = rest.split_at_checked(4)?;
        let (operation, rest) = rest.split_first()?;
        let (seen, columns) = rest.split_first()?;
        Some(Entry {
            key: key.to_vec(),
            side: if *side == 1 { Side::Table } else { Side::Topic },
            partition: u32::from_be_bytes(partition.try_into().ok()?),
            offset: u64::from_be_bytes(offset.try_into().ok()?),
            lsn: u64::from_le_bytes(lsn.try_into().ok()?),
            form: u32::from_le_bytes(form.try_into().ok()?),
            key_schema: u32::from_le_bytes(key_schema.try_into().ok()?),
            operation: *operation,
            seen: *seen == 1,
            columns: columns
                .chunks_exact(8)
                .map(|it| u64::from_le_bytes(it.try_into().unwrap_or_default()))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &[u8], side: Side, offset: u64) -> Entry {
        Entry {
            key: key.to_vec(),
            side,
            partition: u32::from(offset == 300),
            offset,
            lsn: 7,
            form: 4,
            key_schema: 9,
            operation: b'u',
            seen: true,
            columns: vec![hash(5), ABSENT],
        }
    }

    #[test]
    fn an_entry_is_read_back_the_same_and_sorts_by_key_then_place() {
        let in_order = [
            entry(b"", Side::Topic, 1),
            entry(b"b", Side::Topic, 1),
            entry(b"b", Side::Topic, 300),
            entry(b"b", Side::Table, 0),
            entry(b"aa", Side::Topic, 0),
        ];
        let mut written = Vec::new();
        for entry in &in_order {
            let mut bytes = Vec::new();
            entry.write(&mut bytes);
            assert_eq!(Entry::read(&bytes).as_ref(), Some(entry));
            assert_eq!(Entry::read(&bytes[..20]), None);
            written.push(bytes);
        }
        assert!(written.is_sorted());
    }
}
