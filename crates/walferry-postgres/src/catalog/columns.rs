//! What a table's columns are: nullability, defaults, types. Its key is in `key`.
//!
//! Owns [`Catalog::table`] and [`Catalog::relation`]. Never: trusts the catalog over the stream; the stream may be older.
//! Invariant: a column of the stream is the catalog's only when name and type agree; any other has no default and is nullable
//! unless it is of the key, so nothing that is still to come contradicts its schema.
//! Source: PostgreSQL documentation, `pg_attribute`, `pg_attrdef`, "Logical Replication Message Formats".

use std::collections::{HashMap, HashSet};

use walferry_event::{Column, LeafRows, OldRows, Relation, RelationColumn, Table};

use super::{
    Catalog, KeyRules, RelationIdentity,
    column_type::{Types, dimensions},
    key::{Keys, always_unique, choose_key},
    known::{Columns, Known},
    tables::identity_of,
    value,
};
use crate::{Error, kind::Kind};

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
        let mut table = describe(relation, &known, &types, &keys, rules);
        let leaves = self.identities(&[relation.oid]).await?;
        let leaves = leaves.iter().filter(|it| it.oid != relation.oid);
        table.old_rows.leaves = leaves.map(|it| leaf(relation, it)).collect();
        Ok(table)
    }

    /// The `attnum` of each column of a table that is there now, by its name.
    pub async fn column_numbers(&self, oid: u32) -> Result<HashMap<String, i16>, Error> {
        let doing = &format!("asking for the columns of the table with oid {oid}");
        let known = self.known_columns(doing, oid).await?;
        let numbers = known.into_iter().map(|(name, it)| (name, it.number));
        Ok(numbers.collect())
    }

    async fn known_columns(&self, doing: &str, oid: u32) -> Result<Columns, Error> {
        const QUESTION: &str = "\
            SELECT a.attname::text, a.atttypid, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
                   pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attndims::int, a.attnum, a.attgenerated <> ''
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_catalog.pg_attrdef d
                   ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
            WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";
        let mut columns = HashMap::new();
        for row in self.all_again(doing, QUESTION, &[&oid]).await? {
            let required: bool = value(doing, &row, 2)?;
            let known = Known {
                number: value(doing, &row, 5)?,
                type_oid: value(doing, &row, 1)?,
                nullable: !required,
                generated: value(doing, &row, 6)?,
                default: value(doing, &row, 3)?,
                dimensions: dimensions(value(doing, &row, 4)?),
            };
            columns.insert(value(doing, &row, 0)?, known);
        }
        Ok(columns)
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
                   c.relreplident = 'f' OR coalesce(a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]), false)
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
            LEFT JOIN pg_catalog.pg_index i
                   ON i.indrelid = c.oid AND i.indislive AND i.indisvalid
                      AND ((c.relreplident = 'd' AND i.indisprimary AND i.indimmediate)
                           OR (c.relreplident = 'i' AND i.indisreplident))
            WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum";
        let doing = &format!("describing the table with oid {oid}");
        let rows = self.all_again(doing, QUESTION, &[&oid]).await?;
        let Some(row) = rows.first() else {
            return Err(Error::new(
                Kind::Stale,
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
        let stored = self.shows_stored(name).await?;
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
    known: &Columns,
    types: &Types,
    keys: &Keys,
    rules: KeyRules,
) -> Table {
    let agreed = |column: &RelationColumn| {
        known
            .get(&column.name)
            .filter(|known| known.type_oid == column.type_oid)
    };
    let key = choose_key(relation, known, keys, rules);
    let columns = relation.columns.iter().enumerate();
    let columns = columns.map(|(at, column)| Column {
        name: column.name.clone(),
        data_type: types.resolve(
            column.type_oid,
            column.type_modifier,
            agreed(column).map_or(0, |known| known.dimensions),
        ),
        // A key of another time was never NULL either: its records would have other bytes for the same key.
        nullable: agreed(column).map_or(!key.contains(&at), |known| known.nullable),
        default: agreed(column).and_then(|known| known.default.clone()),
        any_shape: false,
    });
    Table {
        relation: relation.clone(),
        columns: columns.collect(),
        key,
        old_rows: OldRows {
            unique: always_unique(relation, known, keys),
            leaves: Vec::new(),
        },
    }
}

/// What the old rows of a leaf carry, in the columns of its partitioned table.
fn leaf(relation: &Relation, identity: &RelationIdentity) -> LeafRows {
    let carried = |column: &RelationColumn| {
        let mut index = identity.index.iter().flatten();
        index.any(|it| it.name == column.name)
    };
    let columns = relation.columns.iter().enumerate();
    LeafRows {
        oid: identity.oid,
        name: format!("{}.{}", identity.table.schema, identity.table.name),
        full: identity.is_full(),
        columns: columns
            .filter(|(_, column)| carried(column))
            .map(|(at, _)| at)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::ReplicaIdentity;

    use super::*;
    use crate::catalog::key::UniqueIndex;

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

    fn known(columns: &[(&str, u32, bool)]) -> Columns {
        (1..)
            .zip(columns)
            .map(|(number, &(name, type_oid, nullable))| {
                let default = Some("1".to_owned());
                (
                    name.to_owned(),
                    Known {
                        number,
                        type_oid,
                        nullable,
                        generated: false,
                        default,
                        dimensions: 0,
                    },
                )
            })
            .collect()
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
            &vec![UniqueIndex {
                columns: vec![1],
                immediate: true,
                identity: true,
            }],
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
    fn a_key_that_was_renamed_or_retyped_since_is_not_nullable() {
        let key = vec![UniqueIndex {
            columns: vec![1],
            immediate: true,
            identity: true,
        }];
        for then in [("id", 23), ("number", 20), ("number", 23)] {
            for identity in [ReplicaIdentity::Default, ReplicaIdentity::Full] {
                let full = identity == ReplicaIdentity::Full;
                let stream = relation(identity, &[(then.0, then.1, true), ("note", 25, full)]);
                let now = known(&[("id", 20, false), ("note", 25, true)]);
                let table = describe(&stream, &now, &Types::default(), &key, KeyRules::default());
                assert_eq!(table.key, [0], "{then:?}");
                assert!(!table.columns[0].nullable, "{then:?}");
            }
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
