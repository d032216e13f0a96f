//! What heads of both kinds share: where one ends, its text, and its fields as ranges into that text.
//!
//! Invariants: the end is looked for once, from where the last search stopped, and every line must end with
//! CRLF; a range always lies in the text it was made for.
//! Deliberately absent: what single fields mean, except for lists and `Connection`.

use crate::buf::{RecvBuf, position};
use crate::fault::{Code, Fault};

/// Most header fields a head can hold whatever the limits say.
pub(crate) const HEADERS_CAP: usize = 256;

/// Storage a head keeps for the next message.
const KEEP_BYTES: usize = 4 * 1024;

/// The text of a head and where its fields are.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) text: String,
    pub(crate) list: Vec<Field>,
}

impl Fields {
    /// The values of all fields of this name, in order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let same_len = move |field: &&Field| field.name.len() == name.len();
        let same_name = move |field: &&Field| self.text(field.name).eq_ignore_ascii_case(name);
        self.list.iter().filter(same_len).filter(same_name).map(|field| self.text(field.value))
    }

    /// The items of the comma-separated list that all fields of this name make together (RFC 9110 §5.3).
    pub(crate) fn items(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name).flat_map(|value| value.split(',')).map(|item| item.trim_matches([' ', '\t']))
    }

    /// The value of a field that has one value. Lines of the same name and a list in one line are the same thing
    /// (RFC 9110 §5.3), and there are clients and fronts that say a field twice: what is said again counts once.
    ///
    /// # Errors
    /// `BadHead` for values that differ: two readers could take different ones.
    pub(crate) fn single<'a>(
        &'a self,
        name: &str,
        same: impl Fn(&str, &str) -> bool,
    ) -> Result<Option<&'a str>, Fault> {
        agreed(name, self.values(name).flat_map(elements), same)
    }

    /// The value of `Authorization`. A credential may hold commas, so only a line whose every element begins like a
    /// credential of its own is taken for a list.
    ///
    /// # Errors
    /// `BadHead` for values that differ.
    pub(crate) fn credential(&self) -> Result<Option<&str>, Fault> {
        let begins = |element: &str| {
            element.split_at_checked(7).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "))
        };
        let split = |line| {
            let is_list = elements(line).all(begins);
            elements(line).filter(move |_| is_list).chain(Some(line).filter(|_| !is_list))
        };
        agreed("authorization", self.values("authorization").flat_map(split), |a, b| a == b)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|field| (self.text(field.name), self.text(field.value)))
    }

    pub(crate) fn keep_alive(&self, version_minor: u8) -> bool {
        version_minor == 1 && !self.items("connection").any(|option| option.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Storage it takes, used or not.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity().saturating_add(self.list.capacity().saturating_mul(size_of::<Field>()))
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.text.clear();
        self.text.shrink_to(KEEP_BYTES);
    }
}

/// The elements of a list, without blanks around; a comma in a quoted string divides nothing. A value without any is its
/// own element, so that an empty field is there.
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let divides = move |c: char| {
        let escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' => is_escaped = is_quoted && !escaped,
            '"' if !escaped => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    };
    let is_empty = value.bytes().all(|byte| matches!(byte, b',' | b' ' | b'\t'));
    let all = value.split(divides).map(|element| element.trim_matches([' ', '\t']));
    all.filter(|element| !element.is_empty()).chain(is_empty.then_some(""))
}

/// The one value of all.
fn agreed<'a>(
    name: &str,
    values: impl Iterator<Item = &'a str>,
    same: impl Fn(&str, &str) -> bool,
) -> Result<Option<&'a str>, Fault> {
    let mut first = None;
    for value in values {
        match first {
            None => first = Some(value),
            Some(first) if same(first, value) => {}
            Some(_) => {
                let detail = format!("the header field `{name}` comes with different values");
                return Err(Fault::peer(Code::BadHead, detail));
            }
        }
    }
    Ok(first)
}

#[derive(Clone, Copy)]
pub(crate) struct Field {
    name: Span,
    value: Span,
}

impl Field {
    pub(crate) fn of(text: &str, header: &httparse::Header<'_>) -> Self {
        Self { name: Span::of(text, header.name.as_bytes()), value: Span::of(text, header.value) }
    }
}

/// A range of the head's text.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Where `part`, a slice of `text`, lies in it. An empty part may lie anywhere.
    pub(crate) fn of(text: &str, part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        Self { start, end: start.saturating_add(part.len()) }
    }

    fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

/// Looks for the blank line that ends a head, going on where the last search stopped; gives the length of
/// the head with that line.
///
/// # Errors
/// `HeadTooLarge` when there is none within `bytes_max`, `BadHead` for a line that does not end with CRLF.
pub(crate) fn find_end(recv: &mut RecvBuf, bytes_max: usize) -> Result<Option<usize>, Fault> {
    let mut from = recv.scanned();
    let bytes = recv.as_slice();
    let window = bytes.get(..bytes_max).unwrap_or(bytes);
    while let Some(at) = window.get(from..).and_then(|rest| position(rest, [b'\n'])) {
        let newline = from.saturating_add(at);
        from = newline.saturating_add(1);
        let before = window.get(..newline).unwrap_or_default();
        if before.ends_with(b"\r\n\r") {
            return Ok(Some(from));
        }
        if !before.ends_with(b"\r") {
            return Err(Fault::peer(Code::BadHead, "line of a head ends without a carriage return"));
        }
    }
    if bytes.len() > bytes_max {
        return Err(Fault::peer(Code::HeadTooLarge, format!("head of more than {bytes_max} bytes")));
    }
    recv.set_scanned(recv.len());
    Ok(None)
}

/// Copies a head as text. What is not UTF-8 is taken for ISO-8859-1, the historical meaning (RFC 9110 §5.5).
pub(crate) fn load(text: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.extend(bytes.iter().map(|&byte| char::from(byte))),
    }
}

/// Accepts a parse that took the whole text.
pub(crate) fn complete(outcome: httparse::Result<usize>, text: &str) -> Result<(), Fault> {
    use httparse::Error;
    match outcome {
        Ok(httparse::Status::Complete(len)) if len == text.len() => Ok(()),
        Ok(_) => Err(Fault::peer(Code::BadHead, "head ends early")),
        Err(Error::Version) => {
            Err(Fault::peer(Code::BadHttpVersion, "version other than HTTP/1.0 and HTTP/1.1"))
        }
        Err(Error::TooManyHeaders) => Err(Fault::peer(Code::HeadTooLarge, "too many header fields")),
        Err(Error::HeaderName) => Err(Fault::peer(Code::BadHead, "invalid header field name")),
        Err(Error::HeaderValue) => Err(Fault::peer(Code::BadHead, "invalid header field value")),
        Err(Error::NewLine) => Err(Fault::peer(Code::BadHead, "invalid line end")),
        Err(Error::Status) => Err(Fault::peer(Code::BadHead, "invalid status")),
        Err(Error::Token) => Err(Fault::peer(Code::BadHead, "invalid start line")),
    }
}
