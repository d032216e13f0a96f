//! Processes as `/proc` shows them: found by a mark in their environment, measured, signalled.
//!
//! A mark is inherited by every descendant, whatever group, session or parent it has given itself, so nothing that was
//! started on the way can hide by leaving its group. A process that has ended but was not collected has no environment
//! any more and is not found: who forgot to collect it is seen by [`zombies_of`].

use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// A process that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number.
    pub pid: u32,
    /// Its command line, with blanks between the arguments.
    pub command: String,
}

/// All living processes whose environment has the entry `mark` (`NAME=value`).
pub fn marked(mark: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for pid in all() {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()) {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
            found.push(Found { pid, command });
        }
    }
    found
}

/// How many children of a process have ended and were not collected.
pub fn zombies_of(parent: u32) -> usize {
    let is_zombie = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name may hold anything, also blanks and brackets; what follows it does not.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.next() == Some("Z") && fields.next() == Some(parent.to_string().as_str())
    };
    all().filter(is_zombie).count()
}

/// How many files a process has open; 0 when it is gone.
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Memory of its own in KiB, without the program text that lies in the cache of the system; 0 when it is gone.
pub fn own_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Processor time used so far, in milliseconds.
pub fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // utime and stime, in the hundredths of a second that Linux shows everywhere.
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

/// Sends a signal; false when there is nobody.
pub fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
