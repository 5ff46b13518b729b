//! Broken set-ups, each for real: `check` names every one with its code, and for those that SQL mends, what `--fix-sql` prints
//! leaves nothing to say and a connector that starts.
//!
//! Set-ups that do not touch each other share a database, so that a check of some tens costs what one costs.

use walferry_stack::PostgresServer;
use walferry_testkit::process::Settings;

use crate::check_findings::{findings, fix};
use crate::place::{Place, READY, own_postgres};
use crate::refusal::beside_postgres;

/// A set-up, and what is said of it.
struct Broken {
    /// What a superuser has done; `{role}`, `{db}`, `{slot}` stand for those of the place.
    sql: &'static str,
    /// Severity, beginning of the subject, words.
    says: &'static [&'static str],
}

const fn broken(sql: &'static str, says: &'static [&'static str]) -> Broken {
    Broken { sql, says }
}

/// The place's own words in a text.
fn own(place: &Place, text: &str) -> String {
    text.replace("{role}", &role(place))
        .replace("{db}", &format!("\"{}\"", place.name))
        .replace("{slot}", &place.slot())
        .replace("{prefix}", &place.name)
}

/// The role of the place's connector: it may replicate and create a publication, and no more.
fn role(place: &Place) -> String {
    format!("r_{}", place.name)
}

fn as_role(place: &Place, settings: &mut Settings) {
    let role = role(place);
    place.sql(&own(
        place,
        "create role {role} login replication; grant create on database {db} to {role}; grant usage on schema public to {role}",
    ));
    let url = place.url.replace("postgres@", &format!("{role}@"));
    settings.set_text("source.url", &url);
}

/// Findings that have all of the parts, of which the first two are severity and beginning of the subject.
fn fitting<'a>(place: &Place, found: &'a [String], parts: &[&str]) -> Vec<&'a String> {
    let parts: Vec<String> = parts.iter().map(|it| own(place, it)).collect();
    let start = format!("{} | {}", parts[0], parts[1]);
    let fits =
        |it: &&String| it.starts_with(&start) && parts[2..].iter().all(|part| it.contains(part));
    found.iter().filter(fits).collect()
}

/// Each set-up is named, with a code where it is bad.
fn named(place: &Place, settings: &Settings, all: &[Broken]) {
    let found = findings(place, settings);
    let unnamed: Vec<&[&str]> = all
        .iter()
        .map(|it| it.says)
        .filter(|says| fitting(place, &found, says).is_empty())
        .collect();
    assert!(
        unnamed.is_empty(),
        "nothing has {unnamed:#?}:\n{}",
        found.join("\n")
    );
    let bad = found
        .iter()
        .filter(|it| !it.starts_with("ok") && !it.starts_with("plan"));
    let uncoded: Vec<&String> = bad.filter(|it| !it.contains("[WF")).collect();
    assert!(uncoded.is_empty(), "{uncoded:#?}");
}

/// What the SQL mends is mended: nothing bad is left but what `left` names.
fn mended(place: &Place, settings: &Settings, left: &[&str]) {
    let mut rounds = 0;
    loop {
        let (sql, _) = fix(place, settings, "--fix-sql");
        if sql.is_empty() {
            break;
        }
        rounds += 1;
        assert!(rounds <= 3, "it has no end: {sql}");
        place.sql(&sql);
    }
    assert!(rounds > 0, "there was no SQL");
    let found = findings(place, settings);
    let bad = found
        .iter()
        .filter(|it| !it.starts_with("ok") && !it.starts_with("plan"));
    let bad: Vec<&String> = bad
        .filter(|it| !left.iter().any(|left| it.contains(left)))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

fn starts(place: &Place, settings: &Settings) {
    let mut walferry = place.streaming(settings);
    walferry.sigterm();
    assert_eq!(
        walferry.wait_exit(READY),
        Some(0),
        "{}",
        walferry.log_tail()
    );
}

#[test]
fn tables() {
    const ALL: &[Broken] = &[
        broken("create table no_key (id int)", &["error", "table public.no_key", "WF0312", "REPLICA IDENTITY FULL"]),
        broken(
            "create table later (id int primary key deferrable)",
            &["error", "table public.later", "DEFERRABLE", "WF0312", "REPLICA IDENTITY"],
        ),
        broken(
            "create table nothing (id int primary key); alter table nothing replica identity nothing",
            &["error", "table public.nothing", "WF0312", "REPLICA IDENTITY DEFAULT"],
        ),
        broken(
            "create table gone (id int primary key, other int not null unique); alter table gone replica identity using index gone_other_key;
             alter table gone drop constraint gone_other_key",
            &["error", "table public.gone", "WF0312", "REPLICA IDENTITY"],
        ),
        broken(
            "create table empty_key (id int unique)",
            &["error", "table public.empty_key", "WF0312", "REPLICA IDENTITY FULL"],
        ),
        broken(
            "create table of_some (id int not null, live bool); create unique index on of_some (id) where live",
            &["error", "table public.of_some", "WF0312", "REPLICA IDENTITY FULL"],
        ),
        broken(
            "create table of_words (word text not null); create unique index on of_words (lower(word))",
            &["error", "table public.of_words", "WF0312", "REPLICA IDENTITY FULL"],
        ),
        broken(
            "create table elsewhere (id int primary key, code int not null unique);
             alter table elsewhere replica identity using index elsewhere_code_key",
            &["warning", "schemas of public.elsewhere", "not the primary key", "WF0305", "REPLICA IDENTITY DEFAULT"],
        ),
        broken(
            "create table split (id int not null, d int not null) partition by range (d);
             create table split_1 partition of split for values from (0) to (10)",
            &["error", "table public.split", "WF0312", "REPLICA IDENTITY"],
        ),
        broken(
            "create table uneven (id int primary key) partition by range (id); create table uneven_1 partition of uneven for
             values from (0) to (10); alter table uneven_1 replica identity full",
            &["warning", "table public.uneven", "uneven_1", "WF0305", "REPLICA IDENTITY DEFAULT"],
        ),
        broken(
            "create table unseen (id int primary key); revoke all on unseen from {role}",
            &["error", "table public.unseen", "may not be read", "WF0303", "GRANT SELECT"],
        ),
        broken(
            "create schema hidden; create table hidden.h (id int primary key); grant select on hidden.h to {role}",
            &["error", "table hidden.h", "USAGE", "WF0303", "GRANT USAGE"],
        ),
        broken(
            "create table in_part (id int primary key, secret text); grant select (id) on in_part to {role}",
            &["error", "table public.in_part", "may not be read", "WF0303", "GRANT SELECT"],
        ),
        broken(
            "create table guarded (id int primary key); grant select on guarded to {role}; alter table guarded enable row level security;
             create policy mine on guarded using (id < 10)",
            &["error", "table public.guarded", "row level security", "WF0112", "BYPASSRLS"],
        ),
        broken(
            "create table foreign_owner (id int primary key)",
            &["error", "publication {slot}", "does not own", "WF0204", "CREATE PUBLICATION"],
        ),
        broken("create unlogged table quick (id int primary key)", &["warning", "table public.quick", "unlogged", "WF0304"]),
        broken("create view shown as select 1 as id", &["ok", "source.tables", "public.shown", "no changes of their own"]),
        broken("select 1", &["warning", "source.tables", "\"none*.*\" matches nothing", "WF0302"]),
    ];
    let place = Place::shared("broken_tables");
    let mut settings = place.settings(&["public.*", "hidden.*", "none*.*"]);
    as_role(&place, &mut settings);
    for it in ALL {
        place.sql(&own(&place, it.sql));
    }
    named(&place, &settings, ALL);
    mended(
        &place,
        &settings,
        &["unlogged", "matches nothing", "created later"],
    );
    starts(&place, &settings);
}

#[test]
fn roles() {
    const ALL: &[Broken] = &[
        broken(
            "",
            &[
                "error",
                "role {role}",
                "may not use replication",
                "WF0114",
                "ALTER ROLE",
            ],
        ),
        broken(
            "",
            &[
                "error",
                "role {role}",
                "may not create a publication",
                "WF0107",
                "GRANT CREATE ON DATABASE",
            ],
        ),
        broken(
            "alter role {role} connection limit 2",
            &[
                "error",
                "connections",
                "of 2 connections",
                "WF0117",
                "CONNECTION LIMIT",
            ],
        ),
        broken(
            "alter role {role} valid until 'tomorrow'",
            &[
                "warning",
                "role {role}",
                "password ends",
                "WF0120",
                "VALID UNTIL 'infinity'",
            ],
        ),
    ];
    let place = Place::shared("broken_role");
    let mut settings = place.all();
    as_role(&place, &mut settings);
    place.sql(&own(
        &place,
        "create table t (id int primary key); alter table t owner to {role}; alter role {role} noreplication;
         revoke create on database {db} from {role}",
    ));
    for it in ALL.iter().filter(|it| !it.sql.is_empty()) {
        place.sql(&own(&place, it.sql));
    }
    named(&place, &settings, ALL);
    mended(&place, &settings, &[]);
    starts(&place, &settings);
    // Whoever does not get in learns why.
    for (sql, says) in [
        (
            "revoke connect on database {db} from public",
            &[
                "error",
                "role {role}",
                "may not connect",
                "WF0107",
                "GRANT CONNECT",
            ][..],
        ),
        (
            "alter role {role} nologin",
            &["error", "postgresql", "not permitted to log in", "WF0106"],
        ),
    ] {
        place.sql(&own(&place, sql));
        named(&place, &settings, &[broken("", says)]);
    }
    settings.set_text(
        "source.url",
        &place.url.replace("postgres@", "nobody_at_all@"),
    );
    named(
        &place,
        &settings,
        &[broken(
            "",
            &["error", "postgresql", "nobody_at_all", "WF0106"],
        )],
    );
    settings.set_text("source.url", &format!("{}_not", place.url));
    named(
        &place,
        &settings,
        &[broken(
            "",
            &["error", "postgresql", "_not", "does not exist", "WF01"],
        )],
    );
}

#[test]
fn services() {
    /// A setting that one service alone has, its name, and the way to logical decoding there.
    const ALL: &[(&str, &str, &str)] = &[
        ("", "self-hosted", "ALTER SYSTEM SET wal_level"),
        (
            "rds.extensions",
            "Amazon RDS",
            "rds.logical_replication = 1 in the instance's parameter group",
        ),
        (
            "apg_plan_mgmt.use_plan_baselines",
            "Amazon Aurora",
            "rds.logical_replication = 1 in the cluster's parameter group",
        ),
        (
            "cloudsql.logical_decoding",
            "Google Cloud SQL",
            "cloudsql.logical_decoding=on",
        ),
        (
            "alloydb.logical_decoding",
            "Google AlloyDB",
            "alloydb.logical_decoding=on",
        ),
        (
            "azure.extensions",
            "Azure Database for PostgreSQL",
            "az postgres flexible-server parameter set",
        ),
        (
            "supautils.reserved_roles",
            "Supabase",
            "restart the project",
        ),
        (
            "neon.timeline_id",
            "Neon",
            "Logical Replication in the project's settings",
        ),
    ];
    let postgres = own_postgres()
        .setting("wal_level", "replica")
        .setting("max_slot_wal_keep_size", "64MB")
        // The test's own commits do not wait.
        .setting("synchronous_commit", "local")
        .setting("synchronous_standby_names", "*");
    let postgres = PostgresServer::start(postgres).unwrap();
    let place = Place::on(&beside_postgres(&postgres), "broken_service");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    named(
        &place,
        &settings,
        &[broken(
            "",
            &[
                "warning",
                "synchronous_standby_names",
                "as a standby",
                "WF0119",
            ],
        )],
    );
    for (mark, name, way) in ALL {
        if !mark.is_empty() {
            place.sql(&own(
                &place,
                &format!("alter database {{db}} set {mark} = 'a'"),
            ));
        }
        let found = findings(&place, &settings);
        for parts in [
            &["ok", "postgresql", name][..],
            &["error", "wal_level", "WF0113", way],
            &["warning", "max_slot_wal_keep_size", "64 MiB", "WF0208"],
        ] {
            assert_eq!(
                fitting(&place, &found, parts).len(),
                1,
                "{parts:?}:\n{}",
                found.join("\n")
            );
        }
        let (sql, _) = fix(&place, &settings, "--fix-sql");
        // A managed service refuses it.
        assert_eq!(
            sql.contains("ALTER SYSTEM"),
            mark.is_empty(),
            "{name}: {sql}"
        );
        place.sql(&own(&place, "alter database {db} reset all"));
    }
    // On Amazon's servers nobody has the attribute; a role of theirs stands for it.
    as_role(&place, &mut settings);
    place.sql(&own(
        &place,
        "alter role {role} noreplication; alter database {db} set rds.extensions = 'a'; create role rds_replication",
    ));
    let says = &[
        "error",
        "role {role}",
        "may not use replication",
        "WF0114",
        "GRANT rds_replication TO",
    ];
    named(&place, &settings, &[broken("", says)]);
    place.sql(&own(&place, "grant rds_replication to {role}"));
    let found = findings(&place, &settings);
    let may = ["ok", "role {role}", "may use replication"];
    assert_eq!(
        fitting(&place, &found, &may).len(),
        1,
        "{}",
        found.join("\n")
    );
    settings.set_text("source.url", "postgresql://app@127.0.0.1:6432/shop");
    named(
        &place,
        &settings,
        &[broken(
            "",
            &[
                "warning",
                "source.url",
                "connection pooler",
                "WF0122",
                "5432",
            ],
        )],
    );
}
