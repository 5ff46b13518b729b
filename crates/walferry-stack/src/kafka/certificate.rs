//! A broker's certificate for tests, made by Java's own keytool: it signs itself, and is the authority that clients are told of.
//!
//! Owns: the two files. Never: leaves the folder that it was given.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Files of a certificate for 127.0.0.1.
#[derive(Debug)]
pub(super) struct Certificate {
    store: PathBuf,
    /// PEM.
    pub(super) authority: PathBuf,
}

impl Certificate {
    pub(super) fn make(java: &Path, folder: &Path) -> Result<Self> {
        let made = Self {
            store: folder.join("broker.p12"),
            authority: folder.join("authority.pem"),
        };
        let keytool = |arguments: &[&str], file: &Path| {
            let output = Command::new(java.with_file_name("keytool"))
                .args(arguments)
                .args(["-alias", "broker", "-storepass", PASSWORD, "-keystore"])
                .arg(&made.store)
                .args((file != made.store).then_some("-file"))
                .args((file != made.store).then_some(file))
                .output()
                .context("keytool did not start")?;
            if !output.status.success() {
                let words = String::from_utf8_lossy(&output.stdout);
                bail!("keytool {}: {}", arguments.join(" "), words.trim());
            }
            Ok(())
        };
        keytool(PAIR, &made.store)?;
        keytool(&["-exportcert", "-rfc"], &made.authority)?;
        Ok(made)
    }

    /// The broker's settings for its listener `name`.
    pub(super) fn settings(&self, name: &str) -> String {
        let mut text = String::new();
        let prefix = format!("listener.name.{}.ssl.keystore", name.to_lowercase());
        for (setting, value) in [
            ("type", "PKCS12"),
            ("location", &self.store.to_string_lossy()),
            ("password", PASSWORD),
        ] {
            writeln!(text, "{prefix}.{setting}={value}").expect("a string takes all");
        }
        text
    }
}

const PASSWORD: &str = "walferry";
const PAIR: &[&str] = &[
    "-genkeypair",
    "-keyalg",
    "EC",
    "-groupname",
    "secp256r1",
    "-validity",
    "2",
    "-dname",
    "CN=walferry-test",
    "-ext",
    "san=ip:127.0.0.1",
    "-ext",
    "bc=ca:true",
    "-storetype",
    "PKCS12",
];
