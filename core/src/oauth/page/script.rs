//! Follows JavaScript just far enough to know what a value would be in it.
//!
//! ```text
//! Code ── " or ' ──> Text ── the same quote ──> Code
//!   └── anything it cannot be sure about ──> Lost, up to the end of the script
//! ```
//!
//! Invariants: comments, regular expressions and template literals are read as a whole or not at all; being lost is
//! never an error in itself, only a value there is one. JSON is read the same way.
//! Deliberately absent: values in comments, regular expressions and template literals.

/// Where in a script we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Code(Before),
    /// Within a string that ends with this quote.
    Text(char),
    /// Somewhere, and why nobody knows where.
    Lost(&'static str),
}

/// What the last token was. It decides whether a `/` divides or starts a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// A value must follow.
    Operator,
    /// There was a value.
    Operand,
    /// A `.`, behind which also `return` is a name.
    Dot,
    /// One of those which can be either.
    Unclear,
}

impl Script {
    /// The start of a script.
    pub(super) const START: Self = Self::Code(Before::Operator);

    /// Reads a stretch of code that ends at an action or at the end of the script.
    pub(super) fn feed(&mut self, mut rest: &str) {
        while !rest.is_empty() {
            rest = match *self {
                Self::Code(before) => self.code(before, rest),
                Self::Text(quote) => self.text(quote, rest),
                Self::Lost(_) => return,
            };
        }
    }

    /// Where two ways through the script meet.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            _ if self == other => Some(self),
            (Self::Lost(why), _) | (_, Self::Lost(why)) => Some(Self::Lost(why)),
            (Self::Code(_), Self::Code(_)) => Some(Self::Code(Before::Unclear)),
            (Self::Text(_), Self::Text(_) | Self::Code(_)) | (Self::Code(_), Self::Text(_)) => None,
        }
    }

    fn code<'a>(&mut self, before: Before, rest: &'a str) -> &'a str {
        let Some(first) = rest.chars().next() else { return "" };
        if is_word(first) {
            return self.word(before, rest);
        }
        let tail = rest.get(first.len_utf8()..).unwrap_or_default();
        *self = match first {
            '"' | '\'' => Self::Text(first),
            '`' => return self.literal(tail),
            '/' => return self.slash(before, tail),
            '-' if rest.starts_with("-->") => Self::Lost("behind `-->` in a script"),
            '+' | '-' if tail.starts_with(first) => {
                *self = Self::Code(Before::Unclear);
                return tail.get(1..).unwrap_or_default();
            }
            ')' | '}' => Self::Code(Before::Unclear),
            ']' => Self::Code(Before::Operand),
            '.' => Self::Code(Before::Dot),
            _ if first.is_whitespace() => return tail,
            _ => Self::Code(Before::Operator),
        };
        tail
    }

    fn word<'a>(&mut self, before: Before, rest: &'a str) -> &'a str {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at_checked(end).unwrap_or_default();
        // An action may cut a word at the end of the stretch.
        *self = Self::Code(if tail.is_empty() || UNCLEAR.contains(&word) {
            Before::Unclear
        } else if before != Before::Dot && OPERATORS.contains(&word) {
            Before::Operator
        } else {
            Before::Operand
        });
        tail
    }

    fn text<'a>(&mut self, quote: char, rest: &'a str) -> &'a str {
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                *self = Self::Code(Before::Operand);
                return rest.get(at.saturating_add(1)..).unwrap_or_default();
            }
            if c == '\\' && chars.next().is_none() {
                *self = Self::Lost("behind a backslash in a script");
            } else if matches!(c, '\n' | '\r') {
                *self = Self::Lost("behind a string that is not closed on its line");
                return "";
            }
        }
        ""
    }

    /// What follows a `/`.
    fn slash<'a>(&mut self, before: Before, tail: &'a str) -> &'a str {
        let end = if let Some(comment) = tail.strip_prefix('/') {
            comment.find(['\n', '\r', '\u{2028}', '\u{2029}']).and_then(|end| comment.get(end..))
        } else if let Some(comment) = tail.strip_prefix('*') {
            comment.split_once("*/").map(|(_, tail)| tail)
        } else {
            return self.division(before, tail);
        };
        if end.is_none() {
            *self = Self::Lost("in a comment of a script");
        }
        end.unwrap_or_default()
    }

    fn division<'a>(&mut self, before: Before, tail: &'a str) -> &'a str {
        match before {
            Before::Operand if !tail.is_empty() => {
                *self = Self::Code(Before::Operator);
                tail
            }
            Before::Operator if !tail.is_empty() => match after_regex(tail) {
                Some(tail) => {
                    *self = Self::Code(Before::Operand);
                    tail
                }
                None => {
                    *self = Self::Lost("in or behind a regular expression");
                    ""
                }
            },
            Before::Operand | Before::Operator | Before::Dot | Before::Unclear => {
                *self = Self::Lost("behind a `/` that may divide or start a regular expression");
                ""
            }
        }
    }

    /// A template literal, without values of its own.
    fn literal<'a>(&mut self, tail: &'a str) -> &'a str {
        let mut chars = tail.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '`' => {
                    *self = Self::Code(Before::Operand);
                    return tail.get(at.saturating_add(1)..).unwrap_or_default();
                }
                '\\' => drop(chars.next()),
                '$' => break,
                _ => {}
            }
        }
        *self = Self::Lost("in or behind a template literal with `$` or values in it");
        ""
    }
}

/// What follows a regular expression, whose first `/` is gone.
fn after_regex(tail: &str) -> Option<&str> {
    let mut chars = tail.char_indices();
    let mut in_class = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '\n' | '\r' => return None,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => {
                let flags = tail.get(at.saturating_add(1)..)?;
                return Some(flags.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
            }
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '\\') || !c.is_ascii() && c.is_alphanumeric()
}

/// Words behind which a value follows.
const OPERATORS: [&str; 11] =
    ["case", "delete", "do", "else", "in", "instanceof", "new", "return", "throw", "typeof", "void"];
/// Words which are names in some places.
const UNCLEAR: [&str; 4] = ["await", "extends", "of", "yield"];
