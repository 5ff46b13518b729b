//! A Kafka Connect worker of our own with Debezium in it: the judge of compatibility.
//!
//! Owns: settings, port and process of one worker. Never: creates a connector; who uses it speaks its REST interface.
//! Invariant: the worker writes in exactly-once mode, as the product does.
//! Start reading at [`ConnectServer::start`].

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use super::artifacts::{KAFKA_VERSION, REGISTRY_VERSION, goal, maven, only_file, tar};
use super::cache::{RunFolder, install};
use super::java;
use super::port::Port;
use super::process::{Launch, ServerProcess};

/// Debezium's version, the judge of compatibility.
pub const DEBEZIUM_VERSION: &str = "3.7.0.Final";

/// A running worker. It ends on drop.
#[derive(Debug)]
pub struct ConnectServer {
    // Fields drop in this order: the process before its folder.
    process: ServerProcess,
    folder: RunFolder,
    port: Port,
}

impl ConnectServer {
    /// Starts a worker that keeps its state on `brokers`.
    ///
    /// # Errors
    /// Connect or Debezium is not to be had, or the worker does not start; the message holds the end of its log.
    pub fn start(brokers: &str) -> Result<Self> {
        let home = installed()?;
        let folder = RunFolder::create("connect")?;
        let port = Port::reserve()?;
        let properties = folder.path().join("worker.properties");
        fs::write(&properties, worker(&home, brokers, port.number()))?;
        let mut arguments: Vec<OsString> = java::QUICK_START.map(Into::into).into();
        arguments.extend([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".into(),
            "-cp".into(),
            home.join("libs").join("*").into_os_string(),
            "org.apache.kafka.connect.cli.ConnectDistributed".into(),
            properties.into_os_string(),
        ]);
        let launch = Launch {
            name: format!("Kafka Connect {}", KAFKA_VERSION),
            program: java::find()?,
            arguments,
            environment: Vec::new(),
            account: None,
            folder: folder.path().to_owned(),
            terminate_by: Signal::TERM,
            start_limit: START_LIMIT,
        };
        let process = ServerProcess::spawn(launch, java::answers(port.number(), "/connectors"))?;
        Ok(Self {
            process,
            folder,
            port,
        })
    }

    /// Root of the REST interface, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// What the worker wrote since its start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for ConnectServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.keep_for_inspection();
        }
    }
}

/// The folder of the worker: `libs/*.jar`, and `plugins/` with Debezium and the Avro converter.
fn installed() -> Result<PathBuf> {
    install(
        &format!("connect-{KAFKA_VERSION}-{DEBEZIUM_VERSION}"),
        |folder| {
            let copy = |pom: &str, to: &Path, what: &str| {
                fs::create_dir_all(to)?;
                fs::write(folder.join("pom.xml"), pom)?;
                let to = format!("-DoutputDirectory={}", to.display());
                let arguments = [&goal("copy-dependencies"), "-DincludeScope=runtime", &to];
                maven(folder, what, &arguments)
            };
            let runtime = CONNECT_POM.replace("{KAFKA}", KAFKA_VERSION);
            copy(&runtime, &folder.join("libs"), "Kafka Connect")?;
            let plugins = folder.join("plugins");
            let converter = CONVERTER_POM.replace("{REGISTRY}", REGISTRY_VERSION);
            copy(&converter, &plugins.join("converter"), "the Avro converter")?;
            let download = folder.join("download");
            maven(
                folder,
                &format!("Debezium {DEBEZIUM_VERSION}"),
                &[
                    &goal("copy"),
                    &format!(
                        "-Dartifact=io.debezium:debezium-connector-postgres:{DEBEZIUM_VERSION}:tar.gz:plugin"
                    ),
                    &format!("-DoutputDirectory={}", download.display()),
                ],
            )?;
            tar("-xzf", &only_file(&download, "gz")?, &plugins)?;
            fs::remove_dir_all(&download)?;
            Ok(())
        },
    )
}

fn worker(home: &Path, brokers: &str, port: u16) -> String {
    let plugins = home.join("plugins");
    format!(
        "bootstrap.servers={brokers}\n\
         group.id=compat\n\
         listeners=http://127.0.0.1:{port}\n\
         plugin.path={}\n\
         plugin.discovery=only_scan\n\
         key.converter=org.apache.kafka.connect.json.JsonConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n\
         config.storage.topic=compat_connect_config\n\
         config.storage.replication.factor=1\n\
         offset.storage.topic=compat_connect_offsets\n\
         offset.storage.replication.factor=1\n\
         offset.storage.partitions=1\n\
         status.storage.topic=compat_connect_status\n\
         status.storage.replication.factor=1\n\
         status.storage.partitions=1\n\
         exactly.once.source.support=enabled\n\
         connector.client.config.override.policy=All\n\
         scheduled.rebalance.max.delay.ms=0\n\
         offset.flush.interval.ms=500\n",
        plugins.display()
    )
}

const START_LIMIT: Duration = Duration::from_secs(120);

const CONNECT_POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>walferry</groupId><artifactId>connect</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId><version>{KAFKA}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

/// What Connect itself brings must not come a second time with a plugin.
const CONVERTER_POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>walferry</groupId><artifactId>converter</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.apicurio</groupId><artifactId>apicurio-registry-utils-converter</artifactId><version>{REGISTRY}</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>*</artifactId></exclusion>
        <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId></exclusion>
      </exclusions>
    </dependency>
  </dependencies>
</project>
"#;
