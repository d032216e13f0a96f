//! Connections beside the shared one: opened for sessions, kept as long as they are needed.
//!
//! Those that have nothing to do fall asleep and start again with the next call. Invariants: a dedicated connection ends
//! with its session; a shared one is never touched here.

use super::ServersMut;
use super::connection::Phase;
use super::event::ServerEvent;
use super::usage::{Usage, UsageKind};
use crate::config::Sharing;
use crate::fault::{Code, Fault};
use crate::id::{ServerId, UpstreamId};
use crate::log::Level;
use crate::timer::ServerTimer;

impl ServersMut<'_> {
    /// The connections of a server that are like this one.
    pub(crate) fn like(&self, server: ServerId, like: &Usage) -> Vec<UpstreamId> {
        let Some(server) = self.conns.server(server) else { return Vec::new() };
        let fits = |id: &&UpstreamId| {
            self.conns.get(**id).is_some_and(|other| {
                other.usage.kind == like.kind
                    && other.usage.profile == like.profile
                    && other.usage.declared == like.declared
                    && other.phase != Phase::Stopped
            })
        };
        server.others().iter().filter(fits).copied().collect()
    }

    /// A connection and those that serve the same sessions.
    pub(crate) fn siblings(&self, id: UpstreamId) -> Vec<UpstreamId> {
        match self.conns.get(id) {
            Some(upstream) if upstream.usage.kind == UsageKind::Interactive => {
                self.like(upstream.server, &upstream.usage)
            }
            _ => vec![id],
        }
    }

    /// Opens a connection beside the shared one, unless there are enough.
    pub(crate) fn open_another(&mut self, server: ServerId, usage: Usage) -> Option<UpstreamId> {
        let known = self.conns.server(server).filter(|_| !*self.stopping)?;
        let options = &known.config().options;
        let is_shared = options.sessions == Sharing::Shared;
        let default =
            if is_shared { self.fx.limits.shared_server_conns_max } else { self.fx.limits.server_conns_max };
        let max = options.sessions_max.map_or(default, |max| max as usize);
        if known.others().len() >= max {
            return None;
        }
        let shared = self.conns.shared_of(server)?;
        let (catalog, peer) = (shared.catalog.clone(), shared.peer.clone());
        let id = self.conns.open(server, usage)?;
        if let Some(other) = self.conns.get_mut(id) {
            // What it will most likely offer, until it says so itself.
            other.catalog = catalog;
            other.peer = peer;
            other.used_at = self.fx.mono();
        }
        self.start_server(id);
        self.watch_idle(id);
        Some(id)
    }

    /// Somebody needs a connection: one that sleeps, or is left alone after too many failures, is tried now.
    pub(crate) fn wake(&mut self, id: UpstreamId) {
        let Some(upstream) = self.conns.get_mut(id) else { return };
        if upstream.phase == Phase::Asleep {
            upstream.enter(self.fx, Phase::Down);
            self.start_server(id);
            self.watch_idle(id);
        } else if upstream.phase == Phase::Down
            && upstream.is_suspended(self.fx)
            && upstream.may_be_tried(self.fx)
        {
            self.start_server(id);
        }
    }

    fn watch_idle(&mut self, id: UpstreamId) {
        let Some(upstream) = self.conns.get_mut(id) else { return };
        let wait = self.fx.limits.server_conn_idle_ms;
        let wait = upstream.config.options.idle_ms.map_or(wait, |ms| ms.min(wait));
        if let Some(timer) = upstream.idle.take() {
            self.fx.timers.cancel(timer);
        }
        upstream.idle = Some(self.fx.after(wait, ServerTimer::Idle, id.0));
    }

    /// Looks whether a connection is still needed. One that no call has used holds nothing that could be lost; of the
    /// others nobody but `idleSeconds` can say so.
    pub(super) fn on_idle_timer(&mut self, id: UpstreamId) {
        let now = self.fx.mono();
        let Some(upstream) = self.conns.get_mut(id) else { return };
        match upstream.phase {
            Phase::Asleep if upstream.usage.users == 0 => return self.end_connection(id),
            Phase::Asleep | Phase::Stopped => return,
            Phase::Down | Phase::Starting | Phase::Handshake | Phase::Listing | Phase::Ready => {}
        }
        let (idle_ms, default) = (upstream.config.options.idle_ms, self.fx.limits.server_conn_idle_ms);
        let held = upstream.usage.users > 0;
        let limit = match (held, upstream.has_served) {
            (true, true) => idle_ms,
            (true, false) | (false, _) => Some(idle_ms.unwrap_or(default)),
        };
        let idle = limit.is_some_and(|ms| now.ms_since(upstream.used_at) >= ms) && upstream.is_idle();
        if !idle {
            return self.watch_idle(id);
        }
        if !held {
            return self.end_connection(id);
        }
        upstream.lost(self.fx);
        upstream.enter(self.fx, Phase::Asleep);
        self.fx.log(
            Level::Debug,
            Some(&upstream.label),
            "a connection of a session has nothing to do and is stopped",
        );
        self.hang_up(id);
    }

    /// A session holds on to a connection that others may use as well.
    pub(crate) fn hold(&mut self, id: UpstreamId) {
        if let Some(upstream) =
            self.conns.get_mut(id).filter(|upstream| upstream.usage.kind != UsageKind::Shared)
        {
            upstream.usage.users += 1;
        }
    }

    /// A session lets go of a connection.
    pub(crate) fn leave(&mut self, id: UpstreamId) {
        let Some(upstream) = self.conns.get_mut(id) else { return };
        match upstream.usage.kind {
            UsageKind::Shared => {}
            UsageKind::Dedicated(_) => self.end_connection(id),
            UsageKind::Interactive | UsageKind::Alike => {
                debug_assert!(upstream.usage.users > 0, "who lets go has held on");
                upstream.usage.users = upstream.usage.users.saturating_sub(1);
                upstream.used_at = self.fx.now.mono;
                if upstream.phase == Phase::Asleep && upstream.usage.users == 0 {
                    self.end_connection(id);
                }
            }
        }
    }

    /// Whether this is a connection beside the shared one that could not be made even once, though the shared one could: a
    /// server that can run only once, say. What waits for it goes to who asked for it, unless it must not go elsewhere.
    pub(super) fn is_unmade(&mut self, id: UpstreamId, fault: &Fault) -> bool {
        let now = self.fx.mono();
        let Some(other) = self.conns.get_mut(id) else { return false };
        if other.usage.kind == UsageKind::Shared || other.config.options.sessions == Sharing::Dedicated {
            return false;
        }
        other.was_tried = true;
        let calls = std::iter::from_fn(|| other.take_waiting()).collect();
        if let Some(server) = self.conns.server_of_mut(id) {
            server.on_another_failed(now);
        }
        self.events.push_back(ServerEvent::Unmade { id, calls, fault: fault.clone() });
        true
    }

    /// Ends a connection that serves nobody any more.
    pub(crate) fn end_connection(&mut self, id: UpstreamId) {
        self.stop(id);
        self.drop_own_calls(id);
        self.check_gone(id);
    }

    /// Ends what connects to the server; the rest is kept.
    fn hang_up(&mut self, id: UpstreamId) {
        let Some(upstream) = self.conns.get_mut(id) else { return };
        upstream.disarm(self.fx);
        if let Some(child) = upstream.link.child().and_then(|link| link.child.as_mut()) {
            child.stop(self.fx);
        }
        if let Some(link) = upstream.link.http() {
            link.finish(self.fx);
        }
        self.drop_own_calls(id);
    }

    /// Calls of other sessions wait for a connection that is kept only because of cancelled calls: a server that
    /// starts anew asks nothing for their sake.
    pub(super) fn renew_abandoned(&mut self, id: UpstreamId) {
        if self.conns.get(id).is_some_and(|upstream| {
            upstream.phase == Phase::Ready
                && upstream.running.is_kept_by_abandoned()
                && upstream.keeps_others_waiting()
        }) {
            self.renew(id);
        }
    }

    fn renew(&mut self, id: UpstreamId) {
        let Some(upstream) = self.conns.get_mut(id) else { return };
        self.fx.log(Level::Debug, Some(&upstream.label), "a connection is made anew after a cancelled call");
        upstream.lost(self.fx);
        let lost = format!("server {} is started anew after a cancelled call", upstream.label);
        self.events.push_back(ServerEvent::Lost { id });
        self.hang_up(id);
        // Nothing that could ask, but a completion, say, may run there.
        self.fail_sent(id, &Fault::environment(Code::UpstreamLost, lost));
        let wanted = self.conns.get(id).is_some_and(|upstream| upstream.is_wanted());
        if wanted {
            self.start_server(id);
        } else if let Some(upstream) = self.conns.get_mut(id) {
            upstream.enter(self.fx, Phase::Asleep);
        }
    }
}
