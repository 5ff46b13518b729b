//! The same three servers as containers, by the `docker-compose.yml` at the root of the project, of which the others stay down.
//!
//! Owns: the compose project `walferry`. Never: pulls or starts anything unless an engine answers.
//! Start reading at [`up`].

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Coordinates, Port};

/// Starts the containers and waits until they are healthy.
pub(super) fn up(postgres_major: u32) -> Result<Coordinates> {
    let engine = engine().context("neither docker nor podman answers")?;
    let (postgres, kafka, registry) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
    let numbers = [&postgres, &kafka, &registry].map(|port| port.number().to_string());
    let output = compose(engine)?
        .args(["up", "--detach", "--wait", "--quiet-pull"])
        .args(["postgres", "kafka", "registry"])
        .env("WALFERRY_POSTGRES_VERSION", postgres_major.to_string())
        .env("WALFERRY_POSTGRES_PORT", &numbers[0])
        .env("WALFERRY_KAFKA_PORT", &numbers[1])
        .env("WALFERRY_REGISTRY_PORT", &numbers[2])
        .output()?;
    if !output.status.success() {
        // Half a stack is no use, and the reason below is what counts.
        let _ = compose(engine)?.args(["down", "--volumes"]).output();
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{engine} compose up failed: {}", words.trim());
    }
    Ok(Coordinates {
        postgres_url: format!("postgresql://postgres@127.0.0.1:{}/postgres", numbers[0]),
        kafka_brokers: format!("127.0.0.1:{}", numbers[1]),
        registry_url: format!("http://127.0.0.1:{}/apis/ccompat/v7", numbers[2]),
    })
}

/// Ends the containers and removes their data.
pub(super) fn down() -> Result<()> {
    let engine = engine().context("neither docker nor podman answers")?;
    let output = compose(engine)?
        .args(["down", "--volumes", "--timeout", "5"])
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{engine} compose down failed: {}", words.trim());
    }
    Ok(())
}

fn engine() -> Option<&'static str> {
    ["docker", "podman"].into_iter().find(|name| {
        // The client is often there without a server; `info` asks the server.
        Command::new(name)
            .arg("info")
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
    })
}

fn compose(engine: &str) -> Result<Command> {
    let mut command = Command::new(engine);
    command
        .args(["compose", "--project-name", "walferry", "--file"])
        .arg(compose_file()?)
        .stdin(Stdio::null());
    Ok(command)
}

fn compose_file() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("docker-compose.yml");
    match file.is_file() {
        true => Ok(file),
        false => bail!("{} is not there", file.display()),
    }
}
