//! `cargo xtask page`: the page at `/` in a headless browser, in each of its states, with screenshots.
//!
//! Owns: that the browser and its driver are there. Never: what is asked of the page; see integration-tests/page.

use std::process::Command;

use anyhow::Result;
use walferry_stack::{BROWSER_TOOLS, cache_folder, ensure};

use super::{root, target};
use crate::step;

/// The driver of the browser, and what judges whether a page can be used by everybody.
const PACKAGES: &[&str] = &["playwright-core@1.65.1", "axe-core@4.14.1"];

/// Looks at the page; with an address at that of a running connector, too.
///
/// # Errors
/// Something is missing and cannot be had, or the page has a fault.
pub fn run(arguments: &[String]) -> Result<()> {
    ensure(BROWSER_TOOLS)?;
    let home = cache_folder()?.join("browser");
    std::fs::create_dir_all(&home)?;
    if !home.join("node_modules/axe-core").is_dir() {
        step::run(
            "getting the browser's driver",
            Command::new("npm")
                .args([
                    "install",
                    "--silent",
                    "--no-save",
                    "--no-package-lock",
                    "--prefix",
                ])
                .arg(&home)
                .args(PACKAGES),
        )?;
    }
    step::run(
        "looking at the page",
        Command::new("node")
            .arg(root().join("integration-tests/page/look.mjs"))
            .arg(root().join("crates/walferry/src/admin/page"))
            .arg(target("page"))
            .args(arguments)
            .env("NODE_PATH", home.join("node_modules")),
    )
}
