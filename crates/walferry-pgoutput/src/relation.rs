//! What the stream says of a table before its first change.
//!
//! ```text
//! Relation  ┌───┬──────────┬────────────┬────────────┬────────────┬────────┐
//!           │'R'│ oid: u32 │ schema: str│ name: str  │ identity:u8│ n: u16 │
//!           └───┴──────────┴────────────┴────────────┴────────────┴────────┘
//!   column  ┌───────────┬───────────┬───────────┬───────────────┐
//!           │ flags: u8 │ name: str │ type: u32 │ modifier: i32 │   flag 1: part of the replica identity
//!           └───────────┴───────────┴───────────┴───────────────┘
//! ```

use walferry_event::{Relation, RelationColumn, ReplicaIdentity};

use crate::{Error, cursor::Cursor};

/// A table's shape. Its columns have been walked once, so that walking them again cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct RelationMessage<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema name; empty for `pg_catalog`.
    pub schema: &'a str,
    /// Table name.
    pub name: &'a str,
    /// `pg_class.relreplident`.
    pub replica_identity: ReplicaIdentity,
    columns: u16,
    cursor: Cursor<'a>,
}

impl<'a> RelationMessage<'a> {
    pub(crate) fn parse(
        cursor: &mut Cursor<'a>,
        xid: Option<u32>,
    ) -> Result<RelationMessage<'a>, Error> {
        let oid = cursor.u32("the relation's oid")?;
        let schema = cursor.text("the schema name")?;
        let name = cursor.text("the relation's name")?;
        let identity = cursor.u8("the replica identity")?;
        let replica_identity = ReplicaIdentity::from_code(identity)
            .ok_or_else(|| cursor.error("replica identity 'd', 'n', 'f' or 'i' before"))?;
        let message = RelationMessage {
            xid,
            oid,
            schema,
            name,
            replica_identity,
            columns: cursor.u16("the number of columns")?,
            cursor: *cursor,
        };
        for _ in 0..message.columns {
            column(cursor)?;
        }
        Ok(message)
    }

    /// An owned copy.
    pub fn to_relation(&self) -> Relation {
        let mut cursor = self.cursor;
        let columns = (0..self.columns).map_while(|_| column(&mut cursor).ok());
        Relation {
            oid: self.oid,
            schema: if self.schema.is_empty() {
                "pg_catalog".to_owned()
            } else {
                self.schema.to_owned()
            },
            name: self.name.to_owned(),
            replica_identity: self.replica_identity,
            columns: columns.collect(),
        }
    }
}

fn column(cursor: &mut Cursor<'_>) -> Result<RelationColumn, Error> {
    Ok(RelationColumn {
        in_identity: cursor.u8("a column's flags")? & 1 != 0,
        name: cursor.text("a column's name")?.to_owned(),
        type_oid: cursor.u32("a column's type")?,
        type_modifier: cursor.i32("a column's type modifier")?,
    })
}
