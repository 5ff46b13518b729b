//! One writer of the mixed load: what its next transaction is.
//!
//! Owns: the keys that it has in each table. Never: I/O but to read its keys again. A transaction is one text of
//! several statements, sent at once; its effect on the keys is kept apart until it is known to be committed.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::options::MixedOptions;
use crate::checker::{Session, quote_literal};

/// More keys than this in one table, and deletes become more likely than inserts.
const KEYS_MAX: usize = 2_000;

#[derive(Clone, Debug, Default)]
struct Keys {
    orders: Vec<i64>,
    items: Vec<(i64, i32)>,
    documents: Vec<String>,
    next: i64,
}

/// A planned transaction.
pub(super) struct Plan {
    pub(super) sql: String,
    pub(super) statements: u32,
    pub(super) commits: bool,
    keys: Keys,
}

pub(super) struct Writer {
    number: u32,
    options: MixedOptions,
    keys: Keys,
}

impl Writer {
    pub(super) fn new(number: u32, options: MixedOptions) -> Writer {
        Writer {
            number,
            options,
            keys: Keys {
                next: 1,
                ..Keys::default()
            },
        }
    }

    /// Reads the writer's keys from the tables.
    pub(super) fn reload(&mut self, session: &mut Session) -> Result<()> {
        let (schema, number) = (&self.options.schema, self.number);
        let mut column = |table: &str, column: &str| -> Result<Vec<String>> {
            let sql =
                format!("select {column} from {schema}.{table} where writer = {number} order by 1");
            Ok(session
                .query(&sql)?
                .into_iter()
                .filter_map(|row| row.into_iter().next().flatten())
                .collect())
        };
        let orders = column("orders", "id")?;
        let items = column("items", "order_id || ':' || line")?;
        let documents = column("documents", "name")?;
        let number = |text: &str| text.parse::<i64>().context("a key is not a number");
        let mut keys = Keys {
            documents,
            next: self.keys.next,
            ..Keys::default()
        };
        keys.orders = orders.iter().map(|id| number(id)).collect::<Result<_>>()?;
        for item in items {
            let (order, line) = item.split_once(':').context("a key has no line")?;
            keys.items.push((number(order)?, line.parse()?));
        }
        let largest = keys
            .orders
            .iter()
            .chain(keys.items.iter().map(|(order, _)| order))
            .max();
        let writers = i64::from(self.options.writers);
        keys.next = keys
            .next
            .max(largest.map_or(1, |largest| largest / writers + 2));
        self.keys = keys;
        Ok(())
    }

    /// The transaction is committed.
    pub(super) fn keep(&mut self, plan: Plan) {
        self.keys = plan.keys;
    }

    /// Thinks of the next transaction.
    pub(super) fn plan(&mut self, random: &mut StdRng) -> Plan {
        let mut draft = Draft {
            number: self.number,
            options: &self.options,
            keys: self.keys.clone(),
            sql: "begin".to_owned(),
            statements: 0,
        };
        match random.random_range(0..100) {
            0..3 => {} // empty
            3 if self.options.bulk_rows > 0 => draft.bulk(random),
            4 if self.options.truncate && self.number == 0 => draft.truncate(),
            _ => {
                for _ in 0..random.random_range(1..=self.options.statements_max.max(1)) {
                    if random.random_ratio(1, 25) {
                        draft.abandoned(random);
                    }
                    draft.statement(random);
                }
            }
        }
        let commits = !random.random_ratio(1, 30);
        draft
            .sql
            .push_str(if commits { "; commit" } else { "; rollback" });
        // Keys of a rolled back transaction are not used again, so that each key has one life after another.
        self.keys.next = draft.keys.next;
        Plan {
            sql: draft.sql,
            statements: draft.statements,
            commits,
            keys: draft.keys,
        }
    }
}

struct Draft<'a> {
    number: u32,
    options: &'a MixedOptions,
    keys: Keys,
    sql: String,
    statements: u32,
}

impl Draft<'_> {
    fn add(&mut self, sql: &str) {
        self.statements += 1;
        let _ = write!(self.sql, "; {sql}");
    }

    fn fresh_id(&mut self) -> i64 {
        let id = self.keys.next * i64::from(self.options.writers) + i64::from(self.number);
        self.keys.next += 1;
        id
    }

    fn statement(&mut self, random: &mut StdRng) {
        match random.random_range(0..10) {
            0..5 => self.order(random),
            5..8 => self.item(random),
            _ => self.document(random),
        }
    }

    /// A savepoint, some statements, and back to it: nothing of them may be seen.
    fn abandoned(&mut self, random: &mut StdRng) {
        let (before, statements) = (self.keys.clone(), self.statements);
        self.sql.push_str("; savepoint abandoned");
        for _ in 0..random.random_range(1..4) {
            self.statement(random);
        }
        self.sql.push_str("; rollback to savepoint abandoned");
        let next = self.keys.next;
        self.keys = Keys { next, ..before };
        self.statements = statements;
    }

    fn bulk(&mut self, random: &mut StdRng) {
        let rows = i64::from(random.random_range(1..=self.options.bulk_rows));
        let (schema, number, writers) = (&self.options.schema, self.number, self.options.writers);
        let first = self.keys.next;
        self.keys.next += rows;
        let sql = format!(
            "insert into {schema}.orders (id, writer, customer, note, amount) \
             select n * {writers} + {number}, {number}, n % 97, 'bulk ' || n, n % 1000 / 7.0 \
             from generate_series({first}, {}) n",
            first + rows - 1
        );
        let ids = (first..first + rows).map(|n| n * i64::from(writers) + i64::from(number));
        let half: Vec<i64> = ids.collect();
        let (low, high) = (half[0], half[half.len() / 2]);
        let id_range =
            format!("writer = {number} and note like 'bulk %' and id >= {low} and id < {high}");
        self.add(&sql);
        self.add(&format!(
            "update {schema}.orders set paid = true where {id_range}"
        ));
        self.add(&format!("delete from {schema}.orders where {id_range}"));
        self.keys
            .orders
            .extend(half.into_iter().filter(|id| *id >= high));
    }

    /// Only the writer's own table is emptied: items, which writer 0 alone does, and others meet gone keys.
    fn truncate(&mut self) {
        let schema = &self.options.schema;
        let sql = format!("truncate {schema}.items");
        self.add(&sql);
        self.keys.items.clear();
    }

    fn order(&mut self, random: &mut StdRng) {
        let (schema, number) = (self.options.schema.clone(), self.number);
        let known = self.keys.orders.choose(random).copied();
        let amount = f64::from(random.random_range(-99_999..9_999_999)) / 100.0;
        match (random.random_range(0..100), known) {
            (0..30, Some(id)) => {
                let note =
                    ["note", "null", "'it''s \"quoted\", \\ and žluť 🦀'", "''"].choose(random);
                let note = note.copied().unwrap_or("null");
                self.add(&format!(
                    "update {schema}.orders set amount = {amount}, note = {note}, paid = not paid where id = {id}"
                ));
            }
            (30..45, Some(id)) => self.forget_order(id, |id| {
                format!("delete from {schema}.orders where id = {id}")
            }),
            (45..55, Some(id)) => {
                let fresh = self.fresh_id();
                self.forget_order(id, |id| {
                    format!("update {schema}.orders set id = {fresh} where id = {id}")
                });
                self.keys.orders.push(fresh);
            }
            (_, Some(id)) if self.keys.orders.len() > KEYS_MAX => {
                self.forget_order(id, |id| {
                    format!("delete from {schema}.orders where id = {id}")
                });
            }
            _ => {
                let (id, customer) = (self.fresh_id(), random.random_range(0..1_000));
                let customer = if customer < 100 {
                    "null".to_owned()
                } else {
                    customer.to_string()
                };
                let paid = ["true", "false", "null"]
                    .choose(random)
                    .copied()
                    .unwrap_or("null");
                self.add(&format!(
                    "insert into {schema}.orders (id, writer, customer, note, amount, placed_at, paid) \
                     values ({id}, {number}, {customer}, 'order {id}', {amount}, clock_timestamp(), {paid})"
                ));
                self.keys.orders.push(id);
            }
        }
    }

    fn forget_order(&mut self, id: i64, sql: impl Fn(i64) -> String) {
        self.add(&sql(id));
        self.keys.orders.retain(|known| *known != id);
    }

    fn item(&mut self, random: &mut StdRng) {
        let (schema, number) = (self.options.schema.clone(), self.number);
        let known = self.keys.items.choose(random).copied();
        let full = self.keys.items.len() > KEYS_MAX;
        match (random.random_range(0..100), known) {
            (0..30, Some((order, line))) => {
                let quantity = random.random_range(-300..300);
                self.add(&format!(
                    "update {schema}.items set quantity = {quantity}, ratio = {quantity}::float8 / 7, price = price + 0.010 \
                     where order_id = {order} and line = {line}"
                ));
            }
            (from, Some((order, line))) if from < 45 || full => {
                self.add(&format!(
                    "delete from {schema}.items where order_id = {order} and line = {line}"
                ));
                self.keys.items.retain(|known| *known != (order, line));
            }
            (45..52, Some((order, line))) => {
                let fresh = self.fresh_id();
                self.add(&format!(
                    "update {schema}.items set order_id = {fresh} where order_id = {order} and line = {line}"
                ));
                self.keys.items.retain(|known| *known != (order, line));
                self.keys.items.push((fresh, line));
            }
            _ => {
                let (order, lines) = (self.fresh_id(), random.random_range(1..5));
                for line in 1..=lines {
                    let cents: i32 = random.random_range(-100_000..100_000);
                    self.add(&format!(
                        "insert into {schema}.items values ({order}, {line}, {number}, 'sku-{cents}', {}, {}.{:03}, {}, \
                         date '2020-01-01' + {}, '{{\"n\": {cents}, \"a\": [null, true]}}')",
                        cents % 30_000, cents / 1000, cents.abs() % 1000, f64::from(cents) / 3.0, cents % 5_000
                    ));
                    self.keys.items.push((order, line));
                }
            }
        }
    }

    fn document(&mut self, random: &mut StdRng) {
        let (schema, number) = (self.options.schema.clone(), self.number);
        let known = self.keys.documents.choose(random).cloned();
        let seed = random.random::<u32>();
        // About 3 to 13 kB, out of line and uncompressed.
        let body = format!("repeat(md5('{seed}'), {})", random.random_range(100..400));
        let full = self.keys.documents.len() > KEYS_MAX / 10;
        let at = |name: &str| format!("where name = {}", quote_literal(name));
        match (random.random_range(0..100), known) {
            (0..35, Some(name)) => self.add(&format!(
                "update {schema}.documents set version = version + 1, changed = clock_timestamp() {}",
                at(&name)
            )),
            (35..50, Some(name)) => self.add(&format!(
                "update {schema}.documents set body = {body}, digest = decode(md5('{seed}'), 'hex') {}",
                at(&name)
            )),
            (from, Some(name)) if from < 62 || full => {
                self.add(&format!("delete from {schema}.documents {}", at(&name)));
                self.keys.documents.retain(|known| *known != name);
            }
            (62..70, Some(name)) => {
                let fresh = format!("renamed {}", self.fresh_id());
                let set = format!("update {schema}.documents set name = {}", quote_literal(&fresh));
                self.add(&format!("{set} {}", at(&name)));
                self.keys.documents.retain(|known| *known != name);
                self.keys.documents.push(fresh);
            }
            _ => {
                let name = format!("document {}", self.fresh_id());
                let body = if random.random_ratio(1, 8) { "null" } else { body.as_str() };
                self.add(&format!(
                    "insert into {schema}.documents values ({}, {number}, {body}, '\\x00ff{seed:08x}', 1, null)",
                    quote_literal(&name)
                ));
                self.keys.documents.push(name);
            }
        }
    }
}
