//! Kafka's classes, the Java that runs them, and storage folders laid out for a broker.
//!
//! Owns: the template of a formatted storage folder. Never: keeps a process.
//! Start reading at [`KafkaProgram::lay_out`].

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::java;

/// Kafka's classes and the Java that runs them.
#[derive(Debug)]
pub(super) struct KafkaProgram {
    pub(super) java: PathBuf,
    home: PathBuf,
}

impl KafkaProgram {
    pub(super) fn find(home: &Path) -> Result<Self> {
        Ok(Self {
            java: java::find()?,
            home: home.to_owned(),
        })
    }

    pub(super) fn class_path(&self) -> OsString {
        self.home.join("libs").join("*").into_os_string()
    }

    /// A formatted storage folder with ids of its own.
    pub(super) fn lay_out(&self, data: &Path) -> Result<()> {
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
    pub(super) fn run(&self, class: &str, arguments: &[&str]) -> Result<()> {
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
        Ok(())
    }

    /// Runs lines of Kafka's tools as a shell does that has them, up to the first that fails.
    pub(super) fn shell(&self, lines: &str) -> Result<()> {
        let mut script = String::from("set -e\n");
        for (tool, class) in TOOLS {
            script.push_str(&format!(
                "{tool}() {{ \"$JAVA\" -XX:TieredStopAtLevel=1 -Xmx256m -cp \"$CLASSES\" {class} \"$@\"; }}\n"
            ));
        }
        script.push_str(lines);
        let output = Command::new("bash")
            .args(["-c", &script])
            .env("JAVA", &self.java)
            .env("CLASSES", self.class_path())
            .output()
            .context("bash did not start")?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{lines}failed: {}", String::from_utf8_lossy(&said).trim());
        }
        Ok(())
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
pub(crate) fn format_template(home: &Path) -> Result<()> {
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

/// `kafka-acls`.
pub(super) const ACL_TOOL: &str = "org.apache.kafka.tools.AclCommand";
/// Kafka's tools, by the names of their scripts.
const TOOLS: [(&str, &str); 3] = [
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    ("kafka-acls", ACL_TOOL),
];

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
}
