//! The handshake with a server, and the answers to what the proxy itself asks.

use super::ServersMut;
use super::calls::Own;
use super::connection::Phase;
use super::http::exchange::Job;
use super::peer::Peer;
use super::spoken;
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{Pieces, Span, quote};
use crate::jsonrpc;
use crate::log::Level;
use crate::mcp::Revision;
use crate::timer::ServerTimer;

impl ServersMut<'_> {
    /// The way to the server is open: `initialize`.
    pub(super) fn shake_hands(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase == Phase::Ready {
            server.begin(self.fx);
        }
        server.enter(self.fx, Phase::Handshake);
        let ms = server.startup_left_ms(self.fx);
        server.arm(self.fx, |_| ms, ServerTimer::Handshake);
        let params = format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{},\"clientInfo\":{{\"name\":{},\"version\":{}}}}}",
            Revision::NEWEST.name(),
            server.usage.profile.encode(&server.usage.declared),
            quote(&self.config.name),
            quote(&self.config.version),
        );
        if self.submit_own(id, Own::Initialize, "initialize", &params).is_none() {
            self.lose(id, &Fault::local(Code::Overloaded, "initialize could not be sent"));
        }
    }

    pub(super) fn on_handshake_timer(&mut self, id: UpstreamId) {
        let Some(server) = self.server(id) else { return };
        match server.phase {
            Phase::Starting if server.link.http().is_some() => {
                let fault = Fault::peer(Code::UpstreamTimeout, "no `endpoint` event came");
                self.try_other_kind(id, &fault);
            }
            Phase::Starting | Phase::Handshake | Phase::Listing => {
                let fault = Fault::environment(
                    Code::UpstreamTimeout,
                    "the server did not finish the handshake in time",
                );
                self.lose(id, &fault);
            }
            Phase::Down | Phase::Ready | Phase::Asleep | Phase::Stopped => {}
        }
    }

    /// An answer to something the proxy asked.
    pub(super) fn on_own_result(&mut self, id: UpstreamId, own: Own, key: Key, text: &[u8], result: Span) {
        match own {
            Own::Initialize => match Peer::parse(text, result, &self.fx.limits) {
                Ok(peer) => self.on_initialized(id, peer),
                Err(fault) => self.lose(id, &fault),
            },
            Own::Discover => {
                let refusal = self.server(id).and_then(|server| server.refusal.take());
                if let Some(fault) = spoken::discovered(text, result).or(refusal) {
                    self.lose(id, &fault);
                }
            }
            Own::List(kind) => self.on_list_page(id, kind, key, text, result),
            Own::Ping => {
                if let Some(before) = self.server(id).and_then(|server| server.pulse.answered_well(key)) {
                    self.tell_pulse(id, before);
                }
            }
            Own::TaskState(call) => self.on_task_state(call),
            Own::SetLevel | Own::Watch | Own::TaskResult(_) | Own::TaskCancel => {}
        }
    }

    /// The proxy asked something and gets no result.
    pub(super) fn on_own_failed(&mut self, id: UpstreamId, own: Own, key: Key, fault: &Fault) {
        match own {
            Own::Initialize if self.refuses_new_session(id, fault) => self.lose_session(id, fault),
            Own::Initialize => self.on_handshake_refused(id, fault),
            Own::Discover => {
                let refusal = self.server(id).and_then(|server| server.refusal.take());
                let refusal = refusal.filter(|_| fault.code != Code::UpstreamRevision);
                self.lose(id, refusal.as_ref().unwrap_or(fault));
            }
            Own::List(kind) => {
                let Some(server) = self.conns.get_mut(id) else { return };
                // A capability that was declared for the other list of resources, say.
                let absent = fault.code == Code::MethodNotFound;
                let level = if absent { Level::Debug } else { Level::Warn };
                self.fx.log(level, Some(&server.label), format!("Failed to list {}: {fault}", kind.member()));
                if server
                    .readings
                    .get(kind.index())
                    .is_some_and(|r| r.as_ref().is_some_and(|(k, _)| *k == key))
                {
                    let read = if absent { Ok(Vec::new()) } else { Err(fault.clone()) };
                    self.finish_reading(id, kind, read);
                }
            }
            Own::Ping
                if matches!(
                    fault.code,
                    Code::UpstreamError | Code::MethodNotFound | Code::UpstreamBroken
                ) =>
            {
                self.on_ping_denied(id, key, fault);
            }
            Own::TaskResult(call) => self.on_task_result_lost(call, fault),
            Own::SetLevel | Own::Watch => {
                if let Some(server) = self.conns.get(id) {
                    self.fx.log(
                        Level::Warn,
                        Some(&server.label),
                        format!("a wish of a client was refused: {fault}"),
                    );
                }
            }
            Own::Ping | Own::TaskState(_) | Own::TaskCancel => {}
        }
    }

    /// Whether a server answers, though not with a new session, while calls of the old one still run.
    fn refuses_new_session(&mut self, id: UpstreamId, fault: &Fault) -> bool {
        let answers = matches!(fault.code, Code::UpstreamBroken | Code::UpstreamError | Code::MethodNotFound);
        let Some(server) = self.server(id).filter(|server| answers && !server.running.is_idle()) else {
            return false;
        };
        server.link.http().is_some_and(|link| link.kind == HttpKind::Streamable)
    }

    /// A server that refuses `initialize` with an error may only speak revisions that have none. It is asked, so that
    /// somebody is told.
    fn on_handshake_refused(&mut self, id: UpstreamId, fault: &Fault) {
        let answered = matches!(fault.code, Code::UpstreamError | Code::MethodNotFound);
        let params = self.discover_params();
        let asked = answered && self.submit_own(id, Own::Discover, "server/discover", &params).is_some();
        match self.server(id) {
            Some(server) if asked => server.refusal = Some(fault.clone()),
            _ => self.lose(id, fault),
        }
    }

    fn discover_params(&self) -> String {
        let key = "io.modelcontextprotocol";
        format!(
            "{{\"_meta\":{{\"{key}/protocolVersion\":\"2026-07-28\",\"{key}/clientInfo\":{{\"name\":{},\"version\":{}}},\"{key}/clientCapabilities\":{{}}}}}}",
            quote(&self.config.name),
            quote(&self.config.version),
        )
    }

    fn on_initialized(&mut self, id: UpstreamId, peer: Peer) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase != Phase::Handshake {
            return;
        }
        self.fx.log(
            Level::Debug,
            Some(&server.label),
            format!("Initialized, it speaks {}", peer.revision.name()),
        );
        if peer.cut {
            let line = "what the server says of itself is too long to be shown in full";
            self.fx.log(Level::Warn, Some(&server.label), line);
        }
        let revision = peer.revision;
        server.peer = peer;
        let initialized = jsonrpc::notification("notifications/initialized", "");
        let message = Pieces::of(&[initialized.as_bytes()]);
        let mut acknowledged = false;
        if let Some(link) = server.link.http() {
            link.switched = true;
            acknowledged = link.kind == HttpKind::Streamable;
            link.revision = acknowledged.then_some(revision);
        }
        server.link.send_note(self.fx, if acknowledged { Job::Initialized } else { Job::Note }, &message);
        // POSTs may overtake each other, so over Streamable HTTP the server's acknowledgement is awaited.
        if !acknowledged {
            self.read_all_lists(id);
        }
    }
}
