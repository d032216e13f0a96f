//! Clients that leave, and the end of everything.

use super::BridgeMut;
use crate::fault::{Code, Fault};
use crate::id::Key;

impl BridgeMut<'_> {
    /// A session is over, and with it everything that it was waiting for or held on to.
    pub(super) fn forget_client(&mut self, session: Key) {
        let Some(client) = self.sessions.remove(session) else { return };
        client.greeting.iter().for_each(|greeting| self.fx.timers.cancel(greeting.timer));
        for call in client.calls {
            self.cancel_call(call, None);
        }
        for question in client.questions {
            self.orphan_question(question);
        }
        for (uri, id) in client.watches {
            self.servers().let_go(id, &uri, session);
        }
        for id in client.links.into_values() {
            self.servers().leave(id);
        }
    }

    /// Nobody waits any longer: lists are answered as they are, calls with an error, and sessions end.
    pub(crate) fn end_everything(&mut self) {
        for session in self.session_keys() {
            self.answer_lists(session, true);
        }
        let fault = Fault::local(Code::UpstreamLost, "the proxy is shutting down");
        for call in self.servers.calls().client_calls() {
            self.give_up_call(call, &fault);
        }
        for session in self.session_keys() {
            self.clients.end_session(self.fx, session);
        }
    }
}
