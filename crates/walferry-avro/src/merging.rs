//! Which types have values that differ in PostgreSQL and are one in Avro: as a message key they make two rows one.
//!
//! Owns the list, which follows `mapping`. Never: looks at a value.
//! Start reading at [`merges`].

use walferry_event::{ColumnType, Table, TypeKind};

use crate::format::{DecimalMode, Format, IntervalMode, TimeMode};
use crate::mapping::oid;
use crate::treatment::{Mask, Treatment, Treatments};

/// What is lost of the values of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What goes, in words that follow "its".
    pub what: &'static str,
    /// The setting under which nothing of it goes; none where no form keeps it.
    pub setting: Option<&'static str>,
}

/// The columns of a table's message key of which different values have one form, each with what is lost.
pub fn merged_keys<'a>(
    table: &'a Table,
    format: &Format,
    treatments: &Treatments,
) -> Vec<(&'a str, Loss)> {
    let columns = table.key.iter().filter_map(|&at| table.columns.get(at));
    let digested = |name: &str| {
        matches!(
            treatments.of(name),
            Some(Treatment::Mask(Mask::Sha256 { .. }))
        )
    };
    let columns = columns.filter(|it| !digested(&it.name));
    columns
        .filter_map(|it| Some((it.name.as_str(), merges(&it.data_type, format)?)))
        .collect()
}

/// What is lost of the values of a type; nothing when each has a form of its own.
pub fn merges(data_type: &ColumnType, format: &Format) -> Option<Loss> {
    match &data_type.kind {
        TypeKind::Array(array) => return merges(&array.element, format),
        TypeKind::Composite(composite) => {
            let mut fields = composite.fields.iter();
            return fields.find_map(|(_, of)| merges(of, format));
        }
        TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::Other => {}
    }
    // Without a modifier a time has six digits.
    let fine = !(0..=3).contains(&data_type.modifier);
    let loss = |what, setting| Some(Loss { what, setting });
    match data_type.oid {
        oid::TIMETZ => loss("offset: it is told as the time of day in UTC", None),
        oid::INTERVAL if format.interval == IntervalMode::Numeric => loss(
            "parts: a month is told as 30.4375 days",
            Some("format.interval = \"string\""),
        ),
        oid::TIME | oid::TIMESTAMP if format.time == TimeMode::Connect && fine => loss(
            "microseconds: it is told in milliseconds",
            Some("format.time = \"adaptive\""),
        ),
        oid::NUMERIC | oid::MONEY if format.decimal == DecimalMode::Double => loss(
            "digits beyond the fifteenth: it is told as a double",
            Some("format.decimal = \"precise\""),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(oid: u32, modifier: i32) -> ColumnType {
        ColumnType {
            oid,
            name: String::new(),
            modifier,
            kind: TypeKind::Scalar,
        }
    }

    #[test]
    fn a_form_that_loses_something_merges() {
        let plain = Format::default();
        let lossy = Format {
            time: TimeMode::Connect,
            decimal: DecimalMode::Double,
            ..Format::default()
        };
        let exact = Format {
            interval: IntervalMode::String,
            ..Format::default()
        };
        for (data_type, in_plain, in_lossy, in_exact) in [
            (scalar(oid::TIMETZ, -1), true, true, true),
            (scalar(oid::INTERVAL, -1), true, true, false),
            (scalar(oid::TIMESTAMP, -1), false, true, false),
            (scalar(oid::TIMESTAMP, 6), false, true, false),
            (scalar(oid::TIME, 3), false, false, false),
            (scalar(oid::TIMESTAMPTZ, -1), false, false, false),
            (scalar(oid::NUMERIC, -1), false, true, false),
            (scalar(oid::INT8, -1), false, false, false),
        ] {
            for (format, expected) in [(&plain, in_plain), (&lossy, in_lossy), (&exact, in_exact)] {
                let found = merges(&data_type, format);
                assert_eq!(found.is_some(), expected, "{data_type:?} {found:?}");
            }
        }
    }
}
