//! The commands beside `run`: what they print and what they leave alone.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use walferry_testkit::process::{Walferry, binary};

use crate::place::{Place, READY};

const TABLE: &str = "create table t (id int primary key, note text)";

/// Standard output of the binary, and its exit code.
fn output(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary().unwrap())
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn check_tells_the_plan_and_changes_nothing() {
    let place = Place::shared("check");
    place.sql(TABLE);
    place.sql("create table no_key (a int)");
    let path = place.all().write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let (code, text) = output(&["check", "-c", path, "--json"]);
    assert_eq!(code, Some(1), "{text}");
    let findings: Json = serde_json::from_str(&text).unwrap();
    let findings = findings["findings"].as_array().unwrap();
    let of = |subject: &str| {
        findings
            .iter()
            .filter(|it| it["subject"] == subject)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("wal_level")[0]["severity"], "ok");
    assert_eq!(of("recovery: nothing yet")[0]["severity"], "plan");
    let no_key = of("table public.no_key");
    assert_eq!(no_key[0]["severity"], "error");
    assert!(
        no_key[0]["fix_sql"]
            .as_str()
            .unwrap()
            .contains("REPLICA IDENTITY FULL")
    );
    let (_, sql) = output(&["check", "-c", path, "--fix-sql"]);
    assert!(sql.lines().all(|line| line.ends_with(';')), "{sql}");
    assert!(sql.contains("ALTER TABLE"), "{sql}");
    let left =
        place.value("select count(*) from pg_replication_slots where slot_name like '%check%'");
    assert_eq!(left.as_deref(), Some("0"));
    let left = place.value("select count(*) from pg_publication");
    assert_eq!(left.as_deref(), Some("0"));
}

#[test]
fn help_that_shows_the_form_of_a_url_is_help() {
    let (code, text) = output(&["tail", "--help"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("--source"), "{text}");
}

#[test]
fn check_of_a_source_that_cannot_work_fails() {
    let place = Place::shared("check_bad");
    let path = place
        .settings(&["public.none"])
        .write(&place.folder)
        .unwrap();
    let (code, text) = output(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("public.none"), "{text}");
}

/// Severity, message and SQL of the finding about a subject that `check` tells of.
fn found(path: &str, subject: &str) -> (String, String, String) {
    let (_, text) = output(&["check", "-c", path, "--json"]);
    let findings: Json = serde_json::from_str(&text).unwrap();
    let all = findings["findings"].as_array().unwrap();
    let one = all.iter().find(|it| it["subject"] == subject);
    let one = one.unwrap_or_else(|| panic!("nothing about {subject} in\n{text}"));
    let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (word("severity"), word("message"), word("fix_sql"))
}

#[test]
fn check_fails_where_run_would_stop() {
    let place = Place::shared("examined");
    place.sql(TABLE);
    let role = format!("guest_{}", std::process::id());
    place.sql(&format!(
        "create role {role} login replication; grant select on t to {role};
         grant create on database \"{}\" to {role}",
        place.name
    ));
    let mut settings = place.all();
    settings
        .set_text(
            "source.url",
            &place.url.replace("postgres@", &format!("{role}@")),
        )
        .set_text("errors.policy", "dead-letter");
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let (severity, message, sql) = found(path, &format!("publication {}", place.slot()));
    assert_eq!(severity, "error", "{message}");
    assert!(message.contains("does not own public.t"), "{message}");
    let (code, log) = place.run_ends(&settings);
    assert!(code == Some(1) && log.contains("publication"), "{log}");
    // What it says to do is what is needed.
    place.sql(&sql);
    settings.set("kafka.topics.replication_factor", "9");
    settings.write(&place.folder).unwrap();
    for topic in ["public.t", "dead_letters"] {
        let (severity, message, _) = found(path, &format!("topic {}", place.topic(topic)));
        assert_eq!(severity, "error", "{message}");
        assert!(message.contains("replication_factor = 9"), "{message}");
    }
    settings.set("kafka.topics.replication_factor", "1");
    settings.write(&place.folder).unwrap();
    let (code, text) = output(&["check", "-c", path]);
    assert_eq!(code, Some(0), "{text}");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    walferry.sigterm();
    walferry.wait_exit(READY);
    // A table that is added is no error: run adds it, or leaves it out when it may not.
    place.sql("create table added (id int primary key)");
    let publication = format!("publication {}", place.slot());
    assert_eq!(found(path, &publication).0, "warning");
    place.sql(&format!(
        "alter table added owner to {role}; alter publication {} owner to {role}",
        place.slot()
    ));
    assert_eq!(found(path, &publication).0, "plan");
}

#[test]
fn check_gives_no_sql_for_what_none_mends_and_says_so() {
    let place = Place::shared("unmended");
    place.sql(TABLE);
    let mut settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    walferry.sigterm();
    walferry.wait_exit(READY);
    place.sql(&format!(
        "select pg_drop_replication_slot('{}')",
        place.slot()
    ));
    settings.set("source.create", "false");
    let path = settings.write(&place.folder).unwrap();
    let output = Command::new(binary().unwrap())
        .args(["check", "--fix-sql", "-c", path.to_str().unwrap()])
        .output()
        .unwrap();
    let (sql, told) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(
        String::from_utf8(sql).unwrap(),
        "",
        "a new slot would lose changes"
    );
    assert!(told.contains("walferry resync"), "{told}");
}

#[test]
fn tail_prints_changes_as_json_and_leaves_nothing_behind() {
    let place = Place::shared("tail");
    place.sql(TABLE);
    let mut child = Command::new(binary().unwrap())
        .args(["tail", "--source", &place.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A slot that has no position yet is still being created, and does not see what commits meanwhile.
    let slots = "select count(*) from pg_replication_slots
        where confirmed_flush_lsn is not null and database = current_database()";
    while place.value(slots).as_deref() != Some("1") {
        std::thread::yield_now();
    }
    place.sql("insert into t values (1, 'one'); update t set note = 'two'; delete from t");
    let lines: Vec<Json> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .take(3)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let ops: Vec<&str> = lines.iter().map(|it| it["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["c", "u", "d"]);
    assert_eq!(
        lines[0]["after"],
        serde_json::json!({"id": 1, "note": "one"})
    );
    assert_eq!(lines[2]["before"], serde_json::json!({"id": 1}));
    Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let left = place.value("select count(*) from pg_publication");
    assert_eq!(left.as_deref(), Some("0"));
}

#[test]
fn status_and_checkpoint_show_where_a_connector_stands() {
    let place = Place::shared("shown");
    place.sql(TABLE);
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1, 'one')");
    walferry.wait_status("one change", READY, |it| it["tables"][0]["changes"] == 1);
    let (code, text) = output(&["status", "--admin", walferry.admin_url()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("streaming") && text.contains("public.t"),
        "{text}"
    );
    // The file knows where that is; of another connector's file it is said that it is not here.
    let path = settings.write(&place.folder).unwrap();
    let (code, by_file) = output(&["status", "-c", path.to_str().unwrap()]);
    assert!(code == Some(0) && by_file.contains("public.t"), "{by_file}");
    for part in [
        "  lag           ",
        " since the process began",
        ": 1 changes",
    ] {
        assert!(by_file.contains(part), "{part} is not in\n{by_file}");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let other = place.folder.join("other.toml");
    let renamed = text.replacen(&format!("\"{}\"", place.name), "\"another\"", 1);
    std::fs::write(&other, renamed).unwrap();
    let (code, said) = crate::place::told(&["status", "-c", other.to_str().unwrap()]);
    assert!(
        code == Some(1) && said.contains("runs no connector \"another\""),
        "{said}"
    );
    let (code, text) = output(&["status", "--json", "--admin", walferry.admin_url()]);
    assert_eq!(code, Some(0), "{text}");
    let status: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(status["connectors"][0]["name"], place.name);

    let metrics = walferry.get("/metrics").unwrap().body;
    for name in [
        "walferry_changes_total",
        "walferry_position_lsn",
        "walferry_freshness_seconds",
        "walferry_kafka_commit_seconds",
        "walferry_state",
        "walferry_memory_bytes",
        "walferry_build_info",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    for path in ["/livez", "/healthz"] {
        assert_eq!(walferry.get(path).unwrap().status, 200);
    }
    the_page_has_all_that_it_needs(&walferry, &place.name);
    walferry.sigterm();
    walferry.wait_exit(READY);
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = output(&["checkpoint", "show", "-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    let checkpoint: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(checkpoint["end_lsn"], place.confirmed());
}

/// What the page asks for is there, and nothing of it is of another host. How it looks is seen in a browser: `cargo xtask page`.
fn the_page_has_all_that_it_needs(walferry: &Walferry, connector: &str) {
    let body = |path: &str| {
        let answer = walferry.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    };
    let page = body("/");
    assert!(page.contains("<html"));
    let script = body("/page.js");
    for path in ["/page.css", "/page.js"] {
        assert!(page.contains(path), "{path}");
    }
    for text in [&page, &script, &body("/page.css")] {
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http:") && !elsewhere.contains("https:"));
    }
    let history: Json = serde_json::from_str(&body("/status/history")).unwrap();
    assert_eq!(history["connectors"][0]["name"], connector);
    assert!(history["connectors"][0]["samples"][0]["at"].as_u64() > Some(1_700_000_000));
    let explained: Json = serde_json::from_str(&body("/explain/WF0207")).unwrap();
    assert_eq!(
        explained["title"],
        "The slot keeps more WAL than its budget"
    );
    assert!(body(explained["runbook"].as_str().unwrap()).contains("slot"));
    for path in ["/explain/WF9999", "/runbooks/none", "/runbooks/..%2Fpage"] {
        assert_eq!(walferry.get(path).unwrap().status, 404, "{path}");
    }
}

#[test]
fn each_line_of_the_log_of_two_connectors_names_its_own() {
    let place = Place::shared("two_connectors");
    place.sql(TABLE);
    place.sql("insert into t values (0, 'for the snapshot')");
    let settings = place.all();
    let mut other = settings.clone();
    let name = format!("other_{}", place.name);
    other
        .set_text("name", &name)
        .set_text("kafka.topic_prefix", &name);
    settings.write(&place.folder).unwrap();
    std::fs::write(place.folder.join("other.toml"), other.to_toml()).unwrap();
    let folder = place.folder.to_str().unwrap();
    let mut walferry =
        Walferry::start_with(&["run", "-c", folder], &settings, &place.folder).unwrap();
    walferry.wait_ready(READY);
    place.drain("insert into t values (1, 'one')");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let lines: Vec<Json> = walferry
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    // What the process says for itself is of neither.
    let of_connectors = |line: &&Json| {
        line["target"]
            .as_str()
            .is_some_and(|it| !it.starts_with("walferry::"))
    };
    let mut seen = std::collections::BTreeSet::new();
    for line in lines.iter().filter(of_connectors) {
        let connector = line["connector"].as_str();
        seen.insert(connector.unwrap_or_else(|| panic!("it names no connector: {line}")));
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn status_tells_of_tables_that_were_renamed_or_dropped() {
    let place = Place::shared("gone");
    for table in ["old", "dropped", "\"With space\""] {
        place.sql(&format!("create table {table} (id int primary key)"));
    }
    let mut walferry = place.streaming(&place.all());
    let insert = "insert into dropped values (1); insert into \"With space\" values (1)";
    place.drain(&format!("insert into old values (1); {insert}"));
    let of = |it: &Json, name: &str| {
        let tables = it["tables"].as_array().unwrap().iter();
        let found = tables.clone().find(|it| it["name"] == name);
        found.map_or((String::new(), String::new()), |it| {
            let word = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
            (word("state"), word("reason"))
        })
    };
    walferry.wait_status("all are met", READY, |it| {
        ["public.old", "public.dropped", "public.With space"]
            .iter()
            .all(|name| of(it, name).0 == "streaming")
    });
    place.sql("alter table old rename to new; drop table dropped");
    walferry.wait_status("both are told of", READY, |it| {
        let (old, dropped) = (of(it, "public.old"), of(it, "public.dropped"));
        old.0 == "gone"
            && old.1.contains("renamed to public.new")
            && dropped.0 == "gone"
            && dropped.1.contains("dropped")
            && of(it, "public.With space").0 == "streaming"
    });
    let (_, text) = output(&["status", "--admin", walferry.admin_url()]);
    let line = format!(
        "gone: it was dropped; what was published of it stays in topic {}",
        place.topic("public.dropped")
    );
    assert!(text.contains(&line), "{text}");
    // One that is there again under its name is followed.
    place.sql("create table dropped (id int primary key)");
    place.drain("insert into dropped values (2); insert into new values (2)");
    walferry.wait_status("they are followed", READY, |it| {
        of(it, "public.dropped").0 == "streaming" && of(it, "public.new").0 == "streaming"
    });
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}
