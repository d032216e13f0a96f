//! A limit on the size of files (`ulimit -f`, `LimitFSIZE`) is an error of the write that would pass it, as a full disk is.
//!
//! The system sends SIGXFSZ as well, which ends whoever does not handle it. A handler that only notes it is enough, and
//! unlike a signal that is ignored it is not passed on to children.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets writes beyond the limit fail instead of ending this process. Where that is refused, all stays as it was.
pub(crate) fn survive() {
    let _noted = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
