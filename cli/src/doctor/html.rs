//! As much of HTML as it takes to find a form: start tags and their attributes.
//!
//! Invariant: one pass without recursion, whatever the page is.
//! Deliberately absent: a tree, and character references but `&amp;`, which is the only one that URLs need.

/// A start tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// In lower case.
    pub(super) name: String,
    /// Names in lower case.
    attributes: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// All start tags in their order, without those in comments and scripts.
pub(super) fn tags(html: &str) -> Vec<Tag> {
    let mut all = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        if !after.starts_with(|c: char| c.is_ascii_alphabetic()) {
            rest = after;
            continue;
        }
        let (tag, after) = tag(after);
        rest = after;
        if matches!(tag.name.as_str(), "script" | "style") {
            // What is inside is not markup, up to the end tag.
            rest = rest.split_once("</").map_or("", |(_, after)| after);
        }
        all.push(tag);
    }
    all
}

/// Reads one tag behind its `<`, and gives what follows it.
fn tag(text: &str) -> (Tag, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(text.len());
    let (name, mut rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end.max(1)).unwrap_or((rest, ""));
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => ("", after),
        };
        tag.attributes.push((name.to_ascii_lowercase(), value.replace("&amp;", "&")));
        rest = after;
    }
}

/// Reads an attribute's value, in quotes or not.
fn value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(after) = text.strip_prefix(quote) {
            return after.split_once(quote).unwrap_or((after, ""));
        }
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}
