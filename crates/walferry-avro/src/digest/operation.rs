//! What a record says happened to its row, in any of our envelopes.
//!
//! Owns: [`OperationReader`]. Never: looks at the row; what stands before the field is passed over.

use super::ReadError;
use super::schema::{Node, Schema, counted};

/// Reads the operation of values of one schema.
#[derive(Clone, Debug)]
pub struct OperationReader {
    schema: Schema,
    /// Place of the field among the record's.
    place: usize,
}

/// The field's name in the flat envelope, whose other fields may have any name, and in Debezium's.
const NAMES: [&str; 2] = ["__op", "op"];

impl OperationReader {
    /// From a value's schema.
    ///
    /// # Errors
    /// It has no field that tells the operation.
    pub fn parse(schema: &str) -> Result<OperationReader, ReadError> {
        let schema = Schema::parse(schema)?;
        let fields = schema.fields(schema.root).unwrap_or_default();
        let place = NAMES
            .iter()
            .find_map(|name| fields.iter().position(|it| it.name == *name));
        match place {
            Some(place) => Ok(OperationReader { schema, place }),
            None => Err(ReadError(
                "the schema has neither a field \"op\" nor \"__op\", so it is none of our envelopes".into(),
            )),
        }
    }

    /// The letter of the operation of a record behind its five bytes of framing.
    ///
    /// # Errors
    /// The bytes are not of this schema.
    pub fn read(&self, mut body: &[u8]) -> Result<u8, ReadError> {
        let fields = self.schema.fields(self.schema.root).unwrap_or_default();
        for field in fields.iter().take(self.place) {
            self.schema.skip(field.node, &mut body)?;
        }
        let branch = self.schema.branch(fields[self.place].node, &mut body)?;
        let Node::String = self.schema.node(branch) else {
            return Err(ReadError("the operation is no text".into()));
        };
        let letter = counted(&mut body)?.first().copied();
        letter.ok_or_else(|| ReadError("the operation is empty".into()))
    }
}
