//! How many bytes the engine holds for its peers, and who may hold more when that becomes too much.
//!
//! ```text
//!   0 ─────────────── ½ ──────────────── ¾ ─────────────── 15/16 ──── budget
//!     everybody has     what can be given   one peer may hold   one peer may hold
//!     its own limits    up is given up      64 KiB (SHARE)      4 KiB (SMALL)
//! ```
//! Every limit of one connection, call or queue times their number is far more than a machine has. So whatever grows
//! with what peers send, or do not read, is counted here as well. When the sum comes near the budget whoever holds much and
//! wants to hold more is refused, and those with small messages go on; what is beyond the last line is for them.
//!
//! A [`Charge`] lies beside each buffer and says how large it is; dropped with the buffer, it gives back what it took.
//! Invariants: the sum is that of all charges; a message costs a constant number of additions. Whether each charge
//! says the truth is found out by [`Proxy::recount`](crate::proxy::Proxy::recount).
//!
//! Left out: what has a fixed size and a number that is limited (connections, sessions, timers), what servers offer
//! (`list_bytes_max`), the store of the authorization server, and buffers of runtimes.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a call is told for whose message there is no memory.
pub(crate) const NO_MEMORY: &str = "the proxy holds too much for others to take a message of this size";

/// What a call is told for whose answer there is none.
pub(crate) const NO_MEMORY_FOR_ANSWER: &str =
    "the proxy holds too much for others to take an answer of this size";

/// What one peer may hold when memory is short: one read from a socket.
pub(crate) const SHARE: usize = 64 * 1024;

/// What one peer may hold when it is nearly gone: most messages are shorter.
pub(crate) const SMALL: usize = 4 * 1024;

/// The sum of all charges of one engine, and what it should stay below.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    // Atomic so that the engine is `Send`; there is never a second thread.
    sum: Arc<AtomicUsize>,
    budget: usize,
}

impl Ledger {
    pub(crate) fn new(budget: usize) -> Self {
        Self { sum: Arc::default(), budget }
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.sum.load(Ordering::Relaxed)
    }

    /// A charge of nothing.
    pub(crate) fn open(&self) -> Charge {
        Charge { sum: self.sum.clone(), held: 0 }
    }

    /// Bytes with their charge.
    pub(crate) fn hold(&self, bytes: Vec<u8>) -> Held {
        let mut charge = self.open();
        charge.set(bytes.capacity());
        Held { bytes, _charge: charge }
    }

    /// Whether somebody who holds `own` bytes, which are counted, may go on.
    pub(crate) fn allows(&self, own: usize) -> bool {
        own <= share(self.held(), self.budget)
    }

    /// Whether somebody who holds `own` bytes may hold `more`.
    pub(crate) fn has_room(&self, own: usize, more: usize) -> bool {
        own.saturating_add(more) <= share(self.held().saturating_add(more), self.budget)
    }

    /// Whether something should be given back. Long before anybody is refused anything, so that who is
    /// refused does not stand behind what nobody uses.
    pub(crate) fn is_short(&self) -> bool {
        self.held() > self.budget / 2
    }

    /// Whether there is no room for anybody new.
    pub(crate) fn is_full(&self) -> bool {
        self.held() > self.budget
    }
}

/// What one peer may hold when all together hold `held`.
const fn share(held: usize, budget: usize) -> usize {
    if held <= budget / 4 * 3 {
        usize::MAX
    } else if held <= budget / 16 * 15 {
        SHARE
    } else {
        SMALL
    }
}

/// What one holder holds. Not to be copied: it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    sum: Arc<AtomicUsize>,
    held: usize,
}

impl Charge {
    /// Says how much it is now.
    pub(crate) fn set(&mut self, held: usize) {
        if held >= self.held {
            self.sum.fetch_add(held - self.held, Ordering::Relaxed);
        } else {
            self.sum.fetch_sub(self.held - held, Ordering::Relaxed);
        }
        self.held = held;
    }

    /// Says how much it is more.
    pub(crate) fn add(&mut self, more: usize) {
        self.set(self.held.saturating_add(more));
    }

    /// Says how much it is less.
    pub(crate) fn subtract(&mut self, less: usize) {
        self.set(self.held.saturating_sub(less));
    }

    /// What was said last.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// A message that waits, counted as long as it does.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    _charge: Charge,
}

impl Held {
    /// The bytes alone, for whoever hands them on at once.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What it is counted as.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn what_is_dropped_is_given_back() {
        let ledger = Ledger::new(MIB);
        let (mut one, two) = (ledger.open(), ledger.hold(vec![0; 500]));
        one.set(1_000);
        one.add(200);
        one.subtract(100);
        assert_eq!((ledger.held(), one.held()), (1_600, 1_100));
        drop(two);
        one.set(3);
        assert_eq!(ledger.held(), 3);
        drop(one);
        assert_eq!(ledger.held(), 0);
    }

    #[test]
    fn the_share_falls_one_byte_beyond_each_line() {
        // limit: memory_bytes_max
        for (held, share) in [
            (0, usize::MAX),
            (8 * MIB, usize::MAX),
            (8 * MIB + 1, usize::MAX),
            (12 * MIB, usize::MAX),
            (12 * MIB + 1, SHARE),
            (15 * MIB, SHARE),
            (15 * MIB + 1, SMALL),
            (17 * MIB, SMALL),
        ] {
            let ledger = Ledger::new(16 * MIB);
            let mut charge = ledger.open();
            charge.set(held);
            assert!(ledger.allows(share), "{held}");
            assert!(share == usize::MAX || !ledger.allows(share + 1), "{held}");
            assert_eq!(ledger.is_short(), held > 8 * MIB, "{held}");
            assert_eq!(ledger.is_full(), held > 16 * MIB, "{held}");
        }
    }

    #[test]
    fn what_would_cross_a_line_is_judged_beyond_it() {
        let ledger = Ledger::new(16 * MIB);
        assert!(ledger.has_room(0, 12 * MIB));
        assert!(!ledger.has_room(0, 12 * MIB + 1));
        let mut charge = ledger.open();
        charge.set(12 * MIB);
        assert!(ledger.has_room(0, SHARE) && !ledger.has_room(1, SHARE));
        charge.set(15 * MIB);
        assert!(ledger.has_room(0, SMALL) && !ledger.has_room(0, SMALL + 1));
    }
}
