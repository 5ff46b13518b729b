//! Each failure has a code: in the message, the log, `/readyz` and `/status`; `explain` and docs/ERRORS.md know each that the source has.

use std::path::Path;

use serde_json::Value as Json;
use walferry_stack::Port;

use crate::place::{Place, READY, told};

/// The code behind a message.
pub(crate) fn code_of(text: &str) -> Option<&str> {
    let (_, tag) = text.rsplit_once("[WF")?;
    let code = &text[text.len() - tag.len() - 2..][..6];
    code[2..]
        .bytes()
        .all(|it| it.is_ascii_digit())
        .then_some(code)
}

/// The source of the crates, but for the table of codes.
fn source(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("code") {
            source(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn explain_knows_each_code_of_the_source_and_no_other() {
    let (exit, list) = told(&["explain", "--json"]);
    assert_eq!(exit, Some(0), "{list}");
    let list: Vec<Json> = serde_json::from_str(&list).unwrap();
    assert!(list.len() > 70, "{list:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documented = std::fs::read_to_string(root.join("docs/ERRORS.md")).unwrap();
    let mut text = String::new();
    source(&root.join("crates"), &mut text);
    let table = root.join("crates/walferry-event/src/code/table.rs");
    let table = std::fs::read_to_string(table).unwrap();
    for it in &list {
        let [code, cause, remedy] =
            ["code", "cause", "remedy"].map(|key| it[key].as_str().unwrap());
        let number: u32 = code[2..].parse().unwrap();
        let row = table
            .lines()
            .find_map(|line| line.trim().strip_prefix(&format!("{number} ")));
        let name = row.unwrap().split(' ').next().unwrap();
        assert!(
            text.contains(&format!("Code::{name}")),
            "{code} {name} is given nowhere"
        );
        for part in [cause, remedy] {
            assert!(documented.contains(part), "{code}: {part}");
        }
        let (exit, one) = told(&["explain", &code.to_lowercase()]);
        assert_eq!(exit, Some(0), "{one}");
        assert!(
            one.contains(code) && one.contains(cause) && one.contains(remedy),
            "{one}"
        );
    }
    let (exit, one) = told(&["explain", "WF9999"]);
    assert_eq!((exit, code_of(&one)), (Some(2), Some("WF0002")), "{one}");
}

#[test]
fn what_is_waited_for_has_its_code_wherever_it_is_told() {
    let place = Place::shared("codes");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    let nobody = Port::reserve().unwrap();
    let url = format!("http://127.0.0.1:{}", nobody.number());
    settings.set_text("registry.url", &url);
    let mut walferry = place.start(&settings);
    let ready = walferry.wait_not_ready("[WF0602]", READY);
    let status = walferry.status().unwrap();
    assert_eq!(status["code"], "WF0602", "{ready} {status:#}");
    let line = walferry.wait_log("\"code\":\"WF0602\"", READY);
    assert_eq!(code_of(&line), Some("WF0602"), "{line}");
}
