//! Where the encoder tells its observer what it sees.
//!
//! Owns the calls that need more than one line. Never: decides what an observer does.

use crate::{
    encode::{Encoder, change_records::Change, observer::Observer},
    error::Error,
};

impl Encoder {
    /// Hands over what has been encoded, with what an observer has to say behind it.
    pub(crate) fn hand_over(
        &mut self,
        pause: bool,
        observer: &mut impl Observer<Encoder>,
    ) -> Result<(), Error> {
        self.carry_keys(observer)?;
        self.seal(pause)
    }

    /// A mark is about to stand behind the changes of the open transaction: the message keys that are new with them go with it.
    pub(super) fn carry_keys(
        &mut self,
        observer: &mut impl Observer<Encoder>,
    ) -> Result<(), Error> {
        match self.in_transaction() && self.writer.relations.keys.has_news() {
            true => observer.mark(self),
            false => Ok(()),
        }
    }

    /// The stream brings a change: the observer sees it before it is counted.
    pub(super) fn touch(
        &mut self,
        relation: u32,
        change: &Change<'_>,
        observer: &mut impl Observer<Encoder>,
    ) {
        if let Some((xid, commit_lsn)) = self.open_transaction()
            && let Some(progress) = observer.touch(relation, change, xid, commit_lsn)
        {
            self.builder.carry(progress);
        }
    }
}
