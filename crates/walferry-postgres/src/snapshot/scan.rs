//! The order in which a table is read, and the commands that read and cut it.
//!
//! Owns [`TableScan`]. A table is ordered by its primary key, else by the index of its replica identity, else by where its rows lie
//! (`ctid`); `order` says how keys are compared.
//! Invariant: names and keys enter a command quoted; each row of a table is in exactly one of the ranges it is cut into.
//! Source: PostgreSQL documentation, `pg_index`, `pg_amop`, TABLESAMPLE, "System Columns".

use walferry_event::{Datum, Relation, RowKey, RowRange};

use super::{
    order::{self, RowOrder},
    questions::Questions,
};
use crate::{
    Error,
    copy_row::parse_copy_row,
    kind::Kind,
    quote::{quote_ident, quote_table},
    session::unexpected,
};

/// How a table is read.
#[derive(Clone, Debug)]
pub struct TableScan {
    /// The table.
    pub relation: Relation,
    /// Its rows as far as size and statistics tell.
    pub rows_estimated: u64,
    /// A condition that rows must fit, as SQL.
    pub condition: Option<String>,
    pub(super) order: RowOrder,
    /// The columns that are read, when it is not all of them: the others come as NULL.
    wanted: Option<Vec<usize>>,
    pub(super) partitioned: bool,
    /// Some columns may be read, not the table: then it cannot be locked as a whole either.
    pub(super) columns_only: bool,
    pages: u64,
    bytes: u64,
}

/// Bytes of a table, TOAST included, that one chunk should not be far above.
const CHUNK_BYTES: u64 = 16 << 20;
/// Chunks that a table is cut into at most; each key is in the checkpoint record while its chunk is being read.
const CHUNKS_MAX: u64 = 1_000;
/// Rows that are sampled for each cut.
const SAMPLE_ROWS: u64 = 50;
/// Rows on a page when there are no statistics.
const ROWS_PER_PAGE: f64 = 80.0;

pub(super) async fn describe(reader: &Questions, relation: &Relation) -> Result<TableScan, Error> {
    let oid = relation.oid;
    let doing = &format!("measuring table {}", relation.qualified_name());
    let sizes = format!(
        "SELECT c.relkind = 'p', s.pages, s.bytes, s.rows, NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
         FROM pg_catalog.pg_class c CROSS JOIN LATERAL (
             SELECT coalesce(sum(pg_catalog.pg_relation_size(l.oid) / pg_catalog.current_setting('block_size')::int), 0)::bigint AS pages,
                    coalesce(sum(pg_catalog.pg_table_size(l.oid)), 0)::bigint AS bytes,
                    coalesce(sum(CASE WHEN l.reltuples > 0 AND l.relpages > 0 THEN l.reltuples / l.relpages ELSE {ROWS_PER_PAGE} END
                        * (pg_catalog.pg_relation_size(l.oid) / pg_catalog.current_setting('block_size')::int)), 0)::bigint AS rows
             FROM pg_catalog.pg_class l
             WHERE l.oid = c.oid AND c.relkind <> 'p'
                OR c.relkind = 'p' AND l.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf)) s
         WHERE c.oid = {oid}"
    );
    let rows = reader.rows(doing, &sizes).await?;
    let Some(
        [
            Some(partitioned),
            Some(pages),
            Some(bytes),
            Some(estimated),
            Some(columns_only),
        ],
    ) = rows.first().map(Vec::as_slice)
    else {
        return Err(Error::new(
            Kind::Stale,
            format!("{doing}: it was dropped a moment ago"),
        ));
    };
    let number = |text: &String| text.parse().map_err(|_| unexpected(doing, "no number"));
    let partitioned = partitioned == "t";
    Ok(TableScan {
        relation: relation.clone(),
        rows_estimated: number(estimated)?,
        condition: None,
        order: order::describe(reader, relation, partitioned).await?,
        wanted: None,
        partitioned,
        columns_only: columns_only == "t",
        pages: number(pages)?,
        bytes: number(bytes)?,
    })
}

impl TableScan {
    /// Whether rows are ordered by a key, and not by where they lie.
    pub fn has_key(&self) -> bool {
        !self.order.key.is_empty()
    }

    /// The key's columns: indexes into the relation's columns.
    pub fn key(&self) -> &[usize] {
        &self.order.key
    }

    /// The same rows, of which these columns and the ordering ones are read, and NULL in place of the others.
    pub fn of_columns(&self, columns: &[usize]) -> TableScan {
        let wanted = [columns, self.key()].concat();
        TableScan {
            wanted: Some(wanted),
            ..self.clone()
        }
    }

    /// Whether the table has no page, and so no row.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// Columns that come behind the relation's own in each row.
    pub fn extra_columns(&self) -> usize {
        match self.has_key() {
            true => 0,
            false => self.order.len(),
        }
    }

    /// The key of a row that was read.
    ///
    /// # Errors
    /// The key is not UTF-8.
    pub fn key_of(&self, row: &[Datum<'_>]) -> Result<RowKey, Error> {
        let own = self.relation.columns.len();
        let places: Vec<usize> = match self.extra_columns() {
            0 => self.key().to_vec(),
            extra => (own..own + extra).collect(),
        };
        let text = |&place: &usize| match row.get(place) {
            Some(Datum::Text(text)) => std::str::from_utf8(text).ok().map(str::to_owned),
            _ => None,
        };
        places
            .iter()
            .map(|place| text(place).ok_or_else(|| self.bad_key()))
            .collect()
    }

    fn bad_key(&self) -> Error {
        Error::settings(format!(
            "table {}: a row has a key that is NULL or not in the database's encoding, so that the snapshot cannot go on behind it",
            self.relation.qualified_name()
        ))
    }

    pub(super) fn parse_key_line(&self, line: &[u8]) -> Result<RowKey, Error> {
        let (mut scratch, mut values) = (Vec::new(), Vec::new());
        parse_copy_row(line, &mut scratch, &mut values)?;
        let text = |value: &Datum<'_>| match value {
            Datum::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
            _ => None,
        };
        values
            .iter()
            .map(|value| text(value).ok_or_else(|| self.bad_key()))
            .collect()
    }

    /// A table's children by inheritance are tables of their own in the stream; its partitions are not.
    pub(super) fn from(&self) -> String {
        let only = if self.partitioned { "" } else { "ONLY " };
        let table = quote_table(&self.relation.schema, &self.relation.name);
        format!("{only}{table}")
    }

    fn bounds(&self, range: &RowRange) -> String {
        let after = range.after.iter().map(|key| self.order.after(key));
        let until = range.until.iter().map(|key| self.order.until(key));
        let mut parts: Vec<String> = after.chain(until).collect();
        parts.extend(self.condition.iter().map(|sql| format!("({sql})")));
        if parts.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", parts.join(" AND "))
        }
    }

    pub(super) fn columns(&self) -> String {
        let left_out = |at: &usize| {
            let wanted = self.wanted.as_ref();
            wanted.is_some_and(|wanted| !wanted.contains(at))
        };
        let names = self.relation.columns.iter().enumerate();
        let mut names: Vec<String> = names
            .map(|(at, column)| match left_out(&at) {
                true => "NULL".to_owned(),
                false => quote_ident(&column.name),
            })
            .collect();
        if self.extra_columns() > 0 {
            names.push(self.order.names());
        }
        names.join(", ")
    }

    pub(super) fn copy_command(&self, range: &RowRange, rows_max: Option<u64>) -> String {
        // A scan by pages comes in their order by itself; the planner does not know that and would sort.
        let order = if self.has_key() || self.partitioned {
            format!(" ORDER BY {}", self.order.sorting())
        } else {
            String::new()
        };
        let limit = rows_max.map_or(String::new(), |rows| format!(" LIMIT {rows}"));
        format!(
            "COPY (SELECT {} FROM {}{}{order}{limit}) TO STDOUT",
            self.columns(),
            self.from(),
            self.bounds(range)
        )
    }

    pub(super) fn copy_all_command(&self) -> String {
        let names = self.relation.columns.iter();
        let names: Vec<String> = names.map(|column| quote_ident(&column.name)).collect();
        format!(
            "COPY (SELECT {} FROM {}{}) TO STDOUT",
            names.join(", "),
            self.from(),
            self.bounds(&RowRange::default())
        )
    }

    fn chunks(&self, chunk_rows: u64) -> u64 {
        let by_rows = self.rows_estimated.div_ceil(chunk_rows.max(1));
        let by_bytes = self.bytes.div_ceil(CHUNK_BYTES);
        by_rows.max(by_bytes).clamp(1, CHUNKS_MAX)
    }

    /// The question for the keys to cut at: quantiles of a sample, ordered by the server. Nothing when there is nothing to
    /// ask, because the table is small or has no key.
    pub(super) fn cut_command(&self, range: &RowRange, chunk_rows: u64) -> Option<String> {
        let chunks = self.chunks(chunk_rows);
        if chunks == 1 || !self.has_key() {
            return None;
        }
        let (order, sorting) = (self.order.names(), self.order.sorting());
        let wanted = (chunks * SAMPLE_ROWS) as f64;
        let percent = (100.0 * wanted / self.rows_estimated.max(1) as f64).min(100.0);
        Some(format!(
            "COPY (SELECT {order} FROM (SELECT {order}, pg_catalog.row_number() OVER (ORDER BY {sorting}) AS walferry_n, \
             pg_catalog.count(*) OVER () AS walferry_c FROM {} TABLESAMPLE SYSTEM ({percent:.6}){}) s \
             WHERE walferry_n < walferry_c AND walferry_n * {chunks} / walferry_c <> (walferry_n - 1) * {chunks} / walferry_c \
             ORDER BY walferry_n) TO STDOUT",
            self.from(),
            self.bounds(range)
        ))
    }

    /// Where to cut a table without a key: between pages.
    pub(super) fn cut_pages(&self, range: &RowRange, chunk_rows: u64) -> Vec<RowKey> {
        let chunks = self.chunks(chunk_rows);
        if self.has_key() || self.partitioned || range != &RowRange::default() {
            return Vec::new();
        }
        let step = self.pages.div_ceil(chunks).max(1);
        // The highest number that a row can have on its page.
        let last = |page: u64| vec![format!("({},65535)", page - 1)];
        (1..)
            .map(|n| n * step)
            .take_while(|&page| page < self.pages)
            .map(last)
            .collect()
    }
}

#[cfg(test)]
mod tests;
