//! The registry's calls, each one try within its timeout.

use std::{collections::HashMap, path::Path, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, Identity, RequestBuilder};
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, post_schema},
    error::SRCError,
    schema_registry_common::{RawError, SchemaType, SuppliedSchema},
};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{BaseUrl, Config, Error, error::Kind};

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
    /// The settings of the last registration and the secrets that they were made with: a client reads all certificates
    /// of the machine when it is made.
    settings: Mutex<Option<(Secrets, SrSettings)>>,
    /// Ids by subject and schema.
    ids: Mutex<HashMap<(String, String), u32>>,
}

/// What the configuration's secrets say at one moment.
#[derive(PartialEq, Eq)]
struct Secrets {
    token: Option<String>,
    password: Option<String>,
}

/// A call that only asks whether the registry is there.
const PING: &str = "schemas/types";

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
            settings: Mutex::new(None),
            ids: Mutex::new(HashMap::new()),
        })
    }

    /// The id of a schema under a subject, registering it if it is new. Answered from memory the second time.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        if let Some(id) = self.remembered(subject, schema).await {
            return Ok(id);
        }
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let answer = post_schema(&self.settings().await?, encoded(subject), supplied).await;
        match answer {
            Ok(registered) => {
                self.remember(subject, schema, registered.id).await;
                Ok(registered.id)
            }
            Err(error) => {
                let error = self.explain(&error, subject);
                Err(if error.is_conflict() {
                    self.judge_conflict(subject, schema, error).await
                } else {
                    error
                })
            }
        }
    }

    /// The id that was handed out before.
    pub(crate) async fn remembered(&self, subject: &str, schema: &str) -> Option<u32> {
        let ids = self.ids.lock().await;
        ids.get(&(subject.to_owned(), schema.to_owned())).copied()
    }

    /// The registry has said that the subject holds this schema under this id.
    pub(crate) async fn remember(&self, subject: &str, schema: &str, id: u32) {
        let mut ids = self.ids.lock().await;
        ids.insert((subject.to_owned(), schema.to_owned()), id);
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

    /// Whether the registry answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.call(|client, url| client.get(url), PING)
            .await
            .map(drop)
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

    /// Settings for the calls of `schema_registry_converter`, made anew when a secret has changed.
    async fn settings(&self) -> Result<SrSettings, Error> {
        let secrets = self.secrets()?;
        let mut last = self.settings.lock().await;
        if let Some((made_with, settings)) = &*last
            && *made_with == secrets
        {
            return Ok(settings.clone());
        }
        let mut urls = self.config.urls.iter().map(BaseUrl::to_string);
        let mut settings = SrSettings::new_builder(urls.next().unwrap_or_default());
        for url in urls {
            settings.add_url(url);
        }
        if let Some(token) = &secrets.token {
            settings.set_token_authorization(token);
        } else if let Some(username) = &self.config.username {
            settings.set_basic_authorization(username, secrets.password.as_deref());
        }
        settings.set_timeout(Duration::from_millis(self.config.timeout_ms));
        let settings = settings
            .build_with(builder(&self.config)?)
            .map_err(|error| Error::new(Kind::Validation, format!("registry: {}", error.error)))?;
        *last = Some((secrets, settings.clone()));
        Ok(settings)
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
                Err(error) if error.disposition() == walferry_event::Disposition::Retry => {
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
            return Ok(Answer::Body(text));
        }
        let reason = serde_json::from_str::<RawError>(&text);
        if status.as_u16() == 404 {
            return Ok(Answer::Missing(reason.map_or(404, |it| it.error_code)));
        }
        match reason {
            Ok(raw) => Err(Error::answered(raw.error_code, &raw.message)),
            Err(_) => Err(Error::answered(status.as_u16().into(), "without a reason")),
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

    fn explain(&self, error: &SRCError, subject: &str) -> Error {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(raw) = cause.downcast_ref::<RawError>() {
                return Error::answered(
                    raw.error_code,
                    &format!("subject {subject:?}: {}", raw.message),
                );
            }
            if let Some(transport) = cause.downcast_ref::<reqwest::Error>() {
                return self.unreachable(transport);
            }
            source = cause.source();
        }
        let kind = if error.retriable {
            Kind::Connection
        } else {
            Kind::Internal
        };
        Error::new(
            kind,
            format!("registering subject {subject:?}: {}", error.error),
        )
    }
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

#[cfg(test)]
mod tests;
