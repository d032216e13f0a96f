//! All deadlines of the engine in one ordered set, each with the reason it exists.
//!
//! Invariants: equal deadlines fire in order of kind and owner, so runs repeat; a timer fires once. Owners
//! keep the [`Timer`] they were given to cancel exactly that one. Deliberately absent: a timing wheel; the set
//! costs some 100 ns an operation and most owners re-arm lazily (see [`TimerKind::SessionIdle`]).

use crate::time::Mono;
use std::collections::BTreeSet;

/// Why the engine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// A downstream connection has not finished its request, or has idled. Re-armed lazily: when it fires the
    /// connection says whether the time is really up.
    DownstreamConn,
    /// A stream has been silent: time for a keep-alive comment.
    KeepAlive,
    /// An answer for the doctor: time for its next part.
    Probe,
    /// A call: first the moment its plain answer becomes an event stream, then its time limit.
    Call,
    /// A session has been idle. Re-armed lazily.
    SessionIdle,
    /// An upstream connection does not get established, or a small exchange is not answered.
    Exchange,
    /// A pooled upstream connection has idled. Re-armed lazily.
    PoolIdle,
    /// The broken answer stream of a call may be asked for again.
    Resume,
    /// The standalone stream of an upstream may be opened again.
    Standalone,
    /// An upstream may be tried again.
    Backoff,
    /// An upstream does not come up.
    Handshake,
    /// Time to ping an upstream.
    Ping,
    /// A list changed a moment ago: read it again.
    Refresh,
    /// A question of a server: first the moment it must have found its client, then its time limit.
    Question,
    /// Time to ask a server how a task is.
    TaskPoll,
    /// A connection that serves a session of its own may have idled. Re-armed lazily.
    Idle,
    /// A server that was lost has been away for long enough to be taken off lists.
    Away,
    /// A session has waited long enough for its connections to show their lists.
    Lists,
    /// A client that greets has waited long enough for the first start of a server.
    Greeting,
    /// The authorization server clears away what is over, and streams of logins are looked at.
    Upkeep,
    /// A document of a client has not come in time.
    Document,
    /// Some connection may have taken nothing for too long.
    Stall,
    /// All seats are taken by connections that may have become slow meanwhile.
    Seats,
    /// A child was asked to end: time for the next, firmer step.
    ChildStop,
    /// The grace period of the whole process is over.
    Shutdown,
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
    pub fn set(&mut self, at: Mono, kind: TimerKind, owner: u64) -> Timer {
        let timer = Timer { at, kind, owner };
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
        timers.set(Mono(5), TimerKind::Ping, 1);
        let cancelled = timers.set(Mono(3), TimerKind::Call, 2);
        timers.set(Mono(3), TimerKind::Call, 1);
        timers.cancel(cancelled);
        assert_eq!(timers.next().map(|d| (d.at, d.why)), Some((Mono(3), TimerKind::Call)));
        assert_eq!(timers.pop_due(Mono(4)).map(|t| t.owner), Some(1));
        assert_eq!(timers.pop_due(Mono(4)), None);
        assert_eq!(timers.pop_due(Mono(5)).map(|t| t.kind), Some(TimerKind::Ping));
        assert_eq!(timers.next(), None);
    }
}
