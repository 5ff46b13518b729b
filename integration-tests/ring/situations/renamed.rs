//! Keys that are less than their index, and tables that have another name by the time they are read.

use super::audit_agrees;
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

#[test]
fn columns_that_an_index_only_carries_are_no_part_of_the_key() {
    let place = Place::shared("carried");
    place.sql(
        "create table p (a int, b text, c text, primary key (a) include (b)); insert into p values (1, 'b', 'c'), (2, 'b', 'c')",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    for sql in [
        "insert into p values (3, 'b', 'c')",
        "update p set b = 'other' where a = 1",
        "update p set a = 10 where a = 2",
        "delete from p where a = 1",
    ] {
        place.sql(sql);
    }
    place.drain("insert into p values (4)");
    assert_eq!(
        lines(&place, "public.p"),
        [
            "r a=1 | - | a=1 b=b c=c",
            "r a=2 | - | a=2 b=b c=c",
            "c a=3 | - | a=3 b=b c=c",
            "u a=1 | - | a=1 b=other c=c",
            "d a=2 | a=2 b=null c=null | -",
            "- a=2",
            "c a=10 | - | a=10 b=b c=c",
            "d a=1 | a=1 b=null c=null | -",
            "- a=1",
            "c a=4 | - | a=4 b=null c=null",
        ]
    );
    audit_agrees(&place, &settings);
}
