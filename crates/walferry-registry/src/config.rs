//! How to reach the registry.

use std::path::PathBuf;

use walferry_event::Secret;

use crate::BaseUrl;

/// How to reach the registry.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URLs, tried in turn.
    pub urls: Vec<BaseUrl>,
    /// User of basic authentication.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Bearer token, instead of a user.
    pub token: Option<Secret>,
    /// PEM file of certificate authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of the client certificate.
    pub cert: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// How long one call may take, in milliseconds.
    pub timeout_ms: u64,
}
