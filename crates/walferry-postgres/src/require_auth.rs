//! The ways of logging in, and the list of those that may be used.
//!
//! Owns the words of `require_auth`. Never: decides what is taken without one; see `auth`.
//! Source: PostgreSQL documentation, "Database Connection Control Functions", `require_auth`.

use std::fmt;

use crate::Error;

/// A way of logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The password in clear text.
    Password,
    /// Its MD5 hash.
    Md5,
    /// SCRAM-SHA-256, with channel binding or without.
    Scram,
    /// Nothing is asked for: `trust`, `peer`, or a client certificate.
    None,
    /// GSSAPI, SSPI or OAuth, which are not offered here.
    Other,
}

const NAMES: [(&str, Method); 7] = [
    ("password", Method::Password),
    ("md5", Method::Md5),
    ("scram-sha-256", Method::Scram),
    ("none", Method::None),
    ("gss", Method::Other),
    ("sspi", Method::Other),
    ("oauth", Method::Other),
];

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, method)| method == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// The methods that the server may ask for, as libpq's `require_auth` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequireAuth {
    methods: Vec<Method>,
    /// All but those.
    all_but: bool,
}

impl RequireAuth {
    /// From `scram-sha-256`, `scram-sha-256,none` or `!password,!md5`.
    ///
    /// # Errors
    /// A name is not known, or some have a `!` and others have not.
    pub fn parse(list: &str) -> Result<RequireAuth, Error> {
        let refused = |why: String| Error::settings(format!("require_auth: {why}"));
        let known = || NAMES.map(|(name, _)| name).join(", ");
        let names: Vec<&str> = list.split(',').map(str::trim).collect();
        let all_but = names.iter().all(|name| name.starts_with('!'));
        if !all_but && names.iter().any(|name| name.starts_with('!')) {
            return Err(refused(
                "either all methods have a ! before them or none has".into(),
            ));
        }
        let method = |name: &&str| {
            let name = name.trim_start_matches('!');
            let known_as = NAMES.iter().find(|(known, _)| *known == name);
            known_as.map(|(_, method)| *method)
        };
        let methods: Option<Vec<Method>> = names.iter().map(method).collect();
        let methods = methods.ok_or_else(|| refused(format!("a method is none of {}", known())))?;
        Ok(RequireAuth { methods, all_but })
    }

    pub(crate) fn takes(&self, method: Method) -> bool {
        self.methods.contains(&method) != self.all_but
    }
}
