//! `walferry audit`: the comparison of tables and topics, as text or as JSON.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use walferry_operations::audit::{Audit, audit, report::AuditReport};

use super::{load, one_line, wait};
use crate::{Failure, command_line::AuditArguments, print, tell};

/// Differences of a table that are listed.
const DIFFERENCES_MAX: usize = 20;

pub(crate) fn run(path: &Path, arguments: AuditArguments) -> Result<(), Failure> {
    let loaded = load(path)?;
    if arguments.rate == Some(0) {
        return Err(Failure::usage(&anyhow!("--rate: at least 1 row a second")));
    }
    let what = Audit {
        tables: arguments.tables,
        rows_per_second_max: arguments.rate,
        differences_max: DIFFERENCES_MAX,
        patience: Duration::from_secs(arguments.patience),
    };
    let report = wait(audit(&loaded.pipeline, what, tell))??;
    let text = if arguments.json {
        let mut value = serde_json::to_value(&report).map_err(anyhow::Error::from)?;
        value["clean"] = report.is_clean().into();
        format!("{value:#}\n")
    } else {
        text(&report)
    };
    print(text.as_bytes())?;
    if report.is_clean() {
        Ok(())
    } else {
        Err(Failure::told())
    }
}

fn text(report: &AuditReport) -> String {
    let widths = report.tables.iter().map(|it| one_line(&it.name).len());
    let width = widths.max().unwrap_or(0).max("table".len());
    let mut text = format!(
        "at {}\n{:width$}  {:>10}  {:>10}  {:>9}  {:>9}  {:>9}  {:>10}  {:>12}  {:>5}\n",
        report.lsn,
        "table",
        "rows",
        "records",
        "missing",
        "extra",
        "different",
        "duplicates",
        "out of order",
        "split"
    );
    for it in &report.tables {
        text.push_str(&format!(
            "{:width$}  {:>10}  {:>10}  {:>9}  {:>9}  {:>9}  {:>10}  {:>12}  {:>5}\n",
            one_line(&it.name),
            it.rows,
            it.records,
            it.missing,
            it.extra,
            it.different,
            it.duplicates,
            it.out_of_order,
            it.split
        ));
    }
    for it in &report.tables {
        let name = one_line(&it.name);
        for difference in &it.differences {
            let columns = match difference.columns.as_slice() {
                [] => String::new(),
                columns => format!(" in {}", columns.join(", ")),
            };
            let at = difference
                .lsn
                .map_or_else(String::new, |lsn| format!(" at {lsn}"));
            let kind = difference.kind.replace('_', " ");
            let key = &difference.key;
            let columns = one_line(&columns);
            text.push_str(&format!("{name}: {kind}: {key}{columns}{at}\n"));
        }
        if it.faults() > it.differences.len() as u64 {
            let more = it.faults() - it.differences.len() as u64;
            text.push_str(&format!("{name}: and {more} more\n"));
        }
        if it.unchecked_values > 0 {
            text.push_str(&format!(
                "{name}: {} values could not be compared: their records are of an older version of the table, or hold no value\n",
                it.unchecked_values
            ));
        }
        for reason in &it.incomplete {
            text.push_str(&format!("{name}: incomplete: {}\n", one_line(reason)));
        }
    }
    for it in &report.unseen {
        text.push_str(&format!("not seen: {it}\n"));
    }
    let faults: u64 = report.tables.iter().map(|it| it.faults()).sum();
    text.push_str(&match (report.is_clean(), faults) {
        (true, _) => "clean\n".to_owned(),
        (false, 0) => "incomplete\n".to_owned(),
        (false, faults) => format!("{faults} faults\n"),
    });
    text
}
