//! Each row of the recovery table, end to end. The rows that go on are also in `first_start` and `crash`.

use std::path::Path;
use std::time::Duration;

use walferry_stack::{Coordinates, PostgresServer, Stack};
use walferry_testkit::checker::{Session, parse_lsn};
use walferry_testkit::process::Settings;
use walferry_testkit::proxy::{Mode, Proxy};

use crate::audit::audit;
use crate::place::{Place, READY, own_postgres};

const TABLE: &str = "create table t (id int primary key, note text)";

/// A place whose connector has streamed once and was stopped in good order.
fn stopped(place: Place) -> (Place, Settings) {
    place.sql(TABLE);
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(Duration::from_secs(15)), Some(0));
    (place, settings)
}

/// The connector refuses with 3; the message has all of `parts`.
fn refused(place: &Place, settings: &Settings, parts: &[&str]) {
    let (code, log) = place.run_ends(settings);
    assert_eq!(code, Some(3), "{log}");
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in\n{log}");
    }
}

/// The remedy that the refusal names is one.
fn mended(place: &Place, settings: &Settings) {
    let path = settings.write(&place.folder).unwrap();
    let (code, log) = place.ends(settings, &["resync", "-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{log}");
    let mut settings = settings.clone();
    settings.set("source.heartbeat_ms", "200");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (99, 'last')");
    let (_, report, errors) = audit(place, &settings, &["public.t"]);
    for fault in ["missing", "extra", "different", "duplicates"] {
        assert_eq!(report["tables"][0][fault], 0, "{report:#}\n{errors}");
    }
}

/// A PostgreSQL of the test's own beside the shared Kafka and registry.
fn beside(postgres: &PostgresServer) -> Coordinates {
    let shared = Stack::shared().unwrap();
    Coordinates {
        postgres_url: postgres.url(),
        kafka_brokers: shared.kafka_brokers.clone(),
        registry_url: shared.registry_url.clone(),
    }
}

#[test]
fn an_intent_without_a_slot_starts_as_if_nothing_had_been() {
    let postgres =
        PostgresServer::start(own_postgres().setting("max_replication_slots", "1")).unwrap();
    let place = Place::on(&beside(&postgres), "intent");
    place.sql(TABLE);
    place.sql("select pg_create_physical_replication_slot('other')");
    let settings = place.all();
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("max_replication_slots"), "{log}");
    place.sql("select pg_drop_replication_slot('other')");
    let mut walferry = place.streaming(&settings);
    walferry.wait_log("intent, no slot", READY);
    place.drain("insert into t values (1)");
}

#[test]
fn an_intent_with_a_slot_starts_over() {
    let postgres =
        PostgresServer::start(own_postgres().setting("max_replication_slots", "1")).unwrap();
    let place = Place::on(&beside(&postgres), "slot_of_intent");
    place.sql(TABLE);
    place.sql("select pg_create_physical_replication_slot('other')");
    let settings = place.all();
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    // As if the process had died between the creation of the slot and its first checkpoint.
    place.sql("select pg_drop_replication_slot('other')");
    place.sql(&format!(
        "select pg_create_logical_replication_slot('{}', 'pgoutput')",
        place.slot()
    ));
    place.sql("insert into t values (1)");
    let mut walferry = place.streaming(&settings);
    walferry.wait_log("intent, slot exists", READY);
    walferry.wait_status("the row", READY, |it| it["snapshot"][0]["rows"] == 1);
    place.drain("insert into t values (2)");
}

#[test]
fn a_slot_without_a_checkpoint_is_refused_until_it_is_adopted() {
    let place = Place::shared("adopt");
    place.sql(TABLE);
    place.sql(&format!(
        "create publication {} for all tables",
        place.slot()
    ));
    place.sql(&format!(
        "select pg_create_logical_replication_slot('{}', 'pgoutput')",
        place.slot()
    ));
    let confirmed = place.confirmed();
    let settings = place.all();
    refused(
        &place,
        &settings,
        &[&confirmed, "--adopt-slot", "pg_drop_replication_slot"],
    );
    place.sql("insert into t values (1)");
    let path = settings.write(&place.folder).unwrap();
    let arguments = ["run", "--adopt-slot", "-c", path.to_str().unwrap()];
    let mut walferry =
        walferry_testkit::process::Walferry::start_with(&arguments, &settings, &place.folder)
            .unwrap();
    walferry.wait_ready(READY);
    place.drain("insert into t values (2)");
    walferry.wait_status("two changes", READY, |it| it["tables"][0]["changes"] == 2);
}

#[test]
fn a_slot_that_is_gone_is_refused() {
    let (place, settings) = stopped(Place::shared("gone"));
    let held = place.confirmed();
    place.sql(&format!(
        "select pg_drop_replication_slot('{}')",
        place.slot()
    ));
    place.sql("delete from t; insert into t values (7)");
    refused(&place, &settings, &[&held, "resync", "lost"]);
    mended(&place, &settings);
}

#[test]
fn a_slot_that_the_server_has_invalidated_is_refused() {
    let postgres =
        PostgresServer::start(own_postgres().setting("max_slot_wal_keep_size", "1MB")).unwrap();
    let (place, settings) = stopped(Place::on(&beside(&postgres), "invalidated"));
    let held = place.confirmed();
    for _ in 0..5 {
        place.sql("create table if not exists filler (x text); insert into filler values ('x')");
        place.sql("select pg_switch_wal()");
    }
    place.sql("checkpoint");
    place.sql("delete from t; insert into t values (7)");
    refused(&place, &settings, &[&held, "resync", "cannot be used"]);
    mended(&place, &settings);
}

#[test]
fn a_slot_ahead_of_the_checkpoint_is_refused_with_both_ends_of_the_gap() {
    let (place, settings) = stopped(Place::shared("ahead"));
    let held = place.confirmed();
    place.sql("insert into t values (2)");
    place.sql(&format!(
        "select pg_replication_slot_advance('{}', pg_current_wal_lsn())",
        place.slot()
    ));
    let confirmed = place.confirmed();
    assert_ne!(held, confirmed);
    refused(&place, &settings, &[&held, &confirmed, "resync"]);
    mended(&place, &settings);
}

#[test]
fn another_cluster_is_refused() {
    let (place, settings) = stopped(Place::shared("cluster"));
    let system_id = "select system_identifier from pg_control_system()";
    let old = place.value(system_id).unwrap();
    let postgres = PostgresServer::start(own_postgres()).unwrap();
    let mut elsewhere = settings.clone();
    let database = place.url.rsplit_once('/').unwrap().1;
    walferry_testkit::load::create_database(&postgres.url(), database).unwrap();
    let url = postgres.database_url(database);
    let mut session = Session::connect(&url).unwrap();
    session.execute(TABLE).unwrap();
    let new = session.value(system_id).unwrap().unwrap();
    elsewhere.set_text("source.url", &url);
    refused(&place, &elsewhere, &[&old, &new]);
}

#[test]
fn other_settings_than_the_checkpoints_are_refused() {
    let (place, mut settings) = stopped(Place::shared("settings"));
    settings.set_text("source.slot", "walferry_another");
    refused(&place, &settings, &[&place.slot(), "walferry_another"]);
}

/// Ends recovery at the end of the WAL, on a new timeline.
fn promote_at_restart(postgres: &mut PostgresServer) {
    postgres.configure("restore_command", "false").unwrap();
    // Else it takes sessions before it is promoted, and the one below comes too early.
    postgres.configure("hot_standby", "off").unwrap();
    std::fs::write(postgres.data().join("recovery.signal"), "").unwrap();
    postgres.restart().unwrap();
    let mut session = Session::connect(&postgres.url()).unwrap();
    let recovering = session.value("select pg_is_in_recovery()").unwrap();
    assert_eq!(recovering.as_deref(), Some("f"), "it is not promoted");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_new_timeline_is_followed_when_it_contains_the_checkpoint_and_else_refused() {
    let mut postgres = PostgresServer::start(own_postgres()).unwrap();
    let (place, settings) = stopped(Place::on(&beside(&postgres), "timeline"));
    postgres.terminate().unwrap();
    let (data, backup) = (postgres.data(), place.folder.join("backup"));
    std::fs::create_dir_all(&place.folder).unwrap();
    copy(&data, &backup);

    promote_at_restart(&mut postgres);
    let mut walferry = place.streaming(&settings);
    assert_eq!(walferry.status().unwrap()["source"]["timeline"], 2);
    place.drain("insert into t values (3)");
    walferry.sigterm();
    walferry.wait_exit(READY);
    let held = place.confirmed();

    // Back to the copy, which never had what was published since: it becomes a timeline 2 of its own.
    postgres.terminate().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    postgres.restart().unwrap();
    refused(&place, &settings, &[&held, "timeline", "resync"]);
    mended(&place, &settings);
}

/// The publisher is behind when the server is lost, and the one that is promoted instead never had what it holds.
#[test]
fn what_a_promoted_server_never_had_is_given_up_and_not_published_under_its_timeline() {
    let mut postgres = PostgresServer::start(own_postgres()).unwrap();
    let place = Place::on(&beside(&postgres), "promoted");
    place.sql(TABLE);
    let checker = place.checker(&["public.t"]);
    let kafka = Proxy::kafka(&place.brokers).unwrap();
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("kafka.brokers", &kafka.address())
        .set("shutdown_ms", "3000");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    kafka.set(Mode::BlackHole);
    postgres.kill9().unwrap();
    let (data, backup) = (postgres.data(), place.folder.join("backup"));
    std::fs::create_dir_all(&place.folder).unwrap();
    copy(&data, &backup);
    postgres.restart().unwrap();
    place.sql("insert into t values (2)");
    let lost = parse_lsn(&place.value("select pg_current_wal_flush_lsn()").unwrap()).unwrap();
    walferry.wait_status("what will be lost was read", READY, |it| {
        let received = it["positions"]["received"].as_str().unwrap();
        parse_lsn(received).unwrap() >= lost
    });
    postgres.kill9().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    promote_at_restart(&mut postgres);
    walferry.wait_log("starts again from the checkpoint", READY);
    kafka.cut();
    kafka.set(Mode::Pass);
    walferry.wait_status("the new timeline", READY, |it| {
        it["source"]["timeline"] == 2 && it["state"] == "streaming"
    });
    place.drain("insert into t values (3)");
    checker.verdict().unwrap().assert_clean(2);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

/// A standby takes sessions before it is promoted, and its walsender would stream on over the promotion.
#[test]
fn a_standby_is_not_followed_before_it_is_promoted() {
    let mut postgres = PostgresServer::start(own_postgres()).unwrap();
    let place = Place::on(&beside(&postgres), "standby");
    place.sql(TABLE);
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("errors.retry_max_ms", "500");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    postgres.terminate().unwrap();
    walferry.wait_not_ready("postgresql", READY);
    std::fs::write(postgres.data().join("standby.signal"), "").unwrap();
    postgres.restart().unwrap();
    let reason = walferry.wait_not_ready("is a standby", READY);
    assert!(reason.contains("source.url"), "{reason}");
    let followed = "select count(*) from pg_replication_slots where active";
    assert_eq!(place.value(followed).as_deref(), Some("0"));
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = place.ends(&settings, &["check", "-c", path.to_str().unwrap()]);
    assert!(code == Some(1) && text.contains("is a standby"), "{text}");
    let promoted = place.value("select pg_promote()");
    assert_eq!(promoted.as_deref(), Some("t"));
    walferry.wait_status("the new timeline", READY, |it| {
        it["source"]["timeline"] == 2 && it["state"] == "streaming"
    });
    place.drain("insert into t values (2)");
    checker.verdict().unwrap().assert_clean(2);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn an_intent_of_another_slot_is_refused_and_nothing_is_dropped() {
    let postgres =
        PostgresServer::start(own_postgres().setting("max_replication_slots", "1")).unwrap();
    let place = Place::on(&beside(&postgres), "other_intent");
    place.sql(TABLE);
    place.sql("select pg_create_logical_replication_slot('another', 'pgoutput')");
    let mut settings = place.all();
    let (code, log) = place.run_ends(&settings);
    assert!(
        code == Some(1) && log.contains("max_replication_slots"),
        "{log}"
    );
    settings.set_text("source.slot", "another");
    refused(&place, &settings, &[&place.slot(), "checkpoint clear"]);
    let left = place.value("select count(*) from pg_replication_slots where slot_name = 'another'");
    assert_eq!(left.as_deref(), Some("1"));
}
