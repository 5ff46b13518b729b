//! `cargo xtask stack`: servers for development that stay up.
//!
//! Never: touches servers of a test run, which are its own.

use std::time::Instant;

use anyhow::{Result, bail};
use walferry_stack::{DevelopmentStack, say};

/// Starts the servers, or finds them running, and says where they answer.
///
/// # Errors
/// They do not start; the message says why.
pub fn up(postgres_major: u32) -> Result<()> {
    let began = Instant::now();
    let stack = DevelopmentStack::up(postgres_major)?;
    say(&format!("up in {:.1} s", began.elapsed().as_secs_f64()));
    report(&stack);
    for (name, value) in stack.coordinates.environment() {
        say(&format!("export {name}={value}"));
    }
    Ok(())
}

/// Ends the servers and removes their data.
///
/// # Errors
/// One could not be ended.
pub fn down() -> Result<()> {
    match DevelopmentStack::down()? {
        true => say("down; the data is removed"),
        false => say("nothing was up"),
    }
    Ok(())
}

/// Says where the servers answer.
///
/// # Errors
/// None is up, or not all of them answer.
pub fn status() -> Result<()> {
    let Some(stack) = DevelopmentStack::find()? else {
        bail!("nothing is up; `cargo xtask stack up` starts it");
    };
    report(&stack);
    if !stack.answers() {
        bail!("not all servers answer; `cargo xtask stack up` starts them anew");
    }
    Ok(())
}

fn report(stack: &DevelopmentStack) {
    for line in stack.report() {
        say(&line);
    }
}
