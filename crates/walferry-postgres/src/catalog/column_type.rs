//! What a column's type is, down to what its text looks like.
//!
//! Owns the answers about `pg_type` for one table, and the way from a type to its base, its elements and its fields.
//! Never: asks per column.
//! Invariant: following a type ends: after [`DEPTH_MAX`] steps, or [`PARTS_MAX`] parts in all, it is its text.
//! Source: PostgreSQL documentation, `pg_type`, `pg_enum`, `pg_attribute`.

use std::{cell::Cell, collections::HashMap};

use walferry_event::{ArrayType, ColumnType, CompositeType, TypeKind};

use super::{Catalog, value};
use crate::Error;

/// Domains over domains, arrays of them, composites of these; nobody nests deeper on purpose.
const DEPTH_MAX: usize = 32;

/// Fields, elements and bases of one column, all told: composites of composites could multiply without end.
const PARTS_MAX: usize = 10_000;

/// The types that a table's columns lead to.
#[derive(Default)]
pub(super) struct Types(HashMap<u32, Known>);

struct Known {
    name: String,
    sort: Sort,
}

enum Sort {
    Scalar,
    /// Its text has this many digits after the point, which is the locale's choice.
    Money {
        fraction: i32,
    },
    Enum(Vec<String>),
    Array {
        element: u32,
        delimiter: u8,
    },
    Domain {
        base: u32,
        modifier: i32,
        dimensions: u32,
    },
    Composite {
        schema: String,
        fields: Vec<Attribute>,
    },
    Other,
}

/// A field of a composite type.
struct Attribute {
    name: String,
    oid: u32,
    modifier: i32,
    dimensions: u32,
}

impl Catalog {
    /// These types, and all that they are made of.
    pub(super) async fn types(&self, doing: &str, oids: Vec<u32>) -> Result<Types, Error> {
        // A true array is what another type calls its array; int2vector has elements, too, but its text is no array's.
        const QUESTION: &str = "\
            WITH RECURSIVE needed (oid, steps) AS (
                SELECT * FROM (SELECT pg_catalog.unnest($1::oid[]), 1) AS asked
              UNION
                SELECT m.oid, n.steps + 1
                FROM needed n CROSS JOIN LATERAL (
                    SELECT d.typbasetype FROM pg_catalog.pg_type d WHERE d.oid = n.oid AND d.typtype = 'd'
                  UNION ALL
                    SELECT e.oid FROM pg_catalog.pg_type e WHERE e.typarray = n.oid
                  UNION ALL
                    SELECT a.atttypid FROM pg_catalog.pg_type c
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.typrelid
                    WHERE c.oid = n.oid AND c.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped) AS m (oid)
                WHERE n.steps < 32),
            types (oid) AS (SELECT DISTINCT oid FROM needed)
            SELECT t.oid, t.typname::text, t.typtype::text, s.nspname::text, t.typbasetype, t.typtypmod,
                   t.typndims::int, e.oid, e.typdelim::text,
                   ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l
                         WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder),
                   a.names, a.types, a.modifiers, a.dimensions,
                   CASE t.oid WHEN 'pg_catalog.money'::regtype THEN pg_catalog.length(
                       pg_catalog.regexp_replace('1'::pg_catalog.money::text, '[^0-9]', '', 'g')) - 1 END
            FROM types n
            JOIN pg_catalog.pg_type t ON t.oid = n.oid
            JOIN pg_catalog.pg_namespace s ON s.oid = t.typnamespace
            LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid
            CROSS JOIN LATERAL (
                SELECT coalesce(pg_catalog.array_agg(f.attname::text ORDER BY f.attnum), '{}') AS names,
                       coalesce(pg_catalog.array_agg(f.atttypid ORDER BY f.attnum), '{}') AS types,
                       coalesce(pg_catalog.array_agg(f.atttypmod ORDER BY f.attnum), '{}') AS modifiers,
                       coalesce(pg_catalog.array_agg(f.attndims::int ORDER BY f.attnum), '{}') AS dimensions
                FROM pg_catalog.pg_attribute f
                WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped) AS a";
        let mut types = Types::default();
        for row in self.all_again(doing, QUESTION, &[&oids]).await? {
            let code: String = value(doing, &row, 2)?;
            let element: Option<u32> = value(doing, &row, 7)?;
            let delimiter: Option<String> = value(doing, &row, 8)?;
            let money: Option<i32> = value(doing, &row, 14)?;
            let sort = match (code.as_str(), element) {
                ("d", _) => Sort::Domain {
                    base: value(doing, &row, 4)?,
                    modifier: value(doing, &row, 5)?,
                    dimensions: dimensions(value(doing, &row, 6)?),
                },
                ("e", _) => Sort::Enum(value(doing, &row, 9)?),
                ("c", _) => Sort::Composite {
                    schema: value(doing, &row, 3)?,
                    fields: attributes(doing, &row)?,
                },
                ("b", Some(element)) => Sort::Array {
                    element,
                    delimiter: delimiter.and_then(|it| it.bytes().next()).unwrap_or(b','),
                },
                ("b", None) => match money {
                    Some(fraction) => Sort::Money { fraction },
                    None => Sort::Scalar,
                },
                _ => Sort::Other,
            };
            let known = Known {
                name: value(doing, &row, 1)?,
                sort,
            };
            types.0.insert(value(doing, &row, 0)?, known);
        }
        Ok(types)
    }
}

fn attributes(doing: &str, row: &tokio_postgres::Row) -> Result<Vec<Attribute>, Error> {
    let names: Vec<String> = value(doing, row, 10)?;
    let oids: Vec<u32> = value(doing, row, 11)?;
    let modifiers: Vec<i32> = value(doing, row, 12)?;
    let dims: Vec<i32> = value(doing, row, 13)?;
    let fields = names.into_iter().zip(oids).zip(modifiers).zip(dims);
    let attribute = |(((name, oid), modifier), dims)| Attribute {
        name,
        oid,
        modifier,
        dimensions: dimensions(dims),
    };
    Ok(fields.map(attribute).collect())
}

/// `attndims` and `typndims`, which are never negative.
pub(super) fn dimensions(declared: i32) -> u32 {
    u32::try_from(declared).unwrap_or(0)
}

impl Types {
    /// The type with domains followed. One that the catalog does not know any more goes out as its text.
    pub(super) fn resolve(&self, oid: u32, modifier: i32, dimensions: u32) -> ColumnType {
        let parts = Cell::new(PARTS_MAX);
        self.follow(oid, modifier, dimensions, DEPTH_MAX, &parts)
    }

    fn follow(
        &self,
        oid: u32,
        modifier: i32,
        dimensions: u32,
        depth: usize,
        parts: &Cell<usize>,
    ) -> ColumnType {
        parts.set(parts.get().saturating_sub(1));
        let kind = |name: &str, kind| ColumnType {
            oid,
            name: name.to_owned(),
            modifier,
            kind,
        };
        let Some(Known { name, sort }) = self.0.get(&oid) else {
            return kind("unknown", TypeKind::Other);
        };
        match sort {
            Sort::Scalar => kind(name, TypeKind::Scalar),
            &Sort::Money { fraction } => ColumnType {
                modifier: fraction,
                ..kind(name, TypeKind::Scalar)
            },
            Sort::Enum(labels) => kind(name, TypeKind::Enum(labels.clone())),
            Sort::Other => kind(name, TypeKind::Other),
            _ if depth == 0 || parts.get() == 0 => kind(name, TypeKind::Other),
            // The modifier of an array's column is its elements'.
            &Sort::Array { element, delimiter } => {
                let array = ArrayType {
                    element: self.follow(element, modifier, 0, depth - 1, parts),
                    of_domain: matches!(
                        self.0.get(&element).map(|known| &known.sort),
                        Some(Sort::Domain { .. })
                    ),
                    delimiter,
                    dimensions,
                };
                kind(name, TypeKind::Array(Box::new(array)))
            }
            &Sort::Domain {
                base,
                modifier: own,
                dimensions: inner,
            } => {
                let modifier = if own == -1 { modifier } else { own };
                self.follow(base, modifier, dimensions.max(inner), depth - 1, parts)
            }
            Sort::Composite { schema, fields } => {
                let follow = |field: &Attribute| {
                    let &Attribute {
                        oid,
                        modifier,
                        dimensions,
                        ..
                    } = field;
                    let followed = self.follow(oid, modifier, dimensions, depth - 1, parts);
                    (field.name.clone(), followed)
                };
                let composite = CompositeType {
                    schema: schema.clone(),
                    fields: fields.iter().map(follow).collect(),
                };
                kind(name, TypeKind::Composite(composite))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(list: Vec<(u32, &str, Sort)>) -> Types {
        let known = |(oid, name, sort): (u32, &str, Sort)| {
            let name = name.to_owned();
            (oid, Known { name, sort })
        };
        Types(list.into_iter().map(known).collect())
    }

    fn array(element: u32) -> Sort {
        Sort::Array {
            element,
            delimiter: b',',
        }
    }

    #[test]
    fn composites_are_followed_into_their_fields() {
        let field = |name: &str, oid, modifier, dimensions| Attribute {
            name: name.to_owned(),
            oid,
            modifier,
            dimensions,
        };
        let pair = Sort::Composite {
            schema: "shop".to_owned(),
            fields: vec![field("n", 1700, 9, 0), field("list", 1231, -1, 2)],
        };
        let types = types(vec![
            (1700, "numeric", Sort::Scalar),
            (1231, "_numeric", array(1700)),
            (90, "pair", pair),
            (91, "_pair", array(90)),
        ]);
        let TypeKind::Array(pairs) = types.resolve(91, -1, 1).kind else {
            panic!("an array was expected");
        };
        let TypeKind::Composite(pair) = pairs.element.kind else {
            panic!("a composite was expected");
        };
        assert_eq!((&*pairs.element.name, &*pair.schema), ("pair", "shop"));
        let [(n, number), (list, numbers)] = &pair.fields[..] else {
            panic!("two fields were expected");
        };
        assert_eq!((&**n, number.modifier, &**list), ("n", 9, "list"));
        assert!(matches!(&numbers.kind, TypeKind::Array(array) if array.dimensions == 2));
    }

    #[test]
    fn domains_are_followed_and_the_inner_modifier_counts() {
        let types = types(vec![
            (1700, "numeric", Sort::Scalar),
            (1231, "_numeric", array(1700)),
            (
                90,
                "price",
                Sort::Domain {
                    base: 1700,
                    modifier: 655_366,
                    dimensions: 0,
                },
            ),
            (
                91,
                "net_price",
                Sort::Domain {
                    base: 90,
                    modifier: -1,
                    dimensions: 0,
                },
            ),
            (92, "_net_price", array(91)),
        ]);
        let net = types.resolve(91, -1, 0);
        assert_eq!(
            (net.oid, &*net.name, net.modifier),
            (1700, "numeric", 655_366)
        );
        let TypeKind::Array(array) = types.resolve(92, -1, 0).kind else {
            panic!("an array was expected");
        };
        assert_eq!((array.element.oid, array.element.modifier), (1700, 655_366));
        assert!(array.of_domain);
        let TypeKind::Array(array) = types.resolve(1231, 7, 2).kind else {
            panic!("an array was expected");
        };
        assert_eq!((array.element.modifier, array.dimensions), (7, 2));
        assert!(!array.of_domain);
    }

    #[test]
    fn an_unknown_type_and_a_circle_end_as_text() {
        let types = types(vec![(
            1,
            "loop",
            Sort::Domain {
                base: 1,
                modifier: -1,
                dimensions: 0,
            },
        )]);
        assert_eq!(types.resolve(1, -1, 0).kind, TypeKind::Other);
        let gone = types.resolve(77, -1, 0);
        assert_eq!((gone.oid, gone.kind), (77, TypeKind::Other));
    }
}
