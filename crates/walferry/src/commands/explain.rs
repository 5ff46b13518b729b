//! `walferry explain`: cause and remedy of an error code, and the same for all of them as docs/ERRORS.md.

use serde_json::{Value as Json, json};
use walferry_event::{AREAS, Code, Entry};

use crate::{Failure, print, runbooks};

/// One code, or the list of all.
pub(crate) fn run(code: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let codes = match code {
        None => Code::ALL,
        Some(text) => &[text
            .parse()
            .map_err(|error: walferry_event::UnknownCode| Failure::usage(&error.into()))?],
    };
    let text = match (as_json, code) {
        (true, _) => {
            let all: Vec<Json> = codes.iter().map(|it| object(*it)).collect();
            // One code is one object, so that a script need not know of lists.
            let value = match (code, all.as_slice()) {
                (Some(_), [one]) => one.clone(),
                _ => Json::Array(all),
            };
            format!("{value:#}\n")
        }
        (false, Some(_)) => codes.iter().map(|it| told(*it)).collect(),
        (false, None) => list(),
    };
    print(text.as_bytes())
}

/// One code as JSON, also for the page.
pub(crate) fn object(code: Code) -> Json {
    let Entry {
        title,
        cause,
        remedy,
    } = code.entry();
    json!({
        "code": code.to_string(), "area": code.area(), "title": title, "cause": cause, "remedy": remedy,
        "runbook": format!("/runbooks/{}", runbooks::of(code)),
    })
}

fn told(code: Code) -> String {
    let Entry {
        title,
        cause,
        remedy,
    } = code.entry();
    format!(
        "{code}  {title}\n\nArea    {}\nCause   {cause}\nRemedy  {remedy}\n",
        code.area()
    )
}

fn in_area(area: u16) -> impl Iterator<Item = Code> {
    let all = Code::ALL.iter().copied();
    all.filter(move |it| it.number() / 100 == area)
}

fn list() -> String {
    let mut text = String::new();
    for (area, name) in AREAS {
        text.push_str(name);
        text.push('\n');
        for code in in_area(*area) {
            text.push_str(&format!("  {code}  {}\n", code.entry().title));
        }
    }
    text
}

/// The text of docs/ERRORS.md.
pub(crate) fn document() -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask docs` from the table of codes. -->\n# Errors\n\nEvery failure that an operator meets carries one \
         of these codes: behind its message, as `code` in a JSON log line, and in `/status` and `/readyz`. A code keeps its meaning \
         for good. `walferry explain WF0806` prints one of them.\n",
    );
    for (area, name) in AREAS {
        text.push_str(&format!("\n## {name}\n"));
        for code in in_area(*area) {
            let Entry {
                title,
                cause,
                remedy,
            } = code.entry();
            text.push_str(&format!(
                "\n### {code} {title}\n\n{cause}\n\n**Remedy.** {remedy}\n"
            ));
        }
    }
    text
}
