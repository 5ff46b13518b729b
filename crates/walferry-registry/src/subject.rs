//! What the registry says of one subject, and the operator's way around its level.
//!
//! Owns the questions on a subject's newest schema and compatibility level, and [`Registry::register_lifted`].
//! Invariant: a level that was lifted for one registration is put back afterwards, also when the registration fails; what it
//! was is told before, so that another process can put it back ([`Registry::put_back`]).

use serde::{Deserialize, Serialize};

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

/// A subject whose level is lifted, and what it was; none when the registry's own applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The subject.
    pub subject: String,
    /// Its own level.
    pub level: Option<String>,
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

    /// The id of a schema, registering it where the subject's level allows it; else what has to be lifted, and noted before.
    ///
    /// # Errors
    /// The registry does not answer, or refuses the schema for something else than its level.
    pub async fn register_or_lift(
        &self,
        subject: &str,
        schema: &str,
    ) -> Result<Result<u32, Lifted>, Error> {
        match self.register(subject, schema).await {
            Ok(id) => Ok(Ok(id)),
            Err(error) if error.kind() == "schema" => Ok(Err(Lifted {
                subject: subject.to_owned(),
                level: self.level(subject).await?,
            })),
            Err(error) => Err(error),
        }
    }

    /// Registers a schema that the subject's level forbids: the level is lifted for this one registration, and put back
    /// afterwards.
    ///
    /// # Errors
    /// The registry does not take the schema, or does not answer; the text says when the level is still lifted.
    pub async fn register_lifted(&self, lifted: &Lifted, schema: &str) -> Result<u32, Error> {
        let subject = &lifted.subject;
        self.set_level(subject, Some(LIFTED)).await?;
        let registered = self.register(subject, schema).await;
        let restored = self.set_level(subject, lifted.level.as_deref()).await;
        let id = registered?;
        match restored {
            Ok(()) => Ok(id),
            Err(error) => Err(Error::new(
                Kind::Internal,
                format!(
                    "the schema is registered, but the level of subject {subject:?} is still NONE and was {}; it is put back \
                     at the next start: {error}",
                    lifted.level.as_deref().unwrap_or("not set")
                ),
            )),
        }
    }

    /// Puts a level back that a process has lifted which did not live to do so. One that somebody has set since is left. Whether
    /// it was put back.
    ///
    /// # Errors
    /// The registry does not answer, or does not allow it.
    pub async fn put_back(&self, lifted: &Lifted) -> Result<bool, Error> {
        if self.level(&lifted.subject).await?.as_deref() != Some(LIFTED) {
            return Ok(false);
        }
        self.set_level(&lifted.subject, lifted.level.as_deref())
            .await?;
        Ok(true)
    }
}

/// The level that takes every schema.
const LIFTED: &str = "NONE";

fn read<T: serde::de::DeserializeOwned>(subject: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            Kind::Internal,
            format!("the registry's answer on {subject:?} cannot be read: {error}"),
        )
    })
}
