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
//! Left out: refusals by whatever stands before a server (a bare 502, say) are no answers; who hears one does not call it.

use crate::id::Key;

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
}

impl Pulse {
    /// The connection was made anew.
    pub(crate) fn begin(&mut self) {
        self.missed = 0;
        self.forget();
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
    }

    /// Bytes came over an event stream.
    pub(crate) fn flowed(&mut self) {
        self.flowed = true;
    }

    /// The ping was answered. Returns how many before it were missed, or `None` if it is not the open one.
    pub(crate) fn answered(&mut self, ping: Key) -> Option<u32> {
        self.ping.take_if(|open| *open == ping)?;
        self.answers = true;
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
        Key::from_wire((1 << 24) | n).unwrap()
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
    fn silence_tells_nothing_of_a_server_that_never_answers_or_that_works() {
        assert!(!Pulse::default().is_telling(false, false));
        assert!(!Pulse::default().is_telling(false, true));
        assert!(answering().is_telling(false, false));
        assert!(!answering().is_telling(true, false));
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
