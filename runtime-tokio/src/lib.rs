//! Runs the `mcp-proxy` engine on tokio: sockets, child processes, signals and the clock.
//!
//! [`run`] brings a tokio of its own, [`serve`] takes one that is there already. What has nothing to do with tokio stands in
//! [`mcp_proxy_os`] for every runtime, so the proxy behaves as on `mcp-proxy-smol`.
//!
//! # How to embed it
//!
//! ```
//! use mcp_proxy_core::Proxy;
//! use mcp_proxy_core::config::{Source, parse};
//! use mcp_proxy_core::log::Record;
//! use mcp_proxy_tokio::{Options, Stop, seed, serve};
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
//! // With `#[tokio::main]` this is `serve(proxy, options).await`. Without a tokio of your own call `run`.
//! let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! assert_eq!(tokio.block_on(serve(proxy, options))?, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//! Signals, a guard for the children, further root certificates and a place for logins are fields of [`Options`].
//!
//! # How it works
//!
//! ```text
//!   run ── block_on ── serve ── LocalSet ── mcp_proxy_os::serve, which spawns its tasks there
//! ```
//!
//! Invariants:
//! - One thread, but for what blocks (names, files, passwords). [`serve`] brings its own `LocalSet`, so any runtime of
//!   tokio can poll it.
//! - The fewest system calls: tokio tries only what its poller has found ready.
//! - A panic in a task ends the proxy.
//!
//! Deliberately absent: everything that another runtime would need as well.

use std::io;

use mcp_proxy_core::Proxy;
use tokio::task::LocalSet;

use crate::runtime::Tokio;

mod runtime;

pub use mcp_proxy_os::{GuardCommand, Log, Options, Stop, StoreOptions, seed};

/// Drives the engine until it has stopped, and returns the exit code it asks for.
///
/// # Errors
/// The operating system refuses what nothing works without, such as signal handlers.
pub fn run(proxy: Proxy, options: Options) -> io::Result<u8> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    tokio.block_on(serve(proxy, options))
}

/// Does the same within a tokio that is there already, with its IO and its time. The future stays on its thread;
/// whoever drops it before its end drops all connections and kills all children.
///
/// # Errors
/// As of [`run`].
pub async fn serve(proxy: Proxy, options: Options) -> io::Result<u8> {
    let local = LocalSet::new();
    local.run_until(mcp_proxy_os::serve(Tokio, proxy, options)).await
}
