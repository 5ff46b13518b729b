//! One column of a plan: its writer, its branches, and what stands in the place of a value.
//!
//! Owns: [`Column`] and the encoded default of a column. Never: looks at another column.
//! Invariant: what a column writes decodes as the field that was compiled with it.

use walferry_event::Datum;

use crate::containers::Mapper;
use crate::debezium_values::DebeziumValue;
use crate::default::{self, Expression};
use crate::error::{EncodeErrorKind, Kind, Written};
use crate::format::{Format, FunctionDefaults};
use crate::mapping::{Mapping, Zero};
use crate::quirks::Quirk;
use crate::schema::{Field, Place};
use crate::treatment::{Mask, Treatment, Treatments};
use crate::wire::{self, BRANCH_0, BRANCH_1};
use crate::writer::{Slot, Writer};
use crate::{names, numeric};

/// How one column is written.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) writer: Writer,
    /// Branch of a value; `None` when the field is no union.
    branch: Option<u8>,
    /// Branch of NULL; `None` when NULL is not allowed.
    null: Option<u8>,
    /// The encoded default or zero.
    fill: Box<[u8]>,
    /// NULL is written as the default ([`Quirk::NullAsDefault`]).
    null_as_default: bool,
    /// What is written in the place of a value that the type cannot hold, where that is not an error: a quirk.
    instead: Option<Box<[u8]>>,
    /// The encoded placeholder of an unchanged TOAST value with its branch, or why there is none.
    unavailable: Result<Box<[u8]>, EncodeErrorKind>,
}

impl Column {
    pub(super) fn compile(
        column: &walferry_event::Column,
        mapper: &mut Mapper<'_>,
        format: &Format,
        treatments: &Treatments,
    ) -> Result<(Column, Option<Field>), Kind> {
        let mapping = mapper.map(&column.data_type, column.any_shape);
        let treatment = treatments.of(&column.name);
        if mapping.left_out || treatment == Some(&Treatment::LeaveOut) {
            return Ok((Column::left_out(), None));
        }
        let mapping = match treatment {
            Some(Treatment::Mask(mask)) => {
                masked(mapping, mask).ok_or_else(|| Kind::Truncate(column.name.clone()))?
            }
            _ => mapping,
        };
        let default = column
            .default
            .as_deref()
            .and_then(|text| encoded_default(text, &mapping, format));
        let (default_bytes, default_json) = default.unzip();
        let nullable = column.nullable || mapping.optional;
        let or_text = mapping.shaped && column.any_shape;
        let mut fill = default_bytes.unwrap_or_else(|| zero(&mapping));
        let (shaped, schema) = (mapping.shaped, mapping.schema);
        let (mut branch, mut null, mut writer) =
            Slot::new(mapping.writer, nullable, or_text).into_parts();
        let first = default_json.is_some() || !nullable;
        if nullable && first {
            null = Some(BRANCH_1);
            match &mut writer {
                Writer::OrText(either) => either.stand_first(),
                _ => branch = Some(BRANCH_0),
            }
        }
        if or_text {
            fill.insert(0, if first { BRANCH_0 } else { BRANCH_1 });
        }
        let unavailable = match writer.unavailable(&format.unavailable_value) {
            Some(placeholder) => Ok(branch.into_iter().chain(placeholder).collect()),
            None => match null.filter(|_| format.quirks.has(Quirk::UnavailableAsNull)) {
                Some(null) => Ok([null].into()),
                // The pipeline widens the schema, so that there is a place for the placeholder.
                None if shaped => Err(EncodeErrorKind::Shape),
                None => Err(EncodeErrorKind::Unavailable),
            },
        };
        let instead = match (&writer, null) {
            (Writer::DebeziumValue(DebeziumValue::Never), None) => Some(fill.clone().into()),
            (Writer::DebeziumValue(DebeziumValue::Never), Some(null)) => Some([null].into()),
            (_, Some(null)) if format.quirks.has(Quirk::OutOfRangeAsNull) => Some([null].into()),
            _ => None,
        };
        let plan = Column {
            writer,
            branch,
            null,
            instead,
            null_as_default: default_json.is_some() && format.quirks.has(Quirk::NullAsDefault),
            fill: fill.into(),
            unavailable,
        };
        let name = if format.adjust_names {
            names::field(&column.name)
        } else {
            column.name.clone()
        };
        let field = Field {
            name,
            place: Place {
                schema,
                nullable,
                or_text,
            },
            default: default_json,
        };
        Ok((plan, Some(field)))
    }

    /// A column whose every value is no bytes at all: what is written for a datum of any kind is empty.
    fn left_out() -> Column {
        Column {
            writer: Writer::Nothing,
            branch: None,
            null: Some(BRANCH_0),
            fill: [].into(),
            null_as_default: true,
            instead: None,
            unavailable: Ok([].into()),
        }
    }

    /// Writes a value with its branch. `old` is the same column of the row before; `fill` says
    /// that NULL means not known.
    #[inline]
    pub(super) fn write(
        &self,
        datum: Datum<'_>,
        old: Option<Datum<'_>>,
        fill: bool,
        out: &mut Vec<u8>,
    ) -> Written {
        let text = match (datum, old) {
            (Datum::Text(text), _) | (Datum::Unchanged, Some(Datum::Text(text))) => text,
            (Datum::Null, _) => {
                match self.null {
                    Some(_) if self.null_as_default => {
                        out.extend(self.branch);
                        out.extend_from_slice(&self.fill);
                    }
                    Some(branch) => out.push(branch),
                    None if fill => out.extend_from_slice(&self.fill),
                    None => return Err(EncodeErrorKind::NullInRequired),
                }
                return Ok(());
            }
            (Datum::Unchanged, _) => {
                match &self.unavailable {
                    Ok(placeholder) => out.extend_from_slice(placeholder),
                    Err(kind) => return Err(*kind),
                }
                return Ok(());
            }
            // The session asks for text only.
            (Datum::Binary(_), _) => return Err(EncodeErrorKind::Malformed),
        };
        let start = out.len();
        if let Some(branch) = self.branch {
            out.push(branch);
        }
        match self.writer.write(out, text) {
            Err(EncodeErrorKind::OutOfRange) => self.out_of_range(out, start),
            written => written,
        }
    }

    #[cold]
    fn out_of_range(&self, out: &mut Vec<u8>, start: usize) -> Written {
        let instead = self.instead.as_ref().ok_or(EncodeErrorKind::OutOfRange)?;
        out.truncate(start);
        out.extend_from_slice(instead);
        Ok(())
    }
}

/// The mapping of a masked column; `None` when its type is not the text that the mask cuts.
fn masked(mapping: Mapping, mask: &Mask) -> Option<Mapping> {
    let writer = Writer::Masked(Box::new(mask.clone()));
    if let Mask::Truncate { .. } = mask {
        let text = matches!(mapping.writer, Writer::Text) && mapping.schema.is_plain();
        return text.then_some(Mapping { writer, ..mapping });
    }
    Some(Mapping::masked(writer))
}

/// The encoding of a column's default, and its JSON. A constant goes through the column's own
/// writer, so that the schema says what a row would get.
fn encoded_default(text: &str, mapping: &Mapping, format: &Format) -> Option<(Vec<u8>, String)> {
    let placeholder = mapping.placeholder?;
    let parsed = default::parse(text);
    let is_function = parsed == Expression::Function;
    let text = match (parsed, format.function_defaults) {
        (Expression::Constant(text), _) => text,
        (Expression::Function, FunctionDefaults::Placeholder) => placeholder.to_owned(),
        (Expression::Null, _) | (Expression::Function, FunctionDefaults::None) => return None,
    };
    let text = match mapping.default_scale {
        Some(scale) => numeric::rounded(&text, scale).unwrap_or(text),
        None => text,
    };
    let mut encoded = Vec::new();
    match mapping.writer.write(&mut encoded, text.as_bytes()) {
        Ok(()) => {}
        // The placeholder of an enum is none of its labels.
        Err(_) if is_function => encoded = zero(mapping),
        Err(_) => return None,
    }
    let beyond_json = || {
        let wanted = format.quirks.has(Quirk::NanDefaults);
        wanted.then(|| serde_json::Value::from(&*text).to_string())
    };
    let json = mapping.schema.default_json(&encoded).or_else(beyond_json)?;
    Some((encoded, json))
}

fn zero(mapping: &Mapping) -> Vec<u8> {
    let mut out = Vec::new();
    match &mapping.zero {
        Zero::Encoded(bytes) => out.extend_from_slice(bytes),
        Zero::Literal(text) => wire::bytes(&mut out, text.as_bytes()),
        Zero::Written(text) => {
            let written = mapping.writer.write(&mut out, text.as_bytes());
            debug_assert_eq!(written, Ok(()), "a type's zero is in its own text form");
        }
    }
    out
}
