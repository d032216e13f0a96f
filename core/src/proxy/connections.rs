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

use super::{Proxy, Stage};
use crate::config::Sharing;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::log::Level;
use crate::mcp::{ListKind, Profile};
use crate::timer::TimerKind;
use crate::upstream::Phase;
use crate::upstream::tenants::{Tenancy, Tenants};

/// How long no other connection to a server is tried after one could not be made.
const LANE_RETRY_MS: u64 = 60_000;

impl Proxy {
    /// The connection that serves a session at the server of `home`, opened if it is not there yet.
    ///
    /// # Errors
    /// [`Code::Overloaded`] when the session must have a connection of its own and there are too many.
    pub(super) fn seat(&mut self, session: Key, home: UpstreamId) -> Result<UpstreamId, Fault> {
        let Some(known) = self.down.session(session) else { return Ok(home) };
        if let Some(id) = known.links.get(&home) {
            return Ok(*id);
        }
        let (profile, declared, now) = (known.profile, known.declared.clone(), self.fx.mono());
        let Some(server) = self.upstreams.get(home) else { return Ok(home) };
        let tenancy = match (server.config.options.sessions, profile.is_empty()) {
            (Sharing::Auto | Sharing::Shared, true) if declared.is_empty() => return Ok(home),
            (Sharing::Auto | Sharing::Shared, true) => Tenancy::Alike,
            (Sharing::Shared, false) => Tenancy::Interactive,
            (Sharing::Auto, false) | (Sharing::Dedicated, _) => Tenancy::Dedicated(session),
        };
        let refused = server.lane_failed_at.is_some_and(|at| now.ms_since(at) < LANE_RETRY_MS);
        if !server.was_ready || (refused && server.config.options.sessions != Sharing::Dedicated) {
            return Ok(home);
        }
        let profile = match tenancy {
            Tenancy::Alike => Profile::default(),
            Tenancy::Interactive => profile.without_roots_changed(),
            Tenancy::Shared | Tenancy::Dedicated(_) => profile,
        };
        let tenants = Tenants::new(tenancy, profile, declared);
        let known = match tenancy {
            Tenancy::Interactive | Tenancy::Alike => self.lanes_of(home, &tenants).first().copied(),
            Tenancy::Shared | Tenancy::Dedicated(_) => None,
        };
        let id = match known {
            Some(id) => id,
            None => match self.open_lane(home, tenants) {
                Some(id) => id,
                None => self.without_lane(home)?,
            },
        };
        if let Some(upstream) = self.upstreams.get_mut(id).filter(|upstream| upstream.id != home) {
            upstream.tenants.users += 1;
        }
        if let Some(known) = self.down.session(session) {
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
        let Some(upstream) = self.upstreams.get(id) else { return Ok(id) };
        if upstream.is_free_for(session) {
            return Ok(id);
        }
        let tenants = upstream.tenants.like();
        let lanes = self.siblings(id);
        let mut queues = lanes.iter().filter_map(|lane| self.upstreams.get(*lane));
        if let Some(free) = queues.find(|lane| lane.is_free_for(session)) {
            return Ok(free.id);
        }
        if let Some(id) = self.open_lane(home, tenants) {
            return Ok(id);
        }
        let queues = lanes.iter().filter_map(|lane| self.upstreams.get(*lane));
        Ok(queues.min_by_key(|lane| lane.waiting_len()).map_or(id, |lane| lane.id))
    }

    /// The connections of a server that are like this one.
    fn lanes_of(&self, home: UpstreamId, like: &Tenants) -> Vec<UpstreamId> {
        let Some(server) = self.upstreams.get(home) else { return Vec::new() };
        let fits = |id: &&UpstreamId| {
            self.upstreams.get(**id).is_some_and(|lane| {
                lane.tenants.tenancy == like.tenancy
                    && lane.tenants.profile == like.profile
                    && lane.tenants.declared == like.declared
                    && lane.phase != Phase::Stopped
            })
        };
        server.lanes.iter().filter(fits).copied().collect()
    }

    /// A connection and those that serve the same sessions.
    pub(super) fn siblings(&self, id: UpstreamId) -> Vec<UpstreamId> {
        match self.upstreams.get(id) {
            Some(upstream) if upstream.tenants.tenancy == Tenancy::Interactive => {
                self.lanes_of(upstream.home, &upstream.tenants)
            }
            _ => vec![id],
        }
    }

    /// Opens a connection beside the shared one, unless there are enough.
    fn open_lane(&mut self, home: UpstreamId, tenants: Tenants) -> Option<UpstreamId> {
        let server = self.upstreams.get(home).filter(|_| self.stage == Stage::Serving)?;
        let shared = server.config.options.sessions == Sharing::Shared;
        let default = if shared { self.fx.limits.shared_lanes_max } else { self.fx.limits.lanes_max };
        let max = server.config.options.sessions_max.map_or(default, |max| max as usize);
        if server.lanes.len() >= max {
            return None;
        }
        let (catalog, peer) = (server.catalog.clone(), server.peer.clone());
        let id = self.upstreams.open(home, tenants)?;
        if let Some(lane) = self.upstreams.get_mut(id) {
            // What it will most likely offer, until it says so itself.
            lane.catalog = catalog;
            lane.peer = peer;
            lane.used_at = self.fx.mono();
        }
        self.start_server(id);
        self.watch_lane(id);
        Some(id)
    }

    /// There are as many connections as there may be.
    fn without_lane(&mut self, home: UpstreamId) -> Result<UpstreamId, Fault> {
        let Some(server) = self.upstreams.get(home) else { return Ok(home) };
        let label = server.label.clone();
        if server.config.options.sessions == Sharing::Dedicated {
            let detail = format!("server {label} serves as many sessions as it may (see maxSessions)");
            return Err(Fault::local(Code::Overloaded, detail));
        }
        let line = "as many connections as there may be (see maxSessions): a session shares one, whose server is not told what its client can";
        self.fx.log(Level::Warn, Some(&label), line);
        Ok(home)
    }

    /// Somebody needs a connection: one that sleeps, or is left alone after too many failures, is tried now.
    pub(super) fn wake(&mut self, id: UpstreamId) {
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        if upstream.phase == Phase::Asleep {
            upstream.enter(&self.fx, Phase::Down);
            self.start_server(id);
            self.watch_lane(id);
        } else if upstream.phase == Phase::Down
            && upstream.is_suspended(&self.fx)
            && upstream.may_be_tried(&self.fx)
        {
            self.start_server(id);
        }
    }

    fn watch_lane(&mut self, id: UpstreamId) {
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        let wait = self.fx.limits.lane_idle_ms;
        let wait = upstream.config.options.idle_ms.map_or(wait, |ms| ms.min(wait));
        if let Some(timer) = upstream.idle.take() {
            self.fx.timers.cancel(timer);
        }
        upstream.idle = Some(self.fx.after(wait, TimerKind::Idle, id.0));
    }

    /// Looks whether a connection is still needed. One that no call has used holds nothing that could be lost; of the
    /// others nobody but `idleSeconds` can say so.
    pub(super) fn on_idle_timer(&mut self, id: UpstreamId) {
        let now = self.fx.mono();
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        match upstream.phase {
            Phase::Asleep if upstream.tenants.users == 0 => return self.end_lane(id),
            Phase::Asleep | Phase::Stopped => return,
            Phase::Down | Phase::Starting | Phase::Handshake | Phase::Listing | Phase::Ready => {}
        }
        let (idle_ms, default) = (upstream.config.options.idle_ms, self.fx.limits.lane_idle_ms);
        let held = upstream.tenants.users > 0;
        let limit = match (held, upstream.has_served) {
            (true, true) => idle_ms,
            (true, false) | (false, _) => Some(idle_ms.unwrap_or(default)),
        };
        let idle = limit.is_some_and(|ms| now.ms_since(upstream.used_at) >= ms) && upstream.is_idle();
        if !idle {
            return self.watch_lane(id);
        }
        if !held {
            return self.end_lane(id);
        }
        upstream.lost(&self.fx);
        upstream.enter(&self.fx, Phase::Asleep);
        self.fx.log(
            Level::Debug,
            Some(&upstream.label),
            "a connection of a session has nothing to do and is stopped",
        );
        self.hang_up(id);
    }

    /// A session lets go of its connections.
    pub(super) fn leave(&mut self, links: impl Iterator<Item = UpstreamId>) {
        for id in links {
            let now = self.fx.mono();
            let Some(upstream) = self.upstreams.get_mut(id) else { continue };
            match upstream.tenants.tenancy {
                Tenancy::Shared => {}
                Tenancy::Dedicated(_) => self.end_lane(id),
                Tenancy::Interactive | Tenancy::Alike => {
                    upstream.tenants.users = upstream.tenants.users.saturating_sub(1);
                    upstream.used_at = now;
                    if upstream.phase == Phase::Asleep && upstream.tenants.users == 0 {
                        self.end_lane(id);
                    }
                }
            }
        }
    }

    /// Ends a connection that serves nobody any more.
    pub(super) fn end_lane(&mut self, id: UpstreamId) {
        self.stop_server(id);
        self.drop_own_calls(id);
        self.check_gone(id);
    }

    /// Ends what connects to the server; the rest is kept.
    fn hang_up(&mut self, id: UpstreamId) {
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        upstream.disarm(&mut self.fx);
        if let Some(child) = upstream.link.child().and_then(|link| link.child.as_mut()) {
            child.stop(&mut self.fx);
        }
        if let Some(link) = upstream.link.http() {
            link.finish(&mut self.fx);
        }
        self.drop_own_calls(id);
    }

    /// Calls of other sessions wait for a connection that is kept only because of cancelled calls: a server that
    /// starts anew asks nothing for their sake.
    pub(super) fn renew_haunted(&mut self, id: UpstreamId) {
        if self.upstreams.get(id).is_some_and(|upstream| {
            upstream.phase == Phase::Ready && upstream.running.is_haunted() && upstream.keeps_others_waiting()
        }) {
            self.renew_lane(id);
        }
    }

    fn renew_lane(&mut self, id: UpstreamId) {
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        self.fx.log(Level::Debug, Some(&upstream.label), "a connection is made anew after a cancelled call");
        upstream.lost(&self.fx);
        let lost = format!("server {} is started anew after a cancelled call", upstream.label);
        self.drop_questions(id);
        self.hang_up(id);
        // Nothing that could ask, but a completion, say, may run there.
        self.fail_sent(id, &Fault::environment(Code::UpstreamLost, lost));
        let wanted = self.upstreams.get(id).is_some_and(|upstream| upstream.is_wanted());
        if wanted {
            self.start_server(id);
        } else if let Some(upstream) = self.upstreams.get_mut(id) {
            upstream.enter(&self.fx, Phase::Asleep);
        }
    }

    /// A connection for a session could not even be made once, though the shared one could: a server that can run only
    /// once, say. Its sessions go to another one like it or to the shared one, with what waits, unless they must not.
    /// Returns whether they did.
    pub(super) fn move_to_shared(&mut self, id: UpstreamId, fault: &Fault) -> bool {
        let now = self.fx.mono();
        let Some(lane) = self.upstreams.get_mut(id) else { return false };
        if lane.config.options.sessions == Sharing::Dedicated {
            return false;
        }
        lane.was_tried = true;
        let (server, label) = (lane.home, lane.label.clone());
        let mut calls = Vec::new();
        while let Some(call) = lane.take_waiting() {
            calls.push(call);
        }
        if let Some(shared) = self.upstreams.get_mut(server) {
            shared.lane_failed_at = Some(now);
        }
        // Where several serve the same sessions the others go on; only who held on to this one has to move.
        let home = self.siblings(id).into_iter().find(|sibling| *sibling != id).unwrap_or(server);
        let line = if home == server {
            format!(
                "a second connection could not be made ({fault}): sessions share one, whose server is not told what clients can"
            )
        } else {
            format!("one more connection could not be made ({fault})")
        };
        self.fx.log(Level::Warn, Some(&label), line);
        let mut sessions = self.down.session_keys();
        sessions.retain(|key| {
            self.down.session(*key).is_some_and(|session| session.links.get(&server) == Some(&id))
        });
        for session in &sessions {
            if let Some(session) = self.down.session(*session) {
                session.links.insert(server, home);
            }
            if let Some(lane) = self.upstreams.get_mut(home).filter(|lane| lane.id != server) {
                lane.tenants.users += 1;
            }
        }
        for (key, body) in calls {
            self.resubmit(key, home, &body);
        }
        self.end_lane(id);
        true
    }

    /// Forgets a connection beside the shared one when nothing of it is left.
    pub(super) fn check_gone(&mut self, id: UpstreamId) {
        if let Some(upstream) = self.upstreams.get_mut(id)
            && upstream.phase == Phase::Stopped
            && upstream.tenants.tenancy != Tenancy::Shared
            && !upstream.is_ending()
        {
            let timers = [upstream.refresh.take(), upstream.away.take(), upstream.idle.take()];
            for timer in timers.into_iter().flatten() {
                self.fx.timers.cancel(timer);
            }
            let home = upstream.home;
            self.mux.forgive(id, home);
            self.upstreams.remove(id);
        }
        self.check_ended();
    }

    /// Sessions that a connection serves.
    pub(super) fn sessions_on(&mut self, id: UpstreamId) -> Vec<Key> {
        let Some(upstream) = self.upstreams.get(id) else { return Vec::new() };
        let home = upstream.home;
        if let Tenancy::Dedicated(session) = upstream.tenants.tenancy {
            return vec![session];
        }
        let siblings = self.siblings(id);
        let mut keys = self.down.session_keys();
        keys.retain(|key| {
            let Some(session) = self.down.session(*key) else { return false };
            let shows = self.views.get(session.view).is_some_and(|view| view.has(home));
            shows && siblings.contains(&session.links.get(&home).copied().unwrap_or(home))
        });
        keys
    }
}
