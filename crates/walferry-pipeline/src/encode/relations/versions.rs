//! Versions of one table: what a new one keeps of the old, and what changes without a word of the stream.
//!
//! Owns two rules. Never asks a server.

use walferry_event::{ColumnType, Table, TypeKind};

/// Whether a type has fields or labels somewhere in it, which the stream is silent about.
pub(super) fn changes_unannounced(data_type: &ColumnType) -> bool {
    match &data_type.kind {
        TypeKind::Composite(_) | TypeKind::Enum(_) => true,
        TypeKind::Array(array) => changes_unannounced(&array.element),
        _ => false,
    }
}

/// A column that was wider in an earlier version of the same relation stays so: rows of that time may still come.
pub(super) fn keep_wide(old: &Table, new: &mut Table) {
    if old.relation.columns != new.relation.columns {
        return;
    }
    for (old, new) in old.columns.iter().zip(&mut new.columns) {
        new.nullable |= old.nullable;
        new.any_shape |= old.any_shape;
    }
}
