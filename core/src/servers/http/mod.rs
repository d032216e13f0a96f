//! A server behind HTTP: its connections, what they are busy with, and what waits for one.
//!
//! One request at a time on a connection; idle ones are pooled and closed before servers of the usual kind would
//! close them. Invariants: an exchange is in the table unless somebody works on it; a pooled connection has nothing
//! queued; what was begun before everything was closed ([`HttpLink::is_current`]) and what was said about a former
//! session ([`HttpLink::is_present`]) does not touch their successors.

pub(super) mod cookies;
pub(super) mod escape;
pub(super) mod exchange;
pub(super) mod exchanges;
pub(super) mod lapses;
pub(super) mod packed;
pub(super) mod recovery;
pub(super) mod redirect;
pub(super) mod redirects;
pub(super) mod refusals;

use self::cookies::Jar;
use self::exchange::{Exchange, Job, Origin};
use self::redirect::Place;
use crate::config::HttpKind;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::{Method, encode_request_head};
use crate::id::{ConnId, Key, UpstreamId};
use crate::json::Pieces;
use crate::ledger::Held;
use crate::ledger::NO_MEMORY;
use crate::mcp::Revision;
use crate::redacted::Redacted;
use crate::time::Mono;
use crate::timer::ServerTimer;
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

    /// POSTs a message.
    pub(crate) fn post(&mut self, fx: &mut Effects, job: Job, message: &Pieces<'_>) -> Result<(), Fault> {
        self.post_again(fx, job, message, 0)
    }

    /// POSTs a message that was redirected so many times.
    pub(crate) fn post_again(
        &mut self,
        fx: &mut Effects,
        job: Job,
        message: &Pieces<'_>,
        hops: u8,
    ) -> Result<(), Fault> {
        if !fx.ledger.has_room(0, message.len()) {
            return Err(Fault::local(Code::Overloaded, NO_MEMORY));
        }
        match self.connection(fx) {
            Some(conn) => {
                self.begin(fx, conn, (job, hops), Method::Post, Some(message), None);
                Ok(())
            }
            None if self.queued_bytes.saturating_add(message.len()) <= fx.limits.upstream_queue_bytes_max => {
                let mut body = Vec::with_capacity(message.len());
                message.write(&mut body);
                self.queued_bytes = self.queued_bytes.saturating_add(body.len());
                self.queue.push_back(Queued { job, body: fx.ledger.hold(body), hops });
                Ok(())
            }
            None => Err(Fault::local(Code::Overloaded, "too many calls wait for a connection to the server")),
        }
    }

    /// Sends a request without a body: GET of a stream, or DELETE.
    pub(crate) fn ask(&mut self, fx: &mut Effects, job: Job, method: Method, event_id: Option<&str>) {
        self.ask_again(fx, job, method, event_id, 0);
    }

    /// Sends such a request that was redirected so many times.
    pub(crate) fn ask_again(
        &mut self,
        fx: &mut Effects,
        job: Job,
        method: Method,
        event_id: Option<&str>,
        hops: u8,
    ) {
        let conn = self.connection(fx).unwrap_or_else(|| self.dial(fx));
        self.begin(fx, conn, (job, hops), method, None, event_id);
    }

    /// A connection that can take a request: from the pool, or a new one if there may be more.
    fn connection(&mut self, fx: &mut Effects) -> Option<ConnId> {
        while let Some((conn, _)) = self.idle.pop() {
            if self.exchanges.contains_key(&conn) && fx.is_open(conn) && fx.queued(conn) == 0 {
                return Some(conn);
            }
        }
        (self.exchanges.len() < fx.limits.pool_conns_max).then(|| self.dial(fx))
    }

    fn dial(&mut self, fx: &mut Effects) -> ConnId {
        let conn = fx.mint();
        fx.own(conn, self.upstream);
        let fresh = fx.mono().ms_since(self.addrs_at) < ADDRS_MS;
        let known: &[SocketAddr] = if fresh { &self.addrs } else { &[] };
        let mut exchange = Exchange::dial(fx, conn, &self.origin, known);
        exchange.generation = self.generation;
        self.exchanges.insert(conn, Box::new(exchange));
        conn
    }

    /// Writes a request on a connection.
    fn begin(
        &mut self,
        fx: &mut Effects,
        conn: ConnId,
        (job, hops): (Job, u8),
        method: Method,
        message: Option<&Pieces<'_>>,
        event_id: Option<&str>,
    ) {
        let Some(exchange) = self.exchanges.get_mut(&conn) else { return };
        let session = self.session.as_ref().map(|_| self.session_count);
        exchange.begin(fx, job, session, message.map_or(0, Pieces::len));
        exchange.client.begin(method);
        let place = if method == Method::Get { &self.get_at } else { &self.post_at };
        exchange.place = Some(place.clone());
        exchange.method = method;
        exchange.hops = hops;
        let (name, accept) = match method {
            Method::Post => ("POST", "application/json, text/event-stream"),
            Method::Delete => ("DELETE", "*/*"),
            Method::Get | Method::Head | Method::Put | Method::Options | Method::Other => {
                ("GET", "text/event-stream")
            }
        };
        let version = self.revision.filter(|revision| revision.is_named_in_header());
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("cookie");
        let configured = self.headers.iter().find(|(name, _)| is_cookie(name));
        let configured = configured.map(|(_, value)| value.expose().as_str());
        let cookies = self.jar.field(&place.url, configured, fx.mono());
        let own = [
            Some(("Accept", accept)),
            // What is packed small may be unpacked large.
            Some(("Accept-Encoding", "identity")),
            message.map(|_| ("Content-Type", "application/json")),
            self.session.as_deref().map(|id| ("Mcp-Session-Id", id)),
            version.map(|revision| ("MCP-Protocol-Version", revision.name())),
            event_id.map(|id| ("Last-Event-ID", id)),
            cookies.as_deref().map(|cookies| ("Cookie", cookies)),
        ];
        let configured = self.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_str()));
        let configured = configured.filter(|(name, _)| {
            !is_cookie(name) && !OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own))
        });
        let len = message.map(Pieces::len);
        fx.hold(conn);
        fx.send(conn, len.unwrap_or(0).saturating_add(512), |out| {
            let headers = own.into_iter().flatten().chain(configured);
            encode_request_head(out, name, &place.target, &place.authority, headers, len);
            if let Some(message) = message {
                message.write(out);
            }
        });
    }

    /// An exchange is complete: its connection goes back to the pool, or on to the next request that waits.
    pub(crate) fn recycle(&mut self, fx: &mut Effects, mut exchange: Box<Exchange>) {
        exchange.disarm(fx);
        let conn = exchange.conn;
        let reusable = exchange.client.is_reusable()
            && exchange.leads_to(&self.origin)
            && fx.is_open(conn)
            && fx.queued(conn) == 0;
        if !reusable || exchange.job == Job::Delete || !self.is_current(&exchange) {
            return self.drop_exchange(fx, &exchange);
        }
        exchange.job = Job::Idle;
        exchange.events = None;
        exchange.coding = None;
        exchange.body = Vec::new();
        exchange.retry_ms = None;
        exchange.reused = true;
        fx.release(conn);
        exchange.update_charge();
        self.exchanges.insert(conn, exchange);
        self.idle.push((conn, fx.mono()));
        self.send_queued(fx);
        self.watch_pool(fx);
    }

    /// Gives waiting requests the connections that became free.
    fn send_queued(&mut self, fx: &mut Effects) {
        while !self.queue.is_empty() {
            let Some(conn) = self.connection(fx) else { return };
            let Some(Queued { job, body, hops }) = self.queue.pop_front() else { return };
            self.queued_bytes = self.queued_bytes.saturating_sub(body.len());
            self.begin(fx, conn, (job, hops), Method::Post, Some(&Pieces::of(&[&body])), None);
        }
    }

    /// Drops a waiting request. Returns whether it was waiting.
    pub(crate) fn forget_queued(&mut self, call: Key) -> bool {
        let Some(place) = self.queue.iter().position(|queued| queued.job == Job::Call(call)) else {
            return false;
        };
        let gone = self.queue.remove(place);
        self.queued_bytes = self.queued_bytes.saturating_sub(gone.map_or(0, |queued| queued.body.len()));
        true
    }

    fn watch_pool(&mut self, fx: &mut Effects) {
        let oldest = self.idle.iter().map(|(_, since)| *since).min();
        if let Some(oldest) = oldest.filter(|_| !self.pool_timer) {
            self.pool_timer = true;
            fx.timers.set(oldest.plus_ms(fx.limits.pool_idle_ms), ServerTimer::PoolIdle, self.upstream.0);
        }
    }

    /// Closes pooled connections that have idled too long: servers close them too, and racing them loses requests.
    pub(crate) fn on_pool_timer(&mut self, fx: &mut Effects) {
        self.pool_timer = false;
        let now = fx.mono();
        let max = fx.limits.pool_idle_ms;
        let (old, young) = self.idle.iter().partition(|(_, since)| now.ms_since(*since) >= max);
        let old: Vec<(ConnId, Mono)> = old;
        self.idle = young;
        for (conn, _) in old {
            self.exchanges.remove(&conn);
            fx.close(conn);
        }
        self.watch_pool(fx);
    }

    /// The last words: ends the session on the server, if there is one, and closes the rest.
    pub(crate) fn finish(&mut self, fx: &mut Effects) {
        let (session, revision) = (self.session.take(), self.revision);
        let (place, origin) = (self.post_at.clone(), self.origin.clone());
        let jar = std::mem::take(&mut self.jar);
        let _given_up = self.close_all(fx);
        if session.is_some() && self.kind == HttpKind::Streamable {
            self.session = session;
            self.revision = revision;
            self.post_at = place;
            self.origin = origin;
            self.jar = jar;
            self.ask(fx, Job::Delete, Method::Delete, None);
            // The next handshake, if there is one, names no session.
            self.forget_session();
            self.reset_places();
            self.jar = Jar::default();
        }
    }

    /// Whether the end of the session is still under way.
    pub(crate) fn is_finishing(&self) -> bool {
        self.exchanges.values().any(|exchange| exchange.job == Job::Delete)
    }

    /// Closes everything. Gives back the calls of which the server cannot have read anything.
    pub(crate) fn close_all(&mut self, fx: &mut Effects) -> Vec<(Key, Vec<u8>)> {
        let mut unsent = Vec::new();
        for (conn, exchange) in std::mem::take(&mut self.exchanges) {
            if let Job::Call(key) = exchange.job
                && exchange.is_unwritten(fx)
            {
                unsent.push((key, exchange.request_body(fx)));
            }
            exchange.disarm(fx);
            fx.close(conn);
        }
        for Queued { job, body, .. } in std::mem::take(&mut self.queue) {
            if let Job::Call(key) = job {
                unsent.push((key, body.into_bytes()));
            }
        }
        self.idle.clear();
        self.queued_bytes = 0;
        self.generation = self.generation.wrapping_add(1);
        self.forget_session();
        self.reset_places();
        self.jar = Jar::default();
        self.listen_silences = 0;
        unsent
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
