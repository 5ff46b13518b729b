//! Versions of one table: what a new one keeps of the old, and what changes without a word of the stream.
//!
//! Owns three rules. Never asks a server.

use walferry_event::{ColumnType, Table, TypeKind};

/// Whether a type has fields or labels somewhere in it, which the stream is silent about.
pub(super) fn changes_unannounced(data_type: &ColumnType) -> bool {
    match &data_type.kind {
        TypeKind::Composite(_) | TypeKind::Enum(_) => true,
        TypeKind::Array(array) => changes_unannounced(&array.element),
        _ => false,
    }
}

/// A column that was wider in an earlier version of the same relation stays so: rows of that time may still come.
pub(super) fn keep_wide(old: &Table, new: &mut Table) {
    if old.relation.columns != new.relation.columns {
        return;
    }
    for (old, new) in old.columns.iter().zip(&mut new.columns) {
        new.nullable |= old.nullable;
        new.any_shape |= old.any_shape;
    }
}

/// What is to be said of a version whose message key is made of other columns than that of the version before. A column that
/// was renamed is the same one.
pub(super) fn other_key(old: &Table, new: &Table) -> Option<String> {
    let names = |table: &Table| {
        let names = table.key.iter().filter_map(|&at| table.columns.get(at));
        let names: Vec<&str> = names.map(|it| it.name.as_str()).collect();
        names.join(", ")
    };
    let place_stays = old.key == new.key && old.columns.len() == new.columns.len();
    let (before, now) = (names(old), names(new));
    if old.key.is_empty() || before == now || place_stays {
        return None;
    }
    let now = match now.is_empty() {
        true => "there is none".to_owned(),
        false => format!("it is ({now})"),
    };
    Some(format!(
        "the message key was ({before}) and from here on {now}, because the table's keys or its replica identity changed: records \
         under keys of the old form are never deleted by what follows"
    ))
}

#[cfg(test)]
mod tests {
    use walferry_event::{Column, ColumnType, OldRows, Relation, ReplicaIdentity, TypeKind};

    use super::*;

    fn table(columns: &[&str], key: &[usize]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            data_type: ColumnType {
                oid: 23,
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
                replica_identity: ReplicaIdentity::Full,
                columns: Vec::new(),
            },
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
            old_rows: OldRows::default(),
        }
    }

    #[test]
    fn another_key_is_told_and_a_renamed_one_is_none() {
        let old = table(&["id", "k"], &[0]);
        for (new, told) in [
            (table(&["id", "k"], &[1]), true),
            (table(&["id", "k"], &[]), true),
            (table(&["id", "k", "l"], &[0, 1]), true),
            (table(&["number", "k"], &[0]), false),
            (table(&["id", "k", "l"], &[0]), false),
        ] {
            assert_eq!(other_key(&old, &new).is_some(), told, "{:?}", new.key);
        }
        assert_eq!(other_key(&table(&["id"], &[]), &old), None);
    }
}
