//! Texts: databases of other encodings, collations for which different texts are equal, keys that change their case.

use walferry_testkit::checker::Session;

use super::audit_agrees;
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

#[test]
fn databases_of_other_encodings_are_told_in_utf_8() {
    for (encoding, text) in [
        ("LATIN1", "Ärger über ÿ"),
        ("EUC_JP", "日本語カナ"),
        ("WIN1251", "Привет, №1"),
        ("LATIN9", "€ Š œ"),
    ] {
        let mut place = Place::shared(&format!("enc_{}", encoding.to_lowercase()));
        let name = format!("{}_other", place.name);
        place.sql(&format!(
            "create database {name} encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
        ));
        let (server, _) = place.url.rsplit_once('/').unwrap();
        place.url = format!("{server}/{name}");
        let word = text.split([' ', ',']).next().unwrap();
        place.sql(&format!(
            "create table t (name text primary key, \"{word}\" text, c char(20), j jsonb);
             create table \"{word}\" (id int primary key);
             insert into t select '{text} ' || i, '{text}', '{text}', jsonb_build_object('{word}', '{text}')
               from generate_series(1, 30) i; insert into \"{word}\" values (1)"
        ));
        let mut settings = place.all();
        settings.set("snapshot.chunk_rows", "7");
        let mut walferry = place.streaming(&settings);
        walferry.wait_status("snapshot", READY, done);
        place.sql(&format!(
            "insert into t values ('{text}', '{text}', null, null); update t set name = 'new {text}' where name = '{text} 1';
             insert into \"{word}\" values (2)"
        ));
        place.drain(&format!("delete from t where name = '{text} 2'"));
        let told = lines(&place, "public.t");
        assert_eq!(told.len(), 36, "{encoding}: {told:?}");
        assert!(told[0].contains(text), "{encoding}: {told:?}");
        assert!(
            told[30].starts_with(&format!("c name={text} | - | name={text} ")),
            "{encoding}: {told:?}"
        );
        assert_eq!(
            told[31],
            format!(
                "d name={text} 1 | name={text} 1 {}=null c=null j=null | -",
                field(word)
            )
        );
        assert_eq!(told[35], format!("- name={text} 2"));
        audit_agrees(&place, &settings);
    }
}

/// A column's name as Avro has it.
fn field(word: &str) -> String {
    word.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

#[test]
fn keys_that_only_change_their_case_are_other_keys_in_the_topic() {
    let place = Place::shared("case");
    let icu =
        "create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let mut tables = vec!["cit"];
    place.sql("create extension citext; create table cit (name citext primary key, n int)");
    if Session::connect(&place.url).unwrap().execute(icu).is_ok() {
        place.sql("create table loose (name text collate ci primary key, n int)");
        tables.push("loose");
    }
    for table in &tables {
        place.sql(&format!(
            "insert into {table} select chr(i) || case when i % 2 = 0 then 'X' else 'x' end, i from generate_series(65, 90) i"
        ));
    }
    let mut settings = place.all();
    settings
        .set("snapshot.chunk_rows", "4")
        .set("snapshot.while_streaming", "true");
    let mut walferry = place.streaming(&settings);
    for table in &tables {
        // Some come while it is read, some after it.
        place.sql(&format!(
            "update {table} set name = lower(name) where n in (65, 70, 75)"
        ));
    }
    walferry.wait_status("snapshot", READY, done);
    for table in &tables {
        place.sql(&format!(
            "update {table} set name = upper(name) where n = 66; update {table} set name = lower(name) where n = 80;
             insert into {table} values ('bX', 0) on conflict (name) do update set n = 1000;
             insert into {table} values ('CX', 0) on conflict (name) do update set name = excluded.name;
             delete from {table} where name = 'dx'"
        ));
    }
    place.drain("insert into cit values ('last')");
    for table in &tables {
        let told = lines(&place, &format!("public.{table}"));
        let tail: Vec<&String> = told
            .iter()
            .rev()
            .filter(|line| !line.contains("name=last"))
            .take(12)
            .collect();
        let has = |line: &str| {
            assert!(
                told.iter().any(|it| it == line),
                "{table}: no {line}: {tail:?}"
            )
        };
        has("d name=PX | name=PX n=null | -");
        has("- name=PX");
        has("c name=px | - | name=px n=80");
        has("d name=Cx | name=Cx n=null | -");
        has("c name=CX | - | name=CX n=67");
        has("d name=DX | name=DX n=null | -");
        // Written the same again, it is the same key.
        assert!(
            !told.iter().any(|it| it == "d name=BX | name=BX n=null | -"),
            "{table}: {tail:?}"
        );
    }
    audit_agrees(&place, &settings);
}
