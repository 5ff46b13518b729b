//! The order in which the rows of a table are read: by its key, or by where they lie.
//!
//! Owns [`RowOrder`]: the columns, the operators that compare them and the types of a bound. Only the server compares keys, with the
//! operators and the collation of the key's own index; each is written with its schema, so that no search path and no
//! operator of a user's is in between.
//! Invariant: what follows a key, what is up to it and the order itself are of one operator class and one collation, so that
//! each row is in exactly one of the ranges that a table is cut into.
//! Source: PostgreSQL documentation, `pg_index`, `pg_opclass`, `pg_amop`, "Row Constructor Comparison".

use walferry_event::{Relation, RowKey};

use super::questions::Questions;
use crate::{
    Error,
    quote::{quote_ident, quote_literal},
    session::unexpected,
};

/// By what rows are ordered.
#[derive(Clone, Debug, Default)]
pub(super) struct RowOrder {
    /// Columns of the relation, in the order of the key; empty when rows are ordered by where they lie.
    pub(super) key: Vec<usize>,
    columns: Vec<OrderColumn>,
    /// The index, and its definition as the server prints it.
    pub(super) index: Option<(u32, String)>,
}

/// One of the columns that rows are ordered by.
#[derive(Clone, Debug)]
pub(super) struct OrderColumn {
    /// As it is read.
    pub(super) name: String,
    /// As it is compared: with the collation of the index, where that is not the column's.
    pub(super) compared: String,
    /// Type of a bound.
    pub(super) cast: String,
    /// The operators `<`, `<=`, `=`, `>=` and `>` of its operator class.
    pub(super) operators: [String; 5],
    /// What a key's text depends on, beside its value.
    pub(super) meaning: String,
}

const LESS: usize = 0;
const AT_MOST: usize = 1;
const EQUAL: usize = 2;
const AT_LEAST: usize = 3;
const MORE: usize = 4;

/// Operators that the server has for its own types.
const PLAIN: [&str; 5] = ["<", "<=", "=", ">=", ">"];

/// The columns of the primary key, else of the index that is the replica identity. Operators are those of the index's own
/// operator class; an index that is not of a B-tree has none that order, and its types are compared by their own.
const QUESTION: &str = "\
SELECT a.attname, a.attnum, i.indexrelid, pg_catalog.pg_get_indexdef(i.indexrelid),
       pg_catalog.format('%I.%I', tn.nspname, t.typname),
       CASE WHEN a.atttypid <> b.oid AND i.polymorphic THEN 't' END,
       CASE WHEN l.oid <> a.attcollation THEN pg_catalog.format('%I.%I', ln.nspname, l.collname) END,
       o.less, o.at_most, o.equal, o.at_least, o.more,
       CASE WHEN l.oid IS NOT NULL THEN pg_catalog.format('%I.%I', ln.nspname, l.collname) END
FROM (SELECT x.*, p.attnum, p.place, c.opcfamily, c.opcintype, m.amname, y.typtype = 'p' AS polymorphic
      FROM (SELECT * FROM pg_catalog.pg_index i
            WHERE i.indrelid = $oid AND i.indisvalid AND (i.indisprimary OR i.indisreplident)
            ORDER BY i.indisprimary DESC LIMIT 1) x
      CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::smallint[]) WITH ORDINALITY AS p (attnum, place)
      JOIN pg_catalog.pg_opclass c ON c.oid = x.indclass[p.place - 1]
      JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod
      JOIN pg_catalog.pg_type y ON y.oid = c.opcintype
      WHERE p.place <= x.indnkeyatts) i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.attnum
CROSS JOIN LATERAL (
    WITH RECURSIVE base (oid) AS (
        SELECT a.atttypid
        UNION ALL
        SELECT d.typbasetype FROM base JOIN pg_catalog.pg_type d ON d.oid = base.oid WHERE d.typtype = 'd')
    SELECT base.oid FROM base JOIN pg_catalog.pg_type d ON d.oid = base.oid WHERE d.typtype <> 'd') b
JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN i.polymorphic OR i.amname <> 'btree' THEN b.oid ELSE i.opcintype END
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_collation l ON l.oid = i.indcollation[i.place - 1]
LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.max(f.name) FILTER (WHERE f.strategy = 1) AS less, pg_catalog.max(f.name) FILTER (WHERE f.strategy = 2) AS at_most,
           pg_catalog.max(f.name) FILTER (WHERE f.strategy = 3) AS equal, pg_catalog.max(f.name) FILTER (WHERE f.strategy = 4) AS at_least,
           pg_catalog.max(f.name) FILTER (WHERE f.strategy = 5) AS more
    FROM (SELECT m.amopstrategy AS strategy, pg_catalog.format('OPERATOR(%I.%s)', n.nspname, g.oprname) AS name
          FROM pg_catalog.pg_amop m
          JOIN pg_catalog.pg_operator g ON g.oid = m.amopopr
          JOIN pg_catalog.pg_namespace n ON n.oid = g.oprnamespace
          WHERE i.amname = 'btree' AND m.amopfamily = i.opcfamily AND m.amoppurpose = 's'
            AND m.amoplefttype = i.opcintype AND m.amoprighttype = i.opcintype) f) o
ORDER BY i.place";

/// The order of a table as the catalog has it now.
pub(super) async fn describe(
    reader: &Questions,
    relation: &Relation,
    partitioned: bool,
) -> Result<RowOrder, Error> {
    let doing = &format!("asking for the key of table {}", relation.qualified_name());
    let question = QUESTION.replace("$oid", &relation.oid.to_string());
    let mut order = RowOrder::default();
    for row in reader.rows(doing, &question).await? {
        let [
            Some(name),
            Some(number),
            Some(index),
            definition,
            Some(cast),
            as_base,
            collation,
            operators @ ..,
            collated,
        ] = row.as_slice()
        else {
            return Err(unexpected(doing, "a key column without a name"));
        };
        let Some(place) = relation.columns.iter().position(|c| c.name == *name) else {
            // Not published: the rows cannot be told by it.
            return Ok(RowOrder::by_place(partitioned));
        };
        let mut compared = quote_ident(name);
        if as_base.is_some() {
            // Operators of polymorphic types do not know a domain for its base.
            compared = format!("({compared}::{cast})");
        }
        if let Some(collation) = collation {
            compared.push_str(&format!(" COLLATE {collation}"));
        }
        let operators = plain_or(operators);
        let index = index
            .parse()
            .map_err(|_| unexpected(doing, "no number of an index"))?;
        order.index = definition.clone().map(|it| (index, it));
        order.key.push(place);
        order.columns.push(OrderColumn {
            name: quote_ident(name),
            compared,
            meaning: format!(
                "{number} {cast} {} {}",
                collated.as_deref().unwrap_or("-"),
                operators[LESS]
            ),
            cast: cast.clone(),
            operators,
        });
    }
    if order.key.is_empty() {
        return Ok(RowOrder::by_place(partitioned));
    }
    Ok(order)
}

/// The operators that were found, or the server's own when one is missing.
fn plain_or(found: &[Option<String>]) -> [String; 5] {
    let whole: Option<Vec<String>> = found.iter().cloned().collect();
    whole
        .and_then(|it| it.try_into().ok())
        .unwrap_or_else(|| PLAIN.map(|it| format!("OPERATOR(pg_catalog.{it})")))
}

impl RowOrder {
    /// By file and place in it.
    pub(super) fn by_place(partitioned: bool) -> RowOrder {
        let column = |name: &str, of: &str| OrderColumn {
            name: name.to_owned(),
            compared: name.to_owned(),
            cast: format!("pg_catalog.{of}"),
            operators: PLAIN.map(|it| format!("OPERATOR(pg_catalog.{it})")),
            meaning: String::new(),
        };
        let file = partitioned.then(|| column("tableoid", "oid"));
        RowOrder {
            key: Vec::new(),
            columns: file.into_iter().chain([column("ctid", "tid")]).collect(),
            index: None,
        }
    }

    #[cfg(test)]
    pub(super) fn by_key(key: &[usize], columns: Vec<OrderColumn>) -> RowOrder {
        RowOrder {
            key: key.to_vec(),
            columns,
            index: None,
        }
    }

    /// What the text of a key depends on: keys of another meaning cannot be compared with these. Empty when rows are ordered
    /// by where they lie.
    pub(super) fn meaning(&self) -> String {
        let meanings = self.columns.iter().map(|it| it.meaning.as_str());
        meanings
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// How many columns a key has.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The columns as they are read.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|it| it.name.as_str()).collect();
        names.join(", ")
    }

    /// Behind ORDER BY.
    pub(super) fn sorting(&self) -> String {
        let columns = self.columns.iter();
        let sorts: Vec<String> = columns
            .map(|it| format!("{} USING {}", it.compared, it.operators[LESS]))
            .collect();
        sorts.join(", ")
    }

    /// Rows behind a key.
    pub(super) fn after(&self, key: &RowKey) -> String {
        self.bound(key, MORE, AT_LEAST)
    }

    /// Rows up to a key and with it.
    pub(super) fn until(&self, key: &RowKey) -> String {
        self.bound(key, AT_MOST, AT_MOST)
    }

    /// Where the columns' operators have one name, the server compares rows, and finds them by the index; else they
    /// are compared one after the other, of which the first finds them.
    fn bound(&self, key: &RowKey, last: usize, first: usize) -> String {
        let [head, rest @ ..] = self.columns.as_slice() else {
            return "true".to_owned();
        };
        let operator = &head.operators[last];
        if rest.is_empty() {
            return key
                .first()
                .map_or_else(|| "true".to_owned(), |text| head.compare(last, text));
        }
        if rest.iter().all(|it| it.operators[last] == *operator) {
            let columns: Vec<&str> = self.columns.iter().map(|it| &*it.compared).collect();
            let values = self.columns.iter().zip(key);
            let values: Vec<String> = values.map(|(it, text)| it.literal(text)).collect();
            return format!(
                "({}) {operator} ({})",
                columns.join(", "),
                values.join(", ")
            );
        }
        let beyond = if last == MORE { MORE } else { LESS };
        let mut parts = String::new();
        let mut ends = String::new();
        for (i, (column, text)) in self.columns.iter().zip(key).enumerate() {
            if i + 1 == self.columns.len() {
                parts.push_str(&column.compare(last, text));
                break;
            }
            parts.push_str(&format!(
                "({} AND ({} OR {} AND ",
                column.compare(first, text),
                column.compare(beyond, text),
                column.compare(EQUAL, text)
            ));
            ends.push_str("))");
        }
        parts + &ends
    }
}

impl OrderColumn {
    fn literal(&self, text: &str) -> String {
        format!("{}::{}", quote_literal(text), self.cast)
    }

    fn compare(&self, operator: usize, text: &str) -> String {
        format!(
            "{} {} {}",
            self.compared,
            self.operators[operator],
            self.literal(text)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, schema: &str) -> OrderColumn {
        OrderColumn {
            name: quote_ident(name),
            compared: quote_ident(name),
            cast: format!("{schema}.t"),
            operators: PLAIN.map(|it| format!("OPERATOR({schema}.{it})")),
            meaning: format!("1 {schema}.t - <"),
        }
    }

    #[test]
    fn bounds_have_the_operators_and_the_types_of_the_key() {
        let key = vec!["1".to_owned(), "it's".to_owned()];
        let alike = RowOrder::by_key(&[0, 1], vec![column("a", "s"), column("b", "s")]);
        assert_eq!(
            alike.after(&key),
            "(\"a\", \"b\") OPERATOR(s.>) ('1'::s.t, 'it''s'::s.t)"
        );
        let unlike = RowOrder::by_key(&[0, 1], vec![column("a", "s"), column("b", "x")]);
        assert_eq!(
            unlike.after(&key),
            "(\"a\" OPERATOR(s.>=) '1'::s.t AND (\"a\" OPERATOR(s.>) '1'::s.t OR \"a\" OPERATOR(s.=) '1'::s.t AND \
             \"b\" OPERATOR(x.>) 'it''s'::x.t))"
        );
        assert_eq!(
            unlike.until(&key),
            "(\"a\" OPERATOR(s.<=) '1'::s.t AND (\"a\" OPERATOR(s.<) '1'::s.t OR \"a\" OPERATOR(s.=) '1'::s.t AND \
             \"b\" OPERATOR(x.<=) 'it''s'::x.t))"
        );
        assert_eq!(
            unlike.sorting(),
            "\"a\" USING OPERATOR(s.<), \"b\" USING OPERATOR(x.<)"
        );
        assert_eq!(unlike.meaning(), "1 s.t - <, 1 x.t - <");
        let place = RowOrder::by_place(true);
        assert_eq!(place.meaning(), "");
        assert_eq!(
            place.after(&vec!["7".to_owned(), "(1,2)".to_owned()]),
            "(tableoid, ctid) OPERATOR(pg_catalog.>) ('7'::pg_catalog.oid, '(1,2)'::pg_catalog.tid)"
        );
        assert_eq!(
            RowOrder::by_place(false).until(&vec!["(1,2)".to_owned()]),
            "ctid OPERATOR(pg_catalog.<=) '(1,2)'::pg_catalog.tid"
        );
    }
}
