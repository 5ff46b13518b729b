//! Which of the chosen tables are followed, and which are left out although they were chosen, with the reason.
//!
//! Owns the two reasons there are: PostgreSQL would refuse the application's updates once the table is published (`tables::writers`),
//! or its records would go into another table's topic without that being asked for (`shared_topic`).
//! Invariants: no table is put into a publication that breaks the application's writers, unless the file asks for it; a
//! table that is published and not ours to take out is followed, with a warning.
//! Start reading at `choose`.

use walferry_postgres::{Catalog, PublicationInfo, RelationKind, TableInfo, quote_ident};

use crate::{
    config::Config,
    error::Error,
    position::published_record::Lack,
    status::findings::Findings,
    tables::{
        followed::select,
        options,
        publication::lists,
        shared_topic,
        writers::{Refused, refused},
    },
};

/// What becomes of the tables that `source.tables` chooses.
pub struct Choice {
    /// They are followed.
    pub tables: Vec<TableInfo>,
    /// They are not.
    pub left_out: Vec<LeftOut>,
    /// Followed, and the application cannot change their rows: somebody else publishes them, or the file asks for it.
    pub broken: Vec<(TableInfo, Refused)>,
}

/// A table that was chosen and is not followed.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The table.
    pub table: TableInfo,
    /// What is in the way.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// The commands that mend it, where some do.
    pub sql: Option<String>,
    /// Whether our publication has it, from which it is to be taken.
    published: bool,
}

impl LeftOut {
    /// Whether our publication has it, from which it is to be taken.
    pub(crate) fn is_published(&self) -> bool {
        self.published
    }
}

impl Choice {
    /// Tells in status and log what is left out, and that what is followed is not.
    pub(crate) fn tell(&self, config: &Config, findings: &Findings) {
        let before = findings.seen();
        for table in &self.tables {
            let name = table.qualified_name();
            if before.get(&name).is_some_and(|it| it.lack == Lack::LeftOut) {
                findings.clear(&name);
            }
        }
        for it in &self.left_out {
            let reason = format!("{}; {}", it.what, it.remedy);
            findings.set(&it.table.qualified_name(), Lack::LeftOut, reason);
        }
        for (table, refused) in &self.broken {
            let (table, what) = (table.qualified_name(), refused.what());
            match asks(config, &table) {
                true => tracing::info!(table, "{what}; publish_without_identity asks for it"),
                false => tracing::warn!(
                    table,
                    "{what}; the publication is not ours to change: {}",
                    refused.remedy()
                ),
            }
        }
        for table in self.tables.iter().filter(|it| later_leaves(it)) {
            let table = table.qualified_name();
            tracing::warn!(table, "{LATER_LEAVES}");
        }
    }
}

/// What is said of a partitioned table without a key.
pub const LATER_LEAVES: &str = "the partitioned table has no primary key, so that a partition that is created later has no \
     replica identity, and PostgreSQL refuses the application's updates of it: give the table a primary key, or run ALTER TABLE … \
     REPLICA IDENTITY FULL in the transaction that creates a partition";

/// Whether leaves that are still to come will lack an identity.
pub fn later_leaves(table: &TableInfo) -> bool {
    table.kind == RelationKind::Partitioned && table.key_columns.is_empty()
}

/// Whether the file asks for a table to be published although the application cannot change its rows then.
pub fn asks(config: &Config, table: &str) -> bool {
    config
        .table(table)
        .is_some_and(|own| own.publish_without_identity)
}

/// The tables that `source.tables` chooses, when the settings of all of them can be carried out.
pub async fn choose(config: &Config, catalog: &Catalog) -> Result<Choice, Error> {
    let tables = select(config, catalog).await?;
    options::hold(config, catalog, &tables).await?;
    let publication = catalog.publication(&config.source.publication).await?;
    let choice = admit(config, catalog, publication.as_ref(), tables).await?;
    shared_topic::hold(config, catalog, &choice.tables).await?;
    Ok(choice)
}

/// Tells apart what can be followed and what is left out.
pub async fn admit(
    config: &Config,
    catalog: &Catalog,
    publication: Option<&PublicationInfo>,
    tables: Vec<TableInfo>,
) -> Result<Choice, Error> {
    let mut choice = Choice {
        tables: Vec::with_capacity(tables.len()),
        left_out: Vec::new(),
        broken: Vec::new(),
    };
    let mut broken = refused(config, catalog, publication, &tables).await?;
    let published = |it: &TableInfo| publication.is_some_and(|of| lists(of, it));
    let mut others = shared_topic::strangers(config, &tables, published);
    for table in tables {
        let published = published(&table);
        if let Some(it) = broken.remove(&table.oid) {
            let stays =
                published && !may_be_taken_out(config, catalog, publication, &table).await?;
            if !stays && !asks(config, &table.qualified_name()) {
                choice.left_out.push(LeftOut {
                    what: it.what(),
                    remedy: it.remedy(),
                    sql: it.sql,
                    published,
                    table,
                });
                continue;
            }
            choice.broken.push((table.clone(), it));
        }
        if let Some(what) = others.remove(&table.oid) {
            choice.left_out.push(LeftOut {
                what,
                remedy: "set `topic` in the [[table]] of one of them".to_owned(),
                sql: None,
                published: published
                    && may_be_taken_out(config, catalog, publication, &table).await?,
                table,
            });
            continue;
        }
        choice.tables.push(table);
    }
    Ok(choice)
}

async fn may_be_taken_out(
    config: &Config,
    catalog: &Catalog,
    publication: Option<&PublicationInfo>,
    table: &TableInfo,
) -> Result<bool, Error> {
    let ours = publication.is_some_and(|it| it.owned && !it.all_tables) && config.source.create;
    let name = &config.source.publication;
    Ok(ours && catalog.lists_by_name(name, table.oid).await?)
}

/// There is no such table, or it is not in the publication.
const GONE: [&str; 2] = ["42P01", "42704"];

/// Takes what is left out from our publication, so that the application's writers go on.
pub(crate) async fn take_out(
    config: &Config,
    catalog: &Catalog,
    left_out: &[LeftOut],
) -> Result<(), Error> {
    let publication = &config.source.publication;
    for it in left_out.iter().filter(|it| it.published) {
        let table = it.table.qualified_name();
        let taken = catalog
            .drop_publication_table(publication, &it.table.table_name())
            .await;
        if let Err(error) = taken {
            if error.sqlstate().is_some_and(|it| GONE.contains(&it)) {
                // It was dropped, renamed or taken out a moment ago; what has its name by now is looked at within a second.
                tracing::info!(table, %error, "a table need not be taken out of the publication any more");
                continue;
            }
            return Err(Error::from(error).context(format!(
                "table {table}: {}; ALTER PUBLICATION {} DROP TABLE it",
                it.what,
                quote_ident(publication)
            )));
        }
        tracing::warn!(target: "audit", table, publication, reason = it.what, "table taken out of the publication");
    }
    Ok(())
}
