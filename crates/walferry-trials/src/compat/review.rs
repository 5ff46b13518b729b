//! The reviewed list of deliberate differences, `compat/differences.toml`.
//!
//! Owns: its format and what an entry covers. Never: excuses a whole case; an entry names paths.
//!
//! ```toml
//! [[difference]]
//! cases = ["arrays-*"]          # names, * for anything
//! groups = ["default"]          # without the line: all
//! passes = ["none"]             # none: without quirks, all: with all of them; without the line: none
//! paths = ["*: after.n"]        # see `difference`
//! quirk = "flat-arrays"         # the one that takes it away, if any
//! reason = "why it is so"
//! ```

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::corpus;
use super::difference::Difference;

/// One entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Cases, by name.
    pub cases: Vec<String>,
    /// Groups, by name.
    #[serde(default = "anything")]
    pub groups: Vec<String>,
    /// Passes.
    #[serde(default = "without_quirks")]
    pub passes: Vec<String>,
    /// Paths of differences.
    pub paths: Vec<String>,
    /// The quirk that takes the difference away.
    pub quirk: Option<String>,
    /// Why the difference is there.
    pub reason: String,
}

/// The list, with a note of what has been used.
#[derive(Debug)]
pub struct Review {
    entries: Vec<Entry>,
    used: Vec<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    difference: Vec<Entry>,
}

impl Review {
    /// The committed list.
    pub fn load() -> Result<Review> {
        let path = corpus::folder().join("differences.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Review::parse(&text)
    }

    fn parse(text: &str) -> Result<Review> {
        let File { difference } = toml::from_str(text).context("differences.toml")?;
        for entry in &difference {
            if entry
                .passes
                .iter()
                .any(|pass| pass != "all" && pass != "none")
            {
                bail!("differences.toml: a pass is \"all\" or \"none\": {entry:?}");
            }
        }
        Ok(Review {
            used: vec![false; difference.len()],
            entries: difference,
        })
    }

    /// The entries that cover differences of a case, and what none covers.
    pub fn judge<'a>(
        &mut self,
        (group, case, pass): (&str, &str, &str),
        differences: &'a [Difference],
    ) -> (Vec<Entry>, Vec<&'a Difference>) {
        let (mut covering, mut unlisted) = (Vec::new(), Vec::new());
        for difference in differences {
            let place = self.entries.iter().position(|entry| {
                entry.passes.iter().any(|it| it == pass)
                    && any(&entry.groups, group)
                    && any(&entry.cases, case)
                    && any(&entry.paths, &difference.path)
            });
            match place {
                Some(at) => {
                    self.used[at] = true;
                    covering.push(at);
                }
                None => unlisted.push(difference),
            }
        }
        covering.sort_unstable();
        covering.dedup();
        let entries = covering.into_iter().map(|at| self.entries[at].clone());
        (entries.collect(), unlisted)
    }

    /// Entries that have covered nothing.
    pub fn unused(&self) -> Vec<&Entry> {
        let both = self.entries.iter().zip(&self.used);
        both.filter(|(_, used)| !**used)
            .map(|(entry, _)| entry)
            .collect()
    }
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// `*` stands for any text, everything else for itself.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.any(|at| matches(rest, &text[at..]))
}

fn anything() -> Vec<String> {
    vec!["*".to_owned()]
}

fn without_quirks() -> Vec<String> {
    vec!["none".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*: after.n", "x.t: after.n", true),
            ("*: after.n", "x.t: after.nn", false),
            ("a*b*c", "a-b-bc", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_no_entry_names_is_unlisted_and_an_idle_entry_is_told() {
        let text = "[[difference]]\ncases = [\"a\"]\npaths = [\"t: after.x\"]\nreason = \"r\"\n\
                    [[difference]]\ncases = [\"b\"]\npaths = [\"*\"]\nreason = \"s\"\n";
        let mut review = Review::parse(text).unwrap();
        let difference = |path: &str| Difference {
            path: path.to_owned(),
            debezium: String::new(),
            walferry: String::new(),
        };
        let found = [difference("t: after.x"), difference("t: after.y")];
        let (entries, unlisted) = review.judge(("default", "a", "none"), &found);
        assert_eq!((entries.len(), unlisted), (1, vec![&found[1]]));
        let (entries, _) = review.judge(("default", "a", "all"), &found);
        assert!(entries.is_empty(), "the entry is for the other pass");
        assert_eq!(review.unused()[0].reason, "s");
        assert!(Review::parse(&text.replace("reason", "raeson")).is_err());
    }
}
