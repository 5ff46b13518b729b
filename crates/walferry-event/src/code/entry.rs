//! What the table of codes knows of one.
//!
//! Owns: [`Entry`].

/// What is known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One line, as a heading.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the operator does.
    pub remedy: &'static str,
}
