//! A migration is tried: run in a transaction, looked at, and rolled back.
//!
//! Owns the transaction. Never commits: a statement that would end the transaction is refused, each statement is sent by
//! the extended protocol, which takes only one, and a connection that is lost rolls back by itself.
//! Invariant: a lock that is not to be had within [`LOCK_MS`] ends the trial, so that it holds up nobody for long.
//! Start reading at [`Catalog::connect_for_trial`].

use std::time::Duration;

use tokio::time;

use super::{Catalog, open_with, value};
use crate::{ConnectConfig, Error, script::Statement};

/// How long a statement of a trial waits for a lock.
const LOCK_MS: u32 = 3_000;
/// How long a statement of a trial may run.
const STATEMENT_MS: u32 = 30_000;
/// How long an answer may take: longer, so that the server's clear error comes first.
const ANSWER: Duration = Duration::from_millis(STATEMENT_MS as u64 + 5_000);

/// A migration that has been run and not committed.
pub struct Trial<'a> {
    catalog: &'a Catalog,
}

impl Catalog {
    /// Connects with the search path that a session of this role has, which the statements of a migration rely on.
    ///
    /// # Errors
    /// As [`Catalog::connect`].
    pub async fn connect_for_trial(config: &ConnectConfig) -> Result<(Catalog, String), Error> {
        let catalog = Catalog::of(open_with(config, Some("search_path")).await?);
        let search_path = catalog.setting("search_path").await?;
        let ours = "SET search_path = pg_catalog";
        catalog.command("setting the search path", ours).await?;
        Ok((catalog, search_path))
    }

    /// Runs the statements in a transaction, which stays open for questions about the outcome.
    ///
    /// # Errors
    /// A statement is refused or fails; its line is named, and nothing is left of the others.
    pub async fn try_out(
        &self,
        statements: &[Statement],
        search_path: &str,
    ) -> Result<Trial<'_>, Error> {
        for statement in statements {
            if let Some(reason) = statement.refusal() {
                let line = statement.line;
                return Err(Error::settings(format!(
                    "line {line}: the statement {reason}"
                )));
            }
        }
        let doing = "beginning a transaction for the trial";
        let begin = format!(
            "BEGIN; SET LOCAL lock_timeout = {LOCK_MS}; SET LOCAL statement_timeout = {STATEMENT_MS}"
        );
        self.command(doing, &begin).await?;
        let trial = Trial { catalog: self };
        let outcome = trial.run(statements, search_path).await;
        match outcome {
            Ok(()) => Ok(trial),
            Err(error) => {
                // The first error tells what happened; a connection that is lost rolls back too.
                let _ = trial.roll_back().await;
                Err(error)
            }
        }
    }
}

impl Trial<'_> {
    async fn run(&self, statements: &[Statement], search_path: &str) -> Result<(), Error> {
        let catalog = self.catalog;
        let path = "SELECT pg_catalog.set_config('search_path', $1, true)";
        let doing = "setting the search path";
        let row = catalog.one(doing, path, &[&search_path]).await?;
        let _: String = value(doing, &row, 0)?;
        for statement in statements {
            let doing = format!("line {}", statement.line);
            let running = catalog.client.execute(statement.text.as_str(), &[]);
            match time::timeout(ANSWER, running).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(Error::client(&doing, error)),
                Err(_) => return Err(Error::late(&doing, ANSWER.as_millis() as u64)),
            }
        }
        let ours = "SET LOCAL search_path = pg_catalog";
        catalog.command(doing, ours).await
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// The connection is lost, and then the server takes it back.
    pub async fn roll_back(self) -> Result<(), Error> {
        self.catalog
            .command("rolling the trial back", "ROLLBACK")
            .await
    }
}
