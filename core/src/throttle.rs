//! How fast passwords may be tried, and how fast other endpoints may be asked.
//!
//! ```text
//!  a try ── pair (user, address): quick tries, then 1, 2, 4 … seconds apart, up to the longest delay
//!        ── address:              30 a minute                      ┐ not for a pair
//!        ── user:                 one a second, wherever from      │ that has logged in:
//!        ── all:                  300 a minute                     ┘ 30 a minute of its own
//! ```
//! A try is let in when all of these let it in, and only then it counts for any of them: whoever is refused uses
//! nothing up and does not lengthen the wait. So nobody is ever locked out. A flood from one address is stopped at its
//! pair and its address and does not reach what others need; one from very many addresses can use up the limits of a
//! user and of all, but not for those who come from where they have logged in before. What a pair that has logged in
//! may guess is bounded by its own delays.
//!
//! Where claims about an address contradict each other, each of them counts, and the peer: whatever a client writes into
//! a field, one of them is not its choice.
//!
//! Invariants: nothing depends on whether a user exists. Every table is bounded, and names are kept as digests, so
//! memory is bounded whatever is sent. A full table forgets what is nearest to being as good as new. Since each entry
//! is paid for by a try that was let in, to push one out of the tables of the login takes more than half an hour at
//! the usual limits, by when it means nothing any more.
//!
//! Deliberately absent: persistence, because a restart is rarer than the longest delay is long, and the address of a
//! client, which [`crate::net`] finds.

use self::table::Table;
use crate::net::Network;
use crate::time::Mono;
use sha2::{Digest, Sha256};

mod bucket;
mod table;

pub use bucket::{Bucket, Buckets, Rate};

/// `oauth2.loginRateLimit`: how fast passwords may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRate {
    /// Tries of one user from one address before delays begin; 0 counts as 1.
    pub quick_tries: u32,
    /// The longest delay between two tries of one user from one address; 0 is no delay.
    pub delay_max_seconds: u32,
    /// Tries from one address, for all users together; 0 counts as 1.
    pub address_per_minute: u32,
    /// Tries from everywhere; 0 counts as 1.
    pub global_per_minute: u32,
}

impl Default for LoginRate {
    fn default() -> Self {
        Self { quick_tries: 5, delay_max_seconds: 60, address_per_minute: 30, global_per_minute: 300 }
    }
}

/// Decides which tries of a password are let in.
#[derive(Debug, Clone)]
pub struct Throttle {
    rate: LoginRate,
    pairs: Table<Pair, Tries>,
    /// Pairs that have logged in, a table of their own so that they cannot push out those that have not.
    known: Table<Pair, Known>,
    addresses: Buckets,
    users: Table<User, Bucket>,
    all: Bucket,
}

impl Throttle {
    /// A throttle whose tables have at most `entries_max` entries each; 10 000 is plenty.
    pub fn new(rate: LoginRate, entries_max: usize) -> Self {
        Self {
            rate,
            pairs: Table::new(entries_max),
            known: Table::new(entries_max),
            addresses: Buckets::new(rate.address_per_minute, rate.address_per_minute, entries_max),
            users: Table::new(entries_max),
            all: Bucket::default(),
        }
    }

    /// Lets a try in and counts it as one that failed, until [`Self::succeeded`] says otherwise. To be asked before
    /// the password is looked at. It counts for each of `from`.
    ///
    /// # Errors
    /// How many seconds to wait, at least 1.
    pub fn admit(&mut self, now: Mono, user: &str, from: &[Network]) -> Result<(), u64> {
        let user = User::of(user);
        let pairs: Vec<Pair> = from.iter().map(|network| (user, *network)).collect();
        let tries = |pair: &Pair| self.pairs.get(now, pair).unwrap_or_default();
        let known: Option<Vec<Known>> = pairs.iter().map(|pair| self.known.get(now, pair)).collect();
        let known = known.filter(|known| !known.is_empty());
        let of_user = self.users.get(now, &user).unwrap_or_default();
        let all = Rate::new(self.rate.global_per_minute, self.rate.global_per_minute);
        let own = Rate::new(self.rate.address_per_minute, self.rate.address_per_minute);

        let apart = pairs.iter().map(|pair| tries(pair).wait(now)).max().unwrap_or_default();
        let shared = match &known {
            Some(known) => known.iter().map(|known| known.bucket.wait(now, own)).max(),
            None => {
                let addresses = from.iter().map(|network| self.addresses.wait(now, *network));
                addresses.chain([of_user.wait(now, OF_USER), self.all.wait(now, all)]).max()
            }
        };
        let wait = apart.max(shared.unwrap_or_default());
        if wait > 0 {
            return Err(wait.div_ceil(1_000_000_000));
        }

        for pair in &pairs {
            let tries = self.pairs.get(now, pair).unwrap_or_default().after(now, self.rate);
            self.pairs.put(now, *pair, tries, tries.forgotten(now, self.rate));
        }
        match known {
            Some(known) => {
                for (pair, known) in pairs.into_iter().zip(known) {
                    let taken = Known { bucket: known.bucket.taken(now, own), ..known };
                    self.known.put(now, pair, taken, taken.until);
                }
            }
            None => {
                from.iter().for_each(|network| self.addresses.take(now, *network));
                let of_user = of_user.taken(now, OF_USER);
                self.users.put(now, user, of_user, of_user.full_at());
                self.all = self.all.taken(now, all);
            }
        }
        Ok(())
    }

    /// Whether somebody has logged in as this user from there.
    pub fn knows(&self, now: Mono, user: &str, from: &[Network]) -> bool {
        let user = User::of(user);
        !from.is_empty() && from.iter().all(|network| self.known.get(now, &(user, *network)).is_some())
    }

    /// A try that was let in had the right password: its user has all quick tries again from there, and is spared the
    /// limits that are shared with others.
    pub fn succeeded(&mut self, now: Mono, user: &str, from: &[Network]) {
        for network in from {
            let pair = (User::of(user), *network);
            self.pairs.remove(&pair);
            let bucket = self.known.get(now, &pair).map(|known| known.bucket).unwrap_or_default();
            let until = now.plus_ms(KNOWN_MS);
            self.known.put(now, pair, Known { bucket, until }, until);
        }
    }
}

/// A pair that has logged in.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// In place of what is shared with others.
    bucket: Bucket,
    until: Mono,
}

/// A user in a network.
type Pair = (User, Network);

/// The digest of a name, which may be long and need not be that of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct User([u8; 16]);

impl User {
    fn of(name: &str) -> Self {
        let digest = Sha256::digest(name);
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// What a pair has tried.
#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    count: u32,
    /// When the next one is let in.
    next: Mono,
}

impl Tries {
    /// The nanoseconds until the next try is let in.
    fn wait(self, now: Mono) -> u64 {
        self.next.0.saturating_sub(now.0)
    }

    /// One more.
    fn after(self, now: Mono, rate: LoginRate) -> Self {
        let count = self.count.saturating_add(1);
        let seconds = match count.checked_sub(rate.quick_tries.max(1)) {
            None => 0,
            Some(over) => 1u64.checked_shl(over).unwrap_or(u64::MAX).min(rate.delay_max_seconds.into()),
        };
        Self { count, next: now.plus_ms(seconds.saturating_mul(1000)) }
    }

    /// When the tries so far mean nothing any more: after as long as it would take to make all the tries that a new
    /// pair has before its delay is the longest, at the longest delay. So to wait for it gains nobody a try.
    fn forgotten(self, now: Mono, rate: LoginRate) -> Mono {
        let doublings = u32::BITS.saturating_sub(rate.delay_max_seconds.leading_zeros());
        let tries = u64::from(rate.quick_tries.max(1)).saturating_add(doublings.into());
        let seconds = tries.saturating_mul(rate.delay_max_seconds.into());
        now.plus_ms(seconds.saturating_mul(1000))
    }
}

/// One try a second for a user, after twenty at once: guessing that is spread over many addresses ends here, and the
/// wait is never longer than that second.
const OF_USER: Rate = Rate::new(60, 20);

/// A month.
const KNOWN_MS: u64 = 30 * 24 * 3_600_000;

#[cfg(test)]
mod tests;
