//! What a server says without being asked: log messages, changed resources, a finished errand at a URL; what a client
//! says of its roots; and what both say in the words of an extension.
//!
//! Each goes to those it concerns and nobody else (`bridging` §6): a log message to the session whose call caused it,
//! if that session wants its level; an update to who watches the resource; the end of an elicitation to who was sent
//! to its URL; a notification of an extension to the session of its call, or to all clients of the server's own endpoint
//! when no call runs that it could belong to. What concerns nobody for certain ends here.

use super::BridgeMut;
use crate::clients::{Message, Role};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Envelope, Pieces};
use crate::jsonrpc;
use crate::log::Level;
use crate::mcp::LogLevel;
use crate::servers::{Cause, Phase, Said, Server};
use crate::view::View;

/// What is let through where nobody has said what is wanted, but the server was told a level for others.
const DEFAULT_LEVEL: LogLevel = LogLevel::Info;

impl BridgeMut<'_> {
    /// `notifications/message` (2025-11-25 server/utilities/logging).
    pub(super) fn on_log_message(&mut self, said: &Said) {
        let Said { id, named, ref text, ref envelope, .. } = *said;
        let Some(params) = envelope.params else { return };
        let level = json::member(text, params, "level").ok().flatten();
        let level = level.and_then(|span| json::unquote(span.of(text)));
        let Some(level) = level.and_then(|name| LogLevel::from_name(&name)) else { return };
        let cause = self.cause(said).filter(|cause| {
            // On a channel of many, also calls that lead to no question may speak.
            let upstream = self.servers.get(id).filter(|upstream| !named && upstream.is_gated());
            upstream.is_none_or(|upstream| upstream.running().is_sole(cause.session))
        });
        let Some(cause) = cause else {
            // For the operator, and without its text, which may hold what is somebody's.
            if let Some(upstream) = self.servers.get(id) {
                let line = format!("a log message ({}) belongs to no single call", level.name());
                self.fx.log(Level::Debug, Some(upstream.label()), line);
            }
            return;
        };
        let told = self.servers.get(id).and_then(|upstream| upstream.usage().level);
        let Some(session) = self.sessions.get(cause.session) else { return };
        let wanted = session.level.or_else(|| told.map(|_| DEFAULT_LEVEL));
        if wanted.is_none_or(|wanted| level >= wanted) {
            self.pass_on(cause, envelope, text);
        }
    }

    /// Hands a notification on as it is, on the stream of its call if there is one.
    fn pass_on(&mut self, cause: Cause, envelope: &Envelope, text: &[u8]) {
        let wanted = cause.call.map(|(_, stream)| stream);
        let Some(requester) = self.clients.stream_for(cause.session, wanted) else { return };
        self.clients.deliver(self.fx, requester, &Pieces::splice(text, envelope.newlines, &[]), Role::Note);
    }

    /// `notifications/resources/updated`.
    pub(super) fn on_resource_updated(&mut self, said: &Said) {
        let Said { id, ref text, ref envelope, .. } = *said;
        let Some(params) = envelope.params else { return };
        let uri = json::member(text, params, "uri").ok().flatten();
        let uri = uri.and_then(|span| json::unquote(span.of(text)));
        let Some(uri) = uri.filter(|uri| uri.len() <= self.fx.limits.uri_bytes_max) else { return };
        let Some(upstream) = self.servers.get(id) else { return };
        // Nobody was to know that there is something of this name.
        if upstream.config().filters.resources.admits(&uri) {
            self.note_updates(&upstream.usage().watchers(&uri), &uri);
        }
    }

    /// Notes an update for sessions; it is told in a moment, once.
    pub(super) fn note_updates(&mut self, sessions: &[Key], uri: &str) {
        for key in sessions {
            if let Some(session) = self.sessions.get_mut(*key) {
                session.note_update(uri);
                self.changed.push_back(*key);
            }
        }
    }

    /// `notifications/elicitation/complete` (2025-11-25).
    pub(super) fn on_elicited(&mut self, said: &Said) {
        let Said { id, ref text, ref envelope, .. } = *said;
        let Some(params) = envelope.params else { return };
        let Ok(Some(elicitation)) = json::member(text, params, "elicitationId") else { return };
        let Some(session) = self.servers().came_back(id, elicitation.of(text)) else { return };
        if self.sessions.get(session).is_some_and(|known| known.revision.ends_elicitations()) {
            self.pass_on(Cause { session, call: None }, envelope, text);
        }
    }

    /// A notification of an extension.
    pub(super) fn on_foreign_note(&mut self, said: &Said) {
        let Said { id, named, ref text, ref envelope, .. } = *said;
        let cause = self.cause(said);
        let Some(upstream) = self.servers.get(id) else { return };
        // On a channel of many nothing tells whose it is while calls of several run.
        let quiet = upstream.running().is_idle() || !upstream.has_one_channel();
        let label = upstream.label().clone();
        let sessions = self.sessions_on(id);
        let alone = match sessions.as_slice() {
            [one] => self.servers.get(id).is_some_and(|up| !up.running().has_abandoned_of_others(*one)),
            _ => false,
        };
        let causes: Vec<Cause> = match cause {
            Some(cause) => vec![cause],
            None if !named && (quiet || alone) => {
                sessions.into_iter().map(|session| Cause { session, call: None }).collect()
            }
            None => {
                self.fx.log(Level::Debug, Some(&label), "a notification belongs to no single call");
                return;
            }
        };
        for cause in causes {
            let ready = self.sessions.get(cause.session).filter(|session| session.ready);
            let view = ready.map(|session| session.view);
            if view.and_then(|view| self.views.get(view)).is_some_and(|view| !view.is_merged()) {
                self.pass_on(cause, envelope, text);
            }
        }
    }

    /// The same of a client: for the server of its endpoint.
    pub(super) fn on_client_foreign_note(&mut self, message: &Message) {
        let session = message.session();
        let Some(known) = self.sessions.get(session).filter(|client| client.opened) else { return };
        let Some(server) = self.views.get(known.view).and_then(View::alone) else { return };
        let Ok(id) = self.connection(session, server) else { return };
        let newlines = message.envelope().newlines;
        self.servers().notify_later(id, &Pieces::splice(message.text(), newlines, &[]));
    }

    /// `notifications/roots/list_changed` of a client: for the servers that have it to themselves.
    pub(super) fn on_roots_changed(&mut self, message: &Message) {
        let client = self.sessions.get(message.session());
        let Some(links) = client.map(|client| client.links.clone()) else { return };
        for id in links.into_values() {
            let Some(upstream) = self.servers.get(id) else { continue };
            if upstream.usage().profile.roots_changed() && upstream.phase() == Phase::Ready {
                let text = jsonrpc::notification("notifications/roots/list_changed", "");
                self.servers().notify(id, &Pieces::of(&[text.as_bytes()]));
            }
        }
    }

    /// A session set its log level: its servers are told if that is more than others want.
    pub(super) fn set_level(&mut self, session: Key, level: LogLevel) {
        let Some(known) = self.sessions.get_mut(session) else { return };
        known.level = Some(level);
        // A connection that is opened later is told when it is there.
        for server in self.servers_seen(session) {
            let link = self.sessions.get(session).and_then(|client| client.links.get(&server).copied());
            let Some(id) = link.or_else(|| self.servers.server(server).map(Server::shared)) else { continue };
            for id in self.servers().siblings(id) {
                self.tell_level(id);
            }
        }
    }

    /// Tells a server the most verbose level that anybody behind this connection wants.
    pub(super) fn tell_level(&mut self, id: UpstreamId) {
        if !self
            .servers
            .get(id)
            .is_some_and(|upstream| upstream.peer().logging && upstream.phase() == Phase::Ready)
        {
            return;
        }
        let sessions = self.sessions_on(id);
        let levels =
            sessions.iter().filter_map(|key| self.sessions.get(*key).and_then(|session| session.level));
        if let Some(level) = levels.min() {
            self.servers().set_level(id, level);
        }
    }
}
