//! Runs the `mcp-proxy` engine on smol: sockets, child processes, signals and the clock.
//!
//! [`run`] does it on the thread that calls it, [`serve`] within an executor that is there already. What has nothing to do
//! with smol stands in [`mcp_proxy_os`] for every runtime.
//!
//! # How to embed it
//!
//! ```
//! use mcp_proxy_core::Proxy;
//! use mcp_proxy_core::config::{Source, parse};
//! use mcp_proxy_core::log::Record;
//! use mcp_proxy_smol::{Options, Stop, run, seed};
//! use std::sync::Arc;
//!
//! let text = r#"{"mcpProxy": {"addr": "127.0.0.1:0", "type": "streamable-http"}, "mcpServers": {}}"#;
//! let loaded = parse(&Source { text, name: "config.json", strict: true, env: None }).expect("a good configuration");
//! let proxy = Proxy::new(Arc::new(loaded.config), mcp_proxy_core::Options::default(), seed()?);
//!
//! // A program keeps a clone of the handle. This one stops as soon as it reads that it listens.
//! let stop = Stop::default();
//! let handle = stop.clone();
//! let log = move |record: &Record, _| {
//!     println!("{}", record.message);
//!     if record.message.contains("listening on") {
//!         handle.stop();
//!     }
//! };
//! let options = Options { log: Box::new(log), stop, ..Options::default() };
//! assert_eq!(run(proxy, options)?, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//! Signals, a guard for the children, further root certificates and a place for logins are fields of [`Options`].
//!
//! # How it works
//!
//! ```text
//!   run ── block_on ── serve ── LocalExecutor ── mcp_proxy_os::serve, which spawns its tasks there
//! ```
//!
//! Invariants:
//! - One thread, but for what blocks (names, files, passwords). `smol::block_on` polls the executor and, when there is
//!   nothing to do, the operating system.
//! - The fewest system calls: a read or write is tried before anybody waits for it.
//! - A panic in a task ends the process.
//!
//! Deliberately absent: everything that another runtime would need as well.

use std::io;
use std::rc::Rc;

use mcp_proxy_core::Proxy;
use smol::LocalExecutor;

use crate::runtime::Smol;

mod runtime;

pub use mcp_proxy_os::{GuardCommand, Log, Options, Stop, StoreOptions, seed};

/// Drives the engine until it has stopped, and returns the exit code it asks for.
///
/// # Errors
/// The operating system refuses what nothing works without, such as signal handlers.
pub fn run(proxy: Proxy, options: Options) -> io::Result<u8> {
    // smol starts one for its poller, and panics if it cannot.
    mcp_proxy_os::try_thread()?;
    smol::block_on(serve(proxy, options))
}

/// Does the same within an executor that is there already. The future stays on its thread; whoever drops it before its
/// end drops all connections and kills all children.
///
/// # Errors
/// As of [`run`].
pub async fn serve(proxy: Proxy, options: Options) -> io::Result<u8> {
    let executor = Rc::new(LocalExecutor::new());
    let _emptied = Emptied(executor.clone());
    // Collects children that have ended. Without it async-process starts a thread.
    let _collector = executor.spawn(async { match smol::process::driver().await {} });
    executor.run(mcp_proxy_os::serve(Smol(executor.clone()), proxy, options)).await
}

/// Runs the executor until it has nothing to do: the future of a cancelled task is dropped when the task is run. Needed
/// when the proxy itself is dropped early.
struct Emptied(Rc<LocalExecutor<'static>>);

impl Drop for Emptied {
    fn drop(&mut self) {
        while self.0.try_tick() {}
    }
}
