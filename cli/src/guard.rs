//! The guard: a tiny process that stops the proxy's children if the proxy itself is killed with SIGKILL.
//!
//! The proxy starts it with the first child, holds the writing end of its stdin, and tells it about process groups:
//!
//! ```text
//! +PGID    a child was started in its own process group
//! -PGID    that group is gone
//! bye      the proxy ends in order and has stopped its children; exit and touch nothing
//! ```
//!
//! End of input without `bye` means that the proxy died. Then each group still registered gets TERM, and those that
//! were still there get KILL two seconds later. So do strays: processes that the proxy had started but not registered
//! yet when it died, and descendants that have left the group of their child. They are known by a mark that the
//! proxy gives us and every child, [`MARK`], and that all descendants inherit. (A child that is still on
//! its way to its program holds our input open, so the end of input is not seen before its mark can be.)
//!
//! Invariants: nothing is signalled while the proxy lives; a group id of 1 or less is never signalled (0 would be our
//! own group, -1 everybody, 1 is init); a line that is malformed, too long or cut off by the end of input changes
//! nothing; the table is bounded. Whoever has begun a session of its own (`setsid`) is a daemon on purpose, like a
//! terminal multiplexer that an agent started for its user, and left alone.
//!
//! Left out on purpose: handling of SIGINT and SIGTERM. The runtime starts the guard in a process group of its own,
//! so a Ctrl-C in the terminal, which goes to the whole foreground group, does not reach it, and it need not ignore
//! anything. A service manager that signals every process of a unit takes the children down by the same act.
//!
//! Known limits: a group is named by its number. The proxy sends `-PGID` in the turn in which it learns that the
//! leader has ended; were it killed between the two, the number could meanwhile belong to somebody else. Strays are
//! only found where there is a `/proc` (Linux).

use std::collections::BTreeSet;
use std::io::BufRead;
use std::time::Duration;

/// The two signals the guard sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Asks to end.
    Term,
    /// Ends.
    Kill,
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A process group.
    Group(i32),
    /// A single process.
    Process(i32),
}

/// A process with the mark of our proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stray {
    pid: i32,
    group: i32,
}

/// The variable in our environment and in that of every child whose value is the same for all of one proxy.
const MARK: &str = "MCP_PROXY_GUARD";

/// Reads orders until `bye` or the end of input, and stops what is left in the second case.
///
/// `kill` sends one signal and says whether there was somebody; `strays` looks for marked processes. A read error
/// counts as the end of input: the proxy can no longer tell us anything.
pub(crate) fn run(
    input: impl BufRead,
    mut kill: impl FnMut(Target, Signal) -> bool,
    mut strays: impl FnMut() -> Vec<Stray>,
    sleep: impl FnOnce(Duration),
) {
    let Some(mut groups) = read_orders(input) else { return };
    groups.retain(|&group| kill(Target::Group(group), Signal::Term));
    let mut lone = strays();
    // A second TERM means "at once" to some.
    lone.retain(|stray| !groups.contains(&stray.group) && kill(Target::Process(stray.pid), Signal::Term));
    if groups.is_empty() && lone.is_empty() {
        return;
    }
    sleep(GRACE);
    for group in groups {
        kill(Target::Group(group), Signal::Kill);
    }
    for _ in 0..SWEEPS_MAX {
        let lone = strays();
        if lone.is_empty() {
            return;
        }
        for stray in lone {
            kill(Target::Process(stray.pid), Signal::Kill);
        }
    }
}

/// Sends one signal; says whether there was somebody.
#[cfg(unix)]
pub(crate) fn kill(target: Target, signal: Signal) -> bool {
    use rustix::process::{Pid, Signal as Number, kill_process, kill_process_group};
    let number = match signal {
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
    };
    let (number_of, send): (_, fn(_, _) -> _) = match target {
        Target::Group(group) => (group, kill_process_group),
        Target::Process(pid) => (pid, kill_process),
    };
    // Somebody we may not signal (`EPERM`) exists; trying again does no harm.
    Pid::from_raw(number_of).is_some_and(|pid| send(pid, number) != Err(rustix::io::Errno::SRCH))
}

/// The mark that the proxy gave us, if it did.
pub(crate) fn own_mark() -> Option<String> {
    crate::load::variable(MARK).filter(|value| !value.is_empty())
}

/// The other processes with this mark that belong to our session, which is also the proxy's.
#[cfg(unix)]
pub(crate) fn strays(mark: Option<&str>) -> Vec<Stray> {
    let Some(value) = mark else { return Vec::new() };
    let (mark, own) = (format!("{MARK}={value}"), i32::try_from(std::process::id()).unwrap_or_default());
    let Some((_, session)) = group_and_session("self") else { return Vec::new() };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut strays = Vec::new();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some(pid) = name.parse().ok().filter(|pid| *pid > 1 && *pid != own) else { continue };
        let environment = std::fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
            && let Some((group, _)) = group_and_session(&name).filter(|(_, its)| *its == session)
        {
            strays.push(Stray { pid, group });
        }
    }
    strays
}

/// The process group and the session of a process.
#[cfg(unix)]
fn group_and_session(pid: &str) -> Option<(i32, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; state, parent, group and session follow it.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Where there are no process groups there is nothing to signal.
#[cfg(not(unix))]
pub(crate) fn kill(_target: Target, _signal: Signal) -> bool {
    false
}

/// Nor to look for.
#[cfg(not(unix))]
pub(crate) fn strays(_mark: Option<&str>) -> Vec<Stray> {
    Vec::new()
}

/// The groups registered when the input ended, or `None` after `bye`.
fn read_orders(input: impl BufRead) -> Option<BTreeSet<i32>> {
    let mut groups = BTreeSet::new();
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let mut too_long = false;
    for byte in input.bytes() {
        match byte {
            Ok(b'\n') => {
                match Order::read(&line).filter(|_| !too_long) {
                    Some(Order::Add(group)) if groups.len() < GROUPS_MAX => {
                        groups.insert(group);
                    }
                    Some(Order::Remove(group)) => {
                        groups.remove(&group);
                    }
                    Some(Order::Bye) => return None,
                    Some(Order::Add(_)) | None => {}
                }
                line.clear();
                too_long = false;
            }
            Ok(byte) if line.len() < LINE_BYTES_MAX => line.push(byte),
            Ok(_) => too_long = true,
            Err(_) => break,
        }
    }
    Some(groups)
}

/// One line from the proxy.
enum Order {
    Add(i32),
    Remove(i32),
    Bye,
}

impl Order {
    fn read(line: &[u8]) -> Option<Self> {
        match line {
            b"bye" => Some(Self::Bye),
            [b'+', digits @ ..] => group(digits).map(Self::Add),
            [b'-', digits @ ..] => group(digits).map(Self::Remove),
            _ => None,
        }
    }
}

/// A group id that may be signalled: plain digits, greater than 1.
fn group(digits: &[u8]) -> Option<i32> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|&group| group > 1)
}

/// How long a group may take to end after TERM.
const GRACE: Duration = Duration::from_secs(2);

/// Looks for strays after their time is over: what they start between one look and its signal is found by the next.
const SWEEPS_MAX: usize = 4;

/// Groups remembered at once: far above what one proxy starts, far below what would matter in memory.
const GROUPS_MAX: usize = 4096;

/// A sign and the ten digits of the largest id, with room to see that a line is longer.
const LINE_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests;
