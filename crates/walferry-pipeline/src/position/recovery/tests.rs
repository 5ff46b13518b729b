//! Each row of the recovery table decides its case, and what a refusal says.

use super::*;

fn written(end: u64) -> Checkpoint {
    Checkpoint::Position(Written {
        position: Position {
            commit_lsn: Lsn(end - 1),
            end_lsn: Lsn(end),
            ordinal: None,
        },
        needed: Lsn(end),
        home: home(),
        timeline: 1,
    })
}

fn home() -> Home {
    Home {
        system_id: "7".into(),
        database: "shop".into(),
        slot: "s".into(),
    }
}

fn evidence(slot: Slot, checkpoint: Checkpoint) -> Evidence {
    Evidence {
        connector: "c".into(),
        slot_name: "s".into(),
        slot,
        checkpoint,
        server: Server {
            system_id: "7".into(),
            timeline: 1,
            database: "shop".into(),
            wal_flush: Lsn(0x2_0000_0000),
            history: Vec::new(),
        },
        adopt_slot: false,
    }
}

fn usable(confirmed: u64) -> Slot {
    Slot::Usable {
        confirmed: Lsn(confirmed),
    }
}

#[test]
fn each_row_of_the_table_decides_its_case() {
    let lost = || Slot::Lost("wal_removed".into());
    let intent = || Checkpoint::Intent(home());
    for (slot, checkpoint, row, expected) in [
        (
            Slot::Missing,
            Checkpoint::None,
            "nothing yet",
            Some(Decision::Create),
        ),
        (
            Slot::Missing,
            intent(),
            "intent, no slot",
            Some(Decision::Create),
        ),
        (
            usable(5),
            intent(),
            "intent, slot exists",
            Some(Decision::StartOver),
        ),
        (
            lost(),
            intent(),
            "intent, slot exists",
            Some(Decision::StartOver),
        ),
        (usable(5), Checkpoint::None, "slot without checkpoint", None),
        (lost(), Checkpoint::None, "slot without checkpoint", None),
        (Slot::Missing, written(9), "slot missing or lost", None),
        (lost(), written(9), "slot missing or lost", None),
        (usable(10), written(9), "slot ahead of checkpoint", None),
    ] {
        let case = evidence(slot, checkpoint);
        let (name, decision) = decide(&case);
        assert_eq!(name, row, "{case:?}");
        match expected {
            Some(expected) => assert_eq!(decision, expected, "{case:?}"),
            None => assert!(matches!(decision, Decision::Refuse(_)), "{case:?}"),
        }
    }
    for confirmed in [8, 9] {
        let (name, decision) = decide(&evidence(usable(confirmed), written(9)));
        assert_eq!(name, "resume");
        let Decision::Resume(position) = decision else {
            panic!("{decision:?}");
        };
        assert_eq!(position.end_lsn, Lsn(9));
    }
}

#[test]
fn a_refusal_names_both_ends_of_the_gap_and_the_remedy() {
    let (_, decision) = decide(&evidence(usable(0x1_0000_0010), written(0x20)));
    let Decision::Refuse(text) = decision else {
        panic!("{decision:?}");
    };
    for part in ["1/10", "0/20", "walferry resync"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn a_slot_without_checkpoint_is_adopted_only_when_told_to() {
    let mut case = evidence(usable(5), Checkpoint::None);
    case.adopt_slot = true;
    assert_eq!(decide(&case).1, Decision::Resume(Position::at(Lsn(5))));
}

#[test]
fn a_new_timeline_is_followed_only_when_it_contains_the_checkpoint() {
    for (history, followed) in [
        (vec![(1, Lsn(9))], true),
        (vec![(1, Lsn(20))], true),
        (vec![(1, Lsn(8))], false),
        (vec![(3, Lsn(20))], false),
        (vec![], false),
    ] {
        let mut case = evidence(usable(5), written(9));
        case.server.timeline = 2;
        case.server.history = history;
        let (_, decision) = decide(&case);
        assert_eq!(
            matches!(decision, Decision::Resume(_)),
            followed,
            "{case:?}"
        );
    }
}

#[test]
fn a_transaction_in_part_is_followed_only_to_a_timeline_that_has_its_commit() {
    // Its commit record begins at 15; the position before it is 9.
    for (switched_at, followed) in [(9, false), (15, false), (16, true), (40, true)] {
        let Checkpoint::Position(mut held) = written(9) else {
            unreachable!()
        };
        held.position.commit_lsn = Lsn(15);
        held.position.ordinal = Some(3);
        let mut case = evidence(usable(5), Checkpoint::Position(held));
        case.server.timeline = 2;
        case.server.history = vec![(1, Lsn(switched_at))];
        let (_, decision) = decide(&case);
        assert_eq!(
            matches!(decision, Decision::Resume(_)),
            followed,
            "{case:?}"
        );
    }
}

#[test]
fn another_cluster_or_slot_is_refused_before_anything_else() {
    for checkpoint in [written(9), Checkpoint::Intent(home())] {
        for slot in [Slot::Missing, usable(5)] {
            let mut case = evidence(slot.clone(), checkpoint.clone());
            case.server.system_id = "8".into();
            let (row, decision) = decide(&case);
            assert_eq!(row, "another cluster");
            assert!(matches!(decision, Decision::Refuse(_)), "{decision:?}");
            for (database, name) in [("else", "s"), ("shop", "else")] {
                let mut case = evidence(slot.clone(), checkpoint.clone());
                case.server.database = database.into();
                case.slot_name = name.into();
                let (row, decision) = decide(&case);
                assert_eq!(row, "another database or slot");
                assert!(matches!(decision, Decision::Refuse(_)), "{decision:?}");
            }
        }
    }
}

#[test]
fn an_intent_of_elsewhere_says_what_it_may_have_left_there() {
    let mut case = evidence(usable(5), Checkpoint::Intent(home()));
    case.slot_name = "other".into();
    let Decision::Refuse(text) = decide(&case).1 else {
        panic!("the slot here is not ours to drop");
    };
    for part in ["slot \"s\"", "slot \"other\"", "checkpoint clear"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn a_server_that_has_gone_back_is_refused() {
    let mut case = evidence(usable(5), written(9));
    for (flushed, refused) in [(8, true), (9, false)] {
        case.server.wal_flush = Lsn(flushed);
        let (name, decision) = decide(&case);
        assert_eq!(name == "server behind the checkpoint", refused);
        assert_eq!(matches!(decision, Decision::Refuse(_)), refused);
    }
}

#[test]
fn a_resync_takes_a_new_slot_where_a_start_is_refused_for_lost_changes() {
    let resumes = |decision: Decision| matches!(decision, Decision::Resume(_));
    let refuses = |decision: Decision| matches!(decision, Decision::Refuse(_));
    let lost = evidence(Slot::Lost("wal_removed".into()), written(9));
    let gone = evidence(Slot::Missing, written(9));
    let ahead = evidence(usable(10), written(9));
    let mut behind = evidence(usable(5), written(9));
    behind.server.wal_flush = Lsn(8);
    let mut promoted = evidence(usable(5), written(9));
    promoted.server.timeline = 2;
    for case in [&lost, &gone, &ahead, &behind, &promoted] {
        for begun in [false, true] {
            assert_eq!(resync(case, false, begun).1, Decision::Resync, "{case:?}");
            assert!(refuses(resync(case, true, begun).1), "{case:?}");
        }
    }
    let whole = evidence(usable(5), written(9));
    assert_eq!(resync(&whole, false, false).1, Decision::Resync);
    assert!(resumes(resync(&whole, true, false).1));
    assert!(resumes(resync(&whole, false, true).1), "it goes on");
    let mut cluster = evidence(Slot::Missing, written(9));
    cluster.server.system_id = "8".into();
    for case in [
        cluster,
        evidence(Slot::Missing, Checkpoint::None),
        evidence(usable(5), Checkpoint::None),
        evidence(usable(5), Checkpoint::Intent(home())),
    ] {
        assert!(refuses(resync(&case, false, false).1), "{case:?}");
    }
}
