//! The servers' programs, fetched by Maven and unpacked into the cache.
//!
//! Owns: names and versions of what is fetched. Never: starts a server.
//! Start reading at [`postgres`]. Sources: `io.zonky.test.postgres` (PostgreSQL builds without an installer),
//! `org.apache.kafka` and `io.apicurio` on Maven's central registry.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cache::{install, say};
use super::java;
use super::tools::succeeds;

/// The PostgreSQL major versions that can be had.
pub const POSTGRES_MAJORS: &[u32] = &[14, 15, 16, 17, 18];
/// The one that is used when none is asked for.
pub const POSTGRES_MAJOR_DEFAULT: u32 = 17;
/// Kafka's version.
pub const KAFKA_VERSION: &str = "4.3.1";
/// Apicurio Registry's version.
pub const REGISTRY_VERSION: &str = "2.6.13.Final";

const POSTGRES_VERSIONS: &[(u32, &str)] = &[
    (14, "14.19.0"),
    (15, "15.14.0"),
    (16, "16.10.0"),
    (17, "17.6.0"),
    (18, "18.1.0"),
];

/// The folder with `bin/initdb` and `bin/postgres` of a major version.
pub(crate) fn postgres(major: u32) -> Result<PathBuf> {
    let Some((_, version)) = POSTGRES_VERSIONS.iter().find(|(known, _)| *known == major) else {
        bail!("there is no PostgreSQL {major} to be had; known are {POSTGRES_MAJORS:?}");
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64v8",
        other => bail!("there is no PostgreSQL to be had for {other}"),
    };
    install(&format!("postgres-{version}"), |folder| {
        let jar = folder.join("jar");
        let artifact = format!(
            "io.zonky.test.postgres:embedded-postgres-binaries-linux-{architecture}:{version}"
        );
        maven(
            folder,
            &format!("PostgreSQL {version}"),
            &[
                &goal("unpack"),
                &format!("-Dartifact={artifact}"),
                &format!("-DoutputDirectory={}", jar.display()),
            ],
        )?;
        let archive = only_file(&jar, "txz")?;
        unpack_xz(&archive, folder)?;
        fs::remove_dir_all(&jar)?;
        Ok(())
    })
}

/// The folder of Kafka: `libs/*.jar` and `template/`, a formatted storage folder of one node.
pub(crate) fn kafka() -> Result<PathBuf> {
    install(&format!("kafka-{KAFKA_VERSION}"), |folder| {
        fs::write(
            folder.join("pom.xml"),
            KAFKA_POM.replace("{KAFKA}", KAFKA_VERSION),
        )?;
        maven(
            folder,
            &format!("Kafka {KAFKA_VERSION}"),
            &[
                &goal("copy-dependencies"),
                "-DincludeScope=runtime",
                &format!("-DoutputDirectory={}", folder.join("libs").display()),
            ],
        )?;
        super::kafka::format_template(folder)
    })
}

/// The folder of the registry, with its runner jar.
pub(crate) fn registry() -> Result<PathBuf> {
    install(&format!("apicurio-{REGISTRY_VERSION}"), |folder| {
        let download = folder.join("download");
        let artifact = format!("io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all");
        maven(
            folder,
            &format!("Apicurio Registry {REGISTRY_VERSION} (142 MB)"),
            &[
                &goal("copy"),
                &format!("-Dartifact={artifact}"),
                &format!("-DoutputDirectory={}", download.display()),
            ],
        )?;
        let archive = only_file(&download, "gz")?;
        tar("-xzf", &archive, folder)?;
        fs::remove_dir_all(&download)?;
        Ok(())
    })
}

pub(super) fn goal(name: &str) -> String {
    format!("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:{name}")
}

const KAFKA_POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>walferry</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

/// Runs Maven, with a line of progress now and then; a failure is tried again, because what was fetched is kept.
pub(super) fn maven(folder: &Path, what: &str, arguments: &[&str]) -> Result<()> {
    say(&format!("fetching {what}"));
    let began = Instant::now();
    for attempt in 1..=MAVEN_TRIES {
        match maven_once(folder, what, arguments) {
            Ok(()) => {
                say(&format!(
                    "fetched {what} in {:.1} s",
                    began.elapsed().as_secs_f64()
                ));
                return Ok(());
            }
            Err(error) if attempt < MAVEN_TRIES => {
                say(&format!("fetching {what} failed, trying again: {error:#}"));
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("the last attempt returns")
}

fn maven_once(folder: &Path, what: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("mvn");
    command
        .args(["--batch-mode", "-Dstyle.color=never"])
        .args(arguments);
    // Maven starts the java that JAVA_HOME names; ours may be one that only we know to find.
    if std::env::var_os("JAVA_HOME").is_none()
        && let Ok(java) = java::find()
        && let Some(home) = java
            .parent()
            .and_then(Path::parent)
            .filter(|home| home.is_absolute())
    {
        command.env("JAVA_HOME", home);
    }
    let mut child = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("mvn did not start")?;
    let (lines, received) = mpsc::channel();
    let output = child.stdout.take().context("mvn has no output")?;
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    let (mut files, mut said, mut errors) = (0_u32, Instant::now(), Vec::new());
    loop {
        match received.recv_timeout(PROGRESS_EVERY) {
            Ok(line) if line.contains("Downloaded from") => files += 1,
            Ok(line) if line.starts_with("[ERROR]") => errors.push(line),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if said.elapsed() >= PROGRESS_EVERY {
            let seconds = began.elapsed().as_secs();
            say(&format!(
                "still fetching {what}: {files} files, {seconds} s"
            ));
            said = Instant::now();
        }
    }
    // The channel ended, so the reader has nothing left to do.
    let _ = reader.join();
    if !child.wait()?.success() {
        errors.truncate(8);
        bail!("mvn failed:\n{}", errors.join("\n"));
    }
    Ok(())
}

pub(super) fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension() == Some(OsStr::new(extension)))
        .with_context(|| format!("no .{extension} file in {}", folder.display()))
}

/// Unpacks a `.txz` by tar where xz is installed, else with the help of our own decoder.
fn unpack_xz(archive: &Path, folder: &Path) -> Result<()> {
    if succeeds(&["xz", "--version"]) {
        return tar("-xJf", archive, folder);
    }
    let plain = archive.with_extension("tar");
    let mut from = BufReader::new(File::open(archive)?);
    let mut to = BufWriter::new(File::create(&plain)?);
    lzma_rs::xz_decompress(&mut from, &mut to)
        .map_err(|error| anyhow::anyhow!("{} is not valid xz: {error:?}", archive.display()))?;
    drop(
        to.into_inner()
            .context("the unpacked archive was not written")?,
    );
    tar("-xf", &plain, folder)
}

pub(super) fn tar(how: &str, archive: &Path, folder: &Path) -> Result<()> {
    let output = Command::new("tar")
        .arg(how)
        .arg(archive)
        .arg("--no-same-owner")
        .arg("-C")
        .arg(folder)
        .output()
        .context("tar did not start")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("tar {} failed: {}", archive.display(), words.trim());
    }
    Ok(())
}

const MAVEN_TRIES: u32 = 3;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
