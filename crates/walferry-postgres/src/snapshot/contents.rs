//! What a table's rows are read from: the contents that a range of it belongs to.
//!
//! Owns [`Contents`] and the question for it. A cursor means something only for the contents that it was taken from: the rows of another
//! table of the same name, of a rewritten file or under another filter are not the rest of the ones that were read. A rewritten
//! row is new to every snapshot from before, and its place in the file says nothing of its place in the old one.
//! Never: decides what becomes of a snapshot whose contents are gone.
//! Invariant: contents are compared while the lock of the read is held, so that they cannot change between that and the reading.
//! Source: PostgreSQL documentation, ALTER TABLE ("Notes"), CLUSTER, `pg_relation_filenode`, `row_security_active`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{questions::Questions, scan::TableScan};
use crate::{
    Error,
    kind::Kind,
    quote::{quote_literal, quote_table},
    session::unexpected,
};

/// What a table's rows are read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The table.
    pub oid: u32,
    /// Each relation with rows of it, and the number of the file that holds them: a rewrite or a truncate gives it another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<u32, u32>,
    /// What the text of its keys depends on: columns, types, collations and operators. Empty when rows are ordered by where
    /// they lie.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// The publication's filter of its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// Why a table's rows are not the ones that a cursor was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Another table has its name.
    Table,
    /// Its keys are compared otherwise, or it has got or lost its key.
    Order,
    /// Other rows of it are published.
    Filter,
    /// It was rewritten or truncated.
    Files,
}

impl std::fmt::Display for Replaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Replaced::Table => "another table has its name",
            Replaced::Order => "its key has changed",
            Replaced::Filter => "the publication's filter of its rows has changed",
            Replaced::Files => "it was rewritten or truncated",
        })
    }
}

impl Contents {
    /// Whether rows are ordered by where they lie.
    pub fn by_place(&self) -> bool {
        self.order.is_empty()
    }

    /// What a cursor among the rows has to be kept with. A snapshot of now reads a table in the order of its key whatever file
    /// its rows are in.
    pub fn of_cursor(&self) -> Contents {
        let mut contents = self.clone();
        if !contents.by_place() {
            contents.files.clear();
        }
        contents
    }

    /// Why a cursor of these contents means nothing in those of `now`. Files that have come or gone are partitions that were
    /// attached or detached: the rows of the others are where they were.
    pub fn replaced(&self, now: &Contents) -> Option<Replaced> {
        if self.oid != now.oid {
            Some(Replaced::Table)
        } else if self.order != now.order {
            Some(Replaced::Order)
        } else if self.filter != now.filter {
            Some(Replaced::Filter)
        } else if self.by_place() && self.moved(now) {
            Some(Replaced::Files)
        } else {
            None
        }
    }

    /// Why a snapshot from when these were the contents does not see all rows of those of `now`.
    pub fn hidden(&self, now: &Contents) -> Option<Replaced> {
        let rewritten = self.moved(now).then_some(Replaced::Files);
        self.replaced(now).or(rewritten)
    }

    fn moved(&self, now: &Contents) -> bool {
        let moved = |(oid, file): (&u32, &u32)| now.files.get(oid).is_some_and(|it| it != file);
        self.files.iter().any(moved)
    }
}

/// The contents of a table as they are now, also in a transaction whose snapshot is older: only functions are asked, which look at
/// the catalog as it is.
pub(super) async fn ask(
    reader: &Questions,
    scan: &TableScan,
    filter: Option<&str>,
) -> Result<Contents, Error> {
    let name = scan.relation.qualified_name();
    let doing = &format!("asking for the files of table {name}");
    let (oid, order) = (scan.relation.oid, &scan.order);
    let table = quote_literal(&quote_table(&scan.relation.schema, &scan.relation.name));
    let index = match &order.index {
        Some((index, _)) => format!("pg_catalog.pg_get_indexdef({index}::oid)"),
        None => "NULL".to_owned(),
    };
    let question = format!(
        "SELECT pg_catalog.to_regclass({table})::oid, pg_catalog.row_security_active({oid}::oid), {index}"
    );
    let rows = reader.rows(doing, &question).await?;
    let Some([now, guarded, definition]) = rows.first().map(Vec::as_slice) else {
        return Err(unexpected(doing, "no row"));
    };
    let known = order.index.as_ref().map(|(_, definition)| definition);
    if now.as_deref() != Some(&*oid.to_string()) || known != definition.as_ref() {
        let message = format!("{doing}: it was changed a moment ago");
        return Err(Error::new(Kind::Stale, message));
    }
    if guarded.as_deref() == Some("t") {
        return Err(Error::row_security(&name));
    }
    let files = match scan.partitioned {
        true => format!(
            "SELECT t.relid::oid, pg_catalog.pg_relation_filenode(t.relid)
             FROM pg_catalog.pg_partition_tree({oid}::oid) t WHERE t.isleaf"
        ),
        false => format!("SELECT {oid}::oid, pg_catalog.pg_relation_filenode({oid}::oid)"),
    };
    let mut contents = Contents {
        oid,
        files: BTreeMap::new(),
        order: order.meaning(),
        filter: filter.map(str::to_owned),
    };
    for row in reader.rows(doing, &files).await? {
        let number = |at: usize| row.get(at)?.as_ref()?.parse().ok();
        // A foreign partition has no file.
        if let (Some(relation), Some(file)) = (number(0), number(1)) {
            contents.files.insert(relation, file);
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(files: &[(u32, u32)], order: &str) -> Contents {
        Contents {
            oid: 1,
            files: files.iter().copied().collect(),
            order: order.into(),
            filter: None,
        }
    }

    #[test]
    fn a_cursor_ends_with_what_it_was_taken_from() {
        let bag = contents(&[(1, 10)], "");
        for (now, why) in [
            (contents(&[(1, 10)], ""), None),
            (contents(&[(1, 11)], ""), Some(Replaced::Files)),
            (contents(&[(1, 10), (2, 20)], ""), None),
            (contents(&[(2, 20)], ""), None),
            (contents(&[(1, 10)], "1 int4"), Some(Replaced::Order)),
            (
                Contents {
                    oid: 2,
                    ..bag.clone()
                },
                Some(Replaced::Table),
            ),
            (
                Contents {
                    filter: Some("a".into()),
                    ..bag.clone()
                },
                Some(Replaced::Filter),
            ),
        ] {
            assert_eq!(bag.replaced(&now), why, "{now:?}");
        }
        // A key's order is the same in every file.
        let keyed = contents(&[(1, 10)], "1 int4");
        let rewritten = contents(&[(1, 11)], "1 int4");
        assert_eq!(keyed.replaced(&rewritten), None);
        assert_eq!(keyed.hidden(&rewritten), Some(Replaced::Files));
        assert!(keyed.of_cursor().files.is_empty() && !bag.of_cursor().files.is_empty());
    }

    #[test]
    fn they_are_read_back_as_they_were_written() {
        let bag = contents(&[(1, 10), (4_000_000_000, 7)], "");
        let json = serde_json::to_string(&bag).unwrap();
        assert_eq!(serde_json::from_str::<Contents>(&json).unwrap(), bag);
    }
}
