//! Questions of servers that are not answered yet, and where each stands.
//!
//! ```text
//!          its client has a stream           answered, withdrawn, no answer in time
//!  Held ──────────────────────────▶ Sent ────────────────────────────────────────────▶ gone
//!    │ its call was cancelled, or its session is over    │
//!    └──────────────▶ Orphaned ◀─────────────────────────┘
//!                        └── the server takes it back, or a moment is over ──────────▶ gone
//! ```

use crate::id::{Key, Table, UpstreamId};
use crate::json::Raw;
use crate::ledger::Held;
use crate::limits::Limits;
use crate::mcp::Ask;
use crate::timer::Timer;
use std::collections::BTreeMap;

/// All questions that are not answered yet.
///
/// Invariants: each has a timer, and is open at its server exactly as long as it is here.
#[derive(Debug)]
pub(super) struct Questions {
    table: Table<Question>,
    /// Those of each connection, the oldest first.
    by_conn: BTreeMap<UpstreamId, Vec<Key>>,
}

impl Questions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { table: Table::new(limits.calls_max), by_conn: BTreeMap::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Storage of those that wait. For tests and rare events only.
    pub(super) fn recount(&self) -> usize {
        let size = |question: &Question| match &question.state {
            State::Held { text, .. } => text.size(),
            State::Sent { .. } | State::Orphaned => 0,
        };
        self.table.iter().map(|(_, question)| size(question)).sum()
    }

    /// What the next question will be called; `None` if there are too many.
    pub(super) fn next_key(&self) -> Option<Key> {
        self.table.next_key()
    }

    /// Takes a question in, unless there are too many.
    pub(super) fn insert(&mut self, question: Question) -> Option<Key> {
        let id = question.upstream;
        let key = self.table.insert(question).ok()?;
        self.by_conn.entry(id).or_default().push(key);
        Some(key)
    }

    pub(super) fn get(&self, key: Key) -> Option<&Question> {
        self.table.get(key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Question> {
        self.table.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Question> {
        let question = self.table.remove(key)?;
        let keys = self.by_conn.get_mut(&question.upstream);
        debug_assert!(keys.is_some(), "each question is known by its connection");
        if let Some(keys) = keys {
            keys.retain(|known| *known != key);
            if keys.is_empty() {
                self.by_conn.remove(&question.upstream);
            }
        }
        Some(question)
    }

    /// Those of a connection.
    pub(super) fn of(&self, id: UpstreamId) -> &[Key] {
        self.by_conn.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn len_of(&self, id: UpstreamId) -> usize {
        self.of(id).len()
    }
}

/// A request of a server on its way to a client and back.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) upstream: UpstreamId,
    /// Raw JSON id, as the server wrote it.
    pub(super) id: Raw,
    pub(super) ask: Ask,
    /// Raw progress token of the server.
    pub(super) token: Option<Raw>,
    /// When it must have found its client, then its time limit.
    pub(super) timer: Timer,
    pub(super) state: State,
}

/// Where it stands.
#[derive(Debug)]
pub(super) enum State {
    /// Its client has no stream for it: it waits for one.
    Held { asked: Asked, text: Held },
    /// It was sent on a stream.
    Sent { asked: Asked, stream: u32 },
    /// Its client need not answer any more. The server is told first that the call was cancelled, and given a moment to
    /// stop, so that it does not take a refusal for an answer and go on.
    Orphaned,
}

/// Whom a question was put to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) session: Key,
    /// Its id at the client.
    pub(super) wire: u32,
    /// The call that led to it.
    pub(super) call: Option<Key>,
}

impl Question {
    /// Whom it was put to, as long as that matters.
    pub(super) fn asked(&self) -> Option<Asked> {
        match self.state {
            State::Held { asked, .. } | State::Sent { asked, .. } => Some(asked),
            State::Orphaned => None,
        }
    }

    /// The call that led to it, as long as that matters.
    pub(super) fn call(&self) -> Option<Key> {
        self.asked()?.call
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }
}
