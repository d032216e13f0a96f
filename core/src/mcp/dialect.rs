//! What differs by revision outside of single messages. Whoever wants to know asks here, and compares no dates.

use super::Revision;

impl Revision {
    /// Whether a POST may carry an array of messages (2025-03-26 basic/index § Batching; gone with 2025-06-18).
    pub(crate) const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }

    /// Whether a resumable stream begins with an event without data (2025-11-25 basic/transports § Sending Messages).
    /// Older client code is known to choke on one (DL-61, DL-62).
    pub(crate) fn primes_streams(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// Whether requests name the revision in a header field (2025-06-18 basic/transports § Protocol Version Header).
    /// Servers of the revision before are known to take it, and of the first to refuse it.
    pub(crate) fn is_named_in_header(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// Whether completions are declared in the handshake (2025-03-26 server/utilities/completion § Capabilities). Before,
    /// they could only be tried.
    pub(crate) fn declares_completions(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// Whether the end of an elicitation at a URL is told (2025-11-25 client/elicitation § Completion Notifications).
    pub(crate) fn ends_elicitations(self) -> bool {
        self >= Self::V2025_11_25
    }
}
