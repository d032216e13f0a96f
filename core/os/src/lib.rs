//! What every runtime of mcp-proxy shares: everything between the engine, which does no IO, and an async runtime, which
//! knows of no engine.
//!
//! ```text
//!  serve                       drives the engine: listeners, connections, children, files, signals, the timer
//!  Runtime · Io                what it needs of an async runtime
//!  Options · Stop              what an embedder says, and how it ends what it has started
//!  net · Broken                names, sockets, what an error means for a connection
//!  child · Guard               how children are started, signalled and told about; who kills them if we die
//!  heir                        children that others leave to us
//!  Pool                        threads for what blocks
//!  store                       files: one line of requests per key, each done as a whole or not at all
//!  Lines                       log lines for a reader that may stop reading
//!  Clock · Alarm · Link · Gate the clock, and wakers with memory
//!  fetch · exchange            one HTTP request, for the command line
//! ```
//!
//! # How to add a runtime
//!
//! 1. Write a crate like `runtime-smol` or `runtime-tokio`, of two files. `runtime.rs` implements [`Runtime`] (spawn, sleep,
//!    watch a descriptor, start a process) and [`Io`] (attempt something when the descriptor is ready), about 100 lines.
//!    `lib.rs` has `serve`, which awaits [`serve()`] within the executor, and `run`, which brings the executor.
//!    The smallest of all is `Bare` in `driver/tests.rs`.
//! 2. Give it to the tests that each runtime has to pass: `complete!(your_crate::run)` in `tests/it/loopback/mod.rs`.
//! 3. Give it a feature and a name in `cli`, if `-runtime` shall choose it.
//!
//! A runtime that is not async (threads, a loop around `poll`) implements [`Host`](mcp_proxy_core::Host) instead and takes
//! from here what it can use, as the example `threads` does.
//!
//! Invariant: what blocks says so, and the driver calls it off the thread of its engine. Everything else returns at once.
//! Deliberately absent: an executor, a poller, a timer.

use std::io;
use std::thread::Builder;

pub mod child;
mod clock;
mod driver;
mod fetch;
mod guard;
pub mod heir;
mod lines;
mod link;
pub mod net;
mod offload;
mod options;
mod runtime;
mod stop;
pub mod store;

pub use clock::{Alarm, Clock, Look};
pub use driver::serve;
pub use fetch::{Exchange, ExchangeError, ExchangeErrorKind, Response, Terms, exchange, fetch, watch};
pub use guard::{Care, Guard, GuardCommand, Started};
pub use lines::Lines;
pub use link::{Gate, Link};
pub use net::Broken;
pub use offload::{Pool, Promise, Refused};
pub use options::{Log, Options};
pub use runtime::{Direction, Io, Readiness, Runtime, Source};
pub use stop::Stop;
pub use store::StoreOptions;

/// Gives 32 random bytes of the operating system, for [`Proxy::new`](mcp_proxy_core::Proxy::new).
///
/// # Errors
/// The system has no randomness to give.
pub fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// Starts a thread and ends it, to see whether the system allows one.
///
/// # Errors
/// It does not, in words.
pub fn try_thread() -> io::Result<()> {
    let thread = Builder::new().spawn(|| {}).map_err(|error| {
        io::Error::other(format!("no thread can be started: {} (limit of processes?)", reason(&error)))
    })?;
    let _ended = thread.join();
    Ok(())
}

/// What the system says, without Rust's error number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}
