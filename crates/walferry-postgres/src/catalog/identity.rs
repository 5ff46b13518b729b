//! Which old rows a table's updates and deletes can carry, and whether PostgreSQL lets the application make them at all.
//!
//! Owns [`RelationIdentity`]. PostgreSQL asks the relation that holds the rows, so that of a partitioned table every leaf is
//! one. Never: changes an identity; decides what becomes of a table.
//! Invariant: what is called usable here is what the server takes: an index that is live, valid, unique, immediate and
//! without a condition, chosen or the primary key; the whole row; and of both only what the publication shows.
//! Source: PostgreSQL's `RelationGetIndexList`, `CheckCmdReplicaIdentity`, `pub_rf_contains_invalid_column`,
//! `pub_collist_contains_invalid_column` and `pub_contains_invalid_column` (18); documentation, "Replica Identity".

use walferry_event::ReplicaIdentity;

use super::{Catalog, TableName, tables::identity_of, value};
use crate::{
    Error,
    quote::{quote_ident, quote_table},
};

/// A column of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityColumn {
    /// Its name.
    pub name: String,
    /// Whether it is generated, which the stream does not show before PostgreSQL 18.
    pub generated: bool,
}

/// What old rows of one relation carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationIdentity {
    /// The table that it was asked for: the relation itself, or the partitioned table that it is a leaf of.
    pub root: u32,
    /// `pg_class.oid` of the relation that holds the rows.
    pub oid: u32,
    /// Its name.
    pub table: TableName,
    /// As it was chosen.
    pub replica_identity: ReplicaIdentity,
    /// The columns of the index that is its identity; none when there is no usable index.
    pub index: Option<Vec<IdentityColumn>>,
    /// Its stored and its virtual generated columns.
    pub stored: Vec<String>,
    virtual_ones: Vec<String>,
    /// Whether it has a primary key, and that is immediate.
    primary: Option<bool>,
    /// Whether an index is chosen, and that is valid.
    chosen: Option<bool>,
    /// An index that could be its identity.
    candidate: Option<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    index: String,
    primary: bool,
}

/// What a publication shows of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shows<'a> {
    /// Its column list, if there is one.
    pub columns: Option<&'a [String]>,
    /// Whether stored generated columns are shown without one (PostgreSQL 18).
    pub stored: bool,
    /// `server_version_num`.
    pub server_version: u32,
}

impl RelationIdentity {
    /// Whether old rows are whole.
    pub fn is_full(&self) -> bool {
        self.replica_identity == ReplicaIdentity::Full
    }

    /// Why PostgreSQL refuses the application's updates and deletes of its rows, when they are published as `shown`. A row
    /// filter is not looked at.
    pub fn refusal(&self, shown: Shows<'_>) -> Option<String> {
        let generated_count = shown.server_version >= 180_000;
        if self.is_full() {
            if shown.columns.is_some() {
                return Some(
                    "its replica identity is FULL, which a column list does not cover".into(),
                );
            }
            let virtual_one = self.virtual_ones.first();
            let unseen = virtual_one.or_else(|| self.stored.first().filter(|_| !shown.stored));
            return unseen.filter(|_| generated_count).map(|column| {
                format!("its replica identity is FULL and holds the generated column {column:?}, which is not published")
            });
        }
        let Some(index) = &self.index else {
            return Some(self.lack().to_owned());
        };
        for column in index {
            let name = &column.name;
            match shown.columns {
                Some(listed) if !listed.contains(name) => {
                    return Some(format!(
                        "its replica identity holds column {name:?}, which the column list leaves out"
                    ));
                }
                Some(_) => {}
                None => {
                    let hidden = column.generated && !(shown.stored && self.stored.contains(name));
                    if hidden && generated_count {
                        return Some(format!(
                            "its replica identity holds the generated column {name:?}, which is not published"
                        ));
                    }
                }
            }
        }
        None
    }

    /// A column of the identity that the stream does not show although the application's changes go on (before PostgreSQL 18):
    /// old rows then do not say which row they were.
    pub fn unseen(&self, shown: Shows<'_>) -> Option<&str> {
        if self.is_full() || shown.server_version >= 180_000 {
            return None;
        }
        let mut columns = self.index.iter().flatten();
        let unseen = columns.find(|it| it.generated)?;
        Some(&unseen.name)
    }

    /// Why no old row can be told.
    fn lack(&self) -> &'static str {
        match (self.replica_identity, self.primary, self.chosen) {
            (ReplicaIdentity::Nothing, _, _) => "its replica identity is NOTHING",
            (ReplicaIdentity::Index, _, None) => {
                "its replica identity was an index that has been dropped"
            }
            (ReplicaIdentity::Index, _, Some(_)) => {
                "its replica identity is an index that is not valid"
            }
            (_, None, _) => "it has neither a primary key nor another replica identity",
            (_, Some(false), _) => {
                "its primary key is DEFERRABLE, which PostgreSQL does not take for a replica identity"
            }
            (_, Some(true), _) => "its primary key is not valid",
        }
    }

    /// The command that gives it an identity that the server takes; none when no identity would do, because the whole row
    /// holds generated columns.
    pub fn mending(&self, shown: Shows<'_>) -> Option<String> {
        let table = quote_table(&self.table.schema, &self.table.name);
        let as_it_is =
            |it: &&Candidate| it.primary && self.replica_identity == ReplicaIdentity::Default;
        let to = match self.candidate.as_ref().filter(|it| !as_it_is(it)) {
            Some(it) if it.primary => "DEFAULT".to_owned(),
            Some(it) => format!("USING INDEX {}", quote_ident(&it.index)),
            None if self.is_full() || shown.columns.is_some() => return None,
            None if shown.server_version >= 180_000
                && !(self.virtual_ones.is_empty() && (shown.stored || self.stored.is_empty())) =>
            {
                return None;
            }
            None => "FULL".to_owned(),
        };
        Some(format!("ALTER TABLE {table} REPLICA IDENTITY {to};"))
    }
}

impl Catalog {
    /// The relations that hold the rows of these tables, by table and name, each with what its old rows carry. A relation of
    /// which nothing is logged is none of them.
    pub async fn identities(&self, tables: &[u32]) -> Result<Vec<RelationIdentity>, Error> {
        const QUESTION: &str = "\
            SELECT r.root, c.oid, n.nspname::text, c.relname::text, c.relreplident::text, i.names, i.generated,
                   ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 's'
                         ORDER BY a.attnum),
                   ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 'v'
                         ORDER BY a.attnum),
                   (SELECT x.indimmediate FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisprimary),
                   (SELECT x.indisvalid FROM pg_catalog.pg_index x
                    WHERE x.indrelid = c.oid AND x.indisreplident AND x.indislive LIMIT 1),
                   u.name, u.is_primary
            FROM (SELECT o.oid AS root, o.oid AS relid FROM pg_catalog.pg_class o
                  WHERE o.oid = ANY ($1) AND o.relkind = 'r'
                  UNION
                  SELECT o.oid, t.relid FROM pg_catalog.pg_class o
                  CROSS JOIN LATERAL pg_catalog.pg_partition_tree(o.oid) t
                  WHERE o.oid = ANY ($1) AND o.relkind = 'p') r
            JOIN pg_catalog.pg_class c ON c.oid = r.relid AND c.relkind = 'r' AND c.relpersistence = 'p'
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN LATERAL (
                SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place) AS names,
                       pg_catalog.array_agg(a.attgenerated <> '' ORDER BY k.place) AS generated
                FROM pg_catalog.pg_index x
                CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                WHERE x.indrelid = c.oid AND k.place <= x.indnkeyatts
                  AND x.indislive AND x.indisvalid AND x.indisunique AND x.indimmediate AND x.indpred IS NULL
                  AND ((c.relreplident = 'd' AND x.indisprimary) OR (c.relreplident = 'i' AND x.indisreplident))) i ON true
            LEFT JOIN LATERAL (
                SELECT xc.relname::text AS name, x.indisprimary AS is_primary
                FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class xc ON xc.oid = x.indexrelid
                WHERE x.indrelid = c.oid AND x.indislive AND x.indisvalid AND x.indisunique AND x.indimmediate
                  AND x.indpred IS NULL AND x.indexprs IS NULL
                  AND NOT EXISTS (
                      SELECT 1 FROM pg_catalog.unnest(x.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                      WHERE k.place <= x.indnkeyatts AND (NOT a.attnotnull OR a.attgenerated <> ''))
                ORDER BY x.indisprimary DESC, xc.relname LIMIT 1) u ON true
            ORDER BY 1, 3, 4";
        let doing = "asking for replica identities";
        let mut found = Vec::new();
        for row in self.all_again(doing, QUESTION, &[&tables]).await? {
            let identity: String = value(doing, &row, 4)?;
            let names: Option<Vec<String>> = value(doing, &row, 5)?;
            let generated: Option<Vec<bool>> = value(doing, &row, 6)?;
            let columns = names.zip(generated).map(|(names, generated)| {
                let column = |(name, generated)| IdentityColumn { name, generated };
                names.into_iter().zip(generated).map(column).collect()
            });
            let candidate: Option<String> = value(doing, &row, 11)?;
            let is_primary: Option<bool> = value(doing, &row, 12)?;
            found.push(RelationIdentity {
                root: value(doing, &row, 0)?,
                oid: value(doing, &row, 1)?,
                table: TableName {
                    schema: value(doing, &row, 2)?,
                    name: value(doing, &row, 3)?,
                },
                replica_identity: identity_of(doing, &identity)?,
                index: columns,
                stored: value(doing, &row, 7)?,
                virtual_ones: value(doing, &row, 8)?,
                primary: value(doing, &row, 9)?,
                chosen: value(doing, &row, 10)?,
                candidate: candidate
                    .zip(is_primary)
                    .map(|(index, primary)| Candidate { index, primary }),
            });
        }
        Ok(found)
    }

    /// Whether a publication lists a table by its name, so that it can be taken out.
    pub async fn lists_by_name(&self, publication: &str, oid: u32) -> Result<bool, Error> {
        const QUESTION: &str = "\
            SELECT 1 FROM pg_catalog.pg_publication_rel r
            JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
            WHERE p.pubname = $1 AND r.prrelid = $2";
        let doing = format!("asking how publication {publication:?} lists a table");
        let rows = self.all(&doing, QUESTION, &[&publication, &oid]).await?;
        Ok(!rows.is_empty())
    }

    /// Takes a table out of a publication.
    pub async fn drop_publication_table(
        &self,
        publication: &str,
        table: &TableName,
    ) -> Result<(), Error> {
        let command = format!(
            "ALTER PUBLICATION {} DROP TABLE ONLY {}",
            quote_ident(publication),
            quote_table(&table.schema, &table.name)
        );
        let doing = format!("taking a table out of publication {publication:?}");
        self.command(&doing, &command).await
    }

    /// Whether a publication shows stored generated columns without a column list (PostgreSQL 18).
    pub async fn shows_stored(&self, publication: &str) -> Result<bool, Error> {
        if self.server_version < 180_000 {
            return Ok(false);
        }
        let question = "SELECT pubgencols::text FROM pg_catalog.pg_publication WHERE pubname = $1";
        let doing = "asking whether generated columns are published";
        let rows = self.all(doing, question, &[&publication]).await?;
        match rows.first() {
            Some(row) => Ok(value::<String>(doing, row, 0)? == "s"),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(replica_identity: ReplicaIdentity, index: &[(&str, bool)]) -> RelationIdentity {
        let column = |&(name, generated): &(&str, bool)| IdentityColumn {
            name: name.into(),
            generated,
        };
        let stored = index.iter().filter(|it| it.1);
        RelationIdentity {
            root: 1,
            oid: 1,
            table: TableName {
                schema: "s".into(),
                name: "t".into(),
            },
            replica_identity,
            index: (!index.is_empty()).then(|| index.iter().map(column).collect()),
            stored: stored.map(|it| it.0.to_owned()).collect(),
            virtual_ones: Vec::new(),
            primary: None,
            chosen: None,
            candidate: None,
        }
    }

    fn shows(columns: Option<&[String]>, server_version: u32) -> Shows<'_> {
        Shows {
            columns,
            stored: false,
            server_version,
        }
    }

    #[test]
    fn what_the_publication_does_not_show_is_no_identity() {
        let listed = ["a".to_owned()];
        use ReplicaIdentity::{Default, Full, Index, Nothing};
        for (identity, columns, list, version, word) in [
            (Default, &[("a", false)][..], false, 170_000, ""),
            (
                Default,
                &[("a", false), ("b", false)],
                true,
                170_000,
                "\"b\"",
            ),
            (Index, &[("a", false), ("g", true)], false, 170_000, ""),
            (Index, &[("a", false), ("g", true)], false, 180_000, "\"g\""),
            (Full, &[], false, 170_000, ""),
            (Full, &[], true, 170_000, "column list"),
            (Nothing, &[], false, 170_000, "NOTHING"),
            (Default, &[], false, 140_000, "neither"),
        ] {
            let list = list.then_some(&listed[..]);
            let said = relation(identity, columns).refusal(shows(list, version));
            assert_eq!(said.is_none(), word.is_empty(), "{identity} {said:?}");
            assert!(said.unwrap_or_default().contains(word), "{identity} {word}");
        }
        let mut full = relation(Full, &[]);
        full.virtual_ones.push("v".into());
        let shown = Shows {
            stored: true,
            ..shows(None, 180_000)
        };
        assert!(full.refusal(shown).unwrap().contains("\"v\""));
        assert_eq!(full.mending(shown), None);
    }

    #[test]
    fn what_mends_is_an_index_where_one_would_do() {
        let shown = shows(None, 170_000);
        let mut bare = relation(ReplicaIdentity::Default, &[]);
        let mends = |it: &RelationIdentity| it.mending(shown).unwrap();
        assert_eq!(
            mends(&bare),
            "ALTER TABLE \"s\".\"t\" REPLICA IDENTITY FULL;"
        );
        bare.primary = Some(false);
        assert!(bare.refusal(shown).unwrap().contains("DEFERRABLE"));
        for (primary, identity, to) in [
            (false, ReplicaIdentity::Default, "USING INDEX \"i\""),
            (true, ReplicaIdentity::Nothing, "DEFAULT"),
        ] {
            bare.candidate = Some(Candidate {
                index: "i".into(),
                primary,
            });
            bare.replica_identity = identity;
            assert!(mends(&bare).contains(to), "{}", mends(&bare));
        }
    }
}
