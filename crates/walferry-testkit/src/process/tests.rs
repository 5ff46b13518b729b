//! The watching of a child process, tried on a shell in place of the binary.

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn shell(name: &str, script: &str) -> (Walferry, PathBuf) {
    let folder = std::env::temp_dir().join(format!("testkit-{name}-{}", std::process::id()));
    let mut settings =
        Settings::new(name, "postgresql://a@b/c", &["*"], "k:1", "p", "http://r").unwrap();
    settings.env("GREETING", "hello");
    let shell = Path::new("/bin/sh");
    (
        Walferry::spawn(shell, &["-c", script], &settings, &folder).unwrap(),
        folder,
    )
}

#[test]
fn log_exit_code_and_environment_are_seen() {
    let (mut child, folder) = shell("exit", "echo $GREETING; echo fault >&2; exit 3");
    assert_eq!(child.wait_exit(SOON), Some(3));
    let mut lines = child.log();
    lines.sort();
    assert_eq!(lines, ["fault", "hello"]);
    assert!(
        std::fs::read_to_string(child.log_path())
            .unwrap()
            .contains("fault")
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn signals_arrive() {
    let script = "trap 'echo asked; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let (mut child, folder) = shell("signals", script);
    child.wait_log("up", SOON);
    assert!(child.usage().unwrap().rss_peak_bytes > 0);
    child.sigstop();
    child.sigterm();
    assert!(child.exited().is_none());
    child.sigcont();
    assert_eq!(child.wait_exit(SOON), Some(7));
    assert_eq!(child.log_tail(), "up\nasked");

    let (mut child, _) = shell("signals", script);
    child.kill9();
    assert_eq!(child.wait_exit(SOON), None);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[should_panic(expected = "walferry ended (exit status: 2) instead of: ready\nbad key")]
fn an_end_while_waiting_tells_the_end_of_the_log() {
    let (mut child, folder) = shell("ended", "echo bad key; exit 2");
    std::fs::remove_dir_all(folder).unwrap();
    child.wait_ready(SOON);
}
