//! The registry's calls, each one try within its timeout; the ids that it has given are in `ids`.

use std::{path::Path, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, Identity, RequestBuilder};
use schema_registry_converter::schema_registry_common::RawError;
use serde::Deserialize;

use crate::{
    BaseUrl, Config, Error,
    error::{Kind, Meaning, meaning},
    ids::Ids,
};

/// Whether a schema may be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The subject holds it already, under this id.
    Registered(u32),
    /// The subject does not exist yet.
    New,
    /// The subject's level allows it.
    Compatible,
    /// It does not, for these reasons.
    Incompatible(Vec<String>),
}

/// A client of the registry, and the ids that it has handed out.
pub struct Registry {
    config: Config,
    http: Client,
    pub(crate) ids: Ids,
}

/// What the configuration's secrets say at one moment.
struct Secrets {
    token: Option<String>,
    password: Option<String>,
}

/// Calls that only ask whether a registry is there. Older ones know only the second.
const PINGS: [&str; 2] = ["schemas/types", "config"];

#[derive(Deserialize)]
struct Compatibility {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

impl Registry {
    /// A client for these settings. Nothing is asked yet.
    pub fn new(config: Config) -> Result<Registry, Error> {
        if config.urls.is_empty() {
            return Err(Error::new(Kind::Validation, "registry.url is empty"));
        }
        let http = builder(&config)?
            .build()
            .map_err(|error| Error::new(Kind::Validation, format!("registry.tls: {error}")))?;
        Ok(Registry {
            config,
            http,
            ids: Ids::default(),
        })
    }

    /// Grows when all ids are to be asked for again before the next record that uses them.
    pub fn generation(&self) -> u64 {
        self.ids.generation()
    }

    /// Forgets every id: the registry was away, and may be another now.
    pub fn forget(&self) {
        self.ids.forget();
    }

    /// Looks at one id, the next one each time: whether the registry still means the same schema by it. If not, all ids are
    /// forgotten, and the answer says why.
    ///
    /// # Errors
    /// The registry does not answer.
    pub async fn still_means_the_same(&self) -> Result<Option<String>, Error> {
        let Some((key, given)) = self.ids.next() else {
            return Ok(None);
        };
        let generation = self.generation();
        let (subject, schema) = &key;
        let text = self.schema(given.id).await?;
        let same = match (&text, &given.text) {
            (None, _) => false,
            (Some(now), Some(before)) => now == before,
            (Some(now), None) => json(now) == json(schema) || self.holds(&key, given.id).await?,
        };
        if generation != self.generation() {
            return Ok(None);
        }
        let id = given.id;
        match text {
            Some(text) if same => self.ids.set_text(&key, text),
            text => {
                self.forget();
                let now = match text {
                    Some(_) => "means another schema",
                    None => "does not exist",
                };
                return Ok(Some(format!(
                    "schema id {id} of subject {subject:?} {now}: the registry was built anew, or restored; all ids are asked \
                     for again, and records with the old ones cannot be read until the registry knows them again"
                )));
            }
        }
        Ok(None)
    }

    /// Whether the subject holds the schema under this id, whatever words the registry has for it.
    async fn holds(&self, (subject, schema): &(String, String), id: u32) -> Result<bool, Error> {
        let path = format!("subjects/{}", encoded(subject));
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" });
        let asked = self.call(|client, url| client.post(url).json(&body), &path);
        match asked.await? {
            Answer::Body(text) => Ok(Registry::id_of(subject, &text)? == id),
            Answer::Missing(_) => Ok(false),
        }
    }

    /// The id of a schema under a subject, registering it if it is new. Answered from memory the second time.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        if let Some(id) = self.ids.of(subject, schema) {
            return Ok(id);
        }
        let seen = self.ids.generation();
        match self.post(subject, schema).await {
            Ok(id) => {
                self.ids.remember(seen, subject, schema, id);
                Ok(id)
            }
            Err(error) if error.is_conflict() => {
                Err(self.judge_conflict(subject, schema, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Registers a schema; one that the subject holds already is answered with its id.
    async fn post(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let path = format!("subjects/{}/versions", encoded(subject));
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" });
        let answer = self
            .call(|client, url| client.post(url).json(&body), &path)
            .await
            .map_err(|error| error.of(subject))?;
        match answer {
            Answer::Body(text) => Registry::id_of(subject, &text),
            Answer::Missing(code) => Err(Error::answered(code, "not found").of(subject)),
        }
    }

    /// What a 409 means: the verdict's reasons when the schema is incompatible. Some registries answer 409 also when two
    /// clients register at the same moment, and then the schema is taken when it is offered again.
    async fn judge_conflict(&self, subject: &str, schema: &str, error: Error) -> Error {
        match self.check(subject, schema).await {
            Ok(Verdict::Incompatible(reasons)) if !reasons.is_empty() => {
                Error::new(Kind::Schema, format!("{error}: {}", reasons.join("; ")))
            }
            Ok(Verdict::Incompatible(_)) | Err(_) => error,
            Ok(_) => Error::new(
                Kind::Connection,
                format!("{error} (but the schema is compatible, so another client was at it)"),
            ),
        }
    }

    /// Whether a schema could be registered, with the registry's reasons. Changes nothing.
    pub async fn check(&self, subject: &str, schema: &str) -> Result<Verdict, Error> {
        let path = format!(
            "compatibility/subjects/{}/versions?verbose=true",
            encoded(subject)
        );
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" });
        match self
            .call(|client, url| client.post(url).json(&body), &path)
            .await?
        {
            Answer::Missing(_) => Ok(Verdict::New),
            Answer::Body(text) => {
                let verdict: Compatibility = serde_json::from_str(&text).map_err(|error| {
                    Error::new(
                        Kind::Internal,
                        format!("the registry's answer on {subject:?} cannot be read: {error}"),
                    )
                })?;
                Ok(if verdict.is_compatible {
                    Verdict::Compatible
                } else {
                    Verdict::Incompatible(verdict.messages)
                })
            }
        }
    }

    /// The schema of an id, as text; none when the registry does not know it.
    pub async fn schema(&self, id: u32) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Body {
            schema: String,
        }
        match self
            .call(|client, url| client.get(url), &format!("schemas/ids/{id}"))
            .await?
        {
            Answer::Missing(_) => Ok(None),
            Answer::Body(text) => match serde_json::from_str::<Body>(&text) {
                Ok(body) => Ok(Some(body.schema)),
                Err(error) => Err(Error::new(
                    Kind::Internal,
                    format!("the registry's answer on schema id {id} cannot be read: {error}"),
                )),
            },
        }
    }

    /// Whether a registry answers. Something else that does (a page, another API) is an error.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut last = self.no_registry("it answers 404");
        for path in PINGS {
            match self.call(|client, url| client.get(url), path).await? {
                Answer::Body(text) if is_json(&text) => return Ok(()),
                Answer::Body(_) => last = self.no_registry("its answer is no JSON"),
                Answer::Missing(_) => {}
            }
        }
        Err(last)
    }

    /// Somebody answers, and it is not a registry.
    fn no_registry(&self, why: &str) -> Error {
        Error::new(
            Kind::Foreign,
            format!(
                "registry.url = {:?} is not a schema registry, or its path is wrong: {why} (Apicurio's path is \
                 /apis/ccompat/v7)",
                self.urls()
            ),
        )
    }

    /// Host and port of the first URL, to see whether its port answers.
    pub fn address(&self) -> Option<(String, u16)> {
        self.config.urls.first()?.address()
    }

    /// The secrets as they are now: they are read at each use, so that rotation needs no restart.
    fn secrets(&self) -> Result<Secrets, Error> {
        let read_some = |name, secret: &Option<walferry_event::Secret>| {
            secret.as_ref().map(|it| read(name, it)).transpose()
        };
        Ok(Secrets {
            token: read_some("registry.token", &self.config.token)?,
            password: read_some("registry.password", &self.config.password)?,
        })
    }

    /// Tries the URLs in turn; an answer that is not a passing fault ends it.
    pub(crate) async fn call(
        &self,
        request: impl Fn(&Client, String) -> RequestBuilder,
        path: &str,
    ) -> Result<Answer, Error> {
        let mut last = Error::new(Kind::Validation, "registry.url is empty");
        for url in &self.config.urls {
            let request = request(&self.http, url.join(path));
            match self.ask(request).await {
                Err(error) if error.disposition() != walferry_event::Disposition::Halt => {
                    last = error
                }
                outcome => return outcome,
            }
        }
        Err(last)
    }

    async fn ask(&self, mut request: RequestBuilder) -> Result<Answer, Error> {
        let secrets = self.secrets()?;
        if let Some(token) = secrets.token {
            request = request.bearer_auth(token);
        } else if let Some(username) = &self.config.username {
            request = request.basic_auth(username, secrets.password);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            // A page of a proxy, or of whatever else answers there.
            return match text.trim_start().starts_with('<') {
                true => Err(Error::answered(302, "a page that is no JSON")),
                false => Ok(Answer::Body(text)),
            };
        }
        let (code, words) = match serde_json::from_str::<RawError>(&text) {
            // Some registries have no code of their own for what only the status says.
            Ok(raw) if raw.error_code < 300 => (u32::from(status.as_u16()), raw.message),
            Ok(raw) => (raw.error_code, raw.message),
            Err(_) => (u32::from(status.as_u16()), "without a reason".to_owned()),
        };
        match meaning(code) {
            Meaning::Missing => Ok(Answer::Missing(code)),
            Meaning::Fails(..) => Err(Error::answered(code, &words)),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let kind = if error.is_timeout() {
            Kind::Timeout
        } else {
            Kind::Connection
        };
        // The innermost source says what happened; the outer ones only that something did.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Error::new(
            kind,
            format!(
                "no registry of registry.url = {:?} answers: {cause}",
                self.urls()
            ),
        )
    }

    /// The addresses, as they are shown.
    fn urls(&self) -> String {
        let urls: Vec<String> = self.config.urls.iter().map(BaseUrl::to_string).collect();
        urls.join(",")
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// What a call brought.
pub(crate) enum Answer {
    Body(String),
    /// 404, with the registry's own code.
    Missing(u32),
}

fn read(name: &str, secret: &walferry_event::Secret) -> Result<String, Error> {
    secret
        .read()
        .map_err(|error| Error::new(Kind::Validation, format!("{name}: {error}")))
}

fn builder(config: &Config) -> Result<ClientBuilder, Error> {
    let mut builder = Client::builder().timeout(Duration::from_millis(config.timeout_ms));
    let bad = |name: &str, error: &dyn std::fmt::Display| {
        Error::new(Kind::Validation, format!("registry.tls.{name}: {error}"))
    };
    if let Some(path) = &config.ca {
        for certificate in
            Certificate::from_pem_bundle(&file("ca", path)?).map_err(|error| bad("ca", &error))?
        {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let (Some(cert), Some(key)) = (&config.cert, &config.key) {
        let mut pem = file("cert", cert)?;
        pem.extend(file("key", key)?);
        builder = builder.identity(Identity::from_pem(&pem).map_err(|error| bad("cert", &error))?);
    }
    Ok(builder)
}

fn file(name: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        Error::new(
            Kind::Validation,
            format!("registry.tls.{name}: {}: {error}", path.display()),
        )
    })
}

/// A subject as one segment of a path (RFC 3986, 2.3).
pub(crate) fn encoded(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests;
