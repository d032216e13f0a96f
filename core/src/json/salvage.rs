//! What can be read of text that is no message: whether it is meant as an answer, and to which call.
//!
//! Broken text comes from the other end of a pipe: a number that is none of JSON (`NaN`), nesting without end, a line that
//! was cut off. The call that waits for it would wait for its time limit, so it is worth knowing which one it is. Members
//! count only at the outermost level, so that an `id` inside a result is never taken for that of the answer. Nothing is
//! decided here about text that looks like a line of a log: without `jsonrpc` it is none of ours.

use super::number::is_integer;
use super::scan::{Span, check, place_of, skip_blanks, skip_string};
use crate::fault::Code;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Salvage {
    /// The raw id, if there is one and it is whole.
    pub id: Option<Span>,
    /// There is a `jsonrpc`.
    pub versioned: bool,
    /// There is a `method`: it is meant as a request or a notification.
    pub method: bool,
    /// There is a `result` or an `error`.
    pub outcome: bool,
    /// The outermost object ends.
    pub closed: bool,
}

const NAMES: [&str; 5] = ["id", "jsonrpc", "method", "result", "error"];

impl Salvage {
    /// Looks through text, which may lack its end. Takes time in proportion to its length.
    pub fn of(text: &[u8]) -> Self {
        let mut found = Self::default();
        let mut at = skip_blanks(text, 0);
        if text.get(at) != Some(&b'{') {
            return found;
        }
        let (mut depth, mut expects_name, mut ids) = (0usize, false, 0u32);
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' if depth == 1 && expects_name => {
                    expects_name = false;
                    let end = skip_string(text, at);
                    let name = text.get(at.saturating_add(1)..end.saturating_sub(1)).unwrap_or_default();
                    at = skip_blanks(text, end);
                    if text.get(at) == Some(&b':') {
                        at = skip_blanks(text, at.saturating_add(1));
                        found.note(text, place_of(name, &NAMES), at, &mut ids);
                    }
                    continue;
                }
                b'"' => {
                    at = skip_string(text, at);
                    continue;
                }
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    expects_name = depth == 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        found.closed = true;
                        break;
                    }
                }
                b',' => expects_name = depth == 1,
                _ => {}
            }
            at = at.saturating_add(1);
        }
        // Of two ids nobody knows which one is meant.
        found.id = found.id.filter(|_| ids == 1);
        found
    }

    fn note(&mut self, text: &[u8], name: Option<usize>, at: usize, ids: &mut u32) {
        match name {
            Some(0) => {
                *ids = ids.saturating_add(1);
                self.id = scalar(text, at);
            }
            Some(1) => self.versioned = true,
            Some(2) => self.method = true,
            Some(_) => self.outcome = true,
            None => {}
        }
    }

    /// Whether it is meant as an answer.
    pub fn is_answer(&self) -> bool {
        self.versioned && !self.method && (self.outcome || self.closed)
    }

    /// The raw id of a message that is meant as a request and is whole, however it may be unfit. What is no JSON has no
    /// id that could be trusted (JSON-RPC 2.0 §5).
    pub fn id_of_request(text: &[u8]) -> Option<Span> {
        match check(text, 0, usize::MAX) {
            Ok(whole) if text.get(whole.end..)?.trim_ascii().is_empty() => {}
            // What nests too deeply is JSON all the same.
            Err(fault) if fault.code == Code::InvalidRequest => {}
            Ok(_) | Err(_) => return None,
        }
        let found = Self::of(text);
        let id = found.id.filter(|_| found.method && found.closed)?;
        let raw = id.of(text);
        (std::str::from_utf8(text).is_ok() && (raw.starts_with(b"\"") || is_integer(raw))).then_some(id)
    }

    /// The raw id of an answer of which only both ends are left.
    pub fn id_of_ends<'a>(head: &'a [u8], tail: &'a [u8]) -> Option<&'a [u8]> {
        let begun = Self::of(head);
        if begun.method || !begun.outcome {
            return None;
        }
        begun.id.map(|id| id.of(head)).or_else(|| id_at_end(tail))
    }
}

/// The string or the number at this place, if it is whole.
fn scalar(text: &[u8], at: usize) -> Option<Span> {
    let end = match text.get(at)? {
        b'"' => skip_string(text, at),
        _ => {
            let rest = text.get(at..)?;
            at.saturating_add(rest.iter().position(|b| matches!(b, b',' | b'}') || b.is_ascii_whitespace())?)
        }
    };
    let span = Span { start: at, end };
    let whole = match text.get(at)? {
        b'"' => span.of(text).len() > 1 && span.of(text).ends_with(b"\""),
        b'-' | b'0'..=b'9' => true,
        _ => false,
    };
    whole.then_some(span)
}

/// The id with which a message ends, as the TypeScript SDK writes it, with or without `jsonrpc` after it.
fn id_at_end(tail: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"id\"";
    let at = tail.windows(NAME.len()).rposition(|window| window == NAME)?.saturating_add(NAME.len());
    let rest = tail.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let id = scalar(rest, 0)?.of(rest);
    let rest = rest.get(id.len()..)?.trim_ascii_start();
    let rest = match rest.strip_prefix(b",") {
        None => rest,
        Some(rest) => {
            let rest = rest.trim_ascii_start().strip_prefix(b"\"jsonrpc\"")?.trim_ascii_start();
            rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"2.0\"")?.trim_ascii_start()
        }
    };
    (rest.strip_prefix(b"}")?.trim_ascii().is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id, if the text is meant as an answer.
    fn named(text: &[u8]) -> Option<&str> {
        let found = Salvage::of(text);
        found.id.filter(|_| found.is_answer()).map(|id| std::str::from_utf8(id.of(text)).unwrap())
    }

    #[test]
    fn an_answer_is_known_by_its_outermost_members() {
        let deep = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}"#, "[".repeat(5_000));
        let table: [(&[u8], Option<&str>); 19] = [
            (br#"{"jsonrpc":"2.0","id":7}"#, Some("7")),
            (br#"{"jsonrpc":"2.0","id":7.0,"result":NaN}"#, Some("7.0")),
            (br#" { "jsonrpc" : "2.0" , "id" : "7" , "error" : { "#, Some("\"7\"")),
            (br#"{"jsonrpc":"2.0","result":{"id":3,"a":"\"id\":4"},"id":7}"#, Some("7")),
            (br#"{"result":[{"id":3}],"id":7,"jsonrpc":"2.0","error":{}}"#, Some("7")),
            (br#"{"jsonrpc":"2.0","i\u0064":7,"result":Infinity}"#, Some("7")),
            (deep.as_bytes(), Some("7")),
            (br#"{"jsonrpc":"2.0","result":{"id":3}}"#, None),
            (br#"{"jsonrpc":"2.0","id":7,"id":8,"result":{}}"#, None),
            (br#"{"jsonrpc":"2.0","id":7"#, None),
            (br#"{"jsonrpc":"2.0","id":7,"params":{"#, None),
            (br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}"#, None),
            (br#"{"jsonrpc":"2.0","result":{},"id":null}"#, None),
            (br#"{"jsonrpc":"2.0","result":{},"id":1"#, None),
            (br#"{"jsonrpc":"2.0","result":{},"id":"1"#, None),
            (br#"{"level":"error","id":7,"error":"disk full"}"#, None),
            (br#"sent {"jsonrpc":"2.0","id":7,"result":{}}"#, None),
            (br#"[{"jsonrpc":"2.0","id":7,"result":{}}"#, None),
            (b"", None),
        ];
        for (text, id) in table {
            assert_eq!(named(text), id, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_request_that_cannot_be_served_is_named_if_its_id_is_one() {
        // FT-204
        let deep = format!(r#"{{"id":5,"method":"m","params":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        let table: [(&[u8], Option<&str>); 20] = [
            (br#"{"jsonrpc":"2.0","id":4,"method":"server/discover"}"#, Some("4")),
            (br#" {"id":"a\u0062","method":7}"#, Some(r#""a\u0062""#)),
            (br#"{"jsonrpc":"1.0","id":8.0,"method":"m","params":[{"id":1}]}"#, Some("8.0")),
            (br#"{"method":"m","id":-3,"result":{}}"#, Some("-3")),
            (deep.as_bytes(), Some("5")),
            (br#"{"id":1,"method":"m"} x"#, None),
            (br#"{"id":1.5,"method":"m"}"#, None),
            (br#"{"id":01,"method":"m"}"#, None),
            (br#"{"id":null,"method":"m"}"#, None),
            (br#"{"id":true,"method":"m"}"#, None),
            (br#"{"id":{},"method":"m"}"#, None),
            (br#"{"id":"\x","method":"m"}"#, None),
            (br#"{"id":1,"id":2,"method":"m"}"#, None),
            (br#"{"method":"m"}"#, None),
            (br#"{"id":1,"result":{}}"#, None),
            (br#"{"id":1,"method":"m","params":{"a":NaN}}"#, None),
            (br#"{"id":1,"method":"m","params":{"#, None),
            (br#"[{"id":1,"method":"m"}]"#, None),
            (b"{\"id\":\"\xff\",\"method\":\"m\"}", None),
            (b"", None),
        ];
        for (text, id) in table {
            let found = Salvage::id_of_request(text).map(|id| std::str::from_utf8(id.of(text)).unwrap());
            assert_eq!(found, id, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn of_a_long_answer_the_ends_name_the_call() {
        let table: [(&str, &str, Option<&str>); 10] = [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":""#, "xxxx\"}}", Some("7")),
            (r#"{"result":{"content":[{"id":3,"a":""#, r#"xx"}]},"jsonrpc":"2.0","id":7}"#, Some("7")),
            (r#"{"result":{"content":["#, r#"xx"}]}, "id" : 7, "jsonrpc" : "2.0" } "#, Some("7")),
            (r#"{"error":{"message":""#, r#"xx"},"id":"7"}"#, Some("\"7\"")),
            (r#"{"result":{"content":["#, r#"xx","id":7}]}}"#, None),
            (r#"{"result":{"content":["#, r#"xx","id":7}"#, Some("7")),
            (r#"{"method":"ping","params":{"a":""#, r#"xx"},"jsonrpc":"2.0","id":7}"#, None),
            (r#"{"params":{"a":""#, r#"xx"},"method":"m","id":7}"#, None),
            (r#"{"jsonrpc":"2.0","id":7,"params":{"a":""#, "xx\"}}", None),
            ("x".repeat(100).leak(), r#"{"id":7}"#, None),
        ];
        for (head, tail, id) in table {
            let found = Salvage::id_of_ends(head.as_bytes(), tail.as_bytes());
            assert_eq!(found, id.map(str::as_bytes), "{head} … {tail}");
        }
    }
}
