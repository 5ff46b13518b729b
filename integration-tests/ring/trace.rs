//! Transactions are found where an independent consumer sees them, and what is in no topic is said to wait where it does.
//!
//! `WALFERRY_TRACE_TRANSACTIONS` is how many are looked for, and `WALFERRY_TRACE_MS` how long each may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use walferry_testkit::checker::{Record, Session};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::print_line;
use walferry_testkit::topics::{Decoder, Reader};

use crate::place::{Place, READY, told};

/// Where a record is.
type At = (String, i64, i64);

fn setting(name: &str, default: usize) -> usize {
    let set = std::env::var(name).ok();
    set.map_or(default, |it| it.parse().unwrap())
}

/// What a consumer sees: each transaction's records, and a few LSNs of its changes.
fn consumed(place: &Place) -> BTreeMap<u32, (BTreeSet<At>, Vec<u64>)> {
    let topics = MixedLoad::tables("public")
        .iter()
        .map(|it| place.topic(it))
        .collect::<Vec<_>>();
    let mut decoder = Decoder::new(&place.registry);
    let mut all: BTreeMap<u32, (BTreeSet<At>, Vec<u64>)> = BTreeMap::new();
    let mut reader = Reader::open(&place.brokers, &topics).unwrap();
    let read = reader.read_to_end(|message| {
        let seen = decoder.decode(message)?;
        if let Record::Event(event) = seen.record
            && event.xid != 0
        {
            let (records, lsns) = all.entry(event.xid).or_default();
            records.insert((seen.topic.to_string(), seen.partition.into(), seen.offset));
            lsns.push(event.lsn);
        }
        Ok(())
    });
    read.unwrap();
    all
}

fn traced(file: &str, what: &str) -> (Option<i32>, Json, Duration) {
    let begun = Instant::now();
    let (code, text) = told(&["trace", what, "-c", file, "--json"]);
    let took = begun.elapsed();
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("trace {what}: {text}"));
    (code, report, took)
}

fn records(report: &Json) -> BTreeSet<At> {
    let transactions = report["transactions"].as_array().unwrap().iter();
    let places = transactions.flat_map(|it| it["places"].as_array().unwrap());
    let of = |place: &Json| {
        let topic = place["topic"].as_str().unwrap().to_owned();
        let partition = place["partition"].as_i64().unwrap();
        let offsets = place["offsets"].as_array().unwrap().clone();
        offsets
            .into_iter()
            .map(move |it| (topic.clone(), partition, it.as_i64().unwrap()))
    };
    places.flat_map(of).collect()
}

#[test]
fn every_transaction_is_found_where_a_consumer_sees_it() {
    let place = Place::shared("trace").with_mixed_tables();
    let mut settings = place.all();
    settings.set("kafka.topics.partitions", "3");
    let file = settings.write(&place.folder).unwrap();
    let file = file.to_str().unwrap();
    let mut walferry = place.streaming(&settings);
    let wanted = setting("WALFERRY_TRACE_TRANSACTIONS", 24);
    let options = MixedOptions {
        bulk_rows: 300,
        transactions_per_second: None,
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &options).unwrap();
    // Halving is worth nothing in a few records.
    walferry.wait_status("past many transactions", READY, |_| {
        load.counts().committed as usize > 40 * wanted.min(100)
    });
    load.stop();
    place.drain(&MixedLoad::last_statement("public"));
    let all = consumed(&place);
    let limit = Duration::from_millis(setting("WALFERRY_TRACE_MS", 20_000) as u64);
    let (mut took, step) = (Vec::new(), all.len() / wanted);
    for (at, (xid, (records_of, lsns))) in all.iter().step_by(step.max(1)).enumerate() {
        // By its id, and by the LSN of one of its changes.
        let lsn = lsns[at % lsns.len()];
        let what = match at % 2 {
            0 => xid.to_string(),
            _ => format!("{:X}/{:X}", lsn >> 32, lsn as u32),
        };
        let (code, report, time) = traced(file, &what);
        assert_eq!(code, Some(0), "{what}: {report:#}");
        assert_eq!(report["state"], "committed");
        let found = &report["transactions"][0];
        assert_eq!(found["xid"], *xid, "{what}: {report:#}");
        assert!(
            found["commit_to_encoded_ms"].as_f64() > Some(0.0),
            "{found:#}"
        );
        assert_eq!(&records(&report), records_of, "{what}");
        assert!(time <= limit, "{what} took {time:?}");
        took.push(time);
    }
    took.sort();
    print_line(&format!(
        "{} of {} transactions found, half within {:?}, all within {:?}",
        took.len(),
        all.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    ));

    // By a key, the newest change of which is the last statement's.
    let id = place.value("select min(id) from orders").unwrap();
    let key = format!("{{\"id\":{id}}}");
    let (code, text) = told(&["trace", &key, "-c", file, "--table", "public.orders"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(&format!("{} partition ", place.topic("public.orders"))),
        "{text}"
    );
    waits(&place, file);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let lsn = place.value("insert into orders (id, writer, amount) values (-999, 1, 1) returning pg_current_wal_insert_lsn()");
    let (code, report, _) = traced(file, &lsn.unwrap());
    assert_eq!(
        (code, &report["state"]),
        (Some(1), &"source".into()),
        "{report:#}"
    );
}

/// What is in no topic.
fn waits(place: &Place, file: &str) {
    let mut session = Session::connect(&place.url).unwrap();
    session
        .execute("begin; insert into orders (id, writer, amount) values (-998, 1, 1)")
        .unwrap();
    let xid = session
        .value("select pg_current_xact_id()")
        .unwrap()
        .unwrap();
    let (code, report, _) = traced(file, &xid);
    assert_eq!(
        (code, &report["state"]),
        (Some(1), &"running".into()),
        "{report:#}"
    );
    session.execute("rollback").unwrap();
    let (_, report, _) = traced(file, &xid);
    assert_eq!(report["state"], "rolled back", "{report:#}");
    let (code, report, _) = traced(file, "FFFF/0");
    assert_eq!(
        (code, &report["state"]),
        (Some(1), &"future".into()),
        "{report:#}"
    );
    let (code, text) = told(&["trace", "x/y", "-c", file]);
    assert_eq!(code, Some(2), "{text}");
}
