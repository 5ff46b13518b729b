//! The schemas of one table, and what the registry says of them.
//!
//! Owns the way from a table version to its subjects. Never: registers a schema.
//! Start reading at `of_version`.

use serde::Serialize;
use serde_json::Value as Json;
use walferry_event::Table;
use walferry_postgres::{Catalog, TableInfo};
use walferry_registry::Verdict;

use walferry_pipeline::{
    config::Config,
    error::Error,
    tables::{
        compile::{compile, described},
        plan::{Offer, offers},
    },
};

const INCOMPATIBLE: &str = "incompatible";

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

/// The schemas of a table as the catalog has it now.
pub(crate) async fn of_table(
    config: &Config,
    catalog: &Catalog,
    info: &TableInfo,
) -> Result<Vec<SubjectSchema>, Error> {
    of_version(config, &described(config, catalog, info).await?)
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

/// A schema as JSON; one that is none is a text.
pub(crate) fn parsed(schema: &str) -> Json {
    serde_json::from_str(schema).unwrap_or_else(|_| schema.into())
}
