//! A call from submission to its one end.
//!
//! ```text
//! submit ─▶ in flight ─┬─ answer ──────────▶ told to who asked
//!                      ├─ progress ────────▶ told, and the clock starts again
//!                      ├─ cancelled ───────▶ server told, client's request ends without an answer
//!                      ├─ time limit ──────▶ server told, error
//!                      └─ server lost ─────▶ error
//! ```

use super::Proxy;
use crate::downstream::Role;
use crate::downstream::client::error_body;
use crate::downstream::session::Transport;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Decimal, Envelope, Kind, Pieces, Span, quote};
use crate::log::Level;
use crate::mcp::Method;
use crate::mux::{Call, ClientOrigin, Origin, Own};
use crate::timer::TimerKind;
use crate::upstream::Phase;
use crate::upstream::exchange::Job;

/// A client's request on its way to a server.
pub(super) struct Forwarded<'a> {
    pub(super) text: &'a [u8],
    pub(super) envelope: &'a Envelope,
    /// Where its progress token is.
    pub(super) token: Option<Span>,
    /// What the server must not see.
    pub(super) dropped: Option<Span>,
}

impl Proxy {
    /// Sends a client's request to a server under an id of our own.
    pub(super) fn submit_client_call(
        &mut self,
        origin: ClientOrigin,
        upstream: UpstreamId,
        method: Method,
        request: &Forwarded<'_>,
    ) -> Result<(), Fault> {
        let session = origin.session;
        let streamable = self.down.session(session).is_some_and(|s| s.transport == Transport::Streamable);
        let full = || Fault::local(Code::Overloaded, "too many calls are in flight");
        let call = Origin::Client(origin);
        let key = self.mux.open(call, upstream, method, self.fx.mono()).ok_or_else(full)?;
        let wire = Decimal::new(key.to_wire());
        // Absent parts are nothing, cut out at the end.
        let text = request.text;
        let nothing = Span { start: text.len(), end: text.len() };
        let mut cuts = [
            (request.envelope.id.unwrap_or(nothing), wire.as_bytes()),
            request.token.map_or((nothing, b"".as_slice()), |token| (token, wire.as_bytes())),
            (request.dropped.unwrap_or(nothing), b""),
        ];
        let message = Pieces::replace(text, request.envelope.newlines, &mut cuts);
        let Some(server) = self.upstreams.get_mut(upstream) else { return Ok(()) };
        if let Err(fault) = server.submit(&mut self.fx, key, &message) {
            self.mux.remove(key);
            return Err(fault);
        }
        let now = self.fx.mono();
        let waiting = (server.phase != Phase::Ready).then_some(now);
        let first = match (streamable, waiting) {
            (true, _) => self.fx.limits.sse_after_ms,
            (false, Some(_)) => self.fx.limits.queue_ms,
            (false, None) => server.call_ms(&self.fx),
        };
        let timer = self.fx.after(first, TimerKind::Call, key.to_wire());
        if let Some(call) = self.mux.get_mut(key) {
            call.timer = Some(timer);
            call.waiting = waiting;
        }
        if let Some(session) = self.down.session(session) {
            session.calls.push(key);
        }
        Ok(())
    }

    /// Sends a request of the proxy itself.
    pub(super) fn submit_own(
        &mut self,
        upstream: UpstreamId,
        own: Own,
        method: &str,
        params: &str,
    ) -> Option<Key> {
        let kind = Method::from_name(method);
        let key = self.mux.open(Origin::Own(own), upstream, kind, self.fx.mono())?;
        let text =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"{method}\"{params}}}", key.to_wire());
        let server = self.upstreams.get_mut(upstream)?;
        let sent = server.link.send_call(&mut self.fx, key, &Pieces::of(&[text.as_bytes()]));
        if sent.is_err() {
            self.mux.remove(key);
            return None;
        }
        // The handshake has a limit of its own, which is the server's.
        if own != Own::Initialize {
            let timer = self.fx.after(self.fx.limits.own_call_ms, TimerKind::Call, key.to_wire());
            if let Some(call) = self.mux.get_mut(key) {
                call.timer = Some(timer);
            }
        }
        Some(key)
    }

    /// Keeps a call that the server cannot have executed until it is back, for a while. What the proxy itself asked
    /// is asked anew then.
    pub(super) fn park(&mut self, id: UpstreamId, key: Key, body: Vec<u8>) {
        let now = self.fx.mono();
        let Some(server) = self.upstreams.get_mut(id).filter(|server| server.was_ready) else {
            return;
        };
        let Some(call) = self.mux.get_mut(key) else { return };
        if body.is_empty() || matches!(call.origin, Origin::Own(_)) || call.waiting.is_some() {
            return;
        }
        call.waiting = Some(now);
        if let Some(timer) = call.timer.take() {
            self.fx.timers.cancel(timer);
        }
        call.timer = Some(self.fx.after(self.fx.limits.queue_ms, TimerKind::Call, key.to_wire()));
        server.wait(key, body);
    }

    /// The server is back: what waited for it is sent.
    pub(super) fn send_waiting(&mut self, id: UpstreamId) {
        let now = self.fx.mono();
        loop {
            let Some(server) = self.upstreams.get_mut(id).filter(|s| s.phase == Phase::Ready) else {
                return;
            };
            let Some((key, body)) = server.next_waiting() else { return };
            let Some(call) = self.mux.get_mut(key) else { continue };
            call.waiting = None;
            call.alive = now;
            if let Err(fault) = server.link.send_call(&mut self.fx, key, &Pieces::of(&[&body])) {
                self.fail(key, &fault);
            }
        }
    }

    /// An answer of a server.
    pub(super) fn complete(&mut self, key: Key, envelope: &Envelope, text: &[u8]) {
        let Some(call) = self.close_call(key) else { return };
        match call.origin {
            Origin::Client(origin) => {
                let cuts = [(envelope.id.unwrap_or_default(), origin.id.as_bytes())];
                let message = Pieces::splice(text, envelope.newlines, &cuts);
                self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Answer);
            }
            Origin::Own(own) => {
                let result = envelope.outcome.unwrap_or_default();
                match envelope.kind {
                    Kind::Result => self.on_own_result(call.upstream, own, key, text, result),
                    Kind::Error | Kind::Request | Kind::Notification => {
                        self.on_own_failed(call.upstream, own, key, &server_error(text, result));
                    }
                }
            }
        }
        self.check_drained();
    }

    /// A call ends without an answer of its server.
    pub(super) fn fail(&mut self, key: Key, fault: &Fault) {
        if let Some(call) = self.close_call(key) {
            self.tell_failed(call.origin, call.upstream, key, fault);
        }
    }

    /// Tells whoever asked that there will be no answer.
    fn tell_failed(&mut self, origin: Origin, upstream: UpstreamId, key: Key, fault: &Fault) {
        match origin {
            Origin::Client(origin) => {
                let body = error_body(origin.id.as_bytes(), fault);
                let message = Pieces::of(&[body.as_bytes()]);
                self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Answer);
            }
            Origin::Own(own) => self.on_own_failed(upstream, own, key, fault),
        }
        self.check_drained();
    }

    /// Takes a call out of everything that knows it.
    pub(super) fn close_call(&mut self, key: Key) -> Option<Call> {
        let call = self.mux.remove(key)?;
        if let Some(timer) = call.timer {
            self.fx.timers.cancel(timer);
        }
        if let Origin::Client(origin) = &call.origin
            && let Some(session) = self.down.session(origin.session)
        {
            session.forget_call(key);
            session.last_used = self.fx.now.mono;
        }
        Some(call)
    }

    /// `notifications/cancelled` of a client: the call ends, the server is told.
    pub(super) fn on_client_cancelled(&mut self, session: Key, params: Span, text: &[u8]) {
        let Ok(Some(id)) = json::member(text, params, "requestId") else { return };
        let Some(session) = self.down.session(session) else { return };
        let named = |key: &&Key| match self.mux.get(**key).map(|call| &call.origin) {
            Some(Origin::Client(origin)) => origin.id.as_bytes() == id.of(text),
            Some(Origin::Own(_)) | None => false,
        };
        let Some(key) = session.calls.iter().find(named).copied() else { return };
        let reason = json::member(text, params, "reason").ok().flatten();
        let reason = reason.and_then(|reason| json::unquote(reason.of(text)));
        let Some(call) = self.mux.get(key) else { return };
        if let Origin::Client(origin) = call.origin.clone() {
            self.cancel_upstream(key, reason.as_deref());
            self.down.withdraw(&mut self.fx, origin.session, origin.stream);
        }
        self.check_drained();
    }

    /// Ends a call that nobody waits for any more: the server is told, if it knows of the call.
    pub(super) fn cancel_upstream(&mut self, key: Key, reason: Option<&str>) {
        let Some(call) = self.close_call(key) else { return };
        let Some(server) = self.upstreams.get_mut(call.upstream) else { return };
        if server.forget_waiting(key) {
            return;
        }
        if let Some(link) = server.link.http() {
            if link.forget_queued(key) {
                return;
            }
            if link.drain(&mut self.fx, key) {
                return;
            }
        }
        // Whoever comes back has forgotten the call anyway.
        if server.phase != Phase::Ready {
            return;
        }
        let reason = reason.map_or_else(String::new, |reason| format!(",\"reason\":{}", quote(reason)));
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{}{reason}}}}}",
            key.to_wire()
        );
        server.link.send_note(&mut self.fx, Job::Note, &Pieces::of(&[text.as_bytes()]));
    }

    /// Cancels what was asked on one stream, because its client did not come back.
    pub(super) fn cancel_stream_calls(&mut self, session: Key, number: u32) {
        let Some(known) = self.down.session(session) else { return };
        let calls = known.calls.clone();
        for key in calls {
            let of_stream = match self.mux.get(key).map(|call| &call.origin) {
                Some(Origin::Client(origin)) => origin.stream == number,
                Some(Origin::Own(_)) | None => false,
            };
            if of_stream {
                self.cancel_upstream(key, None);
            }
        }
        self.check_drained();
    }

    /// News of a call. Told only while the call is open, only if the client asked, only if it advances.
    pub(super) fn on_progress(&mut self, upstream: UpstreamId, envelope: &Envelope, text: &[u8]) {
        let Some(params) = envelope.params else { return };
        let Ok([Some(token), Some(value)]) = json::members(text, params, ["progressToken", "progress"])
        else {
            return;
        };
        let Some(key) = self.mux.find(upstream, token.of(text)) else { return };
        let now = self.fx.mono();
        let Some(call) = self.mux.get_mut(key) else { return };
        call.alive = now;
        call.resumes = 0;
        let advances = call.advance(text, value);
        let Origin::Client(origin) = &call.origin else { return };
        let Some(theirs) = origin.token.as_ref().filter(|_| advances) else { return };
        let message = Pieces::splice(text, envelope.newlines, &[(token, theirs.as_bytes())]);
        self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Note);
    }

    /// A call's timer: first the moment its answer becomes an event stream, then its limits.
    pub(super) fn on_call_timer(&mut self, key: Key) {
        let now = self.fx.mono();
        let Some(call) = self.mux.get(key) else { return };
        let Some(server) = self.upstreams.get(call.upstream) else { return };
        let silent_ms = match (call.waiting, &call.origin) {
            (Some(_), _) => self.fx.limits.queue_ms,
            (None, Origin::Client(_)) => server.call_ms(&self.fx),
            (None, Origin::Own(_)) => self.fx.limits.own_call_ms,
        };
        let waits = call.waiting.is_some();
        let since = call.waiting.unwrap_or(call.alive);
        let limit = since.plus_ms(silent_ms).min(call.started.plus_ms(self.fx.limits.call_total_ms));
        let label = server.label.clone();
        if now >= limit {
            let seconds = now.ms_since(call.started) / 1000;
            let fault = match waits {
                true => server.not_ready(),
                false => Fault::environment(
                    Code::UpstreamTimeout,
                    format!("server {label} did not answer within {seconds} s"),
                ),
            };
            self.fx.log(Level::Warn, Some(&label), format!("call timed out after {seconds} s"));
            return self.give_up_call(key, &fault);
        }
        if let Origin::Client(origin) = &call.origin {
            self.down.start_events(&mut self.fx, origin.session, origin.stream);
        }
        let timer = self.fx.timers.set(limit, TimerKind::Call, key.to_wire());
        if let Some(call) = self.mux.get_mut(key) {
            call.timer = Some(timer);
        }
    }

    /// Ends a call with an error and tells the server that nobody waits.
    pub(super) fn give_up_call(&mut self, key: Key, fault: &Fault) {
        let Some(call) = self.mux.get(key) else { return };
        let (origin, upstream) = (call.origin.clone(), call.upstream);
        self.cancel_upstream(key, None);
        self.tell_failed(origin, upstream, key, fault);
    }
}

/// What a JSON-RPC error of a server says, for the log.
pub(super) fn server_error(text: &[u8], error: Span) -> Fault {
    let [code, message] = json::members(text, error, ["code", "message"]).unwrap_or_default();
    let code = code.map_or_else(String::new, |span| String::from_utf8_lossy(span.of(text)).into_owned());
    let message = message.and_then(|span| json::unquote(span.of(text))).unwrap_or_default();
    let kind = if code == "-32601" { Code::MethodNotFound } else { Code::UpstreamBroken };
    let message = quote(&Fault::quoted(message.as_bytes()));
    Fault::peer(kind, format!("the server answered with error {code} {message}"))
}
