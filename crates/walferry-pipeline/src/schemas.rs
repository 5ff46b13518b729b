//! The Avro schemas of the tables as they would be, what the registry says of them, and what a migration would change.
//!
//! Owns the answers behind `walferry schema` and the way from a table to its schemas. Never registers anything, and leaves
//! nothing behind in the database: a migration is rolled back.
//! Start reading at [`show`], [`compare`] and [`plan`].

mod difference;
mod migration;

use serde::Serialize;
use serde_json::Value as Json;
use walferry_avro::EncodePlan;
use walferry_event::Table;
use walferry_postgres::{Catalog, TableInfo};
use walferry_registry::{Registry, Verdict};

pub use difference::{Difference, Kind as DifferenceKind};
pub use migration::{Fate, Migration, PlannedSubject, PlannedTable, plan};

use crate::{
    config::Config,
    error::Error,
    options::{self, Alias},
    parking::Offer,
    relations::{choose_key, offers},
    selection::Selection,
    source,
};

/// One schema of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubjectSchema {
    /// `schema.table`.
    pub table: String,
    /// Where its records go.
    pub topic: String,
    /// `key` or `value`.
    pub part: &'static str,
    /// Its subject in the registry.
    pub subject: String,
    /// The schema itself.
    pub schema: Json,
    /// As it is registered.
    #[serde(skip)]
    pub(crate) text: String,
}

/// What the registry says of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// `registered`, `new`, `compatible` or `incompatible`.
    pub verdict: &'static str,
    /// The registry's reasons when it is incompatible.
    pub reasons: Vec<String>,
}

impl Judged {
    /// Whether the registry would refuse the schema.
    pub fn is_incompatible(&self) -> bool {
        self.verdict == INCOMPATIBLE
    }
}

const INCOMPATIBLE: &str = "incompatible";

impl From<Verdict> for Judged {
    fn from(verdict: Verdict) -> Judged {
        let (verdict, reasons) = match verdict {
            Verdict::Registered(_) => ("registered", Vec::new()),
            Verdict::New => ("new", Vec::new()),
            Verdict::Compatible => ("compatible", Vec::new()),
            Verdict::Incompatible(reasons) => (INCOMPATIBLE, reasons),
        };
        Judged { verdict, reasons }
    }
}

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
    let mut tables = source::select(config, catalog).await?;
    let all: Vec<String> = tables.iter().map(TableInfo::qualified_name).collect();
    let selection = Selection::new(globs);
    if let Some(missing) = selection.missing(&all).first() {
        return Err(Error::failed(format!(
            "table {missing:?} is not followed: source.tables = {:?}",
            config.source.tables
        )));
    }
    tables.retain(|it| globs.is_empty() || selection.includes(&it.qualified_name()));
    Ok(tables)
}

/// The schemas of a table as the catalog has it now.
async fn of_table(
    config: &Config,
    catalog: &Catalog,
    info: &TableInfo,
) -> Result<Vec<SubjectSchema>, Error> {
    of_version(config, &described(config, catalog, info).await?)
}

/// A table as the catalog has it now, with the key that its messages have.
pub(crate) async fn described(
    config: &Config,
    catalog: &Catalog,
    info: &TableInfo,
) -> Result<Table, Error> {
    let publication = &config.source.publication;
    let relation = catalog.published_relation(publication, info.oid).await?;
    let mut table = catalog.table(&relation, config.key_rules()).await?;
    choose_key(config, &mut table)?;
    Ok(table)
}

/// The schemas of a table version.
pub(crate) fn of_version(config: &Config, table: &Table) -> Result<Vec<SubjectSchema>, Error> {
    let name = table.relation.qualified_name();
    let compiled =
        compile(config, table, &[]).map_err(|error| error.context(format!("table {name}")))?;
    let schema = |(part, offer): (&'static str, Offer)| SubjectSchema {
        table: name.clone(),
        topic: compiled.topic.clone(),
        part,
        subject: offer.subject,
        schema: parsed(&offer.schema),
        text: offer.schema,
    };
    let offers = offers(config, &compiled.topic, &compiled.encode);
    Ok(offers.map(schema).collect())
}

/// A table's encode plan, and the topic that its names are taken from.
pub(crate) struct Compiled {
    pub(crate) topic: String,
    pub(crate) encode: EncodePlan,
}

/// Compiles the plan of a table version, in which options mean these columns as well.
pub(crate) fn compile(
    config: &Config,
    table: &Table,
    aliases: &[Alias],
) -> Result<Compiled, Error> {
    let topic = config.topic(&table.relation.schema, &table.relation.name);
    let encode = options::encode_plan(config, table, &topic, aliases)?;
    Ok(Compiled { topic, encode })
}

/// A schema as JSON; one that is none is a text.
fn parsed(schema: &str) -> Json {
    serde_json::from_str(schema).unwrap_or_else(|_| schema.into())
}
