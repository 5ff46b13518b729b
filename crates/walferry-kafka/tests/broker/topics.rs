//! Topics: created as they have to be, refused when they cannot serve, and errors that say what to do.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use walferry_event::{Disposition, Secret};
use walferry_kafka::{
    Gravity, ensure_checkpoint_topic, ensure_topics, plan_topics, topic_fitness, topics_missing,
};
use walferry_stack::{KafkaOptions, KafkaServer};

use crate::place::Place;

fn setting(place: &Place, topic: &str, name: &str) -> String {
    let of = [ResourceSpecifier::Topic(topic)];
    let admin = place.admin();
    let answer = futures_executor::block_on(admin.describe_configs(&of, &AdminOptions::new()));
    let resource = answer.unwrap().remove(0).unwrap();
    resource.get(name).unwrap().value.clone().unwrap()
}

fn partitions(place: &Place, topic: &str) -> usize {
    let admin = place.admin();
    let metadata = admin
        .inner()
        .fetch_metadata(Some(topic), Duration::from_secs(10));
    metadata.unwrap().topics()[0].partitions().len()
}

#[test]
fn the_checkpoint_topic_is_created_compacted_with_one_partition() {
    let place = Place::shared();
    let topic = &place.config.checkpoint_topic;
    for _ in 0..2 {
        ensure_checkpoint_topic(&place.config).unwrap();
    }
    assert_eq!(partitions(&place, topic), 1);
    assert_eq!(setting(&place, topic, "cleanup.policy"), "compact");
    assert_eq!(setting(&place, topic, "segment.ms"), "600000");
    assert_eq!(setting(&place, topic, "max.compaction.lag.ms"), "3600000");
}

#[test]
fn a_checkpoint_topic_that_could_lose_the_position_is_refused_with_the_remedy() {
    for (partitions, policy, words) in [
        (
            1,
            "delete",
            [
                "cleanup.policy = delete",
                "--add-config cleanup.policy=compact",
            ],
        ),
        (
            1,
            "compact,delete",
            ["cleanup.policy = compact,delete", "set it to compact"],
        ),
        (3, "compact", ["has 3 partitions", "kafka.checkpoint_topic"]),
    ] {
        let place = Place::shared();
        let topic = NewTopic::new(
            &place.config.checkpoint_topic,
            partitions,
            TopicReplication::Fixed(1),
        )
        .set("cleanup.policy", policy);
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        let created = futures_executor::block_on(place.admin().create_topics(&[topic], &options));
        created.unwrap().remove(0).unwrap();
        let error = ensure_checkpoint_topic(&place.config).unwrap_err();
        assert_eq!(error.disposition(), Disposition::Halt);
        // Before a start the same is told as a finding.
        let concerns = topic_fitness(&place.config, &[&place.config.checkpoint_topic]).unwrap();
        let found = format!("{:?}", concerns[0]);
        assert_eq!(concerns[0].gravity, Gravity::Stops);
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
            assert!(found.contains(word), "{found}");
        }
    }
}

#[test]
fn what_cannot_be_created_is_told_before_and_nothing_is_created() {
    let mut place = Place::shared();
    let (checkpoint, topic) = (place.config.checkpoint_topic.clone(), place.name("t"));
    let names = [checkpoint.as_str(), topic.as_str()];
    let planned = plan_topics(&place.config, &names).unwrap();
    assert!(
        planned.len() == 2 && planned.iter().all(|it| it.1.is_ok()),
        "{planned:?}"
    );
    let wrong = ("retention.ms".to_owned(), "soon".to_owned());
    place.config.topic_config.extend([wrong]);
    let planned = plan_topics(&place.config, &names).unwrap();
    for (name, outcome) in &planned {
        assert_eq!(outcome.is_ok(), *name == checkpoint, "{name}: {outcome:?}");
    }
    let told = planned.into_iter().find_map(|it| it.1.err()).unwrap();
    assert!(told.to_string().contains("kafka.topics"), "{told}");
    assert_eq!(topics_missing(&place.config, &names).unwrap(), names);
}

#[test]
fn missing_topics_are_named_and_created_with_their_settings() {
    let mut place = Place::shared();
    let (first, second) = (place.name("a"), place.name("b"));
    let both = [first.as_str(), second.as_str()];
    assert_eq!(topics_missing(&place.config, &both).unwrap(), both);
    // Asking must not create, although brokers do so for a question by name.
    assert_eq!(topics_missing(&place.config, &both).unwrap(), both);
    place.config.topic_partitions = 3;
    place
        .config
        .topic_config
        .insert("retention.ms".into(), "12345678".into());
    ensure_topics(&place.config, &both[..1]).unwrap();
    assert_eq!(topics_missing(&place.config, &both).unwrap(), both[1..]);
    ensure_topics(&place.config, &both).unwrap();
    assert!(topics_missing(&place.config, &both).unwrap().is_empty());
    for topic in both {
        assert_eq!(partitions(&place, topic), 3);
        assert_eq!(setting(&place, topic, "retention.ms"), "12345678");
    }
}

#[test]
fn a_topic_that_cannot_be_created_is_named_with_what_to_do() {
    let mut place = Place::shared();
    let error = ensure_topics(&place.config, &["no such letter: ä"]).unwrap_err();
    assert!(error.to_string().contains("letters, digits"), "{error}");
    place.config.topic_replication = 7;
    let name = place.name("a");
    let error = ensure_topics(&place.config, &[&name]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&name) && text.contains("replication_factor = 7"),
        "{text}"
    );
    assert_eq!(error.disposition(), Disposition::Halt);
    place.config.topic_replication = -1;
    place
        .config
        .topic_config
        .insert("no.such.setting".into(), "1".into());
    let text = ensure_topics(&place.config, &[&name])
        .unwrap_err()
        .to_string();
    assert!(text.contains("no.such.setting"), "{text}");
    let missing = topics_missing(&place.config, &[&name]).unwrap();
    assert_eq!(missing, [&name]);
}

#[test]
fn a_user_without_rights_is_told_which_right_is_missing() {
    let server = KafkaServer::start(KafkaOptions::new().user("reader", "secret")).unwrap();
    let mut place = Place::on(&server.brokers());
    place.config.brokers = server.sasl_brokers();
    for (name, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "reader"),
    ] {
        place.config.properties.insert(name.into(), value.into());
    }
    let password = Secret::literal("secret");
    place
        .config
        .secrets
        .insert("sasl.password".into(), password);
    place.config.check().unwrap();
    let error = ensure_checkpoint_topic(&place.config).unwrap_err();
    assert_eq!(
        (error.kind(), error.disposition()),
        ("auth", Disposition::Halt)
    );
    let text = error.to_string();
    assert!(
        text.contains("grant CREATE") && text.contains(&place.config.checkpoint_topic),
        "{text}"
    );
}

#[test]
fn properties_that_would_break_the_guarantee_are_refused_before_any_connection() {
    for (name, value) in [("acks", "1"), ("enable.idempotence", "false")] {
        let mut place = Place::shared();
        place.config.properties.insert(name.into(), value.into());
        let error = place.config.check().unwrap_err();
        assert_eq!(
            (error.kind(), error.disposition()),
            ("validation", Disposition::Halt)
        );
        assert!(error.to_string().contains(name), "{error}");
    }
}
