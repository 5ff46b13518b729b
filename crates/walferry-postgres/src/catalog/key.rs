//! Which columns make a table's message key.
//!
//! Owns the choice among the unique indexes of now for a version of the table that may be older. Never: a key that old rows
//! do not carry, unless that is asked for; a part of a key, or one that may be NULL.
//! Invariants: a key is unique, complete and not NULL, or there is none. With the default identity the key is the primary key of that version, because the stream marks its columns.
//! With the whole row or nothing as identity the stream is silent about it: then it is the primary key of now, in whose columns
//! renamed and retyped ones are recognised.
//! Source: PostgreSQL documentation, `pg_index`, `pg_attribute`, "Logical Replication Message Formats" (Relation).

use walferry_event::{Relation, ReplicaIdentity};

use super::{Catalog, known::Columns, value};
use crate::Error;

/// The unique indexes without expressions; the primary key comes first, then by name.
pub(super) type Keys = Vec<UniqueIndex>;

/// A unique index of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UniqueIndex {
    /// Its columns by `attnum`, in its order.
    pub(super) columns: Vec<i16>,
    /// Whether no two rows share a key at any moment: it is neither deferrable nor of some rows only.
    pub(super) immediate: bool,
    /// Whether it is the replica identity.
    pub(super) identity: bool,
}

/// Which unique indexes give a message key, beyond the primary key and those without expressions and conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// An index with a condition counts too, and one with columns that may be NULL, though different rows may then share a key.
    pub partial_indexes: bool,
    /// The first index is the key even where old rows do not carry its columns.
    pub outside_identity: bool,
}

impl Catalog {
    /// Whether every unique index of a table was made by a transaction that began behind this one, and the table was not: then its
    /// rows of this transaction had no key. An index is as old as the description of its first column, which stays as it is.
    pub async fn keys_are_newer(&self, oid: u32, xid: u32) -> Result<bool, Error> {
        const QUESTION: &str = "\
            SELECT a.xmin::text FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = 1
            WHERE i.indrelid = $1 AND i.indisunique AND i.indislive AND i.indisvalid
            UNION ALL
            SELECT a.xmin::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attname = 'tableoid'";
        let doing = "asking how old the keys of a table are";
        let mut ages = Vec::new();
        for row in self.all(doing, QUESTION, &[&oid]).await? {
            let made: String = value(doing, &row, 0)?;
            // Ids go round; those below 3 are of rows that are older than any transaction.
            let made: u32 = made.parse().unwrap_or(0);
            ages.push(made >= 3 && made.wrapping_sub(xid) as i32 > 0);
        }
        let table = ages.pop().unwrap_or(true);
        Ok(!table && !ages.is_empty() && ages.iter().all(|newer| *newer))
    }

    pub(super) async fn keys(&self, doing: &str, oid: u32, partial: bool) -> Result<Keys, Error> {
        const QUESTION: &str = "\
            SELECT (i.indkey::smallint[])[0:i.indnkeyatts - 1], i.indimmediate AND i.indpred IS NULL,
                   (t.relreplident = 'd' AND i.indisprimary AND i.indimmediate)
                       OR (t.relreplident = 'i' AND i.indisreplident)
            FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
            JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
            WHERE i.indrelid = $1 AND i.indisunique AND i.indislive AND i.indisvalid
              AND (i.indpred IS NULL OR $2) AND i.indexprs IS NULL
            ORDER BY i.indisprimary DESC, c.relname";
        let rows = self.all_again(doing, QUESTION, &[&oid, &partial]).await?;
        let index = |row| {
            Ok(UniqueIndex {
                columns: value(doing, row, 0)?,
                immediate: value(doing, row, 1)?,
                identity: value(doing, row, 2)?,
            })
        };
        rows.iter().map(index).collect()
    }
}

/// The first key whose columns the stream has and old rows carry; else the columns that old rows carry. By default old
/// rows carry the primary key as it was then, so a key of fewer columns is a later one.
pub(super) fn choose_key(
    relation: &Relation,
    known: &Columns,
    keys: &Keys,
    rules: KeyRules,
) -> Vec<usize> {
    let in_identity = |&index: &usize| relation.columns[index].in_identity;
    let all: Vec<usize> = (0..relation.columns.len()).collect();
    let identity: Vec<usize> = all.into_iter().filter(in_identity).collect();
    let hidden = keys
        .iter()
        .any(|key| key.identity && hides(relation, known, key));
    let required = |key: &&UniqueIndex| rules.partial_indexes || is_required(known, key);
    let candidates = keys
        .iter()
        .filter(required)
        .filter_map(|key| places(relation, known, key));
    // Without an identity no old row ever comes, so a key has nothing to lie within.
    let anywhere = rules.outside_identity || (identity.is_empty() && !hidden);
    let whole = relation.replica_identity == ReplicaIdentity::Default && !hidden;
    let mut fitting = candidates.filter(|key| {
        let within = key.iter().all(in_identity);
        anywhere || (within && (!whole || key.len() == identity.len()))
    });
    match (fitting.next(), relation.replica_identity) {
        (Some(key), _) => key,
        // A part of a key is none.
        (None, _) if hidden => Vec::new(),
        (None, ReplicaIdentity::Default | ReplicaIdentity::Index) => identity,
        // A whole row says nothing about what makes it unique.
        (None, ReplicaIdentity::Full | ReplicaIdentity::Nothing) => Vec::new(),
    }
}

/// The sets of columns of which no two rows have the same values at any moment.
pub(super) fn always_unique(relation: &Relation, known: &Columns, keys: &Keys) -> Vec<Vec<usize>> {
    let always = keys
        .iter()
        .filter(|key| key.immediate && is_required(known, key));
    always
        .filter_map(|key| places(relation, known, key))
        .collect()
}

/// Where the columns of a key stand in a version of its table; nothing when it lacks one of them.
fn places(relation: &Relation, known: &Columns, key: &UniqueIndex) -> Option<Vec<usize>> {
    let numbers = key.columns.iter();
    numbers
        .map(|number| place(relation, known, *number))
        .collect()
}

/// Whether the stream leaves out a part of a key because it is generated.
fn hides(relation: &Relation, known: &Columns, key: &UniqueIndex) -> bool {
    let generated = |number: &i16| {
        known
            .values()
            .any(|it| it.number == *number && it.generated)
    };
    let mut numbers = key.columns.iter().filter(|number| generated(number));
    numbers.any(|number| place(relation, known, *number).is_none())
}

/// Whether no column of a key may be NULL.
fn is_required(known: &Columns, key: &UniqueIndex) -> bool {
    let required = |number: &i16| {
        known
            .values()
            .any(|it| it.number == *number && !it.nullable)
    };
    key.columns.iter().all(required)
}

/// Where a column of now stands in a version of its table: by its name or, when it was renamed since, as the one column of a
/// name that is no more which lies between the same neighbours, if need be of the same type.
fn place(relation: &Relation, known: &Columns, number: i16) -> Option<usize> {
    let columns = &relation.columns;
    let (name, now) = known.iter().find(|(_, it)| it.number == number)?;
    if let Some(index) = columns.iter().position(|it| it.name == *name) {
        return Some(index);
    }
    let number_of = |index: usize| known.get(&columns[index].name).map(|it| it.number);
    let between = |index: &usize| {
        let (mut before, mut after) = (0..*index, *index + 1..columns.len());
        number_of(*index).is_none()
            && before.all(|it| number_of(it).is_none_or(|it| it < number))
            && after.all(|it| number_of(it).is_none_or(|it| it > number))
    };
    let places: Vec<usize> = (0..columns.len()).filter(between).collect();
    let mut typed = places.clone();
    typed.retain(|&index| columns[index].type_oid == now.type_oid);
    match (&places[..], &typed[..]) {
        ([index], _) | (_, [index]) => Some(*index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::RelationColumn;

    use super::*;
    use crate::catalog::known::Known;

    fn relation(identity: ReplicaIdentity, columns: &[(&str, u32, bool)]) -> Relation {
        let columns = columns.iter();
        Relation {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: identity,
            columns: columns
                .map(|&(name, type_oid, in_identity)| RelationColumn {
                    name: name.into(),
                    type_oid,
                    type_modifier: -1,
                    in_identity,
                })
                .collect(),
        }
    }

    fn known(columns: &[(&str, i16, u32)]) -> Columns {
        let known = |&(name, number, type_oid): &(&str, i16, u32)| {
            let known = Known {
                number,
                type_oid,
                nullable: name.starts_with("maybe"),
                generated: name.starts_with("made"),
                default: None,
                dimensions: 0,
            };
            (name.to_owned(), known)
        };
        columns.iter().map(known).collect()
    }

    fn keys(columns: &[&[i16]]) -> Keys {
        let index = |columns: &&[i16]| UniqueIndex {
            columns: columns.to_vec(),
            immediate: true,
            identity: false,
        };
        columns.iter().map(index).collect()
    }

    #[test]
    fn a_part_of_a_key_is_none_and_so_is_one_that_may_be_null() {
        let now = known(&[
            ("a", 1, 23),
            ("made", 2, 23),
            ("b", 3, 23),
            ("maybe", 4, 23),
        ]);
        let columns = |a, b| [("a", 23, a), ("b", 23, b), ("maybe", 25, false)];
        use ReplicaIdentity::{Default, Full, Index};
        for (identity, [a, b], first, others, key) in [
            // The generated half of the primary key is not in the stream.
            (Default, [true, false], &[1, 2][..], &[][..], vec![]),
            (Default, [true, false], &[1, 2], &[&[3][..]], vec![]),
            (Default, [true, false], &[1, 2], &[&[1]], vec![0]),
            // Nothing of the chosen index is, so old rows say nothing.
            (Index, [false, false], &[2], &[&[1]], vec![]),
            (Full, [true, true], &[1, 2], &[&[3]], vec![1]),
            (Full, [true, true], &[4], &[], vec![]),
        ] {
            let stream = relation(identity, &columns(a, b));
            let mut all = keys(&[first]);
            all[0].identity = identity != Full;
            all.extend(keys(others));
            let chosen = choose_key(&stream, &now, &all, KeyRules::default());
            assert_eq!(chosen, key, "{identity} {first:?} {others:?}");
        }
    }

    #[test]
    fn what_is_always_unique_is_neither_deferrable_nor_null() {
        let now = known(&[("a", 1, 23), ("maybe", 2, 23)]);
        let stream = relation(
            ReplicaIdentity::Full,
            &[("a", 23, true), ("maybe", 23, true)],
        );
        let mut all = keys(&[&[1], &[2], &[1]]);
        all[0].immediate = false;
        assert_eq!(always_unique(&stream, &now, &all), [[0]]);
    }

    #[test]
    fn the_key_lies_within_what_old_rows_carry() {
        let columns = |a, b, c| [("a", 23, a), ("b", 23, b), ("c", 23, c)];
        let now = known(&[("a", 1, 23), ("b", 2, 23), ("c", 3, 23), ("x", 4, 23)]);
        use ReplicaIdentity::{Default, Full, Index, Nothing};
        for (identity, [a, b, c], candidates, key) in [
            // The primary key, in its own order.
            (Default, [true, true, false], &[&[2, 1][..]][..], vec![1, 0]),
            // A chosen index that the primary key is not within.
            (Index, [false, true, false], &[&[1], &[2]], vec![1]),
            // The catalog has no such key any more.
            (Index, [false, true, false], &[&[1]], vec![1]),
            (Default, [true, false, false], &[], vec![0]),
            // The primary key has lost a column since then.
            (Default, [true, true, false], &[&[1]], vec![0, 1]),
            // Every column is carried.
            (Full, [true, true, true], &[&[2]], vec![1]),
            (Full, [true, true, true], &[], vec![]),
            // One that the stream lacks is none.
            (Full, [true, true, true], &[&[4], &[3], &[1]], vec![2]),
            // No old row ever comes.
            (Nothing, [false, false, false], &[&[1]], vec![0]),
            (Default, [false, false, false], &[&[1]], vec![0]),
            (Default, [false, false, false], &[], vec![]),
        ] {
            let stream = relation(identity, &columns(a, b, c));
            let keys = keys(candidates);
            let chosen = choose_key(&stream, &now, &keys, KeyRules::default());
            assert_eq!(chosen, key, "{identity} {a} {b} {c} {candidates:?}");
        }
    }

    #[test]
    fn the_key_may_lie_outside_of_what_old_rows_carry_on_request() {
        let stream = relation(ReplicaIdentity::Index, &[("a", 23, false), ("b", 23, true)]);
        let now = known(&[("a", 1, 23), ("b", 2, 23)]);
        for (outside_identity, key) in [(false, [1]), (true, [0])] {
            let rules = KeyRules {
                outside_identity,
                ..KeyRules::default()
            };
            let chosen = choose_key(&stream, &now, &keys(&[&[1], &[2]]), rules);
            assert_eq!(chosen, key);
        }
    }

    #[test]
    fn the_key_of_an_older_version_is_found_under_the_name_and_type_that_it_had() {
        let old = [("x", 25), ("id", 23), ("alt", 20)];
        for (case, now, key) in [
            // As it was, while `x` was dropped.
            ("same", &[("id", 2, 23), ("alt", 3, 20)][..], Some(1)),
            (
                "retyped",
                &[("x", 1, 25), ("id", 2, 20), ("alt", 3, 20)],
                Some(1),
            ),
            (
                "renamed",
                &[("x", 1, 25), ("number", 2, 23), ("alt", 3, 20)],
                Some(1),
            ),
            (
                "renamed and retyped",
                &[("x", 1, 25), ("number", 2, 20), ("alt", 3, 20)],
                Some(1),
            ),
            // Told from a column that was dropped by its type.
            (
                "beside a dropped one",
                &[("number", 2, 23), ("alt", 3, 20)],
                Some(1),
            ),
            (
                "retyped beside a dropped one",
                &[("number", 2, 20), ("alt", 3, 20)],
                None,
            ),
            // The neighbours stand elsewhere: it is another column.
            (
                "added later",
                &[("x", 1, 25), ("alt", 3, 20), ("key", 4, 23)],
                None,
            ),
        ] {
            let columns = old.map(|(name, type_oid)| (name, type_oid, true));
            let stream = relation(ReplicaIdentity::Full, &columns);
            let primary = if case == "added later" { 4 } else { 2 };
            let keys = keys(&[&[primary], &[3]]);
            let chosen = choose_key(&stream, &known(now), &keys, KeyRules::default());
            assert_eq!(chosen, [key.unwrap_or(2)], "{case}");
        }
    }
}
