//! A call from submission to its one end.
//!
//! ```text
//! call ─▶ waits, or is sent ─┬─ answer ─────────▶ told to who asked
//!                            ├─ progress ───────▶ told, and the clock starts again
//!                            ├─ cancelled ──────▶ server told, no answer
//!                            ├─ time limit ─────▶ server told, error
//!                            └─ server lost ────▶ error
//! ```
//!
//! Invariant: whoever asked is told once. [`ServersMut::forget`] is the one place where a call ends, whatever ended it.

use super::attribution::Cause;
use super::calls::{Call, ClientOrigin, Origin, Own, Task};
use super::connection::{Connection, Phase};
use super::event::{Outcome, Said, ServerEvent};
use super::http::exchange::Job;
use super::spoken;
use super::{ServersMut, Todo};
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Decimal, Envelope, Kind, Pieces, Span, quote};
use crate::jsonrpc;
use crate::log::Level;
use crate::mcp::Method;
use crate::timer::ServerTimer;

/// A client's request on its way to a server.
pub(crate) struct Forwarded<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) envelope: &'a Envelope,
    /// Where its progress token is.
    pub(crate) token: Option<Span>,
    /// What the server calls the thing it is about.
    pub(crate) rename: Option<(Span, &'a [u8])>,
    /// What is to be said of tasks, in place of what is said.
    pub(crate) task: Option<(Span, &'a [u8])>,
    /// When to say that it takes long, if that matters.
    pub(crate) slow_ms: Option<u64>,
}

/// What has to be remembered of a client's request until it is answered.
#[derive(Debug, Default)]
pub(crate) struct Purpose {
    /// The resource that a subscription is about.
    pub(crate) uri: Option<Box<str>>,
    /// It is to be run as a task.
    pub(crate) task: Option<Task>,
}

impl ServersMut<'_> {
    /// Sends a client's request to a server under an id of our own; gives the call. It ends with
    /// [`ServerEvent::Ended`], or with [`ServersMut::cancel`].
    ///
    /// # Errors
    /// [`Code::NotReady`] when the server was never there, [`Code::Overloaded`] when too much waits or runs.
    pub(crate) fn call(
        &mut self,
        origin: ClientOrigin,
        upstream: UpstreamId,
        method: Method,
        request: &Forwarded<'_>,
        purpose: Purpose,
    ) -> Result<Key, Fault> {
        let session = origin.session;
        let asks = method.may_ask().then_some(session);
        let full = || Fault::local(Code::Overloaded, "too many calls are in flight");
        let call = Origin::Client(origin);
        let gone = || Fault::environment(Code::UpstreamLost, "the connection to the server has ended");
        let to = (upstream, self.conns.get(upstream).ok_or_else(gone)?.server);
        let key = self.calls.open(call, to, method, self.fx.mono(), &self.fx.ledger).ok_or_else(full)?;
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
        let server = self.conns.get_mut(upstream).ok_or_else(gone)?;
        let sent = match server.submit(self.fx, key, asks, &message) {
            Ok(sent) => sent,
            Err(fault) => {
                self.calls.mark_answered(key);
                self.calls.remove(key);
                return Err(fault);
            }
        };
        let now = self.fx.mono();
        let waiting = (!sent).then_some(now);
        let first = match (request.slow_ms, waiting, server.phase) {
            (Some(ms), _, _) => ms,
            (None, None, _) | (None, Some(_), Phase::Ready) => {
                server.silence_ms(self.fx).min(server.call_ms(self.fx))
            }
            (None, Some(_), _) => self.fx.limits.queue_ms,
        };
        let timer = self.fx.after(first, ServerTimer::Call, key.to_u64());
        if let Some(call) = self.calls.get_mut(key) {
            call.timer = Some(timer);
            call.waiting = waiting;
            if let (Some(uri), Method::Subscribe, Some(server)) =
                (&purpose.uri, method, self.conns.get_mut(upstream))
            {
                server.usage.asked(uri);
            }
            call.remember_uri(purpose.uri);
            call.task = purpose.task;
        }
        self.wake(upstream);
        if !sent {
            self.todo.push_back(Todo::SendWaiting(upstream));
        }
        Ok(key)
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
        let to = (upstream, self.conns.get(upstream)?.server);
        let key = self.calls.open(Origin::Own(own), to, kind, self.fx.mono(), &self.fx.ledger)?;
        let id = Decimal::new(self.wire_of(key));
        let text = jsonrpc::request(id.as_bytes(), quote(method).as_bytes(), params.as_bytes());
        let server = self.conns.get_mut(upstream)?;
        let sent = server.link.send_call(self.fx, key, &Pieces::of(&[&text]));
        if sent.is_err() {
            self.calls.mark_answered(key);
            self.calls.remove(key);
            return None;
        }
        server.own_calls.push(key);
        // The handshake has a limit of its own, which is the server's; a task takes as long as its call may.
        if !matches!(own, Own::Initialize | Own::Discover | Own::TaskResult(_)) {
            let timer = self.fx.after(self.fx.limits.own_call_ms, ServerTimer::Call, key.to_u64());
            if let Some(call) = self.calls.get_mut(key) {
                call.timer = Some(timer);
            }
        }
        Some(key)
    }

    /// The id of a call at its server.
    fn wire_of(&self, key: Key) -> u64 {
        self.calls.get(key).map_or(0, |call| call.wire.into())
    }

    /// The call that a server means by this raw id, if it is one of its own.
    pub(super) fn call_named(&self, id: UpstreamId, raw: &[u8]) -> Option<Key> {
        self.calls.find(id, self.conns.get(id)?.server, raw)
    }

    /// Sends a call that waited for one connection on another one to the same server.
    pub(crate) fn resubmit(&mut self, key: Key, id: UpstreamId, body: &[u8]) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(server) = self.conns.get_mut(id) else { return };
        call.upstream = id;
        if let Some(uri) = call.uri.as_ref().filter(|_| call.method == Method::Subscribe) {
            server.usage.asked(uri);
        }
        match server.submit(self.fx, key, call.asks(), &Pieces::of(&[body])) {
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
        let Some(server) = self.conns.get_mut(id).filter(|server| server.was_ready) else {
            return;
        };
        let Some(call) = self.calls.get_mut(key) else { return };
        if body.is_empty() || matches!(call.origin, Origin::Own(_)) || call.waiting.is_some() {
            return;
        }
        call.waiting = Some(now);
        let asks = call.asks();
        server.left(key, asks.is_some());
        if let Some(timer) = call.timer.take() {
            self.fx.timers.cancel(timer);
        }
        call.timer = Some(self.fx.after(self.fx.limits.queue_ms, ServerTimer::Call, key.to_u64()));
        server.wait(key, asks, self.fx.ledger.hold(body));
    }

    /// The server is back, or free: what waited for it is sent.
    pub(super) fn send_waiting(&mut self, id: UpstreamId) {
        let now = self.fx.mono();
        loop {
            let open = |server: &&mut Connection| server.phase == Phase::Ready && server.link.is_open();
            let Some(server) = self.conns.get_mut(id).filter(open) else { return };
            let Some((key, asks, body)) = server.next_waiting() else { return self.renew_abandoned(id) };
            let Some(call) = self.calls.get_mut(key) else { continue };
            call.waiting = None;
            call.alive = now;
            server.entered(key, asks);
            if let Err(fault) = server.link.send_call(self.fx, key, &Pieces::of(&[&body])) {
                self.fail(key, &fault);
            }
        }
    }

    /// Takes a call out of everything that knows it here.
    pub(super) fn forget(&mut self, key: Key) -> Option<Call> {
        let call = self.calls.remove(key)?;
        if let Some(timer) = call.timer {
            self.fx.timers.cancel(timer);
        }
        let Some(upstream) = self.conns.get_mut(call.upstream) else { return Some(call) };
        if let Origin::Own(_) = call.origin {
            upstream.own_calls.retain(|own| *own != key);
            return Some(call);
        }
        if let (Some(uri), Method::Subscribe) = (&call.uri, call.method) {
            upstream.usage.asked_no_more(uri);
        }
        if call.waiting.is_none() {
            upstream.left(key, call.method.may_ask());
            upstream.used_at = self.fx.now.mono;
        }
        if upstream.waiting_len() > 0 {
            self.todo.push_back(Todo::SendWaiting(call.upstream));
        }
        Some(call)
    }

    /// Ends a call that nobody waits for any more: the server is told, if it knows of the call.
    pub(crate) fn cancel(&mut self, key: Key, reason: Option<&str>) -> Option<Call> {
        let call = self.forget(key)?;
        self.cancel_at_server(key, &call, reason);
        Some(call)
    }

    fn cancel_at_server(&mut self, key: Key, call: &Call, reason: Option<&str>) {
        if let Some(Task::Running { id: task, .. }) = &call.task {
            self.drop_task_calls(call.upstream, key);
            return self.end_task(call.upstream, task);
        }
        let Some(server) = self.conns.get_mut(call.upstream) else { return };
        if server.forget_waiting(key) {
            return;
        }
        if let Some(link) = server.link.http() {
            if link.forget_queued(key) {
                return;
            }
            if link.drain(self.fx, key) {
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
            server.running.abandon(key, origin.session, call.asks().is_some());
        }
        self.send_cancelled(call.upstream, call.wire, reason);
        // A subscription that nobody holds may have been made all the same.
        if let (Some(uri), Method::Subscribe) = (&call.uri, call.method) {
            self.let_go_unheld(call.upstream, uri);
        }
    }

    fn send_cancelled(&mut self, id: UpstreamId, wire: u32, reason: Option<&str>) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let text = jsonrpc::cancelled(wire, reason);
        server.link.send_note(self.fx, Job::Note, &Pieces::of(&[text.as_bytes()]));
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
        let Some(call) = self.calls.get_mut(key) else { return };
        call.alive = now;
        call.resumes = 0;
        let advances = call.advance(text, value);
        let wants = |origin: &&ClientOrigin| advances && origin.token.is_some();
        if let Some(origin) = call.origin.client().filter(wants) {
            let cause = Some(Cause { session: origin.session, call: Some((key, origin.stream)) });
            let (text, envelope) = (text.to_vec(), *envelope);
            let said = Said { id: upstream, named: true, cause, text, envelope };
            self.events.push_back(ServerEvent::Progress { origin: origin.clone(), said, token });
        }
    }

    /// A call's timer: first the moment its answer becomes an event stream, then its limits.
    pub(super) fn on_call_timer(&mut self, key: Key) {
        let now = self.fx.mono();
        let Some(call) = self.calls.get(key) else { return };
        let Some(server) = self.conns.get(call.upstream) else { return };
        let busy = server.phase == Phase::Ready;
        let silent_ms = match (call.waiting, &call.origin) {
            (Some(_), _) if server.is_new() => server.startup_ms(self.fx),
            (Some(_), _) if !busy => self.fx.limits.queue_ms,
            (_, Origin::Client(_)) => server.silence_ms(self.fx),
            (_, Origin::Own(_)) => self.fx.limits.own_call_ms,
        };
        let waits = call.waiting.is_some();
        // As long as a human thinks about a question of it, the server is not silent.
        let since = if call.asking > 0 { now } else { call.waiting.unwrap_or(call.alive) };
        let limit = since.plus_ms(silent_ms).min(call.started.plus_ms(server.call_ms(self.fx)));
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
        if call.origin.client().is_some() {
            self.events.push_back(ServerEvent::Slow { key });
        }
        let timer = self.fx.timers.set(limit, ServerTimer::Call, key.to_u64());
        if let Some(call) = self.calls.get_mut(key) {
            call.timer = Some(timer);
        }
    }

    /// Ends a call with an error and tells the server that nobody waits.
    pub(super) fn give_up_call(&mut self, key: Key, fault: &Fault) {
        if let Some(call) = self.cancel(key, None) {
            self.tell_end(key, call, Outcome::GivenUp(fault.clone()));
        }
    }

    /// A call ends without an answer of its server.
    pub(super) fn fail(&mut self, key: Key, fault: &Fault) {
        if let Some(call) = self.forget(key) {
            self.tell_end(key, call, Outcome::Failed(fault.clone()));
        }
    }

    /// An answer of a server.
    pub(super) fn complete(&mut self, key: Key, envelope: &Envelope, text: &[u8]) {
        if envelope.kind == Kind::Result
            && let Some(result) = envelope.outcome
            && self.on_task_created(key, text, result)
        {
            return;
        }
        self.calls.mark_answered(key);
        let Some(call) = self.forget(key) else { return };
        let own = match call.origin {
            Origin::Client(_) => {
                let of_task = call.task == Some(Task::Done);
                let outcome = Outcome::Answered { text: text.to_vec(), envelope: *envelope, of_task };
                return self.tell_end(key, call, outcome);
            }
            Origin::Own(Own::TaskResult(parent)) => return self.on_task_done(parent, envelope, text),
            Origin::Own(own) => own,
        };
        let result = envelope.outcome.unwrap_or_default();
        if envelope.kind == Kind::Result {
            return self.on_own_result(call.upstream, own, key, text, result);
        }
        let tells_revision = matches!(own, Own::Initialize | Own::Discover);
        let revision = if tells_revision { spoken::revision(text, result) } else { None };
        let fault = revision.unwrap_or_else(|| server_error(text, result));
        self.on_own_failed(call.upstream, own, key, &fault);
    }

    /// Tells whoever asked how a call ended.
    fn tell_end(&mut self, key: Key, call: Call, outcome: Outcome) {
        let own = match call.origin {
            Origin::Client(_) => {
                return self.events.push_back(ServerEvent::Ended { key, call: Box::new(call), outcome });
            }
            Origin::Own(own) => own,
        };
        match outcome {
            Outcome::Failed(fault) | Outcome::GivenUp(fault) => {
                self.on_own_failed(call.upstream, own, key, &fault);
            }
            Outcome::Answered { .. } => debug_assert!(false, "answers to the proxy are read where they come"),
        }
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
