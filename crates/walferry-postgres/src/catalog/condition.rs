//! Whether a condition that somebody asks for may be put into a command.
//!
//! Owns the two questions behind the lexical rules of `condition`: what the functions do that it calls, and
//! whether the server takes it for a condition over the table. Nothing is evaluated.
//! Never: takes a function that reads or does anything beyond its arguments, whatever the role may do.

use super::{Catalog, TableName, value};
use crate::{Error, condition};

/// Functions that depend on the time or the session's settings and on nothing else that could be told by them.
const STABLE: [&str; 16] = [
    "now",
    "transaction_timestamp",
    "statement_timestamp",
    "date_trunc",
    "date_part",
    "date_bin",
    "extract",
    "age",
    "timezone",
    "to_char",
    "to_date",
    "to_timestamp",
    "concat",
    "concat_ws",
    "format",
    "array_to_string",
];

impl Catalog {
    /// An error that says why, unless `sql` is one expression that is true or false of each row of the table and does nothing else.
    pub async fn check_condition(&self, table: &TableName, sql: &str) -> Result<(), Error> {
        let doing = format!(
            "reading the condition on table {}.{}",
            table.schema, table.name
        );
        let refused = |reason: String| Error::settings(format!("{doing}: {reason}"));
        let calls = condition::functions(sql).map_err(refused)?;
        // A name that no function has is a key word, or the server does not take it.
        const QUESTION: &str = "\
            SELECT p.provolatile::text FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            WHERE p.proname = $1 AND n.nspname = coalesce($2, 'pg_catalog') AND p.provolatile <> 'i' LIMIT 1";
        for call in calls {
            let rows = self
                .all(&doing, QUESTION, &[&call.name, &call.schema])
                .await?;
            let Some(row) = rows.first() else {
                continue;
            };
            let volatile: String = value(&doing, row, 0)?;
            let own = call.schema.as_deref().is_none_or(|it| it == "pg_catalog");
            if volatile == "v" || !own || !STABLE.contains(&&*call.name) {
                return Err(refused(format!(
                    "function {} is not immutable: a condition may only look at columns of its table",
                    call.name
                )));
            }
        }
        self.check_filter(table, None, sql).await
    }
}
