//! A table with a bound, each of whose entries means nothing from some point in time on.
//!
//! Invariant: `by_end` holds exactly the keys of `entries`, each with its end. A full table gives up the entry that
//! would be the first to end. Entries that have ended are dropped as new ones come, two at a time, so no call takes
//! long.

use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(super) struct Table<K, V> {
    entries_max: usize,
    entries: BTreeMap<K, (Mono, V)>,
    by_end: BTreeSet<(Mono, K)>,
}

impl<K: Ord + Copy, V: Copy> Table<K, V> {
    /// A table with at most `entries_max` entries, at least one.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries_max: entries_max.max(1), entries: BTreeMap::new(), by_end: BTreeSet::new() }
    }

    /// What is there, unless it has ended.
    pub(super) fn get(&self, now: Mono, key: &K) -> Option<V> {
        self.entries.get(key).filter(|(end, _)| *end > now).map(|(_, value)| *value)
    }

    /// Puts or replaces an entry.
    pub(super) fn put(&mut self, now: Mono, key: K, value: V, end: Mono) {
        self.remove(&key);
        for _ in 0..2 {
            let first = self.by_end.first().copied();
            if let Some((end, key)) = first.filter(|(end, _)| *end <= now || self.is_full()) {
                self.by_end.remove(&(end, key));
                self.entries.remove(&key);
            }
        }
        self.by_end.insert((end, key));
        self.entries.insert(key, (end, value));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((end, _)) = self.entries.remove(key) {
            self.by_end.remove(&(end, *key));
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.by_end.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_the_first_to_end_goes() {
        let mut table = Table::new(3);
        for (key, end) in [('a', 30), ('b', 10), ('c', 20)] {
            table.put(Mono(0), key, (), Mono(end));
        }
        assert_eq!(table.len(), 3);
        table.put(Mono(0), 'b', (), Mono(40));
        assert_eq!(table.len(), 3, "replacing takes no place");
        table.put(Mono(0), 'd', (), Mono(50));
        assert_eq!(table.len(), 3);
        let kept = ['a', 'b', 'c', 'd'].map(|key| table.get(Mono(0), &key).is_some());
        assert_eq!(kept, [true, true, false, true]);
    }

    #[test]
    fn what_has_ended_is_gone() {
        let mut table = Table::new(10);
        for (key, end) in [('a', 10), ('b', 10), ('c', 10)] {
            table.put(Mono(0), key, (), Mono(end));
        }
        assert_eq!([9, 10].map(|now| table.get(Mono(now), &'a')), [Some(()), None]);
        table.put(Mono(10), 'd', (), Mono(20));
        assert_eq!(table.len(), 2);
        table.remove(&'d');
        table.remove(&'d');
        assert_eq!(table.len(), 1);
    }
}
