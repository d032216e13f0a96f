//! Requests to a server: on a pooled connection, on a new one, or in the queue for one; and the end of all of them.

use super::cookies::Jar;
use super::exchange::{Exchange, Job};
use super::{ADDRS_MS, HttpLink, OWN_HEADERS, Queued};
use crate::config::HttpKind;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::{Method, encode_request_head};
use crate::id::{ConnId, Key};
use crate::json::Pieces;
use crate::ledger::NO_MEMORY;
use crate::time::Mono;
use crate::timer::ServerTimer;
use std::net::SocketAddr;

impl HttpLink {
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
    pub(super) fn send_queued(&mut self, fx: &mut Effects) {
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

    pub(super) fn watch_pool(&mut self, fx: &mut Effects) {
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
