//! Records of logical decoding messages (`pg_logical_emit_message`).
//!
//! Owns [`MessagePlan`]: the schemas are the same for every message, so it is made once. The value is
//!
//! ```text
//! op ts_ms | source | transaction | message: prefix content
//! ```
//!
//! Never: decides which messages are published. Invariant: what it writes decodes as its own schemas.

use walferry_event::{Operation, Origin};

use crate::bytea;
use crate::envelope::{self, Source};
use crate::format::{BinaryMode, Format, Naming};
use crate::schema::{BLOCK, SOURCE};
use crate::wire::{self, BRANCH_1, Header};

/// Schemas and writer of logical decoding messages.
#[derive(Clone, Debug)]
pub struct MessagePlan {
    key_header: Header,
    value_header: Header,
    value_schema: String,
    source: Source,
    binary: BinaryMode,
}

impl MessagePlan {
    /// The plan of all messages of one database.
    pub fn new(naming: &Naming<'_>, format: &Format) -> MessagePlan {
        let content = match format.binary {
            BinaryMode::Bytes => "bytes",
            _ => "string",
        };
        MessagePlan {
            key_header: Header::default(),
            value_header: Header::default(),
            value_schema: value_schema(content),
            source: Source::new(naming, "", ""),
            binary: format.binary,
        }
    }

    /// The key's Avro schema as JSON.
    pub fn key_schema(&self) -> &'static str {
        KEY
    }

    /// The value's Avro schema as JSON.
    pub fn value_schema(&self) -> &str {
        &self.value_schema
    }

    /// The registry's ids of both schemas.
    pub fn set_ids(&mut self, key: u32, value: u32) {
        self.key_header = Header::new(key);
        self.value_header = Header::new(value);
    }

    /// Writes the key: the message's prefix.
    pub fn key(&self, prefix: &str, out: &mut Vec<u8>) {
        self.key_header.write(out);
        text(prefix, out);
    }

    /// Writes the value.
    pub fn value(&self, prefix: &str, content: &[u8], origin: &Origin<'_>, out: &mut Vec<u8>) {
        self.value_header.write(out);
        wire::bytes(out, Operation::Message.code().as_bytes());
        out.push(BRANCH_1);
        wire::long(out, origin.encoded_us.div_euclid(1_000));
        self.source.write(origin, out);
        envelope::block(origin.block.as_ref(), out);
        text(prefix, out);
        out.push(BRANCH_1);
        bytea::raw(out, content.iter().copied(), content.len(), self.binary);
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    out.push(BRANCH_1);
    wire::bytes(out, value.as_bytes());
}

const KEY: &str = concat!(
    r#"{"type":"record","name":"MessageKey","namespace":"io.debezium.connector.postgresql","#,
    r#""fields":[{"name":"prefix","type":["null","string"],"default":null}],"#,
    r#""connect.version":1,"connect.name":"io.debezium.connector.postgresql.MessageKey"}"#
);

fn value_schema(content: &str) -> String {
    format!(
        concat!(
            r#"{{"type":"record","name":"MessageValue","namespace":"io.debezium.connector.postgresql","fields":["#,
            r#"{{"name":"op","type":"string"}},{{"name":"ts_ms","type":["null","long"],"default":null}},"#,
            r#"{{"name":"source","type":{source}}},"#,
            r#"{{"name":"transaction","type":["null",{block}],"default":null}},"#,
            r#"{{"name":"message","type":{{"type":"record","name":"Message","fields":["#,
            r#"{{"name":"prefix","type":["null","string"],"default":null}},"#,
            r#"{{"name":"content","type":["null","{content}"],"default":null}}],"#,
            r#""connect.version":1,"connect.name":"io.debezium.connector.postgresql.Message"}}}}],"#,
            r#""connect.version":1,"connect.name":"io.debezium.connector.postgresql.MessageValue"}}"#
        ),
        source = SOURCE.replace(r#","namespace":"io.debezium.connector.postgresql""#, ""),
        block = BLOCK,
        content = content
    )
}
