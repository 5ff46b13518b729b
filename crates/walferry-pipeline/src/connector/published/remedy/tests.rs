//! What is done about each change of what is published.

use super::*;

fn case(change: Change) -> Case {
    Case {
        change,
        listed: true,
        bar: None,
        unreadable: None,
        keyed: true,
        truncates: true,
        has_topic: true,
        since_creation: false,
        narrowed: None,
        other_rows: None,
        limits_change: false,
        filled: true,
        new_tables: NewTables::Follow,
    }
}

#[test]
fn each_row_decides_a_case() {
    type Change_ = fn(&mut Case);
    let bar: Change_ = |it| (it.listed, it.bar) = (false, Some("SQL".into()));
    let unlisted: Change_ = |it| it.listed = false;
    let nothing: Change_ = |_| ();
    let cases: Vec<(Change, Change_, Remedy)> = vec![
        (Change::Gone, nothing, Remedy::Forget),
        (Change::Joined, nothing, Remedy::Note),
        (Change::Born, nothing, Remedy::Note),
        (
            Change::New,
            |it| (it.listed, it.new_tables) = (false, NewTables::Ignore),
            Remedy::Ignore,
        ),
        (
            Change::New,
            |it| (it.listed, it.new_tables) = (false, NewTables::Warn),
            Remedy::LeaveOut,
        ),
        (Change::New, bar, Remedy::LeaveOut),
        (Change::New, |it| it.since_creation = true, Remedy::Sweep),
        (
            Change::New,
            |it| (it.since_creation, it.keyed) = (true, false),
            Remedy::Note,
        ),
        (
            Change::New,
            |it| (it.listed, it.unreadable) = (false, Some("GRANT".into())),
            Remedy::LeaveOut,
        ),
        (
            Change::New,
            |it| (it.listed, it.has_topic) = (false, false),
            Remedy::ReadAgain,
        ),
        (
            Change::New,
            |it| (it.keyed, it.has_topic) = (false, false),
            Remedy::ReadAgain,
        ),
        (
            Change::New,
            |it| (it.keyed, it.truncates, it.has_topic) = (false, false, false),
            Remedy::Read,
        ),
        (
            Change::Attached(vec![1]),
            |it| it.filled = false,
            Remedy::Note,
        ),
        (
            Change::Altered,
            |it| it.narrowed = Some("deletes".into()),
            Remedy::Tell,
        ),
        (Change::TakenOut, bar, Remedy::Tell),
        (Change::Replaced, bar, Remedy::Tell),
        (Change::Detached, nothing, Remedy::TellSurplus),
        (
            Change::PutBack,
            |it| (it.keyed, it.truncates) = (false, false),
            Remedy::Tell,
        ),
        (Change::Emptied, |it| it.keyed = false, Remedy::ReadAgain),
        (
            Change::Attached(vec![1]),
            |it| it.keyed = false,
            Remedy::ReadAgain,
        ),
        (
            Change::PutBack,
            |it| it.unreadable = Some("GRANT".into()),
            Remedy::Tell,
        ),
        (Change::Attached(vec![1]), nothing, Remedy::ReadPartitions),
        (Change::Emptied, nothing, Remedy::Sweep),
        (Change::Unlogged, nothing, Remedy::Note),
        (Change::Logged, nothing, Remedy::ReadAgain),
        (
            Change::PutBack,
            |it| it.other_rows = Some("SQL".into()),
            Remedy::Tell,
        ),
        (Change::New, nothing, Remedy::ReadAgain),
        (Change::Replaced, unlisted, Remedy::ReadAgain),
        (Change::TakenOut, unlisted, Remedy::ReadAgain),
        (Change::PutBack, nothing, Remedy::ReadAgain),
        (Change::Altered, nothing, Remedy::ReadAgain),
    ];
    let mut met = std::collections::BTreeSet::new();
    for (change, alter, expected) in cases {
        let mut case = case(change);
        alter(&mut case);
        let row = decide(&case);
        assert_eq!(row.remedy, expected, "{case:?}: {}", row.name);
        assert!(!words(&case).is_empty());
        met.insert(row.name);
    }
    let unmet: Vec<_> = ROWS
        .iter()
        .filter(|row| !met.contains(row.name))
        .map(|row| row.name)
        .collect();
    assert!(unmet.is_empty(), "no case meets {unmet:?}");
}
