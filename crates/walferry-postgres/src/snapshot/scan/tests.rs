//! The text of the commands, and the cuts.

use walferry_event::RelationColumn;

use super::*;

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
        key: key.to_vec(),
        wanted: None,
        partitioned,
        pages: 10,
        bytes: 81_920,
        schemas: Vec::new(),
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
        "COPY (SELECT \"a\", \"B b\" FROM ONLY \"s\".\"t\"\"t\" ORDER BY \"B b\") TO STDOUT"
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
        "COPY (SELECT \"a\", \"B b\" FROM \"s\".\"t\"\"t\" WHERE (\"B b\", \"a\") > ('it''s', '1') AND (\"B b\", \"a\") <= ('z', '2') \
         AND (a > 1 OR true) ORDER BY \"B b\", \"a\" LIMIT 5) TO STDOUT"
    );
    assert_eq!(
        scan(&[], false).copy_command(&scan(&[], false).cut_range(), None),
        "COPY (SELECT \"a\", \"B b\", ctid FROM ONLY \"s\".\"t\"\"t\" WHERE (ctid) > ('(4,65535)')) TO STDOUT"
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
