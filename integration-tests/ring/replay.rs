//! Dead letters are published once when what kept them back is mended.

use std::collections::BTreeMap;

use apache_avro::types::Value as Avro;
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::Reader;

use crate::kafka::configure;
use crate::place::{Place, READY, told};
use crate::records::{columns, read, schemas};
use crate::schemas::allow;

/// Exit code and standard output of a replay.
fn replay(place: &Place, settings: &Settings, arguments: &[&str]) -> (Option<i32>, String) {
    let path = settings.write(&place.folder).unwrap();
    told(&[&["replay", "-c", path.to_str().unwrap()], arguments].concat())
}

#[test]
fn letters_are_published_once_beside_the_connector_when_their_schema_is_allowed() {
    let place = Place::shared("replay");
    place.sql("create table t (id int primary key, note text); create table beside (id int)");
    let mut settings = place.lettered();
    settings.without_identity(&["public.beside"]);
    let checker = place.checker(&["public.t", "public.beside"]);
    let mut walferry = place.streaming(&settings);
    let none = (Some(0), "no dead letter waits\n".to_owned());
    assert_eq!(replay(&place, &settings, &[]), none);
    place.drain("insert into t values (1, 'a')");
    allow(&place, "FULL");
    place.sql(
        "alter table t alter column note type int using 1; insert into t values (2, 2);
         update t set note = 3; update t set id = 7 where id = 1; delete from t where id = 2; truncate t",
    );
    place.drain("insert into beside values (1)");
    walferry.wait_status("letters", READY, |it| it["dead_letters"] == 6);

    let (code, text) = replay(&place, &settings, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("public.t: 0 replayed, 6 waiting: "), "{text}");
    // The change of a key is two events.
    assert_eq!(checker.verdict().unwrap().lost, 7);
    allow(&place, "NONE");
    let other = replay(&place, &settings, &["--table", "public.beside"]);
    assert_eq!(other, none);
    let done = (Some(0), "public.t: 6 replayed\n".to_owned());
    assert_eq!(replay(&place, &settings, &[]), done);
    assert_eq!(replay(&place, &settings, &[]), none);
    // Letters of another topic have places of their own.
    settings.set_text("errors.dead_letter_topic", "none.such");
    assert_eq!(replay(&place, &settings, &[]), none);
    let report = checker.verdict().unwrap();
    assert_eq!(
        (report.lost, report.doubled, report.reordered),
        (0, 0, 0),
        "{report}"
    );
    assert_eq!(report.faults(), 0, "{report}");
    assert_eq!(walferry.exited(), None);
}

#[test]
fn a_replay_that_is_killed_goes_on_and_masks_stay_what_they_were() {
    let place = Place::shared("replay_killed");
    place.sql("create table t (id int primary key, n numeric(9, 2), secret text)");
    let mut settings = place.lettered();
    settings.table(
        "name = \"public.t\"\nmask = [{ column = \"secret\", with = \"sha256\", salt = \"s\" }]",
    );
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (0, 1, 'x')");
    place.sql("insert into t select g, 'NaN', 'x' from generate_series(1, 20000) g");
    walferry.wait_status("letters", READY, |it| it["dead_letters"] == 20_000);
    walferry.sigterm();
    walferry.wait_exit(READY);

    allow(&place, "NONE");
    settings
        .set_text("format.decimal", "string")
        .set_text("publish.batch_bytes_max", "64 KiB");
    let path = settings.write(&place.folder).unwrap();
    let arguments = ["replay", "-c", path.to_str().unwrap()];
    // Each is killed in the middle, when it has published some.
    let published = Reader::open(&place.brokers, &[place.topic("public.t")]).unwrap();
    for some in (100..=800).step_by(100) {
        let mut killed = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
        for _ in 0..some {
            let record = published.next(READY).unwrap();
            assert!(record.is_some(), "nothing: {}", killed.log_tail());
        }
        killed.kill9();
    }
    let (code, text) = replay(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{text}");

    let mut schemas = schemas(&place);
    let mut secrets: BTreeMap<i32, Vec<Avro>> = BTreeMap::new();
    for record in read(&place, "public.t") {
        let Avro::Int(id) = schemas.decode(&record.key.unwrap())["id"] else {
            panic!("id is an int")
        };
        let value = schemas.decode(&record.value.unwrap());
        let secret = columns(&value["after"])
            .iter()
            .find(|(name, _)| name == "secret");
        let secrets = secrets.entry(id).or_default();
        secrets.push(secret.unwrap().1.clone());
    }
    assert_eq!(secrets.len(), 20_001);
    let first = secrets[&0].clone();
    assert!(
        secrets.values().all(|it| *it == first),
        "each once, each masked once"
    );
}

/// As the stream does with a change: what a topic takes is what its broker takes, compressed.
#[test]
fn a_large_letter_is_replayed_when_its_topic_takes_it_and_waits_alone_when_it_does_not() {
    let place = Place::shared("replay_large");
    place.sql("create table t (id int primary key, n int, note text)");
    let settings = place.lettered();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (0, 0, 'a')");
    allow(&place, "FULL");
    // Large until it is compressed; small; 1.6 MB of which no codec makes less; small.
    place.sql(
        "alter table t alter column n type text using n::text;
         insert into t values (1, 'x', repeat('n', 3000000)), (2, 'x', 'small');
         insert into t select 3, 'x', string_agg(md5(i::text || random()::text), '')
         from generate_series(1, 100000) i;
         insert into t values (4, 'x', 'small')",
    );
    walferry.wait_status("letters", READY, |it| it["dead_letters"] == 4);
    allow(&place, "NONE");
    let ids = |place: &Place| {
        let mut schemas = schemas(place);
        let keys = read(place, "public.t").into_iter().map(|record| {
            let Avro::Int(id) = schemas.decode(&record.key.unwrap())["id"] else {
                panic!("id is an int")
            };
            id
        });
        keys.collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let (code, text) = replay(&place, &settings, &[]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("2 waiting: a record of 32"), "{text}");
        assert!(text.contains("max.message.bytes"), "{text}");
        assert_eq!(ids(&place), [0, 1, 2], "{text}");
    }
    configure(
        &place,
        &place.topic("public.t"),
        "max.message.bytes",
        "10000000",
    );
    let done = (Some(0), "public.t: 2 replayed\n".to_owned());
    assert_eq!(replay(&place, &settings, &[]), done);
    assert_eq!(ids(&place), [0, 1, 2, 3, 4]);
    assert_eq!(walferry.exited(), None);
}
