//! How the mixed load runs.
//!
//! Owns: [`MixedOptions`] and its defaults.

/// How the load runs.
#[derive(Clone, Debug)]
pub struct MixedOptions {
    /// Seed of all choices.
    pub seed: u64,
    /// Connections.
    pub writers: u32,
    /// Transactions per second of all writers together; none for as fast as it goes.
    pub transactions_per_second: Option<f64>,
    /// Most statements of a usual transaction.
    pub statements_max: u32,
    /// Rows of the large transactions, one in a hundred; 0 for none.
    pub bulk_rows: u32,
    /// Whether a table is truncated now and then.
    pub truncate: bool,
    /// Schema of the tables.
    pub schema: String,
}

impl Default for MixedOptions {
    fn default() -> MixedOptions {
        MixedOptions {
            seed: 1,
            writers: 3,
            transactions_per_second: Some(200.0),
            statements_max: 12,
            bulk_rows: 1_000,
            truncate: false,
            schema: "public".to_owned(),
        }
    }
}
