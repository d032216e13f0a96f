//! The engine's own clocks: [`Mono`] for durations and deadlines, [`Unix`] for what a calendar would show.
//!
//! A host takes both from one reading a turn and passes them in as [`Now`]. Arithmetic saturates, so no peer
//! can provoke an overflow with a far deadline. Deliberately absent: any way to read a clock.

pub mod calendar;

/// Monotonic time in nanoseconds since an origin that only the host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// A point that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// This point plus `ms` milliseconds.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Whole milliseconds from `earlier` to this point, 0 if it is not later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC. May jump; only for log lines and stored expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Unix(pub u64);

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Monotonic reading.
    pub mono: Mono,
    /// Wall-clock reading of the same moment.
    pub unix: Unix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_deadlines_saturate() {
        assert_eq!(Mono(1).plus_ms(u64::MAX), Mono::NEVER);
        assert_eq!(Mono(1_000_000).plus_ms(2), Mono(3_000_000));
        assert_eq!(Mono(0).ms_since(Mono(5)), 0);
        assert_eq!(Mono(7_999_999).ms_since(Mono(1_000_000)), 6);
    }
}
