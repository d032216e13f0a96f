//! What must hold between two events, for tests to ask.

use super::Servers;
use super::calls::Origin;
use super::usage::UsageKind;

impl Servers {
    /// Looks at everything.
    ///
    /// # Panics
    /// If two tables that say the same disagree.
    pub(crate) fn assert_sound(&self) {
        for server in self.servers() {
            let shared = self.get(server.shared()).map(|connection| connection.server);
            assert_eq!(shared, Some(server.id()), "a server has a shared connection of its own");
            for other in server.others() {
                let other = self.get(*other).map(|connection| connection.server);
                assert_eq!(other, Some(server.id()), "the others are there, and of the same server");
            }
        }
        for connection in self.iter() {
            let server = self.server(connection.server);
            let is_shared = connection.usage.kind == UsageKind::Shared;
            let is_known = server.is_some_and(|server| match is_shared {
                true => server.shared() == connection.id,
                false => server.others().contains(&connection.id),
            });
            assert!(is_known, "a connection is known to its server");
            for call in &connection.own_calls {
                let upstream = self.call(*call).map(|call| call.upstream);
                assert_eq!(upstream, Some(connection.id), "what the proxy asked is in flight");
            }
        }
        let mut clients = 0;
        for (_, call) in self.calls.iter() {
            clients += usize::from(matches!(call.origin, Origin::Client(_)));
            assert!(self.get(call.upstream).is_some(), "a call is at a connection that is there");
        }
        assert_eq!(self.calls.is_quiet(), clients == 0, "calls of clients are counted");
    }
}
