//! What the catalog says of relations; topics and schemas of tables whose rows will be read soon, for many tables at once.
//!
//! Owns the questions to the catalog. What is made ahead has no outcome: what is there when a table's first row comes costs nothing then, and what is not is made, or refused, by
//! `Relations::settle`. One table after the other, two hundred took a minute in their snapshot, nearly all of it waiting.
//! Never for a table without rows, whose topic and schema come with its first change.

use std::{sync::Arc, time::Duration};

use tokio::time::{self, Instant};
use walferry_event::{Code, Relation, ReplicaIdentity, Table};
use walferry_postgres::{Catalog, KeyRules};

use crate::{
    encode::relations::Relations,
    error::{Error, Passing},
    position::published_record::Lack,
    tables::{
        compile,
        key::choose_key,
        options::names::{self, Alias, Meant},
        plan::{Offer, offers},
    },
};

/// How long a transaction whose commit is in the WAL may take to be over: longer where it waits for a synchronous standby.
const UNSEEN_MAX: Duration = Duration::from_secs(5);
const UNSEEN_LOOK: Duration = Duration::from_millis(5);

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

    /// Asks the catalog, over a connection of our own that is opened again when it is lost. A server that does not answer
    /// over a new connection either is away: the stream is given up and connected again, patiently. To wait for it here
    /// would hold up its orderly end, which waits for the stream.
    pub(super) fn look_up(&mut self, relation: &Relation) -> Result<Table, Error> {
        let connect = &self.config.source.connect;
        let rules = self.config.key_rules();
        let (catalog, unseen) = (&mut self.catalog, self.unseen.take());
        let asked = self.runtime.block_on(async {
            if let Some(open) = catalog {
                match table(open, relation, rules, unseen).await {
                    Err(error) if error.may_pass() => {}
                    answer => return answer,
                }
            }
            let open = catalog.insert(Catalog::connect(connect).await?);
            table(open, relation, rules, unseen).await
        });
        let mut table = asked.map_err(|error| {
            self.catalog = None;
            // Whoever shuts us out now let us in before.
            match error.is_shut_out() {
                true => Error::away(error),
                false => error.into(),
            }
        })?;
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
        let (Some(xid), Some(catalog)) = (self.open, &self.catalog) else {
            return Ok(false);
        };
        if !whole || chosen || table.key.is_empty() {
            return Ok(false);
        }
        let asked = catalog.keys_are_newer(relation.oid, xid);
        Ok(self.runtime.block_on(asked)?)
    }

    /// The columns that options of the table mean in this version of it, under other names than those in the file.
    pub(super) fn aliases(&mut self, relation: &Relation) -> Result<Vec<Alias>, Error> {
        let config = self.config.clone();
        let name = relation.qualified_name();
        if !config.table(&name).is_some_and(names::keeps_back) {
            return Ok(Vec::new());
        }
        let (catalog, names) = (&mut self.catalog, &mut self.names);
        let asked = self.runtime.block_on(async {
            if let Some(open) = catalog {
                match names.of(&config, open, relation).await {
                    Err(error) if error.may_pass() => {}
                    answer => return answer,
                }
            }
            let open = catalog.insert(Catalog::connect(&config.source.connect).await?);
            names.of(&config, open, relation).await
        });
        let meant = asked.map_err(|error| {
            self.catalog = None;
            match error.is_shut_out() {
                true => Error::away(error),
                false => error.into(),
            }
        })?;
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
        let connect = self.config.source.connect.clone();
        let catalog = &mut self.catalog;
        let filled = self.runtime.block_on(async {
            if catalog.is_none() {
                *catalog = Some(Catalog::connect(&connect).await?);
            }
            match catalog {
                Some(catalog) => catalog.filled(&oids).await,
                None => Ok(Vec::new()),
            }
        })?;
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
        topics.retain(|topic| !self.known_topics.iter().any(|(known, _)| known == topic));
        topics.sort();
        topics.dedup();
        let made = self.runtime.spawn_blocking({
            let (kafka, topics) = (self.config.kafka.clone(), topics.clone());
            let span = tracing::Span::current();
            move || {
                let _named = span.enter();
                let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
                walferry_kafka::ensure_topics(&kafka, &names)
            }
        });
        let versions: Vec<Vec<(&str, &str)>> = versions.iter().map(|it| pairs(it)).collect();
        let registered = self.registry.register_ahead(&versions);
        let (made, ()) = self
            .runtime
            .block_on(async { tokio::join!(made, registered) });
        let takes = made.map_err(|error| Error::internal(format!("making topics: {error}")))??;
        self.known_topics.extend(topics.into_iter().zip(takes));
        Ok(())
    }
}

/// What the catalog says of a relation once it shows what the transaction has changed that the stream is in.
async fn table(
    catalog: &Catalog,
    relation: &Relation,
    rules: KeyRules,
    unseen: Option<u32>,
) -> Result<Table, walferry_postgres::Error> {
    if let Some(xid) = unseen {
        let until = Instant::now() + UNSEEN_MAX;
        while catalog.is_ending(xid).await? && Instant::now() < until {
            time::sleep(UNSEEN_LOOK).await;
        }
    }
    catalog.table(relation, rules).await
}

fn pairs(offers: &[Offer]) -> Vec<(&str, &str)> {
    let mut pairs = Vec::with_capacity(offers.len());
    for Offer { subject, schema } in offers {
        pairs.push((subject.as_str(), schema.as_str()));
    }
    pairs
}
