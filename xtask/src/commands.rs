//! What each command does, one module each.
//!
//! Never: parses a command line.
//! Start reading at [`mod@test`], which is all that CI runs.

pub mod compat;
pub mod docs;
pub mod fuzz;
pub mod lint;
pub mod page;
pub mod program;
pub mod stack;
pub mod test;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use walferry_stack::POSTGRES_MAJORS;

/// Which PostgreSQL versions to test on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions(pub Vec<u32>);

impl FromStr for Versions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(POSTGRES_MAJORS.to_vec()));
        }
        match text.parse() {
            Ok(major) if POSTGRES_MAJORS.contains(&major) => Ok(Self(vec![major])),
            _ => Err(format!("expected \"all\" or one of {POSTGRES_MAJORS:?}")),
        }
    }
}

/// The root of the source tree.
#[must_use]
pub fn root() -> PathBuf {
    // The manifest lies one level below it.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Cargo, at the root of the tree, without what the cargo that runs us has put into our environment about
/// ourselves: build scripts would take that for a change and build again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        });
        if ours {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds, for a profile's folder (`debug`, `release`).
pub(crate) fn target(profile: &str) -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // A relative one counts from the folder that cargo runs in, which is the root.
    root()
        .join(named.unwrap_or_else(|| "target".into()))
        .join(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_all_or_a_known_one() {
        assert_eq!("all".parse::<Versions>().unwrap().0, POSTGRES_MAJORS);
        assert_eq!("16".parse::<Versions>().unwrap().0, [16]);
        assert!("13".parse::<Versions>().unwrap_err().contains("14"));
    }
}
