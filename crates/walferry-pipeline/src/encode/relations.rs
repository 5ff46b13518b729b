//! The encode plan of each relation version: looked up in the catalog, compiled, registered, then used.
//!
//! Owns the plans and the questions to catalog and registry that make them. Never touches a row.
//! Invariant: a plan in the map has the ids of schemas that the registry holds, so no record goes out unframed; the
//! topics that it writes to exist.
//! Start reading at `Relations::learn`.

mod ahead;
mod gone;
mod ids;
mod live_servers;
pub mod message_keys;
pub(super) mod refusal;
mod reload;
pub(super) mod servers;
pub mod urgency;
mod versions;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::watch;
use walferry_avro::EncodeErrorKind;
use walferry_event::{Code, Lsn, Relation, ReplicaIdentity, Table};
use walferry_registry::Registry;

use crate::{
    config::{Config, Policy, selection::Selection},
    encode::relations::{
        live_servers::LiveServers,
        message_keys::MessageKeys,
        refusal::Refusal,
        servers::Servers,
        urgency::{Urgency, tell_other_id},
        versions::{changes_unannounced, keep_wide},
    },
    error::Error,
    position::published_record::Lack,
    status::{Status, latency::work::Work, report::TableStatus},
    tables::{
        compile,
        plan::{Offer, Plan, SchemaIds, offers},
        refusals::Barred,
        shared_topic,
    },
};

/// What is done with a relation's changes.
pub enum Entry {
    /// Not followed.
    Ignored,
    /// Encoded by this plan.
    Followed(Box<Plan>),
}

/// All relations that the stream has described.
pub struct Relations {
    config: Arc<Config>,
    selection: Selection,
    status: Arc<Status>,
    servers: Box<dyn Servers>,
    /// The transaction that the stream is in, until the catalog is known to show what it has changed.
    unseen: Option<u32>,
    /// The same, for as long as the stream is in it.
    open: Option<u32>,
    entries: BTreeMap<u32, Entry>,
    /// What the stream has said last of relations of which nothing had to be published since.
    described: HashMap<u32, Relation>,
    /// What it has said of relations that are not followed.
    ignored: HashMap<u32, Relation>,
    /// What the catalog said of tables whose first row is still to come.
    ahead: HashMap<u32, Table>,
    /// What keys topics have been written with.
    pub(crate) keys: MessageKeys,
    /// Whether a plan has a deferred key.
    defers: bool,
    /// The registry's generation that the ids of every plan are of.
    ids_of: u64,
}

impl Relations {
    /// No relation is known yet.
    pub fn new(
        config: Arc<Config>,
        status: Arc<Status>,
        registry: Arc<Registry>,
        runtime: tokio::runtime::Handle,
        stop: watch::Receiver<bool>,
        keys: MessageKeys,
    ) -> Relations {
        let servers = LiveServers::new(config.clone(), status.clone(), registry, runtime, stop);
        Relations::asking(Box::new(servers), config, status, keys)
    }

    /// The same, of which these servers are asked.
    pub(crate) fn asking(
        servers: Box<dyn Servers>,
        config: Arc<Config>,
        status: Arc<Status>,
        keys: MessageKeys,
    ) -> Relations {
        Relations {
            ids_of: servers.generation(),
            selection: Selection::new(&config.source.tables),
            config,
            status,
            servers,
            unseen: None,
            open: None,
            entries: BTreeMap::new(),
            described: HashMap::new(),
            ignored: HashMap::new(),
            ahead: HashMap::new(),
            keys,
            defers: false,
        }
    }

    /// The entry of a relation that the stream has described.
    pub fn entry(&mut self, oid: u32) -> Option<&mut Entry> {
        self.entries.get_mut(&oid)
    }

    /// A transaction begins.
    pub(crate) fn begins(&mut self, xid: u32) {
        self.unseen = Some(xid);
        self.open = Some(xid);
    }

    /// The stream stands between two transactions.
    pub(crate) fn ends(&mut self) {
        self.open = None;
    }

    /// Whether this very version of a relation is the one in use, or the one that is not followed.
    pub(crate) fn follows(&self, relation: &Relation) -> bool {
        match (
            self.described.get(&relation.oid),
            self.entries.get(&relation.oid),
        ) {
            (Some(described), _) => described == relation,
            (None, Some(Entry::Followed(plan))) => plan.table.relation == *relation,
            // Under another name it may be followed.
            (None, Some(Entry::Ignored)) => {
                let ignored = self.ignored.get(&relation.oid);
                ignored.is_none_or(|it| it.qualified_name() == relation.qualified_name())
            }
            (None, None) => false,
        }
    }

    /// Every plan, to collect its counters.
    pub(crate) fn plans(&mut self) -> impl Iterator<Item = &mut Plan> {
        self.entries.values_mut().filter_map(|entry| match entry {
            Entry::Followed(plan) => Some(&mut **plan),
            Entry::Ignored => None,
        })
    }

    fn followed(&self) -> impl Iterator<Item = &Plan> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Followed(plan) => Some(&**plan),
            Entry::Ignored => None,
        })
    }

    /// The stream has described a relation, for the first time or anew. What follows from it is done when a change has
    /// to be published by it: versions that only changes of before have are not registered again.
    pub fn learn(&mut self, relation: Relation) {
        self.described.insert(relation.oid, relation);
    }

    /// How long servers were waited for since this was asked last.
    pub(crate) fn waited(&mut self) -> Work {
        self.servers.waited()
    }

    /// Whether a table with a key that may pass from row to row has been met.
    pub(crate) fn defers_keys(&self) -> bool {
        self.defers
    }

    /// Whether this table may have such a key: it is known by what the stream has said of it.
    pub(crate) fn may_defer(&mut self, oid: u32, at: Lsn) -> Result<bool, Error> {
        if self.described.contains_key(&oid) {
            self.settle(oid, at, Urgency::MayPark)?;
        }
        Ok(self.defers)
    }

    /// The name that the relation has at this place of the stream.
    pub(crate) fn name(&self, oid: u32) -> Option<String> {
        match (self.described.get(&oid), self.entries.get(&oid)) {
            (Some(relation), _) => Some(relation.qualified_name()),
            (None, Some(Entry::Followed(plan))) => Some(plan.name.to_string()),
            _ => None,
        }
    }

    /// Makes the plan for what the stream has said of a relation, if that is news. Asks the catalog for what the stream
    /// does not say, and compiles and registers a new plan unless nothing has changed. A registry that was away is asked
    /// for the ids again.
    pub fn settle(&mut self, oid: u32, at: Lsn, urgency: Urgency) -> Result<(), Error> {
        if self.ids_of != self.servers.generation() {
            self.renew_ids(oid, at, urgency)?;
        }
        if self.described.is_empty() {
            return Ok(());
        }
        let Some(relation) = self.described.get(&oid).cloned() else {
            return Ok(());
        };
        self.make(relation, at, urgency)?;
        self.described.remove(&oid);
        Ok(())
    }

    fn make(&mut self, relation: Relation, at: Lsn, urgency: Urgency) -> Result<(), Error> {
        let name = relation.qualified_name();
        let oid = relation.oid;
        if !self.selection.includes(&name) || self.is_left_out(&name) {
            self.entries.insert(oid, Entry::Ignored);
            self.ignored.insert(oid, relation);
            return Ok(());
        }
        let mut table = self.known(&relation)?;
        if let Some(Entry::Followed(plan)) = self.entries.get(&oid) {
            keep_wide(&plan.table, &mut table);
            if plan.table == table && plan.refused.is_none() {
                return Ok(());
            }
        }
        if let Some(lack) = self.keys.uses(&table) {
            tracing::warn!(target: "audit", table = &*name, lsn = %at, "{}", lack.reason);
            self.status.findings.tell(&name, &lack);
        }
        if self.key_is_newer(&table)? {
            let lack = self.keys.is_newer(&table);
            tracing::warn!(target: "audit", table = &*name, lsn = %at, "{}", lack.reason);
            self.status.findings.tell(&name, &lack);
        }
        self.replace(oid, table, at, urgency)
    }

    /// Whether a table is published by somebody else although it is not to be followed.
    fn is_left_out(&self, name: &str) -> bool {
        let found = self.status.findings.of(name);
        found.is_some_and(|it| it.lack == Lack::LeftOut)
    }

    /// A value has come that the schema has no place for: a NULL in a column that the catalog calls NOT NULL, which was
    /// nullable when the row was written, or a value of another shape than its type's. The schema is widened, never
    /// wrong. A composite that has other fields by now, or an enum that has other labels, is first looked up again, because
    /// the stream does not announce it.
    pub fn widen(
        &mut self,
        oid: u32,
        column: usize,
        kind: EncodeErrorKind,
        at: Lsn,
    ) -> Result<(), Error> {
        let Some(Entry::Followed(plan)) = self.entries.get(&oid) else {
            return Ok(());
        };
        let mut table = plan.table.clone();
        let unannounced = table
            .columns
            .get(column)
            .is_some_and(|column| changes_unannounced(&column.data_type));
        if kind == EncodeErrorKind::Shape && unannounced {
            let mut now = self.look_up(&table.relation.clone())?;
            keep_wide(&table, &mut now);
            if now != table {
                return self.replace(oid, now, at, Urgency::Waits);
            }
        }
        compile::widen(&mut table, column, kind);
        self.replace(oid, table, at, Urgency::Waits)
    }

    /// A whole row has come with NULL in the key that the catalog has now: this version of the table had no such key yet.
    /// Whether the table goes on without one; not when the file chooses the key, or the row may be a part of one.
    pub(crate) fn forget_key(&mut self, oid: u32, at: Lsn) -> Result<bool, Error> {
        let Some(Entry::Followed(plan)) = self.entries.get(&oid) else {
            return Ok(false);
        };
        let chosen = self
            .config
            .table(&plan.name)
            .is_some_and(|own| own.key.is_some());
        let whole = plan.table.relation.replica_identity == ReplicaIdentity::Full && !plan.mixed;
        if chosen || !whole || plan.table.key.is_empty() {
            return Ok(false);
        }
        tracing::warn!(table = &*plan.name, lsn = %at,
            "a row has NULL in the key that the table has now, so that it had none when the row was written");
        let mut table = plan.table.clone();
        table.key.clear();
        self.replace(oid, table, at, Urgency::Waits)?;
        Ok(true)
    }

    /// The plan of a new version takes the place of the old one, with what that had not counted yet.
    fn replace(&mut self, oid: u32, table: Table, at: Lsn, urgency: Urgency) -> Result<(), Error> {
        let mut plan = self.compile(table, at, urgency)?;
        if let Some(Entry::Followed(old)) = self.entries.get(&oid) {
            plan.changes = old.changes;
        }
        self.defers |= plan.deferred;
        self.entries.insert(oid, Entry::Followed(Box::new(plan)));
        Ok(())
    }

    /// Compiles the plan of a table version, registers its schemas and makes sure that its topic exists.
    pub(crate) fn compile(
        &mut self,
        table: Table,
        at: Lsn,
        urgency: Urgency,
    ) -> Result<Plan, Error> {
        let name: Arc<str> = table.relation.qualified_name().into();
        let aliases = self.aliases(&table.relation)?;
        let compiled = compile::compile(&self.config, &table, &aliases)
            .map_err(|error| error.context(format!("table {name} at {at}")))?;
        let leaf = match self.config.key_rules().outside_identity {
            true => None,
            false => table.leaf_without_key(),
        };
        let untold = leaf.map(|leaf| {
            format!(
                "old rows of its partition {} carry neither the whole key nor the whole row, so that it is not known which row \
                 has changed; give the partition the replica identity of its partitioned table",
                leaf.name
            )
        });
        compile::tell_merged_keys(&self.config, &table);
        let mut plan = Plan {
            policy: self.config.policy(&name),
            untold,
            mixed: table.old_rows_are_mixed(),
            deferred: table.key_is_deferred(),
            name,
            table,
            encode: compiled.encode,
            topic: compiled.topic.into(),
            record_bytes_max: 0,
            letter_bytes_max: 0,
            refused: None,
            ids: SchemaIds::default(),
            ids_of: self.servers.generation(),
            barred: None,
            changes: [0; 4],
        };
        let takes = self.servers.topic(&plan.topic)?;
        plan.record_bytes_max = takes.record_bytes_max;
        if takes.compacted {
            self.status.refusals.compacted(&plan.topic);
        }
        let barred = self.status.refusals.of(&plan.topic);
        plan.barred = (barred != Barred::default()).then(|| Box::new(barred));
        if plan.policy == Policy::DeadLetter {
            let letters = self.config.errors.dead_letter_topic.as_str().into();
            plan.letter_bytes_max = self.servers.topic(&letters)?.record_bytes_max;
        }
        self.register(&mut plan, at, urgency)?;
        Ok(plan)
    }

    fn register(&mut self, plan: &mut Plan, at: Lsn, urgency: Urgency) -> Result<(), Error> {
        let offers: Vec<_> = offers(&self.config, &plan.topic, &plan.encode).collect();
        let beside = self.other_key(plan);
        let registered = match beside {
            Some(reason) => Err(Refusal::Schema(reason)),
            None => self.servers.ids(&offers, urgency.of(plan.policy)),
        };
        let outcome = registered.map(|ids| {
            let id = |wanted| {
                let parts = offers.iter().map(|(part, _)| *part);
                parts.zip(&ids).find(|(part, _)| *part == wanted)
            };
            SchemaIds {
                key: id("key").map(|(_, id)| *id),
                value: id("value").map(|(_, id)| *id),
            }
        });
        match outcome {
            Ok(ids) => {
                plan.encode.set_ids(ids.key, ids.value.unwrap_or_default());
                plan.refused = None;
                let before = std::mem::replace(&mut plan.ids, ids);
                if before != ids {
                    tell_other_id(&plan.name, before.value, ids.value);
                    self.announce(plan, ids, at);
                }
                Ok(())
            }
            Err(Refusal::Error(error)) => {
                Err(error.context(format!("table {} at {at}", plan.name)))
            }
            Err(Refusal::Schema(reason)) if plan.policy == Policy::Stop => {
                let error = Error::failed(
                    Code::SchemaRefused,
                    format!(
                        "table {} at {at}: its schema is refused: {reason}; mend the table or the subject's \
                     compatibility level, or set errors = \"park\" or \"dead-letter\" for this table",
                        plan.name
                    ),
                );
                Err(error.labelled("registry", "schema"))
            }
            Err(Refusal::Schema(reason)) => {
                tracing::error!(table = &*plan.name, lsn = %at, error = %reason, "a schema is refused");
                plan.refused = Some(reason);
                Ok(())
            }
        }
    }

    /// Why the key of a table does not go with those of other tables of its topic. One that was dropped does not count.
    fn other_key(&mut self, plan: &Plan) -> Option<String> {
        let others = shared_topic::other_keys(self.followed(), plan);
        let oids: Vec<u32> = others.iter().map(|(oid, _)| *oid).collect();
        let gone = self.servers.dropped(&oids);
        let mut others = others.into_iter().filter(|(oid, _)| !gone.contains(oid));
        others.next().map(|(_, reason)| reason)
    }

    /// Makes sure of a topic that is no table's, and registers its two schemas.
    pub(crate) fn side_topic(
        &mut self,
        topic: &Arc<str>,
        key: &str,
        value: &str,
    ) -> Result<(u32, u32), Error> {
        self.servers.topic(topic)?;
        let offers = [("key", key), ("value", value)].map(|(part, schema)| {
            let offer = Offer {
                subject: self.config.subject(topic, part, schema),
                schema: schema.to_owned(),
            };
            (part, offer)
        });
        match self.servers.ids(&offers, Urgency::Waits) {
            Ok(ids) => Ok((ids[0], ids[1])),
            Err(Refusal::Error(error)) => Err(error),
            Err(Refusal::Schema(reason)) => Err(Error::failed(Code::SchemaRefused, format!(
                "the registry refused a schema of topic {topic}: {reason}; mend the subject's compatibility level"
            ))
            .labelled("registry", "schema")),
        }
    }

    fn announce(&self, plan: &Plan, ids: SchemaIds, at: Lsn) {
        tracing::info!(target: "audit", table = &*plan.name, lsn = %at, topic = &*plan.topic,
            schema_id = ids.value, "schema version in use");
        metrics::counter!("walferry_schema_versions_total",
            "connector" => self.config.name.clone(), "table" => plan.name.to_string())
        .increment(1);
        self.status.set_table(TableStatus::of(plan, ids));
    }
}
