//! Calls in flight: who asked, and under which id.
//!
//! A call goes to its server under a short id of the proxy's own, which also serves as its progress token. Nothing a
//! client chose (ids, tokens) is ever used on the other side; an id that comes back and names no call of that very
//! connection is dropped. A call leaves the table when it is answered, cancelled or given up; how its late answer is kept
//! from its successors is said in [`crate::short_id`].
//!
//! Invariants: each call ends once; each has a timer, but for those of the proxy that end with their connection.

use crate::id::{IdMap, Key, Requester, ServerId, Table, UpstreamId};
use crate::json::{self, Raw, Span};
use crate::ledger::{Charge, Ledger};
use crate::limits::Limits;
use crate::mcp::{ListKind, Method};
use crate::short_id::{Late, ShortIds};
use crate::time::Mono;
use crate::timer::Timer;

/// All calls in flight.
#[derive(Debug)]
pub(crate) struct Calls {
    calls: Table<Call>,
    /// The ids of each server.
    ids: IdMap<ServerId, ShortIds>,
    id_max: u32,
    owed_max: usize,
    /// Calls of clients, and how many there may be: what the proxy itself asks is never crowded out.
    clients: usize,
    clients_max: usize,
}

/// What the proxy itself may have in flight: a few for each server.
const OWN_CALLS_MAX: usize = 10_000;

/// One call in flight.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) origin: Origin,
    pub(crate) upstream: UpstreamId,
    server: ServerId,
    /// Its id at the server.
    pub(super) wire: u32,
    /// The server has answered it, or never heard of it.
    answered: bool,
    pub(crate) method: Method,
    pub(super) timer: Option<Timer>,
    pub(crate) started: Mono,
    /// The latest sign of life.
    pub(super) alive: Mono,
    /// The latest progress told to the client.
    pub(super) progress: Option<f64>,
    /// Since when it waits for its server to come back.
    pub(super) waiting: Option<Mono>,
    /// Tries to continue its broken answer stream, or to send it again, without a sign of life.
    pub(super) resumes: u32,
    /// Where its answer stream broke off.
    pub(super) event_id: Option<Box<str>>,
    /// The session of the server that its answer stream belongs to, if the server has sessions.
    pub(super) answered_in: Option<u32>,
    /// Questions of the server that wait for the client: as long as there are any, the server is not silent.
    pub(super) asking: u32,
    /// The resource that a subscription is about.
    pub(crate) uri: Option<Box<str>>,
    /// How far it is, if the server runs it as a task.
    pub(super) task: Option<Task>,
    charge: Charge,
}

/// Where a call stands that its server runs as a task (2025-11-25 basic/utilities/tasks).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// The server was asked to.
    Wanted,
    /// It did: the raw id of the task, how often to ask how it is, and the last time that was asked.
    Running { id: Raw, poll_ms: u64, asked: Option<Key> },
    /// Its result is there.
    Done,
}

/// Who asked.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A client.
    Client(ClientOrigin),
    /// The proxy itself.
    Own(Own),
}

/// Which request of which client.
#[derive(Debug, Clone)]
pub(crate) struct ClientOrigin {
    pub(crate) session: Key,
    /// The stream its answer belongs on.
    pub(crate) stream: u32,
    /// Raw JSON id.
    pub(crate) id: Raw,
    /// Raw JSON progress token.
    pub(crate) token: Option<Raw>,
}

impl ClientOrigin {
    /// Who waits for it.
    pub(crate) fn requester(&self) -> Requester {
        Requester { session: self.session, stream: self.stream }
    }
}

/// What the proxy asks on its own behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    Initialize,
    /// Asks a server that refused the handshake which revisions it speaks.
    Discover,
    List(ListKind),
    Ping,
    /// Tells the server the log level.
    SetLevel,
    /// Subscribes to a resource again, or ends the subscription.
    Watch,
    /// Asks how the task of this call is.
    TaskState(Key),
    /// Waits for the result of the task of this call.
    TaskResult(Key),
    /// Ends a task.
    TaskCancel,
}

impl Calls {
    pub(crate) fn new(limits: &Limits) -> Self {
        let calls_max = limits.calls_max;
        Self {
            calls: Table::new(calls_max.saturating_add(OWN_CALLS_MAX)),
            ids: IdMap::default(),
            id_max: limits.call_id_max,
            owed_max: limits.owed_ids_max,
            clients: 0,
            clients_max: calls_max,
        }
    }

    /// Takes a call to a connection of a server in, unless there are too many.
    pub(crate) fn open(
        &mut self,
        origin: Origin,
        (upstream, server): (UpstreamId, ServerId),
        method: Method,
        now: Mono,
        ledger: &Ledger,
    ) -> Option<Key> {
        let of_client = matches!(origin, Origin::Client(_));
        if of_client && self.clients >= self.clients_max {
            return None;
        }
        let mut call = Call {
            origin,
            upstream,
            server,
            wire: 0,
            answered: false,
            method,
            timer: None,
            started: now,
            alive: now,
            progress: None,
            waiting: None,
            resumes: 0,
            event_id: None,
            answered_in: None,
            asking: 0,
            uri: None,
            task: None,
            charge: ledger.open(),
        };
        call.charge.set(call.size());
        let key = self.calls.insert(call).ok()?;
        let ids = self.ids.entry(server).or_insert_with(|| ShortIds::new(self.id_max, self.owed_max));
        let Some(wire) = ids.give(key) else {
            self.calls.remove(key);
            return None;
        };
        if let Some(call) = self.calls.get_mut(key) {
            call.wire = wire;
        }
        self.clients += usize::from(of_client);
        Some(key)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Call> {
        self.calls.get(key)
    }

    /// Whether a server still owes the answer to a call where it was sent: not if it took it up as a task, whose result
    /// is asked for by another.
    pub(crate) fn is_owed(&self, key: Key) -> bool {
        let task = |call: &Call| matches!(call.task, Some(Task::Running { .. } | Task::Done));
        self.calls.get(key).is_some_and(|call| !task(call))
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    /// The server answers a call, or never hears of it: no answer to it can come any more.
    pub(crate) fn mark_answered(&mut self, key: Key) {
        if let Some(call) = self.calls.get_mut(key) {
            call.answered = true;
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Call> {
        let call = self.calls.remove(key)?;
        self.clients -= usize::from(matches!(call.origin, Origin::Client(_)));
        if let Some(ids) = self.ids.get_mut(&call.server) {
            match call.answered || call.waiting.is_some() {
                true => ids.free(call.wire),
                false => ids.owe(call.wire, call.upstream),
            }
        }
        Some(call)
    }

    /// The call that a connection to a server means by this raw id, if it is one of its own.
    pub(crate) fn find(&self, upstream: UpstreamId, server: ServerId, raw: &[u8]) -> Option<Key> {
        let key = self.ids.get(&server)?.find(number(raw)?)?;
        self.calls.get(key).filter(|call| call.upstream == upstream).map(|_| key)
    }

    /// A server answered under an id that names no call.
    pub(crate) fn on_late(&mut self, server: ServerId, raw: &[u8]) -> Late {
        let ids = number(raw).and_then(|id| Some((id, self.ids.get_mut(&server)?)));
        ids.map_or(Late::Unknown, |(id, ids)| ids.on_late(id))
    }

    /// What a connection was asked before it ended it will not answer.
    pub(crate) fn forgive(&mut self, upstream: UpstreamId, server: ServerId) {
        if let Some(ids) = self.ids.get_mut(&server) {
            ids.forgive(upstream);
        }
    }

    /// All calls of one upstream, in slot order. For its end, not for messages.
    pub(crate) fn of_upstream(&self, upstream: UpstreamId) -> Vec<Key> {
        self.calls.iter().filter(|(_, call)| call.upstream == upstream).map(|(key, _)| key).collect()
    }

    /// Calls of clients at each upstream, in slot order: where, and whether the call still waits. For rare events.
    pub(crate) fn client_load(&self) -> impl Iterator<Item = (UpstreamId, bool)> {
        let of_client = |call: &&Call| matches!(call.origin, Origin::Client(_));
        self.calls
            .iter()
            .map(|(_, call)| call)
            .filter(of_client)
            .map(|call| (call.upstream, call.waiting.is_some()))
    }

    /// Storage of calls. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        self.calls.iter().map(|(_, call)| call.size()).sum()
    }

    /// How many calls there are.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// All of them, in the order of their slots. For rare events only.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Call)> {
        self.calls.iter()
    }

    /// Whether no client waits for anything.
    pub(crate) fn is_quiet(&self) -> bool {
        self.clients == 0
    }

    /// Calls that clients wait for.
    pub(crate) fn client_calls(&self) -> Vec<Key> {
        let of_client = |call: &Call| matches!(call.origin, Origin::Client(_));
        self.calls.iter().filter(|(_, call)| of_client(call)).map(|(key, _)| key).collect()
    }
}

/// The number that a peer means by a raw id. Peers exist that turn integers into strings, or into `1.0`; what they mean
/// is plain.
pub(crate) fn number(raw: &[u8]) -> Option<u64> {
    let raw = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or(raw);
    json::integer(raw)
}

impl Origin {
    /// The client's request, if it is one.
    pub(crate) fn client(&self) -> Option<&ClientOrigin> {
        match self {
            Self::Client(origin) => Some(origin),
            Self::Own(_) => None,
        }
    }
}

impl Call {
    /// The session of a call that may lead to questions.
    pub(crate) fn asks(&self) -> Option<Key> {
        self.origin.client().filter(|_| self.method.may_ask()).map(|origin| origin.session)
    }

    /// Remembers the resource that a subscription is about.
    pub(crate) fn remember_uri(&mut self, uri: Option<Box<str>>) {
        self.uri = uri;
        self.charge.set(self.size());
    }

    /// What it takes: itself, and what its client wrote into it.
    fn size(&self) -> usize {
        let words = self.origin.client().map_or(0, |origin| {
            let token = origin.token.as_ref().map_or(0, |token| token.as_bytes().len());
            origin.id.as_bytes().len().saturating_add(token)
        });
        let uri = self.uri.as_ref().map_or(0, |uri| uri.len());
        size_of::<Self>().saturating_add(words).saturating_add(uri)
    }

    /// Whether progress may be told: only rising values (DL-22).
    pub(crate) fn advance(&mut self, text: &[u8], value: Span) -> bool {
        let value = std::str::from_utf8(value.of(text)).ok().and_then(|text| text.parse::<f64>().ok());
        let Some(value) = value.filter(|value| value.is_finite()) else { return false };
        let rises = self.progress.is_none_or(|before| value > before);
        if rises {
            self.progress = Some(value);
        }
        rises
    }
}
