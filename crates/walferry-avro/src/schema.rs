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

use crate::{java, wire};

/// The Avro type under a column's properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Avro {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// The record of scale and value.
    VariableScaleDecimal,
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
            Avro::VariableScaleDecimal => None,
        }
    }

    fn text(&self, default: Option<&str>, records: &mut Records) -> String {
        let avro = match self.avro {
            Avro::Boolean => "boolean",
            Avro::Int => "int",
            Avro::Long => "long",
            Avro::Float => "float",
            Avro::Double => "double",
            Avro::Bytes => "bytes",
            Avro::String => "string",
            Avro::VariableScaleDecimal => return records.variable_scale_decimal(),
        };
        let mut properties = vec![("type", quoted(avro))];
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

/// The records that one schema has already spelled out.
#[derive(Debug, Default)]
pub(crate) struct Records {
    variable_scale_decimal: bool,
}

impl Records {
    fn variable_scale_decimal(&mut self) -> String {
        if std::mem::replace(&mut self.variable_scale_decimal, true) {
            return quoted("io.debezium.data.VariableScaleDecimal");
        }
        concat!(
            r#"{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","#,
            r#""fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}],"#,
            r#""connect.doc":"Variable scaled decimal","connect.version":1,"#,
            r#""connect.name":"io.debezium.data.VariableScaleDecimal"}"#
        )
        .to_owned()
    }
}

/// A column as a field of a row or key.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) schema: TypeSchema,
    pub(crate) nullable: bool,
    /// JSON.
    pub(crate) default: Option<String>,
}

impl Field {
    fn text(&self, records: &mut Records) -> String {
        let inner = self.schema.text(self.default.as_deref(), records);
        let (text, default) = match (self.nullable, &self.default) {
            (false, default) => (inner, default.clone()),
            (true, None) => (format!(r#"["null",{inner}]"#), Some("null".to_owned())),
            (true, Some(default)) => (format!(r#"[{inner},"null"]"#), Some(default.clone())),
        };
        let mut properties = vec![("name", quoted(&self.name)), ("type", text)];
        properties.extend(default.map(|default| ("default", default)));
        object(properties.into_iter())
    }
}

fn fields<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let mut records = Records::default();
    let fields: Vec<_> = fields.map(|field| field.text(&mut records)).collect();
    format!("[{}]", fields.join(","))
}

/// The key's schema; `namespace` is the adjusted topic.
pub(crate) fn key<'a>(namespace: &str, columns: impl Iterator<Item = &'a Field>) -> String {
    object(
        [
            ("type", quoted("record")),
            ("name", quoted("Key")),
            ("namespace", quoted(namespace)),
            ("fields", fields(columns)),
            ("connect.name", quoted(&format!("{namespace}.Key"))),
        ]
        .into_iter(),
    )
}

/// The schema of the value: the envelope around two rows and the source block.
pub(crate) fn envelope<'a>(namespace: &str, columns: impl Iterator<Item = &'a Field>) -> String {
    let row = object(
        [
            ("type", quoted("record")),
            ("name", quoted("Value")),
            ("fields", fields(columns)),
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

/// The source block, which `envelope.rs` writes field by field in this order.
const SOURCE: &str = concat!(
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
const BLOCK: &str = concat!(
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
