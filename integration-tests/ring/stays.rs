//! It stays: a server that is away is waited for without an end, in every state, and said so; what is to be refused harms nobody;
//! every wait says for whom; a stop is obeyed meanwhile, and a kill is followed by a start that works.

use std::fs;
use std::time::{Duration, Instant};

use walferry_stack::{Coordinates, PostgresServer, Stack};
use walferry_testkit::checker::Session;
use walferry_testkit::process::Walferry;
use walferry_testkit::proxy::Mode;

use crate::place::{Place, READY, own_postgres};
use crate::ways::Ways;

/// How soon `/readyz` says why: five seconds, and more on a machine that runs other tests.
const SAID: Duration = Duration::from_secs(8);
/// How soon it goes on after a server's return; a machine that runs other tests is slower than the promise of five seconds.
const RESUMED: Duration = Duration::from_secs(10);
/// `shutdown_ms` where the clock itself is looked at.
const ALLOWED: Duration = Duration::from_secs(4);
/// `shutdown_ms`, and the process's own end on a machine that runs other tests.
const STOPPED: Duration = Duration::from_secs(14);

fn is_live(walferry: &Walferry) {
    let answer = walferry.get("/livez").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn stops(walferry: &mut Walferry) {
    walferry.sigterm();
    let asked = Instant::now();
    let code = walferry.wait_exit(STOPPED);
    assert_eq!(
        code,
        Some(0),
        "{:?}\n{}",
        asked.elapsed(),
        walferry.log_tail()
    );
}

/// One start meets each server away in turn. It says which and since when within five seconds, creates nothing, and goes on by
/// itself.
#[test]
fn a_start_waits_for_servers_that_are_away() {
    let place = Place::shared("away");
    place.sql("create table t (id int primary key); insert into t values (1)");
    let mut settings = place.all();
    let ways = Ways::of(&place, &mut settings);
    ways.postgres.set(Mode::Refuse);
    ways.kafka.set(Mode::Refuse);
    ways.registry.set(Mode::BlackHole);
    let mut walferry = place.start(&settings);
    let said = walferry.wait_not_ready("registry", SAID);
    assert!(said.contains("since 20"), "{said}");
    let said = walferry.wait_not_ready("postgresql", SAID);
    assert!(said.contains("is the server running"), "{said}");
    is_live(&walferry);
    ways.postgres.set(Mode::Pass);
    walferry.wait_not_ready("kafka", RESUMED);
    let said = walferry.wait_not_ready("is not followed meanwhile", SAID);
    assert!(said.contains(&place.slot()), "{said}");
    ways.kafka.set(Mode::Pass);
    // The registry is the last that is missing.
    let look = Instant::now();
    while look.elapsed() < Duration::from_secs(2) {
        let answer = walferry.get("/readyz").unwrap();
        assert_eq!(answer.status, 503);
    }
    let created = "select count(*) from pg_replication_slots where database = current_database()";
    assert_eq!(place.value(created).as_deref(), Some("0"));
    is_live(&walferry);
    ways.registry.cut();
    ways.registry.set(Mode::Pass);
    walferry.wait_ready(RESUMED);
    place.drain("insert into t values (2)");
    stops(&mut walferry);
}

/// A stop is obeyed while a server refuses or swallows everything, at a start and when it has streamed.
#[test]
fn a_stop_is_obeyed_whichever_server_is_away() {
    let place = Place::shared("stop_away");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    let ways = Ways::of(&place, &mut settings);
    for (proxy, name) in ways.all() {
        proxy.set(Mode::BlackHole);
        let mut walferry = place.start(&settings);
        walferry.wait_not_ready(name, SAID);
        stops(&mut walferry);
        proxy.cut();
        proxy.set(Mode::Pass);
    }
    for (proxy, name) in ways.all() {
        let mut walferry = place.streaming(&settings);
        place.drain("insert into t select coalesce(max(id), 0) + 1 from t");
        proxy.set(Mode::BlackHole);
        place.sql("insert into t select coalesce(max(id), 0) + 1 from t");
        walferry.wait_not_ready(name, SAID);
        is_live(&walferry);
        stops(&mut walferry);
        proxy.cut();
        proxy.set(Mode::Pass);
    }
    let _walferry = place.streaming(&settings);
    place.drain("insert into t select coalesce(max(id), 0) + 1 from t");
}

/// While Kafka or the registry is away the slot stays followed, so that the server does not call it idle.
#[test]
fn the_slot_is_followed_while_others_are_away() {
    let place = Place::shared("followed");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    settings
        .set("errors.retries_max", "2")
        .set("errors.retry_max_ms", "100");
    let ways = Ways::of(&place, &mut settings);
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    let active = format!(
        "select count(*) from pg_replication_slots where slot_name = '{}' and active",
        place.slot()
    );
    for (way, name) in [(&ways.kafka, "kafka"), (&ways.registry, "registry")] {
        way.set(Mode::Refuse);
        way.cut();
        // A new schema, which needs the registry.
        place.sql(&format!(
            "alter table t add column {name} int; insert into t (id) select max(id) + 1 from t"
        ));
        walferry.wait_not_ready(name, SAID);
        // Far longer than the tries that are configured would last.
        let away = Instant::now();
        while away.elapsed() < Duration::from_secs(6) {
            assert_eq!(place.value(&active).as_deref(), Some("1"), "{name}");
            is_live(&walferry);
        }
        way.set(Mode::Pass);
        walferry.wait_ready(RESUMED);
        place.drain("insert into t (id) select max(id) + 1 from t");
    }
}

/// A start that is refused has fenced nobody: the healthy connector of the same name never hears of it.
#[test]
fn a_start_that_is_refused_harms_no_healthy_connector() {
    let place = Place::shared("healthy");
    place.sql("create table t (id int primary key)");
    let mut walferry = place.streaming(&place.all());
    place.drain("insert into t values (1)");
    let other = Place::shared("healthy_other");
    other.sql("create table t (id int primary key)");
    let mut wrong = place.all().twin().unwrap();
    wrong.set_text("source.url", &other.url);
    let mut table = place.all().twin().unwrap();
    table.set("source.tables", "[\"public.t\", \"public.not_there\"]");
    for settings in [&wrong, &wrong, &table] {
        let (ended, log) = place.run_ends(settings);
        assert_eq!(ended, Some(1), "{log}");
        place.drain("insert into t select max(id) + 1 from t");
    }
    let retries = walferry.metric("walferry_retries_total", &[]).unwrap();
    assert_eq!(retries, 0.0, "{}", walferry.log_tail());
    stops(&mut walferry);
}

fn beside(postgres: &PostgresServer) -> Coordinates {
    let shared = Stack::shared().unwrap();
    Coordinates {
        postgres_url: postgres.url(),
        kafka_brokers: shared.kafka_brokers.clone(),
        registry_url: shared.registry_url.clone(),
    }
}

/// A password that is changed in the database before the file is waited out by a process that has streamed. At a start it ends it.
#[test]
fn a_password_that_is_changed_on_one_side_first_is_waited_out() {
    const OLD: &str = "the-old-one";
    const NEW: &str = "the-new-one";
    let options = own_postgres()
        .scram(OLD)
        .hba("host all postgres 127.0.0.1/32 trust");
    let postgres = PostgresServer::start(options).unwrap();
    let mut servers = beside(&postgres);
    servers.postgres_url = servers.postgres_url.replace(&format!(":{OLD}@"), "@");
    let place = Place::on(&servers, "rotated");
    place.sql("create table t (id int primary key)");
    place.sql(&format!("create role app superuser login password '{OLD}'"));
    let file = place.folder.join("password");
    fs::create_dir_all(&place.folder).unwrap();
    fs::write(&file, OLD).unwrap();
    let mut settings = place.all();
    settings
        .set_text("source.url", &place.url.replace("postgres@", "app@"))
        .set("source.password", &format!("{{ file = {file:?} }}"));
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    place.sql(&format!("alter role app password '{NEW}'"));
    place.sql(
        "alter table t add column note text;
         select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'",
    );
    let said = walferry.wait_not_ready("password", SAID);
    assert!(said.contains("since 20"), "{said}");
    is_live(&walferry);
    fs::write(&file, NEW).unwrap();
    walferry.wait_ready(RESUMED);
    place.drain("insert into t values (2, 'x')");
    stops(&mut walferry);
    fs::write(&file, OLD).unwrap();
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(1), "{log}");
}

/// The creation of a slot waits for every transaction that runs, and says for which; it is stopped and killed there, and begun
/// again.
#[test]
fn the_creation_of_a_slot_says_whom_it_waits_for() {
    let options = own_postgres().setting("max_prepared_transactions", "2");
    let postgres = PostgresServer::start(options).unwrap();
    let place = Place::on(&beside(&postgres), "held_up");
    place.sql("create table t (id int primary key); insert into t values (1)");
    let settings = place.all();
    let mut holder = Session::connect(&place.url).unwrap();
    holder.execute("begin; insert into t values (2)").unwrap();
    let pid = holder.value("select pg_backend_pid()").unwrap().unwrap();
    let mut walferry = place.start(&settings);
    let said = walferry.wait_not_ready(&format!("process {pid}"), READY);
    assert!(said.contains("the creation of slot"), "{said}");
    assert!(said.contains("pg_terminate_backend"), "{said}");
    is_live(&walferry);
    stops(&mut walferry);
    // Its walsender went with it.
    let slots = "select count(*) from pg_replication_slots";
    let stopped = Instant::now();
    while place.value(slots).as_deref() != Some("0") {
        assert!(stopped.elapsed() < SAID, "the slot is still being created");
    }
    let mut walferry = place.start(&settings);
    walferry.wait_not_ready(&format!("process {pid}"), READY);
    walferry.kill9();
    let mut walferry = place.start(&settings);
    walferry.wait_not_ready(&format!("process {pid}"), READY);
    holder.execute("prepare transaction 'nobody''s'").unwrap();
    let said = walferry.wait_not_ready("ROLLBACK PREPARED 'nobody''s'", READY);
    assert!(said.contains("xid"), "{said}");
    holder.execute("commit prepared 'nobody''s'").unwrap();
    walferry.wait_ready(READY);
    walferry.wait_status("both rows", READY, |it| it["snapshot"][0]["rows"] == 2);
    place.drain("insert into t values (3)");
}

#[test]
fn a_table_that_others_hold_is_told_of_at_a_start_and_while_running() {
    let place = Place::shared("held_table");
    place.sql("create table t (id int primary key); insert into t values (1)");
    let settings = place.all();
    let mut holder = Session::connect(&place.url).unwrap();
    let pid = holder.value("select pg_backend_pid()").unwrap().unwrap();
    let lock = "begin; lock table t in access exclusive mode";
    holder.execute(lock).unwrap();
    let mut walferry = place.start(&settings);
    let said = walferry.wait_not_ready(&format!("process {pid}"), READY);
    assert!(
        said.contains("publication") && said.contains("pg_terminate_backend"),
        "{said}"
    );
    stops(&mut walferry);
    let mut walferry = place.start(&settings);
    walferry.wait_not_ready(&format!("process {pid}"), READY);
    holder.execute("rollback").unwrap();
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    holder.execute(lock).unwrap();
    place.sql("create table late (id int primary key); insert into late values (1)");
    let said = walferry.wait_log("cannot be looked at", READY);
    assert!(said.contains(&format!("process {pid}")), "{said}");
    holder.execute("rollback").unwrap();
    walferry.wait_status("the new table", READY, |it| {
        it["tables"].to_string().contains("public.late")
    });
    place.drain("insert into late values (2)");
}

/// Where `synchronous_standby_names` counts our session, commits of others do not wait for a heartbeat, and a first start does
/// not wait for itself.
#[test]
fn commits_that_wait_for_us_do_not_wait_long() {
    let postgres = PostgresServer::start(own_postgres()).unwrap();
    let place = Place::on(&beside(&postgres), "synchronous");
    place.sql("create table t (id int primary key); create table beside (id int primary key)");
    place.sql("alter system set synchronous_standby_names = '*'");
    place.sql("select pg_reload_conf()");
    let settings = place.settings(&["public.t"]);
    let mut walferry = place.streaming(&settings);
    walferry.wait_log("commits on the server wait", READY);
    let mut session = Session::connect(&place.url).unwrap();
    for n in 0..5 {
        for table in ["beside", "t"] {
            let begun = Instant::now();
            session
                .execute(&format!("insert into {table} values ({n})"))
                .unwrap();
            let taken = begun.elapsed();
            assert!(
                taken < Duration::from_secs(2),
                "{table}: {taken:?}\n{}",
                walferry.log_tail()
            );
        }
    }
    let path = settings.write(&place.folder).unwrap();
    let (_, said) = crate::place::told(&["check", "-c", path.to_str().unwrap()]);
    assert!(said.contains("synchronous_standby_names"), "{said}");
}

/// A server that sends nothing because its process is at work is not taken for dead: a new connection would begin that work anew.
/// The process is held at a lock here, which on the wire looks as a large transaction does that nothing is published of.
#[test]
fn a_server_at_work_is_not_given_up() {
    let postgres = PostgresServer::start(own_postgres()).unwrap();
    let place = Place::on(&beside(&postgres), "at_work");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let mut walferry = place.streaming(&settings);
    let mut holder = Session::connect(&place.url).unwrap();
    holder
        .execute("begin; lock table pg_catalog.pg_publication in access exclusive mode")
        .unwrap();
    place.sql("insert into t values (1)");
    walferry.wait_log("is at work", Duration::from_secs(15));
    let busy = Instant::now();
    while busy.elapsed() < Duration::from_secs(8) {
        is_live(&walferry);
        std::thread::sleep(Duration::from_millis(200));
    }
    holder.execute("rollback").unwrap();
    place.drain("insert into t values (2)");
    let begun = walferry
        .log()
        .iter()
        .filter(|line| line.contains("\"message\":\"streaming\""))
        .count();
    assert_eq!(begun, 1, "{}", walferry.log_tail());
}

/// One connector of a folder is refused: the others go on, readiness names it, and the exit status tells.
#[test]
fn a_connector_that_is_refused_ends_no_other() {
    let place = Place::shared("folder");
    place.sql("create table t (id int primary key)");
    let folder = place.folder.join("connectors");
    fs::create_dir_all(&folder).unwrap();
    let good = place.all();
    let mut bad = good.clone();
    bad.set_text("name", &format!("{}_bad", place.name))
        .set("source.tables", "[\"public.not_there\"]");
    fs::write(folder.join("a_bad.toml"), bad.to_toml()).unwrap();
    fs::write(folder.join("b_good.toml"), good.to_toml()).unwrap();
    let arguments = ["run", "-c", folder.to_str().unwrap()];
    let mut walferry = Walferry::start_with(&arguments, &good, &place.folder).unwrap();
    let said = walferry.wait_not_ready("not_there", READY);
    assert!(
        said.contains(&format!("{}_bad: halted", place.name)),
        "{said}"
    );
    let streams = |walferry: &Walferry| {
        let status = walferry.get("/status").ok()?.json().ok()?;
        let connectors = status["connectors"].as_array()?.clone();
        connectors
            .iter()
            .any(|it| it["state"] == "streaming")
            .then_some(())
    };
    let begun = Instant::now();
    while streams(&walferry).is_none() {
        assert!(
            walferry.exited().is_none() && begun.elapsed() < READY,
            "{}",
            walferry.log_tail()
        );
    }
    place.drain("insert into t values (1)");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(STOPPED), Some(1));
}

/// The clock of a stop runs from when it was asked for, also where every queue is full and nothing is to be had of any server.
#[test]
fn a_stop_takes_no_longer_than_it_may_while_every_queue_is_full() {
    let place = Place::shared("stop_full");
    place.sql("create table t (id int primary key, note text)");
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("shutdown_ms", &ALLOWED.as_millis().to_string())
        .set("publish.memory_bytes_max", "16777216");
    let ways = Ways::of(&place, &mut settings);
    for others_too in [false, true] {
        let mut walferry = place.streaming(&settings);
        place.drain("insert into t values (0) on conflict do nothing");
        ways.kafka.set(Mode::BlackHole);
        place.sql("insert into t select i + (select max(id) from t), repeat('walferry', 50) from generate_series(1, 50000) i");
        walferry.wait_not_ready("kafka", SAID);
        let until = Instant::now() + READY;
        let stage = [("stage", "publish")];
        while walferry.metric("walferry_queue_bytes", &stage).unwrap() < f64::from(1 << 20) {
            assert!(Instant::now() < until, "{}", walferry.log_tail());
            std::thread::yield_now();
        }
        if others_too {
            ways.postgres.set(Mode::BlackHole);
            ways.registry.set(Mode::BlackHole);
        }
        let asked = Instant::now();
        walferry.sigterm();
        walferry.wait_exit(STOPPED);
        let taken = asked.elapsed();
        assert!(
            taken <= ALLOWED + Duration::from_millis(500),
            "{taken:?}\n{}",
            walferry.log_tail()
        );
        for (proxy, _) in ways.all() {
            proxy.cut();
            proxy.set(Mode::Pass);
        }
    }
}

/// The encoder waits for the registry, and so cannot hear that its stream is gone.
#[test]
fn a_stream_that_is_lost_while_the_registry_is_away_has_a_successor() {
    let place = Place::shared("successor");
    place.sql("create table t (id int primary key, note text)");
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let ways = Ways::of(&place, &mut settings);
    // A proxy that cannot deliver what it holds does not tell that the server has gone.
    settings.set_text("source.url", &place.url);
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (0)");
    let follower = format!(
        "select active_pid from pg_replication_slots where slot_name = '{}'",
        place.slot()
    );
    ways.registry.set(Mode::Refuse);
    ways.registry.cut();
    place.sql(
        "alter table t add column other int;
         insert into t (id, note) select i, repeat('walferry', 50) from generate_series(1, 1000) i",
    );
    walferry.wait_not_ready("registry", SAID);
    for _ in 0..2 {
        let before = place.value(&follower).unwrap();
        place.sql(&format!("select pg_terminate_backend({before})"));
        let lost = Instant::now();
        while place
            .value(&follower)
            .is_none_or(|it| it.is_empty() || it == before)
        {
            assert!(lost.elapsed() < SAID, "{}", walferry.log_tail());
            std::thread::yield_now();
        }
    }
    is_live(&walferry);
    ways.registry.set(Mode::Pass);
    walferry.wait_ready(READY);
    place.drain("insert into t (id) values (1001)");
    checker.verdict().unwrap().assert_clean(1_002);
    stops(&mut walferry);
}
