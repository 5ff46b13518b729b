//! The options of a `[[table]]` where rows do not come in the stream alone: snapshots that are resumed, beside the stream, of
//! tables that were added and asked for; the audit; `tail -c`; and a name that is none.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use walferry_stack::test_postgres_major;
use walferry_testkit::process::{Settings, binary};

use super::{check, nothing_leaks, show};
use crate::place::{Place, READY};
use crate::records::{read, schemas};

const PEOPLE: &str = "
create table people (id int, region text, email text, card text, primary key (id, region));
create table later (like people including all);
insert into people select i, case i % 3 when 0 then 'us' else 'eu' end, 'p' || i || '@example.org', '4111-' || i
  from generate_series(1, 3000) i;
insert into later select * from people where id <= 900; analyze";

fn settings(place: &Place, tables: &[&str], salt: &str) -> Settings {
    let mut settings = place.settings(tables);
    settings
        .env("SALT", salt)
        .set_text("admin.token", "open")
        .set("snapshot.chunk_rows", "200")
        .set("snapshot.rows_per_second_max", "1000")
        .set_text("publish.batch_bytes_max", "64 KiB")
        .table(
            "name = \"public.*\"\nexclude_columns = [\"card\"]\nwhere = \"region = 'eu'\"\n\
             mask = [{ column = \"email\", with = \"sha256\", salt = { env = \"SALT\" } }]",
        );
    settings
}

fn running(place: &Place, settings: &Settings, arguments: &[&str]) -> Command {
    let path = settings.write(&place.folder).unwrap();
    let mut command = Command::new(binary().unwrap());
    command
        .args(arguments)
        .arg("-c")
        .arg(path)
        .env("SALT", "pepper");
    command
}

/// Rows as the records of a table leave them, by the id; every one of them of the region.
fn rows(place: &Place, table: &str) -> BTreeMap<String, String> {
    let mut schemas = schemas(place);
    let mut rows = BTreeMap::new();
    for framed in read(place, table).iter().filter(|it| it.value.is_some()) {
        let value = schemas.decode(framed.value.as_ref().unwrap());
        let key = schemas.decode(framed.key.as_ref().unwrap());
        assert_eq!(show(&key["region"]), "eu", "{table}");
        match show(&value["after"]).as_str() {
            "-" => rows.remove(&show(&key["id"])),
            after => rows.insert(show(&key["id"]), after.to_owned()),
        };
    }
    rows
}

/// Rows whose region changes: to the topics they come and go.
fn move_rows(place: &Place, table: &str, round: u32) {
    place.sql(&format!(
        "update {table} set region = 'us' where region = 'eu' and id % 41 = {round};
         update {table} set region = 'eu' where region = 'us' and id % 43 = {round};
         update {table} set card = '4111-new' where id % 47 = {round}"
    ));
}

fn is_done(status: &Json, tables: usize) -> bool {
    let found = status["snapshot"].as_array();
    status["state"] == "streaming"
        && found.is_some_and(|it| it.len() == tables && it.iter().all(|it| it["state"] == "done"))
}

#[test]
fn every_snapshot_and_the_audit_keep_to_the_options() {
    if test_postgres_major() < 15 {
        return;
    }
    let place = Place::shared("options_snap");
    place.sql(PEOPLE);
    let first = settings(&place, &["public.people"], "pepper");
    let mut walferry = place.start(&first);
    walferry.wait_ready(READY);
    walferry.wait_status("the middle of the snapshot", READY, |it| {
        it["snapshot"][0]["rows"].as_u64() >= Some(300)
    });
    move_rows(&place, "people", 1);
    walferry.kill9();
    // What is left is read in chunks beside the stream.
    let mut walferry = place.start(&first);
    walferry.wait_status("it goes on", READY, |it| {
        it["snapshot"][0]["state"] == "running"
    });
    move_rows(&place, "people", 2);
    walferry.wait_status("it is complete", READY, |it| is_done(it, 1));
    walferry.sigterm();
    walferry.wait_exit(READY);
    let both = settings(&place, &["public.*"], "pepper");
    let mut walferry = place.streaming(&both);
    move_rows(&place, "later", 3);
    walferry.wait_status("the added table is there", READY, |it| is_done(it, 1));
    let asked = running(&place, &both, &["snapshot", "start", "public.people"])
        .args(["--where", "id <= 300 or id > 2900"])
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    walferry.wait_status("what was asked for is there", READY, |it| {
        is_done(it, 1) && it["snapshot"][0]["name"] == "public.people"
    });
    place.drain("insert into people values (0, 'eu', 'x@example.org', '4111-0')");
    let topics = ["public.people", "public.later"].map(|it| place.topic(it));
    nothing_leaks(&place, &topics);
    for (table, at_least) in [("people", 1_900), ("later", 550)] {
        let found = rows(&place, &format!("public.{table}"));
        let wanted = place.value(&format!(
            "select string_agg(id || ': id=' || id || ' region=eu email=' || encode(sha256(('pepper' || email)::bytea), 'hex'), ', '
             order by id::text collate \"C\") from {table} where region = 'eu'"
        ));
        let found_text: Vec<_> = found
            .iter()
            .map(|(id, row)| format!("{id}: {row}"))
            .collect();
        assert!(found.len() > at_least, "{}", found.len());
        assert_eq!(found_text.join(", "), wanted.unwrap(), "{table}");
    }
    audits(&place, &both);
}

/// The audit compares what was published: clean, and not when the mask is another.
fn audits(place: &Place, settings: &Settings) {
    for (salt, expected) in [("pepper", 0), ("other", 1)] {
        let output = running(place, settings, &["audit", "--json", "--patience", "120"])
            .env("SALT", salt)
            .output()
            .unwrap();
        let report: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(expected), "{report:#}");
        for table in report["tables"].as_array().unwrap() {
            let name = table["name"].as_str().unwrap();
            let count = format!("select count(*) from {name} where region = 'eu'");
            let rows = table["rows"].to_string();
            assert_eq!(Some(rows.clone()), place.value(&count), "{report:#}");
            let different = if salt == "pepper" { "0" } else { &*rows };
            assert_eq!(table["different"].to_string(), different, "{report:#}");
            assert_eq!((&table["missing"], &table["extra"]), (&0.into(), &0.into()));
        }
    }
}

#[test]
fn tail_with_a_configuration_shows_no_more_than_records() {
    if test_postgres_major() < 15 {
        return;
    }
    let place = Place::shared("options_tail");
    place.sql("create table people (id int, region text, email text, card text, primary key (id, region))");
    let settings = settings(&place, &["public.people"], "pepper");
    // Through a publication of its own, then through one that holds too much, then through the connector's.
    for (id, before) in [
        (1, "select"),
        (2, "create publication PUB for table people"),
        (
            3,
            "drop publication PUB; create publication PUB for table people (id, region, email) where (region = 'eu')",
        ),
    ] {
        place.sql(&before.replace("PUB", &format!("walferry_{}", place.name)));
        let mut child = running(&place, &settings, &["tail"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let slots = "select count(*) from pg_replication_slots where confirmed_flush_lsn is not null and database = current_database()";
        while place.value(slots).as_deref() != Some("1") {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::yield_now();
        }
        place.sql(&format!(
            "insert into people values ({id}, 'us', 'eve@example.org', '4111-1');
             insert into people values ({id}, 'eu', 'ann@example.org', '4111-2')"
        ));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let line: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(
            line["after"],
            serde_json::json!({"id": id, "region": "eu", "email": super::ANN}),
            "{before}"
        );
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_settings_of_no_table_are_refused_with_the_nearest_name() {
    let place = Place::shared("options_name");
    place.sql("create table customers (id int primary key, card text); create table orders (id int primary key)");
    let mut settings = place.all();
    settings.table("name = \"public.custmers\"\nexclude_columns = [\"card\"]");
    let said = "write \"public.customers\" if that is meant";
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    // The log is JSON.
    let plain = log.replace("\\\"", "\"");
    assert!(
        plain.contains("[[table]] \"public.custmers\" matches no followed table"),
        "{log}"
    );
    assert!(plain.contains(said), "{log}");
    let tail = running(&place, &settings, &["tail"]).output().unwrap();
    assert_eq!(tail.status.code(), Some(1), "{tail:?}");
    let found = |settings: &Settings, wanted: &str| {
        let found = check(&place, settings);
        let mut named = found.iter().filter(|(it, _)| it.starts_with("[[table]]"));
        assert!(
            named.any(|(it, how)| it.contains("public.custmers") && how == wanted),
            "{found:?}"
        );
    };
    found(&settings, "error");
    // A glob may be of tables to come.
    let mut settings = place.all();
    settings.table("name = \"public.custmers*\"\nexclude_columns = [\"card\"]");
    found(&settings, "warning");
    place.streaming(&settings);
}
