//! The programs that building and running needs, found or installed.
//!
//! Owns: the list of tools with their packages, and the way to get them: `apt-get` where we are root on a machine
//! that has it, else the exact command for a person to run. Never: downloads servers (see `artifacts`).
//! Start reading at [`ensure`].

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache::{is_root, say};
use super::java;

/// A program, how to tell that it is there, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// For messages.
    pub name: &'static str,
    /// Debian packages, the first that exists is taken.
    packages: &'static [&'static str],
    probe: Probe,
}

#[derive(Debug, Clone, Copy)]
enum Probe {
    /// This command line succeeds.
    Command(&'static [&'static str]),
    /// A Java of at least [`java::MAJOR_MIN`].
    Java,
    /// The same, with its compiler.
    JavaCompiler,
}

/// What the workspace needs to be built: librdkafka and OpenSSL are C code that is compiled with it.
pub const BUILD_TOOLS: &[Tool] = &[
    Tool {
        name: "C compiler",
        packages: &["build-essential"],
        probe: command(&["cc", "--version"]),
    },
    Tool {
        name: "C++ compiler",
        packages: &["build-essential"],
        probe: command(&["c++", "--version"]),
    },
    Tool {
        name: "make",
        packages: &["build-essential"],
        probe: command(&["make", "--version"]),
    },
    Tool {
        name: "pkg-config",
        packages: &["pkg-config"],
        probe: command(&["pkg-config", "--version"]),
    },
    Tool {
        name: "perl with its modules",
        packages: &["perl"],
        probe: command(PERL),
    },
];

/// What running the servers needs.
pub const SERVER_TOOLS: &[Tool] = &[
    Tool {
        name: "Java 17 or later",
        packages: &[
            "openjdk-17-jre-headless",
            "openjdk-21-jre-headless",
            "default-jre-headless",
        ],
        probe: Probe::Java,
    },
    Tool {
        name: "Maven",
        packages: &["maven"],
        probe: command(&["mvn", "--version"]),
    },
    Tool {
        name: "tar",
        packages: &["tar"],
        probe: command(&["tar", "--version"]),
    },
];

/// What consumers written in Java need: they are compiled when they are run.
pub const JAVA_TOOLS: &[Tool] = &[
    Tool {
        name: "Java 17 or later with its compiler",
        packages: &[
            "openjdk-17-jdk-headless",
            "openjdk-21-jdk-headless",
            "default-jdk-headless",
        ],
        probe: Probe::JavaCompiler,
    },
    Tool {
        name: "Maven",
        packages: &["maven"],
        probe: command(&["mvn", "--version"]),
    },
];

/// What the second judge of records and the consumer written in Python need.
pub const PYTHON_TOOLS: &[Tool] = &[
    Tool {
        name: "Python 3",
        packages: &["python3"],
        probe: command(&["python3", "--version"]),
    },
    Tool {
        name: "pip",
        packages: &["python3-pip"],
        probe: command(&["python3", "-m", "pip", "--version"]),
    },
];

/// What looking at the page in a browser needs.
pub const BROWSER_TOOLS: &[Tool] = &[
    Tool {
        name: "Chromium",
        packages: &["chromium"],
        probe: command(&["chromium", "--version"]),
    },
    Tool {
        name: "Node.js",
        packages: &["nodejs"],
        probe: command(&["node", "--version"]),
    },
    Tool {
        name: "npm",
        packages: &["npm"],
        probe: command(&["npm", "--version"]),
    },
];

/// What judges the unit that we ship.
pub const SYSTEMD_TOOLS: &[Tool] = &[Tool {
    name: "systemd-analyze",
    packages: &["systemd"],
    probe: command(&["systemd-analyze", "--version"]),
}];

/// OpenSSL's Configure uses these modules, which Debian's perl-base lacks.
const PERL: &[&str] = &[
    "perl",
    "-MFindBin",
    "-MFile::Compare",
    "-MIPC::Cmd",
    "-MTime::Piece",
    "-e",
    "1",
];

const fn command(line: &'static [&'static str]) -> Probe {
    Probe::Command(line)
}

impl Tool {
    fn is_there(&self) -> bool {
        match self.probe {
            Probe::Command(line) => succeeds(line),
            Probe::Java => java::find().is_ok(),
            Probe::JavaCompiler => java::find_with_compiler().is_ok(),
        }
    }
}

/// Makes sure that all of these tools are there, and installs those that are not where that is allowed.
///
/// # Errors
/// A tool is missing and we may not install it, or its installation failed; the message holds the command to run.
pub fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !tool.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing
        .iter()
        .map(|tool| tool.name)
        .collect::<Vec<_>>()
        .join(", ");
    if !succeeds(&["apt-get", "--version"]) {
        bail!("missing: {names}; install them with this machine's package manager and try again");
    }
    if !is_root() {
        let packages = packages_of(&missing, |_| true);
        bail!(
            "missing: {names}; run: sudo apt-get install -y {}",
            packages.join(" ")
        );
    }
    say(&format!("missing: {names}; refreshing the package lists"));
    apt(&["update", "-q"])?;
    let packages = packages_of(&missing, |name| succeeds(&["apt-cache", "show", name]));
    say(&format!("installing {}", packages.join(", ")));
    let mut line = vec!["install", "-y", "-q", "--no-install-recommends"];
    line.extend(&packages);
    apt(&line)?;
    match missing.iter().find(|tool| !tool.is_there()) {
        Some(tool) => bail!(
            "{} is still missing after its package was installed",
            tool.name
        ),
        None => Ok(()),
    }
}

fn packages_of(tools: &[&Tool], exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<&'static str> = Vec::new();
    for tool in tools {
        let first = tool.packages[0];
        let package = tool
            .packages
            .iter()
            .copied()
            .find(|name| exists(name))
            .unwrap_or(first);
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    packages
}

fn apt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("apt-get did not start")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("apt-get {} failed: {}", arguments.join(" "), words.trim());
    }
    Ok(())
}

/// Whether a command line runs and ends well.
pub(crate) fn succeeds(line: &[&str]) -> bool {
    Command::new(line[0])
        .args(&line[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once_and_the_first_that_exists_is_taken() {
        let tools: Vec<&Tool> = BUILD_TOOLS.iter().chain(SERVER_TOOLS).collect();
        let found = packages_of(&tools, |name| name != "openjdk-17-jre-headless");
        assert_eq!(
            found,
            [
                "build-essential",
                "pkg-config",
                "perl",
                "openjdk-21-jre-headless",
                "maven",
                "tar"
            ]
        );
    }
}
