//! Sessions: which one a request belongs to, how one begins and what ends with it.
//!
//! A session belongs to the principal and the view that it was opened with; named by anybody else it is unknown.
//!
//! Deliberately absent: sessions that outlive the process. An id could carry what `initialize` agreed, but it is given
//! out before the session does anything: nobody could see in it that its client has watched a resource since, has set a
//! log level, has a child of its own with a state, or has ended it. Going on without that would lose updates in silence.
//! And a proxy without logins keeps nothing on disk that such an id could be sealed with. So the client is told in the
//! words on which hosts begin a new session.

use super::Proxy;
use crate::downstream::client::Admitted;
use crate::downstream::session::{Session, Transport};
use crate::fault::{Code, Fault};
use crate::http::RequestHead;
use crate::id::Key;
use crate::mcp::Revision;
use crate::short_id::ShortIds;

impl Proxy {
    /// The session that a Streamable HTTP request names.
    pub(super) fn named_session(&mut self, head: &RequestHead, entry: Admitted) -> Result<Key, Fault> {
        let Some(token) = head.single("mcp-session-id")? else {
            self.readiness(entry)?;
            return Err(Fault::peer(Code::SessionRequired, "a session is required: send initialize first"));
        };
        let key = self.down.session_by_token(token);
        let key = key.filter(|key| self.owns(*key, entry, Transport::Streamable));
        let key = key.ok_or_else(unknown_session)?;
        if let Some(version) = head.single("mcp-protocol-version")?
            && Revision::from_name(version).is_none()
        {
            let detail = format!("protocol revision `{}` is not served", Fault::quoted(version.as_bytes()));
            return Err(Fault::peer(Code::BadRevision, detail));
        }
        self.touch(key);
        Ok(key)
    }

    /// Whether a session may be used on this route by this principal.
    pub(super) fn owns(&mut self, key: Key, entry: Admitted, transport: Transport) -> bool {
        self.down.session(key).is_some_and(|session| {
            session.view == entry.view
                && session.principal == entry.principal
                && session.transport == transport
        })
    }

    pub(super) fn touch(&mut self, key: Key) {
        let now = self.fx.mono();
        if let Some(session) = self.down.session(key) {
            session.last_used = now;
        }
    }

    /// Opens a session, at the price of the one that idled longest when there are too many.
    pub(super) fn new_session(&mut self, transport: Transport, entry: Admitted) -> Result<Key, Fault> {
        let ledger = self.fx.ledger.clone();
        let (id_max, owed_max) = (self.fx.limits.call_id_max, self.fx.limits.owed_ids_max);
        let make = |token| {
            let ids = ShortIds::new(id_max, owed_max);
            Session::new(&ledger, ids, token, transport, entry.view, entry.principal)
        };
        if let Some(key) = self.down.open_session(&mut self.fx, make) {
            return Ok(key);
        }
        if let Some(idle) = self.down.idlest(entry.view, entry.principal) {
            self.end_session(idle);
        }
        let full = || Fault::local(Code::Overloaded, "there are too many sessions");
        self.down.open_session(&mut self.fx, make).ok_or_else(full)
    }

    /// Ends a session and everything it was waiting for.
    pub(super) fn end_session(&mut self, key: Key) {
        let Some(session) = self.down.end_session(&mut self.fx, key) else { return };
        for call in session.calls {
            self.cancel_call(call, None);
        }
        self.orphan_questions(session.questions);
        for (uri, id) in session.watches {
            self.servers().let_go(id, &uri, key);
        }
        self.leave(session.links.into_values());
    }

    pub(super) fn on_session_timer(&mut self, key: Key) {
        let Some(session) = self.down.session(key) else { return };
        let lost = session.sweep(&self.fx);
        let idle = self.fx.mono().ms_since(session.last_used) >= self.fx.limits.session_idle_ms;
        let over = idle && session.is_quiet() && session.transport == Transport::Streamable;
        if over {
            return self.end_session(key);
        }
        for number in lost {
            self.cancel_stream_calls(key, number);
        }
        self.down.watch(&mut self.fx, key);
    }
}

/// The words are those of the official SDKs: there are hosts that begin a new session only if they read exactly these.
pub(super) fn unknown_session() -> Fault {
    Fault::peer(Code::UnknownSession, "Session terminated")
}
