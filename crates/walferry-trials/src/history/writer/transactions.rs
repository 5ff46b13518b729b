//! The order of statements: tables, transactions, what is rolled back, and which statement comes next.
//!
//! Owns: the kinds of DDL with their weights. Never: a statement itself; there is a module for each kind.

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::menu::Kind;
use super::super::table::{Part, Table};
use super::{
    FILL_ROWS, NEW_TABLES, Writer, columns, keys, partitions, publication, rewrites, security,
    tables,
};

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
    /// Makes the tables and fills them.
    pub(in super::super) fn make_tables(&mut self, rows: u32, random: &mut StdRng) -> Result<()> {
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

    /// Takes every policy away again.
    pub(in super::super) fn unsecure(&mut self) -> Result<()> {
        for index in self.places(|it| it.exists && it.secured) {
            security::change(self, index)?;
        }
        Ok(())
    }

    /// One transaction of one or several statements, which may be rolled back as a whole or in part; or what none may hold.
    pub(in super::super) fn transaction(&mut self, random: &mut StdRng) -> Result<()> {
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
        let Some(&index) = fitting.choose(random) else {
            return Ok(());
        };
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
}
