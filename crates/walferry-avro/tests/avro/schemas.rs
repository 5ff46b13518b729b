//! Schema text, property by property, against the dictionary's.

use walferry_avro::{
    BinaryMode, DecimalMode, EncodePlan, EnvelopeReader, Format, FunctionDefaults, Naming,
    PHYSICAL_TABLE, TimeMode,
};
use walferry_event::{Column, Datum};

use crate::harness::*;

/// JSON without its white space, properties in their order.
fn compact(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .unwrap()
        .to_string()
}

/// The fields of the row record.
fn fields(columns: Vec<Column>, format: &Format) -> Vec<String> {
    let plan = plan(columns, &[], format);
    parse(plan.value_schema());
    let schema: serde_json::Value = serde_json::from_str(plan.value_schema()).unwrap();
    let row = &schema["fields"][0]["type"][1]["fields"];
    row.as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn check(column: Column, format: &Format, expected: &str) {
    assert_eq!(fields(vec![column], format), [expected]);
}

fn orders() -> Vec<Column> {
    vec![
        required(default(
            column("id", INT8, -1),
            "nextval('orders_id_seq'::regclass)",
        )),
        required(column("customer_id", INT4, -1)),
        required(default(
            labels("status", &["new", "paid", "shipped"]),
            "'new'::inventory.order_status",
        )),
        required(column("total", NUMERIC, numeric(12, 2))),
        column("qty", INT2, -1),
        column("note", TEXT, -1),
        column("attrs", JSONB, -1),
        required(default(column("placed_at", TIMESTAMPTZ, -1), "now()")),
        column("updated_at", TIMESTAMP, 3),
    ]
}

#[test]
fn the_worked_example_of_the_dictionary() {
    let plan = plan(orders(), &[0], &Format::default());
    assert_eq!(
        plan.key_schema().unwrap(),
        compact(include_str!("golden/orders-key.avsc"))
    );
    assert_eq!(
        plan.value_schema(),
        compact(include_str!("golden/orders-value.avsc"))
    );
}

#[test]
fn the_same_example_without_defaults_that_are_none() {
    let format = format(|format| format.function_defaults = FunctionDefaults::None);
    let fields = fields(orders(), &format);
    assert_eq!(fields[0], r#"{"name":"id","type":"long"}"#);
    assert!(fields[2].contains(r#""default":"new""#));
    assert!(!fields[7].contains("default"));
}

#[test]
fn fields_of_the_dictionary() {
    let golden: Vec<_> = include_str!("golden/fields.jsonl")
        .lines()
        .map(compact)
        .collect();
    let connect = format(|format| format.time = TimeMode::Connect);
    let found = fields(
        vec![
            column("unconstrained_numeric", NUMERIC, -1),
            required(column("second_one_in_same_schema", NUMERIC, -1)),
            required(default(
                column("dec_5_2_default_1", NUMERIC, numeric(5, 2)),
                "1",
            )),
            default(column("nullable_bool_default_true", BOOL, -1), "true"),
            column("date_connect", DATE, -1),
            column("time_connect", TIME, -1),
            column("ts_connect", TIMESTAMP, -1),
        ],
        &connect,
    );
    assert_eq!(found, golden);
}

#[test]
fn scalars() {
    for (oid, expected) in [
        (BOOL, r#""boolean""#),
        (INT2, r#"{"type":"int","connect.type":"int16"}"#),
        (INT4, r#""int""#),
        (INT8, r#""long""#),
        (OID, r#""long""#),
        (FLOAT4, r#""float""#),
        (FLOAT8, r#""double""#),
        (TEXT, r#""string""#),
        (VARCHAR, r#""string""#),
        (BPCHAR, r#""string""#),
        (NAME, r#""string""#),
        (BYTEA, r#""bytes""#),
        (
            JSON,
            r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Json"}"#,
        ),
        (
            JSONB,
            r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Json"}"#,
        ),
        (
            UUID,
            r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Uuid"}"#,
        ),
        (
            TIMESTAMPTZ,
            r#"{"type":"string","connect.version":1,"connect.name":"io.debezium.time.ZonedTimestamp"}"#,
        ),
    ] {
        check(
            required(column("c", oid, -1)),
            &Format::default(),
            &format!(r#"{{"name":"c","type":{expected}}}"#),
        );
        check(
            column("c", oid, -1),
            &Format::default(),
            &format!(r#"{{"name":"c","type":["null",{expected}],"default":null}}"#),
        );
    }
}

#[test]
fn time_types_have_a_name_for_each_mode() {
    use TimeMode::*;
    for (oid, modifier, mode, avro, name) in [
        (DATE, -1, Adaptive, "int", "Date"),
        (DATE, -1, Nanoseconds, "int", "Date"),
        (DATE, -1, IsoString, "string", "IsoDate"),
        (TIME, 3, Adaptive, "int", "Time"),
        (TIME, -1, Adaptive, "long", "MicroTime"),
        (TIME, 3, AdaptiveTimeMicroseconds, "long", "MicroTime"),
        (TIME, 3, Microseconds, "long", "MicroTime"),
        (TIME, 3, Nanoseconds, "long", "NanoTime"),
        (TIME, -1, IsoString, "string", "IsoTime"),
        (TIMESTAMP, 3, Adaptive, "long", "Timestamp"),
        (TIMESTAMP, 4, Adaptive, "long", "MicroTimestamp"),
        (TIMESTAMP, 3, AdaptiveTimeMicroseconds, "long", "Timestamp"),
        (TIMESTAMP, 3, Microseconds, "long", "MicroTimestamp"),
        (TIMESTAMP, -1, Nanoseconds, "long", "NanoTimestamp"),
        (TIMESTAMP, -1, IsoString, "string", "IsoTimestamp"),
    ] {
        check(
            required(column("c", oid, modifier)),
            &format(|format| format.time = mode),
            &format!(
                r#"{{"name":"c","type":{{"type":"{avro}","connect.version":1,"connect.name":"io.debezium.time.{name}"}}}}"#
            ),
        );
    }
}

#[test]
fn numeric_and_bytea_follow_their_modes() {
    let decimal = |precision: i32, scale: i32| {
        format!(
            r#"{{"name":"c","type":{{"type":"bytes","scale":{scale},"precision":{precision},"connect.version":1,"connect.parameters":{{"scale":"{scale}","connect.decimal.precision":"{precision}"}},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}}}}"#
        )
    };
    for ((precision, scale), expected) in [
        ((12, 2), decimal(12, 2)),
        ((1000, 1000), decimal(1000, 1000)),
        ((4, 0), decimal(4, 0)),
        ((5, -2), decimal(7, 0)),
        ((1, -1000), decimal(1001, 0)),
        ((2, 4), decimal(4, 4)),
    ] {
        let column = required(column("c", NUMERIC, numeric(precision, scale)));
        check(column, &Format::default(), &expected);
    }
    for (mode, avro) in [
        (DecimalMode::String, "string"),
        (DecimalMode::Double, "double"),
    ] {
        for modifier in [-1, numeric(12, 2)] {
            check(
                required(column("c", NUMERIC, modifier)),
                &format(|format| format.decimal = mode),
                &format!(r#"{{"name":"c","type":"{avro}"}}"#),
            );
        }
    }
    for mode in [
        BinaryMode::Base64,
        BinaryMode::Base64UrlSafe,
        BinaryMode::Hex,
    ] {
        check(
            required(column("c", BYTEA, -1)),
            &format(|format| format.binary = mode),
            r#"{"name":"c","type":"string"}"#,
        );
    }
}

/// The `default` of a NOT NULL column's field, as JSON text.
fn field_default(column: Column) -> Option<String> {
    let field = fields(vec![required(column)], &Format::default()).remove(0);
    let field: serde_json::Value = serde_json::from_str(&field).unwrap();
    let default = field.get("default").map(ToString::to_string);
    let property = field["type"]
        .get("connect.default")
        .map(ToString::to_string);
    assert_eq!(default, property, "both say the same");
    default
}

#[test]
fn defaults() {
    for (oid, modifier, expression, expected) in [
        (
            INT8,
            -1,
            "'9223372036854775807'::bigint",
            Some("9223372036854775807"),
        ),
        (INT4, -1, "2147483647", Some("2147483647")),
        (INT4, -1, "abs('-1'::integer)", Some("0")),
        (INT4, -1, "NULL::integer", None),
        (INT4, -1, "1.5", Some("2")),
        (INT8, -1, "'-7'::integer", Some("-7")),
        (INT4, -1, "2147483648", None),
        (FLOAT4, -1, "'NaN'::real", None),
        (
            NUMERIC,
            numeric(5, 1),
            "'1000'::numeric",
            Some(r#""'\u0010""#),
        ),
        (TEXT, -1, "'a\nb\\c'::text", Some(r#""a\nb\\c""#)),
        (
            TIMESTAMP,
            -1,
            "'0044-03-15 00:00:00 BC'::timestamp without time zone",
            Some("-63517824000000000"),
        ),
        (INT2, -1, "'-5'::integer", Some("-5")),
        (BOOL, -1, "true", Some("true")),
        (BPCHAR, 14, "'abcd'::bpchar", Some(r#""abcd""#)),
        (TEXT, -1, "'text(parens)'::text", Some(r#""text(parens)""#)),
        (TEXT, -1, "'NULL'::text", Some(r#""NULL""#)),
        (TEXT, -1, "concat('foo', 'bar')", Some(r#""""#)),
        (
            VARCHAR,
            -1,
            "'it''s \"x\"'::character varying",
            Some(r#""it's \"x\"""#),
        ),
        (FLOAT8, -1, "'NaN'::double precision", None),
        (FLOAT8, -1, "1", Some("1.0")),
        (
            NUMERIC,
            numeric(10, 5),
            "12345.67891",
            Some("\"I\u{96}\\u0002Ó\""),
        ),
        (NUMERIC, numeric(12, 0), "0.0", Some(r#""\u0000""#)),
        (NUMERIC, numeric(12, 2), "'NaN'::numeric", None),
        (NUMERIC, -1, "0", None),
        (BYTEA, -1, "'\\x00'::bytea", None),
        (OID, -1, "1", None),
        (NAME, -1, "'x'::name", None),
        (INTERVAL, -1, "'01:00:00'::interval", Some("3600000000")),
        (INTERVAL, -1, "make_interval(hours => 1)", Some("0")),
        (BIT, 1, "B'1'::\"bit\"", Some("true")),
        (BIT, 2, "B'11'::\"bit\"", Some(r#""\u0003""#)),
        (VARBIT, 5, "B'110'::\"bit\"", Some(r#""\u0006""#)),
        (BIT, 3, "f()", Some(r#""""#)),
        (TIMETZ, -1, "'01:00:00+00'::time with time zone", None),
        (MONEY, 2, "'$1.00'::money", None),
        (
            XML,
            -1,
            "'<foo>bar</foo>'::xml",
            Some(r#""<foo>bar</foo>""#),
        ),
        (869, -1, "'127.0.0.1'::inet", None),
        (JSONB, -1, "'{}'::jsonb", Some(r#""{}""#)),
        (JSON, -1, "f()", Some(r#""{}""#)),
        (
            UUID,
            -1,
            "gen_random_uuid()",
            Some(r#""00000000-0000-0000-0000-000000000000""#),
        ),
        (DATE, -1, "'2021-03-19'::date", Some("18705")),
        (DATE, -1, "('now'::text)::date", None),
        (DATE, -1, "CURRENT_DATE", Some("0")),
        (
            TIME,
            -1,
            "'12:34:56'::time without time zone",
            Some("45296000000"),
        ),
        (
            TIMESTAMP,
            -1,
            "'2021-03-20 13:44:28'::timestamp without time zone",
            Some("1616247868000000"),
        ),
        (
            TIMESTAMP,
            -1,
            "'infinity'::timestamp without time zone",
            Some("9223372036854775807"),
        ),
        (
            TIMESTAMPTZ,
            -1,
            "'2021-03-20 14:44:28+01'::timestamp with time zone",
            Some(r#""2021-03-20T13:44:28.000000Z""#),
        ),
        (
            TIMESTAMPTZ,
            -1,
            "now()",
            Some(r#""1970-01-01T00:00:00.000000Z""#),
        ),
    ] {
        let column = default(column("c", oid, modifier), expression);
        let found = field_default(column);
        assert_eq!(found.as_deref(), expected, "{expression}");
    }
    assert_eq!(
        fields(
            vec![default(column("c", INT2, -1), "7")],
            &Format::default()
        ),
        [
            r#"{"name":"c","type":[{"type":"int","connect.default":7,"connect.type":"int16"},"null"],"default":7}"#
        ]
    );
}

#[test]
fn names_that_avro_does_not_allow() {
    let columns = || {
        vec![
            required(column("1st-value", INT4, -1)),
            column("čas", TEXT, -1),
        ]
    };
    let naming = Naming {
        topic: "shop.My-Schema.žluť",
        ..NAMING
    };
    let table = table(columns(), &[0]);
    let plan = EncodePlan::compile(&table, &naming, &Format::default()).unwrap();
    parse(plan.value_schema());
    assert_eq!(
        plan.key_schema().unwrap(),
        r#"{"type":"record","name":"Key","namespace":"shop.My_Schema._lu_","fields":[{"name":"_1st_value","type":"int"}],"connect.name":"shop.My_Schema._lu_.Key"}"#
    );
    let raw = format(|format| format.adjust_names = false);
    let plan = EncodePlan::compile(&table, &naming, &raw).unwrap();
    assert!(plan.value_schema().contains(r#"{"name":"1st-value""#));
}

#[test]
fn names_that_become_one_stay_apart_in_the_order_of_the_columns() {
    let names = |columns: &[&str]| -> Vec<String> {
        let columns = columns.iter().map(|name| column(name, INT4, -1)).collect();
        let plan = EncodePlan::compile(&table(columns, &[]), &NAMING, &Format::default()).unwrap();
        let reader = EnvelopeReader::parse(plan.value_schema()).unwrap();
        reader.columns().map(|(name, _)| name.to_owned()).collect()
    };
    for (columns, fields) in [
        (&["a b", "a-b"][..], &["a_b", "a_b_2"][..]),
        (&["a b", "x", "a_b"], &["a_b", "x", "a_b_2"]),
        (&["a_b", "a_b_2", "a b"], &["a_b", "a_b_2", "a_b_3"]),
        (&["名前", "住所"], &["__", "___2"]),
    ] {
        assert_eq!(names(columns), fields, "{columns:?}");
    }
}

#[test]
fn sixteen_hundred_columns() {
    let columns = (0..1_600)
        .map(|at| column(&format!("c{at}"), NUMERIC, -1))
        .collect();
    assert_eq!(fields(columns, &Format::default()).len(), 1_600);
}

#[test]
fn keys_of_a_shared_topic_end_with_the_table() {
    let naming = Naming {
        topic: "shop.orders",
        shared: true,
        physical_table: Some("shop.tenant_a.orders"),
        ..NAMING
    };
    let columns = || vec![required(column("id", INT4, -1)), column("v", TEXT, -1)];
    let told = table(columns(), &[0]);
    let plan = EncodePlan::compile(&told, &naming, &Format::default()).unwrap();
    let schema = plan.key_schema().unwrap();
    assert_eq!(
        schema,
        r#"{"type":"record","name":"Key","namespace":"shop.orders","fields":[{"name":"id","type":"int"},{"name":"__dbz__physicalTableIdentifier","type":"string"}],"connect.name":"shop.orders.Key"}"#
    );
    let row = [Datum::Text(b"7"), Datum::Null];
    let mut key = Vec::new();
    plan.key(&row, &mut key).unwrap();
    let decoded = decode(schema, &key);
    assert_eq!(show(&field(&decoded, "id")), "int 7");
    assert_eq!(
        show(&field(&decoded, PHYSICAL_TABLE)),
        "string shop.tenant_a.orders"
    );
    assert!(key.ends_with(plan.key_end()));
    let mut json = Vec::new();
    plan.key_json(&row, &mut json).unwrap();
    assert_eq!(
        json, br#"{"id":7}"#,
        "the headers of a key change have the columns"
    );
    // A table without a key has none here either; a column of that name has another field.
    let keyless = EncodePlan::compile(&table(columns(), &[]), &naming, &Format::default()).unwrap();
    assert_eq!(keyless.key_schema(), None);
    let taken = table(vec![required(column(PHYSICAL_TABLE, TEXT, -1))], &[0]);
    let plan = EncodePlan::compile(&taken, &naming, &Format::default()).unwrap();
    let other = format!("\"{PHYSICAL_TABLE}_2\"");
    assert!(plan.key_schema().unwrap().contains(&other));
}
