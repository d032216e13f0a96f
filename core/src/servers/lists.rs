//! What a server offers: its lists, read page by page, and read again when they change.
//!
//! Reading starts after the handshake, when the server says that a list changed (many such notices are one
//! reading), and when a client asks for a list that is old and whose server never says. Clients are told of a change
//! only if what they see differs. A list that cannot be read is asked for again; until it was read once there is no
//! such list, rather than an empty one.

use super::calls::Own;
use super::connection::Phase;
use super::event::ServerEvent;
use super::usage::UsageKind;
use super::{ServersMut, Todo};
use crate::catalog::{Digest, Item, Page, Reading};
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::Span;
use crate::log::Level;
use crate::mcp::ListKind;
use crate::timer::ServerTimer;

impl ServersMut<'_> {
    pub(super) fn read_all_lists(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        server.enter(self.fx, Phase::Listing);
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
        let Some(key) = key else {
            let fault = Fault::local(Code::Overloaded, format!("{} could not be sent", kind.method()));
            self.finish_reading(id, kind, Err(fault));
            return;
        };
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
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(slot) = server.readings.get_mut(kind.index()) else { return };
        let Some((_, mut reading)) = slot.take_if(|(asked, _)| *asked == key) else { return };
        let (items, cut) = match reading.page(text, result, &self.fx.limits) {
            Ok(Page::More(cursor)) => {
                let cursor = String::from_utf8_lossy(&cursor);
                return self.ask_page(id, reading, &format!("{{\"cursor\":{cursor}}}"));
            }
            Ok(Page::Done(items)) => (items, None),
            Ok(Page::Cut(items, reason)) => (items, Some(reason)),
            Err(fault) => {
                let line = format!("Failed to list {}: {fault}", kind.member());
                self.fx.log(Level::Warn, Some(&server.label), line);
                self.finish_reading(id, kind, Err(fault));
                return;
            }
        };
        let label = server.label.clone();
        if let Some(reason) = cut {
            let line = format!("the list of {} was cut: {reason}", kind.member());
            self.fx.log(Level::Warn, Some(&label), line);
        }
        if self.finish_reading(id, kind, Ok(items)) && reading.repeated() > 0 {
            let (many, member) = (reading.repeated(), kind.member());
            let line = format!("{many} {member} are left out: others before them have the same name");
            self.fx.log(Level::Warn, Some(&label), line);
        }
    }

    /// A list was read, or could not be. Returns whether it differs from the one before.
    pub(super) fn finish_reading(
        &mut self,
        id: UpstreamId,
        kind: ListKind,
        read: Result<Vec<Item>, Fault>,
    ) -> bool {
        if let Some(slot) = self.server(id).and_then(|server| server.readings.get_mut(kind.index())) {
            *slot = None;
        }
        let unknown = self.conns.get(id).is_some_and(|server| !server.catalog.list(kind).is_read());
        let changed = match read {
            Ok(items) => self.on_list_read(id, kind, items),
            Err(fault) => {
                self.on_list_failed(id, kind, fault);
                false
            }
        };
        if unknown {
            self.events.push_back(ServerEvent::ListKnown);
        }
        self.todo.push_back(Todo::CheckListed(id));
        changed
    }

    fn on_list_read(&mut self, id: UpstreamId, kind: ListKind, items: Vec<Item>) -> bool {
        let now = self.fx.mono();
        let Some(server) = self.conns.get_mut(id) else { return false };
        let first = !server.was_ready;
        let before = server.catalog.list(kind).digest;
        let told = server.catalog.list(kind).items.clone();
        let changed = server.catalog.replace(kind, items, now);
        self.share_list(id, kind);
        if changed && !first {
            self.tell_sleepers(id, kind, before);
        }
        if changed {
            self.tell_flaws(id, kind);
        }
        if first || changed {
            self.announce(id, kind, &told);
            self.events.push_back(ServerEvent::ListChanged { id, kind, first });
        }
        changed
    }

    /// A list could not be read: it is tried again after a while, so that a server that was only slow to warm up does
    /// not stay without tools; soon, if nothing is known of it yet.
    fn on_list_failed(&mut self, id: UpstreamId, kind: ListKind, fault: Fault) {
        let Some(server) = self.conns.get_mut(id) else { return };
        server.health.on_failure(format!("{} failed: {fault}", kind.method()), self.fx.now.unix);
        let (max, first) = (self.fx.limits.list_retry_ms, self.fx.limits.list_first_retry_ms);
        let wait = match server.catalog.fail(kind, fault) {
            Some(failures) => first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max),
            None => max,
        };
        if let Some(stale) = server.stale.get_mut(kind.index()) {
            *stale = true;
        }
        if server.refresh.is_none() {
            server.refresh = Some(self.fx.after(wait, ServerTimer::Refresh, id.0));
        }
    }

    /// Says which items of a list other clients would refuse, and why. The server's own endpoint shows them as they are.
    fn tell_flaws(&mut self, id: UpstreamId, kind: ListKind) {
        let Some(server) = self.conns.get(id) else { return };
        let (items, label) = (server.catalog.list(kind).items.clone(), server.label.clone());
        let flawed =
            (1..).zip(items.iter()).filter_map(|(place, item)| Some((place, item, item.flaws.as_ref()?)));
        let many = flawed.clone().count();
        for (place, item, flaws) in flawed.take(FLAWS_TOLD_MAX) {
            let name = match item.name.as_str() {
                "" => format!("number {place}"),
                name => format!("`{}`", Fault::quoted(name.as_bytes())),
            };
            let noun = kind.noun();
            let line = match &flaws.refused {
                Some(reason) => format!("the {noun} {name} is left out of merged lists: {reason}"),
                None => format!(
                    "the {noun} {name} has optional members of a wrong type: merged lists leave them out"
                ),
            };
            self.fx.log(Level::Warn, Some(&label), line);
        }
        if many > FLAWS_TOLD_MAX {
            let line = format!("{} more {} break the schema of MCP", many - FLAWS_TOLD_MAX, kind.member());
            self.fx.log(Level::Warn, Some(&label), line);
        }
    }

    /// A list that another connection to the same server has as well is kept once.
    fn share_list(&mut self, id: UpstreamId, kind: ListKind) {
        let server = self.conns.get(id).map(|connection| connection.server);
        let shared = server.and_then(|server| self.conns.shared_of(server)).filter(|shared| shared.id != id);
        let Some(known) = shared.map(|shared| shared.catalog.clone()) else { return };
        if let Some(server) = self.conns.get_mut(id) {
            server.catalog.share(kind, &known);
        }
    }

    /// A list of the shared connection changed. Of those that sleep, the ones that had the same list have the new one;
    /// the others have to say themselves.
    fn tell_sleepers(&mut self, id: UpstreamId, kind: ListKind, before: Digest) {
        let shared = self.conns.get(id).filter(|shared| shared.usage.kind == UsageKind::Shared);
        let server = shared.and_then(|shared| self.conns.server(shared.server));
        let (Some(shared), Some(server)) = (shared, server) else { return };
        let (new, others) = (shared.catalog.clone(), server.others().to_vec());
        for other in others {
            let asleep = self.conns.get(other).filter(|other| other.phase == Phase::Asleep);
            match asleep.map(|other| other.catalog.list(kind).digest == before) {
                Some(true) => {
                    if let Some(upstream) = self.conns.get_mut(other) {
                        upstream.catalog.adopt(kind, &new);
                    }
                    self.events.push_back(ServerEvent::ListChanged { id: other, kind, first: false });
                }
                Some(false) => self.wake(other),
                None => {}
            }
        }
    }

    /// A list was read, and others know of it.
    pub(super) fn after_reading(&mut self, id: UpstreamId) {
        self.check_listed(id);
        self.refresh_stale(id);
    }

    /// Goes into service when the last list is there.
    fn check_listed(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if server.phase != Phase::Listing || server.readings.iter().any(Option::is_some) {
            return;
        }
        let first = !server.was_ready;
        server.mark_ready(self.fx);
        let shared = server.usage.kind == UsageKind::Shared;
        let away = self.conns.server_of_mut(id).filter(|_| shared).and_then(super::Server::on_ready);
        away.into_iter().for_each(|timer| self.fx.timers.cancel(timer));
        self.tell_ready(id, shared && first);
        self.events.push_back(ServerEvent::Up { id });
        self.todo.push_back(Todo::Resume(id));
        if !shared || first {
            self.count_started(id);
        }
    }

    pub(super) fn on_list_changed(&mut self, id: UpstreamId, kind: ListKind) {
        self.refresh(id, kind);
        if kind == ListKind::Resources {
            self.refresh(id, ListKind::Templates);
        }
    }

    /// A list is out of date: it is read again in a moment, once for many reasons.
    pub(crate) fn refresh(&mut self, id: UpstreamId, kind: ListKind) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if let Some(stale) = server.stale.get_mut(kind.index()) {
            *stale = true;
        }
        if server.refresh.is_none() {
            server.refresh = Some(self.fx.after(self.fx.limits.debounce_ms, ServerTimer::Refresh, id.0));
        }
    }

    /// A connection broke of a server that has no sessions: it may come back with other lists, and nothing would say so.
    pub(super) fn suspect_restart(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get(id).filter(|server| server.is_forgetful()) else { return };
        for kind in ListKind::ALL.map(|kind| server.peer.has(kind).then_some(kind)).into_iter().flatten() {
            self.refresh(id, kind);
        }
    }

    /// A server without sessions and without a channel for news is asked now and then what it offers, since it may have
    /// been restarted between two calls.
    pub(super) fn look_for_changes(&mut self, id: UpstreamId) {
        for kind in ListKind::ALL {
            let server = self.conns.get(id).filter(|server| server.is_forgetful());
            if server.is_some_and(|server| server.is_aged(self.fx, kind)) {
                self.refresh(id, kind);
            }
        }
    }

    pub(super) fn on_refresh_timer(&mut self, id: UpstreamId) {
        if let Some(server) = self.server(id) {
            server.refresh = None;
        }
        self.refresh_stale(id);
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

/// Items of one list that are named in the log because clients would refuse them.
const FLAWS_TOLD_MAX: usize = 20;
