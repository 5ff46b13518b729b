//! What the registry says of one subject, and the operator's way around its level.
//!
//! Owns the questions on a subject's newest schema and compatibility level, and [`Registry::register_forced`].
//! Invariant: a level that was lifted for one registration is put back afterwards, also when the registration fails.

use serde::Deserialize;

use crate::{
    Error, Registry,
    client::{Answer, encoded},
    error::Kind,
};

/// A schema that a subject holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Registered {
    /// Its id.
    pub id: u32,
    /// Its version within the subject.
    pub version: u32,
    /// Its text.
    pub schema: String,
}

#[derive(Deserialize)]
struct Found {
    id: u32,
}

#[derive(Deserialize)]
struct Level {
    #[serde(rename = "compatibilityLevel", alias = "compatibility")]
    level: String,
}

impl Registry {
    /// The newest schema of a subject; none when there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<Registered>, Error> {
        let path = format!("subjects/{}/versions/latest", encoded(subject));
        match self.call(|client, url| client.get(url), &path).await? {
            Answer::Missing(_) => Ok(None),
            Answer::Body(text) => read(subject, &text).map(Some),
        }
    }

    /// The id in the answer to a question for a schema.
    pub(crate) fn id_of(subject: &str, answer: &str) -> Result<u32, Error> {
        Ok(read::<Found>(subject, answer)?.id)
    }

    /// The compatibility level that is set at the subject itself; none when the registry's own applies.
    pub async fn level(&self, subject: &str) -> Result<Option<String>, Error> {
        let path = format!("config/{}", encoded(subject));
        match self.call(|client, url| client.get(url), &path).await? {
            Answer::Missing(_) => Ok(None),
            Answer::Body(text) => Ok(Some(read::<Level>(subject, &text)?.level)),
        }
    }

    /// Sets the subject's compatibility level, or takes it away.
    pub async fn set_level(&self, subject: &str, level: Option<&str>) -> Result<(), Error> {
        let path = format!("config/{}", encoded(subject));
        let answer = match level {
            Some(level) => {
                let body = serde_json::json!({ "compatibility": level });
                self.call(|client, url| client.put(url).json(&body), &path)
                    .await
            }
            None => self.call(|client, url| client.delete(url), &path).await,
        };
        answer.map(drop)
    }

    /// Registers a schema, also one that the subject's level forbids: then the level is lifted for this one registration,
    /// and put back afterwards.
    pub async fn register_forced(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        match self.register(subject, schema).await {
            Err(error) if error.kind() == "schema" => {}
            outcome => return outcome,
        }
        let level = self.level(subject).await?;
        self.set_level(subject, Some("NONE")).await?;
        let registered = self.register(subject, schema).await;
        let restored = self.set_level(subject, level.as_deref()).await;
        let id = registered?;
        match restored {
            Ok(()) => Ok(id),
            Err(error) => Err(Error::new(
                Kind::Internal,
                format!(
                    "the schema is registered, but the level of subject {subject:?} is still NONE and was {}: {error}",
                    level.as_deref().unwrap_or("not set")
                ),
            )),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(subject: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            Kind::Internal,
            format!("the registry's answer on {subject:?} cannot be read: {error}"),
        )
    })
}
