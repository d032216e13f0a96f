//! The one fault type of the engine, and what each fault looks like to a peer.
//!
//! A [`Fault`] says who is to blame, a flat [`Code`] that callers branch on and tests compare, and a
//! sentence for the one who can act. It ends a connection or a call, never the engine.
//!
//! Invariants: the mapping to HTTP status and JSON-RPC code lives in this file only; `detail` never holds
//! a secret and never echoes peer bytes unescaped (see [`Fault::quoted`]).
//! Deliberately absent: sources and backtraces. A fault that came from a system call is described by the
//! host that saw it.

use std::borrow::Cow;
use std::fmt;

/// Who can do something about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The other end broke its protocol.
    Peer,
    /// We did, or we refuse for a reason of our own (limits).
    Local,
    /// The configuration asks for something impossible.
    Config,
    /// Network, file system or process trouble.
    Environment,
}

/// What went wrong. Flat and `Copy`, so that tests compare it and callers branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A message head that breaks RFC 9112.
    BadHead,
    /// A head longer than the limit.
    HeadTooLarge,
    /// Contradictory or broken body framing (RFC 9112 §6).
    BadFraming,
    /// A body or message longer than the limit.
    BodyTooLarge,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
    /// An HTTP version other than 1.0 and 1.1.
    BadHttpVersion,
    /// The peer took too long.
    PeerTimeout,
    /// An `Expect` other than `100-continue`.
    BadExpectation,
    /// No such path.
    UnknownRoute,
    /// The path exists, the method does not.
    BadMethod,
    /// Missing or wrong credential.
    Unauthorized,
    /// `Origin` or `Host` refused.
    ForeignOrigin,
    /// None of the acceptable media types can be produced.
    NotAcceptable,
    /// The body is not declared as JSON.
    BadMediaType,
    /// A content coding, which no request may have.
    BadContentCoding,
    /// The session is gone or never was.
    UnknownSession,
    /// A request that needs a session came without one.
    SessionRequired,
    /// `MCP-Protocol-Version` names a revision that is not served.
    BadRevision,
    /// A `Last-Event-ID` that cannot be placed.
    BadEventId,
    /// Not JSON, or not UTF-8.
    ParseError,
    /// JSON, but not a JSON-RPC message, or not one that is allowed here.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// Parameters that do not fit the method.
    InvalidParams,
    /// No such resource, or not one that is served.
    NoResource,
    /// The server behind this endpoint is not connected yet, or not any more.
    NotReady,
    /// A table or queue is full.
    Overloaded,
    /// The upstream went away before it answered.
    UpstreamLost,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream answered something that is no answer.
    UpstreamBroken,
    /// The upstream answered with a JSON-RPC error.
    UpstreamError,
    /// The upstream speaks none of our protocol revisions.
    UpstreamRevision,
    /// An event stream that breaks a bound.
    BadStream,
    /// Our own mistake.
    Internal,
}

impl Code {
    /// The HTTP status of a response that consists of this fault.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadHead
            | Self::BadFraming
            | Self::SessionRequired
            | Self::BadRevision
            | Self::BadEventId
            | Self::ParseError
            | Self::InvalidRequest
            | Self::InvalidParams => 400,
            Self::Unauthorized => 401,
            Self::ForeignOrigin => 403,
            Self::UnknownRoute | Self::UnknownSession => 404,
            Self::BadMethod => 405,
            Self::NotAcceptable => 406,
            Self::PeerTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::BadMediaType | Self::BadContentCoding => 415,
            Self::BadExpectation => 417,
            Self::HeadTooLarge => 431,
            // JSON-RPC level faults travel in an ordinary 200 answer.
            Self::MethodNotFound | Self::NoResource => 200,
            Self::Internal => 500,
            Self::UnknownCoding => 501,
            Self::UpstreamLost
            | Self::UpstreamBroken
            | Self::UpstreamError
            | Self::UpstreamRevision
            | Self::BadStream => 502,
            Self::NotReady | Self::Overloaded => 503,
            Self::UpstreamTimeout => 504,
            Self::BadHttpVersion => 505,
        }
    }

    /// Whether it passes by itself, so that a client should try again in a moment.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::NotReady | Self::Overloaded)
    }

    /// The JSON-RPC error code of this fault (JSON-RPC 2.0 §5.1).
    pub const fn json_rpc(self) -> i32 {
        match self {
            Self::ParseError => -32700,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            // MCP up to 2025-11-25, server/resources § Error Handling.
            Self::NoResource => -32002,
            Self::NotReady
            | Self::Overloaded
            | Self::UpstreamLost
            | Self::UpstreamTimeout
            | Self::UpstreamBroken
            | Self::UpstreamError
            | Self::UpstreamRevision
            | Self::BadStream
            | Self::Internal => -32603,
            Self::BadHead
            | Self::HeadTooLarge
            | Self::BadFraming
            | Self::BodyTooLarge
            | Self::UnknownCoding
            | Self::BadHttpVersion
            | Self::PeerTimeout
            | Self::BadExpectation
            | Self::UnknownRoute
            | Self::BadMethod
            | Self::Unauthorized
            | Self::ForeignOrigin
            | Self::NotAcceptable
            | Self::BadMediaType
            | Self::BadContentCoding
            | Self::UnknownSession
            | Self::SessionRequired
            | Self::BadRevision
            | Self::BadEventId
            | Self::InvalidRequest => -32600,
        }
    }

    /// The `data` of the JSON-RPC error, for clients that decide by words whether to begin a new session: some look for
    /// the status in the text of an error.
    pub const fn data(self) -> Option<&'static str> {
        if matches!(self, Self::UnknownSession) { Some(SESSION_GONE) } else { None }
    }
}

/// What a client with an unknown session has to do.
const SESSION_GONE: &str =
    "HTTP 404 Not Found: this session is not known (any more), send initialize to begin a new one";

/// Something that went wrong with one connection or one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Who can act on it.
    pub blame: Blame,
    /// What it is.
    pub code: Code,
    /// One lower-case sentence without a full stop: what was expected and what was seen.
    pub detail: Cow<'static, str>,
}

impl Fault {
    /// A fault of the other end.
    pub fn peer(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Peer, code, detail: detail.into() }
    }

    /// A fault, or a refusal, of ours.
    pub fn local(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Local, code, detail: detail.into() }
    }

    /// A fault of the surroundings.
    pub fn environment(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Environment, code, detail: detail.into() }
    }

    /// Peer bytes made fit for an error text: lossy UTF-8, control characters escaped, at most 60 characters.
    pub fn quoted(bytes: &[u8]) -> String {
        const SHOWN: usize = 60;
        let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(4 * SHOWN)).unwrap_or(bytes));
        let mut out: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if text.chars().nth(SHOWN).is_some() || bytes.len() > 4 * SHOWN {
            out.push('…');
        }
        out
    }

    /// What a peer says of itself, fit for an error text and long enough to be understood: the first line that is not
    /// blank, without control characters, at most 200 characters.
    pub fn said(bytes: &[u8]) -> String {
        const SHOWN: usize = 200;
        let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(16 * SHOWN)).unwrap_or(bytes));
        let printable = |line: &str| line.chars().filter(|c| !is_hidden(*c)).collect::<String>();
        let line = text.lines().map(|line| printable(line).trim().to_owned()).find(|line| !line.is_empty());
        let line = line.unwrap_or_default();
        match line.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line,
        }
    }
}

/// Control characters, and those that change the order or the place of others.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_escapes_and_truncates() {
        assert_eq!(Fault::quoted(b"a\r\n\x00b"), "a\\r\\n\\0b");
        assert_eq!(Fault::quoted(&[b'x'; 61]).chars().count(), 61);
        assert!(Fault::quoted(&[b'x'; 1000]).ends_with('…'));
        assert!(!Fault::quoted(&[b'x'; 60]).ends_with('…'));
        assert_eq!(Fault::quoted(&[0xff]), "\u{fffd}");
    }

    #[test]
    fn what_is_said_is_one_bounded_line_without_control_characters() {
        assert_eq!(
            Fault::said(b"\r\n \t\n  Only for \x1b[1mlocal\x07host \r\nsecond"),
            "Only for [1mlocalhost"
        );
        assert_eq!(Fault::said("\u{202e}ab\u{200b}\u{85}c".as_bytes()), "abc");
        assert_eq!(Fault::said(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(Fault::said(&[b'x'; 200]).chars().count(), 200);
        assert_eq!(Fault::said("ü".repeat(5_000).as_bytes()), format!("{}…", "ü".repeat(200)));
        assert_eq!((Fault::said(b""), Fault::said(b" \n\n")), (String::new(), String::new()));
    }

    #[test]
    fn every_code_maps_to_a_status_and_a_json_rpc_code() {
        let table = [
            (Code::ParseError, 400, -32700),
            (Code::InvalidRequest, 400, -32600),
            (Code::MethodNotFound, 200, -32601),
            (Code::InvalidParams, 400, -32602),
            (Code::UnknownSession, 404, -32600),
            (Code::NotReady, 503, -32603),
            (Code::HeadTooLarge, 431, -32600),
            (Code::BodyTooLarge, 413, -32600),
            (Code::UpstreamTimeout, 504, -32603),
        ];
        for (code, status, rpc) in table {
            assert_eq!((code.status(), code.json_rpc()), (status, rpc), "{code:?}");
        }
    }
}
