//! The PostgreSQL side of `walferry check`: server, role, limits, tables, publication, slot.

use walferry_event::ReplicaIdentity;
use walferry_postgres::{
    Catalog, Identity, PublicationInfo, Publish, Replication, TableInfo, quote_ident, quote_table,
};

use super::{Finding, Severity, options};
use crate::{
    config::{Config, SnapshotMode},
    error::Error,
    recovery::{Server, Slot},
    source,
};

/// What the later checks need of the source.
pub(super) struct Examined {
    pub(super) catalog: Catalog,
    pub(super) server: Server,
    pub(super) slot: Slot,
    pub(super) publication_exists: bool,
    pub(super) tables: Vec<TableInfo>,
}

pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Examined> {
    match look(config, findings).await {
        Ok(examined) => Some(examined),
        Err(error) => {
            findings.push(Finding::new(
                Severity::Error,
                "postgresql",
                error.to_string(),
            ));
            None
        }
    }
}

async fn look(config: &Config, findings: &mut Vec<Finding>) -> Result<Examined, Error> {
    let catalog = Catalog::connect(&config.source.connect).await?;
    wal_level(&catalog, findings).await?;
    role(config, &catalog, findings).await?;
    let mut replication = Replication::connect(&config.source.connect).await?;
    let identity = replication.identify().await?;
    describe(&identity, findings);
    let server = source::server(&mut replication, &identity).await?;
    let slot = source::slot(config, &catalog).await?;
    limits(&catalog, &slot, findings).await?;
    let tables = source::select(&config.source, &catalog).await?;
    let publication = catalog.publication(&config.source.publication).await?;
    let (mut publish, mut of_tables) = (Vec::with_capacity(tables.len()), Vec::new());
    for table in &tables {
        table_findings(config, table, &mut of_tables);
        let said = options::findings(
            config,
            &catalog,
            publication.as_ref(),
            table,
            &mut of_tables,
        );
        publish.push(said.await?);
    }
    publication_findings(config, publication.as_ref(), &tables, &publish, findings);
    findings.append(&mut of_tables);
    options::unmatched(config, &tables, findings);
    Ok(Examined {
        catalog,
        server,
        slot,
        publication_exists: publication.is_some(),
        tables,
    })
}

fn describe(identity: &Identity, findings: &mut Vec<Finding>) {
    let version = identity.server_version;
    findings.push(Finding::new(
        Severity::Ok,
        "postgresql",
        format!(
            "version {}.{}, system identifier {}, timeline {}",
            version / 10_000,
            version % 10_000,
            identity.system_id,
            identity.timeline
        ),
    ));
}

async fn wal_level(catalog: &Catalog, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let level = catalog.wal_level().await?;
    findings.push(if level == "logical" {
        Finding::new(Severity::Ok, "wal_level", "logical")
    } else {
        Finding::new(
            Severity::Error,
            "wal_level",
            format!("{level}; logical decoding needs \"logical\""),
        )
        .remedy("set wal_level = logical and restart the server")
        .sql("ALTER SYSTEM SET wal_level = 'logical';")
    });
    Ok(())
}

async fn role(
    config: &Config,
    catalog: &Catalog,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let role = catalog.role().await?;
    let subject = format!("role {}", role.name);
    let ident = quote_ident(&role.name);
    if !role.superuser && !role.replication {
        findings.push(
            Finding::new(Severity::Error, &subject, "may not use replication")
                .remedy("give it the REPLICATION attribute")
                .sql(format!("ALTER ROLE {ident} REPLICATION;")),
        );
    } else {
        findings.push(Finding::new(Severity::Ok, &subject, "may use replication"));
    }
    let publication = catalog.publication(&config.source.publication).await?;
    if publication.is_none() && config.source.create && !role.can_create_publication {
        let database = quote_ident(&config.source.connect.database);
        findings.push(
            Finding::new(
                Severity::Error,
                &subject,
                "may not create a publication in this database",
            )
            .remedy("grant it CREATE on the database, or create the publication for it")
            .sql(format!("GRANT CREATE ON DATABASE {database} TO {ident};")),
        );
    }
    Ok(())
}

async fn limits(catalog: &Catalog, slot: &Slot, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let (slots, slots_max) = catalog.slots_free().await?;
    let (senders, senders_max) = catalog.walsenders_free().await?;
    for (subject, used, max, needed) in [
        (
            "max_replication_slots",
            slots,
            slots_max,
            *slot == Slot::Missing,
        ),
        ("max_wal_senders", senders, senders_max, true),
    ] {
        let message = format!("{used} of {max} in use");
        findings.push(if needed && used >= max {
            Finding::new(Severity::Error, subject, message)
                .remedy(format!(
                    "raise {subject} and restart the server, or drop a slot that nobody reads"
                ))
                .sql(format!("ALTER SYSTEM SET {subject} = {};", max + 4))
        } else {
            Finding::new(Severity::Ok, subject, message)
        });
    }
    Ok(())
}

fn publication_findings(
    config: &Config,
    publication: Option<&PublicationInfo>,
    tables: &[TableInfo],
    publish: &[Publish],
    findings: &mut Vec<Finding>,
) {
    let name = &config.source.publication;
    let subject = format!("publication {name}");
    let ident = quote_ident(name);
    let list = || {
        let tables: Vec<_> = publish.iter().map(Publish::sql).collect();
        tables.join(", ")
    };
    let Some(publication) = publication else {
        let finding = if config.source.create {
            Finding::new(Severity::Plan, subject, "is created by run")
        } else {
            Finding::new(
                Severity::Error,
                subject,
                "does not exist, and source.create is false",
            )
            .remedy("create it")
            .sql(format!("CREATE PUBLICATION {ident} FOR TABLE {};", list()))
        };
        findings.push(finding);
        return;
    };
    for (kind, published) in [
        ("inserts", publication.inserts),
        ("updates", publication.updates),
        ("deletes", publication.deletes),
        ("truncates", publication.truncates),
    ] {
        if !published {
            findings.push(
                Finding::new(
                    Severity::Warning,
                    &subject,
                    format!("does not publish {kind}"),
                )
                .remedy("publish them, unless that is wanted")
                .sql(format!(
                    "ALTER PUBLICATION {ident} SET (publish = 'insert, update, delete, truncate');"
                )),
            );
        }
    }
    for (table, publish) in tables.iter().zip(publish) {
        let Some(it) = source::unpublished(&config.source, publication, table, publish) else {
            continue;
        };
        findings.push(
            Finding::new(Severity::Error, &subject, it.what)
                .remedy(it.remedy)
                .sql(it.sql),
        );
    }
    findings.push(Finding::new(Severity::Ok, subject, "exists"));
}

fn table_findings(config: &Config, table: &TableInfo, findings: &mut Vec<Finding>) {
    let subject = format!("table {}", table.qualified_name());
    let qualified = quote_table(&table.schema, &table.name);
    if !table.has_identity() {
        findings.push(
            Finding::new(
                Severity::Warning,
                &subject,
                "has neither a primary key nor a replica identity: PostgreSQL refuses UPDATE and DELETE on it once it is \
                 published",
            )
            .remedy("give it a primary key, or REPLICA IDENTITY FULL")
            .sql(format!("ALTER TABLE {qualified} REPLICA IDENTITY FULL;")),
        );
    }
    if !table.can_select && config.snapshot.mode != SnapshotMode::Never {
        findings.push(
            Finding::new(
                Severity::Error,
                &subject,
                "may not be read, so its rows cannot be snapshot",
            )
            .remedy("grant SELECT on it")
            .sql(format!(
                "GRANT SELECT ON {qualified} TO {};",
                quote_ident(&config.source.connect.user)
            )),
        );
    }
    let key = if table.key_columns.is_empty() {
        "no key".to_owned()
    } else {
        format!("key ({})", table.key_columns.join(", "))
    };
    let identity = match table.replica_identity {
        ReplicaIdentity::Full => "old rows are complete",
        ReplicaIdentity::Nothing => "no old rows",
        ReplicaIdentity::Default | ReplicaIdentity::Index => "old rows hold the key",
    };
    findings.push(Finding::new(
        Severity::Ok,
        subject,
        format!(
            "{key}, replica identity {}: {identity}",
            table.replica_identity
        ),
    ));
}
