//! `walferry audit`: clean while a load runs, and each of a dozen faults that are planted in copies of a topic is found.

use std::process::Command;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value as Json;
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, binary};
use walferry_testkit::topics::Reader;

use crate::place::{Place, READY};

const PATIENCE: &str = "240";

/// Runs an audit: exit code, and what it prints as JSON.
pub(crate) fn audit(
    place: &Place,
    settings: &Settings,
    more: &[&str],
) -> (Option<i32>, Json, String) {
    let path = settings.write(&place.folder).unwrap();
    let output = Command::new(binary().unwrap())
        // On a machine that runs other tests an idle connector may be slow to follow the cluster's WAL.
        .args(["audit", "--json", "--patience", PATIENCE, "-c"])
        .arg(path)
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report, errors)
}

#[test]
fn an_audit_under_load_is_clean() {
    let place = Place::shared("audit").with_mixed_tables();
    let options = MixedOptions {
        bulk_rows: 200,
        truncate: true,
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &options).unwrap();
    let _walferry = place.streaming(&place.all());
    let (mut rows, mut whole) = (0, 0);
    for _ in 0..4 {
        let (code, report, errors) = audit(&place, &place.all(), &[]);
        let tables = report["tables"].as_array();
        let tables = tables.unwrap_or_else(|| panic!("{code:?} {errors}"));
        assert_eq!(tables.len(), 3, "{report:#}");
        for table in tables {
            let faults = [
                "missing",
                "extra",
                "different",
                "duplicates",
                "out_of_order",
            ];
            let faults: u64 = faults.iter().map(|it| table[it].as_u64().unwrap()).sum();
            assert_eq!(faults, 0, "{report:#}\n{errors}");
            rows += table["rows"].as_u64().unwrap();
            whole += u32::from(table["incomplete"] == serde_json::json!([]));
            // The load truncates tables; one that is truncated while it is read cannot be compared.
            for reason in table["incomplete"].as_array().unwrap() {
                assert!(reason.as_str().unwrap().contains("truncated"), "{report:#}");
            }
        }
        assert_eq!(code, Some(i32::from(report["clean"] != true)), "{report:#}");
    }
    assert!(whole >= 8, "only {whole} of 12 tables were compared");
    let counts = load.stop();
    assert!(
        counts.committed > 100 && rows > 100,
        "{rows} rows, {counts:?}"
    );
}

type Record = (Option<Vec<u8>>, Option<Vec<u8>>);

fn records(place: &Place, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    Reader::open(&place.brokers, &[topic.to_owned()])
        .unwrap()
        .read_to_end(|message| {
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            records.push((owned(message.key()), owned(message.payload())));
            Ok(())
        })
        .unwrap();
    records
}

pub(crate) fn kafka(place: &Place) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.brokers);
    config
}

/// A topic of one partition with these records.
fn write(place: &Place, topic: &str, records: &[Record]) {
    let admin: AdminClient<DefaultClientContext> = kafka(place).create().unwrap();
    let new = [NewTopic::new(topic, 1, TopicReplication::Fixed(1))];
    let created = admin.create_topics(&new, &AdminOptions::new());
    futures_executor::block_on(created).unwrap();
    let producer: BaseProducer = kafka(place).create().unwrap();
    for (key, value) in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        (record.key, record.payload) = (key.as_deref(), value.as_deref());
        producer.send(record).map_err(|it| it.0).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// Rows 1 to 5 of the snapshot are the records 0 to 4; then a record for each statement, and two for the delete.
const HISTORY: &str = "
insert into t values (10, 'ten');
update t set note = 'one again' where id = 1;
update t set note = 'two again' where id = 2;
delete from t where id = 3;
update t set note = 'one at last' where id = 1;
insert into t values (11, 'eleven')";

/// A name, what happens to the records, and what is found: missing, extra, different, duplicates; and whether the order is
/// found to be wrong.
type Fault = (&'static str, fn(&mut Vec<Record>), [u64; 4], bool);

fn faults() -> Vec<Fault> {
    vec![
        ("nothing", |_| {}, [0; 4], false),
        (
            "older versions compacted away",
            |it| keep(it, &[1, 3, 4, 5, 7, 10, 11]),
            [0; 4],
            false,
        ),
        (
            "an insert removed",
            |it| drop(it.remove(11)),
            [1, 0, 0, 0],
            false,
        ),
        (
            "a row of the snapshot removed",
            |it| drop(it.remove(3)),
            [1, 0, 0, 0],
            false,
        ),
        (
            "the last update removed",
            |it| drop(it.remove(10)),
            [0, 0, 1, 0],
            false,
        ),
        (
            "a delete removed",
            |it| drop(it.drain(8..10)),
            [0, 1, 0, 0],
            false,
        ),
        (
            "a value changed",
            |it| change_value(it),
            [0, 0, 1, 0],
            false,
        ),
        ("a row of another key added", add_key, [0, 1, 0, 0], false),
        (
            "a record doubled",
            |it| it.insert(5, it[5].clone()),
            [0, 0, 0, 1],
            false,
        ),
        (
            "a record doubled at the end",
            |it| it.push(it[7].clone()),
            [0, 0, 0, 1],
            true,
        ),
        (
            "a row of the snapshot doubled",
            |it| it.insert(2, it[0].clone()),
            [0, 0, 0, 1],
            false,
        ),
        (
            "two of one key reordered",
            |it| it.swap(6, 10),
            [0, 0, 1, 0],
            true,
        ),
        (
            "two of two keys reordered",
            |it| it.swap(6, 7),
            [0; 4],
            true,
        ),
    ]
}

fn keep(records: &mut Vec<Record>, kept: &[usize]) {
    *records = kept.iter().map(|&at| records[at].clone()).collect();
}

fn change_value(records: &mut [Record]) {
    let value = records[11].1.as_mut().unwrap();
    let at = value.windows(6).position(|it| it == b"eleven").unwrap();
    value[at] = b'E';
}

/// The key 11 is the byte 22; 13 is 26.
fn add_key(records: &mut Vec<Record>) {
    let mut record = records[11].clone();
    *record.0.as_mut().unwrap().last_mut().unwrap() = 26;
    records.push(record);
}

#[test]
fn an_audit_finds_each_planted_fault() {
    let place = Place::shared("audit_faults");
    place.sql("create table t (id int primary key, note text); insert into t select g, 'row ' || g from generate_series(1, 5) g");
    let mut settings = place.all();
    settings.set("source.heartbeat_ms", "200");
    let _walferry = place.streaming(&settings);
    for statement in HISTORY.split(';') {
        place.sql(statement);
    }
    place.drain("create table drained ()");
    let original = records(&place, &place.topic("public.t"));
    assert_eq!(original.len(), 12);
    for (number, (name, plant, expected, reordered)) in faults().into_iter().enumerate() {
        let mut copy = original.clone();
        plant(&mut copy);
        let topic = format!("{}.copy.{number}", place.name);
        write(&place, &topic, &copy);
        let mut settings = settings.clone();
        settings.table(&format!("name = \"public.t\"\ntopic = \"{topic}\""));
        let (code, report, errors) = audit(&place, &settings, &["public.t"]);
        let table = &report["tables"][0];
        let found = ["missing", "extra", "different", "duplicates"].map(|it| table[it].as_u64());
        assert_eq!(found, expected.map(Some), "{name}: {report:#}\n{errors}");
        let order = table["out_of_order"].as_u64().unwrap();
        assert_eq!(order > 0, reordered, "{name}: {report:#}");
        let clean = expected == [0; 4] && !reordered;
        assert_eq!(code, Some(i32::from(!clean)), "{name}: {report:#}");
        assert_eq!(
            table["differences"].as_array().unwrap().is_empty(),
            clean,
            "{name}: {report:#}"
        );
    }
}

#[test]
fn rows_without_a_key_are_counted() {
    let place = Place::shared("audit_keyless");
    place.sql(
        "create table t (a int, note text); alter table t replica identity full;
         insert into t select g % 3, 'row' from generate_series(1, 9) g",
    );
    let mut settings = place.all();
    settings.set("source.heartbeat_ms", "200");
    let _walferry = place.streaming(&settings);
    place.sql("update t set note = 'other' where ctid = (select min(ctid) from t where a = 1)");
    place.sql("delete from t where ctid = (select min(ctid) from t where a = 2)");
    place.drain("insert into t values (1, 'other')");
    let original = records(&place, &place.topic("public.t"));
    for (number, removed) in [None, Some(0), Some(original.len() - 1)]
        .into_iter()
        .enumerate()
    {
        let mut copy = original.clone();
        removed.map(|at| copy.remove(at));
        let topic = format!("{}.copy.{number}", place.name);
        write(&place, &topic, &copy);
        let mut settings = settings.clone();
        settings.table(&format!("name = \"public.t\"\ntopic = \"{topic}\""));
        let (code, report, errors) = audit(&place, &settings, &[]);
        let table = &report["tables"][0];
        assert_eq!(table["rows"], 9, "{report:#}\n{errors}");
        assert_eq!(table["missing"], u64::from(removed.is_some()), "{report:#}");
        assert_eq!(table["extra"], 0, "{report:#}");
        assert_eq!(code, Some(i32::from(removed.is_some())), "{report:#}");
    }
}

#[test]
fn an_audit_says_what_it_cannot_compare() {
    let place = Place::shared("audit_limits");
    place.sql("create table t (id int primary key, note text); insert into t select g, 'row ' || g from generate_series(1, 5) g");
    let mut settings = place.all();
    settings.set("source.heartbeat_ms", "200");
    let mut walferry = place.streaming(&settings);
    place.sql("alter table t add column added int default 7");
    place.drain("insert into t values (6, 'six', 8)");
    let (code, report, errors) = audit(&place, &settings, &["public.t"]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    assert_eq!(
        report["tables"][0]["unchecked_values"], 5,
        "the column came later"
    );

    let (code, _, errors) = audit(&place, &settings, &["public.other"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("public.other") && errors.contains("not followed"),
        "{errors}"
    );

    // Retention removes the beginning of a topic.
    let topic = place.topic("public.t");
    let admin: AdminClient<DefaultClientContext> = kafka(&place).create().unwrap();
    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(&topic, 0, Offset::Offset(2))
        .unwrap();
    let deleted = admin.delete_records(&cut, &AdminOptions::new());
    futures_executor::block_on(deleted).unwrap();
    let (code, report, errors) = audit(&place, &settings, &["public.t"]);
    assert_eq!(code, Some(1), "{report:#}\n{errors}");
    let table = &report["tables"][0];
    assert_eq!(table["missing"], 2, "{report:#}");
    assert!(
        table["incomplete"][0]
            .as_str()
            .unwrap()
            .contains("retention"),
        "{report:#}"
    );

    // Nothing moves the checkpoint of a connector that is not there.
    walferry.sigterm();
    walferry.wait_exit(READY);
    let (code, _, errors) = audit(&place, &settings, &["--patience", "1"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("stands still"), "{errors}");
}
