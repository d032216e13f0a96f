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
//! were still there get KILL two seconds later.
//!
//! Invariants: nothing is signalled while the proxy lives; a group id of 1 or less is never signalled (0 would be our
//! own group, -1 everybody, 1 is init); a line that is malformed, too long or cut off by the end of input changes
//! nothing; the table is bounded.
//!
//! Left out on purpose: handling of SIGINT and SIGTERM. The runtime starts the guard in a process group of its own,
//! so a Ctrl-C in the terminal, which goes to the whole foreground group, does not reach it, and it need not ignore
//! anything. A service manager that signals every process of a unit takes the children down by the same act.
//!
//! Known limit: a group is named by its number. The proxy must send `-PGID` before it reaps the leader's exit status,
//! or the number may meanwhile belong to somebody else.

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

/// Reads orders until `bye` or the end of input, and stops what is left in the second case.
///
/// `kill` signals one process group and says whether that group existed. A read error counts as the end of input: the
/// proxy can no longer tell us anything.
pub(crate) fn run(
    input: impl BufRead,
    mut kill: impl FnMut(i32, Signal) -> bool,
    sleep: impl FnOnce(Duration),
) {
    let Some(mut groups) = read_orders(input) else { return };
    groups.retain(|&group| kill(group, Signal::Term));
    if groups.is_empty() {
        return;
    }
    sleep(GRACE);
    for group in groups {
        kill(group, Signal::Kill);
    }
}

/// Signals one process group; says whether it existed.
#[cfg(unix)]
pub(crate) fn kill_group(group: i32, signal: Signal) -> bool {
    use rustix::process::{Pid, Signal as Number, kill_process_group};
    let number = match signal {
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
    };
    // A group we may not signal (`EPERM`) exists; trying again does no harm.
    Pid::from_raw(group)
        .is_some_and(|group| kill_process_group(group, number) != Err(rustix::io::Errno::SRCH))
}

/// Where there are no process groups there is nothing to signal.
#[cfg(not(unix))]
pub(crate) fn kill_group(_group: i32, _signal: Signal) -> bool {
    false
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

/// Groups remembered at once: far above what one proxy starts, far below what would matter in memory.
const GROUPS_MAX: usize = 4096;

/// A sign and the ten digits of the largest id, with room to see that a line is longer.
const LINE_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests;
