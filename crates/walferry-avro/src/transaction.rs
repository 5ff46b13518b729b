//! Records of the transaction topic: one when a transaction begins, one with its counts when it ends.
//!
//! Owns [`TransactionPlan`], made once. Never: counts; the pipeline does.
//! Invariant: every record of a transaction has one id, `<xid>:<commit LSN>`, so that they can be joined by it.

use walferry_event::Lsn;

use crate::java;
use crate::quirks::{Quirk, Quirks};
use crate::wire::{self, BRANCH_0, BRANCH_1, Header};

/// Schemas and writer of the transaction topic.
#[derive(Clone, Debug, Default)]
pub struct TransactionPlan {
    key_header: Header,
    value_header: Header,
    /// Tables stand in the order of a hash table ([`Quirk::CollectionHashOrder`]).
    hash_order: bool,
}

/// The id of a transaction.
pub fn transaction_id(xid: u32, commit_lsn: Lsn) -> String {
    format!("{xid}:{}", commit_lsn.0)
}

impl TransactionPlan {
    /// The plan of all transactions.
    pub fn new(quirks: Quirks) -> TransactionPlan {
        TransactionPlan {
            hash_order: quirks.has(Quirk::CollectionHashOrder),
            ..TransactionPlan::default()
        }
    }

    /// The key's Avro schema as JSON.
    pub fn key_schema(&self) -> &'static str {
        KEY
    }

    /// The value's Avro schema as JSON.
    pub fn value_schema(&self) -> &'static str {
        VALUE
    }

    /// The registry's ids of both schemas.
    pub fn set_ids(&mut self, key: u32, value: u32) {
        self.key_header = Header::new(key);
        self.value_header = Header::new(value);
    }

    /// Writes the key of both records.
    pub fn key(&self, id: &str, out: &mut Vec<u8>) {
        self.key_header.write(out);
        wire::bytes(out, id.as_bytes());
    }

    /// Writes the value when a transaction begins. `commit_us`: when it was committed.
    pub fn begin(&self, id: &str, commit_us: i64, out: &mut Vec<u8>) {
        self.head("BEGIN", id, out);
        out.extend([BRANCH_0, BRANCH_0]);
        wire::long(out, commit_us.div_euclid(1_000));
    }

    /// Writes the value when it ends: how many events it had, and how many of each table (`schema.table`).
    pub fn end<'a>(
        &self,
        id: &str,
        commit_us: i64,
        tables: impl Iterator<Item = (&'a str, u64)>,
        out: &mut Vec<u8>,
    ) {
        self.head("END", id, out);
        let mut tables: Vec<(&str, u64)> = tables.collect();
        if self.hash_order {
            java::hash_order(&mut tables, |table| table.0);
        }
        let events: u64 = tables.iter().map(|(_, count)| count).sum();
        out.push(BRANCH_1);
        wire::long(out, events as i64);
        out.push(BRANCH_1);
        if !tables.is_empty() {
            wire::length(out, tables.len());
            for (name, count) in tables {
                out.push(BRANCH_1);
                wire::bytes(out, name.as_bytes());
                wire::long(out, count as i64);
            }
        }
        wire::length(out, 0);
        wire::long(out, commit_us.div_euclid(1_000));
    }

    fn head(&self, status: &str, id: &str, out: &mut Vec<u8>) {
        self.value_header.write(out);
        wire::bytes(out, status.as_bytes());
        wire::bytes(out, id.as_bytes());
    }
}

const KEY: &str = concat!(
    r#"{"type":"record","name":"TransactionMetadataKey","namespace":"io.debezium.connector.common","#,
    r#""fields":[{"name":"id","type":"string"}],"#,
    r#""connect.version":1,"connect.name":"io.debezium.connector.common.TransactionMetadataKey"}"#
);

const VALUE: &str = concat!(
    r#"{"type":"record","name":"TransactionMetadataValue","namespace":"io.debezium.connector.common","fields":["#,
    r#"{"name":"status","type":"string"},{"name":"id","type":"string"},"#,
    r#"{"name":"event_count","type":["null","long"],"default":null},"#,
    r#"{"name":"data_collections","type":["null",{"type":"array","items":["null",{"type":"record","#,
    r#""name":"collection","namespace":"event","fields":[{"name":"data_collection","type":"string"},"#,
    r#"{"name":"event_count","type":"long"}],"connect.version":1,"connect.name":"event.collection"}]}],"default":null},"#,
    r#"{"name":"ts_ms","type":"long"}],"#,
    r#""connect.version":1,"connect.name":"io.debezium.connector.common.TransactionMetadataValue"}"#
);
