//! What commands write: data to standard output, progress to standard error.
//!
//! Invariant: a reader that has gone away is no failure.

use std::io::{self, Write};

use crate::failure::Failure;

/// Writes a line of progress to standard error.
pub(crate) fn tell(line: &str) {
    // Who closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes data to standard output. A reader that has seen enough is no failure.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::from(error)
            .context("writing to standard output")
            .into()),
        _ => Ok(()),
    }
}
