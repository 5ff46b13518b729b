//! What becomes of a change that cannot be written: its table's policy.
//!
//! Owns the four ways: stop, skip, dead letter, park. Never decides what can be written.
//! Invariant: each such change is counted and logged, whichever way it goes.

use std::sync::Arc;

use walferry_event::{Code, Lsn, Origin};
use walferry_kafka::RecordBlock;

use crate::{
    config::{Config, Policy},
    encode::{change_records::Change, dead_letter},
    error::{Error, Labels},
    status::{Status, parked_tables::Obstacle},
    tables::plan::{self, Plan},
};

/// What a change is written with besides its plan.
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) status: &'a Arc<Status>,
    pub(super) dead_letters: &'a Arc<str>,
}

/// Applies the table's policy to a change that cannot be written. With the policy `park` the table has to wait for the
/// obstacle that is returned.
pub(super) fn unwritable(
    plan: &Plan,
    block: &mut RecordBlock,
    change: Change<'_>,
    origin: &Origin<'_>,
    kind: &'static str,
    reason: &str,
    context: &Context<'_>,
) -> Result<Option<(Arc<str>, Obstacle)>, Error> {
    let stage = "encode";
    // One that ends the connector is counted at its end.
    if plan.policy != Policy::Stop {
        context.status.count_error(Labels { stage, kind });
    }
    match plan.policy {
        Policy::Stop => {
            let what = match origin.commit_lsn {
                Lsn::ZERO => "a row of its snapshot".to_owned(),
                commit => format!(
                    "a change at {} (commit {commit}, xid {})",
                    origin.lsn, origin.xid
                ),
            };
            Err(Error::failed(Code::ValueRefused, format!(
                "table {}: {what} cannot be published: {reason}; mend that or set errors = \"park\", \"dead-letter\" or \
                 \"skip\" for this table",
                plan.name
            ))
            .labelled(stage, kind))
        }
        Policy::Skip => {
            tracing::error!(table = &*plan.name, lsn = %origin.lsn, xid = origin.xid, error = reason, "change skipped");
            Ok(None)
        }
        Policy::DeadLetter => {
            tracing::error!(table = &*plan.name, lsn = %origin.lsn, xid = origin.xid, error = reason, "dead letter");
            dead_letter::write(
                plan,
                change,
                origin,
                kind,
                reason,
                context.dead_letters,
                block,
            );
            context.status.count_dead_letter();
            metrics::counter!("walferry_dead_letters_total",
                "connector" => context.config.name.clone(), "table" => plan.name.to_string())
            .increment(1);
            Ok(None)
        }
        Policy::Park => {
            let offers = plan::offers(context.config, &plan.topic, &plan.encode);
            let obstacle = Obstacle {
                reason: reason.to_owned(),
                offers: match kind {
                    "schema" => offers.map(|(_, offer)| offer).collect(),
                    _ => Vec::new(),
                },
            };
            Ok(Some((plan.name.clone(), obstacle)))
        }
    }
}
