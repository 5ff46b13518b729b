//! The rule of the watermark: its cases, and a model of a database, a stream and a chunk under random schedules.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

use crate::encode::recent_transactions::Recent;

fn text(text: &str) -> Datum<'_> {
    Datum::Text(text.as_bytes())
}

fn everything() -> Visibility {
    "1000:1000:".parse().unwrap()
}

fn keyed() -> Window {
    Window::new(Identity::Key(vec![0]))
}

#[test]
fn what_the_stream_has_whole_is_dropped_under_its_old_key_and_its_new_one() {
    let mut window = keyed();
    let row = |id: &'static str| [text(id), text("x")];
    window.touch(&Change::Insert(&row("1")), 5);
    window.touch(&Change::Update(None, &row("2")), 5);
    window.touch(
        &Change::Update(Some(Old::Key(&[text("3"), Datum::Null])), &row("4")),
        5,
    );
    window.touch(&Change::Delete(Old::Key(&[text("5"), Datum::Null])), 5);
    for id in ["1", "2", "3", "4", "5"] {
        assert_eq!(window.judge(&row(id), &everything()), Verdict::Drop, "{id}");
    }
    assert_eq!(window.judge(&row("6"), &everything()), Verdict::Give);
}

#[test]
fn keys_of_several_columns_do_not_run_into_each_other() {
    let mut window = Window::new(Identity::Key(vec![0, 1]));
    window.touch(&Change::Insert(&[text("a"), text("bc")]), 5);
    assert_eq!(
        window.judge(&[text("ab"), text("c")], &everything()),
        Verdict::Give
    );
    assert_eq!(
        window.judge(&[text("a"), text("bc")], &everything()),
        Verdict::Drop
    );
}

#[test]
fn a_value_that_updates_left_out_comes_from_the_chunk_and_the_rest_from_them() {
    let mut window = keyed();
    let left_out = Datum::Unchanged;
    window.touch(&Change::Update(None, &[text("1"), text("b"), left_out]), 5);
    window.touch(
        &Change::Update(None, &[text("1"), Datum::Null, left_out]),
        6,
    );
    assert_eq!(
        window.judge(&[text("1"), text("a"), text("toast")], &everything()),
        Verdict::GiveAs(vec![text("1"), Datum::Null, text("toast")])
    );
    // Once the stream holds the row whole, what a later update leaves out is in the stream.
    window.touch(&Change::Insert(&[text("1"), text("c"), text("new")]), 7);
    window.touch(&Change::Update(None, &[text("1"), text("d"), left_out]), 8);
    let row = [text("1"), text("a"), text("toast")];
    assert_eq!(window.judge(&row, &everything()), Verdict::Drop);
}

#[test]
fn a_truncate_and_too_much_make_it_void() {
    let mut window = keyed();
    window.touch(&Change::Truncate, 5);
    assert_eq!(window.void(), Some(Void::Truncated));
    let mut window = keyed();
    let long = "x".repeat(1 << 20);
    for i in 0..=7 {
        assert_eq!(window.void(), None);
        let id = format!("{i}{long}");
        window.touch(&Change::Insert(&[text(&id)]), 5);
    }
    assert_eq!(window.void(), Some(Void::Full));
}

#[test]
fn without_a_key_each_removal_that_the_snapshot_does_not_see_takes_one_row() {
    let mut window = Window::new(Identity::Bag);
    let row = [text("a"), Datum::Null];
    let seen: Visibility = "10:12:10".parse().unwrap();
    window.touch(&Change::Delete(Old::Full(&row)), 9);
    window.touch(
        &Change::Update(Some(Old::Full(&row)), &[text("b"), Datum::Null]),
        10,
    );
    window.touch(&Change::Insert(&row), 10);
    assert_eq!(window.judge(&row, &seen), Verdict::Drop);
    assert_eq!(window.judge(&row, &seen), Verdict::Give);
}

/// A row of the model: a value that each update writes, and one that updates leave out.
type Row = (u32, u32);

/// A change of the model's stream.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8, Row),
    /// The second value is left out.
    Patch(u8, u32),
    Remove(u8),
}

/// A database whose transactions are in the stream (their commit record is written) before they are visible.
struct Model {
    random: StdRng,
    /// What each transaction did, in the order of commit records.
    log: Vec<(u32, Vec<Step>)>,
    /// Those that are in the log and not visible yet, with the keys that they lock.
    hanging: Vec<(u32, Vec<u8>)>,
    /// What a snapshot sees.
    visible: BTreeMap<u8, Row>,
    /// What the log says.
    truth: BTreeMap<u8, Row>,
    next_xid: u32,
}

impl Model {
    fn new(seed: u64) -> Model {
        let rows: BTreeMap<u8, Row> = (0..12).map(|key| (key, (0, u32::from(key)))).collect();
        Model {
            random: StdRng::seed_from_u64(seed),
            log: Vec::new(),
            hanging: Vec::new(),
            visible: rows.clone(),
            truth: rows,
            next_xid: 100,
        }
    }

    /// A transaction writes its commit record; it becomes visible at once or later.
    fn commit(&mut self) {
        let xid = self.next_xid;
        self.next_xid += 1;
        let mut steps = Vec::new();
        let mut locked = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            let key = self.random.random_range(0..16);
            if self.hanging.iter().any(|(_, keys)| keys.contains(&key)) {
                continue; // Its row is locked until the other one is visible.
            }
            let value = self.random.random();
            let step = match (
                self.truth.contains_key(&key),
                self.random.random_range(0..4),
            ) {
                (false, _) => Step::Put(key, (value, value / 2)),
                (true, 0) => Step::Remove(key),
                (true, 1) => Step::Put(key, (value, value / 2)),
                (true, _) => Step::Patch(key, value),
            };
            apply(&mut self.truth, step);
            locked.push(key);
            steps.push(step);
        }
        self.log.push((xid, steps));
        self.hanging.push((xid, locked));
    }

    fn appear(&mut self) {
        if !self.hanging.is_empty() {
            let i = self.random.random_range(0..self.hanging.len());
            let (xid, _) = self.hanging.swap_remove(i);
            let steps = self
                .log
                .iter()
                .find(|(id, _)| *id == xid)
                .unwrap()
                .1
                .clone();
            steps
                .into_iter()
                .for_each(|step| apply(&mut self.visible, step));
        }
    }

    fn snapshot(&self) -> (Visibility, BTreeMap<u8, Row>) {
        let running: Vec<String> = self
            .hanging
            .iter()
            .map(|(xid, _)| xid.to_string())
            .collect();
        let xmin = self
            .hanging
            .iter()
            .map(|(xid, _)| *xid)
            .min()
            .unwrap_or(self.next_xid);
        let text = format!("{xmin}:{}:{}", self.next_xid, running.join(","));
        (text.parse().unwrap(), self.visible.clone())
    }
}

fn apply(rows: &mut BTreeMap<u8, Row>, step: Step) {
    match step {
        Step::Put(key, row) => {
            rows.insert(key, row);
        }
        Step::Patch(key, value) => {
            if let Some(row) = rows.get_mut(&key) {
                row.0 = value;
            }
        }
        Step::Remove(key) => {
            rows.remove(&key);
        }
    }
}

/// A consumer: what the topics tell it. A value that it was never told is `None`.
#[derive(Default)]
struct Consumer {
    rows: BTreeMap<u8, (u32, Option<u32>)>,
    read: BTreeMap<u8, u32>,
}

fn stream(consumer: &mut Consumer, window: Option<&mut Window>, xid: u32, step: Step) {
    let (key, a, b);
    match step {
        Step::Put(id, row) => {
            consumer.rows.insert(id, (row.0, Some(row.1)));
            (key, a, b) = (id, row.0.to_string(), Some(row.1.to_string()));
        }
        Step::Patch(id, value) => {
            consumer.rows.entry(id).or_insert((value, None)).0 = value;
            (key, a, b) = (id, value.to_string(), None);
        }
        Step::Remove(id) => {
            consumer.rows.remove(&id);
            if let Some(window) = window {
                let key = id.to_string();
                window.touch(
                    &Change::Delete(Old::Key(&[text(&key), Datum::Null, Datum::Null])),
                    xid,
                );
            }
            return;
        }
    }
    if let Some(window) = window {
        let key = key.to_string();
        let b = b.as_deref().map_or(Datum::Unchanged, text);
        window.touch(&Change::Update(None, &[text(&key), text(&a), b]), xid);
    }
}

/// One chunk of everything, at random moments of a random history. Whether the topics end up telling the truth, each row once.
fn run(seed: u64, guard: bool) -> bool {
    let mut model = Model::new(seed);
    let mut consumer = Consumer::default();
    let mut recent = Recent::default();
    let (mut streamed, mut open_at) = (0, None);
    let mut window = None;
    let mut chunk = None;
    let mut before = recent.before();
    let mut given = false;
    for moment in 0..400 {
        match model.random.random_range(0..6) {
            0 if moment < 300 => model.commit(),
            1 => model.appear(),
            2 if streamed < model.log.len() => {
                let (xid, steps) = model.log[streamed].clone();
                recent.note(xid);
                for step in steps {
                    stream(&mut consumer, window.as_mut(), xid, step);
                }
                streamed += 1;
            }
            3 if open_at.is_none() && moment > 30 => {
                open_at = Some(streamed);
                before = recent.before();
                window = Some(keyed());
            }
            4 if open_at.is_some() && chunk.is_none() => {
                let (visibility, rows) = model.snapshot();
                if !guard || before.all_seen(&visibility) {
                    chunk = Some((visibility, rows, model.log.len()));
                }
            }
            _ => {}
        }
        let Some((visibility, rows, goal)) = &chunk else {
            continue;
        };
        if given || streamed < *goal {
            continue;
        }
        given = true;
        let Some(mut window) = window.take() else {
            continue;
        };
        for (key, row) in rows {
            let texts = [key.to_string(), row.0.to_string(), row.1.to_string()];
            let datums = [text(&texts[0]), text(&texts[1]), text(&texts[2])];
            let number = |datum: &Datum<'_>| match datum {
                Datum::Text(text) => std::str::from_utf8(text).unwrap().parse().unwrap(),
                _ => 0,
            };
            let row = match window.judge(&datums, visibility) {
                Verdict::Drop => continue,
                Verdict::Give => (row.0, Some(row.1)),
                Verdict::GiveAs(row) => (number(&row[1]), Some(number(&row[2]))),
            };
            consumer.rows.insert(*key, row);
            *consumer.read.entry(*key).or_default() += 1;
        }
    }
    if !given {
        return true;
    }
    for (xid, steps) in &model.log[streamed..] {
        steps
            .iter()
            .for_each(|&step| stream(&mut consumer, None, *xid, step));
    }
    let truth: BTreeMap<u8, (u32, Option<u32>)> = model
        .truth
        .iter()
        .map(|(&key, row)| (key, (row.0, Some(row.1))))
        .collect();
    consumer.rows == truth && consumer.read.values().all(|&times| times == 1)
}

#[test]
fn under_any_schedule_the_topics_tell_the_truth_once() {
    for seed in 0..3_000 {
        assert!(run(seed, true), "seed {seed}");
    }
}

#[test]
fn a_comparison_of_log_positions_would_not_do() {
    let broken = (0..3_000).filter(|&seed| !run(seed, false)).count();
    assert!(broken > 30, "the model does not show the race: {broken}");
}
