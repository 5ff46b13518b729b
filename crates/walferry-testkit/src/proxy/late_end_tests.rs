//! The trap against a real broker: an EndTxn that arrives late ends a later transaction of the same producer. This is
//! the fault (KAFKA-17754) that the product's guard closes; here it is shown that the proxy can bring it about.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::*;
use crate::topics::Reader;
use walferry_stack::{KafkaOptions, KafkaServer};

const TOPIC: &str = "late";

type Sender = ThreadedProducer<rdkafka::producer::DefaultProducerContext>;

fn producer(brokers: &str, id: &str) -> Sender {
    let producer: Sender = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", id)
        .set("linger.ms", "0")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer
}

fn send(producer: &Sender, text: &str) {
    producer.begin_transaction().unwrap();
    producer
        .send(BaseRecord::to(TOPIC).key("k").payload(text))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
}

fn readable(brokers: &str) -> Vec<String> {
    let mut texts = Vec::new();
    Reader::open(brokers, &[TOPIC.to_owned()])
        .unwrap()
        .read_to_end(|message| {
            use rdkafka::Message;
            texts.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
            Ok(())
        })
        .unwrap();
    texts
}

#[test]
fn a_late_end_commits_a_later_transaction_unless_the_producer_was_replaced() {
    let server = KafkaServer::start(KafkaOptions::new()).unwrap();
    let proxy = Proxy::kafka(&server.brokers()).unwrap();
    for (id, replaced) in [("kept", false), ("replaced", true)] {
        let first = producer(&proxy.address(), id);
        send(&first, &format!("{id} 1"));
        proxy.hold_end_txn(0);
        // The client tries again on a new connection by itself and succeeds: the first request is on its way still.
        first.commit_transaction(Duration::from_secs(30)).unwrap();
        assert!(proxy.wait_held(Duration::from_secs(1)));
        let second = if replaced {
            producer(&proxy.address(), id)
        } else {
            first.clone()
        };
        send(&second, &format!("{id} 2"));
        assert!(!readable(&server.brokers()).contains(&format!("{id} 2")));
        let code = proxy.deliver_held().unwrap();
        assert_eq!(code == 0, !replaced, "the broker answers {code}");
        let texts = readable(&server.brokers());
        assert!(texts.contains(&format!("{id} 1")), "{texts:?}");
        assert_eq!(texts.contains(&format!("{id} 2")), !replaced, "{texts:?}");
        if replaced {
            second.commit_transaction(Duration::from_secs(30)).unwrap();
            assert!(readable(&server.brokers()).contains(&format!("{id} 2")));
        }
    }
    assert!(proxy.accepted() > 2, "the clients went around the proxy");
}
