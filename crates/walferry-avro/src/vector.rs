//! pgvector's types to arrays and records of numbers.
//!
//! ```text
//! vector      [1,2.5,3]                array of double
//! halfvec     [1,2.5,3]                array of float
//! sparsevec   {1:0.5,9:2}/3000         record: dimensions, and a list of index (from 1) and value
//! ```
//!
//! A sparse vector may have a thousand million dimensions, so its numbers are `int`; with [`Width::Int16`] they are what
//! consumers of Debezium know, and a larger one is out of range.
//! Source: pgvector's documentation, "Vector Type", "Halfvec Type", "Sparsevec Type".

use crate::error::{EncodeErrorKind, Written};
use crate::numeric;
use crate::schema::{Avro, Field, Place, Record, TypeSchema};
use crate::wire::Block;

/// Which vector type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vector {
    Double,
    Single,
    Sparse(Width),
}

/// How wide the numbers of a sparse vector are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Int16,
    Int32,
}

impl Vector {
    pub(crate) fn schema(self) -> TypeSchema {
        let array = |items| Avro::Array(Box::new(Place::required(items)));
        let double = TypeSchema::plain(Avro::Double);
        let width = match self {
            Vector::Double => {
                return TypeSchema::named(array(double), "io.debezium.data.DoubleVector");
            }
            Vector::Single => {
                let items = TypeSchema::plain(Avro::Float);
                return TypeSchema::named(array(items), "io.debezium.data.FloatVector");
            }
            Vector::Sparse(width) => width,
        };
        let int = || match width {
            Width::Int16 => TypeSchema::plain(Avro::Int).connect_type("int16"),
            Width::Int32 => TypeSchema::plain(Avro::Int),
        };
        let entry = Record {
            namespace: "io.confluent.connect.avro".to_owned(),
            name: "MapEntry".to_owned(),
            doc: None,
            version: None,
            named: false,
            fields: vec![
                Field::required("key", int()),
                Field::required("value", double),
            ],
        };
        TypeSchema::record(Record::debezium(
            "io.debezium.data",
            "SparseDoubleVector",
            "Sparse double vector",
            vec![
                Field::required("dimensions", int()),
                Field::required(
                    "vector",
                    TypeSchema::plain(array(TypeSchema::record(entry))),
                ),
            ],
        ))
    }

    /// The text of its zero.
    pub(crate) fn zero(self) -> &'static str {
        match self {
            Vector::Sparse(_) => "{}/0",
            _ => "[]",
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        match self {
            Vector::Double => items(out, inside(text, b'[', b']')?, numeric::double),
            Vector::Single => items(out, inside(text, b'[', b']')?, numeric::single),
            Vector::Sparse(width) => {
                let slash = text.iter().rposition(|&byte| byte == b'/');
                let (pairs, dimensions) = text.split_at(slash.ok_or(EncodeErrorKind::Malformed)?);
                integer(out, &dimensions[1..], width)?;
                items(out, inside(pairs, b'{', b'}')?, |out, pair| {
                    let colon = pair.iter().position(|&byte| byte == b':');
                    let (index, value) = pair.split_at(colon.ok_or(EncodeErrorKind::Malformed)?);
                    integer(out, index, width)?;
                    numeric::double(out, &value[1..])
                })
            }
        }
    }
}

fn integer(out: &mut Vec<u8>, text: &[u8], width: Width) -> Written {
    let max = match width {
        Width::Int16 => i16::MAX.into(),
        Width::Int32 => i32::MAX.into(),
    };
    numeric::integer(out, text, 0, max)
}

fn inside(text: &[u8], open: u8, close: u8) -> Result<&[u8], EncodeErrorKind> {
    text.strip_prefix(&[open])
        .and_then(|body| body.strip_suffix(&[close]))
        .ok_or(EncodeErrorKind::Malformed)
}

/// An array of what stands between the commas.
fn items(
    out: &mut Vec<u8>,
    body: &[u8],
    write: impl Fn(&mut Vec<u8>, &[u8]) -> Written,
) -> Written {
    let mut block = Block::open(out);
    if !body.is_empty() {
        for item in body.split(|&byte| byte == b',') {
            write(out, item)?;
            block.count += 1;
        }
    }
    block.close(out);
    Ok(())
}
