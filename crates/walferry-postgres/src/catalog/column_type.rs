//! What a column's type is, down to what its text looks like.
//!
//! Owns the answers about `pg_type` for one table, and the way from a type to its base. Never: asks per column.
//! Invariant: following a type ends: after [`DEPTH_MAX`] steps it is what it is.
//! Source: PostgreSQL documentation, `pg_type`, `pg_enum`.

use std::collections::HashMap;

use walferry_event::{ColumnType, TypeKind};

use super::{Catalog, value};
use crate::Error;

/// Domains over domains and arrays of them; nobody nests deeper on purpose.
const DEPTH_MAX: usize = 32;

/// The types that a table's columns lead to.
#[derive(Default)]
pub(super) struct Types(HashMap<u32, Known>);

struct Known {
    name: String,
    sort: Sort,
}

enum Sort {
    Scalar,
    Enum(Vec<String>),
    Array { element: u32 },
    Domain { base: u32, modifier: i32 },
    Other,
}

impl Catalog {
    /// These types, and all that they are made of.
    pub(super) async fn types(&self, doing: &str, oids: Vec<u32>) -> Result<Types, Error> {
        // A true array is what another type calls its array; int2vector has elements, too, but its text is no array's.
        const QUESTION: &str = "\
            WITH RECURSIVE needed (oid, made_of, steps) AS (
                SELECT t.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype
                                   ELSE (SELECT e.oid FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) END, 1
                FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1)
              UNION
                SELECT t.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype
                                   ELSE (SELECT e.oid FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) END,
                       n.steps + 1
                FROM needed n JOIN pg_catalog.pg_type t ON t.oid = n.made_of WHERE n.steps < 32)
            SELECT DISTINCT t.oid, t.typname::text, t.typtype::text, n.made_of, t.typtypmod,
                   ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l
                         WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder)
            FROM needed n JOIN pg_catalog.pg_type t ON t.oid = n.oid";
        let mut types = Types::default();
        for row in self.all(doing, QUESTION, &[&oids]).await? {
            let code: String = value(doing, &row, 2)?;
            let made_of: Option<u32> = value(doing, &row, 3)?;
            let sort = match (code.as_str(), made_of) {
                ("d", Some(base)) => Sort::Domain {
                    base,
                    modifier: value(doing, &row, 4)?,
                },
                ("e", _) => Sort::Enum(value(doing, &row, 5)?),
                ("b", Some(element)) => Sort::Array { element },
                ("b", None) => Sort::Scalar,
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

impl Types {
    /// The type with domains followed. One that the catalog does not know any more goes out as its text.
    pub(super) fn resolve(&self, oid: u32, modifier: i32) -> ColumnType {
        self.follow(oid, modifier, DEPTH_MAX)
    }

    fn follow(&self, oid: u32, modifier: i32, depth: usize) -> ColumnType {
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
            Sort::Enum(labels) => kind(name, TypeKind::Enum(labels.clone())),
            Sort::Other => kind(name, TypeKind::Other),
            _ if depth == 0 => kind(name, TypeKind::Other),
            // The modifier of an array's column is its elements'.
            &Sort::Array { element } => {
                let element = self.follow(element, modifier, depth - 1);
                kind(name, TypeKind::Array(Box::new(element)))
            }
            &Sort::Domain {
                base,
                modifier: own,
            } => {
                let modifier = if own == -1 { modifier } else { own };
                self.follow(base, modifier, depth - 1)
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

    #[test]
    fn domains_are_followed_and_the_inner_modifier_counts() {
        let types = types(vec![
            (1700, "numeric", Sort::Scalar),
            (1231, "_numeric", Sort::Array { element: 1700 }),
            (
                90,
                "price",
                Sort::Domain {
                    base: 1700,
                    modifier: 655_366,
                },
            ),
            (
                91,
                "net_price",
                Sort::Domain {
                    base: 90,
                    modifier: -1,
                },
            ),
            (92, "_net_price", Sort::Array { element: 91 }),
        ]);
        let net = types.resolve(91, -1);
        assert_eq!(
            (net.oid, &*net.name, net.modifier),
            (1700, "numeric", 655_366)
        );
        let TypeKind::Array(element) = types.resolve(92, -1).kind else {
            panic!("an array was expected");
        };
        assert_eq!((element.oid, element.modifier), (1700, 655_366));
        let TypeKind::Array(element) = types.resolve(1231, 7).kind else {
            panic!("an array was expected");
        };
        assert_eq!(element.modifier, 7);
    }

    #[test]
    fn an_unknown_type_and_a_circle_end_as_text() {
        let types = types(vec![(
            1,
            "loop",
            Sort::Domain {
                base: 1,
                modifier: -1,
            },
        )]);
        assert_eq!(types.resolve(1, -1).kind, TypeKind::Other);
        let gone = types.resolve(77, -1);
        assert_eq!((gone.oid, gone.kind), (77, TypeKind::Other));
    }
}
