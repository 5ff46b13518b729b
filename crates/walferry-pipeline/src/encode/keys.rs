//! Keys that pass from row to row within a transaction.
//!
//! Owns `Keys`, what the open transaction has done with the keys of tables of which no index is unique after each change: a
//! deferrable primary key, or a configured key over a deferrable constraint. There `UPDATE t SET id = 3 - id` brings the change
//! 1 → 2 before 2 → 1: the delete of 2, which belongs to the second, would come after the record of the row that is 2 now.
//! So a key that another row has taken in the same transaction is not deleted by the row that leaves it.
//! Never: is asked about any other table; PostgreSQL cannot bring such an order there.
//! Invariants: the decision depends on the changes of the transaction alone, in their order, so that it is the same after
//! every restart; memory is bounded by `KEYS_MAX`, and beyond it what may be wrong is told.
//!
//! Rows are told apart by a set of columns that is unique after each change where the old rows carry one, else by all that
//! they carry. Two rows that are equal in all of that are one row here.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use walferry_event::{Datum, Table};

use crate::encode::change_records::Change;

/// Keys of one transaction that are kept, 24 bytes each at most twice over: 12 MiB.
const KEYS_MAX: usize = 1 << 18;

/// The keys that the open transaction has given to other rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// Taken, by table and key, with the row that has taken it; whether another row held it then is not known.
    taken: HashMap<(u32, u64), u64>,
    /// Left by the row that held them, so that whoever takes them has them alone.
    left: HashSet<(u32, u64)>,
    /// Whether there were more than are kept.
    full: bool,
}

/// What becomes of the key that a row leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is deleted.
    Free,
    /// Another row has it.
    Taken,
    /// It is deleted, and that may be wrong: there were too many keys to remember.
    Unsure,
}

impl Keys {
    /// Takes a change into account. What becomes of the key that its old row had.
    pub(crate) fn note(&mut self, table: &Table, change: &Change<'_>) -> Left {
        let oid = table.relation.oid;
        let key = |row: &[Datum<'_>]| (oid, print(row, &table.key));
        let told = told_apart(table);
        let row = |row: &[Datum<'_>]| print(row, &told);
        match change {
            Change::Read(_) | Change::Update(None, _) => Left::Free,
            Change::Insert(new) => {
                self.enter(key(new), row(new));
                Left::Free
            }
            Change::Update(Some(old), new) => {
                let old = old.datums();
                if key(old) == key(new) {
                    if let Some(holder) = self.taken.get_mut(&key(old))
                        && *holder == row(old)
                    {
                        *holder = row(new);
                    }
                    return Left::Free;
                }
                let left = self.leave(key(old), row(old));
                self.enter(key(new), row(new));
                left
            }
            Change::Delete(old) => self.leave(key(old.datums()), row(old.datums())),
            Change::Truncate => {
                self.taken.retain(|(of, _), _| *of != oid);
                self.left.retain(|(of, _)| *of != oid);
                Left::Free
            }
        }
    }

    fn enter(&mut self, key: (u32, u64), row: u64) {
        if self.left.remove(&key) {
            return;
        }
        if self.taken.len() >= KEYS_MAX {
            self.full = true;
            return;
        }
        self.taken.insert(key, row);
    }

    fn leave(&mut self, key: (u32, u64), row: u64) -> Left {
        match self.taken.remove(&key) {
            Some(holder) if holder != row => Left::Taken,
            Some(_) => Left::Free,
            None if self.full => Left::Unsure,
            None => {
                if self.left.len() < KEYS_MAX {
                    self.left.insert(key);
                }
                Left::Free
            }
        }
    }
}

/// The columns that tell rows apart: unique after each change, and carried by old rows; else all that they carry.
fn told_apart(table: &Table) -> Vec<usize> {
    let columns = &table.relation.columns;
    let carried = |at: &usize| columns[*at].in_identity;
    let unique = table.old_rows.unique.iter();
    let mut unique = unique.filter(|it| it.iter().all(carried));
    match unique.next() {
        Some(columns) => columns.clone(),
        None => (0..columns.len()).filter(carried).collect(),
    }
}

fn print(row: &[Datum<'_>], columns: &[usize]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for at in columns {
        match row.get(*at) {
            None | Some(Datum::Null) => 0_u8.hash(&mut hasher),
            Some(Datum::Unchanged) => 1_u8.hash(&mut hasher),
            Some(Datum::Text(text) | Datum::Binary(text)) => text.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use walferry_event::{OldRows, Relation, RelationColumn, ReplicaIdentity};

    use super::*;
    use crate::encode::change_records::Old;

    /// (id, v) with the whole row as identity, and a key that nothing makes unique at once; `unique` tells rows apart.
    fn table(unique: &[usize]) -> Table {
        let column = |name: &str| RelationColumn {
            name: name.into(),
            type_oid: 25,
            type_modifier: -1,
            in_identity: true,
        };
        let unique = (!unique.is_empty()).then(|| unique.to_vec());
        Table {
            relation: Relation {
                oid: 7,
                schema: "public".into(),
                name: "t".into(),
                replica_identity: ReplicaIdentity::Full,
                columns: vec![column("id"), column("v")],
            },
            columns: Vec::new(),
            key: vec![0],
            old_rows: OldRows {
                unique: unique.into_iter().collect(),
                leaves: Vec::new(),
            },
        }
    }

    fn text(row: &Option<Vec<String>>) -> Vec<Datum<'_>> {
        let row = row.iter().flatten();
        row.map(|it| Datum::Text(it.as_bytes())).collect()
    }

    /// Applies `from>to` of rows `id:v` to a reader of the records and to the table; both have the same keys in the end.
    fn check(before: &[&str], changes: &[(&str, &str)]) {
        let table = table(&[]);
        let parse = |row: &str| {
            let (id, v) = row.split_once(':').unwrap();
            (id.to_owned(), v.to_owned())
        };
        let mut rows: Vec<_> = before.iter().map(|row| parse(row)).collect();
        let mut reader: HashMap<_, _> = rows.iter().cloned().collect();
        let mut keys = Keys::default();
        for (old, new) in changes {
            let (old, new) = (
                (!old.is_empty()).then(|| parse(old)),
                (!new.is_empty()).then(|| parse(new)),
            );
            let datums = |row: &Option<(String, String)>| {
                row.as_ref().map(|(id, v)| vec![id.clone(), v.clone()])
            };
            let (old_text, new_text) = (datums(&old), datums(&new));
            let (old_row, new_row) = (text(&old_text), text(&new_text));
            let change = match (&old, &new) {
                (Some(_), Some(_)) => Change::Update(Some(Old::Full(&old_row)), &new_row),
                (None, _) => Change::Insert(&new_row),
                (_, None) => Change::Delete(Old::Full(&old_row)),
            };
            let left = keys.note(&table, &change);
            if let Some(old) = old {
                let at = rows.iter().position(|row| *row == old).unwrap();
                rows.swap_remove(at);
                let stays = new.as_ref().is_some_and(|new| new.0 == old.0);
                if left == Left::Free && !stays {
                    reader.remove(&old.0);
                }
            }
            if let Some(new) = new {
                rows.push(new.clone());
                reader.insert(new.0, new.1);
            }
        }
        let mut told: Vec<_> = reader.into_iter().collect();
        told.sort();
        rows.sort();
        assert_eq!(told, rows, "{changes:?}");
    }

    #[test]
    fn a_key_that_another_row_has_taken_is_not_deleted() {
        check(&["1:a", "2:b"], &[("1:a", "2:a"), ("2:b", "1:b")]);
        check(
            &["1:a", "2:b", "3:c"],
            &[("1:a", "2:a"), ("2:b", "3:b"), ("3:c", "1:c")],
        );
        check(&["1:a", "2:b"], &[("1:a", "2:a"), ("2:b", "3:b")]);
        check(&["1:a", "2:b"], &[("2:b", "3:b"), ("1:a", "2:a")]);
        check(
            &["1:a", "2:b"],
            &[("1:a", "9:a"), ("2:b", "1:b"), ("9:a", "2:a")],
        );
        check(&["1:a"], &[("", "1:b"), ("1:a", "2:a")]);
        check(&["1:a", "2:b"], &[("1:a", "2:a"), ("2:b", "")]);
        check(&["1:a"], &[("", "5:x"), ("5:x", "6:x"), ("6:x", "")]);
        check(
            &["1:a", "2:b"],
            &[("1:a", "2:a"), ("2:a", "2:z"), ("2:b", "1:b"), ("2:z", "")],
        );
        check(
            &["1:a", "2:b"],
            &[
                ("1:a", "2:a"),
                ("2:b", "1:b"),
                ("1:b", "2:b"),
                ("2:a", "1:a"),
            ],
        );
    }

    #[test]
    fn rows_are_told_apart_by_what_is_always_unique() {
        let mut keys = Keys::default();
        let row = |id, v| [Datum::Text(id), Datum::Text(v)];
        let table = table(&[1]);
        keys.note(
            &table,
            &Change::Update(Some(Old::Full(&row(b"1", b"a"))), &row(b"2", b"a")),
        );
        let left = keys.note(&table, &Change::Delete(Old::Full(&row(b"2", b"b"))));
        assert_eq!(left, Left::Taken);
    }

    #[test]
    fn more_keys_than_are_kept_are_told() {
        let mut keys = Keys::default();
        let table = table(&[]);
        for id in 0..=KEYS_MAX {
            let id = id.to_string();
            let row = [Datum::Text(id.as_bytes()), Datum::Null];
            keys.note(&table, &Change::Insert(&row));
        }
        let row = [Datum::Text(b"x"), Datum::Null];
        let left = keys.note(&table, &Change::Delete(Old::Full(&row)));
        assert_eq!(left, Left::Unsure);
    }
}
