//! The guard: a small process that kills our children's groups when we die without a word.
//!
//! It is started with the first child, in a group of its own so that a Ctrl-C does not reach it, and reads
//! lines from us: `+1234` and `-1234` for groups that live and have ended, `bye` for an orderly end. When our
//! end of the pipe closes without `bye`, it kills what is left, and whoever has its mark in the environment.
//! One that ended by itself is replaced when the next child is started, and told of all groups that live.
//!
//! Invariant: a guard that is missing, slow or dead never keeps the proxy from its work, and none sees our end of the
//! pipe close while we live.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::reason;

/// How to start the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program, usually our own.
    pub program: PathBuf,
    /// Its arguments, usually the one word `guard`.
    pub args: Vec<OsString>,
}

/// The guard, started or not.
#[derive(Debug, Default)]
pub struct Guard {
    /// Gone when it cannot be started.
    command: Option<GuardCommand>,
    running: Option<Running>,
    /// The groups that live.
    groups: BTreeSet<u32>,
    launches: u32,
}

#[derive(Debug)]
struct Running {
    /// Never blocks.
    pipe: PipeWriter,
    child: Child,
}

impl Guard {
    /// One that is started later; with `None`, never.
    pub fn new(command: Option<GuardCommand>) -> Self {
        Self { command, ..Self::default() }
    }

    /// Starts it if it does not run: to be called before each child is started.
    ///
    /// # Errors
    /// What the operator should know, in words and once: it cannot be started, or had to be started again.
    pub fn start(&mut self) -> Result<(), String> {
        let is_alive = |running: &mut Running| running.child.try_wait().is_ok_and(|status| status.is_none());
        if self.running.as_mut().is_some_and(is_alive) {
            return Ok(());
        }
        self.give_up();
        let Some(command) = self.command.take() else { return Ok(()) };
        if self.launches == LAUNCHES_MAX {
            return Err(format!("the guard process ended {LAUNCHES_MAX} times; {RISK}"));
        }
        match launch(&command) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                let program = command.program.display();
                return Err(format!(
                    "cannot start the guard process `{program}`: {}; {RISK}",
                    reason(&error)
                ));
            }
        }
        self.command = Some(command);
        self.launches += 1;
        for group in self.groups.clone() {
            self.tell(&format!("+{group}\n"));
        }
        match self.launches {
            1 => Ok(()),
            _ => Err("the guard process had ended, and was started again".to_owned()),
        }
    }

    /// What every child has to have in its environment: by it the guard finds children that it was not told of yet
    /// when we died, and descendants that have left their group. `None` without a guard.
    pub fn mark(&self) -> Option<(&'static str, String)> {
        let running = self.running.as_ref()?;
        Some(("MCP_PROXY_GUARD", running.child.id().to_string()))
    }

    /// This group lives.
    pub fn add(&mut self, group: u32) {
        self.groups.insert(group);
        self.tell(&format!("+{group}\n"));
    }

    /// This group has ended.
    pub fn remove(&mut self, group: u32) {
        self.groups.remove(&group);
        self.tell(&format!("-{group}\n"));
    }

    /// Ends it in order. Blocks, but not long for one that hangs.
    pub fn dismiss(mut self) {
        self.tell("bye\n");
        let Some(Running { pipe, mut child }) = self.running else { return };
        drop(pipe);
        for _ in 0..DISMISS_LOOKS {
            if child.try_wait().is_ok_and(|status| status.is_none()) {
                sleep(DISMISS_PAUSE);
            }
        }
    }

    /// A line is shorter than the pipe's atomic unit: it goes in whole or not at all. A guard that is dead,
    /// or has not read thousands of lines, is given up.
    fn tell(&mut self, line: &str) {
        if let Some(running) = &mut self.running
            && running.pipe.write_all(line.as_bytes()).is_err()
        {
            self.give_up();
        }
    }

    /// Whoever hangs must not wake up later to a closed pipe, and kill what lives.
    fn give_up(&mut self) {
        if let Some(Running { pipe, mut child }) = self.running.take() {
            let _dead_already = child.kill();
            let _reaped = child.wait();
            drop(pipe);
        }
    }
}

fn launch(command: &GuardCommand) -> io::Result<Running> {
    let (theirs, ours) = io::pipe()?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let mut process = std::process::Command::new(&command.program);
    process.args(&command.args).process_group(0);
    let child = process.stdin(theirs).stdout(Stdio::null()).spawn()?;
    Ok(Running { pipe: ours, child })
}

/// Guards started one after the other; what ends so often is not there to stay.
const LAUNCHES_MAX: u32 = 10;

const RISK: &str = "children may outlive a killed proxy";

/// Between two looks at whether the guard has ended.
const DISMISS_PAUSE: Duration = Duration::from_millis(2);

/// An orderly end waits one second for the guard.
const DISMISS_LOOKS: u32 = 500;

#[cfg(test)]
mod tests;
