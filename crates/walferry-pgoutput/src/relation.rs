//! What the stream says of a table before its first change, and again when its shape changes.
//!
//! Owns [`RelationMessage`], which is checked once when it is parsed. Never: asks the catalog.
//! Invariant: `bytes` holds exactly the columns, each whole and with a name in UTF-8.
//! Source: PostgreSQL documentation, "Logical Replication Message Formats", Relation.
//!
//! ```text
//! Relation  ┌───┬───────────┬──────────┬─────────────┬───────────┐
//!           │'R'│ xid?: u32 │ oid: u32 │ schema: str │ name: str │
//!           ├───┴──────────┬┴───────┬──┴──────┬──────┴───────────┘
//!           │ identity: u8 │ n: u16 │ columns │ n of them
//!           └──────────────┴────────┴─────────┘
//!   column  ┌───────────┬───────────┬───────────┬───────────────┐
//!           │ flags: u8 │ name: str │ type: u32 │ modifier: i32 │ flag 1: in the replica identity
//!           └───────────┴───────────┴───────────┴───────────────┘
//! ```

use walferry_event::{Relation, RelationColumn, ReplicaIdentity};

use crate::{Error, cursor::Cursor};

/// A table's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Exactly the columns, without their count.
    bytes: &'a [u8],
}

/// One published column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnMessage<'a> {
    /// Whether it is part of the replica identity; with identity full, all are.
    pub in_identity: bool,
    /// Column name.
    pub name: &'a str,
    /// `pg_attribute.atttypid`.
    pub type_oid: u32,
    /// `pg_attribute.atttypmod`; -1 when the type has none.
    pub type_modifier: i32,
}

impl<'a> RelationMessage<'a> {
    /// Takes all but the tag and the transaction id off the cursor.
    pub(crate) fn parse(
        cursor: &mut Cursor<'a>,
        xid: Option<u32>,
    ) -> Result<RelationMessage<'a>, Error> {
        let oid = cursor.u32("the relation's oid")?;
        let schema = cursor.text("the schema name")?;
        let name = cursor.text("the relation's name")?;
        let replica_identity = cursor.code(
            "replica identity 'd', 'n', 'f' or 'i'",
            ReplicaIdentity::from_code,
        )?;
        let columns = cursor.u16("the number of columns")?;
        let first = *cursor;
        for _ in 0..columns {
            ColumnMessage::parse(cursor)?;
        }
        Ok(RelationMessage {
            xid,
            oid,
            schema,
            name,
            replica_identity,
            bytes: first.until(cursor),
        })
    }

    /// The published columns, in the order of a row's values.
    pub fn columns(&self) -> impl Iterator<Item = ColumnMessage<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.bytes, "Relation");
        // `parse` has walked the same bytes, so the only error is to stand at their end.
        std::iter::from_fn(move || ColumnMessage::parse(&mut cursor).ok())
    }

    /// An owned copy.
    pub fn to_relation(&self) -> Relation {
        Relation {
            oid: self.oid,
            schema: match self.schema {
                "" => "pg_catalog".to_owned(),
                schema => schema.to_owned(),
            },
            name: self.name.to_owned(),
            replica_identity: self.replica_identity,
            columns: self.columns().map(RelationColumn::from).collect(),
        }
    }
}

impl<'a> ColumnMessage<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Result<ColumnMessage<'a>, Error> {
        Ok(ColumnMessage {
            in_identity: cursor.u8("a column's flags")? & 1 != 0,
            name: cursor.text("a column's name")?,
            type_oid: cursor.u32("a column's type")?,
            type_modifier: cursor.i32("a column's type modifier")?,
        })
    }
}

impl From<ColumnMessage<'_>> for RelationColumn {
    fn from(column: ColumnMessage<'_>) -> RelationColumn {
        RelationColumn {
            name: column.name.to_owned(),
            type_oid: column.type_oid,
            type_modifier: column.type_modifier,
            in_identity: column.in_identity,
        }
    }
}
