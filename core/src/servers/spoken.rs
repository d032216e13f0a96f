//! Which protocol revisions a server speaks, from what it says when it speaks none of ours.
//!
//! Servers name them in an error to `initialize` (the data of -32022 or of the older -32602, or its words), in the result
//! of `server/discover`, or in place of an answer to the revision they were offered.

use crate::fault::{Code, Fault};
use crate::json::{self, Span};
use crate::mcp::Revision;

/// Whether an error of the handshake means that the server only speaks revisions that are not spoken here, and which.
pub(crate) fn revision(text: &[u8], error: Span) -> Option<Fault> {
    let [message, data] = json::members(text, error, ["message", "data"]).ok()?;
    let data = data.unwrap_or_default();
    let [supported, versions] = json::members(text, data, ["supported", "supportedVersions"]).ok()?;
    let message = message.and_then(|span| json::unquote(span.of(text))).unwrap_or_default();
    let mut named = match supported.or(versions) {
        Some(list) => listed(text, list),
        None => dates(&message),
    };
    // The member that requests have to carry from this revision on.
    if named.is_empty() && message.contains("io.modelcontextprotocol/protocolVersion") {
        named.push("2026-07-28 or later".to_owned());
    }
    unspoken(named)
}

/// The revisions that `server/discover` names, if none of them is spoken here.
pub(crate) fn discovered(text: &[u8], result: Span) -> Option<Fault> {
    let list = json::member(text, result, "supportedVersions").ok()??;
    unspoken(listed(text, list))
}

fn unspoken(mut named: Vec<String>) -> Option<Fault> {
    named.retain(|name| !name.is_empty());
    if named.is_empty() || named.iter().any(|name| Revision::from_name(name).is_some()) {
        return None;
    }
    Some(unsupported(&named.join(", ")))
}

/// The server speaks nothing that is spoken here.
pub(crate) fn unsupported(named: &str) -> Fault {
    let detail = format!(
        "the server only speaks protocol revision {named}, of which none is spoken here ({} to {} are)",
        Revision::V2024_11_05.name(),
        Revision::NEWEST.name()
    );
    Fault::peer(Code::UpstreamRevision, detail)
}

/// Revisions that are told of one server.
const NAMED_MAX: usize = 8;

fn listed(text: &[u8], list: Span) -> Vec<String> {
    let names = json::elements(text, list).filter_map(|span| json::unquote(span.of(text)));
    names.take(NAMED_MAX).map(|name| Fault::quoted(name.as_bytes())).collect()
}

/// What looks like the name of a revision in a sentence, without those that are spoken here, which it may quote.
fn dates(sentence: &str) -> Vec<String> {
    let lower = sentence.to_ascii_lowercase();
    if !["protocol", "version", "revision"].iter().any(|word| lower.contains(word)) {
        return Vec::new();
    }
    let words = sentence.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_date = |word: &&str| {
        let form = |(place, byte): (usize, u8)| {
            if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
        };
        word.len() == 10 && word.bytes().enumerate().all(form)
    };
    let unknown = words.filter(is_date).filter(|word| Revision::from_name(word).is_none());
    unknown.take(NAMED_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_other_revisions_is_known_by_its_error() {
        let table = [
            (
                r#"{"code":-32022,"message":"m","data":{"supported":["2026-07-28"],"requested":"x"}}"#,
                Some("2026-07-28"),
            ),
            (
                r#"{"code":1,"message":"m","data":{"supportedVersions":["2026-07-28","2027-01-01"]}}"#,
                Some("2026-07-28, 2027-01-01"),
            ),
            (r#"{"code":1,"message":"m","data":{"supported":["2025-03-26","2026-07-28"]}}"#, None),
            (
                r#"{"code":1,"message":"Unsupported protocol version: 2025-11-25, use 2026-07-28."}"#,
                Some("2026-07-28"),
            ),
            (r#"{"code":1,"message":"Unsupported protocol version: 2025-11-25"}"#, None),
            (
                r#"{"code":1,"message":"lacks io.modelcontextprotocol/protocolVersion"}"#,
                Some("2026-07-28 or later"),
            ),
            (r#"{"code":1,"message":"closed on 2026-12-24"}"#, None),
            (r#"{"code":1,"message":"go away","data":7}"#, None),
            (r#"{"code":1,"data":{"supported":[]}}"#, None),
        ];
        for (error, named) in table {
            let fault = revision(error.as_bytes(), Span { start: 0, end: error.len() });
            let detail = fault.map(|fault| fault.detail.into_owned());
            let expected = named.map(|named| unsupported(named).detail.into_owned());
            assert_eq!(detail, expected, "{error}");
        }
    }
}
