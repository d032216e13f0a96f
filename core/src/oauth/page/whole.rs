//! Whether a template has what its page cannot do without. One that was cut off in the middle, by a full disk or an editor
//! that is still writing, can be of the language to its last byte; it must not take the place of a whole one.

use super::translate::{EXPR_OPEN, translate};
use super::{Fail, PageKind};

/// Fields of the login form without which no login comes of it. Older pages have no others.
const FIELDS: [&str; 7] =
    ["client_id", "redirect_uri", "response_type", "state", "code_challenge", "username", "password"];

/// Elements whose end nobody leaves out, though HTML lets some of them.
const PAIRED: [&str; 3] = ["form", "body", "html"];

/// Checks a template that can be translated.
///
/// # Errors
/// What it lacks.
pub(super) fn check(kind: PageKind, source: &str) -> Result<(), Fail> {
    let translated = translate(source)?;
    let text = translated.text.as_str();
    let lacks = |what: &str| {
        let message = format!("the template has no {what}; was it cut off?");
        Err(Fail { at: source.len(), message })
    };
    match kind {
        PageKind::Authorize => {
            if let Some(field) = FIELDS.iter().find(|field| !has_field(text, field)) {
                return lacks(&format!("field named `{field}` in its form"));
            }
        }
        PageKind::Success => {
            if !text.contains(&format!("{EXPR_OPEN}?.RedirectURL")) {
                return lacks("`{{.RedirectURL}}`, the way back to the application");
            }
        }
        PageKind::Error => {}
    }
    if is_closed(text) { Ok(()) } else { lacks("`</html>` at its end") }
}

/// A template that was cut off in the middle, by an editor or a full disk, lacks the end of something it began.
pub(super) fn check_pairs(source: &str) -> Result<(), Fail> {
    let mut lower = source.to_ascii_lowercase();
    for (open, close) in [("<!--", "-->"), ("{{/*", "*/"), ("{{- /*", "*/")] {
        lower = without_comments(&lower, open, close);
    }
    for name in PAIRED {
        let begins = |rest: &str| rest.starts_with(|c: char| c == '>' || c.is_ascii_whitespace());
        let opened = lower.split(&format!("<{name}")).skip(1).filter(|rest| begins(rest)).count();
        let ends = |rest: &&str| rest.trim_start().starts_with('>');
        let closed = lower.split(&format!("</{name}")).skip(1).filter(ends).count();
        if opened > closed {
            let message = format!("`</{name}>` is missing: the template may have been cut off");
            return Err(Fail { at: source.len(), message });
        }
    }
    Ok(())
}

fn without_comments(text: &str, open: &str, close: &str) -> String {
    let mut parts = text.split(open);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once(close).map_or("", |(_, rest)| rest))
}

/// Whether some element has this name.
fn has_field(text: &str, field: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("name").any(|(at, name)| {
        let before = text.get(..at).unwrap_or_default();
        let value = text.get(at.saturating_add(name.len())..).unwrap_or_default();
        let value = value.trim_start().strip_prefix('=').map(str::trim_start).unwrap_or_default();
        let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
        let ends = |rest: &str| rest.starts_with(|c: char| c.is_ascii_whitespace() || "\"'>/".contains(c));
        before.ends_with(|c: char| c.is_ascii_whitespace()) && value.strip_prefix(field).is_some_and(ends)
    })
}

/// Whether `</html>` is its last tag; comments may follow.
fn is_closed(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((_, rest)) = lower.rsplit_once("</html") else { return false };
    let rest = rest.trim_start().strip_prefix('>');
    rest.is_some_and(|rest| rest.split('<').skip(1).all(|tag| tag.starts_with("!--")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::page::Pages;

    fn message(kind: PageKind, source: &str) -> String {
        Pages::new()
            .replace(kind, Some(source.as_bytes()))
            .map_or_else(|error| error.message, |()| String::new())
    }

    #[test]
    fn a_template_that_was_cut_off_anywhere_is_refused() {
        // FT-511
        for kind in PageKind::ALL {
            let source = kind.source();
            let whole = source.trim_end().len();
            let mut pages = Pages::new();
            let ends = (0..whole).filter(|end| end % 29 == 0 || end + 300 > whole);
            for end in ends.filter(|end| source.is_char_boundary(*end)) {
                let cut = &source[..end];
                assert!(pages.replace(kind, Some(cut.as_bytes())).is_err(), "{} {end}", kind.file_name());
                assert!(pages.is_builtin(kind));
            }
            assert_eq!(message(kind, &source[..whole]), "");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        // FT-511
        let authorize = PageKind::Authorize.source();
        for field in FIELDS {
            let other = authorize.replace(&format!("name=\"{field}\""), "name=\"other\"");
            let said = message(PageKind::Authorize, &other);
            assert!(said.contains(&format!("`{field}`")) && said.contains("cut off"), "{field}: {said}");
        }
        let get = authorize.replace("method=\"post\"", "method=\"get\"");
        assert!(message(PageKind::Authorize, &get).contains("form"));
        assert!(message(PageKind::Success, "<html><p>Done</p></html>").contains("RedirectURL"));
        for (source, good) in [
            ("<html>{{.Title}}</html>", true),
            ("<HTML>{{.Title}}</HTML >\n<!-- end -->\n{{/* end */}}", true),
            ("{{if .Title}}<html>a</html>{{else}}<html>b</html>{{end}}", true),
            ("<p>{{.Title}}</p></html>", true),
            ("<html>{{.Title}}", false),
            ("", false),
            ("<!-- </html> --><html><p>", false),
            ("<html></html><p>more", false),
            ("<html>{{/* </html> */}}", false),
        ] {
            let said = message(PageKind::Error, source);
            assert_eq!(said.is_empty(), good, "{source}: {said}");
        }
        let spelled = "<form method=post><input NAME = client_id><input name='redirect_uri'><input name=response_type>\
                       <input name=state ><input name=code_challenge/><input name=\"username\"><input name=password></form>\
                       </html>";
        assert_eq!(message(PageKind::Authorize, spelled), "");
    }
}
