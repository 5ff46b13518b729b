//! What `check` says before anything is created: each with its reason, a remedy, and SQL where there is some.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use serde_json::Value as Json;
use walferry_stack::{Coordinates, KafkaOptions, KafkaServer, PostgresServer, Stack};
use walferry_testkit::checker::Session;
use walferry_testkit::process::Settings;

use crate::place::{Place, READY, own_postgres, told};
use crate::refusal::beside_postgres;

const SECRET: &str = "Tr0ub4dor-and-3";

/// All findings, each as one line: severity, subject, message, remedy, SQL, lines for Kafka.
pub(crate) fn findings(place: &Place, settings: &Settings) -> Vec<String> {
    let path = settings.write(&place.folder).unwrap();
    let (_, text) = told(&["check", "--json", "-c", path.to_str().unwrap()]);
    let all: Json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let line = |it: &Json| {
        let words = [
            "severity",
            "subject",
            "message",
            "remedy",
            "fix_sql",
            "fix_kafka",
        ];
        let words = words.map(|word| it[word].as_str().unwrap_or("-").to_owned());
        words.join(" | ")
    };
    all["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

/// One of the findings has all of `parts`, of which the first two are its severity and the beginning of its subject.
pub(crate) fn says(findings: &[String], parts: &[&str]) {
    let start = format!("{} | {}", parts[0], parts[1]);
    let fits = |it: &&String| it.starts_with(&start) && parts.iter().all(|part| it.contains(part));
    assert!(
        findings.iter().any(|it| fits(&it)),
        "nothing has {parts:?}:\n{}",
        findings.join("\n")
    );
}

fn fix_sql(place: &Place, settings: &Settings) -> (String, String) {
    fix(place, settings, "--fix-sql")
}

/// What `check` prints with one of its two options alone, and what it says beside that.
pub(crate) fn fix(place: &Place, settings: &Settings, option: &str) -> (String, String) {
    let path = settings.write(&place.folder).unwrap();
    let output = std::process::Command::new(walferry_testkit::process::binary().unwrap())
        .args(["check", option, "-c", path.to_str().unwrap()])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_left_out_or_stands_in_the_way_is_said() {
    let place = Place::shared("around");
    let role = format!("few_{}", std::process::id());
    place.sql(&format!(
        "create table t (id int primary key); create unlogged table u (id int primary key);
         create view v as select * from t; create materialized view m as select * from t;
         create role {role} login replication connection limit 3; grant create on database \"{}\" to {role};
         grant select on t to {role}; alter table t owner to {role}; create schema hidden;
         create table hidden.h (id int primary key); grant select on hidden.h to {role}",
        place.name
    ));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = place.settings(&["public.*", "hidden.*", "shop*.*"]);
    settings
        .set_text(
            "source.url",
            &place.url.replace("postgres@", &format!("{role}@")),
        )
        .set_text("admin.listen", &taken.local_addr().unwrap().to_string());
    let mut locker = Session::connect(&place.url).unwrap();
    locker
        .execute("begin; lock table t in share mode; select txid_current()")
        .unwrap();
    let begun = Instant::now();
    let found = loop {
        let found = findings(&place, &settings);
        if found.iter().any(|it| it.contains("waits for process")) || begun.elapsed() > READY {
            break found;
        }
    };
    for parts in [
        &["warning", "source.tables", "\"shop*.*\" matches nothing"][..],
        &["warning", "table public.u", "unlogged", "SET LOGGED"],
        &[
            "ok",
            "source.tables",
            "public.m, public.v",
            "no changes of their own",
        ],
        &[
            "error",
            "connections",
            &role,
            "of 3 connections",
            "CONNECTION LIMIT",
        ],
        &[
            "error",
            "table hidden.h",
            "USAGE",
            "GRANT USAGE ON SCHEMA \"hidden\"",
        ],
        &[
            "warning",
            &format!("slot {}", place.slot()),
            "waits for process",
            "pg_terminate_backend",
        ],
        &[
            "warning",
            &format!("publication {}", place.slot()),
            "ShareLock on public.t",
        ],
        &["error", "admin.listen", "in use", "another port"],
        &[
            "ok",
            "kafka rights",
            "transactional id",
            "group",
            "DESCRIBE_CONFIGS",
        ],
    ] {
        says(&found, parts);
    }
    drop(locker);
    // What the SQL says to do is what is needed.
    let (sql, _) = fix_sql(&place, &settings);
    place.sql(&sql);
    let found = findings(&place, &settings);
    assert!(
        !found
            .iter()
            .any(|it| it.starts_with("error | table") || it.starts_with("error | conn")),
        "{found:?}"
    );
    // A view that is named outright is not missing: it is a view; and run says so too.
    let settings = place.settings(&["public.t", "public.v"]);
    says(
        &findings(&place, &settings),
        &["error", "postgresql", "public.v", "is a view"],
    );
    let (code, log) = place.run_ends(&settings);
    assert!(code == Some(1) && log.contains("is a view"), "{log}");
}

#[test]
fn a_running_connector_of_the_name_is_told_of() {
    let place = Place::shared("twice");
    place.sql("create table t (id int primary key); create unlogged table u (id int)");
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.wait_log("it is unlogged", READY);
    let found = findings(&place, &settings);
    let slot = format!("slot {}", place.slot());
    says(
        &found,
        &[
            "plan",
            &slot,
            "is followed by process",
            "walferry_twice",
            "ends with 4",
        ],
    );
    says(
        &found,
        &["plan", "admin.listen", &place.name, "another port"],
    );
    assert!(!found.iter().any(|it| it.starts_with("error")), "{found:?}");
}

#[test]
fn settings_of_the_server_are_mended_by_the_sql_and_a_restart() {
    let postgres = own_postgres()
        .setting("wal_level", "replica")
        .setting("max_wal_senders", "0")
        .setting("max_slot_wal_keep_size", "64MB")
        .setting("max_prepared_transactions", "2");
    let mut postgres = PostgresServer::start(postgres).unwrap();
    let place = Place::on(&beside_postgres(&postgres), "mended");
    place.sql("create table t (id int primary key); create role app login replication superuser; create role guest login replication");
    place.sql(&format!(
        "revoke connect on database \"{}\" from public",
        place.name
    ));
    let mut settings = place.all();
    let app = place.url.replace("postgres@", "guest@");
    settings.set_text("source.url", &app);
    let found = findings(&place, &settings);
    says(
        &found,
        &[
            "error",
            "role guest",
            "may not connect",
            "GRANT CONNECT ON DATABASE",
        ],
    );
    let (sql, _) = fix_sql(&place, &settings);
    place.sql(&sql);
    settings.set_text("source.url", &place.url);
    let found = findings(&place, &settings);
    says(
        &found,
        &[
            "error",
            "wal_level",
            "restart",
            "ALTER SYSTEM SET wal_level",
        ],
    );
    says(
        &found,
        &[
            "error",
            "max_wal_senders",
            "restart",
            "ALTER SYSTEM SET max_wal_senders",
        ],
    );
    says(
        &found,
        &[
            "warning",
            "max_slot_wal_keep_size",
            "64 MiB",
            "pg_reload_conf",
        ],
    );
    let (sql, told) = fix_sql(&place, &settings);
    assert!(told.contains("restart PostgreSQL"), "{told}");
    let mut session = Session::connect(&place.url).unwrap();
    for line in sql.lines().flat_map(|line| line.split("; ")) {
        session
            .execute(line)
            .unwrap_or_else(|error| panic!("{line}: {error:#}"));
    }
    drop(session);
    postgres.terminate().unwrap();
    postgres.restart().unwrap();
    place.sql("begin; insert into t values (1); prepare transaction 'forgotten'");
    let found = findings(&place, &settings);
    let slot = format!("slot {}", place.slot());
    says(
        &found,
        &[
            "warning",
            &slot,
            "prepared transaction 'forgotten'",
            "ROLLBACK PREPARED",
        ],
    );
    assert!(!found.iter().any(|it| it.starts_with("error")), "{found:?}");
}

/// A server that answers each request for a path that holds `path` with `body`, any other with 404.
fn serves(answers: &'static [(&'static str, u16, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 16 << 10];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let head = request.lines().next().unwrap_or_default();
            let found = answers.iter().find(|(path, ..)| head.contains(path));
            let (_, status, body) = found.unwrap_or(&(
                "",
                404,
                "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}",
            ));
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[test]
fn a_registry_that_is_none_or_takes_nothing_is_told_of() {
    const OLD: &str = r#"{"subject":"s","id":7,"version":3,"schema":"{\"type\":\"record\",\"name\":\"Key\",\"fields\":[{\"name\":\"gone\",\"type\":\"int\"}]}"}"#;
    const READONLY: &[(&str, u16, &str)] = &[
        ("/mode", 200, "{\"mode\":\"READONLY\"}"),
        ("/compatibility", 200, "{\"is_compatible\":false}"),
        ("/versions/latest", 200, OLD),
        (
            "POST /subjects",
            404,
            "{\"error_code\":40403,\"message\":\"schema not found\"}",
        ),
        ("GET /subjects", 200, "[]"),
        ("/schemas/types", 200, "[\"AVRO\"]"),
    ];
    const HTML: &[(&str, u16, &str)] = &[("/", 200, "<html>a page</html>")];
    let place = Place::shared("no_registry");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    settings.set_text("registry.url", &serves(&[]));
    says(&findings(&place, &settings), &["error", "registry", "404"]);
    settings.set_text("registry.url", &serves(HTML));
    says(
        &findings(&place, &settings),
        &["error", "registry", "registry.url"],
    );
    settings.set_text("registry.url", &serves(READONLY));
    let found = findings(&place, &settings);
    says(&found, &["error", "registry", "READONLY", "READWRITE"]);
    says(
        &found,
        &[
            "error",
            "schemas of public.t",
            "gives no reason",
            "version 3",
            "gone",
        ],
    );
}

#[test]
fn a_pooler_is_named() {
    const REFUSED: &[u8] =
        b"E\0\0\0\x46SFATAL\0C08P01\0Munsupported startup parameter: extra_float_digits\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(REFUSED);
        }
    });
    let place = Place::shared("pooler");
    let mut settings = place.all();
    settings.set_text(
        "source.url",
        &format!("postgresql://app@127.0.0.1:{port}/shop"),
    );
    says(
        &findings(&place, &settings),
        &["error", "postgresql", "pooler", "direct connection"],
    );
    let (code, log) = place.run_ends(&settings);
    assert!(
        code == Some(1) && log.contains("direct connection"),
        "{log}"
    );
}

#[test]
fn why_no_broker_answers_is_librdkafkas_own_reason() {
    let kafka = KafkaServer::start(KafkaOptions::new().user("walferry", SECRET)).unwrap();
    let shared = Stack::shared().unwrap();
    let servers = Coordinates {
        postgres_url: shared.postgres_url.clone(),
        kafka_brokers: kafka.sasl_brokers(),
        registry_url: shared.registry_url.clone(),
    };
    let place = Place::on(&servers, "reasons");
    place.sql("create table t (id int primary key)");
    let with = |properties: &[(&str, &str)]| {
        let mut settings = place.all();
        for (name, value) in properties {
            settings.kafka_property(name, value);
        }
        settings
    };
    let sasl = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "walferry"),
    ];
    let cases = [
        (with(&[]), "security.protocol"),
        (
            with(&[&sasl[..], &[("sasl.password", "wrong-one")]].concat()),
            "check sasl.username, sasl.password",
        ),
        (with(&[("security.protocol", "ssl")]), "security.protocol"),
    ];
    std::thread::scope(|scope| {
        for (settings, part) in &cases {
            let place = &place;
            scope.spawn(move || {
                let settings = settings.twin().unwrap();
                let found = findings(place, &settings);
                says(
                    &found,
                    &["error", "kafka", "no broker of kafka.brokers", part],
                );
                assert!(!found.join("\n").contains("wrong-one"), "{found:?}");
            });
        }
    });
}
