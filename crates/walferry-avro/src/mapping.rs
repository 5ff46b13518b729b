//! PostgreSQL type to Avro type and writer.
//!
//! Owns: [`Mapping`]. Built-in types are known by OID, so that a column is mapped although the
//! catalog no longer has it; extension types by name. Types that are made of others are `containers`'.
//! Never: leaves a column out. A type without a mapping goes out as its PostgreSQL text.
//!
//! `numeric(p,s)` is a decimal of scale s and precision p. PostgreSQL also allows s below zero and
//! above p: `numeric(5,-2)` (multiples of 100 up to 9999900) is precision 7, scale 0, and
//! `numeric(2,4)` (up to 0.0099) is precision 4, scale 4, because Avro wants 0 <= scale <= precision.
//! Source: PostgreSQL `pg_type.dat` for the OIDs; numeric's modifier is `(p << 16 | s & 0x7FF) + 4`.

use walferry_event::ColumnType;

use crate::debezium_values::DebeziumValue;
use crate::format::{BinaryMode, DecimalMode, Format, IntervalMode, TimeMode};
use crate::labels::Labels;
use crate::quirks::Quirk;
use crate::schema::{Avro, TypeSchema};
use crate::temporal::Unit;
use crate::wire;
use crate::writer::Writer;

/// What the plan needs to know of a type.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) schema: TypeSchema,
    pub(crate) writer: Writer,
    /// What fills a required column that an old row of the identity's columns does not carry.
    pub(crate) zero: Zero,
    /// What a default that is a function becomes; `None` when the type takes no default at all.
    pub(crate) placeholder: Option<&'static str>,
    /// A constant default is rounded to this scale, as PostgreSQL will round it.
    pub(crate) default_scale: Option<usize>,
    /// The field is nullable even if the column is not.
    pub(crate) optional: bool,
    /// Values may come whose shape the schema does not hold.
    pub(crate) shaped: bool,
    /// The column is not in the schema ([`crate::Quirk::LeaveOut`]).
    pub(crate) left_out: bool,
}

/// A type's zero.
#[derive(Clone, Debug)]
pub(crate) enum Zero {
    /// PostgreSQL text, for the column's writer.
    Written(&'static str),
    /// Avro binary.
    Encoded(Box<[u8]>),
    /// An Avro string.
    Literal(&'static str),
}

impl Mapping {
    pub(crate) fn new(schema: TypeSchema, writer: Writer, zero: &'static str) -> Mapping {
        Mapping {
            schema,
            writer,
            zero: Zero::Written(zero),
            placeholder: None,
            default_scale: None,
            optional: false,
            shaped: false,
            left_out: false,
        }
    }

    /// A type with a structure.
    pub(crate) fn shaped(schema: TypeSchema, writer: Writer, zero: &'static str) -> Mapping {
        Mapping {
            shaped: true,
            ..Mapping::new(schema, writer, zero)
        }
    }

    /// Text that is made of the value and says nothing of its type or its default.
    pub(crate) fn masked(writer: Writer) -> Mapping {
        Mapping {
            zero: Zero::Literal(""),
            ..Mapping::new(TypeSchema::plain(Avro::String), writer, "")
        }
    }

    fn with_default(self, placeholder: &'static str) -> Mapping {
        Mapping {
            placeholder: Some(placeholder),
            ..self
        }
    }
}

pub(crate) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const BYTEA: u32 = 17;
    pub(crate) const CHAR: u32 = 18;
    pub(crate) const NAME: u32 = 19;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT2VECTOR: u32 = 22;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const OID: u32 = 26;
    pub(crate) const OIDVECTOR: u32 = 30;
    pub(crate) const JSON: u32 = 114;
    pub(crate) const XML: u32 = 142;
    pub(crate) const POINT: u32 = 600;
    pub(crate) const LSEG: u32 = 601;
    pub(crate) const PATH: u32 = 602;
    pub(crate) const BOX: u32 = 603;
    pub(crate) const POLYGON: u32 = 604;
    pub(crate) const LINE: u32 = 628;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const CIRCLE: u32 = 718;
    pub(crate) const MONEY: u32 = 790;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const DATE: u32 = 1082;
    pub(crate) const TIME: u32 = 1083;
    pub(crate) const TIMESTAMP: u32 = 1114;
    pub(crate) const TIMESTAMPTZ: u32 = 1184;
    pub(crate) const INTERVAL: u32 = 1186;
    pub(crate) const TIMETZ: u32 = 1266;
    pub(crate) const BIT: u32 = 1560;
    pub(crate) const VARBIT: u32 = 1562;
    pub(crate) const NUMERIC: u32 = 1700;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const TSVECTOR: u32 = 3614;
    pub(crate) const JSONB: u32 = 3802;

    /// Built-in types that Debezium maps as elements of arrays.
    #[rustfmt::skip]
    pub(crate) const IN_ARRAYS: [u32; 37] = [
        BOOL, BYTEA, INT8, INT2, INT4, TEXT, OID, JSON, FLOAT4, FLOAT8, BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP,
        TIMESTAMPTZ, NUMERIC, UUID, TSVECTOR, JSONB, LSEG, PATH, BOX, POLYGON, LINE, CIRCLE,
        650, 869,                            // cidr, inet
        774, 829,                            // macaddr8, macaddr
        TIMETZ,
        3904, 3906, 3908, 3910, 3912, 3926,  // int4range, numrange, tsrange, tstzrange, daterange, int8range
    ];
}

/// The mapping of an enum type. `any_label`: a label has come that is none of these.
pub(crate) fn enumeration(labels: &[String], any_label: bool) -> Mapping {
    let schema = TypeSchema::named(Avro::String, "io.debezium.data.Enum")
        .parameter("allowed", labels.join(","));
    let writer = if any_label {
        Writer::Text
    } else {
        Writer::Labels(Labels::new(labels))
    };
    Mapping {
        zero: Zero::Literal(""),
        ..Mapping::new(schema, writer, "").with_default("")
    }
}

/// The mapping of a scalar type under a format; `reading`: for the rows of a snapshot.
pub(crate) fn map(data_type: &ColumnType, format: &Format, reading: bool) -> Mapping {
    let quirk = |quirk| format.quirks.has(quirk);
    let modifier = data_type.modifier;
    match data_type.oid {
        oid::BOOL => plain(Avro::Boolean, Writer::Boolean, "f"),
        oid::INT2 => {
            let schema = TypeSchema::plain(Avro::Int).connect_type("int16");
            integer(schema, i16::MIN.into(), i16::MAX.into()).with_default("0")
        }
        oid::INT4 => {
            let schema = TypeSchema::plain(Avro::Int);
            integer(schema, i32::MIN.into(), i32::MAX.into()).with_default("0")
        }
        oid::INT8 => integer(TypeSchema::plain(Avro::Long), i64::MIN, i64::MAX).with_default("0"),
        oid::OID => integer(TypeSchema::plain(Avro::Long), 0, u32::MAX.into()),
        oid::FLOAT4 => plain(Avro::Float, Writer::Single, "0"),
        oid::FLOAT8 => plain(Avro::Double, Writer::Double, "0"),
        oid::NUMERIC => numeric(modifier, format),
        oid::MONEY => money(modifier, format.decimal),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => plain(Avro::String, Writer::Text, ""),
        oid::BYTEA => bytea(format.binary),
        oid::JSON | oid::JSONB => text("io.debezium.data.Json").with_default("{}"),
        oid::XML => text("io.debezium.data.Xml").with_default(""),
        oid::UUID => {
            text("io.debezium.data.Uuid").with_default("00000000-0000-0000-0000-000000000000")
        }
        oid::TSVECTOR => text("io.debezium.data.Tsvector"),
        oid::DATE => date(format, reading),
        oid::TIME => time(precision(modifier), format),
        oid::TIMESTAMP => timestamp(precision(modifier), format),
        oid::TIMETZ => Mapping {
            zero: Zero::Literal("00:00:00Z"),
            writer: Writer::ZonedTime,
            ..text("io.debezium.time.ZonedTime")
        },
        oid::INTERVAL => interval(format),
        oid::BIT | oid::VARBIT => bits(
            modifier,
            data_type.oid == oid::VARBIT && !quirk(Quirk::CutBits),
        ),
        oid::NAME if quirk(Quirk::NameAsNull) && !reading => Mapping {
            zero: Zero::Literal(""),
            ..Mapping::new(
                TypeSchema::plain(Avro::String),
                Writer::DebeziumValue(DebeziumValue::Never),
                "",
            )
        },
        oid::TIMESTAMPTZ => Mapping {
            zero: Zero::Literal("1970-01-01T00:00:00Z"),
            writer: Writer::Zoned {
                digits: precision(modifier),
            },
            ..text("io.debezium.time.ZonedTimestamp").with_default("1970-01-01 00:00:00+00")
        },
        _ if data_type.name == "ltree" => text("io.debezium.data.Ltree"),
        _ => Mapping {
            left_out: quirk(Quirk::LeaveOut) && !is_text_elsewhere(data_type),
            ..Mapping::new(TypeSchema::plain(Avro::String), Writer::Text, "")
        },
    }
}

/// Whether Debezium, too, writes a type that has no mapping of its own as its text. A type that the catalog no longer has
/// is not known to be any other.
fn is_text_elsewhere(data_type: &ColumnType) -> bool {
    matches!(data_type.oid, oid::CHAR | oid::NAME)
        || oid::IN_ARRAYS.contains(&data_type.oid)
        || matches!(&*data_type.name, "citext" | "isbn" | "unknown")
}

/// A type without a semantic name, whose zero is also the placeholder of its defaults.
fn plain(avro: Avro, writer: Writer, zero: &'static str) -> Mapping {
    Mapping::new(TypeSchema::plain(avro), writer, zero).with_default(zero)
}

/// An integer between two ends; a default with a fraction is rounded, as PostgreSQL will do it.
fn integer(schema: TypeSchema, min: i64, max: i64) -> Mapping {
    let mapping = Mapping::new(schema, Writer::Integer { min, max }, "0");
    Mapping {
        default_scale: Some(0),
        ..mapping
    }
}

/// Text with a semantic name.
fn text(name: &'static str) -> Mapping {
    Mapping::new(TypeSchema::named(Avro::String, name), Writer::Text, "")
}

fn bytea(mode: BinaryMode) -> Mapping {
    let avro = if mode == BinaryMode::Bytes {
        Avro::Bytes
    } else {
        Avro::String
    };
    Mapping::new(TypeSchema::plain(avro), Writer::Bytea(mode), "\\x")
}

/// Digits after the second: the type's modifier, 6 when there is none.
fn precision(modifier: i32) -> u8 {
    u8::try_from(modifier).map_or(6, |digits| digits.min(6))
}

fn numeric(modifier: i32, format: &Format) -> Mapping {
    let declared = if format.quirks.has(Quirk::NegativeScale) {
        decimal_unsigned(modifier)
    } else {
        decimal_declared(modifier)
    };
    let scale = declared.map(|(_, scale)| scale);
    let mapping = match (format.decimal, declared) {
        (DecimalMode::Precise, Some((precision, scale))) => {
            let schema = TypeSchema::named(Avro::Bytes, "org.apache.kafka.connect.data.Decimal")
                .decimal(precision, scale);
            Mapping::new(schema, Writer::Decimal { scale }, "0").with_default("0")
        }
        // No default: a record's default is not written by the converter whose schema this is.
        (DecimalMode::Precise, None) => {
            let schema = TypeSchema::variable_scale_decimal();
            Mapping::new(schema, Writer::VariableScaleDecimal, "0")
        }
        (DecimalMode::String, _) => Mapping {
            zero: Zero::Encoded(zero_text(scale.unwrap_or(0)).into()),
            ..plain(Avro::String, Writer::DecimalText, "0")
        },
        (DecimalMode::Double, _) => plain(Avro::Double, Writer::DecimalDouble, "0"),
    };
    Mapping {
        default_scale: scale,
        ..mapping
    }
}

/// Zero with its digits after the point, as an Avro string.
fn zero_text(scale: usize) -> Vec<u8> {
    let point = if scale == 0 { "" } else { "." };
    let mut out = Vec::new();
    wire::bytes(&mut out, format!("0{point}{:0<scale$}", "").as_bytes());
    out
}

/// Precision and scale as Avro may have them; `None` when the column declares neither.
fn decimal_declared(modifier: i32) -> Option<(usize, usize)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = packed >> 16 & 0xFFFF;
    // Eleven bits with a sign: -1024 to 1023.
    let scale = ((packed & 0x7FF) ^ 0x400) - 0x400;
    let widened = (precision - scale.min(0)).max(scale);
    Some((
        usize::try_from(widened).ok()?,
        usize::try_from(scale.max(0)).ok()?,
    ))
}

/// Precision and scale as they stand in the modifier, whose sign is not looked at.
fn decimal_unsigned(modifier: i32) -> Option<(usize, usize)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let (precision, scale) = (packed >> 16 & 0xFFFF, packed & 0x7FF);
    Some((
        usize::try_from(precision).ok()?,
        usize::try_from(scale).ok()?,
    ))
}

/// `money`, whose modifier is the number of digits after the point in the database's locale. It has no default, and its
/// precision, which no consumer is told, is the one that the converter supposes.
fn money(modifier: i32, mode: DecimalMode) -> Mapping {
    let fraction = u8::try_from(modifier).map_or(2, |digits| digits.min(18));
    let schema = match mode {
        DecimalMode::Precise => {
            TypeSchema::named(Avro::Bytes, "org.apache.kafka.connect.data.Decimal")
                .decimal_of_any_precision(usize::from(fraction))
        }
        DecimalMode::String => TypeSchema::plain(Avro::String),
        DecimalMode::Double => TypeSchema::plain(Avro::Double),
    };
    Mapping::new(schema, Writer::Money { fraction, mode }, "0")
}

/// `bit` and `varbit`; one bit is a boolean. `whole`: zeros in front mean something.
fn bits(modifier: i32, whole: bool) -> Mapping {
    if (0..=1).contains(&modifier) {
        let schema = TypeSchema::plain(Avro::Boolean);
        return Mapping::shaped(schema, Writer::Bit, "0").with_default("0");
    }
    let length = u32::try_from(modifier).unwrap_or(i32::MAX.unsigned_abs());
    let schema = TypeSchema::named(Avro::Bytes, "io.debezium.data.Bits")
        .parameter("length", length.to_string());
    Mapping::shaped(schema, Writer::Bits { whole }, "").with_default("")
}

fn interval(format: &Format) -> Mapping {
    let mode = format.interval;
    let zero = "00:00:00";
    let schema = match mode {
        IntervalMode::Numeric => TypeSchema::named(Avro::Long, "io.debezium.time.MicroDuration"),
        IntervalMode::String => TypeSchema::named(Avro::String, "io.debezium.time.Interval"),
    };
    let saturates = mode == IntervalMode::Numeric && format.quirks.has(Quirk::SaturateIntervals);
    let mapping = Mapping::new(schema, Writer::Interval(mode), zero).with_default(zero);
    bent(mapping, saturates.then_some(DebeziumValue::Interval))
}

fn date(format: &Format, reading: bool) -> Mapping {
    let epoch = "1970-01-01";
    let mapping = match format.time {
        TimeMode::IsoString => {
            let schema = TypeSchema::named(Avro::String, "io.debezium.time.IsoDate");
            Mapping::new(schema, Writer::DateIso, epoch)
        }
        TimeMode::Connect => {
            let schema = TypeSchema::named(Avro::Int, "org.apache.kafka.connect.data.Date");
            Mapping::new(schema.logical("date"), Writer::Date, epoch)
        }
        _ => {
            let schema = TypeSchema::named(Avro::Int, "io.debezium.time.Date");
            Mapping::new(schema, Writer::Date, epoch)
        }
    };
    let far = format.quirks.has(Quirk::InfinityAsDate);
    let era = format.quirks.has(Quirk::EraInSnapshots);
    bent(mapping, DebeziumValue::date(format.time, far, era, reading)).with_default(epoch)
}

/// The same mapping with another writer, if there is one.
fn bent(mapping: Mapping, bent: Option<DebeziumValue>) -> Mapping {
    match bent {
        Some(bent) => Mapping {
            writer: Writer::DebeziumValue(bent),
            ..mapping
        },
        None => mapping,
    }
}

fn time(digits: u8, format: &Format) -> Mapping {
    let midnight = "00:00:00";
    let counted = |avro, name, unit| {
        Mapping::new(TypeSchema::named(avro, name), Writer::Time(unit), midnight)
    };
    let mapping = match format.time {
        TimeMode::Adaptive if digits <= 3 => {
            counted(Avro::Int, "io.debezium.time.Time", Unit::Milliseconds)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
            counted(Avro::Long, "io.debezium.time.MicroTime", Unit::Microseconds)
        }
        TimeMode::Nanoseconds => {
            counted(Avro::Long, "io.debezium.time.NanoTime", Unit::Nanoseconds)
        }
        TimeMode::Connect => {
            let schema = TypeSchema::named(Avro::Int, "org.apache.kafka.connect.data.Time");
            let writer = Writer::Time(Unit::Milliseconds);
            Mapping::new(schema.logical("time-millis"), writer, midnight)
        }
        TimeMode::IsoString => {
            let schema = TypeSchema::named(Avro::String, "io.debezium.time.IsoTime");
            Mapping::new(schema, Writer::TimeIso, midnight)
        }
    };
    let zero = format.time == TimeMode::IsoString && format.quirks.has(Quirk::MidnightAsZero);
    bent(mapping, zero.then_some(DebeziumValue::TimeIso)).with_default(midnight)
}

fn timestamp(digits: u8, format: &Format) -> Mapping {
    let epoch = "1970-01-01 00:00:00";
    let counted = |name, unit| {
        Mapping::new(
            TypeSchema::named(Avro::Long, name),
            Writer::Timestamp(unit),
            epoch,
        )
    };
    let mapping = match format.time {
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds if digits <= 3 => {
            counted("io.debezium.time.Timestamp", Unit::Milliseconds)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
            counted("io.debezium.time.MicroTimestamp", Unit::Microseconds)
        }
        TimeMode::Nanoseconds => counted("io.debezium.time.NanoTimestamp", Unit::Nanoseconds),
        TimeMode::Connect => {
            let schema = TypeSchema::named(Avro::Long, "org.apache.kafka.connect.data.Timestamp");
            let writer = Writer::Timestamp(Unit::Milliseconds);
            Mapping::new(schema.logical("timestamp-millis"), writer, epoch)
        }
        TimeMode::IsoString => {
            let schema = TypeSchema::named(Avro::String, "io.debezium.time.IsoTimestamp");
            Mapping::new(schema, Writer::TimestampIso, epoch)
        }
    };
    let quirks = format.quirks;
    let instead = match mapping.writer {
        Writer::TimestampIso if quirks.has(Quirk::InfinityAsDate) => {
            Some(DebeziumValue::TimestampIso)
        }
        Writer::Timestamp(Unit::Microseconds) if quirks.has(Quirk::WrapTimestamps) => {
            Some(DebeziumValue::Microseconds)
        }
        _ => None,
    };
    bent(mapping, instead).with_default(epoch)
}
