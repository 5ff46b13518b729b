//! The application's updates and deletes: whether PostgreSQL still lets them pass once a table is published.
//!
//! Owns that question for tables as they are or would be published. Never: changes a table or a publication.
//! Invariant: it is asked of each relation that PostgreSQL asks at a write: of a partitioned table every leaf.
//! Start reading at `refused`.

use std::collections::BTreeMap;

use walferry_postgres::{
    Catalog, PublicationInfo, PublishedTable, RelationIdentity, Shows, TableInfo,
};

use crate::{
    config::Config,
    error::Error,
    tables::{compile, options, publication},
};

/// Why updates and deletes of a table cannot be followed: PostgreSQL refuses them to whoever makes them, or the stream does
/// not say which row they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whether they pass and cannot be told.
    passes: bool,
    /// What is wrong with it, or with the first of its leaves.
    pub(crate) why: String,
    /// The commands that mend it, in order; none when no identity would do.
    pub sql: Option<String>,
}

impl Refused {
    /// What happens to the application.
    pub fn what(&self) -> String {
        if self.passes {
            return format!(
                "the stream would not say which row an UPDATE or DELETE is of, because {}",
                self.why
            );
        }
        format!(
            "PostgreSQL refuses the application's UPDATE and DELETE on it while it is published, because {}",
            self.why
        )
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        let mend = match &self.sql {
            Some(sql) => format!("give it a replica identity: {sql}"),
            None => "give it a primary key, or another unique index over ordinary NOT NULL columns that are published, and \
                     ALTER TABLE … REPLICA IDENTITY USING INDEX it"
                .to_owned(),
        };
        format!(
            "{mend} Or, when its rows are only inserted, set publish_without_identity = true in its [[table]]"
        )
    }
}

/// The tables whose rows the application cannot update or delete when they are published, by oid.
pub(crate) async fn refused(
    config: &Config,
    catalog: &Catalog,
    publication: Option<&PublicationInfo>,
    tables: &[TableInfo],
) -> Result<BTreeMap<u32, Refused>, Error> {
    let mut found = BTreeMap::new();
    if publication.is_some_and(|it| !it.updates && !it.deletes) {
        return Ok(found);
    }
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let mut relations = BTreeMap::<u32, Vec<RelationIdentity>>::new();
    for relation in catalog.identities(&oids).await? {
        relations.entry(relation.root).or_default().push(relation);
    }
    let stored = match publication {
        Some(_) => catalog.shows_stored(&config.source.publication).await?,
        None => false,
    };
    for table in tables {
        let Some(relations) = relations.get(&table.oid) else {
            continue; // A partitioned table without leaves: nobody can write to it.
        };
        let shown = shown(config, catalog, publication, table).await?;
        let shows = Shows {
            columns: shown.columns.as_deref(),
            stored,
            server_version: catalog.server_version(),
        };
        let refused = match of_table(catalog, table, relations, &shown, shows).await? {
            None => hidden(config, catalog, table, relations, shows).await?,
            refused => refused,
        };
        found.extend(refused.map(|it| (table.oid, it)));
    }
    Ok(found)
}

/// What the publication shows of a table, or will show once it has been made to say what the options want.
async fn shown(
    config: &Config,
    catalog: &Catalog,
    publication: Option<&PublicationInfo>,
    table: &TableInfo,
) -> Result<PublishedTable, Error> {
    let listed = publication.filter(|it| publication::lists(it, table));
    match (options::wanted(config, catalog, table).await, listed) {
        (Err(error), _) if error.is_away() || error.is_diverged() => return Err(error),
        // A column that the options name has gone since the start, which is told where it matters.
        (Err(_), None) => return Ok(PublishedTable::default()),
        (Err(_), Some(_)) => {}
        (Ok(wanted), None) => return Ok(wanted.publish.what),
        (Ok(wanted), Some(publication)) => {
            if wanted.managed && config.source.create && !publication.all_tables {
                return Ok(wanted.publish.what);
            }
        }
    }
    let published = catalog
        .published(&config.source.publication, table.oid)
        .await?;
    Ok(published.unwrap_or_default())
}

async fn of_table(
    catalog: &Catalog,
    table: &TableInfo,
    relations: &[RelationIdentity],
    shown: &PublishedTable,
    shows: Shows<'_>,
) -> Result<Option<Refused>, Error> {
    let (mut first, mut others, mut commands) = (None, 0, Some(Vec::new()));
    for relation in relations {
        let why = match (relation.refusal(shows), &shown.row_filter) {
            (Some(why), _) => Some(why),
            (None, Some(filter)) => outside(catalog, table, relation, filter).await?,
            (None, None) => None,
        };
        let Some(why) = why else {
            continue;
        };
        match &first {
            None if relation.oid == table.oid => first = Some(why),
            None => {
                first = Some(format!(
                    "its partition {}.{} is not as it has to be: {why}",
                    relation.table.schema, relation.table.name
                ));
            }
            Some(_) => others += 1,
        }
        let command = relation.mending(shows);
        commands = commands.zip(command).map(|(mut commands, command)| {
            commands.push(command);
            commands
        });
    }
    let why = first.map(|why| match others {
        0 => why,
        more => format!("{why} (and so are {more} more of its partitions)"),
    });
    Ok(why.map(|why| Refused {
        passes: false,
        why,
        sql: commands.map(|it| it.join(" ")),
    }))
}

/// Whether a row filter uses columns that the old rows of a relation do not carry.
async fn outside(
    catalog: &Catalog,
    table: &TableInfo,
    relation: &RelationIdentity,
    filter: &str,
) -> Result<Option<String>, Error> {
    if relation.is_full() {
        return Ok(None);
    }
    let columns: Vec<&str> = relation
        .index
        .iter()
        .flatten()
        .map(|it| it.name.as_str())
        .collect();
    let name = table.table_name();
    match catalog.check_filter(&name, Some(&columns), filter).await {
        Ok(()) => Ok(None),
        Err(error) if error.sqlstate().is_none() => Err(error.into()),
        Err(_) => Ok(Some(format!(
            "the row filter uses columns besides its replica identity ({})",
            columns.join(", ")
        ))),
    }
}

/// Whether the stream leaves out a part of an identity, and there is no other key (before PostgreSQL 18).
async fn hidden(
    config: &Config,
    catalog: &Catalog,
    table: &TableInfo,
    relations: &[RelationIdentity],
    shows: Shows<'_>,
) -> Result<Option<Refused>, Error> {
    let unseen = relations
        .iter()
        .find_map(|it| Some((it, it.unseen(shows)?)));
    let Some((relation, column)) = unseen else {
        return Ok(None);
    };
    if !compile::described(config, catalog, table)
        .await?
        .key
        .is_empty()
    {
        return Ok(None);
    }
    Ok(Some(Refused {
        passes: true,
        why: format!(
            "its replica identity holds the generated column {column:?}, which logical decoding shows from PostgreSQL 18 on"
        ),
        sql: relation.mending(shows),
    }))
}
