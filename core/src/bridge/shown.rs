//! What a session is shown: the greeting, and lists made of what its connections offer.
//!
//! Lists are made when they are asked for ([`super::listing`]) and kept by the session until something they are made of
//! changes. A session with connections of its own is shown what those offer; until they have said so that is what the
//! shared one offers, so that no client waits for a child that may not be needed. Invariant: a session is told of a change if and only if the list that it would get differs from the one it
//! got, or would have got before if it has not asked for it (BR-51).

use super::BridgeMut;
use crate::id::{Key, ServerId, UpstreamId, ViewId};
use crate::json::{self, quote};
use crate::log::Level;
use crate::mcp::{Declared, ListKind, Revision};
use crate::publish::Published;
use crate::servers::Server;
use crate::servers::peer::Peer;
use crate::view::View;
use std::sync::Arc;

impl BridgeMut<'_> {
    /// The `result` of `initialize`: what the servers of a view can do. On the merged endpoint servers come and go, so
    /// there is every kind of list.
    pub(super) fn greeting(&self, id: ViewId, revision: Revision) -> Option<String> {
        let view = self.views.get(id)?;
        let mut capabilities = Vec::new();
        for kind in [ListKind::Tools, ListKind::Prompts, ListKind::Resources] {
            if self.lists(id, kind) {
                let watches = kind == ListKind::Resources && self.offers(id, |peer| peer.subscribe);
                let subscribe = if watches { ",\"subscribe\":true" } else { "" };
                capabilities.push(format!("\"{}\":{{\"listChanged\":true{subscribe}}}", kind.capability()));
            }
        }
        if self.offers(id, |peer| peer.completions) && revision.declares_completions() {
            capabilities.push("\"completions\":{}".to_owned());
        }
        if self.offers(id, |peer| peer.logging) {
            capabilities.push("\"logging\":{}".to_owned());
        }
        // Of one server as it is; of several what they have together.
        let alone = view.members().first().filter(|_| !view.is_merged());
        let peers = view.members().iter().filter_map(|member| self.servers.shared_of(member.server));
        let peers = peers.map(|server| server.peer());
        match (alone, peers.clone().next()) {
            (Some(_), Some(peer)) => capabilities.extend(peer.declared.encode()),
            (Some(_), None) => {}
            (None, _) => capabilities.extend(Declared::union(peers.clone().map(|peer| &peer.declared))),
        }
        let peer = peers.clone().next().filter(|_| alone.is_some());
        let mut info = format!("\"name\":{}", quote(alone.map_or(&self.config.name, |one| &one.config.name)));
        info.push_str(peer.map_or("", |peer| &peer.identity));
        if peer.is_none_or(|peer| peer.version.is_none()) {
            info.push_str(&format!(",\"version\":{}", quote(&self.config.version)));
        }
        let mut greeting = format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{{{}}},\"serverInfo\":{{{info}}}",
            revision.name(),
            capabilities.join(","),
        );
        if let Some(instructions) = self.instructions(id) {
            greeting.push_str(&format!(",\"instructions\":{instructions}"));
        }
        if let Some(meta) = peer.and_then(|peer| peer.meta.as_deref()) {
            greeting.push_str(&format!(",\"_meta\":{meta}"));
        }
        greeting.push('}');
        Some(greeting)
    }

    /// Whether a server of the view has something.
    pub(super) fn offers(&self, id: ViewId, has: impl Fn(&Peer) -> bool) -> bool {
        self.views.get(id).is_some_and(|view| {
            let mut peers = view.members().iter().filter_map(|member| self.servers.shared_of(member.server));
            peers.any(|server| has(server.peer()))
        })
    }

    /// Whether there is this kind of list: on the merged endpoint always, since a server that has it may come. Those of
    /// an extension are only asked for where it is declared.
    pub(super) fn lists(&self, id: ViewId, kind: ListKind) -> bool {
        self.views.get(id).is_some_and(|view| view.is_merged() && kind != ListKind::Skills)
            || self.offers(id, |peer| peer.has(kind))
    }

    /// The instructions of one server as they are, of several under their names: a JSON string.
    fn instructions(&self, id: ViewId) -> Option<String> {
        let view = self.views.get(id)?;
        let servers = view.members().iter().filter_map(|member| self.servers.shared_of(member.server));
        let mut said = servers.filter_map(|server| Some((server, server.peer().instructions.as_deref()?)));
        if !view.is_merged() {
            return said.next().map(|(_, text)| String::from_utf8_lossy(text).into_owned());
        }
        let parts: Vec<String> = said
            .filter_map(|(server, text)| {
                Some(format!("## {}\n\n{}", server.label(), json::unquote(text)?.trim()))
            })
            .collect();
        (!parts.is_empty()).then(|| quote(&parts.join("\n\n")))
    }

    /// The list a session is shown, made of what its connections offer.
    pub(super) fn shown(&mut self, key: Key, kind: ListKind) -> Option<Arc<Published>> {
        let session = self.sessions.get_mut(key)?;
        if let Some(shown) = session.shown.get(kind.index())?.clone() {
            return Some(shown);
        }
        let view = self.views.get_mut(session.view)?;
        let merged = view.is_merged();
        let (offers, servers) = (&*self.offers, &*self.servers);
        let catalogs = view.members().iter().map(|member| {
            let shared = servers.server(member.server).map(Server::shared);
            let link = session.links.get(&member.server).copied().or(shared);
            (offers.of(link, shared), offers.is_listed(member.server) || !merged)
        });
        let catalogs: Vec<_> = catalogs.collect();
        let lists: Vec<_> = catalogs.iter().map(|(catalog, listed)| (catalog.list(kind), *listed)).collect();
        let pages = view.pages(&catalogs.iter().map(|(catalog, _)| *catalog).collect::<Vec<_>>());
        let (published, fresh) = view.publish(kind, &lists, pages);
        if let Some(slot) = session.shown.get_mut(kind.index()) {
            *slot = Some(published.clone());
        }
        if fresh {
            for line in &published.hidden {
                self.fx.log(Level::Warn, None, line.clone());
            }
        }
        Some(published)
    }

    /// What a connection offers is about to change: what the sessions it serves would be shown is remembered.
    pub(super) fn before_relist(&mut self, id: UpstreamId, kind: ListKind) {
        for key in self.sessions_on(id) {
            self.remember_shown(key, kind);
            if let Some(other) = kind.shares_pages().filter(|_| self.is_merged(key)) {
                self.remember_shown(key, other);
            }
        }
    }

    pub(super) fn is_merged(&self, key: Key) -> bool {
        let view = self.sessions.get(key).map(|session| session.view);
        view.and_then(|view| self.views.get(view)).is_some_and(View::is_merged)
    }

    /// A server is about to come or go.
    pub(super) fn before_relist_merged(&mut self, server: ServerId, kind: ListKind) {
        for key in self.sessions_merged(server) {
            self.remember_shown(key, kind);
        }
    }

    fn remember_shown(&mut self, key: Key, kind: ListKind) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        // Who waits for a list gets the new one, and so does who was not greeted yet.
        let greeted = session.opened && session.greeting.is_none();
        if greeted && !session.waiting_lists.iter().any(|list| list.kind == kind) {
            self.shown(key, kind);
        }
    }

    /// What a connection offers has changed: the sessions it serves are told if that changes what they are shown.
    pub(super) fn relist(&mut self, id: UpstreamId, kind: ListKind) {
        let mut sessions = self.sessions_on(id);
        self.relist_for(&sessions, kind);
        if let Some(other) = kind.shares_pages() {
            sessions.retain(|key| self.is_merged(*key));
            self.relist_for(&sessions, other);
        }
    }

    /// A server came or went, which changes merged lists, whatever connection a session has to it.
    pub(super) fn relist_merged(&mut self, server: ServerId, kind: ListKind) {
        let sessions = self.sessions_merged(server);
        self.relist_for(&sessions, kind);
    }

    /// The sessions that see a server among others.
    fn sessions_merged(&self, server: ServerId) -> Vec<Key> {
        let mut sessions = self.session_keys();
        sessions.retain(|key| {
            let view = self.sessions.get(*key).and_then(|session| self.views.get(session.view));
            view.is_some_and(|view| view.is_merged() && view.has(server))
        });
        sessions
    }

    /// What these sessions are shown may have changed: they are told if it has.
    pub(super) fn relist_for(&mut self, sessions: &[Key], kind: ListKind) {
        // Sessions of one view mostly go from the same list to the same other one.
        let mut last: Option<(Arc<Published>, Arc<Published>, bool)> = None;
        for key in sessions.iter().copied() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let Some(old) = session.shown.get_mut(kind.index()).and_then(Option::take) else { continue };
            let Some(new) = self.shown(key, kind) else { continue };
            let changed = match &last {
                Some((from, to, changed)) if Arc::ptr_eq(&old, from) && Arc::ptr_eq(&new, to) => *changed,
                Some(_) | None => old.encoded != new.encoded,
            };
            last = Some((old, new, changed));
            if changed && let Some(session) = self.sessions.get_mut(key) {
                session.note_change(kind);
                self.changed.push_back(key);
            }
        }
    }
}
