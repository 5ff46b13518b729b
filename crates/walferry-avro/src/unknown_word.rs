//! A word of the configuration that is not understood.
//!
//! Owns: [`UnknownMode`], which tells the words that would have been.

use std::fmt;

/// A word that is not one of a mode's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMode {
    word: String,
    known: &'static [&'static str],
}

impl UnknownMode {
    pub(crate) fn new(word: &str, known: &'static [&'static str]) -> UnknownMode {
        UnknownMode {
            word: word.to_owned(),
            known,
        }
    }

    /// The words that would have been understood.
    pub fn known(&self) -> &'static [&'static str] {
        self.known
    }
}

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is none of {}", self.word, self.known.join(", "))
    }
}

impl std::error::Error for UnknownMode {}
