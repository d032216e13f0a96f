//! The severities of log messages (those of RFC 5424).

/// How severe a log message is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    /// All of them, least severe first.
    pub(crate) const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Its name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level of this name. Names are case-sensitive.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_read_back_and_are_ordered_by_severity() {
        // DL-19
        let order = "debug < info < notice < warning < error < critical < alert < emergency";
        let levels: Vec<_> = order.split(" < ").map(|name| LogLevel::from_name(name).unwrap()).collect();
        assert_eq!(levels, LogLevel::ALL);
        assert!(levels.is_sorted_by(|a, b| a < b));
        assert!(LogLevel::ALL.iter().all(|level| LogLevel::from_name(level.name()) == Some(*level)));
    }

    #[test]
    fn other_names_are_no_levels() {
        // DL-18
        for name in ["", "Debug", "warn", "trace", "error "] {
            assert_eq!(LogLevel::from_name(name), None, "{name}");
        }
    }
}
