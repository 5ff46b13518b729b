//! The servers are held to what they promise to the tests that use them.
//!
//! Never: shares a server with other tests.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

fn request(port: u16, method: &str, path: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        socket,
        "{method} /apis/ccompat/v7{path} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn postgres_comes_back_on_the_same_port_after_a_kill() {
    let options = PostgresOptions::new()
        .major(test_postgres_major())
        .fsync(false);
    let mut server = PostgresServer::start(options).unwrap();
    let (port, pid) = (server.port(), server.pid());
    server.kill9().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(server.pid(), None);
    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert!(
        server.log().contains("was not properly shut down"),
        "{}",
        server.log()
    );
    server.restart().unwrap();
    assert!(
        !server.log().contains("was not properly shut down"),
        "{}",
        server.log()
    );
}

#[test]
fn postgres_asks_for_a_password_when_told_to() {
    let options = PostgresOptions::new()
        .major(test_postgres_major())
        .scram("secret");
    let server = PostgresServer::start(options).unwrap();
    let rules = std::fs::read_to_string(server.data().join("pg_hba.conf")).unwrap();
    assert!(
        !rules
            .lines()
            .any(|line| !line.starts_with('#') && line.contains("trust"))
    );
    assert!(
        server
            .url()
            .starts_with("postgresql://postgres:secret@127.0.0.1:")
    );
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let options = PostgresOptions::new().setting("no_such_setting", "1");
    let error = format!("{:#}", PostgresServer::start(options).unwrap_err());
    assert!(error.contains("no_such_setting"), "{error}");
}

#[test]
fn kafka_comes_back_on_the_same_port_after_a_kill() {
    let mut server = KafkaServer::start(KafkaOptions::new().doors(1)).unwrap();
    let port = server.port();
    assert!(TcpStream::connect(("127.0.0.1", server.doors()[0].upstream())).is_ok());
    server.kill9().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    server.restart().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn kafka_grants_rights_to_users() {
    let server = KafkaServer::start(KafkaOptions::new().user("walferry", "secret")).unwrap();
    server
        .allow("walferry", &["--operation", "Write", "--topic", "orders"])
        .unwrap();
    assert!(TcpStream::connect(server.sasl_brokers()).is_ok());
}

#[test]
fn the_registry_keeps_its_schemas_through_a_kill() {
    let mut server = RegistryServer::start(RegistryOptions::new()).unwrap();
    let schema = r#"{"schema":"\"string\""}"#;
    let answer = request(server.port(), "POST", "/subjects/a-value/versions", schema);
    assert!(answer.contains(" 200 "), "{answer}");
    server.kill9().unwrap();
    server.restart().unwrap();
    let answer = request(server.port(), "GET", "/subjects", "");
    assert!(answer.contains("a-value"), "{answer}");
}
