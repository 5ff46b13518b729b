//! `walferry schema show`, `diff` and `plan`: what they print, their exit status, and that they leave nothing behind.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};
use walferry_testkit::process::{Settings, binary, http};

use crate::place::Place;

const TABLES: &str =
    "create table orders (id int primary key, note text, amount numeric(9,2) not null default 1);
    create table others (id int primary key)";

/// How long the registry may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Standard output and standard error of `walferry schema`, and its exit code.
fn schema(verb: &str, path: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(binary().unwrap())
        .args(["schema", verb, "-c", path])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn json_of(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn written(place: &Place, settings: &Settings) -> String {
    let path = settings.write(&place.folder).unwrap();
    path.to_str().unwrap().to_owned()
}

fn script(place: &Place, name: &str, sql: &str) -> String {
    std::fs::create_dir_all(&place.folder).unwrap();
    let path: PathBuf = place.folder.join(name);
    std::fs::write(&path, sql).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Puts the schemas that `show` prints into the registry, as a run would.
fn register(place: &Place, shown: &Json) {
    for it in shown["schemas"].as_array().unwrap() {
        let subject = it["subject"].as_str().unwrap();
        let url = format!("{}/subjects/{subject}/versions", place.registry);
        let body = json!({ "schema": it["schema"].to_string() }).to_string();
        let answer = http::request("POST", &url, &body, &[], ANSWER).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let url = format!("{}/config/{subject}", place.registry);
        let body = r#"{"compatibility": "BACKWARD"}"#;
        let answer = http::request("PUT", &url, body, &[], ANSWER).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn subjects(shown: &Json) -> Vec<&str> {
    let schemas = shown["schemas"].as_array().unwrap();
    schemas
        .iter()
        .map(|it| it["subject"].as_str().unwrap())
        .collect()
}

#[test]
fn schemas_are_shown_and_compared_with_the_registry() {
    let place = Place::shared("schema_show");
    place.sql(TABLES);
    let path = written(&place, &place.all());
    let (code, text, _) = schema("show", &path, &["--json"]);
    assert_eq!(code, Some(0), "{text}");
    let shown = json_of(&text);
    let subjects = subjects(&shown);
    let topic = place.topic("public.orders");
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    assert_eq!(
        subjects[..2],
        [format!("{topic}-key"), format!("{topic}-value")]
    );
    assert_eq!(shown["schemas"][1]["schema"]["name"], "Envelope");
    let (_, one, _) = schema("show", &path, &["--json", "public.others"]);
    assert_eq!(json_of(&one)["schemas"].as_array().unwrap().len(), 2);
    let (code, _, error) = schema("show", &path, &["public.none"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("public.none"), "{error}");

    let verdicts = || {
        let (code, text, _) = schema("diff", &path, &["--json", "public.orders"]);
        let compared = json_of(&text);
        let verdict = |at: usize| {
            compared["schemas"][at]["verdict"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        (code, verdict(0), verdict(1), compared)
    };
    let (code, key, value, _) = verdicts();
    assert_eq!((code, &*key, &*value), (Some(0), "new", "new"));
    register(&place, &shown);
    let (code, key, value, _) = verdicts();
    assert_eq!(
        (code, &*key, &*value),
        (Some(0), "registered", "registered")
    );
    place.sql("alter table orders add column more text");
    let (code, key, value, compared) = verdicts();
    assert_eq!(
        (code, &*key, &*value),
        (Some(0), "registered", "compatible")
    );
    assert_eq!(compared["schemas"][1]["differences"][0]["kind"], "added");
    assert_eq!(
        compared["schemas"][1]["differences"][0]["field"],
        "Value.more"
    );
    place.sql("alter table orders alter column note type int using 1");
    let (code, _, value, _) = verdicts();
    assert_eq!((code, &*value), (Some(1), "incompatible"));
    let (_, text, _) = schema("diff", &path, &["public.orders"]);
    assert!(text.contains("~ Value.note"), "{text}");
    let (_, text, _) = {
        let output = Command::new(binary().unwrap())
            .args(["check", "-c", &path])
            .output()
            .unwrap();
        (
            output.status,
            String::from_utf8(output.stdout).unwrap(),
            output.stderr,
        )
    };
    assert!(
        text.contains(&format!("{topic}-value is incompatible")),
        "{text}"
    );
}

#[test]
fn subjects_are_named_by_the_strategy() {
    let place = Place::shared("strategy");
    place.sql(TABLES);
    let topic = place.topic("public.orders");
    for (strategy, expected) in [
        ("topic", [format!("{topic}-key"), format!("{topic}-value")]),
        (
            "record",
            [format!("{topic}.Key"), format!("{topic}.Envelope")],
        ),
        (
            "topic-record",
            [
                format!("{topic}-{topic}.Key"),
                format!("{topic}-{topic}.Envelope"),
            ],
        ),
    ] {
        let mut settings = place.all();
        settings.set_text("registry.subject_strategy", strategy);
        let (_, text, _) = schema(
            "show",
            &written(&place, &settings),
            &["--json", "public.orders"],
        );
        let shown = json_of(&text);
        let subjects = subjects(&shown);
        assert_eq!(subjects, expected, "{strategy}");
    }
    // A run registers under the same names.
    let mut settings = place.all();
    settings.set_text("registry.subject_strategy", "topic-record");
    let _walferry = place.streaming(&settings);
    place.drain("insert into orders (id) values (1)");
    let url = format!(
        "{}/subjects/{topic}-{topic}.Envelope/versions",
        place.registry
    );
    let answer = http::get(&url, ANSWER).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "[1]"));
}

#[test]
fn a_migration_is_judged_and_leaves_nothing_behind() {
    let place = Place::shared("schema_plan");
    place.sql(TABLES);
    let path = written(&place, &place.all());
    let (_, text, _) = schema("show", &path, &["--json"]);
    register(&place, &json_of(&text));
    let plan = |sql: &str| {
        let file = script(&place, "migration.sql", sql);
        schema("plan", &path, &["--json", "--ddl", &file])
    };
    let table = |planned: &Json, name: &str| {
        let tables = planned["tables"].as_array().unwrap();
        tables.iter().find(|it| it["table"] == name).cloned()
    };

    let (code, text, error) = plan(
        "-- a note; with a semicolon\nALTER TABLE orders ADD COLUMN more text;\nCREATE TABLE fresh (id int primary key);",
    );
    assert_eq!(code, Some(0), "{text}{error}");
    let planned = json_of(&text);
    assert_eq!(
        (&planned["accepted"], &planned["statements"]),
        (&true.into(), &2.into())
    );
    let orders = table(&planned, "public.orders").unwrap();
    assert_eq!(orders["fate"], "changed");
    assert_eq!(orders["subjects"][0]["fate"], "unchanged");
    assert_eq!(orders["subjects"][1]["verdict"], "compatible");
    assert_eq!(
        orders["subjects"][1]["differences"][0]["field"],
        "Value.more"
    );
    assert_eq!(table(&planned, "public.fresh").unwrap()["fate"], "new");
    assert_eq!(
        table(&planned, "public.others").unwrap()["fate"],
        "unchanged"
    );

    let (code, text, _) = plan("alter table orders alter note type int using 1; drop table others");
    assert_eq!(code, Some(1), "{text}");
    let planned = json_of(&text);
    assert_eq!(planned["accepted"], false);
    let orders = table(&planned, "public.orders").unwrap();
    assert_eq!(orders["subjects"][1]["verdict"], "incompatible");
    // Not every registry says why; what has changed is ours to say.
    let differences = orders["subjects"][1]["differences"].as_array().unwrap();
    assert_eq!(differences[0]["field"], "Value.note", "{text}");
    assert_eq!(table(&planned, "public.others").unwrap()["fate"], "gone");

    let (code, text, _) = plan("alter table orders rename to sales");
    let planned = json_of(&text);
    let sales = table(&planned, "public.sales").unwrap();
    assert_eq!((code, &sales["fate"]), (Some(0), &"renamed".into()));
    assert_eq!(sales["was"], "public.orders");

    for (sql, part) in [
        (
            "alter table orders add column x int; commit; select 1",
            "line 1",
        ),
        ("\n\ncreate index concurrently on orders (note)", "line 3"),
        ("vacuum orders", "transaction"),
        ("alter table nothing add column x int", "nothing"),
        ("\\i other.sql", "psql"),
        ("do $$ begin commit; end $$", "line 1"),
    ] {
        let (code, text, error) = plan(sql);
        assert_eq!(code, Some(1), "{sql}: {text}");
        assert!(error.contains(part), "{sql}: {error}");
    }
    // A lock that somebody holds ends the trial, and not the other way round.
    let mut holder = walferry_testkit::checker::Session::connect(&place.url).unwrap();
    holder
        .execute("begin; lock table orders in access share mode")
        .unwrap();
    let (code, _, error) = plan("alter table orders add column more text");
    assert_eq!(code, Some(1));
    assert!(error.contains("lock"), "{error}");
    holder.execute("rollback").unwrap();

    let columns = "select string_agg(attname, ',' order by attnum) from pg_attribute
                   where attrelid = 'orders'::regclass and attnum > 0";
    assert_eq!(place.value(columns).as_deref(), Some("id,note,amount"));
    let tables = "select string_agg(relname, ',' order by relname) from pg_class
                  where relnamespace = 'public'::regnamespace and relkind = 'r'";
    assert_eq!(place.value(tables).as_deref(), Some("orders,others"));
    let file = script(
        &place,
        "migration.sql",
        "alter table orders add column more text",
    );
    let (code, text, _) = schema("plan", &path, &["--ddl", &file]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("+ Value.more") && text.contains("accepted"),
        "{text}"
    );
}
