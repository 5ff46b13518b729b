//! The session that writes a history: what its next statement is, and what that means for the comparison.
//!
//! Owns: the tables' models, the script, the account of keys and of tables that are read again. The statements themselves are in
//! a module for each kind. Never: a statement that the server refuses, unless the model is wrong. What a transaction did to the
//! models is forgotten when it is rolled back.
//! Start reading at [`Writer::transaction`].

mod columns;
mod keys;
mod partitions;
mod publication;
mod rewrites;
mod security;
mod tables;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::menu::{Kind, Menu};
use super::next_lsn;
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

/// A kind of statement that changes something else than rows.
#[derive(Clone, Copy)]
enum Ddl {
    AddColumn,
    DropColumn,
    DropAndAdd,
    RenameColumn,
    Retype,
    Nullability,
    Describe,
    Rename,
    KeyOrIdentity,
    Rewrite,
    Recreate,
    Swap,
    NewTable,
    Partition,
    LeafTruncate,
    Publication,
    Flags,
    Security,
    PassKeys,
}

impl Ddl {
    /// Each with its weight, and the kind that a history must have for it.
    const ALL: [(Ddl, u32, Option<Kind>); 19] = [
        (Ddl::AddColumn, 6, None),
        (Ddl::DropColumn, 4, None),
        (Ddl::DropAndAdd, 2, None),
        (Ddl::RenameColumn, 4, None),
        (Ddl::Retype, 4, None),
        (Ddl::Nullability, 2, None),
        (Ddl::Describe, 2, None),
        (Ddl::Rename, 2, None),
        (Ddl::KeyOrIdentity, 4, None),
        (Ddl::Rewrite, 8, Some(Kind::Rewrites)),
        (Ddl::Recreate, 4, Some(Kind::Replaced)),
        (Ddl::Swap, 2, Some(Kind::Replaced)),
        (Ddl::NewTable, 3, Some(Kind::Tables)),
        (Ddl::Partition, 6, Some(Kind::Partitions)),
        (Ddl::LeafTruncate, 2, Some(Kind::LeafTruncates)),
        (Ddl::Publication, 4, Some(Kind::Publication)),
        (Ddl::Flags, 2, Some(Kind::Flags)),
        (Ddl::Security, 3, Some(Kind::Security)),
        (Ddl::PassKeys, 6, Some(Kind::Swaps)),
    ];

    /// The tables that it may be done to.
    fn fits(self, table: &Table) -> bool {
        use Part::{Deferrable, Identities, Keyless, Keys, Partitioned, Replaced};
        let parts: &[Part] = match self {
            Ddl::AddColumn | Ddl::DropColumn | Ddl::DropAndAdd | Ddl::RenameColumn => {
                &[Keys, Identities, Replaced]
            }
            Ddl::Retype | Ddl::Nullability | Ddl::Describe => &[Keys, Identities, Replaced],
            Ddl::Rename => &[Keys, Identities],
            Ddl::KeyOrIdentity => &[Keys, Identities, Replaced],
            Ddl::Rewrite => &[Keys, Identities, Replaced, Keyless, Deferrable, Partitioned],
            Ddl::Recreate | Ddl::Swap | Ddl::Publication | Ddl::Security => &[Replaced],
            Ddl::Partition | Ddl::LeafTruncate => &[Partitioned],
            Ddl::NewTable | Ddl::Flags => &[Replaced],
            Ddl::PassKeys => &[Deferrable],
        };
        let there = table.exists || matches!(self, Ddl::Recreate | Ddl::NewTable | Ddl::Flags);
        there && parts.contains(&table.part)
    }
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

    /// Makes the tables and fills them.
    pub(super) fn make_tables(&mut self, rows: u32, random: &mut StdRng) -> Result<()> {
        let there = self.tables.len() - NEW_TABLES.len();
        for index in 0..there {
            if self.tables[index].part == Part::Deferrable && !self.menu.has(Kind::Swaps) {
                continue;
            }
            tables::create(self, index, random)?;
            if self.tables[index].part == Part::Partitioned {
                for _ in 0..2 {
                    partitions::create(self, index, random)?;
                }
            }
            let mut left = i64::from(rows);
            while left > 0 {
                let sql = self.tables[index].insert(left.min(FILL_ROWS), random);
                self.execute(&sql)?;
                left -= FILL_ROWS;
            }
        }
        self.execute("analyze")?;
        (self.count, self.told.read_again) = (0, Vec::new());
        Ok(())
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

    /// Takes every policy away again.
    pub(super) fn unsecure(&mut self) -> Result<()> {
        for index in self.places(|it| it.exists && it.secured) {
            security::change(self, index)?;
        }
        Ok(())
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

    /// One transaction of one or several statements, which may be rolled back as a whole or in part; or what none may hold.
    pub(super) fn transaction(&mut self, random: &mut StdRng) -> Result<()> {
        if self.menu.has(Kind::Rewrites) && random.random_ratio(1, 15) {
            return rewrites::vacuum_full(self, random);
        }
        let before = (self.tables.clone(), self.told.clone());
        self.execute("begin")?;
        let statements = match random.random_ratio(1, 3) {
            true => 1,
            false => random.random_range(1..7),
        };
        for _ in 0..statements {
            if random.random_ratio(1, 12) {
                self.abandoned(random)?;
            }
            self.statement(random)?;
        }
        if random.random_ratio(1, 10) {
            self.execute("rollback")?;
            self.restore(before);
            return Ok(());
        }
        self.execute("commit")
    }

    /// A savepoint, some statements, and back to it.
    fn abandoned(&mut self, random: &mut StdRng) -> Result<()> {
        let before = (self.tables.clone(), self.told.clone());
        self.execute("savepoint s")?;
        for _ in 0..random.random_range(1..4) {
            self.statement(random)?;
        }
        self.execute("rollback to savepoint s")?;
        self.restore(before);
        Ok(())
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

    fn statement(&mut self, random: &mut StdRng) -> Result<()> {
        if random.random_ratio(3, 5) {
            let there: Vec<usize> = self.places(|it| it.exists);
            let index = *there.choose(random).context("no table is there")?;
            return self.rows(index, random);
        }
        let has = |it: &&(Ddl, u32, Option<Kind>)| it.2.is_none_or(|kind| self.menu.has(kind));
        let kinds: Vec<_> = Ddl::ALL.iter().filter(has).collect();
        let chosen = kinds.choose_weighted(random, |it| it.1)?;
        let ddl = chosen.0;
        let fitting = self.places(|it| ddl.fits(it));
        let index = *fitting.choose(random).context("no table fits")?;
        self.ddl += 1;
        match ddl {
            Ddl::AddColumn => columns::add(self, index, random),
            Ddl::DropColumn => columns::remove(self, index, random),
            Ddl::DropAndAdd => columns::remove_and_add(self, index, random),
            Ddl::RenameColumn => columns::rename(self, index, random),
            Ddl::Retype => columns::retype(self, index, random),
            Ddl::Nullability => columns::nullability(self, index, random),
            Ddl::Describe => columns::describe(self, index, random),
            Ddl::Rename => tables::rename(self, index),
            Ddl::KeyOrIdentity => keys::change(self, index, random),
            Ddl::Rewrite => rewrites::rewrite(self, index, random),
            Ddl::Recreate => tables::recreate(self, index, random),
            Ddl::Swap => tables::swap(self, index, random),
            Ddl::NewTable => tables::come(self, random),
            Ddl::Partition => partitions::change(self, index, random),
            Ddl::LeafTruncate => partitions::truncate(self, index, random),
            Ddl::Publication => publication::change(self, index),
            Ddl::Flags => publication::flags(self, random),
            Ddl::Security => security::change(self, index),
            Ddl::PassKeys => keys::pass(self, index, random),
        }
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
