//! The runbooks, which are part of the binary: whoever is on call has them where the process is.
//!
//! Owns which runbook a code leads to. The texts are those of docs/runbooks.

use include_dir::{Dir, include_dir};
use walferry_event::Code;

/// Each in a file of its own.
static RUNBOOKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../docs/runbooks");

/// The text of a runbook, by its name with or without `.md`.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".md").unwrap_or(name);
    let file = RUNBOOKS.get_file(format!("{name}.md"))?;
    file.contents_utf8()
}

/// The name of the runbook that a code leads to. Where there is none of its own, the list of symptoms is the place to begin.
pub(crate) fn of(code: Code) -> &'static str {
    match code {
        Code::SlotGrows => "slot-grows",
        Code::PublicationMissing
        | Code::PublicationLacks
        | Code::TableIdentity
        | Code::ChangesMissing
        | Code::RowsTooMany
        | Code::TableLeftOut => "published",
        Code::RecordTooLarge => "record-too-large",
        Code::SchemaRefused | Code::TableParked | Code::TableSchema => "schema-refused",
        Code::ValueRefused | Code::KeyRefused | Code::MessageRefused | Code::LetterUnreadable => {
            "dead-letters"
        }
        Code::TopicMissing | Code::TopicUneven => "topic-changed",
        Code::OtherCluster
        | Code::OtherSlot
        | Code::OtherTimeline
        | Code::ServerBehind
        | Code::SlotUnknown
        | Code::SlotLost
        | Code::SlotAhead
        | Code::TransactionChanged => "refused",
        Code::Migration => "from-debezium",
        Code::Stalled | Code::Fenced => "supervisors",
        _ => "README",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_to_a_runbook() {
        for code in Code::ALL {
            assert!(text(of(*code)).is_some(), "{code}");
        }
        assert_eq!(text("README"), text("README.md"));
        assert_eq!(text("none"), None);
        assert_eq!(text("../STYLE"), None);
    }
}
