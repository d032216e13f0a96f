//! What a server offers: its lists, read page by page, and read again when they change.
//!
//! Reading starts after the handshake, when the server says that a list changed (many such notices are one
//! reading), and when a client asks for a list that is old and whose server never says. Clients are told of a change
//! only if what they see differs.

use super::Proxy;
use crate::catalog::{Digest, Item, Page, Reading};
use crate::id::{Key, UpstreamId};
use crate::json::Span;
use crate::log::Level;
use crate::mcp::ListKind;
use crate::mux::Own;
use crate::timer::TimerKind;
use crate::upstream::Phase;
use crate::upstream::tenants::Tenancy;

impl Proxy {
    pub(super) fn read_all_lists(&mut self, id: UpstreamId) {
        let Some(server) = self.upstreams.get_mut(id) else { return };
        server.enter(&self.fx, Phase::Listing);
        server.stale = [false; ListKind::COUNT];
        for kind in ListKind::ALL {
            self.read_list(id, kind);
        }
        self.check_listed(id);
    }

    fn read_list(&mut self, id: UpstreamId, kind: ListKind) {
        let Some(server) = self.server(id) else { return };
        if server.peer.has(kind) {
            self.ask_page(id, Reading::new(kind), "");
        }
    }

    fn ask_page(&mut self, id: UpstreamId, reading: Reading, params: &str) {
        let kind = reading.kind();
        let key = self.submit_own(id, Own::List(kind), kind.method(), params);
        let Some(key) = key else { return self.finish_reading(id, kind, None) };
        if let Some(slot) = self.server(id).and_then(|server| server.readings.get_mut(kind.index())) {
            *slot = Some((key, reading));
        }
    }

    pub(super) fn on_list_page(
        &mut self,
        id: UpstreamId,
        kind: ListKind,
        key: Key,
        text: &[u8],
        result: Span,
    ) {
        let Some(server) = self.upstreams.get_mut(id) else { return };
        let Some(slot) = server.readings.get_mut(kind.index()) else { return };
        let Some((_, mut reading)) = slot.take_if(|(asked, _)| *asked == key) else { return };
        match reading.page(text, result, &self.fx.limits) {
            Ok(Page::More(cursor)) => {
                let cursor = String::from_utf8_lossy(&cursor);
                self.ask_page(id, reading, &format!(",\"params\":{{\"cursor\":{cursor}}}"));
            }
            Ok(Page::Done(items)) => self.finish_reading(id, kind, Some(items)),
            Ok(Page::Cut(items, reason)) => {
                let line = format!("the list of {} was cut: {reason}", kind.member());
                self.fx.log(Level::Warn, Some(&server.label), line);
                self.finish_reading(id, kind, Some(items));
            }
            Err(fault) => {
                let line = format!("Failed to list {}: {fault}", kind.member());
                self.fx.log(Level::Warn, Some(&server.label), line);
                self.finish_reading(id, kind, None);
            }
        }
    }

    /// A list was read, or could not be.
    pub(super) fn finish_reading(&mut self, id: UpstreamId, kind: ListKind, items: Option<Vec<Item>>) {
        let now = self.fx.mono();
        let Some(server) = self.upstreams.get_mut(id) else { return };
        if let Some(slot) = server.readings.get_mut(kind.index()) {
            *slot = None;
        }
        if items.is_none() {
            self.retry_list(id, kind);
        }
        if let Some(items) = items {
            self.before_relist(id, kind);
            let Some(server) = self.upstreams.get_mut(id) else { return };
            let first = !server.was_ready;
            let before = server.catalog.list(kind).digest;
            let told = server.catalog.list(kind).items.clone();
            let changed = server.catalog.replace(kind, items, now);
            self.share_list(id, kind);
            if changed && !first {
                self.tell_sleepers(id, kind, before);
            }
            if first || changed {
                self.announce(id, kind, &told);
            }
        }
        self.check_listed(id);
        self.refresh_stale(id);
    }

    /// A list that another connection to the same server has as well is kept once.
    fn share_list(&mut self, id: UpstreamId, kind: ListKind) {
        let Some(home) = self.upstreams.get(id).map(|server| server.home).filter(|home| *home != id) else {
            return;
        };
        let Some(known) = self.upstreams.get(home).map(|home| home.catalog.clone()) else { return };
        if let Some(server) = self.upstreams.get_mut(id) {
            server.catalog.share(kind, &known);
        }
    }

    /// A list of the shared connection changed. Of those that sleep, the ones that had the same list have the new one;
    /// the others have to say themselves.
    fn tell_sleepers(&mut self, id: UpstreamId, kind: ListKind, before: Digest) {
        let Some(home) = self.upstreams.get(id).filter(|home| home.tenants.tenancy == Tenancy::Shared) else {
            return;
        };
        let (new, lanes) = (home.catalog.clone(), home.lanes.clone());
        for lane in lanes {
            let asleep = self.upstreams.get(lane).filter(|lane| lane.phase == Phase::Asleep);
            match asleep.map(|lane| lane.catalog.list(kind).digest == before) {
                Some(true) => {
                    self.before_relist(lane, kind);
                    if let Some(upstream) = self.upstreams.get_mut(lane) {
                        upstream.catalog.adopt(kind, &new);
                    }
                    self.relist(lane, kind);
                }
                Some(false) => self.wake(lane),
                None => {}
            }
        }
    }

    /// Goes into service when the last list is there.
    fn check_listed(&mut self, id: UpstreamId) {
        let Some(server) = self.upstreams.get_mut(id) else { return };
        if server.phase != Phase::Listing || server.readings.iter().any(Option::is_some) {
            return;
        }
        let first = !server.was_ready;
        server.mark_ready(&mut self.fx);
        let shared = server.tenants.tenancy == Tenancy::Shared;
        self.tell_ready(id, shared && first);
        self.set_listed(id, true);
        self.restore(id);
        if let Some(server) = self.upstreams.get_mut(id) {
            server.send_notes(&mut self.fx);
        }
        self.send_waiting(id);
        if !shared || first {
            self.count_started(id);
        }
        self.open_standalone(id);
    }

    pub(super) fn on_list_changed(&mut self, id: UpstreamId, kind: ListKind) {
        self.refresh(id, kind);
        if kind == ListKind::Resources {
            self.refresh(id, ListKind::Templates);
        }
    }

    /// A list is out of date: it is read again in a moment, once for many reasons.
    pub(super) fn refresh(&mut self, id: UpstreamId, kind: ListKind) {
        let Some(server) = self.upstreams.get_mut(id) else { return };
        if let Some(stale) = server.stale.get_mut(kind.index()) {
            *stale = true;
        }
        if server.refresh.is_none() {
            server.refresh = Some(self.fx.after(self.fx.limits.debounce_ms, TimerKind::Refresh, id.0));
        }
    }

    pub(super) fn on_refresh_timer(&mut self, id: UpstreamId) {
        if let Some(server) = self.server(id) {
            server.refresh = None;
        }
        self.refresh_stale(id);
    }

    /// A list could not be read: it is tried again after a while, so that a server that was only slow to warm up does
    /// not stay without tools.
    fn retry_list(&mut self, id: UpstreamId, kind: ListKind) {
        let Some(server) = self.upstreams.get_mut(id) else { return };
        if let Some(stale) = server.stale.get_mut(kind.index()) {
            *stale = true;
        }
        if server.refresh.is_none() {
            let ms = self.fx.limits.list_retry_ms;
            server.refresh = Some(self.fx.after(ms, TimerKind::Refresh, id.0));
        }
    }

    fn refresh_stale(&mut self, id: UpstreamId) {
        for kind in ListKind::ALL {
            let Some(server) = self.server(id) else { return };
            if server.phase != Phase::Ready || server.refresh.is_some() {
                return;
            }
            let idle = server.readings.get(kind.index()).is_some_and(Option::is_none);
            let stale = server.stale.get_mut(kind.index()).filter(|stale| idle && **stale);
            if let Some(stale) = stale {
                *stale = false;
                self.read_list(id, kind);
            }
        }
    }
}
