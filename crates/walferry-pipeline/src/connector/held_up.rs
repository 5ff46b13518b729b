//! Work of the server that others hold up: the creation of a slot, changes of a publication.
//!
//! Owns what the status says meanwhile: which process, transaction or prepared transaction it waits for, without an end. Invariant:
//! asked to stop, the server's process is ended too, because it would go on waiting, and hold the slot's name, without us.
//! Start reading at `Start::held_up`.

use std::time::Duration;

use tokio::time;
use walferry_postgres::Catalog;

use crate::{connector::Start, error::Error, kept::taken_or_opened, retry, status::state::Peer};

/// How often it is asked what is waited for, and how long the answer may take.
const LOOK: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(2);
const STAGE: &str = "start-held-up";

impl Start {
    /// Waits for what process `pid` of the server does for us.
    pub(super) async fn held_up<T, E: Into<Error>>(
        &self,
        pid: i32,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        let mut stop = self.stop.clone();
        let mut catalog = None;
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.status.waits_no_more(STAGE);
                    return done.map_err(Into::into);
                }
                () = retry::asked(&mut stop) => {
                    self.end(pid).await;
                    return Err(Error::stopped());
                }
                () = time::sleep(LOOK) => {}
            }
            let text = match time::timeout(ANSWER, self.ask(&mut catalog, pid)).await {
                Ok(Ok(Some(holders))) => format!("{what} waits for {holders}"),
                Ok(Ok(None)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("{what}: no answer for {} s", ANSWER.as_secs()),
            };
            self.status.waits(STAGE, Peer::PostgreSql, "timeout", text);
        }
    }

    async fn ask(
        &self,
        catalog: &mut Option<Catalog>,
        pid: i32,
    ) -> Result<Option<String>, walferry_postgres::Error> {
        let connect = Catalog::connect(&self.config.source.connect);
        let open = taken_or_opened(catalog, connect).await?;
        let answer = open.waits_for(pid).await?;
        *catalog = Some(open);
        Ok(answer)
    }

    async fn end(&self, pid: i32) {
        let ended = async {
            let catalog = Catalog::connect(&self.config.source.connect).await?;
            catalog.terminate_backend(pid).await
        };
        match time::timeout(ANSWER, ended).await {
            Ok(Ok(_)) => {
                tracing::info!(
                    pid,
                    "asked to stop: the process that waited for others was ended"
                );
            }
            Ok(Err(error)) => tracing::warn!(pid, %error, "a process of the server waits on"),
            Err(_) => tracing::warn!(pid, "a process of the server waits on: no answer"),
        }
    }
}
