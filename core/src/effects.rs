//! What every layer of the engine may ask of the world: bytes out, timers, randomness, log lines.
//!
//! One [`Effects`] is handed down to the layers as `&mut`; nothing in it calls back. Connections are known here
//! only as queues of bytes; who owns one, and what its bytes mean, is the business of the layer that opened it.
//!
//! Invariants: every output for a connection lies between [`Effects::open`] and its end; a connection is woken at
//! most once per input however much is queued for it.

use crate::buf::SendQueue;
use crate::event::Output;
use crate::id::{ConnId, IdMap, UpstreamId};
use crate::ledger::{Charge, Ledger, SHARE};
use crate::limits::Limits;
use crate::log::{Level, Record};
use crate::rng::Rng;
use crate::time::{Mono, Now};
use crate::timer::{Timer, TimerKind, Timers};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many connections with much to send are looked at at a time.
const LARGE_LOOKS: usize = 8;

/// Outgoing side of the engine.
#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) now: Now,
    pub(crate) limits: Limits,
    pub(crate) timers: Timers,
    pub(crate) rng: Rng,
    /// What is held for all peers.
    pub(crate) ledger: Ledger,
    outputs: VecDeque<Output>,
    conns: IdMap<ConnId, Conn>,
    woken: Vec<ConnId>,
    /// Connections of clients for which more than a share is queued, or was.
    large: VecDeque<ConnId>,
    log_level: Level,
    dialled: u64,
    /// The next look at connections that take nothing, if any had something to take since the last.
    stall: Option<Timer>,
}

#[derive(Debug)]
struct Conn {
    queue: SendQueue,
    charge: Charge,
    /// When the peer last took something, or was first given something.
    moved: Mono,
    /// It is among the large ones.
    large: bool,
    owner: Option<UpstreamId>,
    gone: bool,
    woken: bool,
    paused: bool,
}

impl Effects {
    pub(crate) fn new(limits: Limits, seed: [u8; 32], log_level: Level) -> Self {
        let ledger = Ledger::new(limits.memory_bytes_max);
        Self {
            now: Now::default(),
            limits,
            timers: Timers::default(),
            rng: Rng::new(seed),
            ledger,
            outputs: VecDeque::new(),
            conns: IdMap::default(),
            woken: Vec::new(),
            large: VecDeque::new(),
            log_level,
            dialled: 0,
            stall: None,
        }
    }

    /// The monotonic time of this turn.
    pub(crate) fn mono(&self) -> Mono {
        self.now.mono
    }

    /// Arms a timer `ms` from now.
    pub(crate) fn after(&mut self, ms: u64, kind: impl Into<TimerKind>, owner: u64) -> Timer {
        self.timers.set(self.now.mono.plus_ms(ms), kind, owner)
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// The next output. Wakes come after everything else of the turn.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        while let Some(conn) = self.woken.pop() {
            if let Some(state) = self.conns.get_mut(&conn).filter(|state| !state.gone) {
                state.woken = false;
                return Some(Output::Wake { conn });
            }
        }
        None
    }

    /// A new name for a connection that the engine wants.
    pub(crate) fn mint(&mut self) -> ConnId {
        self.dialled += 1;
        let conn = ConnId::dialled(self.dialled);
        self.open(conn);
        conn
    }

    /// Starts to keep a queue for this connection.
    pub(crate) fn open(&mut self, conn: ConnId) {
        let state = Conn {
            queue: SendQueue::default(),
            charge: self.ledger.open(),
            moved: self.now.mono,
            large: false,
            owner: None,
            gone: false,
            woken: false,
            paused: false,
        };
        self.conns.insert(conn, state);
    }

    /// Notes which upstream a dialled connection or child belongs to.
    pub(crate) fn own(&mut self, conn: ConnId, owner: UpstreamId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.owner = Some(owner);
        }
    }

    /// The upstream a connection belongs to; `None` for those of clients, and for those that are gone.
    pub(crate) fn owner(&self, conn: ConnId) -> Option<UpstreamId> {
        self.conns.get(&conn)?.owner
    }

    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|state| !state.gone)
    }

    /// Forgets a connection that the host already reported gone.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// Notes that the host reported a connection gone: nothing more is said about it, though what was queued for
    /// it can still be looked at until it is closed here too.
    pub(crate) fn mark_gone(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.gone = true;
        }
    }

    /// Drops a connection now. Nothing happens when it is gone already.
    pub(crate) fn close(&mut self, conn: ConnId) {
        if self.conns.remove(&conn).is_some_and(|state| !state.gone) {
            self.output(Output::Close { conn });
        }
    }

    /// Ends our direction once everything queued is written.
    pub(crate) fn shutdown(&mut self, conn: ConnId) {
        if self.conns.get(&conn).is_some_and(|state| !state.gone) {
            self.output(Output::Shutdown { conn });
        }
    }

    /// Queues what `encode` appends, about `expected` bytes. Nothing happens when the connection is gone.
    pub(crate) fn send(&mut self, conn: ConnId, expected: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if state.queue.is_empty() {
            state.moved = self.now.mono;
        }
        encode(state.queue.tail(expected));
        state.charge.set(state.queue.capacity());
        if state.queue.len() > SHARE && !state.large && state.owner.is_none() {
            state.large = true;
            self.large.push_back(conn);
        }
        wake(&mut self.woken, conn, state);
        if self.stall.is_none() {
            self.stall = Some(self.after(self.limits.stall_ms, TimerKind::Stall, 0));
        }
    }

    /// Connections whose peer has taken nothing of what is queued for them for `stall_ms`, in order. Looked for once
    /// in that time, if there was anything to take, so it costs nothing per message.
    pub(crate) fn on_stall_timer(&mut self) -> Vec<ConnId> {
        self.stall = None;
        let limit = self.limits.stall_ms;
        let mut stalled = Vec::new();
        let mut next: Option<Mono> = None;
        #[expect(clippy::disallowed_methods, reason = "the least of them, and a list that is sorted at once")]
        for (conn, state) in self.conns.iter().filter(|(_, state)| !state.queue.is_empty() && !state.gone) {
            if self.now.mono.ms_since(state.moved) >= limit {
                stalled.push(*conn);
            } else {
                let at = state.moved.plus_ms(limit);
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        self.stall = next.map(|at| self.timers.set(at, TimerKind::Stall, 0));
        stalled.sort_unstable();
        stalled
    }

    /// How long a peer has taken nothing of what is queued for it.
    pub(crate) fn stalled_ms(&self, conn: ConnId) -> u64 {
        let busy = self.conns.get(&conn).filter(|state| !state.queue.is_empty());
        busy.map_or(0, |state| self.now.mono.ms_since(state.moved))
    }

    /// Of the connections of clients with much to send, the next one that has not taken anything for `still_ms`. Looks
    /// at a few of them only.
    pub(crate) fn next_still(&mut self, still_ms: u64) -> Option<ConnId> {
        for _ in 0..LARGE_LOOKS.min(self.large.len()) {
            let conn = self.large.pop_front()?;
            let Some(state) = self.conns.get_mut(&conn) else { continue };
            if state.queue.len() <= SHARE {
                state.large = false;
                continue;
            }
            self.large.push_back(conn);
            if self.now.mono.ms_since(state.moved) >= still_ms {
                return Some(conn);
            }
        }
        None
    }

    /// Whether a connection may be given `more` bytes.
    pub(crate) fn has_room(&self, conn: ConnId, more: usize) -> bool {
        self.ledger.has_room(self.queued(conn), more)
    }

    /// Storage of all queues. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        #[expect(clippy::disallowed_methods, reason = "a sum has no order")]
        let queues = self.conns.values();
        queues.map(|state| state.queue.capacity()).sum()
    }

    /// Number of bytes that wait for this connection.
    pub(crate) fn queued(&self, conn: ConnId) -> usize {
        self.conns.get(&conn).map_or(0, |state| state.queue.len())
    }

    /// Bytes to write next.
    pub(crate) fn outgoing(&self, conn: ConnId) -> &[u8] {
        self.conns.get(&conn).map_or(&[], |state| state.queue.front())
    }

    /// The host wrote `len` bytes.
    pub(crate) fn sent(&mut self, conn: ConnId, len: usize) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.queue.consume(len);
            state.charge.set(state.queue.capacity());
            state.moved = self.now.mono;
        }
    }

    /// Keeps what is written from now on until [`Effects::release`], so that it can be sent again elsewhere.
    pub(crate) fn hold(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.queue.hold();
        }
    }

    /// Lets go of what was kept.
    pub(crate) fn release(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.queue.release();
            state.charge.set(state.queue.capacity());
        }
    }

    /// Everything queued since [`Effects::hold`], and how much of it was written.
    pub(crate) fn held(&self, conn: ConnId) -> (&[u8], usize) {
        self.conns.get(&conn).map_or((&[], 0), |state| state.queue.held())
    }

    /// Whether bytes from this connection are welcome.
    pub(crate) fn set_reading(&mut self, conn: ConnId, reading: bool) {
        if let Some(state) = self.conns.get_mut(&conn)
            && state.paused == reading
        {
            state.paused = !reading;
            wake(&mut self.woken, conn, state);
        }
    }

    pub(crate) fn wants_read(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|state| !state.paused)
    }

    /// Whether records of this level are made at all: ask before formatting an expensive one.
    pub(crate) fn logs(&self, level: Level) -> bool {
        level <= self.log_level
    }

    /// Makes a log record.
    pub(crate) fn log(&mut self, level: Level, server: Option<&Arc<str>>, message: impl Into<String>) {
        if self.logs(level) {
            let record = Record { level, server: server.cloned(), message: message.into() };
            self.output(Output::Log(Box::new(record)));
        }
    }

    /// All open connections in order. For the end of everything, not for messages.
    pub(crate) fn open_conns(&self) -> Vec<ConnId> {
        #[expect(clippy::disallowed_methods, reason = "sorted at once")]
        let mut conns: Vec<ConnId> = self.conns.keys().copied().collect();
        conns.sort_unstable();
        conns
    }
}

fn wake(woken: &mut Vec<ConnId>, conn: ConnId, state: &mut Conn) {
    if !state.woken {
        state.woken = true;
        woken.push(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects() -> Effects {
        Effects::new(Limits::default(), [0; 32], Level::Info)
    }

    #[test]
    fn many_sends_are_one_wake() {
        let mut effects = effects();
        let conn = effects.mint();
        effects.send(conn, 1, |out| out.push(b'a'));
        effects.send(conn, 1, |out| out.push(b'b'));
        assert_eq!(effects.poll_output(), Some(Output::Wake { conn }));
        assert_eq!(effects.poll_output(), None);
        assert_eq!(effects.outgoing(conn), b"ab");
    }

    #[test]
    fn nothing_is_said_about_a_closed_connection() {
        let mut effects = effects();
        let conn = effects.mint();
        effects.send(conn, 1, |out| out.push(b'a'));
        effects.close(conn);
        effects.close(conn);
        effects.shutdown(conn);
        effects.send(conn, 1, |out| out.push(b'b'));
        assert_eq!(effects.poll_output(), Some(Output::Close { conn }));
        assert_eq!(effects.poll_output(), None);
        assert!(!effects.wants_read(conn));
    }

    #[test]
    fn quiet_levels_make_no_record() {
        let mut effects = effects();
        effects.log(Level::Debug, None, "x");
        assert_eq!(effects.poll_output(), None);
        effects.log(Level::Warn, None, "x");
        assert!(matches!(effects.poll_output(), Some(Output::Log(_))));
    }
}
