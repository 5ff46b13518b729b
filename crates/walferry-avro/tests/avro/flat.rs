//! The flat envelope: the row itself, what a delete looks like in it, and what it cannot hold.

use serde_json::json;
use walferry_avro::{EncodeErrorKind, EncodePlan, Envelope, Format, Row};
use walferry_event::{Column, Datum, Operation};

use crate::harness::*;

const T: fn(&str) -> Datum<'_> = |text| Datum::Text(text.as_bytes());

fn flat() -> Format {
    Format {
        envelope: Envelope::Flat,
        ..Format::default()
    }
}

fn columns() -> Vec<Column> {
    vec![
        required(column("id", INT4, -1)),
        required(column("a", TEXT, -1)),
        column("b", TEXT, -1),
    ]
}

/// A record as a consumer reads it, on one line.
fn told(plan: &EncodePlan, operation: Operation, before: Row<'_>, after: Row<'_>) -> String {
    let mut out = Vec::new();
    plan.value(operation, before, after, &origin(), &mut out)
        .unwrap();
    show(&decode(plan.value_schema(), &out))
}

#[test]
fn the_schema_is_the_row_with_four_fields_behind_it() {
    let plan = plan(columns(), &[0], &flat());
    let schema: serde_json::Value = serde_json::from_str(plan.value_schema()).unwrap();
    assert_eq!(schema["name"], "Value");
    assert_eq!(schema["namespace"], "shop.inventory.orders");
    assert_eq!(schema["connect.name"], "shop.inventory.orders.Value");
    assert_eq!(
        schema["fields"],
        json!([
            {"name": "id", "type": "int"},
            {"name": "a", "type": "string"},
            {"name": "b", "type": ["null", "string"], "default": null},
            {"name": "__op", "type": "string"},
            {"name": "__lsn", "type": ["null", "long"], "default": null},
            {"name": "__ts_ms", "type": ["null", "long"], "default": null},
            {"name": "__deleted", "type": ["null", "string"], "default": null},
        ])
    );
    // A table without columns has these fields still.
    let bare = self::plan(vec![], &[], &flat());
    let schema: serde_json::Value = serde_json::from_str(bare.value_schema()).unwrap();
    assert_eq!(schema["fields"].as_array().unwrap().len(), 4);
}

#[test]
fn a_change_has_the_new_row_and_a_delete_the_old_one() {
    let plan = plan(columns(), &[0], &flat());
    let (new, old) = ([T("1"), T("x"), T("y")], [T("1"), T("w"), Datum::Null]);
    let behind = |op: &str, deleted: &str| {
        format!(
            "__op: string {op}, __lsn: long 24023128, __ts_ms: long 1478267490999, __deleted: string {deleted}"
        )
    };
    assert_eq!(
        told(&plan, Operation::Create, Row::None, Row::Full(&new)),
        format!(
            "{{id: int 1, a: string x, b: string y, {}}}",
            behind("c", "false")
        )
    );
    // What the update did not touch is taken from the old row.
    let untouched = [T("1"), Datum::Unchanged, T("y")];
    assert_eq!(
        told(
            &plan,
            Operation::Update,
            Row::Full(&old),
            Row::Full(&untouched)
        ),
        format!(
            "{{id: int 1, a: string w, b: string y, {}}}",
            behind("u", "false")
        )
    );
    assert_eq!(
        told(&plan, Operation::Delete, Row::Full(&old), Row::None),
        format!(
            "{{id: int 1, a: string w, b: null, {}}}",
            behind("d", "true")
        )
    );
    // What the identity does not carry is the type's zero, or NULL where that is allowed.
    let key = [T("1"), Datum::Null, Datum::Null];
    assert_eq!(
        told(&plan, Operation::Delete, Row::Key(&key), Row::None),
        format!(
            "{{id: int 1, a: string , b: null, {}}}",
            behind("d", "true")
        )
    );
}

#[test]
fn what_the_envelope_cannot_hold_is_refused() {
    let plan = plan(columns(), &[0], &flat());
    assert!(!plan.has_truncates());
    let nothing = plan.value(
        Operation::Truncate,
        Row::None,
        Row::None,
        &origin(),
        &mut Vec::new(),
    );
    assert_eq!(nothing.unwrap_err().kind, EncodeErrorKind::Columns);
    let taken = || table(vec![column("__op", TEXT, -1)], &[]);
    for (format, field) in [(flat(), "\"__op_2\""), (Format::default(), "\"__op\"")] {
        let plan = EncodePlan::compile(&taken(), &NAMING, &format).unwrap();
        assert!(plan.value_schema().contains(field), "{field}");
    }
}
