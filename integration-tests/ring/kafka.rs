//! What Kafka refuses for good follows the table's policy, and a topic that is another by now is told of.

use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use walferry_stack::{KafkaOptions, KafkaServer};
use walferry_testkit::process::{Settings, Walferry, binary};
use walferry_testkit::proxy::Proxy;
use walferry_testkit::topics::Ends;

use crate::park::table;
use crate::place::{DRAIN, Place, READY};
use crate::records::read;
use crate::schemas::letters;

const TOKEN: &str = "let me in";

fn admin(place: &Place) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &place.brokers)
        .create()
        .unwrap()
}

/// Gives a topic a setting, and waits until its broker has it: that is told of before it is.
pub(crate) fn configure(place: &Place, topic: &str, name: &str, value: &str) {
    let (admin, topic) = (admin(place), ResourceSpecifier::Topic(topic));
    let change = AlterConfig::new(topic).set(name, value);
    let altered = admin.alter_configs([&change], &AdminOptions::new());
    let altered = futures_executor::block_on(altered).unwrap();
    assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    let deadline = Instant::now() + READY;
    loop {
        let described = admin.describe_configs([&topic], &AdminOptions::new());
        let described = futures_executor::block_on(described).unwrap();
        let setting = described[0].as_ref().unwrap().get(name);
        if setting.and_then(|it| it.value.as_deref()) == Some(value) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{topic:?}: {name} is {setting:?}"
        );
    }
}

pub(crate) fn approve(walferry: &Walferry, table: &str) {
    let approved = Command::new(binary().unwrap())
        .args(["schema", "approve", table, "--admin", walferry.admin_url()])
        .env("WALFERRY_TOKEN", TOKEN)
        .output()
        .unwrap();
    assert!(approved.status.success(), "{approved:?}");
}

fn check(place: &Place, settings: &Settings) -> String {
    let path = settings.write(&place.folder).unwrap();
    let mut check = Command::new(binary().unwrap());
    let answer = check.arg("check").arg("-c").arg(&path).output().unwrap();
    String::from_utf8(answer.stdout).unwrap()
}

/// One table for each policy that goes on, and one beside them.
#[test]
fn a_record_without_a_key_for_a_compacted_topic_follows_the_policy_of_its_table() {
    let place = Place::shared("compacted");
    place.sql(
        "create table letters (id int primary key); create table skips (id int primary key);
         create table parks (id int primary key); create table keyless (id int);
         alter table keyless replica identity full; create table beside (id int primary key)",
    );
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("admin.token", TOKEN)
        .set(
            "kafka.topics.config",
            "{ \"cleanup.policy\" = \"compact\" }",
        );
    for (name, policy) in [
        ("letters", "dead-letter"),
        ("skips", "skip"),
        ("parks", "park"),
        ("keyless", "skip"),
    ] {
        settings.table(&format!("name = \"public.{name}\"\nerrors = \"{policy}\""));
    }
    let mut walferry = place.streaming(&settings);
    place.sql(
        "insert into letters values (1); insert into skips values (1); insert into parks values (1);
         insert into keyless values (1)",
    );
    place.sql("begin; truncate letters; truncate skips; truncate parks; insert into letters values (2); commit");
    place.sql(
        "insert into skips values (2); insert into parks values (2); insert into beside values (1)",
    );
    walferry.wait_status("parked", READY, |it| {
        table(it, "public.parks")["state"] == "parked"
    });
    walferry.wait_status("the others go on", READY, |it| {
        table(it, "public.skips")["changes"].as_u64() >= Some(2) && it["dead_letters"] == 1
    });
    // A letter is counted before the batch that holds it is committed.
    walferry.wait_status("the letter is committed", READY, |_| {
        !letters(&place).is_empty()
    });
    let (letter, kind) = letters(&place).remove(0);
    assert_eq!(
        (letter["op"].as_str(), kind.as_str()),
        (Some("t"), "validation")
    );
    assert!(read(&place, "public.parks").len() == 1);
    configure(
        &place,
        &place.topic("public.parks"),
        "cleanup.policy",
        "delete",
    );
    approve(&walferry, "public.parks");
    walferry.wait_status("caught up", DRAIN, |it| {
        table(it, "public.parks")["state"] == "streaming"
    });
    place.drain("insert into beside values (0)");
    assert_eq!(read(&place, "public.parks").len(), 3);
    // Without a policy that goes on, it ends and says so, at each start.
    settings.unset("table");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let mut stops = place.all();
    stops.set_text("snapshot.mode", "never");
    let mut walferry = place.streaming(&stops);
    place.sql("truncate beside");
    for _ in 0..2 {
        assert_eq!(walferry.wait_exit(READY), Some(1));
        let tail = walferry.log_tail();
        assert!(
            tail.contains("public.beside") && tail.contains("compacted"),
            "{tail}"
        );
        walferry = place.start(&stops);
    }
}

#[test]
fn check_tells_what_a_compacted_topic_will_not_take() {
    let place = Place::shared("foreseen");
    place.sql(
        "create table t (id int primary key); create table keyless (id int);
         alter table keyless replica identity full",
    );
    let mut settings = place.all();
    settings.set(
        "kafka.topics.config",
        "{ \"cleanup.policy\" = \"compact\" }",
    );
    let told = check(&place, &settings);
    assert!(
        told.contains("TRUNCATE of the table cannot be published: the connector would stop"),
        "{told}"
    );
    assert!(told.contains("the table has no key, and topic"), "{told}");
}

/// The settings are not asked for beforehand: only the broker knows.
#[test]
fn what_a_broker_refuses_of_one_record_or_of_a_whole_topic_follows_the_policy() {
    let place = Place::shared("refused");
    place.sql("create table t (id int primary key); create table n (id int); alter table n replica identity full; create table beside (id int primary key)");
    let kafka = Proxy::kafka(&place.brokers).unwrap();
    let mut settings = place.lettered();
    settings.set_text("kafka.brokers", &kafka.address());
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t values (1); insert into n values (1)");
    place.drain("insert into beside values (1)");
    // On a slow way a record is older than the topic allows when it arrives. The marks that end a transaction are the brokers'
    // own and are not: with a bound of 0 Kafka would refuse those too, and no transaction of the topic would end.
    configure(
        &place,
        &place.topic("public.t"),
        "message.timestamp.before.max.ms",
        "20",
    );
    configure(
        &place,
        &place.topic("public.n"),
        "cleanup.policy",
        "compact",
    );
    // A broker takes its settings over when it has heard of them: the later one is in force, and so is the one before.
    let mut sent = 1;
    walferry.wait_status("a letter", READY, |it| {
        place.sql("insert into n values (2)");
        sent += 1;
        it["dead_letters"].as_u64() >= Some(1)
    });
    kafka.delay(Duration::from_millis(50));
    place.sql("insert into t values (2)");
    place.drain("insert into beside values (2)");
    kafka.delay(Duration::ZERO);
    let all = letters(&place);
    let of = |table: &str| all.iter().filter(|it| it.0["table"] == table).count();
    assert_eq!((read(&place, "public.t").len(), of("public.t")), (1, 1));
    assert_eq!(read(&place, "public.n").len() + of("public.n"), sent);
    assert!(all.iter().all(|it| it.1 == "validation"), "{all:?}");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn a_right_that_is_missing_is_named_and_concerns_its_own_table_alone() {
    let kafka = KafkaServer::start(KafkaOptions::new().user("w", "secret")).unwrap();
    let mut place = Place::shared("rights");
    place.brokers = kafka.sasl_brokers();
    place.sql("create table t (id int primary key); create table beside (id int primary key)");
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("errors.policy", "park")
        .set_text("admin.token", TOKEN)
        .kafka_property("security.protocol", "sasl_plaintext")
        .kafka_property("sasl.mechanism", "PLAIN")
        .kafka_property("sasl.username", "w")
        .kafka_property("sasl.password", "secret");
    let checkpoint = format!("walferry_checkpoint_{}", place.name);
    let id = format!("walferry-{}", place.name);
    let allow = |what: &[&str]| kafka.allow("w", what).unwrap();
    allow(&[
        "--operation",
        "Create",
        "--operation",
        "Read",
        "--operation",
        "Write",
        "--operation",
        "Describe",
        "--topic",
        &checkpoint,
    ]);
    allow(&[
        "--operation",
        "Read",
        "--group",
        "walferry-",
        "--resource-pattern-type",
        "prefixed",
    ]);
    // The transactional id is named when its right is missing, and what grants it.
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    for part in [
        id.as_str(),
        "--transactional-id",
        "DESCRIBE_CONFIGS",
        &checkpoint,
    ] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
    allow(&[
        "--operation",
        "Write",
        "--operation",
        "Describe",
        "--transactional-id",
        &id,
    ]);
    let beside = place.topic("public.beside");
    allow(&[
        "--operation",
        "Create",
        "--operation",
        "Write",
        "--operation",
        "Describe",
        "--topic",
        &beside,
    ]);
    let topic = place.topic("public.t");
    allow(&[
        "--operation",
        "Create",
        "--operation",
        "Describe",
        "--topic",
        &topic,
    ]);
    let mut walferry = place.streaming(&settings);
    place.sql("begin; insert into beside values (1); insert into t values (1); insert into beside values (2); commit");
    let seen = walferry.wait_status("parked", READY, |it| {
        table(it, "public.t")["state"] == "parked"
    });
    let reason = table(&seen, "public.t")["reason"].as_str().unwrap();
    assert!(
        reason.contains(&topic) && reason.contains("WRITE"),
        "{reason}"
    );
    walferry.wait_status("the other goes on", READY, |it| {
        table(it, "public.beside")["changes"].as_u64() >= Some(2)
    });
    allow(&["--operation", "Write", "--topic", &topic]);
    approve(&walferry, "public.t");
    walferry.wait_status("caught up", DRAIN, |it| {
        table(it, "public.t")["state"] == "streaming"
    });
    place.drain("insert into beside values (3)");
}

fn waited() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)))
}

#[test]
fn a_topic_that_gets_more_partitions_is_told_and_its_keys_stay_where_they_are() {
    let place = Place::shared("spread");
    place.sql("create table spread (id int primary key); insert into spread select generate_series(1, 20)");
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into spread values (21)");
    let spread = place.topic("public.spread");
    let (client, more) = (admin(&place), [NewPartitions::new(&spread, 4)]);
    let made = futures_executor::block_on(client.create_partitions(&more, &waited()));
    made.unwrap().remove(0).unwrap();
    place.drain("update spread set id = id + 100");
    // A start looks at the topic anew.
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let mut walferry = place.start(&settings);
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    place.drain("update spread set id = id + 100");
    let ends = Ends::open(&place.brokers).unwrap();
    for partition in 1..4 {
        assert_eq!(
            ends.of(&spread, partition).unwrap().1,
            0,
            "a key has moved to partition {partition}"
        );
    }
    walferry.wait_status("more partitions are told", READY, |it| {
        let reason = table(it, "public.spread")["reason"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        reason.contains("has 4 partitions and had 1")
    });
    walferry.wait_ready(READY);
}

#[test]
fn a_topic_that_is_deleted_is_told_until_its_table_is_read_again() {
    let place = Place::shared("topics");
    place.sql("create table t (id int primary key); create table beside (id int primary key); insert into t values (1), (2)");
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (3)");
    let topic = place.topic("public.t");
    // Deleted, it is created again, and told.
    let gone = admin(&place);
    futures_executor::block_on(gone.delete_topics(&[&topic], &waited()))
        .unwrap()
        .remove(0)
        .unwrap();
    place.sql("insert into t values (4)");
    let told = walferry.wait_not_ready("deleted", READY);
    assert!(told.contains("walferry resync public.t"), "{told}");
    place.drain("insert into beside values (0)");
    // Over a restart.
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let mut walferry = place.start(&settings);
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    walferry.wait_not_ready("resync public.t", READY);
    place.drain("insert into beside values (1)");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let path = settings.write(&place.folder).unwrap();
    let arguments = ["resync", "-c", path.to_str().unwrap(), "public.t"];
    let (code, log) = place.ends(&settings, &arguments);
    assert_eq!(code, Some(0), "{log}");
    let _walferry = place.streaming(&settings);
    let ids = read(&place, "public.t").len();
    assert!(ids >= 4, "{ids} records of 4 rows");
}

/// A partition that takes no marker keeps the transaction open: the coordinator gives no new producer its epoch until then. The
/// broker never tries this one again.
#[test]
fn a_transaction_that_cannot_end_is_told_with_its_topics() {
    // Its own broker: one that cannot end a transaction is busy with that, and no use to others.
    let kafka = KafkaServer::start(KafkaOptions::new()).unwrap();
    let mut place = Place::shared("unended");
    place.brokers = kafka.brokers();
    place.sql("create table t (id int primary key)");
    let mut walferry = place.streaming(&place.lettered());
    place.drain("insert into t values (1)");
    let topic = place.topic("public.t");
    let name = "message.timestamp.before.max.ms";
    configure(&place, &topic, name, "0");
    // Until the broker has taken the setting over, it takes the records.
    for id in 2..60 {
        place.sql(&format!("insert into t values ({id})"));
    }
    let told = walferry.wait_not_ready("has not ended the connector's last transaction", READY);
    for part in [topic.as_str(), name, "min.insync.replicas"] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let lines = walferry.log();
    let retries = lines
        .iter()
        .filter(|it| it.contains("concurrent operation"))
        .count();
    assert_eq!(retries, 0, "{}", lines.join("\n"));
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

/// A broker ends a connection whose request is larger than it takes, without a word.
#[test]
fn a_record_above_the_largest_request_of_the_brokers_follows_the_policy() {
    let options = KafkaOptions::new().setting("socket.request.max.bytes", "6000000");
    let kafka = KafkaServer::start(options).unwrap();
    let mut place = Place::shared("requests");
    place.brokers = kafka.brokers();
    place.sql(
        "create table t (id int primary key, note bytea); create table beside (id int primary key)",
    );
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("errors.policy", "skip")
        .set(
            "kafka.topics.config",
            "{ \"max.message.bytes\" = \"20000000\" }",
        )
        .kafka_property("compression.type", "none");
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t values (1, decode(repeat('00ff', 4 * 1024 * 1024), 'hex')), (2, decode(repeat('00ff', 1024 * 1024), 'hex'))");
    let said = walferry.wait_log("change skipped", READY);
    assert!(
        said.contains("socket.request.max.bytes = 6000000"),
        "{said}"
    );
    place.drain("insert into beside values (1)");
    assert_eq!(read(&place, "public.t").len(), 1);
    let told = check(&place, &settings);
    assert!(
        told.contains("socket.request.max.bytes = 6000000"),
        "{told}"
    );
}

#[test]
fn names_that_kafka_takes_for_the_same_are_told_and_a_line_break_in_a_name_breaks_no_line() {
    let place = Place::shared("names");
    place.sql("create table \"a.b\" (id int primary key); create table \"a,b\" (id int primary key); create table \"c\nd\" (id int primary key)");
    let settings = place.all();
    let told = check(&place, &settings);
    assert!(
        told.contains("names that differ in . and _ alone collide"),
        "{told}"
    );
    assert!(!told.lines().any(|line| line.starts_with("d")), "{told}");
}

/// `kafka.topics` holds for the checkpoint topic where it makes data safe.
#[test]
fn the_checkpoint_topic_is_as_safe_as_the_others() {
    let place = Place::shared("safe");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    settings.set(
        "kafka.topics.config",
        "{ \"cleanup.policy\" = \"delete\", \"unclean.leader.election.enable\" = \"true\", \"retention.ms\" = \"3600000\" }",
    );
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    let checkpoint = format!("walferry_checkpoint_{}", place.name);
    let of = [ResourceSpecifier::Topic(&checkpoint)];
    let found = admin(&place);
    let found = futures_executor::block_on(found.describe_configs(&of, &AdminOptions::new()));
    let found = found.unwrap().remove(0).unwrap();
    let value = |name: &str| found.get(name).unwrap().value.clone().unwrap();
    assert_eq!(value("unclean.leader.election.enable"), "true");
    assert_eq!(value("cleanup.policy"), "compact");
    assert_eq!(value("retention.ms"), "604800000");
    let told = check(&place, &settings);
    assert!(
        told.contains("unclean.leader.election.enable = true"),
        "{told}"
    );
    assert!(told.contains("has one replica"), "{told}");
}
