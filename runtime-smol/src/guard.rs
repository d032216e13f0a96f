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
use std::process::Stdio;
use std::time::Duration;

use async_process::Child;
use smol::future::FutureExt;
use smol::{Async, Timer};

use crate::dial;

/// How to start the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program, usually our own.
    pub program: PathBuf,
    /// Its arguments, usually the one word `guard`.
    pub args: Vec<OsString>,
}

/// The guard, started or not.
#[derive(Debug)]
pub(crate) struct Guard {
    command: Option<GuardCommand>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    pipe: Async<PipeWriter>,
    child: Child,
}

impl Guard {
    pub(crate) fn new(command: Option<GuardCommand>) -> Self {
        Self { command, running: None }
    }

    /// Starts it, the first time this is called.
    ///
    /// # Errors
    /// It cannot be started, in words; said once.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let Some(command) = self.command.take() else { return Ok(()) };
        match launch(&command) {
            Ok(running) => {
                self.running = Some(running);
                Ok(())
            }
            Err(error) => Err(format!(
                "cannot start the guard process `{}`: {}; children may outlive a killed proxy",
                command.program.display(),
                dial::reason(&error)
            )),
        }
    }

    /// What every child has to have in its environment: by it the guard finds children that it was not told of yet
    /// when we died, and descendants that have left their group. `None` without a guard.
    pub(crate) fn mark(&self) -> Option<(&'static str, String)> {
        self.running.as_ref().map(|running| ("MCP_PROXY_GUARD", running.child.id().to_string()))
    }

    /// This group lives.
    pub(crate) fn add(&mut self, group: u32) {
        self.tell(&format!("+{group}\n"));
    }

    /// This group has ended.
    pub(crate) fn remove(&mut self, group: u32) {
        self.tell(&format!("-{group}\n"));
    }

    /// Ends it in order. Does not wait long for one that hangs.
    pub(crate) async fn dismiss(mut self) {
        self.tell("bye\n");
        if let Some(Running { pipe, mut child }) = self.running.take() {
            drop(pipe);
            let exit = async { drop(child.status().await) };
            exit.or(async {
                Timer::after(DISMISS_TIME).await;
            })
            .await;
        }
    }

    /// A line is shorter than the pipe's atomic unit: it goes in whole or not at all. A guard that is dead,
    /// or has not read thousands of lines, is given up.
    fn tell(&mut self, line: &str) {
        if let Some(running) = &self.running
            && running.pipe.get_ref().write_all(line.as_bytes()).is_err()
        {
            self.running = None;
        }
    }
}

fn launch(command: &GuardCommand) -> io::Result<Running> {
    let (theirs, ours) = io::pipe()?;
    let pipe = Async::new(ours)?;
    let mut process = std::process::Command::new(&command.program);
    process.args(&command.args).process_group(0);
    let child = async_process::Command::from(process).stdin(theirs).stdout(Stdio::null()).spawn()?;
    Ok(Running { pipe, child })
}

/// How long an orderly end waits for the guard.
const DISMISS_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
