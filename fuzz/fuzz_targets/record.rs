//! Any bytes as a schema, and any as a record of it or of a schema of ours.
//!
//! ```text
//! length of the schema's text u16 LE, or 0 for ours | schema | record
//! ```
//!
//! Invariants: no panic, no endless loop; a record that is read is refused with a byte more.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use walferry_avro::{EncodePlan, EnvelopeReader, Format, KeyReader, Naming};
use walferry_event::{
    ArrayType, Column, ColumnType, Relation, RelationColumn, ReplicaIdentity, Table, TypeKind,
};

static OURS: LazyLock<EnvelopeReader> = LazyLock::new(|| {
    let naming = Naming {
        topic: "server.public.t",
        server: "server",
        database: "db",
        shared: false,
        physical_table: None,
    };
    let plan = EncodePlan::compile(&table(), &naming, &Format::default()).expect("a plan");
    EnvelopeReader::parse(plan.value_schema()).expect("our schema")
});

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_at_checked(2) else {
        return;
    };
    let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
    let (schema, record) = rest.split_at(length.min(rest.len()));
    let mut hashes = Vec::new();
    if schema.is_empty() {
        if OURS.read(record, &mut hashes).is_ok() {
            let longer = [record, &[0]].concat();
            assert!(
                OURS.read(&longer, &mut hashes).is_err(),
                "it takes any tail"
            );
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(schema) else {
        return;
    };
    if let Ok(reader) = EnvelopeReader::parse(text) {
        let columns = reader.columns().count();
        if let Ok(envelope) = reader.read(record, &mut hashes)
            && envelope.has_row
        {
            assert_eq!(hashes.len(), columns);
        }
    }
    if let Ok(keys) = KeyReader::parse(text) {
        let _ = keys.text(record);
    }
});

fn table() -> Table {
    let scalar = |oid| ColumnType {
        oid,
        name: String::new(),
        modifier: -1,
        kind: TypeKind::Scalar,
    };
    let array = TypeKind::Array(Box::new(ArrayType {
        element: scalar(25),
        of_domain: false,
        delimiter: b',',
        dimensions: 2,
    }));
    let types = [
        scalar(20),
        scalar(25),
        scalar(1700),
        scalar(600),
        ColumnType {
            kind: array,
            ..scalar(1009)
        },
    ];
    let name = |at: usize| format!("c{at}");
    Table {
        relation: Relation {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: ReplicaIdentity::Default,
            columns: types
                .iter()
                .enumerate()
                .map(|(at, it)| RelationColumn {
                    name: name(at),
                    type_oid: it.oid,
                    type_modifier: -1,
                    in_identity: at == 0,
                })
                .collect(),
        },
        columns: types
            .into_iter()
            .enumerate()
            .map(|(at, data_type)| Column {
                name: name(at),
                data_type,
                nullable: at > 0,
                default: None,
                any_shape: at == 4,
            })
            .collect(),
        key: vec![0],
        old_rows: walferry_event::OldRows::default(),
    }
}
