//! The client side: connections, sessions, and the streams answers travel on.
//!
//! ```text
//! Client   one accepted connection: HTTP framing, and what it is busy with
//! Session  one handshake of one client: revision, principal, view; outlives its connections
//! Stream   where the messages of one POST (or one GET) go; outlives its connection, so that it can be resumed
//! ```
//!
//! Invariants: each message goes on exactly one stream; an answer only on the stream of its request; a session
//! is used by the principal that opened it alone; what is kept for a client that may come back is bounded.
//! Deliberately absent: what requests mean and who answers them (see `proxy`).

pub(crate) mod client;
pub(crate) mod seats;
pub(crate) mod session;
pub(crate) mod stream;

use crate::effects::Effects;
use crate::fault::Fault;
use crate::http;
use crate::id::{ConnId, IdMap, Key, Table};
use crate::json::{Pieces, quote};
use crate::oauth;
use crate::policy::Principal;
use crate::timer::TimerKind;
use base64ct::{Base64UrlUnpadded, Encoding};
use client::{Client, Task};
use seats::Seats;
use session::{Session, Transport};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use stream::{Mode, Stream};

/// All clients and sessions.
#[derive(Debug)]
pub(crate) struct Downstream {
    clients: IdMap<ConnId, Box<Client>>,
    sessions: Table<Session>,
    by_token: HashMap<Box<str>, Key>,
    /// Connections that may have a pipelined request to look at.
    ready: VecDeque<ConnId>,
    /// Connections that were given up because their client does not read.
    stalled: VecDeque<ConnId>,
    /// Who holds a connection.
    pub(crate) seats: Seats,
    /// Streams that keep something for a client that comes back, in the order in which they began to; some may be gone.
    keepers: VecDeque<(Key, u32)>,
    /// Length at which those that are gone are taken out.
    keepers_max: usize,
}

/// Below this length it does not matter how many keepers are gone.
const KEEPERS_MIN: usize = 64;

/// Whether a message ends what is owed for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The answer to a request.
    Answer,
    /// Something on the way to the answer. May be dropped when the client is slow.
    Note,
    /// A question to the client: like a note, but never dropped.
    Question,
}

impl Downstream {
    pub(crate) fn new(sessions_max: usize) -> Self {
        Self {
            clients: IdMap::default(),
            sessions: Table::new(sessions_max),
            by_token: HashMap::new(),
            ready: VecDeque::new(),
            stalled: VecDeque::new(),
            seats: Seats::default(),
            keepers: VecDeque::new(),
            keepers_max: KEEPERS_MIN,
        }
    }

    /// Number of connections.
    pub(crate) fn clients_len(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn accept(&mut self, fx: &mut Effects, conn: ConnId, peer: SocketAddr) {
        fx.open(conn);
        let limits = http::Limits {
            head_bytes_max: fx.limits.head_bytes_max,
            body_bytes_max: fx.limits.message_bytes_max,
            ..http::Limits::default()
        };
        let client = Client::new(fx, conn, peer, limits);
        self.put(fx, Box::new(client));
    }

    /// Takes a client out to work on it; to be put back with [`Downstream::put`].
    pub(crate) fn take(&mut self, conn: ConnId) -> Option<Box<Client>> {
        self.clients.remove(&conn)
    }

    pub(crate) fn put(&mut self, fx: &Effects, mut client: Box<Client>) {
        client.settle();
        let (before, seat) = client.change_seat(fx.mono());
        self.seats.change(client.conn, before, seat);
        self.clients.insert(client.conn, client);
    }

    /// Forgets what the stream keeps that has kept something for longest. Returns whether there was one.
    pub(crate) fn forget_oldest_kept(&mut self) -> bool {
        let Some((key, number)) = self.keepers.pop_front() else { return false };
        if let Some(stream) = self.sessions.get_mut(key).and_then(|session| session.streams.get_mut(&number))
        {
            stream.forget_kept();
        }
        true
    }

    /// A stream keeps something that kept nothing before.
    fn add_keeper(&mut self, key: Key, number: u32) {
        if self.keepers.len() >= self.keepers_max {
            let sessions = &self.sessions;
            let keeps = |key, number| sessions.get(key)?.streams.get(&number).filter(|stream| stream.keeps());
            self.keepers.retain(|(key, number)| keeps(*key, *number).is_some());
            self.keepers_max = self.keepers.len().saturating_mul(2).max(KEEPERS_MIN);
        }
        self.keepers.push_back((key, number));
    }

    /// Storage of requests that are coming in, of streams and of what sessions remember. For tests and rare events
    /// only.
    pub(crate) fn recount(&self) -> usize {
        #[expect(clippy::disallowed_methods, reason = "a sum has no order")]
        let clients: usize = self.clients.values().map(|client| client.http.capacity()).sum();
        clients.saturating_add(self.sessions.iter().map(|(_, session)| session.size()).sum())
    }

    pub(crate) fn client(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.clients.get_mut(&conn).map(|client| &mut **client)
    }

    /// The session whose stream a connection carries.
    pub(crate) fn session_of(&self, conn: ConnId) -> Option<Key> {
        match self.clients.get(&conn)?.task {
            Task::Streaming { session, .. } => Some(session),
            Task::Reading | Task::Deciding | Task::Waiting { .. } | Task::Probing { .. } | Task::Closing => {
                None
            }
        }
    }

    /// Event streams of somebody who logged in, and the token they did it with, in order. For rare events only.
    pub(crate) fn streams_of_logins(&self) -> Vec<(ConnId, oauth::Hash)> {
        let streams =
            |client: &Client| matches!(client.task, Task::Streaming { .. }).then_some(client.login).flatten();
        #[expect(clippy::disallowed_methods, reason = "sorted at once")]
        let found = self.clients.values().filter_map(|client| Some((client.conn, streams(client)?)));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by_key(|(conn, _)| *conn);
        found
    }

    /// Notes a connection that may have a pipelined request to look at.
    pub(crate) fn set_ready(&mut self, conn: ConnId) {
        self.ready.push_back(conn);
    }

    /// The next connection whose buffered bytes should be looked at again.
    pub(crate) fn next_ready(&mut self) -> Option<ConnId> {
        self.ready.pop_front()
    }

    /// The next connection that was given up.
    pub(crate) fn next_stalled(&mut self) -> Option<ConnId> {
        self.stalled.pop_front()
    }

    pub(crate) fn session(&mut self, key: Key) -> Option<&mut Session> {
        self.sessions.get_mut(key)
    }

    pub(crate) fn session_by_token(&self, token: &str) -> Option<Key> {
        self.by_token.get(token).copied()
    }

    /// All sessions, in slot order. For rare events only.
    pub(crate) fn session_keys(&self) -> Vec<Key> {
        self.sessions.iter().map(|(key, _)| key).collect()
    }

    /// The view of each session, in slot order. For rare events only.
    pub(crate) fn views(&self) -> impl Iterator<Item = usize> {
        self.sessions.iter().map(|(_, session)| session.view)
    }

    /// Opens a session. `None` when the table is full of sessions that are in use.
    pub(crate) fn open_session(
        &mut self,
        fx: &mut Effects,
        make: impl FnOnce(Box<str>) -> Session,
    ) -> Option<Key> {
        let token: Box<str> = Base64UrlUnpadded::encode_string(&fx.rng.token()).into();
        let mut session = make(token.clone());
        session.last_used = fx.mono();
        let key = self.sessions.insert(session).ok()?;
        self.by_token.insert(token, key);
        self.watch(fx, key);
        Some(key)
    }

    /// Arms the timer of a session: often enough for its old streams and for its idling.
    pub(crate) fn watch(&mut self, fx: &mut Effects, key: Key) {
        if let Some(session) = self.sessions.get_mut(key) {
            let ms = fx.limits.stream_retention_ms.min(fx.limits.session_idle_ms);
            session.timer = Some(fx.after(ms, TimerKind::SessionIdle, key.to_u64()));
        }
    }

    /// The session of this view and principal that has been idle longest and has nothing going on, to make room for
    /// another. Those of others are not touched: nobody can drive them out.
    pub(crate) fn idlest(&self, view: usize, principal: Principal) -> Option<Key> {
        let same = |session: &Session| session.view == view && session.principal == principal;
        let idle = self.sessions.iter().filter(|(_, session)| same(session) && session.is_quiet());
        idle.min_by_key(|(_, session)| session.last_used).map(|(key, _)| key)
    }

    /// Ends a session: all its streams end. What it was waiting for and held on to is for the caller to end.
    pub(crate) fn end_session(&mut self, fx: &mut Effects, key: Key) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        self.by_token.remove(&session.token);
        let timers =
            session.timer.into_iter().chain(session.greeting.as_ref().map(|greeting| greeting.timer));
        timers.for_each(|timer| fx.timers.cancel(timer));
        for stream in session.streams.values() {
            if let Some(client) = stream.conn.and_then(|conn| self.clients.get_mut(&conn)) {
                client.end_stream(fx);
                self.ready.push_back(client.conn);
            }
        }
        Some(session)
    }

    /// Sends a message on a stream of a session.
    pub(crate) fn deliver(
        &mut self,
        fx: &mut Effects,
        key: Key,
        number: u32,
        message: &Pieces<'_>,
        role: Role,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        let client = stream.conn.and_then(|conn| self.clients.get_mut(&conn)).map(|client| &mut **client);
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

    /// The stream for something that belongs to no answer but must arrive: `wanted` if it can carry it, else the
    /// standalone stream, else any that is connected. Also one whose client is away counts, if it may come back for
    /// what it missed and `wanted` is that stream.
    pub(crate) fn stream_for(&mut self, key: Key, wanted: Option<u32>) -> Option<u32> {
        let session = self.sessions.get_mut(key)?;
        let carries = |stream: &Stream| match stream.mode {
            Mode::Events => true,
            Mode::Plain { may_stream } => may_stream && stream.conn.is_some(),
        };
        let fits = |stream: &Stream| carries(stream) && !stream.is_finished();
        if let Some(number) = wanted
            && session.streams.get(&number).is_some_and(fits)
        {
            return Some(number);
        }
        let connected = |stream: &Stream| fits(stream) && stream.conn.is_some();
        session.standalone().or_else(|| {
            session.streams.iter().rev().find(|(_, stream)| connected(stream)).map(|(number, _)| *number)
        })
    }

    /// Whether a message of this length may be sent on a stream.
    pub(crate) fn has_room(&self, fx: &Effects, key: Key, number: u32, len: usize) -> bool {
        fx.ledger.has_room(self.waits(fx, key, number), len)
    }

    /// Bytes that wait for the client that reads a stream.
    pub(crate) fn waits(&self, fx: &Effects, key: Key, number: u32) -> usize {
        let stream = self.sessions.get(key).and_then(|session| session.streams.get(&number));
        stream.and_then(|stream| stream.conn).map_or(0, |conn| fx.queued(conn))
    }

    /// Whether a stream has a connection now.
    pub(crate) fn is_attached(&self, key: Key, number: Option<u32>) -> bool {
        let stream = self.sessions.get(key).and_then(|session| session.streams.get(&number?));
        stream.is_some_and(|stream| stream.conn.is_some())
    }

    /// Refuses the one request of a stream whose answer has not begun, with the status of the fault. False when an event
    /// stream has begun.
    pub(crate) fn refuse_plain(
        &mut self,
        fx: &mut Effects,
        key: Key,
        number: u32,
        id: &[u8],
        fault: &Fault,
    ) -> bool {
        let stream = self.sessions.get(key).and_then(|session| session.streams.get(&number));
        let Some(stream) = stream.filter(|stream| stream.mode != Mode::Events) else { return false };
        if let Some(client) = stream.conn.and_then(|conn| self.clients.get_mut(&conn)) {
            client.opens = None;
            client.answer_fault(fx, fault, id, &[("retry-after", "2")]);
            self.ready.push_back(client.conn);
        }
        true
    }

    /// Whether the answer of a stream has not begun, and its client is gone.
    pub(crate) fn is_forsaken(&self, key: Key, number: u32) -> bool {
        let stream = self.sessions.get(key).and_then(|session| session.streams.get(&number));
        stream.is_none_or(|stream| stream.mode != Mode::Events && stream.conn.is_none())
    }

    /// Turns a plain answer that is slow to come into an event stream.
    pub(crate) fn start_events(&mut self, fx: &mut Effects, key: Key, number: u32) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        if stream.mode != (Mode::Plain { may_stream: true }) {
            return;
        }
        if let Some(client) = stream.conn.and_then(|conn| self.clients.get_mut(&conn)) {
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
            } else if ended && let Some(client) = self.clients.get_mut(&conn) {
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
    pub(crate) fn withdraw(&mut self, fx: &mut Effects, key: Key, number: u32) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.transport != Transport::Streamable {
            return;
        }
        let Some(stream) = session.streams.get_mut(&number) else { return };
        stream.owed = stream.owed.saturating_sub(1);
        if stream.owed > 0 {
            return;
        }
        if let Some(client) = stream.conn.and_then(|conn| self.clients.get_mut(&conn)) {
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

    /// Tells one session that lists changed: at once if it has a stream for that, otherwise when it opens one.
    pub(crate) fn flush_changes(&mut self, fx: &mut Effects, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(number) = session.standalone() else { return };
        let conn = session.streams.get(&number).and_then(|stream| stream.conn);
        // Told later, when something else changes or the client opens a stream, rather than dropped on the way.
        if conn.is_some_and(|conn| fx.queued(conn) > fx.limits.send_high_bytes) {
            return;
        }
        let (changes, updates) = (session.take_changes(), session.take_updates());
        for method in changes {
            let parts: [&[u8]; 3] = [b"{\"jsonrpc\":\"2.0\",\"method\":\"", method.as_bytes(), b"\"}"];
            self.deliver(fx, key, number, &Pieces::of(&parts), Role::Note);
        }
        for uri in updates {
            let head =
                b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":";
            let text = [head.as_slice(), quote(&uri).as_bytes(), b"}}"].concat();
            self.deliver(fx, key, number, &Pieces::of(&[&text]), Role::Note);
        }
    }

    /// A connection is gone or must go. Returns the session that ends with it (HTTP+SSE), if one does.
    pub(crate) fn drop_client(&mut self, fx: &mut Effects, conn: ConnId) -> Option<Key> {
        let client = self.clients.remove(&conn)?;
        client.cancel_timers(fx);
        self.seats.leave(client.peer().ip(), conn, client.seat());
        fx.close(conn);
        let (Task::Waiting { session: key, stream } | Task::Streaming { session: key, stream }) = client.task
        else {
            return None;
        };
        let session = self.sessions.get_mut(key)?;
        session.last_used = fx.mono();
        if session.transport == Transport::Sse {
            return Some(key);
        }
        if let Some(stream) = session.streams.get_mut(&stream) {
            stream.detach(fx);
        }
        None
    }

    /// Attaches a client to a new stream of a session, or `None` when the session has too many. With `start` the
    /// event stream begins at once.
    pub(crate) fn attach(
        &mut self,
        fx: &mut Effects,
        client: &mut Client,
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
    pub(crate) fn resume(
        &mut self,
        fx: &mut Effects,
        client: &mut Client,
        key: Key,
        event_id: &str,
    ) -> Option<()> {
        let (number, after) = stream::parse_event_id(event_id)?;
        let session = self.sessions.get_mut(key)?;
        let stream = session.streams.get_mut(&number)?;
        if stream.mode != Mode::Events || !stream.can_replay_after(after) {
            return None;
        }
        if let Some(old) = stream.conn.take().and_then(|conn| self.clients.get_mut(&conn)) {
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
}
