//! On which stream something goes to a client, and what follows for the stream.

use super::Clients;
use super::admission::RETRY_AFTER;
use super::event::Role;
use super::session::Transport;
use super::stream::{Mode, Stream};
use crate::effects::Effects;
use crate::fault::Fault;
use crate::id::{Key, Requester};
use crate::json::Pieces;

impl Clients {
    /// Sends a message on a stream of a session.
    pub(crate) fn deliver(
        &mut self,
        fx: &mut Effects,
        requester: Requester,
        message: &Pieces<'_>,
        role: Role,
    ) {
        let Requester { session: key, stream: number } = requester;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        let client = stream.conn.and_then(|conn| self.conns.get_mut(&conn)).map(|client| &mut **client);
        let slow = |conn| fx.queued(conn) > fx.limits.send_high_bytes || !fx.has_room(conn, message.len());
        if role == Role::Note && stream.conn.is_some_and(slow) {
            return;
        }
        let kept = stream.keeps();
        match (stream.mode, role) {
            (Mode::Plain { .. }, Role::Answer) => {
                if stream.gather(message)
                    && let Some(client) = client
                {
                    client.answer_json(fx, &stream.plain_body());
                    self.ready.push_back(client.conn);
                }
                if stream.owed == 0 {
                    session.streams.remove(&number);
                }
                return;
            }
            (Mode::Plain { may_stream: false }, Role::Note | Role::Question) => return,
            (Mode::Plain { may_stream: true }, Role::Note | Role::Question) => {
                let Some(client) = client else { return };
                stream.start(fx, client, session.revision, number);
                stream.event(fx, Some(client), number, message, role);
            }
            (Mode::Events, _) => stream.event(fx, client, number, message, role),
        }
        if stream.keeps() && !kept {
            self.add_keeper(key, number);
        }
        self.after_event(fx, key, number);
    }

    /// The stream for what belongs to no request and may be told later: the standalone one, unless there is none or its
    /// client is slow. What is not told now is told when [`McpEvent::Reachable`](super::McpEvent::Reachable) says so.
    pub(crate) fn standalone(&self, fx: &Effects, session: Key) -> Option<Requester> {
        let known = self.sessions.get(session)?;
        let stream = known.standalone()?;
        let conn = known.streams.get(&stream)?.conn;
        let is_slow = conn.is_some_and(|conn| fx.queued(conn) > fx.limits.send_high_bytes);
        (!is_slow).then_some(Requester { session, stream })
    }

    /// The stream for something that belongs to no answer but must arrive: `wanted` if it can carry it, else the
    /// standalone stream, else any that is connected. Also one whose client is away counts, if it may come back for
    /// what it missed and `wanted` is that stream.
    pub(crate) fn stream_for(&self, key: Key, wanted: Option<u32>) -> Option<Requester> {
        let on = |stream| Requester { session: key, stream };
        let session = self.sessions.get(key)?;
        let carries = |stream: &Stream| match stream.mode {
            Mode::Events => true,
            Mode::Plain { may_stream } => may_stream && stream.conn.is_some(),
        };
        let fits = |stream: &Stream| carries(stream) && !stream.is_finished();
        if let Some(number) = wanted
            && session.streams.get(&number).is_some_and(fits)
        {
            return Some(on(number));
        }
        let connected = |stream: &Stream| fits(stream) && stream.conn.is_some();
        let newest = || session.streams.iter().rev().find(|(_, stream)| connected(stream));
        session.standalone().or_else(|| newest().map(|(number, _)| *number)).map(on)
    }

    /// Whether a message of this length may be sent on a stream.
    pub(crate) fn has_room(&self, fx: &Effects, requester: Requester, len: usize) -> bool {
        fx.ledger.has_room(self.waits(fx, requester), len)
    }

    /// Bytes that wait for the client that reads a stream.
    pub(super) fn waits(&self, fx: &Effects, requester: Requester) -> usize {
        self.stream(requester).and_then(|stream| stream.conn).map_or(0, |conn| fx.queued(conn))
    }

    /// Whether a stream has a connection now.
    pub(crate) fn is_attached(&self, requester: Requester) -> bool {
        self.stream(requester).is_some_and(|stream| stream.conn.is_some())
    }

    /// Refuses the one request of a stream whose answer has not begun, with the status of the fault. False when an event
    /// stream has begun.
    pub(crate) fn refuse_plain(
        &mut self,
        fx: &mut Effects,
        requester: Requester,
        id: &[u8],
        fault: &Fault,
    ) -> bool {
        let Some(stream) = self.stream(requester).filter(|stream| stream.mode != Mode::Events) else {
            return false;
        };
        if let Some(client) = stream.conn.and_then(|conn| self.conns.get_mut(&conn)) {
            client.opens = None;
            client.answer_fault(fx, fault, id, &[RETRY_AFTER]);
            self.ready.push_back(client.conn);
        }
        true
    }

    /// Whether the answer of a stream has not begun, and its client is gone.
    pub(crate) fn is_abandoned(&self, requester: Requester) -> bool {
        self.stream(requester).is_none_or(|stream| stream.mode != Mode::Events && stream.conn.is_none())
    }

    /// Turns a plain answer that is slow to come into an event stream.
    pub(crate) fn start_events(&mut self, fx: &mut Effects, requester: Requester) {
        let Requester { session: key, stream: number } = requester;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        if stream.mode != (Mode::Plain { may_stream: true }) {
            return;
        }
        if let Some(client) = stream.conn.and_then(|conn| self.conns.get_mut(&conn)) {
            stream.start_to_wait(fx, client, session.revision, number);
        }
    }

    /// What follows from an event: the stream may have ended, its client may not be reading.
    fn after_event(&mut self, fx: &mut Effects, key: Key, number: u32) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        let ended = stream.is_finished();
        if let Some(conn) = stream.conn {
            if fx.queued(conn) > fx.limits.send_cap_bytes {
                self.stalled.push_back(conn);
            } else if ended && let Some(client) = self.conns.get_mut(&conn) {
                stream.detach(fx);
                client.end_stream(fx);
                self.ready.push_back(conn);
            }
        }
        if ended {
            session.trim_finished(fx);
        }
    }

    /// Ends the stream of a request that gets no answer (it was cancelled).
    pub(crate) fn withdraw(&mut self, fx: &mut Effects, requester: Requester) {
        let Requester { session: key, stream: number } = requester;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.transport != Transport::Streamable {
            return;
        }
        let Some(stream) = session.streams.get_mut(&number) else { return };
        stream.owed = stream.owed.saturating_sub(1);
        if stream.owed > 0 {
            return;
        }
        if let Some(client) = stream.conn.and_then(|conn| self.conns.get_mut(&conn)) {
            match stream.mode {
                Mode::Plain { .. } => match stream.has_gathered() {
                    true => client.answer_json(fx, &stream.plain_body()),
                    false => client.answer_nothing(fx),
                },
                Mode::Events => client.end_stream(fx),
            }
            self.ready.push_back(client.conn);
        }
        session.streams.remove(&number);
    }

    fn stream(&self, requester: Requester) -> Option<&Stream> {
        self.sessions.get(requester.session)?.streams.get(&requester.stream)
    }
}
