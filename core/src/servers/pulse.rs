//! Whether a server lives, by its answers to pings and by everything else it says.
//!
//! ```text
//!   ping ── answered, or anything else was said ──▶ alive, and counted from nothing
//!     └──── silence until the next one is due ────▶ missed; after some of them dead, if silence means anything
//! ```
//! Silence means something of a server that has answered a ping before. It means nothing while one works on a call, which may
//! keep it from everything else, and which has limits of its own. An HTTP+SSE server is the exception: when it takes a ping
//! over one connection and nothing at all comes over its event stream, not even a comment, then that stream is half-open.
//!
//! An error is an answer as well, but no sign of life from a server that gave proper answers before.
//! While calls run, silence means something when several in a row were given up without a word, whether or not a ping was
//! ever answered: what was there before all of them and is still waited for may be what it works on, but what came after
//! is not.
//!
//! Left out: refusals by whatever stands before a server (a bare 502, say) are no answers; who hears one does not call it.

use crate::id::Key;
use crate::time::Mono;

/// What is known of the life of one connection to a server.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The ping that is not answered yet.
    ping: Option<Key>,
    /// It was handed over, as far as HTTP can tell.
    taken: bool,
    /// The server has said something since.
    spoke: bool,
    /// Something has come over its event stream since, if only a comment.
    flowed: bool,
    /// Pings that were missed one after the other.
    missed: u32,
    /// It has answered one before.
    answers: bool,
    /// And not with an error.
    answers_well: bool,
    /// Something else was refused since a ping was answered: see `lapses`.
    doubted: bool,
    /// When a ping was last sent for that reason.
    doubted_at: Option<Mono>,
    /// Calls that were given up one after the other since it said something, and when the first of them began.
    given_up: u32,
    given_up_since: Option<Mono>,
}

impl Pulse {
    /// The connection was made anew.
    pub(crate) fn begin(&mut self) {
        self.missed = 0;
        self.doubted = false;
        self.forget();
        self.given_up = 0;
        self.given_up_since = None;
    }

    /// Something was refused. Returns whether a ping is to tell what it means: not if one is open, or was sent a
    /// moment ago.
    pub(crate) fn doubts(&mut self, now: Mono, pause_ms: u64) -> bool {
        self.doubted = true;
        let pauses = self.doubted_at.is_some_and(|at| now.ms_since(at) < pause_ms);
        if pauses || self.ping.is_some() {
            return false;
        }
        self.doubted_at = Some(now);
        true
    }

    /// Whether something was refused since a ping was answered.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// The ping was answered with an error. Returns whether that is no sign of life: the server has answered one
    /// properly, or it has not answered any, knows the method, and refused something else as well.
    pub(crate) fn denied(&mut self, ping: Key, knows_method: bool) -> bool {
        let tells = self.answers_well || (!self.answers && self.doubted && knows_method);
        if !tells || self.ping.take_if(|open| *open == ping).is_none() {
            return false;
        }
        self.missed = self.missed.saturating_add(1);
        true
    }

    /// The ping was answered properly.
    pub(crate) fn answered_well(&mut self, ping: Key) -> Option<u32> {
        self.answers_well |= self.ping == Some(ping);
        self.answered(ping)
    }

    /// The open ping will not be answered.
    pub(crate) fn forget(&mut self) {
        self.ping = None;
    }

    /// A ping is on its way.
    pub(crate) fn sent(&mut self, ping: Option<Key>) {
        *self = Self { ping, taken: false, spoke: false, flowed: false, ..*self };
    }

    /// The server acknowledged a POST.
    pub(crate) fn took(&mut self, call: Key) {
        self.taken |= self.ping == Some(call);
    }

    /// The server sent a message. On the way of every message.
    pub(crate) fn spoke(&mut self) {
        self.spoke = true;
        self.given_up = 0;
        self.given_up_since = None;
    }

    /// A call that it had been handed ended without an answer: cancelled, or out of time.
    pub(crate) fn gave_up(&mut self, began: Mono) {
        self.given_up = self.given_up.saturating_add(1);
        self.given_up_since = Some(self.given_up_since.map_or(began, |since| since.min(began)));
    }

    /// Whether so many calls in a row say that it is frozen. `open` are those that still run: when they began, and
    /// whether anybody waits for their answer. One that somebody waits for and that was there before the others may be
    /// what keeps it from them.
    pub(crate) fn is_frozen(&self, calls_max: u32, open: impl Iterator<Item = (Mono, bool)>) -> bool {
        let mut lost =
            Self { given_up: self.given_up, given_up_since: self.given_up_since, ..Self::default() };
        let mut first_awaited = None;
        for (began, awaited) in open {
            if awaited {
                first_awaited = Some(first_awaited.map_or(began, |first: Mono| first.min(began)));
            } else {
                lost.gave_up(began);
            }
        }
        let younger = |first: Mono| lost.given_up_since.is_some_and(|since| first > since);
        lost.given_up >= calls_max && first_awaited.is_none_or(younger)
    }

    /// Bytes came over an event stream.
    pub(crate) fn flowed(&mut self) {
        self.flowed = true;
    }

    /// The ping was answered. Returns how many before it were missed, or `None` if it is not the open one.
    pub(crate) fn answered(&mut self, ping: Key) -> Option<u32> {
        self.ping.take_if(|open| *open == ping)?;
        self.answers = true;
        self.doubted = false;
        Some(std::mem::take(&mut self.missed))
    }

    /// The next ping is due. Returns the one before, if it was not answered.
    pub(crate) fn due(&mut self) -> Option<Key> {
        let open = self.ping.take()?;
        self.missed = if self.spoke { 0 } else { self.missed.saturating_add(1) };
        Some(open)
    }

    /// Pings that were missed one after the other.
    pub(crate) fn missed(&self) -> u32 {
        self.missed
    }

    /// Whether its silence means that it is dead, or nobody can hear it. `works`: on a call. `streams`: everything it says
    /// comes over one event stream.
    pub(crate) fn is_telling(&self, works: bool, streams: bool) -> bool {
        self.answers && (!works || (streams && self.taken && !self.flowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key::from_u64((1 << 24) | n).unwrap()
    }

    fn answering() -> Pulse {
        let mut pulse = Pulse::default();
        pulse.sent(Some(key(1)));
        assert_eq!(pulse.answered(key(1)), Some(0));
        pulse
    }

    #[test]
    fn silence_counts_and_any_word_ends_it() {
        let mut pulse = answering();
        for n in 2..5 {
            pulse.sent(Some(key(n)));
            assert_eq!(pulse.due(), Some(key(n)));
        }
        assert_eq!(pulse.missed(), 3);
        pulse.sent(Some(key(5)));
        pulse.spoke();
        assert_eq!((pulse.due(), pulse.missed()), (Some(key(5)), 0));
        pulse.sent(Some(key(6)));
        assert_eq!((pulse.due(), pulse.missed()), (Some(key(6)), 1));
        pulse.sent(Some(key(7)));
        assert_eq!((pulse.answered(key(6)), pulse.answered(key(7)), pulse.missed()), (None, Some(1), 0));
        assert_eq!(pulse.due(), None);
    }

    #[test]
    fn an_error_is_a_sign_of_life_only_from_a_server_that_never_does_better() {
        let mut pulse = Pulse::default();
        pulse.sent(Some(key(1)));
        assert!(!pulse.denied(key(1), true));
        assert_eq!(pulse.answered(key(1)), Some(0));
        pulse.sent(Some(key(2)));
        assert_eq!(pulse.answered_well(key(2)), Some(0));
        pulse.sent(Some(key(3)));
        assert!(!pulse.denied(key(2), true), "of another ping");
        pulse.spoke();
        assert!(pulse.denied(key(3), false));
        assert_eq!((pulse.due(), pulse.missed()), (None, 1));
    }

    #[test]
    fn the_first_answer_is_doubted_where_something_else_was_refused() {
        for (doubts, knows_method, denied) in
            [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
        {
            let mut pulse = Pulse::default();
            assert!(!doubts || pulse.doubts(Mono::default(), 1_000));
            pulse.sent(Some(key(1)));
            assert_eq!(pulse.denied(key(1), knows_method), denied);
        }
    }

    #[test]
    fn doubts_lead_to_one_ping_in_a_while() {
        let at = |ms: u64| Mono::default().plus_ms(ms);
        let mut pulse = answering();
        assert!(!pulse.is_doubted() && pulse.doubts(at(0), 1_000));
        pulse.sent(Some(key(2)));
        assert!(!pulse.doubts(at(5_000), 1_000), "one is on its way");
        assert_eq!((pulse.answered(key(2)), pulse.is_doubted()), (Some(0), false));
        assert!(!pulse.doubts(at(999), 1_000) && pulse.is_doubted() && pulse.doubts(at(1_000), 1_000));
    }

    #[test]
    fn silence_tells_nothing_of_a_server_that_never_answers_or_that_works() {
        assert!(!Pulse::default().is_telling(false, false));
        assert!(!Pulse::default().is_telling(false, true));
        assert!(answering().is_telling(false, false));
        assert!(!answering().is_telling(true, false));
    }

    #[test]
    fn calls_given_up_in_a_row_say_that_it_is_frozen_unless_an_older_one_is_awaited() {
        // limit: given_up_calls_max
        let at = |ms: u64| Mono::default().plus_ms(ms);
        let mut pulse = Pulse::default();
        [10, 20].into_iter().for_each(|ms| pulse.gave_up(at(ms)));
        assert!(!pulse.is_frozen(3, [].into_iter()), "two are not enough");
        assert!(pulse.is_frozen(3, [(at(30), false)].into_iter()), "nobody waits for the third");
        pulse.gave_up(at(30));
        assert!(pulse.is_frozen(3, [(at(40), true), (at(50), true)].into_iter()));
        assert!(!pulse.is_frozen(3, [(at(40), true), (at(5), true)].into_iter()), "it may work on that one");
        assert!(!pulse.is_frozen(3, [(at(10), true)].into_iter()));
        assert!(pulse.is_frozen(3, [(at(5), false), (at(10), true)].into_iter()));
        pulse.spoke();
        assert!(!pulse.is_frozen(3, [(at(40), false)].into_iter()));
        [10, 20, 30].into_iter().for_each(|ms| pulse.gave_up(at(ms)));
        pulse.begin();
        assert!(!pulse.is_frozen(1, [].into_iter()));
    }

    #[test]
    fn a_stream_is_dead_over_which_nothing_comes_though_pings_are_taken() {
        let mut pulse = answering();
        pulse.sent(Some(key(2)));
        assert!(!pulse.is_telling(true, true), "it may be too busy to take anything");
        pulse.took(key(3));
        assert!(!pulse.is_telling(true, true));
        pulse.took(key(2));
        assert!(pulse.is_telling(true, true) && !pulse.is_telling(true, false));
        pulse.flowed();
        assert!(!pulse.is_telling(true, true) && pulse.is_telling(false, true));
        pulse.sent(Some(key(4)));
        assert!(!pulse.is_telling(true, true), "of this one nothing is known yet");
    }
}
