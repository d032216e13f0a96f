//! What servers offer, as views show it: a step behind the servers themselves, so that what a session is shown before a
//! change can still be made when one is told.

use crate::catalog::Catalog;
use crate::id::UpstreamId;
use crate::mcp::ListKind;
use std::collections::{BTreeMap, BTreeSet};

/// The lists of each connection, and which servers are there.
#[derive(Debug, Default)]
pub(super) struct Offers {
    catalogs: BTreeMap<UpstreamId, Catalog>,
    listed: BTreeSet<UpstreamId>,
    nothing: Catalog,
}

impl Offers {
    /// What a connection offers; until it has said so, what the shared one of its server does.
    pub(super) fn of(&self, id: UpstreamId, home: UpstreamId) -> &Catalog {
        self.catalogs.get(&id).or_else(|| self.catalogs.get(&home)).unwrap_or(&self.nothing)
    }

    /// A connection beside the shared one begins with what that offers.
    pub(super) fn open(&mut self, id: UpstreamId, home: UpstreamId) {
        let catalog = self.of(home, home).clone();
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
    pub(super) fn is_listed(&self, home: UpstreamId) -> bool {
        self.listed.contains(&home)
    }

    pub(super) fn set_listed(&mut self, home: UpstreamId, listed: bool) {
        match listed {
            true => self.listed.insert(home),
            false => self.listed.remove(&home),
        };
    }
}
