//! What is no row: logical decoding messages, the transaction topic, and the transaction block of a row.

use walferry_avro::{
    BinaryMode, Format, MessagePlan, Naming, Quirks, Row, TransactionPlan, transaction_id,
};
use walferry_event::{Datum, Lsn, Operation, Origin, TransactionBlock};

use crate::harness::*;

const NAMING: Naming<'static> = Naming {
    topic: "",
    server: "shop",
    database: "db",
    shared: false,
    physical_table: None,
};
const BLOCK: TransactionBlock<'static> = TransactionBlock {
    id: "7:80",
    total_order: 3,
    table_order: 2,
};

#[test]
fn a_message_has_its_prefix_as_key_and_its_content_as_it_is() {
    let mut plan = MessagePlan::new(&NAMING, &Format::default());
    plan.set_ids(1, 2);
    let mut key = Vec::new();
    plan.key("audit", &mut key);
    assert_eq!(key[..5], [0, 0, 0, 0, 1]);
    assert_eq!(
        show(&decode(plan.key_schema(), &key)),
        "{prefix: string audit}"
    );
    let mut value = Vec::new();
    let origin = Origin {
        block: Some(BLOCK),
        ..origin()
    };
    plan.value("audit", &[0, 255], &origin, &mut value);
    assert_eq!(value[..5], [0, 0, 0, 0, 2]);
    let value = decode(plan.value_schema(), &value);
    assert_eq!(show(&field(&value, "op")), "string m");
    assert_eq!(
        show(&field(&value, "message")),
        "{prefix: string audit, content: bytes 00ff}"
    );
    assert_eq!(
        show(&field(&value, "transaction")),
        "{id: string 7:80, total_order: long 3, data_collection_order: long 2}"
    );
    let source = field(&value, "source");
    assert_eq!(show(&field(&source, "schema")), "string ");
}

#[test]
fn the_content_of_a_message_follows_the_binary_mode() {
    let format = Format {
        binary: BinaryMode::Hex,
        ..Format::default()
    };
    let plan = MessagePlan::new(&NAMING, &format);
    let mut value = Vec::new();
    plan.value("p", &[0, 255], &origin(), &mut value);
    let message = field(&decode(plan.value_schema(), &value), "message");
    assert_eq!(show(&field(&message, "content")), "string 00ff");
}

#[test]
fn a_transaction_begins_and_ends_with_its_counts() {
    let plan = TransactionPlan::default();
    let id = transaction_id(7, Lsn(80));
    assert_eq!(id, "7:80");
    let mut out = Vec::new();
    plan.key(&id, &mut out);
    assert_eq!(show(&decode(plan.key_schema(), &out)), "{id: string 7:80}");
    out.clear();
    plan.begin(&id, 5_999, &mut out);
    assert_eq!(
        show(&decode(plan.value_schema(), &out)),
        "{status: string BEGIN, id: string 7:80, event_count: null, data_collections: null, ts_ms: long 5}"
    );
    out.clear();
    let tables = [("public.a", 2), ("public.b", 1)];
    plan.end(&id, 5_999, tables.into_iter(), &mut out);
    let end = decode(plan.value_schema(), &out);
    assert_eq!(show(&field(&end, "event_count")), "long 3");
    assert_eq!(
        show(&field(&end, "data_collections")),
        "[{data_collection: string public.a, event_count: long 2}, {data_collection: string public.b, event_count: long 1}]"
    );
    out.clear();
    let plan = TransactionPlan::new(Quirks::all());
    let tables = ["public.t1", "public.t2"].map(|table| (table, 1));
    plan.end(&id, 0, tables.into_iter(), &mut out);
    let list = show(&field(
        &decode(plan.value_schema(), &out),
        "data_collections",
    ));
    assert!(
        list.find("public.t2") < list.find("public.t1"),
        "as measured: {list}"
    );
    out.clear();
    plan.end(&id, 0, [].into_iter(), &mut out);
    let empty = decode(plan.value_schema(), &out);
    assert_eq!(show(&field(&empty, "data_collections")), "[]");
}

#[test]
fn a_row_says_its_place_in_the_transaction() {
    let plan = plan(
        vec![required(column("id", INT4, -1))],
        &[0],
        &Format::default(),
    );
    let origin = Origin {
        block: Some(BLOCK),
        ..origin()
    };
    let mut out = Vec::new();
    let row = [Datum::Text(b"1")];
    plan.value(
        Operation::Create,
        Row::None,
        Row::Full(&row),
        &origin,
        &mut out,
    )
    .unwrap();
    assert_eq!(
        show(&field(&decode(plan.value_schema(), &out), "transaction")),
        "{id: string 7:80, total_order: long 3, data_collection_order: long 2}"
    );
}
