//! The mixed load and the witness against a real PostgreSQL: the changes that the witness tells make the tables.

use std::collections::BTreeMap;

use super::*;
use crate::checker::{
    Event, Judge, Observed, Op, Record, Row, Rules, Start, Told, Value, Witness, from_postgres,
};
use walferry_stack::{PostgresOptions, PostgresServer};

/// The contents of a table as a snapshot would show them.
fn rows(url: &str, table: &str) -> Vec<Row> {
    let mut session = Session::connect(url).unwrap();
    let types = session
        .query(&format!(
            "select attname, format_type(atttypid, null) from pg_attribute \
             where attrelid = '{table}'::regclass and attnum > 0 order by attnum"
        ))
        .unwrap();
    let columns: Vec<(String, String)> = types
        .into_iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
        .collect();
    let texts: Vec<String> = columns
        .iter()
        .map(|(name, _)| format!("{name}::text"))
        .collect();
    let found = session
        .query(&format!("select {} from {table}", texts.join(", ")))
        .unwrap();
    let value = |kind: &str, text: Option<String>| match text {
        Some(text) => Value::Text(from_postgres(kind, &text).unwrap()),
        None => Value::Null,
    };
    found
        .into_iter()
        .map(|row| {
            let pairs = row.into_iter().zip(&columns);
            Row(pairs
                .map(|(text, (name, kind))| (name.as_str().into(), value(kind, text)))
                .collect())
        })
        .collect()
}

#[test]
fn what_the_witness_tells_of_a_mixed_load_makes_the_tables() {
    let server = PostgresServer::start(PostgresOptions::new().fsync(false)).unwrap();
    let url = create_database(&server.url(), "mixed").unwrap();
    MixedLoad::create_tables(&url, "public").unwrap();
    let tables = MixedLoad::tables("public");
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let witness = Witness::create(&url, "witness").unwrap();
    let options = MixedOptions {
        transactions_per_second: None,
        seed: 7,
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&url, &options).unwrap();
    let begun = Instant::now();
    while load.counts().committed < 1_500 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            load.counts()
        );
        thread::sleep(Duration::from_millis(10));
    }
    let counts = load.stop();
    assert_eq!(counts.failed, 0, "{counts:?}");
    assert!(
        counts.rolled_back > 0 && counts.statements > counts.committed,
        "{counts:?}"
    );

    let keys = witness.keys(&names).unwrap();
    assert_eq!(keys["public.items"], ["order_id", "line"]);
    let mut rules = Rules::new(keys);
    rules.start = Start::Snapshot(u64::MAX);
    let mut judge = Judge::new(rules);
    let (mut changes, mut ops) = (0_u64, BTreeMap::new());
    witness
        .peek(|told| match told {
            Told::Change(change) => {
                changes += 1;
                let moved = change.op == Op::Update && change.old.is_some();
                *ops.entry((change.op, moved)).or_insert(0) += 1;
                judge.expect(change);
            }
            Told::Commit { end_lsn, .. } => judge.commit(end_lsn),
        })
        .unwrap();
    assert!(changes >= counts.statements / 2, "{changes} of {counts:?}");
    assert_eq!(
        ops.len(),
        4,
        "inserts, updates, key changes and deletes: {ops:?}"
    );
    let mut shown = 0;
    for table in &tables {
        for row in rows(&url, table) {
            let key = judge.key_row(table, &row);
            let event = Event {
                table: table.as_str().into(),
                op: Op::Read,
                key,
                before: None,
                after: Some(row),
                lsn: 0,
                xid: 0,
                commit_us: 0,
            };
            let record = Record::Event(event);
            judge.observe(&Observed {
                topic: "t".into(),
                partition: 0,
                offset: shown,
                record,
            });
            shown += 1;
        }
    }
    let report = judge.finish();
    assert!(report.is_clean(), "{report}");
    assert!(report.snapshot_rows > 100, "{report}");

    let mut taken = 0_u64;
    let count = |told: Told| taken += u64::from(matches!(told, Told::Change(_)));
    witness.take(count).unwrap();
    assert_eq!(taken, changes);
    let mut left = 0;
    witness.peek(|_| left += 1).unwrap();
    assert_eq!(left, 0);
    witness.drop_slot().unwrap();
}

#[test]
fn the_bare_reader_reads_what_the_bench_table_gets() {
    let server = PostgresServer::start(PostgresOptions::new().fsync(false)).unwrap();
    let url = create_database(&server.url(), "bench").unwrap();
    bench::create_table(&url).unwrap();
    Session::connect(&url)
        .unwrap()
        .execute("create publication bare for table bench")
        .unwrap();
    let bare = BareReader::create(&url, "bare", "bare").unwrap();
    bench::fill(&url, 1, 20_050).unwrap();
    let times = bench::SentTimes::new(20_051, 50);
    bench::paced(&url, 1_000, &times).unwrap();
    assert!(times.of(20_051).is_some() && times.of(20_100) >= times.of(20_051));
    assert_eq!((times.of(20_050), times.of(20_101)), (None, None));
    for _ in 0..2 {
        let run = bare.run(20_100).unwrap();
        assert_eq!(run.rows, 20_100);
        assert!(run.bytes > 20_100 * 100, "{run:?}");
    }
    let transactions = Session::connect(&url)
        .unwrap()
        .value("select count(distinct xmin::text) from bench");
    assert_eq!(transactions.unwrap().as_deref(), Some("251"));
    bare.drop_slot(&url).unwrap();
}
