//! What takes most of the time from commit to commit, in one sentence.
//!
//! Owns the judgement and its words. What waits for the encoder waits for what the encoder is at: the time in the queue is divided as the
//! encode thread's own time was. So a registry that answers slowly is named, and not the queue before it.
//! Start reading at `Bottleneck::of`.

use crate::status::latency::{
    stage::{Parts, Stage},
    work::Work,
};

/// What may take most of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bottleneck {
    Source,
    Network,
    Catalog,
    Registry,
    Encode,
    Batch,
    Broker,
}

impl Bottleneck {
    /// The one that takes most, and how many microseconds.
    pub(super) fn of(sums: &Parts, work: &Work) -> Option<(Bottleneck, u64)> {
        let queue = sums.of(Stage::Queue) as f64;
        let thread = work.sum().as_secs_f64();
        let share = |part: std::time::Duration| match thread > 0.0 {
            true => (queue * part.as_secs_f64() / thread) as u64,
            false => 0,
        };
        let [catalog, registry, kafka] = [work.catalog, work.registry, work.kafka].map(share);
        let encode = sums
            .of(Stage::Queue)
            .saturating_sub(catalog + registry + kafka);
        let all = [
            (Bottleneck::Source, sums.of(Stage::Source)),
            (Bottleneck::Network, sums.of(Stage::Network)),
            (Bottleneck::Catalog, sums.of(Stage::Catalog) + catalog),
            (Bottleneck::Registry, sums.of(Stage::Registry) + registry),
            (Bottleneck::Encode, sums.of(Stage::Encode) + encode),
            (Bottleneck::Batch, sums.of(Stage::Batch)),
            (
                Bottleneck::Broker,
                sums.of(Stage::Send) + sums.of(Stage::Commit) + kafka,
            ),
        ];
        all.into_iter().max_by_key(|(_, us)| *us)
    }

    /// As the status has it.
    pub(super) fn name(self) -> &'static str {
        self.words().0
    }

    /// Its name, and what it means.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Bottleneck::Source => (
                "source decoding",
                "PostgreSQL's walsender has decoded and sent it only then, as behind a large transaction",
            ),
            Bottleneck::Network => ("network", "between PostgreSQL's walsender and this machine"),
            Bottleneck::Catalog => (
                "catalog",
                "PostgreSQL's answers to questions about tables that are new or have changed",
            ),
            Bottleneck::Registry => (
                "registry",
                "the schema registry's answers for tables that are new or have changed",
            ),
            Bottleneck::Encode => (
                "encode",
                "this process decodes and encodes as fast as one core can",
            ),
            Bottleneck::Batch => (
                "batch interval",
                "a change waits for the others of its Kafka transaction, at most publish.commit_interval_ms",
            ),
            Bottleneck::Broker => (
                "broker",
                "Kafka acknowledges records and commits the transaction",
            ),
        }
    }
}

/// What is said of so many transactions that took so long together.
pub(super) fn sentence(
    found: Option<(Bottleneck, u64)>,
    whole_us: u64,
    transactions: u64,
) -> String {
    let Some((bottleneck, us)) = found else {
        return "Nothing was published in the last minute.".to_owned();
    };
    let (name, what) = bottleneck.words();
    let percent = us * 100 / whole_us.max(1);
    format!(
        "The bottleneck is the {name}: {} of the {} from commit to Kafka ({percent} %, on average over {transactions} \
         transactions of the last minute); {what}.",
        time(us / transactions.max(1)),
        time(whole_us / transactions.max(1)),
    )
}

fn time(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn named(parts: &[(Stage, u64)], work: Work) -> &'static str {
        let mut sums = Parts::default();
        for (stage, us) in parts {
            *sums.of_mut(*stage) = *us;
        }
        let found = Bottleneck::of(&sums, &work);
        let text = sentence(found, sums.sum(), 1);
        let name = found.unwrap().0.name();
        assert!(text.contains(&format!("the {name}: ")), "{text}");
        name
    }

    #[test]
    fn the_stage_that_takes_most_is_named() {
        for (stage, name) in [
            (Stage::Source, "source decoding"),
            (Stage::Network, "network"),
            (Stage::Catalog, "catalog"),
            (Stage::Registry, "registry"),
            (Stage::Encode, "encode"),
            (Stage::Batch, "batch interval"),
            (Stage::Send, "broker"),
            (Stage::Commit, "broker"),
        ] {
            let all = Stage::ALL.map(|it| (it, if it == stage { 900 } else { 100 }));
            assert_eq!(named(&all, Work::default()), name);
        }
    }

    #[test]
    fn a_queue_is_what_the_encoder_waits_for() {
        let queue = [(Stage::Queue, 1_000), (Stage::Batch, 300)];
        let second = Duration::from_secs(1);
        let work = |change: fn(&mut Work, Duration)| {
            let mut work = Work {
                encode: second,
                ..Work::default()
            };
            change(&mut work, 3 * second);
            work
        };
        assert_eq!(named(&queue, Work::default()), "encode");
        assert_eq!(named(&queue, work(|_, _| {})), "encode");
        assert_eq!(named(&queue, work(|it, long| it.kafka = long)), "broker");
        assert_eq!(
            named(&queue, work(|it, long| it.registry = long)),
            "registry"
        );
        assert_eq!(named(&queue, work(|it, long| it.catalog = long)), "catalog");
    }

    #[test]
    fn the_sentence_has_the_figures() {
        assert_eq!(
            sentence(Some((Bottleneck::Broker, 600_000)), 800_000, 2),
            "The bottleneck is the broker: 300 ms of the 400 ms from commit to Kafka (75 %, on average over 2 transactions of the last \
             minute); Kafka acknowledges records and commits the transaction."
        );
        assert_eq!(
            sentence(None, 0, 0),
            "Nothing was published in the last minute."
        );
    }
}
