//! Which tables and columns: lists of regular expressions to globs and `[[table]]`s.

use toml::{Table, Value};

use super::{Migration, patterns};

impl Migration {
    /// `source.tables`: what is included, then what is excluded, since the last match decides.
    pub(super) fn selection(&mut self) {
        let tables = self.globs("table.include.list", "");
        let schemas = self.globs("schema.include.list", ".*");
        if tables.is_some() && schemas.is_some() {
            self.hold(
                "table.include.list and schema.include.list both hold: source.tables has the tables of the former; take out \
                 those of other schemas",
            );
        }
        let mut globs = tables.or(schemas).unwrap_or_else(|| vec!["*.*".to_owned()]);
        for (property, end) in [("schema.exclude.list", ".*"), ("table.exclude.list", "")] {
            let excluded = self.globs(property, end).unwrap_or_default();
            globs.extend(excluded.iter().map(|glob| format!("!{glob}")));
        }
        self.set("source", "tables", globs);
    }

    fn globs(&mut self, property: &str, end: &str) -> Option<Vec<String>> {
        let list = self.take(property)?;
        let mut globs = Vec::new();
        for expression in patterns::entries(&list) {
            match patterns::globs(expression) {
                Some(said) => globs.extend(said.iter().map(|glob| format!("{glob}{end}"))),
                None => self.hold(format!(
                    "{property}: no glob says {expression}; write its tables into source.tables"
                )),
            }
        }
        Some(globs)
    }

    pub(super) fn columns(&mut self) {
        for (table, column) in self.named("column.exclude.list") {
            self.add(&table, "exclude_columns", column.into());
        }
        self.keys_of_messages();
        let properties: Vec<String> = self.left.keys().cloned().collect();
        for property in properties {
            let Some(rest) = property.strip_prefix("column.") else {
                continue;
            };
            if let Some(length) = inner(rest, "truncate.to.") {
                let chars = length.parse::<i64>().unwrap_or_default();
                self.masks(
                    &property,
                    &[("with", "truncate".into()), ("chars", chars.into())],
                );
            } else if inner(rest, "mask.with.").is_some() {
                self.settle(format!(
                    "{property}: its values are **** here, whatever the length"
                ));
                self.masks(&property, &[("with", "redact".into())]);
            } else if rest.starts_with("mask.hash.") {
                // The salt is part of the name.
                let shown = "column.mask.hash";
                self.settle(format!(
                    "{shown}: other hashes than Debezium's; put the salt into the variable SALT"
                ));
                let salt = Table::from_iter([("env".to_owned(), "SALT".into())]);
                self.masks(
                    &property,
                    &[("with", "sha256".into()), ("salt", salt.into())],
                );
            }
        }
    }

    fn masks(&mut self, property: &str, how: &[(&str, Value)]) {
        for (table, column) in self.named(property) {
            let how = how
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()));
            let mut mask = Table::from_iter([("column".to_owned(), column.into())]);
            mask.extend(how);
            self.add(&table, "mask", mask.into());
        }
    }

    /// `schema.table:column,column;schema.table:column`.
    fn keys_of_messages(&mut self) {
        let list = self.take("message.key.columns").unwrap_or_default();
        for entry in list.split(';').map(str::trim).filter(|it| !it.is_empty()) {
            let halves = entry.split_once(':');
            let tables = halves.and_then(|(table, _)| patterns::globs(table));
            let (Some((_, columns)), Some(tables)) = (halves, tables) else {
                self.hold(format!(
                    "message.key.columns: {entry} cannot be told as a [[table]]"
                ));
                continue;
            };
            for table in tables {
                for column in columns.split(',') {
                    self.add(&table, "key", column.trim().into());
                }
            }
        }
    }

    /// Tables and columns of a list of `schema.table.column`.
    fn named(&mut self, property: &str) -> Vec<(String, String)> {
        let list = self.take(property).unwrap_or_default();
        let mut named = Vec::new();
        for expression in patterns::entries(&list) {
            let globs = patterns::globs(expression).unwrap_or_default();
            let pairs: Option<Vec<_>> = globs.iter().map(|glob| column(glob)).collect();
            match pairs.filter(|pairs| !pairs.is_empty()) {
                Some(pairs) => named.extend(pairs),
                None => self.hold(format!(
                    "columns {expression} are not named one by one; write them into a [[table]]"
                )),
            }
        }
        named
    }

    /// Appends to a list of a `[[table]]`.
    fn add(&mut self, table: &str, key: &'static str, value: Value) {
        let keys = self.tables.entry(table.to_owned()).or_default();
        match keys.iter_mut().find(|(there, _)| *there == key) {
            Some((_, Value::Array(values))) => values.push(value),
            _ => keys.push((key, Value::Array(vec![value]))),
        }
    }
}

/// `42` of `truncate.to.42.chars`.
fn inner<'a>(rest: &'a str, start: &str) -> Option<&'a str> {
    rest.strip_prefix(start)?.strip_suffix(".chars")
}

/// `schema.table.column`, with a column that is no glob.
fn column(glob: &str) -> Option<(String, String)> {
    let (table, column) = glob.rsplit_once('.')?;
    let plain = table.contains('.') && !column.contains(['*', '?']);
    plain.then(|| (table.to_owned(), column.to_owned()))
}
