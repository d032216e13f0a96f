//! What is true of a connection to a server, for whoever asks: how it stands and since when, what went wrong last and
//! what the server said about it, how often it was started again.
//!
//! Invariants: it is written where the engine acts, never from the configuration; everything kept is bounded. What a
//! server prints may hold secrets, so it is shown only to those who may use the server.

use crate::health::Standing;
use crate::time::Unix;
use std::collections::VecDeque;

/// What is remembered of one connection; of a shared one, what happened to the others of its server as well.
#[derive(Debug, Default)]
pub(crate) struct Health {
    standing: Standing,
    since: Unix,
    trouble: Option<Trouble>,
    /// Times it was brought up again after it was lost.
    pub(crate) restarts: u64,
    /// Answers that came when nobody waited for them any more.
    pub(crate) late_answers: u64,
    /// The last lines of stderr of the present child, the oldest first.
    stderr: VecDeque<String>,
    /// The present child is the one that the trouble is about.
    is_aftermath: bool,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) at: Unix,
    pub(crate) what: String,
    /// The last lines of stderr until then.
    pub(crate) stderr: Vec<Box<str>>,
}

impl Health {
    /// Notes how it stands now.
    pub(crate) fn note(&mut self, standing: Standing, now: Unix) {
        if self.standing != standing || self.since == Unix::default() {
            self.standing = standing;
            self.since = now;
        }
    }

    /// How it stands, and since when.
    pub(crate) fn standing(&self) -> (Standing, Unix) {
        (self.standing, self.since)
    }

    /// The child printed a line to stderr. Whatever it prints, this costs no memory.
    pub(crate) fn on_stderr(&mut self, line: &[u8]) {
        let oldest = if self.stderr.len() < STDERR_LINES_MAX { None } else { self.stderr.pop_front() };
        let mut kept = oldest.unwrap_or_default();
        kept.clear();
        kept.extend(printable(&String::from_utf8_lossy(line)).take(STDERR_CHARS_MAX));
        self.stderr.push_back(kept);
    }

    /// It was lost, or could not be brought up.
    pub(crate) fn on_trouble(&mut self, what: String, now: Unix) {
        self.trouble = Some(Trouble { at: now, what, stderr: Vec::new() });
        self.is_aftermath = true;
    }

    /// Something it was asked for failed; it is there all the same.
    pub(crate) fn on_failure(&mut self, what: String, now: Unix) {
        let stderr = self.stderr.iter().map(|line| line.as_str().into()).collect();
        self.trouble = Some(Trouble { at: now, what, stderr });
        self.is_aftermath = false;
    }

    /// How the child ended that was given up before.
    pub(crate) fn on_end(&mut self, how: &str) {
        if let Some(trouble) = self.trouble.as_mut().filter(|_| self.is_aftermath) {
            trouble.what = format!("{}; {how}", trouble.what);
        }
    }

    /// Another child is started: what its predecessor said belongs to the trouble.
    pub(crate) fn on_start(&mut self) {
        self.restarts = self.restarts.saturating_add(u64::from(self.is_aftermath));
        let said = std::mem::take(&mut self.stderr);
        if let Some(trouble) = self.trouble.as_mut().filter(|_| self.is_aftermath) {
            trouble.stderr = said.into_iter().map(String::into_boxed_str).collect();
        }
        self.is_aftermath = false;
    }

    /// Another connection to the same server is gone; what was counted there counts here.
    pub(crate) fn inherit(&mut self, gone: &Self) {
        self.restarts = self.restarts.saturating_add(gone.restarts);
        self.late_answers = self.late_answers.saturating_add(gone.late_answers);
    }

    /// What went wrong last.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let mut trouble = self.trouble.clone()?;
        if self.is_aftermath {
            trouble.stderr = self.stderr.iter().map(|line| line.as_str().into()).collect();
        }
        Some(trouble)
    }

    /// In words, for a client whose call cannot be served.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.what.as_str())
    }
}

/// A line of stderr without what could disturb a terminal.
pub(crate) fn printable(line: &str) -> impl Iterator<Item = char> {
    line.chars().filter(|c| !c.is_control() || *c == '\t')
}

/// Lines of stderr that are kept: enough for the end of a stack trace.
const STDERR_LINES_MAX: usize = 20;

/// Characters of each.
const STDERR_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_stderr_stay_with_the_trouble_they_led_to() {
        let mut health = Health::default();
        for line in 0..30 {
            health.on_stderr(line.to_string().as_bytes());
        }
        health.on_trouble("it closed its output".to_owned(), Unix(7));
        health.on_stderr(b"last words");
        health.on_end("it exited with code 1");
        let lost = health.trouble().unwrap();
        assert_eq!((lost.at, lost.what.as_str()), (Unix(7), "it closed its output; it exited with code 1"));
        assert_eq!((lost.stderr.len(), &*lost.stderr[0], &*lost.stderr[19]), (20, "11", "last words"));
        health.on_start();
        health.on_stderr(b"hello again");
        health.on_end("nothing to do with it");
        assert_eq!(health.trouble().unwrap(), lost);
    }

    #[test]
    fn since_changes_only_with_the_standing() {
        let mut health = Health::default();
        health.note(Standing::Starting, Unix(1));
        health.note(Standing::Starting, Unix(2));
        assert_eq!(health.standing(), (Standing::Starting, Unix(1)));
        health.note(Standing::Ready, Unix(3));
        assert_eq!(health.standing(), (Standing::Ready, Unix(3)));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut health = Health::default();
        health.on_stderr("ü".repeat(1_000).as_bytes());
        health.on_trouble(String::new(), Unix(1));
        assert_eq!(*health.trouble().unwrap().stderr[0], *"ü".repeat(500));
    }
}
