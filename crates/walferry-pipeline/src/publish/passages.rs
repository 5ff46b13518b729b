//! Where the time of the open batch's transactions went, from the commit in PostgreSQL to the commit in Kafka.
//!
//! Owns the account of the open batch, a group for each block of records, and what is remembered of the times in which nothing was read.
//! Never: asks the time for a transaction; a group has the means of its own.
//! Invariant: the stages of a group add up to the mean age of its transactions when they became readable, but for what is below nothing
//! because the clocks are compared only so well.
//! Start reading at `Passages::settle`.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    clock::Moment,
    encode::{block::Times, passage::Passage},
    status::latency::{
        Latency,
        stage::{Parts, Stage},
        work::Work,
    },
};

/// Times in which nothing was read, as many as are remembered.
const PAUSES_MAX: usize = 128;

/// The account of the open batch.
#[derive(Default)]
pub(super) struct Passages {
    groups: Vec<Group>,
    work: Work,
    /// What giving records to Kafka's client has taken since the start.
    sending: Duration,
    pauses: Pauses,
}

/// Transactions of one block of records.
#[derive(Clone, Copy)]
struct Group {
    passage: Passage,
    /// When the publisher took it up.
    handed: Instant,
    /// [`Passages::sending`] then.
    sending: Duration,
    transactions: u64,
    /// How old the commits were when the encoder took them up, by the server's clock against ours: the sum of all.
    commit_age_us: i64,
    /// The same from when the server sent their ends.
    sent_age_us: i64,
}

/// What happened to the batch at its end.
pub(super) struct End {
    /// When its commit was begun.
    pub(super) begun: Instant,
    /// Until the last record was acknowledged.
    pub(super) flush: Duration,
    /// When it could be read.
    pub(super) readable: Instant,
    /// By how much the server's clock is ahead of ours.
    pub(super) ahead_us: i64,
}

impl Passages {
    /// The publisher takes up a block.
    pub(super) fn begins(&mut self, passage: Option<Passage>, handed: Instant) {
        let Some(passage) = passage else {
            return;
        };
        self.work += passage.did;
        self.pauses.add(&passage);
        // Of a block in which no transaction ends there is nothing to tell.
        self.groups.pop_if(|it| it.transactions == 0);
        self.groups.push(Group {
            passage,
            handed,
            sending: self.sending,
            transactions: 0,
            commit_age_us: 0,
            sent_age_us: 0,
        });
    }

    /// A transaction of the block ends.
    pub(super) fn add(&mut self, times: Times) {
        if let Some(group) = self.groups.last_mut() {
            let taken_us = group.passage.arrival.taken.us;
            group.transactions += 1;
            group.commit_age_us += taken_us - times.commit_us;
            group.sent_age_us += taken_us - times.sent_us;
        }
    }

    /// Records were given to Kafka's client for so long.
    pub(super) fn sent(&mut self, took: Duration) {
        self.sending += took;
    }

    /// The batch is committed: tells of it, and begins anew. What comes behind in the same block belongs to it still.
    pub(super) fn settle(&mut self, end: &End, latency: &Latency) {
        let last = self.groups.last().copied();
        for group in self.groups.drain(..).filter(|it| it.transactions > 0) {
            let parts = group.parts(end, self.sending, &self.pauses);
            latency.count(group.transactions, &parts, end.readable);
        }
        self.groups.extend(last.map(|it| Group {
            transactions: 0,
            commit_age_us: 0,
            sent_age_us: 0,
            ..it
        }));
        // What is left of the block waits for Kafka meanwhile.
        self.sending += end.readable.saturating_duration_since(end.begun);
        latency.count_work(std::mem::take(&mut self.work), end.readable);
    }
}

impl Group {
    fn parts(&self, end: &End, sending: Duration, pauses: &Pauses) -> Parts {
        let Passage {
            arrival,
            encoded,
            spent,
            ..
        } = self.passage;
        let count = i64::try_from(self.transactions).unwrap_or(i64::MAX);
        let commit_age_us = self.commit_age_us / count + end.ahead_us;
        let sent_age_us = self.sent_age_us / count + end.ahead_us;
        let queue = arrival
            .taken
            .monotonic
            .saturating_duration_since(arrival.received);
        let queue_us = micros(queue);
        let mut source_us = u64::try_from(commit_age_us - sent_age_us).unwrap_or(0);
        let mut network_us = u64::try_from(sent_age_us)
            .unwrap_or(0)
            .saturating_sub(queue_us);
        // What could not come because nothing was read waited for the encoder.
        let way_us = source_us + network_us;
        let received_us = arrival.taken.us - i64::try_from(queue_us).unwrap_or(i64::MAX);
        let held_us = pauses
            .within(arrival.taken.us - commit_age_us, received_us)
            .min(way_us);
        let free_us = u128::from(way_us - held_us);
        network_us = match way_us {
            0 => 0,
            way => (u128::from(network_us) * free_us / u128::from(way)) as u64,
        };
        source_us = (free_us as u64).saturating_sub(network_us);

        let given = sending.saturating_sub(self.sending);
        let open = end.begun.saturating_duration_since(self.handed);
        let given = given.min(open);
        let handing = self.handed.saturating_duration_since(encoded);
        let ending = end.readable.saturating_duration_since(end.begun);
        let flush = end.flush.min(ending);
        let mut parts = Parts::default();
        for (stage, us) in [
            (Stage::Source, source_us),
            (Stage::Network, network_us),
            (Stage::Queue, queue_us + held_us),
            (Stage::Catalog, micros(spent.catalog)),
            (Stage::Registry, micros(spent.registry)),
            (Stage::Encode, micros(spent.encode)),
            (Stage::Batch, micros(open - given)),
            (Stage::Send, micros(spent.kafka + handing + given + flush)),
            (Stage::Commit, micros(ending - flush)),
        ] {
            *parts.of_mut(stage) = us;
        }
        parts
    }
}

/// Times in which nothing was read, in Unix microseconds.
#[derive(Default)]
struct Pauses(VecDeque<Pause>);

#[derive(Clone, Copy)]
struct Pause {
    begin_us: i64,
    end_us: i64,
    /// How much of it.
    held_us: i64,
}

impl Pauses {
    fn add(&mut self, passage: &Passage) {
        let Moment { us, monotonic } = passage.arrival.taken;
        let held_us = micros(passage.arrival.held_back) as i64;
        let age = monotonic.saturating_duration_since(passage.arrival.received);
        let begin_us = us - micros(age) as i64;
        // A block of the stream makes several of records.
        if held_us == 0 || self.0.back().is_some_and(|it| it.begin_us >= begin_us) {
            return;
        }
        if self.0.len() == PAUSES_MAX
            && let (Some(oldest), Some(next)) = (self.0.pop_front(), self.0.pop_front())
        {
            self.0.push_front(Pause {
                begin_us: oldest.begin_us,
                end_us: next.end_us,
                held_us: oldest.held_us + next.held_us,
            });
        }
        self.0.push_back(Pause {
            begin_us,
            end_us: begin_us + held_us,
            held_us,
        });
    }

    /// How much of the time between.
    fn within(&self, from_us: i64, to_us: i64) -> u64 {
        let mut held_us = 0;
        for pause in self.0.iter().rev().take_while(|it| it.end_us > from_us) {
            let overlap_us = pause.end_us.min(to_us) - pause.begin_us.max(from_us);
            let length_us = (pause.end_us - pause.begin_us).max(1);
            held_us += overlap_us.max(0) as i128 * pause.held_us as i128 / length_us as i128;
        }
        u64::try_from(held_us).unwrap_or(u64::MAX)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::passage::Arrival;

    const AHEAD_US: i64 = 3_600_000_000;

    /// Milliseconds after a beginning at which both clocks are known.
    struct Way {
        begun: Instant,
        begun_us: i64,
    }

    impl Way {
        fn new() -> Way {
            Way {
                begun: Instant::now(),
                begun_us: 1_796_040_000_000_000,
            }
        }

        fn at(&self, ms: u64) -> Instant {
            self.begun + Duration::from_millis(ms)
        }

        fn server(&self, ms: i64) -> i64 {
            self.begun_us + ms * 1_000 + AHEAD_US
        }

        fn passage(&self, received: u64, held_back: u64, taken: u64, encoded: u64) -> Passage {
            let spent = Work {
                registry: Duration::from_millis(2),
                encode: Duration::from_millis(encoded - taken - 2),
                ..Work::default()
            };
            Passage {
                arrival: Arrival {
                    received: self.at(received),
                    held_back: Duration::from_millis(held_back),
                    taken: Moment {
                        us: self.begun_us + taken as i64 * 1_000,
                        monotonic: self.at(taken),
                    },
                },
                encoded: self.at(encoded),
                spent,
                did: spent,
            }
        }

        fn end(&self, begun: u64, flush: u64, readable: u64) -> End {
            End {
                begun: self.at(begun),
                flush: Duration::from_millis(flush),
                readable: self.at(readable),
                ahead_us: AHEAD_US,
            }
        }
    }

    fn told(latency: &Latency, way: &Way) -> Vec<(&'static str, f64)> {
        let report = latency.report(way.at(10_000));
        let stages = report.stages.iter();
        stages.map(|it| (it.stage, it.figures.mean_ms)).collect()
    }

    #[test]
    fn the_stages_of_a_batch_are_its_whole_way_whatever_the_clocks_say() {
        let (way, latency) = (Way::new(), Latency::default());
        let mut passages = Passages::default();
        passages.begins(Some(way.passage(130, 0, 140, 160)), way.at(165));
        for (commit, sent) in [(90, 110), (110, 130)] {
            passages.add(Times {
                commit_us: way.server(commit),
                sent_us: way.server(sent),
            });
        }
        passages.sent(Duration::from_millis(15));
        passages.settle(&way.end(200, 30, 240), &latency);
        assert_eq!(
            told(&latency, &way),
            [
                ("source", 20.0),
                ("network", 10.0),
                ("queue", 10.0),
                ("catalog", 0.0),
                ("registry", 2.0),
                ("encode", 18.0),
                ("batch", 20.0),
                ("send", 50.0),
                ("commit", 10.0),
            ]
        );
        let report = latency.report(way.at(10_000));
        assert_eq!(report.transactions, 2);
        assert_eq!(report.end_to_end.unwrap().mean_ms, 140.0, "100 to 240");
        // The rest of the block is in the next batch.
        passages.add(Times {
            commit_us: way.server(100),
            sent_us: way.server(120),
        });
        passages.settle(&way.end(300, 0, 340), &latency);
        assert_eq!(latency.report(way.at(10_000)).transactions, 3);
        passages.settle(&way.end(400, 0, 440), &latency);
        assert_eq!(latency.report(way.at(10_000)).transactions, 3);
    }

    #[test]
    fn what_could_not_be_read_waited_for_the_encoder() {
        let (way, latency) = (Way::new(), Latency::default());
        let mut passages = Passages::default();
        // Nothing was read for 900 ms, and what was committed meanwhile was sent only then.
        passages.begins(Some(way.passage(100, 900, 1_000, 1_010)), way.at(1_010));
        passages.begins(Some(way.passage(1_010, 0, 1_010, 1_020)), way.at(1_020));
        passages.add(Times {
            commit_us: way.server(200),
            sent_us: way.server(1_005),
        });
        passages.settle(&way.end(1_020, 0, 1_030), &latency);
        let told = told(&latency, &way);
        assert_eq!(told[2], ("queue", 800.0));
        let way: f64 = told.iter().map(|it| it.1).sum();
        assert_eq!(way, 830.0);
        assert!(told[0].1 + told[1].1 <= 10.0, "{told:?}");
    }

    #[test]
    fn pauses_that_are_long_past_are_remembered_together() {
        let (way, mut pauses) = (Way::new(), Pauses::default());
        let count = 2 * PAUSES_MAX as u64;
        for at in 0..count {
            pauses.add(&way.passage(at * 100, 50, at * 100 + 60, at * 100 + 70));
        }
        assert_eq!(pauses.0.len(), PAUSES_MAX);
        let all = pauses.within(way.begun_us, way.begun_us + count as i64 * 100_000);
        assert_eq!(all, count * 50_000);
        let last = way.begun_us + (count as i64 - 1) * 100_000;
        assert_eq!(pauses.within(last + 20_000, last + 100_000), 30_000);
        assert_eq!(pauses.within(last + 60_000, last + 100_000), 0);
    }
}
