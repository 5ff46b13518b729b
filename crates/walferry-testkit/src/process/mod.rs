//! The `walferry` binary as a child process: started, watched over HTTP, stopped and killed.
//!
//! Owns: [`Walferry`] (one run), [`Settings`] (its file), [`Usage`] (what a process costs). Never: the product's code.
//! Every wait has a deadline; when it passes, the panic shows the end of the log.

mod arguments;
pub mod http;
mod settings;
mod usage;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

pub use arguments::{Arguments, print_line};
pub use settings::Settings;
pub use usage::{Usage, children, machine_cores};

/// How many lines of the log are kept in memory.
const LOG_LINES_MAX: usize = 20_000;
/// How many of them a panic shows.
const TAIL_LINES: usize = 40;
/// The pause between two questions while waiting.
const POLL: Duration = Duration::from_millis(20);

/// The binary: `WALFERRY_BIN`, else beside the running program, else the newer of `target/{debug,release}`.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("WALFERRY_BIN") {
        return Ok(path.into());
    }
    let running = std::env::current_exe().context("no path of the running program")?;
    let beside = running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("walferry"));
    if let Some(found) = beside.into_iter().find(|path| path.is_file()) {
        return Ok(found);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let built = ["debug", "release"].map(|profile| target.join(profile).join("walferry"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    built
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(age)
        .context("no walferry binary; run `cargo build -p walferry` or set WALFERRY_BIN")
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
}

/// A running connector.
pub struct Walferry {
    child: Child,
    admin_url: String,
    log: Arc<Mutex<Log>>,
    log_path: PathBuf,
    started: Instant,
    status: Option<ExitStatus>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Walferry {
    /// Writes the settings into `folder` and starts `walferry run`. The log goes to `folder/NAME.log`.
    pub fn start(settings: &Settings, folder: &Path) -> Result<Walferry> {
        let path = settings.write(folder)?;
        Walferry::start_with(&["run", "-c", &path.to_string_lossy()], settings, folder)
    }

    /// Starts the binary with other arguments, for instance `check`.
    pub fn start_with(arguments: &[&str], settings: &Settings, folder: &Path) -> Result<Walferry> {
        Walferry::spawn(&binary()?, arguments, settings, folder)
    }

    fn spawn(
        binary: &Path,
        arguments: &[&str],
        settings: &Settings,
        folder: &Path,
    ) -> Result<Walferry> {
        fs::create_dir_all(folder)?;
        let log_path = folder.join(format!("{}.log", settings.name()));
        let file = File::options().create(true).append(true).open(&log_path)?;
        let mut child = Command::new(binary)
            .args(arguments)
            .envs(settings.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let log = Arc::new(Mutex::new(Log::default()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(gather(stdout, log.clone(), file.try_clone()?)?);
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(gather(stderr, log.clone(), file)?);
        }
        let admin_url = settings.admin_url();
        Ok(Walferry {
            child,
            admin_url,
            log,
            log_path,
            started: Instant::now(),
            status: None,
            readers,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Root of the admin server, `http://127.0.0.1:port`.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Where the whole log is.
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// How long it runs.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The lines of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .clone()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let lines = self.log();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Asks the admin server.
    pub fn get(&self, path: &str) -> Result<http::Response> {
        http::get(&format!("{}{path}", self.admin_url), Duration::from_secs(2))
    }

    /// The sum of the series of a metric that have all of these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let text = self.get("/metrics")?.body;
        let named = text.lines().filter(|line| {
            let labelled = labels
                .iter()
                .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")));
            labelled && line.split(['{', ' ']).next() == Some(name)
        });
        let value = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|it| it.parse::<f64>().ok())
        };
        Ok(named.filter_map(value).sum())
    }

    /// The first connector of `GET /status`.
    pub fn status(&self) -> Result<Json> {
        let mut answer = self.get("/status")?.json()?;
        match answer["connectors"].get_mut(0) {
            Some(connector) => Ok(connector.take()),
            None => bail!("/status tells of no connector"),
        }
    }

    /// Waits until `/readyz` answers 200. Returns how long it took.
    ///
    /// # Panics
    /// When the process ends or the deadline passes.
    pub fn wait_ready(&mut self, deadline: Duration) -> Duration {
        self.wait_for("ready", deadline, |it| {
            it.get("/readyz")
                .ok()
                .filter(|it| it.status == 200)
                .map(drop)
        })
        .1
    }

    /// Waits until `/readyz` answers 503 and its body holds `part`. Returns the body.
    ///
    /// # Panics
    /// When the process ends or the deadline passes.
    pub fn wait_not_ready(&mut self, part: &str, deadline: Duration) -> String {
        let what = format!("not ready because of {part:?}");
        self.wait_for(&what, deadline, |it| {
            let answer = it.get("/readyz").ok()?;
            (answer.status == 503 && answer.body.contains(part)).then_some(answer.body)
        })
        .0
    }

    /// Waits until the connector's status satisfies `wanted`. Returns the status.
    ///
    /// # Panics
    /// When the process ends or the deadline passes.
    pub fn wait_status(
        &mut self,
        what: &str,
        deadline: Duration,
        mut wanted: impl FnMut(&Json) -> bool,
    ) -> Json {
        self.wait_for(what, deadline, |it| {
            it.status().ok().filter(|status| wanted(status))
        })
        .0
    }

    /// Waits until a line of the log holds `part`. Returns the line.
    ///
    /// # Panics
    /// When the process ends without it or the deadline passes.
    pub fn wait_log(&mut self, part: &str, deadline: Duration) -> String {
        let what = format!("a log line with {part:?}");
        self.wait_for(&what, deadline, |it| {
            it.log().into_iter().find(|line| line.contains(part))
        })
        .0
    }

    /// Waits until so many lines of the log hold `part`.
    ///
    /// # Panics
    /// When the deadline passes, or the process ends.
    pub fn wait_log_times(&mut self, part: &str, times: usize, deadline: Duration) {
        let what = format!("{times} log lines with {part:?}");
        self.wait_for(&what, deadline, |it| {
            let lines = it.log().into_iter().filter(|line| line.contains(part));
            (lines.count() >= times).then_some(())
        });
    }

    fn wait_for<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut ask: impl FnMut(&Walferry) -> Option<T>,
    ) -> (T, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(found) = ask(self) {
                return (found, begun.elapsed());
            }
            if let Some(status) = self.exited() {
                panic!(
                    "walferry ended ({status}) instead of: {what}\n{}",
                    self.log_tail()
                );
            }
            assert!(
                begun.elapsed() < deadline,
                "walferry is not {what} within {deadline:?}; status: {}\n{}",
                self.status()
                    .map_or_else(|error| format!("{error:#}"), |status| status.to_string()),
                self.log_tail()
            );
            thread::sleep(POLL);
        }
    }

    /// The exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
            if self.status.is_some() {
                // The pipes are at their end, so the log is complete when they are joined.
                self.readers
                    .drain(..)
                    .for_each(|reader| drop(reader.join()));
            }
        }
        self.status
    }

    /// Waits for the end. Returns the exit code, none if a signal ended it.
    ///
    /// # Panics
    /// When the deadline passes.
    pub fn wait_exit(&mut self, deadline: Duration) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                return status.code();
            }
            assert!(
                begun.elapsed() < deadline,
                "walferry runs on after {deadline:?}\n{}",
                self.log_tail()
            );
            thread::sleep(POLL);
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.wait_exit(Duration::from_secs(10));
    }

    /// SIGTERM. See [`Walferry::wait_exit`].
    pub fn sigterm(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP: it reads its configuration again.
    pub fn sighup(&mut self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP: the process stands still and its connections stay open.
    pub fn sigstop(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn sigcont(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        if self.exited().is_none()
            && let Some(pid) = Pid::from_raw(self.pid() as i32)
        {
            // It may end by itself in this moment; then the signal has no addressee, which is as well.
            let _ = kill_process(pid, signal);
        }
    }

    /// What it costs so far; none when it has ended.
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(self.pid())
    }
}

impl Drop for Walferry {
    fn drop(&mut self) {
        if self.exited().is_none() {
            let _ = (self.child.kill(), self.child.wait());
        }
    }
}

fn gather(
    from: impl Read + Send + 'static,
    log: Arc<Mutex<Log>>,
    mut file: File,
) -> Result<thread::JoinHandle<()>> {
    let reading = move || {
        for line in BufReader::new(from)
            .lines()
            .map_while(std::result::Result::ok)
        {
            // A full disk must not stop the process under test.
            let _ = writeln!(file, "{line}");
            let lines = &mut log.lock().unwrap_or_else(PoisonError::into_inner).lines;
            if lines.len() >= LOG_LINES_MAX {
                lines.drain(..LOG_LINES_MAX / 2);
            }
            lines.push(line);
        }
    };
    Ok(thread::Builder::new()
        .name("walferry-log".into())
        .spawn(reading)?)
}

#[cfg(test)]
mod tests;
