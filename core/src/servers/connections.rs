//! All servers and the connections to them.
//!
//! Invariants: each server has a shared connection, and each connection one server; an id is never used again, so what
//! comes late for a connection that is gone misses.

use super::Connection;
use super::server::Server;
use super::usage::{Usage, UsageKind};
use crate::config::{self, Config};
use crate::id::{ServerId, UpstreamId};
use crate::mcp::{Declared, Profile};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The servers and their connections.
#[derive(Debug)]
pub(crate) struct Connections {
    servers: BTreeMap<ServerId, Server>,
    open: BTreeMap<UpstreamId, Box<Connection>>,
    next: u64,
}

impl Connections {
    /// Each server that is not disabled, with its shared connection; none is started yet.
    pub(crate) fn new(config: &Config) -> Self {
        let mut all = Self { servers: BTreeMap::new(), open: BTreeMap::new(), next: 0 };
        for server in config.enabled() {
            all.add(Arc::new(server.clone()));
        }
        all
    }

    fn add(&mut self, config: Arc<config::Server>) {
        let server = config.id;
        let id = self.mint();
        let usage = Usage::new(UsageKind::Shared, Profile::default(), Declared::default());
        self.open.insert(id, Box::new(Connection::new(id, server, config.clone(), usage)));
        self.servers.insert(server, Server::new(server, config, id));
    }

    /// Another connection to a server; not started yet.
    pub(crate) fn open(&mut self, server: ServerId, usage: Usage) -> Option<UpstreamId> {
        let id = self.mint();
        let known = self.servers.get_mut(&server)?;
        known.add_another(id);
        let mut another = Connection::new(id, server, known.config().clone(), usage);
        let shared = known.shared();
        let kind = self.get_mut(shared).and_then(|shared| shared.link.http().map(|link| link.kind));
        if let (Some(link), Some(kind)) = (another.link.http(), kind) {
            // What the server turned out to speak.
            link.kind = kind;
        }
        self.open.insert(id, Box::new(another));
        Some(id)
    }

    /// Forgets a connection beside the shared one that has ended.
    pub(crate) fn remove(&mut self, id: UpstreamId) -> Option<Box<Connection>> {
        let gone = self.open.remove(&id)?;
        if let Some(server) = self.servers.get_mut(&gone.server) {
            server.remove_another(id);
            if let Some(shared) = self.open.get_mut(&server.shared()) {
                shared.health.inherit(&gone.health);
            }
        }
        Some(gone)
    }

    fn mint(&mut self) -> UpstreamId {
        let id = UpstreamId(self.next);
        self.next = self.next.saturating_add(1);
        id
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    pub(crate) fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(&id)
    }

    pub(crate) fn server_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.servers.get_mut(&id)
    }

    /// The server of a connection.
    pub(crate) fn server_of_mut(&mut self, id: UpstreamId) -> Option<&mut Server> {
        let server = self.get(id)?.server;
        self.servers.get_mut(&server)
    }

    /// The shared connection of a server.
    pub(crate) fn shared_of(&self, id: ServerId) -> Option<&Connection> {
        self.get(self.server(id)?.shared())
    }

    pub(crate) fn get(&self, id: UpstreamId) -> Option<&Connection> {
        self.open.get(&id).map(|upstream| &**upstream)
    }

    pub(crate) fn get_mut(&mut self, id: UpstreamId) -> Option<&mut Connection> {
        self.open.get_mut(&id).map(|upstream| &mut **upstream)
    }

    /// The shared connection of each server, in the order in which servers came.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Connection> {
        self.servers.values().filter_map(|server| self.get(server.shared()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.open.values().map(|upstream| &**upstream)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.open.values_mut().map(|upstream| &mut **upstream)
    }
}
