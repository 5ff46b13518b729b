//! The client against a small fake registry.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

/// Answers each connection in turn with one of `answers`, and tells what was asked.
fn fake(answers: Vec<(u16, &'static str)>) -> (Registry, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 64 * 1024];
            let len = stream.read(&mut request).unwrap();
            // A test that does not look at the request has let go of the other end.
            let _ = told.send(String::from_utf8_lossy(&request[..len]).into_owned());
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (Registry::new(config(vec![url])).unwrap(), asked)
}

fn config(urls: Vec<String>) -> Config {
    let urls = urls.iter().map(|url| BaseUrl::parse(url).unwrap().0);
    Config {
        urls: urls.collect(),
        username: None,
        password: None,
        token: None,
        ca: None,
        cert: None,
        key: None,
        timeout_ms: 5_000,
    }
}

#[tokio::test]
async fn an_id_is_asked_for_once() {
    let (registry, asked) = fake(vec![(200, r#"{"id":42}"#)]);
    for _ in 0..2 {
        assert_eq!(
            registry.register("t-value", r#""string""#).await.unwrap(),
            42
        );
    }
    assert!(
        asked
            .recv()
            .unwrap()
            .starts_with("POST /subjects/t-value/versions")
    );
}

#[tokio::test]
async fn a_refused_schema_comes_with_the_registry_s_words() {
    let (registry, _) = fake(vec![
        (409, r#"{"error_code":409,"message":"incompatible schema"}"#),
        (
            200,
            r#"{"is_compatible":false,"messages":["reader field a missing"]}"#,
        ),
    ]);
    let error = registry
        .register("t-value", r#""string""#)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.disposition()),
        ("schema", walferry_event::Disposition::Halt)
    );
    let text = error.to_string();
    assert!(
        text.contains("incompatible schema") && text.contains("reader field a missing"),
        "{text}"
    );
}

#[tokio::test]
async fn two_clients_that_register_at_once_are_no_incompatibility() {
    let (registry, _) = fake(vec![
        (409, r#"{"error_code":409,"message":"already exists"}"#),
        (200, r#"{"is_compatible":true}"#),
        (200, r#"{"id":9}"#),
    ]);
    let error = registry.register("s", r#""string""#).await.unwrap_err();
    assert_eq!(error.disposition(), walferry_event::Disposition::Wait);
    assert_eq!(registry.register("s", r#""string""#).await.unwrap(), 9);
}

#[tokio::test]
async fn a_fault_that_may_pass_is_not_remembered() {
    let (registry, _) = fake(vec![
        (500, r#"{"error_code":50001,"message":"store"}"#),
        (200, r#"{"id":7}"#),
    ]);
    let error = registry.register("s", r#""string""#).await.unwrap_err();
    assert_eq!(error.disposition(), walferry_event::Disposition::Wait);
    assert_eq!(registry.register("s", r#""string""#).await.unwrap(), 7);
}

const NOT_FOUND: (u16, &str) = (404, r#"{"error_code":40403,"message":"not found"}"#);

#[tokio::test]
async fn schemas_are_registered_together_or_not_at_all() {
    let (registry, asked) = fake(vec![
        (
            200,
            r#"{"subject":"t-key","version":1,"id":3,"schema":"k"}"#,
        ),
        NOT_FOUND,
        (200, r#"{"is_compatible":false,"messages":["because"]}"#),
    ]);
    let offers = [("t-key", "k"), ("t-value", "v")];
    let error = registry.register_all(&offers).await.unwrap_err();
    assert_eq!(error.kind(), "schema");
    assert!(error.to_string().contains("because"), "{error}");
    let paths: Vec<String> = asked
        .try_iter()
        .map(|it| it.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "POST /subjects/t-key HTTP/1.1",
            "POST /subjects/t-value HTTP/1.1",
            "POST /compatibility/subjects/t-value/versions?verbose=true HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn schemas_that_are_new_are_checked_and_then_registered() {
    let (registry, _) = fake(vec![
        NOT_FOUND,
        (200, r#"{"is_compatible":true}"#),
        (200, r#"{"id":8}"#),
    ]);
    for _ in 0..2 {
        assert_eq!(registry.register_all(&[("s", "v")]).await.unwrap(), [8]);
    }
}

#[tokio::test]
async fn a_subject_that_does_not_exist_is_not_asked_for_its_level() {
    let (registry, asked) = fake(vec![
        (404, r#"{"error_code":40401,"message":"subject not found"}"#),
        (200, r#"{"id":8}"#),
    ]);
    registry.register_ahead(&[vec![("s", "v")]]).await;
    assert_eq!(registry.register_all(&[("s", "v")]).await.unwrap(), [8]);
    assert_eq!(asked.try_iter().count(), 2);
}

#[tokio::test]
async fn the_check_gives_the_reasons() {
    let (registry, asked) = fake(vec![
        (200, r#"{"is_compatible":false,"messages":["because"]}"#),
        (404, r#"{"error_code":40401,"message":"subject not found"}"#),
    ]);
    assert_eq!(
        registry.check("a/b", "{}").await.unwrap(),
        Verdict::Incompatible(vec!["because".into()])
    );
    assert!(
        asked
            .recv()
            .unwrap()
            .contains("/compatibility/subjects/a%2Fb/versions?verbose=true")
    );
    assert_eq!(registry.check("a/b", "{}").await.unwrap(), Verdict::New);
}

#[tokio::test]
async fn a_registry_that_is_away_is_named_and_may_come_back() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let registry = Registry::new(config(vec![format!("http://127.0.0.1:{port}")])).unwrap();
    let error = registry.ping().await.unwrap_err();
    assert_eq!(error.disposition(), walferry_event::Disposition::Wait);
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert_eq!(registry.address(), Some(("127.0.0.1".into(), port)));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let text = Registry::new(config(vec![])).err().unwrap().to_string();
    assert!(text.contains("registry.url is empty"), "{text}");
    let mut settings = config(vec!["https://r".into()]);
    settings.ca = Some("/no/such/ca.pem".into());
    let text = Registry::new(settings).err().unwrap().to_string();
    assert!(
        text.contains("registry.tls.ca") && text.contains("/no/such/ca.pem"),
        "{text}"
    );
}

/// An answer that no schema registry gives is not one: a wrong path, a page of a proxy, a redirect.
#[tokio::test]
async fn what_is_no_registry_does_not_count_as_one() {
    let page = "<html>welcome</html>";
    for answers in [
        vec![(404, ""), (404, "")],
        vec![(200, page), (200, page)],
        vec![(404, page), (200, page)],
        vec![
            (
                404,
                r#"{"error_code":0,"message":"Could not find resource"}"#,
            ),
            (404, ""),
        ],
    ] {
        let (registry, _) = fake(answers);
        let error = registry.ping().await.unwrap_err();
        assert!(error.is_foreign(), "{error}");
        assert!(error.to_string().contains("registry.url"), "{error}");
    }
    let (registry, _) = fake(vec![
        (404, ""),
        (200, r#"{"compatibilityLevel":"BACKWARD"}"#),
    ]);
    registry.ping().await.unwrap();
}

/// A registry that takes no writes is away, whichever way it says so, and no schema is to blame.
#[tokio::test]
async fn a_registry_that_takes_no_writes_is_away() {
    for answer in [
        (
            422,
            r#"{"error_code":42205,"message":"Subject s is in read-only mode"}"#,
        ),
        (405, ""),
        (503, "<html>no backend</html>"),
        (500, ""),
    ] {
        let (registry, _) = fake(vec![answer, (200, r#"{"id":7}"#)]);
        let error = registry.register("s", r#""string""#).await.unwrap_err();
        assert_eq!(
            error.disposition(),
            walferry_event::Disposition::Wait,
            "{error}"
        );
        assert_eq!(registry.register("s", r#""string""#).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn an_id_that_means_something_else_is_asked_for_again() {
    let (registry, _) = fake(vec![
        (200, r#"{"id":7}"#),
        (200, r#"{"schema":"\"string\""}"#),
        (200, r#"{"schema":"\"string\""}"#),
        (200, r#"{"schema":"\"long\""}"#),
        (200, r#"{"id":3}"#),
        (404, r#"{"error_code":40403,"message":"not found"}"#),
    ]);
    let before = registry.generation();
    assert_eq!(registry.register("s", r#""string""#).await.unwrap(), 7);
    for _ in 0..2 {
        assert_eq!(registry.still_means_the_same().await.unwrap(), None);
        assert_eq!(registry.generation(), before);
    }
    let told = registry.still_means_the_same().await.unwrap().unwrap();
    assert!(told.contains("id 7") && told.contains("another"), "{told}");
    assert!(registry.generation() > before);
    assert_eq!(registry.register("s", r#""string""#).await.unwrap(), 3);
    let told = registry.still_means_the_same().await.unwrap().unwrap();
    assert!(
        told.contains("id 3") && told.contains("not exist"),
        "{told}"
    );
}

#[tokio::test]
async fn a_level_is_noted_before_it_is_lifted_and_put_back_by_whoever_comes_next() {
    let refused = (409, r#"{"error_code":409,"message":"incompatible"}"#);
    let verdict = (200, r#"{"is_compatible":false,"messages":["because"]}"#);
    let level = (200, r#"{"compatibilityLevel":"FULL"}"#);
    let (registry, asked) = fake(vec![refused, verdict, level]);
    let to_lift = registry.register_or_lift("s", r#""string""#).await;
    assert_eq!(to_lift.unwrap().unwrap_err().level.as_deref(), Some("FULL"));
    assert!(asked.try_iter().all(|it| !it.starts_with("PUT")));

    let lifted = crate::Lifted {
        subject: "s".into(),
        level: Some("FULL".into()),
    };
    let none = (200, r#"{"compatibilityLevel":"NONE"}"#);
    let (registry, asked) = fake(vec![none, (200, "{}"), level]);
    assert!(registry.put_back(&lifted).await.unwrap());
    let put = asked.try_iter().find(|it| it.starts_with("PUT")).unwrap();
    assert!(put.contains("/config/s") && put.contains("FULL"), "{put}");
    assert!(
        !registry.put_back(&lifted).await.unwrap(),
        "somebody has set it"
    );
}
