//! What those behind a connection want of it together: watched resources and a log level, told to the server once.
//!
//! Invariant: a server that comes back knows nothing and is told again (ST-19).

use super::ServersMut;
use super::calls::Own;
use super::connection::{Connection, Phase};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Raw};
use crate::mcp::LogLevel;

impl ServersMut<'_> {
    /// A session watches a resource from now on, of which the server knows.
    pub(crate) fn watch(&mut self, id: UpstreamId, uri: &str, session: Key) {
        if let Some(connection) = self.conns.get_mut(id) {
            connection.usage.watch(uri, session);
        }
    }

    /// A session watches a resource no more. Returns whether nobody does, so that the server is to be told.
    pub(crate) fn unwatch(&mut self, id: UpstreamId, uri: &str, session: Key) -> bool {
        self.conns.get_mut(id).is_some_and(|connection| connection.usage.unwatch(uri, session))
    }

    /// The same, where the server is told at once.
    pub(crate) fn let_go(&mut self, id: UpstreamId, uri: &str, session: Key) {
        let Some(connection) = self.conns.get_mut(id) else { return };
        if connection.usage.is_watched(uri) && connection.usage.unwatch(uri, session) {
            self.let_go_unheld(id, uri);
        }
    }

    /// Tells a server that nobody watches a resource, if that is so.
    pub(super) fn let_go_unheld(&mut self, id: UpstreamId, uri: &str) {
        let Some(connection) = self.conns.get(id) else { return };
        if connection.phase == Phase::Ready && !connection.usage.wants(uri) {
            let params = format!("{{\"uri\":{}}}", json::quote(uri));
            self.submit_own(id, Own::Watch, "resources/unsubscribe", &params);
        }
    }

    /// Tells a server the log level that is wanted of it, if it has log messages and does not know.
    pub(crate) fn set_level(&mut self, id: UpstreamId, level: LogLevel) {
        let Some(connection) = self.conns.get_mut(id) else { return };
        if !connection.peer.logging
            || connection.phase != Phase::Ready
            || connection.usage.level == Some(level)
        {
            return;
        }
        connection.usage.level = Some(level);
        let params = format!("{{\"level\":\"{}\"}}", level.name());
        self.submit_own(id, Own::SetLevel, "logging/setLevel", &params);
    }

    /// A session was sent to a URL by a server; `elicitation` is a raw id.
    pub(crate) fn sent_away(&mut self, id: UpstreamId, elicitation: Raw, session: Key) {
        if let Some(connection) = self.conns.get_mut(id) {
            connection.usage.sent_away(elicitation, session);
        }
    }

    /// The session that was sent to the URL of this elicitation; told once.
    pub(crate) fn came_back(&mut self, id: UpstreamId, elicitation: &[u8]) -> Option<Key> {
        self.conns.get_mut(id)?.usage.came_back(elicitation)
    }

    /// A connection is up, and whoever wants something of it was told: it is asked for what was watched before, and
    /// gets what waited for it.
    pub(super) fn resume(&mut self, id: UpstreamId) {
        let ready = |connection: &&Connection| connection.phase == Phase::Ready;
        let Some(connection) = self.conns.get(id).filter(ready) else { return };
        for uri in connection.usage.watched() {
            let params = format!("{{\"uri\":{}}}", json::quote(&uri));
            self.submit_own(id, Own::Watch, "resources/subscribe", &params);
        }
        if let Some(connection) = self.conns.get_mut(id) {
            connection.send_notes(self.fx);
        }
        self.send_waiting(id);
        self.open_standalone(id);
    }
}
