//! Composites, and records that occur more than once.

use walferry_avro::Format;
use walferry_event::Column;

use super::{address, check, schema};
use crate::harness::*;

#[test]
fn composites_are_records() {
    assert_eq!(
        schema(address(), &Format::default()),
        concat!(
            r#"["null",{"type":"record","name":"address","namespace":"shop.inventory.orders.inventory","fields":["#,
            r#"{"name":"street","type":["null","string"],"default":null},"#,
            r#"{"name":"no_1","type":["null","int"],"default":null},"#,
            r#"{"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null}],"#,
            r#""connect.name":"shop.inventory.orders.inventory.address"}]"#
        )
    );
    let shown = |street: &str, number: &str, tags: &str| {
        format!("{{street: {street}, no_1: {number}, tags: {tags}}}")
    };
    check(
        address(),
        &Format::default(),
        &[
            ("(Main,7,)", &shown("string Main", "int 7", "null")),
            ("(,,)", &shown("null", "null", "null")),
            (
                r#"("a ""b"" \\ (c), d",-1,"{x,""y z""}")"#,
                &shown(
                    r#"string a "b" \ (c), d"#,
                    "int -1",
                    "[string x, string y z]",
                ),
            ),
            (r#"("",,{})"#, &shown("string ", "null", "[]")),
            // Of another version of the type.
            ("(Main,7)", "error shape"),
            ("(Main,7,,)", "error shape"),
            ("(Main,seven,)", "error shape"),
            ("(,,[0:0]={a})", "error shape"),
            // Of no version.
            ("Main", "error malformed"),
            (r#"("Main,7,)"#, "error malformed"),
        ],
    );
    check(
        any_shape(address()),
        &Format::default(),
        &[
            ("(Main,7)", "string (Main,7)"),
            ("(Main,7,{a})", &shown("string Main", "int 7", "[string a]")),
        ],
    );
    let none = composite("c", "none", vec![]);
    check(
        none,
        &Format::default(),
        &[("()", "{}"), ("(a)", "error shape")],
    );
    let one = composite("c", "one", vec![column("a", INT4, -1)]);
    check(
        one,
        &Format::default(),
        &[("()", "{a: null}"), ("(1)", "{a: int 1}")],
    );
}

#[test]
fn composites_and_arrays_nest() {
    let people = array(
        "c",
        composite(
            "c",
            "person",
            vec![
                column("name", TEXT, -1),
                Column {
                    name: "home".into(),
                    ..address()
                },
            ],
        ),
        1,
    );
    check(
        people,
        &Format::default(),
        &[(
            r#"{"(Ann,\"(\"\"Main \"\"\"\"A\"\"\"\"\"\",1,)\")",NULL}"#,
            r#"[{name: string Ann, home: {street: string Main "A", no_1: int 1, tags: null}}, null]"#,
        )],
    );
}

#[test]
fn a_record_is_spelled_out_once() {
    let columns = vec![
        Column {
            name: "circle".into(),
            ..column("c", 718, -1)
        },
        Column {
            name: "point".into(),
            ..column("c", 600, -1)
        },
        array("points", column("c", 600, -1), 1),
        Column {
            name: "sparse".into(),
            ..extension("sparsevec")
        },
        Column {
            name: "sparse2".into(),
            ..extension("sparsevec")
        },
        Column {
            name: "home".into(),
            ..address()
        },
        array("homes", address(), 1),
        composite(
            "plot",
            "plot",
            vec![
                column("at", 600, -1),
                Column {
                    name: "of".into(),
                    ..address()
                },
            ],
        ),
        column("n", NUMERIC, -1),
        array("ns", column("c", NUMERIC, -1), 1),
    ];
    let plan = plan(columns, &[1, 5], &Format::default());
    parse(plan.value_schema());
    parse(plan.key_schema().unwrap());
    let value = plan.value_schema();
    assert_eq!(value.matches(r#""name":"Point""#).count(), 1);
    assert!(value.contains(
        r#"{"name":"point","type":["null","io.debezium.data.geometry.Point"],"default":null}"#
    ));
    assert!(value.contains(r#""items":["null","shop.inventory.orders.inventory.address"]"#));
    // Within a record of the same namespace the short name does.
    assert!(value.contains(r#"{"name":"of","type":["null","address"],"default":null}"#));
}

#[test]
fn composites_whose_names_are_equal_once_adjusted_are_two_records() {
    let mut first = composite("a", "a-b", vec![column("x", INT4, -1)]);
    let mut second = composite("b", "a b", vec![column("y", TEXT, -1)]);
    first.data_type.oid = 1;
    second.data_type.oid = 2;
    let plan = plan(vec![first, second], &[], &Format::default());
    parse(plan.value_schema());
    assert!(plan.value_schema().contains(r#""name":"a_b_2""#));
    let twins = composite(
        "c",
        "t",
        vec![column("a-b", INT4, -1), column("a b", INT4, -1)],
    );
    check(
        twins,
        &Format::default(),
        &[("(1,2)", "{a_b: int 1, a_b_2: int 2}")],
    );
}
