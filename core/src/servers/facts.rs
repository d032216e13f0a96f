//! What others may know of a connection.

use super::connection::{Connection, Phase};
use super::health::Health;
use super::link::Link;
use super::peer::Peer;
use super::running::Running;
use super::usage::Usage;
use crate::catalog::Catalog;
use crate::config::{self, HttpKind};
use crate::id::{ServerId, UpstreamId};
use std::sync::Arc;

impl Connection {
    /// What names it.
    pub(crate) fn id(&self) -> UpstreamId {
        self.id
    }

    /// Its server.
    pub(crate) fn server(&self) -> ServerId {
        self.server
    }

    /// The key of its server, as logs may show it.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// What is configured of its server.
    pub(crate) fn config(&self) -> &Arc<config::Server> {
        &self.config
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// What the server said of itself.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What it offers.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// How it stands, and what went wrong last.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Whom it serves, and what they want of it.
    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// What runs on it.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Whether it was ready once: from then on calls wait for it instead of being refused.
    pub(crate) fn was_ready(&self) -> bool {
        self.was_ready
    }

    /// Whether its first start has succeeded or failed.
    pub(crate) fn was_tried(&self) -> bool {
        self.was_tried
    }

    /// The transport in the words of the configuration.
    pub(crate) fn transport(&self) -> &'static str {
        match &self.link {
            Link::Child(_) => "stdio",
            Link::Http(link) if link.kind == HttpKind::Sse => "sse",
            Link::Http(_) => "streamable-http",
        }
    }
}
