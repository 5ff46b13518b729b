//! A Kafka broker of our own: one node that is broker and controller (KRaft).
//!
//! Owns: storage folder, ports and process of one broker. Never: speaks Kafka's protocol; tests bring a client.
//! Invariant: clients that come through a [`Door`] are only ever told the door's own address, so that a proxy in
//! front of it sees all that they send.
//! Start reading at [`KafkaServer::start`].

mod certificate;
mod program;

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use super::artifacts;
use super::cache::RunFolder;
use super::port::Port;
use super::process::{Launch, ServerProcess};
use certificate::Certificate;
pub(super) use program::format_template;
use program::{ACL_TOOL, KafkaProgram};

/// How a [`KafkaServer`] shall be.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    settings: Vec<(String, String)>,
    doors: usize,
    users: Vec<(String, String)>,
    tls: bool,
    heap_mib: u32,
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
            tls: false,
            heap_mib: 1024,
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

    /// The users' listener speaks TLS; [`KafkaServer::authority`] is what a client has to trust.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
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
    certificate: Option<Certificate>,
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
        let folder = RunFolder::create("kafka")?;
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
        let certificate = match options.tls {
            true => Some(Certificate::make(&program.java, folder.path())?),
            false => None,
        };
        let mut text = server_properties(&data, &ports, &options);
        if let Some(certificate) = &certificate {
            text.push_str(&certificate.settings("SASL"));
        }
        fs::write(&properties, text)?;
        program.lay_out(&data)?;
        let mut arguments: Vec<OsString> = vec![
            format!("-Xmx{}m", options.heap_mib).into(),
            "-Xms256m".into(),
            "-Dorg.slf4j.simpleLogger.showDateTime=true".into(),
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS".into(),
        ];
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
            start_limit: START_LIMIT,
        };
        let process = ServerProcess::spawn(launch, ready_on(ports.client.number()))?;
        Ok(Self {
            process,
            folder,
            ports,
            program,
            certificate,
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
        self.program.run(ACL_TOOL, &arguments)
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

    /// The PEM file with the authority behind the certificate of that listener, where it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.certificate.as_ref().map(|it| it.authority.as_path())
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

    /// Lets the server outlive this process; its id and folder are what ends it later.
    pub(super) fn leave_running(mut self) -> Result<(u32, PathBuf)> {
        self.folder.detach()?;
        let pid = self.process.leave_running()?;
        Ok((pid, self.folder.path().to_owned()))
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.keep_for_inspection();
        }
    }
}

/// Runs lines of `kafka-topics`, `kafka-configs` and `kafka-acls` as a shell does that has these tools, up to the first that
/// fails.
///
/// # Errors
/// A line fails; the message has what it said.
pub fn kafka_shell(lines: &str) -> Result<()> {
    KafkaProgram::find(&artifacts::kafka()?)?.shell(lines)
}

/// A line of the broker's three lists of listeners.
struct Listener {
    name: String,
    port: u16,
    /// What clients are told; the controller's is not for clients.
    advertised: Option<u16>,
    protocol: &'static str,
}

fn listeners(ports: &Ports, options: &KafkaOptions) -> Vec<Listener> {
    let plain = |name: String, port: u16, advertised: Option<u16>| Listener {
        name,
        port,
        advertised,
        protocol: "PLAINTEXT",
    };
    let client = ports.client.number();
    let mut all = vec![
        plain("PLAIN".to_owned(), client, Some(client)),
        plain("CONTROLLER".to_owned(), ports.controller.number(), None),
    ];
    for (index, door) in ports.doors.iter().enumerate() {
        let name = format!("DOOR{index}");
        all.push(plain(name, door.upstream(), Some(door.advertised())));
    }
    if !options.users.is_empty() {
        let port = ports.sasl.number();
        all.push(Listener {
            name: "SASL".to_owned(),
            port,
            advertised: Some(port),
            protocol: match options.tls {
                true => "SASL_SSL",
                false => "SASL_PLAINTEXT",
            },
        });
    }
    all
}

fn server_properties(data: &Path, ports: &Ports, options: &KafkaOptions) -> String {
    let mut text = String::from(BASE_SETTINGS);
    if !options.users.is_empty() {
        text.push_str(SASL_SETTINGS);
        for (name, password) in &options.users {
            push(&mut text, format_args!(" user_{name}=\"{password}\""));
        }
        text.push_str(";\n");
    }
    let all = listeners(ports, options);
    let (mut listen, mut advertise, mut protocols) = (Vec::new(), Vec::new(), Vec::new());
    for Listener {
        name,
        port,
        advertised,
        protocol,
    } in &all
    {
        listen.push(format!("{name}://127.0.0.1:{port}"));
        advertise.extend(advertised.map(|port| format!("{name}://127.0.0.1:{port}")));
        protocols.push(format!("{name}:{protocol}"));
    }
    push(&mut text, format_args!("listeners={}\n", listen.join(",")));
    push(
        &mut text,
        format_args!("advertised.listeners={}\n", advertise.join(",")),
    );
    push(
        &mut text,
        format_args!("listener.security.protocol.map={}\n", protocols.join(",")),
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
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required";
const START_LIMIT: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;

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
