//! The choices of the `[format]` section, and the names that a schema is built from.
//!
//! Owns: [`Format`], [`Naming`] and one enum for each mode. Each mode reads and writes the word that
//! the configuration uses (`FromStr`, `Display`).

use std::{fmt, str::FromStr};

use crate::quirks::Quirks;
use crate::unknown_word::UnknownMode;

/// How rows become records. The default is the product's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Shape of the value record.
    pub envelope: Envelope,
    /// How `numeric` is written.
    pub decimal: DecimalMode,
    /// How `date`, `time` and `timestamp` are written.
    pub time: TimeMode,
    /// How `bytea` is written.
    pub binary: BinaryMode,
    /// How `interval` is written.
    pub interval: IntervalMode,
    /// How `hstore` is written.
    pub hstore: HstoreMode,
    /// What stands for an unchanged TOAST value in a type that can hold text or bytes.
    pub unavailable_value: String,
    /// Replace the characters that Avro does not allow in a name. Without it such a name is
    /// written as it is, and the registry refuses the schema.
    pub adjust_names: bool,
    /// What the schema says of a column whose default is not a constant.
    pub function_defaults: FunctionDefaults,
    /// Deviations of Debezium's to reproduce.
    pub quirks: Quirks,
}

impl Default for Format {
    fn default() -> Format {
        Format {
            envelope: Envelope::Debezium,
            decimal: DecimalMode::Precise,
            time: TimeMode::Adaptive,
            binary: BinaryMode::Bytes,
            interval: IntervalMode::Numeric,
            hstore: HstoreMode::Json,
            unavailable_value: "__debezium_unavailable_value".to_owned(),
            adjust_names: true,
            function_defaults: FunctionDefaults::Placeholder,
            quirks: Quirks::NONE,
        }
    }
}

/// Where records of one table go and what they say of where they came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming<'a> {
    /// The topic: `<topic>.Key`, `<topic>.Value` and `<topic>.Envelope` are the record names.
    pub topic: &'a str,
    /// `source.name`: the topic prefix.
    pub server: &'a str,
    /// `source.db`.
    pub database: &'a str,
    /// Whether tables of other schemas go to the topic, too: then no name in a schema says which of them it is.
    pub shared: bool,
    /// What the last field of the key says, [`PHYSICAL_TABLE`], where several tables share the topic; else there is none.
    pub physical_table: Option<&'a str>,
}

/// The field of the key that tells tables of one topic apart; named as Debezium's ByLogicalTableRouter names it.
pub const PHYSICAL_TABLE: &str = "__dbz__physicalTableIdentifier";

/// Declares a mode, its words, and both ways between them.
macro_rules! mode {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every word of this mode, in the order of its variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl FromStr for $name {
            type Err = UnknownMode;

            fn from_str(word: &str) -> Result<$name, UnknownMode> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err(UnknownMode::new(word, $name::WORDS)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant => $word,)+
                })
            }
        }
    };
}

mode! {
    /// Shape of the value record.
    Envelope {
        /// `before`, `after`, `source`, `transaction`, `op`, `ts_ms`, `ts_us`, `ts_ns`.
        Debezium = "debezium",
        /// The columns of the row, `__op`, `__lsn`, `__ts_ms`, `__deleted`; a delete has the old row.
        Flat = "flat",
    }
}

mode! {
    /// How `numeric` is written.
    DecimalMode {
        /// `bytes` with the logical type decimal, or a record of scale and value when the column
        /// has no precision.
        Precise = "precise",
        /// Its digits as text; `NAN`, `POSITIVE_INFINITY` and `NEGATIVE_INFINITY`.
        String = "string",
        /// `double`, which rounds.
        Double = "double",
    }
}

mode! {
    /// How `date`, `time` and `timestamp` are written; `timestamptz` is UTC text in every mode.
    TimeMode {
        /// Milliseconds up to precision 3, else microseconds.
        Adaptive = "adaptive",
        /// As `adaptive`, but `time` is always microseconds.
        AdaptiveTimeMicroseconds = "adaptive-time-microseconds",
        /// Microseconds.
        Microseconds = "microseconds",
        /// Nanoseconds: `timestamp` only from 1677 to 2262.
        Nanoseconds = "nanoseconds",
        /// Avro's own logical types, in milliseconds: finer fractions are cut.
        Connect = "connect",
        /// ISO 8601 text.
        IsoString = "isostring",
    }
}

mode! {
    /// How `bytea` is written.
    BinaryMode {
        /// Avro `bytes`.
        Bytes = "bytes",
        /// Text of RFC 4648, section 4, padded.
        Base64 = "base64",
        /// Text of RFC 4648, section 5, padded.
        Base64UrlSafe = "base64-url-safe",
        /// Lower-case hexadecimal text.
        Hex = "hex",
    }
}

mode! {
    /// How `interval` is written.
    IntervalMode {
        /// Microseconds; a month has 30.4375 days.
        Numeric = "numeric",
        /// ISO 8601 text with every part: `P1Y2M3DT4H5M6.78S`.
        String = "string",
    }
}

mode! {
    /// How `hstore` is written.
    HstoreMode {
        /// JSON text.
        Json = "json",
        /// An Avro map.
        Map = "map",
    }
}

mode! {
    /// What the schema says of a column whose default is a function (`now()`, `nextval(..)`).
    FunctionDefaults {
        /// The type's zero, as Debezium does: such a column can be added to a table without
        /// breaking backward compatibility, and the schema is the one that consumers know.
        Placeholder = "placeholder",
        /// No default.
        None = "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_what_they_write() {
        for word in TimeMode::WORDS {
            assert_eq!(word.parse::<TimeMode>().unwrap().to_string(), *word);
        }
        for word in BinaryMode::WORDS {
            assert_eq!(word.parse::<BinaryMode>().unwrap().to_string(), *word);
        }
        let error = "exact".parse::<DecimalMode>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"exact\" is none of precise, string, double"
        );
    }
}
