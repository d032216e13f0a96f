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
use crate::id::{Key, UpstreamId};
use crate::log::Level;
use crate::mcp::{ListKind, Profile};
use crate::servers::tenants::{Tenancy, Tenants};

/// How long no other connection to a server is tried after one could not be made.
const LANE_RETRY_MS: u64 = 60_000;

impl BridgeMut<'_> {
    /// The connection that serves a session at the server of `home`, opened if it is not there yet.
    ///
    /// # Errors
    /// [`Code::Overloaded`] when the session must have a connection of its own and there are too many.
    pub(super) fn seat(&mut self, session: Key, home: UpstreamId) -> Result<UpstreamId, Fault> {
        let Some(known) = self.sessions.get_mut(session) else { return Ok(home) };
        if let Some(id) = known.links.get(&home) {
            return Ok(*id);
        }
        let (profile, declared, now) = (known.profile, known.declared.clone(), self.fx.mono());
        let Some(server) = self.servers.get(home) else { return Ok(home) };
        let tenancy = match (server.config().options.sessions, profile.is_empty()) {
            (Sharing::Auto | Sharing::Shared, true) if declared.is_empty() => return Ok(home),
            (Sharing::Auto | Sharing::Shared, true) => Tenancy::Alike,
            (Sharing::Shared, false) => Tenancy::Interactive,
            (Sharing::Auto, false) | (Sharing::Dedicated, _) => Tenancy::Dedicated(session),
        };
        let refused = server.lane_failed_at().is_some_and(|at| now.ms_since(at) < LANE_RETRY_MS);
        if !server.was_ready() || (refused && server.config().options.sessions != Sharing::Dedicated) {
            return Ok(home);
        }
        let profile = match tenancy {
            Tenancy::Alike => Profile::default(),
            Tenancy::Interactive => profile.without_roots_changed(),
            Tenancy::Shared | Tenancy::Dedicated(_) => profile,
        };
        let tenants = Tenants::new(tenancy, profile, declared);
        let known = match tenancy {
            Tenancy::Interactive | Tenancy::Alike => self.servers().lanes_of(home, &tenants).first().copied(),
            Tenancy::Shared | Tenancy::Dedicated(_) => None,
        };
        let id = match known {
            Some(id) => id,
            None => match self.open_lane(home, tenants) {
                Some(id) => id,
                None => self.without_lane(home)?,
            },
        };
        self.servers().hold(id);
        if let Some(known) = self.sessions.get_mut(session) {
            known.links.insert(home, id);
        }
        // One that others use already may offer something else than the shared one.
        for kind in ListKind::ALL {
            self.relist_for(&[session], kind);
        }
        Ok(id)
    }

    /// The connection for one call of a session: where several serve the same kind of session, one that is free.
    pub(super) fn seat_for_call(&mut self, session: Key, home: UpstreamId) -> Result<UpstreamId, Fault> {
        let id = self.seat(session, home)?;
        let Some(upstream) = self.servers.get(id) else { return Ok(id) };
        if upstream.is_free_for(session) {
            return Ok(id);
        }
        let tenants = upstream.tenants().like();
        let lanes = self.servers().siblings(id);
        let mut queues = lanes.iter().filter_map(|lane| self.servers.get(*lane));
        if let Some(free) = queues.find(|lane| lane.is_free_for(session)) {
            return Ok(free.id());
        }
        if let Some(id) = self.open_lane(home, tenants) {
            return Ok(id);
        }
        let queues = lanes.iter().filter_map(|lane| self.servers.get(*lane));
        Ok(queues.min_by_key(|lane| lane.waiting_len()).map_or(id, |lane| lane.id()))
    }

    /// Opens a connection beside the shared one, unless there are enough.
    fn open_lane(&mut self, home: UpstreamId, tenants: Tenants) -> Option<UpstreamId> {
        let id = self.servers().open_lane(home, tenants)?;
        self.offers.open(id, home);
        Some(id)
    }

    /// There are as many connections as there may be.
    fn without_lane(&mut self, home: UpstreamId) -> Result<UpstreamId, Fault> {
        let Some(server) = self.servers.get(home) else { return Ok(home) };
        let label = server.label().clone();
        if server.config().options.sessions == Sharing::Dedicated {
            let detail = format!("server {label} serves as many sessions as it may (see maxSessions)");
            return Err(Fault::local(Code::Overloaded, detail));
        }
        let line = "as many connections as there may be (see maxSessions): a session shares one, whose server is not told what its client can";
        self.fx.log(Level::Warn, Some(&label), line);
        Ok(home)
    }

    /// Sessions that a connection serves.
    pub(super) fn sessions_on(&mut self, id: UpstreamId) -> Vec<Key> {
        let Some(upstream) = self.servers.get(id) else { return Vec::new() };
        let home = upstream.home();
        if let Tenancy::Dedicated(session) = upstream.tenants().tenancy {
            return vec![session];
        }
        let siblings = self.servers().siblings(id);
        let is_served = |client: &ClientState| {
            let shows = self.views.get(client.view).is_some_and(|view| view.has(home));
            shows && siblings.contains(&client.links.get(&home).copied().unwrap_or(home))
        };
        self.sessions.iter().filter(|(_, client)| is_served(client)).map(|(key, _)| key).collect()
    }
}
