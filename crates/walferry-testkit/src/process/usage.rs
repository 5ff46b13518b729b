//! What a process costs, from `/proc`.
//!
//! Owns: CPU seconds and resident memory by process id. Never: cgroups, other systems than Linux.
//! Specification: proc_pid_stat(5), proc_pid_status(5).

use std::fs;

/// Ticks of a second in `/proc/PID/stat`: 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// CPU and memory of a process at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time in seconds, of all threads.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// The most resident memory so far, in bytes.
    pub rss_peak_bytes: u64,
}

impl Usage {
    /// Of a process; none when there is no such process.
    pub fn of(pid: u32) -> Option<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kilobytes = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        Some(Usage {
            cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS,
            rss_bytes: kilobytes("VmRSS:").unwrap_or(0) * 1024,
            rss_peak_bytes: kilobytes("VmHWM:").unwrap_or(0) * 1024,
        })
    }
}

/// Ids of a process's children.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(folders) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = folders
        .flatten()
        .filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    let parent = |id: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    ids.filter(|id| parent(*id) == Some(pid)).collect()
}

/// How many cores this process may use.
pub fn machine_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_usage_is_told() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 0 && usage.rss_peak_bytes >= usage.rss_bytes);
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
