//! Which state is safely on disk, which one is wanted, and who waits for it.
//!
//! ```text
//!             change()                 next_save()                    on_saved(Ok)
//!   durable ───────────▶ staged, queue ───────────▶ saving, waiting ───────────────▶ durable, replies
//!                            ▲    (at most one)          │ on_saved(Err)
//!                            └───────── 503 to all ◀─────┘  staged = durable
//! ```
//! Everything that came while a save was under way goes into the next one together (group commit). What a client will
//! rely on is answered only after it is durable; if it cannot be made so, nothing has changed (T-41).
//!
//! Invariants: every reply is given back exactly once; `staged` differs from `durable` only by changes that are in the
//! queue or under way, or by clean-up that nobody waits for.

use super::{State, format};
use crate::http::Reply;
use crate::oauth::RequestId;
use crate::time::Now;

/// The states and the queue.
#[derive(Debug)]
pub(crate) struct Book {
    durable: State,
    staged: State,
    saving: Option<Saving>,
    queue: Vec<(RequestId, Reply)>,
    /// `staged` has changes that no save has taken yet.
    dirty: bool,
    ticket: u64,
}

#[derive(Debug)]
struct Saving {
    ticket: u64,
    state: State,
    waiting: Vec<(RequestId, Reply)>,
}

/// What a save came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These may be sent now.
    Durable(Vec<(RequestId, Reply)>),
    /// Nothing has changed; these wait for an answer.
    Undone(Vec<RequestId>),
    /// Not the save that is under way.
    Stale,
}

impl Book {
    pub(crate) fn new(state: State) -> Self {
        let staged = state.clone();
        Self { durable: state, staged, saving: None, queue: Vec::new(), dirty: false, ticket: 0 }
    }

    /// What survives a crash.
    pub(crate) fn durable(&self) -> &State {
        &self.durable
    }

    /// What is wanted: what the next change is based on.
    pub(crate) fn staged(&self) -> &State {
        &self.staged
    }

    /// Changes what is wanted.
    pub(crate) fn change(&mut self) -> &mut State {
        self.dirty = true;
        &mut self.staged
    }

    /// Keeps a reply until everything that was changed so far is durable; gives it back if it is.
    pub(crate) fn after_save(&mut self, request: RequestId, reply: Reply) -> Option<Reply> {
        if self.dirty {
            self.queue.push((request, reply));
            return None;
        }
        match &mut self.saving {
            Some(saving) => {
                saving.waiting.push((request, reply));
                None
            }
            None => Some(reply),
        }
    }

    /// The text to save next, if there is one and no save is under way.
    pub(crate) fn next_save(&mut self, now: Now) -> Option<(u64, Vec<u8>)> {
        if self.saving.is_some() || !self.dirty {
            return None;
        }
        self.dirty = false;
        self.ticket = self.ticket.saturating_add(1);
        let waiting = std::mem::take(&mut self.queue);
        let bytes = format::write(&self.staged, now);
        self.saving = Some(Saving { ticket: self.ticket, state: self.staged.clone(), waiting });
        Some((self.ticket, bytes))
    }

    /// A save has ended.
    pub(crate) fn on_saved(&mut self, ticket: u64, ok: bool) -> Outcome {
        let Some(saving) = self.saving.take_if(|saving| saving.ticket == ticket) else {
            return Outcome::Stale;
        };
        if ok {
            self.durable = saving.state;
            return Outcome::Durable(saving.waiting);
        }
        // What came meanwhile was based on what did not happen.
        self.staged = self.durable.clone();
        self.dirty = false;
        let waiting = saving.waiting.into_iter().chain(std::mem::take(&mut self.queue));
        Outcome::Undone(waiting.map(|(request, _)| request).collect())
    }
}
