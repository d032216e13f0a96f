//! Typed reading of objects: every mismatch becomes a notice that says where, what was expected and what was
//! seen.
//!
//! As in Go's encoding/json, whose files we read: a key may differ in case (with a warning; the exact one is
//! preferred), `null` counts as absent, and of duplicate keys the last one counts (with a warning).
//! Invariant: a notice names keys and kinds, never a value.
//! Deliberately absent: meaning. What a value must be beyond its JSON type is checked by the reader of the
//! section.

use super::guards;
use super::notice::Report;
use super::tree::{Member, Node, Value};
use crate::fault::Fault;

/// A value and the offset where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// An object that is being read. Each getter also makes its key known to [`finish`](Self::finish).
pub(super) struct Fields<'a> {
    /// Where the object stands, for what is missing in it.
    pub(super) at: usize,
    path: String,
    members: &'a [Member],
    known: Vec<&'static str>,
    in_login: bool,
}

impl<'a> Fields<'a> {
    /// Starts to read `node`, which is to be an object; `path` is its name for messages.
    pub(super) fn open(report: &mut Report<'_>, node: &'a Node, path: impl Into<String>) -> Option<Self> {
        let path = path.into();
        let Value::Object(members) = &node.value else {
            mismatch(report, node.span.start, &path, "an object", &node.value);
            return None;
        };
        warn_duplicates(report, &path, members);
        Some(Self { at: node.span.start, path, members, known: Vec::new(), in_login: false })
    }

    /// The same for a part of the login, where every key restricts access.
    pub(super) fn open_login(
        report: &mut Report<'_>,
        node: &'a Node,
        path: impl Into<String>,
    ) -> Option<Self> {
        Self::open(report, node, path).map(|fields| Self { in_login: true, ..fields })
    }

    /// The full name of a key, for messages.
    pub(super) fn name_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The value of a key, whatever its type.
    pub(super) fn node(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<&'a Node> {
        let asked_before = self.known.contains(&key);
        if !asked_before {
            self.known.push(key);
        }
        let exact = self.members.iter().rfind(|member| member.key == key);
        let member = exact.or_else(|| {
            let similar = self.members.iter().rfind(|member| member.key.eq_ignore_ascii_case(key))?;
            if !asked_before {
                report.warn(similar.at, format!("`{}` is spelled `{key}`", join(&self.path, &similar.key)));
            }
            Some(similar)
        })?;
        Some(&member.node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// A nested object.
    pub(super) fn object(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<Self> {
        let node = self.node(report, key)?;
        let mut fields = Self::open(report, node, self.name_of(key))?;
        fields.in_login = self.in_login || key == "oauth2";
        Some(fields)
    }

    pub(super) fn string(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<At<&'a str>> {
        let node = self.node(report, key)?;
        string(report, node, &self.name_of(key))
    }

    pub(super) fn bool(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<At<bool>> {
        let node = self.node(report, key)?;
        if let Value::Bool(value) = node.value {
            return Some(At { at: node.span.start, value });
        }
        mismatch(report, node.span.start, &self.name_of(key), "true or false", &node.value);
        None
    }

    pub(super) fn integer(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<At<i64>> {
        let node = self.node(report, key)?;
        let at = node.span.start;
        if let Value::Number(number) = &node.value {
            let value = number.as_i64();
            if value.is_none() {
                report.error(
                    at,
                    format!("`{}`: expected a whole number, found another one", self.name_of(key)),
                );
            }
            return value.map(|value| At { at, value });
        }
        mismatch(report, at, &self.name_of(key), "a whole number", &node.value);
        None
    }

    /// A whole number between two bounds, both included.
    pub(super) fn bounded(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        min: u32,
        max: u32,
    ) -> Option<u32> {
        let At { at, value } = self.integer(report, key)?;
        let fit = u32::try_from(value).ok().filter(|value| (min..=max).contains(value));
        if fit.is_none() {
            report.error(
                at,
                format!("`{}`: expected a number from {min} to {max}, found {value}", self.name_of(key)),
            );
        }
        fit
    }

    /// A list of strings; items of other types are reported and left out.
    pub(super) fn strings(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<Vec<At<&'a str>>> {
        let node = self.node(report, key)?;
        let path = self.name_of(key);
        let Value::Array(items) = &node.value else {
            mismatch(report, node.span.start, &path, "a list of strings", &node.value);
            return None;
        };
        let read = |(index, item)| string(report, item, &format!("{path}[{index}]"));
        Some(items.iter().enumerate().filter_map(read).collect())
    }

    /// An object whose values are strings, by the caller's own keys. In the order of the text, without
    /// duplicates.
    pub(super) fn string_map(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Vec<Entry<'a>>> {
        let fields = self.object(report, key)?;
        let read = |member: &'a Member| {
            let value = string(report, &member.node, &fields.name_of(&member.key))?;
            Some(Entry { key: At { at: member.at, value: &member.key }, value })
        };
        Some(effective(fields.members).filter_map(read).collect())
    }

    /// All entries of an object with the caller's own keys, `null` ones and overridden duplicates left out.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'a Member> + use<'a> {
        effective(self.members).filter(|member| !matches!(member.node.value, Value::Null))
    }

    /// Reports every key that no getter asked for; `hints` maps keys of other programs to ours. What may have been
    /// meant to restrict access is an error (see [`guards`]).
    pub(super) fn finish(self, report: &mut Report<'_>, hints: &[(&str, &str)]) {
        for member in self.unknown() {
            let key = member.key.as_str();
            let name = join(&self.path, key);
            let hint = hints.iter().find(|(foreign, _)| *foreign == key).map(|(_, ours)| *ours);
            let guard = match hint {
                Some(ours) => Some(ours).filter(|ours| guards::is_guard(ours)),
                None => guards::meant(key, &self.known, self.in_login),
            };
            if let Some(guard) = guard {
                report.error(member.at, unsafe_key(&name, guard));
                continue;
            }
            let suggestion = match hint.or_else(|| nearest(key, &self.known)) {
                Some(known) => format!(", did you mean `{known}`?"),
                None => String::new(),
            };
            report.unknown(member.at, format!("unknown key `{name}`{suggestion}"));
        }
    }

    /// The same at the top of the file of another program, whose other keys are none of our business. What is ours
    /// and restricts access belongs into `mcpProxy`.
    pub(super) fn finish_foreign(self, report: &mut Report<'_>) {
        for member in self.unknown().filter(|member| !matches!(member.node.value, Value::Null)) {
            let key = member.key.as_str();
            let is_ours = |ours: &&str| key.eq_ignore_ascii_case(ours);
            let misplaced = ["addr", "options", "oauth2"].into_iter().find(is_ours).map(|_| "mcpProxy");
            if let Some(guard) = misplaced.or_else(|| guards::meant(key, &["mcpProxy"], false)) {
                report.error(member.at, unsafe_key(&shown(key), guard));
            }
        }
    }

    /// Every key here is the user's own.
    pub(super) fn accept_all(&mut self) {
        self.members = &[];
    }

    /// Whether there is a value under a key, however the key is spelled.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members
            .iter()
            .any(|member| member.key.eq_ignore_ascii_case(key) && !matches!(member.node.value, Value::Null))
    }

    /// The keys that no getter asked for.
    fn unknown(&self) -> impl Iterator<Item = &'a Member> {
        let is_known =
            |key: &str| key == "$schema" || self.known.iter().any(|it| it.eq_ignore_ascii_case(key));
        self.members.iter().filter(move |member| !is_known(&member.key))
    }
}

/// An entry of a map of strings.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: At<&'a str>,
    pub(super) value: At<&'a str>,
}

/// The nearest of `known` that can be a slip of the pen away from `key`.
pub(super) fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    if key.len() > KEY_BYTES_COMPARED_MAX {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let distances = known.iter().map(|known| (edit_distance(&key, &known.to_ascii_lowercase()), *known));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (nearest.len() / 3).max(1)).then_some(nearest)
}

/// A key made fit for a message.
pub(super) fn shown(key: &str) -> String {
    Fault::quoted(key.as_bytes())
}

fn unsafe_key(name: &str, guard: &str) -> String {
    format!(
        "unknown key `{name}`, did you mean `{guard}`? Skipping it could leave open what it was meant to close"
    )
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { shown(key) } else { format!("{path}.{}", shown(key)) }
}

fn string<'a>(report: &mut Report<'_>, node: &'a Node, path: &str) -> Option<At<&'a str>> {
    if let Value::String(value) = &node.value {
        return Some(At { at: node.span.start, value });
    }
    let expected = match node.value {
        Value::Number(_) | Value::Bool(_) => "a string (put it in quotes)",
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => "a string",
    };
    mismatch(report, node.span.start, path, expected, &node.value);
    None
}

fn mismatch(report: &mut Report<'_>, at: usize, path: &str, expected: &str, found: &Value) {
    let found = found.kind();
    if path.is_empty() {
        report.error(at, format!("expected {expected}, found {found}"));
    } else {
        report.error(at, format!("`{path}`: expected {expected}, found {found}"));
    }
}

/// The members that count: of duplicates the last one.
fn effective(members: &[Member]) -> impl Iterator<Item = &Member> {
    let last = last_places(members);
    members.iter().filter(move |member| last.get(member.key.as_str()) == Some(&member.at))
}

fn last_places(members: &[Member]) -> std::collections::BTreeMap<&str, usize> {
    members.iter().map(|member| (member.key.as_str(), member.at)).collect()
}

fn warn_duplicates(report: &mut Report<'_>, path: &str, members: &[Member]) {
    let last = last_places(members);
    for member in members {
        if let Some(last) = last.get(member.key.as_str()).filter(|last| **last != member.at) {
            let line = report.line_of(*last);
            // The key may be a secret below `mcpServers`, and its reader knows how to name it; the position
            // says enough.
            let inside = if path.is_empty() { "the top level" } else { path };
            report.warn(member.at, format!("duplicate key in `{inside}`, the one in {line} counts"));
        }
    }
}

/// Levenshtein's, over bytes, two swapped neighbours counting once (optimal string alignment).
pub(super) fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut older: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.iter().enumerate() {
        let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
        let mut row = vec![i.saturating_add(1)];
        for (j, other) in b.iter().enumerate() {
            let substituted = cell(&above, j).saturating_add(usize::from(byte != other));
            let inserted = cell(&row, j).saturating_add(1);
            let deleted = cell(&above, j.saturating_add(1)).saturating_add(1);
            let mut best = substituted.min(inserted).min(deleted);
            let before = i.checked_sub(1).zip(j.checked_sub(1));
            if let Some((_, j)) = before.filter(|(i, j)| a.get(*i) == Some(other) && b.get(*j) == Some(byte))
            {
                best = best.min(cell(&older, j).saturating_add(1));
            }
            row.push(best);
        }
        older = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

/// Longer keys are no slip of the pen.
const KEY_BYTES_COMPARED_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_within_a_third_of_its_length() {
        let known = ["authTokens", "args", "command", "env", "url"];
        let table = [
            ("authToken", Some("authTokens")),
            ("auth_tokens", Some("authTokens")),
            ("AUTHTOKENZ", Some("authTokens")),
            ("comand", Some("command")),
            ("arg", Some("args")),
            ("evn", Some("env")),
            ("vne", None),
            ("ur", Some("url")),
            ("zebra", None),
            ("", None),
        ];
        for (key, expected) in table {
            assert_eq!(nearest(key, &known), expected, "{key}");
        }
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("tpye", "type"), 1);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", ""), 3);
    }
}
