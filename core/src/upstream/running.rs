//! Which calls run on a connection, as far as is needed to say what caused something the server says on its own.
//!
//! A child, and an HTTP+SSE server, have one channel for everything: a question or a log message there names no
//! call. It belongs to a call without doubt if that is the only one that runs, and to a session if all that run are
//! its own; a connection that several sessions share and that may ask them something is kept in that state by
//! letting one session in at a time (`bridging` rule: prevented, not guessed).
//!
//! Invariant: everything is constant time, however many calls run.

use crate::id::Key;

/// The calls that run now.
#[derive(Debug, Default)]
pub(crate) struct Running {
    count: u32,
    /// All their keys, one laid over the other: with one call running, its key.
    keys: u64,
    /// The session whose call was the first to run.
    session: Option<Key>,
}

impl Running {
    /// A call begins.
    pub(crate) fn enter(&mut self, call: Key, session: Key) {
        if self.count == 0 {
            self.session = Some(session);
        }
        self.count = self.count.saturating_add(1);
        self.keys ^= call.to_wire();
    }

    /// A call that had begun ends.
    pub(crate) fn leave(&mut self, call: Key) {
        self.count = self.count.saturating_sub(1);
        self.keys ^= call.to_wire();
        if self.count == 0 {
            *self = Self::default();
        }
    }

    /// The one call that runs, if it is one.
    pub(crate) fn only(&self) -> Option<Key> {
        Key::from_wire(self.keys).filter(|_| self.count == 1)
    }

    /// The session of the calls that run, on a connection that lets one session in at a time.
    pub(crate) fn session(&self) -> Option<Key> {
        self.session
    }

    /// Whether a call of this session could begin without there being two sessions.
    pub(crate) fn admits(&self, session: Key) -> bool {
        self.session.is_none_or(|present| present == session)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key::from_wire((1 << 24) | n).unwrap()
    }

    #[test]
    fn the_only_call_is_known_and_two_are_not() {
        let (a, b) = (key(1), key(2)); // BR-50
        let mut running = Running::default();
        assert_eq!(running.only(), None);
        running.enter(a, key(9));
        assert_eq!(running.only(), Some(a));
        running.enter(b, key(9));
        assert_eq!(running.only(), None);
        running.leave(a);
        assert_eq!(running.only(), Some(b));
        running.leave(b);
        assert_eq!(running.only(), None);
    }

    #[test]
    fn one_session_at_a_time_is_admitted() {
        let mut running = Running::default(); // BR-44
        assert!(running.admits(key(7)));
        running.enter(key(1), key(7));
        assert!(running.admits(key(7)) && !running.admits(key(8)));
        running.leave(key(1));
        assert!(running.admits(key(8)));
    }
}
