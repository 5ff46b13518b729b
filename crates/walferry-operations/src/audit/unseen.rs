//! What an audit cannot see: tables and rows whose changes are in no stream, or not told apart from those that are.
//!
//! Owns the sentences. Never: counts as a fault what it cannot judge, or as clean what it has not looked at.

use walferry_postgres::{Catalog, TableInfo};

use crate::audit::report::TableAudit;
use walferry_pipeline::{
    config::{Config, selection::Selection},
    error::Error,
};

/// Chosen tables that have no stream, and partitions whose changes are in none.
pub(super) async fn tables(
    config: &Config,
    catalog: &Catalog,
    named: &[String],
) -> Result<Vec<String>, Error> {
    let selection = Selection::new(&config.source.tables);
    let chosen = |name: &String| {
        selection.includes(name) && (named.is_empty() || named.iter().any(|it| it == name))
    };
    let mut unseen = Vec::new();
    let tables = catalog.tables().await?;
    for table in &tables {
        let name = table.qualified_name();
        if !chosen(&name) {
            continue;
        }
        if table.unlogged {
            unseen.push(format!(
                "table {name} is unlogged: its changes are in no stream, and it was not compared"
            ));
        }
    }
    for (root, partition) in catalog.foreign_partitions().await? {
        if chosen(&root) {
            unseen.push(format!(
                "partition {partition} of table {root} is a foreign table: its rows come with a snapshot, its changes never"
            ));
        }
    }
    let publication = catalog.publication(&config.source.publication).await?;
    if let Some(publication) = publication {
        let of_stream = |it: &&TableInfo| it.followed(config.source.partitions_root);
        for table in tables.iter().filter(of_stream) {
            let name = table.qualified_name();
            if chosen(&name) && !walferry_pipeline::tables::publication::lists(&publication, table)
            {
                unseen.push(format!(
                    "table {name} is not in the publication: its changes are in no stream"
                ));
            }
        }
    }
    Ok(unseen)
}

/// Rows that replication brings in are not published: with them the table differs from its topic, as it would by a fault.
pub(super) fn left_out_origins(table: &mut TableAudit) {
    let unknown = table.missing + table.extra + table.different;
    if unknown == 0 {
        return;
    }
    (table.missing, table.extra, table.different) = (0, 0, 0);
    let judged = |kind: &str| !matches!(kind, "missing" | "extra" | "different");
    table.differences.retain(|it| judged(it.kind));
    table.incomplete.push(format!(
        "source.origin = \"none\" leaves out what replication brings into table {}, so that {unknown} rows which are not as in \
         the topic cannot be told from rows that it brought",
        table.name
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_replications_is_no_fault_and_not_clean() {
        let mut table = TableAudit {
            missing: 1,
            different: 2,
            duplicates: 4,
            ..TableAudit::default()
        };
        left_out_origins(&mut table);
        assert_eq!((table.faults(), table.incomplete.len()), (4, 1));
        assert!(table.incomplete[0].contains(" 3 rows"));
        let mut clean = TableAudit::default();
        left_out_origins(&mut clean);
        assert!(clean.incomplete.is_empty());
    }
}
