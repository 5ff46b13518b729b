//! What the admin server has to answer from.
//!
//! Owns: [`Shown`].

use std::{sync::Arc, time::Instant};

use walferry_event::Secret;
use walferry_pipeline::Handle;

use super::history::History;
use crate::metrics::Exporter;

/// What requests are answered from.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) connectors: Arc<[Arc<Handle>]>,
    pub(super) history: History,
    /// When the process began to answer.
    pub(super) since: Instant,
    pub(super) exporter: Exporter,
    pub(super) token: Option<Secret>,
}
