//! How much the engine holds: for tests that nothing is left behind, and for whoever watches the process.

use super::Proxy;

/// What is there at this moment. Each number goes back when what it counts has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Downstream connections.
    pub clients: usize,
    /// Downstream sessions.
    pub sessions: usize,
    /// Calls in flight, those of the proxy itself included.
    pub calls: usize,
    /// Questions of servers that are not answered yet.
    pub questions: usize,
    /// Connections to servers: one of each, and those beside them.
    pub upstreams: usize,
    /// Armed timers.
    pub timers: usize,
    /// Bytes held for peers, as `limits.memoryBytes` counts them.
    pub bytes: usize,
}

impl Proxy {
    /// Counts. Takes time in proportion to the number of timers.
    pub fn census(&self) -> Census {
        Census {
            clients: self.clients.conns_len(),
            sessions: self.clients.sessions_len(),
            calls: self.servers.calls().len(),
            questions: self.bridge.questions_len(),
            upstreams: self.servers.iter().count(),
            timers: self.fx.timers.iter().count(),
            bytes: self.fx.ledger.held(),
        }
    }

    /// Bytes held for peers now. Constant time.
    pub fn held(&self) -> usize {
        self.fx.ledger.held()
    }

    /// Bytes held for peers, counted by looking at each holder: must be what the running sum says. Takes time in
    /// proportion to everything there is; for tests.
    ///
    /// # Panics
    /// If two tables that say the same disagree.
    pub fn recount(&self) -> usize {
        self.clients.assert_sound();
        self.servers.assert_sound();
        self.bridge.assert_sound(&self.clients, &self.servers);
        [self.fx.recount(), self.clients.recount(), self.servers.recount(), self.bridge.recount()]
            .into_iter()
            .fold(0, usize::saturating_add)
    }
}
