//! Names of things: newtypes over integers, and a slab whose keys cannot name a successor.
//!
//! [`ConnId`]s are never reused, so a late event for a dead connection simply misses. [`Key`]s of a [`Table`]
//! carry the generation of their slot for the same reason. They are for the engine alone: what goes over the wire is
//! shorter (`short_id`).

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// One byte stream: an accepted or dialled socket, or the standard streams of a child.
///
/// The lowest bit says who minted it (0 the host on accept, 1 the engine on dial and spawn), as in QUIC
/// stream ids, so neither has to ask the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The `n`-th connection that a host accepts.
    pub const fn accepted(n: u64) -> Self {
        Self(n << 1)
    }

    /// The `n`-th connection or child that the engine asks for.
    pub const fn dialled(n: u64) -> Self {
        Self((n << 1) | 1)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.0 & 1 == 0 { "in" } else { "out" }, self.0 >> 1)
    }
}

/// One listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// One configured server. Given out once: servers come and go, and what comes late for one that is gone misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u64);

/// What callers of one endpoint see. Given out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ViewId(pub(crate) u64);

/// One connection to a server: a child, or all HTTP exchanges of one handshake. Given out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u64);

/// Place and generation of an entry in a [`Table`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    generation: u32,
    slot: u32,
}

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 28;

impl Key {
    /// Names nothing in any table.
    pub const NONE: Self = Self { generation: 0, slot: 0 };

    /// The key as one number below 2^52, never 0.
    pub const fn to_u64(self) -> u64 {
        ((self.generation as u64) << SLOT_BITS) | self.slot as u64
    }

    /// The key a number stands for. Whether it names something is for the table to say.
    pub const fn from_u64(number: u64) -> Option<Self> {
        if number >> (SLOT_BITS + GENERATION_BITS) != 0 {
            return None;
        }
        Some(Self {
            generation: (number >> SLOT_BITS) as u32,
            slot: (number & ((1 << SLOT_BITS) - 1)) as u32,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

/// A slab with checked keys, a bound, and iteration in slot order.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
    max: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    /// An empty table for at most `max` entries (never more than 2^24).
    pub fn new(max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0, max: max.min(1 << SLOT_BITS) }
    }

    /// Stores a value, or gives it back when the table is full.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        if self.len >= self.max {
            return Err(value);
        }
        self.len += 1;
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return Ok(Key { generation: slot.generation, slot: index });
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot { generation: 1, value: Some(value) });
        Ok(Key { generation: 1, slot: index })
    }

    /// The key that the next entry will get, if there is room for one.
    pub fn next_key(&self) -> Option<Key> {
        let slot = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let generation = self.slots.get(slot as usize).map_or(1, |slot| slot.generation);
        (!self.is_full()).then_some(Key { generation, slot })
    }

    /// Whether it takes no more entries.
    pub fn is_full(&self) -> bool {
        self.len >= self.max
    }

    /// The entry of this key, if it is still the same one.
    pub fn get(&self, key: Key) -> Option<&T> {
        self.slots.get(key.slot as usize).filter(|slot| slot.generation == key.generation)?.value.as_ref()
    }

    /// The entry of this key, to be changed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slots.get_mut(key.slot as usize).filter(|slot| slot.generation == key.generation)?.value.as_mut()
    }

    /// Takes the entry out; its key never names anything again (until 2^28 generations have passed).
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize).filter(|slot| slot.generation == key.generation)?;
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & ((1 << GENERATION_BITS) - 1);
        slot.generation = slot.generation.max(1);
        self.free.push(key.slot);
        self.len -= 1;
        Some(value)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in slot order. For ends of things only, never per message.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key { generation: slot.generation, slot: index as u32 };
            slot.value.as_ref().map(|value| (key, value))
        })
    }
}

/// Who waits for an answer, or is to be told something: a stream of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) session: Key,
    pub(crate) stream: u32,
}

/// What else belongs to the entries of a [`Table`], under the same keys: a look-up is one index.
#[derive(Debug)]
pub(crate) struct SideTable<T> {
    slots: Vec<Option<(u32, T)>>,
}

impl<T> Default for SideTable<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T> SideTable<T> {
    /// Stores what belongs to an entry that has nothing here yet.
    pub(crate) fn insert(&mut self, key: Key, value: T) {
        let place = key.slot as usize;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            debug_assert!(slot.is_none(), "what belonged to the entry before was taken out with it");
            *slot = Some((key.generation, value));
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let (generation, value) = self.slots.get(key.slot as usize)?.as_ref()?;
        (*generation == key.generation).then_some(value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, value) = self.slots.get_mut(key.slot as usize)?.as_mut()?;
        (*generation == key.generation).then_some(value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.take_if(|(generation, _)| *generation == key.generation).map(|(_, value)| value)
    }

    /// All of it, in the order of slots. For ends of things only, never per message.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let (generation, value) = entry.as_ref()?;
            Some((Key { generation: *generation, slot: slot as u32 }, value))
        })
    }
}

/// Hashes an id by one multiplication: ids are ours, so nobody can choose collisions.
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

/// A map keyed by ids of our own making. Only for look-ups: its order means nothing.
pub type IdMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<IdHasher>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_its_successor() {
        let mut table = Table::new(4);
        let old = table.insert("old").unwrap();
        assert_eq!(table.remove(old), Some("old"));
        let new = table.insert("new").unwrap();
        assert_ne!(old, new);
        assert_eq!(table.get(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.get(new), Some(&"new"));
    }

    #[test]
    fn a_full_table_gives_the_value_back() {
        let mut table = Table::new(1);
        let key = table.insert(1).unwrap();
        assert_eq!(table.insert(2), Err(2));
        assert_eq!(table.next_key(), None);
        table.remove(key);
        let next = table.next_key();
        assert_eq!(table.insert(3).ok(), next);
    }

    #[test]
    fn keys_survive_as_numbers_and_stay_below_2_pow_52() {
        let key = Key { generation: (1 << GENERATION_BITS) - 1, slot: (1 << SLOT_BITS) - 1 };
        assert!(key.to_u64() < 1 << 52);
        assert_eq!(Key::from_u64(key.to_u64()), Some(key));
        assert_eq!(Key::from_u64(1 << 52), None);
    }

    #[test]
    fn iteration_is_in_slot_order() {
        let mut table = Table::new(10);
        let keys: Vec<Key> = (0..4).map(|n| table.insert(n).unwrap()).collect();
        table.remove(keys[1]);
        assert_eq!(table.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(table.len(), 3);
    }
}
