//! When an exchange with a server goes wrong: what is sent again, what is continued, what fails.
//!
//! | what happened | what follows |
//! |---|---|
//! | the session is gone (404 or 410 to a request that named one) | one new handshake; the refused call is sent again; the second loss in a row waits like any other failure |
//! | the session may be gone | a ping decides: see [`super::lapses`] |
//! | the first GET of a session is refused, however | the server offers no standalone stream |
//! | the same over HTTP+SSE, where the event stream is the session | the stream is dead, though nobody has said so: the server counts as lost; the refused call is sent again |
//! | the answer stream broke off after an event id | asked for again from there, after the server's `retry` |
//! | a reused connection closed before any answer | sent again if nothing was written, or if that does no harm (notifications, our answers) |
//! | anything else | the call fails |

use super::exchange::{Exchange, Job, Summary};
use super::exchanges::http_link;
use super::lapses::{Verdict, judge};
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::http::Method as HttpMethod;
use crate::id::{Key, UpstreamId};
use crate::json::{Envelope, Pieces};
use crate::log::Level;
use crate::mcp::{ListKind, Method};
use crate::servers::Phase;
use crate::servers::ServersMut;
use crate::servers::calls::Origin;
use crate::servers::event::ServerEvent;
use crate::servers::salvage::unfit_outcome;
use crate::servers::spoken;
use crate::timer::ServerTimer;

/// Tries to continue a broken answer stream, or to repeat a refused call, without a sign of life in between.
const TRIES_MAX: u32 = 5;
/// Wait before a broken stream is asked for again, when the server did not say.
const RETRY_MS: u64 = 1_000;
/// Shortest such wait, whatever the server says.
const RETRY_MS_MIN: u64 = 100;
/// Times a standalone stream that answers without a stream is asked for again.
const LISTEN_TRIES: u32 = 3;

const ANSWER_LOST: &str = "the server lost its session and the answer with it";

impl ServersMut<'_> {
    /// A call was answered with an error status.
    pub(in crate::servers) fn on_refused(
        &mut self,
        id: UpstreamId,
        mut exchange: Box<Exchange>,
        key: Key,
        status: u16,
    ) {
        let refusal = self.refusal(id, &exchange);
        let text = std::mem::take(&mut exchange.body);
        let request = exchange.request_body(self.fx);
        let session = exchange.named_session;
        self.recycle(id, exchange);
        let answer = Envelope::parse(&text, self.fx.limits.json_depth_max).ok();
        // Anything may be written in JSON and have an `error`.
        let answer = answer.filter(|it| it.outcome.is_some() && unfit_outcome(it, &text).is_none());
        let named = answer.and_then(|answer| answer.id).and_then(|span| self.call_named(id, span.of(&text)));
        let is_own = self.calls.get(key).is_some_and(|call| matches!(call.origin, Origin::Own(_)));
        let offers_get = http_link(self.conns, id).is_some_and(|link| link.listened);
        let verdict = match judge(status, &text, answer.as_ref()) {
            // A broken answer stream was asked for of a server that may not serve GET at all.
            Verdict::Lost if request.is_empty() && !offers_get => Verdict::Doubtful,
            verdict @ (Verdict::Lost | Verdict::Doubtful | Verdict::Silent) => verdict,
        };
        let is_initialize = self.calls.get(key).is_some_and(|call| call.method == Method::Initialize);
        let error = answer.and_then(|answer| answer.outcome).filter(|_| is_initialize);
        if let Some(fault) = error.and_then(|error| spoken::revision(&text, error)) {
            self.fail(key, &fault);
            return self.check_gone(id);
        }
        match answer {
            _ if session.is_some() && verdict == Verdict::Lost => {
                self.on_session_lost(id, key, session, request, &lost_with(status));
            }
            _ if !is_initialize && verdict == Verdict::Lost && self.answers_on_stream(id) => {
                self.on_stream_unknown(id, key, request, refusal);
            }
            Some(Envelope { outcome: Some(error), .. }) if named == Some(key) && is_own => {
                let fault = self.refused_with(id, status, &text, error);
                self.doubt_after(id, key);
                self.calls.mark_answered(key);
                self.fail(key, &fault);
            }
            Some(envelope) if named == Some(key) => {
                self.doubt_after(id, key);
                self.complete(key, &envelope, &text);
            }
            _ if is_initialize && is_other_transport(status) => {
                self.drop_own_calls(id);
                self.try_other_kind(id, &Fault::peer(Code::UpstreamBroken, refusal));
            }
            Some(Envelope { outcome: Some(error), .. }) => {
                self.doubt_after(id, key);
                let fault = self.refused_with(id, status, &text, error);
                self.fail(key, &fault);
            }
            _ => {
                self.doubt_after(id, key);
                self.fail(key, &Fault::peer(Code::UpstreamBroken, refusal));
            }
        }
        self.check_gone(id);
    }

    /// The connection of an exchange that is over goes back to the pool.
    pub(in crate::servers) fn recycle(&mut self, id: UpstreamId, exchange: Box<Exchange>) {
        if let Some(link) = http_link(self.conns, id) {
            link.recycle(self.fx, exchange);
        }
    }

    pub(in crate::servers) fn drop_exchange(&mut self, id: UpstreamId, exchange: Box<Exchange>) {
        if let Some(link) = http_link(self.conns, id) {
            link.drop_exchange(self.fx, &exchange);
        }
    }

    /// The server forgot the session. The call was not executed: it waits for the new one.
    fn on_session_lost(
        &mut self,
        id: UpstreamId,
        key: Key,
        session: Option<u32>,
        request: Vec<u8>,
        why: &str,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.resumes += 1;
        // What the proxy itself asked is asked anew, and forgotten with the session.
        if matches!(call.origin, Origin::Client(_)) {
            // A resumed stream has no request to send again: its call was executed.
            if request.is_empty() || call.resumes >= TRIES_MAX {
                self.fail(key, &Fault::environment(Code::UpstreamLost, ANSWER_LOST));
            } else {
                self.park(id, key, request);
            }
        }
        self.renew_session(id, session, why);
        if self.calls.get(key).is_some_and(|call| matches!(call.origin, Origin::Own(_))) {
            self.fail(key, &Fault::environment(Code::UpstreamLost, ANSWER_LOST));
        }
    }

    /// The server does not know the event stream that this connection is (any more). The call was not executed.
    fn on_stream_unknown(&mut self, id: UpstreamId, key: Key, request: Vec<u8>, refusal: String) {
        let fault = Fault::environment(Code::UpstreamLost, refusal);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.resumes += 1;
        if call.resumes >= TRIES_MAX || matches!(call.origin, Origin::Own(_)) {
            self.fail(key, &fault);
        } else {
            self.park(id, key, request);
        }
        self.lose(id, &fault);
    }

    /// One new handshake, however many requests noticed that their session is gone. Where the one before did not last
    /// either, it waits.
    pub(in crate::servers) fn renew_session(&mut self, id: UpstreamId, session: Option<u32>, why: &str) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(link) = server.link.http() else { return };
        if !matches!(server.phase, Phase::Ready | Phase::Listing) {
            return;
        }
        if !link.is_present(session) {
            // There is a new one already.
            return self.send_waiting(id);
        }
        let lost = format!("the server lost its session ({why})");
        if !server.renews_at_once(self.fx) {
            return self.lose_session(id, &Fault::environment(Code::UpstreamLost, lost));
        }
        let Some(link) = server.link.http() else { return };
        let unsent = link.end_session(self.fx);
        self.fx.log(Level::Info, Some(&server.label), format!("{lost}, initializing again"));
        server.health.on_failure(lost, self.fx.now.unix);
        server.readings = [const { None }; ListKind::COUNT];
        // Its questions are gone with it; another one may have the same id (BR-43).
        self.events.push_back(ServerEvent::Lost { id });
        self.drop_own_calls(id);
        for (key, body) in unsent {
            self.park(id, key, body);
        }
        self.shake_hands(id);
    }

    pub(in crate::servers) fn on_note_refused(
        &mut self,
        id: UpstreamId,
        summary: &Summary,
        refusal: &str,
        verdict: Verdict,
    ) {
        let Some(server) = self.conns.get(id) else { return };
        let line = format!("a notification was refused: {refusal}");
        self.fx.log(Level::Debug, Some(&server.label), line);
        match verdict {
            Verdict::Lost if summary.named_session.is_some() => {
                self.renew_session(id, summary.named_session, &lost_with(summary.status));
            }
            Verdict::Lost if self.answers_on_stream(id) => {
                self.lose(id, &Fault::environment(Code::UpstreamLost, refusal.to_owned()));
            }
            Verdict::Lost | Verdict::Doubtful => self.doubt_session(id),
            Verdict::Silent => {}
        }
    }

    /// The event stream of HTTP+SSE cannot be had. Some statuses mean that the server speaks the other transport;
    /// others (credentials, trouble) say nothing about it (UP-04).
    pub(in crate::servers) fn on_stream_refused(
        &mut self,
        id: UpstreamId,
        exchange: Box<Exchange>,
        status: u16,
    ) {
        let fault = Fault::peer(Code::UpstreamBroken, self.refusal(id, &exchange));
        self.drop_exchange(id, exchange);
        if is_other_transport(status) || (200..300).contains(&status) {
            self.try_other_kind(id, &fault);
        } else {
            self.lose(id, &fault);
        }
    }

    /// The stream that is an HTTP+SSE session ended.
    pub(in crate::servers) fn on_stream_ended(
        &mut self,
        id: UpstreamId,
        exchange: Box<Exchange>,
        fault: &Fault,
    ) {
        self.drop_exchange(id, exchange);
        self.lose(id, fault);
    }

    /// An exchange broke off.
    pub(in crate::servers) fn on_broken(&mut self, id: UpstreamId, exchange: Box<Exchange>, fault: &Fault) {
        if http_link(self.conns, id).is_none_or(|link| !link.is_current(&exchange)) {
            return self.drop_exchange(id, exchange);
        }
        match exchange.job {
            Job::Call(key) if exchange.events.is_some() && self.calls.is_owed(key) => {
                return self.on_stream_broken(id, exchange, key);
            }
            Job::Stream => return self.on_stream_ended(id, exchange, fault),
            Job::Call(_)
            | Job::Listen
            | Job::Initialized
            | Job::Note
            | Job::Answer(_)
            | Job::Delete
            | Job::Drain
            | Job::Idle => {}
        }
        let (job, unread) = (exchange.job, exchange.reused && !exchange.client.started());
        let link = http_link(self.conns, id);
        let present = link
            .is_some_and(|link| exchange.named_session.is_none() || link.is_present(exchange.named_session));
        let request = exchange.request_body(self.fx);
        let unwritten = exchange.is_unwritten(self.fx);
        let summary = exchange.summary(200);
        self.drop_exchange(id, exchange);
        match job {
            Job::Call(key) if unread => self.on_call_unread(id, key, request, unwritten, fault),
            Job::Call(key) => {
                let asked = self.calls.get(key).is_some_and(|call| matches!(call.origin, Origin::Client(_)));
                self.fail(key, &broke(fault));
                // Its own requests are repeated elsewhere: a list that breaks must not bring itself about.
                if asked {
                    self.suspect_restart(id);
                }
            }
            Job::Listen => self.on_listen_ended(id, &summary, Verdict::Silent),
            Job::Initialized => self.lose(id, fault),
            // Hearing a notification or an answer twice does no harm.
            // In another session it would be about something else.
            Job::Note | Job::Answer(_) if unread && !request.is_empty() && present => {
                if let Some(server) = self.conns.get_mut(id) {
                    server.link.send_note(self.fx, job, &Pieces::of(&[&request]));
                }
            }
            Job::Answer(call) => self.fail(call, &answer_lost(fault)),
            Job::Note | Job::Delete | Job::Drain | Job::Idle | Job::Stream => {}
        }
        self.check_gone(id);
    }

    /// A connection that had served before closed without a byte of an answer: the call is sent again if the server
    /// cannot have executed it, or if that would do no harm.
    fn on_call_unread(&mut self, id: UpstreamId, key: Key, request: Vec<u8>, unwritten: bool, fault: &Fault) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let again =
            !request.is_empty() && (unwritten || call.method.is_repeatable()) && call.resumes < TRIES_MAX;
        if !again {
            return self.fail(key, &broke(fault));
        }
        call.resumes += 1;
        let Some(link) = http_link(self.conns, id) else { return };
        if link.is_between_sessions() {
            return self.park(id, key, request);
        }
        if let Err(refused) = link.post(self.fx, Job::Call(key), &Pieces::of(&[&request])) {
            self.fail(key, &refused);
        }
    }

    /// The answer stream of a call ended before its answer: continued where it broke off, if the server numbers
    /// its events (2025-11-25 § Resumability).
    pub(in crate::servers) fn on_stream_broken(&mut self, id: UpstreamId, exchange: Box<Exchange>, key: Key) {
        let event_id = exchange.event_id().map(Into::into);
        let wait = exchange.retry_ms.map_or(RETRY_MS, |ms| ms.max(RETRY_MS_MIN));
        self.recycle(id, exchange);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.event_id = event_id.or_else(|| call.event_id.take());
        call.resumes += 1;
        if call.event_id.is_some() && call.resumes <= TRIES_MAX {
            self.fx.after(wait, ServerTimer::Resume, key.to_u64());
        } else {
            self.give_up_call(
                key,
                &Fault::environment(Code::UpstreamLost, "the answer stream of the server broke off"),
            );
            self.suspect_restart(id);
        }
    }

    pub(in crate::servers) fn on_resume_timer(&mut self, key: Key) {
        let Some(call) = self.calls.get(key) else { return };
        let (id, event_id, session) = (call.upstream, call.event_id.clone(), call.answered_in);
        let Some(link) = http_link(self.conns, id) else { return };
        if session.is_some() && !link.is_present(session) {
            return self.fail(key, &Fault::environment(Code::UpstreamLost, ANSWER_LOST));
        }
        if let Some(event_id) = event_id {
            link.ask(self.fx, Job::Call(key), HttpMethod::Get, Some(&event_id));
        }
    }

    /// Whether this call is answered in a session that its server has forgotten: answers are as good as ever, but
    /// nothing can be said to it any more.
    pub(in crate::servers) fn is_of_lost_session(&mut self, id: UpstreamId, call: Option<Key>) -> bool {
        let session = call.and_then(|call| self.calls.get(call)?.answered_in);
        let link = http_link(self.conns, id).filter(|_| session.is_some());
        link.is_some_and(|link| !link.is_present(session))
    }

    /// Opens the standalone stream of a Streamable HTTP server.
    pub(in crate::servers) fn open_standalone(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase != Phase::Ready {
            return;
        }
        let Some(link) = server.link.http().filter(|link| link.kind == HttpKind::Streamable) else { return };
        if link.find(Job::Listen).is_none() {
            let event_id = link.listen_id.clone();
            link.ask(self.fx, Job::Listen, HttpMethod::Get, event_id.as_deref());
        }
    }

    /// The standalone stream was lost a while ago.
    pub(in crate::servers) fn on_standalone_timer(&mut self, id: UpstreamId) {
        self.open_standalone(id);
        self.suspect_restart(id);
    }

    /// The standalone stream ended, or the server has none, which is fine. Servers without one say so in many ways;
    /// once there was one, a refusal means what it says.
    pub(in crate::servers) fn on_listen_ended(
        &mut self,
        id: UpstreamId,
        summary: &Summary,
        verdict: Verdict,
    ) {
        let Some(link) = http_link(self.conns, id) else { return };
        let offered = link.listened;
        if offered && verdict == Verdict::Lost && summary.named_session.is_some() {
            return self.renew_session(id, summary.named_session, &lost_with(summary.status));
        }
        let broke = summary.status == 200 || (offered && matches!(summary.status, 429 | 500..));
        let tries = if offered { u32::MAX } else { LISTEN_TRIES };
        if !summary.streamed && (!broke || link.listen_silences > tries) {
            return;
        }
        link.listen_id = summary.event_id.clone().or_else(|| link.listen_id.take());
        link.listen_silences = if summary.heard { 0 } else { link.listen_silences.saturating_add(1) };
        let patience = RETRY_MS << link.listen_silences.min(6);
        let wait = summary.retry_ms.unwrap_or(RETRY_MS).max(RETRY_MS_MIN).max(if summary.heard {
            0
        } else {
            patience
        });
        self.fx.after(wait, ServerTimer::Standalone, id.0);
    }
}

/// Whether a server that answers so may speak the other HTTP transport.
const fn is_other_transport(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 406)
}

/// What a call is told whose server never got the answer to its question.
pub(in crate::servers) fn answer_lost(fault: &Fault) -> Fault {
    let detail = format!("the answer to a question of the server could not be handed over: {fault}");
    Fault::environment(Code::UpstreamLost, detail)
}

/// How a session was found to be lost.
fn lost_with(status: u16) -> String {
    format!("HTTP {status}")
}

fn broke(fault: &Fault) -> Fault {
    Fault::environment(Code::UpstreamLost, format!("the connection to the server broke: {fault}"))
}
