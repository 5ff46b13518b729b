//! The whole checker on real servers, before a connector of our own making: what it wrote right is clean, what it then
//! writes wrong is found, what it aborted is not seen.

use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::*;
use crate::load;
use crate::process::http;
use walferry_stack::Stack;

const KEY: &str = r#"{"type":"record","name":"Key","namespace":"N.public.t","fields":[{"name":"id","type":"long"}]}"#;
const VALUE: &str = r#"{"type":"record","name":"Envelope","namespace":"N.public.t","fields":[
    {"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"long"},
        {"name":"at","type":["null",{"type":"string","connect.name":"io.debezium.time.ZonedTimestamp"}]},
        {"name":"price","type":["null",{"type":"bytes","scale":2,"precision":12,"logicalType":"decimal",
            "connect.name":"org.apache.kafka.connect.data.Decimal"}]}]}],"default":null},
    {"name":"after","type":["null","Value"],"default":null},
    {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"schema","type":"string"},
        {"name":"table","type":"string"},{"name":"txId","type":["null","long"]},{"name":"lsn","type":["null","long"]}]}},
    {"name":"op","type":"string"}]}"#;

type Sender = ThreadedProducer<rdkafka::producer::DefaultProducerContext>;

/// A connector for one table that writes what it is told.
struct Connector {
    producer: Sender,
    topic: String,
    key: (u32, Schema),
    value: (u32, Schema),
}

impl Connector {
    fn new(brokers: &str, registry: &str, prefix: &str) -> Connector {
        let topic = format!("{prefix}.public.t");
        let register = |kind: &str, schema: &str| {
            let schema = schema.replace("N.public", &format!("{prefix}.public"));
            let body = serde_json::json!({ "schema": schema }).to_string();
            let url = format!("{registry}/subjects/{topic}-{kind}/versions");
            let answer = http::request("POST", &url, &body, &[], Duration::from_secs(10)).unwrap();
            let id = answer.json().unwrap()["id"].as_u64().unwrap() as u32;
            (id, Schema::parse_str(&schema).unwrap())
        };
        let producer: Sender = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", prefix)
            .create()
            .unwrap();
        producer.init_transactions(Duration::from_secs(30)).unwrap();
        let (key, value) = (register("key", KEY), register("value", VALUE));
        Connector {
            producer,
            topic,
            key,
            value,
        }
    }

    fn framed(schema: &(u32, Schema), value: Avro) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&schema.0.to_be_bytes());
        bytes.extend(apache_avro::to_avro_datum(&schema.1, value).unwrap());
        bytes
    }

    fn key(&self, id: i64) -> Vec<u8> {
        Self::framed(&self.key, Avro::Record(vec![("id".into(), Avro::Long(id))]))
    }

    fn event(&self, change: &Change) -> (Vec<u8>, Vec<u8>) {
        let some = |value: Avro| Avro::Union(1, Box::new(value));
        let null = || Avro::Union(0, Box::new(Avro::Null));
        let text = |row: &Row, name: &str| match row.column(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let id = |row: &Row| text(row, "id").unwrap().parse::<i64>().unwrap();
        // The canonical time is UTC microseconds; these all lie in one second of 2026.
        let time = |us: String| {
            let fraction = us.parse::<i64>().unwrap() - 1_795_521_600_000_000;
            Avro::String(format!("2026-11-24T12:00:00.{fraction:06}Z"))
        };
        let cents = |price: String| {
            let cents = (price.parse::<f64>().unwrap() * 100.0).round() as i32;
            Avro::Decimal(cents.to_be_bytes().to_vec().into())
        };
        let side = |row: &Option<Row>| match row {
            None => null(),
            Some(row) => some(Avro::Record(vec![
                ("id".into(), Avro::Long(id(row))),
                (
                    "at".into(),
                    text(row, "at").map_or_else(null, |us| some(time(us))),
                ),
                (
                    "price".into(),
                    text(row, "price").map_or_else(null, |price| some(cents(price))),
                ),
            ])),
        };
        let source = Avro::Record(vec![
            ("schema".into(), Avro::String("public".into())),
            ("table".into(), Avro::String("t".into())),
            ("txId".into(), some(Avro::Long(i64::from(change.xid)))),
            ("lsn".into(), some(Avro::Long(change.lsn as i64))),
        ]);
        let value = Avro::Record(vec![
            ("before".into(), side(&change.old)),
            ("after".into(), side(&change.new)),
            ("source".into(), source),
            ("op".into(), Avro::String(change.op.code().to_string())),
        ]);
        let row = change.new.as_ref().or(change.old.as_ref()).unwrap();
        (self.key(id(row)), Self::framed(&self.value, value))
    }

    fn send(&self, key: &[u8], value: Option<&[u8]>) {
        let record = BaseRecord::<[u8], [u8]>::to(&self.topic).key(key);
        let record = match value {
            Some(value) => record.payload(value),
            None => record,
        };
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .unwrap();
    }

    fn write(&self, changes: &[Change], commits: bool) {
        self.producer.begin_transaction().unwrap();
        for change in changes {
            let (key, value) = self.event(change);
            self.send(&key, Some(&value));
            if change.op == Op::Delete {
                self.send(&key, None);
            }
        }
        let wait = Duration::from_secs(30);
        self.producer.flush(wait).unwrap();
        if commits {
            self.producer.commit_transaction(wait).unwrap();
        } else {
            self.producer.abort_transaction(wait).unwrap();
        }
    }
}

#[test]
fn right_topics_are_clean_and_wrong_ones_are_found_on_real_servers() {
    let servers = Stack::shared().unwrap();
    let name = format!("checked{}", std::process::id());
    let url = load::create_database(&servers.postgres_url, &name).unwrap();
    let mut session = Session::connect(&url).unwrap();
    session
        .execute("create table t (id bigint primary key, at timestamptz, price numeric(12,2))")
        .unwrap();
    let (brokers, registry) = (
        servers.kafka_brokers.as_str(),
        servers.registry_url.as_str(),
    );
    let slot = format!("{name}_witness");
    let checker = Checker::create(&url, &slot, &["public.t"], brokers, registry, &name).unwrap();
    let at = "timestamptz '2026-11-24 12:00:00+00'";
    for sql in [
        format!(
            "insert into t select n, {at} + n * interval '1 microsecond', n / 8.0 from generate_series(1, 2000) n"
        ),
        "update t set price = -price, at = null where id <= 10".to_owned(),
        "delete from t where id between 5 and 7".to_owned(),
    ] {
        session.execute(&sql).unwrap();
    }
    let mut changes = Vec::new();
    checker
        .witness()
        .peek(|told| {
            changes.extend(if let Told::Change(change) = told {
                Some(change)
            } else {
                None
            })
        })
        .unwrap();
    assert_eq!(changes.len(), 2013);

    let connector = Connector::new(brokers, registry, &name);
    connector.write(&changes[..500], true);
    connector.write(&changes[500..900], false);
    // An aborted producer goes on here; the checker must see the second try only.
    connector.write(&changes[500..], true);
    connector.write(&changes[..3], false);
    let report = checker.verdict().unwrap();
    report.assert_clean(2013);
    assert_eq!((report.observed, report.tombstones), (2013, 3));

    connector.write(&changes[42..44], true);
    let report = checker.verdict().unwrap();
    assert_eq!((report.doubled, report.faults()), (2, 2), "{report}");
    session
        .execute(&format!(
            "insert into t values (5000, {at}, 1), (5001, {at}, 1.5)"
        ))
        .unwrap();
    let report = checker.verdict().unwrap();
    assert_eq!(
        (report.lost, report.doubled, report.faults()),
        (2, 2, 4),
        "{report}"
    );
    checker.drop_slot().unwrap();
}
