//! Looking at processes that are not our children, through `ps`, which every Unix has.

use super::LIMIT;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use tokio::process::Command;

/// Sends a signal.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
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

/// From one look to the next: nobody tells when a process that is not a child of ours ends.
const LOOK: Duration = Duration::from_millis(50);
