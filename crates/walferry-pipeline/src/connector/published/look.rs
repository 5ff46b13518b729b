//! A look at the catalog: the tables that are chosen, and what is published of each now.
//!
//! Owns the questions and their order. Never: compares.
//! Invariant: nothing that is compared was changed between the first question and the last.

use std::collections::{BTreeMap, HashMap};

use walferry_postgres::{Catalog, Leaf, Member, PublicationInfo, RelationKind, TableInfo};

use crate::{
    config::{Config, selection::Selection},
    connector::choice,
    error::Error,
    position::published_record::{Entry, Publication, Record},
    tables::followed,
};

/// What there is now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) version: String,
    pub(crate) publication: Option<Publication>,
    pub(crate) info: Option<PublicationInfo>,
    /// The tables that are chosen, by `schema.table`.
    pub(crate) tables: BTreeMap<String, Seen>,
    /// Those of them that are not to be followed, with the reason and the remedy.
    pub(crate) refused: BTreeMap<String, String>,
    /// The same, as they are taken out of our publication.
    pub(crate) left_out: Vec<choice::LeftOut>,
    /// Tables that are followed although the application cannot change their rows, with the reason and the remedy.
    pub(crate) broken: BTreeMap<String, String>,
}

/// One table.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) info: TableInfo,
    /// What brings it in the publication.
    pub(crate) member: Option<Member>,
    /// The last of its columns that the publication leaves out, where we make the list.
    pub(crate) unlisted: Option<i16>,
    pub(crate) leaves: Vec<Leaf>,
}

/// Looks that are taken while everything changes, before one is taken as it is: the next one is soon.
const TRIES_MAX: u32 = 3;

impl Seen {
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            oid: self.info.oid,
            member: self.member.map(|it| it.entry),
            moved: self.member.and_then(|it| it.moved),
            unlisted: self.unlisted,
            leaves: self.leaves.iter().map(|it| (it.oid, file(it))).collect(),
            key: None,
            strange: false,
            lacks: Vec::new(),
        }
    }
}

/// The file of a partition; none while nothing that changes in it is in the WAL.
pub(super) fn file(leaf: &Leaf) -> u32 {
    match leaf.unlogged {
        true => 0,
        false => leaf.file,
    }
}

impl Look {
    /// What is refused is left out, but for tables that are followed and cannot be taken out of the publication: a start leaves
    /// those out.
    pub(crate) fn without_refused(&mut self, followed: Option<&Record>) {
        let kept: Vec<String> = match followed {
            None => Vec::new(),
            Some(record) => {
                let left_out = self.left_out.iter().filter(|it| !it.is_published());
                let names = left_out.map(|it| it.table.qualified_name());
                names.filter(|it| record.tables.contains_key(it)).collect()
            }
        };
        for (table, reason) in self.refused.iter().filter(|(name, _)| kept.contains(name)) {
            tracing::warn!(target: "audit", table, "{reason}; a start leaves the table out");
        }
        self.refused.retain(|name, _| !kept.contains(name));
        self.tables
            .retain(|name, _| !self.refused.contains_key(name));
    }

    /// What is published now, of tables that `before` selects: all of it, when it selects nothing.
    pub(crate) fn record(&self, before: &[String]) -> Record {
        let selection = Selection::new(before);
        let listed = self.tables.iter().filter(|(name, seen)| {
            let followed = seen.member.is_some() && !self.refused.contains_key(*name);
            followed && (before.is_empty() || selection.includes(name))
        });
        Record {
            publication: self.publication.clone(),
            tables: listed
                .map(|(name, seen)| (name.clone(), seen.entry()))
                .collect(),
        }
    }
}

/// Looks at what is published of the tables that are chosen.
pub(crate) async fn look(config: &Config, catalog: &Catalog) -> Result<Look, Error> {
    let mut tries = 1;
    let publication = &config.source.publication;
    let mut version = catalog.tables_version(publication).await?;
    loop {
        let mut seen = look_once(config, catalog).await?;
        let after = catalog.tables_version(publication).await?;
        if after == version || tries == TRIES_MAX {
            seen.version = version;
            return Ok(seen);
        }
        (version, tries) = (after, tries + 1);
    }
}

async fn look_once(config: &Config, catalog: &Catalog) -> Result<Look, Error> {
    let chosen = followed::chosen(config, catalog).await?;
    let published = catalog.publishes(&config.source.publication).await?;
    let info = catalog.publication(&config.source.publication).await?;
    let choice = choice::admit(config, catalog, info.as_ref(), chosen.clone()).await?;
    let refused = choice.left_out.iter();
    let refused = refused.map(|it| {
        let name = it.table.qualified_name();
        (name, format!("{}; {}", it.what, it.remedy))
    });
    let asked = |name: &String| choice::asks(config, name);
    let broken = choice.broken.iter().map(|(table, refused)| {
        let reason = format!(
            "{}; the publication is not ours to change: {}",
            refused.what(),
            refused.remedy()
        );
        (table.qualified_name(), reason)
    });
    let broken = broken.filter(|(name, _)| !asked(name)).collect();
    let (publication, members) = match published {
        Some((version, members)) => (Some(Publication::from(&version)), members),
        None => (None, Vec::new()),
    };
    let members: HashMap<u32, Member> = members.into_iter().map(|it| (it.table, it)).collect();
    let roots: Vec<u32> = chosen
        .iter()
        .filter(|it| it.kind == RelationKind::Partitioned)
        .map(|it| it.oid)
        .collect();
    let mut leaves: HashMap<u32, Vec<Leaf>> = HashMap::new();
    if !roots.is_empty() {
        for leaf in catalog.leaves(&roots).await? {
            leaves.entry(leaf.root).or_default().push(leaf);
        }
    }
    let ours = config.source.create && info.as_ref().is_some_and(|it| it.owned);
    let is_listed = |table: &TableInfo| {
        let own = config.table(&table.qualified_name());
        ours && table.owned && own.is_some_and(|own| !own.exclude_columns.is_empty())
    };
    let tables = chosen.into_iter().map(|info| {
        let member = members.get(&info.oid).copied();
        let seen = Seen {
            unlisted: member.filter(|_| is_listed(&info)).map(|it| it.unlisted),
            member,
            leaves: leaves.remove(&info.oid).unwrap_or_default(),
            info,
        };
        (seen.info.qualified_name(), seen)
    });
    Ok(Look {
        version: String::new(),
        publication,
        info,
        tables: tables.collect(),
        refused: refused.collect(),
        left_out: choice.left_out,
        broken,
    })
}
