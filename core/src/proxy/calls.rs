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
use crate::downstream::session::Transport;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Decimal, Envelope, Pieces, Span, quote};
use crate::log::Level;
use crate::mcp::Method;
use crate::mux::{Call, ClientOrigin, Origin, Own, Task};
use crate::timer::TimerKind;
use crate::upstream::exchange::Job;
use crate::upstream::{Phase, Upstream};

/// A client's request on its way to a server.
pub(super) struct Forwarded<'a> {
    pub(super) text: &'a [u8],
    pub(super) envelope: &'a Envelope,
    /// Where its progress token is.
    pub(super) token: Option<Span>,
    /// What the server calls the thing it is about.
    pub(super) rename: Option<(Span, &'a [u8])>,
    /// What is to be said of tasks, in place of what is said.
    pub(super) task: Option<(Span, &'a [u8])>,
}

/// What has to be remembered of a client's request until it is answered.
#[derive(Debug, Default)]
pub(super) struct Purpose {
    /// The resource that a subscription is about.
    pub(super) uri: Option<Box<str>>,
    /// It is to be run as a task.
    pub(super) task: Option<Task>,
}

impl Proxy {
    /// Sends a client's request to a server under an id of our own.
    pub(super) fn submit_client_call(
        &mut self,
        origin: ClientOrigin,
        upstream: UpstreamId,
        method: Method,
        request: &Forwarded<'_>,
        purpose: Purpose,
    ) -> Result<(), Fault> {
        let session = origin.session;
        let asks = method.may_ask().then_some(session);
        let streamable = self.down.session(session).is_some_and(|s| s.transport == Transport::Streamable);
        let full = || Fault::local(Code::Overloaded, "too many calls are in flight");
        let call = Origin::Client(origin);
        let Some(home) = self.upstreams.get(upstream).map(|server| server.home) else { return Ok(()) };
        let to = (upstream, home);
        let key = self.mux.open(call, to, method, self.fx.mono(), &self.fx.ledger).ok_or_else(full)?;
        let wire = Decimal::new(self.wire_of(key));
        // Absent parts are nothing, cut out at the end.
        let text = request.text;
        let nothing = Span { start: text.len(), end: text.len() };
        let mut cuts = [
            (request.envelope.id.unwrap_or(nothing), wire.as_bytes()),
            request.token.map_or((nothing, b"".as_slice()), |token| (token, wire.as_bytes())),
            request.rename.unwrap_or((nothing, b"")),
            request.task.unwrap_or((nothing, b"")),
        ];
        let message = Pieces::replace(text, request.envelope.newlines, &mut cuts);
        let Some(server) = self.upstreams.get_mut(upstream) else { return Ok(()) };
        let sent = match server.submit(&mut self.fx, key, asks, &message) {
            Ok(sent) => sent,
            Err(fault) => {
                self.mux.settle(key);
                self.mux.remove(key);
                return Err(fault);
            }
        };
        let now = self.fx.mono();
        let waiting = (!sent).then_some(now);
        let first = match (streamable, waiting, server.phase) {
            (true, _, _) => self.fx.limits.sse_after_ms,
            (false, None, _) | (false, Some(_), Phase::Ready) => {
                server.silence_ms(&self.fx).min(server.call_ms(&self.fx))
            }
            (false, Some(_), _) => self.fx.limits.queue_ms,
        };
        let timer = self.fx.after(first, TimerKind::Call, key.to_u64());
        if let Some(call) = self.mux.get_mut(key) {
            call.timer = Some(timer);
            call.waiting = waiting;
            if let (Some(uri), Method::Subscribe, Some(server)) =
                (&purpose.uri, method, self.upstreams.get_mut(upstream))
            {
                server.tenants.asked(uri);
            }
            call.remember_uri(purpose.uri);
            call.task = purpose.task;
        }
        if let Some(session) = self.down.session(session) {
            session.calls.push(key);
        }
        self.wake(upstream);
        if !sent {
            self.freed.push(upstream);
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
        let to = (upstream, self.upstreams.get(upstream)?.home);
        let key = self.mux.open(Origin::Own(own), to, kind, self.fx.mono(), &self.fx.ledger)?;
        let id = self.wire_of(key);
        let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"{params}}}");
        let server = self.upstreams.get_mut(upstream)?;
        let sent = server.link.send_call(&mut self.fx, key, &Pieces::of(&[text.as_bytes()]));
        if sent.is_err() {
            self.mux.settle(key);
            self.mux.remove(key);
            return None;
        }
        server.own_calls.push(key);
        // The handshake has a limit of its own, which is the server's; a task takes as long as its call may.
        if !matches!(own, Own::Initialize | Own::Discover | Own::TaskResult(_)) {
            let timer = self.fx.after(self.fx.limits.own_call_ms, TimerKind::Call, key.to_u64());
            if let Some(call) = self.mux.get_mut(key) {
                call.timer = Some(timer);
            }
        }
        Some(key)
    }

    /// The id of a call at its server.
    fn wire_of(&self, key: Key) -> u64 {
        self.mux.get(key).map_or(0, |call| call.wire.into())
    }

    /// The call that a server means by this raw id, if it is one of its own.
    pub(super) fn call_named(&self, id: UpstreamId, raw: &[u8]) -> Option<Key> {
        self.mux.find(id, self.upstreams.get(id)?.home, raw)
    }

    /// Sends a call that waited for one connection on another one to the same server.
    pub(super) fn resubmit(&mut self, key: Key, id: UpstreamId, body: &[u8]) {
        let Some(call) = self.mux.get_mut(key) else { return };
        let Some(server) = self.upstreams.get_mut(id) else { return };
        call.upstream = id;
        if let Some(uri) = call.uri.as_ref().filter(|_| call.method == Method::Subscribe) {
            server.tenants.asked(uri);
        }
        match server.submit(&mut self.fx, key, call.asks(), &Pieces::of(&[body])) {
            Ok(true) => {
                call.waiting = None;
                call.alive = self.fx.now.mono;
            }
            Ok(false) => {}
            Err(fault) => self.fail(key, &fault),
        }
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
        let asks = call.asks();
        server.left(key, asks.is_some());
        if let Some(timer) = call.timer.take() {
            self.fx.timers.cancel(timer);
        }
        call.timer = Some(self.fx.after(self.fx.limits.queue_ms, TimerKind::Call, key.to_u64()));
        server.wait(key, asks, self.fx.ledger.hold(body));
    }

    /// The server is back, or free: what waited for it is sent.
    pub(super) fn send_waiting(&mut self, id: UpstreamId) {
        let now = self.fx.mono();
        loop {
            let open = |server: &&mut Upstream| server.phase == Phase::Ready && server.link.is_open();
            let Some(server) = self.upstreams.get_mut(id).filter(open) else { return };
            let Some((key, asks, body)) = server.next_waiting() else { return self.renew_haunted(id) };
            let Some(call) = self.mux.get_mut(key) else { continue };
            call.waiting = None;
            call.alive = now;
            server.entered(key, asks);
            if let Err(fault) = server.link.send_call(&mut self.fx, key, &Pieces::of(&[&body])) {
                self.fail(key, &fault);
            }
        }
    }

    /// Takes a call out of everything that knows it.
    pub(super) fn close_call(&mut self, key: Key) -> Option<Call> {
        let call = self.mux.remove(key)?;
        if let Some(timer) = call.timer {
            self.fx.timers.cancel(timer);
        }
        let upstream = self.upstreams.get_mut(call.upstream);
        match &call.origin {
            Origin::Client(origin) => {
                if let Some(session) = self.down.session(origin.session) {
                    session.forget_call(key);
                    session.last_used = self.fx.now.mono;
                }
                if let Some(upstream) = upstream {
                    if let (Some(uri), Method::Subscribe) = (&call.uri, call.method) {
                        upstream.tenants.asked_no_more(uri);
                    }
                    if call.waiting.is_none() {
                        upstream.left(key, call.method.may_ask());
                        upstream.used_at = self.fx.now.mono;
                    }
                    if upstream.waiting_len() > 0 {
                        self.freed.push(call.upstream);
                    }
                }
            }
            Origin::Own(_) => {
                if let Some(upstream) = upstream {
                    upstream.own_calls.retain(|own| *own != key);
                }
            }
        }
        Some(call)
    }

    /// `notifications/cancelled` of a client: the call ends, the server is told.
    pub(super) fn on_client_cancelled(&mut self, session: Key, params: Span, text: &[u8]) {
        let Ok(Some(id)) = json::member(text, params, "requestId") else { return };
        if let Some(stream) = self.forget_list(session, id.of(text)) {
            return self.down.withdraw(&mut self.fx, session, stream);
        }
        let Some(session) = self.down.session(session) else { return };
        let named = |key: &&Key| match self.mux.get(**key).map(|call| &call.origin) {
            Some(Origin::Client(origin)) => json::is_same_id(origin.id.as_bytes(), id.of(text)),
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
    }

    /// Ends a call that nobody waits for any more: the server is told, if it knows of the call.
    pub(super) fn cancel_upstream(&mut self, key: Key, reason: Option<&str>) {
        let session = self.mux.get(key).and_then(|call| call.origin.client()).map(|origin| origin.session);
        self.cancel_at_server(key, reason);
        if let Some(session) = session {
            self.drop_questions_of_call(session, key);
        }
    }

    fn cancel_at_server(&mut self, key: Key, reason: Option<&str>) {
        let Some(call) = self.close_call(key) else { return };
        if let Some(Task::Running { id: task, .. }) = &call.task {
            self.drop_task_calls(call.upstream, key);
            return self.end_task(call.upstream, task);
        }
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
        if matches!(call.origin, Origin::Client(_)) {
            server.pulse.gave_up(call.started);
        }
        if let Some(origin) = call.origin.client().filter(|_| server.has_one_channel()) {
            server.running.haunt(key, origin.session, call.asks().is_some());
        }
        // A subscription that nobody holds may have been made all the same.
        if let (Some(uri), Method::Subscribe) = (&call.uri, call.method) {
            let uri = uri.clone();
            self.send_cancelled(call.upstream, call.wire, reason);
            return self.let_go_unheld(call.upstream, &uri);
        }
        self.send_cancelled(call.upstream, call.wire, reason);
    }

    fn send_cancelled(&mut self, id: UpstreamId, wire: u32, reason: Option<&str>) {
        let Some(server) = self.upstreams.get_mut(id) else { return };
        let reason = reason.map_or_else(String::new, |reason| format!(",\"reason\":{}", quote(reason)));
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{wire}{reason}}}}}"
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
    }

    /// News of a call. Told only while the call is open, only if the client asked, only if it advances.
    pub(super) fn on_progress(&mut self, upstream: UpstreamId, envelope: &Envelope, text: &[u8]) {
        let Some(params) = envelope.params else { return };
        let Ok([Some(token), Some(value)]) = json::members(text, params, ["progressToken", "progress"])
        else {
            return;
        };
        let Some(key) = self.call_named(upstream, token.of(text)) else { return };
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
        let busy = server.phase == Phase::Ready;
        let silent_ms = match (call.waiting, &call.origin) {
            (Some(_), _) if server.is_new() => server.startup_ms(&self.fx),
            (Some(_), _) if !busy => self.fx.limits.queue_ms,
            (_, Origin::Client(_)) => server.silence_ms(&self.fx),
            (_, Origin::Own(_)) => self.fx.limits.own_call_ms,
        };
        let waits = call.waiting.is_some();
        // As long as a human thinks about a question of it, the server is not silent.
        let since = if call.asking > 0 { now } else { call.waiting.unwrap_or(call.alive) };
        let limit = since.plus_ms(silent_ms).min(call.started.plus_ms(server.call_ms(&self.fx)));
        let label = server.label.clone();
        if now >= limit {
            let waited = match now.ms_since(call.started) {
                ms @ ..1_000 => format!("{ms} ms"),
                ms => format!("{} s", ms / 1_000),
            };
            let fault = match waits {
                true if busy => server.busy(),
                true => server.not_ready(),
                false => Fault::environment(
                    Code::UpstreamTimeout,
                    format!("server {label} did not answer within {waited}"),
                ),
            };
            self.fx.log(Level::Warn, Some(&label), format!("call timed out after {waited}"));
            return self.give_up_call(key, &fault);
        }
        if let Origin::Client(origin) = &call.origin {
            self.down.start_events(&mut self.fx, origin.session, origin.stream);
        }
        let timer = self.fx.timers.set(limit, TimerKind::Call, key.to_u64());
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

/// What a JSON-RPC error of a server says, for the log, health and who called.
pub(super) fn server_error(text: &[u8], error: Span) -> Fault {
    let [code, message] = json::members(text, error, ["code", "message"]).unwrap_or_default();
    let code = code.map_or_else(String::new, |span| String::from_utf8_lossy(span.of(text)).into_owned());
    let message = message.and_then(|span| json::unquote(span.of(text))).unwrap_or_default();
    let kind = if code == "-32601" { Code::MethodNotFound } else { Code::UpstreamError };
    let message = quote(&Fault::said(message.as_bytes()));
    Fault::peer(kind, format!("the server answered with error {code} {message}"))
}
