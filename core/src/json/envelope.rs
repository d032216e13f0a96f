//! The JSON-RPC 2.0 envelope: which members are there, and where.
//!
//! Invariants: a message is classified by the members that are present; ids are a string, a whole number (`1.0` is one)
//! or (responses only) `null`; each envelope member occurs at most once, also when a peer spells it with escapes.
//! A member that is only there because a peer writes all it knows counts as absent: `method`, `params`, and of `result`
//! and `error` the one that is `null` beside the other; [`Envelope::plain`] writes the message without it. Alone, `result`
//! may be `null`. Deliberately absent: the meaning of methods, params and results.

use super::number::is_integer;
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
    /// Parameters: an object (arrays are refused: MCP has none). `null` counts as none.
    pub params: Option<Span>,
    /// The `result` or `error` member of an answer.
    pub outcome: Option<Span>,
    /// Whether `jsonrpc` is `"2.0"`.
    pub versioned: bool,
    /// Whether a raw CR or LF stands between tokens.
    pub newlines: bool,
    /// Whether a member is `null` that counts as absent: not everybody takes the text as it is.
    pub padded: bool,
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

    /// The message of this text as everybody takes it: in one line, with `jsonrpc`, without members that are only `null`.
    pub fn plain(&self, text: &[u8]) -> Vec<u8> {
        let mut out = b"{\"jsonrpc\":\"2.0\"".to_vec();
        let outcome = if self.kind == Kind::Error { "error" } else { "result" };
        let members =
            [("id", self.id), ("method", self.method), ("params", self.params), (outcome, self.outcome)];
        for (name, span) in members.into_iter().filter_map(|(name, span)| Some((name, span?))) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(span.of(text));
        }
        out.push(b'}');
        crate::line::blank_newlines(&mut out);
        out
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
        let is_null = |span: Option<Span>| span.is_some_and(|span| span.of(text) == b"null");
        let says = |span: Option<Span>| span.is_some() && !is_null(span);
        let padding = [
            is_null(method),
            is_null(params),
            is_null(result) && (says(method) || says(error)),
            is_null(error) && (says(method) || result.is_some()),
        ];
        let [no_method, no_params, no_result, no_error] = padding;
        let (method, params) = (method.filter(|_| !no_method), params.filter(|_| !no_params));
        let (result, error) = (result.filter(|_| !no_result), error.filter(|_| !no_error));
        if method.is_some_and(|span| first(span) != Some(b'"')) {
            return Err(invalid("`method` must be a string"));
        }
        let kind = match (method, id, result, error) {
            (Some(_), Some(_), None, None) => Kind::Request,
            (Some(_), None, None, None) => Kind::Notification,
            (None, Some(_), Some(_), None) => Kind::Result,
            (None, _, None, Some(_)) if !is_null(error) => Kind::Error,
            (None, _, Some(_), Some(_)) => return Err(invalid("both a `result` and an `error`")),
            _ => return Err(invalid("neither a request, a notification nor a response")),
        };
        match id.map(|span| (first(span), span.of(text))) {
            None | Some((Some(b'"'), _)) => {}
            Some((_, b"null")) if kind == Kind::Error => {}
            Some((Some(b'-' | b'0'..=b'9'), raw)) if is_integer(raw) => {}
            Some(_) => return Err(invalid("`id` must be a string or an integer")),
        }
        if params.is_some_and(|span| first(span) != Some(b'{')) {
            return Err(invalid("`params` must be an object"));
        }
        let padded = padding.contains(&true);
        Ok(Envelope { kind, id, method, params, outcome: result.or(error), versioned, newlines, padded })
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
