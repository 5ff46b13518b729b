//! The configuration in force: one value, which every part of a connector reads.
//!
//! Owns the moment at which another one is put in force, for all at once. Never: checks one; whoever puts it there has.
//! Invariant: what a part does after that moment, it does by the new one.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;

/// The configuration in force. All clones are of the same value.
#[derive(Clone, Debug)]
pub struct InForce(Arc<watch::Sender<Arc<Config>>>);

impl InForce {
    /// What a connector begins with.
    pub fn new(config: Config) -> InForce {
        InForce(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// The configuration as it is in force now. What is kept of it is of now, too.
    pub fn now(&self) -> Arc<Config> {
        self.0.borrow().clone()
    }

    /// Another configuration is in force from now on.
    pub(crate) fn put(&self, config: Arc<Config>) {
        self.0.send_replace(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example::example;

    #[test]
    fn everybody_reads_what_was_put_in_force_last() {
        let first = InForce::new(example());
        let other = first.clone();
        let mut config = example();
        config.source.tables = vec!["public.t".into()];
        other.put(Arc::new(config));
        assert_eq!(first.now().source.tables, ["public.t"]);
    }
}
