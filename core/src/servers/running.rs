//! Which calls run on a connection, as far as is needed to say what caused something the server says on its own.
//!
//! A child, and an HTTP+SSE server, have one channel for everything: a question or a log message there names no
//! call. It belongs to a call without doubt if that is the only one that runs, and to a session if all that run are
//! its own; a connection that several sessions share and that may ask them something is kept in that state by
//! letting one session in at a time (`bridging` §8.4: prevented, not guessed). A call that was cancelled may still
//! run at the server: until the server says otherwise the connection stays its session's.
//!
//! Invariant: everything on the way of a message is constant time, however many calls run.

use crate::id::Key;

/// The calls that run now.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Those that may lead to questions.
    count: u32,
    /// Their keys, one laid over the other: with one call running, its key.
    keys: u64,
    /// The session whose call was the first to run.
    session: Option<Key>,
    /// All others of clients.
    others: u32,
    /// Calls that were cancelled and may run on.
    abandoned: Vec<Abandoned>,
}

#[derive(Debug)]
struct Abandoned {
    call: Key,
    session: Key,
    /// It may lead to questions.
    asks: bool,
}

/// Cancelled calls told apart; with more the connection stays its session's until it is started anew.
const ABANDONED_MAX: usize = 64;

impl Running {
    /// A call begins; one that may lead to questions with its session.
    pub(crate) fn enter(&mut self, call: Key, asks: Option<Key>) {
        let Some(session) = asks else {
            self.others = self.others.saturating_add(1);
            return;
        };
        if self.count == 0 {
            self.session = Some(session);
        }
        self.count = self.count.saturating_add(1);
        self.keys ^= call.to_u64();
    }

    /// A call that had begun ends.
    pub(crate) fn leave(&mut self, call: Key, asks: bool) {
        if !asks {
            self.others = self.others.saturating_sub(1);
            return;
        }
        self.count = self.count.saturating_sub(1);
        self.keys ^= call.to_u64();
        self.tidy_up();
    }

    /// A call was cancelled: the server may not have heard of it yet, or not care.
    pub(crate) fn abandon(&mut self, call: Key, session: Key, asks: bool) {
        if asks {
            self.session = Some(session);
        }
        if self.abandoned.len() < ABANDONED_MAX {
            self.abandoned.push(Abandoned { call, session, asks });
        }
    }

    /// The server answered a call that nobody waits for. Returns whether that makes room for other sessions.
    pub(crate) fn on_late_answer(&mut self, call: Key) -> bool {
        // Of those that found no place nothing is known.
        if self.abandoned.len() == ABANDONED_MAX {
            return false;
        }
        let before = self.has_asking_abandoned();
        self.abandoned.retain(|one| one.call != call);
        self.tidy_up();
        before && !self.has_asking_abandoned()
    }

    fn has_asking_abandoned(&self) -> bool {
        self.abandoned.iter().any(|one| one.asks)
    }

    /// The server is gone, and what ran there with it.
    pub(crate) fn forget_abandoned(&mut self) {
        self.abandoned.clear();
        self.tidy_up();
    }

    fn tidy_up(&mut self) {
        if self.count == 0 {
            self.keys = 0;
            if !self.has_asking_abandoned() {
                self.session = None;
            }
        }
    }

    /// The one call that may have led to a question, if it is one.
    pub(crate) fn only(&self) -> Option<Key> {
        self.single().filter(|_| !self.has_asking_abandoned())
    }

    /// The one call that runs at all, besides those that were cancelled.
    pub(crate) fn alone(&self) -> Option<Key> {
        self.single().filter(|_| self.others == 0)
    }

    fn single(&self) -> Option<Key> {
        Key::from_u64(self.keys).filter(|_| self.count == 1)
    }

    /// Whether words of nobody in particular can only be meant for this session, which is that of the calls that may
    /// lead to questions: no other call runs, nor may one that was cancelled.
    pub(crate) fn is_sole(&self, session: Key) -> bool {
        let full = self.abandoned.len() == ABANDONED_MAX;
        self.others == 0 && !full && self.abandoned.iter().all(|one| one.session == session)
    }

    /// Whether a cancelled call of another session than this may run on.
    pub(crate) fn has_abandoned_of_others(&self, session: Key) -> bool {
        self.abandoned.len() == ABANDONED_MAX || self.abandoned.iter().any(|one| one.session != session)
    }

    /// The session of the calls that run, on a connection that lets one session in at a time.
    pub(crate) fn session(&self) -> Option<Key> {
        self.session
    }

    /// Whether a call of this session could begin without there being two sessions.
    pub(crate) fn admits(&self, session: Key) -> bool {
        self.session.is_none_or(|present| present == session)
    }

    /// Whether it is kept for a session only because of cancelled calls.
    pub(crate) fn is_kept_by_abandoned(&self) -> bool {
        self.count == 0 && self.has_asking_abandoned()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.count == 0 && self.others == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key::from_u64((1 << 24) | n).unwrap()
    }

    #[test]
    fn the_only_call_is_known_and_two_are_not() {
        let (a, b) = (key(1), key(2)); // BR-50
        let mut running = Running::default();
        assert_eq!(running.only(), None);
        running.enter(a, Some(key(9)));
        assert_eq!(running.only(), Some(a));
        running.enter(b, Some(key(9)));
        assert_eq!(running.only(), None);
        running.leave(a, true);
        assert_eq!(running.only(), Some(b));
        running.leave(b, true);
        assert_eq!(running.only(), None);
    }

    #[test]
    fn one_session_at_a_time_is_admitted() {
        let mut running = Running::default(); // BR-44
        assert!(running.admits(key(7)));
        running.enter(key(1), Some(key(7)));
        assert!(running.admits(key(7)) && !running.admits(key(8)));
        running.leave(key(1), true);
        assert!(running.admits(key(8)));
    }

    #[test]
    fn a_call_is_not_alone_beside_one_that_may_not_ask() {
        let mut running = Running::default();
        running.enter(key(1), Some(key(7)));
        running.enter(key(2), None);
        assert_eq!((running.only(), running.alone()), (Some(key(1)), None));
        running.leave(key(2), false);
        assert_eq!(running.alone(), Some(key(1)));
        running.leave(key(1), true);
        assert!(running.is_idle());
    }

    #[test]
    fn a_cancelled_call_keeps_others_out_until_the_server_answers_it() {
        let mut running = Running::default();
        running.enter(key(1), Some(key(7)));
        running.leave(key(1), true);
        running.abandon(key(1), key(7), true);
        assert!(running.is_kept_by_abandoned() && !running.admits(key(8)) && running.admits(key(7)));
        assert!(!running.on_late_answer(key(2)));
        assert!(running.on_late_answer(key(1)));
        assert!(running.admits(key(8)));
    }

    #[test]
    fn a_cancelled_call_that_cannot_ask_may_still_speak() {
        let mut running = Running::default();
        running.abandon(key(1), key(7), false);
        running.enter(key(2), Some(key(8)));
        assert_eq!((running.only(), running.alone()), (Some(key(2)), Some(key(2))));
        assert!(!running.is_kept_by_abandoned() && running.admits(key(8)));
        assert!(running.is_sole(key(7)) && !running.is_sole(key(8)));
        assert!(!running.on_late_answer(key(1)), "it kept nobody out");
        assert!(running.is_sole(key(8)));
    }

    #[test]
    fn of_more_abandoned_calls_than_are_told_apart_nothing_is_known() {
        let mut running = Running::default();
        let many = ABANDONED_MAX as u64 + 1;
        (1..=many).for_each(|n| running.abandon(key(n), key(700), true));
        assert!((1..=many).all(|n| !running.on_late_answer(key(n))));
        assert!(running.is_kept_by_abandoned() && !running.is_sole(key(700)));
        running.forget_abandoned();
        assert!(!running.is_kept_by_abandoned() && running.is_sole(key(700)));
    }
}
