//! Records taken apart without building values: who changed the row and when, and a hash of each column.
//!
//! Owns: [`EnvelopeReader`], [`OperationReader`] and [`KeyReader`]. Two rows are equal when the hashes of their columns are, whichever schema
//! version each was written with: a union's branch, a number's width and a column's place are not part of a hash.
//! Never: a row value in an error; a panic on any bytes.
//! Start reading at [`EnvelopeReader::read`].

mod operation;
mod read_error;
mod schema;

use std::hash::{DefaultHasher, Hasher};

pub use operation::OperationReader;
pub use read_error::ReadError;
use schema::{Node, Schema, counted, long};

/// What a record says besides its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The letter of `op`.
    pub operation: u8,
    /// `source.lsn`.
    pub lsn: Option<u64>,
    /// `source.txId`; absent for a row of a snapshot.
    pub xid: Option<u32>,
    /// End of the transaction before this one: the first half of `source.sequence`.
    pub last_commit_lsn: Option<u64>,
    /// `source.ts_us`: when its transaction committed.
    pub commit_us: Option<i64>,
    /// `ts_us`: when it was encoded.
    pub encoded_us: Option<i64>,
    /// Whether there is a row after the change.
    pub has_row: bool,
    /// [`table_digest`] of `source.schema` and `source.table`.
    pub table: u64,
}

/// Stands for the name of a table where names are only compared.
pub fn table_digest(schema: &[u8], table: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for name in [schema, table] {
        hasher.write_usize(name.len());
        hasher.write(name);
    }
    hasher.finish()
}

/// Reads values of one schema in Debezium's envelope.
#[derive(Clone, Debug)]
pub struct EnvelopeReader {
    schema: Schema,
}

impl EnvelopeReader {
    /// From a value's schema.
    ///
    /// # Errors
    /// It is not an envelope with `after`, `op` and `source`.
    pub fn parse(schema: &str) -> Result<EnvelopeReader, ReadError> {
        let schema = Schema::parse(schema)?;
        let fields = schema.fields(schema.root).unwrap_or_default();
        for name in ["after", "op", "source"] {
            if !fields.iter().any(|field| field.name == name) {
                return Err(ReadError(format!(
                    "the schema has no field {name:?}, so it is not Debezium's envelope"
                )));
            }
        }
        Ok(EnvelopeReader { schema })
    }

    /// Name and form of each column; two columns of one form have comparable hashes.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.schema.fields(self.schema.root).unwrap_or_default();
        let after = fields.iter().find(|field| field.name == "after");
        let columns = after.and_then(|field| self.schema.fields(field.node));
        let columns = columns.unwrap_or_default().iter();
        columns.map(|field| (field.name.as_str(), field.signature.as_str()))
    }

    /// Reads a record behind its five bytes of framing; the hashes of the row's columns go to `hashes`, in their order.
    ///
    /// # Errors
    /// The bytes are not of this schema.
    pub fn read(&self, body: &[u8], hashes: &mut Vec<u64>) -> Result<Envelope, ReadError> {
        self.take(body, None, hashes)
    }

    /// The same, with the hashes of the row before the change where the record has it.
    ///
    /// # Errors
    /// The bytes are not of this schema.
    pub fn read_both(
        &self,
        body: &[u8],
        before: &mut Vec<u64>,
        after: &mut Vec<u64>,
    ) -> Result<Envelope, ReadError> {
        self.take(body, Some(before), after)
    }

    fn take(
        &self,
        mut body: &[u8],
        mut before: Option<&mut Vec<u64>>,
        hashes: &mut Vec<u64>,
    ) -> Result<Envelope, ReadError> {
        hashes.clear();
        if let Some(before) = &mut before {
            before.clear();
        }
        let bytes = &mut body;
        let mut envelope = Envelope::default();
        for field in self.schema.fields(self.schema.root).unwrap_or_default() {
            match field.name.as_str() {
                "after" => envelope.has_row = self.row(field.node, bytes, hashes)?,
                "before" => match &mut before {
                    Some(before) => {
                        self.row(field.node, bytes, before)?;
                    }
                    None => self.schema.skip(field.node, bytes)?,
                },
                "op" => {
                    let text = self.string(field.node, bytes)?.unwrap_or_default();
                    envelope.operation = text.first().copied().unwrap_or_default();
                }
                "source" => self.source(field.node, bytes, &mut envelope)?,
                "ts_us" => envelope.encoded_us = self.number(field.node, bytes)?,
                _ => self.schema.skip(field.node, bytes)?,
            }
        }
        if bytes.is_empty() {
            Ok(envelope)
        } else {
            Err(ReadError(format!("{} bytes are left over", bytes.len())))
        }
    }

    fn row(
        &self,
        node: usize,
        bytes: &mut &[u8],
        hashes: &mut Vec<u64>,
    ) -> Result<bool, ReadError> {
        let branch = self.schema.branch(node, bytes)?;
        let schema::Node::Record(columns) = self.schema.node(branch) else {
            self.schema.skip(branch, bytes)?;
            return Ok(false);
        };
        for column in columns {
            let mut hasher = DefaultHasher::new();
            self.schema.hash(column.node, bytes, &mut hasher)?;
            hashes.push(hasher.finish());
        }
        Ok(true)
    }

    fn source(
        &self,
        node: usize,
        bytes: &mut &[u8],
        envelope: &mut Envelope,
    ) -> Result<(), ReadError> {
        let (mut schema, mut table): (&[u8], &[u8]) = (&[], &[]);
        for field in self.schema.fields(node).unwrap_or_default() {
            match field.name.as_str() {
                "schema" => schema = self.string(field.node, bytes)?.unwrap_or_default(),
                "table" => table = self.string(field.node, bytes)?.unwrap_or_default(),
                "lsn" => envelope.lsn = self.number(field.node, bytes)?.map(|it| it as u64),
                "txId" => {
                    let xid = self.number(field.node, bytes)?;
                    envelope.xid = xid.and_then(|it| u32::try_from(it).ok());
                }
                "ts_us" => envelope.commit_us = self.number(field.node, bytes)?,
                "sequence" => {
                    let text = self.string(field.node, bytes)?;
                    envelope.last_commit_lsn = text.and_then(first_of_sequence);
                }
                _ => self.schema.skip(field.node, bytes)?,
            }
        }
        envelope.table = table_digest(schema, table);
        Ok(())
    }

    fn number(&self, node: usize, bytes: &mut &[u8]) -> Result<Option<i64>, ReadError> {
        let branch = self.schema.branch(node, bytes)?;
        if let schema::Node::Integer = self.schema.node(branch) {
            return long(bytes).map(Some);
        }
        self.schema.skip(branch, bytes).map(|()| None)
    }

    fn string<'a>(&self, node: usize, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ReadError> {
        let branch = self.schema.branch(node, bytes)?;
        if let schema::Node::String = self.schema.node(branch) {
            return counted(bytes).map(Some);
        }
        self.schema.skip(branch, bytes).map(|()| None)
    }
}

/// The first number of `["24023128","24023128"]`; none of `[null,"24023128"]`.
fn first_of_sequence(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let first = text.strip_prefix("[\"")?.split('"').next()?;
    first.parse().ok()
}

/// Writes keys of one schema as text, for people.
#[derive(Clone, Debug)]
pub struct KeyReader {
    schema: Schema,
}

impl KeyReader {
    /// From a key's schema.
    ///
    /// # Errors
    /// It is not an Avro schema.
    pub fn parse(schema: &str) -> Result<KeyReader, ReadError> {
        Ok(KeyReader {
            schema: Schema::parse(schema)?,
        })
    }

    /// The text of a key without its framing: `{"id":5}`.
    pub fn text(&self, mut body: &[u8]) -> String {
        let mut out = String::new();
        match self.schema.text(self.schema.root, &mut body, &mut out) {
            Ok(()) => out,
            Err(_) => "a key that its schema does not describe".to_owned(),
        }
    }

    /// Whether keys of this schema have the columns of `own`, and other bytes: a key of both is one to whoever decodes it, and
    /// two to whoever compares bytes.
    pub fn has_another_form(&self, own: &KeyReader) -> bool {
        let (written, own) = (self.form(), own.form());
        let names = |form: &[(&str, &str, usize)]| {
            let mut names: Vec<String> = form.iter().map(|it| it.0.to_owned()).collect();
            names.sort_unstable();
            names
        };
        written != own && names(&written) == names(&own)
    }

    /// The bytes that a key of this schema has in the form of `own`; none where its columns are other ones or mean something else.
    pub fn in_form_of(&self, mut body: &[u8], own: &KeyReader) -> Option<Vec<u8>> {
        let fields = self.schema.fields(self.schema.root)?;
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let node = self.schema.branch(field.node, &mut body).ok()?;
            let before = body;
            self.schema.skip(node, &mut body).ok()?;
            let is_null = matches!(self.schema.node(node), Node::Null);
            values.push((field, is_null, &before[..before.len() - body.len()]));
        }
        let wanted = own.schema.fields(own.schema.root)?;
        if !body.is_empty() || wanted.len() != values.len() {
            return None;
        }
        let mut out = Vec::new();
        for field in wanted {
            let (_, is_null, bytes) = values
                .iter()
                .find(|it| it.0.name == field.name && it.0.signature == field.signature)?;
            match own.schema.node(field.node) {
                Node::Union(branches) if branches.len() == 2 => {
                    let is_of_value =
                        |&it: &usize| matches!(own.schema.node(it), Node::Null) == *is_null;
                    // A long of one byte: the branch's number, doubled.
                    out.push(u8::try_from(branches.iter().position(is_of_value)?).ok()? * 2);
                }
                Node::Union(_) => return None,
                _ if *is_null => return None,
                _ => {}
            }
            out.extend_from_slice(bytes);
        }
        Some(out)
    }

    /// Of each column its name, what its bytes mean, and of how many branches one is named before them.
    fn form(&self) -> Vec<(&str, &str, usize)> {
        let fields = self.schema.fields(self.schema.root).unwrap_or_default();
        let branches = |node| match self.schema.node(node) {
            Node::Union(branches) => branches.len(),
            _ => 0,
        };
        let form = fields
            .iter()
            .map(|it| (it.name.as_str(), it.signature.as_str(), branches(it.node)));
        form.collect()
    }

    /// The bytes of each field of `own` in a key of this schema; none where they are not there in the same form.
    pub(crate) fn parts<'a>(
        &self,
        mut body: &'a [u8],
        own: &KeyReader,
    ) -> Result<Vec<Option<&'a [u8]>>, ReadError> {
        let wanted = own.schema.fields(own.schema.root).unwrap_or_default();
        let mut parts = vec![None; wanted.len()];
        let alike = self.schema == own.schema;
        for field in self.schema.fields(self.schema.root).unwrap_or_default() {
            let before = body;
            self.schema.skip(field.node, &mut body)?;
            let bytes = &before[..before.len() - body.len()];
            let Some(place) = wanted.iter().position(|it| it.name == field.name) else {
                continue;
            };
            let is_union = |schema: &Schema, node| matches!(schema.node(node), Node::Union(_));
            let same = wanted[place].signature == field.signature
                && !is_union(&self.schema, field.node)
                && !is_union(&own.schema, wanted[place].node);
            if alike || same {
                parts[place] = Some(bytes);
            }
        }
        Ok(parts)
    }
}
