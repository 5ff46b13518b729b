//! `kill -9` at random moments under mixed load: the short form of `cargo xtask chaos`.

use std::process::Command;

use walferry_testkit::process::binary;

#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    let campaign = binary().unwrap().with_file_name("walferry-chaos");
    let major = walferry_stack::test_postgres_major().to_string();
    let output = Command::new(campaign)
        .args(["--kills", "10", "--seed", "4", "--postgres", &major])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("kills 10"), "{text}");
}
