//! The publication at a start: created, extended by tables that were added, and made to say what the options of each table want.
//!
//! Owns the DDL on publications and what is said when one is not as it has to be. Which columns and rows a table's options
//! want is decided in `options`.
//! Invariant: no table is streamed with rows that its `where` leaves out.
//! Start reading at `ensure_publication`.

use walferry_event::Code;
use walferry_postgres::{Catalog, PublicationInfo, Publish, RelationKind, TableInfo};

use crate::{
    config::{Config, Source},
    error::Error,
    tables::options::{self, Wanted},
};

/// Creates the publication when it is missing and that is allowed; otherwise checks that it carries the tables. The tables of
/// which something else is published from now on.
pub(crate) async fn ensure_publication(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<Vec<String>, Error> {
    let name = &config.source.publication;
    let Some(publication) = catalog.publication(name).await? else {
        if !config.source.create {
            return Err(missing(name));
        }
        let mut wanted = Vec::with_capacity(tables.len());
        for table in tables {
            wanted.push(options::wanted(config, catalog, table).await?.publish);
        }
        catalog
            .create_publication(name, &wanted, config.source.partitions_root)
            .await?;
        tracing::info!(target: "audit", publication = name, tables = wanted.len(), "publication created");
        return Ok(Vec::new());
    };
    let mut changed = Vec::new();
    for table in tables {
        let wanted = options::wanted(config, catalog, table).await?;
        check(config, catalog, &publication, table, &wanted.publish).await?;
        if limit(config, catalog, &publication, table, wanted).await? {
            changed.push(table.qualified_name());
        }
    }
    Ok(changed)
}

/// Refuses a publication that can be neither used nor created nor extended, before anything is touched.
pub(crate) async fn vet_publication(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<(), Error> {
    let source = &config.source;
    let Some(publication) = catalog.publication(&source.publication).await? else {
        return match source.create {
            true => Ok(()),
            false => Err(missing(&source.publication)),
        };
    };
    for table in tables {
        if may_be_added(source, &publication, table) {
            continue;
        }
        let publish = Publish::whole(table.table_name());
        if unpublished(source, &publication, table, &publish).is_some() {
            let wanted = options::wanted(config, catalog, table).await?;
            check(config, catalog, &publication, table, &wanted.publish).await?;
        }
    }
    Ok(())
}

fn missing(name: &str) -> Error {
    Error::invalid(
        Code::PublicationMissing,
        format!(
            "publication {name:?} does not exist and source.create is false: CREATE PUBLICATION {} FOR TABLE …",
            walferry_postgres::quote_ident(name)
        ),
    )
}

/// Refuses a table whose changes do not arrive by the publication.
async fn check(
    config: &Config,
    catalog: &Catalog,
    publication: &PublicationInfo,
    table: &TableInfo,
    publish: &Publish,
) -> Result<(), Error> {
    if let Some(it) = unpublished(&config.source, publication, table, publish) {
        still_there(catalog, &[table]).await?;
        return Err(Error::invalid(
            Code::PublicationLacks,
            format!(
                "publication {:?} {}: {}, with {}",
                config.source.publication, it.what, it.remedy, it.sql
            ),
        ));
    }
    Ok(())
}

/// The chosen tables that a publication of ours, which lists its tables, does not carry yet: they were added to the
/// configuration. A publication of all tables had them from the moment of their creation.
pub(crate) async fn added<'a>(
    config: &Config,
    catalog: &Catalog,
    tables: &'a [TableInfo],
) -> Result<Vec<&'a TableInfo>, Error> {
    let publication = catalog.publication(&config.source.publication).await?;
    let Some(publication) = publication else {
        return Ok(Vec::new());
    };
    let fresh = tables
        .iter()
        .filter(|it| may_be_added(&config.source, &publication, it));
    let fresh: Vec<&TableInfo> = fresh.collect();
    still_there(catalog, &fresh).await?;
    Ok(fresh)
}

/// Tables that were listed before the publication was looked at: one that is gone by now, or has another name, was perhaps
/// never missing from it.
async fn still_there(catalog: &Catalog, tables: &[&TableInfo]) -> Result<(), Error> {
    if tables.is_empty() {
        return Ok(());
    }
    let now = catalog.tables().await?;
    for table in tables {
        let same = |it: &TableInfo| it.oid == table.oid && it.table_name() == table.table_name();
        if !now.iter().any(same) {
            return Err(Error::diverged(format!(
                "table {} was dropped or renamed while the publication was looked at",
                table.qualified_name()
            )));
        }
    }
    Ok(())
}

/// Whether a table is to be added to a publication that is there.
pub fn may_be_added(source: &Source, publication: &PublicationInfo, table: &TableInfo) -> bool {
    source.create
        && !publication.all_tables
        && !lists(publication, table)
        && !named_otherwise(source, publication, table)
}

/// Adds tables to our publication.
pub(crate) async fn add_tables(
    config: &Config,
    catalog: &Catalog,
    added: &[&TableInfo],
) -> Result<(), Error> {
    if added.is_empty() {
        return Ok(());
    }
    let mut wanted = Vec::with_capacity(added.len());
    for table in added {
        wanted.push(options::wanted(config, catalog, table).await?.publish);
    }
    let publication = &config.source.publication;
    catalog.add_publication_tables(publication, &wanted).await?;
    for table in added {
        tracing::info!(target: "audit", table = table.qualified_name(), publication, "table added to the publication");
    }
    Ok(())
}

/// Makes our publication show of a table what its options want, after somebody else has changed that.
pub(crate) async fn put_back(
    config: &Config,
    catalog: &Catalog,
    table: &TableInfo,
) -> Result<(), Error> {
    let publication = &config.source.publication;
    let wanted = options::wanted(config, catalog, table).await?;
    catalog
        .change_published(publication, &wanted.publish)
        .await?;
    tracing::info!(target: "audit", publication, table = table.qualified_name(),
        "what the publication holds of the table was put back");
    Ok(())
}

/// Why the changes of a table do not arrive by a publication, and what mends it.
pub struct Unpublished {
    /// Why they do not arrive.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// The commands that mend it.
    pub sql: String,
}

/// Whether the changes of a table arrive by a publication under its own name. What a publication lists follows its
/// `publish_via_partition_root`, also when it is of all tables.
pub fn unpublished(
    source: &Source,
    publication: &PublicationInfo,
    table: &TableInfo,
    publish: &Publish,
) -> Option<Unpublished> {
    if lists(publication, table) {
        return None;
    }
    let ident = walferry_postgres::quote_ident(&source.publication);
    let qualified = table.qualified_name();
    if named_otherwise(source, publication, table) {
        let (under, setting) = match source.partitions_root {
            true => ("its partitions", "leaf"),
            false => ("its partitioned table", "root"),
        };
        return Some(Unpublished {
            what: format!(
                "carries the changes of table {qualified} under the name of {under}, so none arrives under its own"
            ),
            remedy: format!(
                "let both agree: set source.partitions = {setting:?}, or the publication"
            ),
            sql: format!(
                "ALTER PUBLICATION {ident} SET (publish_via_partition_root = {});",
                source.partitions_root
            ),
        });
    }
    Some(Unpublished {
        what: format!("does not hold table {qualified}, so its changes never arrive"),
        remedy: "add the table, or take it out of source.tables".to_owned(),
        sql: format!("ALTER PUBLICATION {ident} ADD TABLE {};", publish.sql()),
    })
}

/// Whether a publication lists a table.
pub fn lists(publication: &PublicationInfo, table: &TableInfo) -> bool {
    publication.tables.contains(&table.oid)
}

/// Whether it carries partitions, or what has them, under the other's name.
pub fn named_otherwise(source: &Source, publication: &PublicationInfo, table: &TableInfo) -> bool {
    table.kind != RelationKind::Table && publication.via_root != source.partitions_root
}

/// Makes the publication say what the options of a table want, or refuses to go on. Whether it was changed.
async fn limit(
    config: &Config,
    catalog: &Catalog,
    publication: &PublicationInfo,
    table: &TableInfo,
    wanted: Wanted,
) -> Result<bool, Error> {
    let name = &config.source.publication;
    let limits = Limits::of(config, catalog, publication, table, wanted).await?;
    let (qualified, severe) = (table.qualified_name(), limits.breaks);
    let Some(why) = limits.differs.clone() else {
        return Ok(false);
    };
    if limits.can_change && config.source.create {
        catalog
            .change_published(name, &limits.wanted.publish)
            .await?;
        tracing::info!(target: "audit", publication = name, table = qualified, "what the publication holds of the table was changed");
        return Ok(true);
    }
    if severe {
        let sql = limits.sql(name);
        return Err(Error::invalid(
            Code::TableIdentity,
            format!("table {qualified}: {why}; {sql}"),
        ));
    }
    tracing::warn!(table = qualified, "{why}");
    Ok(false)
}

/// How a publication that exists differs from what the options of a table want.
pub struct Limits {
    /// What the options want.
    pub wanted: Wanted,
    /// What is different.
    pub differs: Option<String>,
    /// Whether rows would be published that must not be: columns can still be left out here.
    pub breaks: bool,
    /// Whether the publication lists the table and an option says what is wanted of it.
    pub can_change: bool,
    all_tables: bool,
}

impl Limits {
    /// Compares them with what the publication says of a table; none when the two agree.
    pub async fn of(
        config: &Config,
        catalog: &Catalog,
        publication: &PublicationInfo,
        table: &TableInfo,
        wanted: Wanted,
    ) -> Result<Limits, Error> {
        let name = &config.source.publication;
        let mut limits = Limits {
            breaks: wanted.publish.what.row_filter.is_some(),
            can_change: wanted.managed && !publication.all_tables,
            all_tables: publication.all_tables,
            wanted,
            differs: None,
        };
        let Some(published) = catalog.published(name, table.oid).await? else {
            return Ok(limits);
        };
        if limits.wanted.agrees(catalog, &published).await? {
            return Ok(limits);
        }
        limits.differs = Some(if !limits.wanted.managed {
            format!(
                "publication {name:?} leaves out columns or rows of it that the configuration does not name; it is left so"
            )
        } else if publication.all_tables {
            format!(
                "publication {name:?} is FOR ALL TABLES, which allows neither a column list nor a row filter"
            )
        } else {
            format!(
                "publication {name:?} holds other columns or rows of it than the configuration says"
            )
        });
        Ok(limits)
    }

    /// The command that mends it.
    pub fn sql(&self, publication: &str) -> String {
        if self.all_tables {
            return format!(
                "DROP PUBLICATION {}; CREATE PUBLICATION … FOR TABLE …, {};",
                walferry_postgres::quote_ident(publication),
                self.wanted.publish.sql()
            );
        }
        walferry_postgres::change_sql(publication, &self.wanted.publish)
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::ReplicaIdentity;
    use walferry_postgres::ConnectConfig;

    use super::*;

    fn source(partitions_root: bool) -> Source {
        Source {
            connect: ConnectConfig::from_url("postgres://u@localhost/d").unwrap(),
            tables: vec!["public.*".into()],
            slot: "s".into(),
            publication: "p".into(),
            create: true,
            partitions_root,
            origin_none: false,
            slot_retained_bytes_max: None,
            heartbeat_ms: 1000,
            adopt_slot: false,
            adopt_with_snapshot: false,
            new_tables: crate::config::NewTables::Follow,
        }
    }

    fn table(name: &str, kind: RelationKind) -> TableInfo {
        TableInfo {
            oid: oid(name),
            schema: "public".into(),
            name: name.into(),
            replica_identity: ReplicaIdentity::Default,
            kind,
            key_columns: Vec::new(),
            rows_estimated: 0,
            owned: true,
            can_select: true,
            unlogged: false,
            guarded: false,
            columns_granted: Vec::new(),
            columns_read: Vec::new(),
        }
    }

    fn oid(name: &str) -> u32 {
        name.bytes().map(u32::from).sum()
    }

    fn sql(root: bool, via_root: bool, listed: &str, table: &TableInfo) -> Option<String> {
        let publication = PublicationInfo {
            owned: true,
            all_tables: true,
            via_root,
            inserts: true,
            updates: true,
            deletes: true,
            truncates: true,
            tables: vec![oid(listed)],
        };
        let publish = Publish::whole(table.table_name());
        unpublished(&source(root), &publication, table, &publish).map(|it| it.sql)
    }

    #[test]
    fn origin_none_is_for_servers_that_know_it() {
        let mut source = source(true);
        let unknown = crate::tables::followed::origin_unknown;
        assert_eq!(unknown(&source, 150_004), None);
        source.origin_none = true;
        assert_eq!(unknown(&source, 160_000), None);
        let reason = unknown(&source, 150_004).unwrap();
        assert!(
            reason.contains("PostgreSQL 16") && reason.contains("15"),
            "{reason}"
        );
    }

    #[test]
    fn a_publication_carries_a_table_only_under_the_name_that_it_lists() {
        let whole = table("m", RelationKind::Partitioned);
        let part = table("m_1", RelationKind::Partition);
        assert_eq!(sql(true, true, "m", &whole), None);
        assert_eq!(sql(false, false, "m_1", &part), None);
        let disagrees = sql(true, false, "m_1", &whole).unwrap();
        assert!(
            disagrees.contains("(publish_via_partition_root = true)"),
            "{disagrees}"
        );
        let disagrees = sql(false, true, "m", &part).unwrap();
        assert!(
            disagrees.contains("(publish_via_partition_root = false)"),
            "{disagrees}"
        );
        let missing = sql(true, true, "m", &table("t", RelationKind::Table)).unwrap();
        assert!(missing.contains("ADD TABLE"), "{missing}");
    }
}
