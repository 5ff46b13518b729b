//! Values of every type in every mode, at the edges and at random: what the topics show, decoded with the registry's schemas
//! alone, is what PostgreSQL's own casts say. And enums whose labels change while they are followed.

use serde_json::Value as Json;
use std::time::Duration;

use walferry_stack::Stack;
use walferry_testkit::process::http;
use walferry_trials::values::{Campaign, MODES};

use crate::place::Place;

/// With eight columns or more, 2 000 values of a family.
const ROWS: u64 = 250;
const SEED: u64 = 20_261_126;

/// Follows the families in the modes of these names.
fn hold(modes: &[&str]) {
    let name = format!("values_{}_{}", modes[0], std::process::id());
    let campaign = Campaign::create(Stack::shared().unwrap(), &name, SEED, ROWS).unwrap();
    campaign.fill().unwrap();
    let mut outcomes = Vec::new();
    for modes in MODES.iter().filter(|it| modes.contains(&it.name)) {
        outcomes.extend(campaign.run(modes).unwrap());
    }
    assert!(outcomes.len() >= 5 * modes.len(), "{outcomes:?}");
    for outcome in &outcomes {
        assert!(outcome.compared >= ROWS, "{outcome:?}");
        assert_eq!(outcome.differences, 0, "{outcome:#?}");
    }
}

#[test]
fn the_default_modes_say_what_postgresql_says() {
    hold(&["default"]);
}

#[test]
fn words_say_what_postgresql_says() {
    hold(&["words", "connect"]);
}

#[test]
fn finer_counts_say_what_postgresql_says() {
    hold(&["micro", "micro_times", "nano"]);
}

/// The `allowed` labels of each version of a table's value schema, for the column `m`.
fn allowed(place: &Place) -> Vec<String> {
    let subject = format!(
        "{}/subjects/{}-value/versions",
        place.registry,
        place.topic("public.t")
    );
    let ask = |url: &str| -> Json {
        http::get(url, Duration::from_secs(5))
            .unwrap()
            .json()
            .unwrap()
    };
    let versions = ask(&subject);
    let version = |number: &Json| {
        let schema = ask(&format!("{subject}/{number}"))["schema"]
            .as_str()
            .unwrap()
            .to_owned();
        let schema: Json = serde_json::from_str(&schema).unwrap();
        let field = &schema["fields"][0]["type"][1]["fields"][1];
        field["type"][1]["connect.parameters"]["allowed"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    versions.as_array().unwrap().iter().map(version).collect()
}

#[test]
fn a_label_that_is_added_while_streaming_is_in_the_schema_of_its_first_value() {
    let place = Place::shared("labels");
    place.sql("create type mood as enum ('sad', 'ok'); create table t (id int primary key, m mood, ms mood[])");
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let mut walferry = place.streaming(&settings);
    // The table is looked up with its first change, which has to be before the labels'.
    place.drain("insert into t values (1, 'ok', '{sad}')");
    place.sql("alter type mood add value 'happy' before 'ok'");
    place.sql("insert into t values (2, 'sad', '{ok}'); insert into t values (3, 'happy', '{}')");
    place.drain("insert into t values (4, null, null)");
    assert_eq!(allowed(&place), ["sad,ok", "sad,happy,ok"]);
    // The array's labels are looked up as well; its first value is enough.
    place.sql("alter type mood add value 'merry'");
    place.drain("insert into t values (5, null, '{merry}')");
    assert_eq!(allowed(&place).last().unwrap(), "sad,happy,ok,merry");
    let status = walferry.status().unwrap();
    assert_eq!(status["tables"][0]["changes"], 5, "{status}");
    // A label that has been renamed when its row is read is still the row's.
    walferry.sigterm();
    walferry.wait_exit(crate::place::READY);
    place.sql("insert into t values (6, 'merry', '{merry}')");
    place.sql("alter type mood rename value 'merry' to 'glad'");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (7, 'glad', '{glad}')");
    walferry.wait_status("two changes", crate::place::READY, |it| {
        it["tables"][0]["changes"] == 2
    });
}
