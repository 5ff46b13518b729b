//! Questions and commands of a session that reads rows, as text.
//!
//! Owns: [`Questions`]. Never: knows what is asked.

use tokio_postgres::{Client, CopyOutStream};

use crate::{Error, session::unexpected};

/// The session.
pub(super) struct Questions(pub(super) Client);

impl Questions {
    pub(super) async fn command(&self, doing: &str, command: &str) -> Result<(), Error> {
        self.0
            .batch_execute(command)
            .await
            .map_err(|error| Error::client(doing, error))
    }

    pub(super) async fn rows(
        &self,
        doing: &str,
        question: &str,
    ) -> Result<Vec<Vec<Option<String>>>, Error> {
        let answer = self
            .0
            .simple_query(question)
            .await
            .map_err(|error| Error::client(doing, error))?;
        let rows = answer.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|i| row.get(i).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    pub(super) async fn text(&self, doing: &str, question: &str) -> Result<String, Error> {
        let rows = self.rows(doing, question).await?;
        rows.into_iter()
            .next()
            .and_then(|row| row.into_iter().next()?)
            .ok_or_else(|| unexpected(doing, "no row"))
    }

    pub(super) async fn copy_out(
        &self,
        doing: &str,
        command: &str,
    ) -> Result<CopyOutStream, Error> {
        self.0
            .copy_out(command)
            .await
            .map_err(|error| Error::client(doing, error))
    }
}
