//! Values that TOML has no type for: sizes with a unit, and secrets that are somewhere else.
//!
//! Owns their reading. Never keeps the value of a secret that is not written in the file itself.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use walferry_event::without_userinfo;

/// Bytes: a number, or a text with a unit, as `"16 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A size that can be switched off by `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<u64>);

const UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no size; write for instance \"16 MiB\""))?;
    let shift = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, shift)| *shift)
        .ok_or_else(|| {
            format!("{text:?} has no unit that is known; the units are B, KiB, MiB, GiB, TiB")
        })?;
    number
        .checked_shl(shift)
        .filter(|bytes| bytes >> shift == number)
        .ok_or_else(|| format!("{text:?} is above 64 bits"))
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes as a number, or a text with a unit as \"16 MiB\"")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::custom(format!("{value} is negative")))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        size(text).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
        from.deserialize_any(SizeVisitor).map(Size)
    }
}

struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size as \"50 GiB\", or \"off\"")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Limit, E> {
        SizeVisitor.visit_i64(value).map(|bytes| Limit(Some(bytes)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Limit, E> {
        match text {
            "off" | "null" => Ok(Limit(None)),
            text => SizeVisitor.visit_str(text).map(|bytes| Limit(Some(bytes))),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Limit, D::Error> {
        from.deserialize_any(LimitVisitor)
    }
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// In the file itself; for development.
    Literal(String),
    /// In an environment variable.
    Env(String),
    /// In a file, which is read at each use.
    File(PathBuf),
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Literal(_) => f.write_str("Literal(..)"),
            SecretSource::Env(name) => write!(f, "Env({name})"),
            SecretSource::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl SecretSource {
    pub(crate) fn secret(self) -> walferry_event::Secret {
        match self {
            SecretSource::Literal(value) => walferry_event::Secret::literal(value),
            SecretSource::Env(name) => walferry_event::Secret::new(move || {
                std::env::var(&name)
                    .map_err(|_| format!("the environment variable {name} is not set"))
            }),
            SecretSource::File(path) => walferry_event::Secret::new(move || {
                std::fs::read_to_string(&path)
                    .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))
            }),
        }
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ env = \"NAME\" }, { file = \"PATH\" } or a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretSource, E> {
        Ok(SecretSource::Literal(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<SecretSource, E> {
        Ok(SecretSource::Literal(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<SecretSource, E> {
        Ok(SecretSource::Literal(value.to_string()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<SecretSource, E> {
        Ok(SecretSource::Literal(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
        const KEYS: &[&str] = &["env", "file"];
        let Some(key) = map.next_key::<String>()? else {
            return Err(A::Error::custom("neither env nor file is given"));
        };
        let source = match key.as_str() {
            "env" => SecretSource::Env(map.next_value()?),
            "file" => SecretSource::File(map.next_value()?),
            other => return Err(A::Error::unknown_field(other, KEYS)),
        };
        match map.next_key::<String>()? {
            None => Ok(source),
            Some(more) => Err(A::Error::custom(format!(
                "{more} beside {key}: a secret comes from one place"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SecretSource, D::Error> {
        from.deserialize_any(SecretVisitor)
    }
}

/// An address that may hold a password, which is not printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Address(pub(crate) String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_userinfo(&self.0))
    }
}

/// A text, or a number or `true` or `false` that is meant as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
        match SecretSource::deserialize(from)? {
            SecretSource::Literal(text) => Ok(Word(text)),
            _ => Err(D::Error::custom("a text or a number is expected")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("16 MiB", Ok(16 << 20)),
            ("50GiB", Ok(50 << 30)),
            ("7 B", Ok(7)),
            ("16 MB", Err("units are")),
            ("16", Err("units are")),
            ("MiB", Err("no size")),
            ("99999999 TiB", Err("64 bits")),
        ] {
            match (size(text), expected) {
                (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{text}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (outcome, _) => panic!("{text}: {outcome:?}"),
            }
        }
    }
}
