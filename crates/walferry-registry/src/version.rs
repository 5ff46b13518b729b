//! The schemas of one table version, which are registered together or not at all.
//!
//! Owns the order of the questions: what the registry holds already, what it would refuse, and only then the registration.
//! Invariant: when one schema of a version is incompatible, none of it is registered.
//! Start reading at [`Registry::register_all`].

use crate::{
    Error, Registry, Verdict,
    client::{Answer, encoded},
    error::Kind,
};

impl Registry {
    /// The ids of schemas, each with its subject; what is new is registered after all of it has been found compatible.
    ///
    /// # Errors
    /// Of the kind `schema` when the registry refuses one of them; its text has the registry's reasons.
    pub async fn register_all(&self, offers: &[(&str, &str)]) -> Result<Vec<u32>, Error> {
        let mut refused = Vec::new();
        for (subject, schema) in offers {
            if self.known(subject, schema).await?.is_some() {
                continue;
            }
            if let Verdict::Incompatible(reasons) = self.check(subject, schema).await? {
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
        let mut ids = Vec::with_capacity(offers.len());
        for (subject, schema) in offers {
            ids.push(self.register(subject, schema).await?);
        }
        Ok(ids)
    }

    /// What the registry would say of a schema, also whether it holds it already. Changes nothing.
    pub async fn verdict(&self, subject: &str, schema: &str) -> Result<Verdict, Error> {
        match self.known(subject, schema).await? {
            Some(id) => Ok(Verdict::Registered(id)),
            None => self.check(subject, schema).await,
        }
    }

    /// The id of a schema that the subject holds already, in any version.
    async fn known(&self, subject: &str, schema: &str) -> Result<Option<u32>, Error> {
        if let Some(id) = self.remembered(subject, schema).await {
            return Ok(Some(id));
        }
        let path = format!("subjects/{}", encoded(subject));
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" });
        let asked = self.call(|client, url| client.post(url).json(&body), &path);
        match asked.await? {
            Answer::Missing => Ok(None),
            Answer::Body(text) => {
                let id = Registry::id_of(subject, &text)?;
                self.remember(subject, schema, id).await;
                Ok(Some(id))
            }
        }
    }
}
