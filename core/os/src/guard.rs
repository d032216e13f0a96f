//! The guard: a small process that kills our children's groups when we die without a word.
//!
//! It is started with the first child, in a group of its own so that a Ctrl-C does not reach it, and reads
//! lines from us: `+1234` and `-1234` for groups that live and have ended, `bye` for an orderly end. When our
//! end of the pipe closes without `bye`, it kills what is left, and whoever has our mark in the environment.
//!
//! ```text
//!   start, before each child ──▶ runs ── its stdout closes, or a line is not taken ──▶ keep ──▶ runs again
//!                                  └ told of all groups that live                        └ or waits: 0, ¼, ½, 1 … 60 s
//! ```
//! A runtime calls [`Guard::keep`] whenever [`Care`] says so, from the first start on.
//!
//! Invariants: a guard that is missing, slow or dead never keeps the proxy from its work, and none sees our end of the
//! pipe close while we live. All guards of a proxy look for the same mark, so that a later one finds whom an earlier one
//! would have found.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::clock::instant_now;
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
    mark: String,
    running: Option<Running>,
    /// The groups that live.
    groups: BTreeSet<u32>,
    /// Somebody calls [`Guard::keep`].
    is_kept: bool,
    /// Starts one after the other that failed, or whose guard soon ended.
    failures: u32,
    /// Not started before then.
    due: Option<Instant>,
    /// It has ended, which was not told yet.
    has_ended: bool,
    /// It was told that there is none.
    is_missed: bool,
    /// Looks at a guard whose stdout is closed.
    looks: u32,
}

#[derive(Debug)]
struct Running {
    /// Never blocks.
    pipe: PipeWriter,
    /// Ends with it.
    lifeline: Option<PipeReader>,
    child: Child,
    since: Instant,
}

/// When to call [`Guard::keep`] again.
#[derive(Debug)]
pub enum Care {
    /// When this pipe is closed, or cannot be read.
    Watch(PipeReader),
    /// After so long.
    Look(Duration),
    /// Never: there is to be no guard.
    Never,
}

/// What came of a start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// What the operator should know.
    pub news: Option<String>,
    /// Somebody has to begin to call [`Guard::keep`].
    pub wants_keeper: bool,
}

impl Guard {
    /// One that is started later; with `None`, never.
    pub fn new(command: Option<GuardCommand>) -> Self {
        // It names one proxy among those that run. Without randomness the process id does nearly as well.
        let own = || u64::from(std::process::id());
        let mark = format!("{:016x}", getrandom::u64().unwrap_or_else(|_| own()));
        Self { command, mark, ..Self::default() }
    }

    /// Starts it if it does not run: to be called before each child is started.
    pub fn start(&mut self) -> Started {
        self.start_at(instant_now())
    }

    fn start_at(&mut self, now: Instant) -> Started {
        let wants_keeper = self.command.is_some() && !std::mem::replace(&mut self.is_kept, true);
        let news = self.revive(now);
        // An end is told before anything else is done about it.
        let more = news.as_ref().and_then(|_| self.revive(now));
        Started { news: more.or(news), wants_keeper }
    }

    /// Starts it again if it has ended, and says when to look again.
    pub fn keep(&mut self) -> (Option<String>, Care) {
        self.keep_at(instant_now())
    }

    fn keep_at(&mut self, now: Instant) -> (Option<String>, Care) {
        let news = self.revive(now);
        let care = match (&self.command, &mut self.running, self.due) {
            (None, _, _) => Care::Never,
            (Some(_), Some(running), _) => match running.lifeline.take() {
                Some(lifeline) => Care::Watch(lifeline),
                None => {
                    self.looks = self.looks.saturating_add(1);
                    Care::Look(doubled(LOOK_PAUSE, self.looks - 1, LOOK_PAUSE_MAX))
                }
            },
            (Some(_), None, due) => {
                Care::Look(due.map_or(START_PAUSE, |due| due.saturating_duration_since(now)))
            }
        };
        (news, care)
    }

    fn revive(&mut self, now: Instant) -> Option<String> {
        let is_alive = |running: &mut Running| running.child.try_wait().is_ok_and(|status| status.is_none());
        if self.running.as_mut().is_some_and(is_alive) {
            return None;
        }
        self.give_up(now);
        if std::mem::take(&mut self.has_ended) {
            return Some("the guard process has ended, and is started again".to_owned());
        }
        let command = self.command.as_ref()?;
        if self.due.is_some_and(|due| now < due) {
            return None;
        }
        match launch(command, &self.mark, now) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                self.failed(now);
                let program = command_name(self.command.as_ref());
                let line = format!(
                    "cannot start the guard process `{program}`: {}; children may outlive a killed proxy until it runs",
                    reason(&error)
                );
                return (!std::mem::replace(&mut self.is_missed, true)).then_some(line);
            }
        }
        self.due = None;
        self.looks = 0;
        for group in self.groups.clone() {
            self.tell(&format!("+{group}\n"));
        }
        std::mem::take(&mut self.is_missed).then(|| "the guard process runs now".to_owned())
    }

    /// What every child has to have in its environment: by it the guard finds children that it was not told of yet
    /// when we died, and descendants that have left their group. `None` without a guard.
    pub fn mark(&self) -> Option<(&'static str, &str)> {
        self.command.as_ref().map(|_| (MARK, self.mark.as_str()))
    }

    /// Whether it is this process.
    pub fn is(&self, pid: Pid) -> bool {
        self.running.as_ref().is_some_and(|running| Pid::from_child(&running.child) == pid)
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
        let Some(Running { pipe, mut child, .. }) = self.running else { return };
        drop(pipe);
        for _ in 0..DISMISS_LOOKS {
            if child.try_wait().is_ok_and(|status| status.is_none()) {
                sleep(DISMISS_PAUSE);
            }
        }
    }

    /// A line is shorter than the pipe's atomic unit: it goes in whole or not at all. A guard that is dead,
    /// or has not read thousands of lines, is given up; whoever keeps it sees its stdout close.
    fn tell(&mut self, line: &str) {
        if let Some(running) = &mut self.running
            && running.pipe.write_all(line.as_bytes()).is_err()
        {
            self.give_up(instant_now());
        }
    }

    /// Whoever hangs must not wake up later to a closed pipe, and kill what lives.
    fn give_up(&mut self, now: Instant) {
        if let Some(Running { pipe, lifeline: _, mut child, since }) = self.running.take() {
            let _dead_already = child.kill();
            let _reaped = child.wait();
            drop(pipe);
            self.has_ended = true;
            if now.saturating_duration_since(since) >= STEADY {
                self.failures = 0;
            }
            self.failed(now);
        }
    }

    /// The first time it is tried again at once.
    fn failed(&mut self, now: Instant) {
        let pause = match self.failures {
            0 => Duration::ZERO,
            failures => doubled(START_PAUSE, failures - 1, START_PAUSE_MAX),
        };
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + pause);
    }
}

fn command_name(command: Option<&GuardCommand>) -> String {
    command.map_or_else(String::new, |command| command.program.display().to_string())
}

fn launch(command: &GuardCommand, mark: &str, now: Instant) -> io::Result<Running> {
    let (theirs, ours) = io::pipe()?;
    let (lifeline, held) = io::pipe()?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let mut process = std::process::Command::new(&command.program);
    process.args(&command.args).process_group(0).env(MARK, mark);
    let child = process.stdin(theirs).stdout(held).spawn()?;
    Ok(Running { pipe: ours, lifeline: Some(lifeline), child, since: now })
}

/// A pause that doubles with each failure.
fn doubled(first: Duration, doublings: u32, most: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(doublings)).min(most)
}

/// The variable in the environment of the guard and of every child.
const MARK: &str = "MCP_PROXY_GUARD";

/// Before the second start after a failure.
const START_PAUSE: Duration = Duration::from_millis(250);

/// Between starts of what cannot be started, or does not stay.
const START_PAUSE_MAX: Duration = Duration::from_secs(60);

/// One that ends after so long has not failed.
const STEADY: Duration = Duration::from_secs(60);

/// Its stdout closes a moment before it has ended; or it has closed it itself, and has to be looked at for ever.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Between looks at one without a stdout.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Between two looks at whether the guard has ended.
const DISMISS_PAUSE: Duration = Duration::from_millis(2);

/// An orderly end waits one second for the guard.
const DISMISS_LOOKS: u32 = 500;

#[cfg(test)]
mod tests;
