//! A connection's life: start, handshake, lists, service, loss, restart, stop. See the picture in [`super`].

use super::ServersMut;
use super::calls::{Origin, Own};
use super::connection::Phase;
use super::event::ServerEvent;
use super::http::exchange::Job;
use super::link::Link;
use super::peer::Peer;
use super::spoken;
use super::usage::UsageKind;
use crate::config::HttpKind;
use crate::event::ExitStatus;
use crate::fault::{Code, Fault};
use crate::http::Method as HttpMethod;
use crate::id::{ConnId, Key, ServerId, UpstreamId};
use crate::json::{Pieces, Span, quote};
use crate::jsonrpc;
use crate::log::Level;
use crate::mcp::Revision;
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
    /// Starts a server, for the first time or again.
    pub(super) fn start_server(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase != Phase::Down || *self.stopping {
            return;
        }
        self.fx.log(Level::Debug, Some(&server.label), "Connecting");
        server.disarm(self.fx);
        server.begin(self.fx);
        let of = server.server;
        match &mut server.link {
            Link::Child(link) => {
                // While the old child is still ending, its exit starts the new one.
                if !link.start(self.fx, id) {
                    return;
                }
                self.calls.forgive(id, of);
                server.health.on_start();
                server.enter(self.fx, Phase::Starting);
                let ms = server.startup_left_ms(self.fx);
                server.arm(self.fx, |_| ms, ServerTimer::Handshake);
            }
            Link::Http(link) => match link.kind {
                HttpKind::Sse => {
                    self.calls.forgive(id, of);
                    link.ask(self.fx, Job::Stream, HttpMethod::Get, None);
                    server.health.on_start();
                    server.enter(self.fx, Phase::Starting);
                    let ms = server.startup_left_ms(self.fx);
                    server.arm(self.fx, |limits| limits.endpoint_ms.min(ms), ServerTimer::Handshake);
                }
                HttpKind::Streamable => {
                    self.calls.forgive(id, of);
                    server.health.on_start();
                    self.shake_hands(id);
                }
            },
        }
    }

    pub(super) fn on_spawned(&mut self, id: UpstreamId, conn: ConnId, pid: u32) {
        let Some(server) = self.conns.get_mut(id) else { return };
        self.fx.log(Level::Debug, Some(&server.label), format!("started as process {pid}"));
        let current = server.link.child().and_then(|link| link.child.as_ref()).map(|child| child.conn);
        if server.phase == Phase::Starting && current == Some(conn) {
            self.shake_hands(id);
        }
    }

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

    /// The server does not speak the transport that was tried: on to the other one, once.
    pub(super) fn try_other_kind(&mut self, id: UpstreamId, fault: &Fault) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(link) = server.link.http() else { return };
        if link.switched {
            return self.lose(id, fault);
        }
        let (from, to, next) = match link.kind {
            HttpKind::Sse => ("HTTP+SSE", "Streamable HTTP", HttpKind::Streamable),
            HttpKind::Streamable => ("Streamable HTTP", "HTTP+SSE", HttpKind::Sse),
        };
        let _unsent = link.close_all(self.fx);
        link.kind = next;
        link.switched = true;
        server.enter(self.fx, Phase::Down);
        let line = format!("the server does not speak {from} ({fault}), trying {to}");
        self.fx.log(Level::Info, Some(&server.label), line);
        self.drop_own_calls(id);
        self.start_server(id);
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

    /// The first start of a server has succeeded or failed.
    pub(super) fn count_started(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if std::mem::replace(&mut server.was_tried, true) || server.usage.kind != UsageKind::Shared {
            return;
        }
        self.events.push_back(ServerEvent::Tried { server: server.server });
        if self.conns.shared().all(|server| server.was_tried) {
            let ready = self.conns.shared().filter(|server| server.phase == Phase::Ready).count();
            let all = self.conns.shared().count();
            self.fx.log(Level::Info, None, format!("{ready} of {all} servers are ready"));
        }
    }

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

    pub(super) fn on_exited(&mut self, id: UpstreamId, conn: ConnId, status: ExitStatus) {
        let how = match status {
            ExitStatus::Code(code) => format!("it exited with code {code}"),
            ExitStatus::Signal(signal) => format!("it was ended by signal {signal}"),
            ExitStatus::Unknown => "it ended".to_owned(),
        };
        self.on_child_gone(id, conn, Fault::environment(Code::UpstreamLost, how));
    }

    /// A child is gone for good: the upstream is lost if it was not already, and a new child may be started.
    pub(super) fn on_child_gone(&mut self, id: UpstreamId, conn: ConnId, fault: Fault) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(link) = server.link.child() else { return };
        if link.child.as_ref().is_none_or(|child| child.conn != conn) {
            return;
        }
        if let Some(child) = link.child.take() {
            child.exited(self.fx);
        }
        self.on_stderr_end(id);
        let Some(server) = self.conns.get_mut(id) else { return };
        match server.phase {
            Phase::Down | Phase::Asleep => {
                server.health.on_end(&fault.detail);
                if server.phase == Phase::Down && !server.is_armed() {
                    self.start_server(id);
                }
            }
            Phase::Stopped => self.check_gone(id),
            Phase::Starting | Phase::Handshake | Phase::Listing | Phase::Ready => self.lose(id, &fault),
        }
    }

    pub(super) fn on_child_timer(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(child) = server.link.child().and_then(|link| link.child.as_mut()) else { return };
        if child.is_closing() {
            return self.lose(id, &Fault::environment(Code::UpstreamLost, "it closed its output"));
        }
        if !child.escalate(self.fx) {
            let conn = child.conn;
            self.fx.log(Level::Error, Some(&server.label), "the process cannot be killed, giving it up");
            self.on_child_gone(id, conn, Fault::environment(Code::UpstreamLost, "it cannot be killed"));
        }
    }

    /// Nothing is started any more.
    pub(crate) fn stop_starting(&mut self) {
        *self.stopping = true;
    }

    /// Starts the server of a shared connection, for the first time or again.
    pub(crate) fn start(&mut self, id: UpstreamId) {
        self.start_server(id);
    }

    /// Ends a connection in order: input closed, or the session deleted.
    pub(crate) fn stop(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase == Phase::Stopped {
            return;
        }
        server.enter(self.fx, Phase::Stopped);
        server.disarm(self.fx);
        self.fx.log(server.level(), Some(&server.label), "Shutting down");
        if let Some(child) = server.link.child().and_then(|link| link.child.as_mut()) {
            child.stop(self.fx);
        }
        if let Some(link) = server.link.http() {
            link.finish(self.fx);
        }
    }

    /// Kills what is still there of children.
    pub(crate) fn kill_children(&mut self) {
        for server in self.conns.iter_mut() {
            if let Some(child) = server.link.child().and_then(|link| link.child.as_mut()) {
                child.kill(self.fx);
            }
        }
    }

    /// Closes all sockets, whatever is still to come on them.
    pub(crate) fn abandon_sockets(&mut self) {
        for server in self.conns.iter_mut() {
            if let Some(link) = server.link.http() {
                link.close_all(self.fx);
            }
        }
    }

    /// Forgets a connection beside the shared one when nothing of it is left.
    pub(super) fn check_gone(&mut self, id: UpstreamId) {
        if let Some(upstream) = self.conns.get_mut(id)
            && upstream.phase == Phase::Stopped
            && upstream.usage.kind != UsageKind::Shared
            && !upstream.is_ending()
        {
            let timers = [upstream.refresh.take(), upstream.idle.take()];
            for timer in timers.into_iter().flatten() {
                self.fx.timers.cancel(timer);
            }
            self.calls.forgive(id, upstream.server);
            self.conns.remove(id);
            self.events.push_back(ServerEvent::Gone { id });
        }
    }
}
