//! A configured server: what is true of it whatever its connections do.
//!
//! Invariants: it has one connection that everybody may share, for as long as it is there; a server that is listed was
//! ready; one that is to be taken off lists has a timer for that.

use crate::config;
use crate::id::{ServerId, UpstreamId};
use crate::time::Mono;
use crate::timer::Timer;
use std::sync::Arc;

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    id: ServerId,
    config: Arc<config::Server>,
    /// Its key in the configuration, as logs may show it.
    label: Arc<str>,
    shared: UpstreamId,
    /// Its other connections, in the order in which they were opened.
    others: Vec<UpstreamId>,
    /// It was ready, and has not been away for long since.
    is_listed: bool,
    /// When it has been away too long to stay on lists.
    away: Option<Timer>,
    /// When another connection could not be made although the shared one could.
    another_failed_at: Option<Mono>,
}

impl Server {
    pub(super) fn new(id: ServerId, config: Arc<config::Server>, shared: UpstreamId) -> Self {
        Self {
            id,
            label: config.label().into(),
            config,
            shared,
            others: Vec::new(),
            is_listed: false,
            away: None,
            another_failed_at: None,
        }
    }

    pub(crate) fn id(&self) -> ServerId {
        self.id
    }

    /// Its key in the configuration, as logs may show it.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(crate) fn config(&self) -> &Arc<config::Server> {
        &self.config
    }

    /// The connection that everybody may share.
    pub(crate) fn shared(&self) -> UpstreamId {
        self.shared
    }

    /// Its other connections.
    pub(crate) fn others(&self) -> &[UpstreamId] {
        &self.others
    }

    /// Whether it belongs on lists: it was ready, and has not been away for long since.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// When another connection could not be made although the shared one could.
    pub(crate) fn another_failed_at(&self) -> Option<Mono> {
        self.another_failed_at
    }

    pub(super) fn add_another(&mut self, id: UpstreamId) {
        debug_assert!(id != self.shared && !self.others.contains(&id), "a connection is opened once");
        self.others.push(id);
    }

    pub(super) fn remove_another(&mut self, id: UpstreamId) {
        debug_assert!(self.others.contains(&id), "a connection is of one server");
        self.others.retain(|other| *other != id);
    }

    /// Another connection could not be made.
    pub(super) fn on_another_failed(&mut self, now: Mono) {
        self.another_failed_at = Some(now);
    }

    /// It is ready. Gives the timer that would take it off lists, to be cancelled.
    pub(super) fn on_ready(&mut self) -> Option<Timer> {
        self.is_listed = true;
        self.away.take()
    }

    /// Whether it is away, but still listed, and nothing is planned about that.
    pub(super) fn needs_away_timer(&self) -> bool {
        self.is_listed && self.away.is_none()
    }

    pub(super) fn set_away_timer(&mut self, timer: Timer) {
        debug_assert!(self.needs_away_timer(), "a server is away once");
        self.away = Some(timer);
    }

    /// It has been away for too long.
    pub(super) fn unlist(&mut self) {
        self.away = None;
        self.is_listed = false;
    }
}
