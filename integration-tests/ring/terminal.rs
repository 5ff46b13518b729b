//! What a person sees: bars of a snapshot on a terminal, and none in a pipe.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use walferry_testkit::process::binary;

use crate::place::{Place, READY};

/// Both ends of a terminal: ours, and the program's.
pub(crate) fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let path = OsStr::from_bytes(name.as_bytes());
    let theirs = File::options().read(true).write(true).open(path).unwrap();
    (File::from(ours), theirs)
}

#[test]
fn a_terminal_shows_bars_of_a_snapshot_below_the_log_and_a_pipe_does_not() {
    let place = Place::shared("bars");
    place.sql("create table t (id int primary key); insert into t select i from generate_series(1, 9000) i; analyze");
    let mut settings = place.all();
    settings
        .set("snapshot.rows_per_second_max", "1000")
        .set("snapshot.while_streaming", "true")
        .set("snapshot.chunk_rows", "200")
        .unset("log.format");
    let path = settings.write(&place.folder).unwrap();
    let (mut ours, theirs) = terminal();
    let mut child = Command::new(binary().unwrap())
        .arg("run")
        .arg("-c")
        .arg(&path)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length) = ours.read(&mut part) {
            if length == 0 || send.send(part[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    let (mut shown, wanted) = (
        Vec::new(),
        ["snapshot of a table goes on", "public.t █", "/s", " left"],
    );
    loop {
        let part = receive.recv_timeout(READY);
        shown.extend(part.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&shown))));
        let text = String::from_utf8_lossy(&shown);
        if wanted.iter().all(|part| text.contains(part)) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The log of a pipe is JSON, and has the same figures.
    let mut walferry = place.start(&settings);
    let line = walferry.wait_log("snapshot of a table goes on", Duration::from_secs(60));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["table"], "public.t");
    assert!(line["rows"].is_u64(), "{line}");
    walferry.wait_status("a rate", READY, |status| {
        let table = &status["snapshot"][0];
        table["rows_per_second"].as_u64() > Some(0) && table["seconds_left"].as_u64() > Some(0)
    });
    assert!(!walferry.log().join("\n").contains('█'));
}
