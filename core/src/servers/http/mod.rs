//! A server behind HTTP: its connections, what they are busy with, and what waits for one.
//!
//! One request at a time on a connection; idle ones are pooled and closed before servers of the usual kind would
//! close them. Invariants: an exchange is in the table unless somebody works on it; a pooled connection has nothing
//! queued; what was begun before everything was closed ([`HttpLink::is_current`]) and what was said about a former
//! session ([`HttpLink::is_present`]) does not touch their successors.

pub(super) mod cookies;
mod dialling;
pub(super) mod escape;
pub(super) mod exchange;
pub(super) mod exchanges;
pub(super) mod lapses;
pub(super) mod packed;
pub(super) mod recovery;
pub(super) mod redirect;
pub(super) mod redirects;
pub(super) mod refusals;
mod sending;

use self::cookies::Jar;
use self::exchange::{Exchange, Job, Origin};
use self::redirect::Place;
use crate::config::HttpKind;
use crate::effects::Effects;
use crate::http::Method;
use crate::id::{ConnId, Key, UpstreamId};
use crate::ledger::Held;
use crate::mcp::Revision;
use crate::redacted::Redacted;
use crate::time::Mono;
use crate::url::Url;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// How long looked-up addresses are used without asking again.
const ADDRS_MS: u64 = 30_000;

/// Targets of redirects that are told, and remembered for that: a server that makes them up does not fill the log.
const TOLD_MAX: usize = 4;

/// A server behind HTTP.
#[derive(Debug)]
pub(crate) struct HttpLink {
    upstream: UpstreamId,
    /// As it is configured.
    url: Url,
    pub(in crate::servers) kind: HttpKind,
    /// The other kind was tried since the server was last ready.
    pub(in crate::servers) switched: bool,
    /// `Mcp-Session-Id` of the server.
    pub(in crate::servers) session: Option<Box<str>>,
    /// To be named in requests, once negotiated.
    pub(in crate::servers) revision: Option<Revision>,
    /// Where messages are POSTed: the URL itself, what the `endpoint` event said, or where a redirect leads.
    post_at: Arc<Place>,
    /// Where streams are opened: the URL itself, or where a redirect leads.
    pub(in crate::servers) get_at: Arc<Place>,
    /// Targets of redirects that the log knows.
    told: Vec<Url>,
    /// Where the standalone stream broke off.
    pub(in crate::servers) listen_id: Option<Box<str>>,
    /// How often in a row it ended without an event.
    pub(in crate::servers) listen_silences: u32,
    /// The standalone stream was offered in this session: its refusal means something from then on.
    pub(in crate::servers) listened: bool,
    /// Rises when everything is closed: an exchange of an older one is not listened to any more.
    generation: u32,
    /// Rises with each session, so that what is said about an old one does not hit its successor.
    session_count: u32,
    headers: Vec<(String, Redacted<String>)>,
    jar: Jar,
    origin: Origin,
    exchanges: BTreeMap<ConnId, Box<Exchange>>,
    idle: Vec<(ConnId, Mono)>,
    pool_timer: bool,
    addrs: Vec<SocketAddr>,
    addrs_at: Mono,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
}

/// A request that waits for a connection.
#[derive(Debug)]
struct Queued {
    job: Job,
    body: Held,
    hops: u8,
}

impl HttpLink {
    pub(in crate::servers) fn new(
        upstream: UpstreamId,
        url: Url,
        headers: Vec<(String, Redacted<String>)>,
        kind: HttpKind,
    ) -> Self {
        let place = Arc::new(Place::new(url.clone()));
        Self {
            upstream,
            origin: Origin::of(&url),
            post_at: place.clone(),
            get_at: place,
            told: Vec::new(),
            url,
            kind,
            switched: false,
            session: None,
            revision: None,
            listen_id: None,
            listen_silences: 0,
            listened: false,
            generation: 0,
            session_count: 0,
            headers,
            jar: Jar::default(),
            exchanges: BTreeMap::new(),
            idle: Vec::new(),
            pool_timer: false,
            addrs: Vec::new(),
            addrs_at: Mono::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// Takes an exchange out to work on it; to be put back with [`HttpLink::put`].
    pub(crate) fn take(&mut self, conn: ConnId) -> Option<Box<Exchange>> {
        self.exchanges.remove(&conn)
    }

    pub(crate) fn put(&mut self, fx: &mut Effects, mut exchange: Box<Exchange>) {
        exchange.update_charge();
        if self.is_current(&exchange) && fx.is_open(exchange.conn) {
            self.exchanges.insert(exchange.conn, exchange);
        } else {
            self.drop_exchange(fx, &exchange);
        }
    }

    /// Puts an exchange back of which more is to be read, whether its connection is still there or not.
    pub(in crate::servers) fn put_back(&mut self, mut exchange: Box<Exchange>) {
        exchange.update_charge();
        self.exchanges.insert(exchange.conn, exchange);
    }

    /// Storage of what waits and of what is coming in. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        let exchanges: usize = self.exchanges.values().map(|exchange| exchange.capacity()).sum();
        exchanges.saturating_add(self.queue.iter().map(|queued| queued.body.size()).sum())
    }

    /// Whether this exchange was begun since everything was closed last.
    pub(crate) fn is_current(&self, exchange: &Exchange) -> bool {
        exchange.generation == self.generation
    }

    /// Closes the connection of an exchange that was taken out; a request that waits may have its place.
    pub(crate) fn drop_exchange(&mut self, fx: &mut Effects, exchange: &Exchange) {
        exchange.disarm(fx);
        fx.close(exchange.conn);
        self.idle.retain(|(idle, _)| *idle != exchange.conn);
        self.send_queued(fx);
    }

    /// The session in use, if the server gave one out.
    pub(crate) fn present_session(&self) -> Option<u32> {
        self.session.as_ref().map(|_| self.session_count)
    }

    /// Whether this session is still the one in use.
    pub(crate) fn is_present(&self, session: Option<u32>) -> bool {
        session == Some(self.session_count)
    }

    /// Whether a handshake is needed or under way, before which nothing else is said (Streamable HTTP).
    pub(crate) fn is_between_sessions(&self) -> bool {
        self.kind == HttpKind::Streamable && self.revision.is_none()
    }

    /// Takes the calls that wait for a connection, and drops what else waits: it is about a session that is over.
    fn take_queued(&mut self) -> Vec<(Key, Vec<u8>)> {
        self.queued_bytes = 0;
        let queue = std::mem::take(&mut self.queue);
        let calls = queue.into_iter().filter_map(|Queued { job, body, .. }| match job {
            Job::Call(key) => Some((key, body.into_bytes())),
            Job::Answer(_)
            | Job::Initialized
            | Job::Note
            | Job::Listen
            | Job::Stream
            | Job::Delete
            | Job::Drain
            | Job::Idle => None,
        });
        calls.collect()
    }

    /// The server forgot the session.
    pub(crate) fn forget_session(&mut self) {
        self.session = None;
        self.revision = None;
        self.listen_id = None;
        self.listened = false;
        self.session_count = self.session_count.wrapping_add(1);
    }

    /// The session is over, while what runs on connections of its own goes on. Gives back the calls that were not
    /// sent.
    pub(crate) fn end_session(&mut self, fx: &mut Effects) -> Vec<(Key, Vec<u8>)> {
        self.forget_session();
        let unsent = self.take_queued();
        // What it may still bring is of a session that is over: the answers would go to another.
        let listen = self.find(Job::Listen).map(|listen| listen.conn);
        if let Some(listen) = listen.and_then(|conn| self.take(conn)) {
            self.drop_exchange(fx, &listen);
        }
        unsent
    }

    /// The server offers a standalone stream.
    pub(crate) fn offers_listening(&mut self, named_session: Option<u32>) {
        self.listened |= named_session.is_none() || self.is_present(named_session);
    }

    /// Words of the server without what the configuration and the session keep secret, which it may repeat.
    pub(crate) fn without_secrets(&self, said: String) -> String {
        let query = self.get_at.target.split_once('?').map(|(_, query)| query);
        let values = self.headers.iter().map(|(_, value)| value.expose().as_str());
        // `Bearer x`: the server may repeat the x alone.
        let words = values.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or(value)]);
        let secrets = words.chain(query).chain(self.session.as_deref());
        secrets
            .filter(|secret| secret.len() >= SECRET_BYTES_MIN)
            .fold(said, |said, secret| said.replace(secret, "***"))
    }

    /// The connection that is busy with this job.
    pub(crate) fn find(&mut self, job: Job) -> Option<&mut Exchange> {
        self.exchanges.values_mut().find(|exchange| exchange.job == job).map(|exchange| &mut **exchange)
    }

    /// Nobody waits for this call any more. Returns whether the server never heard of it; otherwise its response is
    /// given a little time to end, so that the connection can be used again.
    pub(crate) fn drain(&mut self, fx: &mut Effects, call: Key) -> bool {
        let Some(exchange) = self.find(Job::Call(call)) else { return false };
        let conn = exchange.conn;
        if !exchange.is_dialling() {
            exchange.begin(fx, Job::Drain, None, 0);
            return false;
        }
        if let Some(exchange) = self.take(conn) {
            self.drop_exchange(fx, &exchange);
        }
        true
    }

    /// Whether the standalone stream is open, or being opened.
    pub(crate) fn listens(&self) -> bool {
        self.exchanges.values().any(|exchange| exchange.job == Job::Listen)
    }

    /// Whether a connection to the server stands and is in use, which shows that the server is there.
    pub(crate) fn is_alive(&self) -> bool {
        self.exchanges.values().any(|exchange| !exchange.is_dialling() && exchange.job != Job::Idle)
    }

    /// Remembers looked-up addresses.
    pub(crate) fn learn(&mut self, fx: &Effects, addrs: &[SocketAddr]) {
        self.addrs = addrs.to_vec();
        self.addrs_at = fx.mono();
    }

    /// Forgets them, since none of them answered.
    pub(crate) fn unlearn(&mut self) {
        self.addrs.clear();
    }

    /// A response brought cookies.
    pub(crate) fn take_cookies(&mut self, fx: &Effects, exchange: &Exchange) {
        let Some(place) = &exchange.place else { return };
        for field in exchange.client.head().fields().values("set-cookie") {
            self.jar.take(&place.url, field, fx.now);
        }
    }

    /// HTTP+SSE: the server said where to POST.
    pub(crate) fn set_endpoint(&mut self, url: Url) {
        self.post_at = Arc::new(Place::new(url));
    }

    /// Requests of this method are answered at another address of the same host. Returns whether that is news.
    pub(crate) fn redirect(&mut self, fx: &mut Effects, method: Method, target: &Url) -> bool {
        let place = Arc::new(Place::new(target.clone()));
        let origin = Origin::of(target);
        if (origin.port, origin.tls) != (self.origin.port, self.origin.tls) {
            self.origin = origin;
            for place in [&mut self.post_at, &mut self.get_at] {
                *place = Arc::new(Place::new(place.url.at_origin_of(target)));
            }
            for (conn, _) in std::mem::take(&mut self.idle) {
                self.exchanges.remove(&conn);
                fx.close(conn);
            }
        }
        // Streamable HTTP has one endpoint; a stream may have an address of its own.
        if method != Method::Get {
            self.post_at = place.clone();
        }
        if method == Method::Get || self.kind == HttpKind::Streamable {
            self.get_at = place;
        }
        let news = !self.told.contains(target) && self.told.len() < TOLD_MAX;
        if news {
            self.told.push(target.clone());
        }
        news
    }

    /// Requests go to the URL of the configuration again.
    fn reset_places(&mut self) {
        self.origin = Origin::of(&self.url);
        self.post_at = Arc::new(Place::new(self.url.clone()));
        self.get_at = self.post_at.clone();
    }
}

/// Values of headers that are shorter keep no secret.
const SECRET_BYTES_MIN: usize = 6;

/// Headers that a configuration cannot set, because their value belongs to the protocol.
const OWN_HEADERS: [&str; 7] = [
    "accept",
    "accept-encoding",
    "content-type",
    "mcp-session-id",
    "mcp-protocol-version",
    "last-event-id",
    "connection",
];
