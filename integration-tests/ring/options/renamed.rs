//! A column that the options keep back gets another name: while it is followed, while rows of before are still to be read.

use super::changes;
use crate::place::{Place, READY};

#[test]
fn a_column_that_is_renamed_is_kept_back_under_its_new_name() {
    let place = Place::shared("renamed");
    place.sql(
        "create table f (id int primary key, secret text, card text, note text); alter table f replica identity full;
         create table m (id int primary key, secret text); create table other (id int primary key)",
    );
    let table = |name: &str| {
        let excluded = if name == "f" {
            "exclude_columns = [\"card\"]\n"
        } else {
            ""
        };
        format!(
            "name = \"public.{name}\"\n{excluded}mask = [{{ column = \"secret\", with = \"redact\" }}]"
        )
    };
    let mut settings = place.all();
    settings.table(&table("f")).table(&table("m"));
    let mut walferry = place.streaming(&settings);
    place.drain(
        "insert into f values (1, 'hidden', 'hidden', 'a'); insert into m values (1, 'hidden')",
    );
    place.sql(
        "alter table f rename secret to private; alter table f rename card to number;
         insert into f values (2, 'hidden', 'hidden', 'b'); update f set note = 'c' where id = 1;
         begin; alter table m rename secret to private; alter table m add column secret text;
         insert into m values (2, 'hidden', 'hidden'); commit",
    );
    let told = walferry.wait_status("the new name", READY, |it| {
        it.to_string().contains("private")
    });
    assert!(told.to_string().contains("is called"), "{told:#}");
    // What is published goes on to be watched.
    place.sql("create table late (id int primary key); insert into late values (1)");
    walferry.wait_log("\"public.late\"", READY);
    place.drain("insert into other values (1)");
    assert_eq!(
        changes(&place, "public.f"),
        [
            "c [-] [id=1 secret=**** note=a]",
            "c [-] [id=2 private=**** note=b]",
            "u [id=1 private=**** note=a] [id=1 private=**** note=c]",
        ]
    );
    assert_eq!(
        changes(&place, "public.m"),
        [
            "c [-] [id=1 secret=****]",
            "c [-] [id=2 private=**** secret=****]"
        ]
    );
    // The file has the new names, and rows of the old ones are still to be read.
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let (code, text) = place.run_ends(&settings);
    assert!(code == Some(1) && text.contains("\"card\""), "{text}");
    place.sql(
        "insert into f values (3, 'hidden', 'hidden', 'd'); alter table f rename private to secret;
         alter table f rename number to card",
    );
    let _walferry = place.streaming(&settings);
    place.drain("insert into f values (4, 'hidden', 'hidden', 'e')");
    assert_eq!(
        changes(&place, "public.f")[3..],
        [
            "c [-] [id=3 private=**** note=d]",
            "c [-] [id=4 secret=**** note=e]"
        ]
    );
}
