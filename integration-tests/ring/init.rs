//! The first minutes: a file from the catalog, and a role that may no more than follow its tables.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;
use walferry_testkit::process::{Walferry, binary};

use crate::place::{Place, READY};
use crate::terminal::terminal;

const TABLES: &str = "
    create table orders (id int primary key, note text);
    insert into orders select i, 'n' from generate_series(1, 1200) i;
    create table parts (id int primary key, at int) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (1000);
    insert into parts select i, i from generate_series(1, 50) i;
    create table whole (a int); alter table whole replica identity full;
    create table \"no key\" (a int);
    create unlogged table fleeting (id int primary key);
    create table guarded (id int primary key); alter table guarded enable row level security;
    insert into guarded values (1);
    create view v as select * from orders;
    create schema \"Shop's\"; create table \"Shop's\".\"Orders \"\"x\" (id int primary key, \"Note\" text);
    analyze orders";

/// `init` of a place's database, with a password in the URL that no server asks for.
fn init(place: &Place, role: &str, arguments: &[&str]) -> Output {
    std::fs::create_dir_all(&place.folder).unwrap();
    let url = place.url.replace("postgres@", "postgres:hunter2@");
    let output = Command::new(binary().unwrap())
        .args(["init", "--source", &url, "--role", role])
        .args(arguments)
        .current_dir(&place.folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    assert!(!String::from_utf8(said).unwrap().contains("hunter2"));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Everything that `check` finds of a file, as JSON.
fn check(file: &Path, listen: &str) -> (Option<i32>, Vec<Json>) {
    let output = Command::new(binary().unwrap())
        .args(["check", "--json", "-c"])
        .arg(file)
        .env("WALFERRY_SOURCE_PASSWORD", "any")
        .env("WALFERRY_ADMIN__LISTEN", listen)
        .output()
        .unwrap();
    let said = text(&output.stdout);
    let findings: Json =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", text(&output.stderr)));
    (
        output.status.code(),
        findings["findings"].as_array().unwrap().clone(),
    )
}

#[test]
fn a_first_file_and_its_role_are_clean_and_stream() {
    let place = Place::shared("init");
    let role = format!("Walferry init {}", std::process::id());
    place.sql(TABLES);
    let known = [
        "--brokers",
        &place.brokers,
        "--registry",
        &place.registry,
        "--name",
        &place.name,
    ];
    let output = init(&place, &role, &known);
    let (sql, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    let file: PathBuf = place.folder.join(format!("{}.toml", place.name));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(!written.contains("hunter2"), "{written}");
    for part in [
        " KiB, about 1 200 rows, key (id), replica identity default",
        "partitions: 1, key (id)",
        "public.whole: ",
        "! no key: ",
        "! row level security: ",
        "\"!public.no key\",",
        "REPLICA IDENTITY FULL",
        "\"!public.fleeting\",",
        "it is unlogged",
        "password = { env = \"WALFERRY_SOURCE_PASSWORD\" }",
        "\"Shop's.*\",",
    ] {
        assert!(written.contains(part), "{part} is not in\n{written}");
    }
    assert!(!written.contains("SETTLE:"), "{written}");
    assert!(
        told.contains("2 left out") && told.contains("WALFERRY_SOURCE_PASSWORD"),
        "{told}"
    );
    // A file that is there is not overwritten, and nothing is asked of the database for it.
    let again = init(&place, &role, &known);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    // Before the SQL the role cannot even log in; behind it nothing is left to say.
    let settings = place.all();
    let listen = settings.admin_url().replace("http://", "");
    assert_eq!(check(&file, &listen).0, Some(1));
    place.sql(&sql);
    let (code, findings) = check(&file, &listen);
    let bad = |it: &&Json| it["severity"] == "error" || it["severity"] == "warning";
    let bad: Vec<&Json> = findings.iter().filter(bad).collect();
    assert!(bad.is_empty() && code == Some(0), "{bad:#?}\n{sql}");
    // The role may no more than that.
    let may = |what: &str| place.value(&format!("select {what}")).unwrap();
    let quoted = format!("'{role}'");
    for (what, expected) in [
        (
            format!("has_table_privilege({quoted}, 'orders', 'INSERT')"),
            "f",
        ),
        (
            format!("has_table_privilege({quoted}, '\"no key\"', 'SELECT')"),
            "f",
        ),
        (
            format!("has_database_privilege({quoted}, current_database(), 'CREATE')"),
            "f",
        ),
        (
            format!("rolsuper or rolcreaterole from pg_roles where rolname = {quoted}"),
            "f",
        ),
    ] {
        assert_eq!(may(&what), expected, "{what}");
    }
    let mut settings = settings;
    settings
        .env("WALFERRY_SOURCE_PASSWORD", "any")
        .env("WALFERRY_ADMIN__LISTEN", &listen)
        .env("WALFERRY_LOG__FORMAT", "json");
    let arguments = ["run", "-c", file.to_str().unwrap()];
    let mut walferry = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
    walferry.wait_ready(READY);
    place.sql(
        "insert into orders values (0, 'streamed'); insert into parts values (0, 0);
         insert into \"Shop's\".\"Orders \"\"x\" values (1, 'n'); insert into guarded values (2);
         insert into whole values (1); update whole set a = 2",
    );
    walferry.wait_status("what was committed of each table", READY, |it| {
        let of = |list: &str, name: &str, figure: &str| {
            let entries = it[list].as_array()?;
            entries.iter().find(|it| it["name"] == name)?[figure].as_u64()
        };
        let streamed = [
            ("public.orders", 1),
            ("public.parts", 1),
            ("Shop's.Orders \"x", 1),
            ("public.guarded", 1),
            ("public.whole", 2),
        ];
        let snapshot = [
            ("public.orders", 1200),
            ("public.parts", 50),
            ("public.guarded", 1),
        ];
        let has = |list: &str, figure: &str, all: &[(&str, u64)]| {
            all.iter()
                .all(|(name, count)| of(list, name, figure) == Some(*count))
        };
        has("tables", "changes", &streamed) && has("snapshot", "rows", &snapshot)
    });
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql(&format!("drop owned by \"{role}\"; drop role \"{role}\""));
}

#[test]
fn what_nobody_has_said_is_a_placeholder_in_a_pipe() {
    let place = Place::shared("init_pipe");
    place.sql("create table t (id int primary key); create table u (id int primary key)");
    let output = init(
        &place,
        "walferry_nobody",
        &["--output", "-", "--tables", "public.t"],
    );
    let (file, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in [
        "# SETTLE: ",
        "brokers = \"localhost:9092\"",
        "url = \"http://localhost:8081\"",
        "\"public.t\",",
        "# CREATE ROLE \"walferry_nobody\" LOGIN REPLICATION;",
        "# GRANT SELECT ON \"public\".\"t\" TO \"walferry_nobody\";",
    ] {
        assert!(file.contains(part), "{part} is not in\n{file}");
    }
    assert!(std::fs::read_dir(&place.folder).unwrap().next().is_none());
    // It loads as it is, and `check` goes on to ask the servers.
    let path = place.folder.join("piped.toml");
    std::fs::write(&path, &file).unwrap();
    let (code, findings) = check(&path, "127.0.0.1:0");
    assert!(code == Some(1) && findings.len() > 1, "{findings:?}");
    let output = init(
        &place,
        "walferry_nobody",
        &["--json", "--force", "--output", "piped.toml"],
    );
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&Json> = said["survey"]["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["public.t", "public.u"]);
    assert_eq!(said["to_settle"].as_array().unwrap().len(), 3);
    assert_eq!(
        said["text"],
        std::fs::read_to_string(&path).unwrap().as_str()
    );
    // Nothing was made in the database.
    let left = "select (select count(*) from pg_publication) + (select count(*) from pg_roles where rolname = 'walferry_nobody')";
    assert_eq!(place.value(left).as_deref(), Some("0"));
}

#[test]
fn a_terminal_is_asked_for_what_is_missing() {
    let place = Place::shared("init_asks");
    place.sql("create table t (id int primary key)");
    std::fs::create_dir_all(&place.folder).unwrap();
    let (mut ours, theirs) = terminal();
    let mut child = Command::new(binary().unwrap())
        .args(["init", "--source", &place.url])
        .current_dir(&place.folder)
        .stdin(theirs.try_clone().unwrap())
        .stdout(Stdio::piped())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let mut shown = String::new();
    for (question, answer) in [
        ("Name of the connector", "asked\n"),
        ("Kafka's brokers", "k1:9092\n"),
        ("schema registry", "\n"),
    ] {
        while !(shown.contains(question) && shown.ends_with("]: ")) {
            let mut part = [0; 1024];
            let length = ours.read(&mut part).unwrap();
            shown.push_str(std::str::from_utf8(&part[..length]).unwrap());
        }
        ours.write_all(answer.as_bytes()).unwrap();
    }
    assert!(child.wait().unwrap().success(), "{shown}");
    let file = std::fs::read_to_string(place.folder.join("asked.toml")).unwrap();
    for part in [
        "name = \"asked\"",
        "brokers = \"k1:9092\"",
        "url = \"http://localhost:8081\"",
        "# password = ",
    ] {
        assert!(file.contains(part), "{part} is not in\n{file}");
    }
    assert!(!file.contains("SETTLE:"), "{file}");
}
