//! A schema registry in the test's own process, whose faults a test can ask for: a POST that fails, a mode that forbids it, a
//! rebuild with other ids, an absence.
//!
//! Owns: the calls that Walferry makes, with the answers of Confluent's API; or, before a real registry, the faults alone. Never:
//! compatibility rules of its own, every schema is taken. For what is not about such faults there is the real one in `stack`.
//! Start reading at [`FakeRegistry::start`].

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use crate::process::http;

/// How long the registry behind may take.
const PASSED_ON: Duration = Duration::from_secs(10);

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every call is answered with this status and body.
    All(u16, String),
    /// Calls that write are; the others are answered as always.
    Writes(u16, String),
    /// Connections are taken and nothing is ever answered.
    BlackHole,
}

#[derive(Default)]
struct State {
    fault: Fault,
    schemas: Vec<(u32, String, String)>,
    next: u32,
    asked: HashMap<String, u64>,
}

struct Shared {
    state: Mutex<State>,
    gone: AtomicBool,
    upstream: Option<String>,
}

/// The registry. It ends on drop.
pub struct FakeRegistry {
    shared: Arc<Shared>,
    port: u16,
}

impl FakeRegistry {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// There is none.
    pub fn start() -> Result<FakeRegistry> {
        FakeRegistry::open(None)
    }

    /// As [`FakeRegistry::start`], before a real registry, which answers what no fault does.
    ///
    /// # Errors
    /// There is no free port.
    pub fn before(upstream: &str) -> Result<FakeRegistry> {
        FakeRegistry::open(Some(upstream.trim_end_matches('/').to_owned()))
    }

    fn open(upstream: Option<String>) -> Result<FakeRegistry> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port for a registry")?;
        let port = listener.local_addr()?.port();
        let state = State {
            next: 1,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            gone: AtomicBool::new(false),
            upstream,
        });
        let serving = shared.clone();
        thread::Builder::new()
            .name("fake-registry".into())
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if serving.gone.load(Ordering::SeqCst) {
                        return;
                    }
                    let serving = serving.clone();
                    thread::spawn(move || serve(&serving, stream));
                }
            })?;
        Ok(FakeRegistry { shared, port })
    }

    /// What a configuration names.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on this goes wrong.
    pub fn set(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// Forgets every schema; the next ids begin at `next`.
    pub fn rebuild(&self, next: u32) {
        let mut state = self.state();
        state.schemas.clear();
        state.next = next;
    }

    /// The schema of an id.
    pub fn schema(&self, id: u32) -> Option<String> {
        let state = self.state();
        let found = state.schemas.iter().find(|(known, ..)| *known == id);
        found.map(|(_, _, schema)| schema.clone())
    }

    /// How often a call was made, by method.
    pub fn asked(&self, method: &str) -> u64 {
        self.state().asked.get(method).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        // The thread looks at it when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    while let Some((method, path, body)) = request(&mut stream) {
        let fault = lock(shared).fault.clone();
        *lock(shared).asked.entry(method.clone()).or_default() += 1;
        let writes = method == "PUT" || (method == "POST" && path.ends_with("/versions"));
        let (status, text) = match fault {
            Fault::BlackHole => {
                while !shared.gone.load(Ordering::SeqCst)
                    && matches!(lock(shared).fault, Fault::BlackHole)
                {
                    thread::sleep(Duration::from_millis(20));
                }
                // What hung stays dead.
                return;
            }
            Fault::All(status, text) => (status, text),
            Fault::Writes(status, text) if writes => (status, text),
            Fault::Writes(..) | Fault::None if shared.upstream.is_some() => {
                let url = format!("{}{path}", shared.upstream.as_deref().unwrap_or_default());
                let text = match body.is_null() {
                    true => String::new(),
                    false => body.to_string(),
                };
                match http::request(&method, &url, &text, &[], PASSED_ON) {
                    Ok(answer) => (answer.status, answer.body),
                    Err(_) => (502, String::new()),
                }
            }
            Fault::Writes(..) | Fault::None => {
                let (status, answer) = answer(&mut lock(shared), &method, &path, &body);
                (status, answer.to_string())
            }
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

/// Method, path and body of the next request on a connection.
fn request(stream: &mut TcpStream) -> Option<(String, String, Json)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head_end + length.unwrap_or(0);
    while bytes.len() < whole {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    let mut words = head.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let body = serde_json::from_slice(&bytes[head_end..whole]).unwrap_or(Json::Null);
    Some((method, path, body))
}

fn answer(state: &mut State, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let path = path.split('?').next().unwrap_or(path);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let not_found = |code: u32| (404, json!({ "error_code": code, "message": "not found" }));
    let schema = body["schema"].as_str().unwrap_or_default().to_owned();
    match (method, &parts[..]) {
        ("GET", ["schemas", "types"]) => (200, json!(["AVRO"])),
        ("GET", ["schemas", "ids", id]) => {
            let id: u32 = id.parse().unwrap_or(0);
            match state.schemas.iter().find(|(known, ..)| *known == id) {
                Some((_, _, schema)) => (200, json!({ "schema": schema })),
                None => not_found(40403),
            }
        }
        ("POST", ["compatibility", ..]) => (200, json!({ "is_compatible": true })),
        ("POST", ["subjects", subject]) => {
            let of = |it: &&(u32, String, String)| it.1 == *subject;
            let mut held = state.schemas.iter().filter(of).peekable();
            if held.peek().is_none() {
                return not_found(40401);
            }
            match held.find(|it| it.2 == schema) {
                Some((id, ..)) => (200, json!({ "id": id })),
                None => not_found(40403),
            }
        }
        ("POST", ["subjects", subject, "versions"]) => {
            let same = |it: &&(u32, String, String)| it.1 == *subject && it.2 == schema;
            if let Some((id, ..)) = state.schemas.iter().find(same) {
                return (200, json!({ "id": id }));
            }
            let id = state.next;
            state.next += 1;
            state.schemas.push((id, (*subject).to_owned(), schema));
            (200, json!({ "id": id }))
        }
        _ => not_found(404),
    }
}
