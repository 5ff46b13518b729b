//! The application's own writers: what they could do before a connector ran they can do beside it, whatever the table is.
//!
//! Owns the list of kinds of tables. Each has columns `id` and `n`, and the same INSERT, UPDATE, change of `id` and DELETE;
//! all of them pass before the connector is there. Start reading at [`Kind`].

use serde_json::Value as Json;
use walferry_stack::test_postgres_major;
use walferry_testkit::checker::Session;
use walferry_testkit::process::{Settings, Walferry};

use crate::place::{Place, READY, told};

/// What a run makes of a kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It is followed.
    Followed,
    /// It is left out, until the SQL of `check` has mended it.
    Left,
    /// It is left out, and no SQL mends it.
    LeftForGood,
    /// It is none of the connector's.
    Unknown,
}

use Then::{Followed, Left, LeftForGood, Unknown};

/// A table's name, how it is made, and what a run makes of it.
type Kind = (&'static str, &'static str, Then);

const KINDS: &[Kind] = &[
    ("keyed", "create table keyed (id int primary key, n int)", Followed),
    ("bare", "create table bare (id int, n int)", Left),
    ("late_key", "create table late_key (id int primary key deferrable, n int)", Left),
    (
        "late_two",
        "create table late_two (id int primary key deferrable, n int, u serial); create unique index u_two on late_two (u)",
        Left,
    ),
    ("late_unique", "create table late_unique (id int not null unique deferrable initially deferred, n int)", Left),
    ("whole", "create table whole (id int, n int); alter table whole replica identity full", Followed),
    (
        "whole_late",
        "create table whole_late (id int primary key deferrable, n int); alter table whole_late replica identity full",
        Followed,
    ),
    (
        "chosen",
        "create table chosen (id int not null, n int); create unique index chosen_id on chosen (id);
         alter table chosen replica identity using index chosen_id",
        Followed,
    ),
    (
        "dropped",
        "create table dropped (id int not null, n int); create unique index dropped_id on dropped (id);
         alter table dropped replica identity using index dropped_id; drop index dropped_id",
        Left,
    ),
    (
        "dropped_keyed",
        "create table dropped_keyed (id int primary key, n int, u serial); create unique index dropped_u on dropped_keyed (u);
         alter table dropped_keyed replica identity using index dropped_u; drop index dropped_u",
        Left,
    ),
    (
        "invalid",
        "create table invalid (id int not null, n int); create unique index invalid_id on invalid (id);
         alter table invalid replica identity using index invalid_id;
         update pg_index set indisvalid = false where indexrelid = 'invalid_id'::regclass",
        Left,
    ),
    ("nothing", "create table nothing (id int primary key, n int); alter table nothing replica identity nothing", Left),
    ("nullable", "create table nullable (id int unique, n int)", Left),
    ("unique_alone", "create table unique_alone (id int not null unique, n int)", Left),
    ("including", "create table including (id int, n int, primary key (id) include (n))", Followed),
    ("partial", "create table partial (id int not null, n int); create unique index on partial (id) where n >= 0", Left),
    ("expression", "create table expression (id int not null, n int); create unique index on expression ((id + 0))", Left),
    (
        "generated",
        "create table generated (id int primary key, n int, g int generated always as (n * 2) stored)",
        Followed,
    ),
    (
        "generated_key",
        "create table generated_key (id int, n int, k int generated always as (id * 2) stored, primary key (id, k))",
        Left,
    ),
    (
        "generated_index",
        "create table generated_index (id int not null, n int, k int generated always as (id * 2) stored not null);
         create unique index generated_k on generated_index (k);
         alter table generated_index replica identity using index generated_k",
        Left,
    ),
    (
        "split",
        "create table split (id int primary key, n int) partition by range (id);
         create table split_1 partition of split for values from (0) to (100000)",
        Followed,
    ),
    (
        "split_bare",
        "create table split_bare (id int, n int) partition by range (id);
         create table split_bare_1 partition of split_bare for values from (0) to (100000)",
        Left,
    ),
    (
        "split_leaf_bare",
        "create table split_leaf_bare (id int, n int) partition by range (id);
         create table split_leaf_bare_1 partition of split_leaf_bare for values from (0) to (100000);
         alter table split_leaf_bare replica identity full",
        Left,
    ),
    (
        "split_whole",
        "create table split_whole (id int, n int) partition by range (id);
         create table split_whole_1 partition of split_whole for values from (0) to (100000);
         alter table split_whole replica identity full; alter table split_whole_1 replica identity full",
        Followed,
    ),
    (
        "split_nothing",
        "create table split_nothing (id int primary key, n int) partition by range (id);
         create table split_nothing_1 partition of split_nothing for values from (0) to (100000);
         create table split_nothing_2 partition of split_nothing default;
         alter table split_nothing_2 replica identity nothing",
        Left,
    ),
    (
        "split_mixed",
        "create table split_mixed (id int primary key, n int) partition by range (id);
         create table split_mixed_1 partition of split_mixed for values from (0) to (3000);
         create table split_mixed_2 partition of split_mixed default; alter table split_mixed_2 replica identity full",
        Followed,
    ),
    (
        "split_deep",
        "create table split_deep (id int primary key, n int) partition by range (id);
         create table split_deep_1 partition of split_deep for values from (0) to (100000) partition by range (id);
         create table split_deep_2 partition of split_deep_1 for values from (0) to (100000);
         alter table split_deep_2 replica identity nothing",
        Left,
    ),
    ("parent", "create table parent (id int primary key, n int)", Followed),
    ("heir", "create table heir () inherits (parent)", Left),
    ("keyed_heir", "create table keyed_heir (primary key (id)) inherits (parent)", Followed),
    ("unlogged", "create unlogged table unlogged (id int, n int)", Unknown),
    ("seen", "create view seen as select * from keyed", Unknown),
    ("typed", "create type row_type as (id int, n int); create table typed of row_type (primary key (id))", Followed),
    ("typed_bare", "create table typed_bare of row_type", Left),
];

/// Kinds that a server has from version 15 on, each with the `[[table]]` that makes it one.
const LISTED: &[(Kind, &str)] = &[
    (
        (
            "listed",
            "create table listed (id int primary key, n int, secret text) partition by range (id);
             create table listed_1 partition of listed for values from (0) to (100000);
             alter table listed_1 replica identity full",
            Followed,
        ),
        "name = \"public.listed\"\nexclude_columns = [\"secret\"]",
    ),
    (
        (
            "filtered",
            "create table filtered (id int primary key, n int) partition by range (id);
             create table filtered_1 partition of filtered for values from (0) to (100000);
             alter table filtered replica identity full",
            Left,
        ),
        "name = \"public.filtered\"\nwhere = \"n >= 0\"",
    ),
];

/// Kinds of PostgreSQL 18.
const VIRTUAL: &[Kind] = &[
    (
        "virtual_whole",
        "create table virtual_whole (id int, n int, v int generated always as (n + 1) virtual);
         alter table virtual_whole replica identity full",
        LeftForGood,
    ),
    (
        "stored_whole",
        "create table stored_whole (id int, n int, v int generated always as (n + 1) stored);
         alter table stored_whole replica identity full",
        LeftForGood,
    ),
];

/// What the application does to a table, each time with another row.
fn write(session: &mut Session, table: &str, round: u32) -> Result<(), String> {
    let id = round * 2000;
    for statement in [
        format!("insert into {table} (id, n) values ({id}, 1)"),
        format!("update {table} set n = n + 1 where id = {id}"),
        format!("update {table} set id = id + 1000 where id = {id}"),
        format!("delete from {table} where id = {id} + 1000"),
    ] {
        let done = session.execute(&statement);
        done.map_err(|error| format!("{statement}: {error:#}"))?;
    }
    Ok(())
}

/// Status of each table by its name without the schema: its state and why.
fn states(walferry: &mut Walferry, kinds: &[Kind], mended: bool) -> Json {
    let followed = kinds
        .iter()
        .filter(|it| it.2 == Followed || (mended && it.2 == Left));
    let followed: Vec<String> = followed.map(|it| format!("public.{}", it.0)).collect();
    let found = walferry.wait_status("every followed table has changes", READY, |status| {
        let tables = status["tables"].as_array().cloned().unwrap_or_default();
        let streams = |name: &String| {
            tables
                .iter()
                .any(|it| it["name"] == **name && it["changes"].as_u64() >= Some(4))
        };
        followed.iter().all(streams)
    });
    found["tables"].clone()
}

fn judge(tables: &Json, kinds: &[Kind], mended: bool) {
    for (name, _, then) in kinds {
        let full = format!("public.{name}");
        let state = tables
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == full);
        let state = state.map(|it| it["state"].as_str().unwrap().to_owned());
        let expected = match then {
            Followed => Some("streaming"),
            Left if mended => Some("streaming"),
            Left | LeftForGood => Some("left-out"),
            Unknown => None,
        };
        assert_eq!(state.as_deref(), expected, "{name}: {tables:#}");
    }
}

fn settings(place: &Place) -> (Settings, Vec<Kind>) {
    let mut kinds = KINDS.to_vec();
    let mut settings = place.all();
    if test_postgres_major() >= 15 {
        for (kind, section) in LISTED {
            kinds.push(*kind);
            settings.table(section);
        }
    }
    if test_postgres_major() >= 18 {
        // The writers are refused, and the whole row would hold the column, too.
        for kind in kinds.iter_mut().filter(|it| it.0.starts_with("generated_")) {
            kind.2 = LeftForGood;
        }
        kinds.extend(VIRTUAL);
    }
    (settings, kinds)
}

#[test]
fn the_applications_writers_go_on_whatever_the_table_is() {
    let place = Place::shared("writers");
    let (settings, kinds) = settings(&place);
    assert!(kinds.len() >= 34, "{}", kinds.len());
    let mut session = Session::connect(&place.url).unwrap();
    for (name, create, _) in &kinds {
        session.execute(create).unwrap();
        write(&mut session, name, 1).unwrap();
    }
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap();
    let (code, before) = told(&["check", "-c", path, "--json"]);
    assert_eq!(code, Some(1), "{before}");
    let mut walferry = place.streaming(&settings);
    let all = |session: &mut Session, round| {
        let kinds = kinds.iter();
        let failed = kinds.filter_map(|it| write(session, it.0, round).err());
        failed.collect::<Vec<_>>()
    };
    assert_eq!(all(&mut session, 2), [""; 0]);
    judge(&states(&mut walferry, &kinds, false), &kinds, false);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));

    // What `check` says is what `run` has done, and its SQL mends what can be mended.
    let found: Json = serde_json::from_str(&before).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let errors = findings.iter().filter(|it| it["severity"] == "error");
    let errors: Vec<&Json> = errors.collect();
    for (name, _, then) in &kinds {
        let subject = format!("table public.{name}");
        let said: Vec<_> = errors
            .iter()
            .filter(|it| it["subject"] == subject)
            .collect();
        let left = matches!(then, Left | LeftForGood);
        assert_eq!(said.len(), usize::from(left), "{name}: {said:#?}");
        let sql = said.first().and_then(|it| it["fix_sql"].as_str());
        assert_eq!(sql.is_some(), *then == Left, "{name}: {said:#?}");
        if let Some(sql) = sql {
            session.execute(sql).unwrap();
        }
    }
    let mut walferry = place.streaming(&settings);
    assert_eq!(all(&mut session, 3), [""; 0]);
    let tables = states(&mut walferry, &kinds, true);
    judge(&tables, &kinds, true);
}

#[test]
fn a_table_that_only_grows_is_published_when_the_file_asks_for_it() {
    let place = Place::shared("writers_asked");
    place.sql("create table log (id int, n int)");
    let mut settings = place.all();
    settings.without_identity(&["public.log"]);
    let walferry = place.streaming(&settings);
    place.drain("insert into log values (1, 1)");
    let refused = Session::connect(&place.url)
        .unwrap()
        .execute("update log set n = 2");
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("replica identity")
    );
    let status = walferry.status().unwrap();
    assert_eq!(status["tables"][0]["state"], "streaming", "{status:#}");
}

#[test]
fn a_table_that_breaks_its_writers_is_taken_out_of_our_publication_and_not_out_of_anothers() {
    let place = Place::shared("writers_published");
    place.sql(
        "create table good (id int primary key, n int); create table bad (id int primary key, n int);
         create table lost (id int primary key, n int);
         insert into good values (1, 1); insert into bad values (1, 1)",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    // One whose identity is lost while it is followed is taken out then.
    place.sql("alter table lost drop constraint lost_pkey");
    let line = walferry.wait_log("table taken out of the publication", READY);
    assert!(line.contains("public.lost"), "{line}");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql("alter table bad drop constraint bad_pkey");
    let update = || {
        Session::connect(&place.url)
            .unwrap()
            .execute("update bad set n = n + 1")
    };
    assert!(update().is_err(), "PostgreSQL does not ask for an identity");
    let mut walferry = place.streaming(&settings);
    update().unwrap();
    let status = walferry.status().unwrap();
    let tables = status["tables"].as_array().unwrap();
    let bad = tables.iter().find(|it| it["name"] == "public.bad").unwrap();
    assert_eq!(bad["state"], "left-out", "{status:#}");
    let reason = bad["reason"].as_str().unwrap();
    assert!(
        reason.contains("ALTER TABLE \"public\".\"bad\" REPLICA IDENTITY FULL"),
        "{reason}"
    );
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));

    // A publication that somebody else has made is let be, and what it does to the writers is said.
    let publication = format!("walferry_{}", place.name);
    place.sql(&format!(
        "drop publication \"{publication}\"; create publication \"{publication}\" for all tables"
    ));
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = told(&["check", "-c", path.to_str().unwrap()]);
    assert!(code == Some(1) && text.contains("public.bad"), "{text}");
    let walferry = place.streaming(&settings);
    assert!(update().is_err(), "the publication was changed");
    let log = walferry.log().join("\n");
    assert!(log.contains("not ours to change"), "{log}");
}
