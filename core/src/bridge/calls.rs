//! Calls that their clients want no more.

use super::BridgeMut;
use crate::clients::Message;
use crate::id::{Key, Requester};
use crate::json;

impl BridgeMut<'_> {
    /// `notifications/cancelled` of a client: the call ends, the server is told.
    pub(super) fn on_client_cancelled(&mut self, message: &Message) {
        let (session, text) = (message.session(), message.text());
        let Some(params) = message.envelope().params else { return };
        let Ok(Some(id)) = json::member(text, params, "requestId") else { return };
        if let Some(requester) = self.forget_list(session, id.of(text)) {
            return self.clients.withdraw(self.fx, requester);
        }
        let Some(client) = self.sessions.get(session) else { return };
        let Some((key, requester)) = client.calls.iter().find_map(|key| {
            let origin = self.servers.call(*key)?.origin.client()?;
            json::is_same_id(origin.id.as_bytes(), id.of(text)).then(|| (*key, origin.requester()))
        }) else {
            return;
        };
        let reason = json::member(text, params, "reason").ok().flatten();
        let reason = reason.and_then(|reason| json::unquote(reason.of(text)));
        self.cancel_call(key, reason.as_deref());
        self.clients.withdraw(self.fx, requester);
    }

    /// Cancels what was asked on one stream, because its client did not come back.
    pub(super) fn cancel_stream_calls(&mut self, session: Key, stream: u32) {
        let Some(client) = self.sessions.get(session) else { return };
        let lost = Requester { session, stream };
        for key in client.calls.clone() {
            let origin = self.servers.call(key).and_then(|call| call.origin.client());
            if origin.is_some_and(|origin| origin.requester() == lost) {
                self.cancel_call(key, None);
            }
        }
    }
}
