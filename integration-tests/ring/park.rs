//! A table that cannot go on waits at its exact record, and the others go on: under load, over crashes, until an operator
//! or a mended registry lets it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use walferry_testkit::checker::{Checker, Session};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, Walferry, binary, http, print_line};

use crate::place::{DRAIN, Place, READY, told};

const TOKEN: &str = "let me in";
const WAITS: &str = "public.waits";

/// What the status says of a table.
pub(crate) fn table<'a>(status: &'a Json, name: &str) -> &'a Json {
    let tables = status["tables"].as_array().unwrap();
    tables
        .iter()
        .find(|it| it["name"] == name)
        .unwrap_or(&Json::Null)
}

/// Sets the compatibility level of a subject, or tells it.
fn level(place: &Place, subject: &str, level: Option<&str>) -> Json {
    let url = format!("{}/config/{subject}", place.registry);
    let body = level.map_or(String::new(), |it| {
        format!("{{\"compatibility\": \"{it}\"}}")
    });
    let method = if level.is_some() { "PUT" } else { "GET" };
    let answer = http::request(method, &url, &body, &[], Duration::from_secs(5)).unwrap();
    answer.json().unwrap()
}

/// Writes to the table that waits, in transactions that also write to another one.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Writer {
    fn start(url: &str) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, stopped) = (url.to_owned(), stop.clone());
        let thread = thread::spawn(move || {
            let mut session = Session::connect(&url).unwrap();
            let mut n = 10;
            while !stopped.load(Ordering::Relaxed) {
                n += 1;
                // Each note is a number in quotes, so that the statement is right before and after the change of its type.
                let (row, older, oldest) = (n, n - 4, n - 9);
                let sql = format!(
                    "begin; insert into waits values ({row}, '{row}'); insert into beside values ({row});
                     update waits set note = '{older}0' where id = {older}; delete from beside where id = {older};
                     delete from waits where id = {oldest}; commit"
                );
                session.execute(&sql).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
            n
        });
        Writer {
            stop,
            thread: Some(thread),
        }
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Of the transactions whose freshness was measured, how many there are and how many took at most 250 ms.
fn freshness(walferry: &Walferry) -> (f64, f64) {
    let value = |part: &str, labels: &[(&str, &str)]| {
        let name = format!("walferry_freshness_seconds_{part}");
        walferry.metric(&name, labels).unwrap()
    };
    (value("count", &[]), value("bucket", &[("le", "0.25")]))
}

/// 99 of 100 transactions are readable within 250 ms of their commit. The machine does other things too, so the best of
/// several stretches of time counts.
fn others_are_fresh(walferry: &mut Walferry) {
    let mut shares = Vec::new();
    while shares.len() < 8 && shares.iter().all(|share| *share < 0.99) {
        walferry.wait_status("up to date", READY, |it| {
            it["lag"]["freshness_ms"].as_u64() < Some(150)
        });
        let ((count, in_time), begun) = (freshness(walferry), Instant::now());
        walferry.wait_status("3 s older", READY, |_| {
            begun.elapsed() > Duration::from_secs(3)
        });
        let (count_after, in_time_after) = freshness(walferry);
        assert!(count_after - count > 50.0, "{}", walferry.log_tail());
        shares.push((in_time_after - in_time) / (count_after - count));
    }
    print_line(&format!(
        "others while one is parked, share within 250 ms: {shares:.4?}"
    ));
    assert!(shares.iter().any(|share| *share >= 0.99), "{shares:?}");
}

fn prepared(name: &str) -> (Place, Settings, Checker) {
    let place = Place::shared(name).with_mixed_tables();
    place.sql("create table waits (id int primary key, note text); create table beside (id int primary key)");
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("admin.token", TOKEN)
        .table(&format!("name = \"{WAITS}\"\nerrors = \"park\""));
    let mut tables = MixedLoad::tables("public");
    tables.extend([WAITS.to_owned(), "public.beside".to_owned()]);
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let checker = place.checker(&tables);
    (place, settings, checker)
}

fn approve(arguments: &[&str]) -> (Option<i32>, String) {
    told(&[&["schema", "approve", WAITS], arguments].concat())
}

fn parked(walferry: &mut Walferry) -> Json {
    let status = walferry.wait_status("parked", READY, |it| table(it, WAITS)["state"] == "parked");
    table(&status, WAITS).clone()
}

fn goes_on(walferry: &mut Walferry) {
    walferry.wait_status("streaming again", DRAIN, |it| {
        table(it, WAITS)["state"] == "streaming"
    });
}

#[test]
fn a_parked_table_waits_and_catches_up_after_its_approval() {
    let (place, settings, checker) = prepared("park");
    let mut walferry = place.streaming(&settings);
    let load = MixedOptions {
        writers: 2,
        transactions_per_second: Some(40.0),
        statements_max: 5,
        bulk_rows: 0,
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &load).unwrap();
    let writer = Writer::start(&place.url);
    walferry.wait_status("publishing", READY, |it| {
        table(it, WAITS)["changes"].as_u64() > Some(20)
    });
    let subject = format!("{}-value", place.topic(WAITS));
    level(&place, &subject, Some("FULL"));
    place.sql("alter table waits alter column note type int using note::int");
    let seen = parked(&mut walferry);
    assert!(
        seen["reason"].as_str().unwrap().contains("compatib"),
        "{seen}"
    );
    // The others stay fresh, and the slot keeps what the table is owed.
    others_are_fresh(&mut walferry);
    let (confirmed, before) = (place.confirmed(), walferry.status().unwrap());
    others_are_fresh(&mut walferry);
    assert_eq!(place.confirmed(), confirmed, "the slot goes no further");
    let after = walferry.status().unwrap();
    assert!(after["positions"]["checkpointed"] != before["positions"]["checkpointed"]);
    // A crash changes nothing of it.
    walferry.kill9();
    let mut walferry = place.streaming(&settings);
    let again = parked(&mut walferry);
    assert_eq!(again["parked_since"], seen["parked_since"]);
    // Nobody but who has the token lets it go on.
    let body = format!("{{\"table\": \"{WAITS}\"}}");
    let url = format!("{}/control/schema/approve", walferry.admin_url());
    let token = format!("Bearer {TOKEN}");
    let token = [("Authorization", token.as_str())];
    for (body, token, status) in [
        (body.as_str(), &[][..], 401),
        // Who has no token learns nothing of the body either.
        ("{\"tabel\": 1}", &[], 401),
        ("{\"tabel\": 1}", &token, 422),
        ("{\"table\": \"public.none\"}", &token, 404),
    ] {
        let answer = http::request("POST", &url, body, token, Duration::from_secs(5)).unwrap();
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = approve(&["-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    goes_on(&mut walferry);
    assert_eq!(level(&place, &subject, None)["compatibilityLevel"], "FULL");
    writer.stop();
    load.stop();
    let report = place.verdict(&checker);
    assert!(report.is_clean(), "{report}");
    assert!(report.tables[WAITS] > 100, "{report}");
    let audit: Vec<String> = walferry
        .log()
        .into_iter()
        .filter(|line| line.contains("\"audit\"") && line.contains("approv"))
        .collect();
    assert!(audit.iter().any(|it| it.contains(WAITS)), "{audit:?}");
    let (code, text) = approve(&["-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not parked"), "{text}");
}

#[test]
fn a_mended_registry_lets_a_parked_table_go_on_over_stops_and_kills() {
    let (place, settings, checker) = prepared("park_mended");
    let mut walferry = place.streaming(&settings);
    let writer = Writer::start(&place.url);
    walferry.wait_status("publishing", READY, |it| {
        table(it, WAITS)["changes"].as_u64() > Some(20)
    });
    let subject = format!("{}-value", place.topic(WAITS));
    level(&place, &subject, Some("FULL"));
    // Parked in the middle of a transaction that has changed the table before.
    place.sql(
        "begin; insert into waits values (1, '1'); alter table waits alter column note type int using note::int;
         insert into beside values (1); insert into waits values (2, '2'); commit",
    );
    parked(&mut walferry);
    walferry.sigterm();
    assert_eq!(
        walferry.wait_exit(READY),
        Some(0),
        "{}",
        walferry.log_tail()
    );
    let mut walferry = place.streaming(&settings);
    parked(&mut walferry);
    // A second version while the first one waits.
    place.sql("alter table waits add column more text default 'x'");
    level(&place, &subject, Some("NONE"));
    // Killed while it catches up, if that takes long enough, else after it.
    walferry.wait_log("the table goes on", DRAIN);
    walferry.kill9();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into beside values (0)");
    goes_on(&mut walferry);
    writer.stop();
    let report = place.verdict(&checker);
    assert!(report.is_clean(), "{report}");
    assert!(report.tables[WAITS] > 60, "{report}");
}

#[test]
fn a_value_that_avro_cannot_hold_parks_its_table() {
    let place = Place::shared("park_value");
    place.sql("create table waits (id int primary key, n numeric(9,2)); create table beside (id int primary key)");
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("errors.policy", "park")
        .set_text("admin.token", TOKEN);
    let checker = place.checker(&[WAITS, "public.beside"]);
    let mut walferry = place.streaming(&settings);
    place.sql("insert into waits values (1, 1); insert into waits values (2, 'NaN')");
    parked(&mut walferry);
    place.sql("insert into beside values (1); update waits set n = 3");
    walferry.wait_status("the other goes on", READY, |it| {
        table(it, "public.beside")["changes"] == 1
    });
    // The value is still there, so the operator's word alone does not help.
    let mut with_token = Command::new(binary().unwrap());
    let output = with_token
        .args(["schema", "approve", WAITS, "--admin", walferry.admin_url()])
        .env("WALFERRY_TOKEN", TOKEN)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    walferry.wait_status("parked again", READY, |it| {
        table(it, WAITS)["state"] == "parked"
    });
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    // As a dead letter it is out of the way, and nothing else is missing.
    settings.set_text("errors.policy", "dead-letter");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into beside values (2)");
    goes_on(&mut walferry);
    assert_eq!(walferry.status().unwrap()["dead_letters"], 1);
    let report = checker.verdict().unwrap();
    assert_eq!((report.lost, report.faults()), (1, 1), "{report}");
    assert_eq!(report.tables[WAITS], 3, "{report}");
}
