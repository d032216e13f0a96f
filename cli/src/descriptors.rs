//! How many files this process may have open: a connection is one, a child three or four.
//!
//! Systems start programs with a low soft limit (1,024 on Linux, 256 on macOS) for the sake of those that wait with
//! `select`; whoever does not is meant to raise it, as Go and Node programs do. Children inherit what is set here.
//! Where the hard limit is low as well, fewer clients are let in: at the door somebody can be chosen to go, at the limit
//! nothing can be opened any more, not even a pipe to a server.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is asked for: enough for `limits.connections` as it is and a few thousand children. The second is what macOS
/// may give at most.
const WANTED: [u64; 2] = [65_536, 10_240];

/// Raises the soft limit as far as the hard one allows, and gives what is allowed now, if that has a bound. A system that
/// refuses leaves it as it was.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    for wanted in WANTED {
        let wanted = maximum.map_or(wanted, |maximum| wanted.min(maximum));
        if current.is_none_or(|current| current >= wanted) {
            return current;
        }
        if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
            return Some(wanted);
        }
    }
    current
}

/// Sees whether there are files enough to begin with. Some may be open already, from whoever started this process.
///
/// # Errors
/// There are not, in words.
pub(crate) fn check() -> Result<(), String> {
    let stderr = std::io::stderr();
    let open: Vec<_> = (0..NEEDED).map_while(|_| fcntl_dupfd_cloexec(&stderr, 0).ok()).collect();
    if open.len() == NEEDED {
        return Ok(());
    }
    let left = open.len();
    let allowed = match getrlimit(Resource::Nofile).current {
        Some(files) => format!("the system allows {files} open files (ulimit -n)"),
        None => "the system allows no more open files".to_owned(),
    };
    Err(format!("{allowed} and has {left} left: {NEEDED} are needed to begin with, and six for each server"))
}

/// What the runtime, a listener, the guard, the start of a server and a few clients take.
const NEEDED: usize = 28;

/// How many clients may be connected with so many files: a quarter is left to servers and the store.
pub(crate) fn seats(files: u64) -> usize {
    usize::try_from(files / 4 * 3).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_files_is_not_for_clients() {
        assert_eq!(
            [seats(65_536), seats(4_096), seats(3), seats(u64::MAX)],
            [49_152, 3_072, 1, 13_835_058_055_282_163_709]
        );
    }
}
