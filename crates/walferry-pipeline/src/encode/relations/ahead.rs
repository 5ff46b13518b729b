//! What the catalog says of relations; topics and schemas of tables whose rows will be read soon, for many tables at once.
//!
//! Owns what is made of the catalog's answers. What is made ahead has no outcome: what is there when a table's first row comes costs
//! nothing then, and what is not is made, or refused, by `Relations::settle`. One table after the other, two hundred took a minute in
//! their snapshot, nearly all of it waiting.
//! Never for a table without rows, whose topic and schema come with its first change.

use std::sync::Arc;

use walferry_event::{Code, Relation, ReplicaIdentity, Table};

use crate::{
    encode::relations::Relations,
    error::Error,
    position::published_record::Lack,
    tables::{
        compile,
        key::choose_key,
        options::names::{self, Alias, Meant},
        plan::offers,
    },
};

impl Relations {
    /// Makes what these tables need, as far as it goes.
    pub(crate) fn prepare(&mut self, relations: &[Relation]) {
        if let Err(error) = self.try_prepare(relations) {
            tracing::debug!(%error, "topics and schemas are made table by table");
        }
    }

    /// What the catalog says of a relation, asked now unless it was asked ahead.
    pub(super) fn known(&mut self, relation: &Relation) -> Result<Table, Error> {
        match self.ahead.remove(&relation.oid) {
            Some(table) if table.relation == *relation => Ok(table),
            _ => self.look_up(relation),
        }
    }

    /// Asks the catalog.
    pub(super) fn look_up(&mut self, relation: &Relation) -> Result<Table, Error> {
        let mut table = self.servers.table(relation, self.unseen.take())?;
        self.key_of_gone(&mut table)?;
        choose_key(&self.config, &mut table)?;
        self.as_leaves_wrote(&mut table);
        Ok(table)
    }

    /// Whether the key that the catalog knows was made behind the transaction that the stream is in. With another identity than the
    /// whole row the stream says itself what is the key.
    pub(super) fn key_is_newer(&mut self, table: &Table) -> Result<bool, Error> {
        let relation = &table.relation;
        let whole = relation.replica_identity == ReplicaIdentity::Full;
        let own = self.config.table(&relation.qualified_name());
        let chosen = own.is_some_and(|own| own.key.is_some());
        match self.open {
            Some(xid) if whole && !chosen && !table.key.is_empty() => {
                self.servers.keys_are_newer(relation.oid, xid)
            }
            _ => Ok(false),
        }
    }

    /// The columns that options of the table mean in this version of it, under other names than those in the file.
    pub(super) fn aliases(&mut self, relation: &Relation) -> Result<Vec<Alias>, Error> {
        let name = relation.qualified_name();
        if !self.config.table(&name).is_some_and(names::keeps_back) {
            return Ok(Vec::new());
        }
        let meant = self.servers.meant(relation)?;
        self.tell_names(&name, meant)
    }

    fn tell_names(&self, name: &str, meant: Meant) -> Result<Vec<Alias>, Error> {
        if let Some(option) = meant.lost {
            return Err(Error::invalid(
                Code::TableOption,
                format!(
                    "table {name}: column {option:?}, which its [[table]] keeps back, was renamed or dropped, and which column it is now \
                 cannot be told; mend its [[table]]"
                ),
            ));
        }
        let renamed = meant.renamed.iter();
        let renamed: Vec<String> = renamed
            .map(|it| format!("column {:?} is called {:?} now", it.option, it.column))
            .collect();
        if !renamed.is_empty() {
            self.status.findings.set(name, Lack::Uneven, format!(
                "{}, and is kept back under that name as its [[table]] says; write the new name into it, or the next start is \
                 refused", renamed.join(" and ")
            ));
        }
        Ok(meant.aliases)
    }

    /// What the stream has said of a leaf counts more than the catalog, which may be newer than the row.
    fn as_leaves_wrote(&self, table: &mut Table) {
        let columns = &table.relation.columns;
        for leaf in &mut table.old_rows.leaves {
            let Some(said) = self.described.get(&leaf.oid) else {
                continue;
            };
            let carried = |name: &str| {
                said.columns
                    .iter()
                    .any(|it| it.name == name && it.in_identity)
            };
            leaf.full = said.replica_identity == ReplicaIdentity::Full;
            let all = columns.iter().enumerate();
            let kept = all.filter(|(_, column)| carried(&column.name));
            leaf.columns = kept.map(|(at, _)| at).collect();
        }
    }

    fn try_prepare(&mut self, relations: &[Relation]) -> Result<(), Error> {
        let oids: Vec<u32> = relations.iter().map(|it| it.oid).collect();
        let filled = self.servers.filled(&oids)?;
        let (mut topics, mut versions) = (Vec::new(), Vec::new());
        for relation in relations.iter().filter(|it| filled.contains(&it.oid)) {
            let table = self.look_up(relation)?;
            let aliases = self.aliases(relation)?;
            let compiled = compile::compile(&self.config, &table, &aliases)?;
            self.ahead.insert(relation.oid, table);
            let made = offers(&self.config, &compiled.topic, &compiled.encode);
            versions.push(made.map(|(_, offer)| offer).collect::<Vec<_>>());
            topics.push(Arc::<str>::from(compiled.topic));
        }
        self.servers.make_ahead(topics, &versions)
    }
}
