//! A Kafka broker of our own: one node that is broker and controller (KRaft).
//!
//! Owns: storage folder, ports and process of one broker. Never: speaks Kafka's protocol; tests bring a client.
//! Invariant: clients that come through a [`Door`] are only ever told the door's own address, so that a proxy in
//! front of it sees all that they send.
//! Start reading at [`KafkaServer::start`].

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::artifacts;
use super::cache::RunFolder;
use super::java;
use super::port::Port;
use super::process::{Launch, ServerProcess};

/// How a [`KafkaServer`] shall be.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    settings: Vec<(String, String)>,
    doors: usize,
    users: Vec<(String, String)>,
    heap_mib: u32,
    detached: bool,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl KafkaOptions {
    /// Kafka's defaults, with few partitions for its internal topics and replication factors of 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Vec::new(),
            doors: 0,
            users: Vec::new(),
            heap_mib: 1024,
            detached: false,
        }
    }

    /// A broker setting, as in server.properties; a later one of the same name wins.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Adds listeners to stand a proxy in front of; see [`Door`].
    #[must_use]
    pub fn doors(mut self, count: usize) -> Self {
        self.doors = count;
        self
    }

    /// Adds a listener with SASL PLAIN and this user, and switches authorization on: a user may do only what
    /// [`KafkaServer::allow`] grants. Clients of the plain listener are super users.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.into(), password.into()));
        self
    }

    /// Keeps the broker running when this process ends.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }
}

/// A listener for use behind a proxy: the proxy listens on `advertised` and connects to `upstream`. Clients
/// bootstrap from `127.0.0.1:advertised`, and the broker sends them nowhere else.
#[derive(Debug)]
pub struct Door {
    upstream: Port,
    advertised: Port,
}

impl Door {
    /// Where the broker listens.
    #[must_use]
    pub fn upstream(&self) -> u16 {
        self.upstream.number()
    }

    /// Where the broker says that it listens; reserved, for the proxy to bind.
    #[must_use]
    pub fn advertised(&self) -> u16 {
        self.advertised.number()
    }
}

/// A running (or, between a kill and a restart, stopped) broker. It ends on drop.
#[derive(Debug)]
pub struct KafkaServer {
    // Fields drop in this order: the process before its folder.
    process: ServerProcess,
    folder: RunFolder,
    ports: Ports,
    program: KafkaProgram,
}

#[derive(Debug)]
struct Ports {
    client: Port,
    controller: Port,
    sasl: Port,
    doors: Vec<Door>,
}

impl KafkaServer {
    /// Starts a broker without topics.
    ///
    /// # Errors
    /// Kafka is not to be had, or the broker does not start; the message holds the end of its log.
    pub fn start(options: KafkaOptions) -> Result<Self> {
        let program = KafkaProgram::find(&artifacts::kafka()?)?;
        let mut folder = RunFolder::create("kafka")?;
        let ports = Ports {
            client: Port::reserve()?,
            controller: Port::reserve()?,
            sasl: Port::reserve()?,
            doors: (0..options.doors)
                .map(|_| {
                    Ok(Door {
                        upstream: Port::reserve()?,
                        advertised: Port::reserve()?,
                    })
                })
                .collect::<Result<_>>()?,
        };
        let properties = folder.path().join("server.properties");
        let data = folder.path().join("data");
        fs::write(&properties, server_properties(&data, &ports, &options))?;
        program.lay_out(&data)?;
        if options.detached {
            folder.detach()?;
        }
        let mut arguments: Vec<OsString> = vec![
            format!("-Xmx{}m", options.heap_mib).into(),
            "-Xms256m".into(),
            "-Dorg.slf4j.simpleLogger.showDateTime=true".into(),
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS".into(),
        ];
        arguments.extend(program.archive_argument());
        arguments.extend([
            "-cp".into(),
            program.class_path(),
            "kafka.Kafka".into(),
            properties.into_os_string(),
        ]);
        let launch = Launch {
            name: format!("Kafka {}", artifacts::KAFKA_VERSION),
            program: program.java.clone(),
            arguments,
            environment: Vec::new(),
            account: None,
            folder: folder.path().to_owned(),
            terminate_by: Signal::TERM,
            detached: options.detached,
            start_limit: START_LIMIT,
        };
        let process = ServerProcess::spawn(launch, ready_on(ports.client.number()))?;
        Ok(Self {
            process,
            folder,
            ports,
            program,
        })
    }

    /// Lets a user do something, as `kafka-acls` does: `["--operation", "Write", "--topic", "a"]`.
    ///
    /// # Errors
    /// The broker does not answer or refuses; the message is Kafka's.
    pub fn allow(&self, user: &str, what: &[&str]) -> Result<()> {
        let brokers = self.brokers();
        let principal = format!("User:{user}");
        let mut arguments = vec![
            "--bootstrap-server",
            &brokers,
            "--add",
            "--allow-principal",
            &principal,
        ];
        arguments.extend(what);
        self.program.run(ACL_TOOL, &arguments).map(|_| ())
    }

    /// Ends the broker as a crash would.
    ///
    /// # Errors
    /// The process could not be ended.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// Ends the broker in order.
    ///
    /// # Errors
    /// The process could not be ended.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Starts the broker again on the same ports and data, after an orderly end if it still runs.
    ///
    /// # Errors
    /// The broker does not start; the message holds the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart(ready_on(self.ports.client.number()))
    }

    /// Stops the broker without ending it.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// The process id; `None` while the broker is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Where plain clients are served, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.client.number()
    }

    /// `127.0.0.1:PORT`, for `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// `127.0.0.1:PORT` of the listener with SASL PLAIN; it is open only when there are users.
    #[must_use]
    pub fn sasl_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl.number())
    }

    /// The listeners for proxies, as many as were asked for.
    #[must_use]
    pub fn doors(&self) -> &[Door] {
        &self.ports.doors
    }

    /// What the broker wrote since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.keep_for_inspection();
        }
    }
}

fn server_properties(data: &Path, ports: &Ports, options: &KafkaOptions) -> String {
    let mut names = vec![
        (
            "PLAIN".to_owned(),
            ports.client.number(),
            ports.client.number(),
            "PLAINTEXT",
        ),
        (
            "CONTROLLER".to_owned(),
            ports.controller.number(),
            0,
            "PLAINTEXT",
        ),
    ];
    for (index, door) in ports.doors.iter().enumerate() {
        names.push((
            format!("DOOR{index}"),
            door.upstream(),
            door.advertised(),
            "PLAINTEXT",
        ));
    }
    let mut text = String::from(BASE_SETTINGS);
    if !options.users.is_empty() {
        let port = ports.sasl.number();
        names.push(("SASL".to_owned(), port, port, "SASL_PLAINTEXT"));
        text.push_str(SASL_SETTINGS);
        text.push_str("listener.name.sasl.plain.sasl.jaas.config=");
        text.push_str("org.apache.kafka.common.security.plain.PlainLoginModule required");
        for (name, password) in &options.users {
            push(&mut text, format_args!(" user_{name}=\"{password}\""));
        }
        text.push_str(";\n");
    }
    let join = |each: &dyn Fn(&(String, u16, u16, &str)) -> Option<String>| {
        names.iter().filter_map(each).collect::<Vec<_>>().join(",")
    };
    let address = |name: &str, port: u16| Some(format!("{name}://127.0.0.1:{port}"));
    let listeners = join(&|(name, port, _, _)| address(name, *port));
    let advertised = join(&|(name, _, told, _)| (*told != 0).then(|| address(name, *told))?);
    let protocols = join(&|(name, _, _, protocol)| Some(format!("{name}:{protocol}")));
    push(&mut text, format_args!("listeners={listeners}\n"));
    push(
        &mut text,
        format_args!("advertised.listeners={advertised}\n"),
    );
    push(
        &mut text,
        format_args!("listener.security.protocol.map={protocols}\n"),
    );
    let controller = ports.controller.number();
    push(
        &mut text,
        format_args!("controller.quorum.voters=1@127.0.0.1:{controller}\n"),
    );
    push(&mut text, format_args!("log.dirs={}\n", data.display()));
    for (name, value) in &options.settings {
        push(&mut text, format_args!("{name}={value}\n"));
    }
    text
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line)
        .expect("writing to a string cannot fail");
}

/// The broker says when it is done; a connection shows that it is not an older life's word.
fn ready_on(port: u16) -> impl Fn(&str) -> bool {
    move |log| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        log.contains("Kafka Server started") && TcpStream::connect(address).is_ok()
    }
}

/// Kafka's classes and the Java that runs them.
#[derive(Debug)]
struct KafkaProgram {
    java: PathBuf,
    home: PathBuf,
}

impl KafkaProgram {
    fn find(home: &Path) -> Result<Self> {
        Ok(Self {
            java: java::find()?,
            home: home.to_owned(),
        })
    }

    fn class_path(&self) -> OsString {
        self.home.join("libs").join("*").into_os_string()
    }

    /// Classes parsed ahead of time, where an archive was made; a JVM that does not like it goes on without.
    fn archive_argument(&self) -> Option<OsString> {
        let archive = self.home.join("classes.jsa");
        archive
            .is_file()
            .then(|| format!("-XX:SharedArchiveFile={}", archive.display()).into())
    }

    /// A formatted storage folder with ids of its own.
    fn lay_out(&self, data: &Path) -> Result<()> {
        fs::create_dir(data)?;
        for entry in fs::read_dir(self.home.join("template"))? {
            let entry = entry?;
            fs::copy(entry.path(), data.join(entry.file_name()))?;
        }
        let path = data.join("meta.properties");
        let template = fs::read_to_string(&path)?;
        let fresh: String = template.lines().map(with_fresh_id).collect();
        fs::write(&path, fresh)?;
        Ok(())
    }

    /// Runs one of Kafka's command line tools to its end.
    fn run(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.java)
            .args(["-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp"])
            .arg(self.class_path())
            .arg(class)
            .args(arguments)
            .output()
            .context("java did not start")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("{class} {} failed: {}", arguments.join(" "), words.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A line of meta.properties, with new letters for the ids of cluster and folder.
fn with_fresh_id(line: &str) -> String {
    match line.split_once('=') {
        Some((name @ ("cluster.id" | "directory.id"), _)) => format!("{name}={}\n", fresh_id()),
        _ => format!("{line}\n"),
    }
}

/// 128 random bits as 22 letters of URL-safe base64, the last of which carries only two of them.
fn fresh_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = (u128::from(RandomState::new().hash_one(std::process::id())) << 64)
        | u128::from(RandomState::new().hash_one(0));
    let mut id = String::new();
    for _ in 0..21 {
        id.push(char::from(LETTERS[(bits & 63) as usize]));
        bits >>= 6;
    }
    id.push(char::from(LETTERS[((bits & 3) << 4) as usize]));
    id
}

/// Formats `template/` below `home`, once, when Kafka is installed: copying it saves each start a JVM.
pub(super) fn format_template(home: &Path) -> Result<()> {
    let program = KafkaProgram::find(home)?;
    let template = home.join("template");
    let properties = home.join("template.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
         listeners=PLAIN://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n\
         inter.broker.listener.name=PLAIN\n\
         listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.quorum.voters=1@127.0.0.1:2\nlog.dirs={}\n",
        template.display()
    );
    fs::write(&properties, text)?;
    let path = properties.to_string_lossy();
    program.run(
        "kafka.tools.StorageTool",
        &["format", "-t", &fresh_id(), "-c", &path],
    )?;
    Ok(())
}

const ACL_TOOL: &str = "org.apache.kafka.tools.AclCommand";
const BASE_SETTINGS: &str = "process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
group.initial.rebalance.delay.ms=0
";
const SASL_SETTINGS: &str = "sasl.enabled.mechanisms=PLAIN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
";
const START_LIMIT: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fresh_and_the_rest_of_the_file_stays() {
        let line = with_fresh_id("cluster.id=abc");
        assert_eq!(line.len(), "cluster.id=".len() + 22 + 1);
        assert_ne!(line, with_fresh_id("cluster.id=abc"));
        assert_eq!(with_fresh_id("node.id=1"), "node.id=1\n");
    }

    #[test]
    fn a_door_listens_on_one_port_and_names_another() {
        let ports = Ports {
            client: Port::reserve().unwrap(),
            controller: Port::reserve().unwrap(),
            sasl: Port::reserve().unwrap(),
            doors: vec![Door {
                upstream: Port::reserve().unwrap(),
                advertised: Port::reserve().unwrap(),
            }],
        };
        let text = server_properties(Path::new("/d"), &ports, &KafkaOptions::new());
        let line = |name: &str| {
            text.lines()
                .find(|l| l.starts_with(name))
                .unwrap()
                .to_owned()
        };
        let door = &ports.doors[0];
        assert!(line("listeners=").contains(&format!("DOOR0://127.0.0.1:{}", door.upstream())));
        let advertised = line("advertised.listeners=");
        assert!(advertised.contains(&format!("DOOR0://127.0.0.1:{}", door.advertised())));
        assert!(!advertised.contains("CONTROLLER"));
    }
}
