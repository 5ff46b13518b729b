//! What the catalog says of the columns of a table now.
//!
//! Owns: [`Known`]. Never: asks for it; see `columns`.

use std::collections::HashMap;

/// What the catalog says of a column now.
pub(super) struct Known {
    /// `attnum`: stays when the column is renamed.
    pub(super) number: i16,
    pub(super) type_oid: u32,
    pub(super) nullable: bool,
    pub(super) generated: bool,
    pub(super) default: Option<String>,
    /// `attndims`: a hint.
    pub(super) dimensions: u32,
}

/// What the catalog says of a table's columns, by their names.
pub(super) type Columns = HashMap<String, Known>;
