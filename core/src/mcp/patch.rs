//! Changes to one value of a message: any number of cuts, made all at once.
//!
//! Where [`Pieces`](crate::json::Pieces) serves the three replacements of every message, this serves the rare ones
//! that touch members all over a question. Bytes that are not cut stay as they are. The result is one line: raw
//! newlines, which stand between tokens only, become blanks.
//!
//! Invariants: cuts lie inside the value and do not overlap. All members of one object that go, go in one call of
//! [`Patch::remove`], since neighbours share their commas.

use crate::json::scan::{Member, each_member};
use crate::json::{self, Span};
use std::borrow::Cow;

/// The changes to one value.
pub(super) struct Patch<'a> {
    text: &'a [u8],
    whole: Span,
    cuts: Vec<(Span, Cow<'a, [u8]>)>,
}

impl<'a> Patch<'a> {
    /// No changes yet to the value at `whole`. The text has been checked.
    pub(super) fn new(text: &'a [u8], whole: Span) -> Self {
        Self { text, whole, cuts: Vec::new() }
    }

    /// Puts `new` in the place of `old`; an empty range is a place to insert at.
    pub(super) fn replace(&mut self, old: Span, new: impl Into<Cow<'a, [u8]>>) {
        self.cuts.push((old, new.into()));
    }

    /// Takes the members of these names out of an object.
    pub(super) fn remove(&mut self, object: Span, names: &[&str]) {
        let text = self.text;
        // The end of the member that stays before the run of those that go; where the run starts and ends.
        let (mut before, mut run, mut end) = (None, None, object.start);
        for member in each_member(text, object) {
            let start = member.key.start.saturating_sub(1);
            if names.iter().any(|name| is_named(text, member, name)) {
                run.get_or_insert(start);
                end = member.value.end;
                continue;
            }
            if let Some(from) = run.take() {
                self.replace(Span { start: from, end: start }, b"".as_slice());
            }
            before = Some(member.value.end);
        }
        if let Some(from) = run {
            self.replace(Span { start: before.unwrap_or(from), end }, b"".as_slice());
        }
    }

    /// The value with all changes made.
    pub(super) fn finish(mut self) -> Cow<'a, [u8]> {
        let is_newline = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let value = self.whole.of(self.text);
        if self.cuts.is_empty() && !value.iter().any(is_newline) {
            return Cow::Borrowed(value);
        }
        self.cuts.sort_by_key(|(span, _)| span.start);
        let mut out = Vec::with_capacity(value.len());
        let mut from = self.whole.start;
        for (span, new) in &self.cuts {
            debug_assert!(
                from <= span.start && span.end <= self.whole.end,
                "cuts lie inside, one after the other"
            );
            out.extend_from_slice(self.text.get(from..span.start).unwrap_or_default());
            out.extend_from_slice(new);
            from = span.end;
        }
        out.extend_from_slice(self.text.get(from..self.whole.end).unwrap_or_default());
        out.iter_mut().filter(|byte| is_newline(byte)).for_each(|byte| *byte = b' ');
        Cow::Owned(out)
    }
}

/// The range of a member's name with its quotes.
pub(super) fn quoted_key(member: Member) -> Span {
    Span { start: member.key.start.saturating_sub(1), end: member.key.end.saturating_add(1) }
}

/// Whether this is the member of that name, also when its name is escaped.
pub(super) fn is_named(text: &[u8], member: Member, name: &str) -> bool {
    let key = member.key.of(text);
    key == name.as_bytes()
        || (key.contains(&b'\\') && json::unquote(quoted_key(member).of(text)).as_deref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remove(text: &str, names: &[&str]) -> String {
        let whole = Span { start: 0, end: text.len() };
        let mut patch = Patch::new(text.as_bytes(), whole);
        patch.remove(whole, names);
        String::from_utf8(patch.finish().into_owned()).unwrap()
    }

    #[test]
    fn members_go_with_their_commas_wherever_they_stand() {
        // Each subset of four members, in tight and in loose text.
        let names = ["a", "b", "c", "d"];
        let tight = r#"{"a":1,"b":{"a":2},"c":[],"d":"}"}"#;
        let loose = "{ \"a\" : 1 ,\n\"b\":{\"a\":2} , \"c\":[]\t,\r\n \"d\" : \"}\" }";
        for subset in 0..16usize {
            let gone: Vec<&str> = names
                .iter()
                .enumerate()
                .filter(|(i, _)| subset >> i & 1 == 1)
                .map(|(_, name)| *name)
                .collect();
            for text in [tight, loose] {
                let mut expected: serde_json::Value = serde_json::from_str(text).unwrap();
                for name in &gone {
                    expected.as_object_mut().unwrap().remove(*name);
                }
                let out = remove(text, &gone);
                assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), expected, "{out}");
                assert!(!out.contains(['\r', '\n']), "{out}");
            }
        }
        assert_eq!(remove(tight, &["b", "d"]), r#"{"a":1,"c":[]}"#);
        assert_eq!(remove(tight, &["a", "b", "c", "d"]), "{}");
        assert_eq!(remove(tight, &["x"]), tight);
        assert_eq!(remove(r#"{"\u0061":1,"b":2}"#, &["a"]), r#"{"b":2}"#);
    }

    #[test]
    fn nothing_to_change_borrows() {
        let text = br#"["x",{"a" : 1.0}]"#;
        let patch = Patch::new(text, Span { start: 5, end: 16 });
        assert!(matches!(patch.finish(), Cow::Borrowed(br#"{"a" : 1.0}"#)));
    }

    #[test]
    fn cuts_may_come_in_any_order() {
        let text = b"[1,2,3]";
        let mut patch = Patch::new(text, Span { start: 0, end: 7 });
        patch.replace(Span { start: 5, end: 6 }, b"x".as_slice());
        patch.replace(Span { start: 4, end: 4 }, b",y".as_slice());
        patch.replace(Span { start: 1, end: 2 }, b"".as_slice());
        assert_eq!(&*patch.finish(), b"[,2,y,x]");
    }
}
