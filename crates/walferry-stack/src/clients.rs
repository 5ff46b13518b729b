//! Consumers that others have written: their libraries, fetched into the cache.
//!
//! Owns: what is fetched, with its versions, and how a source file is run against it. Never: what a consumer does;
//! that is the test's. Start reading at [`flink`]. Sources: PyPI for Python, Maven's central registry for Java.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::artifacts::{self, REGISTRY_VERSION};
use super::cache::{install, say};
use super::java;
use super::python::FASTAVRO_VERSION;
use super::tools::{JAVA_TOOLS, PYTHON_TOOLS, ensure};

/// The folder with confluent-kafka, its registry client and fastavro, for `PYTHONPATH` of `python3`.
///
/// # Errors
/// Python is missing and may not be installed, or the download failed.
pub fn confluent_kafka() -> Result<PathBuf> {
    ensure(PYTHON_TOOLS)?;
    install(
        &format!("confluent-kafka-{CONFLUENT_KAFKA_VERSION}"),
        |folder| {
            say(&format!(
                "fetching confluent-kafka {CONFLUENT_KAFKA_VERSION}"
            ));
            let output = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--no-input", "--target"])
                .arg(folder)
                .arg(format!(
                    "confluent-kafka[avro,schemaregistry]=={CONFLUENT_KAFKA_VERSION}"
                ))
                .arg(format!("fastavro=={FASTAVRO_VERSION}"))
                .output()?;
            if !output.status.success() {
                bail!("pip: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            Ok(())
        },
    )
}

/// Kafka's consumer with the deserialiser that the registry's makers publish.
///
/// # Errors
/// Java or Maven is missing and may not be installed, or the download failed.
pub fn registry_deserialiser() -> Result<JavaClient> {
    let serde = format!("io.apicurio:apicurio-registry-serdes-avro-serde:{REGISTRY_VERSION}");
    client(
        &format!("registry-deserialiser-{REGISTRY_VERSION}"),
        &[&serde, SLF4J],
    )
}

/// Flink with its SQL planner, its Kafka connector and its formats for the registry.
///
/// # Errors
/// As [`registry_deserialiser`].
pub fn flink() -> Result<JavaClient> {
    let of_flink = |name: &str| format!("org.apache.flink:{name}:{FLINK_VERSION}");
    let connector = format!("org.apache.flink:flink-sql-connector-kafka:{FLINK_KAFKA_VERSION}");
    client(
        &format!("flink-{FLINK_VERSION}"),
        &[
            &of_flink("flink-table-api-java-bridge"),
            &of_flink("flink-table-planner-loader"),
            &of_flink("flink-table-runtime"),
            &of_flink("flink-clients"),
            &of_flink("flink-connector-base"),
            &of_flink("flink-sql-avro-confluent-registry"),
            &connector,
            SLF4J,
        ],
    )
}

/// Libraries for a program in Java.
#[derive(Debug, Clone)]
pub struct JavaClient {
    java: PathBuf,
    libraries: PathBuf,
}

impl JavaClient {
    /// The command that compiles one source file in memory and runs it; its arguments are the caller's to add.
    #[must_use]
    pub fn run(&self, source: &Path) -> Command {
        let mut command = Command::new(&self.java);
        command
            .args(["-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            // Flink's serialisers look into these.
            .args([
                "--add-opens=java.base/java.lang=ALL-UNNAMED",
                "--add-opens=java.base/java.util=ALL-UNNAMED",
            ])
            .arg("-cp")
            .arg(self.libraries.join("*"))
            .arg(source);
        command
    }
}

fn client(name: &str, artifacts: &[&str]) -> Result<JavaClient> {
    ensure(JAVA_TOOLS)?;
    let home = install(name, |folder| {
        fs::write(folder.join("pom.xml"), pom(artifacts))?;
        let output = folder.join("libs");
        artifacts::maven(
            folder,
            name,
            &[
                &artifacts::goal("copy-dependencies"),
                "-DincludeScope=runtime",
                &format!("-DoutputDirectory={}", output.display()),
            ],
        )
    })?;
    Ok(JavaClient {
        java: java::find_with_compiler()?,
        libraries: home.join("libs"),
    })
}

/// A project that depends on these artifacts, each `group:name:version`.
fn pom(artifacts: &[&str]) -> String {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let parts: Vec<&str> = artifact.split(':').collect();
        let tags = ["groupId", "artifactId", "version"];
        dependencies.push_str("<dependency>");
        for (tag, part) in tags.iter().zip(parts) {
            dependencies.push_str(&format!("<{tag}>{part}</{tag}>"));
        }
        dependencies.push_str("</dependency>\n");
    }
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n<modelVersion>4.0.0</modelVersion>\n\
         <groupId>walferry</groupId><artifactId>client</artifactId><version>1</version>\n\
         <dependencies>\n{dependencies}</dependencies>\n</project>\n"
    )
}

const CONFLUENT_KAFKA_VERSION: &str = "2.16.1";
const FLINK_VERSION: &str = "2.2.0";
const FLINK_KAFKA_VERSION: &str = "5.0.0-2.2";
const SLF4J: &str = "org.slf4j:slf4j-simple:1.7.36";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_names_each_artifact() {
        let text = pom(&["a.b:c:1", SLF4J]);
        assert!(text.contains(
            "<dependency><groupId>a.b</groupId><artifactId>c</artifactId><version>1</version></dependency>"
        ));
        assert_eq!(text.matches("<dependency>").count(), 2, "{text}");
    }
}
