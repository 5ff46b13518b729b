//! A stack that goes on when the command that started it has ended, and the file that remembers it.
//!
//! Owns: the file `stack.json` in the cache. Never: attaches tests to it unasked; `cargo xtask` passes coordinates on.
//! Start reading at [`DevelopmentStack::up`].

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cache::{cache_folder, say};
use super::process::{end_detached, runs};
use super::{Coordinates, KafkaOptions, PostgresOptions, RegistryOptions, Stack, containers};

/// What runs the servers of a development stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Processes of this machine.
    Native,
    /// `docker compose` or its like.
    Containers,
}

/// The servers that `cargo xtask stack up` leaves running.
#[derive(Debug, Clone)]
pub struct DevelopmentStack {
    /// What runs them.
    pub engine: Engine,
    /// PostgreSQL's major version.
    pub postgres_major: u32,
    /// Where they answer.
    pub coordinates: Coordinates,
    /// Native processes; empty for containers.
    servers: Vec<Detached>,
}

#[derive(Debug, Clone)]
struct Detached {
    name: String,
    pid: u32,
    folder: PathBuf,
}

impl DevelopmentStack {
    /// The stack that is up, or one that is started now: containers where an engine answers, else native servers.
    /// `WALFERRY_STACK=native` or `containers` decides instead.
    ///
    /// # Errors
    /// A stack with another PostgreSQL is up, or the servers do not start.
    pub fn up(postgres_major: u32) -> Result<Self> {
        if let Some(found) = Self::find()? {
            if found.postgres_major == postgres_major && found.answers() {
                return Ok(found);
            }
            if found.answers() {
                bail!(
                    "a stack with PostgreSQL {} is up; `cargo xtask stack down` ends it",
                    found.postgres_major
                );
            }
            say("the last stack no longer answers; clearing it away");
            Self::down()?;
        }
        let stack = match std::env::var("WALFERRY_STACK").as_deref() {
            Ok("native") => Self::up_native(postgres_major)?,
            Ok("containers") => Self::up_containers(postgres_major)?,
            Ok(other) if !other.is_empty() => {
                bail!("WALFERRY_STACK is \"{other}\"; it may be native or containers")
            }
            _ => match Self::up_containers(postgres_major) {
                Ok(stack) => stack,
                Err(reason) => {
                    say(&format!(
                        "native servers, because there are no containers: {reason:#}"
                    ));
                    Self::up_native(postgres_major)?
                }
            },
        };
        stack.save()?;
        Ok(stack)
    }

    fn up_containers(postgres_major: u32) -> Result<Self> {
        Ok(Self {
            engine: Engine::Containers,
            postgres_major,
            coordinates: containers::up(postgres_major)?,
            servers: Vec::new(),
        })
    }

    fn up_native(postgres_major: u32) -> Result<Self> {
        let stack = Stack::start_with(
            PostgresOptions::new().major(postgres_major),
            KafkaOptions::new(),
            RegistryOptions::new(),
        )?;
        let coordinates = stack.coordinates();
        let left = |name: &str, (pid, folder)| Detached {
            name: name.into(),
            pid,
            folder,
        };
        let servers = vec![
            left("postgres", stack.postgres.leave_running()?),
            left("kafka", stack.kafka.leave_running()?),
            left("registry", stack.registry.leave_running()?),
        ];
        Ok(Self {
            engine: Engine::Native,
            postgres_major,
            coordinates,
            servers,
        })
    }

    /// The stack that the file remembers, whether it still answers or not.
    ///
    /// # Errors
    /// The file is there and cannot be understood.
    pub fn find() -> Result<Option<Self>> {
        let path = file()?;
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(None);
        };
        let stack = serde_json::from_str(&text)
            .ok()
            .as_ref()
            .and_then(Self::from_json);
        let remedy = || format!("{} is not a stack file of ours; remove it", path.display());
        stack.map(Some).with_context(remedy)
    }

    /// Ends the stack that is up and removes its data; `false` when there was none.
    ///
    /// # Errors
    /// A server could not be ended or its folder not be removed.
    pub fn down() -> Result<bool> {
        let Some(stack) = Self::find()? else {
            return Ok(false);
        };
        if stack.engine == Engine::Containers {
            containers::down()?;
        }
        std::thread::scope(|scope| {
            for server in &stack.servers {
                // An id may have gone to another process since; the folder tells whose it is.
                if server.is_ours() {
                    scope.spawn(|| end_detached(server.pid));
                }
            }
        });
        for server in &stack.servers {
            if server.folder.exists() {
                fs::remove_dir_all(&server.folder)
                    .with_context(|| format!("{} is left over", server.folder.display()))?;
            }
        }
        fs::remove_file(file()?)?;
        Ok(true)
    }

    /// One line for each server: name, address, process, and whether it answers.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let engine = match self.engine {
            Engine::Native => "native",
            Engine::Containers => "containers",
        };
        self.addresses()
            .iter()
            .map(|(name, address)| {
                let answers = if reachable(address) {
                    "up"
                } else {
                    "does not answer"
                };
                let of = self.servers.iter().find(|server| server.name == *name);
                let process = of.map_or(String::new(), |server| {
                    format!(
                        "  pid {}  log {}",
                        server.pid,
                        server.folder.join("server.log").display()
                    )
                });
                format!("{name:<9} {address:<58} {answers} ({engine}){process}")
            })
            .collect()
    }

    /// Whether all three servers take connections.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.addresses()
            .iter()
            .all(|(_, address)| reachable(address))
    }

    fn addresses(&self) -> [(&'static str, &str); 3] {
        [
            ("postgres", &self.coordinates.postgres_url),
            ("kafka", &self.coordinates.kafka_brokers),
            ("registry", &self.coordinates.registry_url),
        ]
    }

    fn save(&self) -> Result<()> {
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|s| json!({"name": s.name, "pid": s.pid, "folder": s.folder.to_string_lossy()}))
            .collect();
        let value = json!({
            "engine": if self.engine == Engine::Native { "native" } else { "containers" },
            "postgres_major": self.postgres_major,
            "postgres": self.coordinates.postgres_url,
            "kafka": self.coordinates.kafka_brokers,
            "registry": self.coordinates.registry_url,
            "servers": servers,
        });
        let path = file()?;
        let half = path.with_extension("half");
        fs::write(&half, serde_json::to_string_pretty(&value)?)?;
        fs::rename(half, path)?;
        Ok(())
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let servers = value["servers"].as_array()?.iter().map(|server| {
            Some(Detached {
                name: server["name"].as_str()?.to_owned(),
                pid: u32::try_from(server["pid"].as_u64()?).ok()?,
                folder: server["folder"].as_str()?.into(),
            })
        });
        Some(Self {
            engine: match value["engine"].as_str()? {
                "native" => Engine::Native,
                _ => Engine::Containers,
            },
            postgres_major: u32::try_from(value["postgres_major"].as_u64()?).ok()?,
            coordinates: Coordinates {
                postgres_url: text("postgres")?,
                kafka_brokers: text("kafka")?,
                registry_url: text("registry")?,
            },
            servers: servers.collect::<Option<_>>()?,
        })
    }
}

impl Detached {
    /// Whether the process of this id is the server that we started: it works in the folder we gave it.
    fn is_ours(&self) -> bool {
        let works_in = fs::read_link(format!("/proc/{}/cwd", self.pid));
        runs(self.pid) && works_in.is_ok_and(|folder| folder.starts_with(&self.folder))
    }
}

fn file() -> Result<PathBuf> {
    Ok(cache_folder()?.join("stack.json"))
}

/// Whether the `127.0.0.1:PORT` inside an address takes connections.
fn reachable(address: &str) -> bool {
    const HOST: &str = "127.0.0.1:";
    let Some(at) = address.find(HOST) else {
        return false;
    };
    let port: String = address[at + HOST.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let Ok(port) = port.parse::<u16>() else {
        return false;
    };
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PROBE_LIMIT).is_ok()
}

const PROBE_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_short_is_not_a_stack() {
        let whole = json!({
            "engine": "native", "postgres_major": 17, "postgres": "a", "kafka": "b",
            "registry": "c", "servers": [{"name": "kafka", "pid": 7, "folder": "/x"}],
        });
        let stack = DevelopmentStack::from_json(&whole).unwrap();
        assert_eq!((stack.postgres_major, stack.servers[0].pid), (17, 7));
        let mut cut = whole;
        cut.as_object_mut().unwrap().remove("kafka");
        assert!(DevelopmentStack::from_json(&cut).is_none());
    }

    #[test]
    fn the_port_is_found_inside_an_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(reachable(&format!("http://127.0.0.1:{port}/apis")));
        assert!(!reachable("http://elsewhere:1/"));
    }

    #[test]
    fn a_process_that_works_elsewhere_is_not_ours() {
        let own = |folder: &str| Detached {
            name: "kafka".into(),
            pid: std::process::id(),
            folder: folder.into(),
        };
        assert!(!own("/nonexistent").is_ours());
        assert!(own("/").is_ours());
    }
}
