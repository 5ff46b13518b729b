//! Wrong settings, missing rights, missing servers: one clear message with the remedy, the documented exit status, no
//! stack trace and no secret.

use std::time::Duration;

use walferry_stack::Port;
use walferry_stack::{Coordinates, KafkaOptions, KafkaServer, PostgresServer, Stack};
use walferry_testkit::checker::Session;
use walferry_testkit::process::Settings;

use crate::codes::code_of;
use crate::place::{Place, REFUSED, own_postgres};

const TABLE: &str = "create table t (id int primary key)";
/// How soon it is said what is waited for: five seconds, and more on a machine that runs other tests.
const SAID: Duration = Duration::from_secs(8);
const SECRET: &str = "Tr0ub4dor-and-3";

/// The connector ends with `code`; one line on standard error and one of the log tell the error, with all of `parts`;
/// nothing tells the secret.
fn ends_with(place: &Place, settings: &Settings, code: i32, parts: &[&str]) {
    let (ended, log) = place.run_ends(settings);
    assert_eq!(ended, Some(code), "{log}");
    let told: Vec<&str> = log
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .collect();
    assert!(!told.is_empty(), "no line has all of {parts:?}:\n{log}");
    let count = |of: &dyn Fn(&&str) -> bool| log.lines().filter(of).count();
    assert_eq!(count(&|line| line.starts_with("error: ")), 1, "{log}");
    // A wrong configuration is told before there is a log.
    let logged = usize::from(code != 2 && !log.contains("admin.listen"));
    let errors = count(&|line| line.contains("\"level\":\"ERROR\""));
    assert_eq!(errors, logged, "{log}");
    let uncoded: Vec<&str> = told
        .into_iter()
        .filter(|it| code_of(it).is_none())
        .collect();
    assert!(uncoded.is_empty(), "{uncoded:?}");
    for word in [SECRET, "panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!log.contains(word), "{word} is in\n{log}");
    }
}

/// The connector says in its log and in `/readyz` what it waits for, with all of `parts`, and waits until it is asked to stop.
fn waits(place: &Place, settings: &Settings, parts: &[&str]) {
    let mut walferry = place.start(settings);
    for part in parts {
        walferry.wait_not_ready(part, SAID);
        walferry.wait_log(part, SAID);
    }
    walferry.sigterm();
    assert_eq!(
        walferry.wait_exit(REFUSED),
        Some(0),
        "{}",
        walferry.log_tail()
    );
}

pub(crate) fn beside_postgres(postgres: &PostgresServer) -> Coordinates {
    let shared = Stack::shared().unwrap();
    Coordinates {
        postgres_url: postgres.url(),
        kafka_brokers: shared.kafka_brokers.clone(),
        registry_url: shared.registry_url.clone(),
    }
}

#[test]
fn a_wrong_password() {
    // The role of the connector has to prove itself; the one of the test does not.
    let postgres = own_postgres()
        .scram(SECRET)
        .hba("host all postgres 127.0.0.1/32 trust");
    let postgres = PostgresServer::start(postgres).unwrap();
    let mut servers = beside_postgres(&postgres);
    servers.postgres_url = servers.postgres_url.replace(&format!(":{SECRET}@"), "@");
    let place = Place::on(&servers, "password");
    place.sql(TABLE);
    place.sql(&format!(
        "create role app superuser login password '{SECRET}'"
    ));
    let mut settings = place.all();
    settings
        .set_text("source.url", &place.url.replace("postgres@", "app@"))
        .set("source.password", "{ env = \"PG_PASSWORD\" }")
        .env("PG_PASSWORD", "wrong-one");
    ends_with(&place, &settings, 1, &["password", "app"]);
    settings.env("PG_PASSWORD", SECRET);
    let walferry = place.streaming(&settings);
    assert!(!walferry.log().join("\n").contains(SECRET));
}

#[test]
fn a_secret_that_is_not_there() {
    let place = Place::shared("secret");
    place.sql(TABLE);
    let mut settings = place.all();
    settings.set("source.password", "{ env = \"WALFERRY_NOT_SET\" }");
    ends_with(
        &place,
        &settings,
        2,
        &["WALFERRY_NOT_SET", "source.password"],
    );
}

#[test]
fn an_unknown_key_in_the_file() {
    let place = Place::shared("key");
    let mut settings = place.all();
    settings.set_text("source.tabels", "public.*");
    ends_with(&place, &settings, 2, &["tabels", "tables", ".toml"]);
}

#[test]
fn a_wrong_unit() {
    let place = Place::shared("unit");
    let mut settings = place.all();
    settings.set_text("publish.batch_bytes_max", "16 parsecs");
    ends_with(
        &place,
        &settings,
        2,
        &["batch_bytes_max", "16 parsecs", "MiB"],
    );
}

#[test]
fn a_property_that_would_break_the_guarantee() {
    let place = Place::shared("property");
    let mut settings = place.all();
    settings.kafka_property("enable.idempotence", "false");
    ends_with(&place, &settings, 2, &["enable.idempotence", "doubled"]);
}

#[test]
fn wal_level_replica() {
    let postgres = PostgresServer::start(own_postgres().setting("wal_level", "replica")).unwrap();
    let place = Place::on(&beside_postgres(&postgres), "wal_level");
    place.sql(TABLE);
    ends_with(
        &place,
        &place.all(),
        1,
        &["wal_level", "replica", "ALTER SYSTEM"],
    );
}

#[test]
fn a_missing_table() {
    let place = Place::shared("table");
    place.sql(TABLE);
    let settings = place.settings(&["public.t", "public.ordres"]);
    ends_with(&place, &settings, 1, &["public.ordres", "does not exist"]);
}

#[test]
fn a_missing_database() {
    let place = Place::shared("database");
    let mut settings = place.all();
    settings.set_text("source.url", &format!("{}_not", place.url));
    ends_with(
        &place,
        &settings,
        1,
        &[&format!("{}_not", place.name), "does not exist"],
    );
}

#[test]
fn a_missing_registry() {
    let place = Place::shared("registry");
    place.sql(TABLE);
    let mut settings = place.all();
    let nobody = Port::reserve().unwrap();
    let url = format!("http://127.0.0.1:{}", nobody.number());
    settings.set_text("registry.url", &url);
    waits(&place, &settings, &["registry", &url]);
}

#[test]
fn a_missing_broker() {
    let place = Place::shared("broker");
    place.sql(TABLE);
    let mut settings = place.all();
    let nobody = Port::reserve().unwrap();
    let brokers = format!("127.0.0.1:{}", nobody.number());
    settings.set_text("kafka.brokers", &brokers);
    waits(&place, &settings, &["kafka"]);
}

#[test]
fn a_role_without_replication() {
    let place = Place::shared("role");
    place.sql(TABLE);
    let role = format!("plain_{}", std::process::id());
    place.sql(&format!("create role {role} login"));
    let mut settings = place.all();
    settings.set_text(
        "source.url",
        &place.url.replace("postgres@", &format!("{role}@")),
    );
    ends_with(&place, &settings, 1, &[&role, "REPLICATION"]);
}

#[test]
fn a_topic_that_may_not_be_created() {
    let kafka = KafkaServer::start(KafkaOptions::new().user("walferry", SECRET)).unwrap();
    let shared = Stack::shared().unwrap();
    let servers = Coordinates {
        postgres_url: shared.postgres_url.clone(),
        kafka_brokers: kafka.sasl_brokers(),
        registry_url: shared.registry_url.clone(),
    };
    let place = Place::on(&servers, "topic");
    place.sql(TABLE);
    place.sql("insert into t values (1)");
    let mut settings = place.all();
    settings
        .kafka_property("security.protocol", "sasl_plaintext")
        .kafka_property("sasl.mechanism", "PLAIN")
        .kafka_property("sasl.username", "walferry")
        .kafka_property("sasl.password", SECRET);
    let checkpoint = format!("walferry_checkpoint_{}", place.name);
    ends_with(
        &place,
        &settings,
        1,
        &[&checkpoint, "cannot be created", "CREATE"],
    );
}

#[test]
fn a_slot_list_that_is_full() {
    let postgres =
        PostgresServer::start(own_postgres().setting("max_replication_slots", "1")).unwrap();
    let place = Place::on(&beside_postgres(&postgres), "full");
    place.sql(TABLE);
    place.sql("select pg_create_physical_replication_slot('other')");
    ends_with(&place, &place.all(), 1, &["max_replication_slots"]);
}

#[test]
fn a_table_that_may_not_be_read() {
    let place = Place::shared("select");
    place.sql(TABLE);
    let role = format!("blind_{}", std::process::id());
    place.sql(&format!(
        "create role {role} login replication; create publication {} for all tables",
        place.slot()
    ));
    let mut settings = place.all();
    settings.set_text(
        "source.url",
        &place.url.replace("postgres@", &format!("{role}@")),
    );
    ends_with(&place, &settings, 1, &["public.t", "SELECT"]);
}

#[test]
fn a_port_that_is_taken() {
    let place = Place::shared("port");
    place.sql(TABLE);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut settings = place.all();
    settings.set_text("admin.listen", &address);
    ends_with(&place, &settings, 1, &[&address, "admin.listen"]);
}

#[test]
fn nothing_is_left_behind_by_a_refusal() {
    let place = Place::shared("left");
    place.sql(TABLE);
    let mut settings = place.all();
    // A server that is there, and no registry.
    settings.set_text(
        "registry.url",
        &format!("{}/not/a/registry", place.registry),
    );
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("registry.url"), "{log}");
    let mut session = Session::connect(&place.url).unwrap();
    let slots = format!(
        "select count(*) from pg_replication_slots where slot_name = '{}'",
        place.slot()
    );
    assert_eq!(session.value(&slots).unwrap().as_deref(), Some("0"));
    let publications = "select count(*) from pg_publication";
    assert_eq!(session.value(publications).unwrap().as_deref(), Some("0"));
}
