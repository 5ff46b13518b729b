//! Many tables into one topic, as the schemas of tenants: one schema for keys and one for values, keys that stay apart, each
//! change once whatever is killed; what does not go together is refused, or waits; and the audit tells the tables apart.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;
use walferry_testkit::process::{Settings, Walferry, binary};

use crate::options::{check, show};
use crate::place::{Place, READY};
use crate::records::{Framed, read, schemas};

/// A resync may take long on a machine that runs other tests.
const TAKEN: Duration = Duration::from_secs(120);

const TENANTS: [&str; 2] = ["tenant_a", "tenant_b"];

/// Tables of equal shape, with types, sequences and ids of their own.
fn create(place: &Place) {
    for tenant in TENANTS {
        place.sql(&format!(
            "create schema {tenant}; create type {tenant}.state as enum ('new', 'paid');
             create type {tenant}.place as (street text, nr int);
             create table {tenant}.orders (id serial primary key, note text, state {tenant}.state default 'new', at {tenant}.place);
             create table {tenant}.items (id int primary key);
             insert into {tenant}.orders (note, at) select '{tenant} ' || i, row('x'::text, i)::{tenant}.place from generate_series(1, 2000) i;
             insert into {tenant}.items values (1); analyze"
        ));
    }
}

fn settings(place: &Place, more: &str) -> Settings {
    let mut settings = place.settings(&["tenant_*.*"]);
    settings
        .set("snapshot.chunk_rows", "200")
        .set("snapshot.rows_per_second_max", "1500")
        .set_text("publish.batch_bytes_max", "64 KiB")
        .table(&format!(
            "name = \"tenant_*.*\"\ntopic = \"{}.all.{{table}}\"\n{more}",
            place.name
        ));
    settings
}

/// Ids of the schemas of keys and values.
fn ids(records: &[Framed]) -> (BTreeSet<[u8; 4]>, BTreeSet<[u8; 4]>) {
    let id = |framed: &Vec<u8>| framed[1..5].try_into().unwrap();
    let keys = records.iter().filter_map(|it| it.key.as_ref()).map(id);
    let values = records.iter().filter_map(|it| it.value.as_ref()).map(id);
    (keys.collect(), values.collect())
}

/// What compaction would leave: the last row of each key.
fn compacted(place: &Place, records: &[Framed]) -> BTreeMap<Vec<u8>, String> {
    let mut schemas = schemas(place);
    let mut rows = BTreeMap::new();
    for record in records {
        let key = record.key.clone().unwrap();
        let Some(framed) = &record.value else {
            rows.remove(&key);
            continue;
        };
        let value = schemas.decode(framed);
        match show(&value["after"]).as_str() {
            "-" => rows.remove(&key),
            after => rows.insert(key, after.to_owned()),
        };
    }
    rows
}

fn change(place: &Place, tenant: &str, round: u32) {
    place.sql(&format!(
        "update {tenant}.orders set state = 'paid' where id % 31 = {round};
         delete from {tenant}.orders where id % 37 = {round};
         update {tenant}.orders set id = id + 100000 where id % 41 = {round} and id < 100000;
         insert into {tenant}.orders (note) values ('{tenant} later {round}')"
    ));
}

#[test]
fn tables_of_many_schemas_go_to_one_topic_with_one_schema() {
    let place = Place::shared("tenants");
    create(&place);
    let settings = settings(&place, "");
    let said = check(&place, &settings);
    assert!(
        said.iter().any(|(it, how)| how == "ok"
            && it.contains("2 tables (tenant_a.orders, tenant_b.orders), with one schema")),
        "{said:?}"
    );
    let mut walferry = place.start(&settings);
    walferry.wait_ready(READY);
    let rows = |it: &Json| -> u64 {
        let tables = it["snapshot"].as_array().cloned().unwrap_or_default();
        tables.iter().filter_map(|it| it["rows"].as_u64()).sum()
    };
    walferry.wait_status("the middle of the snapshot", READY, |it| rows(it) >= 800);
    TENANTS.iter().for_each(|tenant| change(&place, tenant, 1));
    walferry.kill9();
    let mut walferry = place.start(&settings);
    walferry.wait_status("the rest of it", READY, |it| rows(it) >= 2_000);
    TENANTS.iter().for_each(|tenant| change(&place, tenant, 2));
    walferry.kill9();
    let mut walferry = place.start(&settings);
    walferry.wait_status("all of it", READY, |it| {
        let tables = it["snapshot"].as_array();
        it["state"] == "streaming"
            && tables.is_none_or(|it| it.iter().all(|it| it["state"] == "done"))
    });
    TENANTS.iter().for_each(|tenant| change(&place, tenant, 3));
    place.drain("insert into tenant_b.orders (note) values ('last')");

    let records = read(&place, "all.orders");
    let (keys, values) = ids(&records);
    assert_eq!((keys.len(), values.len()), (1, 1), "one schema each");
    let mut decoder = schemas(&place);
    let topic = place.topic("all.orders");
    let (schema, _) = decoder.of(records[0].key.as_ref().unwrap());
    let schema: Json = serde_json::from_str(schema).unwrap();
    assert_eq!(schema["connect.name"], format!("{topic}.Key"), "{schema}");
    assert_eq!(
        schema["fields"][1]["name"],
        "__dbz__physicalTableIdentifier"
    );
    let compacted = compacted(&place, &records);
    let mut expected = BTreeSet::new();
    for tenant in TENANTS {
        let rows = place.value(&format!(
            "select string_agg(format('id=%s note=%s state=%s', id, note, state), E'\\n') from {tenant}.orders"
        ));
        expected.extend(rows.unwrap().lines().map(str::to_owned));
    }
    let found: BTreeSet<String> = compacted
        .values()
        .map(|row| row.split(" at=").next().unwrap().to_owned())
        .collect();
    assert_eq!(found, expected);
    for (key, row) in compacted.iter().step_by(97) {
        let key = decoder.decode(key);
        let tenant = row
            .split("note=")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        if tenant != "last" {
            let table = format!("{}.{tenant}.orders", place.name);
            assert_eq!(show(&key["__dbz__physicalTableIdentifier"]), table);
        }
    }
    audits(&place, &settings, &records);
    walferry.sigterm();
    walferry.wait_exit(READY);
    resyncs(&place, &settings);
}

/// What is gone from one table while changes are lost is told of that table alone.
fn resyncs(place: &Place, settings: &Settings) {
    place.sql(&format!(
        "select pg_drop_replication_slot('{}');
         delete from tenant_a.orders where id % 5 = 0; delete from tenant_b.orders where id % 7 = 0",
        place.slot()
    ));
    let path = settings.write(&place.folder).unwrap();
    let arguments = ["resync", "-c", path.to_str().unwrap()];
    let mut resync = Walferry::start_with(&arguments, settings, &place.folder).unwrap();
    assert_eq!(resync.wait_exit(TAKEN), Some(0), "{}", resync.log_tail());
    let _walferry = place.streaming(settings);
    place.drain("insert into tenant_a.orders (note) values ('the end')");
    audits(place, settings, &read(place, "all.orders"));
}

/// Each table is found whole among the records of both, and so is a row that is nowhere.
fn audits(place: &Place, settings: &Settings, records: &[Framed]) {
    let path = settings.write(&place.folder).unwrap();
    let audit = || {
        let mut command = Command::new(binary().unwrap());
        let output = command
            .args(["audit", "--json", "--patience", "120", "-c"])
            .arg(&path)
            .output()
            .unwrap();
        let report: Json = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    let (code, report) = audit();
    assert_eq!(code, Some(0), "{report:#}");
    let tables = report["tables"].as_array().unwrap();
    let orders = tables
        .iter()
        .filter(|it| it["topic"] == place.topic("all.orders"));
    let counted: u64 = orders
        .clone()
        .map(|it| it["records"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, records.len() as u64, "{report:#}");
    for table in orders {
        let count = format!("select count(*) from {}", table["name"].as_str().unwrap());
        assert_eq!(Some(table["rows"].to_string()), place.value(&count));
    }
}

#[test]
fn tables_that_do_not_go_together_are_refused_or_wait() {
    let place = Place::shared("tenants_bad");
    place.sql(
        "create schema tenant_a; create table tenant_a.orders (id int primary key, note text);
         create schema tenant_b; create table tenant_b.orders (id int, note text, primary key (id, note));",
    );
    let refused = "tables tenant_a.orders and tenant_b.orders, whose keys have different schemas";
    let plain = settings(&place, "");
    let (code, log) = place.run_ends(&plain);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(refused), "{log}");
    let found = |settings: &Settings, severity: &str, said: &str| {
        let found = check(&place, settings);
        assert!(
            found
                .iter()
                .any(|(it, how)| how == severity && it.contains(said)),
            "{said}: {found:?}"
        );
    };
    found(&plain, "error", refused);
    assert_eq!(
        place
            .value("select count(*) from pg_publication")
            .as_deref(),
        Some("0"),
        "nothing was created"
    );

    // With another policy the first to come decides, and the other waits.
    let parking = settings(&place, "errors = \"park\"");
    found(&parking, "warning", refused);
    let mut walferry = place.streaming(&parking);
    place.sql("insert into tenant_a.orders values (1, 'a')");
    place.drain("update tenant_a.orders set note = 'b'");
    place.sql("insert into tenant_b.orders values (1, 'waits')");
    place.sql("insert into tenant_a.orders values (2, 'c')");
    let line = walferry.wait_log("whose keys have different schemas", READY);
    assert!(line.contains("tenant_b.orders"), "{line}");
    // The slot stays for the table that waits.
    while read(&place, "all.orders").len() < 3 {
        std::thread::yield_now();
    }
    let records = read(&place, "all.orders");
    assert_eq!((records.len(), ids(&records).0.len()), (3, 1));
    walferry.sigterm();
    walferry.wait_exit(READY);

    // Values may differ as far as the subject's compatibility level allows: a column that may be missing.
    let place = Place::shared("tenants_wide");
    place.sql(
        "create schema tenant_a; create table tenant_a.orders (id int primary key, note text);
         create schema tenant_b; create table tenant_b.orders (id int primary key, note text, more text);
         insert into tenant_a.orders values (1, 'a'); insert into tenant_b.orders values (1, 'b', 'more')",
    );
    let wide = settings(&place, "table_in_key = false");
    let said = check(&place, &wide);
    assert!(
        said.iter()
            .any(|(it, how)| how == "warning" && it.contains("are one key to consumers")),
        "{said:?}"
    );
    let _walferry = place.streaming(&wide);
    place.drain("insert into tenant_a.orders values (2, 'c')");
    let records = read(&place, "all.orders");
    let (keys, values) = ids(&records);
    assert_eq!((records.len(), keys.len(), values.len()), (3, 1, 2));
    let key = schemas(&place).decode(records[0].key.as_ref().unwrap());
    assert_eq!(key.len(), 1, "as behind RegexRouter: {key:?}");
    audits(&place, &wide, &records);
}
