//! The JSON-RPC 2.0 envelope: which members are there, and where.
//!
//! Invariants: a message is classified by the members that are present (`null` is present); ids are a string, an
//! integer or (responses only) `null`; each envelope member occurs at most once, also when a peer spells it
//! with escapes. Deliberately absent: the meaning of methods, params and results.

use super::scan::{Scanner, Span, place_of, unescape};
use crate::fault::{Code, Fault};

/// What kind of message this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer.
    Request,
    /// Wants none.
    Notification,
    /// A successful answer.
    Result,
    /// An error answer.
    Error,
}

/// The members of one message, as ranges of the text they were found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// Raw id; absent in notifications, and in error answers that could not name one.
    pub id: Option<Span>,
    /// Method name with its quotes.
    pub method: Option<Span>,
    /// Parameters: an object (arrays are refused: MCP has none).
    pub params: Option<Span>,
    /// The `result` or `error` member of an answer.
    pub outcome: Option<Span>,
    /// Whether `jsonrpc` is `"2.0"`.
    pub versioned: bool,
    /// Whether a raw CR or LF stands between tokens.
    pub newlines: bool,
}

impl Envelope {
    /// Checks one whole message and finds its members.
    ///
    /// # Errors
    /// [`Code::ParseError`] if it is not UTF-8 or not JSON, [`Code::InvalidRequest`] if it is JSON but not a
    /// JSON-RPC message, or nests too deeply.
    pub fn parse(text: &[u8], depth_max: usize) -> Result<Self, Fault> {
        if std::str::from_utf8(text).is_err() {
            return Err(Fault::peer(Code::ParseError, "not valid UTF-8"));
        }
        let mut found = Found::default();
        let mut scanner = Scanner { bytes: text, at: 0, newlines: false };
        scanner.blanks();
        if scanner.peek() != Some(b'{') {
            scanner.value(depth_max)?;
            finish(&mut scanner)?;
            return Err(invalid("a JSON-RPC message is an object"));
        }
        scanner.step();
        scanner.blanks();
        if !scanner.eat(b'}') {
            loop {
                found.member(&mut scanner, depth_max.saturating_sub(1))?;
                scanner.blanks();
                if scanner.eat(b'}') {
                    break;
                }
                if !scanner.eat(b',') {
                    return Err(scanner.fault());
                }
                scanner.blanks();
            }
        }
        finish(&mut scanner)?;
        found.classify(text, scanner.newlines)
    }

    /// The method name without escapes.
    pub fn method_name<'a>(&self, text: &'a [u8]) -> std::borrow::Cow<'a, str> {
        let raw = self.method.map_or(b"".as_slice(), |span| span.of(text));
        let inner = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or_default();
        if inner.contains(&b'\\') {
            return unescape(inner).unwrap_or_default().into();
        }
        std::str::from_utf8(inner).unwrap_or_default().into()
    }
}

/// The envelope members in the order of [`NAMES`].
#[derive(Default)]
struct Found {
    members: [Option<Span>; 6],
}

const NAMES: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

impl Found {
    /// Reads one `"name": value`.
    fn member(&mut self, scanner: &mut Scanner<'_>, depth_max: usize) -> Result<(), Fault> {
        let key_start = scanner.at.saturating_add(1);
        if scanner.peek() != Some(b'"') {
            return Err(scanner.fault());
        }
        scanner.string()?;
        let key = scanner.bytes.get(key_start..scanner.at.saturating_sub(1)).unwrap_or_default();
        scanner.blanks();
        if !scanner.eat(b':') {
            return Err(scanner.fault());
        }
        scanner.blanks();
        let start = scanner.at;
        scanner.value(depth_max)?;
        let value = Span { start, end: scanner.at };
        let place = place_of(key, &NAMES);
        let Some((name, slot)) =
            place.and_then(|place| Some((NAMES.get(place)?, self.members.get_mut(place)?)))
        else {
            return refuse_look_alike(key, &NAMES);
        };
        if slot.replace(value).is_some() {
            return Err(invalid(format!("the member `{name}` occurs twice")));
        }
        Ok(())
    }

    fn classify(self, text: &[u8], newlines: bool) -> Result<Envelope, Fault> {
        let [version, id, method, params, result, error] = self.members;
        let versioned = version.is_some_and(|span| span.of(text) == b"\"2.0\"");
        let first = |span: Span| span.of(text).first().copied();
        if method.is_some_and(|span| first(span) != Some(b'"')) {
            return Err(invalid("`method` must be a string"));
        }
        let kind = match (method, id, result, error) {
            (Some(_), Some(_), None, None) => Kind::Request,
            (Some(_), None, None, None) => Kind::Notification,
            (None, Some(_), Some(_), None) => Kind::Result,
            (None, _, None, Some(_)) => Kind::Error,
            _ => return Err(invalid("neither a request, a notification nor a response")),
        };
        match id.map(|span| (first(span), span.of(text))) {
            None | Some((Some(b'"'), _)) => {}
            Some((_, b"null")) if kind == Kind::Error => {}
            Some((Some(b'-' | b'0'..=b'9'), raw)) if !raw.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) => {
            }
            Some(_) => return Err(invalid("`id` must be a string or an integer")),
        }
        if params.is_some_and(|span| first(span) != Some(b'{')) {
            return Err(invalid("`params` must be an object"));
        }
        Ok(Envelope { kind, id, method, params, outcome: result.or(error), versioned, newlines })
    }
}

/// Peers written in Go match member names without regard to case (Unicode simple folding, which takes two more letters
/// for `s` and `k`), so a look-alike could mean something else to them than to us. `names` are lower case.
pub(crate) fn refuse_look_alike(key: &[u8], names: &[&str]) -> Result<(), Fault> {
    let plain = unescape(key).unwrap_or_default();
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    match names.iter().find(|name| plain.chars().map(fold).eq(name.chars()) && plain != **name) {
        Some(name) => Err(invalid(format!("a member that looks like `{name}` but is not"))),
        None => Ok(()),
    }
}

/// Nothing but blanks may follow a message.
fn finish(scanner: &mut Scanner<'_>) -> Result<(), Fault> {
    scanner.blanks();
    if scanner.peek().is_none() { Ok(()) } else { Err(scanner.fault()) }
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::peer(Code::InvalidRequest, detail)
}

#[cfg(test)]
mod tests;
