//! `application/x-www-form-urlencoded`: what queries and form posts are made of (WHATWG URL §5).
//!
//! Invariants: a text with a broken escape, or with one that is no UTF-8, is refused as a whole rather than
//! repaired; at most [`FIELDS_MAX`] fields are read.
//! Deliberately absent: what a repeated name means (each caller has its own rule), character sets other than
//! UTF-8.

use crate::url::percent;

use std::fmt;

/// Reads the pairs of a form in their order; a name without `=` has an empty value.
///
/// # Errors
/// An escape that is none, bytes that are no UTF-8, or more than [`FIELDS_MAX`] fields.
pub(crate) fn parse_form(text: &str) -> Result<Vec<(String, String)>, FormError> {
    let mut fields = Vec::new();
    for field in text.split('&').filter(|field| !field.is_empty()) {
        if fields.len() >= FIELDS_MAX {
            return Err(FormError::TooManyFields);
        }
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        fields.push((decode(name)?, decode(value)?));
    }
    Ok(fields)
}

/// Reads one name or value of a form. `None` if it cannot be one.
pub(crate) fn decode_component(text: &str) -> Option<String> {
    decode(text).ok()
}

/// Why a text is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormError {
    /// A `%` without two hexadecimal digits behind it.
    BadEscape,
    /// What the escapes stand for is no UTF-8.
    BadText,
    /// More than [`FIELDS_MAX`].
    TooManyFields,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadEscape => "expected two hexadecimal digits after each % of the form",
            Self::BadText => "expected UTF-8 behind the escapes of the form",
            Self::TooManyFields => "expected at most 100 fields in the form",
        })
    }
}

impl std::error::Error for FormError {}

fn decode(text: &str) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.push(percent::escaped_byte(after).ok_or(FormError::BadEscape)?);
                rest = after.get(2..).unwrap_or_default();
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| FormError::BadText)
}

/// Far more than any request of OAuth has.
pub(crate) const FIELDS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::percent::encode_component;

    #[test]
    fn forms_are_read_pair_by_pair() {
        let table: [(&str, &[(&str, &str)]); 8] = [
            ("", &[]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("a=1&a=2", &[("a", "1"), ("a", "2")]),
            ("a&b=&=c&&", &[("a", ""), ("b", ""), ("", "c")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a+b=c%20d%2Be", &[("a b", "c d+e")]),
            ("%c3%A4=%26%3D%00", &[("ä", "&=\0")]),
            ("ä=ö", &[("ä", "ö")]),
        ];
        for (text, expected) in table {
            let fields = parse_form(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(fields, expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_in_one_way_only_is_refused() {
        let table = [
            ("a=%", FormError::BadEscape),
            ("a=%2", FormError::BadEscape),
            ("a=%zz", FormError::BadEscape),
            ("a=%+1", FormError::BadEscape),
            ("a=%%41", FormError::BadEscape),
            ("a=%ü", FormError::BadEscape),
            ("%ff=a", FormError::BadText),
            ("a=%c3", FormError::BadText),
            ("a=%ed%a0%80", FormError::BadText),
            ("a=%c0%af", FormError::BadText),
        ];
        for (text, error) in table {
            assert_eq!(parse_form(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        assert_eq!(parse_form(&"a=b&".repeat(FIELDS_MAX)).map(|fields| fields.len()), Ok(FIELDS_MAX));
        assert_eq!(parse_form(&"a=b&".repeat(FIELDS_MAX + 1)), Err(FormError::TooManyFields));
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        assert_eq!(encode_component("a-Z_0.~ +&=%/ä"), "a-Z_0.~%20%2B%26%3D%25%2F%C3%A4");
        for text in ["", "a b", "100%", "\r\n\0\u{7f}", "\u{202e}\u{1f600}", "<a href='\"'>&;=+"] {
            let encoded = encode_component(text);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()), "{encoded}");
            assert_eq!(parse_form(&format!("k={encoded}")), Ok(vec![("k".to_owned(), text.to_owned())]));
        }
    }
}
