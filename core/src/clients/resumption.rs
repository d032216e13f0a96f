//! Streams of a session: begun, resumed by a client that lost one, and what is kept for that (2025-11-25
//! basic/transports § Resumability and Redelivery).

use super::Clients;
use super::conn::ClientConn;
use super::stream::{self, Mode, Stream};
use crate::effects::Effects;
use crate::id::Key;

/// Below this length it does not matter how many keepers are gone.
pub(super) const KEEPERS_MIN: usize = 64;

impl Clients {
    /// Attaches a client to a new stream of a session, or `None` when the session has too many. With `start` the
    /// event stream begins at once.
    pub(super) fn attach(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        key: Key,
        mut stream: Stream,
        start: bool,
    ) -> Option<u32> {
        let session = self.sessions.get_mut(key)?;
        if session.streams.len() >= fx.limits.session_streams_max {
            return None;
        }
        let number = session.next_stream;
        session.next_stream = session.next_stream.wrapping_add(1);
        stream.conn = Some(client.conn);
        client.wait(key, number);
        if start {
            stream.start_to_wait(fx, client, session.revision, number);
        }
        session.streams.insert(number, stream);
        Some(number)
    }

    /// Attaches a client that comes back to the stream of its `Last-Event-ID`: replays what it missed and goes on.
    /// `None` when there is no such stream or it is not known any more what came after the event.
    pub(super) fn resume(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        key: Key,
        event_id: &str,
    ) -> Option<()> {
        let (number, after) = stream::parse_event_id(event_id)?;
        let session = self.sessions.get_mut(key)?;
        let stream = session.streams.get_mut(&number)?;
        if stream.mode != Mode::Events || !stream.can_replay_after(after) {
            return None;
        }
        if let Some(old) = stream.conn.take().and_then(|conn| self.conns.get_mut(&conn)) {
            old.end_stream(fx);
            self.ready.push_back(old.conn);
        }
        client.wait(key, number);
        client.start_stream(fx);
        stream.conn = Some(client.conn);
        stream.replay(fx, client, number, after);
        if stream.is_finished() {
            stream.detach(fx);
            client.end_stream(fx);
        }
        Some(())
    }

    /// Forgets what the stream keeps that has kept something for longest. Returns whether there was one.
    pub(super) fn forget_oldest_kept(&mut self) -> bool {
        let Some((key, number)) = self.keepers.pop_front() else { return false };
        if let Some(stream) = self.sessions.get_mut(key).and_then(|session| session.streams.get_mut(&number))
        {
            stream.forget_kept();
        }
        true
    }

    /// A stream keeps something that kept nothing before.
    pub(super) fn add_keeper(&mut self, key: Key, number: u32) {
        if self.keepers.len() >= self.keepers_max {
            let sessions = &self.sessions;
            let keeps = |key, number| sessions.get(key)?.streams.get(&number).filter(|stream| stream.keeps());
            self.keepers.retain(|(key, number)| keeps(*key, *number).is_some());
            self.keepers_max = self.keepers.len().saturating_mul(2).max(KEEPERS_MIN);
        }
        self.keepers.push_back((key, number));
    }
}
