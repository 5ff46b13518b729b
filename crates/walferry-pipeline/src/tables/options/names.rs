//! The columns that options name, under the names that one version of their table has for them.
//!
//! Owns the memory of their numbers (`attnum`), which stay when a column is renamed. Never: decides what is done with a column.
//! Invariant: what an option keeps back leaves under no other name. A column that is renamed while it is followed, or was since a row
//! was written, is meant by the name in the file as well; where several may be it, all of them are.
//! Start reading at `Names::of`.

use std::collections::{BTreeSet, HashMap};

use walferry_event::Relation;
use walferry_postgres::Catalog;

use crate::config::{Config, TableConfig};

/// What is known of the columns that options name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By table and the name in the file: each number that a column of this name has had.
    numbers: HashMap<(u32, String), BTreeSet<i16>>,
}

/// A column that is meant by another name than its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name in the file.
    pub(crate) option: String,
    /// The column's name in this version of the table.
    pub(crate) column: String,
}

/// What options mean in one version of a table.
#[derive(Debug, Default)]
pub(crate) struct Meant {
    pub(crate) aliases: Vec<Alias>,
    /// A column of this name is neither there nor was seen: nobody knows what it is called.
    pub(crate) lost: Option<String>,
    /// Columns of these names are not there any more.
    pub(crate) renamed: Vec<Alias>,
}

/// Whether options keep columns of a table back.
pub(crate) fn keeps_back(own: &TableConfig) -> bool {
    !own.masks.is_empty() || !own.exclude_columns.is_empty()
}

impl Names {
    /// What the options of a table mean in this version of it.
    pub(crate) async fn of(
        &mut self,
        config: &Config,
        catalog: &Catalog,
        relation: &Relation,
    ) -> Result<Meant, walferry_postgres::Error> {
        let own = config.table(&relation.qualified_name());
        let Some(own) = own.filter(|own| keeps_back(own)) else {
            return Ok(Meant::default());
        };
        let numbers = catalog.column_numbers(relation.oid).await?;
        // With a column list the server leaves out what is not on it, whatever it is called.
        let published = catalog.published(&config.source.publication, relation.oid);
        let listed = published.await?.is_some_and(|it| it.columns.is_some());
        let excluded = own.exclude_columns.iter().filter(|_| !listed);
        let masked = own.masks.iter().map(|(column, _)| column);
        Ok(self.meant(relation, &numbers, excluded.chain(masked)))
    }

    fn meant<'a>(
        &mut self,
        relation: &Relation,
        numbers: &HashMap<String, i16>,
        options: impl Iterator<Item = &'a String>,
    ) -> Meant {
        let mut meant = Meant::default();
        for option in options {
            let known = self.numbers.entry((relation.oid, option.clone()));
            let known = known.or_default();
            known.extend(numbers.get(option));
            if known.is_empty() && !relation.columns.iter().any(|it| it.name == *option) {
                meant.lost = Some(option.clone());
            }
            for place in known.iter().flat_map(|it| places(relation, numbers, *it)) {
                let alias = Alias {
                    option: option.clone(),
                    column: relation.columns[place].name.clone(),
                };
                if alias.column == alias.option || meant.aliases.contains(&alias) {
                    continue;
                }
                if !numbers.contains_key(option) {
                    meant.renamed.push(alias.clone());
                }
                meant.aliases.push(alias);
            }
        }
        meant
    }
}

/// Where the column of a number stands in a version of its table: under the name that it has now or, when that is not there, as a
/// column of a name that is no more which lies between the same neighbours. As many columns as are missing there keep their order.
fn places(relation: &Relation, numbers: &HashMap<String, i16>, number: i16) -> Vec<usize> {
    let columns = &relation.columns;
    let now = |at: usize| numbers.get(&columns[at].name).copied();
    if let Some(at) = (0..columns.len()).find(|at| now(*at) == Some(number)) {
        return vec![at];
    }
    let candidates = |number: i16| -> Vec<usize> {
        let between = |at: &usize| {
            let (mut before, mut after) = (0..*at, *at + 1..columns.len());
            now(*at).is_none()
                && before.all(|it| now(it).is_none_or(|it| it < number))
                && after.all(|it| now(it).is_none_or(|it| it > number))
        };
        (0..columns.len()).filter(between).collect()
    };
    let found = candidates(number);
    let there = |name: &String| columns.iter().any(|it| it.name == *name);
    let missing = numbers.iter().filter(|(name, _)| !there(name));
    let mut missing: BTreeSet<i16> = missing.map(|(_, it)| *it).collect();
    missing.insert(number);
    missing.retain(|it| candidates(*it) == found);
    match missing.iter().position(|it| *it == number) {
        Some(rank) if missing.len() == found.len() => vec![found[rank]],
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::{RelationColumn, ReplicaIdentity};

    use super::*;

    fn version(columns: &[&str]) -> Relation {
        let column = |name: &&str| RelationColumn {
            name: (*name).to_owned(),
            type_oid: 25,
            type_modifier: -1,
            in_identity: false,
        };
        Relation {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: ReplicaIdentity::Full,
            columns: columns.iter().map(column).collect(),
        }
    }

    /// What `ssn` means in a version, with these columns in the catalog; and whether it is lost.
    fn means(names: &mut Names, columns: &[&str], now: &[(&str, i16)]) -> (Vec<String>, bool) {
        let numbers = now.iter().map(|(name, it)| ((*name).to_owned(), *it));
        let option = "ssn".to_owned();
        let meant = names.meant(
            &version(columns),
            &numbers.collect(),
            std::iter::once(&option),
        );
        let columns = meant.aliases.into_iter().map(|it| it.column);
        (columns.collect(), meant.lost.is_some())
    }

    #[test]
    fn a_column_is_meant_by_the_name_in_the_file_whatever_it_is_called() {
        let first: &[(&str, i16)] = &[("id", 1), ("ssn", 2), ("x", 3)];
        let told = |columns: &[&str], now: &[(&str, i16)]| {
            let mut names = Names::default();
            let as_it_is = means(&mut names, &["id", "ssn", "x"], first);
            assert_eq!(as_it_is, (vec![], false));
            let (columns, lost) = means(&mut names, columns, now);
            assert!(!lost);
            columns
        };
        let renamed: &[(&str, i16)] = &[("id", 1), ("tax", 2), ("x", 3)];
        assert_eq!(told(&["id", "tax", "x"], renamed), ["tax"]);
        // Renamed again before this version was read, and dropped before it.
        assert_eq!(told(&["id", "number", "x"], renamed), ["number"]);
        assert_eq!(
            told(&["id", "number", "x"], &[("id", 1), ("x", 3)]),
            ["number"]
        );
        // Dropped.
        assert!(told(&["id", "x"], &[("id", 1), ("x", 3)]).is_empty());
        // Another column has the name now.
        let expanded = &[("id", 1), ("old", 2), ("x", 3), ("ssn", 4)];
        assert_eq!(told(&["id", "old", "x", "ssn"], expanded), ["old"]);
        assert!(told(&["id", "ssn", "x"], expanded).is_empty());
    }

    #[test]
    fn a_row_from_before_the_name_in_the_file_is_kept_back_too() {
        let mut names = Names::default();
        let now: &[(&str, i16)] = &[("id", 1), ("other", 2), ("ssn", 3), ("x", 4)];
        let old = means(&mut names, &["id", "other", "tax", "x"], now);
        assert_eq!(old, (vec!["tax".to_owned()], false));
        // Columns keep their order; which of three it is cannot be told.
        let (second, _) = means(&mut names, &["id", "one", "tax", "x"], now);
        assert_eq!(second, ["tax"]);
        let (all, _) = means(&mut names, &["id", "one", "two", "tax", "x"], now);
        assert_eq!(all, ["one", "two", "tax"]);
        // It was added later.
        let (none, _) = means(&mut names, &["id", "other", "x"], now);
        assert!(none.is_empty());
    }

    #[test]
    fn a_column_that_was_never_seen_is_lost() {
        let renamed: &[(&str, i16)] = &[("id", 1), ("tax", 2)];
        let (_, lost) = means(&mut Names::default(), &["id", "tax"], renamed);
        assert!(lost);
    }
}
