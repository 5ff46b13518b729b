//! A configuration that takes the place of another while the connector runs: tables are added, readers get other limits.
//!
//! Owns the order of the steps. Tables that were added stand in the checkpoint before they are in the publication, as at a start, so
//! that no crash forgets their history; they are read when they are in it. The stream goes on all the while. Never: decides which
//! keys may change; whoever reads the file does.
//! Start reading at [`reload`].

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time};
use walferry_postgres::{Catalog, TableInfo};

use crate::{
    config::Config,
    connector::can_be_followed_again,
    error::Error,
    snapshot::{Event, Refused},
    source,
    status::{State, Status},
};

/// Between two looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(20);

/// What the encode thread is given.
pub(crate) struct Reload {
    pub(crate) config: Arc<Config>,
    /// Tables that are to be read, once they are in the publication.
    pub(crate) added: Vec<TableInfo>,
    /// Tables that are in it, and were not followed.
    pub(crate) again: Vec<TableInfo>,
    pub(crate) reply: oneshot::Sender<()>,
}

/// Puts a configuration in force that differs from the `running` one in `source.tables`, in limits of `snapshot`, and in the
/// settings of tables that were not followed. The tables that are read because of it.
///
/// # Errors
/// The connector does not stream now, or the configuration cannot be put in force; then the old one stays.
pub async fn reload(
    status: &Status,
    running: &Config,
    config: Config,
) -> Result<Vec<String>, Refused> {
    let control = status.snapshots().ok_or(Refused::NotStreaming)?;
    let config = Arc::new(config);
    let connect = &config.source.connect;
    let catalog = Catalog::connect(connect)
        .await
        .map_err(|error| invalid(error.into()))?;
    let examined = examined(status, running, &config, &catalog).await;
    let (added, again) = examined.map_err(invalid)?;
    let read = again.iter().map(TableInfo::qualified_name);
    let names: Vec<String> = added.iter().map(TableInfo::qualified_name).collect();
    let (reply, answer) = oneshot::channel();
    let told = Reload {
        config: config.clone(),
        added: added.clone(),
        again: again.clone(),
        reply,
    };
    let gone = || Refused::NotStreaming;
    control
        .send(Event::Reload(Box::new(told)))
        .map_err(|_| gone())?;
    // At the end of the transaction that the stream is in; the connector may end before.
    answer.await.map_err(|_| gone())?;
    status.set_config(config.clone());
    while !names.iter().all(|name| recorded(status, name)) {
        if control.is_closed() {
            return Err(gone());
        }
        time::sleep(LOOK).await;
    }
    let tables: Vec<&TableInfo> = added.iter().collect();
    let published = source::add_tables(&config, &catalog, &tables).await;
    let outcome = Event::Published(names.clone(), published.is_ok());
    control.send(outcome).map_err(|_| gone())?;
    published
        .map(|()| names.into_iter().chain(read).collect())
        .map_err(invalid)
}

/// The tables that have to be added to the publication, and those that are in it and were not followed, when nothing speaks
/// against the configuration.
async fn examined(
    status: &Status,
    running: &Config,
    config: &Config,
    catalog: &Catalog,
) -> Result<(Vec<TableInfo>, Vec<TableInfo>), Error> {
    let choice = source::choose(config, catalog).await?;
    choice.tell(config, &status.findings);
    source::take_out(config, catalog, &choice.left_out).await?;
    let tables = choice.tables;
    let added = source::added(config, catalog, &tables).await?;
    let added: Vec<TableInfo> = added.into_iter().cloned().collect();
    let is_added = |it: &TableInfo| added.iter().any(|other| other.oid == it.oid);
    let others: Vec<TableInfo> = tables.iter().filter(|it| !is_added(it)).cloned().collect();
    source::ensure_publication(config, catalog, &others).await?;
    let again = source::again(config, catalog, &tables, &running.source.tables).await?;
    can_be_followed_again(config, catalog, &again).await?;
    let again: Vec<TableInfo> = again.into_iter().cloned().collect();
    match added.iter().chain(&again).find(|it| !it.can_select) {
        None => Ok((added, again)),
        Some(blind) => Err(Error::invalid(format!(
            "table {name}: its rows may not be read; GRANT SELECT ON {name} TO the role of source.url",
            name = blind.qualified_name()
        ))),
    }
}

/// Whether the committed checkpoint says that the table is to be read.
fn recorded(status: &Status, name: &str) -> bool {
    let report = status.report();
    let mut tables = report.snapshot.iter().map(|it| &it.table);
    tables.any(|it| it.name == name && it.id == "added" && it.state == crate::TableState::Waiting)
        || report.state == State::Halted
}

fn invalid(error: Error) -> Refused {
    Refused::Invalid(error.to_string())
}
