//! A table as the windows of its chunks need it.
//!
//! Owns `Described` and the choice of what tells its rows apart. Never: keeps a description for longer than its caller.

use walferry_event::{Lsn, Relation, ReplicaIdentity};
use walferry_postgres::{Contents, TableScan, Visibility};

use crate::snapshot::{chunk::Sessions, window::Identity};

/// A table as its windows need it.
#[derive(Clone)]
pub(crate) struct Described {
    pub(super) oid: u32,
    pub(super) relation: Relation,
    pub(super) identity: Identity,
    pub(super) contents: Contents,
    pub(super) added_at: Option<Visibility>,
    /// What the rows have to be as old as, for a table without a key of which that is not settled yet.
    pub(super) base: Option<String>,
    /// Where the WAL ended: what happened to the table, or to another of its name, before it was described is before that.
    pub(super) wal_insert: Lsn,
}

/// The table of that name; nothing when there is none. Of a table that is `added`, what runs now matters; `based` says that a base is
/// settled.
pub(super) async fn describe(
    sessions: &Sessions,
    name: &str,
    added: bool,
    based: bool,
) -> Result<Option<Described>, walferry_postgres::Error> {
    let Some((oid, _)) = sessions.describe(name).await? else {
        return Ok(None);
    };
    // Before the base: what is rewritten between the two is found out.
    let (relation, scan, contents) = sessions.shape(oid).await?;
    let added_at = if added {
        Some(sessions.running().await?)
    } else {
        None
    };
    let base = if based || scan.has_key() {
        None
    } else {
        Some(sessions.base().await?.0)
    };
    let wal_insert = sessions.wal_insert().await?;
    Ok(Some(Described {
        oid,
        base,
        identity: identity_of(&relation, &scan),
        contents,
        relation,
        added_at,
        wal_insert,
    }))
}

/// What tells rows apart in the stream's old and new rows: the replica identity's columns; with the whole row as identity, or
/// none, the key by which the table is read.
pub(super) fn identity_of(relation: &Relation, scan: &TableScan) -> Identity {
    let columns: Vec<usize> = match relation.replica_identity {
        ReplicaIdentity::Default | ReplicaIdentity::Index => (0..relation.columns.len())
            .filter(|&i| relation.columns[i].in_identity)
            .collect(),
        ReplicaIdentity::Full | ReplicaIdentity::Nothing => scan.key().to_vec(),
    };
    if columns.is_empty() {
        Identity::Bag
    } else {
        Identity::Key(columns)
    }
}
