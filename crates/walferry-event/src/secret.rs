//! A password or token that is asked for each time it is used, and texts from which such are left out.
//!
//! Owns the question, never the answer: rotation needs no restart, and nothing that is printed can hold the value.
//! [`without_userinfo`] is for texts that come from outside and are shown: they may hold a URL with a password in it.

use std::{fmt, sync::Arc};

type Source = dyn Fn() -> Result<String, String> + Send + Sync;

/// Where a secret comes from. Its `Debug` form shows nothing of it.
#[derive(Clone)]
pub struct Secret(Arc<Source>);

impl Secret {
    /// A secret that `source` gives at each use, or says why it cannot.
    pub fn new(source: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Secret {
        Secret(Arc::new(source))
    }

    /// A secret that is known already; for development and tests.
    pub fn literal(value: impl Into<String>) -> Secret {
        let value = value.into();
        Secret::new(move || Ok(value.clone()))
    }

    /// The secret as it is now. The error says which variable or file could not be read.
    pub fn read(&self) -> Result<String, String> {
        (self.0)()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The text, with the user, password and parameters of each URL in it left out.
///
/// Where a URL ends is not known in a text, so that too much is left out rather than too little.
pub fn without_userinfo(text: &str) -> String {
    const SCHEME_END: &str = "://";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(SCHEME_END) {
        let (before, after) = rest.split_at(at + SCHEME_END.len());
        shown.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '<' | '>'))
            .unwrap_or(after.len());
        // Several URLs may stand in a list.
        let end = after[..end].find(SCHEME_END).map_or(end, |next| {
            after[..next].rfind(',').map_or(next, |comma| comma)
        });
        let mut url = &after[..end];
        if let Some(at) = url.rfind('@') {
            shown.push_str("…@");
            url = &url[at + 1..];
        }
        match url.split_once('?') {
            Some((address, _)) => {
                shown.push_str(address);
                shown.push_str("?…");
            }
            None => shown.push_str(url),
        }
        rest = &after[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_password_and_parameters() {
        for (text, shown) in [
            ("no URL: a@b", "no URL: a@b"),
            ("http://h:1/p", "http://h:1/p"),
            (
                "'postgresql://u:hunter2@h/d' found",
                "'postgresql://…@h/d' found",
            ),
            ("postgresql://u:hunter2@h:1@x/d", "postgresql://…@x/d"),
            ("postgresql://u:hun/ter2@h/d", "postgresql://…@h/d"),
            ("http://a,https://u:hunter2@b", "http://a,https://…@b"),
            (
                "http://u:hunter2@a,https://v:hunter2@b",
                "http://…@a,https://…@b",
            ),
            ("postgresql://h/d?password=hunter2", "postgresql://h/d?…"),
            (
                "postgresql://u:hun?ter2@h/d?a=b x",
                "postgresql://…@h/d?… x",
            ),
        ] {
            assert_eq!(without_userinfo(text), shown);
        }
    }

    #[test]
    fn a_secret_is_read_anew_and_never_printed() {
        let secret = Secret::literal("hunter2");
        assert_eq!(secret.read().unwrap(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
