//! What must hold between two events, for tests to ask.

use super::Clients;
use super::conn::ConnState;

impl Clients {
    /// Looks at everything.
    ///
    /// # Panics
    /// If two tables that say the same disagree.
    pub(crate) fn assert_sound(&self) {
        assert!(self.hand.is_none(), "a request in hand was given back");
        assert!(self.answers.is_empty(), "an array was served, and its answers were sent");
        assert_eq!(self.by_token.len(), self.sessions.len(), "each session has one token");
        for (key, session) in self.sessions.iter() {
            assert_eq!(self.by_token.get(&session.token), Some(&key), "a session is found by its token");
            for (number, stream) in &session.streams {
                let Some(client) = stream.conn.and_then(|conn| self.conns.get(&conn)) else {
                    assert!(stream.conn.is_none(), "a stream is on a connection that is there");
                    continue;
                };
                let carries = match client.state {
                    ConnState::Waiting { session, stream } | ConnState::Streaming { session, stream } => {
                        (session, stream) == (key, *number)
                    }
                    ConnState::Reading
                    | ConnState::Deciding
                    | ConnState::Probing { .. }
                    | ConnState::Closing => false,
                };
                assert!(carries, "a connection carries the stream that is on it");
            }
        }
    }
}
