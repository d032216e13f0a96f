//! A message on its way out: a few slices that together are its text.
//!
//! Replacing an id, a name or a progress token cuts the text around the old bytes and puts the new ones
//! between, so a payload of any size is copied once, from the frame it came in to the queue it leaves by.
//! Invariant: when `newlines` is false, no slice holds a raw CR or LF; when it is true, they stand between
//! tokens only and the writer turns them into blanks, which keeps length and meaning.

use super::scan::Span;

/// Most slices a message can have: four replacements.
const SLICES: usize = 9;

/// The slices of one message.
#[derive(Debug, Clone, Copy)]
pub struct Pieces<'a> {
    parts: [&'a [u8]; SLICES],
    count: usize,
    newlines: bool,
}

impl<'a> Pieces<'a> {
    /// A message from slices of our own making: valid JSON without raw newlines. At most nine count.
    pub fn of(slices: &[&'a [u8]]) -> Self {
        let mut parts: [&[u8]; SLICES] = [&[]; SLICES];
        for (part, slice) in parts.iter_mut().zip(slices) {
            *part = slice;
        }
        debug_assert!(slices.len() <= SLICES, "a message has at most {SLICES} slices");
        Self { parts, count: slices.len().min(SLICES), newlines: false }
    }

    /// `text` with some ranges replaced. The ranges lie inside and do not overlap; at most four.
    pub fn replace(text: &'a [u8], newlines: bool, cuts: &mut [(Span, &'a [u8])]) -> Self {
        cuts.sort_unstable_by_key(|(span, _)| span.start);
        Self::splice(text, newlines, cuts)
    }

    /// The same, for ranges that come in order.
    pub fn splice(text: &'a [u8], newlines: bool, cuts: &[(Span, &'a [u8])]) -> Self {
        let mut pieces = Self { parts: [&[]; SLICES], count: 0, newlines };
        let mut from = 0;
        for (span, new) in cuts {
            debug_assert!(from <= span.start && span.end <= text.len(), "cuts come in order");
            pieces.add(text.get(from..span.start).unwrap_or_default());
            pieces.add(new);
            from = span.end;
        }
        pieces.add(text.get(from..).unwrap_or_default());
        pieces
    }

    fn add(&mut self, slice: &'a [u8]) {
        debug_assert!(self.count < SLICES, "a message has at most {SLICES} slices");
        if let Some(part) = self.parts.get_mut(self.count) {
            *part = slice;
            self.count = self.count.saturating_add(1);
        }
    }

    /// The slices.
    pub fn parts(&self) -> &[&'a [u8]] {
        self.parts.get(..self.count).unwrap_or_default()
    }

    /// Length of the whole text.
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).fold(0, usize::saturating_add)
    }

    /// True when there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the text as one line (without a line end), raw newlines turned into blanks.
    pub fn write(&self, out: &mut Vec<u8>) {
        let from = out.len();
        out.reserve(self.len());
        for part in self.parts() {
            out.extend_from_slice(part);
        }
        if self.newlines {
            for byte in out.get_mut(from..).unwrap_or_default() {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
        }
        debug_assert!(
            !out.get(from..).unwrap_or_default().iter().any(|b| matches!(b, b'\r' | b'\n')),
            "a message is one line"
        );
    }
}

/// A short run of raw JSON, such as an id: on the stack up to 30 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(Storage);

#[derive(Clone, PartialEq, Eq)]
enum Storage {
    Short(u8, [u8; 30]),
    Long(Box<[u8]>),
}

impl Raw {
    /// Copies the bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut short = [0; 30];
        match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self(Storage::Short(bytes.len() as u8, short))
            }
            None => Self(Storage::Long(bytes.into())),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Storage::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Storage::Long(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// An unsigned number in decimal, without an allocation.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// Writes the number down.
    pub fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        for place in digits.iter_mut().rev() {
            *place = b'0'.saturating_add((number % 10) as u8);
            number /= 10;
            start = start.saturating_sub(1);
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }

    /// Its digits.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }

    /// Reads digits back; `None` for anything else, a leading zero or more than 19 digits.
    pub fn parse(digits: &[u8]) -> Option<u64> {
        if digits.is_empty() || digits.len() > 19 || (digits.len() > 1 && digits.first() == Some(&b'0')) {
            return None;
        }
        digits.iter().try_fold(0u64, |number, digit| {
            let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
            number.checked_mul(10)?.checked_add(u64::from(digit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splicing_replaces_only_what_was_asked() {
        let text = br#"{"id":1,"params":{"t":"x"}}"#;
        let cuts = [(Span { start: 6, end: 7 }, b"4711".as_slice()), (Span { start: 22, end: 25 }, b"99")];
        let mut out = Vec::new();
        let pieces = Pieces::splice(text, false, &cuts);
        pieces.write(&mut out);
        assert_eq!(out, br#"{"id":4711,"params":{"t":99}}"#);
        assert_eq!(pieces.len(), out.len());
    }

    #[test]
    fn raw_newlines_become_blanks_of_the_same_length() {
        let text = b"{\r\n \"id\": 1\n}";
        let mut out = Vec::new();
        Pieces::splice(text, true, &[]).write(&mut out);
        assert_eq!(out, b"{   \"id\": 1 }");
    }

    #[test]
    fn decimals_read_back() {
        for n in [0, 7, 10, 4711, (1 << 52) - 1, u64::MAX] {
            assert_eq!(Decimal::new(n).as_bytes(), n.to_string().as_bytes());
        }
        assert_eq!(Decimal::parse(b"4711"), Some(4711));
        for bad in [b"".as_slice(), b"-1", b"1.0", b"01", b"1e3", b"99999999999999999999", b"\"1\""] {
            assert_eq!(Decimal::parse(bad), None);
        }
    }

    #[test]
    fn raw_keeps_bytes_short_and_long() {
        for len in [0, 1, 30, 31, 1000] {
            let bytes = vec![b'x'; len];
            assert_eq!(Raw::new(&bytes).as_bytes(), bytes);
        }
    }
}
