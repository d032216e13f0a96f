//! What an embedder says beside the configuration of the engine. The same for each runtime.

use std::fmt;

use mcp_proxy_core::log::Record;
use mcp_proxy_core::time::Unix;

use crate::{GuardCommand, Stop, StoreOptions};

/// Takes the log lines. Must not block for long.
pub type Log = Box<dyn FnMut(&Record, Unix)>;

/// What an embedder may set beside the engine. The default keeps nothing, guards nothing, says nothing, and leaves the
/// signals alone.
pub struct Options {
    /// Gets every log record, with the time of its turn.
    pub log: Log,
    /// How to start the guard process that kills the children if this process dies without a word; none is
    /// started without it.
    pub guard: Option<GuardCommand>,
    /// Root certificates (PEM) trusted beside the built-in ones.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Whether SIGINT, SIGTERM and SIGHUP stop the proxy. An embedder with handlers of its own says no.
    pub stop_signals: bool,
    /// Whether children that others left to this process are collected when they end, as process 1 of a container has
    /// to. An embedder that starts children of its own says no.
    pub reap_orphans: bool,
    /// Stops the proxy from anywhere in the program. Keep a clone of it.
    pub stop: Stop,
    /// Where things are kept. Without it nothing is, and no file is read.
    pub store: Option<StoreOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log: Box::new(|_, _| {}),
            guard: None,
            extra_roots_pem: None,
            stop_signals: false,
            reap_orphans: false,
            stop: Stop::default(),
            store: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log: _, guard, extra_roots_pem: _, stop_signals, reap_orphans, stop: _, store } = self;
        f.debug_struct("Options")
            .field("guard", guard)
            .field("stop_signals", stop_signals)
            .field("reap_orphans", reap_orphans)
            .field("store", store)
            .finish_non_exhaustive()
    }
}
