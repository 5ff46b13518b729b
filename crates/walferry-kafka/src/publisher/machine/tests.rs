//! The state machine against a fake broker: each outcome of a commit, fences, oversized records, random plans.

use std::sync::Mutex;

use proptest::prelude::*;
use rdkafka::error::RDKafkaErrorCode;
use walferry_event::{Lsn, Position};

use super::*;
use crate::{OwnedRecord, Refusal, Verdict, config::example, transactions::Timing};

/// What the broker holds, shared by every instance that a test runs.
#[derive(Clone, Debug, Default)]
struct Broker(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    log: Vec<Vec<u8>>,
    checkpoint: Option<Checkpoint>,
    epoch: u32,
    too_large: Option<Vec<u8>>,
    /// A group of records is refused for the too large one among them, in the name of its first.
    refuses_groups: bool,
    /// After so many looks at the checkpoint this one is there.
    claim: Option<(u32, Checkpoint)>,
}

/// A client whose calls go wrong by a plan.
struct Fake {
    broker: Broker,
    epoch: u32,
    open: Vec<Vec<u8>>,
    checkpoint: Option<Checkpoint>,
    plan: Vec<Step>,
    grouping: Grouping,
}

/// How the next commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Good,
    LostBefore,
    LostAfter,
    Suspect,
    SendFails,
    /// This one and every one after.
    LostForEver,
}

impl Fake {
    fn take(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault> {
        let value = record.value.unwrap_or_default().to_vec();
        if sequence == usize::MAX {
            self.checkpoint = serde_json::from_slice(&value).ok();
            return Ok(());
        }
        let held = self.broker.0.lock().unwrap();
        if held.too_large.as_ref() == Some(&value) {
            let grouped = held.refuses_groups && self.grouping == Grouping::Full;
            let code = RDKafkaErrorCode::MessageSizeTooLarge;
            return Err(Fault::Refused {
                sequence: if grouped { 0 } else { sequence },
                refusal: Refusal::of(code, record.topic, true, value.len()).unwrap(),
                alone: !grouped,
            });
        }
        drop(held);
        if self.plan.first() == Some(&Step::SendFails) {
            self.plan.remove(0);
            return Err(Fault::Doubt("send failed".into()));
        }
        self.open.push(value);
        Ok(())
    }

    fn step(&mut self) -> Step {
        if self.plan.is_empty() {
            Step::Good
        } else {
            self.plan.remove(0)
        }
    }
}

impl Transactions for Fake {
    fn begin(&mut self) -> Result<(), Fault> {
        self.open.clear();
        self.checkpoint = None;
        Ok(())
    }

    fn send(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
        sequence: usize,
    ) -> Result<(), Fault> {
        for (index, place) in records.zip(sequence..) {
            self.take(&block.record(index), place)?;
        }
        Ok(())
    }

    fn send_one(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault> {
        self.take(record, sequence)
    }

    fn commit(&mut self) -> Result<Timing, Fault> {
        let step = self.step();
        let mut held = self.broker.0.lock().unwrap();
        if held.epoch != self.epoch {
            return Err(Fault::Fenced("fenced".into()));
        }
        if step == Step::LostForEver {
            self.plan.insert(0, step);
            return Err(Fault::Doubt("lost for ever".into()));
        }
        if step == Step::LostBefore {
            return Err(Fault::Doubt("lost before".into()));
        }
        held.log.append(&mut self.open);
        held.checkpoint = self.checkpoint.take();
        if step == Step::LostAfter {
            return Err(Fault::Doubt("lost after".into()));
        }
        Ok(Timing {
            suspect: step == Step::Suspect,
            ..Timing::default()
        })
    }

    fn abort(&mut self) {
        self.open.clear();
    }

    fn replace(&mut self, grouping: Grouping) -> Result<(), Fault> {
        self.grouping = grouping;
        let mut held = self.broker.0.lock().unwrap();
        held.epoch += 1;
        self.epoch = held.epoch;
        self.open.clear();
        Ok(())
    }

    fn checkpoint(&mut self, _: End) -> Result<Option<Checkpoint>, Fault> {
        let mut held = self.broker.0.lock().unwrap();
        if let Some((looks, claim)) = held.claim.take() {
            match looks {
                0 => held.checkpoint = Some(claim),
                looks => held.claim = Some((looks - 1, claim)),
            }
        }
        Ok(held.checkpoint.clone())
    }
}

fn machine(broker: &Broker, instance: &str, plan: Vec<Step>) -> Machine<Fake> {
    let client = Fake {
        broker: broker.clone(),
        epoch: 0,
        open: vec![],
        checkpoint: None,
        plan,
        grouping: Grouping::Full,
    };
    let mut machine = Machine::new(
        client,
        &example(),
        instance.into(),
        Arc::default(),
        Arc::default(),
    );
    machine.open().unwrap();
    machine
}

fn checkpoint(instance: &str, counter: u64) -> Checkpoint {
    Checkpoint {
        version: 1,
        system_id: "1".into(),
        timeline: 1,
        database: "d".into(),
        slot: "s".into(),
        position: Some(Position::at(Lsn(counter))),
        events: None,
        last_commit_lsn: None,
        parked: Vec::new(),
        snapshot: None,
        instance: instance.into(),
        counter,
        written_at: String::new(),
        walferry: String::new(),
        tables: Vec::new(),
        published: None,
        topics: Default::default(),
    }
}

fn block(values: &[u8]) -> Arc<RecordBlock> {
    let mut block = RecordBlock::new();
    for value in values {
        let start = block.bytes() as u32;
        block.arena_mut().push(*value);
        let topic = block.topic(&"t".into());
        block.push(topic, None, Some(start..start + 1), None);
    }
    Arc::new(block)
}

fn counts(report: &CommitReport) -> Vec<(&str, u64)> {
    let counts = report.records.iter();
    counts.map(|(topic, count)| (&**topic, *count)).collect()
}

fn log(broker: &Broker) -> Vec<u8> {
    broker.0.lock().unwrap().log.concat()
}

#[test]
fn a_commit_of_unknown_outcome_is_neither_lost_nor_doubled() {
    for step in [
        Step::Good,
        Step::LostBefore,
        Step::LostAfter,
        Step::Suspect,
        Step::SendFails,
    ] {
        let broker = Broker::default();
        let mut machine = machine(&broker, "a", vec![step]);
        for (counter, value) in [(1, 10), (2, 20)] {
            machine.append(&block(&[value]), 0..1).unwrap();
            machine.commit(checkpoint("a", counter)).unwrap();
        }
        assert_eq!(log(&broker), [10, 20], "{step:?}");
        // The guard's new producer is no failure.
        let failed = !matches!(step, Step::Good | Step::Suspect);
        assert_eq!(machine.health().retries(), u64::from(failed), "{step:?}");
    }
}

#[test]
fn a_batch_that_is_always_in_doubt_is_given_up() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![Step::LostForEver]);
    machine.append(&block(&[1]), 0..1).unwrap();
    let error = machine.commit(checkpoint("a", 1)).unwrap_err();
    assert!(
        error.to_string().contains("gave up after 5 tries"),
        "{error}"
    );
    assert_eq!(
        error.disposition(),
        walferry_event::Disposition::Halt,
        "the tries are used up: the ring does not begin them anew"
    );
    assert!(log(&broker).is_empty());
    assert!(machine.health().reason().is_some());
}

#[test]
fn many_appends_of_one_block_send_each_record_once() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![Step::LostBefore]);
    let (one, other) = (block(&[1, 2, 3]), block(&[4, 5]));
    for records in [0..1, 1..1, 1..3] {
        machine.append(&one, records).unwrap();
    }
    machine.append(&other, 1..2).unwrap();
    machine.append(&one, 0..1).unwrap();
    let report = machine.commit(checkpoint("a", 1)).unwrap();
    assert_eq!(log(&broker), [1, 2, 3, 5, 1]);
    assert_eq!(counts(&report), [("t", 5)], "sent twice, committed once");
    let report = machine.commit(checkpoint("a", 2)).unwrap();
    assert_eq!(counts(&report), [], "a checkpoint alone");
}

#[test]
fn after_a_discard_nothing_of_it_is_published_and_the_producer_is_new() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![]);
    machine.append(&block(&[1]), 0..1).unwrap();
    let epoch = broker.0.lock().unwrap().epoch;
    machine.discard();
    machine.append(&block(&[2]), 0..1).unwrap();
    machine.commit(checkpoint("a", 1)).unwrap();
    assert_eq!(log(&broker), [2]);
    assert_eq!(broker.0.lock().unwrap().epoch, epoch + 1);
}

#[test]
fn a_suspect_commit_replaces_the_producer_before_the_next_begin() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![Step::Suspect]);
    machine.commit(checkpoint("a", 1)).unwrap();
    let before = broker.0.lock().unwrap().epoch;
    machine.append(&block(&[1]), 0..1).unwrap();
    assert_eq!(broker.0.lock().unwrap().epoch, before + 1);
}

#[test]
fn an_older_instance_is_fenced_and_touches_nothing() {
    let broker = Broker::default();
    let mut old = machine(&broker, "old", vec![]);
    old.commit(checkpoint("old", 1)).unwrap();
    old.append(&block(&[1]), 0..1).unwrap();
    let mut new = machine(&broker, "new", vec![]);
    new.commit(checkpoint("new", 2)).unwrap();
    let epoch = broker.0.lock().unwrap().epoch;
    let error = old.commit(checkpoint("old", 2)).unwrap_err();
    assert!(
        error.is_fenced() && error.to_string().contains("new"),
        "{error}"
    );
    assert_eq!(
        broker.0.lock().unwrap().epoch,
        epoch,
        "the newer instance was fenced"
    );
    new.append(&block(&[1]), 0..1).unwrap();
    new.commit(checkpoint("new", 3)).unwrap();
    assert_eq!(log(&broker), [1]);
}

#[test]
fn a_newer_instance_is_given_time_to_claim_what_it_has_fenced() {
    let broker = Broker::default();
    let mut old = machine(&broker, "old", vec![]);
    old.commit(checkpoint("old", 1)).unwrap();
    old.append(&block(&[1]), 0..1).unwrap();
    let _new = machine(&broker, "new", vec![]);
    let epoch = broker.0.lock().unwrap().epoch;
    broker.0.lock().unwrap().claim = Some((1, checkpoint("new", 2)));
    let error = old.commit(checkpoint("old", 2)).unwrap_err();
    assert!(error.is_fenced(), "{error}");
    let held = broker.0.lock().unwrap();
    assert_eq!(held.epoch, epoch, "the newer instance was fenced");
    assert!(held.log.is_empty());
}

#[test]
fn a_fence_without_another_instance_is_mended_but_not_for_ever() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![]);
    let mut outcome = Ok(CommitReport::default());
    for counter in 1..=4 {
        machine.append(&block(&[counter]), 0..1).unwrap();
        // The coordinator has given the transaction up: its epoch moves on.
        broker.0.lock().unwrap().epoch += 1;
        outcome = machine.commit(checkpoint("a", counter.into()));
    }
    assert_eq!(log(&broker), [1, 2, 3]);
    assert!(outcome.is_err());
}

#[test]
fn a_checkpoint_of_neither_batch_is_a_divergence() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![Step::Good, Step::LostBefore]);
    machine.commit(checkpoint("a", 1)).unwrap();
    broker.0.lock().unwrap().checkpoint = Some(checkpoint("a", 77));
    let error = machine.commit(checkpoint("a", 2)).unwrap_err();
    assert!(error.is_diverged(), "{error}");
}

#[test]
fn a_record_that_is_too_large_follows_its_rule_and_the_rest_is_published() {
    let broker = Broker::default();
    broker.0.lock().unwrap().too_large = Some(vec![2]);
    let mut stopped = machine(&broker, "a", vec![]);
    let error = stopped.append(&block(&[1, 2, 3]), 0..3).unwrap_err();
    assert!(error.to_string().contains("max.message.bytes"), "{error}");

    let mut machine = machine(&broker, "b", vec![]);
    machine.append(&block(&[7]), 0..1).unwrap();
    machine.append(&large(&[1, 2, 3], 1..2, 9), 0..3).unwrap();
    let report = machine.commit(checkpoint("b", 1)).unwrap();
    assert_eq!(log(&broker), [7, 1, 9, 3]);
    assert_eq!(counts(&report), [("t", 3), ("dead", 1)]);
}

/// A block of which some records stand together, and what takes their place: the second time, publishing ends.
fn large(values: &[u8], records: Range<usize>, instead: u8) -> Arc<RecordBlock> {
    let mut block = Arc::into_inner(block(values)).unwrap();
    let judge = move |_: &Refusal, asked| match asked {
        0 => Verdict::Replace(OwnedRecord {
            topic: "dead".into(),
            key: None,
            value: Some(vec![instead]),
            headers: None,
        }),
        _ => Verdict::Stop("the dead letter is too large".into()),
    };
    block.may_be_refused(records, 0, Box::new(judge));
    Arc::new(block)
}

#[test]
fn the_records_of_one_change_stand_or_fall_together_wherever_they_lie_in_the_batch() {
    let broker = Broker::default();
    broker.0.lock().unwrap().too_large = Some(vec![7]);
    let mut machine = machine(&broker, "a", vec![Step::Good, Step::LostBefore]);
    machine.append(&block(&[1, 2]), 0..2).unwrap();
    let whole = large(&[3, 5, 6, 7, 8], 1..4, 9);
    machine.append(&whole, 0..1).unwrap();
    machine.append(&whole, 1..4).unwrap();
    machine.append(&whole, 4..5).unwrap();
    let report = machine.commit(checkpoint("a", 1)).unwrap();
    assert_eq!(log(&broker), [1, 2, 3, 9, 8]);
    assert_eq!(counts(&report), [("t", 4), ("dead", 1)]);
    // Sent again after a lost commit, the same.
    machine.append(&whole, 0..5).unwrap();
    machine.commit(checkpoint("a", 2)).unwrap();
    assert_eq!(log(&broker), [1, 2, 3, 9, 8, 3, 9, 8]);
}

#[test]
fn a_dead_letter_that_is_too_large_itself_ends_publishing() {
    let broker = Broker::default();
    broker.0.lock().unwrap().too_large = Some(vec![2]);
    let mut machine = machine(&broker, "a", vec![]);
    let error = machine.append(&large(&[1, 2], 1..2, 2), 0..2).unwrap_err();
    assert_eq!(error.to_string(), "the dead letter is too large [WF0506]");
    assert_eq!(error.kind(), "too_large");
}

#[test]
fn a_batch_is_given_up_for_a_record_that_is_dealt_with_after_a_restart() {
    let broker = Broker::default();
    broker.0.lock().unwrap().too_large = Some(vec![2]);
    let mut block = Arc::into_inner(block(&[1, 2])).unwrap();
    let judge = |refusal: &Refusal, _| Verdict::Restart(format!("{} bytes", refusal.bytes));
    block.may_be_refused(1..2, 0, Box::new(judge));
    let mut machine = machine(&broker, "a", vec![]);
    let error = machine.append(&Arc::new(block), 0..2).unwrap_err();
    assert!(error.is_diverged(), "{error}");
    assert_eq!(error.to_string(), "1 bytes [WF0509]");
}

#[test]
fn a_group_that_is_refused_is_sent_record_by_record_and_only_the_large_one_is_left_out() {
    let broker = Broker::default();
    broker.0.lock().unwrap().too_large = Some(vec![2]);
    broker.0.lock().unwrap().refuses_groups = true;
    let mut machine = machine(&broker, "a", vec![]);
    let mut mixed = Arc::into_inner(block(&[1, 2, 3])).unwrap();
    mixed.may_be_refused(1..2, 0, Box::new(|_, _| Verdict::Skip));
    machine.append(&Arc::new(mixed), 0..3).unwrap();
    let report = machine.commit(checkpoint("a", 1)).unwrap();
    assert_eq!(counts(&report), [("t", 2)]);
    machine.append(&block(&[4]), 0..1).unwrap();
    machine.commit(checkpoint("a", 2)).unwrap();
    assert_eq!(log(&broker), [1, 3, 4]);
    assert_eq!(machine.client.grouping, Grouping::Full);
}

proptest! {
    #[test]
    fn any_plan_of_faults_publishes_each_record_once_in_order(
        plan in prop::collection::vec(prop::sample::select(vec![
            Step::Good, Step::LostBefore, Step::LostAfter, Step::Suspect, Step::SendFails]), 0..20),
        batches in prop::collection::vec(1usize..4, 1..10),
    ) {
        let broker = Broker::default();
        let mut machine = machine(&broker, "a", plan);
        machine.retries.retries_max = 100;
        let mut value = 0u8;
        for (counter, parts) in (1..).zip(&batches) {
            for _ in 0..*parts {
                machine.append(&block(&[value, value + 1]), 0..2).unwrap();
                value += 2;
            }
            machine.commit(checkpoint("a", counter)).unwrap();
        }
        prop_assert_eq!(log(&broker), (0..value).collect::<Vec<_>>());
    }
}

#[test]
fn a_doubt_is_not_settled_any_more_when_it_is_asked_to_stop() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![Step::LostBefore]);
    machine.append(&block(&[1]), 0..1).unwrap();
    machine.stop.store(true, Ordering::Relaxed);
    let epoch = broker.0.lock().unwrap().epoch;
    let error = machine.commit(checkpoint("a", 1)).unwrap_err();
    assert!(error.is_stopped(), "{error}");
    assert_eq!(broker.0.lock().unwrap().epoch, epoch, "nobody was fenced");
}

#[test]
fn a_doubt_is_told_of_until_a_commit_succeeds() {
    let broker = Broker::default();
    let mut machine = machine(&broker, "a", vec![Step::SendFails, Step::SendFails]);
    machine.append(&block(&[1]), 0..1).unwrap();
    let reason = machine.health().reason().unwrap();
    assert!(reason.contains("send failed"), "{reason}");
    assert!(machine.health().steps() > 0, "it waited, and was alive");
    machine.commit(checkpoint("a", 1)).unwrap();
    assert_eq!(machine.health().reason(), None);
}
