//! All connections to servers: the one of each server that everybody may share, and those that serve sessions of
//! their own.
//!
//! Invariants: the shared connections come first, in the order of the configuration, and stay for good; an id is
//! never used again, so what comes late for a connection that is gone misses.

use super::Upstream;
use crate::config::Config;
use crate::id::UpstreamId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The connections.
#[derive(Debug)]
pub(crate) struct Upstreams {
    open: BTreeMap<UpstreamId, Box<Upstream>>,
    servers: u64,
    next: u64,
}

impl Upstreams {
    /// The shared connection of each server that is not disabled; none is started yet.
    pub(crate) fn new(config: &Config) -> Self {
        let mut all = Self { open: BTreeMap::new(), servers: 0, next: 0 };
        for server in config.servers.iter().filter(|server| !server.disabled) {
            let id = all.mint();
            all.open.insert(id, Box::new(Upstream::new(id, Arc::new(server.clone()))));
        }
        all.servers = all.next;
        all
    }

    fn mint(&mut self) -> UpstreamId {
        let id = UpstreamId(self.next);
        self.next = self.next.saturating_add(1);
        id
    }

    pub(crate) fn get(&self, id: UpstreamId) -> Option<&Upstream> {
        self.open.get(&id).map(|upstream| &**upstream)
    }

    pub(crate) fn get_mut(&mut self, id: UpstreamId) -> Option<&mut Upstream> {
        self.open.get_mut(&id).map(|upstream| &mut **upstream)
    }

    /// The shared connection of each server, which names the server.
    pub(crate) fn shared(&self) -> impl Iterator<Item = UpstreamId> + use<> {
        (0..self.servers).map(UpstreamId)
    }

    /// All ids in order.
    pub(crate) fn ids(&self) -> Vec<UpstreamId> {
        self.open.keys().copied().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.open.values().map(|upstream| &**upstream)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Upstream> {
        self.open.values_mut().map(|upstream| &mut **upstream)
    }
}
