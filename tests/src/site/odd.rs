//! Replies that differ from those of the rest of the kind, request by request.

use super::Site;
use crate::http::Head;
use crate::net::Net;
use mcp_proxy_core::id::ConnId;
use std::fmt;
use std::sync::Arc;

/// A whole response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Fields beside the length.
    pub fields: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A response without a body.
    pub fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A response with a JSON body.
    pub fn json(status: u16, body: &str) -> Self {
        Self::bare(status).with("content-type", "application/json").body(body)
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// Decides about each request: a reply, or `None` for the usual one.
#[derive(Clone)]
pub struct Odd(Arc<Decide>);

type Decide = dyn Fn(&mut Site, &Head, &str) -> Option<Reply> + Send + Sync;

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Odd")
    }
}

impl Site {
    /// From now on this function decides about each request: its head and body.
    pub fn set_odd(
        &mut self,
        decide: impl Fn(&mut Self, &Head, &str) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.odd = Some(Odd(Arc::new(decide)));
    }

    /// What is odd about the answer to this request, if anything.
    pub(super) fn odd_reply(&mut self, head: &Head, body: &str) -> Option<Reply> {
        let Odd(decide) = self.odd.clone()?;
        decide(self, head, body)
    }

    pub(super) fn send_reply(&mut self, conn: ConnId, reply: &Reply, net: &mut Net) {
        let fields: String =
            reply.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (status, len) = (reply.status, reply.body.len());
        let length = if status == 204 { String::new() } else { format!("content-length: {len}\r\n") };
        let head = format!("HTTP/1.1 {status} Simulated\r\n{fields}{length}\r\n");
        net.send(conn, &[head.as_bytes(), &reply.body].concat());
        if let Some(state) = self.conns.get_mut(&conn) {
            state.busy = false;
        }
    }
}
