//! What must hold between two events, for tests to ask.

use super::Bridge;
use crate::clients::Clients;
use crate::servers::Servers;

impl Bridge {
    /// Looks at everything that is known on two sides.
    ///
    /// # Panics
    /// If the sides disagree.
    pub(crate) fn assert_sound(&self, clients: &Clients, servers: &Servers) {
        assert_eq!(self.sessions.iter().count(), clients.sessions_len(), "each session has one client");
        for (session, client) in self.sessions.iter() {
            assert!(clients.transport(session).is_some(), "a client has a session");
            for call in &client.calls {
                let origin = servers.call(*call).and_then(|call| call.origin.client());
                let of = origin.map(|origin| origin.session);
                assert_eq!(of, Some(session), "a call of a client is in flight, and its own");
            }
            for (uri, id) in &client.watches {
                let connection = servers.get(*id);
                let watches = connection.is_some_and(|it| it.usage().watchers(uri).contains(&session));
                assert!(watches, "what a client watches is watched at the connection");
            }
            for question in &client.questions {
                let asked = self.questions.get(*question).and_then(|question| question.asked());
                let of = asked.map(|asked| asked.session);
                assert_eq!(of, Some(session), "a question of a client is open, and its own");
            }
        }
        for call in servers.calls().client_calls() {
            let origin = servers.call(call).and_then(|call| call.origin.client());
            let client = origin.and_then(|origin| self.sessions.get(origin.session));
            let is_known = client.is_some_and(|client| client.calls.contains(&call));
            assert!(is_known, "a call in flight is known to its client");
        }
        for connection in servers.iter() {
            let open = self.questions.of(connection.id()).len();
            let counted = usize::try_from(connection.usage().questions).unwrap_or_default();
            assert_eq!(counted, open, "questions of a connection are counted");
        }
    }
}
