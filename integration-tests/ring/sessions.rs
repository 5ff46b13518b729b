//! What a role or a database may have otherwise, and what somebody may ask for: row security, settings of sessions, keys of every
//! type, conditions. No session reads filtered rows, and a value is the same in a snapshot and in the stream.

use serde_json::Value as Json;
use walferry_stack::test_postgres_major;
use walferry_testkit::checker::Record;
use walferry_testkit::process::Settings;
use walferry_testkit::topics::{Decoder, Reader};

use crate::audit::audit;
use crate::place::{Place, READY, told};
use crate::snapshots::{TAKEN, done, said};

/// Settings of a connector with another role.
fn of_role(place: &Place, role: &str) -> Settings {
    let mut settings = place.all();
    let url = place.url.replace("postgres@", &format!("{role}@"));
    settings
        .set_text("source.url", &url)
        .set("source.heartbeat_ms", "200");
    settings
}

/// A role that may read and replicate, and a table of which a policy shows it half.
fn guarded(name: &str) -> (Place, String) {
    let place = Place::shared(name);
    let role = format!("{name}_{}", std::process::id());
    place.sql(&format!(
        "create role {role} login replication;
         create table t (id int primary key, note text);
         insert into t select i, repeat('x', 300) from generate_series(1, 4000) i;
         create policy half on t using (id % 2 = 0);
         grant select on t to {role};
         create publication \"{}\" for table t",
        place.slot()
    ));
    (place, role)
}

fn rows(place: &Place, table: &str) -> usize {
    let mut decoder = Decoder::new(&place.registry);
    let mut keys = std::collections::BTreeSet::new();
    Reader::open(&place.brokers, &[place.topic(table)])
        .unwrap()
        .read_to_end(|message| {
            if let Record::Event(event) = decoder.decode(message)?.record
                && let Some(key) = event.key
            {
                match event.after {
                    Some(_) => keys.insert(key.to_string()),
                    None => keys.remove(&key.to_string()),
                };
            }
            Ok(())
        })
        .unwrap();
    keys.len()
}

#[test]
fn a_table_whose_policies_hide_rows_is_refused_before_anything_is_published() {
    let (place, role) = guarded("rls_first");
    place.sql("alter table t enable row level security");
    let settings = of_role(&place, &role);
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let (code, text) = told(&["check", "-c", path]);
    assert_eq!(code, Some(1), "{text}");
    let sql = format!("ALTER ROLE \"{role}\" BYPASSRLS");
    assert!(text.contains(&sql), "{text}");
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("public.t") && log.contains("BYPASSRLS"),
        "{log}"
    );
    // An owner is not spared when the policies are forced on it.
    place.sql(&format!(
        "alter table t owner to {role}; alter table t force row level security"
    ));
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("BYPASSRLS"), "{log}");
    place.sql(&sql);
    let (code, text) = told(&["check", "-c", path]);
    assert_eq!(code, Some(0), "{text}");
    let mut walferry = place.start(&settings);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    assert_eq!(rows(&place, "public.t"), 4000);
}

#[test]
fn a_policy_that_comes_later_keeps_a_table_back_and_is_told() {
    for beside in [false, true] {
        let (place, role) = guarded(if beside { "rls_beside" } else { "rls_later" });
        let mut settings = of_role(&place, &role);
        settings
            .set("snapshot.chunk_rows", "400")
            .set("snapshot.readers", "1")
            .set("snapshot.rows_per_second_max", "2000")
            .set("snapshot.while_streaming", &beside.to_string())
            .set_text("admin.token", "open");
        let mut walferry = place.start(&settings);
        walferry.wait_status("some rows", TAKEN, |it| {
            it["snapshot"][0]["rows"].as_u64() >= Some(400)
        });
        place.sql("alter table t enable row level security");
        let reason = walferry.wait_not_ready("BYPASSRLS", TAKEN);
        assert!(reason.contains("public.t"), "{reason}");
        // The stream is not kept back.
        place.drain("insert into t values (100001, 'streamed')");
        walferry.kill9();
        let mut walferry = place.start(&settings);
        walferry.wait_not_ready("BYPASSRLS", TAKEN);
        place.sql(&format!("alter role {role} bypassrls"));
        // A session keeps what it may do from its beginning.
        walferry.wait_status("the snapshot is complete", TAKEN, done);
        walferry.wait_ready(READY);
        let (code, report, errors) = audit(&place, &settings, &[]);
        assert_eq!(code, Some(0), "{report:#}\n{errors}");
        assert_eq!(rows(&place, "public.t"), 4001);
        // Without the right neither the audit nor a snapshot that is asked for takes what is left for the whole.
        place.sql(&format!("alter role {role} nobypassrls"));
        let (code, report, errors) = audit(&place, &settings, &[]);
        assert_eq!(code, Some(1), "{report:#}\n{errors}");
        assert_eq!(report["tables"][0]["extra"], 0, "{report:#}");
        let incomplete = report["tables"][0]["incomplete"][0].as_str().unwrap();
        assert!(incomplete.contains("BYPASSRLS"), "{incomplete}");
        let path = settings.write(&place.folder).unwrap();
        let (code, _, error) = said(path.to_str().unwrap(), &["start", "public.t"]);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("BYPASSRLS"), "{error}");
    }
}

/// What a role may have set for its sessions.
const SETTINGS: &str = "
search_path = public; row_security = on; datestyle = 'SQL, DMY'; timezone = 'Asia/Kathmandu'; intervalstyle = iso_8601;
bytea_output = escape; extra_float_digits = -3; quote_all_identifiers = on; standard_conforming_strings = off;
array_nulls = off; transform_null_equals = on; xmloption = document; gin_fuzzy_search_limit = 1;
default_transaction_read_only = on; default_transaction_isolation = serializable; default_transaction_deferrable = on;
statement_timeout = 20; lock_timeout = 1; idle_in_transaction_session_timeout = 100; idle_session_timeout = 200;
escape_string_warning = off; enable_seqscan = off; enable_tidscan = off";

#[test]
fn settings_of_the_role_bend_neither_rows_nor_values() {
    let place = Place::shared("sessions");
    let role = format!("bent_{}", std::process::id());
    place.sql(&format!("create role {role} superuser login"));
    for setting in SETTINGS.split(';') {
        place.sql(&format!("alter role {role} set {}", setting.trim()));
    }
    if test_postgres_major() >= 17 {
        place.sql(&format!("alter role {role} set transaction_timeout = 1500"));
    }
    let values = "'t', 'lower(text)', 'int4', 'simple', '1 year 2 mons 3 days 04:05:06', 0.1::float8 / 3, 0.1::float4 / 3,
        '\\xdeadbeef', '{a,NULL}', '2026-03-04 05:06:07+00', '2026-03-04', '[2026-03-04,2026-03-05)', 12.5::numeric::money, 'back\\slash'";
    place.sql(
        "create table t (id int primary key, a regclass, b regprocedure, c regtype, d regconfig, e interval, f float8, g float4,
            h bytea, i text[], j timestamptz, k date, l daterange, m money, n text default E'back\\\\slash');
         create table bag (v text); alter table bag replica identity full",
    );
    place.sql(&format!(
        "insert into t select 1, {values}; insert into bag select 'b' || i from generate_series(1, 3000) i; analyze"
    ));
    let mut settings = of_role(&place, &role);
    settings
        .set("snapshot.chunk_rows", "400")
        .set_text("admin.token", "open");
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let (code, text) = told(&["check", "-c", &path]);
    assert_eq!(code, Some(0), "{text}");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain(&format!("insert into t select 2, {values}"));
    let (code, _, error) = said(&path, &["start", "public.bag"]);
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("what was asked for", TAKEN, |it| {
        it["snapshot"][0]["name"] == "public.bag" && done(it)
    });
    let mut decoder = Decoder::new(&place.registry);
    let mut rows: Vec<String> = Vec::new();
    Reader::open(&place.brokers, &[place.topic("public.t")])
        .unwrap()
        .read_to_end(|message| {
            if let Record::Event(event) = decoder.decode(message)?.record {
                let row = event.after.unwrap();
                let columns = row.0.iter().filter(|it| &*it.0 != "id");
                rows.push(format!("{:?}", columns.collect::<Vec<_>>()));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], rows[1], "the snapshot and the stream differ");
    assert!(rows[0].contains("back\\\\slash"), "{}", rows[0]);
    let (code, report, errors) = audit(&place, &settings, &["public.t"]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    let schema = schema(&place, "public.t-value");
    assert!(schema.contains("\"default\":\"back\\\\slash\""), "{schema}");
}

/// The newest schema of a subject under the place's prefix.
fn schema(place: &Place, subject: &str) -> String {
    let url = format!(
        "{}/subjects/{}.{subject}/versions/latest",
        place.registry, place.name
    );
    let answer = std::process::Command::new("curl")
        .args(["-sS", &url])
        .output()
        .unwrap();
    let answer: Json = serde_json::from_slice(&answer.stdout).unwrap();
    answer["schema"].as_str().unwrap().to_owned()
}

/// A type, and the value of row `i`, which is unique.
const KEYS: [(&str, &str); 21] = [
    ("pair", "row(i % 7, 'x' || i)::pair"),
    ("hstore", "hstore('k' || i, (i % 5)::text)"),
    ("citext", "case i % 2 when 0 then 'a' else 'B' end || i"),
    (
        "nick",
        "(case i % 2 when 0 then 'a' else 'B' end || i)::nick",
    ),
    ("mood", "('m' || i)::mood"),
    ("feeling", "('m' || i)::feeling"),
    ("int[]", "array[i % 7, null, i]"),
    ("int4range", "int4range(i, i + 10)"),
    ("uuid", "md5(i::text)::uuid"),
    (
        "text collate blind",
        "case i % 2 when 0 then 'a' else 'B' end || i",
    ),
    (
        "text collate \"en-x-icu\"",
        "case i % 2 when 0 then 'a''' else 'B\\' end || i",
    ),
    ("char(12)", "'c' || i"),
    ("name", "('n' || i)::name"),
    ("numeric", "i / 7.0"),
    (
        "timestamptz",
        "timestamptz '2026-01-01' + i * interval '1 hour'",
    ),
    ("bytea", "decode(md5(i::text), 'hex')"),
    ("bit(16)", "i::bit(16)"),
    ("inet", "inet '10.0.0.0' + i"),
    ("float8", "i / 7.0::float8"),
    ("int4multirange", "int4multirange(int4range(i, i + 1))"),
    ("interval", "i * interval '1 minute'"),
];
const KEY_ROWS: u32 = 240;

#[test]
fn a_table_is_read_once_by_a_key_of_any_type() {
    let place = Place::shared("keys");
    let moods: Vec<String> = (1..=KEY_ROWS).rev().map(|i| format!("'m{i}'")).collect();
    place.sql(&format!(
        "create schema x; create extension hstore schema x; create extension citext schema x; set search_path = public, x;
         create type pair as (n int, t text); create domain nick as citext; create type mood as enum ({});
         create domain feeling as mood;
         create collation blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        moods.join(", ")
    ));
    let mut tables = 0;
    for (i, (of, value)) in KEYS.iter().enumerate() {
        place.sql(&format!(
            "set search_path = public, x; create table k{i:02} (k {of} primary key, note text);
             insert into k{i:02} select {value}, repeat('x', 100) from generate_series(1, {KEY_ROWS}) i"
        ));
        tables += 1;
    }
    // Columns whose operators are not of one schema, and an index whose order is not the column's.
    place.sql(&format!(
        "set search_path = public, x;
         create table mixed (a citext, b int, note text, primary key (a, b));
         insert into mixed select 'k' || i % 9, i, 'x' from generate_series(1, {KEY_ROWS}) i;
         create table pattern (a text collate blind not null, note text);
         create unique index pattern_a on pattern (a collate \"C\" text_pattern_ops);
         alter table pattern replica identity using index pattern_a;
         insert into pattern select case i % 2 when 0 then 'a' else 'A' end || i / 2, 'x' from generate_series(1, {KEY_ROWS}) i;
         analyze"
    ));
    tables += 2;
    let mut settings = place.all();
    settings
        .set("snapshot.chunk_rows", "37")
        .set("source.heartbeat_ms", "200");
    // Once cut into ranges, once chunk after chunk beside the stream.
    let mut walferry = place.start(&settings);
    let first = walferry.wait_status("the snapshot is complete", TAKEN, done);
    let all_once = |status: &Json| {
        let read = status["snapshot"].as_array().unwrap();
        assert_eq!(read.len(), tables, "{status}");
        for table in read {
            assert_eq!(table["rows"], KEY_ROWS, "{table}");
        }
    };
    all_once(&first);
    walferry.sigterm();
    walferry.wait_exit(READY);
    let second = Settings::new(
        &format!("{}_b", place.name),
        &place.url,
        &["public.*"],
        &place.brokers,
        &format!("{}_b", place.name),
        &place.registry,
    );
    let mut second = second.unwrap();
    second
        .set("snapshot.chunk_rows", "37")
        .set("snapshot.while_streaming", "true");
    let mut walferry = place.start(&second);
    let beside = walferry.wait_status("the snapshot is complete", TAKEN, done);
    all_once(&beside);
}

#[test]
fn a_hostile_condition_is_refused_and_does_nothing() {
    let place = Place::shared("hostile");
    place.sql("create table t (id int primary key, note text); insert into t select i, 'x' from generate_series(1, 100) i");
    let mut settings = place.all();
    settings.set_text("admin.token", "open");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("first snapshot", READY, done);
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let file = format!("/tmp/walferry-hostile-{}", place.name);
    for condition in [
        &*format!("true))) TO PROGRAM 'touch {file}' -- "),
        &*format!("true)) TO PROGRAM 'touch {file}' -- "),
        "true; drop table t",
        "true) UNION SELECT 1 WHERE (true",
        "id = (select 1)",
        "exists (table pg_authid)",
        "pg_read_file('/etc/passwd') is not null",
        "\"pg_catalog\".\"pg_sleep\"(100) is null",
        "set_config('row_security', 'on', false) = 'on'",
        "query_to_xml('select 1', true, true, '') is not null",
        "table_to_xml('pg_authid', true, true, '') is not null",
        "pg_terminate_backend(pg_backend_pid())",
        "E'a'\n'\\'' ) ) TO STDOUT --'",
        "id",
        "count(*) > 1",
        "no_such_column > 1",
        "",
    ] {
        let (code, _, error) = said(
            &path,
            &["start", "public.t", &format!("--where={condition}")],
        );
        assert_eq!(code, Some(1), "{condition}: {error}");
        assert!(
            error.contains("condition") || error.contains("row filter"),
            "{condition}: {error}"
        );
    }
    assert!(!std::path::Path::new(&file).exists());
    assert_eq!(
        place.value("select count(*) from t").as_deref(),
        Some("100")
    );
    // One that is an error of a row only when it is read ends alone, with its reason.
    let (code, id, error) = said(
        &path,
        &["start", "public.t", "--where", "10 / (id - 50) > 1"],
    );
    assert_eq!(code, Some(0), "{error}");
    let status = walferry.wait_status("it ends", READY, |it| {
        it["snapshot"][0]["id"] == *id && it["snapshot"][0]["state"] == "cancelled"
    });
    let reason = status["snapshot"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("division by zero"), "{reason}");
    let harmless = "lower(note) = 'x' and id in (1, 2) -- and no more";
    let (code, id, error) = said(&path, &["start", "public.t", "--where", harmless]);
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("it is read", READY, |it| {
        it["snapshot"][0]["id"] == *id && it["snapshot"][0]["rows"] == 2 && done(it)
    });
    drop(walferry);
    if test_postgres_major() >= 15 {
        settings.table("name = \"public.t\"\nwhere = \"true)); DROP TABLE t; --\"");
        let (code, log) = place.run_ends(&settings);
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("public.t") && log.contains("closes nothing"),
            "{log}"
        );
    }
}

#[test]
fn a_table_that_is_dropped_while_it_waits_for_its_turn_ends_alone() {
    let place = Place::shared("dropped");
    place.sql(
        "create table a (id int primary key, note text); insert into a select i, repeat('x', 300) from generate_series(1, 3000) i;
         create table b (id int primary key); insert into b select generate_series(1, 100)",
    );
    let mut settings = place.all();
    settings
        .set("snapshot.chunk_rows", "400")
        .set("snapshot.readers", "1")
        .set("snapshot.rows_per_second_max", "3000");
    let mut walferry = place.start(&settings);
    walferry.wait_status("some rows", TAKEN, |it| {
        it["snapshot"][0]["rows"].as_u64() >= Some(400)
    });
    place.sql("drop table b");
    let status = walferry.wait_status("the snapshot is over", TAKEN, |it| {
        it["state"] == "streaming"
            && it["snapshot"][0]["state"] == "done"
            && it["snapshot"][1]["state"] == "cancelled"
    });
    assert_eq!(status["snapshot"][0]["rows"], 3000, "{status}");
}

#[test]
fn an_audit_says_what_it_cannot_see() {
    let place = Place::shared("unseen");
    place.sql(
        "create table t (id int primary key); insert into t values (1); create unlogged table u (id int primary key)",
    );
    let origins = test_postgres_major() >= 16;
    let mut settings = place.all();
    if origins {
        settings.set_text("source.origin", "none");
    }
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    let unseen = report["unseen"][0].as_str().unwrap();
    assert!(unseen.contains("public.u is unlogged"), "{unseen}");
    if !origins {
        return;
    }
    // A row that replication brings is left out, and no fault; nor is the table called clean.
    let far = format!("far_{}", place.name);
    let mut session = walferry_testkit::checker::Session::connect(&place.url).unwrap();
    for sql in [
        format!("select pg_replication_origin_create('{far}')"),
        format!("select pg_replication_origin_session_setup('{far}')"),
        "insert into t values (2)".to_owned(),
        "select pg_replication_origin_session_reset()".to_owned(),
    ] {
        session.query(&sql).unwrap();
    }
    let (code, report, errors) = audit(&place, &settings, &[]);
    place.sql(&format!("select pg_replication_origin_drop('{far}')"));
    assert_eq!(code, Some(1), "{report:#}\n{errors}");
    assert_eq!(report["tables"][0]["missing"], 0, "{report:#}");
    let incomplete = report["tables"][0]["incomplete"][0].as_str().unwrap();
    assert!(incomplete.contains("source.origin"), "{incomplete}");
}
