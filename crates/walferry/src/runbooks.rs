//! The runbooks, which are part of the binary: whoever is on call has them where the process is.
//!
//! Owns which runbook a code leads to. The texts are those of docs/runbooks.

use walferry_event::Code;

macro_rules! runbooks {
    ($($name:literal)*) => {
        /// Each by its name, without `.md`.
        const RUNBOOKS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../docs/runbooks/", $name, ".md"))),)*];
    };
}

runbooks! {
    "README" "dead-letters" "from-debezium" "published" "record-too-large" "refused" "schema-refused" "slot-grows" "supervisors"
    "topic-changed"
}

/// The text of a runbook.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".md").unwrap_or(name);
    let found = RUNBOOKS.iter().find(|(it, _)| *it == name);
    found.map(|(_, text)| *text)
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
    use std::path::Path;

    use super::*;

    #[test]
    fn every_runbook_is_there_and_every_code_leads_to_one() {
        for code in Code::ALL {
            assert!(text(of(*code)).is_some(), "{code}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(text(&name).is_some(), "{name} is not in the binary");
        }
        assert_eq!(text("none"), None);
    }
}
