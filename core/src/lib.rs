//! The sans-IO engine of mcp-proxy.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::string_slice, clippy::expect_used, clippy::panic)
)]

pub mod buf;
mod catalog;
pub mod config;
mod downstream;
mod effects;
pub mod event;
pub mod fault;
pub mod http;
pub mod id;
pub mod json;
pub mod limits;
pub mod line;
pub mod log;
pub mod mcp;
mod mux;
mod policy;
pub mod proxy;
pub mod redacted;
pub mod rng;
pub mod route;
pub mod shard;
pub mod sse;
pub mod time;
pub mod timer;
#[cfg(feature = "tls")]
pub mod tls;
mod upstream;
pub mod url;
mod view;

pub use event::{Input, Output};
pub use proxy::{Options, Proxy};
pub use shard::{Host, Shard};
