//! Whether a registry takes schemas.

use serde::Deserialize;

use crate::{Error, Registry, client::Answer};

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

impl Registry {
    /// The registry's mode, `READWRITE` as a rule; none when it has no modes.
    pub async fn mode(&self) -> Result<Option<String>, Error> {
        let answer = self.call(|client, url| client.get(url), "mode").await?;
        Ok(match answer {
            Answer::Missing(_) => None,
            Answer::Body(text) => serde_json::from_str::<Mode>(&text).ok().map(|it| it.mode),
        })
    }
}
