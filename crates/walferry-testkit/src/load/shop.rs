//! The demo's small shop: customers, orders and payments, written by transactions that touch several tables.
//!
//! Owns: three tables, one writer thread, a schema change on request. Never: more than a steady, modest pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::checker::Session;

/// The shop's tables.
pub const SHOP_TABLES: [&str; 3] = ["public.customers", "public.orders", "public.payments"];

/// A shop in which something happens.
pub struct Shop {
    stop: Arc<AtomicBool>,
    coupons: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
    writer: Option<JoinHandle<Result<()>>>,
}

impl Shop {
    /// Creates the empty tables.
    pub fn create_tables(url: &str) -> Result<()> {
        Session::connect(url)?.execute(
            "create table customers (
                id bigint primary key, name text not null, email text, orders int not null default 0,
                since timestamptz not null default now());
             create table orders (
                id bigint primary key, customer_id bigint not null, status text not null,
                total numeric(12,2) not null, placed_at timestamptz not null default now());
             create table payments (
                id uuid primary key default gen_random_uuid(), order_id bigint not null,
                amount numeric(12,2) not null, method text not null, paid_at timestamp(3) not null default now())",
        )
    }

    /// Opens the shop at so many transactions a second.
    pub fn open(url: &str, transactions_per_second: u32) -> Result<Shop> {
        let shop = Shop {
            stop: Arc::default(),
            coupons: Arc::default(),
            transactions: Arc::default(),
            writer: None,
        };
        let (stop, coupons) = (shop.stop.clone(), shop.coupons.clone());
        let (transactions, mut session) = (shop.transactions.clone(), Session::connect(url)?);
        let writing = move || {
            let mut random = StdRng::seed_from_u64(1);
            let (mut due, step) = (
                Instant::now(),
                Duration::from_secs(1) / transactions_per_second,
            );
            let mut last = Last::default();
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                due += step;
                let statements = last.next(&mut random, coupons.load(Ordering::Relaxed));
                session.execute(&format!("begin; {statements}; commit"))?;
                transactions.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let writer = thread::Builder::new().name("shop".into()).spawn(writing)?;
        Ok(Shop {
            writer: Some(writer),
            ..shop
        })
    }

    /// Adds a column to `orders` while the shop is open; new orders use it from then on.
    pub fn add_coupons(&self, url: &str) -> Result<()> {
        Session::connect(url)?.execute("alter table orders add column coupon text")?;
        self.coupons.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Closes the shop. Returns how many transactions there were.
    pub fn close(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer
                .join()
                .map_err(|_| anyhow!("the shop's writer panicked"))??;
        }
        Ok(self.transactions.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Last {
    customer: i64,
    order: i64,
}

impl Last {
    fn next(&mut self, random: &mut StdRng, coupons: bool) -> String {
        if self.customer < 5 || random.random_ratio(1, 10) {
            self.customer += 1;
            let id = self.customer;
            return format!(
                "insert into customers (id, name, email) values ({id}, 'Customer {id}', 'c{id}@example.org')"
            );
        }
        let some_order = random.random_range((self.order - 50).max(1)..=self.order.max(1));
        match random.random_range(0..10) {
            0..6 => {
                self.order += 1;
                let (id, customer) = (self.order, random.random_range(1..=self.customer));
                let cents: u32 = random.random_range(100..50_000);
                let total = format!("{}.{:02}", cents / 100, cents % 100);
                let (column, coupon) = match coupons && random.random_ratio(1, 2) {
                    true => (
                        ", coupon",
                        format!(", 'SAVE{}'", random.random_range(5..30)),
                    ),
                    false => ("", String::new()),
                };
                format!(
                    "insert into orders (id, customer_id, status, total{column}) \
                     values ({id}, {customer}, 'new', {total}{coupon}); \
                     insert into payments (order_id, amount, method) values ({id}, {total}, 'card'); \
                     update customers set orders = orders + 1 where id = {customer}"
                )
            }
            6..8 => format!("update orders set status = 'shipped' where id = {some_order}"),
            8 => format!(
                "update orders set status = 'paid' where id = {some_order}; \
                 update payments set method = 'transfer' where order_id = {some_order}"
            ),
            _ => format!(
                "delete from payments where order_id = {some_order}; delete from orders where id = {some_order}"
            ),
        }
    }
}
