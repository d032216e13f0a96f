//! The guard: a small process that kills our children's groups when we die without a word.
//!
//! It is started with the first child, in a group of its own so that a Ctrl-C does not reach it, and reads
//! lines from us: `+1234` and `-1234` for groups that live and have ended, `bye` for an orderly end. When our
//! end of the pipe closes without `bye`, it kills what is left, and whoever has its mark in the environment.
//!
//! Invariant: a guard that is missing, slow or dead never keeps the proxy from its work.

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
    command: Option<GuardCommand>,
    /// Never blocks. Gone when it was given up.
    pipe: Option<PipeWriter>,
    child: Option<Child>,
}

impl Guard {
    /// One that is started later; with `None`, never.
    pub fn new(command: Option<GuardCommand>) -> Self {
        Self { command, pipe: None, child: None }
    }

    /// Starts it, the first time this is called.
    ///
    /// # Errors
    /// It cannot be started, in words; said once.
    pub fn start(&mut self) -> Result<(), String> {
        let Some(command) = self.command.take() else { return Ok(()) };
        match launch(&command) {
            Ok((pipe, child)) => {
                (self.pipe, self.child) = (Some(pipe), Some(child));
                Ok(())
            }
            Err(error) => Err(format!(
                "cannot start the guard process `{}`: {}; children may outlive a killed proxy",
                command.program.display(),
                reason(&error)
            )),
        }
    }

    /// What every child has to have in its environment: by it the guard finds children that it was not told of yet
    /// when we died, and descendants that have left their group. `None` without a guard.
    pub fn mark(&self) -> Option<(&'static str, String)> {
        let child = self.child.as_ref().filter(|_| self.pipe.is_some())?;
        Some(("MCP_PROXY_GUARD", child.id().to_string()))
    }

    /// This group lives.
    pub fn add(&mut self, group: u32) {
        self.tell(&format!("+{group}\n"));
    }

    /// This group has ended.
    pub fn remove(&mut self, group: u32) {
        self.tell(&format!("-{group}\n"));
    }

    /// Ends it in order. Blocks, but not long for one that hangs.
    pub fn dismiss(mut self) {
        self.tell("bye\n");
        self.pipe = None;
        let Some(mut child) = self.child else { return };
        for _ in 0..DISMISS_LOOKS {
            if child.try_wait().is_ok_and(|status| status.is_none()) {
                sleep(DISMISS_PAUSE);
            }
        }
    }

    /// A line is shorter than the pipe's atomic unit: it goes in whole or not at all. A guard that is dead,
    /// or has not read thousands of lines, is given up.
    fn tell(&mut self, line: &str) {
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(line.as_bytes()).is_err()
        {
            self.pipe = None;
        }
    }
}

fn launch(command: &GuardCommand) -> io::Result<(PipeWriter, Child)> {
    let (theirs, ours) = io::pipe()?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let mut process = std::process::Command::new(&command.program);
    process.args(&command.args).process_group(0);
    let child = process.stdin(theirs).stdout(Stdio::null()).spawn()?;
    Ok((ours, child))
}

/// Between two looks at whether the guard has ended.
const DISMISS_PAUSE: Duration = Duration::from_millis(2);

/// An orderly end waits one second for the guard.
const DISMISS_LOOKS: u32 = 500;

#[cfg(test)]
mod tests;
