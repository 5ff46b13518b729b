//! Any bytes as a column's text, of any type, in any format.
//!
//! ```text
//! type u8 | inside u8 | modes u8 | more modes u8 | flags u8 | modifier i16 LE | text ...
//! ```
//!
//! Invariants: no panic; what is encoded decodes with its schema alone, by apache-avro and by our own reader, to the last
//! byte; an error names the column; a key's JSON is JSON.

#![no_main]

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use apache_avro::{Schema, from_avro_datum};
use libfuzzer_sys::fuzz_target;
use walferry_avro::{
    BinaryMode, DecimalMode, EncodePlan, EnvelopeReader, Format, HstoreMode, IntervalMode, Naming,
    Quirk, Row, TimeMode,
};
use walferry_event::{
    ArrayType, Column, ColumnType, CompositeType, Datum, Operation, Origin, Relation,
    RelationColumn, ReplicaIdentity, Table, TypeKind,
};

/// PostgreSQL's own types, by oid.
const BUILT_IN: [u32; 50] = [
    16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 28, 30, 114, 142, 600, 601, 602, 603, 604, 628, 650,
    700, 701, 718, 774, 790, 829, 869, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562,
    1700, 2950, 3220, 3614, 3802, 3904, 3906, 3908, 3910, 3912, 3926, 4451,
];
/// Types of extensions, by name.
const EXTENSIONS: [&str; 10] = [
    "hstore",
    "geometry",
    "geography",
    "vector",
    "halfvec",
    "sparsevec",
    "ltree",
    "citext",
    "isbn",
    "other",
];
const HEAD_BYTES: usize = 7;
const COLUMN: &str = "the_column";

fuzz_target!(|data: &[u8]| {
    let Some((head, text)) = data.split_at_checked(HEAD_BYTES) else {
        return;
    };
    let modifier = i16::from_le_bytes([head[5], head[6]]).into();
    let table = table(column_type(head[0], head[1], modifier), head[4]);
    let format = format(head[2], head[3]);
    let naming = Naming {
        topic: "server.public.t",
        server: "server",
        database: "db",
        shared: false,
        physical_table: None,
    };
    // A table without a column that the schema has a place for is refused.
    let Ok(plan) = EncodePlan::compile(&table, &naming, &format) else {
        return;
    };
    let datum = if head[4] & 8 == 0 {
        Datum::Text(text)
    } else {
        Datum::Unchanged
    };
    let mut record = Vec::new();
    let row = [datum];
    let origin = Origin::default();
    match plan.value(
        Operation::Create,
        Row::None,
        Row::Full(&row),
        &origin,
        &mut record,
    ) {
        // A server sends UTF-8, and what is not goes through as it is.
        Ok(()) if std::str::from_utf8(text).is_ok() => decode(plan.value_schema(), &record),
        Ok(()) => {}
        Err(error) => assert!(error.to_string().contains(COLUMN), "{error}"),
    }
    let mut key = Vec::new();
    if plan.key(&row, &mut key).is_ok() && !key.is_empty() && std::str::from_utf8(text).is_ok() {
        let schema = Schema::parse_str(plan.key_schema().expect("a key has a schema"));
        let mut body = &key[5..];
        from_avro_datum(&schema.expect("our schema"), &mut body, None).expect("our key");
        assert!(body.is_empty(), "bytes of the key are left over");
    }
    let mut json = Vec::new();
    if plan.key_json(&row, &mut json).is_ok()
        && !json.is_empty()
        && std::str::from_utf8(text).is_ok()
    {
        serde_json::from_slice::<serde_json::Value>(&json).expect("a key's JSON");
    }
});

/// What a record says is read by a stranger and by our own reader, to the last byte.
fn decode(schema: &str, record: &[u8]) {
    let readers = readers(schema);
    let mut body = &record[5..];
    from_avro_datum(&readers.0, &mut body, None).expect("our record");
    assert!(body.is_empty(), "bytes are left over");
    readers
        .1
        .read(&record[5..], &mut Vec::new())
        .expect("our record");
}

type Readers = Arc<(Schema, EnvelopeReader)>;

/// To parse a schema takes far longer than to read a record.
fn readers(schema: &str) -> Readers {
    const KEPT_MAX: usize = 4_000;
    static KNOWN: LazyLock<Mutex<HashMap<String, Readers>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().expect("no other thread");
    if let Some(found) = known.get(schema) {
        return found.clone();
    }
    if known.len() >= KEPT_MAX {
        known.clear();
    }
    let parsed = Schema::parse_str(schema).expect("our schema");
    let reader = EnvelopeReader::parse(schema).expect("our schema");
    let made = Arc::new((parsed, reader));
    known.insert(schema.to_owned(), made.clone());
    made
}

fn column_type(kind: u8, inside: u8, modifier: i32) -> ColumnType {
    let named = |oid, name: &str, kind| ColumnType {
        oid,
        name: name.to_owned(),
        modifier,
        kind,
    };
    let scalar = |at: u8| match usize::from(at) % (BUILT_IN.len() + EXTENSIONS.len() + 1) {
        at if at < BUILT_IN.len() => named(BUILT_IN[at], "", TypeKind::Scalar),
        at if at < BUILT_IN.len() + EXTENSIONS.len() => {
            named(70_000, EXTENSIONS[at - BUILT_IN.len()], TypeKind::Scalar)
        }
        _ => named(
            70_001,
            "mood",
            TypeKind::Enum(vec!["sad".into(), "a,b".into()]),
        ),
    };
    match kind % 8 {
        5 | 6 => named(
            70_002,
            "_array",
            TypeKind::Array(Box::new(ArrayType {
                element: if kind >= 128 {
                    column_type(7, inside, modifier)
                } else {
                    scalar(inside)
                },
                of_domain: kind & 64 != 0,
                delimiter: b',',
                dimensions: u32::from(kind >> 3 & 3),
            })),
        ),
        7 => named(
            70_003,
            "pair",
            TypeKind::Composite(CompositeType {
                schema: "public".into(),
                fields: vec![
                    ("a".into(), scalar(inside)),
                    ("b b".into(), scalar(inside.wrapping_mul(7))),
                ],
            }),
        ),
        4 => named(3904, "int4range", TypeKind::Other),
        _ => scalar(inside),
    }
}

fn table(data_type: ColumnType, flags: u8) -> Table {
    let relation = Relation {
        oid: 1,
        schema: "public".into(),
        name: "t".into(),
        replica_identity: ReplicaIdentity::Default,
        columns: vec![RelationColumn {
            name: COLUMN.into(),
            type_oid: data_type.oid,
            type_modifier: data_type.modifier,
            in_identity: true,
        }],
    };
    let column = Column {
        name: COLUMN.into(),
        data_type,
        nullable: flags & 1 != 0,
        default: (flags & 4 != 0).then(|| "'{}'::text".to_owned()),
        any_shape: flags & 2 != 0,
    };
    Table {
        relation,
        columns: vec![column],
        key: if flags & 16 == 0 { vec![0] } else { Vec::new() },
        old_rows: walferry_event::OldRows::default(),
    }
}

fn format(modes: u8, more: u8) -> Format {
    fn word<T: std::str::FromStr>(words: &[&str], at: u8) -> T {
        let word = words[usize::from(at) % words.len()];
        word.parse().ok().expect("a mode reads its own words")
    }
    let quirks = if more & 64 == 0 {
        Format::default().quirks
    } else if more & 128 == 0 {
        Quirk::ALL.iter().copied().collect()
    } else {
        let at = usize::from(modes) % Quirk::ALL.len();
        [Quirk::ALL[at]].into_iter().collect()
    };
    Format {
        decimal: word::<DecimalMode>(DecimalMode::WORDS, modes),
        time: word::<TimeMode>(TimeMode::WORDS, modes >> 2),
        binary: word::<BinaryMode>(BinaryMode::WORDS, modes >> 5),
        interval: word::<IntervalMode>(IntervalMode::WORDS, more),
        hstore: word::<HstoreMode>(HstoreMode::WORDS, more >> 1),
        quirks,
        ..Format::default()
    }
}
