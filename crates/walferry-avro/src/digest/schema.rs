//! An Avro schema as nodes, and a walk over the bytes of a value.
//!
//! Owns: [`Schema`]. Never: keeps a value; a walk feeds a hash, writes a text, or does nothing.
//! Invariants: no bytes make it panic; it reads at most what is there; the depth of a walk is bounded.
//! Source: Avro specification 1.12, "Schema Declaration" and "Binary Encoding".

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hasher;

use serde_json::Value as Json;

use super::read_error::ReadError;

/// A schema and the types in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schema {
    nodes: Vec<Node>,
    pub(super) root: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Boolean,
    /// `int` and `long` have one form.
    Integer,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) node: usize,
    /// What has to be equal for two values' bytes to mean the same.
    pub(super) signature: String,
}

/// Deeper values than any table has.
const DEPTH_MAX: usize = 64;

impl Schema {
    pub(super) fn parse(text: &str) -> Result<Schema, ReadError> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| ReadError(format!("no JSON: {error}")))?;
        let mut parser = Parser::default();
        let (root, _) = parser.node(&json, "")?;
        Ok(Schema {
            nodes: parser.nodes,
            root,
        })
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    /// The fields of a record, also of one in a union with null.
    pub(super) fn fields(&self, at: usize) -> Option<&[Field]> {
        match &self.nodes[at] {
            Node::Record(fields) => Some(fields),
            Node::Union(branches) => branches.iter().find_map(|&branch| {
                let Node::Record(fields) = &self.nodes[branch] else {
                    return None;
                };
                Some(fields.as_slice())
            }),
            _ => None,
        }
    }

    /// Reads a union's branch: the node of the value that follows. A node that is no union is its own branch.
    pub(super) fn branch(&self, at: usize, bytes: &mut &[u8]) -> Result<usize, ReadError> {
        let Node::Union(branches) = &self.nodes[at] else {
            return Ok(at);
        };
        let branch = usize::try_from(long(bytes)?).ok();
        let node = branch.and_then(|branch| branches.get(branch));
        node.copied()
            .ok_or_else(|| ReadError("a union has no such branch".into()))
    }

    /// Feeds a value to a hash. Branches of unions are not part of it, nor is the width of a number.
    pub(super) fn hash(
        &self,
        at: usize,
        bytes: &mut &[u8],
        to: &mut impl Hasher,
    ) -> Result<(), ReadError> {
        self.walk(at, bytes, to, 0)
    }

    /// Passes over a value.
    pub(super) fn skip(&self, at: usize, bytes: &mut &[u8]) -> Result<(), ReadError> {
        self.walk(at, bytes, &mut Nowhere, 0)
    }

    fn walk(
        &self,
        at: usize,
        bytes: &mut &[u8],
        to: &mut impl Hasher,
        depth: usize,
    ) -> Result<(), ReadError> {
        if depth > DEPTH_MAX {
            return Err(ReadError("a value is nested too deeply".into()));
        }
        match &self.nodes[at] {
            Node::Null => to.write_u8(0),
            Node::Boolean => {
                to.write_u8(1);
                to.write(take(bytes, 1)?);
            }
            Node::Integer => {
                to.write_u8(2);
                to.write_i64(long(bytes)?);
            }
            Node::Float => {
                to.write_u8(3);
                to.write(take(bytes, 4)?);
            }
            Node::Double => {
                to.write_u8(4);
                to.write(take(bytes, 8)?);
            }
            Node::Bytes | Node::String => {
                let value = counted(bytes)?;
                to.write_u8(5);
                to.write_usize(value.len());
                to.write(value);
            }
            Node::Fixed(length) => {
                to.write_u8(6);
                to.write(take(bytes, *length)?);
            }
            Node::Enum(symbols) => {
                let symbol = usize::try_from(long(bytes)?).ok();
                let symbol = symbol.and_then(|it| symbols.get(it));
                let symbol =
                    symbol.ok_or_else(|| ReadError("an enum has no such symbol".into()))?;
                to.write_u8(7);
                to.write(symbol.as_bytes());
            }
            Node::Union(_) => {
                let branch = self.branch(at, bytes)?;
                self.walk(branch, bytes, to, depth + 1)?;
            }
            Node::Record(fields) => {
                to.write_u8(8);
                for field in fields {
                    self.walk(field.node, bytes, to, depth + 1)?;
                }
            }
            Node::Array(element) => self.blocks(bytes, to, |bytes, to| {
                self.walk(*element, bytes, to, depth + 1)
            })?,
            Node::Map(value) => self.blocks(bytes, to, |bytes, to| {
                to.write(counted(bytes)?);
                self.walk(*value, bytes, to, depth + 1)
            })?,
        }
        Ok(())
    }

    fn blocks<H: Hasher>(
        &self,
        bytes: &mut &[u8],
        to: &mut H,
        mut item: impl FnMut(&mut &[u8], &mut H) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut total = 0_u64;
        loop {
            let count = long(bytes)?;
            if count < 0 {
                long(bytes)?; // The size of the block, for those who skip it.
            }
            let count = count.unsigned_abs();
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let before = bytes.len();
                item(bytes, to)?;
                if bytes.len() == before && count > 1_000_000 {
                    return Err(ReadError("a block claims more items than it has".into()));
                }
            }
            total = total.wrapping_add(count);
        }
        to.write_u8(9);
        to.write_u64(total);
        Ok(())
    }

    /// Writes a value as JSON-like text, for people.
    pub(super) fn text(
        &self,
        at: usize,
        bytes: &mut &[u8],
        out: &mut String,
    ) -> Result<(), ReadError> {
        let node = self.branch(at, bytes)?;
        // Writing to a String cannot fail.
        let _ = match &self.nodes[node] {
            Node::Null => write!(out, "null"),
            Node::Boolean => write!(out, "{}", take(bytes, 1)? != [0]),
            Node::Integer => write!(out, "{}", long(bytes)?),
            Node::Float => write!(out, "{}", f32::from_le_bytes(array(bytes)?)),
            Node::Double => write!(out, "{}", f64::from_le_bytes(array(bytes)?)),
            Node::String => {
                let text = String::from_utf8_lossy(counted(bytes)?).into_owned();
                write!(out, "{}", Json::String(text))
            }
            Node::Bytes => {
                let hex = counted(bytes)?.iter().map(|byte| format!("{byte:02x}"));
                write!(out, "\"\\\\x{}\"", hex.collect::<String>())
            }
            Node::Record(fields) => {
                for (count, field) in fields.iter().enumerate() {
                    let before = if count == 0 { '{' } else { ',' };
                    let _ = write!(out, "{before}{}:", Json::String(field.name.clone()));
                    self.text(field.node, bytes, out)?;
                }
                write!(out, "}}")
            }
            _ => {
                self.skip(node, bytes)?;
                write!(out, "…")
            }
        };
        Ok(())
    }
}

/// A hash of nothing.
struct Nowhere;

impl Hasher for Nowhere {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], ReadError> {
    let (value, rest) = bytes
        .split_at_checked(count)
        .ok_or_else(|| ReadError("it ends within a value".into()))?;
    *bytes = rest;
    Ok(value)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ReadError> {
    let value = take(bytes, N)?;
    value
        .try_into()
        .map_err(|_| ReadError("it ends within a number".into()))
}

/// A zigzag varint.
pub(super) fn long(bytes: &mut &[u8]) -> Result<i64, ReadError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(ReadError("a number has more than 64 bits".into()))
}

/// The bytes of a string or of bytes.
pub(super) fn counted<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], ReadError> {
    let length = usize::try_from(long(bytes)?);
    take(
        bytes,
        length.map_err(|_| ReadError("a length is negative".into()))?,
    )
}

#[derive(Default)]
struct Parser {
    nodes: Vec<Node>,
    /// Full name to node and signature.
    named: HashMap<String, (usize, String)>,
}

impl Parser {
    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The node of a schema, and its signature.
    fn node(&mut self, json: &Json, namespace: &str) -> Result<(usize, String), ReadError> {
        match json {
            Json::String(name) => self.simple(name, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => {
                let kind = &json["type"];
                let Json::String(name) = kind else {
                    return self.node(kind, namespace);
                };
                let (node, form) = match name.as_str() {
                    "record" | "error" => return self.record(json, namespace),
                    "array" => {
                        let (element, signature) = self.node(&json["items"], namespace)?;
                        (self.add(Node::Array(element)), format!("[{signature}]"))
                    }
                    "map" => {
                        let (value, signature) = self.node(&json["values"], namespace)?;
                        (self.add(Node::Map(value)), format!("{{{signature}}}"))
                    }
                    "enum" | "fixed" => return self.leaf(json, name, namespace),
                    name => self.simple(name, namespace)?,
                };
                let mut signature = form;
                for key in ["connect.name", "logicalType", "scale"] {
                    if let Some(value) = object.get(key) {
                        let _ = write!(signature, " {value}");
                    }
                }
                Ok((node, signature))
            }
            _ => Err(ReadError(
                "a type is neither a name nor a definition".into(),
            )),
        }
    }

    fn simple(&mut self, name: &str, namespace: &str) -> Result<(usize, String), ReadError> {
        let node = match name {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" | "long" => return Ok((self.add(Node::Integer), "integer".into())),
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" => Node::Bytes,
            "string" => Node::String,
            _ => {
                let known = self.named.get(&full_name(name, namespace));
                let known = known.or_else(|| self.named.get(name));
                return known
                    .cloned()
                    .ok_or_else(|| ReadError(format!("the type {name:?} is not defined")));
            }
        };
        Ok((self.add(node), name.to_owned()))
    }

    fn union(&mut self, branches: &[Json], namespace: &str) -> Result<(usize, String), ReadError> {
        let mut nodes = Vec::new();
        let mut signature = None;
        for branch in branches {
            let (node, form) = self.node(branch, namespace)?;
            nodes.push(node);
            // The further branches are for values that do not fit the first; their bytes differ anyhow.
            if form != "null" {
                signature.get_or_insert(form);
            }
        }
        let signature = signature.unwrap_or_else(|| "null".into());
        Ok((self.add(Node::Union(nodes)), signature))
    }

    fn leaf(
        &mut self,
        json: &Json,
        kind: &str,
        namespace: &str,
    ) -> Result<(usize, String), ReadError> {
        let (name, _) = named(json, namespace)?;
        let node = if kind == "fixed" {
            let size = json["size"]
                .as_u64()
                .and_then(|it| usize::try_from(it).ok());
            Node::Fixed(size.ok_or_else(|| ReadError("a fixed type has no size".into()))?)
        } else {
            let symbols = json["symbols"].as_array().into_iter().flatten();
            Node::Enum(
                symbols
                    .filter_map(|it| Some(it.as_str()?.to_owned()))
                    .collect(),
            )
        };
        let node = self.add(node);
        self.named.insert(name, (node, kind.to_owned()));
        Ok((node, kind.to_owned()))
    }

    fn record(&mut self, json: &Json, namespace: &str) -> Result<(usize, String), ReadError> {
        let (name, namespace) = named(json, namespace)?;
        let node = self.add(Node::Record(Vec::new()));
        // A record that refers to itself is known by its name.
        self.named.insert(name.clone(), (node, name.clone()));
        let mut fields = Vec::new();
        let mut signature = String::from("(");
        for field in json["fields"].as_array().into_iter().flatten() {
            let field_name = field["name"]
                .as_str()
                .ok_or_else(|| ReadError("a field has no name".into()))?;
            let (node, form) = self.node(&field["type"], &namespace)?;
            let _ = write!(signature, "{field_name}:{form},");
            fields.push(Field {
                name: field_name.to_owned(),
                node,
                signature: form,
            });
        }
        signature.push(')');
        if let Some(semantic) = json.get("connect.name") {
            let _ = write!(signature, " {semantic}");
        }
        self.nodes[node] = Node::Record(fields);
        self.named.insert(name, (node, signature.clone()));
        Ok((node, signature))
    }
}

/// Full name and namespace of a named type.
fn named(json: &Json, namespace: &str) -> Result<(String, String), ReadError> {
    let name = json["name"]
        .as_str()
        .ok_or_else(|| ReadError("a named type has no name".into()))?;
    let own = json["namespace"].as_str().unwrap_or(namespace);
    let full = full_name(name, own);
    let namespace = full.rsplit_once('.').map_or("", |(before, _)| before);
    Ok((full.clone(), namespace.to_owned()))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}
