//! Greetings that wait: `initialize` at a server in its first start.
//!
//! A client that is turned away while package runners are still fetching its server does not come back, as a rule. So its
//! greeting waits until the server is there, the first try has failed, or the time is over. A session is there meanwhile;
//! one over Streamable HTTP ends again with the refusal, so that it can be an honest 503. On the merged endpoint nothing
//! waits: its greeting depends on no server.
//!
//! Invariant: who waits is told once; a server that was tried is waited for by nobody.

use super::BridgeMut;
use super::client::Greeting;
use crate::clients::{Role, Transport};
use crate::fault::{Code, Fault};
use crate::id::{Key, Requester, ServerId, ViewId};
use crate::json::Pieces;
use crate::servers::{Connection, Phase, Server};
use crate::timer::BridgeTimer;
use crate::view::View;

/// How the servers of an endpoint stand for a client that greets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It can be greeted.
    Ready,
    /// The server is in its first start.
    Starting(ServerId),
}

impl BridgeMut<'_> {
    /// Whether a client can be greeted on this route. Wakes the servers behind it.
    ///
    /// # Errors
    /// [`Code::NotReady`] if no server of this route was ever connected, and none is in its first start.
    pub(super) fn readiness(&mut self, view: ViewId) -> Result<Readiness, Fault> {
        let view = self.views.get(view);
        let seen: Vec<ServerId> =
            view.iter().flat_map(|view| view.members()).map(|member| member.server).collect();
        let servers: Vec<&Connection> =
            seen.iter().filter_map(|server| self.servers.shared_of(*server)).collect();
        let is_merged = view.is_some_and(View::is_merged);
        let may_come = |server: &&Connection| server.was_ready() || is_in_first_start(server);
        let readiness = match servers.as_slice() {
            [] if is_merged => Ok(Readiness::Ready),
            [] => Err(Fault::peer(Code::UnknownRoute, "there is nothing at this path")),
            all if is_merged && all.iter().any(may_come) => Ok(Readiness::Ready),
            [server] if server.was_ready() => Ok(Readiness::Ready),
            [server] if !is_merged && is_in_first_start(server) => Ok(Readiness::Starting(server.server())),
            [server] => Err(server.not_ready()),
            all if all.iter().any(|server| server.was_ready()) => Ok(Readiness::Ready),
            _ => Err(Fault::environment(Code::NotReady, "no server is connected yet")),
        };
        let shared = seen.into_iter().filter_map(|id| self.servers.server(id).map(Server::shared));
        for id in shared.collect::<Vec<_>>() {
            self.servers().wake(id);
        }
        readiness
    }

    /// Lets the greeting of a session wait for its server.
    pub(super) fn await_start(&mut self, requester: Requester, server: ServerId, id: &[u8]) {
        let Requester { session, stream } = requester;
        let Some(shared) = self.servers.shared_of(server) else { return };
        let ms = shared.startup_ms(self.fx).min(self.fx.limits.greeting_ms);
        let timer = self.fx.after(ms, BridgeTimer::Greeting, session.to_u64());
        if let Some(client) = self.sessions.get_mut(session) {
            client.greeting = Some(Greeting::new(self.fx, server, stream, id, timer));
        }
    }

    /// The first start of a server is over: whoever waited for it is greeted, or told why not.
    pub(super) fn greet_waiting(&mut self, server: ServerId) {
        let Some(shared) = self.servers.shared_of(server) else { return };
        let refusal = (!shared.was_ready()).then(|| shared.not_ready());
        for key in self.waiting_greetings() {
            let waits = |greeting: &Greeting| greeting.server == server;
            if self.sessions.get(key).and_then(|client| client.greeting.as_ref()).is_some_and(waits) {
                self.end_wait(key, refusal.as_ref());
            }
        }
    }

    /// A client has waited for long enough.
    pub(super) fn on_greeting_timer(&mut self, key: Key) {
        let greeting = self.sessions.get(key).and_then(|client| client.greeting.as_ref());
        let server = greeting.and_then(|greeting| self.servers.shared_of(greeting.server));
        if let Some(fault) = server.map(Connection::not_ready) {
            self.end_wait(key, Some(&fault));
        }
    }

    /// Nobody is greeted any more.
    pub(crate) fn refuse_waiting(&mut self) {
        let fault = Fault::environment(Code::NotReady, "the proxy is about to end");
        for key in self.waiting_greetings() {
            self.end_wait(key, Some(&fault));
        }
    }

    /// For rare events only.
    fn waiting_greetings(&self) -> Vec<Key> {
        self.sessions.iter().filter(|(_, client)| client.greeting.is_some()).map(|(key, _)| key).collect()
    }

    /// Answers a greeting that waited.
    fn end_wait(&mut self, session: Key, refusal: Option<&Fault>) {
        let Some(client) = self.sessions.get_mut(session) else { return };
        let Some(greeting) = client.greeting.take() else { return };
        self.fx.timers.cancel(greeting.timer);
        let requester = Requester { session, stream: greeting.stream };
        let is_event_session = self.clients.transport(session) == Some(Transport::Sse);
        match refusal {
            Some(fault) if is_event_session => {
                // It may try again on its stream.
                client.opened = false;
                self.answer_fault(requester, greeting.id.as_bytes(), fault);
            }
            Some(fault) => {
                let id = greeting.id.as_bytes();
                if !self.clients.refuse_plain(self.fx, requester, id, fault) {
                    self.answer_fault(requester, id, fault);
                }
                self.clients.end_session(self.fx, session);
            }
            // Nobody knows its session.
            None if !is_event_session && self.clients.is_abandoned(requester) => {
                self.clients.end_session(self.fx, session);
            }
            None => {
                if let Some(text) = self.greet(session).text(greeting.id.as_bytes()) {
                    self.clients.deliver(self.fx, requester, &Pieces::of(&[&text]), Role::Answer);
                }
            }
        }
    }
}

/// Whether a server is being brought up for the first time: it has neither been ready nor failed.
fn is_in_first_start(server: &Connection) -> bool {
    !server.was_tried() && !server.was_ready() && server.phase() != Phase::Stopped
}
