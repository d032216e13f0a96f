//! What waits for a connection to a server: calls until it is back or their turn has come, notifications of clients until
//! it has started.
//!
//! Invariants: both together hold no more bytes than `upstream_queue_bytes_max`, and notifications no more than half of
//! that, since calls are worth more; calls are taken in order of arrival, but for those that need not wait for their
//! turn. Left out: when something may be sent, which [`Connection`](super::Connection) knows.

use crate::effects::Effects;
use crate::id::Key;
use crate::json::Pieces;
use crate::ledger::Held;
use std::collections::VecDeque;

/// What waits for one connection.
#[derive(Debug, Default)]
pub(super) struct Queue {
    calls: VecDeque<Call>,
    notes: VecDeque<Held>,
    /// Of both.
    bytes: usize,
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) key: Key,
    /// Its session, if it may lead to questions.
    pub(super) asks: Option<Key>,
    body: Held,
}

impl Call {
    pub(super) fn into_body(self) -> Vec<u8> {
        self.body.into_bytes()
    }
}

impl Queue {
    /// Whether there is room for another call of this size.
    pub(super) fn admits_call(&self, fx: &Effects, len: usize) -> bool {
        self.calls.len() < fx.limits.upstream_queue_max
            && self.bytes.saturating_add(len) <= fx.limits.upstream_queue_bytes_max
    }

    /// Whether there is room for another notification of this size.
    pub(super) fn admits_note(&self, fx: &Effects, len: usize) -> bool {
        self.notes.len() < fx.limits.upstream_notes_max
            && self.bytes.saturating_add(len) <= fx.limits.upstream_queue_bytes_max / 2
            && fx.ledger.has_room(0, len)
    }

    /// Keeps a call. Room is not asked for: one that was refused unexecuted has been admitted before.
    pub(super) fn push_call(&mut self, key: Key, asks: Option<Key>, body: Held) {
        self.bytes = self.bytes.saturating_add(body.len());
        self.calls.push_back(Call { key, asks, body });
    }

    /// Keeps a notification.
    pub(super) fn push_note(&mut self, fx: &Effects, message: &Pieces<'_>) {
        let note = hold(fx, message);
        self.bytes = self.bytes.saturating_add(note.len());
        self.notes.push_back(note);
    }

    /// Takes the first call.
    pub(super) fn pop_call(&mut self) -> Option<Call> {
        self.remove(0)
    }

    /// Takes the first call that need not wait for a turn, or else the first one if it may have its turn.
    pub(super) fn pop_call_if(
        &mut self,
        is_free: impl Fn(&Call) -> bool,
        has_turn: impl Fn(&Call) -> bool,
    ) -> Option<Call> {
        let first = self.calls.iter().position(|call| !is_free(call));
        let first = first.filter(|place| self.calls.get(*place).is_some_and(has_turn));
        let place = self.calls.iter().position(is_free).or(first)?;
        self.remove(place)
    }

    /// Takes a notification.
    pub(super) fn pop_note(&mut self) -> Option<Vec<u8>> {
        let note = self.notes.pop_front()?;
        self.bytes = self.bytes.saturating_sub(note.len());
        Some(note.into_bytes())
    }

    /// Forgets a call. Returns whether it was waiting.
    pub(super) fn forget_call(&mut self, key: Key) -> bool {
        let place = self.calls.iter().position(|call| call.key == key);
        place.and_then(|place| self.remove(place)).is_some()
    }

    /// Forgets the notifications.
    pub(super) fn forget_notes(&mut self) {
        while self.pop_note().is_some() {}
    }

    /// The calls, in order.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Number of calls.
    pub(super) fn calls_len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call waits.
    pub(super) fn has_no_call(&self) -> bool {
        self.calls.is_empty()
    }

    /// Storage of everything. For tests and rare events only.
    pub(super) fn size(&self) -> usize {
        let notes = self.notes.iter().map(Held::size);
        self.calls.iter().map(|call| call.body.size()).chain(notes).fold(0, usize::saturating_add)
    }

    fn remove(&mut self, place: usize) -> Option<Call> {
        let call = self.calls.remove(place)?;
        self.bytes = self.bytes.saturating_sub(call.body.len());
        debug_assert!(
            !self.calls.is_empty() || !self.notes.is_empty() || self.bytes == 0,
            "bytes of nothing"
        );
        Some(call)
    }
}

/// A message written out, to be kept.
pub(super) fn hold(fx: &Effects, message: &Pieces<'_>) -> Held {
    let mut body = Vec::with_capacity(message.len());
    message.write(&mut body);
    fx.ledger.hold(body)
}
