//! What the doctor finds, and how it is printed.
//!
//! Invariants: a finding is one line, its advice is indented beneath it; no control character reaches the terminal,
//! wherever the text came from.

use std::io::Write;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// As it should be.
    Ok,
    /// Some clients suffer, or one would rather know.
    Warn,
    /// Clients do not get past this.
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    /// What was seen.
    pub(super) what: String,
    /// What it means and what to do; empty where there is nothing to do.
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what: what.into(), advice: String::new() }
    }

    pub(super) fn warn(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, what: what.into(), advice: advice.into() }
    }

    pub(super) fn fail(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, what: what.into(), advice: advice.into() }
    }

    /// Adds a sentence of advice, if there is one.
    pub(super) fn with(mut self, advice: &str) -> Self {
        if !self.advice.is_empty() && !advice.is_empty() {
            self.advice.push(' ');
        }
        self.advice.push_str(advice);
        self
    }
}

/// What was found in one answer, and what the next step needs of it; `None` where the next step has no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged<T> {
    pub(super) findings: Vec<Finding>,
    pub(super) value: Option<T>,
}

impl<T> Judged<T> {
    pub(super) fn new(findings: Vec<Finding>, value: Option<T>) -> Self {
        Self { findings, value }
    }

    /// One finding after which there is nothing to go on with.
    pub(super) fn end(finding: Finding) -> Self {
        Self::new(vec![finding], None)
    }
}

/// The report while it is being written.
pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    warnings: usize,
    failures: usize,
    last_advice: String,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, warnings: 0, failures: 0, last_advice: String::new() }
    }

    /// Prints a finding at once, since the next one may take its time.
    pub(super) fn add(&mut self, finding: &Finding) {
        let mark = match finding.grade {
            Grade::Ok => "ok  ",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        };
        match finding.grade {
            Grade::Ok => {}
            Grade::Warn => self.warnings += 1,
            Grade::Fail => self.failures += 1,
        }
        let mut text = format!("{mark} {}\n", clean(&finding.what));
        let repeated = !finding.advice.is_empty() && finding.advice == self.last_advice;
        let advice = if repeated { "As above." } else { &finding.advice };
        for line in wrapped(&clean(advice)) {
            text.push_str("     ");
            text.push_str(&line);
            text.push('\n');
        }
        self.last_advice.clone_from(&finding.advice);
        self.write(&text);
    }

    pub(super) fn take<T>(&mut self, judged: Judged<T>) -> Option<T> {
        judged.findings.iter().for_each(|finding| self.add(finding));
        judged.value
    }

    /// Prints the last line. True when nothing failed.
    pub(super) fn verdict(mut self, complete: bool) -> bool {
        let first = match self.failures {
            0 => String::new(),
            1 => "1 problem, see the line with FAIL above".to_owned(),
            many => format!("{many} problems, mend the first one first"),
        };
        let line = match (complete, self.failures, self.warnings) {
            (true, 0, 0) => "clients should be able to connect and sign in",
            (true, 0, _) => "clients should be able to connect and sign in, but see the warnings above",
            (false, 0, _) => "nothing is wrong as far as could be tested, but not everything could be",
            (true, _, _) => &first,
            (false, _, _) => &format!("{first}; what comes after could not be tested"),
        };
        self.write(&format!("\nverdict: {line}\n"));
        self.failures == 0
    }

    fn write(&mut self, text: &str) {
        // Whoever closed stdout does not want to know.
        let _gone = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// A text of the other side's, short and in quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{}`", clean(&shown))
}

/// Without what a terminal would obey, or a reader would be misled by.
fn clean(text: &str) -> String {
    let misleads = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if misleads(c) { '?' } else { c }).collect()
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= ADVICE_COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Enough for a URL, too little to fill a screen.
const QUOTED_CHARS_MAX: usize = 200;

/// With the indentation, a terminal of 100 columns.
const ADVICE_COLUMNS: usize = 95;
