//! Statements that change what is published: a table leaves and comes back, kinds of changes are left out for a while.
//!
//! The connector may mend the publication itself meanwhile, so that each statement takes what it finds.

use anyhow::Result;
use rand::Rng;
use rand::rngs::StdRng;

use super::Writer;

pub(super) fn change(writer: &mut Writer, index: usize) -> Result<()> {
    match writer.tables[index].published {
        true => leave(writer, index),
        false => join(writer, index),
    }
}

pub(super) fn leave(writer: &mut Writer, index: usize) -> Result<()> {
    let name = writer.tables[index].name.clone();
    writer.note_read_again(&name)?;
    writer.tables[index].published = false;
    let publication = &writer.publication;
    let sql = format!(
        "do $$ begin alter publication {publication} drop table {name}; exception when undefined_object then null; end $$"
    );
    writer.execute(&sql)
}

pub(super) fn join(writer: &mut Writer, index: usize) -> Result<()> {
    let name = writer.tables[index].name.clone();
    writer.tables[index].published = true;
    let publication = &writer.publication;
    let sql = format!(
        "do $$ begin alter publication {publication} add table {name}; exception when duplicate_object then null; end $$"
    );
    writer.execute(&sql)
}

/// Some kinds of changes are left out; all of them come back with the next such statement, or never.
pub(super) fn flags(writer: &mut Writer, random: &mut StdRng) -> Result<()> {
    for name in writer.table_names() {
        writer.note_read_again(&name)?;
    }
    let kinds = [
        "insert",
        "insert, update",
        "insert, update, delete",
        "insert, update, delete, truncate",
        "insert, update, delete, truncate",
    ];
    let kinds = kinds[random.random_range(0..kinds.len())];
    let publication = &writer.publication;
    let sql = format!("alter publication {publication} set (publish = '{kinds}')");
    writer.execute(&sql)
}
