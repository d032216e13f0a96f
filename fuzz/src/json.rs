//! JSON as byte ranges: the syntax check, walking, the envelope, splicing.
//!
//! Byte 0: the deepest nesting, and which member is cut; the rest: a text.
//!
//! Properties: exactly the texts that `serde_json` accepts are accepted, up to the nesting; walking finds the same tree
//! and unquotes the same strings; an envelope says what the members say; a splice changes the one member and nothing
//! else, in one line; cutting a member with its comma leaves the others.

use crate::tape::Tape;
use mcp_proxy_core::fault::Code;
use mcp_proxy_core::json::envelope::{Envelope, Kind};
use mcp_proxy_core::json::scan::{self, Member};
use mcp_proxy_core::json::{Decimal, Pieces, Raw, Span, elements, quote, unquote};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// See the module.
pub fn json(data: &[u8]) {
    let mut tape = Tape::new(data);
    let choice = tape.byte();
    let text = tape.rest();
    let depth_max = if choice & 1 == 0 { scan::DEPTH_MAX } else { usize::from(choice >> 1).max(1) };
    check_numbers(text);

    let own = scan::check(text, 0, depth_max);
    let accepted = own.as_ref().is_ok_and(|found| text[found.end..].trim_ascii().is_empty() && no_form_feed(&text[found.end..]));
    let known = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    let too_deep = own.as_ref().is_err_and(|fault| fault.code == Code::InvalidRequest);
    assert!(accepted == known || too_deep, "own {own:?}, serde {known}");
    assert!(!too_deep || depth(text) > depth_max, "{own:?}");

    let envelope = Envelope::parse(text, depth_max);
    if let Err(fault) = &envelope {
        assert!(matches!(fault.code, Code::ParseError | Code::InvalidRequest), "{fault:?}");
    }
    if !accepted || std::str::from_utf8(text).is_err() {
        assert!(envelope.is_err(), "an envelope around what is no JSON");
        return;
    }
    let whole = Span { start: text.len() - text.trim_ascii_start().len(), end: own.map_or(0, |found| found.end) };
    if let Ok(value) = serde_json::from_slice::<Value>(text) {
        assert_eq!(tree(text, whole), value);
    }
    check_cut(text, whole, usize::from(choice));
    if let Ok(envelope) = envelope {
        check_envelope(text, whole, &envelope);
        check_splice(text, &envelope);
    }
}

/// White space of Rust that is none of JSON.
fn no_form_feed(blanks: &[u8]) -> bool {
    !blanks.contains(&0x0c)
}

/// How deep a text nests that is JSON.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The tree that walking finds. Nesting is at most [`scan::DEPTH_MAX`], so it may recurse.
fn tree(text: &[u8], at: Span) -> Value {
    let raw = at.of(text);
    match raw.first() {
        Some(b'{') => {
            let member = |member: Member| {
                let quoted = Span { start: member.key.start - 1, end: member.key.end + 1 };
                (unquote(quoted.of(text)).expect("a name"), tree(text, member.value))
            };
            Value::Object(scan::each_member(text, at).map(member).collect::<Map<_, _>>())
        }
        Some(b'[') => Value::Array(elements(text, at).map(|element| tree(text, element)).collect()),
        Some(b'"') => {
            let own = unquote(raw).expect("a string");
            assert_eq!(unquote(quote(&own).as_bytes()).as_deref(), Some(own.as_str()));
            Value::String(own)
        }
        _ => serde_json::from_slice(raw).expect("a scalar"),
    }
}

/// One member of an object, or of the last object in a list, goes with a comma; the rest stays.
fn check_cut(text: &[u8], whole: Span, choice: usize) {
    let members: Vec<Member> = scan::each_member(text, whole).collect();
    let Some(chosen) = members.get(choice % members.len().max(1)) else { return };
    let key = |member: &Member| unquote(&[b"\"", member.key.of(text), b"\""].concat());
    let Some(name) = key(chosen) else { return };
    let Some(first) = members.iter().position(|member| key(member).as_deref() == Some(&name)) else {
        panic!("{name:?} is there");
    };
    let cut = scan::member_with_comma(text, whole, &name).expect("a member that is there");
    let left = [&text[..cut.start], &text[cut.end..]].concat();
    let end = scan::check(&left, 0, scan::DEPTH_MAX).map(|found| found.end);
    let Ok(end) = end else { panic!("cutting {name:?} broke the text: {:?}", String::from_utf8_lossy(&left)) };
    let own = Span { start: whole.start, end };
    let rest: Vec<(Vec<u8>, Vec<u8>)> =
        scan::each_member(&left, own).map(|it| (it.key.of(&left).to_vec(), it.value.of(&left).to_vec())).collect();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> =
        members.iter().map(|it| (it.key.of(text).to_vec(), it.value.of(text).to_vec())).collect();
    expected.remove(first);
    assert_eq!(rest, expected);
    let times = members.iter().filter(|member| key(member).as_deref() == Some(&name)).count();
    match scan::member(text, whole, &name) {
        Ok(found) => assert!(times == 1 && found == Some(chosen.value), "{name:?}"),
        Err(_) => assert!(times > 1, "{name:?} is there once"),
    }
}

/// The members as `serde_json` sees them, raw.
fn raw_members(text: &[u8]) -> Option<std::collections::BTreeMap<String, Box<RawValue>>> {
    serde_json::from_slice(text).ok()
}

fn check_envelope(text: &[u8], whole: Span, envelope: &Envelope) {
    assert_eq!(text.get(whole.start), Some(&b'{'), "an envelope that is no object");
    assert_eq!(envelope.newlines, text.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
    // A member name that is no text is none of the envelope's, but `serde_json` gives up.
    let Some(members) = raw_members(text) else { return };
    let raw = |name: &str| members.get(name).map(|value| value.get().as_bytes());
    let of = |span: Option<Span>| span.map(|span| span.of(text));
    assert_eq!(of(envelope.id), raw("id"));
    let says = |name: &str| raw(name).filter(|raw| *raw != b"null");
    assert_eq!(of(envelope.method), says("method"));
    assert_eq!(of(envelope.params), says("params"));
    assert_eq!(envelope.versioned, raw("jsonrpc") == Some(b"\"2.0\""));
    let kind = match (says("method"), raw("id"), says("error")) {
        (Some(_), Some(_), _) => Kind::Request,
        (Some(_), None, _) => Kind::Notification,
        (None, _, Some(_)) => Kind::Error,
        (None, _, None) => Kind::Result,
    };
    assert_eq!(envelope.kind, kind);
    let outcome = match kind {
        Kind::Request | Kind::Notification => None,
        Kind::Result => raw("result"),
        Kind::Error => raw("error"),
    };
    assert_eq!(of(envelope.outcome), outcome);
    let plain = envelope.plain(text);
    let again = Envelope::parse(&plain, scan::DEPTH_MAX).expect("what is said plainly can be read");
    assert!(again.versioned && !again.padded && !again.newlines && again.kind == kind);
    assert_eq!(again.id.map(|id| id.of(&plain)), of(envelope.id));
    if let Some(name) = says("method").and_then(|raw| serde_json::from_slice::<String>(raw).ok()) {
        assert_eq!(envelope.method_name(text), name);
    }
}

/// A new id, and the params taken out: the rest stays byte for byte, but for newlines.
fn check_splice(text: &[u8], envelope: &Envelope) {
    let own_id = Decimal::new(4711);
    let spans = [envelope.id.map(|id| (id, own_id.as_bytes())), envelope.params.map(|it| (it, b"{}".as_slice()))];
    let mut cuts: Vec<(Span, &[u8])> = spans.into_iter().flatten().collect();
    let pieces = Pieces::replace(text, envelope.newlines, &mut cuts);
    let mut out = b"before".to_vec();
    pieces.write(&mut out);
    let out = &out[6..];
    assert_eq!(out.len(), pieces.len());
    assert!(!out.iter().any(|byte| matches!(byte, b'\r' | b'\n')), "a message is one line");
    let (Ok(Value::Object(mut before)), Ok(after)) = (serde_json::from_slice(text), serde_json::from_slice::<Value>(out))
    else {
        assert!(serde_json::from_slice::<Value>(text).is_err(), "the splice broke {:?}", String::from_utf8_lossy(out));
        return;
    };
    if envelope.id.is_some() {
        before["id"] = 4711.into();
    }
    if envelope.params.is_some() {
        before["params"] = Map::new().into();
    }
    assert_eq!(after, Value::Object(before));
}

fn check_numbers(text: &[u8]) {
    assert_eq!(Raw::new(text).as_bytes(), text);
    let plain = std::str::from_utf8(text).ok().filter(|text| text.len() <= 19);
    let plain = plain.and_then(|text| text.parse::<u64>().ok().filter(|number| number.to_string() == text));
    assert_eq!(Decimal::parse(text), plain);
}
