//! A connection's life: its start, the end of its child, its stop. See the picture in [`super`].

use super::ServersMut;
use super::connection::Phase;
use super::event::ServerEvent;
use super::http::exchange::Job;
use super::link::Link;
use super::usage::UsageKind;
use crate::config::HttpKind;
use crate::event::ExitStatus;
use crate::fault::{Code, Fault};
use crate::http::Method as HttpMethod;
use crate::id::{ConnId, UpstreamId};
use crate::log::Level;
use crate::timer::ServerTimer;

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
