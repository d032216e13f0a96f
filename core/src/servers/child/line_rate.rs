//! How much of what a server prints goes to the log: so many lines a second, and one that says that there were more.
//!
//! A line in the log costs a system call, a printed one a byte or two: without a bound a server that prints in a loop would
//! keep everybody else from being served, and fill a disk.

use crate::time::Mono;

/// Lines of one server in the present second.
#[derive(Debug, Default)]
pub(crate) struct LineRate {
    since: Mono,
    lines: u32,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is logged.
    Logged,
    /// It is not, and that is.
    Full,
    /// It is not.
    Dropped,
}

impl LineRate {
    /// One more line, of which `max` a second are logged.
    pub(crate) fn line(&mut self, now: Mono, max: u32) -> Heard {
        if self.lines == 0 || now.ms_since(self.since) >= 1_000 {
            *self = Self { since: now, lines: 0 };
        }
        self.lines = self.lines.saturating_add(1);
        match self.lines.checked_sub(max) {
            None | Some(0) => Heard::Logged,
            Some(1) => Heard::Full,
            Some(_) => Heard::Dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_a_second_are_logged_and_that_there_were_more() {
        let mut line_rate = LineRate::default();
        let mut hear = |ms: u64| line_rate.line(Mono::default().plus_ms(ms), 2);
        assert_eq!(
            [hear(5), hear(5), hear(900), hear(1_004)],
            [Heard::Logged, Heard::Logged, Heard::Full, Heard::Dropped]
        );
        assert_eq!([hear(1_005), hear(1_005), hear(1_005)], [Heard::Logged, Heard::Logged, Heard::Full]);
        assert_eq!(hear(9_000), Heard::Logged);
    }
}
