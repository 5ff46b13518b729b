//! What `/readyz`, `/livez` and `/status` say of a state.

use super::*;

#[test]
fn ready_says_each_reason_and_turns_back_by_itself() {
    let status = Status::new("c");
    assert_eq!(status.ready(), Err(vec!["starting".to_owned()]));
    status.set_state(State::Streaming, None);
    assert_eq!(status.ready(), Ok(()));
    status.set_peer(Peer::Kafka, Err(("connection", "no broker answers".into())));
    let reasons = status.ready().unwrap_err();
    let [reason] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert!(
        reason.starts_with("kafka: no broker answers (since 20") && reason.ends_with(" s)"),
        "{reason}"
    );
    assert_eq!(status.report().state, State::Retrying);
    let reported = status.report().reason.unwrap();
    assert!(
        reported.starts_with("kafka: no broker answers"),
        "{reported}"
    );
    status.set_peer(Peer::Kafka, Ok(()));
    assert_eq!(status.ready(), Ok(()));
}

#[test]
fn a_stage_that_waits_says_for_what_and_is_alive() {
    let status = Status::new("c");
    status.set_state(State::Streaming, None);
    status.pulse("encode", Duration::from_millis(200));
    let begun = std::time::Instant::now();
    // It never shows any other sign of life than that it waits.
    while begun.elapsed() < Duration::from_millis(300) {
        let reason = "POST answers 503".to_owned();
        status.waits("encode", Peer::Registry, "connection", reason);
        assert_eq!(status.live(), Ok(()));
    }
    let reason = status.ready().unwrap_err().join("; ");
    assert!(
        reason.starts_with("registry: POST answers 503 (since"),
        "{reason}"
    );
    assert_eq!(status.report().state, State::Retrying);
    assert_eq!(status.report().errors, 1, "one wait, one error");
    status.waits_no_more("encode");
    assert_eq!(status.ready(), Ok(()));
}

#[test]
fn a_slot_over_its_budget_is_not_ready() {
    let status = Status::new("c");
    status.set_state(State::Streaming, None);
    let lag = |bytes| Lag {
        slot_retained_bytes: Some(bytes),
        slot_retained_bytes_max: Some(100),
        ..Lag::default()
    };
    status.set_lag(lag(100));
    assert_eq!(status.ready(), Ok(()));
    status.set_lag(lag(101));
    assert!(status.ready().unwrap_err()[0].contains("slot_retained_bytes_max"));
}

#[test]
fn a_table_that_lacks_changes_is_told_and_one_that_is_left_out_hinders_nobody() {
    let status = Status::new("c");
    status.set_state(State::Streaming, None);
    status
        .findings
        .set("public.t", Lack::LeftOut, "no identity");
    assert_eq!(status.ready(), Ok(()));
    assert_eq!(status.report().tables[0].state, TableActivity::LeftOut);
    status
        .findings
        .set("public.t", Lack::Incomplete, "it was replaced");
    assert_eq!(
        status.ready(),
        Err(vec!["table public.t: it was replaced [WF0310]".to_owned()])
    );
    assert_eq!(status.report().tables[0].state, TableActivity::Incomplete);
    status.findings.clear("public.t");
    assert_eq!(status.ready(), Ok(()));
}

#[test]
fn a_stage_without_a_pulse_is_not_live() {
    let status = Status::new("c");
    status.pulse("publish", Duration::ZERO);
    while status.live().is_ok() {
        std::hint::spin_loop();
    }
    status.pulse_ends("publish");
    assert_eq!(status.live(), Ok(()));
    status.pulse_goes_on("publish");
    assert_eq!(status.live(), Ok(()), "it has ended");
}
