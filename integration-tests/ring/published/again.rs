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
