//! The machine of the servers: what is configured, brought up, asked, lost and brought up again.
//!
//! Bytes, timers and calls go in; answers, questions and news come out as [`ServerEvent`]s. It knows how a server is
//! reached and what it said, and nothing of clients: a call carries who asked, to be handed back with its end.
//!
//! ```text
//!            link up          result of         all lists
//!  Down ──▶ Starting ──▶ Handshake ──▶ Listing ──▶ Ready
//!   ▲ backoff  │  initialize   │  tools/list …  │    │ session lost: Handshake again
//!   └──────────┴───────────────┴────────────────┴────┘ child exits, stream ends, no answer
//! ```
//! A connection that serves one session, or a few, and has nothing to do falls `Asleep` until the next call.
//!
//! | module | what it decides |
//! |---|---|
//! | `event` | what others are told |
//! | `server`, `connection`, `connections` | one server; one connection to it; all of them |
//! | `facts` | what others may know of a connection |
//! | `lifecycle`, `handshake`, `loss` | a connection's life: start and stop; the handshake; loss and restart |
//! | `idleness` | connections in addition to the shared one: how long they are kept |
//! | `call`, `calls` | a call from submission to its one end; all calls in flight |
//! | `attribution` | whom something concerns that a server says |
//! | `messages`, `salvage` | what a server says; what it says that is not quite a message |
//! | `lists`, `ready` | what a server offers, read and read again; the same in the log |
//! | `pings`, `pulse` | whether a server lives |
//! | `watches` | what a server is told to watch, and at which level to log |
//! | `tasks` | calls that their server runs as tasks |
//! | `link` | either of the next two |
//! | `child` | a process from spawn to exit, and what it prints |
//! | `http` | exchanges over HTTP: sent, pooled, answered, redirected, refused, recovered |
//! | `sound` | what must hold, for tests |
//! | `running`, `queue`, `usage`, `peer`, `spoken`, `health` | parts of a connection |
//!
//! Invariants: nothing but the handshake is sent before the server is ready; calls wait in a bounded queue while
//! a server that was ready before comes back; a server is told of the client capabilities that everybody behind the
//! connection has; what came is read piece by piece, each when the events of the one before were taken.

mod attribution;
mod call;
pub(crate) mod calls;
mod child;
mod connection;
mod connections;
mod event;
mod facts;
mod handshake;
pub(crate) mod health;
mod http;
mod idleness;
mod lifecycle;
mod link;
mod lists;
mod loss;
mod messages;
pub(crate) mod peer;
mod pings;
mod pulse;
mod queue;
mod ready;
mod running;
mod salvage;
mod server;
mod sound;
mod spoken;
mod tasks;
pub(crate) mod usage;
mod watches;

pub(crate) use attribution::Cause;
pub(crate) use call::{Forwarded, Purpose};
pub(crate) use connection::{Connection, Phase};
pub(crate) use event::{Outcome, Said, ServerEvent};
pub(crate) use server::Server;
pub(crate) use tasks::task_mark;

use crate::config::Config;
use crate::effects::Effects;
use crate::event::{CloseCause, ConnEvent};
use crate::id::{ConnId, Key, ServerId, UpstreamId};
use crate::limits::Limits;
use crate::timer::ServerTimer;
use calls::{Call, Calls};
use connections::Connections;
use std::collections::VecDeque;
use std::sync::Arc;

/// All servers.
#[derive(Debug)]
pub(crate) struct Servers {
    config: Arc<Config>,
    conns: Connections,
    calls: Calls,
    events: VecDeque<ServerEvent>,
    todo: VecDeque<Todo>,
    unread: VecDeque<Unread>,
    /// Nothing is started any more.
    stopping: bool,
}

/// What is to be done when the events so far were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    /// A list was read: it may have been the last.
    CheckListed(UpstreamId),
    /// A connection is up: what it has to know, and what waited for it.
    Resume(UpstreamId),
    /// A call has ended and others wait.
    SendWaiting(UpstreamId),
}

/// Where something came that is not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// From a child.
    Child(UpstreamId),
    /// Over HTTP. It may be the last, for a reason.
    Exchange(UpstreamId, ConnId, Option<&'static str>),
}

/// The servers with the world at hand: what may be done with them in one turn of the engine.
pub(crate) struct ServersMut<'a> {
    fx: &'a mut Effects,
    config: &'a Config,
    conns: &'a mut Connections,
    calls: &'a mut Calls,
    events: &'a mut VecDeque<ServerEvent>,
    todo: &'a mut VecDeque<Todo>,
    unread: &'a mut VecDeque<Unread>,
    stopping: &'a mut bool,
}

impl Servers {
    /// The shared connection of each server that is not disabled; none is started yet.
    pub(crate) fn new(config: Arc<Config>, limits: &Limits) -> Self {
        Self {
            conns: Connections::new(&config),
            calls: Calls::new(limits),
            config,
            events: VecDeque::new(),
            todo: VecDeque::new(),
            unread: VecDeque::new(),
            stopping: false,
        }
    }

    /// To do something with them.
    pub(crate) fn with<'a>(&'a mut self, fx: &'a mut Effects) -> ServersMut<'a> {
        let Self { config, conns, calls, events, todo, unread, stopping } = self;
        ServersMut { fx, config, conns, calls, events, todo, unread, stopping }
    }

    /// All servers, in the order in which they came.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.conns.servers()
    }

    /// A server, if it is still there.
    pub(crate) fn server(&self, id: ServerId) -> Option<&Server> {
        self.conns.server(id)
    }

    /// The shared connection of a server, if that is still there.
    pub(crate) fn shared_of(&self, id: ServerId) -> Option<&Connection> {
        self.conns.shared_of(id)
    }

    /// A connection, if it is still there.
    pub(crate) fn get(&self, id: UpstreamId) -> Option<&Connection> {
        self.conns.get(id)
    }

    /// The shared connection of each server, in the order of the configuration.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Connection> {
        self.conns.shared()
    }

    /// All connections, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.conns.iter()
    }

    /// A call that has not ended.
    pub(crate) fn call(&self, key: Key) -> Option<&Call> {
        self.calls.get(key)
    }

    /// All calls in flight.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Storage of calls, and of what waits for servers and comes from them. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        self.conns.iter().map(Connection::recount).fold(self.calls.recount(), usize::saturating_add)
    }
}

impl ServersMut<'_> {
    /// The next event. Call it until there is none, and act on each before the next.
    pub(crate) fn poll_event(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            match self.todo.pop_front() {
                Some(Todo::CheckListed(id)) => self.after_reading(id),
                Some(Todo::Resume(id)) => self.resume(id),
                Some(Todo::SendWaiting(id)) => self.send_waiting(id),
                None => match self.unread.pop_front()? {
                    Unread::Child(id) => self.read_child(id),
                    Unread::Exchange(id, conn, eof) => self.read_exchange_of(id, conn, eof),
                },
            }
        }
    }

    /// Something happened to the child or one of the sockets of a connection.
    pub(crate) fn handle(&mut self, id: UpstreamId, conn: ConnId, event: ConnEvent<'_>) {
        match event {
            ConnEvent::Received(bytes) => self.on_server_bytes(id, conn, bytes),
            ConnEvent::Eof => self.on_server_eof(id, conn, "it closed its output"),
            ConnEvent::Closed(cause) => self.on_server_closed(id, conn, cause),
            ConnEvent::Resolved(result) => self.on_resolved(id, conn, result),
            ConnEvent::Connected => self.on_connected(id, conn),
            ConnEvent::Failed(reason) => self.on_failed(id, conn, reason),
            ConnEvent::Spawned(pid) => self.on_spawned(id, conn, pid),
            ConnEvent::Stderr(bytes) => self.on_stderr(id, bytes),
            ConnEvent::Exited(status) => self.on_exited(id, conn, status),
        }
    }

    /// A timer of a server or of a call is due.
    pub(crate) fn on_timer(&mut self, timer: ServerTimer, owner: u64) {
        let (id, conn) = (UpstreamId(owner), ConnId(owner));
        let call = Key::from_u64(owner).unwrap_or(Key::NONE);
        match timer {
            ServerTimer::Call => self.on_call_timer(call),
            ServerTimer::Resume => self.on_resume_timer(call),
            ServerTimer::TaskPoll => self.on_task_timer(call),
            ServerTimer::PoolIdle => self.on_pool_timer(id),
            ServerTimer::Standalone => self.on_standalone_timer(id),
            ServerTimer::Backoff => self.start_server(id),
            ServerTimer::Handshake => self.on_handshake_timer(id),
            ServerTimer::Ping => self.on_ping_timer(id),
            ServerTimer::Refresh => self.on_refresh_timer(id),
            ServerTimer::Idle => self.on_idle_timer(id),
            ServerTimer::Away => self.on_away_timer(ServerId(owner)),
            ServerTimer::Exchange => {
                if let Some(id) = self.fx.owner(conn) {
                    self.on_exchange_timer(id, conn);
                }
            }
            ServerTimer::ChildStop => {
                if let Some(id) = self.fx.owner(conn) {
                    self.on_child_timer(id);
                }
            }
        }
    }

    /// A question of a server is open: as long as there is one, its silence means nothing.
    pub(crate) fn open_question(&mut self, id: UpstreamId, call: Option<Key>) {
        if let Some(connection) = self.conns.get_mut(id) {
            connection.usage.questions += 1;
        }
        if let Some(call) = call.and_then(|call| self.calls.get_mut(call)) {
            call.asking += 1;
        }
    }

    /// A question of a server was answered, or is void.
    pub(crate) fn close_question(&mut self, id: UpstreamId, call: Option<Key>) {
        if let Some(connection) = self.conns.get_mut(id) {
            debug_assert!(connection.usage.questions > 0, "a question ends once");
            connection.usage.questions = connection.usage.questions.saturating_sub(1);
            connection.used_at = self.fx.now.mono;
        }
        if let Some(call) = call.and_then(|call| self.calls.get_mut(call)) {
            debug_assert!(call.asking > 0, "a question ends once");
            call.asking = call.asking.saturating_sub(1);
            call.alive = self.fx.now.mono;
        }
    }

    fn server(&mut self, id: UpstreamId) -> Option<&mut Connection> {
        self.conns.get_mut(id)
    }

    fn on_server_closed(&mut self, id: UpstreamId, conn: ConnId, cause: CloseCause) {
        let reason = match cause {
            CloseCause::Done => "the connection was closed",
            CloseCause::Reset => "the connection was reset",
            CloseCause::Tls => "TLS broke",
            CloseCause::Error => "the connection broke",
        };
        let Some(server) = self.conns.get_mut(id) else { return };
        if let Some(link) = server.link.child() {
            // Its input broke. What it has said and still says counts, but it cannot be asked any more.
            if let Some(child) = link.child.as_mut().filter(|child| child.conn == conn && !child.is_closing())
            {
                child.stop(self.fx);
            }
            return;
        }
        self.fx.mark_gone(conn);
        self.on_server_eof(id, conn, reason);
    }
}

#[cfg(test)]
mod tests;
