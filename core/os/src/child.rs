//! A child process as the system sees it: its command, its process group, its end.
//!
//! Invariant: nobody of a group outlives its leader, and none outlives the [`Process`] that stands for it.
//! Deliberately absent: pipes and waiting, which are the runtime's; restarts and the steps of stopping, which are the
//! engine's.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use mcp_proxy_core::event::{ChildSpec, ExitStatus, Signal};
use rustix::process::Pid;

use crate::reason;

/// What a runtime knows of a child, whether it runs yet or not.
#[derive(Debug, Default)]
pub struct Process {
    group: Cell<Option<Pid>>,
    early: Cell<Option<Signal>>,
    exit: Cell<Option<ExitStatus>>,
}

impl Process {
    /// Signals the whole group, or as soon as there is one.
    pub fn signal(&self, signal: Signal) {
        let Some(group) = self.group.get() else {
            self.early.set(Some(signal));
            return;
        };
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        // Fails only when nobody is left.
        let _ = rustix::process::kill_process_group(group, signal);
    }

    /// The child runs, and its group has its number.
    pub fn started(&self, pid: u32) {
        self.group.set(i32::try_from(pid).ok().and_then(Pid::from_raw));
        if let Some(signal) = self.early.take() {
            self.signal(signal);
        }
    }

    /// Whether the leader of the group is this process.
    pub fn is(&self, pid: Pid) -> bool {
        self.group.get() == Some(pid)
    }

    /// The leader has ended like this, and nobody of its group outlives it. To be called at once, for from then on the
    /// number of an empty group may be given to somebody else.
    pub fn ended(&self, status: ExitStatus) {
        self.signal(Signal::Kill);
        self.group.set(None);
        self.exit.set(Some(status));
    }

    /// How it ended, told once.
    pub fn take_exit(&self) -> Option<ExitStatus> {
        self.exit.take()
    }
}

impl Drop for Process {
    /// Whoever is dropped while the child runs takes it along: an embedder may drop the whole proxy.
    fn drop(&mut self) {
        if self.group.get().is_some() {
            self.signal(Signal::Kill);
        }
    }
}

/// How to start it, but for its pipes.
pub fn command(spec: &ChildSpec) -> Command {
    let mut command = Command::new(&spec.command);
    command.args(&spec.args);
    command.envs(spec.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value.expose()))));
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command.process_group(0);
    command
}

/// Why it did not start. The system names neither the program nor what was missing.
pub fn explain(spec: &ChildSpec, error: &io::Error) -> String {
    // What stands behind the first blank are arguments as a rule, which may hold secrets.
    if let Some((program, _)) = spec.command.split_once(char::is_whitespace)
        && error.kind() != io::ErrorKind::PermissionDenied
    {
        return format!(
            "cannot start `{program} …`: {}; `command` is the program alone, its arguments go into `args`",
            reason(error)
        );
    }
    let missing = spec.cwd.as_ref().filter(|cwd| !Path::new(cwd).is_dir());
    match missing {
        Some(cwd) => format!("cannot start `{}`: no working directory `{cwd}`", spec.command),
        None => format!("cannot start `{}`: {}", spec.command, reason(error)),
    }
}

/// What the system says of its end, in the engine's words.
pub fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    }
}

#[cfg(test)]
mod tests;
