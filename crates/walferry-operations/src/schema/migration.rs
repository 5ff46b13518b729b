//! What a migration would do to the schemas: it is run in a transaction, looked at, and rolled back.
//!
//! Owns the comparison of before and after, by table and by subject. Never asks the registry while locks are held.
//! Start reading at `plan`.

use std::collections::BTreeMap;

use serde::Serialize;
use walferry_postgres::{Catalog, ConnectConfig, TableInfo};
use walferry_registry::Registry;

use crate::schema::{
    difference::{self, Difference},
    subject::{Judged, SubjectSchema, of_table, parsed},
};
use walferry_pipeline::{config::Config, error::Error, tables::followed};

/// What becomes of a table or a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Its schemas stay as they are.
    Unchanged,
    /// A schema of it changes.
    Changed,
    /// It has another name, and so another topic.
    Renamed,
    /// It is not followed before and is afterwards.
    New,
    /// It is not followed any more.
    Gone,
    /// It cannot be published any more.
    Broken,
}

/// A subject after the migration.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedSubject {
    /// Its name.
    pub subject: String,
    /// `key` or `value`.
    pub part: &'static str,
    /// Unchanged, changed or new.
    pub fate: Fate,
    /// From the schema before, or the registry's newest when there is none before.
    pub differences: Vec<Difference>,
    /// What the registry says of the new schema; none when it stays.
    #[serde(flatten)]
    pub judged: Option<Judged>,
}

/// A table after the migration.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedTable {
    /// `schema.table`; of a table that is gone, its name before.
    pub table: String,
    /// Its name before, when it is another.
    pub was: Option<String>,
    /// What becomes of it.
    pub fate: Fate,
    /// Why it cannot be published, when it is broken.
    pub reason: Option<String>,
    /// Its subjects.
    pub subjects: Vec<PlannedSubject>,
}

/// What a migration would do.
#[derive(Clone, Debug, Serialize)]
pub struct Migration {
    /// Statements that were tried.
    pub statements: usize,
    /// Every table that is followed before or afterwards.
    pub tables: Vec<PlannedTable>,
    /// Whether the registry would take all of it, and every table can still be published.
    pub accepted: bool,
}

/// The followed tables at one moment, by oid.
type Moment = BTreeMap<u32, (TableInfo, Result<Vec<SubjectSchema>, String>)>;

/// Tries the script as the role of `connect`, or as the connector's own.
///
/// # Errors
/// A statement fails or is refused, or a server does not answer.
pub async fn plan(
    config: &Config,
    script: &str,
    connect: Option<&ConnectConfig>,
) -> Result<Migration, Error> {
    let statements = walferry_postgres::statements(script);
    let connect = connect.unwrap_or(&config.source.connect);
    let (catalog, search_path) = Catalog::connect_for_trial(connect).await?;
    let before = moment(config, &catalog).await?;
    let trial = catalog.try_out(&statements, &search_path).await?;
    let after = moment(config, &catalog).await;
    trial.roll_back().await?;
    let after = after?;
    let registry = Registry::new(config.registry.clone())?;
    let mut tables = Vec::new();
    for (oid, (info, schemas)) in &after {
        tables.push(planned(&registry, &before, *oid, info, schemas).await?);
    }
    for (info, _) in before
        .iter()
        .filter(|(oid, _)| !after.contains_key(oid))
        .map(|(_, it)| it)
    {
        let name = info.qualified_name();
        if !tables.iter().any(|it| it.table == name) {
            tables.push(PlannedTable {
                table: name,
                was: None,
                fate: Fate::Gone,
                reason: None,
                subjects: Vec::new(),
            });
        }
    }
    tables.sort_by(|left, right| left.table.cmp(&right.table));
    let refused = |it: &PlannedSubject| it.judged.as_ref().is_some_and(Judged::is_incompatible);
    let accepted = !tables
        .iter()
        .any(|it| it.fate == Fate::Broken || it.subjects.iter().any(refused));
    Ok(Migration {
        statements: statements.len(),
        tables,
        accepted,
    })
}

async fn moment(config: &Config, catalog: &Catalog) -> Result<Moment, Error> {
    let mut moment = Moment::new();
    for info in followed::select(config, catalog).await? {
        let schemas = of_table(config, catalog, &info).await;
        let schemas = schemas.map_err(|error| error.to_string());
        moment.insert(info.oid, (info, schemas));
    }
    Ok(moment)
}

async fn planned(
    registry: &Registry,
    before: &Moment,
    oid: u32,
    info: &TableInfo,
    schemas: &Result<Vec<SubjectSchema>, String>,
) -> Result<PlannedTable, Error> {
    let name = info.qualified_name();
    let known = before.get(&oid);
    let was = known
        .map(|(info, _)| info.qualified_name())
        .filter(|it| *it != name);
    let recreated = before.values().any(|(it, _)| it.qualified_name() == name);
    let mut planned = PlannedTable {
        fate: match (&was, known.is_some() || recreated) {
            (Some(_), _) => Fate::Renamed,
            (None, true) => Fate::Unchanged,
            (None, false) => Fate::New,
        },
        table: name,
        was,
        reason: None,
        subjects: Vec::new(),
    };
    match schemas {
        Err(reason) => {
            // What cannot be published before either is not the migration's fault.
            if known.is_none_or(|(_, schemas)| schemas.is_ok()) {
                planned.fate = Fate::Broken;
            }
            planned.reason = Some(reason.clone());
        }
        Ok(schemas) => {
            for schema in schemas {
                planned
                    .subjects
                    .push(subject(registry, before, schema).await?);
            }
        }
    }
    let unchanged = |it: &PlannedSubject| it.fate == Fate::Unchanged;
    if planned.fate == Fate::Unchanged && !planned.subjects.iter().all(unchanged) {
        planned.fate = Fate::Changed;
    }
    Ok(planned)
}

async fn subject(
    registry: &Registry,
    before: &Moment,
    schema: &SubjectSchema,
) -> Result<PlannedSubject, Error> {
    let mut all = before
        .values()
        .filter_map(|(_, it)| it.as_ref().ok())
        .flatten();
    // Another table's is the best there is when the table is new, and the subject not.
    let of_table = |it: &&SubjectSchema| it.subject == schema.subject && it.table == schema.table;
    let old = all.clone().find(of_table);
    let old = old.or_else(|| all.find(|it| it.subject == schema.subject));
    let mut planned = PlannedSubject {
        subject: schema.subject.clone(),
        part: schema.part,
        fate: Fate::Unchanged,
        differences: Vec::new(),
        judged: None,
    };
    let base = match old {
        Some(old) if old.text == schema.text => return Ok(planned),
        Some(old) => {
            planned.fate = Fate::Changed;
            Some(old.schema.clone())
        }
        None => {
            planned.fate = Fate::New;
            let latest = registry.latest(&schema.subject).await?;
            latest.map(|it| parsed(&it.schema))
        }
    };
    if let Some(base) = base {
        planned.differences = difference::between(&base, &schema.schema);
    }
    let verdict = registry.verdict(&schema.subject, &schema.text).await?;
    planned.judged = Some(verdict.into());
    Ok(planned)
}
