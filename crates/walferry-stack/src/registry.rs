//! A schema registry of our own: Apicurio Registry with its Confluent-compatible interface.
//!
//! Owns: data folder, port and process of one registry. Never: registers anything.
//! Invariant: what was registered survives a kill, because the schemas lie in a database file.
//! Start reading at [`RegistryServer::start`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::artifacts;
use super::cache::RunFolder;
use super::java;
use super::port::Port;
use super::process::{Launch, ServerProcess};

/// How a [`RegistryServer`] shall be.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    environment: Vec<(String, String)>,
}

impl RegistryOptions {
    /// Apicurio's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One of Apicurio's settings, as an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

/// A running (or, between a kill and a restart, stopped) registry. It ends on drop.
#[derive(Debug)]
pub struct RegistryServer {
    // Fields drop in this order: the process before its folder.
    process: ServerProcess,
    folder: RunFolder,
    port: Port,
}

impl RegistryServer {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// Apicurio is not to be had, or does not start; the message holds the end of its log.
    pub fn start(options: RegistryOptions) -> Result<Self> {
        let home = artifacts::registry()?;
        let folder = RunFolder::create("registry")?;
        let port = Port::reserve()?;
        let jar = runner_jar(&home)?;
        let database = folder.path().join("schemas");
        let number = port.number().to_string();
        let mut environment = vec![
            ("HTTP_PORT".into(), number.clone()),
            ("QUARKUS_HTTP_PORT".into(), number),
            ("QUARKUS_HTTP_HOST".into(), "127.0.0.1".into()),
            (
                "REGISTRY_DATASOURCE_URL".into(),
                format!("jdbc:h2:file:{};WRITE_DELAY=0", database.display()),
            ),
        ];
        environment.extend(options.environment);
        let launch = Launch {
            name: format!("Apicurio Registry {}", artifacts::REGISTRY_VERSION),
            program: java::find()?,
            arguments: (java::QUICK_START.into_iter())
                .chain(["-jar"])
                .map(Into::into)
                .chain([jar.into_os_string()])
                .collect(),
            environment,
            account: None,
            folder: folder.path().to_owned(),
            terminate_by: Signal::TERM,
            start_limit: START_LIMIT,
        };
        let process = ServerProcess::spawn(launch, ready_on(port.number()))?;
        Ok(Self {
            process,
            folder,
            port,
        })
    }

    /// Ends the registry as a crash would.
    ///
    /// # Errors
    /// The process could not be ended.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// Ends the registry in order.
    ///
    /// # Errors
    /// The process could not be ended.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Starts the registry again on the same port and data, after an orderly end if it still runs.
    ///
    /// # Errors
    /// The registry does not start; the message holds the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart(ready_on(self.port.number()))
    }

    /// Stops the registry without ending it.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets a frozen registry go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// The process id; `None` while the registry is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Base of the Confluent interface, `http://127.0.0.1:PORT/apis/ccompat/v7`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{BASE_PATH}", self.port.number())
    }

    /// What the registry wrote since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Lets the server outlive this process; its id and folder are what ends it later.
    pub(super) fn leave_running(mut self) -> Result<(u32, PathBuf)> {
        self.folder.detach()?;
        let pid = self.process.leave_running()?;
        Ok((pid, self.folder.path().to_owned()))
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.keep_for_inspection();
        }
    }
}

fn runner_jar(home: &Path) -> Result<PathBuf> {
    std::fs::read_dir(home)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
        .with_context(|| format!("no runner jar in {}", home.display()))
}

/// Ready is what lists its subjects.
fn ready_on(port: u16) -> impl Fn(&str) -> bool {
    java::answers(port, &format!("{BASE_PATH}/subjects"))
}

const BASE_PATH: &str = "/apis/ccompat/v7";
const START_LIMIT: Duration = Duration::from_secs(90);
