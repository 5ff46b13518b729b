//! `walferry tail`: the changes of a database as JSON, from a temporary slot, without Kafka and without a checkpoint.
//!
//! Owns the JSON of a line. Never writes a checkpoint, never touches the connector's slot; the slot that it reads goes
//! with its session. pgoutput needs a publication: the connector's is used when it exists and holds what the options of the
//! tables say, else one is created and dropped.
//! Invariant: with a configuration, no line shows what a record would not.
//! Start reading at `tail`.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use walferry_avro::Treatments;
use walferry_event::{Code, Datum, Lsn, Relation};
use walferry_pgoutput::{Frame, Message, Old, Tuple};
use walferry_postgres::{
    Catalog, ConnectConfig, Feedback, Publish, Replication, Shows, StreamEvent, StreamLimits,
    StreamOptions,
};

use walferry_pipeline::{
    config::{Config, selection::Selection},
    connector::choice,
    error::Error,
    retry,
    tables::{compile, options},
};

use crate::temporary::publication_of;

/// What to follow.
#[derive(Clone, Debug)]
pub struct Tail {
    /// How to connect.
    pub connect: ConnectConfig,
    /// Globs of `schema.table`; none means every table.
    pub tables: Vec<String>,
    /// The connector whose publication is read through, and whose options of tables hold.
    pub config: Option<Config>,
}

/// Gives each change to `out`, from now on, until `stop` is set or `out` says that it wants no more.
pub async fn tail(
    what: Tail,
    mut out: impl FnMut(Value) -> bool,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let catalog = Catalog::connect(&what.connect).await?;
    let globs = if what.tables.is_empty() {
        vec!["*".to_owned()]
    } else {
        what.tables.clone()
    };
    let selection = Selection::new(&globs);
    let mut replication = Replication::connect(&what.connect).await?;
    let own = format!("walferry_tail_{}", replication.backend_pid());
    let publication = match &what.config {
        Some(config) => {
            let tables = choice::choose(config, &catalog).await?.tables;
            publication_of(config, &catalog, &tables, &own).await?
        }
        None => {
            create_publication(&catalog, &own, &selection).await?;
            own.clone()
        }
    };
    let outcome = async {
        let created = replication.create_temporary_slot(&own).await?;
        let options = StreamOptions::default();
        let stream = replication
            .start(&own, &publication, created.consistent_point, options)
            .await?;
        let feedback = Arc::new(Feedback::new(created.consistent_point));
        let (handle, mut events) =
            walferry_postgres::spawn(stream, StreamLimits::default(), feedback.clone());
        let mut printer = Printer::new(selection, what.config);
        let ended = loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = retry::asked(&mut stop) => None,
            };
            match event {
                Some(StreamEvent::Block(block)) => {
                    if !printer.block(&block.bytes, &mut out)? {
                        break Ok(());
                    }
                    feedback.set_flushed(printer.last_commit);
                }
                Some(StreamEvent::Ended(outcome)) => break outcome.map_err(Error::from),
                None => break Ok(()),
            }
        };
        drop(events);
        handle.stop().await;
        ended
    }
    .await;
    if publication == own {
        catalog.drop_publication(&own).await?;
    }
    outcome
}

async fn create_publication(
    catalog: &Catalog,
    name: &str,
    selection: &Selection,
) -> Result<(), Error> {
    let mut tables = catalog.tables().await?;
    tables.retain(|t| selection.includes(&t.qualified_name()) && t.followed(true));
    if tables.is_empty() {
        return Err(Error::failed(
            Code::NoTables,
            "no table of the database is chosen",
        ));
    }
    let oids: Vec<u32> = tables.iter().map(|it| it.oid).collect();
    let shows = Shows {
        server_version: catalog.server_version(),
        ..Shows::default()
    };
    // A publication of a moment must not break the application's writers either.
    let relations = catalog.identities(&oids).await?;
    let refused = relations
        .iter()
        .filter_map(|it| Some((it.root, it.refusal(shows)?)));
    for (oid, why) in refused {
        if let Some(at) = tables.iter().position(|it| it.oid == oid) {
            let table = tables.remove(at).qualified_name();
            tracing::warn!(
                table,
                "left out: PostgreSQL would refuse the application's UPDATE and DELETE on it, because {why}"
            );
        }
    }
    let whole = tables.iter().map(|it| Publish::whole(it.table_name()));
    let tables: Vec<_> = whole.collect();
    Ok(catalog.create_publication(name, &tables, true).await?)
}

/// Where the stream stands, for the fields that every line has.
struct Printer {
    selection: Selection,
    config: Option<Config>,
    relations: HashMap<u32, (Relation, Treatments)>,
    commit_lsn: Lsn,
    commit_us: i64,
    xid: u32,
    last_commit: Lsn,
}

impl Printer {
    fn new(selection: Selection, config: Option<Config>) -> Printer {
        Printer {
            selection,
            config,
            relations: HashMap::new(),
            commit_lsn: Lsn::ZERO,
            commit_us: 0,
            xid: 0,
            last_commit: Lsn::ZERO,
        }
    }

    /// Prints the changes of a block; `false` when no more are wanted.
    fn block(&mut self, bytes: &[u8], out: &mut impl FnMut(Value) -> bool) -> Result<bool, Error> {
        let malformed = |error: walferry_pgoutput::Error| {
            Error::failed(
                Code::StreamUnreadable,
                format!("the stream cannot be read: {error}"),
            )
        };
        for frame in walferry_pgoutput::frames(bytes) {
            let Frame::XLogData(data) = frame.map_err(malformed)? else {
                continue;
            };
            let message = walferry_pgoutput::parse(data.body, false).map_err(malformed)?;
            for line in self.message(message, data.start)? {
                if !out(line) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn message(&mut self, message: Message<'_>, at: Lsn) -> Result<Vec<Value>, Error> {
        let line = match message {
            Message::Begin(begin) => {
                self.commit_lsn = begin.final_lsn;
                self.commit_us = begin.commit_us;
                self.xid = begin.xid;
                None
            }
            Message::Commit(commit) => {
                self.last_commit = commit.end_lsn;
                None
            }
            Message::Relation(relation) => {
                let relation = relation.to_relation();
                let treatments = match &self.config {
                    Some(config) => {
                        let before = self.relations.get(&relation.oid);
                        options::stays_named(config, before.map(|it| &it.0), &relation)?;
                        compile::treatments(config, &relation.qualified_name())?
                    }
                    None => Treatments::default(),
                };
                self.relations.insert(relation.oid, (relation, treatments));
                None
            }
            Message::Insert(insert) => self.line(insert.relation, "c", at, None, Some(insert.new)),
            Message::Update(update) => {
                self.line(update.relation, "u", at, update.old, Some(update.new))
            }
            Message::Delete(delete) => self.line(delete.relation, "d", at, Some(delete.old), None),
            Message::Truncate(truncate) => {
                let lines = truncate.relations();
                let lines = lines.filter_map(|oid| self.line(oid, "t", at, None, None));
                return Ok(lines.collect());
            }
            _ => None,
        };
        Ok(line.into_iter().collect())
    }

    fn line(
        &self,
        oid: u32,
        op: &str,
        at: Lsn,
        old: Option<Old<'_>>,
        new: Option<Tuple<'_>>,
    ) -> Option<Value> {
        let (relation, treatments) = self.relations.get(&oid)?;
        let table = relation.qualified_name();
        if !self.selection.includes(&table) {
            return None;
        }
        let before = old.map(|old| match old {
            Old::Key(tuple) => row(relation, treatments, tuple, true),
            Old::Full(tuple) => row(relation, treatments, tuple, false),
        });
        Some(json!({
            "op": op,
            "table": table,
            "lsn": at,
            "commit_lsn": self.commit_lsn,
            "xid": self.xid,
            "ts_us": self.commit_us,
            "before": before,
            "after": new.map(|tuple| row(relation, treatments, tuple, false)),
        }))
    }
}

/// A row as JSON. Columns that PostgreSQL did not send (unchanged TOAST; with a key, what is not in it) are left out, and
/// those that records do not have.
fn row(relation: &Relation, treatments: &Treatments, tuple: Tuple<'_>, key_only: bool) -> Value {
    let mut datums = Vec::with_capacity(tuple.len());
    tuple.datums(&mut datums);
    let columns = relation.columns.iter().zip(datums);
    let sent = columns.filter(|(column, _)| !key_only || column.in_identity);
    let sent = sent.filter(|(column, _)| !treatments.leave_out(&column.name));
    Value::Object(
        sent.filter_map(|(column, datum)| {
            let value = match datum {
                Datum::Null => Value::Null,
                Datum::Text(text) => match treatments.mask(&column.name) {
                    Some(mask) => mask.text(text).into(),
                    None => scalar(column.type_oid, &String::from_utf8_lossy(text)),
                },
                Datum::Unchanged | Datum::Binary(_) => return None,
            };
            Some((column.name.clone(), value))
        })
        .collect::<Map<_, _>>(),
    )
}

/// Booleans and numbers that JSON can hold without loss as such; everything else as PostgreSQL's text.
fn scalar(type_oid: u32, text: &str) -> Value {
    const BOOL: u32 = 16;
    const INTEGERS: [u32; 3] = [20, 21, 23];
    const FLOATS: [u32; 2] = [700, 701];
    match type_oid {
        BOOL => Value::Bool(text == "t"),
        oid if INTEGERS.contains(&oid) => text.parse::<i64>().map_or(text.into(), Value::from),
        oid if FLOATS.contains(&oid) => text.parse::<f64>().map_or(text.into(), |number| {
            serde_json::Number::from_f64(number).map_or(text.into(), Value::Number)
        }),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_json_holds_without_loss_becomes_a_number() {
        for (oid, text, expected) in [
            (16, "t", json!(true)),
            (20, "9223372036854775807", json!(i64::MAX)),
            (701, "0.5", json!(0.5)),
            (701, "NaN", json!("NaN")),
            (
                1700,
                "12345678901234567890.5",
                json!("12345678901234567890.5"),
            ),
            (25, "t", json!("t")),
        ] {
            assert_eq!(scalar(oid, text), expected, "{oid} {text}");
        }
    }
}
