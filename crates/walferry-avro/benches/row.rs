//! Nanoseconds that one row takes from PostgreSQL text to the bytes of its key and its value.
//!
//! The row is the one of the product's own bench: bigint key, int, bigint, 50 characters of text,
//! timestamptz, numeric(12,2), bool. Never: judges; it writes the best of several rounds, so that
//! noise of the machine falls out. Run it with `cargo bench -p walferry-avro`.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use walferry_avro::{EncodePlan, Format, Naming, Row};
use walferry_event::{
    Column, ColumnType, Datum, Lsn, Operation, Origin, Relation, RelationColumn, ReplicaIdentity,
    Table, TypeKind,
};

const ROUNDS: u32 = 40;
const ROWS_PER_ROUND: u32 = 100_000;

/// Column name, type OID, type modifier, and a value.
const COLUMNS: [(&str, u32, i32, &str); 7] = [
    ("id", 20, -1, "1234567"),
    ("customer_id", 23, -1, "48213"),
    ("amount_cents", 20, -1, "982451653"),
    (
        "note",
        25,
        -1,
        "a note of fifty characters, as the load writes it.",
    ),
    ("placed_at", 1184, -1, "2026-11-24 13:51:30.123456+00"),
    ("total", 1700, (12 << 16 | 2) + 4, "1234567.89"),
    ("paid", 16, -1, "t"),
];

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    let plan = plan();
    let row = COLUMNS.map(|(_, _, _, value)| Datum::Text(value.as_bytes()));
    let origin = Origin {
        commit_us: 1_795_528_290_123_456,
        encoded_us: 1_795_528_290_133_456,
        xid: 987_654,
        lsn: Lsn(0x16_B374_D848),
        commit_lsn: Lsn(0x16_B374_D900),
        last_commit_lsn: Some(Lsn(0x16_B374_D000)),
        ordinal: 1,
        ..Origin::default()
    };
    let key_ns = best_ns(|out| plan.key(black_box(&row), out).is_ok());
    let value_ns = best_ns(|out| {
        let after = Row::Full(black_box(&row));
        plan.value(Operation::Create, Row::None, after, black_box(&origin), out)
            .is_ok()
    });
    writeln!(out, "row of 7 columns, key:   {key_ns:.1} ns per row")?;
    writeln!(out, "row of 7 columns, value: {value_ns:.1} ns per row")?;
    writeln!(
        out,
        "both:                    {:.1} ns per row",
        key_ns + value_ns
    )?;
    for (at, (name, ..)) in COLUMNS.iter().enumerate() {
        let mut lone = row;
        lone.fill(Datum::Null);
        lone[at] = row[at];
        // The key stays: it is required.
        lone[0] = row[0];
        let ns = best_ns(|out| {
            let after = Row::Full(black_box(&lone));
            plan.value(Operation::Create, Row::None, after, black_box(&origin), out)
                .is_ok()
        });
        writeln!(out, "value with {name:<12} only: {ns:.1} ns per row")?;
    }
    Ok(())
}

/// Nanoseconds per row of the fastest round. The buffer is emptied every thousand rows, as a block is.
fn best_ns(mut write: impl FnMut(&mut Vec<u8>) -> bool) -> f64 {
    let mut out = Vec::new();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut written = 0;
        for row in 0..ROWS_PER_ROUND {
            if row % 1_000 == 0 {
                out.clear();
            }
            written += u32::from(write(&mut out));
        }
        let nanos = start.elapsed().as_nanos() as f64;
        assert_eq!(
            written, ROWS_PER_ROUND,
            "every row of the bench can be encoded"
        );
        best = best.min(nanos / f64::from(ROWS_PER_ROUND));
    }
    best
}

fn plan() -> EncodePlan {
    let relation_columns = COLUMNS.map(|(name, type_oid, type_modifier, _)| RelationColumn {
        name: name.to_owned(),
        type_oid,
        type_modifier,
        in_identity: name == "id",
    });
    let columns = COLUMNS.map(|(name, oid, modifier, _)| Column {
        name: name.to_owned(),
        data_type: ColumnType {
            oid,
            name: String::new(),
            modifier,
            kind: TypeKind::Scalar,
        },
        nullable: name != "id",
        default: None,
        any_shape: false,
    });
    let table = Table {
        relation: Relation {
            oid: 16_384,
            schema: "public".to_owned(),
            name: "bench".to_owned(),
            replica_identity: ReplicaIdentity::Default,
            columns: relation_columns.into(),
        },
        columns: columns.into(),
        key: vec![0],
        old_rows: walferry_event::OldRows::default(),
    };
    let naming = Naming {
        topic: "shop.public.bench",
        server: "shop",
        database: "shop",
        shared: false,
        physical_table: None,
    };
    let mut plan = EncodePlan::compile(&table, &naming, &Format::default())
        .expect("seven columns of distinct names");
    plan.set_ids(Some(1), 2);
    plan
}
