//! Looking at processes that are not our children, through `ps`, which every Unix has.

use super::LIMIT;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit, test_kill_process};
use std::time::Duration;
use tokio::process::Command;

/// Sends a signal.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Lets this process have as many open files as the system allows, and gives how many that is.
pub(crate) fn raise_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum.or(limit.current), ..limit };
    let raised = setrlimit(Resource::Nofile, most).is_ok();
    let now = if raised { most.current } else { limit.current };
    now.map_or(usize::MAX, |files| usize::try_from(files).unwrap())
}

/// The most bytes of memory that a process has had, where the system tells (Linux).
pub(crate) fn memory(pid: u32) -> Option<usize> {
    status(pid, "VmHWM:")
}

/// Bytes of memory that a process has now, where the system tells (Linux).
pub(crate) fn memory_now(pid: u32) -> Option<usize> {
    status(pid, "VmRSS:")
}

fn status(pid: u32, name: &str) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The processes of a group that have not ended. A zombie has ended, whoever forgot to collect it.
pub(crate) async fn members(group: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-A", "-o", "pid=,pgid=,stat="]).output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let mut members = Vec::new();
    for line in table.lines() {
        let mut fields = line.split_whitespace();
        let (pid, pgid, stat) = (fields.next(), fields.next(), fields.next());
        if pgid == Some(group.to_string().as_str()) && !stat.unwrap_or_default().starts_with('Z') {
            members.push(pid.unwrap().parse().unwrap());
        }
    }
    members
}

/// Waits until a group has no member left.
pub(crate) async fn gone(group: u32) {
    let looks = LIMIT.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        if members(group).await.is_empty() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("processes {:?} of group {group} are still there", members(group).await);
}

/// Waits until its parent has collected a process.
pub(crate) async fn collected(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let looks = LIMIT.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        if test_kill_process(pid).is_err() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("nobody collects process {pid:?}");
}

/// Waits until a process has a child beside the ones that are known.
#[cfg(target_os = "linux")]
pub(crate) async fn child_beside(parent: u32, known: &[u32]) -> u32 {
    let looks = LIMIT.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let mut children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        if let Some(child) = children.find(|pid| !known.contains(pid)) {
            return child;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("process {parent} has no child beside {known:?}");
}

/// From one look to the next: nobody tells when a process that is not a child of ours ends.
const LOOK: Duration = Duration::from_millis(50);
