//! What lies in `deploy` for Prometheus, Alertmanager and Grafana, held against the real ones.
//!
//! Invariant: a panel of the dashboard that would stay empty fails a test, and so does an alert that does not fire or does not clear.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use walferry_stack::{PrometheusServer, monitoring_program};
use walferry_testkit::process::{Walferry, http};
use walferry_testkit::proxy::{Mode, Proxy};

use crate::outage::host;
use crate::place::{Place, READY};

const ANSWER: Duration = Duration::from_secs(10);

fn deploy(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("deploy").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap()
}

/// Runs one of their programs on a file of ours, which has to be to its liking.
fn accepts(program: &str, arguments: &[&str], file: &str) {
    let output = Command::new(monitoring_program(program).unwrap())
        .args(arguments)
        .arg(deploy(file))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{file}: {said}");
}

#[test]
fn each_alert_fires_and_clears() {
    accepts("promtool", &["check", "rules"], "prometheus/rules.yml");
    accepts("promtool", &["test", "rules"], "prometheus/rules_test.yml");
    let syntax = ["check", "config", "--syntax-only"];
    accepts("promtool", &syntax, "prometheus/prometheus.yml");
    accepts("amtool", &["check-config"], "alertmanager/alertmanager.yml");
}

/// Warnings go to Slack, what is critical to the pager too.
#[test]
fn each_severity_has_its_receivers() {
    let config = deploy("alertmanager/alertmanager.yml");
    for (severity, receivers) in [("warning", "slack"), ("critical", "pager,slack")] {
        let output = Command::new(monitoring_program("amtool").unwrap())
            .args(["config", "routes", "test", "--verify.receivers", receivers])
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("severity={severity}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{severity}: {output:?}");
    }
}

/// Our scrape example, for a Walferry and a receiver of a test, and quicker.
fn prometheus_of(walferry: &Walferry, alertmanager: &str) -> PrometheusServer {
    let admin = walferry.admin_url().trim_start_matches("http://");
    let config = text("prometheus/prometheus.yml")
        .replace("walferry:9464", admin)
        .replace("alertmanager:9093", alertmanager)
        .replace("/etc/prometheus/", "")
        .replace("15s", "1s");
    let rules = text("prometheus/rules.yml");
    PrometheusServer::start(&[("prometheus.yml", &config), ("rules.yml", &rules)]).unwrap()
}

fn ask(prometheus: &PrometheusServer, query: &str) -> Json {
    let escaped: String = query
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let url = format!(
        "http://{}/api/v1/query?query={escaped}",
        prometheus.address()
    );
    let answer = http::get(&url, ANSWER).unwrap().json().unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"]["result"].clone()
}

/// Each panel's title and query, with the dashboard's variables filled in.
fn queries() -> Vec<(String, String)> {
    let dashboard: Json = serde_json::from_str(&text("grafana/dashboards/walferry.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$connector", ".+");
            queries.push((title.to_owned(), query.replace("$__rate_interval", "1m")));
        }
    }
    queries
}

/// Stands where an Alertmanager would: its address, and each body that is posted to it.
fn receiver() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (bodies, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if bodies.send(posted(stream).unwrap_or_default()).is_err() {
                return;
            }
        }
    });
    (address, received)
}

fn posted(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(ANSWER))?;
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    let whole = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("Content-Length: "))?;
        (body.len() >= length.parse().ok()?).then(|| body.to_owned())
    };
    loop {
        if let Some(body) = whole(&text) {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            )?;
            return Ok(body);
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(text),
            read => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
        }
    }
}

/// A connector under load that has had a snapshot, a dead letter, a lost session and a registry that was away.
fn seasoned(place: &Place, registry: &Proxy) -> Walferry {
    place.sql(
        "create table orders (id int primary key, price numeric(9, 2));
         insert into orders select g, g from generate_series(1, 2000) g",
    );
    let through = place
        .registry
        .replace(&host(&place.registry), &registry.address());
    let authority = Path::new(env!("CARGO_MANIFEST_DIR"));
    let authority = authority.join("../crates/walferry/src/certificates/long.pem");
    let mut settings = place.all();
    settings
        .kafka_property("ssl.ca.location", authority.to_str().unwrap())
        .set_text("errors.policy", "dead-letter")
        .set_text("registry.url", &through);
    let mut walferry = place.streaming(&settings);
    registry.set(Mode::BlackHole);
    walferry.wait_not_ready("registry", READY);
    registry.cut();
    registry.set(Mode::Pass);
    walferry.wait_ready(READY);
    place.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where active and database = current_database()");
    walferry.wait_log("WF", READY);
    walferry.wait_ready(READY);
    walferry
}

#[test]
fn every_query_of_the_dashboard_is_answered_and_alerts_are_sent_on() {
    let place = Place::shared("monitored");
    let registry = Proxy::start(&host(&place.registry)).unwrap();
    let mut walferry = seasoned(&place, &registry);
    let (alertmanager, received) = receiver();
    let prometheus = prometheus_of(&walferry, &alertmanager);
    let queries = queries();
    assert!(queries.len() > 30, "{queries:?}");
    let deadline = Instant::now() + READY;
    let mut id = 3000;
    loop {
        id += 3;
        place.sql(&format!(
            "insert into orders values ({id}, 1); update orders set price = 2 where id = {id}; \
             insert into orders values ({id} + 1, 'NaN')"
        ));
        let empty: Vec<_> = queries
            .iter()
            .filter(|(_, query)| ask(&prometheus, query).as_array().is_none_or(Vec::is_empty))
            .collect();
        if empty.is_empty() {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "no data for {empty:#?}\n{}",
            walferry.get("/metrics").unwrap().body
        );
    }
    // Alerts are told again and again; the letters are one of them.
    loop {
        let told = received.recv_timeout(READY).unwrap();
        if told.contains("WalferryDeadLetters") {
            assert!(told.contains("public.orders"), "{told}");
            assert!(
                told.contains("docs/runbooks/WalferryDeadLetters.md"),
                "{told}"
            );
            break;
        }
    }
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}
