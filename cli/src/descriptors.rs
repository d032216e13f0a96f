//! How many files this process may have open: a connection is one, a child three or four.
//!
//! Systems start programs with a low soft limit (1,024 on Linux, 256 on macOS) for the sake of those that wait with
//! `select`; whoever does not is meant to raise it, as Go and Node programs do. Children inherit what is set here.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is asked for: enough for `limits.connections` as it is and a few thousand children. The second is what macOS
/// may give at most.
const WANTED: [u64; 2] = [65_536, 10_240];

/// Raises the soft limit as far as the hard one allows. A system that refuses leaves it as it was.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    for wanted in WANTED {
        let wanted = maximum.map_or(wanted, |maximum| wanted.min(maximum));
        if current.is_none_or(|current| current >= wanted) {
            return;
        }
        if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
            return;
        }
    }
}
