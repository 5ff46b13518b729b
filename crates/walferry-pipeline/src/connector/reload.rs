//! What people ask of a connector while it runs: another configuration, or that topics are made to agree with their tables again.
//!
//! Owns the examination, and the order of the steps. What is to be read stands in the checkpoint before tables are added to the
//! publication, as at a start, so that no crash forgets their history. The stream goes on all the while. Never: decides which
//! keys may change; whoever reads the file does.
//! Start reading at `reload`.

use std::sync::Arc;
use walferry_event::Code;

use walferry_postgres::{Catalog, TableInfo};

use crate::{
    config::Config,
    connector::{
        choice,
        published::{act, plan::Plan},
        resync,
    },
    error::Error,
    snapshot::mailbox::{Event, Handle, Refused, Reload},
    status::{Status, known::Known},
    tables::publication,
};

/// Puts a configuration in force that differs from the one that runs in `source.tables`, in limits of `snapshot`, and in the
/// settings of tables that were not followed. The tables that are read because of it.
///
/// # Errors
/// The connector does not stream now, or the configuration cannot be put in force; then the old one stays.
pub async fn reload(handle: &Handle, config: Config) -> Result<Vec<String>, Refused> {
    let control = handle.events()?;
    let status: &Status = handle;
    let config = Arc::new(config);
    let connect = &config.source.connect;
    let catalog = Catalog::connect(connect)
        .await
        .map_err(|error| invalid(error.into()))?;
    let mut known = handle.published.lock().await;
    known.forget_mended(&status.findings);
    let examined = examined(status, &config, &catalog, &known).await;
    let plan = examined.map_err(invalid)?;
    let (follow, answer) = plan.follow();
    let told = Reload {
        config: config.clone(),
        follow,
    };
    let gone = || Refused::NotStreaming;
    control
        .send(Event::Reload(Box::new(told)))
        .map_err(|_| gone())?;
    // At the end of the transaction that the stream is in; the connector may end before.
    let serial = answer.await.map_err(|_| gone())?;
    plan.tell(status, &mut known);
    let read = plan.read();
    act::finish(&config, &catalog, handle, &mut known, plan, serial).await?;
    Ok(read)
}

/// Makes the topics of these tables agree with them again while the connector runs.
///
/// # Errors
/// The connector does not stream now, or a table cannot be read again.
pub async fn resync(handle: &Handle, tables: &[String]) -> Result<(), Refused> {
    let status: &Status = handle;
    let config = handle.streaming()?.config.now();
    let catalog = Catalog::connect(&config.source.connect)
        .await
        .map_err(|error| invalid(error.into()))?;
    let mut known = handle.published.lock().await;
    known.forget_mended(&status.findings);
    let jobs = resync::jobs_of(&config, &catalog, tables);
    let plan = Plan {
        jobs: jobs.await.map_err(invalid)?,
        ..Plan::default()
    };
    tracing::info!(target: "audit", tables = tables.join(", "), "tables are read again, as asked for");
    act::carry_out(&config, &catalog, handle, &mut known, plan).await
}

/// What becomes of tables, if all checks of the configuration pass.
async fn examined(
    status: &Status,
    config: &Config,
    catalog: &Catalog,
    known: &Known,
) -> Result<Plan, Error> {
    let choice = choice::choose(config, catalog).await?;
    choice.tell(config, &status.findings);
    choice::take_out(config, catalog, &choice.left_out).await?;
    let tables = choice.tables;
    let plan = act::plan_of_config(config, catalog, known).await?;
    // A table that this configuration chooses has to be one that can be followed.
    let before = |it: &str| {
        let chosen = tables.iter().any(|table| table.qualified_name() == it);
        !chosen || known.left_out.contains(it) || known.record.tables.contains_key(it)
    };
    let left_out = plan.left_out.iter().map(|(name, reason)| (name, reason));
    let lacking = plan
        .told
        .iter()
        .filter_map(|it| Some((&it.table, it.lack.as_ref()?.reason.as_str())));
    let fresh = left_out
        .map(|(name, reason)| (name, reason.as_str()))
        .chain(lacking)
        .find(|(name, _)| !before(name));
    if let Some((name, reason)) = fresh {
        return Err(Error::invalid(
            Code::TableOption,
            format!("table {name}: {reason}"),
        ));
    }
    let add: Vec<u32> = plan.add.iter().map(|it| it.oid).collect();
    let listed =
        |it: &&TableInfo| !add.contains(&it.oid) && !known.left_out.contains(&it.qualified_name());
    let listed: Vec<TableInfo> = tables.iter().filter(listed).cloned().collect();
    publication::ensure_publication(config, catalog, &listed).await?;
    Ok(plan)
}

fn invalid(error: Error) -> Refused {
    Refused::Invalid(error.to_string())
}
