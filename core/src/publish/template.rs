//! Which URIs a URI template (RFC 6570) may have been expanded to.
//!
//! Expansion cannot be undone, so this is generous: a variable takes any text up to the next `/`, a reserved one
//! (`{+x}`, `{#x}`) or several segments any text, a query anything before a fragment; parts with an operator may be
//! missing altogether. It only decides which server is asked, and that one knows. A template that is broken or long
//! matches nothing but itself.
//!
//! Invariant: time is bounded by the product of the lengths. All places of the URI that a beginning of the template
//! can reach are followed at once, so there is nothing to go back to. Deliberately absent: values of variables.

/// Whether `uri` is an expansion of `template`.
pub(super) fn matches(template: &str, uri: &str) -> bool {
    if template == uri {
        return true;
    }
    let Some(pieces) = parse(template).filter(|_| may_match(template, uri)) else { return false };
    let uri = uri.as_bytes();
    let mut places = vec![0];
    for piece in &pieces {
        match piece {
            Piece::Text(text) => places.retain_mut(|place| {
                let fits = uri.get(*place..).unwrap_or_default().starts_with(text);
                *place = place.saturating_add(text.len());
                fits
            }),
            Piece::Expression(expression) => places = expression.reach(uri, &places),
        }
        if places.is_empty() {
            return false;
        }
    }
    places.last() == Some(&uri.len())
}

/// Whether a closer look is worth it: a cheap test that all matches pass.
pub(super) fn may_match(template: &str, uri: &str) -> bool {
    let start = template.split('{').next().unwrap_or_default();
    uri.starts_with(start) && (template == uri || (template.len() <= TEMPLATE_MAX && uri.len() <= URI_MAX))
}

enum Piece<'a> {
    Text(&'a [u8]),
    Expression(Expression),
}

/// What one pair of braces can become.
#[derive(Clone, Copy)]
struct Expression {
    /// The byte its expansion begins with; it can also be nothing then. Without, it is at least one byte.
    lead: Option<u8>,
    /// The byte it does not hold.
    barrier: Option<u8>,
}

impl Expression {
    /// The operators of RFC 6570 §2.2 with the variables that follow them.
    fn parse(inside: &str) -> Option<Self> {
        let operator = inside.bytes().next().filter(|byte| b"+#./;?&".contains(byte));
        let variables = operator.map_or(Some(inside), |_| inside.get(1..))?;
        if !variables.split(',').all(is_variable) {
            return None;
        }
        let barrier = match operator {
            Some(b'+' | b'#') => None,
            Some(b'?' | b'&') => Some(b'#'),
            Some(b'/') if variables.contains([',', '*']) => None,
            Some(_) | None => Some(b'/'),
        };
        Some(Self { lead: operator.filter(|byte| *byte != b'+'), barrier })
    }

    /// The places this leads to from any of these. Both are sorted.
    fn reach(self, uri: &[u8], from: &[usize]) -> Vec<usize> {
        let mut from = from.iter().copied().peekable();
        let mut reached = Vec::new();
        let mut inside = false;
        for place in 0..=uri.len() {
            let starts = from.next_if_eq(&place).is_some();
            if inside || (starts && self.lead.is_some()) {
                reached.push(place);
            }
            let goes_on = |byte: &u8| match self.lead {
                Some(lead) if starts && *byte == lead => true,
                Some(_) => inside && self.barrier != Some(*byte),
                None => (inside || starts) && self.barrier != Some(*byte),
            };
            inside = uri.get(place).is_some_and(goes_on);
        }
        reached
    }
}

/// A name with `*` or `:length`. Hyphens are no part of the RFC, but of what servers write.
fn is_variable(text: &str) -> bool {
    let name = match text.split_once(':') {
        Some((name, length)) => {
            let number = (1..=4).contains(&length.len()) && length.bytes().all(|byte| byte.is_ascii_digit());
            if number { name } else { "" }
        }
        None => text.strip_suffix('*').unwrap_or(text),
    };
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'%' | b'-'))
}

/// The pieces of a template; `None` if it is broken.
fn parse(template: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}')?;
        if text.contains('}') || pieces.len() >= PIECES_MAX {
            return None;
        }
        pieces.push(Piece::Text(text.as_bytes()));
        pieces.push(Piece::Expression(Expression::parse(inside)?));
        rest = after;
    }
    pieces.push(Piece::Text(rest.as_bytes()));
    (!rest.contains('}')).then_some(pieces)
}

/// Longest template that is looked into.
const TEMPLATE_MAX: usize = 1_024;

/// Longest URI that templates are tried on. Browsers do not promise more than 2,000 either.
const URI_MAX: usize = 2_048;

/// Most pieces of a template, half of them expressions.
const PIECES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, good: &[&str], bad: &[&str]) {
        for uri in good {
            assert!(matches(template, uri), "{template} {uri}");
            assert!(may_match(template, uri), "{template} {uri}");
        }
        for uri in bad {
            assert!(!matches(template, uri), "{template} {uri}");
        }
    }

    #[test]
    fn a_variable_ends_at_a_slash() {
        check("x://{id}", &["x://1", "x://é?a=b", "x://{id}"], &["x://", "x://a/b", "y://1", "x:/", ""]);
        check(
            "x://{a}/{b}.md",
            &["x://1/2.md", "x://1/2.md.md", "x://1/.md.md"],
            &["x://1/.md", "x:///2.md"],
        );
        check("{scheme}://{a,b}/t", &["x://1,2/t"], &["x://1/2/t", "://1/t"]);
        check("x://{a}{b}", &["x://12"], &["x://1"]);
        check("x://{user-id}/{n:3}/{list*}", &["x://7/abc/1,2"], &["x://7/abc"]);
    }

    #[test]
    fn reserved_variables_hold_slashes() {
        check("file:///{+path}", &["file:///a/b.txt", "file:///a"], &["file:///", "file://a"]);
        check("x://{+a}/end", &["x://1/2/end", "x://1/end/end"], &["x:///end", "x://1/end/"]);
        check("x://a{#part}", &["x://a", "x://a#", "x://a#b/c"], &["x://ab", "x://a/b"]);
    }

    #[test]
    fn parts_with_an_operator_may_be_missing() {
        check("x://a{/b}", &["x://a", "x://a/b"], &["x://ab", "x://a/b/c"]);
        check("x://a{/b*}", &["x://a", "x://a/b/c"], &["x://ab"]);
        check("x://a{/b,c}", &["x://a/b", "x://a/b/c"], &["x://ab"]);
        check("x://a{.ext}", &["x://a", "x://a.json"], &["x://ajson", "x://a.b/c"]);
        check("x://a{;p,q}", &["x://a", "x://a;p=1;q=2"], &["x://ap=1"]);
        check("x://a{?q,r*}", &["x://a", "x://a?q=b/c&r=1"], &["x://a/b", "x://aq=1", "x://a?q=1#f"]);
        check("x://a?v=1{&q}", &["x://a?v=1", "x://a?v=1&q=2"], &["x://a?v=12", "x://a"]);
        check("x://{a}{?q}{#f}", &["x://1?q=2#3", "x://1#3", "x://1"], &["x://"]);
    }

    #[test]
    fn broken_templates_match_only_themselves() {
        let broken = [
            "x://{",
            "x://{a",
            "x://a}",
            "x://{}",
            "x://{a}}",
            "x://{{a}}",
            "x://{a b}",
            "x://{=a}",
            "x://{|a}",
            "x://{a,}",
            "x://{a:}",
            "x://{a:12345}",
            "x://{a:x}",
            "x://{?}",
            "x://{*}",
            "x://{é}",
            "}",
        ];
        for template in broken {
            check(template, &[template], &["x://1", "x://a", "x://", "1"]);
        }
        check("x://plain", &["x://plain"], &["x://plai", "x://plain/"]);
        check("", &[""], &["x"]);
    }

    #[test]
    fn work_is_bounded() {
        let uri = "a".repeat(2_048);
        check("{a}", &[&uri], &[&format!("{uri}a")]);
        let template = format!("{}a", "{+a}".repeat(15));
        check(&template, &[&uri], &[&"a".repeat(15)]);
        // This would take for ever with backtracking.
        check(&format!("{}b", "{+a}a".repeat(15)), &[], &[&uri]);
        check(&"{a}".repeat(16), &[&uri], &[]);
        check(&"{a}".repeat(17), &[&"{a}".repeat(17)], &[&uri]);
        check(&format!("{}{{a}}", "a".repeat(1_022)), &[], &[&uri]);
        let long = "y".repeat(5_000);
        check(&long, &[&long], &[]);
    }
}
