//! What a family of types is: a table, with a maker and an oracle for each of its columns.

use super::modes::Modes;
use super::oracle::Oracle;
use super::random::Make;

/// A column of a family's table.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) data_type: &'static str,
    pub(super) make: Make,
    pub(super) oracle: Oracle,
    /// Values that come first, in every run.
    pub(super) edges: &'static [&'static str],
    /// The first PostgreSQL that has the type.
    pub(super) since: u32,
}

/// A column with values of its own at its edges.
pub(super) fn column(
    name: &'static str,
    data_type: &'static str,
    make: Make,
    oracle: Oracle,
    edges: &'static [&'static str],
) -> Column {
    Column {
        name,
        data_type,
        make,
        oracle,
        edges,
        since: 14,
    }
}

/// The same column, from a later PostgreSQL on.
pub(super) fn since(major: u32, column: Column) -> Column {
    Column {
        since: major,
        ..column
    }
}

/// Types that belong together, in one table of their name.
pub(super) struct Family {
    pub(super) name: &'static str,
    /// Types and extensions that the table needs.
    pub(super) types: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) applies: fn(&Modes) -> bool,
}

impl Family {
    /// A family that no mode has a say in.
    pub(super) fn plain(name: &'static str, types: &'static str, columns: Vec<Column>) -> Family {
        Family {
            name,
            types,
            columns,
            applies: Modes::is_default,
        }
    }

    /// A family of every mode.
    pub(super) fn of_modes(
        name: &'static str,
        types: &'static str,
        columns: Vec<Column>,
    ) -> Family {
        Family {
            applies: |_| true,
            ..Family::plain(name, types, columns)
        }
    }
}
