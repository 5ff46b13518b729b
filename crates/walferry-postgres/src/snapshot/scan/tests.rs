//! The text of the commands, and the cuts.

use walferry_event::RelationColumn;

use super::{super::order::OrderColumn, *};

fn scan(key: &[usize], partitioned: bool) -> TableScan {
    let column = |name: &str| RelationColumn {
        name: name.into(),
        type_oid: 23,
        type_modifier: -1,
        in_identity: false,
    };
    TableScan {
        relation: Relation {
            oid: 1,
            schema: "s".into(),
            name: "t\"t".into(),
            replica_identity: walferry_event::ReplicaIdentity::Default,
            columns: vec![column("a"), column("B b")],
        },
        rows_estimated: 1_000,
        condition: None,
        order: order(key, partitioned),
        wanted: None,
        partitioned,
        columns_only: false,
        pages: 10,
        bytes: 81_920,
    }
}

fn order(key: &[usize], partitioned: bool) -> RowOrder {
    let column = |&place: &usize| {
        let name = ["\"a\"", "\"B b\""][place].to_owned();
        OrderColumn {
            compared: name.clone(),
            name,
            cast: "pg_catalog.int4".into(),
            operators: ["<", "<=", "=", ">=", ">"].map(|it| format!("OPERATOR(pg_catalog.{it})")),
            meaning: "int4".into(),
        }
    };
    match key {
        [] => RowOrder::by_place(partitioned),
        key => RowOrder::by_key(key, key.iter().map(column).collect()),
    }
}

fn key(texts: &[&str]) -> RowKey {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_copy_names_its_columns_and_its_bounds_and_leaves_children_out() {
    let all = RowRange::default();
    assert_eq!(
        scan(&[1], false).copy_command(&all, None),
        "COPY (SELECT \"a\", \"B b\" FROM ONLY \"s\".\"t\"\"t\" ORDER BY \"B b\" USING OPERATOR(pg_catalog.<)) TO STDOUT"
    );
    assert_eq!(
        scan(&[], false).of_columns(&[1]).copy_command(&all, None),
        "COPY (SELECT NULL, \"B b\", ctid FROM ONLY \"s\".\"t\"\"t\") TO STDOUT"
    );
    let mut part = scan(&[1, 0], true);
    part.condition = Some("a > 1 OR true".into());
    let range = RowRange {
        after: Some(key(&["it's", "1"])),
        until: Some(key(&["z", "2"])),
    };
    assert_eq!(
        part.copy_command(&range, Some(5)),
        "COPY (SELECT \"a\", \"B b\" FROM \"s\".\"t\"\"t\" WHERE (\"B b\", \"a\") OPERATOR(pg_catalog.>) \
         ('it''s'::pg_catalog.int4, '1'::pg_catalog.int4) AND (\"B b\", \"a\") OPERATOR(pg_catalog.<=) \
         ('z'::pg_catalog.int4, '2'::pg_catalog.int4) AND (a > 1 OR true) \
         ORDER BY \"B b\" USING OPERATOR(pg_catalog.<), \"a\" USING OPERATOR(pg_catalog.<) LIMIT 5) TO STDOUT"
    );
    assert_eq!(
        scan(&[], false).copy_command(&scan(&[], false).cut_range(), None),
        "COPY (SELECT \"a\", \"B b\", ctid FROM ONLY \"s\".\"t\"\"t\" WHERE ctid OPERATOR(pg_catalog.>) '(4,65535)'::pg_catalog.tid) TO STDOUT"
    );
}

impl TableScan {
    fn cut_range(&self) -> RowRange {
        RowRange {
            after: Some(key(&["(4,65535)"])),
            until: None,
        }
    }
}

#[test]
fn a_table_without_a_key_is_cut_between_pages() {
    let keys = scan(&[], false).cut_pages(&RowRange::default(), 250);
    assert_eq!(
        keys,
        [
            key(&["(2,65535)"]),
            key(&["(5,65535)"]),
            key(&["(8,65535)"])
        ]
    );
    assert!(
        scan(&[], false)
            .cut_pages(&RowRange::default(), 1_000)
            .is_empty()
    );
    assert!(
        scan(&[], true)
            .cut_pages(&RowRange::default(), 250)
            .is_empty()
    );
}

#[test]
fn a_small_table_is_not_cut() {
    assert_eq!(
        scan(&[0], false).cut_command(&RowRange::default(), 1_000),
        None
    );
    assert!(
        scan(&[0], false)
            .cut_command(&RowRange::default(), 100)
            .is_some()
    );
}

#[test]
fn the_key_of_a_row_is_its_text_in_the_order_of_the_key() {
    let row = [Datum::Text(b"1"), Datum::Text(b"x"), Datum::Text(b"(0,1)")];
    assert_eq!(scan(&[1, 0], false).key_of(&row).unwrap(), key(&["x", "1"]));
    assert_eq!(scan(&[], false).key_of(&row).unwrap(), key(&["(0,1)"]));
    assert!(scan(&[0], false).key_of(&[Datum::Null]).is_err());
}
