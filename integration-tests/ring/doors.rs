//! What a stranger, or a wrong server, can do to the process: the admin port, and who gets the password.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use walferry_stack::PostgresServer;
use walferry_testkit::process::http;

use crate::place::{Place, READY, own_postgres, told};
use crate::refusal::beside_postgres;

const SECRET: &str = "Tr0ub4dor-and-3";
/// How soon a probe has to be answered, whatever others do.
const PROBE: Duration = Duration::from_secs(1);

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

#[test]
fn ten_thousand_half_requests_leave_the_admin_port_open() {
    let place = Place::shared("half");
    place.sql("create table t (id int primary key)");
    let walferry = place.streaming(&place.all());
    let address = walferry.admin_url().replace("http://", "");
    let before = descriptors(walferry.pid());
    let mut held = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..10_000 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let half: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /livez HTT",
            2 => b"GET /livez HTTP/1.1\r\nhost: x\r\n",
            // A head, and a body that never comes.
            _ => b"POST /snapshots HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{",
        };
        // The server may have let go of it already.
        let _ = stream.write_all(half);
        held.push(stream);
        // Our own descriptors have an end too.
        if held.len() > 400 {
            held.drain(..200);
        }
        if number % 500 == 499 {
            let begun = Instant::now();
            let answer = walferry.get("/livez").unwrap();
            assert_eq!(answer.status, 200);
            slowest = slowest.max(begun.elapsed());
        }
    }
    assert!(slowest < PROBE, "a probe took {slowest:?}");
    let during = descriptors(walferry.pid());
    // 64 that are served, as many that are ending, and a few of the connector's own.
    assert!(
        during <= before + 140,
        "{before} descriptors, then {during}"
    );
    // Those that are half open are let go of, also when nobody needs their places; a few more are the connector's own by now.
    let until = Instant::now() + READY;
    while descriptors(walferry.pid()) > before + 20 {
        assert!(
            Instant::now() < until,
            "half requests are held for ever: {before} descriptors before, {} now",
            descriptors(walferry.pid())
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let body = "x".repeat(70_000);
    let url = format!("{}/snapshots", walferry.admin_url());
    let answer = http::request("POST", &url, &body, &[], READY);
    // It may be refused before all of it was sent.
    assert!(answer.is_err() || answer.unwrap().status == 413);
    place.drain("insert into t values (1)");
}

/// A server that asks for the password by these bytes, and what it is told after that.
fn asks_for(request: &'static [u8]) -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.set_read_timeout(Some(READY));
            let mut start = [0; 4096];
            if stream.read(&mut start).is_err() || stream.write_all(request).is_err() {
                continue;
            }
            let mut after = Vec::new();
            let _ = stream.read_to_end(&mut after);
            if tell.send(after).is_err() {
                return;
            }
        }
    });
    (port, told)
}

#[test]
fn no_command_gives_a_password_to_a_server_that_just_asks_for_it() {
    const CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
    let place = Place::shared("clear");
    for (request, method) in [(CLEAR, "password"), (MD5, "md5")] {
        let (port, after) = asks_for(request);
        let url = format!("postgresql://app:{SECRET}@127.0.0.1:{port}/shop");
        let mut settings = place.all();
        settings.set_text("source.url", &url);
        let path = settings.write(&place.folder).unwrap();
        let path = path.to_str().unwrap();
        let script = place.folder.join("x.sql");
        std::fs::write(&script, "select 1").unwrap();
        let script = script.to_str().unwrap();
        for command in [
            &["check", "-c", path][..],
            &["run", "-c", path],
            &["resync", "-c", path],
            &["audit", "-c", path],
            &["tail", "-c", path],
            &["tail", "--source", &url],
            &["schema", "show", "-c", path],
            &[
                "schema", "plan", "-c", path, "--ddl", script, "--source", &url,
            ],
            &["replay", "-c", path],
            &["drop", "-c", path, "--yes", &place.name],
        ] {
            let (code, text) = told(command);
            assert_ne!(code, Some(0), "{command:?}: {text}");
            assert!(!text.contains(SECRET), "{command:?}: {text}");
            if text.contains("asks for") {
                for part in ["scram-sha-256", "verify-full", "require_auth"] {
                    assert!(text.contains(part), "{command:?}: {text}");
                }
            }
            for sent in after.try_iter() {
                assert!(
                    sent.is_empty(),
                    "{command:?} sent {sent:?} to a server that asked for {method}"
                );
            }
        }
        let (_, text) = told(&["check", "-c", path]);
        assert!(text.contains("nothing was sent"), "{text}");
    }
}

#[test]
fn a_password_in_clear_is_for_those_who_ask_for_it() {
    let postgres = own_postgres()
        .hba("host all app 127.0.0.1/32 password")
        .hba("host all scrammed 127.0.0.1/32 scram-sha-256");
    let postgres = PostgresServer::start(postgres).unwrap();
    let place = Place::on(&beside_postgres(&postgres), "asked");
    place.sql("create table t (id int primary key)");
    place.sql(&format!(
        "create role app superuser login password '{SECRET}'; create role scrammed superuser login password '{SECRET}'"
    ));
    let mut settings = place.all();
    let check = |settings: &walferry_testkit::process::Settings| {
        let path = settings.write(&place.folder).unwrap();
        told(&["check", "-c", path.to_str().unwrap()])
    };
    settings.set_text("source.password", SECRET);
    for (role, required, code, part) in [
        ("app", None, 1, "verify-full"),
        ("app", Some("password"), 0, "answers"),
        ("app", Some("!md5"), 0, "answers"),
        ("app", Some("scram-sha-256"), 1, "require_auth"),
        ("scrammed", None, 0, "answers"),
        ("scrammed", Some("scram-sha-256"), 0, "answers"),
        ("scrammed", Some("password,md5"), 1, "require_auth"),
        // The server lets this one in for nothing.
        ("postgres", None, 0, "answers"),
        ("postgres", Some("scram-sha-256"), 1, "without asking"),
        ("postgres", Some("clear"), 2, "scram-sha-256"),
    ] {
        settings.set_text(
            "source.url",
            &place.url.replace("postgres@", &format!("{role}@")),
        );
        match required {
            Some(list) => settings.set_text("source.require_auth", list),
            None => settings.unset("source.require_auth"),
        };
        let (ended, text) = check(&settings);
        assert_eq!(ended, Some(code), "{role} {required:?}: {text}");
        assert!(text.contains(part), "{role} {required:?}: {text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}
