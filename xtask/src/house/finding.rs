//! What a rule has to say about a place of the tree.
//!
//! Owns: its severity and its words. Never: decides what is a fault; see the rules.

use std::fmt;

/// A place where a rule is broken, or nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    severity: Severity,
    place: String,
    words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning,
    Fault,
}

impl Finding {
    pub(super) fn fault(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fault,
            place: place.into(),
            words: words.into(),
        }
    }

    pub(super) fn warning(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            place: place.into(),
            words: words.into(),
        }
    }

    /// Whether it must be mended; else it is a warning.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_fault() { "error" } else { "warning" };
        write!(f, "{severity}: {}: {}", self.place, self.words)
    }
}
