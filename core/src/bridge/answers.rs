//! How a call ends for who asked: with the answer of its server, or with an error of ours.
//!
//! Invariant: whoever asked is told once, under the id that they chose.

use super::BridgeMut;
use crate::clients::Role;
use crate::fault::{Code, Fault};
use crate::id::{Requester, UpstreamId};
use crate::json::{Envelope, Kind, Pieces, Raw, Span};
use crate::jsonrpc;
use crate::ledger::NO_MEMORY_FOR_ANSWER;
use crate::mcp::{Method, url_required};
use crate::servers::calls::{Call, ClientOrigin, Origin};
use crate::servers::task_mark;

impl BridgeMut<'_> {
    /// Hands an answer to the client that waits for it, and notes what follows from it.
    pub(super) fn answer_client(&mut self, call: &Call, envelope: &Envelope, text: &[u8], of_task: bool) {
        let Origin::Client(origin) = &call.origin else { return };
        if !self.clients.has_room(self.fx, origin.requester(), text.len()) {
            let fault = Fault::local(Code::Overloaded, NO_MEMORY_FOR_ANSWER);
            return self.answer_fault(origin.requester(), origin.id.as_bytes(), &fault);
        }
        let outcome = envelope.outcome.unwrap_or_default();
        if envelope.kind == Kind::Error && url_required::is_url_required(text, outcome) {
            let is_tool = call.method == Method::ToolsCall;
            return self.answer_url_required(origin, call.upstream, is_tool, envelope, text);
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
        let mark = if of_task { task_mark(text, envelope) } else { None };
        let mut cuts =
            [(envelope.id.unwrap_or_default(), origin.id.as_bytes()), (mark.unwrap_or(nothing), b"")];
        let message = Pieces::replace(text, envelope.newlines, &mut cuts);
        self.clients.deliver(self.fx, origin.requester(), &message, Role::Answer);
    }

    /// Answers a request with an error.
    pub(super) fn answer_fault(&mut self, requester: Requester, id: &[u8], fault: &Fault) {
        let error = jsonrpc::error(id, fault);
        self.clients.deliver(self.fx, requester, &Pieces::of(&[error.as_bytes()]), Role::Answer);
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
        if !self.sessions.get(origin.session).is_some_and(|session| session.profile.url()) {
            let rest = url_required::for_client_without_url(text, error, is_tool);
            return self.clients.deliver(
                self.fx,
                origin.requester(),
                &jsonrpc::answer(origin.id.as_bytes(), &rest),
                Role::Answer,
            );
        }
        for elicitation in url_required::elicitation_ids(text, error) {
            self.servers().sent_away(id, Raw::new(elicitation.of(text)), origin.session);
        }
        let cuts = [(envelope.id.unwrap_or_default(), origin.id.as_bytes())];
        let message = Pieces::splice(text, envelope.newlines, &cuts);
        self.clients.deliver(self.fx, origin.requester(), &message, Role::Answer);
    }
}
