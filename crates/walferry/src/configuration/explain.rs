//! The words for a file that cannot be read: where, which key, what would be right.
//!
//! Invariant: no value of the file is repeated, which may be a secret in a wrong place.

/// `file:line: key: what is wrong`, with the nearest known key when one is unknown.
pub(super) fn explain(text: &str, place: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line_number = text[..start].matches('\n').count() + 1;
    let line = text.lines().nth(line_number - 1).unwrap_or_default();
    let key = match line.split_once('=') {
        Some((key, _)) if is_key(key.trim()) => format!("{}: ", key.trim()),
        _ => String::new(),
    };
    let number = match key.ends_with("_ms: ") {
        true => "a number of milliseconds",
        false => "a whole number",
    };
    let mut message = with_nearest(&without_text(error.message()));
    for name in ["u64", "u32", "i32"] {
        message = message.replace(&format!("expected {name}"), &format!("expected {number}"));
    }
    message = message.replace("expected a sequence", "expected a list");
    // A dot in a key goes down a level, and the names of Kafka's settings have dots.
    let dotted = key.trim_end_matches(": ");
    if message.starts_with("unknown key") && dotted.contains('.') && !dotted.contains(['"', '\'']) {
        message.push_str(&format!(
            "; where {dotted} is the name of a setting of Kafka's, put it in quotes: \"{dotted}\""
        ));
    }
    format!("{place}:{line_number}: {key}{message}")
}

/// Whether what is before a `=` is a key, and not a part of a value.
fn is_key(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    text.chars().all(allowed)
}

/// The message without the text that stands where another type is expected: it may be a secret in a wrong place.
pub(super) fn without_text(message: &str) -> String {
    const BEGIN: &str = "string \"";
    const END: &str = "\", expected";
    match (message.find(BEGIN), message.rfind(END)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}a text{}", &message[..from], &message[to + 1..])
        }
        _ => message.to_owned(),
    }
}

/// Adds the nearest known name to serde's "unknown field".
pub(super) fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some(unknown), true) = (quoted.next(), message.starts_with("unknown field")) else {
        return message.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    let nearest = known
        .iter()
        .max_by(|a, b| {
            let near = |known: &str| strsim::jaro_winkler(unknown, known);
            near(a).total_cmp(&near(b))
        })
        .copied();
    match nearest {
        Some(nearest) => format!(
            "unknown key {unknown:?}; did you mean {nearest:?}? The keys here are {}",
            known.join(", ")
        ),
        None => format!("unknown key {unknown:?}"),
    }
}
