//! The two calls on librdkafka that wait for the transaction coordinator, made on a thread of their own.
//!
//! Owns that thread. A call is given a limit that no wait of ours reaches: librdkafka keeps what became of a step that was given
//! up (`rd_kafka_txn_op_req0` leaves `has_result` set), takes it for the answer to the next step, and then calls a transaction
//! committed that is not, or ends the process ("Invalid transaction state transition", `rdkafka_txnmgr.c`). Under load a limit of
//! 250 ms was enough for that.
//! Invariant: one call at a time, and a call that was answered is never made again. Never decides how long to wait: whoever asks
//! looks for the answer as long as it likes, and drops the producer when it has waited enough; the thread ends with its call.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::{
    error::KafkaError,
    producer::{BaseProducer, Producer},
};

use crate::{background_drop::Leaving, config::TRANSACTION_TIMEOUT, events::Events, native};

/// What is asked of librdkafka.
#[derive(Clone, Copy)]
enum Call {
    Init,
    Commit,
}

/// Why a call has failed.
pub(super) enum Failed {
    Init(KafkaError),
    Commit(native::TransactionError),
    /// The thread is gone.
    Lost,
}

impl Failed {
    /// Whether the same call may be made again.
    pub(super) fn is_retriable(&self) -> bool {
        match self {
            Failed::Init(KafkaError::Transaction(error)) => error.is_retriable(),
            Failed::Commit(error) => error.retriable && !error.fatal,
            Failed::Init(_) | Failed::Lost => false,
        }
    }
}

/// The thread, and whether it is in a call.
pub(super) struct Calls {
    asked: Option<Sender<Call>>,
    answers: Receiver<Result<(), Failed>>,
    thread: Option<JoinHandle<()>>,
    under_way: bool,
}

impl Calls {
    pub(super) fn new(producer: Arc<BaseProducer<Events>>) -> std::io::Result<Calls> {
        let (asked, calls) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new()
            .name("walferry-txn".into())
            .spawn(move || {
                let _named = span.enter();
                serve(producer, &calls, &answer);
            })?;
        Ok(Calls {
            asked: Some(asked),
            answers,
            thread: Some(thread),
            under_way: false,
        })
    }

    /// Registers the producer with the coordinator, which fences the one before.
    pub(super) fn init(&mut self) {
        self.ask(Call::Init);
    }

    /// Commits the open transaction.
    pub(super) fn commit(&mut self) {
        self.ask(Call::Commit);
    }

    fn ask(&mut self, call: Call) {
        if let Some(asked) = &self.asked {
            // Without the thread there is no answer either, which is told there.
            let _ = asked.send(call);
            self.under_way = true;
        }
    }

    /// The answer, if it comes within `limit`.
    pub(super) fn answer(&mut self, limit: Duration) -> Option<Result<(), Failed>> {
        let answer = match self.answers.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Err(Failed::Lost),
        };
        self.under_way = false;
        Some(answer)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.asked = None;
        // One that waits for the coordinator is left alone: it ends by its limit, and the producer with it.
        if let Some(thread) = self.thread.take().filter(|_| !self.under_way)
            && thread.join().is_err()
        {
            tracing::error!("the thread of the transaction calls panicked");
        }
    }
}

fn serve(
    producer: Arc<BaseProducer<Events>>,
    calls: &Receiver<Call>,
    answer: &Sender<Result<(), Failed>>,
) {
    for call in calls {
        let done = match call {
            Call::Init => producer
                .init_transactions(TRANSACTION_TIMEOUT)
                .map_err(Failed::Init),
            Call::Commit => native::commit(&producer, TRANSACTION_TIMEOUT).map_err(Failed::Commit),
        };
        if answer.send(done).is_err() {
            // Whoever asked has given the producer up, and the last one to hold it ends it.
            drop(Leaving::new(producer));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{config::ClientConfig, mocking::MockCluster, producer::BaseRecord};

    use super::*;
    use crate::veil::Veil;

    /// With the limits in the calls themselves this ends within some dozens of transactions: with the assertion of librdkafka's, or
    /// with a transaction that was called committed and stands open.
    #[test]
    fn a_call_that_is_looked_at_again_and_again_is_made_once() {
        const STEP: Duration = Duration::from_millis(1);
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let producer: BaseProducer<Events> = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("transactional.id", "x")
            .create_with_context(Events::new(usize::MAX, Veil::default()))
            .unwrap();
        let producer = Arc::new(producer);
        let mut calls = Calls::new(producer.clone()).unwrap();
        let mut until_answered = |ask: fn(&mut Calls)| {
            ask(&mut calls);
            loop {
                producer.poll(Duration::ZERO);
                if let Some(answer) = calls.answer(Duration::ZERO) {
                    assert!(answer.is_ok());
                    return;
                }
            }
        };
        until_answered(Calls::init);
        for i in 0..500 {
            producer.begin_transaction().unwrap();
            let record = BaseRecord::with_opaque_to("t", i).key("k").payload("v");
            producer.send(record).map_err(|(error, _)| error).unwrap();
            while !native::flush(&producer, STEP) {
                producer.poll(Duration::ZERO);
            }
            until_answered(Calls::commit);
        }
    }
}
