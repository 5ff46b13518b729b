//! Partitioned tables whose leaves are not alike: columns in another order, holes, levels, a default leaf; one leaf or one
//! level followed alone; rows that move with values out of line.

use super::{Followed, audit_agrees, of_op};
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

const TREE: &str = "
create table p (a int primary key, b text, c numeric(6,2), big text) partition by list (a);
create table p1 (c numeric(6,2), junk int, b text, big text, a int not null); alter table p1 drop column junk;
alter table p attach partition p1 for values in (1, 2, 3);
create table p2 partition of p for values in (4, 5, 6) partition by list (a);
create table p2x (big text, b text, a int not null, junk int, c numeric(6,2)); alter table p2x drop column junk;
alter table p2 attach partition p2x for values in (4, 5);
create table p2y partition of p2 for values in (6);
create table pd partition of p default;
alter table p1 alter big set storage external; alter table p2x alter big set storage external;
alter table p2y alter big set storage external; alter table pd alter big set storage external;
insert into p values (1, 'one', 1.5, repeat('1', 5000)), (4, 'four', 4.5, null), (6, 'six', 6.5, 'x'), (9, 'nine', null, repeat('9', 5000))";

const CHANGES: &[&str] = &[
    "insert into p values (2, 'two', 2.25, 'b'), (5, 'five', 5.25, 'b'), (10, 'ten', 10.25, 'b')",
    "insert into p1 (a, b) values (3, 'into the leaf'); insert into p2 (a, b) values (6 - 0, 'x') on conflict do nothing",
    "update p set b = b || '!'",
    "update p set a = 11 where a = 9",
    "update p set a = 4 where a = 10 and not exists (select from p where a = 4)",
    "update p set a = 20 where a = 1",
    "update p set a = 1 where a = 20",
    "update p set a = 3, b = 'moved' where a = 5 and not exists (select from p where a = 3)",
    "delete from p1 where a = 3",
    "update p set a = 3 where a = 6",
    "delete from p where a = 4",
    "copy p (a) from program 'seq 1000 1300'",
    "alter table p drop column b, add column d text default 'dflt', add column b text",
    "insert into p (a, b) values (6, 'new form'), (4, 'new form'), (12, 'new form')",
    "insert into p (a, b, d) values (13, 'aaa', 'bbb')",
    "update p set d = 'set' where a in (3, 6, 11)",
    "update p set a = 14 where a = 6",
    "update p set b = 'end ' || a",
];

fn change(place: &Place) {
    for sql in CHANGES {
        place.sql(sql);
    }
}

#[test]
fn leaves_of_any_shape_are_one_table_under_the_roots_name() {
    for identity in ["default", "full"] {
        let place = Place::shared(&format!("shapes_{identity}"));
        place.sql(TREE);
        for table in ["p", "p1", "p2", "p2x", "p2y", "pd"] {
            place.sql(&format!("alter table {table} replica identity {identity}"));
        }
        let settings = place.all();
        let mut walferry = place.streaming(&settings);
        walferry.wait_status("snapshot", READY, done);
        change(&place);
        place.drain("insert into p (a) values (99)");
        let told = lines(&place, "public.p");
        let mut read: Vec<String> = of_op(&told, "r")
            .iter()
            .map(|line| line.chars().take(34).collect())
            .collect();
        read.sort();
        assert_eq!(
            read,
            [
                "a=1 | - | a=1 b=one c=1.5 big=1111",
                "a=4 | - | a=4 b=four c=4.5 big=nul",
                "a=6 | - | a=6 b=six c=6.5 big=x",
                "a=9 | - | a=9 b=nine c=null big=99",
            ],
            "{identity}"
        );
        let named = |id: u32, part: &str| {
            let begin = format!("c a={id} |");
            let found = told.iter().rfind(|line| line.starts_with(&begin)).unwrap();
            assert!(found.contains(part), "{identity}: {found}");
        };
        // The row that goes to another leaf brings its value out of line with it.
        // Within its leaf a row that takes another key leaves its value out of line where it is.
        let kept = match identity {
            "full" => "9".repeat(40),
            _ => "(unchanged)".to_owned(),
        };
        named(11, &format!("a=11 b=nine! c=null big={kept}"));
        named(20, &format!("a=20 b=one! c=1.5 big={}", "1".repeat(40)));
        named(12, "a=12 c=null big=null d=dflt b=new form");
        named(13, "d=bbb b=aaa");
        audit_agrees(&place, &settings);
    }
}

#[test]
fn leaves_of_any_shape_are_streams_of_their_own() {
    let place = Place::shared("shapes_leaf");
    let leaves = ["public.p1", "public.p2x", "public.p2y", "public.pd"];
    place.sql(TREE);
    let mut checker = place.checker(&leaves);
    checker.rules.start = walferry_testkit::checker::Start::SnapshotUnchecked;
    let mut settings = place.all();
    settings.set_text("source.partitions", "leaf");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    change(&place);
    place.drain("insert into p (a) values (99)");
    checker.verdict().unwrap().assert_clean(30);
    audit_agrees(&place, &settings);
}

#[test]
fn some_leaves_are_followed_and_the_others_are_not() {
    let place = Place::shared("some_leaves");
    place.sql(TREE);
    let mut settings = place.settings(&["public.p1", "public.pd"]);
    settings.set_text("source.partitions", "leaf");
    let mut checker = place.checker(&["public.p1", "public.pd"]);
    checker.rules.start = walferry_testkit::checker::Start::SnapshotUnchecked;
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    change(&place);
    place.drain("update p set d = 'end' where a = 2");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    let told = lines(&place, "public.p1");
    assert!(
        told.iter().any(|line| line.starts_with("d a=1 |")),
        "{told:?}"
    );
    for table in ["public.p", "public.p2x", "public.p2y"] {
        assert_eq!(lines(&place, table), [""; 0], "{table} is not followed");
    }
    audit_agrees(&place, &settings);
}

#[test]
fn a_leaf_that_goes_and_comes_in_another_shape_is_told_in_the_roots_shape() {
    let it = Followed::new("reshaped", TREE, &[]);
    it.run(&[
        "insert into p values (2, 'two', 2.25, 'b')",
        "begin; delete from p1; alter table p detach partition p1; alter table p1 drop column b, add column b text;
         alter table p attach partition p1 for values in (1, 2, 3); commit",
        "insert into p values (3, 'three', 3.25, 'c')",
        "update p set b = 'changed' where a = 3",
        "alter table p add column last int default 5",
        "insert into p values (1, 'again', 1.25, 'd')",
    ]);
    it.place.drain("update p set last = 6 where a = 3");
    let told = it.lines("public.p");
    let gone = "b=null c=null big=null | -";
    assert_eq!(
        of_op(&told, "d"),
        [format!("a=1 | a=1 {gone}"), format!("a=2 | a=2 {gone}")]
    );
    assert_eq!(
        told[told.len() - 4..],
        [
            "c a=3 | - | a=3 b=three c=3.25 big=c",
            "u a=3 | - | a=3 b=changed c=3.25 big=c",
            "c a=1 | - | a=1 b=again c=1.25 big=d last=5",
            "u a=3 | - | a=3 b=changed c=3.25 big=c last=6",
        ]
    );
}
