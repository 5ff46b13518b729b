//! Types that are made of other types, to Avro types and writers: arrays, composites, hstore, geometry, vectors.
//!
//! Owns: [`Mapper`], which maps every type of one table; scalars are `mapping`'s. Extension types are known by name.
//! Invariant: one record name stands for one composite type throughout a table's schemas.
//!
//! An array is a flat Avro array of optional elements, unless more dimensions were declared (`integer[][]`): then it is
//! nested as deep as declared. PostgreSQL does not hold a column to its declaration, so a value of another shape may come
//! (see [`crate::EncodeErrorKind::Shape`]): the schema then gets a third branch for the PostgreSQL text of such values,
//! `{{1,2},{3,4}}` or `[0:1]={1,2}`, and nothing of the shape is lost. Elements of an enum or of `tsvector` are not
//! optional, as consumers know it, until one is NULL.
//!
//! A composite is a record `<topic>.<schema of the type>.<type>` of optional fields; `<topic>.type.<type>` where tables of
//! several schemas go to the topic, and the type is of the table's own.

use std::collections::HashMap;

use walferry_event::{ArrayType, ColumnType, CompositeType, TypeKind};

use crate::debezium_values::DebeziumValue;
use crate::format::{Format, HstoreMode};
use crate::geometry::Geometry;
use crate::hstore::{Form, Order};
use crate::mapping::{self, Mapping, Zero, oid};
use crate::names;
use crate::quirks::Quirk;
use crate::schema::{Avro, Field, Place, Record, TypeSchema};
use crate::vector::{Vector, Width};
use crate::writer::Array;
use crate::writer::Composite;
use crate::writer::{Slot, Writer};

/// Stands for the table's own schema in names.
const OWN: &str = "type";

/// Maps the types of one table.
#[derive(Debug)]
pub(crate) struct Mapper<'a> {
    format: &'a Format,
    /// The table's.
    namespace: &'a str,
    /// The table's schema, where no name may say it.
    pub(crate) own_schema: Option<&'a str>,
    /// For the rows of a snapshot.
    reading: bool,
    /// Of the column in hand: labels have come that its enums do not have.
    any_label: bool,
    /// The composite type behind each record name.
    composites: HashMap<String, u32>,
}

impl<'a> Mapper<'a> {
    pub(crate) fn new(format: &'a Format, namespace: &'a str, reading: bool) -> Mapper<'a> {
        Mapper {
            format,
            namespace,
            own_schema: None,
            reading,
            any_label: false,
            composites: HashMap::new(),
        }
    }

    /// The mapping of a column's type. `any_shape`: elements that are NULL by exception and labels that the type does not
    /// have are in their place.
    pub(crate) fn map(&mut self, data_type: &ColumnType, any_shape: bool) -> Mapping {
        self.any_label = any_shape;
        self.part(data_type, any_shape)
    }

    fn part(&mut self, data_type: &ColumnType, any_shape: bool) -> Mapping {
        match &data_type.kind {
            TypeKind::Array(array) => self.array(array, any_shape),
            TypeKind::Composite(composite) => self.composite(data_type, composite),
            TypeKind::Enum(labels) => mapping::enumeration(labels, self.any_label),
            TypeKind::Scalar => match self.known(data_type) {
                Some(mapping) => mapping,
                None => mapping::map(data_type, self.format, self.reading),
            },
            TypeKind::Other => mapping::map(data_type, self.format, self.reading),
        }
    }

    fn array(&mut self, array: &ArrayType, any_shape: bool) -> Mapping {
        let left_out = self.format.quirks.has(Quirk::LeaveOut)
            && (array.of_domain || !has_known_array(&array.element));
        let required = is_required_element(&array.element) && !any_shape;
        let element = self.part(&array.element, false);
        if array.element.oid == oid::BIT && self.format.quirks.has(Quirk::BitArraysAsNull) {
            return Mapping {
                writer: Writer::DebeziumValue(DebeziumValue::Never),
                zero: Zero::Encoded([0].into()),
                ..element
            };
        }
        let flat = self.format.quirks.has(Quirk::FlatArrays);
        // PostgreSQL's arrays have at most 6 dimensions.
        let depth = if flat {
            1
        } else {
            array.dimensions.clamp(1, 6)
        };
        let spoiled = self.format.quirks.has(Quirk::OutOfRangeAsNull);
        let writer = match element.writer {
            Writer::Geometry(shape) if spoiled && shape.is_own() => {
                Writer::DebeziumValue(DebeziumValue::Never)
            }
            writer => writer,
        };
        let mut schema = TypeSchema::plain(Avro::Array(Box::new(Place {
            nullable: !required,
            ..Place::required(element.schema)
        })));
        for _ in 1..depth {
            schema = TypeSchema::plain(Avro::Array(Box::new(Place::required(schema))));
        }
        let writer = Writer::Array(Box::new(Array {
            element: Slot::new(writer, !required, false),
            delimiter: array.delimiter,
            depth,
            flat,
            of_uuid: array.element.oid == oid::UUID,
            has_placeholder: has_known_placeholder(&array.element)
                || !self.format.quirks.has(Quirk::UnavailableAsNull),
            null_spoils: spoiled && (required || array.element.name == "ltree"),
        }));
        Mapping {
            left_out,
            ..Mapping::shaped(schema, writer, "{}")
        }
    }

    fn composite(&mut self, data_type: &ColumnType, composite: &CompositeType) -> Mapping {
        let (namespace, name) = self.record_name(data_type, composite);
        let mut fields = Vec::new();
        let mut slots = Vec::new();
        for (name, field) in &composite.fields {
            let mapping = self.part(field, false);
            let name = unique(self.field_name(name), &fields);
            fields.push(Field::nullable(&name, mapping.schema));
            slots.push(Slot::new(mapping.writer, true, false));
        }
        let nulls: Vec<u8> = slots.iter().map(|_| crate::wire::BRANCH_0).collect();
        let record = Record {
            namespace,
            name,
            doc: None,
            version: None,
            named: true,
            fields,
        };
        let writer = Writer::Composite(Box::new(Composite {
            fields: slots.into(),
        }));
        Mapping {
            zero: Zero::Encoded(nulls.into()),
            left_out: self.format.quirks.has(Quirk::LeaveOut),
            ..Mapping::shaped(TypeSchema::record(record), writer, "")
        }
    }

    /// Namespace and name of a composite's record. Two types whose names are equal once adjusted are told apart by a
    /// number.
    fn record_name(
        &mut self,
        data_type: &ColumnType,
        composite: &CompositeType,
    ) -> (String, String) {
        let schema = match self.own_schema {
            Some(own) if own == composite.schema => OWN.to_owned(),
            _ => self.field_name(&composite.schema),
        };
        let namespace = format!("{}.{schema}", self.namespace);
        let name = self.field_name(&data_type.name);
        let mut number = 1_u32;
        loop {
            let name = match number {
                1 => name.clone(),
                number => format!("{name}_{number}"),
            };
            let full = format!("{namespace}.{name}");
            if *self.composites.entry(full).or_insert(data_type.oid) == data_type.oid {
                return (namespace, name);
            }
            number += 1;
        }
    }

    fn field_name(&self, name: &str) -> String {
        if self.format.adjust_names {
            names::field(name)
        } else {
            name.to_owned()
        }
    }

    /// Types with a structure of their own.
    fn known(&mut self, data_type: &ColumnType) -> Option<Mapping> {
        let geometry = match data_type.oid {
            oid::POINT => Geometry::Point,
            oid::LSEG => Geometry::Lseg,
            oid::PATH => Geometry::Path,
            oid::BOX => Geometry::Box,
            oid::POLYGON => Geometry::Polygon,
            oid::LINE => Geometry::Line,
            oid::CIRCLE => Geometry::Circle,
            oid::INT2VECTOR => return Some(self.spaced(oid::INT2)),
            oid::OIDVECTOR => return Some(self.spaced(oid::OID)),
            _ => return self.extension(&data_type.name),
        };
        Some(shaped_geometry(geometry))
    }

    /// `int2vector` and `oidvector`, as arrays of their elements.
    fn spaced(&mut self, element: u32) -> Mapping {
        let element = ColumnType {
            oid: element,
            name: String::new(),
            modifier: -1,
            kind: TypeKind::Scalar,
        };
        let element = mapping::map(&element, self.format, self.reading);
        let schema = TypeSchema::plain(Avro::Array(Box::new(Place::nullable(element.schema))));
        let slot = Slot::new(element.writer, true, false);
        Mapping::shaped(schema, Writer::Spaced(Box::new(slot)), "")
    }

    fn extension(&self, name: &str) -> Option<Mapping> {
        let quirks = self.format.quirks;
        let vector = match name {
            "hstore" => return Some(self.hstore()),
            "geometry" => return Some(shaped_geometry(Geometry::Planar)),
            "geography" => return Some(shaped_geometry(Geometry::Geodetic)),
            "vector" => Vector::Double,
            "halfvec" => Vector::Single,
            "sparsevec" if quirks.has(Quirk::SparsevecInt16) => Vector::Sparse(Width::Int16),
            "sparsevec" => Vector::Sparse(Width::Int32),
            _ => return None,
        };
        Some(Mapping::shaped(
            vector.schema(),
            Writer::Vector(vector),
            vector.zero(),
        ))
    }

    fn hstore(&self) -> Mapping {
        let order = if self.format.quirks.has(Quirk::HstoreHashOrder) {
            Order::Java
        } else {
            Order::AsSent
        };
        match self.format.hstore {
            HstoreMode::Json => {
                let schema = TypeSchema::named(Avro::String, "io.debezium.data.Json");
                Mapping::new(schema, Writer::Hstore(Form::Json(order)), "")
            }
            HstoreMode::Map => {
                let values = Place::nullable(TypeSchema::plain(Avro::String));
                let schema = TypeSchema::plain(Avro::Map(Box::new(values)));
                Mapping::shaped(schema, Writer::Hstore(Form::Map(order)), "")
            }
        }
    }
}

fn shaped_geometry(geometry: Geometry) -> Mapping {
    let writer = Writer::Geometry(geometry);
    Mapping {
        optional: geometry.optional(),
        ..Mapping::shaped(geometry.schema(), writer, geometry.zero())
    }
}

/// A field name that the record does not have yet.
fn unique(name: String, fields: &[Field]) -> String {
    let taken = |name: &str| fields.iter().any(|field| field.name == name);
    let mut candidate = name.clone();
    let mut number = 2_u32;
    while taken(&candidate) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

/// Elements that are not optional.
fn is_required_element(element: &ColumnType) -> bool {
    matches!(element.kind, TypeKind::Enum(_)) || element.oid == oid::TSVECTOR
}

/// Whether Debezium has a placeholder for arrays of these elements.
fn has_known_placeholder(element: &ColumnType) -> bool {
    matches!(
        element.oid,
        oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::JSON
            | oid::JSONB
            | oid::BYTEA
            | oid::INT4
            | oid::INT8
            | oid::DATE
            | oid::UUID
    )
}

/// Whether Debezium has a mapping for arrays of these elements.
fn has_known_array(element: &ColumnType) -> bool {
    match &element.kind {
        TypeKind::Enum(_) => true,
        TypeKind::Array(_) | TypeKind::Composite(_) => false,
        TypeKind::Scalar | TypeKind::Other => {
            let extensions = ["citext", "ltree", "hstore", "geometry", "geography"];
            oid::IN_ARRAYS.contains(&element.oid) || extensions.contains(&&*element.name)
        }
    }
}
