//! Problems of a configuration and where they are.
//!
//! A [`Report`] collects them all while the configuration is read; reading goes on with a default after each.
//! It knows nothing of the meaning of what is read.
//!
//! Invariants: a message never holds the value of a secret (callers name keys, never values that may be one);
//! the position is that in the text as it is written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Source;
use super::env::{Env, Undefined};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration loads; what it says here was ignored or corrected.
    Warning,
    /// The configuration does not load.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One problem. Its `Display` is one line, `config.json:3:5: error: …`, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what would be right.
    pub message: String,
    /// Name of the file or URL, without its query.
    pub source: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.source, self.line, self.column, self.severity, self.message)
    }
}

/// Collects problems.
pub(super) struct Report<'a> {
    text: &'a str,
    undefined: Vec<Undefined>,
    /// Where values start that came from variables, in order.
    replaced: Vec<usize>,
    line_starts: Vec<usize>,
    source: Arc<str>,
    strict: bool,
    notices: Vec<Notice>,
    errors: usize,
    secrets: Vec<Range<usize>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(source: &Source<'a>) -> Self {
        let ends = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            text: source.text,
            undefined: Vec::new(),
            replaced: Vec::new(),
            line_starts: std::iter::once(0).chain(ends.map(|(at, _)| at.saturating_add(1))).collect(),
            source: shown_source(source.name).into(),
            strict: source.strict,
            notices: Vec::new(),
            errors: 0,
            secrets: Vec::new(),
        }
    }

    /// What reading has found out about variables.
    pub(super) fn know(&mut self, env: Env<'_>) {
        self.undefined = env.undefined;
        self.replaced = env.replaced;
    }

    pub(super) fn error(&mut self, at: usize, message: impl Into<String>) {
        self.errors = self.errors.saturating_add(1);
        let mut message = message.into();
        if self.replaced.binary_search(&at).is_ok() {
            message.push_str(" (with the values of environment variables in it)");
        }
        self.push(Severity::Error, at, message);
    }

    pub(super) fn warn(&mut self, at: usize, message: impl Into<String>) {
        self.push(Severity::Warning, at, message.into());
    }

    /// A key that nobody knows: the file may be for a newer version, so it is no error unless asked for
    /// (SEED-019).
    pub(super) fn unknown(&mut self, at: usize, message: impl Into<String>) {
        if self.strict { self.error(at, message) } else { self.warn(at, message) }
    }

    /// From here on nothing between these offsets is quoted, not even the name of a variable.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    /// A place to return to with [`demote_since`](Self::demote_since).
    pub(super) fn mark(&self) -> Mark {
        Mark { notices: self.notices.len(), errors: self.errors }
    }

    /// Turns the errors since `mark` into warnings, unless everything is to be strict; says whether there
    /// were any.
    pub(super) fn demote_since(&mut self, mark: Mark) -> bool {
        if self.strict {
            return self.errors > mark.errors;
        }
        let demoted = self.errors > mark.errors;
        self.errors = mark.errors;
        for notice in self.notices.iter_mut().skip(mark.notices) {
            notice.severity = Severity::Warning;
        }
        demoted
    }

    /// `line 7`, for messages that point to a second place.
    pub(super) fn line_of(&self, at: usize) -> String {
        format!("line {}", self.position(at).0)
    }

    /// All problems in the order of the text, and whether one of them is an error.
    pub(super) fn finish(mut self) -> (Vec<Notice>, bool) {
        for undefined in std::mem::take(&mut self.undefined) {
            let message = self.undefined_message(&undefined);
            self.push(Severity::Warning, undefined.at, message);
        }
        self.notices.sort_by_key(|notice| (notice.line, notice.column));
        (self.notices, self.errors > 0)
    }

    /// A name is repeated only where it was surely meant as one: `pass$word` names a piece of a password.
    fn undefined_message(&self, undefined: &Undefined) -> String {
        if self.secrets.iter().any(|span| span.contains(&undefined.at)) {
            return "a `$` in here starts the name of an environment variable that is not set, it was replaced by \
                    nothing; if it is part of a password or token, write $$"
                .into();
        }
        let name = &undefined.name;
        if name.starts_with("input:") {
            return "an editor would ask for this `${input:…}`, here it was replaced by nothing: write ${NAME} and \
                    set that environment variable"
                .into();
        }
        let looks_meant = name.len() <= 64
            && name.bytes().any(|byte| byte.is_ascii_alphabetic())
            && name.bytes().all(|byte| {
                byte == b'_'
                    || byte.is_ascii_digit()
                    || byte.is_ascii_uppercase()
                    || undefined.braces && byte.is_ascii_lowercase()
            });
        if looks_meant {
            format!("the environment variable `{name}` is not set, it was replaced by nothing")
        } else {
            "what follows this `$` is not the name of a set environment variable, it was replaced by nothing"
                .into()
        }
    }

    fn push(&mut self, severity: Severity, at: usize, message: String) {
        let (line, column) = self.position(at);
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(Notice { severity, message, source: Arc::clone(&self.source), line, column });
        }
    }

    /// Line and column of an offset in the original text.
    fn position(&self, at: usize) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..at.min(self.text.len())).unwrap_or_default();
        // UTF-8 continuation bytes are not characters of their own.
        let column = before.iter().filter(|byte| **byte & 0xc0 != 0x80).count().saturating_add(1);
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

/// A state of a [`Report`].
#[derive(Clone, Copy)]
pub(super) struct Mark {
    notices: usize,
    errors: usize,
}

/// A file name as it is; a URL without user information and query, which may hold keys.
fn shown_source(name: &str) -> String {
    let Some((scheme, rest)) = name.split_once("://") else { return name.to_owned() };
    let shown = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = shown.split_once('/').unwrap_or((shown, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let slash = if shown.contains('/') { "/" } else { "" };
    format!("{scheme}://{host}{slash}{path}")
}

/// More problems than anybody reads; keeps a broken file of megabytes from filling the screen and the memory.
const NOTICES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_credentials() {
        let table = [
            ("config.json", "config.json"),
            ("/etc/a?b", "/etc/a?b"),
            ("https://h/c.json?token=x", "https://h/c.json"),
            ("https://u:p@h/c.json#x", "https://h/c.json"),
            ("https://h", "https://h"),
        ];
        for (name, shown) in table {
            assert_eq!(shown_source(name), shown);
        }
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "äb\n\ncd";
        let report = Report::new(&Source { text, name: "x", strict: false, env: None });
        for (at, position) in
            [(0, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 1)), (5, (3, 1)), (7, (3, 3)), (99, (3, 3))]
        {
            assert_eq!(report.position(at), position, "{at}");
        }
    }
}
