//! Statements about partitions: they are made, attached with rows, detached, dropped and truncated.
//!
//! Owns: which name a partition's changes are published under. Never: two partitions with one number.

use anyhow::Result;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::table::{LEAF_KEYS, Leaf, Table};
use super::{LEAVES_MAX, Writer};
use crate::history::lsn::next_lsn;
use walferry_testkit::checker::Attached;

pub(super) fn change(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    match random.random_range(0..6) {
        0 | 1 => create(writer, index, random),
        2 | 3 => attach(writer, index, random),
        4 => detach(writer, index, random),
        _ => drop_leaf(writer, index, random),
    }
}

/// A new one, empty.
pub(super) fn create(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let Some(number) = number(writer, index) else {
        return detach(writer, index, random);
    };
    let table = &writer.tables[index];
    let (root, leaf) = (table.name.clone(), table.leaf_name(number));
    let (bounds, role) = (Table::bounds(number), &writer.role);
    let sql = format!(
        "create table {leaf} partition of {root} {bounds}; alter table {leaf} owner to {role}"
    );
    writer.execute(&sql)?;
    if writer.menu.leaves {
        writer.note_read_again(&leaf)?;
    }
    let next = 1;
    let attached = true;
    writer.tables[index].leaves.push(Leaf {
        number,
        attached,
        next,
    });
    joined(writer, &leaf, &root)
}

/// The next free number, which is taken.
fn number(writer: &mut Writer, index: usize) -> Option<i64> {
    let table = &mut writer.tables[index];
    let number = table.next - 1;
    (number < LEAVES_MAX).then(|| {
        table.next += 1;
        number
    })
}

/// From here on its changes are the root's, or its own.
fn joined(writer: &mut Writer, leaf: &str, root: &str) -> Result<()> {
    if writer.menu.leaves {
        return writer.note_key_of(leaf, vec!["id".into()]);
    }
    let from = next_lsn(&mut writer.session)?;
    writer.told.attached.push(Attached {
        leaf: format!("public.{leaf}"),
        root: format!("public.{root}"),
        from,
        to: u64::MAX,
    });
    Ok(())
}

fn parted(writer: &mut Writer, leaf: &str) -> Result<()> {
    let to = next_lsn(&mut writer.session)?;
    let name = format!("public.{leaf}");
    for attached in &mut writer.told.attached {
        if attached.leaf == name && attached.to == u64::MAX {
            attached.to = to;
        }
    }
    writer.note_key_of(leaf, vec!["id".into()])?;
    writer.note_read_again(leaf)
}

/// One that was detached comes back with its rows, or a new table with rows.
fn attach(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &writer.tables[index];
    let root = table.name.clone();
    let alone: Vec<i64> = table
        .leaves
        .iter()
        .filter(|it| !it.attached)
        .map(|it| it.number)
        .collect();
    let number = match alone.choose(random) {
        Some(number) if random.random_ratio(2, 3) => *number,
        _ => match number(writer, index) {
            Some(number) => {
                let leaf = writer.tables[index].leaf_name(number);
                let (role, first) = (&writer.role, number * LEAF_KEYS + 1);
                let sql = format!(
                    "create table {leaf} (like {root} including all);
                     alter table {leaf} owner to {role};
                     insert into {leaf} (id, alt) select n, n * 10 from generate_series({first}, {first} + 6) n"
                );
                writer.note_read_again(&leaf)?;
                writer.note_key_of(&leaf, vec!["id".into()])?;
                writer.execute(&sql)?;
                let (attached, next) = (false, 8);
                writer.tables[index].leaves.push(Leaf {
                    number,
                    attached,
                    next,
                });
                number
            }
            None => return detach(writer, index, random),
        },
    };
    let leaf = writer.tables[index].leaf_name(number);
    if !writer.menu.leaves {
        writer.note_read_again(&root)?;
    }
    writer.note_read_again(&leaf)?;
    writer.execute(&format!(
        "alter table {root} attach partition {leaf} {}",
        Table::bounds(number)
    ))?;
    set_attached(writer, index, number, true);
    joined(writer, &leaf, &root)
}

fn set_attached(writer: &mut Writer, index: usize, number: i64, attached: bool) {
    let leaves = &mut writer.tables[index].leaves;
    leaves
        .iter_mut()
        .filter(|it| it.number == number)
        .for_each(|it| it.attached = attached);
}

/// One that is attached, unless it is the last.
fn any_attached(writer: &Writer, index: usize, random: &mut StdRng) -> Option<i64> {
    let leaves = writer.tables[index].leaves.iter();
    let attached: Vec<i64> = leaves
        .filter(|it| it.attached)
        .map(|it| it.number)
        .collect();
    (attached.len() > 1).then(|| attached.choose(random).copied())?
}

fn detach(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let Some(number) = any_attached(writer, index, random) else {
        return writer.rows(index, random);
    };
    let table = &writer.tables[index];
    let (root, leaf) = (table.name.clone(), table.leaf_name(number));
    writer.note_read_again(&root)?;
    writer.execute(&format!("alter table {root} detach partition {leaf}"))?;
    set_attached(writer, index, number, false);
    parted(writer, &leaf)
}

fn drop_leaf(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let Some(number) = any_attached(writer, index, random) else {
        return writer.rows(index, random);
    };
    let table = &writer.tables[index];
    let (root, leaf) = (table.name.clone(), table.leaf_name(number));
    writer.note_read_again(&root)?;
    writer.execute(&format!("drop table {leaf}"))?;
    writer.tables[index].leaves.retain(|it| it.number != number);
    Ok(())
}

/// A stream by roots tells nothing of it.
pub(super) fn truncate(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let Some(number) = any_attached(writer, index, random) else {
        return writer.rows(index, random);
    };
    let table = &writer.tables[index];
    let (root, leaf) = (table.name.clone(), table.leaf_name(number));
    writer.note_read_again(&root)?;
    writer.execute(&format!("truncate {leaf}"))
}
