//! Which candidates are told as gone, whatever the stream touches before and meanwhile.

use walferry_avro::{Format, Naming};
use walferry_event::{Column, ColumnType, RelationColumn, ReplicaIdentity, Table, TypeKind};

use super::*;

use crate::snapshot::sweep::search::framed;

const INT4: u32 = 23;

/// A table with an integer key.
fn table() -> Table {
    let column = Column {
        name: "id".into(),
        data_type: ColumnType {
            oid: INT4,
            name: "int4".into(),
            modifier: -1,
            kind: TypeKind::Scalar,
        },
        nullable: false,
        default: None,
        any_shape: false,
    };
    Table {
        relation: Relation {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: ReplicaIdentity::Default,
            columns: vec![RelationColumn {
                name: "id".into(),
                type_oid: INT4,
                type_modifier: -1,
                in_identity: true,
            }],
        },
        columns: vec![column],
        key: vec![0],
        old_rows: walferry_event::OldRows::default(),
    }
}

fn sweep() -> Sweep {
    let table = table();
    let naming = Naming {
        topic: "s.public.t",
        server: "s",
        database: "d",
        shared: false,
        physical_table: None,
    };
    let plan = EncodePlan::compile(&table, &naming, &Format::default()).unwrap();
    Sweep::new(0, 0, 1, table.relation, plan)
}

/// The key of a row as Avro has it: a zigzag number below 64 is one byte.
fn key(id: u8) -> Vec<u8> {
    vec![id * 2]
}

fn found(ids: impl Iterator<Item = u8>) -> Found {
    let mut gone = Sorter::new(16);
    for id in ids {
        let mut entry = framed(&key(id));
        entry.extend_from_slice(&7_u32.to_be_bytes());
        gone.push(&entry).unwrap();
    }
    Found::of(gone)
}

fn told(sweep: &mut Sweep, most: usize) -> Vec<u8> {
    let mut ids = Vec::new();
    while ids.len() < most
        && let Some(gone) = sweep.next().unwrap()
    {
        assert_eq!(gone.key(), [&[0, 0, 0, 0, 7][..], &gone.body].concat());
        ids.push(gone.body[0] / 2);
    }
    ids
}

#[test]
fn what_the_stream_has_touched_is_left_to_it() {
    let mut sweep = sweep();
    let text = Datum::Text;
    sweep.touch(&Change::Insert(&[text(b"3")]));
    sweep.touch(&Change::Delete(Old::Key(&[text(b"11")])));
    sweep.touch(&Change::Update(None, &[text(b"5")]));
    sweep.touch(&Change::Update(
        Some(Old::Key(&[text(b"7")])),
        &[text(b"40")],
    ));
    assert_eq!(sweep.judged_from(), None);
    sweep.found(found(1..=12));
    assert_eq!(told(&mut sweep, 2), [1, 2]);
    // While they are given, too.
    sweep.touch(&Change::Insert(&[text(b"8")]));
    sweep.touch(&Change::Insert(&[text(b"2")]));
    assert_eq!(told(&mut sweep, 99), [4, 6, 9, 10, 12]);
    assert!(!sweep.is_void());
}

#[test]
fn a_truncate_and_a_key_that_cannot_be_told_void_it() {
    for change in [Change::Truncate, Change::Insert(&[Datum::Text(b"many")])] {
        let mut sweep = sweep();
        sweep.found(found(1..=3));
        assert_eq!(told(&mut sweep, 1), [1]);
        sweep.touch(&change);
        assert!(sweep.is_void());
        assert_eq!(sweep.judged_from(), None);
        assert!(sweep.next().unwrap().is_none());
    }
}
