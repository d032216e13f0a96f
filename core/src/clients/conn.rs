//! One accepted connection: reading requests, writing responses.
//!
//! One request at a time: the next one is looked at when the response to this one is completely queued.
//! Invariants: a response is started once and ended once; a stream's body is chunked, or ends with the
//! connection for HTTP/1.0 clients; after the last response our side is shut down and the rest is drained.

use super::batches::Batch;
use super::seats::{Seat, Wait};
use super::stream::MESSAGE;
use crate::digest::Hash;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::{self, Body, encode_last_chunk, encode_response_head};
use crate::id::{ConnId, Key, ViewId};
use crate::json::Pieces;
use crate::jsonrpc;
use crate::ledger::Charge;
use crate::policy::Principal;
use crate::route::Endpoint;
use crate::sse::{encode_comment, encode_event};
use crate::time::Mono;
use crate::timer::{ClientTimer, Timer};
use std::net::SocketAddr;

/// One client connection.
#[derive(Debug)]
pub(crate) struct ClientConn {
    pub(super) conn: ConnId,
    pub(super) http: http::Server,
    pub(super) state: ConnState,
    /// What was decided about the request in progress when its head came.
    pub(super) admitted: Option<Admission>,
    /// The token of the login that it was admitted with.
    pub(super) login: Option<Hash>,
    /// The session that the response opens, to be named in its head.
    pub(super) opens: Option<Box<str>>,
    /// The browser origin to allow in the response.
    pub(super) cors: Option<Box<str>>,
    /// The array of messages that is being served.
    pub(super) batch: Option<Box<Batch>>,
    peer: SocketAddr,
    deadline: Mono,
    timer: Timer,
    keep_alive: Option<Timer>,
    last_write: Mono,
    chunked: bool,
    charge: Charge,
    /// A request of it was answered.
    served: bool,
    seat: Option<Seat>,
}

/// What the connection is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnState {
    /// Nothing, or a request is coming in.
    Reading,
    /// The authorization server is thinking about the answer.
    Deciding,
    /// The answer is not started.
    Waiting { session: Key, stream: u32 },
    /// An event stream is open.
    Streaming { session: Key, stream: u32 },
    /// An answer for the doctor is under way; so many parts are to come.
    Probing { left: u32 },
    /// The last response is queued.
    Closing,
}

/// What a request was admitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// A server behind the proxy.
    Mcp(Entry),
    /// The authorization server.
    OAuth,
}

/// Where a request leads, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What is seen there.
    pub(crate) view: ViewId,
    pub(crate) endpoint: Endpoint,
    pub(crate) principal: Principal,
}

impl ClientConn {
    pub(super) fn new(fx: &mut Effects, conn: ConnId, peer: SocketAddr, limits: http::Limits) -> Self {
        let timer = fx.after(fx.limits.request_ms, ClientTimer::Conn, conn.0);
        Self {
            conn,
            http: http::Server::new(limits),
            state: ConnState::Reading,
            admitted: None,
            login: None,
            opens: None,
            cors: None,
            batch: None,
            peer,
            deadline: timer.at,
            timer,
            keep_alive: None,
            last_write: fx.mono(),
            chunked: true,
            charge: fx.ledger.open(),
            served: false,
            seat: None,
        }
    }

    /// Counts what is here of requests.
    pub(super) fn count(&mut self) {
        self.charge.set(self.http.capacity());
    }

    /// Whether it only waits for its client, and since when.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.seat
    }

    /// Looks anew at what it waits for; gives its seat before and now.
    pub(super) fn change_seat(&mut self, now: Mono) -> (Option<Seat>, Option<Seat>) {
        let before = self.seat;
        let wait = match self.state {
            ConnState::Reading if self.http.is_idle() && self.served => Some(Wait::Request),
            ConnState::Reading if self.http.is_idle() => Some(Wait::First),
            ConnState::Reading if self.http.is_mid_head() => Some(Wait::Head),
            ConnState::Reading if self.http.is_mid_request() => Some(Wait::Body),
            ConnState::Closing => Some(Wait::Close),
            ConnState::Reading
            | ConnState::Deciding
            | ConnState::Waiting { .. }
            | ConnState::Streaming { .. }
            | ConnState::Probing { .. } => None,
        };
        self.seat = match (wait, before) {
            (Some(wait), Some((same, since))) if wait == same => Some((wait, since)),
            (Some(Wait::Head), Some((Wait::First, since))) => Some((Wait::Head, since)),
            (Some(Wait::Body), Some((Wait::First | Wait::Head, since))) => Some((Wait::Body, since)),
            (Some(wait), _) => Some((wait, now)),
            (None, _) => None,
        };
        (before, self.seat)
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn cancel_timers(&self, fx: &mut Effects) {
        fx.timers.cancel(self.timer);
        if let Some(timer) = self.keep_alive {
            fx.timers.cancel(timer);
        }
    }

    /// The connection now serves a stream of a session.
    pub(super) fn wait(&mut self, session: Key, stream: u32) {
        self.state = ConnState::Waiting { session, stream };
        self.deadline = Mono::NEVER;
    }

    /// The authorization server answers later.
    pub(super) fn decide(&mut self) {
        self.state = ConnState::Deciding;
        self.deadline = Mono::NEVER;
    }

    /// A complete response of the authorization server.
    pub(super) fn answer_reply(&mut self, fx: &mut Effects, reply: &http::Reply) {
        let headers: Vec<(&str, &str)> =
            reply.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        self.respond_bytes(fx, reply.status, &headers, reply.body.as_bytes());
    }

    /// A complete response with a JSON body.
    pub(super) fn answer_json(&mut self, fx: &mut Effects, body: &Pieces<'_>) {
        self.respond(fx, 200, &[("content-type", "application/json")], body);
    }

    /// The end of a request that was cancelled before its answer began: an event stream without events (DL-71).
    pub(super) fn answer_nothing(&mut self, fx: &mut Effects) {
        self.respond(fx, 200, &[("content-type", "text/event-stream")], &Pieces::of(&[]));
    }

    /// A fault as the whole response: a JSON-RPC error for the request of this id.
    pub(super) fn answer_fault(
        &mut self,
        fx: &mut Effects,
        fault: &Fault,
        id: &[u8],
        extra: &[(&str, &str)],
    ) {
        if fault.code == Code::Unauthorized {
            let headers = [("content-type", "text/plain; charset=utf-8"), ("www-authenticate", "Bearer")];
            return self.respond_bytes(fx, 401, &headers, b"Unauthorized\n");
        }
        let body = jsonrpc::error(id, fault);
        let mut headers = vec![("content-type", "application/json")];
        headers.extend_from_slice(extra);
        self.respond(fx, fault.code.status(), &headers, &Pieces::of(&[body.as_bytes()]));
    }

    /// A complete response with one message of ours: as JSON, or as an event stream of one event for a client
    /// that takes nothing else.
    pub(super) fn answer_text(&mut self, fx: &mut Effects, message: &[u8], json: bool) {
        let kind = if json { "application/json" } else { "text/event-stream" };
        let headers = [("content-type", kind)];
        if json {
            self.respond_bytes(fx, 200, &headers, message);
        } else {
            let mut event = Vec::with_capacity(message.len().saturating_add(32));
            encode_event(&mut event, None, Some(MESSAGE), None, &[message]);
            self.respond_bytes(fx, 200, &headers, &event);
        }
    }

    /// A complete response with a message as its body.
    pub(super) fn respond(
        &mut self,
        fx: &mut Effects,
        status: u16,
        headers: &[(&str, &str)],
        body: &Pieces<'_>,
    ) {
        self.respond_with(fx, status, headers, body.len(), |out| body.write(out));
    }

    fn respond_bytes(&mut self, fx: &mut Effects, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        self.respond_with(fx, status, headers, body.len(), |out| out.extend_from_slice(body));
    }

    fn respond_with(
        &mut self,
        fx: &mut Effects,
        status: u16,
        headers: &[(&str, &str)],
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let close = self.http.will_close();
        let head_only = self.http.is_head_request();
        let framing = if matches!(status, 204 | 304) { Body::None } else { Body::Length(len) };
        let opens = self.opens.take();
        let named = opens.as_deref().map(|session| with_session(headers, session));
        let headers = named.as_deref().unwrap_or(headers);
        let cors = self.cors.take();
        fx.send(self.conn, len.saturating_add(256), |out| {
            match &cors {
                None => encode_response_head(out, status, headers, framing, close),
                Some(origin) => {
                    encode_response_head(out, status, &with_cors(headers, origin), framing, close)
                }
            }
            if !head_only {
                write(out);
            }
        });
        self.finish(fx, close);
    }

    /// Starts an event stream; `task` says whose.
    pub(super) fn start_stream(&mut self, fx: &mut Effects) {
        let ConnState::Waiting { session, stream } = self.state else { return };
        self.state = ConnState::Streaming { session, stream };
        self.stream_head(fx);
        self.keep_alive = Some(fx.after(fx.limits.keep_alive_ms, ClientTimer::KeepAlive, self.conn.0));
    }

    /// Starts the answer for the doctor with `seen`; `left` parts are to come.
    pub(super) fn begin_probe(&mut self, fx: &mut Effects, left: u32, seen: &str) {
        self.state = ConnState::Probing { left };
        self.deadline = Mono::NEVER;
        self.stream_head(fx);
        self.write_stream(fx, seen.len().saturating_add(32), |out| {
            encode_event(out, None, Some(PROBE), None, &[seen.as_bytes()]);
        });
        self.go_on_or_end(fx, left);
    }

    /// Time for the next part.
    pub(super) fn go_on_probing(&mut self, fx: &mut Effects) {
        let ConnState::Probing { left } = self.state else { return };
        let left = left.saturating_sub(1);
        let part = format!("{{\"left\":{left}}}");
        self.write_stream(fx, 32, |out| encode_event(out, None, Some(PROBE), None, &[part.as_bytes()]));
        self.go_on_or_end(fx, left);
    }

    fn go_on_or_end(&mut self, fx: &mut Effects, left: u32) {
        if left == 0 {
            return self.end_stream(fx);
        }
        self.state = ConnState::Probing { left };
        self.keep_alive = Some(fx.after(1_000, ClientTimer::Probe, self.conn.0));
    }

    /// The head of an event stream.
    fn stream_head(&mut self, fx: &mut Effects) {
        self.chunked = self.http.head().version_minor() >= 1;
        let close = self.http.will_close();
        let framing = if self.chunked { Body::Chunked } else { Body::UntilClose };
        const HEADERS: [(&str, &str); 3] = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
        ];
        let opens = self.opens.take();
        let named = opens.as_deref().map(|session| with_session(&HEADERS, session));
        let headers = named.as_deref().unwrap_or(&HEADERS);
        let cors = self.cors.take();
        fx.send(self.conn, 512, |out| match &cors {
            None => encode_response_head(out, 200, headers, framing, close),
            Some(origin) => encode_response_head(out, 200, &with_cors(headers, origin), framing, close),
        });
        self.last_write = fx.mono();
    }

    /// Writes to the open event stream: what `encode` appends is one chunk.
    pub(super) fn write_stream(
        &mut self,
        fx: &mut Effects,
        expected: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        self.last_write = fx.mono();
        let chunked = self.chunked;
        fx.send(self.conn, expected.saturating_add(12), |out| {
            if chunked { http::encode_chunk(out, encode) } else { encode(out) }
        });
    }

    /// Writes a comment after the head of a stream that has no event yet, so that the head arrives: fronts are known to
    /// hold it back until the first byte of a body.
    pub(super) fn show_head(&mut self, fx: &mut Effects) {
        self.write_stream(fx, 16, |out| encode_comment(out, "open"));
    }

    /// Ends the open event stream, and with it the response.
    pub(super) fn end_stream(&mut self, fx: &mut Effects) {
        match self.state {
            ConnState::Streaming { .. } | ConnState::Probing { .. } => {}
            ConnState::Waiting { .. } => return self.answer_nothing(fx),
            ConnState::Reading | ConnState::Deciding | ConnState::Closing => return,
        }
        let close = self.http.will_close() || !self.chunked;
        if self.chunked {
            fx.send(self.conn, 8, encode_last_chunk);
        }
        self.finish(fx, close);
    }

    /// The response is completely queued.
    fn finish(&mut self, fx: &mut Effects, close: bool) {
        if let Some(timer) = self.keep_alive.take() {
            fx.timers.cancel(timer);
        }
        self.admitted = None;
        self.login = None;
        self.served = true;
        self.opens = None;
        self.http.finish();
        self.count();
        if close {
            self.close_in_order(fx);
        } else {
            self.state = ConnState::Reading;
            self.deadline = fx.mono().plus_ms(fx.limits.conn_idle_ms);
        }
    }

    /// Shuts our side down after what is queued, and waits a little for the other side.
    pub(super) fn close_in_order(&mut self, fx: &mut Effects) {
        self.state = ConnState::Closing;
        fx.shutdown(self.conn);
        fx.timers.cancel(self.timer);
        self.timer = fx.after(fx.limits.linger_ms, ClientTimer::Conn, self.conn.0);
        self.deadline = self.timer.at;
    }

    /// Bytes of it are about to be worked on. Those that begin a request start its clock.
    pub(super) fn on_bytes(&mut self, fx: &mut Effects) {
        if self.state != ConnState::Reading || !self.http.is_idle() {
            return;
        }
        self.deadline = fx.mono().plus_ms(fx.limits.request_ms);
        if self.deadline < self.timer.at {
            fx.timers.cancel(self.timer);
            self.timer = fx.timers.set(self.deadline, ClientTimer::Conn, self.conn.0);
        }
    }

    /// Its timer fired. Returns false when the time is really up: a client that takes its answer slowly is not idle,
    /// one that has taken nothing of it for the time of a request is.
    pub(super) fn on_timer(&mut self, fx: &mut Effects) -> bool {
        let now = fx.mono();
        let slow = fx.queued(self.conn) > 0 && fx.stalled_ms(self.conn) < fx.limits.request_ms;
        if now >= self.deadline && !slow {
            return false;
        }
        let at = if slow { now.plus_ms(fx.limits.linger_ms) } else { now.plus_ms(fx.limits.conn_idle_ms) };
        let at = if now >= self.deadline { at } else { at.min(self.deadline) };
        self.timer = fx.timers.set(at, ClientTimer::Conn, self.conn.0);
        true
    }

    /// Its keep-alive timer fired: a comment, unless something was written meanwhile.
    pub(super) fn on_keep_alive(&mut self, fx: &mut Effects) {
        let ConnState::Streaming { .. } = self.state else { return };
        let quiet_until = self.last_write.plus_ms(fx.limits.keep_alive_ms);
        let mut at = quiet_until;
        if fx.mono() >= quiet_until {
            self.write_stream(fx, 16, |out| encode_comment(out, "keep-alive"));
            at = fx.mono().plus_ms(fx.limits.keep_alive_ms);
        }
        self.keep_alive = Some(fx.timers.set(at, ClientTimer::KeepAlive, self.conn.0));
    }
}

/// The headers, and the session that begins with the response.
fn with_session<'a>(headers: &[(&'a str, &'a str)], session: &'a str) -> Vec<(&'a str, &'a str)> {
    [headers, &[("mcp-session-id", session)]].concat()
}

/// The headers that let a page of `origin` read the response.
fn with_cors<'a>(headers: &[(&'a str, &'a str)], origin: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut all = headers.to_vec();
    all.push(("access-control-allow-origin", origin));
    all.push(("access-control-expose-headers", "Mcp-Session-Id, WWW-Authenticate"));
    all.push(("vary", "origin"));
    all
}

/// The name of the events of the page for the doctor, which are no messages.
const PROBE: &str = "probe";
