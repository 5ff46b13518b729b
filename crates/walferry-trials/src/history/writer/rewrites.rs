//! Statements that give a table other files: its rows stay what they are, and their places and transaction ids do not.
//!
//! Never: another meaning of a column, but for one that is new.

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::table::{Column, Part};
use super::{Writer, publication};
use crate::history::menu::Kind;

pub(super) fn rewrite(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    read_from_the_start(writer, index)?;
    let table = &writer.tables[index];
    let unlogged = table.part == Part::Replaced && writer.menu.has(Kind::Publication);
    match random.random_range(0..6) {
        0 | 1 if matches!(table.part, Part::Keys | Part::Identities | Part::Replaced) => {
            cluster(writer, index)
        }
        2 if matches!(table.part, Part::Keys | Part::Identities | Part::Replaced) => {
            volatile_default(writer, index, random)
        }
        3 if unlogged => logged(writer, index, random),
        _ => same_type(writer, index, random),
    }
}

/// Rows without a key have lost their places, so that a snapshot of them empties the topic and begins anew.
fn read_from_the_start(writer: &mut Writer, index: usize) -> Result<()> {
    let table = &writer.tables[index];
    let name = table.name.clone();
    match table.part {
        Part::Keyless => writer.note_read_again(&name),
        _ => Ok(()),
    }
}

/// In the order of the primary key.
fn cluster(writer: &mut Writer, index: usize) -> Result<()> {
    let name = &writer.tables[index].name;
    let sql = format!(
        "do $$ begin execute (select format('cluster {name} using %I', c.relname) from pg_index i \
         join pg_class c on c.oid = i.indexrelid where i.indrelid = '{name}'::regclass and i.indisprimary); end $$"
    );
    writer.execute(&sql)
}

/// A column whose value is computed for each row.
fn volatile_default(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    let free = (0..9).map(|n| format!("c{n}"));
    let free: Vec<String> = free
        .filter(|name| !table.columns.iter().any(|it| it.name == *name))
        .collect();
    let Some(column) = free.choose(random).cloned() else {
        return same_type(writer, index, random);
    };
    table.columns.push(Column {
        name: column.clone(),
        kind: "double precision",
        required: false,
    });
    let name = table.name.clone();
    writer.execute(&format!(
        "alter table {name} add column {column} double precision default floor(random() * 1000)"
    ))?;
    writer.note_meaning(index, &column)
}

/// The same type by an expression that the server has to evaluate.
fn same_type(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &writer.tables[index];
    let column = table.columns.choose(random).context("no column")?;
    let (name, column, kind) = (&table.name, &column.name, column.kind);
    let sql = format!(
        "alter table {name} alter column {column} type {kind} using case when random() < 2 then {column} end"
    );
    writer.execute(&sql)
}

/// Unlogged, with rows that no log has, and logged again.
fn logged(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    publication::leave(writer, index)?;
    let name = writer.tables[index].name.clone();
    writer.execute(&format!("alter table {name} set unlogged"))?;
    writer.rows(index, random)?;
    writer.execute(&format!("alter table {name} set logged"))?;
    publication::join(writer, index)
}

/// No transaction may hold it.
pub(super) fn vacuum_full(writer: &mut Writer, random: &mut StdRng) -> Result<()> {
    let there = writer.places(|it| it.exists);
    let index = *there.choose(random).context("no table is there")?;
    read_from_the_start(writer, index)?;
    let name = writer.tables[index].name.clone();
    writer.ddl += 1;
    writer.execute(&format!("vacuum full {name}"))
}
