//! Prometheus, and the programs that judge its files and Alertmanager's.
//!
//! Owns: where their programs come from (Debian's packages, unpacked into the cache: nothing is installed, and no service is started), and
//! folder, port and process of a server. Never: knows what is watched; the files are the caller's.
//! Start reading at [`PrometheusServer::start`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use super::cache::{RunFolder, install, is_root, say};
use super::java::answers;
use super::port::Port;
use super::process::{Launch, ServerProcess};
use super::tools::succeeds;

/// A program of Prometheus or Alertmanager: `prometheus`, `promtool` or `amtool`. Debian's Alertmanager itself needs to be installed.
///
/// # Errors
/// It is not installed, and this machine has no Debian packages to take it from.
pub fn monitoring_program(name: &str) -> Result<PathBuf> {
    if succeeds(&[name, "--version"]) {
        return Ok(name.into());
    }
    let home = install("debian-prometheus", |folder| {
        say("fetching Prometheus and Alertmanager");
        let mut line = vec!["apt-get", "download", "-q"];
        line.extend(PACKAGES);
        if !in_folder(folder, &line)? {
            if is_root() {
                in_folder(folder, &["apt-get", "update", "-q"])?;
            }
            if !in_folder(folder, &line)? {
                bail!(
                    "apt-get download {} failed; install them with this machine's package manager",
                    PACKAGES.join(" ")
                );
            }
        }
        for package in fs::read_dir(folder)?.flatten() {
            let name = package.file_name();
            if !in_folder(folder, &["dpkg-deb", "-x", &name.to_string_lossy(), "."])? {
                bail!("dpkg-deb cannot unpack {}", name.to_string_lossy());
            }
            fs::remove_file(package.path())?;
        }
        Ok(())
    })?;
    Ok(home.join("usr/bin").join(name))
}

fn in_folder(folder: &Path, line: &[&str]) -> Result<bool> {
    let output = Command::new(line[0])
        .args(&line[1..])
        .current_dir(folder)
        .output()?;
    Ok(output.status.success())
}

const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running Prometheus. It ends on drop.
#[derive(Debug)]
pub struct PrometheusServer {
    // Fields drop in this order: the process before its folder.
    process: ServerProcess,
    _folder: RunFolder,
    port: Port,
}

impl PrometheusServer {
    /// A Prometheus with an empty store. `files` are written beside each other, `prometheus.yml` among them.
    ///
    /// # Errors
    /// It is not to be had, or does not start; the message holds the end of its log.
    pub fn start(files: &[(&str, &str)]) -> Result<Self> {
        let program = monitoring_program("prometheus")?;
        let folder = RunFolder::create("prometheus")?;
        let port = Port::reserve()?;
        for (file, text) in files {
            fs::write(folder.path().join(file), text)?;
        }
        let listen = format!("--web.listen-address=127.0.0.1:{}", port.number());
        let own = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &listen,
        ];
        let launch = Launch {
            name: "Prometheus".to_owned(),
            program,
            arguments: own.iter().map(Into::into).collect(),
            environment: Vec::new(),
            account: None,
            folder: folder.path().to_owned(),
            terminate_by: Signal::TERM,
            start_limit: START_LIMIT,
        };
        let process = ServerProcess::spawn(launch, answers(port.number(), "/-/ready"))?;
        Ok(Self {
            process,
            _folder: folder,
            port,
        })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// What it wrote since its start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
