//! Records as consumers read them: every type of this version, keys, headers, tombstones; decoded by apache-avro in
//! Rust and by fastavro in Python from the registry's schema alone; and the schemas as the dictionary gives them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use apache_avro::{Schema, from_avro_datum, types::Value as Avro};
use rdkafka::Message;
use rdkafka::message::Headers;
use serde_json::{Value as Json, json};
use walferry_testkit::process::http;
use walferry_testkit::topics::Reader;

use crate::place::Place;

/// A record with its bytes still framed.
pub(crate) struct Framed {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

pub(crate) fn read(place: &Place, table: &str) -> Vec<Framed> {
    let mut records = Vec::new();
    Reader::open(&place.brokers, &[place.topic(table)])
        .unwrap()
        .read_to_end(|message| {
            let headers = message.headers().map(|headers| {
                let text = |value: Option<&[u8]>| {
                    String::from_utf8(value.unwrap_or_default().to_vec()).unwrap()
                };
                headers
                    .iter()
                    .map(|it| (it.key.to_owned(), text(it.value)))
                    .collect()
            });
            records.push(Framed {
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers.unwrap_or_default(),
            });
            Ok(())
        })
        .unwrap();
    records
}

/// The registry's schemas, by id.
pub(crate) struct Schemas<'a> {
    registry: &'a str,
    known: BTreeMap<u32, (String, Schema)>,
}

impl Schemas<'_> {
    pub(crate) fn of(&mut self, framed: &[u8]) -> &(String, Schema) {
        assert_eq!(framed[0], 0, "the magic byte");
        let id = u32::from_be_bytes(framed[1..5].try_into().unwrap());
        let registry = self.registry;
        self.known.entry(id).or_insert_with(|| {
            let url = format!("{registry}/schemas/ids/{id}");
            let answer = http::get(&url, Duration::from_secs(5))
                .unwrap()
                .json()
                .unwrap();
            let text = answer["schema"].as_str().unwrap().to_owned();
            let schema = Schema::parse_str(&text).unwrap();
            (text, schema)
        })
    }

    pub(crate) fn decode(&mut self, framed: &[u8]) -> BTreeMap<String, Avro> {
        let (_, schema) = self.of(framed);
        let mut rest = &framed[5..];
        let value = from_avro_datum(schema, &mut rest, None).unwrap();
        assert!(rest.is_empty(), "{} bytes are left over", rest.len());
        let Avro::Record(fields) = value else {
            panic!("no record: {value:?}")
        };
        fields.into_iter().collect()
    }
}

pub(crate) fn schemas(place: &Place) -> Schemas<'_> {
    Schemas {
        registry: &place.registry,
        known: BTreeMap::new(),
    }
}

const TYPES: &str = "
create type mood as enum ('sad', 'ok', 'happy');
create table every (
  id bigint primary key, b bool, i2 smallint, i4 int not null default 7, i8 bigint, f4 real, f8 double precision,
  n numeric(12,2), nv numeric, t text, v varchar(20), c char(5), raw bytea, d date, tm time, tm3 time(3),
  ts timestamp, ts3 timestamp(3), tz timestamptz, u uuid, j json, jb jsonb, m mood, o inet, s text default 'a');
alter table every alter column t set storage external";

const ROWS: &str = "
insert into every values (1, true, -32768, 2147483647, -9223372036854775808, 1.5, 'NaN', 12345.67, 1.2500, 'grün',
  'v', 'c', '\\x00ff', '2024-02-29', '23:59:59.999999', '01:02:03.5', '2024-02-29 12:00:00.123456',
  '2024-02-29 12:00:00.5', '2024-02-29 12:00:00.123456+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}',
  '{\"b\": [1, null]}', 'happy', '10.0.0.1', 'z');
insert into every (id) values (2);
insert into every (id, f4, f8, d, ts, tz) values (3, '-Infinity', 'Infinity', 'infinity', '0044-03-15 BC', 'infinity');
insert into every (id, t) values (4, repeat('toast ', 2000));
update every set i2 = 1 where id = 4;
update every set id = 40 where id = 2;
delete from every where id = 3";

#[test]
fn every_type_decodes_from_the_registrys_schema_alone() {
    let place = Place::shared("types");
    place.sql(TYPES);
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let _walferry = place.streaming(&settings);
    place.sql(ROWS);
    place.drain("insert into every (id) values (99)");
    let records = read(&place, "public.every");
    let mut schemas = schemas(&place);
    let mut ops = String::new();
    for record in &records {
        let key = schemas.decode(record.key.as_ref().unwrap());
        assert!(matches!(key["id"], Avro::Long(_)), "{key:?}");
        let Some(value) = &record.value else {
            ops.push('-');
            continue;
        };
        let Avro::String(op) = &schemas.decode(value)["op"] else {
            panic!("no op")
        };
        ops.push_str(op);
    }
    // Four inserts, an update, a key change in three records, a delete in two, and the drain's insert.
    assert_eq!(ops, "ccccud-cd-c");
    assert_eq!(records[5].headers["__debezium.newkey"], r#"{"id":40}"#);
    assert_eq!(records[6].headers["__debezium.newkey"], r#"{"id":40}"#);
    assert_eq!(records[7].headers["__debezium.oldkey"], r#"{"id":2}"#);
    assert!(records[0].headers.is_empty());

    let first = schemas.decode(records[0].value.as_ref().unwrap());
    let row = row(&first["after"]);
    for (column, expected) in [
        ("b", Avro::Boolean(true)),
        ("i2", Avro::Int(-32768)),
        ("i4", Avro::Int(2_147_483_647)),
        ("i8", Avro::Long(i64::MIN)),
        ("f4", Avro::Float(1.5)),
        ("t", Avro::String("grün".into())),
        ("c", Avro::String("c    ".into())),
        ("raw", Avro::Bytes(vec![0, 255])),
        ("d", Avro::Int(19_782)),
        ("tm", Avro::Long(86_399_999_999)),
        ("tm3", Avro::Int(3_723_500)),
        ("ts", Avro::Long(1_709_208_000_123_456)),
        ("ts3", Avro::Long(1_709_208_000_500)),
        ("tz", Avro::String("2024-02-29T10:00:00.123456Z".into())),
        (
            "u",
            Avro::String("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".into()),
        ),
        ("j", Avro::String("{\"a\": 1}".into())),
        ("jb", Avro::String("{\"b\": [1, null]}".into())),
        ("m", Avro::String("happy".into())),
        ("o", Avro::String("10.0.0.1".into())),
    ] {
        assert_eq!(row[column], expected, "{column}");
    }
    // An update that leaves a TOASTed value alone says so, and never null.
    let update = schemas.decode(records[4].value.as_ref().unwrap());
    let after = self::row(&update["after"]);
    assert_eq!(
        after["t"],
        Avro::String("__debezium_unavailable_value".into())
    );

    fastavro(&place, &mut schemas, &records);
}

/// The fields of a row, each out of its union.
/// The columns of a row, `before` or `after`.
pub(crate) fn columns(side: &Avro) -> &[(String, Avro)] {
    let Avro::Union(_, inner) = side else {
        panic!("no union: {side:?}")
    };
    let Avro::Record(fields) = &**inner else {
        panic!("no row: {inner:?}")
    };
    fields
}

fn row(side: &Avro) -> BTreeMap<String, Avro> {
    let bare = |value: &Avro| match value {
        Avro::Union(_, inner) => (**inner).clone(),
        other => other.clone(),
    };
    columns(side)
        .iter()
        .map(|(name, value)| (name.clone(), bare(value)))
        .collect()
}

const PYTHON: &str = r#"
import io, json, sys
import fastavro
count = 0
parsed = {}
for line in sys.stdin:
    record = json.loads(line)
    schema = parsed.get(record["schema"])
    if schema is None:
        schema = parsed[record["schema"]] = fastavro.parse_schema(json.loads(record["schema"]))
    data = io.BytesIO(bytes.fromhex(record["bytes"]))
    fastavro.schemaless_reader(data, schema)
    assert data.read() == b"", "bytes are left over"
    count += 1
print(count)
"#;

/// Decodes every key and value with fastavro.
fn fastavro(place: &Place, schemas: &mut Schemas<'_>, records: &[Framed]) {
    let packages = walferry_stack::fastavro().unwrap();
    let mut lines = String::new();
    let mut expected = 0;
    for framed in records.iter().flat_map(|it| [&it.key, &it.value]).flatten() {
        let hex: String = framed[5..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let line = json!({"schema": schemas.of(framed).0, "bytes": hex});
        lines.push_str(&format!("{line}\n"));
        expected += 1;
    }
    std::fs::create_dir_all(&place.folder).unwrap();
    let input = place.folder.join("records.jsonl");
    std::fs::write(&input, lines).unwrap();
    let output = Command::new("python3")
        .env("PYTHONPATH", packages)
        .args(["-c", PYTHON])
        .stdin(std::fs::File::open(&input).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.trim(), expected.to_string(), "{errors}");
}

#[test]
fn the_schema_is_the_one_that_debezium_gives() {
    let place = Place::shared("schema");
    place.sql(TYPES);
    let _walferry = place.streaming(&place.all());
    place.drain("insert into every (id) values (99)");
    let records = read(&place, "public.every");
    let mut schemas = schemas(&place);
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    let key = parsed(&schemas.of(records[0].key.as_ref().unwrap()).0);
    assert_eq!(key["name"], "Key");
    assert_eq!(key["namespace"], format!("{}.public.every", place.name));
    assert_eq!(key["fields"], json!([{"name": "id", "type": "long"}]));
    let value = parsed(&schemas.of(records[0].value.as_ref().unwrap()).0);
    assert_eq!(value["name"], "Envelope");
    let fields: Vec<&str> = names(&value["fields"]);
    assert_eq!(
        fields,
        [
            "before",
            "after",
            "source",
            "transaction",
            "op",
            "ts_ms",
            "ts_us",
            "ts_ns"
        ]
    );
    let columns = &value["fields"][0]["type"][1]["fields"];
    let column = |name: &str| {
        let found = columns
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == name);
        found.unwrap()["type"].clone()
    };
    let nullable = |inner: Json| json!(["null", inner]);
    assert_eq!(column("id"), "long");
    assert_eq!(column("b"), nullable(json!("boolean")));
    assert_eq!(
        column("i2"),
        nullable(json!({"type": "int", "connect.type": "int16"}))
    );
    assert_eq!(column("i4"), json!({"type": "int", "connect.default": 7}));
    assert_eq!(column("f8"), nullable(json!("double")));
    let decimal = column("n")[1].clone();
    assert_eq!(
        (&decimal["type"], &decimal["logicalType"]),
        (&json!("bytes"), &json!("decimal"))
    );
    assert_eq!(
        (&decimal["precision"], &decimal["scale"]),
        (&json!(12), &json!(2))
    );
    for (name, avro, semantic) in [
        ("d", "int", "io.debezium.time.Date"),
        ("tm", "long", "io.debezium.time.MicroTime"),
        ("tm3", "int", "io.debezium.time.Time"),
        ("ts", "long", "io.debezium.time.MicroTimestamp"),
        ("ts3", "long", "io.debezium.time.Timestamp"),
        ("tz", "string", "io.debezium.time.ZonedTimestamp"),
        ("u", "string", "io.debezium.data.Uuid"),
        ("j", "string", "io.debezium.data.Json"),
        ("jb", "string", "io.debezium.data.Json"),
        ("m", "string", "io.debezium.data.Enum"),
    ] {
        let field = column(name)[1].clone();
        assert_eq!(field["type"], avro, "{name}");
        assert_eq!(field["connect.name"], semantic, "{name}");
    }
    assert_eq!(
        column("m")[1]["connect.parameters"]["allowed"],
        "sad,ok,happy"
    );
}

fn names(fields: &Json) -> Vec<&str> {
    let fields = fields.as_array().unwrap();
    fields
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_row_whose_key_is_stored_out_of_line_is_updated() {
    let place = Place::shared("long_key");
    place.sql(
        "create table t (k text primary key, n int); alter table t alter column k set storage external",
    );
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let _walferry = place.streaming(&settings);
    place.sql("insert into t values (repeat('k', 2500), 1)");
    place.drain("update t set n = 2");
    checker.verdict().unwrap().assert_clean(2);
}
