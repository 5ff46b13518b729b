//! Old rows of partitioned tables: the marker in the stream is the partitioned table's, the old row is the leaf's.

use walferry_testkit::process::Settings;

use crate::changes::{follow, lines};
use crate::place::{Place, told};

fn check(place: &Place, settings: &Settings) -> String {
    let path = settings.write(&place.folder).unwrap();
    told(&["check", "-c", path.to_str().unwrap()]).1
}

#[test]
fn an_old_row_is_judged_by_the_leaf_that_wrote_it() {
    let place = Place::shared("old_rows");
    // The table's identity and that of the first leaf; the second has the table's own.
    for (name, root, leaf) in [
        ("whole", "full", "default"),
        ("own", "default", "full"),
        ("same", "full", "full"),
    ] {
        place.sql(&format!(
            "create table {name} (id int primary key, a text, n int not null) partition by range (id);
             alter table {name} alter a set storage external;
             create table {name}_1 partition of {name} for values from (0) to (100);
             alter table {name}_1 alter a set storage external;
             create table {name}_2 partition of {name} default;
             alter table {name} replica identity {root}; alter table {name}_2 replica identity {root};
             alter table {name}_1 replica identity {leaf}"
        ));
    }
    let mut settings = place.all();
    assert!(check(&place, &settings).contains("replica identity of its partition public.whole_1"));
    let _walferry = follow(&place, &mut settings);
    for name in ["whole", "own", "same"] {
        place.sql(&format!(
            "insert into {name} values (1, repeat('t', 9000), 1)"
        ));
        place.sql(&format!("update {name} set id = 2"));
        place.sql(&format!("update {name} set n = 3"));
        place.sql(&format!("update {name} set a = null"));
        place.sql(&format!("delete from {name}"));
    }
    place.drain("insert into whole values (200, 'second', 1); delete from whole where id = 200");
    let text = format!("{}…", "t".repeat(40));
    let told = lines(&place, "public.whole");
    // The leaf's old rows hold the key alone, and nothing is made up for what they do not hold.
    assert_eq!(
        told[1..],
        [
            "d id=1 | id=1 a=null n=0 | -",
            "- id=1",
            "c id=2 | - | id=2 a=(unchanged) n=1",
            "u id=2 | - | id=2 a=(unchanged) n=3",
            "u id=2 | - | id=2 a=null n=3",
            "d id=2 | id=2 a=null n=0 | -",
            "- id=2",
            "c id=200 | - | id=200 a=second n=1",
            "d id=200 | id=200 a=second n=1 | -",
            "- id=200",
        ]
    );
    for name in ["own", "same"] {
        let told = lines(&place, &format!("public.{name}"));
        assert_eq!(
            told[1..],
            [
                format!("d id=1 | id=1 a={text} n=1 | -"),
                "- id=1".to_owned(),
                format!("c id=2 | - | id=2 a={text} n=1"),
                format!("u id=2 | id=2 a={text} n=1 | id=2 a={text} n=3"),
                format!("u id=2 | id=2 a={text} n=3 | id=2 a=null n=3"),
                "d id=2 | id=2 a=null n=3 | -".to_owned(),
                "- id=2".to_owned(),
            ],
            "{name}"
        );
    }
}

#[test]
fn a_change_whose_row_the_leaf_does_not_name_follows_the_policy() {
    let place = Place::shared("old_rows_other");
    place.sql(
        "create table p (id int primary key, alt int not null, v text) partition by range (id);
         create table p_1 partition of p for values from (0) to (100);
         create table p_2 partition of p default;
         create unique index p_1_alt on p_1 (alt); alter table p_1 replica identity using index p_1_alt",
    );
    let mut settings = place.lettered();
    let checked = check(&place, &settings);
    assert!(
        checked.contains("partition public.p_1") && checked.contains("REPLICA IDENTITY DEFAULT"),
        "{checked}"
    );
    let walferry = follow(&place, &mut settings);
    place.sql("insert into p values (1, 10, 'a'), (2, 20, 'b'), (200, 30, 'c')");
    place.sql("update p set id = 3 where id = 1");
    place.sql("delete from p where id = 2");
    place.drain("delete from p where id = 200");
    let told = lines(&place, "public.p");
    assert_eq!(
        told,
        [
            "c id=1 | - | id=1 alt=10 v=a",
            "c id=2 | - | id=2 alt=20 v=b",
            "c id=200 | - | id=200 alt=30 v=c",
            "d id=200 | id=200 alt=0 v=null | -",
            "- id=200",
        ]
    );
    assert_eq!(walferry.status().unwrap()["dead_letters"], 2);
}
