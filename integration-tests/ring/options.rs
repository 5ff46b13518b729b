//! What the options of a `[[table]]` keep from leaving: columns, rows and values; in the snapshot, in the stream, in keys and
//! in dead letters. And what is refused before anything is created.

mod added;
mod everywhere;
mod renamed;

use std::collections::BTreeMap;
use std::process::Command;

use apache_avro::types::Value as Avro;
use rdkafka::Message;
use serde_json::Value as Json;
use walferry_stack::test_postgres_major;
use walferry_testkit::process::{Settings, binary};
use walferry_testkit::topics::Reader;

use crate::place::{Place, READY};
use crate::records::{read, schemas};

const TABLES: &str = "
create table customers (id int, region text, email text not null default 'x@y', card text, name text, notes text,
  n numeric(9,2), primary key (id, region));
create table whole (id int primary key, region text, card text); alter table whole replica identity full;
create table mails (email text primary key, at int);
insert into customers values (1, 'eu', 'ann@example.org', '4111-1', 'Annabel', 'secret-1', 1),
                             (2, 'us', 'bob@example.org', '4111-2', 'Robert', 'secret-2', 2);
insert into whole values (1, 'eu', '4111-3'), (2, 'us', '4111-4');
insert into mails values ('eve@example.org', 1)";

/// `printf 'pepperann@example.org' | sha256sum`
const ANN: &str = "b18264b09ad9f8f63b8cf409616260694bb363cc52019dd27b0da6e84aa4c545";

/// What must be in no topic. Regions are published, so rows that are filtered out are told by their numbers.
const SECRETS: [&str; 5] = ["@example.org", "4111-", "secret-", "abel", "Robert"];

fn settings(place: &Place) -> Settings {
    let mut settings = place.all();
    settings.env("SALT", "pepper").table(
        "name = \"public.customers\"\nexclude_columns = [\"card\"]\nwhere = \"region = 'eu'\"\nerrors = \"dead-letter\"\n\
         mask = [{ column = \"email\", with = \"sha256\", salt = { env = \"SALT\" } },\n\
           { column = \"name\", with = \"truncate\", chars = 3 }, { column = \"notes\", with = \"redact\" }]",
    );
    settings
        .table("name = \"public.wh*\"\nexclude_columns = [\"card\"]\nwhere = \"region = 'eu'\"");
    settings.table(
        "name = \"public.mails\"\nmask = [{ column = \"email\", with = \"sha256\", salt = { env = \"SALT\" } }]",
    );
    settings
}

/// A value, or the fields of a row, on one line.
pub(crate) fn show(value: &Avro) -> String {
    match value {
        Avro::Union(_, inner) => show(inner),
        Avro::Null => "-".into(),
        Avro::String(text) => text.clone(),
        Avro::Int(number) => number.to_string(),
        Avro::Long(number) => number.to_string(),
        Avro::Boolean(bit) => bit.to_string(),
        Avro::Record(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .filter(|(name, _)| name != "n")
                .map(|(name, value)| format!("{name}={}", show(value)))
                .collect();
            fields.join(" ")
        }
        other => format!("{other:?}"),
    }
}

/// Operation, and the row before and after, of each record of a table; tombstones left out.
fn changes(place: &Place, table: &str) -> Vec<String> {
    let mut schemas = schemas(place);
    let records = read(place, table);
    let values = records.iter().filter_map(|it| it.value.as_ref());
    let side = |value: &BTreeMap<String, Avro>, name: &str| show(&value[name]);
    values
        .map(|framed| schemas.decode(framed))
        .map(|it| {
            format!(
                "{} [{}] [{}]",
                show(&it["op"]),
                side(&it, "before"),
                side(&it, "after")
            )
        })
        .collect()
}

/// No topic of the connector holds any of the secrets, in keys, values or headers.
fn nothing_leaks(place: &Place, topics: &[String]) {
    Reader::open(&place.brokers, topics)
        .unwrap()
        .read_to_end(|message| {
            for bytes in [message.key(), message.payload()].into_iter().flatten() {
                let text = String::from_utf8_lossy(bytes);
                for secret in SECRETS {
                    assert!(!text.contains(secret), "{}: {text}", message.topic());
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn columns_rows_and_values_that_must_not_leave_do_not() {
    if test_postgres_major() < 15 {
        return; // Refused there: `older_servers_filter_no_rows`.
    }
    let place = Place::shared("options");
    place.sql(TABLES);
    let settings = settings(&place);
    let _walferry = place.streaming(&settings);
    place.sql(
        "insert into customers values (3, 'eu', 'ann@example.org', '4111-5', 'Eva', null, 3), (4, 'us', 'x', '', '', '', 4);
         update customers set name = 'Annabella' where id = 1;
         update customers set region = 'us' where id = 3;
         insert into customers values (6, 'eu', 'ann@example.org', '4111-6', 'Annabel', 'secret-6', 'NaN');
         insert into whole values (3, 'eu', '4111-7'), (4, 'us', '4111-8');
         update whole set card = '4111-9' where id = 1;
         update mails set email = 'ann@example.org'",
    );
    place.drain("delete from customers where id = 1");
    let row = |id: &str, name: &str, notes: &str| {
        format!("id={id} region=eu email={ANN} name={name} notes={notes}")
    };
    assert_eq!(
        changes(&place, "public.customers"),
        [
            format!("r [-] [{}]", row("1", "Ann", "****")),
            format!("c [-] [{}]", row("3", "Eva", "-")),
            format!("u [-] [{}]", row("1", "Ann", "****")),
            "d [id=3 region=eu email= name=- notes=-] [-]".into(),
            "d [id=1 region=eu email= name=- notes=-] [-]".into(),
        ]
    );
    assert_eq!(
        changes(&place, "public.whole"),
        [
            "r [-] [id=1 region=eu]",
            "c [-] [id=3 region=eu]",
            "u [id=1 region=eu] [id=1 region=eu]",
        ]
    );
    let moved = read(&place, "public.mails");
    assert_eq!(
        moved.len(),
        4,
        "a snapshot row, and a key change in three records"
    );
    assert_eq!(
        moved[1].headers["__debezium.newkey"],
        format!("{{\"email\":\"{ANN}\"}}")
    );
    let key = schemas(&place).decode(moved[3].key.as_ref().unwrap());
    assert_eq!(show(&key["email"]), ANN);

    let letters = format!("{}.dead_letters", place.name);
    let mut found = Vec::new();
    Reader::open(&place.brokers, std::slice::from_ref(&letters))
        .unwrap()
        .read_to_end(|message| {
            found.push(serde_json::from_slice::<Json>(message.payload().unwrap())?);
            Ok(())
        })
        .unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let after = &found[0]["after"];
    assert_eq!(
        (&after["email"], &after["name"]),
        (&ANN.into(), &"Ann".into()),
        "{after}"
    );
    assert_eq!(
        (&after["card"], &after["n"]),
        (&Json::Null, &"NaN".into()),
        "{after}"
    );
    let topics = ["public.customers", "public.whole", "public.mails"].map(|it| place.topic(it));
    nothing_leaks(&place, &[&topics[..], &[letters]].concat());

    // Card numbers of `customers` do not even reach the stream.
    let listed = "select array_to_string(attnames, ' ') || ': ' || rowfilter from pg_publication_tables where tablename = ";
    assert_eq!(
        place.value(&format!("{listed}'customers'")).as_deref(),
        Some("id region email name notes n: (region = 'eu'::text)")
    );
    assert_eq!(
        place.value(&format!("{listed}'whole'")).as_deref(),
        Some("id region card: (region = 'eu'::text)")
    );
}

#[test]
fn a_publication_that_is_there_is_changed_at_the_next_start_and_check_says_so() {
    if test_postgres_major() < 15 {
        return;
    }
    let place = Place::shared("options_later");
    place.sql(TABLES);
    let mut walferry = place.streaming(&place.all());
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let settings = settings(&place);
    let said = check(&place, &settings);
    for (message, severity) in [
        ("columns card are left out by PostgreSQL", "ok"),
        ("rows are chosen by PostgreSQL", "ok"),
        ("column email is masked by Walferry: sha256", "ok"),
        (
            "columns card are left out by Walferry: its replica identity is full",
            "ok",
        ),
        ("run changes it", "plan"),
    ] {
        assert!(
            said.iter()
                .any(|(it, how)| it.contains(message) && how == severity),
            "{message}: {said:?}"
        );
    }
    let state = "select string_agg(prrelid || coalesce(pg_get_expr(prqual, prrelid), '') || prrelid::text || xmin::text, ' '
                 order by prrelid) from pg_publication_rel";
    let mut walferry = place.streaming(&settings);
    let changed = place.value(state).unwrap();
    assert!(changed.contains("region = 'eu'"), "{changed}");
    walferry.sigterm();
    walferry.wait_exit(READY);
    // What agrees is left alone, though the server prints the filter in other words.
    let _walferry = place.streaming(&settings);
    assert_eq!(place.value(state).unwrap(), changed);
    assert!(
        !check(&place, &settings)
            .iter()
            .any(|(it, _)| it.contains("run changes it"))
    );
}

/// Message and severity of each finding.
pub(crate) fn check(place: &Place, settings: &Settings) -> Vec<(String, String)> {
    let path = settings.write(&place.folder).unwrap();
    let output = Command::new(binary().unwrap())
        .args(["check", "--json", "-c"])
        .arg(path)
        .env("SALT", "pepper")
        .output()
        .unwrap();
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    let text = |it: &Json| it.as_str().unwrap_or_default().to_owned();
    let findings = answer["findings"].as_array().unwrap().iter();
    findings
        .map(|it| (text(&it["message"]), text(&it["severity"])))
        .collect()
}

#[test]
fn what_cannot_be_carried_out_is_refused_before_anything_is_created() {
    let place = Place::shared("options_bad");
    place.sql("create table t (id int primary key, email text, region text, n int)");
    let filters = test_postgres_major() >= 15;
    for (lines, said) in [
        ("where = \"region = 'eu'\"", "REPLICA IDENTITY FULL"),
        ("where = \"regoin = 'eu'\"", "regoin"),
        ("where = \"id >\"", "syntax error"),
        ("exclude_columns = [\"id\"]", "message key"),
        ("exclude_columns = [\"id\"]\nkey = [\"id\"]", "message key"),
        ("exclude_columns = [\"crad\"]", "crad"),
        (
            "mask = [{ column = \"id\", with = \"redact\" }]",
            "share a key",
        ),
        (
            "mask = [{ column = \"n\", with = \"truncate\", chars = 2 }]",
            "is not text",
        ),
        ("mask = [{ column = \"mail\", with = \"redact\" }]", "mail"),
    ] {
        let said = match lines.starts_with("where") && !filters {
            true => "version 15",
            false => said,
        };
        let mut settings = place.all();
        settings.table(&format!("name = \"public.t\"\n{lines}"));
        let (code, log) = place.run_ends(&settings);
        assert_eq!(code, Some(1), "{lines}: {log}");
        assert!(
            log.contains(said) && log.contains("public.t"),
            "{lines}: {log}"
        );
        let errors = check(&place, &settings);
        assert!(
            errors
                .iter()
                .any(|(it, how)| how == "error" && it.contains(said)),
            "{lines}: {errors:?}"
        );
        let left = "select (select count(*) from pg_publication) + (select count(*) from pg_replication_slots \
                    where database = current_database())";
        assert_eq!(place.value(left).as_deref(), Some("0"), "{lines}");
    }
}
