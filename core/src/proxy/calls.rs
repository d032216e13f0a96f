//! Calls that their clients want no more.

use super::Proxy;
use crate::id::Key;
use crate::json::{self, Span};
use crate::servers::calls::Origin;

impl Proxy {
    /// `notifications/cancelled` of a client: the call ends, the server is told.
    pub(super) fn on_client_cancelled(&mut self, asker: Key, params: Span, text: &[u8]) {
        let Ok(Some(id)) = json::member(text, params, "requestId") else { return };
        if let Some(stream) = self.forget_list(asker, id.of(text)) {
            return self.down.withdraw(&mut self.fx, asker, stream);
        }
        let Some(session) = self.down.session(asker) else { return };
        let named = |key: &&Key| match self.servers.call(**key).map(|call| &call.origin) {
            Some(Origin::Client(origin)) => json::is_same_id(origin.id.as_bytes(), id.of(text)),
            Some(Origin::Own(_)) | None => false,
        };
        let Some(key) = session.calls.iter().find(named).copied() else { return };
        let reason = json::member(text, params, "reason").ok().flatten();
        let reason = reason.and_then(|reason| json::unquote(reason.of(text)));
        let origin = self.servers.call(key).and_then(|call| call.origin.client());
        let Some(stream) = origin.map(|origin| origin.stream) else { return };
        self.cancel_call(key, reason.as_deref());
        self.down.withdraw(&mut self.fx, asker, stream);
    }

    /// Cancels what was asked on one stream, because its client did not come back.
    pub(super) fn cancel_stream_calls(&mut self, session: Key, number: u32) {
        let Some(known) = self.down.session(session) else { return };
        let calls = known.calls.clone();
        for key in calls {
            let of_stream = match self.servers.call(key).map(|call| &call.origin) {
                Some(Origin::Client(origin)) => origin.stream == number,
                Some(Origin::Own(_)) | None => false,
            };
            if of_stream {
                self.cancel_call(key, None);
            }
        }
    }
}
