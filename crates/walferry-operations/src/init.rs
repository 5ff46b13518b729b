//! `walferry init`: what a database has to follow, and the SQL that lets a role of its own follow it.
//!
//! Owns the survey: each table with its size, key and identity, and which are left out and why. Never: creates anything, writes
//! a file, or judges a table by rules of its own: what is left out is what a start would leave out.
//! Start reading at `survey`; the SQL is in `role_sql`.

mod role_sql;

use serde::Serialize;
use walferry_event::{Code, ReplicaIdentity};
use walferry_postgres::{Catalog, TableFacts, TableInfo};

use walferry_pipeline::{
    config::{Config, selection::Selection},
    connector::choice,
    error::Error,
    tables::followed,
};

pub use role_sql::Step;

use role_sql::Found;

/// A table that is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Surveyed {
    /// `schema.table`.
    pub name: String,
    /// By the planner's statistics; none when the table was never analysed.
    pub rows_estimated: Option<i64>,
    /// Of its rows on the server, TOAST included, indexes not.
    pub bytes: i64,
    /// Partitions with rows; none for a table that has no partitions.
    pub partitions: Option<i64>,
    /// The columns of its message key.
    pub key: Vec<String>,
    /// As PostgreSQL names it.
    pub replica_identity: String,
    /// What whoever follows it should know.
    pub warnings: Vec<String>,
}

/// A table that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// `schema.table`.
    pub name: String,
    /// What is in the way.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

/// What there is to follow.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// As 170006.
    pub server_version: u32,
    /// Those that are followed, by name.
    pub tables: Vec<Surveyed>,
    /// Those that are not, by name.
    pub left_out: Vec<LeftOut>,
    /// Lets the role follow them, in this order.
    pub sql: Vec<Step>,
}

/// Looks at the database as the role of `config` sees it, for a connector that will follow it as `role`.
///
/// # Errors
/// The database does not answer, or has no table that can be followed.
pub async fn survey(config: &Config, role: &str) -> Result<Survey, Error> {
    let catalog = Catalog::connect(&config.source.connect).await?;
    let chosen = followed::select(config, &catalog).await?;
    let publication = catalog.publication(&config.source.publication).await?;
    // A publication that is there already has been made for what it publishes: the tables are judged without it.
    let choice = choice::admit(config, &catalog, None, chosen).await?;
    if choice.tables.is_empty() {
        return Err(Error::failed(
            Code::NoTables,
            format!(
                "no table of database {:?} can be followed as it is; the first: {}",
                config.source.connect.database,
                choice.left_out.first().map_or_else(
                    || "none matches".to_owned(),
                    |it| format!("{}: {}; {}", it.table.qualified_name(), it.what, it.remedy)
                )
            ),
        ));
    }
    let oids: Vec<u32> = choice.tables.iter().map(|it| it.oid).collect();
    let facts = catalog.table_facts(&oids).await?;
    let of = |oid| facts.iter().find(|it| it.oid == oid).copied();
    let found = Found {
        tables: choice
            .tables
            .into_iter()
            .map(|table| (table.clone(), of(table.oid)))
            .collect(),
        role: catalog.role_named(role).await?,
        publication_exists: publication.is_some(),
        wal_level: catalog.wal_level().await?.set,
    };
    let mut left_out: Vec<LeftOut> = choice
        .left_out
        .into_iter()
        .map(|it| LeftOut {
            name: it.table.qualified_name(),
            why: it.what,
            remedy: it.remedy,
        })
        .collect();
    left_out.extend(unlogged(config, &catalog).await?);
    left_out.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Survey {
        server_version: catalog.server_version(),
        sql: role_sql::steps(config, role, &found),
        tables: found
            .tables
            .iter()
            .map(|(table, facts)| surveyed(table, facts.as_ref()))
            .collect(),
        left_out,
    })
}

async fn unlogged(config: &Config, catalog: &Catalog) -> Result<Vec<LeftOut>, Error> {
    let selection = Selection::new(&config.source.tables);
    let relations = catalog.relations().await?;
    let unlogged = relations
        .into_iter()
        .filter(|it| it.unlogged && selection.includes(&it.qualified));
    Ok(unlogged
        .map(|it| LeftOut {
            name: it.qualified,
            why: "it is unlogged, so its changes are not in the WAL".to_owned(),
            remedy: "ALTER TABLE … SET LOGGED, which writes it anew".to_owned(),
        })
        .collect())
}

fn surveyed(table: &TableInfo, facts: Option<&TableFacts>) -> Surveyed {
    let mut warnings = Vec::new();
    if table.key_columns.is_empty() {
        warnings.push(
            "no key: its records have none, so that its topic cannot be compacted and its changes are in order in one partition alone"
                .to_owned(),
        );
    } else if table.replica_identity == ReplicaIdentity::Full {
        warnings.push(
            "replica identity full: old rows are complete, and UPDATE and DELETE write more WAL"
                .to_owned(),
        );
    }
    if choice::later_leaves(table) {
        warnings.push(choice::LATER_LEAVES.to_owned());
    }
    if facts.is_some_and(|it| it.row_security) {
        warnings.push(
            "row level security: a role without BYPASSRLS may not read all of its rows".to_owned(),
        );
    }
    Surveyed {
        name: table.qualified_name(),
        rows_estimated: (table.rows_estimated > 0).then_some(table.rows_estimated),
        bytes: facts.map_or(0, |it| it.bytes),
        partitions: facts.and_then(|it| it.partitions),
        key: table.key_columns.clone(),
        replica_identity: table.replica_identity.to_string(),
        warnings,
    }
}
