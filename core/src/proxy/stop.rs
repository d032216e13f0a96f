//! The end of everything (SEED-068).
//!
//! ```text
//! Serving ─┬─ Stop ──▶ Draining ─ no call left, or 5 s ─┬─▶ Ending ── children and last words gone ──▶ Stopped
//!          └─ no point in going on ──▶ GivingUp ────────┘
//! ```
//! A second `Stop` waits for nothing: calls are dropped and children killed. `Hangup` is a first `Stop`, and nothing after
//! one. Before each wait the log says for whom.
//!
//! Invariant: everything ends only between two inputs, when nobody is in the middle of changing a server.

use super::{LISTENER, Proxy, Stage, stopped};
use crate::event::Output;
use crate::id::UpstreamId;
use crate::log::Level;
use crate::servers::Phase;
use crate::timer::{TimerKind, Timers};
use std::collections::BTreeSet;

impl Proxy {
    pub(super) fn on_stop(&mut self) {
        match self.stage {
            Stage::Serving => {
                self.fx.log(Level::Info, None, "Shutdown signal received");
                self.stage = Stage::Draining;
                self.servers().stop_starting();
                self.unlisten();
                self.bridge().refuse_waiting();
                self.fx.after(self.fx.limits.shutdown_ms, TimerKind::Shutdown, 0);
                self.tell_calls();
            }
            Stage::Draining | Stage::GivingUp => {
                self.end_everything();
                self.kill_children();
            }
            Stage::Ending => self.kill_children(),
            Stage::Stopped => {}
        }
    }

    pub(super) fn on_hangup(&mut self) {
        if self.stage == Stage::Serving {
            self.on_stop();
        }
    }

    /// Says whose calls may still finish.
    fn tell_calls(&mut self) {
        let calls = self.servers.calls().client_calls();
        if calls.is_empty() {
            return;
        }
        let servers = calls.iter().filter_map(|call| self.servers.call(*call)).map(|call| call.upstream);
        let names = self.names_of(servers);
        let (count, plural) = (calls.len(), if calls.len() == 1 { "" } else { "s" });
        let seconds = self.fx.limits.shutdown_ms.div_ceil(1000);
        let line = format!(
            "Waiting up to {seconds} s for {count} running call{plural} to {names}; \
             a second Ctrl-C or SIGTERM does not wait"
        );
        self.fx.log(Level::Info, None, line);
    }

    /// Says which servers still have to end.
    fn tell_ending(&mut self) {
        if self.stage != Stage::Ending {
            return;
        }
        let ending = self.servers.iter().filter(|server| server.is_ending()).map(|server| server.id());
        let ending: Vec<UpstreamId> = ending.collect();
        if !ending.is_empty() {
            let names = self.names_of(ending.into_iter());
            let line = format!("Waiting for {names} to end; a second Ctrl-C or SIGTERM does not wait");
            self.fx.log(Level::Info, None, line);
        }
    }

    /// Each once, and not too many.
    fn names_of(&self, servers: impl Iterator<Item = UpstreamId>) -> String {
        let labels = servers.filter_map(|id| self.servers.get(id)).map(|server| &**server.label());
        let labels: BTreeSet<&str> = labels.collect();
        let mut names = labels.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
        if labels.len() > NAMES_MAX {
            names.push_str(&format!(" and {} more", labels.len() - NAMES_MAX));
        }
        names
    }

    pub(super) fn on_shutdown_timer(&mut self) {
        match self.stage {
            Stage::Draining => {
                self.end_everything();
                self.tell_ending();
            }
            // Clients that do not read their last bytes, and servers that do not answer, are not waited for.
            Stage::Ending => self.abandon_peers(),
            Stage::Serving | Stage::GivingUp | Stage::Stopped => {}
        }
    }

    fn abandon_peers(&mut self) {
        self.servers().abandon_sockets();
        for conn in self.fx.open_conns() {
            if self.fx.owner(conn).is_none() {
                self.clients.drop_conn(&mut self.fx, conn);
            }
        }
        self.check_ended();
    }

    /// Goes on when there is nothing to wait for. Returns whether it did.
    pub(super) fn end_if_due(&mut self) -> bool {
        if self.bridge.has_failed() {
            self.give_up();
        }
        let is_due = match self.stage {
            Stage::Draining => self.servers.calls().is_quiet(),
            Stage::GivingUp => true,
            Stage::Serving | Stage::Ending | Stage::Stopped => false,
        };
        if is_due {
            self.end_everything();
            self.tell_ending();
        }
        is_due
    }

    /// Something without which there is no point in going on.
    pub(super) fn give_up(&mut self) {
        if matches!(self.stage, Stage::Serving | Stage::Draining) {
            self.stage = Stage::GivingUp;
            self.servers().stop_starting();
            self.exit_code = 1;
        }
    }

    /// No new connections from now on.
    pub(super) fn unlisten(&mut self) {
        if self.bound.take().is_some() {
            self.fx.output(Output::Unlisten { listener: LISTENER });
        }
    }

    fn end_everything(&mut self) {
        self.stage = Stage::Ending;
        self.unlisten();
        self.bridge().end_everything();
        self.documents.end_all(&mut self.fx);
        self.pump();
        self.fx.after(self.fx.limits.shutdown_ms, TimerKind::Shutdown, 1);
        for id in self.servers.iter().map(|server| server.id()).collect::<Vec<_>>() {
            self.servers().stop(id);
        }
        self.check_ended();
    }

    fn kill_children(&mut self) {
        if self.stage == Stage::Stopped {
            return;
        }
        self.servers().kill_children();
        self.abandon_peers();
    }

    /// Reports the end once nothing is left that has to be waited for.
    pub(super) fn check_ended(&mut self) {
        if self.stage != Stage::Ending {
            return;
        }
        let busy = self.servers.iter().any(|server| server.phase() != Phase::Stopped || server.is_ending());
        // Answers that are still queued are written first.
        let conns = self.fx.open_conns();
        let owed = conns.iter().any(|conn| self.fx.owner(*conn).is_none() && self.fx.queued(*conn) > 0);
        if !busy && !owed {
            self.stage = Stage::Stopped;
            for conn in conns {
                self.fx.close(conn);
            }
            self.fx.timers = Timers::default();
            stopped(&mut self.fx, self.exit_code);
        }
    }
}

/// Servers named in one line.
const NAMES_MAX: usize = 8;
