//! The machine of the clients: connections, requests, sessions, and the streams answers travel on.
//!
//! Bytes and timers go in; what clients want comes out as [`ClientEvent`]s. It knows HTTP and both transports of MCP, and
//! nothing of servers: what a request means, and who may send it, others decide.
//!
//! ```text
//! ClientConn   one accepted connection: HTTP framing, and what it is busy with
//! Session      one handshake of one client; outlives its connections
//! Stream       where the messages of one POST (or one GET) go; outlives its connection, so that it can be resumed
//! ```
//!
//! | module | what it decides |
//! |---|---|
//! | `event` | what others are told, and what they give back |
//! | `reading` | what is done with the bytes of a connection, and when |
//! | `admission` | what the head of a request alone says |
//! | `accept`, `transports` | which media types, which transport a request speaks |
//! | `requests`, `batches` | which session and which message a request is; arrays of them |
//! | `serving` | how an answer of ours goes back |
//! | `sessions` | how a session begins, is found and ends |
//! | `delivery` | on which stream something goes |
//! | `resumption` | streams: begun, lost, resumed, given up |
//! | `pressure`, `seats` | who gives way when memory or connections are short |
//! | `conn`, `session`, `stream` | the parts |
//! | `sound` | what must hold, for tests |
//!
//! Invariants: a request in hand is of no table, and given back before the next event is asked for; each message goes on
//! exactly one stream; an answer only on the stream of its request; a session is used by the principal that opened it
//! alone; what is kept for a client that may come back is bounded.

mod accept;
mod admission;
mod batches;
mod conn;
mod delivery;
mod event;
mod pressure;
mod reading;
mod requests;
mod resumption;
mod seats;
mod serving;
mod session;
mod sessions;
mod sound;
mod stream;
mod transports;

pub(crate) use admission::Refusal;
pub(crate) use conn::Entry;
pub(crate) use event::{Body, ClientEvent, Exchange, McpEvent, Message, Role, Served};
pub(crate) use session::Transport;

use crate::config::{Config, Serve};
use crate::effects::Effects;
use crate::event::ConnEvent;
use crate::http;
use crate::id::{ConnId, IdMap, Key, Requester, Table};
use crate::json::Pieces;
use crate::log::Level;
use crate::net::Trust;
use crate::policy::Gate;
use crate::route::Routes;
use crate::timer::ClientTimer;
use conn::ClientConn;
use pressure::Pressure;
use seats::Seats;
use session::Session;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::ControlFlow;

/// All clients and sessions.
#[derive(Debug)]
pub(crate) struct Clients {
    gate: Gate,
    routes: Routes,
    /// Which transports are served.
    serve: Serve,
    /// Fronts, which speak for many clients.
    trust: Trust,
    conns: IdMap<ConnId, Box<ClientConn>>,
    /// The connection that is being worked on.
    hand: Option<Box<ClientConn>>,
    sessions: Table<Session>,
    by_token: HashMap<Box<str>, Key>,
    events: VecDeque<McpEvent>,
    /// Sessions that are over, and nobody was told yet.
    ended: VecDeque<Key>,
    /// Answers to messages of arrays, to be sent when the array is served.
    answers: VecDeque<(Requester, Vec<u8>)>,
    /// Connections that may have a pipelined request to look at.
    ready: VecDeque<ConnId>,
    /// Connections that were given up because their client does not read.
    stalled: VecDeque<ConnId>,
    /// Who holds a connection.
    seats: Seats,
    /// Streams that keep something for a client that comes back, in the order in which they began to; some may be gone.
    keepers: VecDeque<(Key, u32)>,
    /// Length at which those that are gone are taken out.
    keepers_max: usize,
    pressure: Pressure,
}

impl Clients {
    /// No clients yet. `sessions_max` bounds the sessions of all of them together.
    pub(crate) fn new(config: &Config, gate: Gate, sessions_max: usize) -> Self {
        Self {
            gate,
            routes: Routes::new(config),
            serve: config.serve,
            trust: config.oauth2.as_ref().map(|oauth2| oauth2.trust.clone()).unwrap_or_default(),
            conns: IdMap::default(),
            hand: None,
            sessions: Table::new(sessions_max),
            by_token: HashMap::new(),
            events: VecDeque::new(),
            ended: VecDeque::new(),
            answers: VecDeque::new(),
            ready: VecDeque::new(),
            stalled: VecDeque::new(),
            seats: Seats::default(),
            keepers: VecDeque::new(),
            keepers_max: resumption::KEEPERS_MIN,
            pressure: Pressure::default(),
        }
    }

    /// A connection came in. It is closed at once if its address has too many, or if nobody is `welcome`.
    pub(crate) fn accept(&mut self, fx: &mut Effects, conn: ConnId, peer: SocketAddr, welcome: bool) {
        fx.open(conn);
        if !self.admits_address(fx, peer.ip()) {
            fx.log(Level::Debug, None, format!("{} has too many connections", peer.ip()));
            return fx.close(conn);
        }
        let limits = http::Limits {
            head_bytes_max: fx.limits.head_bytes_max,
            body_bytes_max: fx.limits.message_bytes_max,
            ..http::Limits::default()
        };
        let client = ClientConn::new(fx, conn, peer, limits);
        self.put(fx, Box::new(client));
        match welcome {
            true => self.make_room(fx, conn),
            false => self.drop_conn(fx, conn),
        }
    }

    /// Something happened to a connection of a client.
    pub(crate) fn handle(&mut self, fx: &mut Effects, conn: ConnId, event: ConnEvent<'_>) {
        match event {
            ConnEvent::Received(bytes) => self.on_bytes(fx, conn, bytes),
            ConnEvent::Eof => self.on_eof(fx, conn),
            ConnEvent::Closed(_) => {
                fx.mark_gone(conn);
                self.drop_conn(fx, conn);
            }
            // They crossed the end of a connection to a server.
            ConnEvent::Stderr(_)
            | ConnEvent::Spawned(_)
            | ConnEvent::Exited(_)
            | ConnEvent::Resolved(_)
            | ConnEvent::Connected
            | ConnEvent::Failed(_) => {}
        }
    }

    /// A timer of a connection or of a session is due.
    pub(crate) fn on_timer(&mut self, fx: &mut Effects, timer: ClientTimer, owner: u64) {
        let conn = ConnId(owner);
        match timer {
            ClientTimer::Conn => self.on_conn_timer(fx, conn),
            ClientTimer::KeepAlive => {
                if let Some(client) = self.conns.get_mut(&conn) {
                    client.on_keep_alive(fx);
                }
            }
            ClientTimer::Probe => self.on_probe_timer(fx, conn),
            ClientTimer::Seats => self.on_seats_timer(fx),
            ClientTimer::SessionIdle => self.on_session_timer(fx, Key::from_u64(owner).unwrap_or(Key::NONE)),
        }
    }

    /// The next event. Call it until there is none, and act on each before the next.
    pub(crate) fn poll_event(&mut self, fx: &mut Effects) -> Option<ClientEvent> {
        loop {
            if let Some(client) = self.hand.take() {
                if let ControlFlow::Break(event) = self.work(fx, client) {
                    return Some(event);
                }
            } else if let Some(event) = self.events.pop_front() {
                return Some(ClientEvent::Mcp(event));
            } else if let Some(session) = self.next_ended() {
                return Some(ClientEvent::Mcp(McpEvent::Ended { session }));
            } else if let Some((requester, text)) = self.answers.pop_front() {
                self.deliver(fx, requester, &Pieces::of(&[&text]), Role::Answer);
            } else if let Some(conn) = self.stalled.pop_front() {
                self.on_stalled(fx, conn);
            } else {
                let conn = self.ready.pop_front()?;
                self.hand = self.conns.remove(&conn);
            }
        }
    }

    /// Number of connections.
    pub(crate) fn conns_len(&self) -> usize {
        self.conns.len()
    }

    /// Number of sessions.
    pub(crate) fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// The access policy: which hosts and origins are served.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The proxy listens at an address of this machine alone, or not.
    pub(crate) fn set_loopback_only(&mut self, loopback_only: bool) {
        self.gate.loopback_only = loopback_only;
    }

    /// Storage of requests that are coming in, and of streams. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        #[expect(clippy::disallowed_methods, reason = "a sum has no order")]
        let conns: usize = self.conns.values().map(|client| client.http.capacity()).sum();
        conns.saturating_add(self.sessions.iter().map(|(_, session)| session.size()).sum())
    }
}

#[cfg(test)]
mod tests;
