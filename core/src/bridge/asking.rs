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

use super::BridgeMut;
use super::questions::{Asked, Question, State};
use crate::clients::{Message, Role};
use crate::id::{Key, Requester, UpstreamId};
use crate::json::{self, Decimal, Kind, Pieces, Raw, quote};
use crate::jsonrpc;
use crate::log::Level;
use crate::mcp::Ask;
use crate::mcp::ask::{self, Refusal};
use crate::servers::calls::number;
use crate::servers::{Cause, Connection, Said};
use crate::timer::BridgeTimer;
use crate::view::View;
use std::borrow::Cow;

impl BridgeMut<'_> {
    /// Whom something concerns that a server said. Where its session is known and everything comes on one channel, its
    /// newest call is the likeliest.
    pub(super) fn cause(&mut self, said: &Said) -> Option<Cause> {
        let cause = said.cause?;
        let one_channel = self.servers.get(said.id).is_some_and(Connection::has_one_channel);
        let call = match cause.call {
            None if one_channel => self.latest_call(cause.session, said.id),
            call => call,
        };
        Some(Cause { call, ..cause })
    }

    /// The newest call of a session on a connection that may lead to questions.
    fn latest_call(&mut self, session: Key, id: UpstreamId) -> Option<(Key, u32)> {
        let calls = &self.sessions.get_mut(session)?.calls;
        let running = calls.iter().filter_map(|key| self.servers.call(*key).map(|call| (*key, call)));
        let running = running.filter(|(_, call)| call.upstream == id && call.method.may_ask());
        let (key, call) = running.max_by_key(|(_, call)| call.started)?;
        Some((key, call.origin.client()?.stream))
    }

    /// A request of a server that a client has to answer.
    pub(super) fn on_question(&mut self, ask: Ask, said: &Said) {
        if let Err(refusal) = self.put_question(ask, said) {
            let raw = said.envelope.id.map_or(b"null".as_slice(), |span| span.of(&said.text));
            self.servers().refuse(said.id, raw, &refusal);
        }
    }

    fn put_question(&mut self, ask: Ask, said: &Said) -> Result<(), Refusal> {
        let Said { id, ref text, ref envelope, .. } = *said;
        let gone = || ask::unattributed(ask);
        let upstream = self.servers.get(id).ok_or_else(gone)?;
        let (told, asked) = (upstream.usage().profile, self.questions.len_of(id));
        // What the server was not told of it may not ask for, whoever is behind the connection.
        ask::check(ask, told.usable(upstream.peer().revision))?;
        let cause = self.cause(said).ok_or_else(gone)?;
        let long = envelope.id.is_some_and(|span| span.of(text).len() > self.fx.limits.id_bytes_max);
        if long || asked >= self.fx.limits.questions_max {
            return Err(ask::too_many());
        }
        let session = self.sessions.get_mut(cause.session).ok_or_else(gone)?;
        let (revision, profile) = (session.revision, session.profile);
        if ask == Ask::Other && self.views.get(session.view).is_none_or(View::is_merged) {
            return Err(ask::unknown());
        }
        let token = ask::progress_token(text, envelope.params).map(|span| span.of(text));
        let token = token.filter(|token| token.len() <= self.fx.limits.id_bytes_max).map(Raw::new);
        let url = ask::elicitation_id(text, envelope.params).filter(|_| ask == Ask::Elicitation);
        let url = url.map(|span| Raw::new(span.of(text)));
        let key = self.questions.next_key().ok_or_else(ask::too_many)?;
        let number = session.question_ids.give(key).ok_or_else(ask::too_many)?;
        let wire = Decimal::new(number.into());
        let params = ask::question(ask, text, envelope.params, Some(wire.as_bytes()), revision, profile);
        let params = params.inspect_err(|_| session.question_ids.free(number))?;
        let method = match ask {
            Ask::Other => Cow::Borrowed(envelope.method.map_or(b"\"\"".as_slice(), |span| span.of(text))),
            Ask::Sampling | Ask::Elicitation | Ask::Roots => Cow::Owned(quote(ask.method()).into_bytes()),
        };
        let message = jsonrpc::request(wire.as_bytes(), &method, &params);
        let is_long = message.len() > self.fx.limits.held_question_bytes_max;
        let asked = Asked { session: cause.session, wire: number, call: cause.call.map(|(call, _)| call) };
        let question = Question {
            upstream: id,
            id: Raw::new(envelope.id.map_or(b"null".as_slice(), |span| span.of(text))),
            ask,
            token,
            timer: self.fx.after(self.fx.limits.ask_wait_ms, BridgeTimer::Question, key.to_u64()),
            state: State::Held { asked, text: self.fx.ledger.hold(message) },
        };
        self.register(key, question, asked, url);
        self.send_question(key);
        // A long one is not kept until its client opens a stream.
        if is_long && self.questions.get(key).is_some_and(Question::is_held) {
            self.give_up_question(key);
        }
        Ok(())
    }

    /// Makes a question known to everything that may end it.
    fn register(&mut self, key: Key, question: Question, asked: Asked, url: Option<Raw>) {
        let id = question.upstream;
        let known = self.questions.insert(question);
        debug_assert_eq!(known, Some(key), "a question is called what it was to be called");
        self.servers().open_question(id, asked.call);
        if let Some(url) = url {
            self.servers().sent_away(id, url, asked.session);
        }
        if let Some(client) = self.sessions.get_mut(asked.session) {
            client.questions.push(key);
        }
    }

    /// Sends a question if its client has a stream for it now.
    fn send_question(&mut self, key: Key) {
        let Some(question) = self.questions.get_mut(key) else { return };
        let State::Held { asked, text } = &mut question.state else { return };
        let asked = *asked;
        if self.sessions.get(asked.session).is_none_or(|client| !client.ready) {
            return;
        }
        let origin = asked.call.and_then(|call| self.servers.call(call)?.origin.client());
        let wanted = origin.map(|origin| origin.stream);
        let Some(requester) = self.clients.stream_for(asked.session, wanted) else { return };
        self.clients.deliver(self.fx, requester, &Pieces::of(&[text]), Role::Question);
        question.state = State::Sent { asked, stream: requester.stream };
        self.fx.timers.cancel(question.timer);
        question.timer = self.fx.after(self.fx.limits.input_ms, BridgeTimer::Question, key.to_u64());
    }

    /// A session may have a stream that it had not before.
    pub(super) fn send_held_questions(&mut self, session: Key) {
        let Some(known) = self.sessions.get_mut(session).filter(|session| !session.questions.is_empty())
        else {
            return;
        };
        for key in known.questions.clone() {
            self.send_question(key);
        }
    }

    /// The question that a client means by this raw id or progress token.
    fn question_named(&mut self, session: Key, raw: &[u8]) -> Option<Key> {
        self.sessions.get_mut(session)?.question_ids.find(number(raw)?)
    }

    /// A client's answer. Whatever answers no question of this session means nothing (DL-26).
    pub(super) fn on_client_answer(&mut self, message: &Message) {
        let (session, envelope, text) = (message.session(), message.envelope(), message.text());
        let raw = envelope.id.map_or(b"null".as_slice(), |span| span.of(text));
        let Some(key) = self.question_named(session, raw) else {
            let number = number(raw);
            if let (Some(number), Some(session)) = (number, self.sessions.get_mut(session)) {
                session.question_ids.on_late(number);
            }
            return;
        };
        let Some(question) = self.close_question(key, true) else { return };
        let Some(revision) = self.servers.get(question.upstream).map(|upstream| upstream.peer().revision)
        else {
            return;
        };
        let outcome = envelope.outcome.unwrap_or_default();
        let cuts = [(envelope.id.unwrap_or_default(), question.id.as_bytes())];
        if envelope.kind == Kind::Error {
            let message = Pieces::splice(text, envelope.newlines, &cuts);
            return self.servers().answer(question.upstream, question.call(), &message);
        }
        match ask::answer(question.ask, text, outcome, revision) {
            Ok(result) => {
                let id = question.id.as_bytes();
                let message = jsonrpc::result(id, &result);
                self.servers().answer(question.upstream, question.call(), &message);
            }
            Err(refusal) => self.servers().refuse(question.upstream, question.id.as_bytes(), &refusal),
        }
    }

    /// A client tells how its answer is coming along.
    pub(super) fn on_client_progress(&mut self, message: &Message) {
        let (session, envelope, text) = (message.session(), message.envelope(), message.text());
        let Some(params) = envelope.params else { return };
        let Ok(Some(token)) = json::member(text, params, "progressToken") else { return };
        let Some(key) = self.question_named(session, token.of(text)) else { return };
        let Some(question) = self.questions.get(key) else { return };
        let Some(theirs) = &question.token else { return };
        let message = Pieces::splice(text, envelope.newlines, &[(token, theirs.as_bytes())]);
        self.servers.with(self.fx).notify(question.upstream, &message);
    }

    /// A server takes a question back.
    pub(super) fn on_server_cancelled(&mut self, said: &Said) {
        let Said { id, ref text, ref envelope, .. } = *said;
        let Some(params) = envelope.params else { return };
        let Ok(Some(raw)) = json::member(text, params, "requestId") else { return };
        let same = |question: &Question| json::is_same_id(question.id.as_bytes(), raw.of(text));
        let meant = |key: &&Key| self.questions.get(**key).is_some_and(same);
        let Some(key) = self.questions.of(id).iter().find(meant).copied() else { return };
        let reason = json::member(text, params, "reason").ok().flatten();
        let reason = reason.and_then(|reason| json::unquote(reason.of(text)));
        self.withdraw_question(key, reason.as_deref());
    }

    /// Takes a question back from the client. Returns it.
    fn withdraw_question(&mut self, key: Key, reason: Option<&str>) -> Option<Question> {
        let question = self.close_question(key, false)?;
        if let State::Sent { asked: Asked { session, wire, call }, stream } = question.state {
            // Who cancelled a call may have stopped listening to what belongs to it; who left its stream finds both there.
            let is_over = call.is_some_and(|call| self.servers.call(call).is_none());
            let is_elsewhere = is_over && self.clients.is_attached(Requester { session, stream });
            if let Some(requester) = self.clients.stream_for(session, (!is_elsewhere).then_some(stream)) {
                let text = jsonrpc::cancelled(wire, reason);
                self.clients.deliver(self.fx, requester, &Pieces::of(&[text.as_bytes()]), Role::Question);
            }
        }
        Some(question)
    }

    /// Nobody will answer any more: the server is told so, the client that it need not.
    fn give_up_question(&mut self, key: Key) {
        if let Some(question) = self.withdraw_question(key, None) {
            self.servers().refuse(question.upstream, question.id.as_bytes(), &ask::fallback(question.ask));
        }
    }

    /// The call that led to a question was cancelled, or its session is over.
    pub(super) fn orphan_question(&mut self, key: Key) {
        let Some(question) = self.withdraw_question(key, None) else { return };
        let Some(key) = self.questions.next_key() else { return };
        let timer = self.fx.after(self.fx.limits.cancel_grace_ms, BridgeTimer::Question, key.to_u64());
        let id = question.upstream;
        self.questions.insert(Question { timer, state: State::Orphaned, ..question });
        self.servers().open_question(id, None);
    }

    /// Nobody has answered in time.
    pub(super) fn on_question_timer(&mut self, key: Key) {
        let Some(question) = self.questions.get(key) else { return };
        let what = match question.state {
            State::Held { .. } => Some("found no open stream of its client"),
            State::Sent { .. } => Some("was not answered"),
            State::Orphaned => None,
        };
        if let Some(what) = what {
            let label = self.servers.get(question.upstream).map(|upstream| upstream.label().clone());
            self.fx.log(Level::Warn, label.as_ref(), format!("{} {what} in time", question.ask.method()));
        }
        self.give_up_question(key);
    }

    /// The server is gone and its questions with it.
    pub(super) fn drop_questions(&mut self, id: UpstreamId) {
        for key in self.questions.of(id).to_vec() {
            self.withdraw_question(key, Some("the server was lost"));
        }
    }

    /// A call was cancelled: what the server asked because of it need not be answered.
    pub(super) fn drop_questions_of_call(&mut self, session: Key, call: Key) {
        let Some(client) = self.sessions.get(session) else { return };
        let of_call = |key: &Key| self.questions.get(*key).is_some_and(|it| it.call() == Some(call));
        let questions: Vec<Key> = client.questions.iter().copied().filter(of_call).collect();
        for question in questions {
            self.orphan_question(question);
        }
    }

    /// Takes a question out of everything that knows it.
    fn close_question(&mut self, key: Key, answered: bool) -> Option<Question> {
        let question = self.questions.remove(key)?;
        self.fx.timers.cancel(question.timer);
        self.servers().close_question(question.upstream, question.call());
        let Some(asked) = question.asked() else { return Some(question) };
        if let Some(client) = self.sessions.get_mut(asked.session) {
            client.questions.retain(|known| *known != key);
            // One that was never sent has no answer to come.
            match answered || question.is_held() {
                true => client.question_ids.free(asked.wire),
                false => client.question_ids.owe(asked.wire, question.upstream),
            }
            self.clients.touch(self.fx, asked.session);
        }
        Some(question)
    }
}
