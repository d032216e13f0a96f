//! What clients want, and how it is answered.
//!
//! An [`Exchange`] is one HTTP request in hand: whoever gets it from an event gives it back to
//! [`Clients`](super::Clients), which it leaves by exactly one way: admitted, refused or answered. A [`Message`] is one
//! JSON-RPC message of it and goes back with [`Clients::serve`](super::Clients::serve).

use super::conn::{ClientConn, Entry};
use crate::fault::Fault;
use crate::http::RequestHead;
use crate::id::{ConnId, Key, Requester};
use crate::json::{Envelope, Span};
use crate::jsonrpc;
use crate::route::Route;
use std::net::SocketAddr;
use std::sync::Arc;

/// Something that a client did, or that happened to it.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    /// The head of a request at an endpoint of MCP is there. It is to be admitted or refused.
    Entry { exchange: Exchange, route: Route },
    /// The head of a request at any other path is there. It is to be admitted, answered or refused.
    Unrouted { exchange: Exchange },
    /// A request for the authorization server is complete. Its answer comes with
    /// [`Clients::reply`](super::Clients::reply).
    Login { exchange: Exchange },
    /// The bytes of a request for the authorization server turned out to be none. It is to be refused.
    BrokenLogin { exchange: Exchange, fault: Fault },
    /// Something in the words of MCP.
    Mcp(McpEvent),
}

/// What those who were let in want.
#[derive(Debug)]
pub(crate) enum McpEvent {
    /// A request at an endpoint of sessions names none, and opens none.
    Sessionless { exchange: Exchange, entry: Entry },
    /// The GET that opens a session of HTTP+SSE.
    Connect { exchange: Exchange, entry: Entry },
    /// A request.
    Request { message: Message },
    /// A response to a question.
    Answer { message: Message },
    /// `notifications/initialized`.
    Initialized { message: Message },
    /// `notifications/cancelled`.
    Cancel { message: Message },
    /// `notifications/progress`.
    Progress { message: Message },
    /// `notifications/roots/list_changed`.
    RootsChanged { message: Message },
    /// A notification of an extension.
    Foreign { message: Message },
    /// A notification that concerns nobody.
    Idle { message: Message },
    /// A session may be told something that it could not be told before.
    Reachable { session: Key },
    /// Nobody came back for a stream: what was asked on it is wanted no more.
    StreamLost { session: Key, stream: u32 },
    /// A session is over.
    Ended { session: Key },
}

/// One HTTP request in hand.
#[derive(Debug)]
#[must_use = "a request is answered"]
pub(crate) struct Exchange(pub(super) Box<ClientConn>);

impl Exchange {
    /// The connection it came on.
    pub(crate) fn conn(&self) -> ConnId {
        self.0.conn
    }

    /// Who sent it, or the front that did.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.0.peer()
    }

    /// Its head.
    pub(crate) fn head(&self) -> &RequestHead {
        self.0.http.head()
    }

    /// Its body; empty before it is complete.
    pub(crate) fn body(&self) -> &[u8] {
        self.0.http.body()
    }
}

/// One JSON-RPC message of a client.
#[derive(Debug)]
#[must_use = "a message is served"]
pub(crate) struct Message {
    pub(super) exchange: Exchange,
    pub(super) entry: Entry,
    pub(super) requester: Requester,
    pub(super) envelope: Envelope,
    pub(super) span: Span,
    pub(super) way: Way,
}

/// How the answer to a message goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As the response to its POST, in one of the media types that the client takes.
    Post { json: bool, events: bool },
    /// The same, and a session begins with it.
    Opening { json: bool, events: bool },
    /// With the answers to the other messages of its array.
    Batch,
    /// On the stream of its session of HTTP+SSE.
    EventSession,
}

impl Message {
    /// Where it came in, and from whom.
    pub(crate) fn entry(&self) -> Entry {
        self.entry
    }

    /// Who waits for its answer. Of one that opens a session that is nobody yet.
    pub(crate) fn requester(&self) -> Requester {
        self.requester
    }

    pub(crate) fn session(&self) -> Key {
        self.requester.session
    }

    pub(crate) fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(crate) fn text(&self) -> &[u8] {
        self.span.of(self.exchange.body())
    }

    /// Its raw id; empty where there is none.
    pub(crate) fn id(&self) -> &[u8] {
        self.envelope.id.map_or(b"".as_slice(), |span| span.of(self.text()))
    }

    /// The request that it came with, to be refused as a whole.
    pub(crate) fn into_exchange(self) -> Exchange {
        self.exchange
    }

    /// Whether it is an element of an array.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.way == Way::Batch
    }

    /// Whether it opens a session over Streamable HTTP.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.way, Way::Opening { .. })
    }
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Served {
    /// A request is answered with this `result`.
    Now(Body),
    /// A request is refused with this error.
    Refused(Fault),
    /// The answer to a request comes later.
    Later,
    /// A notification or a response was taken in.
    Noted,
}

/// A result of our own.
#[derive(Debug)]
pub(crate) enum Body {
    Shared(Arc<[u8]>),
    Owned(String),
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Owned(text) => text.as_bytes(),
        }
    }
}

impl Served {
    /// The empty result.
    pub(crate) fn nothing() -> Self {
        Self::Now(Body::Owned("{}".to_owned()))
    }

    /// The answer as text; `None` when there is none yet.
    pub(crate) fn text(&self, id: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Now(body) => {
                let mut text = Vec::new();
                jsonrpc::result(id, body.bytes()).write(&mut text);
                Some(text)
            }
            Self::Refused(fault) => Some(jsonrpc::error(id, fault).into_bytes()),
            Self::Later | Self::Noted => None,
        }
    }
}

/// What a message is to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The answer to a request.
    Answer,
    /// Something on the way to the answer. May be dropped when the client is slow.
    Note,
    /// A question to the client: like a note, but never dropped.
    Question,
}
