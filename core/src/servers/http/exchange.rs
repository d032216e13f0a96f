//! One HTTP connection to an upstream, and the exchange it is busy with.
//!
//! The request stays in the send queue until the head of its response has come, so that a request the server
//! refused unexecuted, or never read, can be sent again.

use super::redirect::Place;
use crate::effects::Effects;
use crate::event::Output;
use crate::http::{self, coding::Coding};
use crate::id::{ConnId, Key};
use crate::ledger::Charge;
use crate::sse;
use crate::timer::{ServerTimer, Timer};
use crate::url::Url;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a connection is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Nothing: it is in the pool.
    Idle,
    /// A call: POSTed, or its broken answer stream asked for again.
    Call(Key),
    /// A notification or a response of ours.
    Note,
    /// The answer to a question that this call led to.
    Answer(Key),
    /// `notifications/initialized`: listing starts when the server took it.
    Initialized,
    /// The standalone stream (Streamable HTTP).
    Listen,
    /// The stream that is the session (HTTP+SSE).
    Stream,
    /// The end of a session.
    Delete,
    /// A response that nobody waits for any more.
    Drain,
}

impl Job {
    /// How long a small exchange may take. Calls have limits of their own, streams have none.
    const fn answer_ms(self) -> Option<u64> {
        match self {
            Self::Note | Self::Answer(_) | Self::Initialized => Some(30_000),
            Self::Delete | Self::Drain => Some(5_000),
            Self::Idle | Self::Call(_) | Self::Listen | Self::Stream => None,
        }
    }
}

/// What remains of an exchange that is over.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(in crate::servers) status: u16,
    /// The response was an event stream.
    pub(in crate::servers) streamed: bool,
    /// An event came on it.
    pub(in crate::servers) heard: bool,
    /// After which it can be continued.
    pub(in crate::servers) event_id: Option<Box<str>>,
    pub(in crate::servers) retry_ms: Option<u64>,
    pub(in crate::servers) named_session: Option<u32>,
}

/// One connection.
pub(crate) struct Exchange {
    pub(in crate::servers) conn: ConnId,
    pub(in crate::servers) job: Job,
    pub(in crate::servers) client: http::Client,
    /// Present while the response is an event stream.
    pub(in crate::servers) events: Option<sse::Decoder>,
    /// The response body so far, if it is not an event stream.
    pub(in crate::servers) body: Vec<u8>,
    /// What unpacks the response body.
    pub(in crate::servers) coding: Option<Box<Coding>>,
    /// Length of the request body, which ends the request.
    pub(in crate::servers) request_body_len: usize,
    /// The connection had served an exchange before this one.
    pub(in crate::servers) reused: bool,
    /// Which session the request named: see [`HttpLink::is_present`](crate::servers::http::HttpLink::is_present).
    pub(in crate::servers) named_session: Option<u32>,
    /// Where the request went, how, and how often it was redirected before.
    pub(in crate::servers) place: Option<Arc<Place>>,
    pub(in crate::servers) method: http::Method,
    pub(in crate::servers) hops: u8,
    /// An event came on the stream.
    pub(in crate::servers) heard: bool,
    /// Which connection of the link it belongs to: see [`HttpLink::is_current`](crate::servers::http::HttpLink::is_current).
    pub(in crate::servers) generation: u32,
    /// The latest `retry` of the event stream.
    pub(in crate::servers) retry_ms: Option<u64>,
    /// Addresses not tried yet; `None` once connected.
    dialling: Option<VecDeque<SocketAddr>>,
    port: u16,
    tls: Option<Arc<str>>,
    timer: Option<Timer>,
    charge: Charge,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("conn", &self.conn).field("job", &self.job).finish_non_exhaustive()
    }
}

/// Where to dial.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(in crate::servers) name: Arc<str>,
    pub(in crate::servers) port: u16,
    pub(in crate::servers) tls: bool,
}

impl Origin {
    pub(crate) fn of(url: &Url) -> Self {
        Self { name: url.host().into(), port: url.port(), tls: url.is_secure() }
    }
}

impl Exchange {
    /// Whether its connection leads there.
    pub(crate) fn leads_to(&self, origin: &Origin) -> bool {
        self.port == origin.port && self.tls.is_some() == origin.tls
    }

    /// Dials a new connection. `known` are addresses looked up a moment ago, if any.
    pub(crate) fn dial(fx: &mut Effects, conn: ConnId, origin: &Origin, known: &[SocketAddr]) -> Self {
        let limits = http::Limits { head_bytes_max: fx.limits.head_bytes_max, ..http::Limits::default() };
        let mut exchange = Self {
            conn,
            job: Job::Idle,
            client: http::Client::new(limits),
            events: None,
            body: Vec::new(),
            coding: None,
            request_body_len: 0,
            reused: false,
            named_session: None,
            place: None,
            method: http::Method::Other,
            hops: 0,
            heard: false,
            generation: 0,
            retry_ms: None,
            dialling: Some(VecDeque::new()),
            port: origin.port,
            tls: origin.tls.then(|| origin.name.clone()),
            timer: None,
            charge: fx.ledger.open(),
        };
        exchange.arm(fx, fx.limits.connect_ms);
        if !known.is_empty() {
            exchange.resolved(fx, known);
        } else {
            fx.output(Output::Resolve { conn, name: origin.name.clone(), port: origin.port });
        }
        exchange
    }

    /// The name was looked up. Returns false when there is nothing to connect to.
    pub(crate) fn resolved(&mut self, fx: &mut Effects, addrs: &[SocketAddr]) -> bool {
        let Some(left) = &mut self.dialling else { return true };
        left.extend(addrs.iter().map(|addr| SocketAddr::new(addr.ip(), self.port)));
        self.connect_next(fx)
    }

    /// Tries the next address. Returns false when none is left.
    pub(crate) fn connect_next(&mut self, fx: &mut Effects) -> bool {
        let Some(addr) = self.dialling.as_mut().and_then(VecDeque::pop_front) else { return false };
        fx.output(Output::Connect { conn: self.conn, addr, tls: self.tls.clone() });
        true
    }

    pub(crate) fn connected(&mut self, fx: &mut Effects) {
        self.dialling = None;
        self.disarm(fx);
        if let Some(ms) = self.job.answer_ms() {
            self.arm(fx, ms);
        }
    }

    /// Begins an exchange.
    pub(crate) fn begin(&mut self, fx: &mut Effects, job: Job, named_session: Option<u32>, body_len: usize) {
        self.job = job;
        self.named_session = named_session;
        self.request_body_len = body_len;
        self.heard = false;
        // While it dials, the time to connect counts.
        if let Some(ms) = job.answer_ms().filter(|_| !self.is_dialling()) {
            self.arm(fx, ms);
        }
    }

    /// What is worth knowing of it when it is over.
    pub(crate) fn summary(&self, status: u16) -> Summary {
        Summary {
            status,
            streamed: self.events.is_some(),
            heard: self.heard,
            event_id: self.event_id().map(Into::into),
            retry_ms: self.retry_ms,
            named_session: self.named_session,
        }
    }

    /// Counts what is here.
    pub(crate) fn update_charge(&mut self) {
        self.charge.set(self.capacity());
    }

    /// Storage of what is coming in.
    pub(crate) fn capacity(&self) -> usize {
        let events = self.events.as_ref().map_or(0, sse::Decoder::capacity);
        let coding = self.coding.as_ref().map_or(0, |coding| coding.capacity());
        let body = self.body.capacity().saturating_add(coding);
        self.client.capacity().saturating_add(events).saturating_add(body)
    }

    /// Bytes of the answer, or of the event, that is coming in.
    pub(crate) fn pending(&self) -> usize {
        let events = self.events.as_ref().map_or(0, sse::Decoder::pending);
        self.body.len().saturating_add(events)
    }

    pub(crate) fn is_dialling(&self) -> bool {
        self.dialling.is_some()
    }

    pub(crate) fn arm(&mut self, fx: &mut Effects, ms: u64) {
        self.disarm(fx);
        self.timer = Some(fx.after(ms, ServerTimer::Exchange, self.conn.0));
    }

    pub(crate) fn disarm(&self, fx: &mut Effects) {
        if let Some(timer) = self.timer {
            fx.timers.cancel(timer);
        }
    }

    /// The id after which a broken event stream can be continued.
    pub(crate) fn event_id(&self) -> Option<&str> {
        self.events.as_ref().and_then(sse::Decoder::last_event_id)
    }

    /// The body of the request, while it is still held.
    pub(crate) fn request_body(&self, fx: &Effects) -> Vec<u8> {
        let (held, _) = fx.held(self.conn);
        let start = held.len().saturating_sub(self.request_body_len);
        held.get(start..).unwrap_or_default().to_vec()
    }

    /// Whether the server cannot have read any of the request.
    pub(crate) fn is_unwritten(&self, fx: &Effects) -> bool {
        fx.held(self.conn).1 == 0 && !self.client.started()
    }
}
