//! A secret in each place, at each peer that fails, is in no output: not in the log at its finest, not in an error, a report or
//! an answer of the admin server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use walferry_stack::Port;
use walferry_testkit::process::{Settings, Walferry};

use crate::place::{Place, READY, told};

/// What each secret begins with.
const CANARY: &str = "canary-7f3a9";
/// How long a process that waits for a server is listened to.
const LISTEN: Duration = Duration::from_secs(5);

/// A server that answers every connection with these bytes, after it has read something, and closes it.
fn answers(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(READY));
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(bytes);
            });
        }
    });
    port
}

fn quiet(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(CANARY));
    assert_eq!(line, None, "{what}");
}

/// A secret in every place where one can stand.
fn sown(place: &Place) -> Settings {
    let mut settings = place.all();
    std::fs::create_dir_all(&place.folder).unwrap();
    let file = place.folder.join("secret");
    std::fs::write(&file, format!("{CANARY}-file\n")).unwrap();
    let file = format!("{{ file = {:?} }}", file.to_str().unwrap());
    let url = |url: &str, name: &str| url.replace("://", &format!("://{name}:{CANARY}-{name}@"));
    settings
        .set_text(
            "source.url",
            &place
                .url
                .replace("postgres@", &format!("postgres:{CANARY}-url@")),
        )
        .set_text("registry.url", &url(&place.registry, "registry"))
        .set("admin.token", "{ env = \"TOKEN\" }")
        .env("TOKEN", &format!("{CANARY}-token"))
        .set("kafka.properties.\"ssl.key.password\"", &file)
        .kafka_property("sasl.password", &format!("{CANARY}-sasl"))
        .kafka_property("debug", "all")
        .set_text("log.level", "trace")
        .table(&format!(
            "name = \"public.t\"\nmask = [{{ column = \"a\", with = \"sha256\", salt = {file} }}, \
             {{ column = \"b\", with = \"sha256\", salt = \"{CANARY}-salt\" }}]"
        ));
    settings
}

/// Whether a report or a log line is of a connector that streams.
fn streams(said: &str) -> bool {
    said.contains("\"state\":\"streaming\"")
}

/// What a run says in a while, and its admin server; it may end by itself. One whose servers all answer is listened to until
/// it streams.
fn run_says(what: &str, place: &Place, settings: &Settings) -> String {
    let mut walferry = place.start(settings);
    let begun = Instant::now();
    let mut said = String::new();
    let listened = |said: &str| {
        let enough = what != "all answer" || streams(said) || begun.elapsed() > READY;
        enough && begun.elapsed() > LISTEN
    };
    while !listened(&said) && walferry.exited().is_none() {
        for path in ["/status", "/readyz", "/metrics", "/"] {
            if let Ok(answer) = walferry.get(path) {
                said = answer.body + "\n" + &said.chars().take(1 << 20).collect::<String>();
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    walferry.sigterm();
    let log = log(&mut walferry);
    // A file that is refused would have nothing to tell.
    let code = walferry.exited().and_then(|it| it.code());
    assert_ne!(code, Some(2), "{log}");
    let streamed = streams(&said) || streams(&log);
    assert!(streamed || what != "all answer", "{log}");
    said + &log
}

fn log(walferry: &mut Walferry) -> String {
    let until = Instant::now() + Duration::from_secs(12);
    while walferry.exited().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    if walferry.exited().is_none() {
        walferry.kill9();
    }
    walferry.log().join("\n")
}

#[test]
fn a_secret_in_any_place_is_in_no_output_whichever_peer_fails() {
    let place = Place::shared("canaries");
    place.sql("create table t (id int primary key, a text, b text)");
    const CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const REFUSED: &[u8] = b"E\0\0\0\x23SFATAL\0C28P01\0Mwrong password\0\0";
    const HTML: &[u8] =
        b"HTTP/1.1 200 x\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    const AUTH: &[u8] = b"HTTP/1.1 401 x\r\ncontent-length: 0\r\n\r\n";
    const AWAY: &[u8] = b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n";
    let database = |port: u16| format!("postgresql://app:{CANARY}-url@127.0.0.1:{port}/shop");
    let registry = |port: u16| format!("http://user:{CANARY}-registry@127.0.0.1:{port}");
    let broker = |port: u16| format!("127.0.0.1:{port}");
    let free = Port::reserve().unwrap();
    let nobody = || free.number();
    let with = |key: &str, value: String| {
        let mut settings = sown(&place);
        settings.set_text(key, &value);
        settings
    };
    let mut cases = vec![
        ("all answer", sown(&place)),
        ("no database", with("source.url", database(nobody()))),
        (
            "a database that asks",
            with("source.url", database(answers(CLEAR))),
        ),
        (
            "a database that refuses",
            with("source.url", database(answers(REFUSED))),
        ),
        ("no registry", with("registry.url", registry(nobody()))),
        (
            "a registry of HTML",
            with("registry.url", registry(answers(HTML))),
        ),
        (
            "a registry that refuses",
            with("registry.url", registry(answers(AUTH))),
        ),
        (
            "a registry that is away",
            with("registry.url", registry(answers(AWAY))),
        ),
        ("no broker", with("kafka.brokers", broker(nobody()))),
        (
            "a broker that closes",
            with("kafka.brokers", broker(answers(b""))),
        ),
    ];
    let mut sasl = sown(&place);
    sasl.kafka_property("security.protocol", "sasl_plaintext")
        .kafka_property("sasl.mechanism", "PLAIN")
        .kafka_property("sasl.username", "app");
    cases.push(("a broker without SASL", sasl));
    std::thread::scope(|scope| {
        for (number, (what, settings)) in cases.into_iter().enumerate() {
            let place = &place;
            scope.spawn(move || {
                let mut settings = settings.twin().unwrap();
                let name = format!("{}_{number}", place.name);
                settings.set_text("name", &name);
                let folder = place.folder.join(number.to_string());
                let path = settings.write(&folder).unwrap();
                let path = path.to_str().unwrap();
                quiet(what, &run_says(what, place, &settings));
                // The token is in the environment of the process above alone.
                let plain = std::fs::read_to_string(path).unwrap();
                let plain = plain.replace(
                    "token = { env = \"TOKEN\" }",
                    &format!("token = \"{CANARY}-token\""),
                );
                std::fs::write(path, plain).unwrap();
                for command in [
                    &["check", "--json", "-c", path][..],
                    &["snapshot", "list", "-c", path],
                ] {
                    quiet(&format!("{what}: {command:?}"), &told(command).1);
                }
            });
        }
    });
}

#[test]
fn a_secret_in_a_wrong_place_is_not_repeated() {
    let place = Place::shared("misplaced");
    let secret = format!("{CANARY}-x");
    let cases: [(&str, String); 12] = [
        ("kafka.properties.\"sasl.pasword\"", format!("\"{secret}\"")),
        (
            "kafka.properties.\"ssl.key.pasword\"",
            "{ env = \"SECRET\" }".into(),
        ),
        (
            "kafka.properties.\"security.protocol\"",
            format!("\"{secret}\""),
        ),
        ("kafka.properties.\"acks\"", format!("\"{secret}\"")),
        ("kafka.brokers", format!("\"app:{secret}@k:9092\"")),
        ("kafka.properties", format!("\"sasl.password={secret}\"")),
        ("registry.url", format!("\"http://u:{secret}@h:port\"")),
        ("registry.url", format!("\"u:{secret}@h\"")),
        ("registry.url", format!("\"http://h/?apikey={secret}\"")),
        ("source.url", format!("\"postgresql://u:a/{secret}@h/d\"")),
        (
            "source.url",
            format!("\"postgresql://u@h/d?pasword={secret}\""),
        ),
        ("source.password", format!("[\"{secret}\"]")),
    ];
    for (key, literal) in cases {
        let mut settings = place.all();
        settings.set(key, &literal).env("SECRET", &secret);
        let path = settings.write(&place.folder).unwrap();
        for command in [["run", "-c"], ["check", "-c"]] {
            let (code, text) =
                place.ends(&settings, &[command[0], command[1], path.to_str().unwrap()]);
            assert_eq!(code, Some(2), "{key} = {literal}: {text}");
            quiet(&format!("{key} = {literal}"), &text);
        }
    }
    let mut settings = place.all();
    settings.env(
        "WALFERRY_KAFKA__PROPERTIES",
        &format!("sasl.password={secret}"),
    );
    let (code, text) = place.run_ends(&settings);
    assert_eq!(code, Some(2), "{text}");
    quiet("an override", &text);
    let url = format!("postgresql://u:{secret}@127.0.0.1:1/d");
    for arguments in [
        &["tail", &url][..],
        &["tail", "--source", &format!("{url}?x=1")],
        &["tail", "--source", &url, "--sorce", &url],
        &[
            "status",
            "--admin",
            &format!("http://u:{secret}@127.0.0.1:1"),
        ],
    ] {
        let (code, text) = told(arguments);
        assert_ne!(code, Some(0));
        quiet("an argument", &text);
    }
}
