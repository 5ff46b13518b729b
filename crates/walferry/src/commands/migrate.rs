//! `walferry migrate`: a configuration of another connector becomes one of ours.
//!
//! Owns the words on standard error. The file goes to standard output, with all that is left to say in its comments.

use std::path::Path;

use walferry_event::Code;

use super::text_of;
use crate::{Failure, migrate, print, tell};

pub(crate) fn debezium(file: &Path) -> Result<(), Failure> {
    let place = file.display().to_string();
    let migrated = migrate::from_debezium(&text_of(file)?, &place)
        .map_err(|error| Failure::coded(2, Code::Migration, &format!("{error:#}")))?;
    print(migrated.text.as_bytes())?;
    tell(&format!(
        "{place}: {} to settle, {} without a counterpart: see the comments; then `walferry check`",
        migrated.to_settle, migrated.without
    ));
    Ok(())
}
