//! Whether servers live: pings, and what follows when they are missed. What they tell stands in [`super::pulse`].

use super::ServersMut;
use super::calls::{ClientOrigin, Own};
use super::connection::Phase;
use super::event::ServerEvent;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::log::Level;
use crate::timer::ServerTimer;

impl ServersMut<'_> {
    pub(super) fn on_ping_timer(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase != Phase::Ready {
            return;
        }
        let before = server.pulse.missed();
        if let Some(open) = server.pulse.due() {
            self.cancel(open, None);
            self.tell_pulse(id, before);
        }
        let Some(server) = self.conns.get(id) else { return };
        // A question to a client may be what it waits for.
        if server.pulse.missed() >= self.fx.limits.ping_failures_max && server.usage.questions == 0 {
            return self.events.push_back(ServerEvent::Silent { id });
        }
        self.go_on_pinging(id);
    }

    /// Decides about a server that misses its pings: whether it is frozen, though calls run, or dead. `is_awaited` says
    /// whether anybody still waits for the answer to a call.
    pub(crate) fn judge_silence(&mut self, id: UpstreamId, is_awaited: impl Fn(&ClientOrigin) -> bool) {
        let Some(server) = self.conns.get(id).filter(|server| server.phase == Phase::Ready) else { return };
        let calls = self.calls.of_upstream(id);
        let running =
            calls.iter().filter_map(|key| self.calls.get(*key)).filter(|call| call.waiting.is_none());
        let open = running.filter_map(|call| Some((call.started, is_awaited(call.origin.client()?))));
        if server.pulse.is_frozen(self.fx.limits.given_up_calls_max, open) {
            let fault = Fault::environment(Code::UpstreamTimeout, "it answers neither calls nor pings");
            return self.lose(id, &fault);
        }
        self.go_on_pinging(id);
    }

    fn go_on_pinging(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.is_dead(self.fx) {
            return self.lose(id, &Fault::environment(Code::UpstreamTimeout, "it answers no ping"));
        }
        server.arm(self.fx, |limits| limits.ping_ms, ServerTimer::Ping);
        self.look_for_changes(id);
        let ping = self.submit_own(id, Own::Ping, "ping", "");
        if let Some(server) = self.server(id) {
            server.pulse.sent(ping);
        }
    }

    pub(super) fn on_ping_answered(&mut self, id: UpstreamId, key: Key) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if let Some(before) = server.pulse.answered(key) {
            self.tell_pulse(id, before);
        }
    }

    /// One more ping was missed, or the server lives again after so many.
    pub(super) fn tell_pulse(&mut self, id: UpstreamId, before: u32) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let (level, line) = match server.pulse.missed() {
            0 if before == 0 => return,
            0 => (Level::Info, format!("MCP Ping recovered after {before} failures")),
            missed => (Level::Warn, format!("MCP Ping failed: no answer (count={missed})")),
        };
        server.note(self.fx);
        self.fx.log(level, Some(&server.label), line);
    }
}
