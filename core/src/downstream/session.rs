//! One handshake of one client, and what belongs to it.
//!
//! A session is found by its unguessable token, used only by the principal and on the view it was opened with,
//! and ends by DELETE, by idling, by making room for another, or (HTTP+SSE) with its connection.

use super::stream::Stream;
use crate::effects::Effects;
use crate::id::{Key, UpstreamId};
use crate::json::Raw;
use crate::ledger::{Charge, Ledger};
use crate::mcp::{Declared, ListKind, LogLevel, Profile, Revision};
use crate::policy::Principal;
use crate::publish::Published;
use crate::short_id::ShortIds;
use crate::time::Mono;
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How the client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP+SSE: stream 0 is the connection that is the session.
    Sse,
    /// Streamable HTTP.
    Streamable,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its name on the wire: 128 random bits.
    pub(crate) token: Box<str>,
    pub(crate) transport: Transport,
    /// Which view it shows.
    pub(crate) view: usize,
    pub(crate) principal: Principal,
    /// What was negotiated; the newest before.
    pub(crate) revision: Revision,
    /// Whether `initialize` was answered.
    pub(crate) opened: bool,
    /// Whether the client said `notifications/initialized`: nothing is asked before (DL-04).
    pub(crate) ready: bool,
    /// What the client can be asked.
    pub(crate) profile: Profile,
    /// What else it declared.
    pub(crate) declared: Declared,
    /// The log level it set.
    pub(crate) level: Option<LogLevel>,
    /// The connection that serves it at a server, where that is decided; the server by its shared connection.
    pub(crate) links: BTreeMap<UpstreamId, UpstreamId>,
    /// The lists as it was shown them.
    pub(crate) shown: [Option<Arc<Published>>; ListKind::COUNT],
    /// Its `initialize`, which waits for the first start of its server.
    pub(crate) greeting: Option<Greeting>,
    /// When it first asked for a list.
    pub(crate) lists_since: Option<Mono>,
    /// Lists it asked for that wait for servers in their first start.
    pub(crate) waiting_lists: Vec<WaitingList>,
    /// Resources it watches, and on which connection.
    pub(crate) watches: BTreeMap<Box<str>, UpstreamId>,
    /// Questions of servers that it has to answer.
    pub(crate) questions: Vec<Key>,
    /// The ids of those at the client.
    pub(crate) question_ids: ShortIds,
    /// Resources that answers mentioned without listing them, and the server; the oldest first.
    mentions: VecDeque<(Box<str>, UpstreamId)>,
    /// Watched resources that changed, not told yet.
    updated: BTreeSet<Box<str>>,
    /// Calls in flight.
    pub(crate) calls: Vec<Key>,
    pub(crate) streams: BTreeMap<u32, Stream>,
    pub(crate) next_stream: u32,
    pub(crate) last_used: Mono,
    /// Its next look at idling and old streams.
    pub(crate) timer: Option<Timer>,
    changes: u8,
    /// For the words it remembers: URIs.
    charge: Charge,
}

/// An `initialize` that waits.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// The server that is in its first start.
    pub(crate) home: UpstreamId,
    /// The stream its answer belongs on.
    pub(crate) stream: u32,
    /// Raw JSON id.
    pub(crate) id: Raw,
    /// When it has waited for long enough.
    pub(crate) timer: Timer,
    charge: Charge,
}

impl Greeting {
    pub(crate) fn new(fx: &Effects, home: UpstreamId, stream: u32, id: &[u8], timer: Timer) -> Self {
        let mut charge = fx.ledger.open();
        charge.set(word(id.len()));
        Self { home, stream, id: Raw::new(id), timer, charge }
    }
}

/// A list request that waits.
#[derive(Debug)]
pub(crate) struct WaitingList {
    pub(crate) kind: ListKind,
    /// The stream its answer belongs on.
    pub(crate) stream: u32,
    /// Raw JSON id.
    pub(crate) id: Raw,
    charge: Charge,
}

impl WaitingList {
    pub(crate) fn new(fx: &Effects, kind: ListKind, stream: u32, id: &[u8]) -> Self {
        let mut charge = fx.ledger.open();
        charge.set(word(id.len()));
        Self { kind, stream, id: Raw::new(id), charge }
    }
}

/// What remembering a word of this length takes, with its place in a tree or list.
const fn word(len: usize) -> usize {
    len.saturating_add(48)
}

/// Finished streams kept in case their last bytes were lost with the connection.
const FINISHED_KEPT: usize = 16;
/// Mentioned resources remembered.
const MENTIONS_MAX: usize = 256;
/// Updates kept for a client that has no stream open.
const UPDATES_MAX: usize = 1_000;

impl Session {
    pub(crate) fn new(
        ledger: &Ledger,
        question_ids: ShortIds,
        token: Box<str>,
        transport: Transport,
        view: usize,
        principal: Principal,
    ) -> Self {
        Self {
            token,
            transport,
            view,
            principal,
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
            streams: BTreeMap::new(),
            next_stream: 0,
            last_used: Mono::default(),
            timer: None,
            changes: 0,
            charge: ledger.open(),
        }
    }

    /// Storage of what it remembers and of its streams. For tests and rare events only.
    pub(crate) fn size(&self) -> usize {
        let watches = self.watches.keys().map(|uri| word(uri.len()));
        let mentions = self.mentions.iter().map(|(uri, _)| word(uri.len()));
        let updated = self.updated.iter().map(|uri| word(uri.len()));
        let lists = self.waiting_lists.iter().map(|list| list.charge.held());
        let lists = lists.chain(self.greeting.iter().map(|greeting| greeting.charge.held()));
        let streams = self.streams.values().map(Stream::size);
        let declared = word(self.declared.size());
        let declared = if self.declared.is_empty() { 0 } else { declared };
        watches.chain(mentions).chain(updated).chain(lists).chain(streams).chain([declared]).sum()
    }

    /// What it declares in its handshake, beyond what it can be asked.
    pub(crate) fn declare(&mut self, declared: Declared) {
        if !declared.is_empty() {
            self.charge.add(word(declared.size()));
        }
        self.declared = declared;
    }

    /// Whether it may remember another word of this length.
    pub(crate) fn has_room(&self, fx: &Effects, len: usize) -> bool {
        fx.ledger.has_room(self.charge.held(), word(len))
    }

    /// It watches a resource. Gives the connection on which it did before.
    pub(crate) fn watch(&mut self, uri: &str, id: UpstreamId) -> Option<UpstreamId> {
        let before = self.watches.insert(uri.into(), id);
        if before.is_none() {
            self.charge.add(word(uri.len()));
        }
        before
    }

    /// It does not watch a resource any more. Returns whether it did.
    pub(crate) fn unwatch(&mut self, uri: &str) -> bool {
        let held = self.watches.remove(uri).is_some();
        if held {
            self.charge.subtract(word(uri.len()));
        }
        held
    }

    /// Nothing is going on: no call in flight and no stream attached.
    pub(crate) fn is_quiet(&self) -> bool {
        self.calls.is_empty()
            && self.waiting_lists.is_empty()
            && self.greeting.is_none()
            && self.streams.values().all(|stream| stream.conn.is_none())
    }

    /// The stream for what belongs to no request: the newest that a GET opened and that is still connected.
    pub(crate) fn standalone(&self) -> Option<u32> {
        let open = |stream: &Stream| stream.standalone && stream.conn.is_some();
        self.streams.iter().rev().find(|(_, stream)| open(stream)).map(|(number, _)| *number)
    }

    /// A call is no longer in flight.
    pub(crate) fn forget_call(&mut self, call: Key) {
        if let Some(place) = self.calls.iter().position(|known| *known == call) {
            self.calls.swap_remove(place);
        }
    }

    /// Notes that a list changed; the same change twice is told once (DL-54).
    pub(crate) fn note_change(&mut self, kind: ListKind) {
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
    pub(crate) fn take_changes(&mut self) -> impl Iterator<Item = &'static str> + use<> {
        let changes = std::mem::take(&mut self.changes);
        let kinds = [(1, ListKind::Tools), (2, ListKind::Prompts), (4, ListKind::Resources)];
        kinds.into_iter().filter(move |(bit, _)| changes & bit != 0).filter_map(|(_, kind)| kind.changed())
    }

    /// Notes that a watched resource changed; the same resource twice is told once.
    pub(crate) fn note_update(&mut self, uri: &str) {
        if self.updated.len() < UPDATES_MAX && self.updated.insert(uri.into()) {
            self.charge.add(word(uri.len()));
        }
    }

    /// The resources noted since the last time.
    pub(crate) fn take_updates(&mut self) -> BTreeSet<Box<str>> {
        let updated = std::mem::take(&mut self.updated);
        self.charge.subtract(updated.iter().map(|uri| word(uri.len())).sum());
        updated
    }

    /// A server mentioned a resource.
    pub(crate) fn note_mention(&mut self, uri: &str, server: UpstreamId) {
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
    pub(crate) fn mentioned(&self, uri: &str) -> Option<UpstreamId> {
        self.mentions.iter().find(|(known, _)| **known == *uri).map(|(_, server)| *server)
    }

    /// Forgets the oldest finished streams beyond what is kept.
    pub(crate) fn trim_finished(&mut self, fx: &Effects) {
        let mut count = 0;
        let mut bytes = 0;
        let mut drop = Vec::new();
        for (number, stream) in self.streams.iter().rev().filter(|(_, stream)| stream.is_finished()) {
            count += 1;
            bytes += stream.kept_bytes();
            if count > FINISHED_KEPT || (bytes > fx.limits.replay_bytes_max && count > 1) {
                drop.push(*number);
            }
        }
        for number in drop {
            self.streams.remove(&number);
        }
    }

    /// Forgets streams that lost their connection too long ago; returns their numbers.
    pub(crate) fn sweep(&mut self, fx: &Effects) -> Vec<u32> {
        let now = fx.mono();
        let old = |stream: &Stream| {
            stream.conn.is_none()
                && stream.detached.is_some_and(|at| now.ms_since(at) >= fx.limits.stream_retention_ms)
        };
        let gone: Vec<u32> = self.streams.iter().filter(|(_, s)| old(s)).map(|(number, _)| *number).collect();
        for number in &gone {
            self.streams.remove(number);
        }
        gone
    }
}
