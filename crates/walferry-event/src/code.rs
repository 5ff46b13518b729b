//! The stable code of each failure that an operator can meet, with its cause and remedy.
//!
//! Owns the one table, in `table`: messages, logs, `/status`, `/readyz`, `walferry explain` and docs/ERRORS.md all read it. Never:
//! the text of one occurrence, which names the table, topic or file at hand and is written where it happens.
//! Invariant: a code never gets another meaning, and a number that is given up is not given again.
//! Start reading at [`Code`].

mod entry;
mod table;

use std::{fmt, str::FromStr};

pub use entry::Entry;
pub use table::Code;

/// The part of a connector that a code belongs to, by its first two digits.
pub const AREAS: &[(u16, &str)] = &[
    (0, "Walferry, its configuration and its commands"),
    (1, "PostgreSQL: connection and rights"),
    (2, "Slot, publication and stream"),
    (3, "Tables"),
    (4, "Snapshots and resync"),
    (5, "Kafka"),
    (6, "Schema registry"),
    (7, "Records"),
    (8, "Checkpoint and recovery"),
];

impl Code {
    /// The part of a connector that it belongs to.
    pub fn area(self) -> &'static str {
        let area = AREAS.iter().find(|(area, _)| *area == self.number() / 100);
        area.map_or("", |(_, name)| name)
    }

    /// The message of one occurrence with its code behind it. One that has a code keeps that: what failed first knows best.
    pub fn tag(self, message: &str) -> String {
        match Code::of(message) {
            Some(_) => message.to_owned(),
            None => format!("{message} [{self}]"),
        }
    }

    /// The last code that a message has.
    pub fn of(message: &str) -> Option<Code> {
        let (_, tag) = message.rsplit_once("[WF")?;
        let (digits, _) = tag.split_once(']')?;
        digits.parse().ok()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WF{:04}", self.number())
    }
}

/// What was given is no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCode(String);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no error code of this version; codes are WF and four digits, as in {}: `walferry explain` lists them",
            self.0,
            Code::ALL[0]
        )
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    /// With or without `WF`, in capitals or not.
    fn from_str(text: &str) -> Result<Code, UnknownCode> {
        let digits = match text.get(..2) {
            Some(start) if start.eq_ignore_ascii_case("wf") => &text[2..],
            _ => text,
        };
        let number: Option<u16> = digits.parse().ok();
        let found = Code::ALL.iter().find(|it| Some(it.number()) == number);
        found.copied().ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_each_code_has_an_area_a_cause_and_a_remedy() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{pair:?}");
        }
        for code in Code::ALL {
            let Entry {
                title,
                cause,
                remedy,
            } = code.entry();
            assert!(!code.area().is_empty(), "{code}");
            assert!(
                !title.ends_with('.') && title.len() <= 80,
                "{code}: {title}"
            );
            for sentence in [cause, remedy] {
                assert!(
                    sentence.len() > 20 && sentence.ends_with('.'),
                    "{code}: {sentence}"
                );
            }
        }
    }

    #[test]
    fn a_code_is_read_as_it_is_written() {
        for code in Code::ALL {
            let written = code.to_string();
            assert_eq!(written.parse(), Ok(*code));
            assert_eq!(written.to_lowercase().parse(), Ok(*code));
            assert_eq!(written[2..].parse(), Ok(*code));
        }
        let message = Code::Fenced.tag("another instance has taken over");
        assert_eq!(message, "another instance has taken over [WF0508]");
        assert_eq!(Code::Internal.tag(&message), message);
        assert_eq!(
            Code::of("it is away [WF0101] for 5 s [x]"),
            Some(Code::SourceUnreachable)
        );
        assert_eq!(Code::of("columns [a, b]"), None);
        for wrong in ["", "WF", "WF9999", "wf-1", "é1", "0x1"] {
            assert!(wrong.parse::<Code>().is_err(), "{wrong}");
        }
    }
}
