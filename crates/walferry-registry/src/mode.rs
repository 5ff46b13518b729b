//! Whether a registry takes schemas.

use serde::Deserialize;

use crate::{
    Error, Registry,
    client::{Answer, encoded},
};

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

impl Registry {
    /// The registry's mode, `READWRITE` as a rule; none when it has no modes.
    pub async fn mode(&self) -> Result<Option<String>, Error> {
        self.mode_at("mode").await
    }

    /// The mode that is set at a subject itself; none when the registry's own applies.
    pub async fn mode_of(&self, subject: &str) -> Result<Option<String>, Error> {
        self.mode_at(&format!("mode/{}", encoded(subject))).await
    }

    async fn mode_at(&self, path: &str) -> Result<Option<String>, Error> {
        let answer = self.call(|client, url| client.get(url), path).await?;
        Ok(match answer {
            Answer::Missing(_) => None,
            Answer::Body(text) => serde_json::from_str::<Mode>(&text).ok().map(|it| it.mode),
        })
    }
}
