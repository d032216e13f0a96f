//! One item with other words: some members of its definition replaced, every other byte as it was.

use super::Override;
use crate::json::{self, Span, scan};

/// Appends an item whose `name`, `title` and `description` are those of `change`, as far as that has them. A member
/// that is missing is put in front; of one that occurs twice, which readers disagree about, one is left.
pub(super) fn write_changed(raw: &[u8], change: &Override<'_>, out: &mut Vec<u8>) {
    let mut wanted = [("name", change.name), ("title", change.title), ("description", change.description)]
        .map(|(key, new)| Wanted { key, new, found: false });
    let Some(inside) = raw.strip_prefix(b"{").filter(|_| wanted.iter().any(|it| it.new.is_some())) else {
        return out.extend_from_slice(raw);
    };
    let cuts = cuts(raw, &mut wanted);
    out.push(b'{');
    for it in wanted.iter().filter(|it| !it.found) {
        let Some(new) = it.new else { continue };
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.extend_from_slice(format!("\"{}\":{}", it.key, json::quote(new)).as_bytes());
    }
    if out.last() != Some(&b'{') && inside.trim_ascii_start().first() != Some(&b'}') {
        out.push(b',');
    }
    let mut from = 1;
    for (span, new) in cuts {
        out.extend_from_slice(raw.get(from..span.start).unwrap_or_default());
        if let Some(new) = new {
            out.extend_from_slice(json::quote(new).as_bytes());
        }
        from = span.end;
    }
    out.extend_from_slice(raw.get(from..).unwrap_or_default());
}

/// A member of an item that may get another value.
struct Wanted<'a> {
    key: &'static str,
    new: Option<&'a str>,
    found: bool,
}

/// What to replace, and what to leave out, in order.
fn cuts<'a>(raw: &[u8], wanted: &mut [Wanted<'a>]) -> Vec<(Span, Option<&'a str>)> {
    let mut cuts = Vec::new();
    let mut before = 1;
    for member in scan::each_member(raw, Span { start: 0, end: raw.len() }) {
        if let Some(it) = wanted.iter_mut().find(|it| it.new.is_some() && is_key(raw, member.key, it.key)) {
            // One that occurs again has a comma before it.
            let again = Span { start: before, end: member.value.end };
            cuts.push(if it.found { (again, None) } else { (member.value, it.new) });
            it.found = true;
        }
        before = member.value.end;
    }
    cuts
}

fn is_key(raw: &[u8], key: Span, name: &str) -> bool {
    let quoted = Span { start: key.start.saturating_sub(1), end: key.end.saturating_add(1) };
    let text = key.of(raw);
    text == name.as_bytes()
        || (text.contains(&b'\\') && json::unquote(quoted.of(raw)).as_deref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn changed(raw: &str, change: &Override<'_>) -> String {
        let mut out = b"[".to_vec();
        write_changed(raw.as_bytes(), change, &mut out);
        assert_eq!(out.remove(0), b'[', "what was there before stays");
        String::from_utf8(out).unwrap()
    }

    const NAME: Override<'_> = Override { name: Some("new"), title: None, description: None, hidden: false };
    const ALL: Override<'_> = Override { title: Some("T\""), description: Some("two\nlines"), ..NAME };

    #[test]
    fn only_the_changed_members_change() {
        let table = [
            (r#"{"name":"old"}"#, NAME, r#"{"name":"new"}"#),
            (
                r#"{ "x" : 1.00 , "name" : "old" , "y":[ ] }"#,
                NAME,
                r#"{ "x" : 1.00 , "name" : "new" , "y":[ ] }"#,
            ),
            (
                r#"{"annotations":{"name":"a"},"name":"b"}"#,
                NAME,
                r#"{"annotations":{"name":"a"},"name":"new"}"#,
            ),
            (r#"{"n\u0061me":"old","z":0}"#, NAME, r#"{"n\u0061me":"new","z":0}"#),
            (r#"{"Name":1,"name":{"a":"}"}}"#, NAME, r#"{"Name":1,"name":"new"}"#),
            (r#"{"name":"old"}"#, ALL, r#"{"title":"T\"","description":"two\nlines","name":"new"}"#),
            (
                r#"{"description":"d","name":"old","title":null}"#,
                ALL,
                r#"{"description":"two\nlines","name":"new","title":"T\""}"#,
            ),
            (r#"{"x":1}"#, NAME, r#"{"name":"new","x":1}"#),
            ("{}", NAME, r#"{"name":"new"}"#),
            ("{ }", NAME, r#"{"name":"new" }"#),
        ];
        for (raw, change, expected) in table {
            assert_eq!(changed(raw, &change), expected);
            serde_json::from_str::<Value>(expected).unwrap();
        }
    }

    #[test]
    fn what_occurs_again_is_left_out() {
        let table = [
            (r#"{"name":"a","name":"b"}"#, r#"{"name":"new"}"#),
            (r#"{"name":"a" , "n\u0061me" : "b" , "x":1}"#, r#"{"name":"new" , "x":1}"#),
            (
                r#"{"x":1,"name":"a","y":2,"name":"b","name":"c","z":3}"#,
                r#"{"x":1,"name":"new","y":2,"z":3}"#,
            ),
            (r#"{"title":1,"title":2,"name":"a"}"#, r#"{"title":1,"title":2,"name":"new"}"#),
        ];
        for (raw, expected) in table {
            assert_eq!(changed(raw, &NAME), expected);
            serde_json::from_str::<Value>(expected).unwrap();
        }
    }

    #[test]
    fn nothing_to_change_is_a_copy() {
        for raw in [r#"{ "name":"a","name":"b" , "q":"\u00e9" }"#, "{}", "7", ""] {
            assert_eq!(changed(raw, &Override::default()), raw);
        }
        assert_eq!(changed("7", &NAME), "7");
    }
}
