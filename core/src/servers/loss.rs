//! What follows when a connection to a server is lost: errors for what may have run, waiting for what may not, another try.

use super::ServersMut;
use super::calls::{Origin, Own};
use super::connection::Phase;
use super::event::ServerEvent;
use super::link::Link;
use super::usage::UsageKind;
use crate::fault::{Code, Fault};
use crate::id::{ServerId, UpstreamId};
use crate::log::Level;
use crate::timer::ServerTimer;

/// What of a server is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Everything.
    Server,
    /// Its session, over Streamable HTTP.
    Session,
}

impl ServersMut<'_> {
    /// A server is gone. Calls in flight end with an error, those that were never sent wait, and it is started
    /// again after a while, or when it is needed.
    pub(super) fn lose(&mut self, id: UpstreamId, fault: &Fault) {
        self.go_down(id, fault, Loss::Server);
    }

    /// The same for a server that answers, but not in a session that lasts: what runs on connections of its own goes
    /// on.
    pub(super) fn lose_session(&mut self, id: UpstreamId, fault: &Fault) {
        self.go_down(id, fault, Loss::Session);
    }

    fn go_down(&mut self, id: UpstreamId, fault: &Fault, loss: Loss) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if matches!(server.phase, Phase::Down | Phase::Asleep | Phase::Stopped) {
            return;
        }
        let was_up = server.phase == Phase::Ready;
        if fault.code == Code::UpstreamRevision {
            server.despair(self.fx);
        }
        let backoff = server.next_backoff(self.fx);
        let (first, label) = (!server.was_tried, server.label.clone());
        let panics = server.config.options.panic_if_invalid && !server.was_ready;
        server.health.on_trouble(fault.to_string(), self.fx.now.unix);
        server.lost(self.fx);
        let mut unsent = Vec::new();
        match &mut server.link {
            Link::Child(link) => {
                if let Some(child) = &mut link.child {
                    child.stop(self.fx);
                }
            }
            Link::Http(link) => match loss {
                Loss::Session => unsent = link.end_session(self.fx),
                Loss::Server => {
                    unsent = link.close_all(self.fx);
                    link.switched = false;
                }
            },
        }
        self.events.push_back(ServerEvent::Lost { id });
        self.drop_own_calls(id);
        for (key, body) in unsent {
            self.park(id, key, body);
        }
        if loss == Loss::Server {
            let lost = format!("server {label} was lost: {fault}");
            self.fail_sent(id, &Fault::environment(Code::UpstreamLost, lost));
        }
        if panics {
            self.fx.log(Level::Error, Some(&label), format!("panicIfInvalid is set, giving up: {fault}"));
            return self.events.push_back(ServerEvent::Invalid);
        }
        if first && self.is_unmade(id, fault) {
            return;
        }
        self.plan_restart(id, backoff, fault);
        if was_up {
            self.wait_for_server(id);
        }
        self.count_started(id);
    }

    /// Calls that were handed over have no answer to wait for any more.
    pub(super) fn fail_sent(&mut self, id: UpstreamId, lost: &Fault) {
        for key in self.calls.of_upstream(id) {
            if self.calls.get(key).is_some_and(|call| call.waiting.is_none()) {
                self.fail(key, lost);
            }
        }
    }

    /// What follows when a server was lost: another try after a while, or with the next call.
    fn plan_restart(&mut self, id: UpstreamId, backoff: u64, fault: &Fault) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let what = if server.was_ready { "Lost" } else { "Failed to connect" };
        let sleeps = !server.is_wanted();
        let next = match sleeps {
            true => "with the next call".to_owned(),
            false => format!("in {:.1} s", backoff as f64 / 1000.0),
        };
        self.fx.log(Level::Warn, Some(&server.label), format!("{what}: {fault}; trying again {next}"));
        self.watch_away(id);
        let Some(server) = self.conns.get_mut(id) else { return };
        if sleeps {
            server.enter(self.fx, Phase::Asleep);
            server.disarm(self.fx);
            let shared = matches!(server.usage.kind, UsageKind::Interactive | UsageKind::Alike);
            if shared && server.usage.users == 0 {
                self.end_connection(id);
            }
            return;
        }
        server.arm(self.fx, |_| backoff, ServerTimer::Backoff);
        if server.is_suspended(self.fx) {
            self.dismiss_waiting(id);
        }
    }

    /// A server is left alone for longer than anybody would wait.
    fn dismiss_waiting(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get(id) else { return };
        let fault = server.not_ready();
        for key in server.waiting_calls() {
            self.give_up_call(key, &fault);
        }
    }

    /// What waited for its turn waits for the server now.
    fn wait_for_server(&mut self, id: UpstreamId) {
        let calls = self.conns.get(id).map(|server| server.waiting_calls()).unwrap_or_default();
        let now = self.fx.mono();
        for key in calls {
            let Some(call) = self.calls.get_mut(key) else { continue };
            call.waiting = Some(now);
            if let Some(timer) = call.timer.take() {
                self.fx.timers.cancel(timer);
            }
            call.timer = Some(self.fx.after(self.fx.limits.queue_ms, ServerTimer::Call, key.to_u64()));
        }
    }

    /// Forgets what the proxy itself asked of a server. A call whose task is lost with it has no answer any more.
    pub(super) fn drop_own_calls(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        server.pulse.forget();
        let lost = Fault::environment(Code::UpstreamLost, format!("server {} was lost", server.label));
        for key in std::mem::take(&mut server.own_calls) {
            if let Some(Origin::Own(Own::TaskResult(call))) = self.forget(key).map(|call| call.origin) {
                self.fail(call, &lost);
            }
        }
    }

    /// The shared connection of a server is gone: it stays on lists for a while.
    fn watch_away(&mut self, id: UpstreamId) {
        let is_shared = self.conns.get(id).is_some_and(|it| it.usage.kind == UsageKind::Shared);
        let server = self.conns.server_of_mut(id).filter(|server| is_shared && server.needs_away_timer());
        if let Some(server) = server {
            let owner = server.id().0;
            server.set_away_timer(self.fx.after(self.fx.limits.away_ms, ServerTimer::Away, owner));
        }
    }

    /// A server that was lost has been away for a while.
    pub(super) fn on_away_timer(&mut self, server: ServerId) {
        if let Some(known) = self.conns.server_mut(server) {
            known.unlist();
            self.events.push_back(ServerEvent::Away { server });
        }
    }
}
