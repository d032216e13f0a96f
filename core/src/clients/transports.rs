//! Which transport a request speaks, where both are served (`type: both`).
//!
//! Users write one address into a client, and clients try either transport at it. So the method decides, the header
//! fields next, and the path last:
//!
//! | request | at `/mcp` | at `/sse` |
//! |---|---|---|
//! | POST, DELETE | Streamable HTTP | Streamable HTTP |
//! | GET that names a session | Streamable HTTP | Streamable HTTP |
//! | GET with `Accept: text/event-stream` and nothing of Streamable HTTP | HTTP+SSE | HTTP+SSE |
//! | any other GET | Streamable HTTP, which refuses it | HTTP+SSE |
//!
//! The third line is how a client of today finds a server of 2024-11-05 (2025-11-25 basic/transports § Backwards
//! Compatibility): by a GET at its only URL, which an `endpoint` event answers. At `/mcp` it takes these for signs of
//! Streamable HTTP: `MCP-Protocol-Version`, which no client knows before its first answer; `Last-Event-ID`, since our
//! HTTP+SSE has no event ids; and `application/json` in `Accept`, which probes and clients with one `Accept` for all
//! requests send. Such a client has lost its session, or has none yet, and reads that as an error (400) at once; a
//! stream would keep it waiting.

use super::accept::names;
use crate::config::Serve;
use crate::http::{Method, RequestHead};
use crate::route::Endpoint;

/// What a request speaks at an endpoint.
pub(super) fn spoken(serve: Serve, endpoint: Endpoint, head: &RequestHead) -> Endpoint {
    match (serve, endpoint) {
        (Serve::Both, Endpoint::Mcp) if seeks_event_session(head) => Endpoint::Sse,
        (Serve::Both, Endpoint::Sse) if !is_get(head) || has(head, "mcp-session-id") => Endpoint::Mcp,
        (
            Serve::Both | Serve::Sse | Serve::StreamableHttp,
            Endpoint::Mcp | Endpoint::Sse | Endpoint::Message,
        ) => endpoint,
    }
}

/// Whether this can only be the first request of a client of HTTP+SSE.
fn seeks_event_session(head: &RequestHead) -> bool {
    let signs = ["mcp-session-id", "mcp-protocol-version", "last-event-id"];
    is_get(head)
        && !signs.iter().any(|name| has(head, name))
        && names(head, "text/event-stream")
        && !names(head, "application/json")
}

fn is_get(head: &RequestHead) -> bool {
    head.method() == Method::Get
}

fn has(head: &RequestHead, name: &str) -> bool {
    head.count(name) > 0
}
