//! Where downloads and running servers live on this machine.
//!
//! Owns: the cache of unpacked server distributions, and the root of the folders in which servers run.
//! Never: downloads anything itself, or leaves half an installation behind: an entry is built beside its
//! place and renamed into it, so that an entry that exists is complete.
//! Invariant: at most one process builds an entry at a time (a file lock, which dies with its owner).
//! Start reading at [`install`].

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

/// The folder that keeps downloads: `WALFERRY_CACHE`, else `/var/cache/walferry` for root (whose home
/// the unprivileged PostgreSQL could not enter), else `~/.cache/walferry`.
///
/// # Errors
/// No home folder, or the folder cannot be made.
pub fn cache_folder() -> Result<PathBuf> {
    let folder = match std::env::var_os("WALFERRY_CACHE") {
        Some(named) if !named.is_empty() => std::path::absolute(named)?,
        _ if is_root() => PathBuf::from("/var/cache/walferry"),
        _ => {
            let home = std::env::var_os("HOME")
                .context("neither HOME nor WALFERRY_CACHE says where the cache may be")?;
            PathBuf::from(home).join(".cache/walferry")
        }
    };
    fs::create_dir_all(&folder)
        .with_context(|| format!("the cache folder {} cannot be made", folder.display()))?;
    Ok(folder)
}

/// Returns the cache entry `name`, after building it with `build` when it is missing. `build` gets an
/// empty folder that becomes the entry when it returns without an error.
///
/// # Errors
/// Those of `build`, and of the file system.
pub(crate) fn install(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let entry = cache.join(name);
    if entry.is_dir() {
        return Ok(entry);
    }
    let _lock = lock(&cache.join("locks"), name)?;
    if entry.is_dir() {
        return Ok(entry); // Another process built it while we waited for the lock.
    }
    let half = cache.join(format!("{name}.half"));
    if half.exists() {
        fs::remove_dir_all(&half)?; // Left by a build that was interrupted; we hold the lock.
    }
    fs::create_dir_all(&half)?;
    build(&half).with_context(|| format!("{name} could not be installed"))?;
    fs::rename(&half, &entry)?;
    Ok(entry)
}

fn lock(folder: &Path, name: &str) -> Result<File> {
    fs::create_dir_all(folder)?;
    let file = File::create(folder.join(name))?;
    if file.try_lock().is_err() {
        say(&format!("waiting for another process that installs {name}"));
        file.lock()?;
    }
    Ok(file)
}

/// Writes one line of progress for people to standard error.
pub fn say(line: &str) {
    // A closed standard error must not end a test run.
    let _ = writeln!(std::io::stderr().lock(), "stack: {line}");
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder in which one server runs; it is removed on drop unless told to stay.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    keep: bool,
    // Held for as long as the folder is in use, so that a sweep by another process spares it.
    _lock: File,
}

impl RunFolder {
    /// Makes a fresh folder for a server of this kind and removes what dead processes have left.
    pub(crate) fn create(kind: &str) -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let root = run_root()?;
        sweep(&root);
        loop {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let path = root.join(format!("{kind}-{}-{serial}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e).with_context(|| format!("{} failed", path.display())),
            }
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            let lock = File::create(path.join("owner.lock"))?;
            lock.lock()?;
            return Ok(Self {
                path,
                keep: false,
                _lock: lock,
            });
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the folder outlive this process; `stack down` removes it.
    pub(crate) fn detach(&mut self) -> Result<()> {
        File::create(self.path.join(DETACHED))?;
        self.keep = true;
        Ok(())
    }

    /// Leaves the folder for a person to look at; a later sweep removes it.
    pub(crate) fn keep_for_inspection(&mut self) {
        self.keep = true;
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.keep {
            // What is left behind by a failure here is swept by a later process.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The folder under which servers run. As root it is one that any user can enter, because PostgreSQL
/// runs as another user; it must be root's own, so that nobody can plant links in it.
pub(crate) fn run_root() -> Result<PathBuf> {
    let root = if is_root() {
        PathBuf::from("/var/tmp/walferry-stack")
    } else {
        cache_folder()?.join("run")
    };
    fs::create_dir_all(&root)?;
    let found = fs::symlink_metadata(&root)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        bail!(
            "{} is not a folder of ours; remove it and try again",
            root.display()
        );
    }
    fs::set_permissions(&root, Permissions::from_mode(0o755))?;
    Ok(root)
}

/// Removes folders whose owner is gone for longer than a person needs to look at a failure.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(file) = File::open(path.join("owner.lock")) else {
            continue;
        };
        let old = file.metadata().and_then(|m| m.modified()).is_ok_and(|at| {
            SystemTime::now()
                .duration_since(at)
                .is_ok_and(|age| age > KEEP_FOR)
        });
        if old && !path.join(DETACHED).exists() && file.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&path); // A file in use is left to the next sweep.
        }
    }
}

const DETACHED: &str = "detached";
const KEEP_FOR: Duration = Duration::from_secs(30 * 60);
