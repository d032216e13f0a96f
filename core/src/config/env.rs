//! `$NAME`, `${NAME}` and `${NAME:-default}`: environment variables in a configuration (SEED-013, FT-404).
//!
//! A variable is a value. It is replaced within strings after the JSON was parsed, so quotes and backslashes in it
//! arrive as they are. Outside of strings it stands for one whole number, boolean or string. It never adds a member,
//! nor ends a string or an object.
//!
//! Names are read as Go's `os.ExpandEnv` reads them, with the default of a shell (`:-`, for unset and empty ones) and
//! the `${env:NAME}` of editors on top; `$$` is a dollar sign. Left alone: password hashes (`$argon2id$…`, `$2b$…`,
//! recognised by their prefix), comments, and the key `"$schema"`.
//! Deliberately absent: nested defaults, the environment itself (the look-up is an argument).

use super::Lookup;
use super::tree::Value;

/// A text after expansion.
#[derive(Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The text with all variables replaced. May contain secrets.
    pub text: String,
    /// Names without a value, in the order of the text. They were replaced by nothing.
    pub undefined: Vec<Undefined>,
}

/// A name the look-up did not know.
#[derive(Clone, PartialEq, Eq)]
pub struct Undefined {
    /// The name as written; empty for `${}` and for a `${` without end. Possibly a piece of a password that
    /// contains a `$`, hence no `Debug`.
    pub name: String,
    /// Offset of its `$`, in bytes.
    pub at: usize,
    /// Whether it was written with braces.
    pub braces: bool,
}

/// Replaces the variables of a path or another short text; [`parse`](super::parse) expands a configuration by
/// itself.
pub fn expand_env(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Expanded {
    expand(text, &lookup)
}

/// The environment of a configuration that is being read.
pub(super) struct Env<'a> {
    /// `None` leaves every `$` alone.
    lookup: Option<Lookup<'a>>,
    /// Bytes that values may still add.
    bytes_left: usize,
    /// With offsets of the whole text.
    pub(super) undefined: Vec<Undefined>,
    /// Where strings and other values start that came from variables in whole or in part, in the order of the text.
    pub(super) replaced: Vec<usize>,
}

/// The values make the configuration larger than it may be.
#[derive(Debug)]
pub(super) struct TooLarge;

impl<'a> Env<'a> {
    /// Values may add as many bytes.
    pub(super) const fn new(lookup: Option<Lookup<'a>>, bytes_max: usize) -> Self {
        Self { lookup, bytes_left: bytes_max, undefined: Vec::new(), replaced: Vec::new() }
    }

    /// Expands a string. `token` is how it stands in the text at `at`, with its quotes.
    pub(super) fn string(&mut self, string: String, token: &str, at: usize) -> Result<String, TooLarge> {
        let Some(lookup) = self.lookup.filter(|_| string.contains('$')) else { return Ok(string) };
        let expanded = expand(&string, lookup);
        if expanded.text != string {
            self.replaced.push(at);
        }
        let place = |undefined: Undefined| {
            let at = at.saturating_add(written_offset(token, undefined.at));
            Undefined { at, ..undefined }
        };
        self.undefined.extend(expanded.undefined.into_iter().map(place));
        self.spend(&expanded.text)?;
        Ok(expanded.text)
    }

    /// The variable at the start of `rest`, outside of strings: its length and its value, which is `None` if it is
    /// not set. `None` if no variable is there, or variables are left alone.
    pub(super) fn scalar(
        &mut self,
        rest: &str,
        at: usize,
    ) -> Option<(usize, Result<Option<Value>, TooLarge>)> {
        let lookup = self.lookup?;
        let after = rest.strip_prefix('$').filter(|after| is_variable(after) && !after.starts_with('$'))?;
        let variable = Variable::read(after);
        let Some(value) = variable.value(lookup) else { return Some((variable.len, Ok(None))) };
        self.replaced.push(at);
        let spent = self.spend(&value);
        Some((variable.len, spent.map(|()| Some(scalar(value)))))
    }

    fn spend(&mut self, value: &str) -> Result<(), TooLarge> {
        self.bytes_left = self.bytes_left.checked_sub(value.len()).ok_or(TooLarge)?;
        Ok(())
    }
}

/// A number, a boolean or a string. Null is a string: it would count as absent, and the absence of a list of tokens
/// opens the door.
fn scalar(value: String) -> Value {
    match serde_json::from_str(value.trim()) {
        Ok(serde_json::Value::Bool(value)) => Value::Bool(value),
        Ok(serde_json::Value::Number(number)) => Value::Number(number),
        // In quotes, as it had to be written for the original.
        Ok(serde_json::Value::String(value)) => Value::String(value),
        Ok(serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_)) | Err(_) => {
            Value::String(value)
        }
    }
}

/// The offset in a JSON string as it is written that an offset in its value comes from.
fn written_offset(token: &str, at: usize) -> usize {
    // Behind the quote.
    let (mut written, mut read) = (1usize, 0usize);
    while read < at {
        let Some(rest) = token.get(written..).filter(|rest| !rest.is_empty()) else { break };
        let (long, short) = written_char(rest);
        written = written.saturating_add(long);
        read = read.saturating_add(short);
    }
    written
}

/// Bytes of the first character as it is written, and of its value.
fn written_char(rest: &str) -> (usize, usize) {
    let unit =
        |from: usize| rest.get(from..)?.strip_prefix("\\u")?.get(..4).map(|hex| u32::from_str_radix(hex, 16));
    match (unit(0), unit(6)) {
        (Some(Ok(0xd800..=0xdbff)), Some(Ok(_))) => (12, 4),
        (Some(Ok(unit)), _) => (6, char::from_u32(unit).map_or(3, char::len_utf8)),
        _ if rest.starts_with('\\') => (2, 1),
        _ => {
            let len = rest.chars().next().map_or(1, char::len_utf8);
            (len, len)
        }
    }
}

fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Expanded {
    let mut out = Expanded { text: String::with_capacity(text.len()), undefined: Vec::new() };
    let mut at = 0usize;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let verbatim = verbatim_len(rest);
        if verbatim > 0 {
            out.text.push_str(rest.get(..verbatim).unwrap_or(rest));
            at = at.saturating_add(verbatim);
            continue;
        }
        let after = rest.get(1..).unwrap_or_default();
        if after.starts_with('$') {
            out.text.push('$');
            at = at.saturating_add(2);
            continue;
        }
        let variable = Variable::read(after);
        match variable.value(lookup) {
            Some(value) => out.text.push_str(&value),
            None => {
                let name = variable.written.to_owned();
                out.undefined.push(Undefined { name, at, braces: after.starts_with('{') });
            }
        }
        at = at.saturating_add(variable.len);
    }
    out
}

/// Length of the piece at the start of `rest` that is copied as it is; 0 if a variable or `$$` starts there.
fn verbatim_len(rest: &str) -> usize {
    let Some(after) = rest.strip_prefix('$') else { return rest.find('$').unwrap_or(rest.len()) };
    if HASH_PREFIXES.iter().any(|prefix| after.starts_with(prefix)) {
        return rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"$./+=,_-".contains(c))
            .unwrap_or(rest.len());
    }
    usize::from(!is_variable(after))
}

/// Whether what follows a `$` makes it more than a dollar sign.
fn is_variable(after: &str) -> bool {
    after.bytes().next().is_some_and(|byte| byte == b'{' || is_special(byte) || is_name(byte))
}

/// A variable as it is written.
struct Variable<'a> {
    /// What stands for its name.
    written: &'a str,
    default: Option<&'a str>,
    /// With the `$`.
    len: usize,
}

impl<'a> Variable<'a> {
    /// Reads what follows the `$`, as `getShellName` of Go's `os` package does.
    fn read(after: &'a str) -> Self {
        if let Some(inner) = after.strip_prefix('{') {
            let Some((inner, _)) = inner.split_once('}') else {
                // A `${` without end is eaten, and so is `${}`.
                return Self { written: "", default: None, len: "${".len() };
            };
            let len = inner.len().saturating_add("${}".len());
            return match inner.split_once(":-") {
                Some((written, default)) => Self { written, default: Some(default), len },
                None => Self { written: inner, default: None, len },
            };
        }
        let len = match after.bytes().next() {
            Some(byte) if is_special(byte) => 1,
            _ => after.bytes().take_while(|byte| is_name(*byte)).count(),
        };
        let written = after.get(..len).unwrap_or_default();
        Self { written, default: None, len: len.saturating_add(1) }
    }

    fn value(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let name = self.written.strip_prefix("env:").unwrap_or(self.written);
        let value = if name.is_empty() { None } else { lookup(name) };
        match self.default {
            Some(default) => {
                Some(value.filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()))
            }
            None => value,
        }
    }
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
        let table: [(&str, &str, &[&str]); 30] = [
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
            ("$$", "$", &[]),
            ("$$A $$$A", "$A $alpha", &[]),
            ("${A:-x}", "alpha", &[]),
            ("${B:-x y}z", "x yz", &[]),
            ("${EMPTY:-x}", "x", &[]),
            ("${B:-}", "", &[]),
            ("${B:-a:-$b}", "a:-$b", &[]),
            ("${env:A}", "alpha", &[]),
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
    fn offsets_lead_back_to_how_a_string_is_written() {
        let token = r#""ä\n\u0041\ud83d\ude00\"$X""#;
        let value: String = serde_json::from_str(token).unwrap();
        for (read, written) in [("ä", "ä"), ("\n", "\\n"), ("A", "\\u0041"), ("😀", "\\ud83d"), ("$X", "$X")]
        {
            let at = value.find(read).unwrap();
            assert_eq!(Some(written_offset(token, at)), token.find(written), "{read:?}");
        }
        assert_eq!(written_offset("\"a", 9), 2);
    }
}
