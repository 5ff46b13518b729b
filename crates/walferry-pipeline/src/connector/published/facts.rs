//! The facts that a remedy rests on: asked of catalog and Kafka for one difference.
//!
//! Owns the questions, and the words for what stands in the way. Never: decides.
//! Start reading at `case`.

use walferry_postgres::{Catalog, TableInfo, quote_ident};

use crate::{
    blocking::blocking,
    config::{Config, Envelope, Operation},
    connector::published::{
        compare::{Change, Difference},
        look::{Look, Seen},
        remedy::Case,
    },
    error::Error,
    position::published_record::Record,
    tables::{compile, options, publication},
};

/// What the publication published once and does not publish now.
pub(super) fn narrowed(before: &Record, now: &Look) -> Option<String> {
    let (before, now) = (before.publication.as_ref()?, now.publication.as_ref()?);
    let words = [
        ('i', "inserts"),
        ('u', "updates"),
        ('d', "deletes"),
        ('t', "truncates"),
    ];
    let missing = words
        .iter()
        .filter(|(it, _)| before.operations.contains(*it) && !now.operations.contains(*it));
    let missing: Vec<&str> = missing.map(|(_, word)| *word).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// Of the tables whose remedy depends on it, the topics that do not exist.
pub(super) async fn topics_missing(
    config: &Config,
    differences: &[Difference],
    now: &Look,
) -> Result<Vec<String>, Error> {
    let fresh = differences.iter().filter(|it| it.change == Change::New);
    let fresh = fresh.filter_map(|it| now.tables.get(&it.table));
    let topic = |it: &Seen| config.topic(&it.info.schema, &it.info.name);
    let topics: Vec<String> = fresh.map(topic).collect();
    if topics.is_empty() {
        return Ok(topics);
    }
    let kafka = config.kafka.clone();
    let asked = blocking("looking for topics", move || {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let missing = walferry_kafka::topics_missing(&kafka, &names)?;
        Ok(missing.into_iter().map(|it| it.to_string()).collect())
    });
    asked.await
}

pub(super) async fn case(
    config: &Config,
    catalog: &Catalog,
    before: &Record,
    now: &Look,
    difference: &Difference,
    seen: &Seen,
    topics_missing: &[String],
) -> Result<Case, Error> {
    let topic = config.topic(&seen.info.schema, &seen.info.name);
    let listed = seen.member.is_some();
    let mut bar = match listed {
        true => None,
        false => bar(config, catalog, now, seen).await?,
    };
    let keyed = match compile::has_key(config, catalog, &seen.info).await {
        Ok(keyed) => keyed,
        Err(error) if error.is_away() || error.is_diverged() => return Err(error),
        Err(error) => {
            bar.get_or_insert(error.to_string());
            false
        }
    };
    let limits = limits(config, catalog, now, difference, seen).await?;
    let filled = match &difference.change {
        Change::Attached(leaves) => !catalog.filled(leaves).await?.is_empty(),
        _ => false,
    };
    Ok(Case {
        change: difference.change.clone(),
        listed,
        bar,
        unreadable: unreadable(config, &seen.info),
        keyed,
        truncates: !config.skipped_operations.contains(&Operation::Truncate)
            && config.format.envelope != Envelope::Flat,
        has_topic: !topics_missing.contains(&topic),
        since_creation: seen.member.is_some_and(|it| it.by_itself && it.untouched),
        narrowed: match difference.change {
            Change::Altered => narrowed(before, now),
            _ => None,
        },
        other_rows: limits.as_ref().and_then(|it| it.not_ours.clone()),
        limits_change: limits.is_some_and(|it| it.not_ours.is_none()),
        filled,
        new_tables: config.source.new_tables,
    })
}

/// That a publication shows other columns or rows of a table than the configuration says.
struct Otherwise {
    /// Why that is not put back by us, and what does.
    not_ours: Option<String>,
}

/// Whether somebody else has changed what the publication shows of a table whose options say what it is to show.
async fn limits(
    config: &Config,
    catalog: &Catalog,
    now: &Look,
    difference: &Difference,
    seen: &Seen,
) -> Result<Option<Otherwise>, Error> {
    let changed = matches!(
        difference.change,
        Change::New | Change::Joined | Change::PutBack | Change::Altered
    );
    let publication = now.info.as_ref().filter(|_| seen.member.is_some());
    let Some(publication) = publication.filter(|_| changed) else {
        return Ok(None);
    };
    // An option that cannot be carried out is told by whoever looks at options.
    let wanted = match options::wanted(config, catalog, &seen.info).await {
        Ok(wanted) if wanted.managed => wanted,
        Err(error) if error.is_away() || error.is_diverged() => return Err(error),
        _ => return Ok(None),
    };
    let limits = publication::Limits::of(config, catalog, publication, &seen.info, wanted).await?;
    let Some(why) = limits.differs.clone() else {
        return Ok(None);
    };
    let ours = limits.can_change && config.source.create && publication.owned && seen.info.owned;
    let sql = limits.sql(&config.source.publication);
    Ok(match (ours, limits.breaks) {
        (true, _) => Some(Otherwise { not_ours: None }),
        (false, true) => Some(Otherwise {
            not_ours: Some(format!("{why}: {sql} (it is read again then)")),
        }),
        // Columns are left out here as well.
        (false, false) => None,
    })
}

/// Why the rows of a table cannot be read, and what mends that.
fn unreadable(config: &Config, table: &TableInfo) -> Option<String> {
    let role = quote_ident(&config.source.connect.user);
    let name = table.qualified_name();
    let again = format!("`walferry resync {name} -c FILE` reads them then");
    if !table.can_select {
        let grant = table.grant_select(&config.source.connect.user);
        return Some(format!("its rows may not be read: {grant}; {again}"));
    }
    table.guarded.then(|| {
        format!("row level security hides rows of it from role {role}: ALTER ROLE {role} BYPASSRLS; {again}")
    })
}

/// Why a table cannot be added to the publication, and what mends that.
async fn bar(
    config: &Config,
    catalog: &Catalog,
    now: &Look,
    seen: &Seen,
) -> Result<Option<String>, Error> {
    let name = &config.source.publication;
    let Some(publication) = &now.info else {
        return Ok(Some(format!(
            "publication {name:?} does not exist any more: changes are lost, and `walferry resync -c FILE` creates it anew"
        )));
    };
    let publish = match options::wanted(config, catalog, &seen.info).await {
        Ok(wanted) => wanted.publish,
        Err(error) if error.is_away() || error.is_diverged() => return Err(error),
        Err(error) => return Ok(Some(error.to_string())),
    };
    let Some(it) = publication::unpublished(&config.source, publication, &seen.info, &publish)
    else {
        return Ok(None);
    };
    let why = match () {
        () if publication::may_be_added(&config.source, publication, &seen.info) => {
            match (publication.owned, seen.info.owned) {
                (true, true) => return Ok(None),
                (true, false) => "; only the owner of the table may add it",
                (false, _) => "; only the owner of the publication may add it",
            }
        }
        () if !config.source.create => "; source.create is false",
        () => "",
    };
    // Its rows are read as soon as it is there.
    let grant = match seen.info.can_select {
        true => String::new(),
        false => format!(" {};", seen.info.grant_select(&config.source.connect.user)),
    };
    Ok(Some(format!(
        "publication {name:?} {}{why}: {}{grant}",
        it.what, it.sql
    )))
}
