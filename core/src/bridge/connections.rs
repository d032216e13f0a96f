//! Which connection serves a session at a server, and how long a connection is kept.
//!
//! | `sessions` | a client that declares nothing | one with extensions that cannot be asked anything | one that can |
//! |---|---|---|---|
//! | `auto` | the shared connection | one for clients that declare the same | one of its own |
//! | `shared` | the shared connection | one for clients that declare the same | the same; several when calls compete |
//! | `dedicated` | one of its own | one of its own | one of its own |
//!
//! A server is told the capabilities of the clients behind a connection, extensions included, so a connection is never
//! used by clients with others (`bridging` §8). Connections beside the shared one are opened when a session first needs the server;
//! those that have nothing to do fall asleep and start again with the next call. Their number is bounded: beyond it
//! a session goes to the shared connection (`auto`, `shared`) or is told that the server is busy (`dedicated`).
//!
//! Invariants: a dedicated connection ends with its session; a shared one is never touched here.

use super::BridgeMut;
use super::client::ClientState;
use crate::config::Sharing;
use crate::fault::{Code, Fault};
use crate::id::{Key, ServerId, UpstreamId};
use crate::log::Level;
use crate::mcp::{ListKind, Profile};
use crate::servers::usage::{Usage, UsageKind};
use crate::servers::{Connection, Server};

/// How long no other connection to a server is tried after one could not be made.
const ANOTHER_RETRY_MS: u64 = 60_000;

impl BridgeMut<'_> {
    /// The connection that serves a session at a server, opened if it is not there yet.
    ///
    /// # Errors
    /// [`Code::Overloaded`] when the session must have a connection of its own and there are too many,
    /// [`Code::UpstreamLost`] when the server is gone.
    pub(super) fn connection(&mut self, session: Key, server: ServerId) -> Result<UpstreamId, Fault> {
        let gone = || Fault::environment(Code::UpstreamLost, "the server is gone");
        let known = self.servers.server(server).ok_or_else(gone)?;
        let shared = known.shared();
        let Some(client) = self.sessions.get(session) else { return Ok(shared) };
        if let Some(id) = client.links.get(&server) {
            return Ok(*id);
        }
        let (profile, declared, now) = (client.profile, client.declared.clone(), self.fx.mono());
        let sharing = known.config().options.sessions;
        let use_kind = match (sharing, profile.is_empty()) {
            (Sharing::Auto | Sharing::Shared, true) if declared.is_empty() => return Ok(shared),
            (Sharing::Auto | Sharing::Shared, true) => UsageKind::Alike,
            (Sharing::Shared, false) => UsageKind::Interactive,
            (Sharing::Auto, false) | (Sharing::Dedicated, _) => UsageKind::Dedicated(session),
        };
        let was_ready = self.servers.get(shared).is_some_and(Connection::was_ready);
        let has_failed = known.another_failed_at().is_some_and(|at| now.ms_since(at) < ANOTHER_RETRY_MS);
        if !was_ready || (has_failed && sharing != Sharing::Dedicated) {
            return Ok(shared);
        }
        let profile = match use_kind {
            UsageKind::Alike => Profile::default(),
            UsageKind::Interactive => profile.without_roots_changed(),
            UsageKind::Shared | UsageKind::Dedicated(_) => profile,
        };
        let usage = Usage::new(use_kind, profile, declared);
        let alike = match use_kind {
            UsageKind::Interactive | UsageKind::Alike => self.servers().like(server, &usage).first().copied(),
            UsageKind::Shared | UsageKind::Dedicated(_) => None,
        };
        let id = match alike.or_else(|| self.open_another(server, usage)) {
            Some(id) => id,
            None => self.without_another(server)?,
        };
        self.servers().hold(id);
        if let Some(client) = self.sessions.get_mut(session) {
            client.links.insert(server, id);
        }
        // One that others use already may offer something else than the shared one.
        for kind in ListKind::ALL {
            self.relist_for(&[session], kind);
        }
        Ok(id)
    }

    /// The connection for one call of a session: where several serve the same kind of session, one that is free.
    ///
    /// # Errors
    /// As [`BridgeMut::connection`].
    pub(super) fn connection_for_call(
        &mut self,
        session: Key,
        server: ServerId,
    ) -> Result<UpstreamId, Fault> {
        let id = self.connection(session, server)?;
        let Some(upstream) = self.servers.get(id) else { return Ok(id) };
        if upstream.is_free_for(session) {
            return Ok(id);
        }
        let usage = upstream.usage().like();
        let alike = self.servers().siblings(id);
        let mut queues = alike.iter().filter_map(|one| self.servers.get(*one));
        if let Some(free) = queues.find(|one| one.is_free_for(session)) {
            return Ok(free.id());
        }
        if let Some(id) = self.open_another(server, usage) {
            return Ok(id);
        }
        let queues = alike.iter().filter_map(|one| self.servers.get(*one));
        Ok(queues.min_by_key(|one| one.waiting_len()).map_or(id, |one| one.id()))
    }

    /// Opens a connection in addition to the shared one, unless there are enough.
    fn open_another(&mut self, server: ServerId, usage: Usage) -> Option<UpstreamId> {
        let shared = self.servers.server(server)?.shared();
        let id = self.servers().open_another(server, usage)?;
        self.offers.open(id, shared);
        Some(id)
    }

    /// There are as many connections as there may be: the session shares one, if it may.
    fn without_another(&mut self, server: ServerId) -> Result<UpstreamId, Fault> {
        let gone = || Fault::environment(Code::UpstreamLost, "the server is gone");
        let known = self.servers.server(server).ok_or_else(gone)?;
        let (label, shared) = (known.label().clone(), known.shared());
        if known.config().options.sessions == Sharing::Dedicated {
            let detail = format!("server {label} serves as many sessions as it may (see maxSessions)");
            return Err(Fault::local(Code::Overloaded, detail));
        }
        let line = "as many connections as there may be (see maxSessions): a session shares one, whose server is not told what its client can";
        self.fx.log(Level::Warn, Some(&label), line);
        Ok(shared)
    }

    /// Sessions that a connection serves.
    pub(super) fn sessions_on(&mut self, id: UpstreamId) -> Vec<Key> {
        let Some(upstream) = self.servers.get(id) else { return Vec::new() };
        let server = upstream.server();
        let Some(shared) = self.servers.server(server).map(Server::shared) else { return Vec::new() };
        if let UsageKind::Dedicated(session) = upstream.usage().kind {
            return vec![session];
        }
        let siblings = self.servers().siblings(id);
        let is_served = |client: &ClientState| {
            let shows = self.views.get(client.view).is_some_and(|view| view.has(server));
            shows && siblings.contains(&client.links.get(&server).copied().unwrap_or(shared))
        };
        self.sessions.iter().filter(|(_, client)| is_served(client)).map(|(key, _)| key).collect()
    }
}
