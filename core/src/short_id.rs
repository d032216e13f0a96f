//! Short ids for what goes over the wire and comes back: small numbers that name one waiting thing at one peer.
//!
//! Servers exist that keep ids in 32 bits, and no plain client sends large ones, so ids count up from 1, one count for
//! each server (its connections share it, so that a call keeps its id when it moves to another), and begin again after
//! the last. A late answer must not be taken for that to a successor. Why it is not:
//!
//! 1. An id names at most one thing: one that is open is passed over.
//! 2. An id whose answer may still come, because its call was cancelled or timed out, is passed over as well, until that
//!    answer has come or the connection that owes it has ended.
//! 3. Any other id was answered. It is given again after all others, 2^31 calls later.
//!
//! What is owed is bounded. Beyond the bound the oldest is forgotten; its late answer could only be mistaken if it came
//! after the count has gone round once: with a thousand calls a second, 24 days later.

use crate::id::{IdMap, Key, UpstreamId};
use std::collections::VecDeque;

/// The ids of one peer.
#[derive(Debug)]
pub(crate) struct ShortIds {
    last: u32,
    max: u32,
    /// The count has begun again.
    wrapped: bool,
    uses: IdMap<u64, Use>,
    /// Those that are owed, the oldest first.
    owed: VecDeque<u32>,
    owed_max: usize,
}

/// Why an id is not free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It names this.
    Open(Key),
    /// It named this, to which the connection may still answer.
    Owed(Key, UpstreamId),
}

/// What an id is that names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// It named this, and the answer was still owed.
    Owed(Key),
    /// It named something that was answered.
    Spent,
    /// It was never given out.
    Unknown,
}

impl ShortIds {
    /// Ids from 1 to `max`, of which `owed_max` are remembered whose answer may still come.
    pub(crate) fn new(max: u32, owed_max: usize) -> Self {
        Self {
            last: 0,
            max: max.max(1),
            wrapped: false,
            uses: IdMap::default(),
            owed: VecDeque::new(),
            owed_max,
        }
    }

    /// An id for something that waits, unless all are taken.
    pub(crate) fn give(&mut self, key: Key) -> Option<u32> {
        if self.uses.len() >= self.max as usize {
            return None;
        }
        // One of them is free, so this ends; after a run of taken ones, as a rule at the first.
        loop {
            self.wrapped |= self.last >= self.max;
            self.last = if self.last >= self.max { 1 } else { self.last.saturating_add(1) };
            if let std::collections::hash_map::Entry::Vacant(place) = self.uses.entry(self.last.into()) {
                place.insert(Use::Open(key));
                return Some(self.last);
            }
        }
    }

    /// What waits under this id.
    pub(crate) fn find(&self, id: u64) -> Option<Key> {
        match self.uses.get(&id)? {
            Use::Open(key) => Some(*key),
            Use::Owed(..) => None,
        }
    }

    /// It waits no more, and no answer will come.
    pub(crate) fn free(&mut self, id: u32) {
        self.uses.remove(&u64::from(id));
    }

    /// It waits no more, but the connection may still answer.
    pub(crate) fn owe(&mut self, id: u32, by: UpstreamId) {
        let Some(used) = self.uses.get_mut(&u64::from(id)) else { return };
        let Use::Open(key) = *used else { return };
        *used = Use::Owed(key, by);
        self.owed.push_back(id);
        while self.owed.len() > self.owed_max {
            if let Some(oldest) = self.owed.pop_front() {
                self.free(oldest);
            }
        }
    }

    /// An answer came under an id that names nothing.
    pub(crate) fn on_late(&mut self, id: u64) -> Late {
        let used = self.uses.get(&id).copied();
        if let Some(Use::Owed(key, _)) = used {
            self.uses.remove(&id);
            self.owed.retain(|owed| u64::from(*owed) != id);
            return Late::Owed(key);
        }
        let given = if self.wrapped { self.max } else { self.last };
        if (1..=u64::from(given)).contains(&id) { Late::Spent } else { Late::Unknown }
    }

    /// The connection has ended: it owes nothing any more.
    pub(crate) fn forgive(&mut self, by: UpstreamId) {
        let uses = &mut self.uses;
        self.owed.retain(|id| {
            let id = u64::from(*id);
            let mine = matches!(uses.get(&id), Some(Use::Owed(_, owes)) if *owes == by);
            if mine {
                uses.remove(&id);
            }
            !mine
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: UpstreamId = UpstreamId(1);

    fn key(n: u64) -> Key {
        Key::from_u64((1 << 24) | n).unwrap()
    }

    #[test]
    fn ids_count_up_and_begin_again() {
        let mut ids = ShortIds::new(3, 1);
        let mut seen = Vec::new();
        for n in 0..7 {
            let id = ids.give(key(n)).unwrap();
            assert_eq!(ids.find(id.into()), Some(key(n)));
            ids.free(id);
            assert_eq!(ids.find(id.into()), None);
            seen.push(id);
        }
        assert_eq!(seen, [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn what_is_open_or_owed_is_passed_over() {
        let mut ids = ShortIds::new(4, 4);
        let (open, owed) = (ids.give(key(1)).unwrap(), ids.give(key(2)).unwrap());
        ids.owe(owed, SERVER);
        for n in 0..6 {
            let id = ids.give(key(n)).unwrap();
            assert_eq!(id, 3 + (n as u32) % 2);
            ids.free(id);
        }
        assert_eq!(ids.find(owed.into()), None);
        assert_eq!((ids.on_late(owed.into()), ids.on_late(owed.into())), (Late::Owed(key(2)), Late::Spent));
        assert_eq!((ids.on_late(0), ids.on_late(5)), (Late::Unknown, Late::Unknown));
        assert_eq!([ids.give(key(7)), ids.give(key(8)), ids.give(key(9))], [Some(2), Some(3), Some(4)]);
        assert_eq!(ids.give(key(10)), None, "all are taken");
        ids.free(open);
        assert_eq!(ids.give(key(10)), Some(open));
    }

    #[test]
    fn a_connection_that_ended_owes_nothing() {
        let mut ids = ShortIds::new(10, 10);
        for (n, by) in [(1, SERVER), (2, UpstreamId(2)), (3, SERVER)] {
            let id = ids.give(key(n)).unwrap();
            ids.owe(id, by);
        }
        ids.forgive(SERVER);
        assert_eq!(
            (ids.on_late(1), ids.on_late(2), ids.on_late(3)),
            (Late::Spent, Late::Owed(key(2)), Late::Spent)
        );
        assert!(ids.owed.is_empty() && ids.uses.is_empty());
    }

    #[test]
    fn of_too_many_owed_ones_the_oldest_is_forgotten() {
        // limit: owed_ids_max
        let mut ids = ShortIds::new(100, 2);
        for n in 0..5 {
            let id = ids.give(key(n)).unwrap();
            ids.owe(id, SERVER);
        }
        assert_eq!(
            (ids.on_late(3), ids.on_late(4), ids.on_late(5)),
            (Late::Spent, Late::Owed(key(3)), Late::Owed(key(4)))
        );
        assert_eq!((ids.owed.len(), ids.uses.len()), (0, 0));
    }
}
