//! All deadlines of the engine in one ordered set, each with the reason it exists.
//!
//! Invariants: equal deadlines fire in order of kind and owner, so runs repeat; a timer fires once. Owners
//! keep the [`Timer`] they were given to cancel exactly that one. Deliberately absent: a timing wheel; the set
//! costs some 100 ns an operation and most owners re-arm lazily (see [`ClientTimer::SessionIdle`]).

use crate::time::Mono;
use std::collections::BTreeSet;

/// Why the engine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// A client.
    Client(ClientTimer),
    /// A server.
    Server(ServerTimer),
    /// What stands between them.
    Bridge(BridgeTimer),
    /// The authorization server clears away what is over, and streams of logins are looked at.
    Upkeep,
    /// A document of a client has not come in time.
    Document,
    /// Some connection may have taken nothing for too long.
    Stall,
    /// The grace period of the whole process is over.
    Shutdown,
}

/// Timers of clients: of their connections and sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientTimer {
    /// A connection has not finished its request, or has idled. Re-armed lazily: when it fires the connection says
    /// whether the time is really up.
    Conn,
    /// A stream has been silent: time for a keep-alive comment.
    KeepAlive,
    /// An answer for the doctor: time for its next part.
    Probe,
    /// A session has been idle. Re-armed lazily.
    SessionIdle,
    /// All connections are taken by clients that may have become slow meanwhile.
    Seats,
}

/// Timers of servers: of their connections, exchanges, children and calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerTimer {
    /// A call: first the moment its plain answer becomes an event stream, then its time limit.
    Call,
    /// A connection does not get established, or a small exchange is not answered.
    Exchange,
    /// A pooled connection has idled. Re-armed lazily.
    PoolIdle,
    /// The broken answer stream of a call may be asked for again.
    Resume,
    /// The standalone stream of a server may be opened again.
    Standalone,
    /// A server may be tried again.
    Backoff,
    /// A server does not come up.
    Handshake,
    /// Time to ping a server.
    Ping,
    /// A list changed a moment ago: read it again.
    Refresh,
    /// Time to ask a server how a task is.
    TaskPoll,
    /// A connection that serves a session of its own may have idled. Re-armed lazily.
    Idle,
    /// A server that was lost has been away for long enough to be taken off lists.
    Away,
    /// A child was asked to end: time for the next, firmer step.
    ChildStop,
}

/// Timers of what clients and servers want of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BridgeTimer {
    /// A question of a server: first the moment it must have found its client, then its time limit.
    Question,
    /// A session has waited long enough for its connections to show their lists.
    Lists,
    /// A client that greets has waited long enough for the first start of a server.
    Greeting,
}

impl From<ClientTimer> for TimerKind {
    fn from(timer: ClientTimer) -> Self {
        Self::Client(timer)
    }
}

impl From<ServerTimer> for TimerKind {
    fn from(timer: ServerTimer) -> Self {
        Self::Server(timer)
    }
}

impl From<BridgeTimer> for TimerKind {
    fn from(timer: BridgeTimer) -> Self {
        Self::Bridge(timer)
    }
}

/// One armed timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When.
    pub at: Mono,
    /// Why.
    pub kind: TimerKind,
    /// For whom: an id whose meaning depends on the kind.
    pub owner: u64,
}

/// The earliest timer, as told to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the engine wants [`Input::Timeout`](crate::event::Input::Timeout).
    pub at: Mono,
    /// The reason, for diagnosis.
    pub why: TimerKind,
}

/// The set.
#[derive(Debug, Default)]
pub struct Timers {
    set: BTreeSet<Timer>,
}

impl Timers {
    /// Arms a timer. The same (time, kind, owner) twice is one timer.
    pub fn set(&mut self, at: Mono, kind: impl Into<TimerKind>, owner: u64) -> Timer {
        let timer = Timer { at, kind: kind.into(), owner };
        self.set.insert(timer);
        timer
    }

    /// Disarms it; nothing happens when it fired already.
    pub fn cancel(&mut self, timer: Timer) {
        self.set.remove(&timer);
    }

    /// Takes the earliest timer that is due.
    pub fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let first = *self.set.first()?;
        (first.at <= now).then(|| {
            self.set.pop_first();
            first
        })
    }

    /// The earliest timer.
    pub fn next(&self) -> Option<Deadline> {
        self.set.first().map(|timer| Deadline { at: timer.at, why: timer.kind })
    }

    /// All armed timers, earliest first. For tests and diagnosis.
    pub fn iter(&self) -> impl Iterator<Item = &Timer> {
        self.set.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(Mono(5), ServerTimer::Ping, 1);
        let cancelled = timers.set(Mono(3), ServerTimer::Call, 2);
        timers.set(Mono(3), ServerTimer::Call, 1);
        timers.cancel(cancelled);
        assert_eq!(timers.next().map(|d| (d.at, d.why)), Some((Mono(3), ServerTimer::Call.into())));
        assert_eq!(timers.pop_due(Mono(4)).map(|t| t.owner), Some(1));
        assert_eq!(timers.pop_due(Mono(4)), None);
        assert_eq!(timers.pop_due(Mono(5)).map(|t| t.kind), Some(ServerTimer::Ping.into()));
        assert_eq!(timers.next(), None);
    }
}
