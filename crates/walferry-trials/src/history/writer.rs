//! The session that writes a history: what its next statement is, and what that means for the comparison.
//!
//! Owns: the tables' models, the script, the account of keys and of tables that are read again. The statements themselves are in
//! a module for each kind. Never: a statement that the server refuses, unless the model is wrong. What a transaction did to the
//! models is forgotten when it is rolled back.
//! Start reading at [`Writer::transaction`], in `transactions`.

mod columns;
mod keys;
mod partitions;
mod publication;
mod rewrites;
mod security;
mod tables;
mod transactions;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::lsn::next_lsn;
use super::menu::Menu;
use super::table::{Part, Table, literal};
use walferry_testkit::checker::{Attached, Compared, KeyChange, ReadAgain, Rules, Session};

/// Partitions that a history makes.
const LEAVES_MAX: i64 = 12;
/// Tables that come while it runs.
const NEW_TABLES: [&str; 6] = ["n1", "n2", "n3", "n4", "n5", "n6"];
/// Rows of one statement that fills a table.
const FILL_ROWS: i64 = 250;

pub(super) struct Writer {
    session: Session,
    publication: String,
    /// The connector's role, which owns every table.
    role: String,
    menu: Menu,
    tables: Vec<Table>,
    told: Told,
    script: String,
    count: u32,
    pub(super) ddl: u32,
    pub(super) dml: u32,
}

/// What the comparison has to know.
#[derive(Clone, Default)]
struct Told {
    keys: Vec<KeyChange>,
    read_again: Vec<ReadAgain>,
    attached: Vec<Attached>,
}

impl Writer {
    /// The models, none of which is there yet.
    pub(super) fn new(url: &str, (publication, role): (&str, &str), menu: Menu) -> Result<Writer> {
        let mut tables = vec![
            Table::new(["a", "a_moved"], Part::Keys),
            Table::new(["b", "b_moved"], Part::Keys),
            Table::new(["c", "c_moved"], Part::Identities),
            Table::new(["d", "d_moved"], Part::Identities),
            Table::new(["e", "e"], Part::Replaced),
            Table::new(["f", "f"], Part::Replaced),
            Table::new(["k", "k"], Part::Keyless),
            Table::new(["s", "s"], Part::Deferrable),
            Table::new(["p", "p"], Part::Partitioned),
        ];
        let new = NEW_TABLES.map(|name| Table::new([name, name], Part::Replaced));
        tables.extend(new);
        Ok(Writer {
            session: Session::connect(url)?,
            publication: publication.to_owned(),
            role: role.to_owned(),
            menu,
            tables,
            told: Told::default(),
            script: String::new(),
            count: 0,
            ddl: 0,
            dml: 0,
        })
    }

    /// Makes the publication, for a connector that finds one.
    pub(super) fn publish_tables(&mut self) -> Result<()> {
        let (publication, role) = (self.publication.clone(), self.role.clone());
        let via = match self.menu.leaves {
            true => "",
            false => " with (publish_via_partition_root)",
        };
        let tables = self.tables.iter().filter(|it| it.exists);
        let tables: Vec<&str> = tables.map(|it| it.name.as_str()).collect();
        let tables = tables.join(", ");
        self.execute(&format!(
            "create publication {publication} for table {tables}{via};
             alter publication {publication} owner to {role}"
        ))
    }

    /// Every name that a table may have, `schema.table`.
    pub(super) fn table_names(&self) -> Vec<String> {
        let whole = |it: &&Table| !(self.menu.leaves && it.part == Part::Partitioned);
        let names = self.tables.iter().filter(whole);
        let names = names.flat_map(|table| table.names.clone());
        let leaves = (0..LEAVES_MAX).map(|number| format!("p_{number}"));
        let mut names: Vec<String> = names
            .chain(leaves)
            .map(|name| format!("public.{name}"))
            .collect();
        names.dedup();
        names
    }

    pub(super) fn menu(&self) -> &Menu {
        &self.menu
    }

    pub(super) fn statements(&self) -> u32 {
        self.count
    }

    pub(super) fn script(&self) -> &str {
        &self.script
    }

    /// Keys that were used are not used again.
    fn restore(&mut self, (tables, told): (Vec<Table>, Told)) {
        let used = std::mem::replace(&mut self.tables, tables);
        self.told = told;
        for (table, used) in self.tables.iter_mut().zip(used) {
            table.next = used.next;
            for leaf in &mut table.leaves {
                let used = used.leaves.iter().find(|it| it.number == leaf.number);
                leaf.next = used.map_or(leaf.next, |it| it.next);
            }
        }
    }

    /// The last statement: an insert that is published.
    pub(super) fn last(&self) -> String {
        let table = &self.tables[0];
        let required = || table.columns.iter().filter(|it| it.required);
        let names: String = required().map(|it| format!(", {}", it.name)).collect();
        let values: String = required()
            .map(|it| format!(", {}", literal_of(it.kind)))
            .collect();
        format!(
            "insert into {} ({}, {}{names}) values (-1, -1{values})",
            table.name, table.id, table.alt
        )
    }

    /// Adds to the rules what the session alone knows.
    pub(super) fn tell(&self, rules: &mut Rules) {
        rules.key_changes.clone_from(&self.told.keys);
        rules.read_again.clone_from(&self.told.read_again);
        // A topic without keys is emptied and told anew whenever places or changes of its rows are lost.
        let keyless = self.tables.iter().filter(|it| it.part == Part::Keyless);
        rules.read_again.extend(keyless.map(|it| ReadAgain {
            table: format!("public.{}", it.name),
            from: 0,
        }));
        rules.attached.clone_from(&self.told.attached);
        let pass = self.tables.iter().filter(|it| it.part == Part::Deferrable);
        rules.passing_keys = pass.map(|it| format!("public.{}", it.name)).collect();
        rules.swept = true;
    }

    /// The tables whose topics have to agree with them in the end.
    pub(super) fn compared(&self, prefix: &str) -> Vec<Compared> {
        let mut all = Vec::new();
        for table in self.tables.iter().filter(|it| it.exists && !it.moved) {
            let mut names = vec![table.name.clone()];
            if table.part == Part::Partitioned {
                let alone = table.leaves.iter();
                let alone = alone.filter(|it| self.menu.leaves || !it.attached);
                let alone = alone.map(|it| table.leaf_name(it.number));
                if self.menu.leaves {
                    names.clear();
                }
                names.extend(alone);
            }
            let compared = names.into_iter().map(|name| Compared {
                table: format!("public.{name}"),
                topic: format!("{prefix}.public.{name}"),
                key: table.key(),
                meanings: table.meanings.clone(),
            });
            all.extend(compared);
        }
        all
    }

    /// A table that may be read again, `schema.table`. One without a key would have its rows twice.
    pub(super) fn any_table(&self, random: &mut StdRng) -> Option<String> {
        let fits = |it: &&Table| {
            it.exists
                && it.part != Part::Keyless
                && !(self.menu.leaves && it.part == Part::Partitioned)
        };
        let tables: Vec<&Table> = self.tables.iter().filter(fits).collect();
        Some(format!("public.{}", tables.choose(random)?.name))
    }

    /// Tables that hide rows from the connector, `schema.table`.
    pub(super) fn secured(&self) -> Vec<String> {
        let tables = self.tables.iter().filter(|it| it.exists && it.secured);
        tables.map(|it| format!("public.{}", it.name)).collect()
    }

    fn places(&self, fits: impl Fn(&Table) -> bool) -> Vec<usize> {
        let tables = self.tables.iter().enumerate();
        tables.filter(|it| fits(it.1)).map(|it| it.0).collect()
    }

    fn rows(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        self.dml += 1;
        let table = &mut self.tables[index];
        let roll = random.random_range(0..100);
        let sql = match table.may_update() {
            true if roll < 30 => table.update(random),
            true if roll < 40 => Some(table.delete(random)),
            _ if roll > 97 => Some(format!("truncate {}", table.name)),
            _ => None,
        };
        let rows = random.random_range(1..6);
        let sql = sql.unwrap_or_else(|| table.insert(rows, random));
        self.execute(&sql)
    }

    /// From here on the table's records have the key that it has now.
    fn note_key(&mut self, index: usize) -> Result<()> {
        let (name, key) = (self.tables[index].name.clone(), self.tables[index].key());
        self.note_key_of(&name, key)
    }

    fn note_key_of(&mut self, name: &str, key: Vec<String>) -> Result<()> {
        let from = next_lsn(&mut self.session)?;
        self.told.keys.push(KeyChange {
            table: format!("public.{name}"),
            from,
            key,
        });
        Ok(())
    }

    /// From here on a column of the table means something else than under this name before.
    fn note_meaning(&mut self, index: usize, column: &str) -> Result<()> {
        let from = next_lsn(&mut self.session)?;
        let meanings: &mut BTreeMap<String, u64> = &mut self.tables[index].meanings;
        meanings.insert(column.to_owned(), from);
        Ok(())
    }

    /// From here on the table of this name is made to agree in other ways than by its changes.
    pub(super) fn note_read_again(&mut self, name: &str) -> Result<()> {
        let from = next_lsn(&mut self.session)?;
        let name = name.strip_prefix("public.").unwrap_or(name);
        self.told.read_again.push(ReadAgain {
            table: format!("public.{name}"),
            from,
        });
        Ok(())
    }

    fn execute(&mut self, sql: &str) -> Result<()> {
        self.count += 1;
        self.note(sql);
        self.session
            .execute(sql)
            .with_context(|| format!("the statement {sql}"))
    }

    /// Writes a line into the script.
    pub(super) fn note(&mut self, line: &str) {
        self.script.push_str(line);
        self.script.push_str(";\n");
    }
}

/// A plain value of a type, for the last row.
fn literal_of(kind: &str) -> String {
    use rand::SeedableRng as _;
    literal(kind, &mut StdRng::seed_from_u64(0))
}
