//! What a table looked like at one version of its relation.
//!
//! [`Relation`] is what the stream says (pgoutput's RELATION message); [`Table`] adds what only the catalog knows:
//! nullability, defaults, type names, the message key.
//! Invariant: `table.columns` and the values of a row have the same length and order.

use std::fmt;

/// `pg_class.relreplident`: what an update or delete says of the old row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplicaIdentity {
    /// `d`: the primary key's columns, if there is one.
    #[default]
    Default,
    /// `n`: nothing.
    Nothing,
    /// `f`: the whole old row.
    Full,
    /// `i`: the columns of a chosen unique index.
    Index,
}

impl ReplicaIdentity {
    /// From the catalog's letter.
    pub fn from_code(code: u8) -> Option<ReplicaIdentity> {
        Some(match code {
            b'd' => ReplicaIdentity::Default,
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            _ => return None,
        })
    }
}

impl fmt::Display for ReplicaIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplicaIdentity::Default => "default",
            ReplicaIdentity::Nothing => "nothing",
            ReplicaIdentity::Full => "full",
            ReplicaIdentity::Index => "index",
        })
    }
}

/// A relation as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema name (pgoutput sends an empty one for `pg_catalog`; it is filled in here).
    pub schema: String,
    /// Table name.
    pub name: String,
    /// What old rows carry.
    pub replica_identity: ReplicaIdentity,
    /// The published columns in order.
    pub columns: Vec<RelationColumn>,
}

impl Relation {
    /// `schema.table`, unquoted, as configuration, logs and metrics name it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// A column as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    /// Column name.
    pub name: String,
    /// `pg_attribute.atttypid`.
    pub type_oid: u32,
    /// `pg_attribute.atttypmod`; -1 when the type has none.
    pub type_modifier: i32,
    /// Whether the column is part of the replica identity (with identity full, all are).
    pub in_identity: bool,
}

/// One version of a table: all that its schema is derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What the stream said.
    pub relation: Relation,
    /// One entry for each of the relation's columns, in the same order.
    pub columns: Vec<Column>,
    /// The message key: indexes into `columns` in the order of the key; empty when the table has no key.
    pub key: Vec<usize>,
    /// How far old rows tell which row has changed.
    pub old_rows: OldRows,
}

/// A column with what the catalog adds. A column that the catalog no longer has is nullable and has no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Column name.
    pub name: String,
    /// Its type.
    pub data_type: ColumnType,
    /// Whether NULL is possible. Unknown counts as yes.
    pub nullable: bool,
    /// `pg_get_expr(adbin)`: the default expression as SQL text, or `None`.
    pub default: Option<String>,
    /// Whether a value has come that the type's declared shape does not hold (an array of other dimensions, a composite
    /// with other fields, an enum's label that it does not have any more): the schema then has a place for the text of such values.
    pub any_shape: bool,
}

/// A type, with domains followed to their base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// OID of the type after domains are followed; of the column's own type when the catalog no longer has it.
    pub oid: u32,
    /// `pg_type.typname` after domains are followed.
    pub name: String,
    /// The type modifier in force (a domain's own, when it has one); -1 when none. Of `money`, which has none, the number
    /// of digits after the point in the database's locale.
    pub modifier: i32,
    /// What sort of type it is.
    pub kind: TypeKind,
}

/// What the catalog says of keys and old rows beyond the relation's own identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldRows {
    /// Sets of columns of which no two rows have the same values at any moment, not even within a transaction.
    pub unique: Vec<Vec<usize>>,
    /// Of a partitioned table: its leaves, which write the old rows.
    pub leaves: Vec<LeafRows>,
}

/// What old rows carry that a leaf of a partitioned table writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRows {
    /// `pg_class.oid` of the leaf.
    pub oid: u32,
    /// `schema.table` of the leaf.
    pub name: String,
    /// Whether they carry every column.
    pub full: bool,
    /// Else the columns that they carry, as indexes into the partitioned table's.
    pub columns: Vec<usize>,
}

impl Table {
    /// Whether rows of one transaction may hold a key one after the other, or two of them at once: nothing makes it unique
    /// after each single change.
    pub fn key_is_deferred(&self) -> bool {
        let within = |unique: &Vec<usize>| unique.iter().all(|at| self.key.contains(at));
        !self.key.is_empty() && !self.old_rows.unique.iter().any(within)
    }

    /// Whether old rows may carry other columns than the relation's identity says: a leaf has another.
    pub fn old_rows_are_mixed(&self) -> bool {
        self.old_rows.leaves.iter().any(|leaf| self.differs(leaf))
    }

    /// The first leaf whose identity is not the table's.
    pub fn other_leaf(&self) -> Option<&LeafRows> {
        self.old_rows.leaves.iter().find(|leaf| self.differs(leaf))
    }

    /// A leaf whose old rows carry neither the whole key nor, where there is no key, the whole row: which row it was that
    /// changed there cannot be told.
    pub fn leaf_without_key(&self) -> Option<&LeafRows> {
        let carries = |leaf: &LeafRows| {
            !self.key.is_empty() && self.key.iter().all(|at| leaf.columns.contains(at))
        };
        let lacks = |leaf: &&LeafRows| !leaf.full && !carries(leaf);
        self.old_rows.leaves.iter().find(lacks)
    }

    fn differs(&self, leaf: &LeafRows) -> bool {
        let full = self.relation.replica_identity == ReplicaIdentity::Full;
        if full || leaf.full {
            return full != leaf.full;
        }
        let columns = self.relation.columns.iter().enumerate();
        let mut own = columns.filter(|(_, column)| column.in_identity);
        let count = own.clone().count();
        count != leaf.columns.len() || own.any(|(at, _)| !leaf.columns.contains(&at))
    }
}

/// `pg_type.typtype` and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// A scalar of PostgreSQL's own or of an extension.
    Scalar,
    /// An enum with its labels in `enumsortorder`.
    Enum(Vec<String>),
    /// An array.
    Array(Box<ArrayType>),
    /// A record with fields, declared with CREATE TYPE or the row type of a table.
    Composite(CompositeType),
    /// Range, multirange or pseudo type: goes out as its text.
    Other,
}

/// What an array's text is read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayType {
    /// The elements' type, with domains followed.
    pub element: ColumnType,
    /// Whether the elements are of a domain.
    pub of_domain: bool,
    /// What stands between two elements: `pg_type.typdelim`, a comma for nearly every type.
    pub delimiter: u8,
    /// How many dimensions were declared; PostgreSQL keeps this as a hint and stores any number. 0 when nothing is known.
    pub dimensions: u32,
}

/// The fields of a composite type as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompositeType {
    /// Schema of the type.
    pub schema: String,
    /// Names and types in the order of the row's text.
    pub fields: Vec<(String, ColumnType)>,
}
