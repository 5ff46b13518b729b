//! Rows from before a snapshot, and what happens to them while it reads.
//!
//! Owns: the tables beside those of the mixed load: `sessions` (uuid key), `log` (no key), `nothing` (no row); filling them all, and
//! [`meddle`]. Never: the mixed load, which runs beside it and touches none of these rows (their writer is 99).

use anyhow::Result;

use super::MixedLoad;
use crate::checker::Session;

/// The six tables' names, `schema.table`: a skewed bigint key, a composite one, text, uuid, none, empty.
pub fn tables() -> Vec<String> {
    let others = ["sessions", "log", "nothing"].map(|table| format!("public.{table}"));
    MixedLoad::tables("public")
        .into_iter()
        .chain(others)
        .collect()
}

/// Creates the six tables.
pub fn create_tables(url: &str) -> Result<()> {
    MixedLoad::create_tables(url, "public")?;
    Session::connect(url)?.execute(
        "create table sessions (id uuid primary key, writer int not null, seen timestamptz, body text);
         create table log (at int not null, note text not null);
         alter table log replica identity full;
         create table nothing (id int primary key, note text)",
    )
}

/// Fills five of the tables with about so many rows together, and has them analysed. The keys of `orders` lie dense for
/// the most part and then ever farther apart.
pub fn fill(url: &str, rows: u64) -> Result<()> {
    let part = rows / 10;
    // Statements of their own, so that none is a transaction of millions of rows for the witness.
    let mut session = Session::connect(url)?;
    for statement in [
        format!(
            "insert into orders (id, writer, amount, note)
             select 1000000 + case when i < {part} * 3 then i else i + (i - {part} * 3)::bigint * i end,
                99, i % 100000 * 0.01, repeat('x', i % 50)
             from generate_series(1, {part} * 4) i"
        ),
        format!(
            "insert into items (order_id, line, writer, sku, price)
             select 1000000 + i / 3, i % 3, 99, 'sku ' || i, i * 0.5 from generate_series(1, {part} * 3) i"
        ),
        format!(
            "insert into documents (name, writer, body, version)
             select 'Old ' || chr(65 + i % 26) || ' ' || i, 99, repeat('y', 3000), 1
             from generate_series(1, {part} / 10) i"
        ),
        format!(
            "insert into sessions select md5(i::text)::uuid, 99, now(), repeat('s', i % 40)
             from generate_series(1, {part} * 2) i"
        ),
        format!("insert into log select i, 'l' || i from generate_series(1, {part}) i"),
        "analyze".to_owned(),
    ] {
        session.execute(&statement)?;
    }
    Ok(())
}

/// Changes rows that a snapshot has to read: other values, other keys, TOAST left out, gone and back again. Each round
/// touches other rows; `truncate` empties a table too.
pub fn meddle(url: &str, round: u32, truncate: bool) -> Result<()> {
    let mut session = Session::connect(url)?;
    session.execute(&format!(
        "update orders set amount = amount + 1 where writer = 99 and id % 97 = {round};
         update orders set id = id + 100000000000 where writer = 99 and id % 89 = {round};
         delete from orders where writer = 99 and id % 83 = {round};
         update items set line = line + 10 where writer = 99 and order_id % 79 = {round};
         delete from items where writer = 99 and order_id % 73 = {round};
         update documents set version = version + 1 where writer = 99 and length(name) % 7 = {round} % 7;
         update documents set body = repeat('z', 2500) where writer = 99 and hashtext(name) % 11 = {round};
         insert into documents (name, writer, body, version) values ('New {round}', 99, repeat('n', 3000), 1);
         update sessions set seen = clock_timestamp() where hashtext(id::text) % 97 = {round};
         update sessions set id = md5(id::text)::uuid where hashtext(id::text) % 89 = {round};
         insert into log select 1000000000 + {round} * 1000 + i, 'n' || i from generate_series(1, 100) i;
         update log set note = note || '!' where at % 61 = {round};
         delete from log where at % 59 = {round}"
    ))?;
    if truncate {
        session.execute("truncate items")?;
    }
    Ok(())
}
