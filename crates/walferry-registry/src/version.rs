//! The schemas of one table version, which are registered together or not at all.
//!
//! Owns the order of the questions: what the registry holds already, what it would refuse, and only then the registration;
//! the schemas of a version are asked for side by side, versions of many tables a few at a time.
//! Invariant: when one schema of a version is incompatible, none of it is registered.
//! Start reading at [`Registry::register_all`].

use futures_util::{
    StreamExt,
    future::{join_all, try_join_all},
    stream,
};

use crate::{
    Error, Registry, Verdict,
    client::{Answer, encoded},
    error::Kind,
};

/// Versions that are registered at the same time.
const AT_ONCE: usize = 8;
/// "Subject not found". Confluent Schema Registry API reference, `POST /subjects/(string: subject)`.
const SUBJECT_NOT_FOUND: u32 = 40401;

impl Registry {
    /// The ids of schemas, each with its subject; what is new is registered after all of it has been found compatible.
    ///
    /// # Errors
    /// Of the kind `schema` when the registry refuses one of them; its text has the registry's reasons.
    pub async fn register_all(&self, offers: &[(&str, &str)]) -> Result<Vec<u32>, Error> {
        let verdicts = offers
            .iter()
            .map(|(subject, schema)| self.verdict(subject, schema));
        let mut refused = Vec::new();
        for ((subject, _), verdict) in offers.iter().zip(join_all(verdicts).await) {
            if let Verdict::Incompatible(reasons) = verdict? {
                let reasons = match reasons.is_empty() {
                    true => "the registry gives no reason".to_owned(),
                    false => reasons.join("; "),
                };
                refused.push(format!(
                    "subject {subject:?}: the schema is incompatible: {reasons}"
                ));
            }
        }
        if !refused.is_empty() {
            return Err(Error::new(Kind::Schema, refused.join("; ")));
        }
        let registered = offers
            .iter()
            .map(|(subject, schema)| self.register(subject, schema));
        try_join_all(registered).await
    }

    /// Registers versions that will be needed soon, a few at a time, so that each is answered from memory then. One that
    /// fails is left to whoever needs it.
    pub async fn register_ahead(&self, versions: &[Vec<(&str, &str)>]) {
        stream::iter(versions)
            .for_each_concurrent(AT_ONCE, |offers| async {
                if let Err(error) = self.register_all(offers).await {
                    tracing::debug!(%error, "not registered ahead of its use");
                }
            })
            .await;
    }

    /// What the registry would say of a schema, also whether it holds it already. Changes nothing.
    pub async fn verdict(&self, subject: &str, schema: &str) -> Result<Verdict, Error> {
        if let Some(id) = self.ids.of(subject, schema) {
            return Ok(Verdict::Registered(id));
        }
        let seen = self.ids.generation();
        let path = format!("subjects/{}", encoded(subject));
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" });
        let asked = self.call(|client, url| client.post(url).json(&body), &path);
        match asked.await? {
            Answer::Missing(SUBJECT_NOT_FOUND) => Ok(Verdict::New),
            Answer::Missing(_) => self.check(subject, schema).await,
            Answer::Body(text) => {
                let id = Registry::id_of(subject, &text)?;
                self.ids.remember(seen, subject, schema, id);
                Ok(Verdict::Registered(id))
            }
        }
    }
}
