//! Log lines as values: they leave the engine like any other effect.
//!
//! Levels: `trace` per message, `debug` per deviation of a peer, `info` per change of life, `warn` what an
//! operator may act on, `error` we are broken. Never in a record: payloads, tokens, queries of URLs.

use std::sync::Arc;

/// How loud a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// We are broken, or cannot start.
    Error,
    /// An operator may want to act.
    Warn,
    /// Something came to life or ended.
    Info,
    /// A peer deviated.
    Debug,
    /// One message passed.
    Trace,
}

impl Level {
    /// The lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How loud.
    pub level: Level,
    /// The configured server it is about, by its label (secret parts masked).
    pub server: Option<Arc<str>>,
    /// The text, one line.
    pub message: String,
}
