//! The proxy before an echo server: what passes, what is cut, what hangs, what is refused.

use std::io::{ErrorKind, Write};

use super::*;

/// A server that sends back what it gets.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    address
}

fn client(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

fn exchange(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text)?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn bytes_pass_and_a_cut_ends_the_connection() {
    let proxy = Proxy::start(&echo()).unwrap();
    let mut stream = client(&proxy);
    assert_eq!(exchange(&mut stream, b"hello").unwrap(), b"hello");
    assert_eq!(proxy.cut(), 1);
    assert!(exchange(&mut stream, b"again").is_err());
    assert_eq!(exchange(&mut client(&proxy), b"anew").unwrap(), b"anew");
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn a_black_hole_is_silent_and_loses_nothing() {
    let proxy = Proxy::start(&echo()).unwrap();
    let mut stream = client(&proxy);
    assert_eq!(exchange(&mut stream, b"a").unwrap(), b"a");
    proxy.set(Mode::BlackHole);
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let error = exchange(&mut stream, b"b").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    proxy.set(Mode::Pass);
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"b");
}

#[test]
fn refused_connections_are_refused_and_others_go_on() {
    let proxy = Proxy::start(&echo()).unwrap();
    let mut stream = client(&proxy);
    assert_eq!(exchange(&mut stream, b"a").unwrap(), b"a");
    proxy.set(Mode::Refuse);
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(proxy.address()).is_ok() {
        assert!(
            std::time::Instant::now() < until,
            "connections are still taken"
        );
    }
    assert_eq!(exchange(&mut stream, b"b").unwrap(), b"b");
    proxy.set(Mode::Pass);
    while TcpStream::connect(proxy.address()).is_err() {
        assert!(
            std::time::Instant::now() < until,
            "connections are still refused"
        );
    }
}

#[test]
fn a_delay_is_felt() {
    let proxy = Proxy::start(&echo()).unwrap();
    let mut stream = client(&proxy);
    proxy.delay(Duration::from_millis(60));
    let begun = std::time::Instant::now();
    assert_eq!(exchange(&mut stream, b"a").unwrap(), b"a");
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[test]
fn an_end_txn_is_held_back_and_delivered_later() {
    let proxy = Proxy::kafka(&echo()).unwrap();
    let mut stream = client(&proxy);
    let produce = [0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 1];
    // The echo of a version 0 request is read as an answer: correlation, throttle, then the error code 7.
    let end = [0, 0, 0, 14, 0, 26, 0, 0, 0, 0, 0, 2, 0, 7, 0, 0, 0, 0];
    proxy.hold_end_txn(0);
    assert_eq!(exchange(&mut stream, &produce).unwrap(), produce);
    assert!(exchange(&mut stream, &end).is_err());
    assert!(proxy.wait_held(Duration::from_secs(5)));
    assert_eq!(proxy.deliver_held().unwrap(), 7);
    assert!(proxy.deliver_held().is_err());
}
