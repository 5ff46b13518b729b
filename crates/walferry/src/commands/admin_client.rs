//! The way to the admin server of a running process.
//!
//! Owns: its address and the client. Never: asks.

use std::time::Duration;

use anyhow::Context;

use crate::Failure;

/// An address without a scheme is one of plain HTTP.
pub(super) fn base(admin: &str) -> String {
    match admin.contains("://") {
        true => admin.to_owned(),
        false => format!("http://{admin}"),
    }
}

/// A client of an admin server.
pub(super) fn client(limit: Duration) -> Result<reqwest::Client, Failure> {
    let built = reqwest::Client::builder().timeout(limit).no_proxy().build();
    Ok(built.context("the HTTP client")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme() {
        assert_eq!(base("127.0.0.1:9464"), "http://127.0.0.1:9464");
        assert_eq!(base("https://w:1"), "https://w:1");
    }
}
