//! Statements that change primary keys and replica identities, and that pass keys from row to row.
//!
//! Never: an identity that lacks the key of a table whose topic is compared as a whole.

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::table::{Identity, Part};
use super::Writer;

pub(super) fn change(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let table = &mut writer.tables[index];
    let name = table.name.clone();
    let sql = if table.part == Part::Keys {
        table.moved = true;
        let (id, alt) = (table.id.clone(), table.alt.clone());
        let keys = [
            vec![id.clone()],
            vec![alt.clone()],
            vec![id.clone(), alt.clone()],
            vec![alt, id],
        ];
        table.primary = keys.choose(random).context("no key")?.clone();
        format!(
            "do $$ begin execute (select format('alter table {name} drop constraint %I, add constraint %I primary key ({})', \
             conname, conname) from pg_constraint where conrelid = '{name}'::regclass and contype = 'p'); end $$",
            table.primary.join(", ")
        )
    } else {
        let all = [
            Identity::Default,
            Identity::Full,
            Identity::Index,
            Identity::Default,
            Identity::Full,
            Identity::Index,
            Identity::Nothing,
        ];
        // A table that is compared as a whole keeps its key, and its rows can always be changed.
        let choice = if table.part == Part::Replaced {
            2
        } else {
            all.len()
        };
        table.identity = *all[..choice].choose(random).context("no identity")?;
        table.moved |= table.identity == Identity::Index;
        match table.identity {
            Identity::Default => format!("alter table {name} replica identity default"),
            Identity::Full => format!("alter table {name} replica identity full"),
            Identity::Nothing => format!("alter table {name} replica identity nothing"),
            Identity::Index => {
                let alt = format!("{}_alt", table.names[0]);
                format!("alter table {name} replica identity using index {alt}")
            }
        }
    };
    if writer.tables[index].identity == Identity::Nothing {
        // It is taken out of the publication while it has none, and read again when it has one.
        let name = writer.tables[index].name.clone();
        writer.note_read_again(&name)?;
    }
    writer.execute(&sql)?;
    writer.note_key(index)
}

/// Rows take each other's keys, among them some that have just come.
pub(super) fn pass(writer: &mut Writer, index: usize, random: &mut StdRng) -> Result<()> {
    let sql = writer.tables[index].insert(2, random);
    writer.execute(&sql)?;
    let sql = writer.tables[index].pass_keys(random);
    writer.execute(&sql)
}
