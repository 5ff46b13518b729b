//! Statements that change columns: they come, go, and are renamed, retyped, required and described.
//!
//! Never: the columns of keys, but for their names and types.

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::table::{Column, Part, any_kind, literal};
use super::Writer;

/// Columns besides those of the key.
const COLUMNS_MAX: usize = 7;

pub(super) fn add(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    if table.columns.len() >= COLUMNS_MAX {
        return remove(writer, index, random);
    }
    // Names come back, so that a column is another one than it was.
    let free = (0..9).map(|n| format!("c{n}"));
    let free: Vec<String> = free
        .filter(|name| !table.columns.iter().any(|it| it.name == *name))
        .collect();
    let name = free.choose(random).context("no name is free")?.clone();
    let (kind, _) = any_kind(random);
    let required = random.random_ratio(1, 3);
    let value = literal(kind, random);
    let rest = match (required, random.random_ratio(1, 3)) {
        (true, _) => format!(" not null default {value}"),
        (false, true) => format!(" default {value}"),
        (false, false) => String::new(),
    };
    let sql = format!("alter table {} add column {name} {kind}{rest}", table.name);
    table.columns.push(Column {
        name: name.clone(),
        kind,
        required,
    });
    writer.execute(&sql)?;
    writer.note_meaning(index, &name)
}

pub(super) fn remove(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    if table.columns.len() < 2 {
        return add(writer, index, random);
    }
    let column = table
        .columns
        .remove(random.random_range(0..table.columns.len()));
    let sql = format!("alter table {} drop column {}", table.name, column.name);
    writer.execute(&sql)
}

/// The same name, another column: in one statement, or with rows in between.
pub(super) fn remove_and_add(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    let Some(column) = table.columns.any_place(random) else {
        return add(writer, index, random);
    };
    let name = table.columns[column].name.clone();
    let (kind, _) = any_kind(random);
    let required = random.random_ratio(1, 3);
    let rest = match required {
        true => format!(" not null default {}", literal(kind, random)),
        false => String::new(),
    };
    table.columns.remove(column);
    let table_name = table.name.clone();
    if random.random_ratio(1, 2) {
        writer.execute(&format!("alter table {table_name} drop column {name}"))?;
        writer.rows(index, random)?;
        writer.execute(&format!(
            "alter table {table_name} add column {name} {kind}{rest}"
        ))?;
    } else {
        writer.execute(&format!(
            "alter table {table_name} drop column {name}, add column {name} {kind}{rest}"
        ))?;
    }
    writer.tables[index].columns.push(Column {
        name: name.clone(),
        kind,
        required,
    });
    writer.note_meaning(index, &name)
}

pub(super) fn rename(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    let name = table.name.clone();
    // A topic in which a row has two keys tells no whole table.
    if table.part != Part::Replaced && random.random_ratio(1, 4) {
        table.moved = true;
        let old = table.id.clone();
        let new = if old == "id" { "number" } else { "id" };
        table.id = new.to_owned();
        for column in table.primary.iter_mut().filter(|it| **it == old) {
            *column = new.to_owned();
        }
        writer.execute(&format!("alter table {name} rename column {old} to {new}"))?;
        return writer.note_key(index);
    }
    let free = (0..9).map(|n| format!("c{n}"));
    let free: Vec<String> = free
        .filter(|name| !table.columns.iter().any(|it| it.name == *name))
        .collect();
    let new = free.choose(random).context("no name is free")?.clone();
    let Some(column) = table.columns.any_place(random) else {
        return add(writer, index, random);
    };
    let old = std::mem::replace(&mut table.columns[column].name, new.clone());
    writer.execute(&format!("alter table {name} rename column {old} to {new}"))?;
    writer.note_meaning(index, &new)
}

pub(super) fn retype(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    let name = table.name.clone();
    if random.random_ratio(1, 5) {
        let (id, kind) = (
            table.id.clone(),
            if table.id_kind == "int" {
                "bigint"
            } else {
                "int"
            },
        );
        table.id_kind = kind;
        return writer.execute(&format!("alter table {name} alter column {id} type {kind}"));
    }
    let Some(column) = table.columns.any_place(random) else {
        return add(writer, index, random);
    };
    let (kind, using) = any_kind(random);
    let column = &mut table.columns[column];
    column.kind = kind;
    let column = column.name.clone();
    let using = using.replace("{}", &column);
    writer.execute(&format!(
        "alter table {name} alter column {column} drop default, alter column {column} type {kind} using {using}"
    ))?;
    writer.note_meaning(index, &column)
}

pub(super) fn nullability(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    let name = table.name.clone();
    let Some(column) = table.columns.any_place(random) else {
        return add(writer, index, random);
    };
    let column = &mut table.columns[column];
    column.required = !column.required;
    let (kind, required, column) = (column.kind, column.required, column.name.clone());
    if !required {
        return writer.execute(&format!(
            "alter table {name} alter column {column} drop not null"
        ));
    }
    if writer.tables[index].may_update() || !writer.tables[index].published {
        let value = literal(kind, random);
        writer.execute(&format!(
            "update {name} set {column} = {value} where {column} is null"
        ))?;
    } else {
        writer.execute(&format!("truncate {name}"))?;
    }
    writer.execute(&format!(
        "alter table {name} alter column {column} set not null"
    ))
}

/// What the stream does not tell at all.
pub(super) fn describe(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &writer.tables[index];
    let Some(column) = table.columns.choose(random) else {
        return add(writer, index, random);
    };
    let (name, column, kind) = (table.name.clone(), column.name.clone(), column.kind);
    let sql = match random.random_range(0..3) {
        0 => format!(
            "comment on column {name}.{column} is 'number {}'",
            writer.count
        ),
        1 => format!("alter table {name} alter column {column} drop default"),
        _ => {
            let value = literal(kind, random);
            format!("alter table {name} alter column {column} set default {value}")
        }
    };
    writer.execute(&sql)
}

/// A random place in a list.
trait AnyPlace {
    fn any_place(&self, random: &mut StdRng) -> Option<usize>;
}

impl AnyPlace for Vec<Column> {
    fn any_place(&self, random: &mut StdRng) -> Option<usize> {
        (!self.is_empty()).then(|| random.random_range(0..self.len()))
    }
}
