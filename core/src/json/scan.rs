//! Walking over JSON text without building anything (RFC 8259).
//!
//! [`check`] is strict and is run once on every message that comes in. The rest works on text that passed it and
//! only skips: a value by counting brackets outside strings, a string eight bytes at a time. Nothing recurses:
//! the open brackets are the bits of one integer, which is also why nesting ends at [`DEPTH_MAX`].

use crate::fault::{Code, Fault};

/// Deepest nesting [`check`] can follow.
pub const DEPTH_MAX: usize = 128;

/// A range of bytes inside one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of this range; empty when it does not lie inside.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// What [`check`] found beside correctness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// One past the last byte of the value.
    pub end: usize,
    /// Whether a raw CR or LF stands between tokens (pretty-printed text).
    pub newlines: bool,
}

/// Checks one value that starts at `at` (blanks before it are skipped): syntax and nesting.
///
/// # Errors
/// [`Code::ParseError`] with the offset; [`Code::InvalidRequest`] when it nests deeper than `depth_max`.
pub fn check(bytes: &[u8], at: usize, depth_max: usize) -> Result<Checked, Fault> {
    let mut scanner = Scanner { bytes, at, newlines: false };
    scanner.value(depth_max.min(DEPTH_MAX))?;
    Ok(Checked { end: scanner.at, newlines: scanner.newlines })
}

/// A position in text that is being checked.
pub(super) struct Scanner<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) newlines: bool,
}

impl Scanner<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    pub(super) fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => {}
                b'\r' | b'\n' => self.newlines = true,
                _ => return,
            }
            self.step();
        }
    }

    /// Consumes `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        if hit {
            self.step();
        }
        hit
    }

    pub(super) fn fault(&self) -> Fault {
        let seen = match self.peek() {
            None => "the end".to_owned(),
            Some(byte) => format!("`{}`", Fault::quoted(&[byte])),
        };
        Fault::peer(Code::ParseError, format!("not valid JSON: unexpected {seen} at byte {}", self.at))
    }

    /// One value of any kind. `kinds` holds the open brackets, one bit each, 1 for an object.
    pub(super) fn value(&mut self, depth_max: usize) -> Result<(), Fault> {
        let mut kinds: u128 = 0;
        let mut depth: usize = 0;
        loop {
            self.blanks();
            let open = match self.peek() {
                Some(b'{') => Some(1),
                Some(b'[') => Some(0),
                Some(b'"') => {
                    self.string()?;
                    None
                }
                Some(_) => {
                    self.scalar()?;
                    None
                }
                None => return Err(self.fault()),
            };
            if let Some(kind) = open {
                if depth >= depth_max {
                    let text = format!("JSON nests deeper than {depth_max} levels");
                    return Err(Fault::peer(Code::InvalidRequest, text));
                }
                self.step();
                kinds = (kinds << 1) | kind;
                depth = depth.saturating_add(1);
                self.blanks();
                if !self.eat(if kind == 1 { b'}' } else { b']' }) {
                    if kind == 1 {
                        self.key()?;
                    }
                    continue;
                }
                kinds >>= 1;
                depth = depth.saturating_sub(1);
            }
            // A value is complete: close brackets until one wants another value.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.blanks();
                let object = kinds & 1 == 1;
                if self.eat(b',') {
                    if object {
                        self.blanks();
                        self.key()?;
                    }
                    break;
                }
                if !self.eat(if object { b'}' } else { b']' }) {
                    return Err(self.fault());
                }
                kinds >>= 1;
                depth = depth.saturating_sub(1);
            }
        }
    }

    /// A member name and its colon.
    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault());
        }
        self.string()?;
        self.blanks();
        if self.eat(b':') { Ok(()) } else { Err(self.fault()) }
    }

    pub(super) fn string(&mut self) -> Result<(), Fault> {
        self.step();
        loop {
            self.at = plain_until(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(());
                }
                Some(b'\\') => {
                    self.step();
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.step(),
                        Some(b'u') => {
                            self.step();
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                                    return Err(self.fault());
                                }
                                self.step();
                            }
                        }
                        _ => return Err(self.fault()),
                    }
                }
                _ => return Err(self.fault()),
            }
        }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for literal in [b"true".as_slice(), b"false", b"null"] {
            if rest.starts_with(literal) {
                self.at = self.at.saturating_add(literal.len());
                return Ok(());
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.fault());
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }
}

/// First place from `at` on that holds a quote, a backslash or a control character (or the end), looking at
/// eight bytes a step: a byte is special when subtracting or xoring makes its high bit borrow.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let has_zero = |w: u64| w.wrapping_sub(ONES) & !w & HIGH;
        let control = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word & HIGH;
        let quote = has_zero(word ^ ONES.wrapping_mul(0x22));
        let backslash = has_zero(word ^ ONES.wrapping_mul(0x5c));
        let special = control | quote | backslash;
        if special != 0 {
            // Borrows only run upwards, so the lowest mark is exact.
            return at.saturating_add((special.trailing_zeros() / 8) as usize);
        }
        at = at.saturating_add(8);
    }
    while bytes.get(at).is_some_and(|&b| b >= 0x20 && b != b'"' && b != b'\\') {
        at = at.saturating_add(1);
    }
    at
}

/// One past the end of the string whose opening quote is at `at`. The text has been checked.
pub(super) fn skip_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at.saturating_add(1);
    loop {
        at = plain_until(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at = at.saturating_add(2),
            Some(b'"') | None => return at.saturating_add(1).min(bytes.len()),
            Some(_) => at = at.saturating_add(1),
        }
    }
}

/// One past the end of the value that starts at `at`. The text has been checked.
fn skip_value(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    let mut depth: usize = 0;
    loop {
        match bytes.get(at) {
            Some(b'"') => at = skip_string(bytes, at),
            Some(b'{' | b'[') => {
                depth = depth.saturating_add(1);
                at = at.saturating_add(1);
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at = at.saturating_add(1);
            }
            Some(b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') => at = at.saturating_add(1),
            Some(_) => {
                while bytes
                    .get(at)
                    .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
                {
                    at = at.saturating_add(1);
                }
            }
            None => return bytes.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}

pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
        at = at.saturating_add(1);
    }
    at
}

/// One member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the quotes, still escaped.
    pub key: Span,
    /// Its value.
    pub value: Span,
}

/// Walks over the members of the object at `object`. The text has been checked; anything else than an object
/// has no members.
pub fn each_member(bytes: &[u8], object: Span) -> impl Iterator<Item = Member> + '_ {
    let mut at =
        if bytes.get(object.start) == Some(&b'{') { object.start.saturating_add(1) } else { object.end };
    std::iter::from_fn(move || {
        at = skip_blanks(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_blanks(bytes, at.saturating_add(1));
        }
        if at >= object.end || bytes.get(at) != Some(&b'"') {
            return None;
        }
        let after_key = skip_string(bytes, at);
        let key = Span { start: at.saturating_add(1), end: after_key.saturating_sub(1) };
        let colon = skip_blanks(bytes, after_key);
        let start = skip_blanks(bytes, colon.saturating_add(1));
        at = skip_value(bytes, start);
        Some(Member { key, value: Span { start, end: at } })
    })
}

/// Walks over the elements of the array at `array`. The text has been checked.
pub fn elements(bytes: &[u8], array: Span) -> impl Iterator<Item = Span> + '_ {
    let mut at =
        if bytes.get(array.start) == Some(&b'[') { array.start.saturating_add(1) } else { array.end };
    std::iter::from_fn(move || {
        at = skip_blanks(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_blanks(bytes, at.saturating_add(1));
        }
        if at >= array.end || bytes.get(at) == Some(&b']') {
            return None;
        }
        let start = at;
        at = skip_value(bytes, at);
        Some(Span { start, end: at })
    })
}

/// Finds several members of one object in a single pass.
///
/// # Errors
/// [`Code::InvalidRequest`] when one of them occurs twice.
pub fn members<const N: usize>(
    bytes: &[u8],
    object: Span,
    names: [&str; N],
) -> Result<[Option<Span>; N], Fault> {
    let mut found = [None; N];
    for member in each_member(bytes, object) {
        let name = place_of(member.key.of(bytes), &names);
        let Some((name, slot)) = name.and_then(|place| Some((names.get(place)?, found.get_mut(place)?)))
        else {
            continue;
        };
        if slot.is_some() {
            return Err(Fault::peer(Code::InvalidRequest, format!("the member `{name}` occurs twice")));
        }
        *slot = Some(member.value);
    }
    Ok(found)
}

/// Finds one member of an object.
///
/// # Errors
/// [`Code::InvalidRequest`] when it occurs twice.
pub fn member(bytes: &[u8], object: Span, name: &str) -> Result<Option<Span>, Fault> {
    members(bytes, object, [name]).map(|[found]| found)
}

/// The range to cut out so that an object loses one of its members: name, value, and one of the commas beside it.
/// `None` when there is no such member.
pub fn member_with_comma(bytes: &[u8], object: Span, name: &str) -> Option<Span> {
    let member =
        each_member(bytes, object).find(|member| place_of(member.key.of(bytes), &[name]).is_some())?;
    let start = member.key.start.saturating_sub(1);
    let after = skip_blanks(bytes, member.value.end);
    if bytes.get(after) == Some(&b',') {
        return Some(Span { start, end: after.saturating_add(1) });
    }
    let before = bytes.get(..start).unwrap_or_default().trim_ascii_end();
    let start = if before.last() == Some(&b',') { before.len().saturating_sub(1) } else { start };
    Some(Span { start, end: member.value.end })
}

/// Which of the names a member has, `key` being the inside of its string as it was sent.
pub(crate) fn place_of(key: &[u8], names: &[&str]) -> Option<usize> {
    if key.contains(&b'\\') {
        let plain = unescape(key)?;
        return names.iter().position(|name| plain == **name);
    }
    names.iter().position(|name| key == name.as_bytes())
}

/// The text of a JSON string (with its quotes), or `None` if this is no string or has a lone surrogate.
pub fn unquote(raw: &[u8]) -> Option<String> {
    unescape(raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
}

/// The text of the inside of a JSON string.
pub(super) fn unescape(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    if !raw.contains(&b'\\') {
        return Some(text.to_owned());
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let first = hex4(&mut chars)?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    if chars.next()? != '\\' || chars.next()? != 'u' {
                        return None;
                    }
                    let low = hex4(&mut chars)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    (first & 0x3ff).checked_mul(0x400)?.checked_add(low)?.checked_add(0x1_0000)?
                } else {
                    first
                };
                out.push(char::from_u32(code)?);
            }
            plain => out.push(plain),
        }
    }
    Some(out)
}

fn hex4(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut code: u32 = 0;
    for _ in 0..4 {
        code = code.checked_mul(16)?.checked_add(chars.next()?.to_digit(16)?)?;
    }
    Some(code)
}

#[cfg(test)]
mod tests;
