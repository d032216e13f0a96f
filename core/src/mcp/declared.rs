//! What a client or a server declares beyond the protocol: `extensions` (SEP-2133) and `experimental`.
//!
//! The proxy does not read it: it is told to the other side as it was written. Invariants: it is bounded; two
//! declarations are equal if they differ in blanks, in the order of members and in escapes only. Deliberately absent:
//! the tasks extension, since tasks are not carried (DL-14), and objects without members, which declare nothing.

use super::patch::{Patch, is_named};
use crate::fault::Fault;
use crate::json::scan::{Member, each_member};
use crate::json::{self, Span};
use std::sync::Arc;

/// A declaration. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared(Option<Arc<Words>>);

#[derive(Debug)]
struct Words {
    /// JSON objects in one line, in the order of [`NAMES`].
    objects: [Option<Box<str>>; 2],
    /// The same in one form for all that are equal.
    canonical: Box<str>,
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Words {}

/// The two members of `capabilities`.
const NAMES: [&str; 2] = ["extensions", "experimental"];

/// An extension that is not carried.
const TASKS: &str = "io.modelcontextprotocol/tasks";

impl Declared {
    /// Reads the `capabilities` of either side. `None` is a declaration longer than `bytes_max`.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`](crate::fault::Code::InvalidRequest) when one of the two occurs twice.
    pub(crate) fn parse(text: &[u8], capabilities: Span, bytes_max: usize) -> Result<Option<Self>, Fault> {
        let found = json::members(text, capabilities, NAMES)?;
        let objects = found.map(|span| object(text, span?));
        let len = objects.iter().flatten().map(|object| object.len()).fold(0, usize::saturating_add);
        if len > bytes_max {
            return Ok(None);
        }
        if objects.iter().all(Option::is_none) {
            return Ok(Some(Self::default()));
        }
        let canonical = objects.iter().map(|object| object.as_deref().map_or_else(String::new, canonical));
        let canonical: Vec<String> = canonical.collect();
        Ok(Some(Self(Some(Arc::new(Words { objects, canonical: canonical.join("\n").into() })))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        let of = |words: &Arc<Words>| {
            let objects = words.objects.iter().flatten().map(|object| object.len());
            objects.fold(words.canonical.len(), usize::saturating_add)
        };
        self.0.as_ref().map_or(0, of)
    }

    /// The members of `capabilities` that say it.
    pub(crate) fn encode(&self) -> impl Iterator<Item = String> + '_ {
        let objects = self.0.iter().flat_map(|words| &words.objects);
        let named = NAMES.into_iter().zip(objects);
        named.filter_map(|(name, object)| Some(format!("\"{name}\":{}", object.as_deref()?)))
    }

    /// Whether an extension is declared.
    pub(crate) fn has_extension(&self, name: &str) -> bool {
        let extensions = self.0.as_ref().and_then(|words| words.objects.first()?.as_deref());
        extensions
            .is_some_and(|object| members_of(object).any(|member| is_named(object.as_bytes(), member, name)))
    }

    /// The members of `capabilities` that say what all of these declare: of equal keys the first counts.
    pub(crate) fn union<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Vec<String> {
        let united = |(place, name): (usize, &str)| {
            let objects = all.clone().filter_map(|one| one.0.as_ref()?.objects.get(place)?.as_deref());
            let mut keys: Vec<String> = Vec::new();
            let mut parts: Vec<&str> = Vec::new();
            for object in objects {
                for member in members_of(object) {
                    let key = json::unquote(quoted(member).of(object.as_bytes())).unwrap_or_default();
                    let whole = quoted(member).start..member.value.end;
                    if !keys.contains(&key) {
                        keys.push(key);
                        parts.extend(object.get(whole));
                    }
                }
            }
            (!parts.is_empty()).then(|| format!("\"{name}\":{{{}}}", parts.join(",")))
        };
        NAMES.into_iter().enumerate().filter_map(united).collect()
    }
}

fn members_of(object: &str) -> impl Iterator<Item = Member> + '_ {
    each_member(object.as_bytes(), Span { start: 0, end: object.len() })
}

fn quoted(member: Member) -> Span {
    super::patch::quoted_key(member)
}

/// One of the two, in one line and without what is not carried; `None` if it declares nothing.
fn object(text: &[u8], span: Span) -> Option<Box<str>> {
    let mut patch = Patch::new(text, span);
    patch.remove(span, &[TASKS]);
    let line = String::from_utf8(patch.finish().into_owned()).ok()?;
    members_of(&line).next()?;
    Some(line.into())
}

/// One text for all objects that say the same. What cannot be read as values (a number out of all range) stands for
/// itself.
fn canonical(object: &str) -> String {
    serde_json::from_str::<serde_json::Value>(object).map_or_else(
        |_| object.to_owned(),
        |mut value| {
            value.sort_all_objects();
            value.to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Declared {
        let whole = Span { start: 0, end: text.len() };
        Declared::parse(text.as_bytes(), whole, 1_000).unwrap().unwrap()
    }

    fn encoded(declared: &Declared) -> String {
        declared.encode().collect::<Vec<_>>().join(",")
    }

    #[test]
    fn it_is_told_as_it_was_written_in_one_line() {
        // FT-301
        let told = parse(
            "{\"roots\":{},\"experimental\":{\"x\" :\n[1.0]},\"extensions\":{ \"b/c\":{},\"a\":{\"n\":1} }}",
        );
        assert_eq!(encoded(&told), r#""extensions":{ "b/c":{},"a":{"n":1} },"experimental":{"x" : [1.0]}"#);
    }

    #[test]
    fn equal_declarations_are_equal_whatever_their_order_blanks_and_escapes() {
        let one = parse(r#"{"extensions":{"a":{"x":[1,2],"y":"\u00e9"},"b":{}}}"#);
        let other = parse("{ \"extensions\" : { \"b\": { } ,\n \"\\u0061\":{\"y\":\"é\",\"x\":[1, 2]}}}");
        assert_eq!(one, other);
        for different in [
            r#"{"extensions":{"a":{"x":[2,1],"y":"é"},"b":{}}}"#,
            r#"{"experimental":{"a":{"x":[1,2],"y":"é"},"b":{}}}"#,
            r#"{"extensions":{"a":{"x":[1,2],"y":"é"}}}"#,
            "{}",
        ] {
            assert_ne!(one, parse(different), "{different}");
        }
        assert_eq!(parse(r#"{"extensions":{"a":1e999}}"#), parse(r#"{"extensions":{"a":1e999}}"#));
    }

    #[test]
    fn what_declares_nothing_or_is_not_carried_is_none() {
        for text in [
            "{}",
            "null",
            r#"{"extensions":{},"experimental":null}"#,
            r#"{"extensions":[1],"experimental":true}"#,
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        ] {
            assert!(parse(text).is_empty(), "{text}");
            assert_eq!(encoded(&parse(text)), "");
        }
        let rest = parse(r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a":{}}}"#);
        assert_eq!(encoded(&rest), r#""extensions":{"a":{}}"#);
    }

    #[test]
    fn it_is_bounded() {
        // limit: declared_bytes_max
        let text = br#"{"extensions":{"a":{}},"experimental":{"b":1}}"#;
        let whole = Span { start: 0, end: text.len() };
        assert!(Declared::parse(text, whole, 15).unwrap().is_some());
        assert!(Declared::parse(text, whole, 14).unwrap().is_none());
    }

    #[test]
    fn a_union_has_each_key_once_and_the_first_value() {
        let all = [
            parse(r#"{"extensions":{"a":{"n":1}}}"#),
            parse("{}"),
            parse(r#"{"extensions":{"\u0061":{"n":2},"b":{}},"experimental":{"x":1}}"#),
        ];
        let united = Declared::union(all.iter());
        assert_eq!(united, [r#""extensions":{"a":{"n":1},"b":{}}"#, r#""experimental":{"x":1}"#]);
        assert!(Declared::union([].iter()).is_empty());
    }
}
