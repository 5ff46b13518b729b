//! Changes become records that nobody sends: by the plan that a start would compile, with schema id 0.
//!
//! Owns the plans of the relations that the stream has described, and what encoding a change came to. Never: asks a registry or
//! Kafka; keeps a record.
//! Invariant: a value that the schema has no place for widens the plan, as it does in a connector.

use std::{collections::HashMap, sync::Arc};

use walferry_avro::{EncodeError, EncodePlan, Row};
use walferry_event::{Datum, Operation, Origin, Relation, Table};
use walferry_postgres::Catalog;

use walferry_pipeline::{
    config::{Config, Tombstones},
    encode::change_records::{Change, Old},
    error::Error,
    tables::compile,
};

/// The records of one change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) count: u64,
    /// Keys and values, with what frames them for the registry.
    pub(super) bytes: u64,
    /// The largest of them.
    pub(super) largest: u64,
}

/// What encodes the rows of one table.
pub(super) struct Planned {
    /// `schema.table`.
    pub(super) name: Arc<str>,
    table: Table,
    encode: EncodePlan,
}

/// The plans, by relation.
pub(super) struct Encoding<'a> {
    config: &'a Config,
    catalog: &'a Catalog,
    plans: HashMap<u32, Planned>,
    scratch: Vec<u8>,
}

impl<'a> Encoding<'a> {
    pub(super) fn new(config: &'a Config, catalog: &'a Catalog) -> Encoding<'a> {
        Encoding {
            config,
            catalog,
            plans: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// The stream, or a reader, has described a relation. One that is not followed has no plan.
    pub(super) async fn learn(&mut self, relation: &Relation) -> Result<(), Error> {
        let name = relation.qualified_name();
        if !self.config.follows(&name) {
            self.plans.remove(&relation.oid);
            return Ok(());
        }
        let table = compile::version(self.config, self.catalog, relation).await?;
        let encode = compile::compile(self.config, &table, &[])?.encode;
        let planned = Planned {
            name: name.into(),
            table,
            encode,
        };
        self.plans.insert(relation.oid, planned);
        Ok(())
    }

    /// Its name, when it is followed.
    pub(super) fn name(&self, oid: u32) -> Option<Arc<str>> {
        self.plans.get(&oid).map(|it| it.name.clone())
    }

    /// Encodes a change of a relation that is followed; else it has no records. Why it cannot be encoded is an error inside.
    pub(super) fn encode(
        &mut self,
        oid: u32,
        change: Change<'_>,
        origin: &Origin<'_>,
    ) -> Result<Result<Records, EncodeError>, Error> {
        let tombstones = self.config.tombstones();
        let Some(planned) = self.plans.get_mut(&oid) else {
            return Ok(Ok(Records::default()));
        };
        loop {
            let mut writing = Writing {
                plan: &planned.encode,
                origin,
                out: &mut self.scratch,
                records: Records::default(),
            };
            let error = match writing.change(change, tombstones) {
                Ok(()) => return Ok(Ok(writing.records)),
                Err(error) => error,
            };
            if !compile::widen(&mut planned.table, error.column, error.kind) {
                return Ok(Err(error));
            }
            planned.encode = compile::compile(self.config, &planned.table, &[])?.encode;
        }
    }
}

/// One change as it is written.
struct Writing<'a> {
    plan: &'a EncodePlan,
    origin: &'a Origin<'a>,
    out: &'a mut Vec<u8>,
    records: Records,
}

impl Writing<'_> {
    fn change(&mut self, change: Change<'_>, tombstones: Tombstones) -> Result<(), EncodeError> {
        let value = Operation::Create;
        match change {
            Change::Read(new) => self.record(Operation::Read, Row::None, Row::Full(new), new, &[]),
            Change::Insert(new) => self.record(value, Row::None, Row::Full(new), new, &[]),
            Change::Update(Some(old), new) if self.plan.key_changed(datums(old), new) => {
                self.delete(old, tombstones)?;
                self.record(value, Row::None, Row::Full(new), new, datums(old))
            }
            Change::Update(old, new) => {
                let (before, old) = old.map_or((Row::None, &[][..]), |old| (row(old), datums(old)));
                self.record(Operation::Update, before, Row::Full(new), new, old)
            }
            Change::Delete(old) => self.delete(old, tombstones),
            Change::Truncate if self.plan.has_truncates() => {
                self.out.clear();
                let value = Operation::Truncate;
                self.plan
                    .value(value, Row::None, Row::None, self.origin, self.out)?;
                self.count();
                Ok(())
            }
            Change::Truncate => Ok(()),
        }
    }

    fn delete(&mut self, old: Old<'_>, tombstones: Tombstones) -> Result<(), EncodeError> {
        self.record(Operation::Delete, row(old), Row::None, datums(old), &[])?;
        let keyed = self.plan.key_schema().is_some();
        if tombstones == Tombstones::WithoutKeyToo || tombstones == Tombstones::WithKey && keyed {
            self.out.clear();
            self.plan.key(datums(old), self.out)?;
            self.count();
        }
        Ok(())
    }

    fn record(
        &mut self,
        operation: Operation,
        before: Row<'_>,
        after: Row<'_>,
        key: &[Datum<'_>],
        old: &[Datum<'_>],
    ) -> Result<(), EncodeError> {
        self.out.clear();
        self.plan.key_from(key, old, self.out)?;
        self.plan
            .value(operation, before, after, self.origin, self.out)?;
        self.count();
        Ok(())
    }

    fn count(&mut self) {
        let bytes = self.out.len() as u64;
        self.records.count += 1;
        self.records.bytes += bytes;
        self.records.largest = self.records.largest.max(bytes);
    }
}

fn datums<'a>(old: Old<'a>) -> &'a [Datum<'a>] {
    match old {
        Old::Key(datums) | Old::Full(datums) => datums,
    }
}

fn row(old: Old<'_>) -> Row<'_> {
    match old {
        Old::Key(datums) => Row::Key(datums),
        Old::Full(datums) => Row::Full(datums),
    }
}
