//! How a call ends for who asked: with the answer of its server, or with an error of ours.
//!
//! Invariant: whoever asked is told once, under the id that they chose.

use super::Proxy;
use super::calls::server_error;
use super::pressure::NO_MEMORY_FOR_ANSWER;
use super::tasks::task_mark;
use crate::downstream::Role;
use crate::downstream::client::error_body;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{Envelope, Kind, Pieces, Raw, Span};
use crate::mcp::{Method, url_required};
use crate::mux::{Call, ClientOrigin, Origin, Own, Task};
use crate::upstream::spoken;

impl Proxy {
    /// An answer of a server.
    pub(super) fn complete(&mut self, key: Key, envelope: &Envelope, text: &[u8]) {
        if envelope.kind == Kind::Result
            && let Some(result) = envelope.outcome
            && self.on_task_created(key, text, result)
        {
            return;
        }
        self.mux.settle(key);
        let Some(call) = self.close_call(key) else { return };
        match &call.origin {
            Origin::Client(_) => self.answer_client(call, envelope, text),
            Origin::Own(Own::TaskResult(parent)) => self.on_task_done(*parent, envelope, text),
            Origin::Own(own) => {
                let own = *own;
                let result = envelope.outcome.unwrap_or_default();
                match envelope.kind {
                    Kind::Result => self.on_own_result(call.upstream, own, key, text, result),
                    Kind::Error | Kind::Request | Kind::Notification
                        if matches!(own, Own::Initialize | Own::Discover) =>
                    {
                        let fault = spoken::revision(text, result);
                        let fault = fault.unwrap_or_else(|| server_error(text, result));
                        self.on_own_failed(call.upstream, own, key, &fault);
                    }
                    Kind::Error | Kind::Request | Kind::Notification => {
                        self.on_own_failed(call.upstream, own, key, &server_error(text, result));
                    }
                }
            }
        }
    }

    /// Hands an answer to the client that waits for it, and notes what follows from it.
    pub(super) fn answer_client(&mut self, call: Call, envelope: &Envelope, text: &[u8]) {
        let Origin::Client(origin) = call.origin else { return };
        if !self.down.has_room(&self.fx, origin.session, origin.stream, text.len()) {
            let fault = Fault::local(Code::Overloaded, NO_MEMORY_FOR_ANSWER);
            let body = error_body(origin.id.as_bytes(), &fault);
            let message = Pieces::of(&[body.as_bytes()]);
            return self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Answer);
        }
        let outcome = envelope.outcome.unwrap_or_default();
        if envelope.kind == Kind::Error && url_required::is_url_required(text, outcome) {
            let is_tool = call.method == Method::ToolsCall;
            return self.answer_url_required(&origin, call.upstream, is_tool, envelope, text);
        }
        match (&call.uri, call.method) {
            (Some(uri), Method::Subscribe) if envelope.kind == Kind::Result => {
                self.watch(origin.session, call.upstream, uri);
            }
            (_, Method::ToolsCall | Method::PromptsGet) => {
                self.note_mentions(origin.session, call.upstream, envelope, text);
            }
            _ => {}
        }
        let nothing = Span { start: text.len(), end: text.len() };
        let mark = if call.task == Some(Task::Done) { task_mark(text, envelope) } else { None };
        let mut cuts =
            [(envelope.id.unwrap_or_default(), origin.id.as_bytes()), (mark.unwrap_or(nothing), b"")];
        let message = Pieces::replace(text, envelope.newlines, &mut cuts);
        self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Answer);
    }

    /// -32042: the user has to do something at a URL first. Clients that know nothing of it are told in words
    /// (`bridging` §4.4).
    pub(super) fn answer_url_required(
        &mut self,
        origin: &ClientOrigin,
        id: UpstreamId,
        is_tool: bool,
        envelope: &Envelope,
        text: &[u8],
    ) {
        let error = envelope.outcome.unwrap_or_default();
        if !self.down.session(origin.session).is_some_and(|session| session.profile.url()) {
            let rest = url_required::for_client_without_url(text, error, is_tool);
            let parts = [b"{\"jsonrpc\":\"2.0\",\"id\":", origin.id.as_bytes(), b",", &rest, b"}"];
            return self.down.deliver(
                &mut self.fx,
                origin.session,
                origin.stream,
                &Pieces::of(&parts),
                Role::Answer,
            );
        }
        if let Some(upstream) = self.upstreams.get_mut(id) {
            for elicitation in url_required::elicitation_ids(text, error) {
                upstream.tenants.sent_away(Raw::new(elicitation.of(text)), origin.session);
            }
        }
        let cuts = [(envelope.id.unwrap_or_default(), origin.id.as_bytes())];
        let message = Pieces::splice(text, envelope.newlines, &cuts);
        self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Answer);
    }

    /// A call ends without an answer of its server.
    pub(super) fn fail(&mut self, key: Key, fault: &Fault) {
        if let Some(call) = self.close_call(key) {
            self.tell_failed(call.origin, call.upstream, key, fault);
        }
    }

    /// Tells whoever asked that there will be no answer.
    pub(super) fn tell_failed(&mut self, origin: Origin, upstream: UpstreamId, key: Key, fault: &Fault) {
        match origin {
            Origin::Client(origin) => {
                let body = error_body(origin.id.as_bytes(), fault);
                let message = Pieces::of(&[body.as_bytes()]);
                self.down.deliver(&mut self.fx, origin.session, origin.stream, &message, Role::Answer);
            }
            Origin::Own(own) => self.on_own_failed(upstream, own, key, fault),
        }
    }
}
