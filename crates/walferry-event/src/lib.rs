//! The words of Walferry, shared by every stage of the ring.
//!
//! Owns: [`Lsn`] and [`Position`] (where we are), [`Table`] (what a relation looked like at one version), [`Datum`]
//! (one value as PostgreSQL wrote it), [`Origin`] (where a change came from) and [`Code`] (which failure it is).
//! Never: I/O, clocks, Avro, Kafka.
//! Invariant: `confirmed <= checkpointed <= published <= received`, each a [`Position`].
//!
//! Start reading at `position`, then `table`.

mod code;
mod datum;
mod disposition;
mod origin;
mod position;
mod range;
mod secret;
mod table;

pub use code::{AREAS, Code, Entry, UnknownCode};
pub use datum::Datum;
pub use disposition::Disposition;
pub use origin::{Operation, Origin, SnapshotMark, TransactionBlock};
pub use position::{Lsn, ParseLsnError, Position};
pub use range::{RowKey, RowRange};
pub use secret::{Secret, without_userinfo};
pub use table::{
    ArrayType, Column, ColumnType, CompositeType, LeafRows, OldRows, Relation, RelationColumn,
    ReplicaIdentity, Table, TypeKind,
};
