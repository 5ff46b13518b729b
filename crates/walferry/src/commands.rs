//! One file per command.

mod admin_client;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod checkpoint;
pub(crate) mod estimate;
pub(crate) mod explain;
pub(crate) mod init;
mod input;
mod interrupted;
pub(crate) mod migrate;
mod one_line;
pub(crate) mod pause;
mod process;
pub(crate) mod replay;
pub(crate) mod resync;
pub(crate) mod run;
mod runtime;
pub(crate) mod schema;
mod sighup;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod stopped;
pub(crate) mod tail;
pub(crate) mod trace;

use input::{load, text_of};
use interrupted::interrupted;
use one_line::one_line;
use runtime::wait;
