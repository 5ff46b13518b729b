//! What `walferry check` says of a table's options: which of them PostgreSQL carries out, and which Walferry.
//!
//! Owns the wording. Never: decides anything; the rules are in `options`, what `run` does with them in `publication`.

use walferry_event::Code;
use walferry_postgres::{Catalog, PublicationInfo, Publish, TableInfo};

use crate::check::finding::{Finding, Severity};
use walferry_pipeline::{
    config::{Config, Mask, TableConfig},
    error::Error,
    tables::{options, publication::Limits},
};

/// Returns what a publication should say of the table: all of it when its options cannot be carried out.
pub(super) async fn findings(
    config: &Config,
    catalog: &Catalog,
    publication: Option<&PublicationInfo>,
    table: &TableInfo,
    findings: &mut Vec<Finding>,
) -> Result<Publish, Error> {
    let name = table.qualified_name();
    let subject = format!("options of {name}");
    let wanted = match options::wanted(config, catalog, table).await {
        Ok(wanted) => wanted,
        Err(error) => {
            findings.push(Finding::error(
                Code::TableOption,
                subject,
                error.to_string(),
            ));
            return Ok(Publish::whole(table.table_name()));
        }
    };
    let publish = wanted.publish.clone();
    let mut left_out_here = wanted.left_out_here.clone();
    let mut difference = None;
    if let Some(publication) = publication {
        let limits = Limits::of(config, catalog, publication, table, wanted).await?;
        let stays = limits.differs.is_some() && !(limits.can_change && config.source.create);
        if stays && publish.what.columns.is_some() {
            left_out_here = Some("the publication holds them".into());
        }
        difference = differs(config, &limits, &subject);
    }
    if let Some(own) = config.table(&name) {
        say(own, left_out_here.as_deref(), &subject, findings);
    }
    findings.extend(difference);
    Ok(publish)
}

/// Who carries out which option.
fn say(own: &TableConfig, left_out_here: Option<&str>, subject: &str, findings: &mut Vec<Finding>) {
    let mut say = |message: String| findings.push(Finding::ok(subject, message));
    let excluded = own.exclude_columns.join(", ");
    match left_out_here {
        Some(why) => say(format!(
            "columns {excluded} are left out by Walferry: {why}"
        )),
        None if !excluded.is_empty() => say(format!(
            "columns {excluded} are left out by PostgreSQL: the publication lists the others; a column that is added later is \
             published from the next start on, and one that is listed cannot be dropped before it is off the list"
        )),
        None => {}
    }
    if own.row_filter.is_some() {
        say("rows are chosen by PostgreSQL: `where` is the publication's row filter".into());
    }
    for (column, mask) in &own.masks {
        let how = match mask {
            Mask::Sha256(_) => "sha256".to_owned(),
            Mask::Redact => "redact".to_owned(),
            Mask::Done => "before".to_owned(),
            Mask::Truncate(chars) => format!("truncate to {chars} characters"),
        };
        say(format!("column {column} is masked by Walferry: {how}"));
    }
}

/// How the publication that is there differs, and what `run` makes of it.
fn differs(config: &Config, limits: &Limits, subject: &str) -> Option<Finding> {
    let why = limits.differs.clone()?;
    if !limits.wanted.managed {
        return Some(Finding::warning(Code::PublicationLacks, subject, why));
    }
    if limits.can_change && config.source.create {
        let message = format!("{why}; run changes it");
        return Some(Finding::plan(subject, message));
    }
    let severity = match limits.breaks {
        true => Severity::Error,
        false => Severity::Warning,
    };
    Some(
        Finding::of(severity, Code::PublicationLacks, subject, why)
            .remedy("let the publication hold what the configuration says")
            .sql(limits.sql(&config.source.publication)),
    )
}

/// Settings of tables that are not followed.
pub(super) fn unmatched(config: &Config, tables: &[TableInfo], findings: &mut Vec<Finding>) {
    for it in options::unmatched(config, tables) {
        let severity = match it.is_glob() {
            true => Severity::Warning,
            false => Severity::Error,
        };
        findings.push(
            Finding::of(severity, Code::TableOption, "[[table]]", it.what()).remedy(it.remedy()),
        );
    }
}
