//! What a table's columns are: nullability, defaults, types, the key.
//!
//! Owns [`Catalog::table`] and [`Catalog::relation`]. Never: trusts the catalog over the stream; the stream may be older.
//! Invariant: a column of the stream is the catalog's only when name and type agree; any other is nullable and has no
//! default, so nothing that is still to come contradicts its schema.
//! Source: PostgreSQL documentation, `pg_attribute`, `pg_attrdef`, `pg_index`, "Logical Replication Message Formats".

use std::collections::{HashMap, HashSet};

use walferry_event::{Column, Relation, RelationColumn, ReplicaIdentity, Table};

use super::{
    Catalog,
    column_type::{Types, dimensions},
    tables::identity_of,
    value,
};
use crate::{Error, kind::Kind};

/// What the catalog says of a column now.
struct Known {
    type_oid: u32,
    nullable: bool,
    default: Option<String>,
    /// `attndims`: a hint.
    dimensions: u32,
}

/// The columns of each unique index without expressions, in its order; the primary key comes first, then by name.
type Keys = Vec<Vec<String>>;

/// Which unique indexes give a message key, beyond the primary key and those without expressions and conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// An index with a condition counts too, though different rows may then share a key.
    pub partial_indexes: bool,
    /// The first index is the key even where old rows do not carry its columns.
    pub outside_identity: bool,
}

impl Catalog {
    /// A relation of the stream with what only the catalog knows. A table that is gone, or a column that is another one
    /// by now, is described by the stream alone.
    pub async fn table(&self, relation: &Relation, rules: KeyRules) -> Result<Table, Error> {
        let doing = &format!("describing table {}", relation.qualified_name());
        let known = self.known_columns(doing, relation.oid).await?;
        let oids = relation
            .columns
            .iter()
            .map(|column| column.type_oid)
            .collect();
        let types = self.types(doing, oids).await?;
        let keys = self
            .keys(doing, relation.oid, rules.partial_indexes)
            .await?;
        Ok(describe(relation, &known, &types, &keys, rules))
    }

    async fn known_columns(&self, doing: &str, oid: u32) -> Result<HashMap<String, Known>, Error> {
        const QUESTION: &str = "\
            SELECT a.attname::text, a.atttypid, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
                   pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attndims::int
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_catalog.pg_attrdef d
                   ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
            WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";
        let mut columns = HashMap::new();
        for row in self.all_again(doing, QUESTION, &[&oid]).await? {
            let required: bool = value(doing, &row, 2)?;
            let known = Known {
                type_oid: value(doing, &row, 1)?,
                nullable: !required,
                default: value(doing, &row, 3)?,
                dimensions: dimensions(value(doing, &row, 4)?),
            };
            columns.insert(value(doing, &row, 0)?, known);
        }
        Ok(columns)
    }

    async fn keys(&self, doing: &str, oid: u32, partial: bool) -> Result<Keys, Error> {
        const QUESTION: &str = "\
            SELECT k.names
            FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
            CROSS JOIN LATERAL (
                SELECT pg_catalog.array_agg(a.attname::text ORDER BY p.place) AS names
                FROM pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS p (attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.attnum
                WHERE p.place <= i.indnkeyatts) k
            WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND (i.indpred IS NULL OR $2) AND i.indexprs IS NULL
            ORDER BY i.indisprimary DESC, c.relname";
        let rows = self.all_again(doing, QUESTION, &[&oid, &partial]).await?;
        rows.iter().map(|row| value(doing, row, 0)).collect()
    }

    /// A table as the stream would describe it now, with every column that is published without a column list.
    ///
    /// # Errors
    /// There is no table of that oid.
    pub async fn relation(&self, oid: u32) -> Result<Relation, Error> {
        self.describe_relation(oid, None).await
    }

    /// A table as the stream of this publication would describe it now: column list and generated columns as published.
    pub async fn published_relation(&self, publication: &str, oid: u32) -> Result<Relation, Error> {
        self.describe_relation(oid, Some(publication)).await
    }

    async fn describe_relation(
        &self,
        oid: u32,
        publication: Option<&str>,
    ) -> Result<Relation, Error> {
        const QUESTION: &str = "\
            SELECT n.nspname::text, c.relname::text, c.relreplident::text
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = $1";
        // The identity is the whole row, a chosen index, or the primary key.
        const COLUMNS: &str = "\
            SELECT a.attname::text, a.atttypid, a.atttypmod, a.attgenerated::text,
                   c.relreplident = 'f' OR coalesce(a.attnum = ANY (i.indkey), false)
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
            LEFT JOIN pg_catalog.pg_index i
                   ON i.indrelid = c.oid AND i.indisvalid
                      AND ((c.relreplident = 'd' AND i.indisprimary AND i.indimmediate)
                           OR (c.relreplident = 'i' AND i.indisreplident))
            WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum";
        let doing = &format!("describing the table with oid {oid}");
        let rows = self.all_again(doing, QUESTION, &[&oid]).await?;
        let Some(row) = rows.first() else {
            return Err(Error::new(
                Kind::Settings,
                format!("{doing}: it was dropped a moment ago; start again"),
            ));
        };
        let identity: String = value(doing, row, 2)?;
        let mut relation = Relation {
            oid,
            schema: value(doing, row, 0)?,
            name: value(doing, row, 1)?,
            replica_identity: identity_of(doing, &identity)?,
            columns: Vec::new(),
        };
        let shown = self.shown(publication, oid).await?;
        for row in self.all_again(doing, COLUMNS, &[&oid]).await? {
            let generated: String = value(doing, &row, 3)?;
            let name: String = value(doing, &row, 0)?;
            if shown.contains(&name, &generated) {
                relation.columns.push(RelationColumn {
                    name,
                    type_oid: value(doing, &row, 1)?,
                    type_modifier: value(doing, &row, 2)?,
                    in_identity: value(doing, &row, 4)?,
                });
            }
        }
        Ok(relation)
    }

    async fn shown(&self, publication: Option<&str>, oid: u32) -> Result<Shown, Error> {
        let Some(name) = publication else {
            return Ok(Shown::Ordinary);
        };
        if let Some(list) = self.published(name, oid).await?.and_then(|p| p.columns) {
            return Ok(Shown::Listed(list.into_iter().collect()));
        }
        if self.server_version < 180_000 {
            return Ok(Shown::Ordinary);
        }
        let question = "SELECT pubgencols::text FROM pg_catalog.pg_publication WHERE pubname = $1";
        let doing = "asking whether generated columns are published";
        let rows = self.all(doing, question, &[&name]).await?;
        let stored = match rows.first() {
            Some(row) => value::<String>(doing, row, 0)? == "s",
            None => false,
        };
        Ok(if stored {
            Shown::WithStored
        } else {
            Shown::Ordinary
        })
    }
}

/// Which columns the stream shows.
enum Shown {
    /// All that are not generated.
    Ordinary,
    /// These and the stored generated ones (`publish_generated_columns = stored`, PostgreSQL 18).
    WithStored,
    /// Those of a column list; generated ones count from PostgreSQL 18 on, and earlier cannot be listed.
    Listed(HashSet<String>),
}

impl Shown {
    fn contains(&self, name: &str, generated: &str) -> bool {
        match self {
            Shown::Ordinary => generated.is_empty(),
            Shown::WithStored => generated.is_empty() || generated == "s",
            Shown::Listed(list) => list.contains(name),
        }
    }
}

/// Puts stream and catalog together.
fn describe(
    relation: &Relation,
    known: &HashMap<String, Known>,
    types: &Types,
    keys: &Keys,
    rules: KeyRules,
) -> Table {
    let agreed = |column: &RelationColumn| {
        known
            .get(&column.name)
            .filter(|known| known.type_oid == column.type_oid)
    };
    let columns = relation.columns.iter().map(|column| Column {
        name: column.name.clone(),
        data_type: types.resolve(
            column.type_oid,
            column.type_modifier,
            agreed(column).map_or(0, |known| known.dimensions),
        ),
        nullable: agreed(column).is_none_or(|known| known.nullable),
        default: agreed(column).and_then(|known| known.default.clone()),
        any_shape: false,
    });
    Table {
        relation: relation.clone(),
        columns: columns.collect(),
        key: choose_key(relation, keys, rules, |column| agreed(column).is_some()),
    }
}

/// The first key whose columns the stream has and old rows carry; else the columns that old rows carry. By default old
/// rows carry the primary key as it was then, so a key of fewer columns is a later one.
fn choose_key(
    relation: &Relation,
    keys: &Keys,
    rules: KeyRules,
    agreed: impl Fn(&RelationColumn) -> bool,
) -> Vec<usize> {
    let in_identity = |&index: &usize| relation.columns[index].in_identity;
    let all: Vec<usize> = (0..relation.columns.len()).collect();
    let identity: Vec<usize> = all.into_iter().filter(in_identity).collect();
    let place = |name: &String| {
        let index = relation
            .columns
            .iter()
            .position(|column| column.name == *name)?;
        agreed(&relation.columns[index]).then_some(index)
    };
    let candidates = keys
        .iter()
        .filter_map(|key| key.iter().map(place).collect::<Option<Vec<usize>>>());
    // Without an identity no old row ever comes, so a key has nothing to lie within.
    let anywhere = rules.outside_identity || identity.is_empty();
    let whole = relation.replica_identity == ReplicaIdentity::Default;
    let mut fitting = candidates.filter(|key| {
        let within = key.iter().all(in_identity);
        anywhere || (within && (!whole || key.len() == identity.len()))
    });
    match (fitting.next(), relation.replica_identity) {
        (Some(key), _) => key,
        (None, ReplicaIdentity::Default | ReplicaIdentity::Index) => identity,
        // A whole row says nothing about what makes it unique.
        (None, ReplicaIdentity::Full | ReplicaIdentity::Nothing) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(identity: ReplicaIdentity, columns: &[(&str, u32, bool)]) -> Relation {
        Relation {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: identity,
            columns: columns
                .iter()
                .map(|&(name, type_oid, in_identity)| RelationColumn {
                    name: name.into(),
                    type_oid,
                    type_modifier: -1,
                    in_identity,
                })
                .collect(),
        }
    }

    fn known(columns: &[(&str, u32, bool)]) -> HashMap<String, Known> {
        columns
            .iter()
            .map(|&(name, type_oid, nullable)| {
                let default = Some("1".to_owned());
                (
                    name.to_owned(),
                    Known {
                        type_oid,
                        nullable,
                        default,
                        dimensions: 0,
                    },
                )
            })
            .collect()
    }

    fn keys(keys: &[&[&str]]) -> Keys {
        let owned = |key: &&[&str]| key.iter().map(|&name| name.to_owned()).collect();
        keys.iter().map(owned).collect()
    }

    #[test]
    fn a_column_that_is_another_one_by_now_is_nullable_and_has_no_default() {
        let stream = relation(
            ReplicaIdentity::Default,
            &[
                ("same", 23, true),
                ("retyped", 23, false),
                ("gone", 25, false),
            ],
        );
        let now = known(&[
            ("same", 23, false),
            ("retyped", 20, false),
            ("new", 25, false),
        ]);
        let table = describe(
            &stream,
            &now,
            &Types::default(),
            &keys(&[&["same"]]),
            KeyRules::default(),
        );
        let told: Vec<_> = table
            .columns
            .iter()
            .map(|c| (c.nullable, c.default.is_some()))
            .collect();
        assert_eq!(told, [(false, true), (true, false), (true, false)]);
        assert_eq!(table.key, [0]);
    }

    #[test]
    fn the_key_lies_within_what_old_rows_carry() {
        let columns = |a, b, c| [("a", 23, a), ("b", 23, b), ("c", 23, c)];
        let now = known(&[("a", 23, false), ("b", 23, false), ("c", 23, true)]);
        use ReplicaIdentity::{Default, Full, Index, Nothing};
        for (identity, [a, b, c], candidates, key) in [
            // The primary key, in its own order.
            (
                Default,
                [true, true, false],
                &[&["b", "a"][..]][..],
                vec![1, 0],
            ),
            // A chosen index that the primary key is not within.
            (Index, [false, true, false], &[&["a"], &["b"]], vec![1]),
            // The catalog has no such key any more.
            (Index, [false, true, false], &[&["a"]], vec![1]),
            (Default, [true, false, false], &[], vec![0]),
            // The primary key has lost a column since then.
            (Default, [true, true, false], &[&["a"]], vec![0, 1]),
            // Every column is carried.
            (Full, [true, true, true], &[&["b"]], vec![1]),
            (Full, [true, true, true], &[], vec![]),
            // A nullable column may be the key; one that the stream lacks is none.
            (Full, [true, true, true], &[&["x"], &["c"], &["a"]], vec![2]),
            // No old row ever comes.
            (Nothing, [false, false, false], &[&["a"]], vec![0]),
            (Default, [false, false, false], &[&["a"]], vec![0]),
            (Default, [false, false, false], &[], vec![]),
        ] {
            let stream = relation(identity, &columns(a, b, c));
            let rules = KeyRules::default();
            let table = describe(&stream, &now, &Types::default(), &keys(candidates), rules);
            assert_eq!(table.key, key, "{identity} {a} {b} {c} {candidates:?}");
        }
    }

    #[test]
    fn the_key_may_lie_outside_of_what_old_rows_carry_on_request() {
        let stream = relation(ReplicaIdentity::Index, &[("a", 23, false), ("b", 23, true)]);
        let now = known(&[("a", 23, false), ("b", 23, false)]);
        for (outside_identity, key) in [(false, [1]), (true, [0])] {
            let rules = KeyRules {
                outside_identity,
                ..KeyRules::default()
            };
            let keys = keys(&[&["a"], &["b"]]);
            let table = describe(&stream, &now, &Types::default(), &keys, rules);
            assert_eq!(table.key, key);
        }
    }

    #[test]
    fn generated_columns_are_shown_as_published() {
        let listed = Shown::Listed(HashSet::from(["g".to_owned()]));
        for (shown, ordinary, stored, virtual_one) in [
            (&Shown::Ordinary, true, false, false),
            (&Shown::WithStored, true, true, false),
            (&listed, false, true, true),
        ] {
            assert_eq!(shown.contains("a", ""), ordinary);
            assert_eq!(shown.contains("g", "s"), stored);
            assert_eq!(shown.contains("g", "v"), virtual_one);
        }
    }
}
