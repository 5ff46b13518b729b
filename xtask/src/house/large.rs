//! No type is too large to be seen at once: at most twelve fields, and at most two files that say what it does.
//!
//! Owns: both limits, and who may be larger and why. A file's size is kept by taking a type out, not by a second `impl` elsewhere.
//! Invariants: what is still to be taken apart only shrinks, since its excuse holds for no more than it says; an excuse that is not needed
//! any more is gone.

use std::cmp::Ordering;

use super::Finding;
use super::modules::Type;

const FIELDS_MAX: usize = 12;
const FILES_MAX: usize = 2;

/// What its reason does not bound.
const ANY: usize = usize::MAX;

/// A type that is larger, how large, and why it may be.
struct Excuse {
    /// The file that defines it.
    file: &'static str,
    name: &'static str,
    fields: usize,
    files: usize,
    why: &'static str,
}

const fn excuse(
    file: &'static str,
    name: &'static str,
    fields: usize,
    files: usize,
    why: &'static str,
) -> Excuse {
    Excuse {
        file,
        name,
        fields,
        files,
        why,
    }
}

const CONFIGURATION: &str = "configuration: a field for each setting";
const RECORD: &str = "a record as others read it: a field for each of its own";
const FIGURES: &str = "figures that nobody changes: a field for each";
const QUESTIONS: &str = "a session that is asked, with nothing of its own to keep right: a file for each kind of question";
const APART: &str = "still to be taken apart";

const EXCUSES: &[Excuse] = &[
    excuse(
        "crates/walferry-pipeline/src/config.rs",
        "Config",
        ANY,
        1,
        CONFIGURATION,
    ),
    excuse(
        "crates/walferry-kafka/src/config.rs",
        "Config",
        ANY,
        2,
        CONFIGURATION,
    ),
    excuse(
        "crates/walferry-kafka/src/checkpoint.rs",
        "Checkpoint",
        ANY,
        1,
        RECORD,
    ),
    excuse(
        "crates/walferry-operations/src/audit/report.rs",
        "TableAudit",
        ANY,
        1,
        RECORD,
    ),
    excuse(
        "crates/walferry-operations/src/estimate/forecast.rs",
        "Measured",
        ANY,
        0,
        FIGURES,
    ),
    excuse(
        "crates/walferry-postgres/src/catalog/tables.rs",
        "TableInfo",
        ANY,
        1,
        RECORD,
    ),
    excuse(
        "crates/walferry-pipeline/src/connector/published/remedy.rs",
        "Case",
        ANY,
        0,
        "an answer for each question of the table of remedies",
    ),
    excuse(
        "crates/walferry-postgres/src/catalog.rs",
        "Catalog",
        3,
        ANY,
        QUESTIONS,
    ),
    excuse(
        "crates/walferry-registry/src/client.rs",
        "Registry",
        3,
        ANY,
        QUESTIONS,
    ),
    excuse(
        "crates/walferry-pipeline/src/position/published_record.rs",
        "Record",
        2,
        ANY,
        "what the checkpoint holds: each room that reads it says there what it reads",
    ),
    excuse(
        "crates/walferry-trials/src/bin/walferry-bench/main.rs",
        "Bench",
        3,
        ANY,
        "a file for each measurement, of one set of servers",
    ),
    excuse(
        "crates/walferry-pipeline/src/connector.rs",
        "Start",
        8,
        6,
        APART,
    ),
    excuse(
        "crates/walferry-pipeline/src/encode.rs",
        "Encoder",
        16,
        7,
        APART,
    ),
    excuse(
        "crates/walferry-pipeline/src/encode/relations.rs",
        "Relations",
        13,
        5,
        APART,
    ),
    excuse(
        "crates/walferry-pipeline/src/snapshot/engine.rs",
        "Engine",
        24,
        7,
        APART,
    ),
    excuse(
        "crates/walferry-pipeline/src/tables/plan.rs",
        "Plan",
        15,
        1,
        APART,
    ),
    excuse(
        "crates/walferry-avro/src/plan.rs",
        "EncodePlan",
        14,
        2,
        APART,
    ),
    excuse("crates/walferry/src/migrate.rs", "Migration", 7, 5, APART),
    excuse(
        "crates/walferry-testkit/src/checker/judge.rs",
        "Judge",
        16,
        2,
        APART,
    ),
    excuse(
        "crates/walferry-trials/src/history/table.rs",
        "Table",
        16,
        1,
        APART,
    ),
];

pub(super) fn examine(types: &[(String, Type)]) -> Vec<Finding> {
    excused(types, EXCUSES)
}

fn excused(types: &[(String, Type)], excuses: &[Excuse]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = vec![false; excuses.len()];
    for (_, it) in types
        .iter()
        .filter(|(folder, _)| folder.starts_with("crates/"))
    {
        let (fields, files) = (it.fields, it.impls.len());
        if fields <= FIELDS_MAX && files <= FILES_MAX {
            continue;
        }
        let of = |excuse: &Excuse| excuse.file == it.file && excuse.name == it.name;
        let Some(at) = excuses.iter().position(of) else {
            let impls: Vec<&str> = it.impls.iter().map(String::as_str).collect();
            findings.push(Finding::fault(
                &it.file,
                format!(
                    "`{}` has {fields} fields, and `impl` blocks in {files} files ({}); {FIELDS_MAX} and {FILES_MAX} are the most: \
                     take a type out of it",
                    it.name,
                    impls.join(", ")
                ),
            ));
            continue;
        };
        used[at] = true;
        let excuse = &excuses[at];
        let room = |used: usize, max: usize, most: usize| match max {
            ANY => Ordering::Equal,
            max => used.max(most).cmp(&max.max(most)),
        };
        let rooms = [
            room(fields, excuse.fields, FIELDS_MAX),
            room(files, excuse.files, FILES_MAX),
        ];
        let words = format!(
            "`{}` has {fields} fields, and `impl` blocks in {files} files; it is excused for {} and {} ({})",
            it.name, excuse.fields, excuse.files, excuse.why
        );
        if rooms.contains(&Ordering::Greater) {
            findings.push(Finding::fault(
                &it.file,
                format!("{words}: take a type out of it"),
            ));
        } else if rooms.contains(&Ordering::Less) {
            findings.push(Finding::warning(
                &it.file,
                format!("{words}: let the excuse shrink with it"),
            ));
        }
    }
    for (excuse, used) in excuses.iter().zip(used) {
        if !used {
            findings.push(Finding::fault(
                excuse.file,
                format!("`{}` needs no excuse any more", excuse.name),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::circles::Imports;
    use super::super::{Source, Tree};
    use super::*;

    fn types(files: &[(&str, &str)]) -> Vec<(String, Type)> {
        let mut sources = vec![("crates/a/Cargo.toml", "[package]\n")];
        sources.extend(files);
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).into(),
            text: (*text).into(),
        };
        Imports::of(&Tree(sources.iter().map(source).collect())).types
    }

    fn words(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }

    fn large(fields: usize) -> String {
        let fields = (0..fields)
            .map(|i| format!("pub(crate) f{i}: std::sync::Arc<dyn Fn(u8) -> [u8; 2]>,\n"));
        let fields: String = fields.collect();
        format!("mod b;\nmod c;\n/// X.\npub struct Large<T: Copy> where T: Clone {{\n{fields}}}\n")
    }

    #[test]
    fn too_many_fields_are_found() {
        let of = |fields| types(&[("crates/a/src/lib.rs", &large(fields))]);
        assert!(excused(&of(12), &[]).is_empty());
        let found = words(&excused(&of(13), &[]));
        assert!(found[0].contains("`Large` has 13 fields"), "{found:?}");
        // What tests alone have is no type of the crate, nor is a field of an enum's variant one of a struct.
        let text = format!("#[cfg(test)]\nmod tests {{\n{}\n}}\n", large(13));
        assert!(excused(&types(&[("crates/a/src/lib.rs", &text)]), &[]).is_empty());
    }

    #[test]
    fn an_impl_in_a_third_file_is_found_and_one_of_a_trait_or_of_another_type_is_not() {
        let root = "mod b;\nmod c;\nmod d;\npub struct T<A>(A);\nimpl<A: Fn() -> u8> T<A> {}\nimpl<A> Drop for T<A> {}\n";
        let of = |third: &str| {
            let files = [
                ("crates/a/src/lib.rs", root),
                (
                    "crates/a/src/b.rs",
                    "use crate::T;\nimpl<A> T<A> where A: Copy {}\n",
                ),
                ("crates/a/src/c.rs", "pub struct T;\nimpl T {}\n"),
                ("crates/a/src/d.rs", third),
            ];
            words(&excused(&types(&files), &[]))
        };
        assert!(of("use crate::c::T;\nimpl T {}\n").is_empty());
        assert!(of("use crate::T;\nimpl<A> Clone for T<A> {}\n").is_empty());
        let found = of("use super::T;\nimpl T<u8> {}\n");
        assert!(found[0].contains("`impl` blocks in 3 files"), "{found:?}");
        let found = of("impl crate::T<u8> {}\n");
        assert!(found[0].contains("`impl` blocks in 3 files"), "{found:?}");
    }

    #[test]
    fn an_excuse_holds_for_what_it_says_and_no_longer_than_it_is_needed() {
        let of = |fields| types(&[("crates/a/src/lib.rs", &large(fields))]);
        let excuses = |fields| [excuse("crates/a/src/lib.rs", "Large", fields, 0, "why")];
        assert!(excused(&of(14), &excuses(14)).is_empty());
        for (fields, said) in [
            (15, "error: crates/a/src/lib.rs: `Large` has 15 fields"),
            (13, "warning: crates/a/src/lib.rs: `Large` has 13 fields"),
            (12, "error: crates/a/src/lib.rs: `Large` needs no excuse"),
        ] {
            let found = words(&excused(&of(fields), &excuses(14)));
            assert!(found.len() == 1 && found[0].starts_with(said), "{found:?}");
        }
    }
}
