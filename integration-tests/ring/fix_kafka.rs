//! What `check` says of topics, rights and brokers before anything is created, and that the lines of Kafka's own tools that it
//! prints mend it: they are run as a shell runs them, and then nothing is left to say and the connector starts.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use std::time::Duration;
use walferry_stack::{KafkaOptions, KafkaServer, kafka_shell};
use walferry_testkit::process::Settings;

use crate::check_findings::{findings, fix, says};
use crate::place::Place;

const SECRET: &str = "Tr0ub4dor-and-3";

/// A topic as somebody has made it: its name without the prefix, its partitions and settings.
struct Made<'a>(&'a str, i32, &'a [(&'a str, &'a str)]);

fn make(brokers: &str, topics: &[Made<'_>]) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .unwrap();
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|Made(name, partitions, settings)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(1));
            let settings = settings.iter();
            settings.fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let made = futures_executor::block_on(admin.create_topics(&topics, &options)).unwrap();
    for it in made {
        it.unwrap();
    }
}

/// Errors and warnings, but for what is true of every test: the role is a superuser.
fn complaints(found: &[String]) -> Vec<&String> {
    let bad = |it: &&String| it.starts_with("error") || it.starts_with("warning");
    let found = found.iter().filter(bad);
    found.filter(|it| !it.contains("superuser")).collect()
}

/// Runs what `--fix-kafka` prints until it prints nothing; an administrator comes in by another listener.
fn mend(place: &Place, settings: &Settings, administrator: &str) -> String {
    let (lines, _) = fix(place, settings, "--fix-kafka");
    let all = lines.replace(&place.brokers, administrator);
    kafka_shell(&all).unwrap();
    let (again, told) = fix(place, settings, "--fix-kafka");
    assert_eq!(again, "", "{told}");
    lines
}

#[test]
fn topics_that_cannot_serve_are_mended_by_the_lines() {
    let place = Place::shared("unfit");
    place.sql(
        "create table keyed (id int primary key); create table keyless (id int); alter table keyless replica identity full;
         create table small (id int primary key); create table stuck (id int primary key);
         insert into keyed values (1); insert into keyless values (1); insert into small values (1); insert into stuck values (1)",
    );
    let of = |table: &str| place.topic(&format!("public.{table}"));
    let (keyed, keyless, small, stuck) = (of("keyed"), of("keyless"), of("small"), of("stuck"));
    let compact = [("cleanup.policy", "compact")];
    let checkpoint = format!("walferry_checkpoint_{}", place.name);
    make(
        &place.brokers,
        &[
            Made(&keyed, 1, &compact),
            Made(&keyless, 2, &compact),
            Made(&small, 1, &[("max.message.bytes", "1000")]),
            Made(&stuck, 1, &[("min.insync.replicas", "2")]),
            Made(&checkpoint, 3, &[("cleanup.policy", "delete")]),
        ],
    );
    let mut settings = place.all();
    settings.kafka_property("message.max.bytes", "2000000");
    let found = findings(&place, &settings);
    for parts in [
        &[
            "error",
            "schemas of public.keyed",
            "TRUNCATE",
            "skipped_operations",
            "WF0507",
            "retention.ms=-1",
        ][..],
        &[
            "error",
            "schemas of public.keyless",
            "has no key",
            "WF0507",
            "cleanup.policy=delete",
        ],
        &[
            "warning",
            &format!("topic {small}"),
            "takes 1000 bytes",
            "2000000",
            "WF0506",
            "max.message.bytes=2000000",
        ],
        &[
            "error",
            &format!("topic {stuck}"),
            "takes no record",
            "WF0512",
            "--add-config min.insync.replicas=1",
        ],
        &[
            "error",
            &format!("topic {checkpoint}"),
            "3 partitions",
            "WF0512",
            "kafka-topics",
            "--delete",
            "--create",
        ],
    ] {
        says(&found, parts);
    }
    let lines = mend(&place, &settings, &place.brokers);
    assert_eq!(lines.lines().count(), 9, "{lines}");
    let found = findings(&place, &settings);
    assert_eq!(complaints(&found), Vec::<&String>::new());
    let mut walferry = place.streaming(&settings);
    place.drain("insert into stuck values (2)");
    walferry.sigterm();
    walferry.wait_exit(crate::place::READY);
}

#[test]
fn a_checkpoint_topic_that_could_lose_the_position_is_mended_by_the_lines() {
    let place = Place::shared("unfit_checkpoint");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    let names = ["expires", "both", "tight"].map(|it| format!("{it}_{}", place.name));
    make(
        &place.brokers,
        &[
            Made(&names[0], 1, &[("cleanup.policy", "delete")]),
            Made(&names[1], 1, &[("cleanup.policy", "compact,delete")]),
            Made(
                &names[2],
                1,
                &[("cleanup.policy", "compact"), ("max.message.bytes", "1000")],
            ),
        ],
    );
    for (name, severity, words) in [
        (&names[0], "error", "cleanup.policy = delete"),
        (&names[1], "error", "cleanup.policy = compact,delete"),
        (&names[2], "warning", "takes 1000 bytes"),
    ] {
        settings.set_text("kafka.checkpoint_topic", name);
        let found = findings(&place, &settings);
        let subject = format!("topic {name}");
        says(
            &found,
            &[severity, &subject, words, "WF0512", "kafka-configs"],
        );
        mend(&place, &settings, &place.brokers);
        let found = findings(&place, &settings);
        assert_eq!(complaints(&found), Vec::<&String>::new());
    }
}

fn log_in(settings: &mut Settings) -> &mut Settings {
    settings
        .kafka_property("security.protocol", "sasl_plaintext")
        .kafka_property("sasl.mechanism", "PLAIN")
        .kafka_property("sasl.username", "shop-app")
        .kafka_property("sasl.password", SECRET)
}

#[test]
fn rights_that_are_missing_are_granted_by_the_lines() {
    let kafka = KafkaServer::start(KafkaOptions::new().user("shop-app", SECRET)).unwrap();
    let mut place = Place::shared("ungranted");
    place.brokers = kafka.sasl_brokers();
    place.sql("create table t (id int primary key); create table there (id int primary key); insert into t values (1)");
    let (t, there) = (place.topic("public.t"), place.topic("public.there"));
    let checkpoint = format!("walferry_checkpoint_{}", place.name);
    make(&kafka.brokers(), &[Made(&there, 1, &[])]);
    kafka
        .allow("shop-app", &["--operation", "Describe", "--topic", &there])
        .unwrap();
    let mut settings = place.all();
    log_in(&mut settings);
    let found = findings(&place, &settings);
    let id = format!("walferry-{}", place.name);
    for parts in [
        &[
            "error",
            &format!("topic {t}"),
            "cannot be created",
            "WF0503",
            "kafka-topics",
            "--create",
        ][..],
        &[
            "error",
            &format!("topic {t}"),
            "WRITE and DESCRIBE and DESCRIBE_CONFIGS on it are not",
            "WF0503",
        ],
        &[
            "error",
            &format!("topic {there}"),
            "WRITE and DESCRIBE_CONFIGS on it are not",
            "WF0503",
        ],
        &[
            "error",
            &format!("topic {checkpoint}"),
            "cannot be created",
            "cleanup.policy=compact",
        ],
        &[
            "error",
            &format!("topic {checkpoint}"),
            "READ and WRITE and DESCRIBE and DESCRIBE_CONFIGS on it",
        ],
        &[
            "error",
            &format!("group {id}"),
            "READ on the group",
            "WF0503",
            "User:shop-app",
        ],
        &[
            "warning",
            &format!("transactional id {id}"),
            "cannot be asked for",
            "--transactional-id",
        ],
    ] {
        says(&found, parts);
    }
    mend(&place, &settings, &kafka.brokers());
    let found = findings(&place, &settings);
    let left = complaints(&found);
    assert!(
        left.len() == 1 && left[0].contains("clear text"),
        "{left:#?}"
    );
    assert!(!found.join("\n").contains(SECRET), "{found:?}");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into there values (1)");
    walferry.sigterm();
    walferry.wait_exit(crate::place::READY);
}

#[test]
fn brokers_that_cannot_carry_a_transaction_or_be_reached_are_named() {
    let kafka = KafkaOptions::new()
        .doors(1)
        .setting("transaction.max.timeout.ms", "30000")
        .setting("transaction.state.log.replication.factor", "3")
        .setting("min.insync.replicas", "2");
    let kafka = KafkaServer::start(kafka).unwrap();
    let mut place = Place::shared("odd_broker");
    place.brokers = kafka.brokers();
    place.sql("create table t (id int primary key)");
    let found = findings(&place, &place.all());
    for parts in [
        &[
            "error",
            "broker 1",
            "transaction.max.timeout.ms = 30000",
            "60000",
            "WF0514",
        ][..],
        &[
            "error",
            "topic __transaction_state",
            "replication.factor = 3",
            "there are 1",
            "WF0514",
        ],
        &[
            "error",
            "kafka.topics",
            "min.insync.replicas = 2",
            "1 replicas",
            "WF0512",
        ],
    ] {
        says(&found, parts);
    }
    // The cluster names an address for itself at which nobody listens: the one that the proxy would have.
    let door = &kafka.doors()[0];
    place.brokers = format!("127.0.0.1:{}", door.upstream());
    let found = findings(&place, &place.all());
    let named = format!("127.0.0.1:{}", door.advertised());
    says(
        &found,
        &[
            "error",
            "broker 1",
            &named,
            "refused",
            "advertised.listeners",
            "WF0504",
        ],
    );
    let errors = found.iter().filter(|it| it.starts_with("error"));
    assert_eq!(errors.count(), 1, "{found:#?}");
}
