//! One server process: started, watched, frozen, killed, started again.
//!
//! Owns: the child, its log file, and a watchdog that kills it when this process ends in any way,
//! `kill -9` included. Never: knows which server it is.
//! Invariant: a process never outlives the value that owns it, unless it was told to go on.
//! Start reading at [`ServerProcess::spawn`].
//!
//! The watchdog is a shell that reads from a pipe of ours: the pipe ends when we do. The kernel's
//! parent-death signal would serve worse, because it fires when the *thread* that started the child
//! ends, and tests start servers on threads of their own.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// How a server is started, the first time and again.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// For messages: `PostgreSQL 17`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) account: Option<Account>,
    pub(crate) folder: PathBuf,
    /// The signal that asks for an orderly end.
    pub(crate) terminate_by: Signal,
    pub(crate) start_limit: Duration,
}

/// The user and group a server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

#[derive(Debug)]
pub(crate) struct ServerProcess {
    launch: Launch,
    child: Option<Child>,
    watchdog: Option<Child>,
    /// Where the log of the current life begins.
    log_start: u64,
    /// Shall go on without us.
    left: bool,
}

impl ServerProcess {
    /// Starts the server and waits until `ready` says yes; `ready` gets the log of this life.
    pub(crate) fn spawn(launch: Launch, ready: impl Fn(&str) -> bool) -> Result<Self> {
        let mut process = Self {
            launch,
            child: None,
            watchdog: None,
            log_start: 0,
            left: false,
        };
        process.start(ready)?;
        Ok(process)
    }

    /// Starts the server again, after an orderly end if it still runs.
    pub(crate) fn restart(&mut self, ready: impl Fn(&str) -> bool) -> Result<()> {
        self.terminate()?;
        self.start(ready)
    }

    fn start(&mut self, ready: impl Fn(&str) -> bool) -> Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        self.log_start = log.metadata()?.len();
        let mut command = Command::new(&self.launch.program);
        command
            .args(&self.launch.arguments)
            .envs(self.launch.environment.iter().cloned())
            .current_dir(&self.launch.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the terminal is for us; the servers are ended in order afterwards.
            .process_group(0);
        if let Some(account) = self.launch.account {
            command.uid(account.uid).gid(account.gid);
        }
        let child = command.spawn().with_context(|| {
            format!(
                "{} did not start: {}",
                self.launch.name,
                self.launch.program.display()
            )
        })?;
        self.watchdog = Some(watch(child.id())?);
        self.child = Some(child);
        self.await_ready(ready)
    }

    fn await_ready(&mut self, ready: impl Fn(&str) -> bool) -> Result<()> {
        let began = Instant::now();
        loop {
            if ready(&self.log()) {
                return Ok(());
            }
            let name = &self.launch.name;
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                self.dismiss_watchdog();
                bail!(
                    "{} ended at its start: {status}\n{}",
                    self.launch.name,
                    self.log_tail(40)
                );
            }
            if began.elapsed() > self.launch.start_limit {
                let message = format!(
                    "{name} was not ready within {} s\n{}",
                    self.launch.start_limit.as_secs(),
                    self.log_tail(40)
                );
                self.kill9()?;
                bail!(message);
            }
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends the server and all its children at once, as a crash would, and waits until they are gone.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let root = pid_of(child.id());
        // A stopped parent starts no children while we look for them.
        signal(root, Signal::STOP);
        let family = descendants(child.id());
        signal(root, Signal::KILL);
        for member in &family {
            signal(pid_of(*member), Signal::KILL);
        }
        child.wait()?;
        self.dismiss_watchdog();
        let began = Instant::now();
        while family.iter().any(|member| runs(*member)) {
            if began.elapsed() > END_LIMIT {
                bail!("children of {} outlived a kill -9", self.launch.name);
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Asks for an orderly end and waits for it; what has not ended in time is killed.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        signal(pid_of(child.id()), Signal::CONT);
        signal(pid_of(child.id()), self.launch.terminate_by);
        let began = Instant::now();
        while child.try_wait()?.is_none() {
            if began.elapsed() > END_LIMIT {
                return self.kill9();
            }
            std::thread::sleep(POLL);
        }
        self.child = None;
        self.dismiss_watchdog();
        Ok(())
    }

    /// Stops the server and its children without ending them (SIGSTOP): connections stay open and
    /// nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal_family(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.signal_family(Signal::CONT);
    }

    fn signal_family(&self, which: Signal) {
        if let Some(pid) = self.pid() {
            signal(pid_of(pid), which);
            for member in descendants(pid) {
                signal(pid_of(member), which);
            }
        }
    }

    /// Lets the server go on without this process; returns its id.
    pub(crate) fn leave_running(&mut self) -> Result<u32> {
        let pid = self
            .pid()
            .with_context(|| format!("{} does not run", self.launch.name))?;
        self.dismiss_watchdog();
        self.left = true;
        Ok(pid)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.launch.folder.join("server.log")
    }

    /// What the server wrote since its last start.
    pub(crate) fn log(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(self.log_path())
            && file.seek(SeekFrom::Start(self.log_start)).is_ok()
        {
            // A log that cannot be read reads as empty: readiness then fails with a message.
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        let from = all.len().saturating_sub(lines);
        format!(
            "--- end of {} ---\n{}",
            self.log_path().display(),
            all[from..].join("\n")
        )
    }

    fn dismiss_watchdog(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            // A line instead of the end of the pipe: nothing to kill any more.
            if let Some(mut pipe) = watchdog.stdin.take() {
                let _ = pipe.write_all(b"done\n");
            }
            let _ = watchdog.wait();
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if std::thread::panicking() {
            super::cache::say(&self.log_tail(15));
        }
        // A test's server has nothing to save, so the quick end is the right one.
        let _ = self.kill9();
    }
}

fn watch(pid: u32) -> Result<Child> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "walferry-watchdog", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("the watchdog shell did not start")
}

/// Waits for a line, or for the end of the pipe: then it kills the server's children, which might be stopped
/// and would not notice the end of their parent, and the server. The fourth field of `/proc/PID/stat` is the
/// parent; our servers' names hold no blanks.
const WATCHDOG: &str = r#"read -r line && exit
kill -STOP "$1"
for stat in /proc/[0-9]*/stat; do
    read -r pid name state parent rest < "$stat" && [ "$parent" = "$1" ] && kill -9 "$pid"
done
kill -9 "$1"
"#;

fn pid_of(pid: u32) -> Pid {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("Linux process ids are positive i32")
}

/// Sends a signal; a process that is gone already is not an error.
fn signal(pid: Pid, which: Signal) {
    let _ = rustix::process::kill_process(pid, which);
}

/// Whether a process of this id exists and is not merely waiting to be reaped.
pub(crate) fn runs(pid: u32) -> bool {
    stat(Path::new(&format!("/proc/{pid}/stat"))).is_some_and(|(state, _)| state != 'Z')
}

/// The children of a process and theirs.
fn descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok())
            && let Some((_, parent)) = stat(&entry.path().join("stat"))
        {
            parents.push((pid, parent));
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let of = family[next];
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == of)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    family.split_off(1)
}

/// State and parent from `/proc/PID/stat` (proc(5)): `pid (name) state ppid ...`, where the name may
/// hold blanks and brackets, so that fields are counted from the last bracket.
fn stat(path: &Path) -> Option<(char, u32)> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

const POLL: Duration = Duration::from_millis(20);
const END_LIMIT: Duration = Duration::from_secs(30);

/// Ends a server that was left running, by its id and waits until it is gone.
pub(crate) fn end_detached(pid: u32) {
    let family = descendants(pid);
    signal(pid_of(pid), Signal::INT); // PostgreSQL: fast shutdown; Java: an orderly end.
    let began = Instant::now();
    while runs(pid) {
        if began.elapsed() > END_LIMIT {
            for member in family.iter().chain([&pid]) {
                signal(pid_of(*member), Signal::KILL);
            }
        }
        if began.elapsed() > 2 * END_LIMIT {
            return;
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn the_end_of_our_pipe_is_the_end_of_the_server() {
        let mut server = sleeper();
        let mut watchdog = watch(server.id()).unwrap();
        // What the kernel does to our end of the pipe when we are killed.
        drop(watchdog.stdin.take());
        assert!(!server.wait().unwrap().success());
        watchdog.wait().unwrap();
    }

    #[test]
    fn the_watchdog_ends_children_that_are_stopped() {
        let mut server = Command::new("sh")
            .args(["-c", "sleep 600 & kill -STOP $!; echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let child: u32 = line.trim().parse().unwrap();
        let mut watchdog = watch(server.id()).unwrap();
        drop(watchdog.stdin.take());
        watchdog.wait().unwrap();
        server.wait().unwrap();
        let began = Instant::now();
        while runs(child) {
            assert!(
                began.elapsed() < END_LIMIT,
                "the stopped child outlived its parent"
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_dismissed_watchdog_kills_nothing() {
        let mut server = sleeper();
        let mut watchdog = watch(server.id()).unwrap();
        watchdog.stdin.take().unwrap().write_all(b"done\n").unwrap();
        watchdog.wait().unwrap();
        assert!(server.try_wait().unwrap().is_none());
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(!runs(server.id()));
    }

    #[test]
    fn children_of_children_are_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "(sleep 600; true) & echo ready; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        shell
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut [0; 6])
            .unwrap();
        let began = Instant::now();
        while descendants(shell.id()).len() < 2 {
            assert!(began.elapsed() < END_LIMIT, "{:?}", descendants(shell.id()));
            std::thread::yield_now();
        }
        let family = descendants(shell.id());
        for member in family.iter().chain([&shell.id()]) {
            signal(pid_of(*member), Signal::KILL);
        }
        shell.wait().unwrap();
    }
}
