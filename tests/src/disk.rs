//! A disk as the host's store uses it: contents that are replaced as a whole, after a while, or not at all.
//!
//! What is acknowledged survives a crash. A crash while a replacement is under way leaves the old contents or the new
//! ones, as chance has it: a rename that was not yet made durable may be lost. Left out: contents torn in the middle,
//! which a file that is renamed over another cannot have (those are given with [`Disk::put`]).

use crate::dice::Dice;
use crate::net::MS;
use mcp_proxy_core::event::StoreKey;
use std::collections::BTreeMap;

/// The disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    contents: BTreeMap<StoreKey, Vec<u8>>,
    /// What was read last, of what is read again and again.
    seen: BTreeMap<StoreKey, Option<Vec<u8>>>,
    jobs: BTreeMap<u64, (StoreKey, Job)>,
    last: u64,
    /// Replacements fail: it is full, or read-only.
    pub full: bool,
    /// How many replacements succeed before it is full.
    pub full_after: Option<u32>,
    /// How much longer than usual everything takes, milliseconds.
    pub slow_ms: u64,
    /// Nothing can be read, for this reason.
    pub unreadable: Option<&'static str>,
    /// How many replacements were acknowledged.
    pub saves: u32,
    /// What was moved away.
    pub aside: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
enum Job {
    Load,
    Save { ticket: u64, bytes: Vec<u8> },
    SetAside,
}

/// What the engine is told.
#[derive(Debug)]
pub enum Done {
    /// Of a load: nothing there, the same as before, or this.
    Loaded(StoreKey, Result<Option<Vec<u8>>, &'static str>, bool),
    /// Of a save.
    Saved(StoreKey, u64, Result<(), &'static str>),
    /// Of a set-aside.
    SetAside(StoreKey, Result<&'static str, &'static str>),
}

impl Disk {
    /// Puts something there, as somebody else would.
    pub fn put(&mut self, key: StoreKey, bytes: impl Into<Vec<u8>>) {
        self.contents.insert(key, bytes.into());
    }

    /// Takes something away.
    pub fn remove(&mut self, key: StoreKey) {
        self.contents.remove(&key);
    }

    /// What is there.
    pub fn get(&self, key: StoreKey) -> Option<&[u8]> {
        self.contents.get(&key).map(Vec::as_slice)
    }

    /// The stored logins as text.
    pub fn logins(&self) -> String {
        String::from_utf8_lossy(self.get(StoreKey::OAuth).unwrap_or_default()).into_owned()
    }

    /// Whether a replacement is under way.
    pub fn is_saving(&self) -> bool {
        self.jobs.values().any(|(_, job)| matches!(job, Job::Save { .. }))
    }

    pub(crate) fn load(&mut self, key: StoreKey) -> u64 {
        self.begin(key, Job::Load)
    }

    pub(crate) fn save(&mut self, key: StoreKey, ticket: u64, bytes: Vec<u8>) -> u64 {
        let under_way =
            self.jobs.values().any(|(other, job)| *other == key && matches!(job, Job::Save { .. }));
        assert!(!under_way, "two saves of {key:?} at a time");
        self.begin(key, Job::Save { ticket, bytes })
    }

    pub(crate) fn set_aside(&mut self, key: StoreKey) -> u64 {
        self.begin(key, Job::SetAside)
    }

    fn begin(&mut self, key: StoreKey, job: Job) -> u64 {
        self.last += 1;
        self.jobs.insert(self.last, (key, job));
        self.last
    }

    /// How long a request takes.
    pub(crate) fn delay(dice: &mut Dice) -> u64 {
        (1 + dice.below(8)) * MS
    }

    pub(crate) fn finish(&mut self, id: u64) -> Option<Done> {
        let (key, job) = self.jobs.remove(&id)?;
        Some(match job {
            Job::Load => {
                if let Some(reason) = self.unreadable {
                    return Some(Done::Loaded(key, Err(reason), false));
                }
                let now = self.contents.get(&key).cloned();
                let same = key != StoreKey::OAuth && now.is_some() && self.seen.get(&key) == Some(&now);
                self.seen.insert(key, now.clone());
                Done::Loaded(key, Ok(now), same)
            }
            Job::Save { ticket, bytes } => {
                let full = self.full || self.full_after == Some(0);
                if full {
                    return Some(Done::Saved(key, ticket, Err("no space left on device")));
                }
                self.full_after = self.full_after.map(|left| left - 1);
                self.contents.insert(key, bytes);
                self.saves += 1;
                Done::Saved(key, ticket, Ok(()))
            }
            Job::SetAside => {
                self.aside.extend(self.contents.remove(&key));
                Done::SetAside(key, Ok("oauth_clients.json.corrupt-1"))
            }
        })
    }

    /// The machine loses its power: what was under way has happened, or not.
    #[must_use]
    pub fn crash(mut self, dice: &mut Dice) -> Self {
        for (_, (key, job)) in std::mem::take(&mut self.jobs) {
            if let Job::Save { bytes, .. } = job
                && !self.full
                && self.full_after != Some(0)
                && dice.chance(500)
            {
                self.contents.insert(key, bytes);
            }
        }
        self.seen.clear();
        self
    }
}
