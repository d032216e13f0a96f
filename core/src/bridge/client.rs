//! What the bridge knows of one client: its handshake, what it was shown, what it waits for and what it watches.
//!
//! It lives as long as the session of the client ([`crate::clients`]). Invariants: what it remembers of peers' words is
//! charged; each change is told once (DL-54).

use crate::effects::Effects;
use crate::id::{Key, ServerId, UpstreamId, ViewId};
use crate::json::Raw;
use crate::ledger::{Charge, Ledger};
use crate::mcp::{Declared, ListKind, LogLevel, Profile, Revision};
use crate::publish::Published;
use crate::short_id::ShortIds;
use crate::time::Mono;
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// One client in one session.
#[derive(Debug)]
pub(super) struct ClientState {
    /// What it sees.
    pub(super) view: ViewId,
    /// What was negotiated; the newest before.
    pub(super) revision: Revision,
    /// Whether its `initialize` was taken.
    pub(super) opened: bool,
    /// Whether it said `notifications/initialized`: nothing is asked before (DL-04).
    pub(super) ready: bool,
    /// What it can be asked.
    pub(super) profile: Profile,
    /// What else it declared.
    pub(super) declared: Declared,
    /// The log level it set.
    pub(super) level: Option<LogLevel>,
    /// The connection that serves it at a server, where that is decided.
    pub(super) links: BTreeMap<ServerId, UpstreamId>,
    /// The lists as it was shown them.
    pub(super) shown: [Option<Arc<Published>>; ListKind::COUNT],
    /// Its `initialize`, which waits for the first start of its server.
    pub(super) greeting: Option<Greeting>,
    /// When it first asked for a list.
    pub(super) lists_since: Option<Mono>,
    /// Lists it asked for that wait for servers in their first start.
    pub(super) waiting_lists: Vec<WaitingList>,
    /// Resources it watches, and on which connection.
    pub(super) watches: BTreeMap<Box<str>, UpstreamId>,
    /// Questions of servers that it has to answer.
    pub(super) questions: Vec<Key>,
    /// The ids of those at the client.
    pub(super) question_ids: ShortIds,
    /// Resources that answers mentioned without listing them, and the server; the oldest first.
    mentions: VecDeque<(Box<str>, ServerId)>,
    /// Watched resources that changed, not told yet.
    updated: BTreeSet<Box<str>>,
    /// Calls in flight.
    pub(super) calls: Vec<Key>,
    changes: u8,
    /// For the words it remembers: URIs.
    charge: Charge,
}

/// An `initialize` that waits.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The server that is in its first start.
    pub(super) server: ServerId,
    /// The stream its answer belongs on.
    pub(super) stream: u32,
    /// Raw JSON id.
    pub(super) id: Raw,
    /// When it has waited for long enough.
    pub(super) timer: Timer,
    charge: Charge,
}

impl Greeting {
    pub(super) fn new(fx: &Effects, server: ServerId, stream: u32, id: &[u8], timer: Timer) -> Self {
        let mut charge = fx.ledger.open();
        charge.set(word(id.len()));
        Self { server, stream, id: Raw::new(id), timer, charge }
    }
}

/// A list request that waits.
#[derive(Debug)]
pub(super) struct WaitingList {
    pub(super) kind: ListKind,
    /// The stream its answer belongs on.
    pub(super) stream: u32,
    /// Raw JSON id.
    pub(super) id: Raw,
    charge: Charge,
}

impl WaitingList {
    pub(super) fn new(fx: &Effects, kind: ListKind, stream: u32, id: &[u8]) -> Self {
        let mut charge = fx.ledger.open();
        charge.set(word(id.len()));
        Self { kind, stream, id: Raw::new(id), charge }
    }
}

/// What remembering a word of this length takes, with its place in a tree or list.
const fn word(len: usize) -> usize {
    len.saturating_add(48)
}

/// Mentioned resources remembered.
const MENTIONS_MAX: usize = 256;
/// Updates kept for a client that has no stream open.
const UPDATES_MAX: usize = 1_000;

impl ClientState {
    pub(super) fn new(ledger: &Ledger, question_ids: ShortIds, view: ViewId) -> Self {
        Self {
            view,
            revision: Revision::NEWEST,
            opened: false,
            ready: false,
            profile: Profile::default(),
            declared: Declared::default(),
            level: None,
            links: BTreeMap::new(),
            shown: [const { None }; ListKind::COUNT],
            greeting: None,
            lists_since: None,
            waiting_lists: Vec::new(),
            watches: BTreeMap::new(),
            questions: Vec::new(),
            question_ids,
            mentions: VecDeque::new(),
            updated: BTreeSet::new(),
            calls: Vec::new(),
            changes: 0,
            charge: ledger.open(),
        }
    }

    /// Storage of what it remembers. For tests and rare events only.
    pub(super) fn size(&self) -> usize {
        let watches = self.watches.keys().map(|uri| word(uri.len()));
        let mentions = self.mentions.iter().map(|(uri, _)| word(uri.len()));
        let updated = self.updated.iter().map(|uri| word(uri.len()));
        let lists = self.waiting_lists.iter().map(|list| list.charge.held());
        let lists = lists.chain(self.greeting.iter().map(|greeting| greeting.charge.held()));
        let declared = word(self.declared.size());
        let declared = if self.declared.is_empty() { 0 } else { declared };
        watches.chain(mentions).chain(updated).chain(lists).chain([declared]).sum()
    }

    /// What it declares in its handshake, beyond what it can be asked.
    pub(super) fn declare(&mut self, declared: Declared) {
        if !declared.is_empty() {
            self.charge.add(word(declared.size()));
        }
        self.declared = declared;
    }

    /// Whether it may remember another word of this length.
    pub(super) fn has_room(&self, fx: &Effects, len: usize) -> bool {
        fx.ledger.has_room(self.charge.held(), word(len))
    }

    /// It watches a resource. Gives the connection on which it did before.
    pub(super) fn watch(&mut self, uri: &str, id: UpstreamId) -> Option<UpstreamId> {
        let before = self.watches.insert(uri.into(), id);
        if before.is_none() {
            self.charge.add(word(uri.len()));
        }
        before
    }

    /// It does not watch a resource any more. Returns whether it did.
    pub(super) fn unwatch(&mut self, uri: &str) -> bool {
        let held = self.watches.remove(uri).is_some();
        if held {
            self.charge.subtract(word(uri.len()));
        }
        held
    }

    /// A call is no longer in flight.
    pub(super) fn forget_call(&mut self, call: Key) {
        if let Some(place) = self.calls.iter().position(|known| *known == call) {
            self.calls.swap_remove(place);
        }
    }

    /// Notes that a list changed; the same change twice is told once (DL-54).
    pub(super) fn note_change(&mut self, kind: ListKind) {
        let bit = match kind {
            ListKind::Tools => 1,
            ListKind::Prompts => 2,
            ListKind::Resources | ListKind::Templates => 4,
            // No notification tells it.
            ListKind::Skills => 0,
        };
        self.changes |= bit;
    }

    /// The notifications for everything noted since the last time.
    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = &'static str> + use<> {
        let changes = std::mem::take(&mut self.changes);
        let kinds = [(1, ListKind::Tools), (2, ListKind::Prompts), (4, ListKind::Resources)];
        kinds.into_iter().filter(move |(bit, _)| changes & bit != 0).filter_map(|(_, kind)| kind.changed())
    }

    /// Notes that a watched resource changed; the same resource twice is told once.
    pub(super) fn note_update(&mut self, uri: &str) {
        if self.updated.len() < UPDATES_MAX && self.updated.insert(uri.into()) {
            self.charge.add(word(uri.len()));
        }
    }

    /// The resources noted since the last time.
    pub(super) fn take_updates(&mut self) -> BTreeSet<Box<str>> {
        let updated = std::mem::take(&mut self.updated);
        self.charge.subtract(updated.iter().map(|uri| word(uri.len())).sum());
        updated
    }

    /// A server mentioned a resource.
    pub(super) fn note_mention(&mut self, uri: &str, server: ServerId) {
        if self.mentioned(uri).is_some() {
            return;
        }
        if self.mentions.len() >= MENTIONS_MAX {
            let gone = self.mentions.pop_front();
            self.charge.subtract(gone.map_or(0, |(uri, _)| word(uri.len())));
        }
        self.charge.add(word(uri.len()));
        self.mentions.push_back((uri.into(), server));
    }

    /// The server that mentioned a resource.
    pub(super) fn mentioned(&self, uri: &str) -> Option<ServerId> {
        self.mentions.iter().find(|(known, _)| **known == *uri).map(|(_, server)| *server)
    }
}
