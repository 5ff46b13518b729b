//! PostgreSQL as Walferry talks to it: the replication session, the catalog, and snapshot readers.
//!
//! Owns: [`Replication`] and [`spawn`] (the slot's stream, on a client of our own), [`Catalog`] (what the stream does not say, on
//! `tokio-postgres`), [`SnapshotReader`] (rows of a snapshot).
//! Never: knows Avro or Kafka; reconnects (an error's disposition says what the pipeline may do); confirms a position that
//! the pipeline has not given to [`Feedback`].
//! Invariants: each connection lives once; bytes in flight are bounded by permits inside the blocks; feedback is sent
//! while the sink is blocked.
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol" and "Logical Replication"; versions 14 to 18.
//!
//! Start reading at [`Replication`], then [`spawn`].

mod auth;
mod catalog;
mod condition;
mod connect;
mod copy_row;
mod error;
mod feedback;
mod kind;
mod quote;
mod replication;
mod require_auth;
mod script;
mod server_error;
mod session;
mod session_settings;
mod snapshot;
mod socket;
mod startup;
mod stream;
mod tls;
mod tls_refusal;

pub use catalog::{
    Catalog, Connections, Holder, IdentityColumn, KeyRules, Leaf, Member, NamedRole, Provider,
    PublicationInfo, PublicationVersion, Publish, PublishedTable, RelationIdentity, RelationKind,
    RelationName, RoleInfo, Shows, SlotInfo, TableFacts, TableInfo, TableName, Trial, WalLevel,
    change_sql,
};
pub use connect::{ConnectConfig, TlsConfig, TlsMode};
pub use copy_row::parse_copy_row;
pub use error::Error;
pub use feedback::Feedback;
pub use quote::{quote_ident, quote_literal, quote_table};
pub use replication::{CreatedSlot, Identity, ORIGIN_VERSION, Replication, StreamOptions};
pub use require_auth::RequireAuth;
pub use script::{Statement, statements};
pub use snapshot::{
    Contents, CopyBlock, CopyRows, Moment, Replaced, SnapshotReader, TableScan, Visibility,
};
pub use stream::{Block, Stream, StreamEvent, StreamHandle, StreamLimits, spawn, spawn_after};
