//! One change by its relation's plan: written, or by the table's policy.
//!
//! Owns the order of what may be in its way, and the count of what was written. Never: moves a position.
//! Start reading at `write_change`.

use std::sync::Arc;

use walferry_avro::EncodeErrorKind;
use walferry_event::{Code, Operation, Origin};

use crate::{
    encode::{
        block_builder::Builder,
        change_records::{self, Bookmark, Change, Deletes},
        keys::Left,
        oversize,
        policy::{Context, unwritable},
        relations::{Entry, Relations, urgency::Urgency},
        transactions::Told,
    },
    error::Error,
    status::{Status, parked_tables::Obstacle},
    tables::plan::Plan,
};

/// Operations that are counted, in the order of `Plan::changes`.
const OPERATIONS: [Operation; 4] = [
    Operation::Create,
    Operation::Update,
    Operation::Delete,
    Operation::Truncate,
];

/// Writes a change by its relation's plan; widens the plan when a value proves it too narrow; else applies the policy.
pub(super) fn write_change(
    relations: &mut Relations,
    builder: &mut Builder,
    oid: u32,
    change: Change<'_>,
    origin: &Origin<'_>,
    mut told: Option<&mut Told>,
    context: &Context<'_>,
) -> Result<Option<(Arc<str>, Obstacle)>, Error> {
    let mut widened = 0;
    // A snapshot cannot wait for one table.
    let urgency = match change {
        Change::Read(_) => Urgency::Waits,
        _ => Urgency::MayPark,
    };
    relations.settle(oid, origin.lsn, urgency)?;
    loop {
        let plan = match relations.entry(oid) {
            Some(Entry::Followed(plan)) => plan,
            Some(Entry::Ignored) => return Ok(None),
            None => {
                return Err(Error::failed(
                    Code::StreamUnreadable,
                    format!(
                        "a change at {} is of relation {oid}, which the stream has not described",
                        origin.lsn
                    ),
                ));
            }
        };
        if let Some(reason) = plan.refused.clone() {
            return unwritable(plan, builder, change, origin, ("schema", &reason), context);
        }
        if plan.barred.is_some()
            && let Some(reason) = plan.bars(change.operation(), &context.status.refusals)
        {
            let error = ("validation", reason.as_str());
            return unwritable(plan, builder, change, origin, error, context);
        }
        let change = change.as_far_as_sure(plan.mixed);
        if let Some(reason) = change.untold(plan) {
            let refusal = ("validation", reason);
            return unwritable(plan, builder, change, origin, refusal, context);
        }
        if let Some(bytes) = context.cut {
            let reason = oversize::too_long(bytes, context.config);
            let error = ("too_large", reason.as_str());
            return unwritable(plan, builder, change, origin, error, context);
        }
        let bookmark = Bookmark::of(builder.records());
        let placed = told.as_ref().map(|told| Origin {
            block: Some(told.next(&plan.name)),
            ..*origin
        });
        let error = match change_records::write(
            plan,
            change,
            placed.as_ref().unwrap_or(origin),
            Deletes {
                tombstones: context.config.tombstones(),
                taken: context.left == Left::Taken,
            },
            builder.records(),
        ) {
            Ok(events) => {
                oversize::watch(plan, builder, &bookmark, change, origin, context);
                if let Some(told) = &mut told {
                    told.count(&plan.name, events);
                }
                if let Some(i) = OPERATIONS.iter().position(|op| *op == change.operation()) {
                    plan.changes[i] += 1;
                }
                return Ok(None);
            }
            Err(error) => error,
        };
        bookmark.restore(builder.records());
        let can_widen = plan.can_widen(&error, widened);
        if error.kind == EncodeErrorKind::NullInKey && relations.forget_key(oid, origin.lsn)? {
            continue;
        }
        if can_widen {
            widened += 1;
            relations.widen(oid, error.column, error.kind, origin.lsn)?;
            continue;
        }
        let Some(Entry::Followed(plan)) = relations.entry(oid) else {
            return Ok(None);
        };
        return unwritable(
            plan,
            builder,
            change,
            origin,
            ("validation", &error.to_string()),
            context,
        );
    }
}

pub(super) fn count_changes(plan: &mut Plan, connector: &str, status: &Status) {
    for (operation, count) in OPERATIONS.iter().zip(&mut plan.changes) {
        let count = std::mem::take(count);
        if count > 0 {
            metrics::counter!("walferry_changes_total", "connector" => connector.to_owned(),
                "table" => plan.name.to_string(), "op" => operation.code())
            .increment(count);
            status.count_changes(&plan.name, count);
        }
    }
}
