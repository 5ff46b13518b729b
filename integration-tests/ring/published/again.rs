//! A table that is read again, twice or by two snapshots at a time: a record of a key is told once at a place of the stream, and the
//! audit is clean.

use walferry_stack::{PostgresServer, Stack};

use super::{TABLE, TAKEN, Watched, While, agrees, rows, settings};
use crate::place::{Place, own_postgres};
use crate::snapshots::said;

#[test]
fn a_row_that_is_read_twice_is_told_at_two_places() {
    // Of its own: nothing else moves the stream.
    let postgres = PostgresServer::start(own_postgres()).unwrap();
    let mut servers = Stack::shared().unwrap().clone();
    servers.postgres_url = postgres.url();
    let place = Place::on(&servers, "twice");
    place.sql(
        "create table m (id int primary key, note text) partition by range (id);
         create table m_1 partition of m for values from (0) to (1000);
         insert into m select i, 'a' from generate_series(1, 900) i;
         create table m_2 (like m including all);
         insert into m_2 select i, 'b' from generate_series(1000, 1049) i",
    );
    let mut settings = settings(&place);
    settings.set("snapshot.rows_per_second_max", "900");
    let mut it = Watched::new(&place, &settings);
    it.reads("public.m");
    let path = settings.write(&place.folder).unwrap();
    // Nothing is written meanwhile, and the stream stands where it stood.
    for _ in 0..2 {
        let (code, id, error) = said(path.to_str().unwrap(), &["start", "public.m"]);
        assert_eq!(code, Some(0), "{error}");
        it.walferry
            .wait_status("it is read again", TAKEN, |status| {
                let job = &status["snapshot"][0];
                job["id"] == id.as_str() && job["state"] == "done"
            });
    }
    // Read whole, and for its new partition, at the same time.
    let (code, _, error) = said(path.to_str().unwrap(), &["start", "public.m"]);
    assert_eq!(code, Some(0), "{error}");
    it.meet(
        &place,
        &settings,
        While::Running,
        "alter table m attach partition m_2 for values from (1000) to (2000)",
    );
    it.hears(&["public.m", "attached"]);
    it.hears(&["snapshots beside the stream are complete"]);
    agrees(&place, &settings, "insert into m values (1500, 'x')", 1);
}

#[test]
fn a_key_that_is_gone_is_deleted_under_each_of_its_schemas() {
    let place = Place::shared("schemas_gone");
    place.sql(&format!("create table t {TABLE}; {}", rows("t", 1, 300)));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    it.reads("public.t");
    place.drain(
        "alter table t alter column id type bigint; update t set note = 'b' where id % 7 = 3",
    );
    let sql = format!("begin; drop table t; create table t {TABLE}; commit");
    it.meet(&place, &settings, While::Running, &sql);
    it.hears(&["public.t", "replaced"]);
    it.reads("public.t");
    // Of the 43 that were written under both schemas, each is deleted twice.
    it.hears(&["\"public.t\"", "\"deletes\":343"]);
    agrees(&place, &settings, "insert into t values (1000, 'x')", 1);
}

/// The stream brings changes of a table that is dropped by then, so that nobody knows any more that its key is NOT NULL: they have
/// their keys in another form.
#[test]
fn a_key_that_is_there_is_not_gone_because_it_once_had_another_form() {
    let place = Place::shared("forms_kept");
    let full = "alter table t replica identity full";
    place.sql(&format!(
        "create table t {TABLE}; {full}; {}",
        rows("t", 1, 300)
    ));
    let settings = settings(&place);
    let mut it = Watched::new(&place, &settings);
    it.reads("public.t");
    let sql = format!(
        "update t set note = 'b' where id % 2 = 0;
         begin; drop table t; create table t {TABLE}; {}; commit",
        rows("t", 1, 200)
    );
    it.meet(&place, &settings, While::Stopped, &sql);
    it.hears(&["public.t", "replaced"]);
    it.reads("public.t");
    it.hears(&["\"public.t\"", "\"deletes\""]);
    agrees(&place, &settings, "insert into t values (1000, 'x')", 1);
    let rows = crate::keys::holders(&place, "public.t");
    let kept = rows.keys().filter(|it| !it.contains("1000")).count();
    assert_eq!(kept, 200, "{rows:?}");
}

/// The key's columns were nullable, which the bytes of a key tell and its value does not.
#[test]
fn rows_are_told_again_behind_the_deletes_of_their_keys_in_another_form() {
    let place = Place::shared("forms_told");
    let table = |nullable: &str| {
        format!(
            "create table t (id int {nullable}, note text); alter table t replica identity full; {}",
            rows("t", 1, 200)
        )
    };
    place.sql(&table("null"));
    let mut settings = settings(&place);
    settings.table("name = \"public.t\"\nkey = [\"id\"]");
    let mut it = Watched::new(&place, &settings);
    it.reads("public.t");
    let sql = format!("begin; drop table t; {}; commit", table("not null"));
    it.meet(&place, &settings, While::Stopped, &sql);
    it.hears(&["public.t", "told again behind their deletes"]);
    it.hears(&["\"public.t\"", "\"deletes\":200"]);
    agrees(&place, &settings, "insert into t values (1000, 'x')", 1);
    assert_eq!(crate::keys::holders(&place, "public.t").len(), 201);
}
