//! A table version becomes its encode plan: described as it is published, with its key, and compiled with its options.
//!
//! Owns the way from the catalog to the plan. Never: registers a schema.
//! Start reading at `described`, then `compile`.

use walferry_avro::{EncodeErrorKind, EncodePlan, Naming, Treatment, Treatments};
use walferry_event::{Code, Relation, Table};
use walferry_postgres::{Catalog, TableInfo};

use crate::{
    config::{Config, Mask, TableConfig},
    error::Error,
    tables::{key::choose_key, options::names::Alias},
};

/// A table as it is published now.
pub async fn described(
    config: &Config,
    catalog: &Catalog,
    info: &TableInfo,
) -> Result<Table, Error> {
    let publication = &config.source.publication;
    let relation = catalog.published_relation(publication, info.oid).await?;
    version(config, catalog, &relation).await
}

/// What the catalog says of a version of a table now, with the key that its messages have.
pub async fn version(
    config: &Config,
    catalog: &Catalog,
    relation: &Relation,
) -> Result<Table, Error> {
    let mut table = catalog.table(relation, config.key_rules()).await?;
    choose_key(config, &mut table)?;
    Ok(table)
}

/// A table's encode plan, and the topic that its names are taken from.
pub struct Compiled {
    /// Where its records go.
    pub topic: String,
    /// What encodes its rows.
    pub encode: EncodePlan,
}

/// Compiles the plan of a table version, in which options mean these columns as well.
pub fn compile(config: &Config, table: &Table, aliases: &[Alias]) -> Result<Compiled, Error> {
    let topic = config.topic(&table.relation.schema, &table.relation.name);
    let encode = encode_plan(config, table, &topic, aliases)?;
    Ok(Compiled { topic, encode })
}

/// Widens the column that had no place for a value: to be NULL, or to have another shape. Whether it was not so wide before, so
/// that it is worth another try.
pub fn widen(table: &mut Table, column: usize, kind: EncodeErrorKind) -> bool {
    let Some(column) = table.columns.get_mut(column) else {
        return false;
    };
    let wide = match kind {
        EncodeErrorKind::NullInRequired => &mut column.nullable,
        EncodeErrorKind::Shape => &mut column.any_shape,
        _ => return false,
    };
    !std::mem::replace(wide, true)
}

/// A table as the publication shows it now, and the filter on its rows: what a snapshot has to read.
pub async fn shape(
    config: &Config,
    catalog: &Catalog,
    oid: u32,
) -> Result<(Relation, Option<String>), walferry_postgres::Error> {
    let publication = &config.source.publication;
    let relation = catalog.published_relation(publication, oid).await?;
    let published = catalog.published(publication, oid).await?;
    Ok((relation, published.and_then(|it| it.row_filter)))
}

/// Compiles the plan of a table version, with what the options make of its columns.
pub fn encode_plan(
    config: &Config,
    table: &Table,
    topic: &str,
    aliases: &[Alias],
) -> Result<EncodePlan, Error> {
    let relation = &table.relation;
    let physical_table = config.physical_table(&relation.schema, &relation.name);
    let naming = Naming {
        topic,
        server: &config.topic_prefix,
        database: &config.source.connect.database,
        shared: config.shares_topic(&relation.schema, &relation.name),
        physical_table: physical_table.as_deref(),
    };
    let name = relation.qualified_name();
    if let Some(own) = config.table(&name) {
        keys_differ(own, &name, table)?;
    }
    let mut treatments = treatments(config, &name)?;
    for alias in aliases {
        treatments.set_as(&alias.column, &alias.option);
    }
    Ok(EncodePlan::treated(
        table,
        &naming,
        &config.format,
        &treatments,
    )?)
}

/// Rows with different keys must have different keys in Kafka too.
pub(crate) fn keys_differ(own: &TableConfig, name: &str, table: &Table) -> Result<(), Error> {
    for column in table.key.iter().filter_map(|&at| table.columns.get(at)) {
        let how = if own.exclude_columns.contains(&column.name) {
            "exclude_columns"
        } else {
            match own.masks.iter().find(|(masked, _)| *masked == column.name) {
                Some((_, Mask::Redact)) => "mask (redact)",
                Some((_, Mask::Truncate(_))) => "mask (truncate)",
                Some((_, Mask::Sha256(_) | Mask::Done)) | None => continue,
            }
        };
        return Err(Error::invalid(
            Code::TableOption,
            format!(
                "table {name}: column {:?} of {how} is part of the message key, so that different rows would share a key; choose \
             another `key`, or mask it with sha256",
                column.name
            ),
        ));
    }
    Ok(())
}

/// The columns of a message key of which different values have one form, in words for the operator.
pub fn merged_keys(config: &Config, table: &Table) -> Vec<String> {
    let name = table.relation.qualified_name();
    let Ok(treatments) = treatments(config, &name) else {
        return Vec::new();
    };
    let merged = walferry_avro::merged_keys(table, &config.format, &treatments);
    let words = merged.into_iter().map(|(column, loss)| {
        let setting = loss.setting.map(|it| format!("set {it}, "));
        format!(
            "column {column:?} of the message key loses its {}: rows that differ in nothing else share a key, and a delete of one of \
             them deletes both for consumers; {}mask it with sha256, or choose another `key`",
            loss.what,
            setting.unwrap_or_default()
        )
    });
    words.collect()
}

/// Says so in the log.
pub(crate) fn tell_merged_keys(config: &Config, table: &Table) {
    for words in merged_keys(config, table) {
        tracing::warn!(table = table.relation.qualified_name(), "{words}");
    }
}

/// What the options make of the columns of the table of that name.
pub fn treatments(config: &Config, name: &str) -> Result<Treatments, Error> {
    let mut treatments = Treatments::default();
    let Some(own) = config.table(name) else {
        return Ok(treatments);
    };
    for (column, mask) in &own.masks {
        let mask = match mask {
            Mask::Redact => walferry_avro::Mask::Redact,
            Mask::Done => walferry_avro::Mask::Done,
            Mask::Truncate(chars) => walferry_avro::Mask::Truncate { chars: *chars },
            Mask::Sha256(salt) => {
                let salt = salt.read().map_err(|error| {
                    Error::invalid(
                        Code::Secret,
                        format!("table {name}: the salt of column {column:?}: {error}"),
                    )
                })?;
                walferry_avro::Mask::Sha256 {
                    salt: salt.into_bytes(),
                }
            }
        };
        treatments.set(column, Treatment::Mask(mask));
    }
    for column in &own.exclude_columns {
        treatments.set(column, Treatment::LeaveOut);
    }
    Ok(treatments)
}

/// Whether the records of a table have keys.
pub(crate) async fn has_key(
    config: &Config,
    catalog: &Catalog,
    table: &TableInfo,
) -> Result<bool, Error> {
    let version = described(config, catalog, table).await?;
    let compiled = compile(config, &version, &[])?;
    Ok(compiled.encode.key_schema().is_some())
}
