//! The publication that a temporary slot is read through.
//!
//! Owns the choice between the connector's and one of the moment. Never: leaves a slot; that goes with its session.
//! Invariant: nothing is read that the options of the tables keep back.

use walferry_postgres::{Catalog, TableInfo};

use walferry_pipeline::{
    config::Config,
    error::Error,
    tables::{options, publication::Limits},
};

/// The connector's publication; one of our own where that would show more than the options of the tables allow, or is not there.
/// Who gets the second drops it.
pub(crate) async fn publication_of(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
    own: &str,
) -> Result<String, Error> {
    let name = &config.source.publication;
    let mut usable = catalog.publication(name).await?;
    let mut publish = Vec::with_capacity(tables.len());
    for table in tables {
        let wanted = options::wanted(config, catalog, table).await?;
        publish.push(wanted.publish.clone());
        if let Some(publication) = &usable {
            let limits = Limits::of(config, catalog, publication, table, wanted).await?;
            if limits.differs.is_some() && limits.breaks {
                usable = None;
            }
        }
    }
    if usable.is_some() {
        return Ok(name.clone());
    }
    let root = config.source.partitions_root;
    catalog.create_publication(own, &publish, root).await?;
    Ok(own.to_owned())
}
