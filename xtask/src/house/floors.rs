//! The rooms of the pipeline stand on floors, and each imports only what stands below it.
//!
//! Owns: the table of floors. Invariant: a room that is not in it is a fault.

use super::Finding;
use super::circles::Imports;

/// The crate that has rooms.
const PIPELINE: &str = "crates/walferry-pipeline";

/// A floor: rooms, and whether they may know each other.
struct Floor {
    rooms: &'static [&'static str],
    acquainted: bool,
}

const fn floor(rooms: &'static [&'static str], acquainted: bool) -> Floor {
    Floor { rooms, acquainted }
}

/// From the bottom. Above the top stands `walferry-operations`, a crate of its own: cargo keeps it there.
const FLOORS: &[Floor] = &[
    floor(
        &["blocking", "error", "clock", "kept", "sorter", "retry"],
        true,
    ),
    floor(&["config"], false),
    floor(&["position"], false),
    floor(&["tables"], false),
    floor(&["status"], false),
    floor(&["encode"], false),
    // What is published observes nothing, and what observes the stream publishes nothing.
    floor(&["publish", "snapshot"], false),
    floor(&["connector"], false),
];

/// Every import that runs up a floor, or across one.
pub(super) fn examine(imports: &Imports) -> Vec<Finding> {
    let mut findings = Vec::new();
    for import in imports.by_crate.get(PIPELINE).into_iter().flatten() {
        let (Some(from), Some(to)) = (room(&import.from), room(&import.to)) else {
            continue;
        };
        if from == to {
            continue;
        }
        let (Some(above), Some(below)) = (floor_of(from), floor_of(to)) else {
            let missing = if floor_of(from).is_none() { from } else { to };
            findings.push(Finding::fault(
                &import.from,
                format!("`{missing}` has no floor in the table of the pipeline's rooms"),
            ));
            continue;
        };
        if below < above || below == above && FLOORS[above].acquainted {
            continue;
        }
        findings.push(Finding::fault(
            &import.from,
            format!(
                "`{from}` stands below `{to}` or beside it and may not import {}; see docs/ARCHITECTURE.md",
                import.name
            ),
        ));
    }
    findings
}

/// The room of a file of the crate's library; its root is the door to all of them.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(PIPELINE)?.strip_prefix("/src/")?;
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    (first != "lib").then_some(first)
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.rooms.contains(&room))
}

#[cfg(test)]
mod tests {
    use super::super::{Source, Tree};
    use super::*;

    /// Findings about a pipeline in which one room imports from another.
    fn found(from: &str, to: &str) -> Vec<Finding> {
        let source = |path: String, text: String| Source { path, text };
        let tree = Tree(vec![
            source(format!("{PIPELINE}/Cargo.toml"), "[package]\n".into()),
            source(
                format!("{PIPELINE}/src/lib.rs"),
                format!("mod {from};\nmod {to};\npub use {to}::Thing;\n"),
            ),
            source(
                format!("{PIPELINE}/src/{from}.rs"),
                "mod inner;\n".to_owned(),
            ),
            source(
                format!("{PIPELINE}/src/{from}/inner.rs"),
                // Through the crate's root, which gives it on.
                "use crate::Thing;\nfn f(_: Thing) {}\n".to_owned(),
            ),
            source(
                format!("{PIPELINE}/src/{to}.rs"),
                "pub struct Thing;\n".into(),
            ),
        ]);
        examine(&Imports::of(&tree))
    }

    #[test]
    fn an_import_runs_down_and_never_up_or_across() {
        assert_eq!(found("connector", "publish"), []);
        assert_eq!(found("encode", "error"), []);
        assert_eq!(found("sorter", "error"), []);
        let up = found("config", "connector");
        assert_eq!(
            up[0].to_string(),
            "error: crates/walferry-pipeline/src/config/inner.rs: `config` stands below `connector` or beside it and may not \
             import crate::Thing; see docs/ARCHITECTURE.md"
        );
        assert_eq!(found("publish", "snapshot").len(), 1);
        assert_eq!(found("snapshot", "publish").len(), 1);
    }

    #[test]
    fn a_room_needs_a_floor() {
        assert!(
            found("attic", "error")[0]
                .to_string()
                .contains("`attic` has no floor")
        );
    }
}
