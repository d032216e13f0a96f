//! What a server asks a client: sampling, elicitation, roots (2025-11-25 client features), and requests of extensions.
//!
//! ```text
//! server ─ request ─▶ whose is it? ─▶ question on a stream of that session ─▶ client
//! server ◀─ answer, in the words of its revision ◀──────────────────────────── client
//!        ◀─ cancel, or an error: no answer in time, session over, nobody can be asked
//! ```
//!
//! Whose it is follows from the answer stream it came on (Streamable HTTP), or from what runs on the connection; a
//! question that could belong to two sessions belongs to none (`bridging` §8.4). Invariants: a question reaches one
//! session, and only that session can answer it; each request of a server is answered once, unless the server takes
//! it back.

use super::Proxy;
use crate::downstream::Role;
use crate::id::{Key, UpstreamId};
use crate::json::{self, Decimal, Envelope, Kind, Pieces, Raw, Span, quote};
use crate::ledger::Held;
use crate::log::Level;
use crate::mcp::Ask;
use crate::mcp::ask::{self, Refusal};
use crate::mux::{self, Origin, Own, Question};
use crate::timer::TimerKind;
use crate::upstream::Phase;
use crate::upstream::exchange::Job;
use crate::upstream::tenants::Tenancy;
use crate::view::View;
use std::borrow::Cow;

/// Whom something concerns that a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) session: Key,
    /// The call that led to it, if it is known.
    pub(super) call: Option<Key>,
}

impl Proxy {
    /// Whom something concerns that came on a connection, on the answer stream of `call` if it had one.
    pub(super) fn cause(&mut self, id: UpstreamId, call: Option<Key>, task: Option<&[u8]>) -> Option<Cause> {
        let upstream = self.upstreams.get(id)?;
        let (tenancy, one_channel) = (upstream.tenants.tenancy, upstream.has_one_channel());
        let (only, present) = (upstream.running.only(), upstream.running.session());
        // Where everybody's calls run, those that lead to no question count too.
        let only = if matches!(tenancy, Tenancy::Shared | Tenancy::Alike) { self.alone(id) } else { only };
        let of_task = task.and_then(|task| self.call_of_task(id, task));
        let call = call.and_then(|call| self.parent(call)).or(of_task);
        if let Some(call) = call.or_else(|| only.filter(|_| one_channel)) {
            let session = self.mux.get(call)?.origin.client()?.session;
            return Some(Cause { session, call: Some(call) });
        }
        let session = match tenancy {
            Tenancy::Dedicated(session) => session,
            Tenancy::Interactive if one_channel => present?,
            Tenancy::Interactive | Tenancy::Alike | Tenancy::Shared => return None,
        };
        let call = if one_channel { self.latest_call(session, id) } else { None };
        Some(Cause { session, call })
    }

    /// The one call that runs on a connection at all, if no cancelled one of another session may run on.
    fn alone(&self, id: UpstreamId) -> Option<Key> {
        let running = &self.upstreams.get(id)?.running;
        let call = running.alone()?;
        let session = self.mux.get(call)?.origin.client()?.session;
        running.is_sole(session).then_some(call)
    }

    /// The client's call that a call serves: itself, or the one whose task it is about.
    fn parent(&self, key: Key) -> Option<Key> {
        match &self.mux.get(key)?.origin {
            Origin::Client(_) => Some(key),
            Origin::Own(Own::TaskState(parent) | Own::TaskResult(parent)) => Some(*parent),
            Origin::Own(
                Own::Initialize
                | Own::Discover
                | Own::List(_)
                | Own::Ping
                | Own::SetLevel
                | Own::Watch
                | Own::TaskCancel,
            ) => None,
        }
    }

    /// The newest call of a session on a connection that may lead to questions.
    fn latest_call(&mut self, session: Key, id: UpstreamId) -> Option<Key> {
        let calls = &self.down.session(session)?.calls;
        let running = calls.iter().filter_map(|key| self.mux.get(*key).map(|call| (*key, call)));
        let running = running.filter(|(_, call)| call.upstream == id && call.method.may_ask());
        running.max_by_key(|(_, call)| call.started).map(|(key, _)| key)
    }

    /// A request of a server that a client has to answer.
    pub(super) fn on_question(
        &mut self,
        id: UpstreamId,
        call: Option<Key>,
        ask: Ask,
        envelope: &Envelope,
        text: &[u8],
    ) {
        let raw = envelope.id.map_or(b"null".as_slice(), |span| span.of(text));
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        match upstream.phase {
            Phase::Listing | Phase::Ready => {}
            // Before the handshake is over a child gets its answer; over HTTP there is no session it could go to.
            Phase::Handshake if upstream.has_one_channel() => {
                return self.answer_server(id, raw, &ask::unattributed(ask));
            }
            Phase::Down | Phase::Starting | Phase::Handshake | Phase::Asleep | Phase::Stopped => return,
        }
        if let Err(refusal) = self.put_question(id, call, ask, envelope, text) {
            self.answer_server(id, raw, &refusal);
        }
    }

    fn put_question(
        &mut self,
        id: UpstreamId,
        call: Option<Key>,
        ask: Ask,
        envelope: &Envelope,
        text: &[u8],
    ) -> Result<(), Refusal> {
        let gone = || ask::unattributed(ask);
        let upstream = self.upstreams.get(id).ok_or_else(gone)?;
        let (told, asked) = (upstream.tenants.profile, upstream.tenants.questions.len());
        // What the server was not told of it may not ask for, whoever is behind the connection.
        ask::check(ask, told.usable(upstream.peer.revision))?;
        let task = envelope.params.and_then(|params| related_task(text, params));
        let cause = self.cause(id, call, task.map(|span| span.of(text))).ok_or_else(gone)?;
        let long = envelope.id.is_some_and(|span| span.of(text).len() > self.fx.limits.id_bytes_max);
        if long || asked >= self.fx.limits.questions_max {
            return Err(ask::too_many());
        }
        let session = self.down.session(cause.session).ok_or_else(gone)?;
        let (revision, profile) = (session.revision, session.profile);
        if ask == Ask::Other && self.views.get(session.view).is_none_or(View::is_merged) {
            return Err(ask::unknown());
        }
        let token = ask::progress_token(text, envelope.params).map(|span| span.of(text));
        let token = token.filter(|token| token.len() <= self.fx.limits.id_bytes_max).map(Raw::new);
        let url = ask::elicitation_id(text, envelope.params).filter(|_| ask == Ask::Elicitation);
        let url = url.map(|span| Raw::new(span.of(text)));
        let question = Question {
            upstream: id,
            id: Raw::new(envelope.id.map_or(b"null".as_slice(), |span| span.of(text))),
            ask,
            session: cause.session,
            wire: 0,
            call: cause.call,
            token,
            stream: None,
            text: None,
            timer: None,
        };
        let key = self.mux.ask(question).ok_or_else(ask::too_many)?;
        let wire = self.down.session(cause.session).and_then(|session| session.question_ids.give(key));
        let (Some(wire), Some(question)) = (wire, self.mux.question_mut(key)) else {
            self.mux.take_question(key);
            return Err(ask::too_many());
        };
        question.wire = wire;
        let number = wire;
        let wire = Decimal::new(wire.into());
        let params = match ask::question(ask, text, envelope.params, Some(wire.as_bytes()), revision, profile)
        {
            Ok(params) => params,
            Err(refusal) => {
                self.mux.take_question(key);
                if let Some(session) = self.down.session(cause.session) {
                    session.question_ids.free(number);
                }
                return Err(refusal);
            }
        };
        let method = match ask {
            Ask::Other => Cow::Borrowed(envelope.method.map_or(b"\"\"".as_slice(), |span| span.of(text))),
            Ask::Sampling | Ask::Elicitation | Ask::Roots => Cow::Owned(quote(ask.method()).into_bytes()),
        };
        let message = message(&method, &wire, &params);
        let long = message.len() > self.fx.limits.held_question_bytes_max;
        self.register(key, cause, url, message);
        self.send_question(key);
        // A long one is not kept until its client opens a stream.
        if long && self.mux.question(key).is_some_and(|question| question.text.is_some()) {
            self.give_up_question(key);
        }
        Ok(())
    }

    /// Makes a question known to everything that may end it.
    fn register(&mut self, key: Key, cause: Cause, url: Option<Raw>, message: Vec<u8>) {
        let timer = self.fx.after(self.fx.limits.ask_wait_ms, TimerKind::Question, key.to_u64());
        let Some(question) = self.mux.question_mut(key) else { return };
        question.text = Some(self.fx.ledger.hold(message));
        question.timer = Some(timer);
        let id = question.upstream;
        if let Some(upstream) = self.upstreams.get_mut(id) {
            upstream.tenants.questions.push(key);
            if let Some(url) = url {
                upstream.tenants.sent_away(url, cause.session);
            }
        }
        if let Some(session) = self.down.session(cause.session) {
            session.questions.push(key);
        }
        if let Some(call) = cause.call.and_then(|call| self.mux.get_mut(call)) {
            call.asking += 1;
        }
    }

    /// Sends a question if its client has a stream for it now.
    fn send_question(&mut self, key: Key) {
        let Some(question) = self.mux.question(key).filter(|question| question.text.is_some()) else {
            return;
        };
        let (session, call) = (question.session, question.call);
        if self.down.session(session).is_none_or(|session| !session.ready) {
            return;
        }
        let wanted = call.and_then(|call| self.mux.get(call)?.origin.client().map(|origin| origin.stream));
        let Some(stream) = self.down.stream_for(session, wanted) else { return };
        let Some(question) = self.mux.question_mut(key) else { return };
        let text = question.text.take().map(Held::into_bytes).unwrap_or_default();
        question.stream = Some(stream);
        if let Some(before) = question.timer.take() {
            self.fx.timers.cancel(before);
        }
        question.timer = Some(self.fx.after(self.fx.limits.input_ms, TimerKind::Question, key.to_u64()));
        self.down.deliver(&mut self.fx, session, stream, &Pieces::of(&[&text]), Role::Question);
    }

    /// A session may have a stream that it had not before.
    pub(super) fn send_held_questions(&mut self, session: Key) {
        let Some(known) = self.down.session(session).filter(|session| !session.questions.is_empty()) else {
            return;
        };
        for key in known.questions.clone() {
            self.send_question(key);
        }
    }

    /// The question that a client means by this raw id or progress token.
    fn question_named(&mut self, session: Key, raw: &[u8]) -> Option<Key> {
        self.down.session(session)?.question_ids.find(mux::number(raw)?)
    }

    /// A client's answer. Whatever answers no question of this session means nothing (DL-26).
    pub(super) fn on_client_answer(&mut self, session: Key, envelope: &Envelope, text: &[u8]) {
        let raw = envelope.id.map_or(b"null".as_slice(), |span| span.of(text));
        let Some(key) = self.question_named(session, raw) else {
            let number = mux::number(raw);
            if let (Some(number), Some(session)) = (number, self.down.session(session)) {
                session.question_ids.on_late(number);
            }
            return;
        };
        let Some(question) = self.close_question(key, true) else { return };
        let Some(upstream) = self.upstreams.get_mut(question.upstream) else { return };
        let outcome = envelope.outcome.unwrap_or_default();
        let cuts = [(envelope.id.unwrap_or_default(), question.id.as_bytes())];
        let job = question.call.map_or(Job::Note, Job::Answer);
        if envelope.kind == Kind::Error {
            let message = Pieces::splice(text, envelope.newlines, &cuts);
            return upstream.link.send_note(&mut self.fx, job, &message);
        }
        match ask::answer(question.ask, text, outcome, upstream.peer.revision) {
            Ok(result) => {
                let id = question.id.as_bytes();
                let message =
                    Pieces::of(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":", &result, b"}"]);
                upstream.link.send_note(&mut self.fx, job, &message);
            }
            Err(refusal) => self.answer_server(question.upstream, question.id.as_bytes(), &refusal),
        }
    }

    /// A client tells how its answer is coming along.
    pub(super) fn on_client_progress(&mut self, session: Key, envelope: &Envelope, text: &[u8]) {
        let Some(params) = envelope.params else { return };
        let Ok(Some(token)) = json::member(text, params, "progressToken") else { return };
        let Some(key) = self.question_named(session, token.of(text)) else { return };
        let Some(question) = self.mux.question(key) else { return };
        let Some(theirs) = &question.token else { return };
        let message = Pieces::splice(text, envelope.newlines, &[(token, theirs.as_bytes())]);
        if let Some(upstream) = self.upstreams.get_mut(question.upstream) {
            upstream.link.send_note(&mut self.fx, Job::Note, &message);
        }
    }

    /// A server takes a question back.
    pub(super) fn on_server_cancelled(&mut self, id: UpstreamId, params: Span, text: &[u8]) {
        let Ok(Some(raw)) = json::member(text, params, "requestId") else { return };
        let Some(upstream) = self.upstreams.get(id) else { return };
        let same = |question: &Question| json::is_same_id(question.id.as_bytes(), raw.of(text));
        let meant = |key: &&Key| self.mux.question(**key).is_some_and(same);
        let Some(key) = upstream.tenants.questions.iter().find(meant).copied() else { return };
        let reason = json::member(text, params, "reason").ok().flatten();
        let reason = reason.and_then(|reason| json::unquote(reason.of(text)));
        self.withdraw_question(key, reason.as_deref());
    }

    /// Takes a question back from the client. Returns it.
    fn withdraw_question(&mut self, key: Key, reason: Option<&str>) -> Option<Question> {
        let question = self.close_question(key, false)?;
        // Who cancelled a call may have stopped listening to what belongs to it; who left its stream finds both there.
        let is_over = question.call.is_some_and(|call| self.mux.get(call).is_none());
        let elsewhere = is_over && self.down.is_attached(question.session, question.stream);
        let wanted = question.stream.filter(|_| !elsewhere);
        let stream = self.down.stream_for(question.session, wanted);
        if let Some(stream) = stream.filter(|_| question.text.is_none()) {
            let text = cancelled(question.wire, reason);
            let message = Pieces::of(&[text.as_bytes()]);
            self.down.deliver(&mut self.fx, question.session, stream, &message, Role::Question);
        }
        Some(question)
    }

    /// Nobody will answer any more: the server is told so, the client that it need not.
    pub(super) fn give_up_question(&mut self, key: Key) {
        if let Some(question) = self.withdraw_question(key, None) {
            self.answer_server(question.upstream, question.id.as_bytes(), &ask::fallback(question.ask));
        }
    }

    /// The call that led to a question was cancelled. The server is told that first, and given a moment to stop, so
    /// that it does not take what it is told instead of an answer for one and go on; the client need not answer.
    fn orphan_question(&mut self, key: Key) {
        let Some(question) = self.withdraw_question(key, None) else { return };
        let Some(orphan) = self.mux.ask(Question { session: Key::NONE, call: None, text: None, ..question })
        else {
            return;
        };
        let timer = self.fx.after(self.fx.limits.cancel_grace_ms, TimerKind::Question, orphan.to_u64());
        let Some(question) = self.mux.question_mut(orphan) else { return };
        question.timer = Some(timer);
        if let Some(upstream) = self.upstreams.get_mut(question.upstream) {
            upstream.tenants.questions.push(orphan);
        }
    }

    pub(super) fn on_question_timer(&mut self, key: Key) {
        let Some(question) = self.mux.question(key) else { return };
        if question.session == Key::NONE {
            return self.give_up_question(key);
        }
        let label = self.upstreams.get(question.upstream).map(|upstream| upstream.label.clone());
        let what =
            if question.text.is_some() { "found no open stream of its client" } else { "was not answered" };
        self.fx.log(Level::Warn, label.as_ref(), format!("{} {what} in time", question.ask.method()));
        self.give_up_question(key);
    }

    /// The server is gone and its questions with it.
    pub(super) fn drop_questions(&mut self, id: UpstreamId) {
        let questions = self.upstreams.get(id).map(|upstream| upstream.tenants.questions.clone());
        for key in questions.unwrap_or_default() {
            self.withdraw_question(key, Some("the server was lost"));
        }
    }

    /// A session is over: nobody answers its questions.
    pub(super) fn orphan_questions(&mut self, questions: Vec<Key>) {
        for key in questions {
            self.orphan_question(key);
        }
    }

    /// A call was cancelled: what the server asked because of it need not be answered.
    pub(super) fn drop_questions_of_call(&mut self, session: Key, call: Key) {
        let Some(known) = self.down.session(session) else { return };
        let of_call = |key: &Key| self.mux.question(*key).is_some_and(|question| question.call == Some(call));
        let questions: Vec<Key> = known.questions.iter().copied().filter(of_call).collect();
        self.orphan_questions(questions);
    }

    /// Takes a question out of everything that knows it.
    fn close_question(&mut self, key: Key, answered: bool) -> Option<Question> {
        let question = self.mux.take_question(key)?;
        if let Some(timer) = question.timer {
            self.fx.timers.cancel(timer);
        }
        if let Some(upstream) = self.upstreams.get_mut(question.upstream) {
            upstream.tenants.questions.retain(|known| *known != key);
            upstream.used_at = self.fx.now.mono;
        }
        if let Some(session) = self.down.session(question.session) {
            session.questions.retain(|known| *known != key);
            // One that was never sent has no answer to come.
            match answered || question.text.is_some() {
                true => session.question_ids.free(question.wire),
                false => session.question_ids.owe(question.wire, question.upstream),
            }
            session.last_used = self.fx.now.mono;
        }
        if let Some(call) = question.call.and_then(|call| self.mux.get_mut(call)) {
            call.asking = call.asking.saturating_sub(1);
            call.alive = self.fx.now.mono;
        }
        Some(question)
    }

    /// Answers a request of a server in place of a client.
    pub(super) fn answer_server(&mut self, id: UpstreamId, raw: &[u8], refusal: &Refusal) {
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        let rest = refusal.encode();
        let message = Pieces::of(&[b"{\"jsonrpc\":\"2.0\",\"id\":", raw, b",", rest.as_bytes(), b"}"]);
        upstream.link.send_note(&mut self.fx, Job::Note, &message);
    }
}

/// A question: `method` is a JSON string, `params` are empty where there are none.
fn message(method: &[u8], wire: &Decimal, params: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(params.len().saturating_add(method.len()).saturating_add(96));
    for part in [b"{\"jsonrpc\":\"2.0\",\"id\":", wire.as_bytes(), b",\"method\":", method] {
        text.extend_from_slice(part);
    }
    if !params.is_empty() {
        text.extend_from_slice(b",\"params\":");
        text.extend_from_slice(params);
    }
    text.push(b'}');
    text
}

fn cancelled(id: u32, reason: Option<&str>) -> String {
    let reason = reason.map_or_else(String::new, |reason| format!(",\"reason\":{}", quote(reason)));
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}{reason}}}}}"
    )
}

/// The raw id of the task that a message belongs to.
pub(super) fn related_task(text: &[u8], params: Span) -> Option<Span> {
    let meta = json::member(text, params, "_meta").ok()??;
    let related = json::member(text, meta, RELATED_TASK).ok()??;
    json::member(text, related, "taskId").ok()?
}

/// The `_meta` key that names the task a message belongs to.
pub(super) const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
