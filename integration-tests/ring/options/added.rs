//! A column that comes while others of its table are kept back: the publication's list of columns does not have it.

use walferry_stack::test_postgres_major;

use super::changes;
use crate::audit::audit;
use crate::place::{Place, READY};

#[test]
fn a_column_that_comes_beside_one_that_is_kept_back_is_published() {
    if test_postgres_major() < 15 {
        // Without column lists everything is published, and left out here.
        return;
    }
    let place = Place::shared("added");
    place.sql("create table t (id int primary key, secret text)");
    let mut settings = place.all();
    settings
        .set("source.heartbeat_ms", "200")
        .table("name = \"public.t\"\nexclude_columns = [\"secret\"]");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1, 'hidden')");
    place.sql("alter table t add column note text; insert into t values (2, 'hidden', 'a')");
    walferry.wait_log("or other columns or rows of it are published", READY);
    walferry.wait_log("the table is complete again", READY);
    place.drain("insert into t values (3, 'hidden', 'b')");
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    let all = changes(&place, "public.t").join("\n");
    assert!(all.contains("note=a") && !all.contains("hidden"), "{all}");
    // While it is stopped, too.
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql("alter table t add column more text default 'x'; insert into t values (4, 'hidden', 'c', 'y')");
    let mut walferry = place.streaming(&settings);
    walferry.wait_log("the table is complete again", READY);
    place.drain("update t set more = 'z' where id = 1");
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
}
