//! What a comparison of two looks at a publication finds.

use walferry_event::ReplicaIdentity;
use walferry_postgres::{Leaf, Member, RelationKind, TableInfo};

use super::*;

use crate::{
    connector::published::look::Look,
    position::published_record::{self, Publication},
};

fn publication(oid: u32, version: &str, owner: u32, operations: &str) -> Option<Publication> {
    Some(Publication {
        oid,
        version: version.into(),
        owner,
        operations: operations.into(),
    })
}

fn leaf(oid: u32, file: u32, born: bool) -> Leaf {
    Leaf {
        root: 1,
        oid,
        file,
        foreign: false,
        unlogged: false,
        born,
    }
}

fn seen(oid: u32, entry: Option<u32>, leaves: &[Leaf]) -> Seen {
    Seen {
        info: TableInfo {
            oid,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: ReplicaIdentity::Default,
            kind: RelationKind::Partitioned,
            key_columns: Vec::new(),
            rows_estimated: 0,
            owned: true,
            can_select: true,
            unlogged: false,
            guarded: false,
            columns_granted: Vec::new(),
            columns_read: Vec::new(),
        },
        member: entry.map(|entry| Member {
            table: oid,
            entry,
            by_itself: false,
            moved: None,
            untouched: true,
            unlisted: 0,
        }),
        unlisted: None,
        leaves: leaves.to_vec(),
    }
}

fn now(publication: Option<Publication>, table: Option<Seen>) -> Look {
    Look {
        publication,
        tables: table
            .map(|it| ("public.t".to_owned(), it))
            .into_iter()
            .collect(),
        ..Look::default()
    }
}

/// What has changed since a table with oid 1, entry 7 and two partitions was recorded.
fn changes(now: &Look) -> Vec<Change> {
    let before = published_record::Record {
        publication: publication(5, "70", 10, "iudt"),
        tables: [("public.t".to_owned(), recorded().entry())].into(),
    };
    let found = differences(&before, now);
    found.into_iter().map(|it| it.change).collect()
}

fn recorded() -> Seen {
    seen(1, Some(7), &[leaf(21, 21, true), leaf(22, 22, true)])
}

#[test]
fn each_difference_of_a_table_is_found() {
    let same = || publication(5, "70", 10, "iudt");
    let cases = [
        (Some(recorded()), vec![]),
        (None, vec![Change::Gone]),
        (Some(seen(2, Some(7), &[])), vec![Change::Replaced]),
        (Some(seen(2, None, &[])), vec![Change::Replaced]),
        (Some(seen(1, None, &[])), vec![Change::TakenOut]),
        (Some(seen(1, Some(8), &[])), vec![Change::PutBack]),
    ];
    for (table, expected) in cases {
        assert_eq!(changes(&now(same(), table.clone())), expected, "{table:?}");
    }
}

#[test]
fn another_owner_of_the_publication_is_no_difference_and_everything_else_is() {
    for (publication, altered) in [
        (publication(5, "70", 10, "iudt"), false),
        (publication(5, "71", 11, "iudt"), false),
        (publication(5, "71", 10, "iudt"), true),
        (publication(5, "71", 11, "i"), true),
        (publication(6, "70", 10, "iudt"), true),
        (None, true),
    ] {
        let found = changes(&now(publication.clone(), Some(recorded())));
        let expected: &[Change] = if altered { &[Change::Altered] } else { &[] };
        assert_eq!(found, expected, "{publication:?}");
    }
}

#[test]
fn partitions_are_told_apart() {
    let found = |leaves: &[Leaf]| {
        changes(&now(
            publication(5, "70", 10, "iudt"),
            Some(seen(1, Some(7), leaves)),
        ))
    };
    let (one, two) = (leaf(21, 21, true), leaf(22, 22, true));
    assert_eq!(found(&[one]), [Change::Detached]);
    assert_eq!(found(&[one, two, leaf(23, 23, true)]), [Change::Born]);
    assert_eq!(
        found(&[one, two, leaf(23, 23, true), leaf(24, 24, false)]),
        [Change::Attached(vec![24])]
    );
    assert_eq!(found(&[one, leaf(22, 99, true)]), [Change::Emptied]);
    let unlogged = Leaf {
        unlogged: true,
        ..leaf(22, 99, true)
    };
    assert_eq!(found(&[one, unlogged]), [Change::Unlogged]);
    let mut before = published_record::Record::default();
    let entry = seen(1, Some(7), &[one, unlogged]).entry();
    before.tables.insert("public.t".into(), entry);
    let logged = now(None, Some(seen(1, Some(7), &[one, leaf(22, 98, true)])));
    assert_eq!(differences(&before, &logged)[0].change, Change::Logged);
}

#[test]
fn a_table_that_is_to_be_added_is_new_until_it_is_in_the_publication() {
    let mut before = published_record::Record::default();
    let mut entry = recorded().entry();
    entry.member = None;
    before.tables.insert("public.t".into(), entry);
    for (member, expected) in [(None, Change::New), (Some(7), Change::Joined)] {
        let mut table = recorded();
        table.member = table.member.filter(|_| member.is_some());
        let found = differences(&before, &now(None, Some(table)));
        assert_eq!(found[0].change, expected);
    }
}
