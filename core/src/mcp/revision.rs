//! The published handshake ("legacy") revisions of the protocol, oldest first.
//!
//! Deliberately absent: 2026-07-28, which has no handshake and no session.

/// A revision, ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// HTTP+SSE.
    V2024_11_05,
    /// Streamable HTTP, batches.
    V2025_03_26,
    /// No batches, version header, elicitation.
    V2025_06_18,
    /// Event streams that may be polled, URL elicitation, tasks.
    V2025_11_25,
}

impl Revision {
    /// All that are served, oldest first.
    pub const ALL: [Self; 4] = [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];
    /// What is offered to a peer whose wish is unknown.
    pub const NEWEST: Self = Self::V2025_11_25;

    /// Its date.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    /// The revision of this date, if it is served.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_do_not() {
        for revision in Revision::ALL {
            assert_eq!(Revision::from_name(revision.name()), Some(revision));
        }
        assert_eq!(Revision::from_name("2026-07-28"), None);
        assert!(Revision::V2024_11_05 < Revision::NEWEST);
    }
}
