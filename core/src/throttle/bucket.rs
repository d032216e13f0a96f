//! Token buckets, as the one number that describes them: when they will be full again (the generic cell rate
//! algorithm of ITU-T I.371).

use super::table::Table;
use crate::net::Network;
use crate::time::Mono;

/// How fast a bucket fills and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds for a token.
    interval: u64,
    /// What it takes from empty to one token missing.
    span: u64,
}

impl Rate {
    /// So many a minute, after so many at once; 0 counts as 1.
    pub const fn new(per_minute: u32, burst: u32) -> Self {
        let per_minute = if per_minute == 0 { 1 } else { per_minute };
        let interval = MINUTE / per_minute as u64;
        Self { interval, span: interval.saturating_mul(burst.saturating_sub(1) as u64) }
    }
}

/// A token bucket. A new one is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    full_at: Mono,
}

impl Bucket {
    /// Takes a token.
    ///
    /// # Errors
    /// How many seconds to wait for one, at least 1.
    pub fn admit(&mut self, now: Mono, rate: Rate) -> Result<(), u64> {
        match self.wait(now, rate) {
            0 => {
                *self = self.taken(now, rate);
                Ok(())
            }
            wait => Err(wait.div_ceil(1_000_000_000)),
        }
    }

    /// The nanoseconds until there is a token.
    pub(super) fn wait(self, now: Mono, rate: Rate) -> u64 {
        self.full_at.0.saturating_sub(now.0).saturating_sub(rate.span)
    }

    /// The bucket with one token less.
    pub(super) fn taken(self, now: Mono, rate: Rate) -> Self {
        Self { full_at: Mono(self.full_at.max(now).0.saturating_add(rate.interval)) }
    }

    /// From when on it is like a new one.
    pub(super) fn full_at(self) -> Mono {
        self.full_at
    }
}

/// One bucket for each network, of which the fullest are forgotten first when there are too many.
#[derive(Debug, Clone)]
pub struct Buckets {
    rate: Rate,
    table: Table<Network, Bucket>,
}

impl Buckets {
    /// Buckets for so many a minute, after so many at once (0 counts as 1), in a table with at most `entries_max`
    /// entries.
    pub fn new(per_minute: u32, burst: u32, entries_max: usize) -> Self {
        Self { rate: Rate::new(per_minute, burst), table: Table::new(entries_max) }
    }

    /// Takes a token out of the bucket of each of these, if all have one.
    ///
    /// # Errors
    /// How many seconds to wait for that, at least 1.
    pub fn admit(&mut self, now: Mono, from: &[Network]) -> Result<(), u64> {
        match from.iter().map(|network| self.wait(now, *network)).max().unwrap_or_default() {
            0 => {
                from.iter().for_each(|network| self.take(now, *network));
                Ok(())
            }
            wait => Err(wait.div_ceil(1_000_000_000)),
        }
    }

    pub(super) fn wait(&self, now: Mono, network: Network) -> u64 {
        self.table.get(now, &network).unwrap_or_default().wait(now, self.rate)
    }

    pub(super) fn take(&mut self, now: Mono, network: Network) {
        let bucket = self.table.get(now, &network).unwrap_or_default().taken(now, self.rate);
        self.table.put(now, network, bucket, bucket.full_at());
    }
}

const MINUTE: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const fn ms(at: u64) -> Mono {
        Mono(at * 1_000_000)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate::new(60, 3);
        let mut bucket = Bucket::default();
        assert_eq!([0; 3].map(|at| bucket.admit(ms(at), rate)), [Ok(()); 3]);
        assert_eq!([0, 1, 999].map(|at| bucket.admit(ms(at), rate)), [Err(1); 3]);
        assert_eq!(
            [1000, 1000, 2500, 3000].map(|at| bucket.admit(ms(at), rate)),
            [Ok(()), Err(1), Ok(()), Ok(())]
        );
        assert_eq!([60_000; 4].map(|at| bucket.admit(ms(at), rate)), [Ok(()), Ok(()), Ok(()), Err(1)]);
    }

    #[test]
    fn extreme_rates_neither_panic_nor_lock_out() {
        let mut slowest = Buckets::new(0, 0, 1);
        let address = [Network::of(IpAddr::from([192, 0, 2, 1]))];
        assert_eq!([0, 0, 60_000].map(|at| slowest.admit(ms(at), &address)), [Ok(()), Err(60), Ok(())]);
        let mut fastest = Buckets::new(u32::MAX, u32::MAX, 1);
        assert!((0..100).all(|_| fastest.admit(Mono(0), &address).is_ok()));
        let mut late = Buckets::new(1, 1, 1);
        assert_eq!(late.admit(Mono::NEVER, &address), Ok(()));
    }

    #[test]
    fn the_fullest_bucket_is_forgotten_at_the_bound() {
        let address = |last: u8| [Network::of(IpAddr::from([192, 0, 2, last]))];
        let mut buckets = Buckets::new(1, 2, 3);
        for last in [1, 1, 2, 3, 3] {
            assert_eq!(buckets.admit(ms(0), &address(last)), Ok(()));
        }
        // Three are within the bound; the fourth takes the place of the second, which has a token left.
        assert_eq!(buckets.admit(ms(0), &address(4)), Ok(()));
        assert_eq!(buckets.table.len(), 3);
        assert_eq!([1, 3].map(|last| buckets.admit(ms(0), &address(last))), [Err(60); 2]);
        assert_eq!([2, 2].map(|last| buckets.admit(ms(0), &address(last))), [Ok(()); 2]);
        assert_eq!(buckets.table.len(), 3);
    }
}
