//! The options of a `[[table]]` that decide what of a row leaves: columns, rows, masks; and where each is carried out.
//!
//! Owns the rules between options, the catalog and what PostgreSQL allows in a publication. Never: touches a row (the
//! encode plan does), changes a publication (`publication` does).
//! Invariants: what the publication cannot leave out is left out here; an option that cannot be carried out is refused
//! before anything is created; a publication never gets a list or a filter with which PostgreSQL would refuse the writers'
//! updates.
//!
//! | option | in the publication | here |
//! |---|---|---|
//! | `exclude_columns` | PostgreSQL 15, unless the replica identity is full | always: a stream from before the list may still have them |
//! | `where` | PostgreSQL 15 | never: without it the connector is refused |
//! | `mask` | never | always |
//!
//! Start reading at `wanted`.
//! Source: PostgreSQL documentation, "Row Filters" and "Column Lists".

pub mod names;

use walferry_event::{Code, Relation, ReplicaIdentity, Table};
use walferry_postgres::{
    Catalog, Publish, PublishedTable, RelationIdentity, TableInfo, quote_table,
};

use crate::{
    config::{Config, TableConfig, selection},
    error::Error,
    tables::compile::{self, encode_plan},
};

/// The first version that has row filters and column lists.
const LISTS_SINCE: u32 = 150_000;

/// What the configuration wants of one table.
#[derive(Debug)]
pub struct Wanted {
    /// What our publication says of it.
    pub publish: Publish,
    /// Whether the options decide which columns and rows of the table the publication holds.
    pub managed: bool,
    /// Why the columns to exclude come in the stream and are left out here.
    pub left_out_here: Option<String>,
}

impl Wanted {
    /// Whether what a publication says of the table is what is wanted.
    pub(crate) async fn agrees(
        &self,
        catalog: &Catalog,
        published: &PublishedTable,
    ) -> Result<bool, Error> {
        let set = |columns: &Option<Vec<String>>| {
            columns.clone().map(|mut names| {
                names.sort();
                names
            })
        };
        if set(&self.publish.what.columns) != set(&published.columns) {
            return Ok(false);
        }
        match (&self.publish.what.row_filter, &published.row_filter) {
            (None, None) => Ok(true),
            (Some(wanted), Some(found)) => {
                let table = &self.publish.table;
                Ok(catalog.same_filter(table, wanted, found).await?)
            }
            _ => Ok(false),
        }
    }
}

/// Whether the options of all tables can be carried out, and each `[[table]]` is one of them.
pub(crate) async fn hold(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<(), Error> {
    for it in unmatched(config, tables) {
        if !it.is_glob() {
            return Err(Error::invalid(
                Code::SharedTopic,
                format!("{}; {}", it.what(), it.remedy()),
            ));
        }
        tracing::warn!("{}; {}", it.what(), it.remedy());
    }
    for table in tables {
        wanted(config, catalog, table).await?;
    }
    Ok(())
}

/// A `[[table]]` that no followed table has the settings of. Most likely a typing error, and what it leaves out or masks
/// would be published.
#[derive(Debug)]
pub struct Unmatched<'a> {
    pub(crate) name: &'a str,
    nearest: Option<String>,
}

impl Unmatched<'_> {
    /// Globs may be of tables to come.
    pub fn is_glob(&self) -> bool {
        selection::is_glob(self.name)
    }

    /// What is wrong, for the operator.
    pub fn what(&self) -> String {
        format!(
            "[[table]] {:?} matches no followed table, so its settings apply to nothing",
            self.name
        )
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match &self.nearest {
            Some(nearest) => format!(
                "write {nearest:?} if that is meant; for a table that is gone, or still to come, write a glob"
            ),
            None => "take it out, or let source.tables choose the table".into(),
        }
    }
}

/// The entries of the configuration that are of no table.
pub fn unmatched<'a>(config: &'a Config, tables: &[TableInfo]) -> Vec<Unmatched<'a>> {
    let names: Vec<String> = tables.iter().map(TableInfo::qualified_name).collect();
    let entries = config.tables.iter().map(|own| own.name.as_str());
    let nowhere = entries.filter(|own| !names.iter().any(|it| selection::matches(own, it)));
    let near = |own: &str, name: &str| strsim::jaro_winkler(own, name);
    let unmatched = nowhere.map(|own| Unmatched {
        name: own,
        nearest: names
            .iter()
            .max_by(|a, b| near(own, a).total_cmp(&near(own, b)))
            .cloned(),
    });
    unmatched.collect()
}

/// Checks the options of a table, and says what our publication has to say of it.
pub async fn wanted(
    config: &Config,
    catalog: &Catalog,
    table: &TableInfo,
) -> Result<Wanted, Error> {
    let name = table.qualified_name();
    let mut wanted = Wanted {
        publish: Publish::whole(table.table_name()),
        managed: false,
        left_out_here: None,
    };
    let Some(own) = config.table(&name).filter(|own| own.limits()) else {
        return Ok(wanted);
    };
    // With every column: what is published of them is decided here.
    let relation = catalog.relation(table.oid).await?;
    let version = compile::version(config, catalog, &relation).await?;
    named_columns(own, &name, &version)?;
    let topic = config.topic(&table.schema, &table.name);
    encode_plan(config, &version, &topic, &[])?;
    identity_is_whole(own, &name, &relation)?;
    wanted.managed = !own.exclude_columns.is_empty() || own.row_filter.is_some();
    if !own.exclude_columns.is_empty() {
        if catalog.server_version() < LISTS_SINCE {
            wanted.left_out_here = Some("this server has no column lists (PostgreSQL 15)".into());
        } else if is_full_anywhere(catalog, table).await? {
            wanted.left_out_here = Some(
                "its replica identity is full, and with a column list PostgreSQL would refuse updates and deletes".into(),
            );
        } else {
            let columns = relation.columns.iter().map(|column| column.name.clone());
            let kept = columns.filter(|name| !own.exclude_columns.contains(name));
            wanted.publish.what.columns = Some(kept.collect());
        }
    }
    if let Some(filter) = &own.row_filter {
        check_filter(catalog, table, &relation, filter).await?;
        wanted.publish.what.row_filter = Some(filter.clone());
    }
    Ok(wanted)
}

/// Whether the replica identity of the table, or of a leaf, is the whole row.
async fn is_full_anywhere(catalog: &Catalog, table: &TableInfo) -> Result<bool, Error> {
    let relations = catalog.identities(&[table.oid]).await?;
    let full = table.replica_identity == ReplicaIdentity::Full;
    Ok(full || relations.iter().any(RelationIdentity::is_full))
}

/// Each column that an option names has to be there.
fn named_columns(own: &TableConfig, name: &str, version: &Table) -> Result<(), Error> {
    let masked = own.masks.iter().map(|(column, _)| ("mask", column));
    let excluded = own.exclude_columns.iter();
    for (option, column) in excluded.map(|it| ("exclude_columns", it)).chain(masked) {
        if !version.columns.iter().any(|it| it.name == *column) {
            return Err(Error::invalid(
                Code::TableOption,
                format!(
                    "table {name}: column {column:?} of {option} does not exist or is generated; mend its [[table]]"
                ),
            ));
        }
    }
    Ok(())
}

/// A version of a table has each column that options name and the version before had: it may be there under another name.
pub fn stays_named(
    config: &Config,
    before: Option<&Relation>,
    now: &Relation,
) -> Result<(), Error> {
    let name = now.qualified_name();
    let (Some(own), Some(before)) = (config.table(&name), before) else {
        return Ok(());
    };
    let has = |it: &Relation, column: &String| it.columns.iter().any(|it| it.name == *column);
    let masked = own.masks.iter().map(|(column, _)| column);
    let mut named = own.exclude_columns.iter().chain(masked);
    match named.find(|it| has(before, it) && !has(now, it)) {
        None => Ok(()),
        Some(column) => Err(Error::invalid(
            Code::TableOption,
            format!(
                "table {name}: column {column:?}, which its [[table]] keeps back, was renamed or dropped; mend its [[table]]"
            ),
        )),
    }
}

/// PostgreSQL refuses updates and deletes to the writer when the publication leaves out a part of the identity.
fn identity_is_whole(own: &TableConfig, name: &str, relation: &Relation) -> Result<(), Error> {
    let full = relation.replica_identity == ReplicaIdentity::Full;
    let mut identity = relation.columns.iter().filter(|it| it.in_identity && !full);
    match identity.find(|it| own.exclude_columns.contains(&it.name)) {
        None => Ok(()),
        Some(column) => Err(Error::invalid(
            Code::TableOption,
            format!(
                "table {name}: column {:?} of exclude_columns is part of the replica identity, without which updates and deletes \
             cannot be published; take it out of exclude_columns, or ALTER TABLE … REPLICA IDENTITY USING INDEX with an \
             index that does without it",
                column.name
            ),
        )),
    }
}

/// Whether the server can evaluate the filter, also for the old rows of updates and deletes.
async fn check_filter(
    catalog: &Catalog,
    table: &TableInfo,
    relation: &Relation,
    filter: &str,
) -> Result<(), Error> {
    let name = table.qualified_name();
    if catalog.server_version() < LISTS_SINCE {
        return Err(Error::invalid(
            Code::TableFilter,
            format!(
                "table {name}: `where` needs row filters of publications, which PostgreSQL has from version 15 on, and this server \
             is older; take `where` out, or follow a table that holds only these rows"
            ),
        ));
    }
    let about = |error: walferry_postgres::Error| {
        Error::from(error).context(format!("table {name}: `where` of its [[table]]"))
    };
    let of = table.table_name();
    catalog
        .check_filter(&of, None, filter)
        .await
        .map_err(about)?;
    let identity: Vec<&str> = relation
        .columns
        .iter()
        .filter(|column| column.in_identity)
        .map(|column| column.name.as_str())
        .collect();
    if identity.is_empty() || relation.replica_identity == ReplicaIdentity::Full {
        return Ok(());
    }
    let Err(error) = catalog.check_filter(&of, Some(&identity), filter).await else {
        return Ok(());
    };
    if error.sqlstate().is_none() {
        return Err(about(error));
    }
    Err(Error::invalid(
        Code::TableFilter,
        format!(
            "table {name}: `where` uses columns besides the replica identity ({}), and with such a filter PostgreSQL would refuse \
         updates and deletes on the table; ALTER TABLE {} REPLICA IDENTITY FULL, or filter by columns of the identity",
            identity.join(", "),
            quote_table(&table.schema, &table.name)
        ),
    ))
}
