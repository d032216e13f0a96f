//! When an exchange with a server goes wrong: what is sent again, what is continued, what fails.
//!
//! | what happened | what follows |
//! |---|---|
//! | the session is gone (404 to a request that named one) | one new handshake; the refused call is sent again |
//! | the answer stream broke off after an event id | asked for again from there, after the server's `retry` |
//! | a reused connection closed before any answer | sent again if nothing was written, or if that does no harm |
//! | anything else | the call fails |

use super::Proxy;
use super::calls::{DRAIN_MS, server_error};
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::http::Method as HttpMethod;
use crate::id::{Key, UpstreamId};
use crate::json::{self, Envelope, Pieces, Span};
use crate::log::Level;
use crate::mux::Origin;
use crate::timer::TimerKind;
use crate::upstream::Phase;
use crate::upstream::exchange::{Exchange, Job};

/// Tries to continue a broken answer stream, or to repeat a refused call, without a sign of life in between.
const TRIES_MAX: u32 = 5;
/// Wait before a broken stream is asked for again, when the server did not say.
const RETRY_MS: u64 = 1_000;

impl Proxy {
    /// A call was answered with an error status.
    pub(super) fn on_refused(&mut self, id: UpstreamId, exchange: Box<Exchange>, key: Key, status: u16) {
        let answer = Envelope::parse(&exchange.body, self.fx.limits.json_depth_max).ok();
        let body = exchange.request_body(&self.fx);
        // A resumed stream has no body to send again: its call was executed.
        let repeatable = !body.is_empty();
        let session_lost = exchange.named_session && is_session_loss(status, &exchange.body, answer.as_ref());
        let method = self.mux.get(key).map(|call| call.method);
        if session_lost && repeatable {
            self.on_session_lost(id, key, body);
        } else if session_lost {
            self.fail(
                key,
                &Fault::environment(Code::UpstreamLost, "the server lost its session and the answer with it"),
            );
            self.renew_session(id);
        } else if let Some(envelope) = answer.filter(|answer| answer.id.is_some() && answer.outcome.is_some())
            && self.mux.find(id, envelope.id.unwrap_or_default().of(&exchange.body)) == Some(key)
        {
            self.complete(key, &envelope, &exchange.body);
        } else if method == Some(crate::mcp::Method::Initialize) && matches!(status, 400 | 404 | 405 | 406) {
            self.mux.remove(key);
            self.recycle(id, exchange);
            return self.try_other_kind(id, &Fault::peer(Code::UpstreamBroken, status_text(status)));
        } else {
            let text = match answer.and_then(|answer| answer.outcome) {
                Some(error) => server_error(&exchange.body, error).detail.into_owned(),
                None => status_text(status),
            };
            self.fail(key, &Fault::peer(Code::UpstreamBroken, text));
        }
        self.recycle(id, exchange);
    }

    pub(super) fn recycle(&mut self, id: UpstreamId, exchange: Box<Exchange>) {
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            link.recycle(&mut self.fx, exchange);
        }
        self.check_ended();
    }

    /// The server forgot the session. The call was not executed: it waits for the new one.
    pub(super) fn on_session_lost(&mut self, id: UpstreamId, key: Key, body: Vec<u8>) {
        let Some(call) = self.mux.get_mut(key) else { return };
        call.resumes += 1;
        let again = call.resumes < TRIES_MAX && matches!(call.origin, Origin::Client(_));
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if again {
            server.wait(key, body);
        } else {
            self.fail(key, &Fault::peer(Code::UpstreamLost, "the server keeps losing its session"));
        }
        self.renew_session(id);
    }

    /// One new handshake, however many requests noticed that the session is gone.
    pub(super) fn renew_session(&mut self, id: UpstreamId) {
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if server.phase != Phase::Ready {
            return;
        }
        self.fx.log(Level::Info, Some(&server.label), "the server lost its session, initializing again");
        server.readings = [const { None }; 4];
        server.ping = None;
        if let Some(link) = server.link.http() {
            link.session = None;
            link.revision = None;
            link.listen_id = None;
            if let Some(listen) = link.find(Job::Listen) {
                listen.job = Job::Drain;
                listen.arm(&mut self.fx, DRAIN_MS);
            }
        }
        self.shake_hands(id);
    }

    pub(super) fn on_note_refused(&mut self, id: UpstreamId, exchange: &Exchange, status: u16) {
        let Some(server) = self.servers.get(id.0 as usize) else { return };
        self.fx.log(
            Level::Debug,
            Some(&server.label),
            format!("a notification was refused: {}", status_text(status)),
        );
        if exchange.named_session && status == 404 {
            self.renew_session(id);
        }
    }

    /// The stream that is an HTTP+SSE session ended, or could not be opened.
    pub(super) fn on_stream_ended(
        &mut self,
        id: UpstreamId,
        mut exchange: Box<Exchange>,
        fault: &Fault,
        was_stream: bool,
    ) {
        exchange.disarm(&mut self.fx);
        self.fx.close(exchange.conn);
        let starting = self.server(id).is_some_and(|server| server.phase == Phase::Starting);
        if starting && !was_stream {
            self.try_other_kind(id, fault);
        } else {
            self.lose(id, fault);
        }
    }

    /// An exchange broke off.
    pub(super) fn on_broken(&mut self, id: UpstreamId, mut exchange: Box<Exchange>, fault: &Fault) {
        exchange.disarm(&mut self.fx);
        match exchange.job {
            Job::Call(key) if exchange.events.is_some() => return self.on_stream_broken(id, exchange, key),
            Job::Call(key) => self.on_call_broken(id, &exchange, key, fault),
            Job::Stream => return self.on_stream_ended(id, exchange, fault, true),
            Job::Listen => self.on_listen_ended(id, &exchange, 200),
            Job::Initialized => self.lose(id, fault),
            Job::Note | Job::Delete | Job::Drain | Job::Idle => {}
        }
        self.fx.close(exchange.conn);
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            link.forget(exchange.conn);
        }
        self.check_ended();
    }

    /// A connection broke before the answer: sent again if the server cannot have executed the call, or if that
    /// would do no harm.
    pub(super) fn on_call_broken(&mut self, id: UpstreamId, exchange: &Exchange, key: Key, fault: &Fault) {
        let Some(call) = self.mux.get_mut(key) else { return };
        let unread = exchange.reused && !exchange.client.started();
        let again = unread && (exchange.is_unwritten(&self.fx) || call.method.is_repeatable());
        if again && call.resumes < TRIES_MAX {
            call.resumes += 1;
            let body = exchange.request_body(&self.fx);
            let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) else {
                return;
            };
            link.forget(exchange.conn);
            let Err(refused) = link.post(&mut self.fx, Job::Call(key), &Pieces::of(&[&body])) else { return };
            return self.fail(key, &refused);
        }
        self.fail(
            key,
            &Fault::environment(Code::UpstreamLost, format!("the connection to the server broke: {fault}")),
        );
    }

    /// The answer stream of a call ended before its answer: continued where it broke off, if the server numbers
    /// its events (2025-11-25 § Resumability).
    pub(super) fn on_stream_broken(&mut self, id: UpstreamId, mut exchange: Box<Exchange>, key: Key) {
        let event_id = exchange.event_id().map(Into::into);
        let wait = exchange.retry_ms.unwrap_or(RETRY_MS);
        exchange.disarm(&mut self.fx);
        if exchange.client.is_reusable() {
            self.recycle(id, exchange);
        } else {
            self.fx.close(exchange.conn);
        }
        let Some(call) = self.mux.get_mut(key) else { return };
        call.event_id = event_id.or_else(|| call.event_id.take());
        call.resumes += 1;
        if call.event_id.is_some() && call.resumes <= TRIES_MAX {
            self.fx.after(wait, TimerKind::Resume, key.to_wire());
        } else {
            let fault = Fault::environment(Code::UpstreamLost, "the answer stream of the server broke off");
            match call.origin {
                Origin::Client(_) => self.give_up_call(key, &fault),
                Origin::Own(_) => self.fail(key, &fault),
            }
        }
    }

    pub(super) fn on_resume_timer(&mut self, key: Key) {
        let Some(call) = self.mux.get(key) else { return };
        let (id, event_id) = (call.upstream, call.event_id.clone());
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if let (Some(link), Some(event_id)) = (server.link.http(), event_id) {
            link.ask(&mut self.fx, Job::Call(key), HttpMethod::Get, Some(&event_id));
        }
    }

    /// Opens the standalone stream of a Streamable HTTP server.
    pub(super) fn open_standalone(&mut self, id: UpstreamId) {
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if server.phase != Phase::Ready {
            return;
        }
        let Some(link) = server.link.http().filter(|link| link.kind == HttpKind::Streamable) else { return };
        if link.find(Job::Listen).is_none() {
            let event_id = link.listen_id.clone();
            link.ask(&mut self.fx, Job::Listen, HttpMethod::Get, event_id.as_deref());
        }
    }

    /// The standalone stream ended. A server that refuses it has none, which is fine.
    pub(super) fn on_listen_ended(&mut self, id: UpstreamId, exchange: &Exchange, status: u16) {
        let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) else {
            return;
        };
        if exchange.events.is_none() && status != 200 {
            link.listen_id = None;
            if status == 404 && exchange.named_session {
                self.renew_session(id);
            }
            return;
        }
        if let Some(event_id) = exchange.event_id() {
            link.listen_id = Some(event_id.into());
        }
        let wait = exchange.retry_ms.unwrap_or(RETRY_MS);
        self.fx.after(wait, TimerKind::Standalone, u64::from(id.0));
    }
}

/// Whether this answer means that the session is gone. The specification says 404; servers built on the
/// TypeScript SDK say 400 with an error that mentions the session after they were restarted.
fn is_session_loss(status: u16, body: &[u8], answer: Option<&Envelope>) -> bool {
    match (status, answer.and_then(|answer| answer.outcome)) {
        (404, _) => true,
        (400, Some(error)) => says_session(body, error),
        _ => false,
    }
}

fn says_session(body: &[u8], error: Span) -> bool {
    let message = json::member(body, error, "message").ok().flatten();
    let message = message.and_then(|span| json::unquote(span.of(body))).unwrap_or_default();
    message.to_ascii_lowercase().contains("session")
}

pub(super) fn status_text(status: u16) -> String {
    let hint = match status {
        401 | 403 => ": it wants a credential (see `headers`)",
        404 => ": there is no MCP endpoint at this URL",
        _ => "",
    };
    format!("the server answered HTTP {status}{hint}")
}
