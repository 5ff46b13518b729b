//! The session that writes a history: what its next statement is, and what that means for the comparison.
//!
//! Owns: the tables' models, the script, the account of keys and of times without publication. Never: a statement that
//! the server refuses, unless the model is wrong. What a transaction did to the models is forgotten when it is rolled back.

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::next_lsn;
use super::table::{Column, Identity, Table, any_kind, literal};
use crate::checker::{KeyChange, Rules, Session, Unpublished};

/// Columns besides those of the key.
const COLUMNS_MAX: usize = 7;

pub(super) struct Writer {
    session: Session,
    publication: String,
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
    gaps: Vec<Unpublished>,
}

impl Writer {
    /// Makes the tables and the publication.
    pub(super) fn create(url: &str, publication: &str, random: &mut StdRng) -> Result<Writer> {
        let tables = [
            Table::new(["a", "a_moved"], true),
            Table::new(["b", "b_moved"], true),
            Table::new(["c", "c_moved"], false),
            Table::new(["d", "d_moved"], false),
        ];
        let mut writer = Writer {
            session: Session::connect(url)?,
            publication: publication.to_owned(),
            tables: tables.into(),
            told: Told::default(),
            script: String::new(),
            count: 0,
            ddl: 0,
            dml: 0,
        };
        for index in 0..writer.tables.len() {
            let sql = writer.tables[index].create(random);
            writer.execute(&sql)?;
            writer.note_key(index)?;
        }
        writer.execute(&format!(
            "create publication {publication} for table a, b, c, d"
        ))?;
        writer.count = 0;
        Ok(writer)
    }

    /// Every name that a table may have, `schema.table`.
    pub(super) fn table_names(&self) -> Vec<String> {
        let names = self.tables.iter().flat_map(|table| &table.names);
        names.map(|name| format!("public.{name}")).collect()
    }

    pub(super) fn statements(&self) -> u32 {
        self.count
    }

    pub(super) fn script(&self) -> &str {
        &self.script
    }

    /// One transaction of one or several statements, which may be rolled back as a whole or in part.
    pub(super) fn transaction(&mut self, random: &mut StdRng) -> Result<()> {
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
        self.publish_all()?;
        self.execute("commit")
    }

    /// Takes every table back into the publication: a connector that starts and finds one missing does so itself, or
    /// refuses to go on.
    fn publish_all(&mut self) -> Result<()> {
        for index in 0..self.tables.len() {
            if !self.tables[index].published {
                self.publish(index)?;
            }
        }
        Ok(())
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
        let used: Vec<i64> = self.tables.iter().map(|it| it.next).collect();
        (self.tables, self.told) = (tables, told);
        for (table, next) in self.tables.iter_mut().zip(used) {
            table.next = next;
        }
    }

    /// The last statement: an insert that is published.
    pub(super) fn last(&mut self) -> Result<String> {
        if !self.tables[0].published {
            self.publish(0)?;
        }
        let table = &mut self.tables[0];
        let required: Vec<(String, String)> = table
            .columns
            .iter()
            .filter(|it| it.required)
            .map(|it| (it.name.clone(), literal_of(it.kind)))
            .collect();
        let names: String = required
            .iter()
            .map(|(name, _)| format!(", {name}"))
            .collect();
        let values: String = required
            .iter()
            .map(|(_, value)| format!(", {value}"))
            .collect();
        Ok(format!(
            "insert into {} ({}, {}{names}) values (-1, -1{values})",
            table.name, table.id, table.alt
        ))
    }

    /// Adds to the rules what the session alone knows.
    pub(super) fn tell(&self, rules: &mut Rules) {
        rules.key_changes.clone_from(&self.told.keys);
        rules.unpublished.clone_from(&self.told.gaps);
    }

    fn statement(&mut self, random: &mut StdRng) -> Result<()> {
        let index = random.random_range(0..self.tables.len());
        if random.random_ratio(3, 5) {
            return self.rows(index, random);
        }
        self.ddl += 1;
        match random.random_range(0..16) {
            0..3 => self.add_column(index, random),
            3 | 4 => self.drop_column(index, random),
            5 => self.drop_and_add(index, random),
            6 | 7 => self.rename_column(index, random),
            8 | 9 => self.retype(index, random),
            10 => self.nullability(index, random),
            11 => self.rename(index),
            12 if self.tables[index].reshaped => self.recreate(index, random),
            13 | 14 => self.key_or_identity(index, random),
            15 => self.publication(index),
            _ => self.describe(index, random),
        }
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

    fn add_column(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
        if table.columns.len() >= COLUMNS_MAX {
            return self.drop_column(index, random);
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
            name,
            kind,
            required,
        });
        self.execute(&sql)
    }

    fn drop_column(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
        if table.columns.len() < 2 {
            return self.add_column(index, random);
        }
        let column = table
            .columns
            .remove(random.random_range(0..table.columns.len()));
        let sql = format!("alter table {} drop column {}", table.name, column.name);
        self.execute(&sql)
    }

    /// The same name, another column: in one statement, or with rows in between.
    fn drop_and_add(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
        let Some(column) = table.columns.any_place(random) else {
            return self.add_column(index, random);
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
            self.execute(&format!("alter table {table_name} drop column {name}"))?;
            self.rows(index, random)?;
            self.execute(&format!(
                "alter table {table_name} add column {name} {kind}{rest}"
            ))?;
        } else {
            self.execute(&format!(
                "alter table {table_name} drop column {name}, add column {name} {kind}{rest}"
            ))?;
        }
        self.tables[index].columns.push(Column {
            name,
            kind,
            required,
        });
        Ok(())
    }

    fn rename_column(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
        let name = table.name.clone();
        if random.random_ratio(1, 4) {
            let old = table.id.clone();
            let new = if old == "id" { "number" } else { "id" };
            table.id = new.to_owned();
            for column in table.primary.iter_mut().filter(|it| **it == old) {
                *column = new.to_owned();
            }
            self.execute(&format!("alter table {name} rename column {old} to {new}"))?;
            return self.note_key(index);
        }
        let free = (0..9).map(|n| format!("c{n}"));
        let free: Vec<String> = free
            .filter(|name| !table.columns.iter().any(|it| it.name == *name))
            .collect();
        let new = free.choose(random).context("no name is free")?.clone();
        let Some(column) = table.columns.any_place(random) else {
            return self.add_column(index, random);
        };
        let old = std::mem::replace(&mut table.columns[column].name, new.clone());
        self.execute(&format!("alter table {name} rename column {old} to {new}"))
    }

    fn retype(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
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
            return self.execute(&format!("alter table {name} alter column {id} type {kind}"));
        }
        let Some(column) = table.columns.any_place(random) else {
            return self.add_column(index, random);
        };
        let (kind, using) = any_kind(random);
        let column = &mut table.columns[column];
        column.kind = kind;
        let column = column.name.clone();
        let using = using.replace("{}", &column);
        self.execute(&format!(
            "alter table {name} alter column {column} drop default, alter column {column} type {kind} using {using}"
        ))
    }

    fn nullability(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
        let name = table.name.clone();
        let Some(column) = table.columns.any_place(random) else {
            return self.add_column(index, random);
        };
        let column = &mut table.columns[column];
        column.required = !column.required;
        let (kind, required, column) = (column.kind, column.required, column.name.clone());
        if !required {
            return self.execute(&format!(
                "alter table {name} alter column {column} drop not null"
            ));
        }
        if self.tables[index].may_update() || !self.tables[index].published {
            let value = literal(kind, random);
            self.execute(&format!(
                "update {name} set {column} = {value} where {column} is null"
            ))?;
        } else {
            self.execute(&format!("truncate {name}"))?;
        }
        self.execute(&format!(
            "alter table {name} alter column {column} set not null"
        ))
    }

    fn rename(&mut self, index: usize) -> Result<()> {
        let table = &mut self.tables[index];
        let old = table.name.clone();
        let new = table.names.iter().find(|it| **it != old);
        let new = new.context("a table has two names")?.clone();
        table.name.clone_from(&new);
        self.execute(&format!("alter table {old} rename to {new}"))?;
        if !self.tables[index].published {
            // The time without publication goes on under the other name.
            self.close_gap(&old)?;
            self.open_gap(&new)?;
        }
        self.note_key(index)
    }

    fn recreate(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let name = self.tables[index].name.clone();
        self.execute(&format!("drop table {name}"))?;
        let sql = self.tables[index].create(random);
        self.execute(&sql)?;
        self.note_key(index)?;
        match self.tables[index].published {
            true => {
                let publication = self.publication.clone();
                self.execute(&format!("alter publication {publication} add table {name}"))
            }
            false => Ok(()),
        }
    }

    fn key_or_identity(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &mut self.tables[index];
        let name = table.name.clone();
        let sql = if table.reshaped {
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
                Identity::Nothing,
            ];
            table.identity = *all.choose(random).context("no identity")?;
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
        self.execute(&sql)?;
        self.note_key(index)
    }

    fn publication(&mut self, index: usize) -> Result<()> {
        let table = &mut self.tables[index];
        if !table.published {
            return self.publish(index);
        }
        table.published = false;
        let (name, publication) = (table.name.clone(), self.publication.clone());
        self.execute(&format!(
            "alter publication {publication} drop table {name}"
        ))?;
        self.open_gap(&name)
    }

    fn publish(&mut self, index: usize) -> Result<()> {
        let table = &mut self.tables[index];
        table.published = true;
        let (name, publication) = (table.name.clone(), self.publication.clone());
        self.execute(&format!("alter publication {publication} add table {name}"))?;
        self.close_gap(&name)
    }

    /// What the stream does not tell at all.
    fn describe(&mut self, index: usize, random: &mut StdRng) -> Result<()> {
        let table = &self.tables[index];
        let Some(column) = table.columns.choose(random) else {
            return self.add_column(index, random);
        };
        let (name, column, kind) = (table.name.clone(), column.name.clone(), column.kind);
        let sql = match random.random_range(0..3) {
            0 => format!(
                "comment on column {name}.{column} is 'number {}'",
                self.count
            ),
            1 => format!("alter table {name} alter column {column} drop default"),
            _ => {
                let value = literal(kind, random);
                format!("alter table {name} alter column {column} set default {value}")
            }
        };
        self.execute(&sql)
    }

    fn open_gap(&mut self, name: &str) -> Result<()> {
        let from = next_lsn(&mut self.session)?;
        self.told.gaps.push(Unpublished {
            table: format!("public.{name}"),
            from,
            to: u64::MAX,
        });
        Ok(())
    }

    fn close_gap(&mut self, name: &str) -> Result<()> {
        let to = next_lsn(&mut self.session)?;
        let table = format!("public.{name}");
        let open = |it: &&mut Unpublished| it.table == table && it.to == u64::MAX;
        self.told
            .gaps
            .iter_mut()
            .filter(open)
            .for_each(|it| it.to = to);
        Ok(())
    }

    /// From here on the table's records have the key that it has now.
    fn note_key(&mut self, index: usize) -> Result<()> {
        let from = next_lsn(&mut self.session)?;
        let table = &self.tables[index];
        self.told.keys.push(KeyChange {
            table: format!("public.{}", table.name),
            from,
            key: table.key(),
        });
        Ok(())
    }

    fn execute(&mut self, sql: &str) -> Result<()> {
        self.count += 1;
        self.script.push_str(sql);
        self.script.push_str(";\n");
        self.session
            .execute(sql)
            .with_context(|| format!("the statement {sql}"))
    }
}

/// A plain value of a type, for the last row.
fn literal_of(kind: &str) -> String {
    use rand::SeedableRng as _;
    literal(kind, &mut StdRng::seed_from_u64(0))
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
