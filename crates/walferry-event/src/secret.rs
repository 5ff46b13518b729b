//! A password or token that is asked for each time it is used.
//!
//! Owns the question, never the answer: rotation needs no restart, and nothing that is printed can hold the value.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_anew_and_never_printed() {
        let secret = Secret::literal("hunter2");
        assert_eq!(secret.read().unwrap(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
