//! ParkedTables as a small model: random transactions, refusals, releases, lost connections and crashes; at the end each topic
//! holds each change of its table once and in order.

use proptest::prelude::*;

use super::*;

const TABLES: [&str; 3] = ["a", "b", "c"];
/// How far apart commits lie; the end of a transaction is half of it further on.
const STRIDE: u64 = 10;

/// One transaction: the table of each change.
type Transaction = Vec<usize>;

/// What happens between two transactions of the stream, or inside one.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    /// What is encoded becomes durable.
    Commit,
    /// The connection is lost; the stream comes again from what is durable.
    Reconnect,
    /// The process dies: what is not durable is gone.
    Crash,
    /// The first waiting table is let go on.
    Approve,
    /// The stream is idle.
    Idle,
}

/// The change of a transaction that is refused until it has been approved.
type Refusal = (usize, usize);

#[derive(Debug)]
struct World {
    transactions: Vec<Transaction>,
    refused: Vec<Refusal>,
    course: TablePositions,
    durable: Held,
    confirmed: Lsn,
    released: Vec<String>,
    /// (table, transaction, ordinal) in the order of publishing; the first `committed` are durable.
    topics: Vec<(usize, usize, u64)>,
    committed: usize,
}

fn commit_lsn(transaction: usize) -> Lsn {
    Lsn((transaction as u64 + 1) * STRIDE)
}

fn end_lsn(transaction: usize) -> Lsn {
    Lsn(commit_lsn(transaction).0 + STRIDE / 2)
}

impl World {
    fn new(transactions: Vec<Transaction>, refused: Vec<Refusal>) -> World {
        let start = Held::at(Position::at(Lsn(1)));
        World {
            transactions,
            refused,
            course: TablePositions::new(start.clone()),
            durable: start,
            confirmed: Lsn(1),
            released: Vec::new(),
            topics: Vec::new(),
            committed: 0,
        }
    }

    fn commit(&mut self) {
        self.durable = self.course.held();
        self.committed = self.topics.len();
        let needed = self.durable.needed();
        assert!(needed >= self.confirmed, "{needed} < {}", self.confirmed);
        self.confirmed = needed;
    }

    /// The stream begins again where the durable positions say; the transaction that it begins with.
    fn connect(&mut self) -> usize {
        let from = self
            .durable
            .needed_by(|table| self.released.iter().any(|it| it == table));
        assert!(
            from >= self.confirmed,
            "the slot does not hold {from} any more"
        );
        self.course.release(&self.released.clone());
        (0..self.transactions.len())
            .find(|&transaction| commit_lsn(transaction) >= from)
            .unwrap_or(self.transactions.len())
    }

    fn crash(&mut self) -> usize {
        self.topics.truncate(self.committed);
        self.course = TablePositions::new(self.durable.clone());
        self.released = self
            .durable
            .parked
            .iter()
            .map(|it| it.table.clone())
            .collect();
        self.connect()
    }

    fn approve(&mut self) -> Option<usize> {
        let waiting = TABLES.iter().find(|table| self.course.waits(table))?;
        let held = self.course.held();
        let parked = held.parked.iter().find(|it| it.table == *waiting)?;
        let (at, ordinal) = (
            parked.position.commit_lsn,
            parked.position.ordinal.unwrap() + 1,
        );
        self.refused.retain(|&(transaction, change)| {
            (commit_lsn(transaction), change as u64 + 1) != (at, ordinal)
        });
        self.released.push((*waiting).to_owned());
        Some(self.connect())
    }

    /// Where the stream goes on, when not at the next change.
    fn mishap(&mut self, mishap: Mishap) -> Option<usize> {
        match mishap {
            Mishap::Commit => {
                self.commit();
                None
            }
            Mishap::Reconnect => Some(self.connect()),
            Mishap::Crash => Some(self.crash()),
            Mishap::Approve => self.approve(),
            Mishap::Idle => None,
        }
    }

    fn change(&mut self, transaction: usize, change: usize) {
        let table = self.transactions[transaction][change];
        let (at, ordinal) = (commit_lsn(transaction), change as u64 + 1);
        if !self.course.is_due(TABLES[table], at, ordinal) {
            return;
        }
        if self.refused.contains(&(transaction, change)) {
            self.released.retain(|it| it != TABLES[table]);
            let parked = Parked {
                table: TABLES[table].into(),
                position: Position::default(),
                since: String::new(),
                reason: String::new(),
            };
            self.course.park(parked, at, ordinal);
            return;
        }
        self.topics.push((table, transaction, ordinal));
    }

    /// Runs one transaction; a mishap may strike before each change and at its end.
    fn transaction(
        &mut self,
        transaction: usize,
        mishaps: &mut impl Iterator<Item = Mishap>,
    ) -> usize {
        self.course.begin(commit_lsn(transaction)).unwrap();
        for change in 0..self.transactions[transaction].len() {
            self.change(transaction, change);
            if let Some(mishap) = mishaps.next() {
                // Only what has a mark behind it is ever committed or let go of.
                self.course
                    .inside(commit_lsn(transaction), change as u64 + 1, None);
                if let Some(next) = self.mishap(mishap) {
                    return next;
                }
            }
        }
        self.course.commit(Position {
            commit_lsn: commit_lsn(transaction),
            end_lsn: end_lsn(transaction),
            ordinal: None,
        });
        match mishaps.next() {
            Some(Mishap::Idle) => {
                self.course.idle(Lsn(end_lsn(transaction).0 + 2));
                transaction + 1
            }
            Some(mishap) => self.mishap(mishap).unwrap_or(transaction + 1),
            None => transaction + 1,
        }
    }

    fn run(&mut self, mishaps: Vec<Mishap>) {
        let mut mishaps = mishaps.into_iter();
        let mut next = 0;
        // After the last mishap each refusal is approved in turn, so this ends.
        loop {
            while next < self.transactions.len() {
                next = self.transaction(next, &mut mishaps);
            }
            match self.approve() {
                Some(again) => next = again,
                None => break,
            }
        }
        self.commit();
    }

    fn assert_exact(&self) {
        assert_eq!(self.durable.parked.len(), 0, "{self:?}");
        for table in 0..TABLES.len() {
            let published = self.topics.iter().filter(|it| it.0 == table).copied();
            let all = self
                .transactions
                .iter()
                .enumerate()
                .flat_map(|(transaction, changes)| {
                    changes
                        .iter()
                        .enumerate()
                        .filter(move |(_, it)| **it == table)
                        .map(move |(change, _)| (table, transaction, change as u64 + 1))
                });
            assert_eq!(
                published.collect::<Vec<_>>(),
                all.collect::<Vec<_>>(),
                "{self:?}"
            );
        }
        assert_eq!(self.confirmed, self.durable.position.end_lsn);
    }
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        6 => Just(Mishap::Commit),
        1 => Just(Mishap::Reconnect),
        1 => Just(Mishap::Crash),
        2 => Just(Mishap::Approve),
        2 => Just(Mishap::Idle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        transactions in prop::collection::vec(prop::collection::vec(0..TABLES.len(), 0..6), 1..12),
        refused in prop::collection::vec((0..12_usize, 0..6_usize), 0..5),
        mishaps in prop::collection::vec(mishap(), 0..80),
    ) {
        let mut world = World::new(transactions, refused);
        world.run(mishaps);
        world.assert_exact();
    }
}

#[test]
fn a_transaction_that_does_not_come_again_is_a_gap() {
    let mut course = TablePositions::new(Held::at(Position::at(Lsn(1))));
    course.inside(Lsn(10), 3, None);
    assert_eq!(course.begin(Lsn(10)), Ok(()));
    let gap = course.begin(Lsn(20)).unwrap_err();
    assert_eq!((gap.table, gap.position.ordinal), (None, Some(3)));
}

#[test]
fn the_slot_keeps_what_a_parked_table_is_owed() {
    let mut course = TablePositions::new(Held::at(Position::at(Lsn(5))));
    let parked = Parked {
        table: "a".into(),
        position: Position::default(),
        since: String::new(),
        reason: String::new(),
    };
    course.park(parked, Lsn(10), 2);
    let end = |end| Position {
        commit_lsn: Lsn(end - 5),
        end_lsn: Lsn(end),
        ordinal: None,
    };
    assert!(course.commit(end(15)) && course.commit(end(25)) && course.idle(Lsn(40)));
    let held = course.held();
    assert_eq!((held.position.end_lsn, held.needed()), (Lsn(40), Lsn(5)));
    assert_eq!(held.needed_by(|_| false), Lsn(40));
    assert_eq!(held.parked[0].position.ordinal, Some(1));
    assert!(!course.is_due("a", Lsn(30), 1) && course.is_due("b", Lsn(30), 1));
    course.release(&["a".into()]);
    assert!(course.is_due("a", Lsn(10), 2) && !course.is_due("a", Lsn(10), 1));
    assert!(!course.is_due("b", Lsn(10), 2));
    assert!(course.commit(end(15)), "the table has moved");
    assert!(course.is_split());
    assert!(course.idle(Lsn(41)) && !course.is_split());
}
