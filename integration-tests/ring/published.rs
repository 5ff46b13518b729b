//! What is published of a table changes under the connector: tables are replaced, come, are taken out of the publication and put
//! back, and partitions come and go. It is noticed while it runs and at a start, and the topics agree with the tables again.

mod again;
mod away;
mod met;
mod others;
mod partitions;
mod passing;

use std::time::{Duration, Instant};

use walferry_testkit::process::{Settings, Walferry};

use crate::audit::audit;
use crate::place::{Place, READY, told};

/// A table may be read again slowly on a machine that runs other tests.
const TAKEN: Duration = Duration::from_secs(60);

/// Whether the connector runs while something happens, or is away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum While {
    Running,
    Stopped,
}

/// A connector, and how far its log has been looked at.
struct Watched {
    walferry: Walferry,
    seen: usize,
}

impl Watched {
    fn new(place: &Place, settings: &Settings) -> Watched {
        Watched {
            walferry: place.streaming(settings),
            seen: 0,
        }
    }

    /// Lets something happen while it runs, or while it is stopped.
    fn meet(&mut self, place: &Place, settings: &Settings, at: While, sql: &str) {
        if at == While::Stopped {
            self.walferry.sigterm();
            assert_eq!(self.walferry.wait_exit(READY), Some(0));
        }
        self.seen = match at {
            While::Running => self.walferry.log().len(),
            While::Stopped => 0,
        };
        place.sql(sql);
        if at == While::Stopped {
            self.walferry = place.start(settings);
            self.walferry
                .wait_status("streaming", READY, |it| it["state"] == "streaming");
        }
    }

    /// Waits for a line of the log that has all of these parts, since the last thing that happened.
    fn hears(&mut self, parts: &[&str]) {
        let until = Instant::now() + TAKEN;
        let said = |line: &String| parts.iter().all(|part| line.contains(part));
        while !self.walferry.log()[self.seen..].iter().any(said) {
            assert!(
                self.walferry.exited().is_none(),
                "{}",
                self.walferry.log_tail()
            );
            assert!(
                Instant::now() < until,
                "{parts:?}: {}",
                self.walferry.log_tail()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a table has been read.
    fn reads(&mut self, table: &str) {
        self.hears(&["snapshot of a table is complete", &format!("\"{table}\"")]);
    }
}

/// The topics agree with the tables, of which there are so many.
fn agrees(place: &Place, settings: &Settings, last_sql: &str, tables: usize) {
    place.drain(last_sql);
    let (code, report, errors) = audit(place, settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    let audited = report["tables"].as_array().map(Vec::len);
    assert_eq!(audited, Some(tables), "{report:#}");
}

fn settings(place: &Place) -> Settings {
    let mut settings = place.all();
    settings
        .set("source.heartbeat_ms", "200")
        .set("snapshot.chunk_rows", "300")
        .set_text("admin.token", "open");
    settings
}

const TABLE: &str = "(id int primary key, note text)";

/// `n` rows of a table, from `first` on.
fn rows(table: &str, first: u32, n: u32) -> String {
    format!(
        "insert into {table} select i, '{table} ' || i from generate_series({first}, {first} + {n} - 1) i"
    )
}

#[test]
fn a_table_that_is_replaced_is_made_to_agree() {
    let place = Place::shared("replaced");
    place.sql(&format!(
        "create table t {TABLE}; create table u {TABLE}; {}; {}",
        rows("t", 1, 1000),
        rows("u", 1, 700)
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    for at in [While::Running, While::Stopped] {
        // Dropped and created in one transaction.
        let first = if at == While::Running { 500 } else { 100 };
        let sql = format!(
            "begin; drop table t; create table t {TABLE}; {}; commit",
            rows("t", first, 800)
        );
        it.meet(&place, &settings, at, &sql);
        it.hears(&["public.t", "replaced"]);
        it.reads("public.t");
        agrees(
            &place,
            &settings,
            "insert into t values (100001, 'x') on conflict (id) do update set note = t.note || 'y'",
            2,
        );
        // Two names are swapped, both tables are written on.
        let sql = "begin; alter table t rename to s; alter table u rename to t; alter table s rename to u; commit;
                   delete from t where id % 3 = 0; update u set note = 'swapped' where id % 5 = 0";
        it.meet(&place, &settings, at, sql);
        it.reads("public.t");
        it.reads("public.u");
        agrees(
            &place,
            &settings,
            "insert into u values (100002, 'x') on conflict (id) do update set note = u.note || 'y'",
            2,
        );
    }
    it.walferry.wait_ready(READY);
}

#[test]
fn a_table_that_is_created_is_followed_with_its_rows() {
    let place = Place::shared("created");
    place.sql(&format!("create table t {TABLE}; {}", rows("t", 1, 10)));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let fresh = |name: &str| {
        format!(
            "create table {name} {TABLE}; {}; update {name} set note = 'new' where id % 2 = 0; delete from {name} where id % 7 = 0",
            rows(name, 1, 1000)
        )
    };
    for (at, name, tables) in [(While::Running, "n1", 2), (While::Stopped, "n2", 3)] {
        it.meet(&place, &settings, at, &fresh(name));
        it.reads(&format!("public.{name}"));
        agrees(
            &place,
            &settings,
            &format!("insert into {name} values (5001, 'x')"),
            tables,
        );
    }
    // Killed in the middle of it, at several moments.
    let mut slow = settings.clone();
    slow.set("snapshot.rows_per_second_max", "1500");
    it.walferry.kill9();
    it.walferry = place.streaming(&slow);
    place.sql(&fresh("n3"));
    for step in ["n3", "added to the publication", "n3"] {
        it.walferry.wait_log(step, TAKEN);
        it.walferry.kill9();
        it.walferry = place.streaming(&slow);
    }
    it.seen = 0;
    it.reads("public.n3");
    agrees(
        &place,
        &settings,
        "update n3 set note = 'last' where id = 1",
        4,
    );
    // One that is renamed is followed under its new name, with all of its rows.
    it.meet(
        &place,
        &settings,
        While::Running,
        "alter table n1 rename to n4; update n4 set note = 'renamed' where id < 50",
    );
    it.reads("public.n4");
    agrees(
        &place,
        &settings,
        "update n4 set note = 'last' where id = 1",
        4,
    );
    it.walferry.wait_ready(READY);
}

#[test]
fn a_publication_of_all_tables_brings_a_new_one_from_its_creation() {
    let place = Place::shared("created_all");
    place.sql(&format!(
        "create table t {TABLE}; {}; create publication {} for all tables with (publish_via_partition_root)",
        rows("t", 1, 10),
        place.slot()
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    // One without a key would be told twice.
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!("create table n {TABLE}; {}", rows("n", 1, 100)),
    );
    it.hears(&["public.n", "published until now"]);
    agrees(&place, &settings, "insert into n values (5001, 'x')", 2);
    it.meet(
        &place,
        &settings,
        While::Stopped,
        "create table log (note text); insert into log select i from generate_series(1, 50) i",
    );
    agrees(&place, &settings, "insert into log values ('x')", 3);
    // Replaced: its rows have come by the stream, what is gone has not.
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!(
            "drop table n; create table n {TABLE}; {}",
            rows("n", 50, 100)
        ),
    );
    it.reads("public.n");
    agrees(&place, &settings, "insert into n values (5002, 'x')", 3);
}

#[test]
fn changes_that_were_not_published_are_made_good() {
    let place = Place::shared("unpublished");
    let publication = place.slot();
    place.sql(&format!(
        "create table t {TABLE}; create table u {TABLE}; {}; {}",
        rows("t", 1, 600),
        rows("u", 1, 600)
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    let change = "delete from u where id % 4 = 0; update u set note = note || '!' where id % 4 = 1; insert into u select max(id) + 1 from u";
    for at in [While::Running, While::Stopped] {
        // Taken out and put back before anybody looks.
        let sql = format!(
            "alter publication {publication} drop table u; {change}; alter publication {publication} add table u"
        );
        it.meet(&place, &settings, at, &sql);
        it.reads("public.u");
        agrees(
            &place,
            &settings,
            "update u set note = 'last' where id = 2",
            2,
        );
        // Taken out only: it is put back.
        it.meet(
            &place,
            &settings,
            at,
            &format!("alter publication {publication} drop table u; {change}"),
        );
        it.reads("public.u");
        agrees(
            &place,
            &settings,
            "update u set note = 'last 2' where id = 2",
            2,
        );
        // Some operations are not published for a while.
        let sql = format!(
            "alter publication {publication} set (publish = 'insert'); {change};
             alter publication {publication} set (publish = 'insert, update, delete, truncate')"
        );
        it.meet(&place, &settings, at, &sql);
        it.reads("public.u");
        it.reads("public.t");
        agrees(
            &place,
            &settings,
            "update u set note = 'last 3' where id = 2",
            2,
        );
    }
    // While they are not, readiness says so; afterwards it is made good.
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!("alter publication {publication} set (publish = 'insert'); {change}"),
    );
    let told = it.walferry.wait_not_ready("public.u", READY);
    assert!(told.contains("updates, deletes, truncates"), "{told}");
    // It is known over a restart as well, and of a table that comes meanwhile, whose rows were read.
    let fresh = format!("create table v {TABLE}; insert into v values (1, 'new')");
    it.meet(&place, &settings, While::Running, &fresh);
    it.reads("public.v");
    it.walferry
        .wait_not_ready("table public.v: the publication does not", READY);
    it.meet(&place, &settings, While::Stopped, change);
    it.walferry.wait_not_ready("updates, deletes", READY);
    it.walferry
        .wait_not_ready("table public.v: the publication does not", READY);
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!(
            "alter publication {publication} set (publish = 'insert, update, delete, truncate')"
        ),
    );
    it.reads("public.u");
    it.walferry.wait_ready(READY);
    agrees(
        &place,
        &settings,
        "update u set note = 'last 4' where id = 2",
        3,
    );
    // Another owner is no such change.
    let before = it
        .walferry
        .log()
        .iter()
        .filter(|line| line.contains("is complete"))
        .count();
    it.meet(&place, &settings, While::Running, &format!("create role {publication} superuser; alter publication {publication} owner to {publication}; create table w {TABLE}"));
    it.reads("public.w");
    let after = it
        .walferry
        .log()
        .iter()
        .filter(|line| line.contains("is complete"))
        .count();
    assert_eq!(after, before + 1, "{}", it.walferry.log_tail());
    place.sql(&format!(
        "alter publication {publication} owner to current_user; drop role {publication}"
    ));
}

#[test]
fn a_table_that_cannot_be_added_is_left_out_until_it_can() {
    let place = Place::shared("not_ours");
    let role = format!("walferry_ours_{}", std::process::id());
    place.sql(&format!(
        "create role {role} login replication; grant create on schema public to {role};
         create table t {TABLE}; alter table t owner to {role}; {};
         grant create on database {} to {role}",
        rows("t", 1, 10),
        place.name
    ));
    let mut settings = settings(&place);
    settings.set_text(
        "source.url",
        &place.url.replace("postgres@", &format!("{role}@")),
    );
    let mut it = Watched::new(&place, &settings);
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!(
            "create table n {TABLE}; grant select on n to {role}; {}",
            rows("n", 1, 50)
        ),
    );
    let left_out = |status: &serde_json::Value| {
        let tables = status["tables"].as_array().cloned().unwrap_or_default();
        tables.iter().any(|it| {
            it["name"] == "public.n"
                && it["state"] == "left-out"
                && it["reason"].as_str().unwrap().contains("ADD TABLE")
        })
    };
    it.walferry.wait_status("it is left out", READY, left_out);
    // A start is not refused for it, and the connector is ready.
    it.meet(
        &place,
        &settings,
        While::Stopped,
        "insert into n values (100, 'x')",
    );
    it.walferry.wait_status("it is left out", READY, left_out);
    it.walferry.wait_ready(READY);
    it.meet(
        &place,
        &settings,
        While::Running,
        &format!("alter table n owner to {role}"),
    );
    it.reads("public.n");
    agrees(&place, &settings, "insert into n values (101, 'x')", 2);
    it.walferry.sigterm();
    it.walferry.wait_exit(READY);
    place.sql(&format!("drop publication {}; reassign owned by {role} to current_user; drop owned by {role}; drop role {role}", place.slot()));
}

#[test]
fn tables_that_a_dba_publishes_come_with_their_rows() {
    let place = Place::shared("dba");
    let (slot, publication) = (place.slot(), place.slot());
    place.sql(&format!("create table t {TABLE}; {}", rows("t", 1, 500)));
    let mut settings = settings(&place);
    settings.set("source.create", "false");
    // What `check` says leads to a start with the rows that are there.
    let path = settings.write(&place.folder).unwrap();
    let (_, sql) = told(&["check", "--fix-sql", "-c", path.to_str().unwrap()]);
    for line in sql.lines().filter(|line| !line.starts_with("error")) {
        place.sql(line);
    }
    place.sql("update t set note = 'before' where id % 3 = 0; delete from t where id % 50 = 0");
    let (code, said) = place.run_ends(&settings);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("--adopt-slot --with-snapshot"), "{said}");
    let arguments = [
        "run",
        "--adopt-slot",
        "--with-snapshot",
        "-c",
        path.to_str().unwrap(),
    ];
    let mut walferry = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
    walferry.wait_ready(READY);
    let mut it = Watched { walferry, seen: 0 };
    it.reads("public.t");
    agrees(&place, &settings, "insert into t values (5001, 'x')", 1);
    for (at, name, tables) in [(While::Running, "n1", 2), (While::Stopped, "n2", 3)] {
        it.meet(
            &place,
            &settings,
            While::Running,
            &format!("create table {name} {TABLE}; {}", rows(name, 1, 100)),
        );
        it.hears(&["left out", name, "ADD TABLE"]);
        it.meet(
            &place,
            &settings,
            at,
            &format!("alter publication {publication} add table {name}"),
        );
        it.reads(&format!("public.{name}"));
        agrees(
            &place,
            &settings,
            &format!("insert into {name} values (5001, 'x')"),
            tables,
        );
    }
    it.walferry.sigterm();
    it.walferry.wait_exit(READY);
    place.sql(&format!("select pg_drop_replication_slot('{slot}')"));
}
