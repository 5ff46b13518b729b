//! Tables in one line each, records, and what apache-avro reads from them.

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};
use walferry_avro::{EncodeErrorKind, EncodePlan, Format, Naming, Row};
use walferry_event::{
    ArrayType, Column, ColumnType, CompositeType, Datum, Lsn, Operation, Origin, Relation,
    RelationColumn, ReplicaIdentity, Table, TypeKind,
};

pub(crate) const BOOL: u32 = 16;
pub(crate) const BYTEA: u32 = 17;
pub(crate) const CHAR: u32 = 18;
pub(crate) const NAME: u32 = 19;
pub(crate) const INT8: u32 = 20;
pub(crate) const INT2: u32 = 21;
pub(crate) const INT4: u32 = 23;
pub(crate) const TEXT: u32 = 25;
pub(crate) const OID: u32 = 26;
pub(crate) const JSON: u32 = 114;
pub(crate) const FLOAT4: u32 = 700;
pub(crate) const FLOAT8: u32 = 701;
pub(crate) const XML: u32 = 142;
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

/// The type modifier of `numeric(precision, scale)`.
pub(crate) fn numeric(precision: i32, scale: i32) -> i32 {
    (precision << 16 | (scale & 0x7FF)) + 4
}

/// A nullable column without a default.
pub(crate) fn column(name: &str, oid: u32, modifier: i32) -> Column {
    Column {
        name: name.to_owned(),
        data_type: ColumnType {
            oid,
            name: String::new(),
            modifier,
            kind: TypeKind::Scalar,
        },
        nullable: true,
        default: None,
        any_shape: false,
    }
}

/// An enum column.
pub(crate) fn labels(name: &str, labels: &[&str]) -> Column {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    let mut column = column(name, 99_999, -1);
    column.data_type.kind = TypeKind::Enum(labels);
    column
}

/// A column of a type of this name, as extensions have them.
pub(crate) fn extension(name: &str) -> Column {
    let mut column = column("c", 70_000, -1);
    column.data_type.name = name.to_owned();
    column
}

/// A column of arrays of another column's type.
pub(crate) fn array(name: &str, element: Column, dimensions: u32) -> Column {
    let delimiter = if element.data_type.oid == 603 {
        b';'
    } else {
        b','
    };
    let mut column = column(name, 70_001, element.data_type.modifier);
    column.data_type.kind = TypeKind::Array(Box::new(ArrayType {
        element: element.data_type,
        of_domain: false,
        delimiter,
        dimensions,
    }));
    column
}

/// A column of the composite type `inventory.<type_name>` with the types of other columns as fields.
pub(crate) fn composite(name: &str, type_name: &str, fields: Vec<Column>) -> Column {
    let mut column = column(name, 80_000 + type_name.len() as u32, -1);
    column.data_type.name = type_name.to_owned();
    let fields = fields.into_iter().map(|it| (it.name, it.data_type));
    column.data_type.kind = TypeKind::Composite(CompositeType {
        schema: "inventory".to_owned(),
        fields: fields.collect(),
    });
    column
}

/// The same column after a value of another shape.
pub(crate) fn any_shape(column: Column) -> Column {
    Column {
        any_shape: true,
        ..column
    }
}

/// The same column, NOT NULL.
pub(crate) fn required(column: Column) -> Column {
    Column {
        nullable: false,
        ..column
    }
}

/// The same column with a default expression.
pub(crate) fn default(column: Column, expression: &str) -> Column {
    Column {
        default: Some(expression.to_owned()),
        ..column
    }
}

/// `inventory.orders` with these columns.
pub(crate) fn table(columns: Vec<Column>, key: &[usize]) -> Table {
    Table {
        relation: Relation {
            oid: 16_384,
            schema: "inventory".to_owned(),
            name: "orders".to_owned(),
            replica_identity: ReplicaIdentity::Default,
            columns: columns
                .iter()
                .enumerate()
                .map(|(at, column)| RelationColumn {
                    name: column.name.clone(),
                    type_oid: column.data_type.oid,
                    type_modifier: column.data_type.modifier,
                    in_identity: key.contains(&at),
                })
                .collect(),
        },
        columns,
        key: key.to_vec(),
        old_rows: walferry_event::OldRows::default(),
    }
}

pub(crate) const NAMING: Naming<'static> = Naming {
    topic: "shop.inventory.orders",
    server: "shop",
    database: "shopdb",
    shared: false,
    physical_table: None,
};

pub(crate) fn plan(columns: Vec<Column>, key: &[usize], format: &Format) -> EncodePlan {
    EncodePlan::compile(&table(columns, key), &NAMING, format).unwrap()
}

/// A streamed change.
pub(crate) fn origin() -> Origin<'static> {
    Origin {
        commit_us: 1_478_267_490_123_456,
        encoded_us: 1_478_267_490_999_999,
        xid: 747,
        lsn: Lsn(24_023_128),
        commit_lsn: Lsn(24_023_200),
        last_commit_lsn: Some(Lsn(24_023_000)),
        ordinal: 1,
        ..Origin::default()
    }
}

/// Reads a schema. Version 0.21 of apache-avro takes no default of a decimal, which the specification
/// gives as a string, so these are left out; a writer's defaults do not matter to its reader.
pub(crate) fn parse(schema: &str) -> Schema {
    let mut schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    without_decimal_defaults(&mut schema);
    Schema::parse(&schema).unwrap()
}

fn without_decimal_defaults(json: &mut serde_json::Value) {
    if let Some(object) = json.as_object_mut() {
        let kind = object
            .get("type")
            .map(ToString::to_string)
            .unwrap_or_default();
        if kind.starts_with('{') && kind.contains(r#""logicalType":"decimal""#) {
            object.remove("default");
        }
    }
    match json {
        serde_json::Value::Object(object) => {
            object.values_mut().for_each(without_decimal_defaults);
        }
        serde_json::Value::Array(array) => array.iter_mut().for_each(without_decimal_defaults),
        _ => {}
    }
}

/// Reads a record back; every byte must be used.
pub(crate) fn decode(schema: &str, record: &[u8]) -> Value {
    read(&parse(schema), record)
}

fn read(schema: &Schema, record: &[u8]) -> Value {
    assert_eq!(record[0], 0, "the magic byte");
    let mut body = &record[5..];
    let value = from_avro_datum(schema, &mut body, None).unwrap();
    assert!(body.is_empty(), "{} bytes are left", body.len());
    value
}

/// A field of a record, unions opened.
pub(crate) fn field(value: &Value, name: &str) -> Value {
    let mut value = value;
    while let Value::Union(_, inner) = value {
        value = inner;
    }
    let Value::Record(fields) = value else {
        panic!("{value:?} is no record with a field {name}");
    };
    let (_, found) = fields.iter().find(|(field, _)| field == name).unwrap();
    match found {
        Value::Union(_, inner) => (**inner).clone(),
        other => other.clone(),
    }
}

/// A value as one line: its Avro type and itself.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => format!("boolean {value}"),
        Value::Int(value) => format!("int {value}"),
        Value::Long(value) => format!("long {value}"),
        Value::Float(value) => format!("float {value}"),
        Value::Double(value) => format!("double {value}"),
        Value::Bytes(bytes) => format!("bytes {}", hex(bytes)),
        Value::String(text) => format!("string {text}"),
        Value::Union(_, inner) => show(inner),
        Value::Date(days) => format!("date {days}"),
        Value::TimeMillis(count) => format!("time-millis {count}"),
        Value::TimestampMillis(count) => format!("timestamp-millis {count}"),
        Value::Decimal(decimal) => {
            format!(
                "decimal {}",
                integer_text(&Vec::<u8>::try_from(decimal).unwrap())
            )
        }
        Value::Record(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", show(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(pairs) => {
            let mut pairs: Vec<_> = pairs
                .iter()
                .map(|(key, value)| format!("{key} => {}", show(value)))
                .collect();
            pairs.sort();
            format!("map {}", pairs.join(", "))
        }
        other => panic!("{other:?} is of no type that this crate writes"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The decimal text of a two's complement integer, by long multiplication of decimal digits: the
/// opposite way of the crate's.
pub(crate) fn integer_text(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    // -x = !x + 1: the digits of !x are built, then one is added.
    let mut digits = vec![0_u8];
    for byte in bytes {
        let byte = if negative { !byte } else { *byte };
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    let mut carry = u8::from(negative);
    for digit in &mut digits {
        let sum = *digit + carry;
        *digit = sum % 10;
        carry = sum / 10;
    }
    digits.extend((carry > 0).then_some(carry));
    let sign = if negative { "-" } else { "" };
    let digits: String = digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    format!("{sign}{digits}")
}

/// A table of one nullable column, to try values of it.
pub(crate) struct Lone {
    plan: EncodePlan,
    schema: Schema,
}

impl Lone {
    pub(crate) fn new(column: Column, format: &Format) -> Lone {
        let plan = plan(
            vec![Column {
                name: "c".to_owned(),
                ..column
            }],
            &[],
            format,
        );
        let schema = parse(plan.value_schema());
        Lone { plan, schema }
    }

    /// What a consumer reads of this datum.
    pub(crate) fn datum(&self, datum: Datum<'_>) -> Result<Value, EncodeErrorKind> {
        let mut out = Vec::new();
        let row = [datum];
        self.plan
            .value(
                Operation::Create,
                Row::None,
                Row::Full(&row),
                &origin(),
                &mut out,
            )
            .map_err(|error| error.kind)?;
        Ok(field(&field(&read(&self.schema, &out), "after"), "c"))
    }

    pub(crate) fn text(&self, text: &[u8]) -> Result<Value, EncodeErrorKind> {
        self.datum(Datum::Text(text))
    }

    pub(crate) fn show(&self, text: &str) -> String {
        match self.text(text.as_bytes()) {
            Ok(value) => show(&value),
            Err(kind) => format!("error {}", kind.name()),
        }
    }
}

/// What an old row that carries only the key says of this column, which is NOT NULL.
pub(crate) fn zero_of(column: Column, format: &Format) -> Value {
    let plan = plan(
        vec![required(self::column("id", INT4, -1)), column],
        &[0],
        format,
    );
    let mut out = Vec::new();
    let row = [Datum::Text(b"1"), Datum::Null];
    plan.value(
        Operation::Delete,
        Row::Key(&row),
        Row::None,
        &origin(),
        &mut out,
    )
    .unwrap();
    field(&field(&decode(plan.value_schema(), &out), "before"), "c")
}

/// The default format with one thing changed.
pub(crate) fn format(change: impl FnOnce(&mut Format)) -> Format {
    let mut format = Format::default();
    change(&mut format);
    format
}
