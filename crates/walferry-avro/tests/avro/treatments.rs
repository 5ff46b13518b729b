//! Columns that are left out or masked: in the schema, in the key, in both rows, in headers, in what is shown to people.

use walferry_avro::{EncodePlan, Format, Mask, Row, Treatment, Treatments};
use walferry_event::{Datum, Operation};

use crate::harness::{NAMING, column, decode, default, field, origin, required, show, table};

const SALTED: &str = "b18264b09ad9f8f63b8cf409616260694bb363cc52019dd27b0da6e84aa4c545";

fn treatments(of: &[(&str, Treatment)]) -> Treatments {
    let mut treatments = Treatments::default();
    for (column, treatment) in of {
        treatments.set(*column, treatment.clone());
    }
    treatments
}

fn salted() -> Treatment {
    let salt = b"pepper".to_vec();
    Treatment::Mask(Mask::Sha256 { salt })
}

fn columns() -> Vec<walferry_event::Column> {
    vec![
        required(column("id", 23, -1)),
        required(default(
            column("email", 25, -1),
            "'nobody@example.org'::text",
        )),
        column("card", 25, -1),
        column("amount", 23, -1),
        column("note", 25, -1),
    ]
}

fn plan(key: &[usize]) -> EncodePlan {
    let treatments = treatments(&[
        ("email", salted()),
        ("card", Treatment::LeaveOut),
        ("amount", Treatment::Mask(Mask::Redact)),
        ("note", Treatment::Mask(Mask::Truncate { chars: 3 })),
    ]);
    EncodePlan::treated(
        &table(columns(), key),
        &NAMING,
        &Format::default(),
        &treatments,
    )
    .unwrap()
}

const ROW: [Datum<'static>; 5] = [
    Datum::Text(b"7"),
    Datum::Text(b"ann@example.org"),
    Datum::Text(b"4111111111111111"),
    Datum::Text(b"250"),
    Datum::Text(b"gr\xc3\xb6\xc3\x9fe"),
];

#[test]
fn both_rows_and_the_schema_show_masks_and_nothing_of_what_is_left_out() {
    let plan = plan(&[0]);
    let mut record = Vec::new();
    let rows = (Row::Full(&ROW), Row::Full(&ROW));
    plan.value(Operation::Update, rows.0, rows.1, &origin(), &mut record)
        .unwrap();
    let value = decode(plan.value_schema(), &record);
    for side in ["before", "after"] {
        assert_eq!(
            show(&field(&value, side)),
            format!("{{id: int 7, email: string {SALTED}, amount: string ****, note: string grö}}")
        );
    }
    assert!(!plan.value_schema().contains("card"));
    assert!(
        !plan.value_schema().contains("nobody"),
        "a default is a value too"
    );
    for secret in ["ann@", "4111", "250", "größe"] {
        assert!(
            !record
                .windows(secret.len())
                .any(|it| it == secret.as_bytes())
        );
    }
}

#[test]
fn null_stays_null_and_an_unchanged_value_takes_its_mask_from_the_old_row() {
    let plan = plan(&[0]);
    let mut new = ROW;
    (new[1], new[3], new[4]) = (Datum::Unchanged, Datum::Null, Datum::Unchanged);
    let mut record = Vec::new();
    let rows = (Row::Full(&ROW), Row::Full(&new));
    plan.value(Operation::Update, rows.0, rows.1, &origin(), &mut record)
        .unwrap();
    let value = decode(plan.value_schema(), &record);
    let after = field(&value, "after");
    assert_eq!(show(&field(&after, "email")), format!("string {SALTED}"));
    assert_eq!(show(&field(&after, "amount")), "null");
    record.clear();
    plan.value(Operation::Update, Row::None, rows.1, &origin(), &mut record)
        .unwrap();
    let after = field(&decode(plan.value_schema(), &record), "after");
    let placeholder = "string __debezium_unavailable_value";
    assert_eq!(show(&field(&after, "note")), placeholder);
    // What a delete does not know of a required column is no value of a row.
    record.clear();
    let old = [ROW[0], Datum::Null, Datum::Null, Datum::Null, Datum::Null];
    plan.value(
        Operation::Delete,
        Row::Key(&old),
        Row::None,
        &origin(),
        &mut record,
    )
    .unwrap();
    let before = field(&decode(plan.value_schema(), &record), "before");
    assert_eq!(show(&field(&before, "email")), "string ");
}

#[test]
fn keys_headers_and_what_people_see_are_masked() {
    let plan = plan(&[1]);
    let (mut key, mut json) = (Vec::new(), Vec::new());
    plan.key(&ROW, &mut key).unwrap();
    plan.key_json(&ROW, &mut json).unwrap();
    let value = decode(plan.key_schema().unwrap(), &key);
    assert_eq!(show(&value), format!("{{email: string {SALTED}}}"));
    assert_eq!(json, format!(r#"{{"email":"{SALTED}"}}"#).as_bytes());
    let shown = |at: usize| match ROW[at] {
        Datum::Text(text) => plan.shown(at, text).map(|it| it.into_owned()),
        _ => None,
    };
    assert_eq!(shown(0).as_deref(), Some("7"));
    assert_eq!(shown(1).as_deref(), Some(SALTED));
    assert_eq!(shown(2), None);
    assert_eq!(shown(4).as_deref(), Some("grö"));
    assert!(plan.has(1) && !plan.has(2));
}

#[test]
fn only_text_can_be_truncated() {
    let cut = treatments(&[("amount", Treatment::Mask(Mask::Truncate { chars: 3 }))]);
    let table = table(columns(), &[0]);
    let error = EncodePlan::treated(&table, &NAMING, &Format::default(), &cut).unwrap_err();
    assert!(
        error.to_string().contains("\"amount\" is not text"),
        "{error}"
    );
}
