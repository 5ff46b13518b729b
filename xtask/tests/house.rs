//! This source tree keeps its own rules.
//!
//! Never: builds anything; generated documents are compared by `cargo xtask test` and `lint`.

use xtask::{commands, house};

#[test]
fn the_house_rules_are_kept() {
    let findings = house::examine(&commands::root()).unwrap();
    let faults: Vec<String> = findings
        .iter()
        .filter(|finding| finding.is_fault())
        .map(ToString::to_string)
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
