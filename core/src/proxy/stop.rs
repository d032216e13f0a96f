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
use crate::servers::{Phase, Servers};
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
                let line = calls_left(&self.servers, self.fx.limits.shutdown_ms);
                line.into_iter().for_each(|line| self.fx.log(Level::Info, None, line));
            }
            Stage::Draining | Stage::GivingUp => {
                self.end_everything(false);
                self.kill_children();
            }
            Stage::Ending => self.kill_children(),
            Stage::Stopped => {}
        }
    }

    pub(super) fn on_shutdown_timer(&mut self) {
        match self.stage {
            Stage::Draining => {
                self.end_everything(true);
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
            self.end_everything(true);
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

    /// Ends clients, calls and servers. `waits` says that servers get their time for it.
    fn end_everything(&mut self, waits: bool) {
        self.stage = Stage::Ending;
        self.unlisten();
        self.bridge().end_everything();
        self.access.end_documents(&mut self.fx);
        self.pump();
        self.fx.after(self.fx.limits.shutdown_ms, TimerKind::Shutdown, 1);
        for id in self.servers.iter().map(|server| server.id()).collect::<Vec<_>>() {
            self.servers().stop(id);
        }
        self.check_ended();
        if waits && self.stage == Stage::Ending {
            let line = servers_left(&self.servers);
            line.into_iter().for_each(|line| self.fx.log(Level::Info, None, line));
        }
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

/// Says whose calls may still finish, if there are any.
fn calls_left(servers: &Servers, wait_ms: u64) -> Option<String> {
    let calls = servers.calls().client_calls();
    let ids = calls.iter().filter_map(|call| servers.call(*call)).map(|call| call.upstream);
    let names = names_of(servers, ids)?;
    let (count, plural) = (calls.len(), if calls.len() == 1 { "" } else { "s" });
    let seconds = wait_ms.div_ceil(1000);
    Some(format!(
        "Waiting up to {seconds} s for {count} running call{plural} to {names}; \
         a second Ctrl-C or SIGTERM does not wait"
    ))
}

/// Says which servers still have to end, if there are any.
fn servers_left(servers: &Servers) -> Option<String> {
    let ending = servers.iter().filter(|server| server.is_ending()).map(|server| server.id());
    let names = names_of(servers, ending)?;
    Some(format!("Waiting for {names} to end; a second Ctrl-C or SIGTERM does not wait"))
}

/// Each once, and not too many; `None` if there is none.
fn names_of(servers: &Servers, ids: impl Iterator<Item = UpstreamId>) -> Option<String> {
    let labels = ids.filter_map(|id| servers.get(id)).map(|server| &**server.label());
    let labels: BTreeSet<&str> = labels.collect();
    let mut names = labels.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    if labels.len() > NAMES_MAX {
        names.push_str(&format!(" and {} more", labels.len() - NAMES_MAX));
    }
    (!labels.is_empty()).then_some(names)
}

/// Servers named in one line.
const NAMES_MAX: usize = 8;
