//! Schema text, byte for byte as Confluent's converter prints it.
//!
//! Owns: the order of properties. A registry finds a schema by its text, so that the order decides
//! whether a table keeps the schema id that its consumers know:
//!
//! ```text
//! record   type name namespace fields connect.doc connect.version connect.name
//! type     type scale precision connect.version connect.parameters connect.default connect.name
//!          connect.type logicalType
//! field    name type default
//! ```
//!
//! A namespace is printed where it differs from the enclosing one; the second use of a record is
//! its name. A nullable field is `["null", T]` with default null, or `[T, "null"]` with T's default.
//! Source: Avro specification 1.12, "Schema Declaration".

use std::collections::HashSet;

use crate::format::PHYSICAL_TABLE;
use crate::{java, wire};

/// The Avro type under a column's properties.
#[derive(Clone, Debug)]
pub(crate) enum Avro {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Box<Place>),
    Map(Box<Place>),
    Record(Box<Record>),
}

/// Where a type stands: what else may stand there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) schema: TypeSchema,
    pub(crate) nullable: bool,
    /// A value that the type cannot hold may be its PostgreSQL text.
    pub(crate) or_text: bool,
}

impl Place {
    pub(crate) fn required(schema: TypeSchema) -> Place {
        Place {
            schema,
            nullable: false,
            or_text: false,
        }
    }

    pub(crate) fn nullable(schema: TypeSchema) -> Place {
        Place {
            nullable: true,
            ..Place::required(schema)
        }
    }

    /// The type or the union. What has a default stands before null, which is the default of all else.
    fn text(&self, default: Option<&str>, records: &mut Records) -> String {
        let mut branches = vec![self.schema.text(default, records)];
        if self.nullable {
            let at = usize::from(default.is_some());
            branches.insert(at, quoted("null"));
        }
        branches.extend(self.or_text.then(|| quoted("string")));
        match &branches[..] {
            [one] => one.clone(),
            several => format!("[{}]", several.join(",")),
        }
    }
}

/// A record inside a row.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) doc: Option<&'static str>,
    pub(crate) version: Option<u8>,
    /// Whether Connect knows it by its name.
    pub(crate) named: bool,
    pub(crate) fields: Vec<Field>,
}

impl Record {
    /// A record of Debezium's, of version 1.
    pub(crate) fn debezium(
        namespace: &str,
        name: &str,
        doc: &'static str,
        fields: Vec<Field>,
    ) -> Record {
        Record {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            doc: Some(doc),
            version: Some(1),
            named: true,
            fields,
        }
    }

    fn text(&self, records: &mut Records) -> String {
        let full = format!("{}.{}", self.namespace, self.name);
        let inherited = records.space == self.namespace;
        if records.known.contains(&full) {
            return quoted(if inherited { &self.name } else { &full });
        }
        records.known.insert(full.clone());
        let mut properties = vec![("type", quoted("record")), ("name", quoted(&self.name))];
        if !inherited {
            properties.push(("namespace", quoted(&self.namespace)));
        }
        let outer = std::mem::replace(&mut records.space, self.namespace.clone());
        properties.push(("fields", fields(self.fields.iter(), records)));
        records.space = outer;
        properties.extend(self.doc.map(|doc| ("connect.doc", quoted(doc))));
        properties.extend(self.version.map(|it| ("connect.version", it.to_string())));
        properties.extend(self.named.then(|| ("connect.name", quoted(&full))));
        object(properties.into_iter())
    }
}

/// A column's type with its properties.
#[derive(Clone, Debug)]
pub(crate) struct TypeSchema {
    avro: Avro,
    name: Option<&'static str>,
    parameters: Vec<(&'static str, String)>,
    connect_type: Option<&'static str>,
    logical: Option<&'static str>,
    /// Precision and scale.
    decimal: Option<(usize, usize)>,
}

impl TypeSchema {
    pub(crate) fn plain(avro: Avro) -> TypeSchema {
        TypeSchema {
            avro,
            name: None,
            parameters: Vec::new(),
            connect_type: None,
            logical: None,
            decimal: None,
        }
    }

    /// A record.
    pub(crate) fn record(record: Record) -> TypeSchema {
        TypeSchema::plain(Avro::Record(Box::new(record)))
    }

    /// The record of a decimal that carries its scale.
    pub(crate) fn variable_scale_decimal() -> TypeSchema {
        TypeSchema::record(Record::debezium(
            "io.debezium.data",
            "VariableScaleDecimal",
            "Variable scaled decimal",
            vec![
                Field::required("scale", TypeSchema::plain(Avro::Int)),
                Field::required("value", TypeSchema::plain(Avro::Bytes)),
            ],
        ))
    }

    /// Whether it has no name and no properties.
    pub(crate) fn is_plain(&self) -> bool {
        self.name.is_none() && self.logical.is_none() && self.parameters.is_empty()
    }

    /// With `connect.name` and `connect.version` 1.
    pub(crate) fn named(avro: Avro, name: &'static str) -> TypeSchema {
        TypeSchema {
            name: Some(name),
            ..TypeSchema::plain(avro)
        }
    }

    pub(crate) fn parameter(mut self, key: &'static str, value: String) -> TypeSchema {
        self.parameters.push((key, value));
        self
    }

    pub(crate) fn connect_type(self, connect_type: &'static str) -> TypeSchema {
        TypeSchema {
            connect_type: Some(connect_type),
            ..self
        }
    }

    pub(crate) fn logical(self, logical: &'static str) -> TypeSchema {
        TypeSchema {
            logical: Some(logical),
            ..self
        }
    }

    pub(crate) fn decimal(self, precision: usize, scale: usize) -> TypeSchema {
        TypeSchema {
            decimal: Some((precision, scale)),
            ..self.logical("decimal")
        }
        .parameter("scale", scale.to_string())
        .parameter("connect.decimal.precision", precision.to_string())
    }

    /// A decimal whose precision is not known: 64 is what the converter supposes.
    pub(crate) fn decimal_of_any_precision(self, scale: usize) -> TypeSchema {
        TypeSchema {
            decimal: Some((64, scale)),
            ..self.logical("decimal")
        }
        .parameter("scale", scale.to_string())
    }

    /// The JSON of a default, from its Avro encoding; `None` where JSON has no form for it.
    pub(crate) fn default_json(&self, mut encoded: &[u8]) -> Option<String> {
        match self.avro {
            Avro::Boolean => Some((encoded == [1]).to_string()),
            Avro::Int | Avro::Long => wire::read_long(&mut encoded).map(|value| value.to_string()),
            Avro::Float => java::single(f32::from_le_bytes(encoded.try_into().ok()?)),
            Avro::Double => java::double(f64::from_le_bytes(encoded.try_into().ok()?)),
            Avro::String => {
                wire::read_long(&mut encoded)?;
                Some(quoted(std::str::from_utf8(encoded).ok()?))
            }
            // Bytes are printed as the characters U+0000 to U+00FF.
            Avro::Bytes => {
                wire::read_long(&mut encoded)?;
                Some(quoted(
                    &encoded
                        .iter()
                        .map(|&byte| char::from(byte))
                        .collect::<String>(),
                ))
            }
            Avro::Array(_) | Avro::Map(_) | Avro::Record(_) => None,
        }
    }

    fn text(&self, default: Option<&str>, records: &mut Records) -> String {
        let avro = match &self.avro {
            Avro::Boolean => "boolean",
            Avro::Int => "int",
            Avro::Long => "long",
            Avro::Float => "float",
            Avro::Double => "double",
            Avro::Bytes => "bytes",
            Avro::String => "string",
            Avro::Array(_) => "array",
            Avro::Map(_) => "map",
            Avro::Record(record) => return record.text(records),
        };
        let mut properties = vec![("type", quoted(avro))];
        match &self.avro {
            Avro::Array(items) => properties.push(("items", items.text(None, records))),
            Avro::Map(values) => properties.push(("values", values.text(None, records))),
            _ => {}
        }
        if let Some((precision, scale)) = self.decimal {
            properties.push(("scale", scale.to_string()));
            properties.push(("precision", precision.to_string()));
        }
        if self.name.is_some() {
            properties.push(("connect.version", "1".to_owned()));
        }
        if !self.parameters.is_empty() {
            let parameters = self
                .parameters
                .iter()
                .map(|(key, value)| (*key, quoted(value)));
            properties.push(("connect.parameters", object(parameters)));
        }
        properties.extend(default.map(|default| ("connect.default", default.to_owned())));
        properties.extend(self.name.map(|name| ("connect.name", quoted(name))));
        properties.extend(self.connect_type.map(|name| ("connect.type", quoted(name))));
        properties.extend(self.logical.map(|name| ("logicalType", quoted(name))));
        if properties.len() == 1 {
            quoted(avro)
        } else {
            object(properties.into_iter())
        }
    }
}

/// The records that one schema has already spelled out, and where the text stands.
#[derive(Debug)]
struct Records {
    known: HashSet<String>,
    /// The namespace of the enclosing record.
    space: String,
}

/// A column as a field of a row or key, or a field of a record inside.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// JSON.
    pub(crate) default: Option<String>,
}

impl Field {
    pub(crate) fn required(name: &str, schema: TypeSchema) -> Field {
        Field {
            name: name.to_owned(),
            place: Place::required(schema),
            default: None,
        }
    }

    pub(crate) fn nullable(name: &str, schema: TypeSchema) -> Field {
        Field {
            name: name.to_owned(),
            place: Place::nullable(schema),
            default: None,
        }
    }

    fn text(&self, records: &mut Records) -> String {
        let text = self.place.text(self.default.as_deref(), records);
        let null = || self.place.nullable.then(|| "null".to_owned());
        let default = self.default.clone().or_else(null);
        let mut properties = vec![("name", quoted(&self.name)), ("type", text)];
        properties.extend(default.map(|default| ("default", default)));
        object(properties.into_iter())
    }
}

fn fields<'a>(fields: impl Iterator<Item = &'a Field>, records: &mut Records) -> String {
    let fields: Vec<_> = fields.map(|field| field.text(records)).collect();
    format!("[{}]", fields.join(","))
}

/// The fields of a row or a key, which stand in the table's namespace.
fn columns<'a>(namespace: &str, columns: impl Iterator<Item = &'a Field>) -> String {
    let mut records = Records {
        known: HashSet::new(),
        space: namespace.to_owned(),
    };
    fields(columns, &mut records)
}

/// The key's schema; `namespace` is the adjusted topic.
pub(crate) fn key<'a>(
    namespace: &str,
    fields: impl Iterator<Item = &'a Field>,
    physical_table: bool,
) -> String {
    let mut fields = columns(namespace, fields);
    if physical_table {
        fields.pop();
        fields.push_str(&format!(
            r#",{{"name":"{PHYSICAL_TABLE}","type":"string"}}]"#
        ));
    }
    object(
        [
            ("type", quoted("record")),
            ("name", quoted("Key")),
            ("namespace", quoted(namespace)),
            ("fields", fields),
            ("connect.name", quoted(&format!("{namespace}.Key"))),
        ]
        .into_iter(),
    )
}

/// The schema of the value: the envelope around two rows and the source block.
pub(crate) fn envelope<'a>(namespace: &str, fields: impl Iterator<Item = &'a Field>) -> String {
    let row = object(
        [
            ("type", quoted("record")),
            ("name", quoted("Value")),
            ("fields", columns(namespace, fields)),
            ("connect.name", quoted(&format!("{namespace}.Value"))),
        ]
        .into_iter(),
    );
    let envelope_fields = [
        format!(r#"{{"name":"before","type":["null",{row}],"default":null}}"#),
        r#"{"name":"after","type":["null","Value"],"default":null}"#.to_owned(),
        format!(r#"{{"name":"source","type":{SOURCE}}}"#),
        format!(r#"{{"name":"transaction","type":["null",{BLOCK}],"default":null}}"#),
        r#"{"name":"op","type":"string"}"#.to_owned(),
        r#"{"name":"ts_ms","type":["null","long"],"default":null}"#.to_owned(),
        r#"{"name":"ts_us","type":["null","long"],"default":null}"#.to_owned(),
        r#"{"name":"ts_ns","type":["null","long"],"default":null}"#.to_owned(),
    ];
    object(
        [
            ("type", quoted("record")),
            ("name", quoted("Envelope")),
            ("namespace", quoted(namespace)),
            ("fields", format!("[{}]", envelope_fields.join(","))),
            ("connect.version", "2".to_owned()),
            ("connect.name", quoted(&format!("{namespace}.Envelope"))),
        ]
        .into_iter(),
    )
}

/// The schema of the value that is the row itself, with these fields behind its columns.
pub(crate) fn flat<'a>(
    namespace: &str,
    fields: impl Iterator<Item = &'a Field>,
    behind: [&str; 4],
) -> String {
    let columns = columns(namespace, fields);
    let inner = columns
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'));
    let inner = inner.filter(|it| !it.is_empty());
    let all: Vec<&str> = inner.into_iter().chain(behind).collect();
    object(
        [
            ("type", quoted("record")),
            ("name", quoted("Value")),
            ("namespace", quoted(namespace)),
            ("fields", format!("[{}]", all.join(","))),
            ("connect.name", quoted(&format!("{namespace}.Value"))),
        ]
        .into_iter(),
    )
}

/// The source block, which `envelope.rs` writes field by field in this order.
pub(crate) const SOURCE: &str = concat!(
    r#"{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":["#,
    r#"{"name":"version","type":"string"},{"name":"connector","type":"string"},"#,
    r#"{"name":"name","type":"string"},{"name":"ts_ms","type":"long"},"#,
    r#"{"name":"snapshot","type":[{"type":"string","connect.version":1,"#,
    r#""connect.parameters":{"allowed":"true,first,first_in_data_collection,"#,
    r#"last_in_data_collection,last,false,incremental"},"connect.default":"false","#,
    r#""connect.name":"io.debezium.data.Enum"},"null"],"default":"false"},"#,
    r#"{"name":"db","type":"string"},"#,
    r#"{"name":"sequence","type":["null","string"],"default":null},"#,
    r#"{"name":"ts_us","type":["null","long"],"default":null},"#,
    r#"{"name":"ts_ns","type":["null","long"],"default":null},"#,
    r#"{"name":"schema","type":"string"},{"name":"table","type":"string"},"#,
    r#"{"name":"txId","type":["null","long"],"default":null},"#,
    r#"{"name":"lsn","type":["null","long"],"default":null},"#,
    r#"{"name":"xmin","type":["null","long"],"default":null},"#,
    r#"{"name":"origin","type":["null","string"],"default":null},"#,
    r#"{"name":"origin_lsn","type":["null","long"],"default":null}],"#,
    r#""connect.version":1,"connect.name":"io.debezium.connector.postgresql.Source"}"#
);

/// The transaction block.
pub(crate) const BLOCK: &str = concat!(
    r#"{"type":"record","name":"block","namespace":"event","fields":["#,
    r#"{"name":"id","type":"string"},{"name":"total_order","type":"long"},"#,
    r#"{"name":"data_collection_order","type":"long"}],"#,
    r#""connect.version":1,"connect.name":"event.block"}"#
);

fn object<'a>(properties: impl Iterator<Item = (&'a str, String)>) -> String {
    let properties: Vec<_> = properties
        .map(|(name, value)| format!("{}:{value}", quoted(name)))
        .collect();
    format!("{{{}}}", properties.join(","))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
