//! HTTP/1.1 of our own over `httparse` heads, both sides, without IO (RFC 9110, RFC 9112).
//!
//! [`Server`] reads what one downstream connection sends, [`Client`] what one upstream connection answers;
//! the `encode_*` functions write the other direction into any `Vec<u8>`. Bytes go in by `push`, events come
//! out of `next`, and whoever owns the connection decides what follows.
//!
//! ```text
//! downstream bytes → Server → Head, Request, Eof        encode_response_head, encode_chunk → downstream
//! upstream bytes   → Client → Head, Data…, End          encode_request_head                → upstream
//! ```
//!
//! Invariants:
//! - A head is parsed once: first its end is looked for, from where the last search stopped.
//! - Framing is decided in one place (`body.rs`); what is contradictory is refused, never repaired.
//! - Every frame that leaves is written anew. No peer byte reaches a head, a chunk size or a line end.
//! - After a fault a connection yields nothing more.
//!
//! Deliberately absent: time (head, body and idle timeouts are the engine's), packed requests, trailers (read
//! and dropped), upgrades, `CONNECT`, and connection reuse with HTTP/1.0 peers.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod client;
pub mod encode;
pub mod head;
pub mod server;

mod body;
pub(crate) mod coding;
mod fields;
mod reply;

pub use client::{Client, ClientEvent};
pub use encode::{
    Body, CONTINUE, encode_chunk, encode_last_chunk, encode_request_head, encode_response_head,
};
pub use head::{Method, RequestHead, ResponseHead};
pub use reply::Reply;
pub use server::{Server, ServerEvent};

/// Bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest head, from the first byte of its first line to the end of its blank line.
    pub head_bytes_max: usize,
    /// Longest request body, after the chunks are taken apart. Not used by [`Client`].
    pub body_bytes_max: usize,
    /// Most header fields in one head; above 256 it has no effect.
    pub headers_max: usize,
}

impl Default for Limits {
    /// 16 KiB heads, as Node; 16 MiB bodies, which holds an MCP message with a picture in it; 100 fields, as
    /// Apache and hyper.
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, body_bytes_max: 16 * 1024 * 1024, headers_max: 100 }
    }
}
