//! A table under audit: its rows as entries, and what it takes to compare records with them.
//!
//! Owns the plan that turns a row into the record that the connector would publish, so that both sides are compared in
//! one form. Never: registers a schema, publishes anything.
//! Start reading at `Subject::row`.

use walferry_avro::{EncodePlan, EnvelopeReader, KeyReader, Row};
use walferry_event::{Code, Datum, Lsn, Operation, Origin, Table};
use walferry_postgres::Contents;

use crate::audit::entry::{self, Entry, OTHER, Side};
use walferry_pipeline::{config::Config, error::Error, tables::compile};

/// Magic byte and schema id.
pub(super) const FRAME_BYTES: usize = 5;

/// One table.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) table: Table,
    /// Whether other tables go to its topic, too.
    pub(super) shared: bool,
    /// Which of its rows are published, as SQL.
    pub(super) row_filter: Option<String>,
    /// What its rows were read from before the moment.
    pub(super) contents: Option<Contents>,
    /// Why its rows were not read.
    pub(super) unread: Option<String>,
    /// Where the WAL ended when its last row had been read.
    pub(super) read_until: Lsn,
    digester: Digester,
    pub(super) keys: Option<KeyReader>,
    /// Name and form of each column in the schema of now.
    pub(super) columns: Vec<(String, String)>,
    /// The hash of each column's placeholder for an unchanged value, where its type has one.
    pub(super) placeholders: Vec<Option<u64>>,
}

/// Encodes rows as the connector would, and reads them as from a topic.
struct Digester {
    plan: EncodePlan,
    reader: EnvelopeReader,
    record: Vec<u8>,
    hashes: Vec<u64>,
}

impl Subject {
    pub(super) fn new(config: &Config, table: Table) -> Result<Subject, Error> {
        let relation = &table.relation;
        let topic = config.topic(&relation.schema, &relation.name);
        let (plan, reader) = compile(config, &table, &topic)?;
        let columns = reader
            .columns()
            .map(|(name, form)| (name.to_owned(), form.to_owned()));
        let keys = plan.key_schema().map(KeyReader::parse).transpose();
        let mut subject = Subject {
            name: relation.qualified_name(),
            columns: columns.collect(),
            keys: keys.map_err(unreadable)?,
            topic,
            shared: false,
            row_filter: None,
            contents: None,
            unread: None,
            read_until: Lsn::ZERO,
            digester: Digester {
                plan,
                reader,
                record: Vec::new(),
                hashes: Vec::new(),
            },
            placeholders: Vec::new(),
            table,
        };
        subject.placeholders = subject.find_placeholders(config)?;
        Ok(subject)
    }

    /// Each column's placeholder is encoded once, in a schema that is wide enough for it.
    fn find_placeholders(&self, config: &Config) -> Result<Vec<Option<u64>>, Error> {
        let mut wide = self.table.clone();
        for column in &mut wide.columns {
            (column.nullable, column.any_shape) = (true, true);
        }
        let (plan, reader) = compile(config, &wide, &self.topic)?;
        let mut row = vec![Datum::Null; wide.columns.len()];
        let mut found = vec![None; self.columns.len()];
        for at in 0..row.len() {
            row[at] = Datum::Unchanged;
            let mut record = Vec::new();
            let written = write(&plan, &row, &mut record);
            row[at] = Datum::Null;
            let name = &wide.columns[at].name;
            // Fields stand in the columns' order, but a column may have been left out of the schema.
            let whole = (found.len() == row.len()).then_some(at);
            let field = whole.or_else(|| reader.columns().position(|(field, _)| field == name));
            let (Ok(()), Some(field)) = (written, field) else {
                continue; // The type is never stored out of line.
            };
            let mut hashes = Vec::new();
            let body = record.get(FRAME_BYTES..).unwrap_or_default();
            reader.read(body, &mut hashes).map_err(unreadable)?;
            if let (Some(place), Some(hash)) = (found.get_mut(field), hashes.get(field)) {
                *place = Some(entry::hash(*hash));
            }
        }
        Ok(found)
    }

    /// A row of the table as an entry. A row that cannot be encoded has a key and nothing to compare.
    pub(super) fn row(&mut self, config: &Config, datums: &[Datum<'_>]) -> Result<Entry, Error> {
        let encoded = self.encode(config, datums)?;
        let mut key = Vec::new();
        // A row that has no key because of a NULL in it is in no topic, and missing.
        let keyed = self.digester.plan.key(datums, &mut key).is_ok();
        let columns = if encoded {
            self.digester.columns()?
        } else {
            vec![OTHER; self.columns.len()]
        };
        let key = match &self.keys {
            Some(_) if keyed => key.get(FRAME_BYTES..).unwrap_or_default().to_vec(),
            _ => content(&columns),
        };
        Ok(Entry {
            key,
            side: Side::Table,
            partition: 0,
            offset: 0,
            lsn: 0,
            form: 0,
            key_schema: 0,
            operation: b'r',
            seen: true,
            columns,
        })
    }

    /// Encodes a row; the schema is widened as the connector would widen it.
    fn encode(&mut self, config: &Config, datums: &[Datum<'_>]) -> Result<bool, Error> {
        loop {
            let Err(error) = self.digester.write(datums) else {
                return Ok(true);
            };
            if !compile::widen(&mut self.table, error.column, error.kind) {
                return Ok(false);
            }
            (self.digester.plan, self.digester.reader) = compile(config, &self.table, &self.topic)?;
        }
    }

    /// What its keys end with, where that tells it apart from other tables of its topic.
    pub(super) fn key_end(&self) -> &[u8] {
        self.digester.plan.key_end()
    }

    /// A key as text.
    pub(super) fn key_text(&self, key: &[u8]) -> String {
        self.keys.as_ref().map_or_else(
            || "a row of a table without a key".to_owned(),
            |it| it.text(key),
        )
    }
}

impl Digester {
    fn write(&mut self, datums: &[Datum<'_>]) -> Result<(), walferry_avro::EncodeError> {
        self.record.clear();
        write(&self.plan, datums, &mut self.record)
    }

    /// The columns of the row that was written last.
    fn columns(&mut self) -> Result<Vec<u64>, Error> {
        let body = self.record.get(FRAME_BYTES..).unwrap_or_default();
        let read = self.reader.read(body, &mut self.hashes);
        read.map_err(unreadable)?;
        Ok(self.hashes.iter().map(|&hash| entry::hash(hash)).collect())
    }
}

/// What stands for the key of a table without one: the whole row.
pub(super) fn content(columns: &[u64]) -> Vec<u8> {
    columns.iter().flat_map(|it| it.to_le_bytes()).collect()
}

fn write(
    plan: &EncodePlan,
    datums: &[Datum<'_>],
    out: &mut Vec<u8>,
) -> Result<(), walferry_avro::EncodeError> {
    let origin = Origin::default();
    plan.value(Operation::Read, Row::None, Row::Full(datums), &origin, out)
}

fn compile(
    config: &Config,
    table: &Table,
    topic: &str,
) -> Result<(EncodePlan, EnvelopeReader), Error> {
    let plan = compile::encode_plan(config, table, topic, &[])?;
    let reader = EnvelopeReader::parse(plan.value_schema()).map_err(|error| {
        Error::failed(
            Code::AuditImpossible,
            format!(
                "table {}: {error}; an audit needs format.envelope = \"debezium\"",
                table.relation.qualified_name()
            ),
        )
    })?;
    Ok((plan, reader))
}

fn unreadable(error: walferry_avro::ReadError) -> Error {
    Error::internal(format!("our own record cannot be read: {error}"))
}
