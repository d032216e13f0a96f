//! What a client remembers: its HTTP exchanges and its JSON-RPC requests, and how each stands.

use crate::http::{Head, SseEvent, SseReader};
use mcp_proxy_core::id::ConnId;
use serde_json::Value;

/// Which transport a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Streamable HTTP.
    Streamable,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// Names one HTTP exchange of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid {
    /// Whose.
    pub client: usize,
    /// Which of its exchanges.
    pub index: usize,
}

/// Names one JSON-RPC request of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Req {
    /// Whose.
    pub client: usize,
    /// Which of its requests.
    pub index: usize,
}

/// How an exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not over.
    Running,
    /// The response came to its proper end.
    Complete,
    /// The connection went away first.
    Cut,
}

/// One HTTP request and what has come back.
#[derive(Debug)]
pub struct Exchange {
    /// On which connection.
    pub conn: ConnId,
    /// The exchange whose stream this one resumes.
    pub resumes: Option<usize>,
    /// Head of the response.
    pub head: Option<Head>,
    /// Body of the response, unless it is a stream.
    pub body: String,
    /// Events of the response, if it is a stream.
    pub events: Vec<SseEvent>,
    /// Comment lines on the stream.
    pub comments: usize,
    /// How it stands.
    pub progress: Progress,
    /// The beginning of a character whose end has not come yet.
    pub(super) cut_char: Vec<u8>,
    pub(super) sse: Option<SseReader>,
}

impl Exchange {
    /// Status of the response, 0 while there is none.
    pub fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, Head::status)
    }

    /// A field of the response.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.get(name)
    }

    /// More of the body, which may be cut inside a character.
    pub(super) fn read_text(&mut self, bytes: &[u8]) {
        self.cut_char.extend_from_slice(bytes);
        let valid = match std::str::from_utf8(&self.cut_char) {
            Ok(text) => text.len(),
            Err(error) => {
                assert_eq!(error.error_len(), None, "a body that is no UTF-8");
                error.valid_up_to()
            }
        };
        let text = self.cut_char.drain(..valid).collect();
        self.body.push_str(&String::from_utf8(text).unwrap());
    }

    /// Whether the response is an event stream.
    pub fn is_stream(&self) -> bool {
        self.sse.is_some()
    }

    /// The body as JSON, `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The id of the last event that had one.
    pub fn last_event_id(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| event.id.as_deref())
    }
}

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Open.
    Waiting,
    /// Answered, with this text.
    Answered(String),
    /// Its stream, connection or session ended without an answer, or the POST was refused.
    Lost,
}

/// One JSON-RPC request.
#[derive(Debug)]
pub struct Request {
    /// Its id.
    pub id: Value,
    /// The number in its tag.
    pub tag: usize,
    /// Its POST.
    pub exchange: usize,
    /// How it stands.
    pub state: State,
    /// The client has cancelled it.
    pub cancelled: bool,
    /// Values of the progress notices so far.
    pub steps: Vec<f64>,
    pub(super) token: Value,
}
