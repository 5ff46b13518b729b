//! What a person does by hand: `pause` and `resume` while a connector runs; `checkpoint set`, `checkpoint clear` and `drop`
//! while it does not.

use std::io::Write;
use std::process::{Command, Stdio};

use walferry_testkit::checker::parse_lsn;
use walferry_testkit::process::{Walferry, binary};

use crate::place::{Place, READY};

/// Runs a command on the connector, with an answer to its question: exit code, and all that it printed.
fn said(path: &str, command: &[&str], answer: &str) -> (Option<i32>, String) {
    let mut child = Command::new(binary().unwrap())
        .args(command)
        .args(["-c", path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that asks nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_position_is_moved_and_forgotten_only_when_the_name_is_said() {
    let place = Place::shared("hand");
    place.sql("create table t (id int primary key)");
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let name = place.name.clone();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    let confirmed = place.confirmed();
    let set = ["checkpoint", "set", confirmed.as_str(), "--yes", &name];
    let (code, text) = said(path, &set, "");
    assert!(
        code == Some(1) && text.contains("stop the connector"),
        "{text}"
    );
    walferry.sigterm();
    walferry.wait_exit(READY);
    let confirmed = place.confirmed();

    for (arguments, answer) in [
        (&["checkpoint", "clear", "--yes", "another"][..], ""),
        (&["checkpoint", "clear"], "another\n"),
        (&["drop"], "\n"),
    ] {
        let (code, text) = said(path, arguments, answer);
        assert!(
            code == Some(2) && text.contains("nothing was done"),
            "{text}"
        );
    }
    assert_eq!(said(path, &["checkpoint", "show"], "").0, Some(0));
    let (code, text) = said(path, &["checkpoint", "clear"], &format!("{name}\n"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"audit\""), "{text}");
    assert_eq!(said(path, &["checkpoint", "show"], "").0, Some(1));
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(3), "{log}");

    let beyond = ["checkpoint", "set", "FFFFFFFF/0", "--yes", &name];
    let (code, text) = said(path, &beyond, "");
    assert!(
        code == Some(1) && text.contains("where the WAL ends"),
        "{text}"
    );
    let set = ["checkpoint", "set", confirmed.as_str(), "--yes", &name];
    let (code, text) = said(path, &set, "");
    assert_eq!(code, Some(0), "{text}");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (2)");
    checker.verdict().unwrap().assert_clean(2);
}

/// Runs a statement, and waits until the connector has read as far.
fn received(place: &Place, walferry: &mut Walferry, sql: &str) {
    place.sql(sql);
    let end = place.value("select pg_current_wal_flush_lsn()").unwrap();
    let end = parse_lsn(&end).unwrap();
    walferry.wait_status("it has been received", READY, |it| {
        parse_lsn(it["positions"]["received"].as_str().unwrap()).unwrap() >= end
    });
}

#[test]
fn a_paused_connector_publishes_nothing_stays_alive_and_goes_on() {
    let place = Place::shared("paused");
    place.sql(
        "create table t (id int primary key); create schema other; create table other.u (id int)",
    );
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("admin.token", "let me in");
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    for restarted in [false, true] {
        let (code, text) = said(path, &["pause"], "");
        assert!(code == Some(0) && text.contains("paused"), "{text}");
        let before = walferry.status().unwrap();
        assert_eq!(before["state"], "paused");
        let id = if restarted { 3 } else { 2 };
        // What is not the connector's own fills no queue, however often it comes.
        for _ in 0..20 {
            received(&place, &mut walferry, "insert into other.u values (1)");
        }
        received(
            &place,
            &mut walferry,
            &format!("insert into t values ({id})"),
        );
        let after = walferry.status().unwrap();
        assert_eq!(
            after["positions"]["checkpointed"],
            before["positions"]["checkpointed"]
        );
        assert_eq!(walferry.get("/livez").unwrap().status, 200);
        walferry.wait_not_ready("walferry resume", READY);
        if restarted {
            walferry.sigterm();
            assert_eq!(
                walferry.wait_exit(READY),
                Some(0),
                "{}",
                walferry.log_tail()
            );
            walferry = place.streaming(&settings);
        } else {
            let (code, text) = said(path, &["resume"], "");
            assert_eq!(code, Some(0), "{text}");
            walferry.wait_ready(READY);
        }
    }
    place.drain("insert into t values (4)");
    checker.verdict().unwrap().assert_clean(4);
}

#[test]
fn a_connector_that_is_removed_leaves_nothing_and_begins_anew() {
    let place = Place::shared("removed");
    place.sql("create table t (id int primary key)");
    let settings = place.all();
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    walferry.sigterm();
    walferry.wait_exit(READY);
    let remove = ["drop", "--yes", &place.name];
    let (code, text) = said(path, &remove, "");
    assert_eq!(code, Some(0), "{text}");
    let slots = format!(
        "select count(*) from pg_replication_slots where slot_name = '{}'",
        place.slot()
    );
    assert_eq!(place.value(&slots).as_deref(), Some("0"));
    let publications = "select count(*) from pg_publication";
    assert_eq!(place.value(publications).as_deref(), Some("0"));
    assert_eq!(said(path, &["checkpoint", "show"], "").0, Some(1));
    // A second time there is nothing to remove.
    let (code, text) = said(path, &remove, "");
    assert_eq!(code, Some(0), "{text}");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (2)");
}

#[test]
fn a_publication_of_another_role_is_told_of_before_anything_is_removed() {
    let place = Place::shared("half_done");
    let role = format!("dropper_{}", std::process::id());
    place.sql(&format!(
        "create table t (id int primary key); create publication {slot} for table t;
         create role {role} login replication; grant select on t to {role}",
        slot = place.slot()
    ));
    place.sql(&format!(
        "select pg_create_logical_replication_slot('{}', 'pgoutput')",
        place.slot()
    ));
    let mut settings = place.all();
    settings.set_text(
        "source.url",
        &place.url.replace("postgres@", &format!("{role}@")),
    );
    let path = settings.write(&place.folder).unwrap();
    let (code, text) =
        crate::place::told(&["drop", "-c", path.to_str().unwrap(), "--yes", &place.name]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("belongs to another role") && text.contains("nothing was removed"),
        "{text}"
    );
    let left = place.value(&format!(
        "select count(*) from pg_replication_slots where slot_name = '{}'",
        place.slot()
    ));
    assert_eq!(left.as_deref(), Some("1"));
}
