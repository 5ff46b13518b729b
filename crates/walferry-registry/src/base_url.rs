//! The address of a registry, which never holds a user or a password.
//!
//! Owns the way from a text to such an address and the credentials beside it. Invariant: what is kept of the text can be
//! printed anywhere; no error repeats it.

use std::fmt;

use reqwest::Url;
use walferry_event::Secret;

use crate::{Error, error::Kind};

/// The base URL of a registry, without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// A user and a password that a URL has held.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password, if there is one.
    pub password: Option<Secret>,
}

impl BaseUrl {
    /// From `http[s]://[user[:password]@]host[:port][/path]`: what is before the `@` comes back beside the URL.
    ///
    /// # Errors
    /// It is no such URL. The text is not repeated, because where it is wrong may be its password.
    pub fn parse(text: &str) -> Result<(BaseUrl, Option<Credentials>), Error> {
        let refused = |why: String| Error::new(Kind::Validation, format!("registry.url: {why}"));
        let remedy =
            "write it as http://host:8081, with registry.username and registry.password beside it";
        let mut url = Url::parse(text)
            .map_err(|error| refused(format!("it is not a URL: {error}; {remedy}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refused(format!("it is no URL of http or https; {remedy}")));
        }
        // A ? or # in a password that is not written as %3F or %23 ends up here.
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused(format!(
                "it has parameters (? or #), which the address of a registry has not; {remedy}"
            )));
        }
        if url.path().contains('@') {
            return Err(refused(format!(
                "there is an @ behind the host, as when a / in a password is not written as %2F; {remedy}"
            )));
        }
        let credentials = credentials(&url).map_err(|why| refused(format!("{why}; {remedy}")))?;
        // A URL of http has a host, so both can be set.
        let _ = (url.set_username(""), url.set_password(None));
        Ok((BaseUrl(url), credentials))
    }

    /// Host and port.
    pub fn address(&self) -> Option<(String, u16)> {
        Some((
            self.0.host_str()?.to_owned(),
            self.0.port_or_known_default()?,
        ))
    }

    /// Whether whoever is between can read what is sent to it: http, and not to this machine.
    pub fn is_readable(&self) -> bool {
        let near = ["localhost", "127.0.0.1", "[::1]"];
        self.0.scheme() == "http" && !self.0.host_str().is_some_and(|host| near.contains(&host))
    }

    /// The URL of a path below it.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{self}/{path}")
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| {
        let bytes = percent_encoding::percent_decode_str(text);
        let text = bytes.decode_utf8();
        text.map(|it| it.into_owned())
            .map_err(|_| "user or password are no UTF-8".to_owned())
    };
    Ok(Some(Credentials {
        username: decoded(url.username())?,
        password: url
            .password()
            .map(decoded)
            .transpose()?
            .map(Secret::literal),
    }))
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_url() {
        let (url, credentials) =
            BaseUrl::parse("https://we%40ird:hun%2Fter2@h:8081/apis/").unwrap();
        let credentials = credentials.unwrap();
        assert_eq!(credentials.username, "we@ird");
        assert_eq!(credentials.password.unwrap().read().unwrap(), "hun/ter2");
        assert_eq!(
            format!("{url} {url:?}"),
            "https://h:8081/apis https://h:8081/apis"
        );
        assert_eq!(url.join("subjects"), "https://h:8081/apis/subjects");
        assert_eq!(url.address(), Some(("h".to_owned(), 8081)));
        let (plain, none) = BaseUrl::parse("http://h").unwrap();
        assert_eq!(
            (plain.to_string().as_str(), none.is_none()),
            ("http://h", true)
        );
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_repeated() {
        for text in [
            "",
            "hunter2",
            "h:hunter2",
            "ftp://u:hunter2@h",
            "http://u:hunter2@",
            "http://u:hunter2@h:port",
            "http://u:hunter2@h/?hunter2",
            "http://u:hun/hunter2@h",
            "http://u:hun?hunter2@h",
            "http://u:1#hunter2@h",
            "http://u:hunter2%ff@h",
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert!(error.to_string().contains("registry.url"), "{error}");
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{text}: {error}"
            );
        }
    }
}
