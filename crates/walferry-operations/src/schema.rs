//! The Avro schemas of the tables as they would be, what the registry says of them, and what a migration would change.
//!
//! Owns the answers behind `walferry schema` and the way from a table to its schemas. Never registers anything, and leaves
//! nothing behind in the database: a migration is rolled back.
//! Start reading at `show`, `compare` and `migration::plan`.

pub mod difference;
pub mod migration;
pub mod subject;

use serde::Serialize;
use walferry_event::Code;
use walferry_postgres::{Catalog, TableInfo};
use walferry_registry::Registry;

use crate::schema::{
    difference::Difference,
    subject::{Judged, SubjectSchema, of_table, parsed},
};
use walferry_pipeline::{
    config::{Config, selection::Selection},
    error::Error,
    tables::followed,
};

/// A schema beside the newest one of its subject.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The schema.
    #[serde(flatten)]
    pub schema: SubjectSchema,
    /// Version of the subject's newest schema, if there is one.
    pub version: Option<u32>,
    /// Its id.
    pub id: Option<u32>,
    /// From that to this.
    pub differences: Vec<Difference>,
    /// Whether the registry would take it.
    #[serde(flatten)]
    pub judged: Judged,
}

/// The schemas of the tables that match one of `globs`, or of all that are followed.
///
/// # Errors
/// The database does not answer, or a table cannot be published.
pub async fn show(config: &Config, globs: &[String]) -> Result<Vec<SubjectSchema>, Error> {
    let catalog = Catalog::connect(&config.source.connect).await?;
    let mut schemas = Vec::new();
    for table in wanted(config, &catalog, globs).await? {
        schemas.extend(of_table(config, &catalog, &table).await?);
    }
    Ok(schemas)
}

/// The same schemas, each beside the newest one that the registry holds.
///
/// # Errors
/// As [`show`], or the registry does not answer.
pub async fn compare(config: &Config, globs: &[String]) -> Result<Vec<Compared>, Error> {
    let registry = Registry::new(config.registry.clone())?;
    let mut compared = Vec::new();
    for schema in show(config, globs).await? {
        let latest = registry.latest(&schema.subject).await?;
        let old = latest.as_ref().map(|it| parsed(&it.schema));
        let differences = match &old {
            Some(old) => difference::between(old, &schema.schema),
            None => Vec::new(),
        };
        let verdict = registry.verdict(&schema.subject, &schema.text).await?;
        compared.push(Compared {
            version: latest.as_ref().map(|it| it.version),
            id: latest.as_ref().map(|it| it.id),
            differences,
            judged: verdict.into(),
            schema,
        });
    }
    Ok(compared)
}

/// What differs from one schema, as the registry holds it, to another.
pub(crate) fn differences(old: &str, new: &str) -> Vec<String> {
    let found = difference::between(&parsed(old), &parsed(new));
    found.iter().map(Difference::to_string).collect()
}

async fn wanted(
    config: &Config,
    catalog: &Catalog,
    globs: &[String],
) -> Result<Vec<TableInfo>, Error> {
    let mut tables = followed::select(config, catalog).await?;
    let all: Vec<String> = tables.iter().map(TableInfo::qualified_name).collect();
    let selection = Selection::new(globs);
    if let Some(missing) = selection.missing(&all).first() {
        return Err(Error::failed(
            Code::TableNotFollowed,
            format!(
                "table {missing:?} is not followed: source.tables = {:?}",
                config.source.tables
            ),
        ));
    }
    tables.retain(|it| globs.is_empty() || selection.includes(&it.qualified_name()));
    Ok(tables)
}
