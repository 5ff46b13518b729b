//! The Java that runs Kafka, Kafka Connect and the registry.
//!
//! Owns: finding one that is new enough, and what servers of HTTP in it have in common. Never: installs it (see `tools`).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

/// The oldest major version that both servers run on.
pub(crate) const MAJOR_MIN: u32 = 17;

/// The program `java`: of `JAVA_HOME`, else of the search path, else any that Debian has installed.
pub(crate) fn find() -> Result<PathBuf> {
    match candidates().into_iter().find(|java| is_new_enough(java)) {
        Some(java) => Ok(java),
        None => bail!("no Java {MAJOR_MIN} or later found"),
    }
}

/// A `java` that can run a source file, because the compiler is among its modules.
pub(crate) fn find_with_compiler() -> Result<PathBuf> {
    match candidates()
        .into_iter()
        .find(|java| is_new_enough(java) && compiles(java))
    {
        Some(java) => Ok(java),
        None => bail!("no Java {MAJOR_MIN} or later with its compiler found"),
    }
}

/// For servers that have to start soon and need no peak speed: the quick compiler alone halves the time.
pub(super) const QUICK_START: [&str; 3] =
    ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Ready is what answers this request with 200.
pub(super) fn answers(port: u16, path: &str) -> impl Fn(&str) -> bool + use<> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    move |_| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut status = [0; 12];
        TcpStream::connect_timeout(&address, PROBE_LIMIT).is_ok_and(|mut socket| {
            socket.set_read_timeout(Some(PROBE_LIMIT)).is_ok()
                && socket.write_all(request.as_bytes()).is_ok()
                && socket.read_exact(&mut status).is_ok()
                && status.ends_with(b" 200")
        })
    }
}

const PROBE_LIMIT: Duration = Duration::from_secs(3);

fn candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(home) = std::env::var_os("JAVA_HOME") {
        candidates.push(Path::new(&home).join("bin/java"));
    }
    candidates.push(PathBuf::from("java"));
    if let Ok(installed) = std::fs::read_dir("/usr/lib/jvm") {
        candidates.extend(
            installed
                .flatten()
                .map(|entry| entry.path().join("bin/java")),
        );
    }
    candidates
}

fn is_new_enough(java: &Path) -> bool {
    major(java).is_some_and(|found| found >= MAJOR_MIN)
}

fn compiles(java: &Path) -> bool {
    let modules = Command::new(java).arg("--list-modules").output();
    modules.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("jdk.compiler"))
}

fn major(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stderr))
}

/// From `openjdk version "17.0.15" 2025-04-15`; releases before 9 say `"1.8.0"`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_java_writes_them() {
        assert_eq!(
            parse_major("openjdk version \"17.0.15\" 2025-04-15\n"),
            Some(17)
        );
        assert_eq!(parse_major("openjdk version \"25\" 2025-09-16\n"), Some(25));
        assert_eq!(parse_major("java version \"1.8.0_292\"\n"), Some(8));
        assert_eq!(parse_major("command not found"), None);
    }
}
