//! What servers offer, as views show it: a step behind the servers themselves, so that what a session is shown before a
//! change can still be made when one is told.

use crate::catalog::Catalog;
use crate::id::{ServerId, UpstreamId};
use crate::mcp::ListKind;
use std::collections::{BTreeMap, BTreeSet};

/// The lists of each connection, and which servers are there.
#[derive(Debug, Default)]
pub(super) struct Offers {
    catalogs: BTreeMap<UpstreamId, Catalog>,
    listed: BTreeSet<ServerId>,
    nothing: Catalog,
}

impl Offers {
    /// What a connection offers; until it has said so, what the shared one of its server does.
    pub(super) fn of(&self, id: Option<UpstreamId>, shared: Option<UpstreamId>) -> &Catalog {
        let known = |id: Option<UpstreamId>| self.catalogs.get(&id?);
        known(id).or_else(|| known(shared)).unwrap_or(&self.nothing)
    }

    /// A connection beside the shared one begins with what that offers.
    pub(super) fn open(&mut self, id: UpstreamId, shared: UpstreamId) {
        let catalog = self.of(Some(shared), None).clone();
        self.catalogs.insert(id, catalog);
    }

    /// A list of a connection is another one now.
    pub(super) fn take(&mut self, id: UpstreamId, kind: ListKind, catalog: &Catalog) {
        self.catalogs.entry(id).or_default().adopt(kind, catalog);
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, id: UpstreamId) {
        self.catalogs.remove(&id);
    }

    /// Whether a server is on the lists of merged views.
    pub(super) fn is_listed(&self, server: ServerId) -> bool {
        self.listed.contains(&server)
    }

    pub(super) fn set_listed(&mut self, server: ServerId, listed: bool) {
        match listed {
            true => self.listed.insert(server),
            false => self.listed.remove(&server),
        };
    }
}
