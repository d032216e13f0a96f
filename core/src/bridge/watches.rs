//! Watched resources: `resources/subscribe` and `unsubscribe`, counted per connection (`bridging` §6.5).
//!
//! The server hears of the first session that watches a resource and of the last that stops; whoever comes between is
//! answered here. Invariant: what a session watches is known on both sides, in the session and at the connection,
//! and let go of with the session.

use super::BridgeMut;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::ledger::NO_MEMORY;
use crate::mcp::Method;

impl BridgeMut<'_> {
    /// Whether a subscription can be answered here, because others hold the resource already or still.
    ///
    /// # Errors
    /// [`Code::Overloaded`] when the session watches too much, [`Code::MethodNotFound`] when the server has no
    /// subscriptions.
    pub(super) fn is_answered_here(
        &mut self,
        session: Key,
        id: UpstreamId,
        method: Method,
        uri: &str,
    ) -> Result<bool, Fault> {
        let Some(upstream) = self.servers.get(id) else { return Ok(false) };
        if !upstream.peer().subscribe {
            return Err(Fault::peer(Code::MethodNotFound, "the server has no subscriptions"));
        }
        let Some(known) = self.sessions.get_mut(session) else { return Ok(false) };
        if method == Method::Unsubscribe {
            // Who does not watch it has nothing to let go of, and nothing to ask of the server.
            let held = known.unwatch(uri);
            return Ok(!held || !self.servers().unwatch(id, uri, session));
        }
        if uri.len() > self.fx.limits.uri_bytes_max {
            return Err(Fault::peer(Code::InvalidParams, "the URI is too long"));
        }
        if known.watches.len() >= self.fx.limits.watches_max {
            return Err(Fault::local(Code::Overloaded, "this session watches too many resources"));
        }
        if !known.has_room(self.fx, uri.len()) {
            return Err(Fault::local(Code::Overloaded, NO_MEMORY));
        }
        let is_held = upstream.usage().is_watched(uri);
        if is_held {
            self.watch(session, id, uri);
        }
        Ok(is_held)
    }

    /// A server accepted the first subscription.
    pub(super) fn watch(&mut self, session: Key, id: UpstreamId, uri: &str) {
        if self.servers.get(id).is_none() {
            return;
        }
        let Some(known) = self.sessions.get_mut(session) else { return };
        let before = known.watch(uri, id);
        self.servers().watch(id, uri, session);
        // On the merged endpoint a URI may have changed its owner.
        if let Some(before) = before.filter(|before| *before != id) {
            self.servers().let_go(before, uri, session);
        }
    }
}
