//! Statements about whole tables: they come, go, are made anew, renamed and swapped.
//!
//! Never: their publication, but for a table that is made anew with it.

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::table::Part;
use super::{Writer, publication};

/// Makes a table that the connector's role owns.
pub(super) fn create(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let sql = writer.tables[index].create(random);
    writer.execute(&sql)?;
    own(writer, index)?;
    writer.note_key(index)
}

fn own(writer: &mut Writer, index: usize) -> Result<()> {
    let (name, role) = (writer.tables[index].name.clone(), writer.role.clone());
    writer.execute(&format!("alter table {name} owner to {role}"))
}

pub(super) fn rename(writer: &mut Writer, index: usize) -> Result<()> {
    let table = &mut writer.tables[index];
    let old = table.name.clone();
    let new = table.names.iter().find(|it| **it != old);
    let new = new.context("a table has two names")?.clone();
    table.name.clone_from(&new);
    table.moved = true;
    // Under the other name it is another table to its topics: it is read there, and what that topic had before is deleted.
    writer.note_read_again(&old)?;
    writer.note_read_again(&new)?;
    writer.execute(&format!("alter table {old} rename to {new}"))?;
    writer.note_key(index)
}

/// Dropped and made anew at once, with its publication or without, or in two transactions.
pub(super) fn recreate(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let name = writer.tables[index].name.clone();
    if !writer.tables[index].exists {
        create(writer, index, random)?;
        writer.tables[index].published = false;
        return writer.note_read_again(&name);
    }
    writer.note_read_again(&name)?;
    writer.execute(&format!("drop table {name}"))?;
    writer.tables[index].exists = false;
    if random.random_ratio(1, 3) {
        return Ok(());
    }
    create(writer, index, random)?;
    if random.random_ratio(1, 2) {
        return publication::join(writer, index);
    }
    writer.tables[index].published = false;
    Ok(())
}

/// Two tables take each other's names.
pub(super) fn swap(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let others = writer.places(|it| it.part == Part::Replaced && it.exists);
    let others: Vec<usize> = others.into_iter().filter(|it| *it != index).collect();
    let Some(&other) = others.choose(random) else {
        return recreate(writer, index, random);
    };
    let (one, two) = (
        writer.tables[index].name.clone(),
        writer.tables[other].name.clone(),
    );
    writer.note_read_again(&one)?;
    writer.note_read_again(&two)?;
    writer.execute(&format!("alter table {one} rename to swapped"))?;
    writer.execute(&format!("alter table {two} rename to {one}"))?;
    writer.execute(&format!("alter table swapped rename to {two}"))?;
    writer.tables[index].name = two;
    writer.tables[other].name = one;
    writer.note_key(index)?;
    writer.note_key(other)
}

/// A table that was not there before, with a few rows.
pub(super) fn come(writer: &mut Writer, random: &mut StdRng) -> Result<()> {
    let free = writer.places(|it| it.part == Part::Replaced && !it.exists);
    let Some(&index) = free.first() else {
        let there = writer.places(|it| it.part == Part::Replaced && it.exists);
        let index = *there.choose(random).context("no table")?;
        return recreate(writer, index, random);
    };
    let name = writer.tables[index].name.clone();
    writer.note_read_again(&name)?;
    create(writer, index, random)?;
    writer.tables[index].published = false;
    writer.rows(index, random)
}
