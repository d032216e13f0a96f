//! All connections to servers: the one of each server that everybody may share, and those that serve sessions of
//! their own.
//!
//! Invariants: the shared connections come first, in the order of the configuration, and stay for good; an id is
//! never used again, so what comes late for a connection that is gone misses.

use super::Connection;
use super::tenants::{Tenancy, Tenants};
use crate::config::Config;
use crate::id::UpstreamId;
use crate::mcp::{Declared, Profile};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The connections.
#[derive(Debug)]
pub(crate) struct Connections {
    open: BTreeMap<UpstreamId, Box<Connection>>,
    next: u64,
}

impl Connections {
    /// The shared connection of each server that is not disabled; none is started yet.
    pub(crate) fn new(config: &Config) -> Self {
        let mut all = Self { open: BTreeMap::new(), next: 0 };
        for server in config.servers.iter().filter(|server| !server.disabled) {
            let id = all.mint();
            let tenants = Tenants::new(Tenancy::Shared, Profile::default(), Declared::default());
            all.open.insert(id, Box::new(Connection::new(id, id, Arc::new(server.clone()), tenants)));
        }
        all
    }

    /// Another connection to the server of `home`; not started yet.
    pub(crate) fn open(&mut self, home: UpstreamId, tenants: Tenants) -> Option<UpstreamId> {
        let id = self.mint();
        let server = self.get_mut(home)?;
        server.lanes.push(id);
        let kind = server.link.http().map(|link| link.kind);
        let mut upstream = Connection::new(id, home, server.config.clone(), tenants);
        if let (Some(link), Some(kind)) = (upstream.link.http(), kind) {
            // What the server turned out to speak.
            link.kind = kind;
        }
        self.open.insert(id, Box::new(upstream));
        Some(id)
    }

    /// Forgets a connection that has ended.
    pub(crate) fn remove(&mut self, id: UpstreamId) -> Option<Box<Connection>> {
        let gone = self.open.remove(&id)?;
        if let Some(home) = self.get_mut(gone.home) {
            home.lanes.retain(|lane| *lane != id);
            home.health.inherit(&gone.health);
        }
        Some(gone)
    }

    fn mint(&mut self) -> UpstreamId {
        let id = UpstreamId(self.next);
        self.next = self.next.saturating_add(1);
        id
    }

    pub(crate) fn get(&self, id: UpstreamId) -> Option<&Connection> {
        self.open.get(&id).map(|upstream| &**upstream)
    }

    pub(crate) fn get_mut(&mut self, id: UpstreamId) -> Option<&mut Connection> {
        self.open.get_mut(&id).map(|upstream| &mut **upstream)
    }

    /// The shared connection of each server, in the order of the configuration.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Connection> {
        self.iter().take_while(|server| server.id == server.home)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.open.values().map(|upstream| &**upstream)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.open.values_mut().map(|upstream| &mut **upstream)
    }
}
