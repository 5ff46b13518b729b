//! The command line of a campaign's program: `--name value` pairs and `--flag`s, after a word where there is a choice.
//!
//! Owns: their reading, and [`print_line`] for results. An unknown name is an error that lists the known ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// What was given.
#[derive(Debug)]
pub struct Arguments {
    values: BTreeMap<String, String>,
}

impl Arguments {
    /// Reads this program's command line. `names` take a value, `flags` take none.
    pub fn of_this_program(names: &[&str], flags: &[&str]) -> Result<Arguments> {
        Arguments::read(std::env::args().skip(1), names, flags)
    }

    /// As [`Arguments::of_this_program`], after one of `words`, which may be left out.
    pub fn after_word(
        words: &[&str],
        names: &[&str],
        flags: &[&str],
    ) -> Result<(Option<String>, Arguments)> {
        let mut given = std::env::args().skip(1).peekable();
        let word = given.next_if(|word| !word.starts_with('-'));
        if let Some(word) = &word
            && !words.contains(&word.as_str())
        {
            bail!("{word:?} is not known; there are {}", words.join(", "));
        }
        Ok((word, Arguments::read(given, names, flags)?))
    }

    fn read(
        given: impl IntoIterator<Item = String>,
        names: &[&str],
        flags: &[&str],
    ) -> Result<Arguments> {
        let (mut values, mut given) = (BTreeMap::new(), given.into_iter());
        while let Some(argument) = given.next() {
            let bare = argument.strip_prefix("--").unwrap_or("");
            let (name, inline) = match bare.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (bare, None),
            };
            let value = if flags.contains(&name) {
                String::new()
            } else if names.contains(&name) {
                let next = inline.or_else(|| given.next());
                next.with_context(|| format!("--{name} needs a value"))?
            } else {
                let known: Vec<String> = names
                    .iter()
                    .map(|name| format!("--{name} VALUE"))
                    .chain(flags.iter().map(|flag| format!("--{flag}")))
                    .collect();
                bail!("{argument:?} is not known; there are {}", known.join(", "));
            };
            values.insert(name.to_owned(), value);
        }
        Ok(Arguments { values })
    }

    /// Whether a flag or a name was given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A value, or the default.
    pub fn value<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.values.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .ok()
                .with_context(|| format!("--{name} cannot be {text:?}")),
        }
    }

    /// The parts of a value between commas; none when it is not given.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self
            .values
            .get(name)
            .map(String::as_str)
            .unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Writes a line of results to standard output.
pub fn print_line(line: &str) {
    // Who closed the output does not want to read on.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments> {
        Arguments::read(
            line.split_whitespace().map(str::to_owned),
            &["seed", "kill"],
            &["keep"],
        )
    }

    #[test]
    fn pairs_and_flags_are_read() {
        let given = read("--seed 7 --keep --kill=a,b").unwrap();
        assert_eq!(given.value("seed", 1).unwrap(), 7);
        assert_eq!(given.list("kill"), ["a", "b"]);
        assert!(given.has("keep"));
        assert_eq!(read("").unwrap().value("seed", 1).unwrap(), 1);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert!(
            read("--sed 7")
                .unwrap_err()
                .to_string()
                .contains("--seed VALUE")
        );
        assert!(read("--seed").is_err());
        assert!(read("--seed x").unwrap().value("seed", 1).is_err());
    }
}
