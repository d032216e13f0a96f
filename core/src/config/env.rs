//! `$NAME` and `${NAME}` in the configuration text, as Go's `os.ExpandEnv` replaces them (SEED-013).
//!
//! The text is expanded before it is read, so a variable may stand for any piece of it, quotes included. An
//! [`Expanded`] remembers what came from where: positions of problems stay those of the file even when a
//! value contains line ends.
//!
//! Left alone, unlike in Go, where it would only do harm: password hashes (`$argon2id$…`, `$2b$…`; they are
//! recognised by their prefix), and in a document also comments and the key `"$schema"`.
//! Deliberately absent: defaults (`${NAME:-x}`), escapes (`$$` is the variable `$`, as in Go), the
//! environment itself (the look-up is an argument).

use std::ops::Range;

/// A text after expansion.
#[derive(Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The text with all variables replaced. May contain secrets.
    pub text: String,
    /// Names without a value, in the order of the text. They were replaced by nothing.
    pub undefined: Vec<Undefined>,
    splices: Vec<Splice>,
}

/// A name the look-up did not know.
#[derive(Clone, PartialEq, Eq)]
pub struct Undefined {
    /// The name as written; empty for `${}` and for a `${` without end. Possibly a piece of a password that
    /// contains a `$`, hence no `Debug`.
    pub name: String,
    /// Offset of its `$` in the original text, in bytes.
    pub at: usize,
    /// Whether it was written with braces.
    pub braces: bool,
}

/// `text[range]` stands for `original[from]`.
#[derive(Clone, PartialEq, Eq)]
struct Splice {
    range: Range<usize>,
    from: Range<usize>,
}

/// Replaces `$NAME` and `${NAME}` by what `lookup` says, unknown names by nothing. For a path or another
/// short text; [`parse`](super::parse) expands a configuration by itself.
pub fn expand_env(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Expanded {
    expand(text, false, usize::MAX, &lookup)
}

/// The same for JSON with comments; stops when the result is longer than `bytes_max`, for the caller to
/// refuse it.
pub(super) fn expand_document(
    text: &str,
    bytes_max: usize,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Expanded {
    expand(text, true, bytes_max, lookup)
}

impl Expanded {
    /// A text that is not expanded at all.
    pub(super) fn verbatim(text: &str) -> Self {
        Self { text: text.to_owned(), undefined: Vec::new(), splices: Vec::new() }
    }

    /// The offset in the original text that an offset in the expanded one comes from. Inside a replaced piece
    /// it is that of the `$`.
    pub fn origin(&self, at: usize) -> usize {
        let before = self.splices.partition_point(|splice| splice.range.start <= at);
        match before.checked_sub(1).and_then(|last| self.splices.get(last)) {
            None => at,
            Some(splice) if at < splice.range.end => splice.from.start,
            Some(splice) => splice.from.end.saturating_add(at.saturating_sub(splice.range.end)),
        }
    }

    /// Whether an offset in the expanded text lies inside a piece that came from a variable.
    pub(super) fn is_replaced(&self, at: usize) -> bool {
        self.splices.iter().any(|splice| splice.range.contains(&at))
    }
}

fn expand(text: &str, document: bool, bytes_max: usize, lookup: &dyn Fn(&str) -> Option<String>) -> Expanded {
    let mut out =
        Expanded { text: String::with_capacity(text.len()), undefined: Vec::new(), splices: Vec::new() };
    let mut in_string = false;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty() && out.text.len() <= bytes_max) {
        let verbatim = verbatim_len(rest, document, in_string);
        if verbatim > 0 {
            in_string ^= document && rest.starts_with('"');
            out.text.push_str(rest.get(..verbatim).unwrap_or(rest));
            at = at.saturating_add(verbatim);
            continue;
        }
        let (name, len) = variable(rest);
        let start = out.text.len();
        match lookup(name).filter(|_| !name.is_empty()) {
            Some(value) => out.text.push_str(&value),
            None => {
                out.undefined.push(Undefined { name: name.to_owned(), at, braces: rest.starts_with("${") })
            }
        }
        let end = at.saturating_add(len);
        out.splices.push(Splice { range: start..out.text.len(), from: at..end });
        at = end;
    }
    out
}

/// Length of the piece at the start of `rest` that is copied as it is; 0 if a variable starts there.
fn verbatim_len(rest: &str, document: bool, in_string: bool) -> usize {
    // At least one character, and all that follow without a meaning of their own.
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let plain = rest
        .get(first..)
        .and_then(|after| after.find(['$', '"', '\\', '/']))
        .map_or(rest.len(), |len| first.saturating_add(len));
    if let Some(after) = rest.strip_prefix('$') {
        if HASH_PREFIXES.iter().any(|prefix| after.starts_with(prefix)) {
            return rest
                .find(|c: char| !c.is_ascii_alphanumeric() && !"$./+=,_-".contains(c))
                .unwrap_or(rest.len());
        }
        if document && in_string && after.starts_with("schema\"") {
            return "$schema".len();
        }
        return if is_variable(after) { 0 } else { plain };
    }
    if document && in_string && (rest.starts_with("\\\"") || rest.starts_with("\\\\")) {
        return 2;
    }
    if document && !in_string && rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if document && !in_string && rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end.saturating_add(2));
    }
    plain
}

/// Whether what follows a `$` makes it more than a dollar sign.
fn is_variable(after: &str) -> bool {
    after.bytes().next().is_some_and(|byte| byte == b'{' || is_special(byte) || is_name(byte))
}

/// Name and whole length of the variable at the start of `rest`, as `getShellName` of Go's `os` package reads
/// it.
fn variable(rest: &str) -> (&str, usize) {
    let after = rest.get(1..).unwrap_or_default();
    if let Some(inner) = after.strip_prefix('{') {
        return match inner.find('}') {
            // `${}`, and a `${` without end, are eaten.
            Some(0) => ("", "${}".len()),
            Some(end) => (inner.get(..end).unwrap_or_default(), end.saturating_add("${}".len())),
            None => ("", "${".len()),
        };
    }
    let len = match after.bytes().next() {
        Some(byte) if is_special(byte) => 1,
        _ => after.bytes().take_while(|byte| is_name(*byte)).count(),
    };
    (after.get(..len).unwrap_or_default(), len.saturating_add(1))
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'#' | b'$' | b'@' | b'!' | b'?' | b'-' | b'0'..=b'9')
}

const fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// What follows the first `$` of the password hashes in use: PHC strings and bcrypt.
const HASH_PREFIXES: [&str; 10] = [
    "argon2id$",
    "argon2i$",
    "argon2d$",
    "scrypt$",
    "pbkdf2$",
    "pbkdf2-sha256$",
    "pbkdf2-sha512$",
    "2a$",
    "2b$",
    "2y$",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".into()),
            "EMPTY" => Some(String::new()),
            "LINES" => Some("1\n2\n3".into()),
            "1" => Some("one".into()),
            "a b" => Some("blank".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_as_go_does() {
        // (text, expanded, undefined names), the cases of Go's os/env_test.go among them. SEED-013
        let table: [(&str, &str, &[&str]); 23] = [
            ("", "", &[]),
            ("$A", "alpha", &[]),
            ("${A}", "alpha", &[]),
            ("$A$A", "alphaalpha", &[]),
            ("x$A.y", "xalpha.y", &[]),
            ("$Ax", "", &["Ax"]),
            ("${A}x", "alphax", &[]),
            ("$EMPTY", "", &[]),
            ("$1x", "onex", &[]),
            ("$12", "one2", &[]),
            ("${1}", "one", &[]),
            ("${12}", "", &["12"]),
            ("$$", "", &["$"]),
            ("$*-", "-", &["*"]),
            ("${*}", "", &["*"]),
            ("${a b}", "blank", &[]),
            ("${}x", "x", &[""]),
            ("${x", "x", &[""]),
            ("$", "$", &[]),
            ("a$", "a$", &[]),
            ("$ A", "$ A", &[]),
            ("$.ä$ä", "$.ä$ä", &[]),
            ("//$A \"$schema\"", "//alpha \"\"", &["schema"]),
        ];
        for (text, expanded, undefined) in table {
            let result = expand_env(text, lookup);
            assert_eq!(result.text, expanded, "{text}");
            let names: Vec<&str> = result.undefined.iter().map(|undefined| undefined.name.as_str()).collect();
            assert_eq!(names, undefined, "{text}");
        }
    }

    #[test]
    fn password_hashes_are_left_alone() {
        let hashes = [
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b/dWRWJTmaasQ",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
            "$pbkdf2-sha256$i=600000$A$AAA",
        ];
        for hash in hashes {
            let result = expand_env(&format!("\"{hash}\" $A"), lookup);
            assert_eq!(result.text, format!("\"{hash}\" alpha"));
            assert!(result.undefined.is_empty());
        }
    }

    #[test]
    fn comments_and_the_schema_key_of_a_document_are_left_alone() {
        let table = [
            ("{ // $A\n\"$A\"}", "{ // $A\n\"alpha\"}"),
            ("/* $A\n$B */ $A", "/* $A\n$B */ alpha"),
            (r#"{"$schema": "https://$A//$A"}"#, r#"{"$schema": "https://alpha//alpha"}"#),
            (r#""a\"//$A" // $A"#, r#""a\"//alpha" // $A"#),
            (r#""\\" // $A"#, r#""\\" // $A"#),
            (r#""\\$A""#, r#""\\alpha""#),
            ("/* $A", "/* $A"),
        ];
        for (text, expanded) in table {
            assert_eq!(expand_document(text, usize::MAX, &lookup).text, expanded, "{text}");
        }
    }

    #[test]
    fn offsets_lead_back_to_the_original() {
        let original = "ab $LINES cd $A$EMPTY ef";
        let result = expand_env(original, lookup);
        assert_eq!(result.text, "ab 1\n2\n3 cd alpha ef");
        for (expanded, origin) in [
            ("ab", "ab"),
            ("1\n2", "$LINES"),
            ("2\n3", "$LINES"),
            ("cd", "cd"),
            (" cd", " cd"),
            (" ef", " ef"),
            ("pha", "$A"),
            ("ef", "ef"),
        ] {
            let at = result.text.find(expanded).unwrap();
            assert_eq!(Some(result.origin(at)), original.find(origin), "{expanded}");
            assert_eq!(result.is_replaced(at), origin.starts_with('$'));
        }
        assert_eq!(result.origin(result.text.len()), original.len());
    }
}
