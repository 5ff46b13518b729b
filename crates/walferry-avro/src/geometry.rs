//! PostgreSQL's own geometric types, and PostGIS, to the records that consumers know.
//!
//! ```text
//! point    (x,y)                       Point     x y wkb srid
//! lseg     [(x,y),(x,y)]               Geometry  WKB line string of two points
//! box      (x,y),(x,y)                 Geometry  WKB polygon, from the upper right corner round and back
//! path     [(x,y),…]  or  ((x,y),…)    Geometry  WKB line string as it is; `closed` says which of the two
//! polygon  ((x,y),…)                   Geometry  WKB polygon of one ring, closed
//! circle   <(x,y),r>                   Circle    center radius
//! line     {a,b,c}                     Line      a b c
//! PostGIS  hexadecimal EWKB            Geometry or Geography: the same bytes, and their srid
//!
//! WKB      | 1: little-endian | type, 4 bytes | count … | x, y: 8 bytes each … |
//! EWKB     the same with flags in the type; 0x20000000: an srid of 4 bytes follows it
//! ```
//!
//! Source: PostgreSQL documentation, "Geometric Types"; OGC 06-103r4, "Well-known Binary"; PostGIS manual, `ST_AsEWKB`.

use crate::bytea;
use crate::error::{EncodeErrorKind, Written};
use crate::format::BinaryMode;
use crate::numeric;
use crate::schema::{Avro, Field, Place, Record, TypeSchema};
use crate::wire::{self, BRANCH_0, BRANCH_1, Block};

/// Which geometric type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Geometry {
    Point,
    Lseg,
    Box,
    Path,
    Polygon,
    Circle,
    Line,
    /// PostGIS `geometry`.
    Planar,
    /// PostGIS `geography`.
    Geodetic,
}

const NAMESPACE: &str = "io.debezium.data.geometry";
const LINE_STRING: u32 = 2;
const POLYGON: u32 = 3;
const SRID_FLAG: u32 = 0x2000_0000;

impl Geometry {
    pub(crate) fn schema(self) -> TypeSchema {
        let double = || TypeSchema::plain(Avro::Double);
        let record = |name, doc, fields| Record::debezium(NAMESPACE, name, doc, fields);
        let srid = || Field::nullable("srid", TypeSchema::plain(Avro::Int));
        let wkb = || TypeSchema::plain(Avro::Bytes);
        TypeSchema::record(match self {
            Geometry::Point => record(
                "Point",
                "Geometry (POINT)",
                vec![
                    Field::required("x", double()),
                    Field::required("y", double()),
                    Field::nullable("wkb", wkb()),
                    srid(),
                ],
            ),
            Geometry::Circle => record(
                "Circle",
                "Geometry (CIRCLE)",
                vec![
                    Field::required("center", Geometry::Point.schema()),
                    Field::required("radius", double()),
                ],
            ),
            Geometry::Line => record(
                "Line",
                "Geometry (LINE)",
                ["a", "b", "c"]
                    .map(|name| Field::required(name, double()))
                    .into(),
            ),
            Geometry::Geodetic => record(
                "Geography",
                "Geography",
                vec![Field::required("wkb", wkb()), srid()],
            ),
            _ => {
                let text = Place::required(TypeSchema::plain(Avro::String));
                let extensions = TypeSchema::plain(Avro::Map(Box::new(text)));
                let fields = vec![
                    Field::required("wkb", wkb()),
                    srid(),
                    Field::nullable("extensions", extensions),
                ];
                let mut geometry = record("Geometry", "Geometry", fields);
                geometry.version = Some(2);
                geometry
            }
        })
    }

    /// Whether it is one of PostgreSQL's own types, not PostGIS's.
    pub(crate) fn is_own(self) -> bool {
        !matches!(self, Geometry::Planar | Geometry::Geodetic)
    }

    /// Whether the field may be null even if the column is NOT NULL, as consumers know it.
    pub(crate) fn optional(self) -> bool {
        !matches!(self, Geometry::Point | Geometry::Geodetic)
    }

    /// The text of its zero.
    pub(crate) fn zero(self) -> &'static str {
        match self {
            Geometry::Point => "(0,0)",
            Geometry::Lseg => "[(0,0),(1,0)]",
            Geometry::Box => "(1,1),(0,0)",
            Geometry::Path => "[(0,0),(1,0)]",
            Geometry::Polygon => "((0,0),(1,0),(0,1))",
            Geometry::Circle => "<(0,0),0>",
            Geometry::Line => "{0,1,0}",
            // An empty collection.
            Geometry::Planar | Geometry::Geodetic => "010700000000000000",
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        match self {
            Geometry::Point => point(out, numbers(text, b"(#,#)")?),
            Geometry::Circle => {
                let [x, y, radius] = numbers(text, b"<(#,#),#>")?;
                point(out, [x, y])?;
                double(out, radius);
                Ok(())
            }
            Geometry::Line => {
                let factors: [f64; 3] = numbers(text, b"{#,#,#}")?;
                doubles(out, factors);
                Ok(())
            }
            Geometry::Lseg => {
                let [a, b, c, d] = numbers(text, b"[(#,#),(#,#)]")?;
                shape(out, LINE_STRING, &[[a, b], [c, d]], &[("type", "lseg")])
            }
            Geometry::Box => {
                let [right, top, left, bottom] = numbers(text, b"(#,#),(#,#)")?;
                let start = [right, top];
                let ring = [start, [right, bottom], [left, bottom], [left, top], start];
                shape(out, POLYGON, &ring, &[("type", "box")])
            }
            Geometry::Path => {
                let closed = text.first() == Some(&b'(');
                let points = if closed {
                    points(text, b'(', b')')?
                } else {
                    points(text, b'[', b']')?
                };
                let closed = if closed { "true" } else { "false" };
                let extensions = [("type", "path"), ("closed", closed)];
                shape(out, LINE_STRING, &points, &extensions)
            }
            Geometry::Polygon => {
                let mut ring = points(text, b'(', b')')?;
                if let [first, .., last] = ring[..]
                    && first != last
                {
                    ring.push(first);
                }
                shape(out, POLYGON, &ring, &[("type", "polygon")])
            }
            Geometry::Planar => {
                extended(out, text)?;
                // No extensions.
                out.push(BRANCH_0);
                Ok(())
            }
            Geometry::Geodetic => extended(out, text),
        }
    }
}

/// Reads text of this form, in which each `#` is a number.
fn numbers<const N: usize>(text: &[u8], form: &[u8]) -> Result<[f64; N], EncodeErrorKind> {
    let mut found = [0.0; N];
    let mut places = found.iter_mut();
    let mut rest = text;
    for &expected in form {
        if expected == b'#' {
            let place = places.next().ok_or(EncodeErrorKind::Malformed)?;
            (*place, rest) = number(rest)?;
        } else {
            rest = rest
                .strip_prefix(&[expected])
                .ok_or(EncodeErrorKind::Malformed)?;
        }
    }
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(EncodeErrorKind::Malformed)
    }
}

fn number(text: &[u8]) -> Result<(f64, &[u8]), EncodeErrorKind> {
    let ends = |byte: &u8| b",()[]<>{}".contains(byte);
    let end = text.iter().position(ends).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Ok((numeric::float(number)?, rest))
}

/// Any number of points between two brackets.
fn points(text: &[u8], open: u8, close: u8) -> Result<Vec<[f64; 2]>, EncodeErrorKind> {
    let malformed = EncodeErrorKind::Malformed;
    let body = text
        .strip_prefix(&[open])
        .and_then(|body| body.strip_suffix(&[close]));
    let mut rest = body.ok_or(malformed)?;
    let mut points = Vec::new();
    loop {
        let (x, after) = number(rest.strip_prefix(b"(").ok_or(malformed)?)?;
        let (y, after) = number(after.strip_prefix(b",").ok_or(malformed)?)?;
        points.push([x, y]);
        rest = after.strip_prefix(b")").ok_or(malformed)?;
        match rest {
            [] => return Ok(points),
            [b',', after @ ..] => rest = after,
            _ => return Err(malformed),
        }
    }
}

fn double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn doubles<const N: usize>(out: &mut Vec<u8>, values: [f64; N]) {
    for value in values {
        double(out, value);
    }
}

fn point(out: &mut Vec<u8>, coordinates: [f64; 2]) -> Written {
    doubles(out, coordinates);
    out.push(BRANCH_1);
    // Byte order, type, two numbers.
    wire::length(out, 1 + 4 + 16);
    out.extend_from_slice(&[1, 1, 0, 0, 0]);
    doubles(out, coordinates);
    // No srid.
    out.push(BRANCH_0);
    Ok(())
}

/// A `Geometry` of one line or one ring.
fn shape(
    out: &mut Vec<u8>,
    kind: u32,
    points: &[[f64; 2]],
    extensions: &[(&str, &str)],
) -> Written {
    // A value is far below 4 GiB.
    let count = u32::try_from(points.len()).map_err(|_| EncodeErrorKind::OutOfRange)?;
    let rings = kind == POLYGON;
    wire::length(out, 1 + 4 + 4 * usize::from(rings) + 4 + 16 * points.len());
    out.push(1);
    out.extend_from_slice(&kind.to_le_bytes());
    if rings {
        out.extend_from_slice(&1_u32.to_le_bytes());
    }
    out.extend_from_slice(&count.to_le_bytes());
    for &coordinates in points {
        doubles(out, coordinates);
    }
    // No srid.
    out.extend_from_slice(&[BRANCH_0, BRANCH_1]);
    let mut block = Block::open(out);
    for (key, value) in extensions {
        wire::bytes(out, key.as_bytes());
        wire::bytes(out, value.as_bytes());
        block.count += 1;
    }
    block.close(out);
    Ok(())
}

/// The bytes and the srid of hexadecimal EWKB.
fn extended(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let bytes = bytea::hex(text).ok_or(EncodeErrorKind::Malformed)?;
    let head: Vec<u8> = bytes.clone().take(9).collect();
    let (order, rest) = head.split_first().ok_or(EncodeErrorKind::Malformed)?;
    let word = |at: usize| {
        let bytes: [u8; 4] = rest.get(at..at + 4)?.try_into().ok()?;
        match order {
            0 => Some(u32::from_be_bytes(bytes)),
            1 => Some(u32::from_le_bytes(bytes)),
            _ => None,
        }
    };
    let kind = word(0).ok_or(EncodeErrorKind::Malformed)?;
    let srid = if kind & SRID_FLAG == 0 {
        None
    } else {
        Some(word(4).ok_or(EncodeErrorKind::Malformed)?)
    };
    bytea::raw(out, bytes, text.len() / 2, BinaryMode::Bytes);
    match srid {
        Some(srid) => {
            out.push(BRANCH_1);
            // A signed number in PostGIS, too.
            wire::long(out, i64::from(srid as i32));
        }
        None => out.push(BRANCH_0),
    }
    Ok(())
}
