//! Text of others on a line of ours.
//!
//! Owns: [`one_line`].

/// A text that stays on its line: names of tables and columns may hold line breaks.
pub(super) fn one_line(text: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}
