//! Sessions: how one begins, which one a request belongs to, and what ends it.
//!
//! A session belongs to the principal and the view that it was opened with; named by anybody else it is unknown.
//!
//! Deliberately absent: sessions that outlive the process. An id could carry what `initialize` agreed, but it is given
//! out before the session does anything: nobody could see in it that its client has watched a resource since, has set a
//! log level, has a child of its own with a state, or has ended it. Going on without that would lose updates in silence.
//! And a proxy without logins keeps nothing on disk that such an id could be sealed with. So the client is told in the
//! words on which hosts begin a new session.

use super::Clients;
use super::admission::Named;
use super::conn::Entry;
use super::event::{Exchange, McpEvent, Message};
use super::session::{Session, Transport};
use super::stream::Stream;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::{Key, ViewId};
use crate::mcp::Revision;
use crate::policy::Principal;
use crate::sse::encode_event;
use crate::timer::ClientTimer;
use base64ct::{Base64UrlUnpadded, Encoding};

impl Clients {
    /// The session that a Streamable HTTP request names; `None` if it names none.
    ///
    /// # Errors
    /// [`Code::UnknownSession`], [`Code::BadRevision`].
    pub(super) fn named_session(
        &mut self,
        fx: &Effects,
        named: Named<'_>,
        entry: Entry,
    ) -> Result<Option<Key>, Fault> {
        let Some(token) = named.session else { return Ok(None) };
        let key = self.by_token.get(token).copied();
        let key = key.filter(|key| self.owns(*key, entry, Transport::Streamable));
        let key = key.ok_or_else(unknown_session)?;
        if let Some(version) = named.revision
            && Revision::from_name(version).is_none()
        {
            let detail = format!("protocol revision `{}` is not served", Fault::quoted(version.as_bytes()));
            return Err(Fault::peer(Code::BadRevision, detail));
        }
        self.touch(fx, key);
        Ok(Some(key))
    }

    /// Whether a session may be used on this route by this principal.
    pub(super) fn owns(&self, key: Key, entry: Entry, transport: Transport) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            session.entry.view == entry.view
                && session.entry.principal == entry.principal
                && session.transport == transport
        })
    }

    /// Something happened in a session: it does not idle.
    pub(crate) fn touch(&mut self, fx: &Effects, key: Key) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.last_used = fx.mono();
        }
    }

    /// The session that a message opens over Streamable HTTP: who sent it waits in it from now on.
    ///
    /// # Errors
    /// [`Code::Overloaded`] when there are too many sessions that are in use.
    pub(crate) fn open_session(&mut self, fx: &mut Effects, message: &mut Message) -> Result<Key, Fault> {
        debug_assert!(message.is_opening(), "this message belongs to a session already");
        let key = self.new_session(fx, Transport::Streamable, message.entry)?;
        message.requester.session = key;
        Ok(key)
    }

    /// The GET of HTTP+SSE becomes a session: its first event says where messages for it go.
    ///
    /// # Errors
    /// As [`Clients::open_session`]; the request is then refused already.
    pub(crate) fn open_event_session(
        &mut self,
        fx: &mut Effects,
        mut exchange: Exchange,
        entry: Entry,
    ) -> Option<Key> {
        let key = match self.new_session(fx, Transport::Sse, entry) {
            Ok(key) => key,
            Err(fault) => {
                self.refuse(fx, exchange, fault);
                return None;
            }
        };
        let message = self.routes.message_path(exchange.head().path());
        self.attach(fx, &mut exchange.0, key, Stream::standalone(fx, false), true);
        let token = self.token(key).unwrap_or_default();
        let reference = format!("{message}?sessionId={token}");
        exchange.0.write_stream(fx, reference.len().saturating_add(32), |out| {
            encode_event(out, None, Some("endpoint"), None, &[reference.as_bytes()]);
        });
        self.give_back(exchange.0);
        Some(key)
    }

    /// Opens a session, at the price of the one that idled longest when there are too many.
    fn new_session(&mut self, fx: &mut Effects, transport: Transport, entry: Entry) -> Result<Key, Fault> {
        if self.sessions.is_full()
            && let Some(idle) = self.idlest(entry.view, entry.principal)
        {
            self.end_session(fx, idle);
        }
        let token: Box<str> = Base64UrlUnpadded::encode_string(&fx.rng.token()).into();
        let session = Session::new(token.clone(), transport, entry, fx.mono());
        let full = |_| Fault::local(Code::Overloaded, "there are too many sessions");
        let key = self.sessions.insert(session).map_err(full)?;
        self.by_token.insert(token, key);
        self.watch(fx, key);
        Ok(key)
    }

    /// The session of this view and principal that has been idle longest and has nothing going on, to make room for
    /// another. Those of others are not touched: nobody can drive them out.
    fn idlest(&self, view: ViewId, principal: Principal) -> Option<Key> {
        let same = |session: &Session| session.entry.view == view && session.entry.principal == principal;
        let idle = self.sessions.iter().filter(|(_, session)| same(session) && session.is_quiet());
        idle.min_by_key(|(_, session)| session.last_used).map(|(key, _)| key)
    }

    pub(super) fn token(&self, key: Key) -> Option<Box<str>> {
        self.sessions.get(key).map(|session| session.token.clone())
    }

    /// A revision was agreed on with a client.
    pub(crate) fn set_revision(&mut self, key: Key, revision: Revision) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.revision = revision;
        }
    }

    /// How the client of a session is connected.
    pub(crate) fn transport(&self, key: Key) -> Option<Transport> {
        self.sessions.get(key).map(|session| session.transport)
    }

    /// Ends a session and all its streams. What it was waiting for and held on to ends with
    /// [`McpEvent::Ended`].
    pub(crate) fn end_session(&mut self, fx: &mut Effects, key: Key) {
        let Some(session) = self.sessions.remove(key) else { return };
        let token = self.by_token.remove(&session.token);
        debug_assert_eq!(token, Some(key), "each session has one token");
        session.timer.into_iter().for_each(|timer| fx.timers.cancel(timer));
        for stream in session.streams.values() {
            if let Some(client) = stream.conn.and_then(|conn| self.conns.get_mut(&conn)) {
                client.end_stream(fx);
                self.ready.push_back(client.conn);
            }
        }
        self.ended.push_back(key);
    }

    /// A session that has ended since it was last asked. Ask before something is kept for a new one, which may have the
    /// place of an old one.
    pub(crate) fn next_ended(&mut self) -> Option<Key> {
        self.ended.pop_front()
    }

    /// Arms the timer of a session: often enough for its old streams and for its idling.
    fn watch(&mut self, fx: &mut Effects, key: Key) {
        if let Some(session) = self.sessions.get_mut(key) {
            let ms = fx.limits.stream_retention_ms.min(fx.limits.session_idle_ms);
            session.timer = Some(fx.after(ms, ClientTimer::SessionIdle, key.to_u64()));
        }
    }

    pub(super) fn on_session_timer(&mut self, fx: &mut Effects, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let lost = session.sweep(fx);
        let idle = fx.mono().ms_since(session.last_used) >= fx.limits.session_idle_ms;
        let over = idle && session.is_quiet() && session.transport == Transport::Streamable;
        for stream in lost {
            self.events.push_back(McpEvent::StreamLost { session: key, stream });
        }
        match over {
            true => self.end_session(fx, key),
            false => self.watch(fx, key),
        }
    }
}

/// The words are those of the official SDKs: there are hosts that begin a new session only if they read exactly these.
pub(super) fn unknown_session() -> Fault {
    Fault::peer(Code::UnknownSession, "Session terminated")
}
