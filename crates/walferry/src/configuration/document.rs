//! `docs/CONFIG.md`, from the keys themselves.

use super::{file, reload::RELOADED};

const HEAD: &str = "# Configuration

Written by `cargo xtask docs` from the code; do not edit. One TOML file per connector. Any key can be overridden by an
environment variable: `WALFERRY_` + path in capitals with `__` between levels (`WALFERRY_KAFKA__BROKERS`). Sizes are a
number of bytes or a text with a unit (`\"16 MiB\"`). Secrets are `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or a text; they
are read again at each use, so rotation needs no restart. An unknown key, a duplicate and a wrong unit are errors.

`SIGHUP` has `walferry run` read its files again. These keys are put in force while it runs, without a pause of the stream:
";

const FOOT: &str = "A table that is added arrives with its history. A table that is taken out is not published any more; the publication keeps
it. One that is put back is read again, and what has gone from it meanwhile is deleted from its topic. When any other key has changed, a warning in the log names it, and all of the old configuration stays in force until
the next start. So it does when a file cannot be read or the tables cannot be followed.
";

/// The text of `docs/CONFIG.md`.
pub(crate) fn document() -> String {
    let mut text = HEAD.to_owned();
    let reloaded: Vec<String> = RELOADED.iter().map(|key| format!("`{key}`")).collect();
    text.push_str(&format!(
        "{}, and a `[[table]]` of a table that was not followed before.\n{FOOT}",
        reloaded.join(", ")
    ));
    let mut section = None;
    for key in file::keys() {
        if section != Some(key.section) {
            section = Some(key.section);
            let title = match key.section {
                "" => "At the top".to_owned(),
                "table" => "`[[table]]`".to_owned(),
                name => format!("`[{name}]`"),
            };
            text.push_str(&format!(
                "\n## {title}\n\n| key | default | meaning | override |\n|---|---|---|---|\n"
            ));
        }
        let name = key.name.trim_start_matches("r#");
        let path = if key.section.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", key.section)
        };
        let variable = match key.section {
            "table" => "–".to_owned(),
            _ => format!("`WALFERRY_{}`", path.to_uppercase().replace('.', "__")),
        };
        text.push_str(&format!(
            "| `{name}` | {} | {} | {variable} |\n",
            key.default, key.help
        ));
    }
    text
}
