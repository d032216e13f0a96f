//! What happens at servers, and what follows from it for clients: the table of contents of everything that goes from a
//! server to clients.

use super::BridgeMut;
use crate::clients::Role;
use crate::fault::Fault;
use crate::id::{Key, ServerId, UpstreamId};
use crate::json::{Pieces, Span};
use crate::log::Level;
use crate::mcp::ListKind;
use crate::servers::calls::{Call, ClientOrigin, Origin};
use crate::servers::usage::UsageKind;
use crate::servers::{Outcome, Said, Server, ServerEvent};

impl BridgeMut<'_> {
    /// Acts on an event of the servers.
    pub(crate) fn on_server_event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Ended { key, call, outcome } => self.on_ended(key, *call, outcome),
            ServerEvent::Progress { origin, said, token } => self.on_progress(&origin, &said, token),
            ServerEvent::Slow { key } => self.on_slow(key),
            ServerEvent::Question { ask, said } => self.on_question(ask, &said),
            ServerEvent::Withdrawn { said } => self.on_server_cancelled(&said),
            ServerEvent::Log { said } => self.on_log_message(&said),
            ServerEvent::Updated { said } => self.on_resource_updated(&said),
            ServerEvent::Elicited { said } => self.on_elicited(&said),
            ServerEvent::Foreign { said } => self.on_foreign_note(&said),
            ServerEvent::Lost { id } => self.drop_questions(id),
            ServerEvent::Up { id } => self.on_up(id),
            ServerEvent::Away { server } => self.set_listed(server, false),
            ServerEvent::Tried { server } => {
                self.greet_waiting(server);
                self.answer_waiting_lists();
            }
            ServerEvent::ListChanged { id, kind, first } => self.on_list_changed(id, kind, first),
            ServerEvent::ListKnown => self.answer_waiting_lists(),
            ServerEvent::Unmade { id, calls, fault } => self.move_to_shared(id, calls, &fault),
            ServerEvent::Silent { id } => {
                let Self { servers, fx, clients, .. } = self;
                let is_awaited = |origin: &ClientOrigin| clients.is_attached(origin.requester());
                servers.with(fx).judge_silence(id, is_awaited);
            }
            ServerEvent::Gone { id } => self.offers.forget(id),
            ServerEvent::Invalid => *self.failed = true,
        }
    }

    /// A call has ended at its server.
    fn on_ended(&mut self, key: Key, call: Call, outcome: Outcome) {
        self.forget_call(key, &call);
        match outcome {
            Outcome::Answered { text, envelope, of_task } => {
                self.answer_client(&call, &envelope, &text, of_task);
            }
            Outcome::Failed(fault) => self.tell_failed(&call.origin, &fault),
            Outcome::GivenUp(fault) => {
                if let Origin::Client(origin) = &call.origin {
                    self.drop_questions_of_call(origin.session, key);
                }
                self.tell_failed(&call.origin, &fault);
            }
        }
    }

    /// A call is not in flight any more.
    fn forget_call(&mut self, key: Key, call: &Call) {
        let Some(origin) = call.origin.client() else { return };
        if let Some(client) = self.sessions.get_mut(origin.session) {
            client.forget_call(key);
            self.clients.touch(self.fx, origin.session);
        }
    }

    /// Tells whoever asked that there will be no answer.
    fn tell_failed(&mut self, origin: &Origin, fault: &Fault) {
        let Origin::Client(origin) = origin else { return };
        self.answer_fault(origin.requester(), origin.id.as_bytes(), fault);
    }

    /// Ends a call that nobody waits for any more: its server is told.
    pub(super) fn cancel_call(&mut self, key: Key, reason: Option<&str>) -> Option<Call> {
        let call = self.servers().cancel(key, reason)?;
        self.forget_call(key, &call);
        if let Origin::Client(origin) = &call.origin {
            self.drop_questions_of_call(origin.session, key);
        }
        Some(call)
    }

    /// Ends a call with an error, and tells its server that nobody waits.
    pub(super) fn give_up_call(&mut self, key: Key, fault: &Fault) {
        if let Some(call) = self.cancel_call(key, None) {
            self.tell_failed(&call.origin, fault);
        }
    }

    fn on_progress(&mut self, origin: &ClientOrigin, said: &Said, token: Span) {
        let Some(theirs) = &origin.token else { return };
        let message = Pieces::splice(&said.text, said.envelope.newlines, &[(token, theirs.as_bytes())]);
        self.clients.deliver(self.fx, origin.requester(), &message, Role::Note);
    }

    fn on_slow(&mut self, key: Key) {
        if let Some(Origin::Client(origin)) = self.servers.call(key).map(|call| &call.origin) {
            self.clients.start_events(self.fx, origin.requester());
        }
    }

    /// A connection is in use, for the first time or again. Whoever watches something there may have missed news of it.
    fn on_up(&mut self, id: UpstreamId) {
        let Some(connection) = self.servers.get(id) else { return };
        if connection.usage().kind == UsageKind::Shared {
            self.set_listed(connection.server(), true);
        }
        self.tell_level(id);
        let Some(connection) = self.servers.get(id) else { return };
        let watched = connection.usage().watched();
        let updates: Vec<_> =
            watched.into_iter().map(|uri| (connection.usage().watchers(&uri), uri)).collect();
        for (sessions, uri) in updates {
            self.note_updates(&sessions, &uri);
        }
    }

    /// Puts a server on the lists of merged views, or takes it off.
    fn set_listed(&mut self, server: ServerId, listed: bool) {
        if self.offers.is_listed(server) == listed {
            return;
        }
        for kind in ListKind::ALL {
            self.before_relist_merged(server, kind);
        }
        self.offers.set_listed(server, listed);
        for kind in ListKind::ALL {
            self.relist_merged(server, kind);
        }
    }

    /// A list of a connection is another one: the sessions it serves are told if that changes what they are shown.
    fn on_list_changed(&mut self, id: UpstreamId, kind: ListKind, first: bool) {
        self.before_relist(id, kind);
        let Some(connection) = self.servers.get(id) else { return };
        self.offers.take(id, kind, connection.catalog());
        if !first {
            self.relist(id, kind);
        }
    }

    /// Another connection to a server could not be made: its sessions go to another one like it or to the shared one, with
    /// what waits.
    fn move_to_shared(&mut self, id: UpstreamId, calls: Vec<(Key, Vec<u8>)>, fault: &Fault) {
        let Some(connection) = self.servers.get(id) else { return };
        let (server, label) = (connection.server(), connection.label().clone());
        let Some(shared) = self.servers.server(server).map(Server::shared) else { return };
        // Where several serve the same sessions the others go on; only who held on to this one has to move.
        let siblings = self.servers().siblings(id);
        let next = siblings.into_iter().find(|sibling| *sibling != id).unwrap_or(shared);
        let line = if next == shared {
            format!(
                "a second connection could not be made ({fault}): sessions share one, whose server is not told what clients can"
            )
        } else {
            format!("one more connection could not be made ({fault})")
        };
        self.fx.log(Level::Warn, Some(&label), line);
        for key in self.session_keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if session.links.get(&server) == Some(&id) {
                session.links.insert(server, next);
                self.servers().hold(next);
            }
        }
        for (key, body) in calls {
            self.servers().resubmit(key, next, &body);
        }
        self.servers().end_connection(id);
    }
}
