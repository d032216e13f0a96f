//! What this process is to others: it inherits children, and its terminal may be closed.
//!
//! The children of a process that ends go to process 1 of their container, which has to collect them: whoever is not
//! collected stays as a zombie and counts for the limit of processes. Any process may inherit some by `exec`.
//!
//! Invariant: nobody is collected here whom somebody else of this process waits for.
//! Known limit: whom it has inherited is found in `/proc` (Linux).

use std::fs;

use rustix::process::{Pid, WaitOptions, waitpid};

/// Collects the children of this process that have ended, but for ours, which their owners wait for. To be called at
/// each SIGCHLD. Embedders with children of their own leave it alone.
pub fn reap(is_ours: impl Fn(Pid) -> bool) {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        for pid in pids.filter(|pid| !is_ours(*pid)) {
            // Nobody waits here for one that lives.
            let _ended = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Whether a closed terminal concerns this process: whoever starts it with `nohup` says no.
pub fn hears_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    !ignores_hangup(&status)
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is 1, the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process;
    use std::process::Command;

    #[test]
    fn nohup_is_seen() {
        for (mask, ignored) in
            [("0000000000000001", true), ("0000000000001003", true), ("0000000000001000", false)]
        {
            assert_eq!(ignores_hangup(&format!("SigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n")), ignored);
        }
        assert!(!ignores_hangup(""));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_is_ours_is_left_to_its_owner() {
        let [mut ours, mut theirs] =
            ["exit 3", "exit 4"].map(|script| Command::new("sh").args(["-c", script]).spawn().unwrap());
        let taken = Pid::from_child(&theirs);
        // Other tests of this process have children too.
        while test_kill_process(taken).is_ok() {
            reap(|pid| pid != taken);
        }
        assert!(theirs.wait().is_err());
        assert_eq!(ours.wait().unwrap().code(), Some(3));
    }
}
