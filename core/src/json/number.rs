//! Numbers that stand for whole numbers, however they are written.
//!
//! Peers whose numbers are all floating point write `1.0` or `1e0` and mean 1. SDKs of the field read such an id as the
//! integer; so does this.

use super::pieces::Decimal;

/// Whether a JSON number is a whole one, of any size and sign.
pub fn is_integer(raw: &[u8]) -> bool {
    let Some(number) = Number::parse(raw.strip_prefix(b"-").unwrap_or(raw)) else { return false };
    let mut digits = number.digits().rev();
    let zeros = digits.by_ref().take_while(|digit| *digit == b'0').count();
    // Of nothing but zeros none is left.
    zeros == number.len() || number.scale().saturating_add(zeros as i64) >= 0
}

/// The whole number that a JSON number stands for, if it is not negative and fits.
pub fn integer(raw: &[u8]) -> Option<u64> {
    if let Some(plain) = Decimal::parse(raw) {
        return Some(plain);
    }
    let number = Number::parse(raw)?;
    if number.digits().all(|digit| digit == b'0') {
        return Some(0);
    }
    let scale = number.scale();
    let dropped = usize::try_from(scale.saturating_neg()).unwrap_or(0).min(number.len());
    if number.digits().rev().take(dropped).any(|digit| digit != b'0') {
        return None;
    }
    let kept = number.digits().take(number.len().saturating_sub(dropped));
    let value = kept.into_iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))
    })?;
    value.checked_mul(10u64.checked_pow(u32::try_from(scale.max(0)).ok()?)?)
}

/// Whether two raw ids are the same: the same text, or the same whole number.
pub fn is_same_id(one: &[u8], other: &[u8]) -> bool {
    one == other || integer(one).is_some_and(|number| integer(other) == Some(number))
}

/// A number without a sign, taken apart.
struct Number<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    fn parse(raw: &'a [u8]) -> Option<Self> {
        let at = raw.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match at {
            None => (raw, 0),
            Some(at) => (raw.get(..at)?, exponent(raw.get(at.saturating_add(1)..)?)?),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            None => (mantissa, b"".as_slice()),
            Some(at) => {
                (mantissa.get(..at)?, mantissa.get(at.saturating_add(1)..).filter(|it| !it.is_empty())?)
            }
        };
        let plain = !whole.is_empty() && (whole.len() == 1 || whole.first() != Some(&b'0'));
        let number = Self { whole, fraction, exponent };
        (plain && number.digits().all(|digit| digit.is_ascii_digit())).then_some(number)
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).copied()
    }

    fn len(&self) -> usize {
        self.whole.len().saturating_add(self.fraction.len())
    }

    /// The power of ten that belongs to the digits taken as one whole number.
    fn scale(&self) -> i64 {
        self.exponent.saturating_sub(i64::try_from(self.fraction.len()).unwrap_or(i64::MAX))
    }
}

/// An exponent; one that fits nowhere is as good as endless.
fn exponent(raw: &[u8]) -> Option<i64> {
    const ENDLESS: i64 = i64::MAX / 4;
    let (sign, digits) = match raw.first()? {
        b'-' => (-1, raw.get(1..)?),
        b'+' => (1, raw.get(1..)?),
        _ => (1, raw),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = std::str::from_utf8(digits).ok()?.parse::<i64>().unwrap_or(ENDLESS);
    Some(size.min(ENDLESS).saturating_mul(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let table: [(&str, Option<u64>); 24] = [
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("1e0", Some(1)),
            ("1E+0", Some(1)),
            ("10e-1", Some(1)),
            ("1.50e1", Some(15)),
            ("12.000", Some(12)),
            ("1e3", Some(1_000)),
            ("0.0", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("0.001e3", Some(1)),
            ("18446744073709551615.0", Some(u64::MAX)),
            ("18446744073709551616.0", None),
            ("1e20", None),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
            ("1.5", None),
            ("15e-1", None),
            ("-1.0", None),
            ("1.", None),
            (".1", None),
            ("01.0", None),
            ("1e", None),
            ("x", None),
        ];
        for (raw, value) in table {
            assert_eq!(integer(raw.as_bytes()), value, "{raw}");
        }
    }

    #[test]
    fn a_number_of_any_size_is_whole_or_not() {
        for raw in ["0", "-0.0", "-7", "1e99999999999999999999", "123456789012345678901234567890.0", "0e-7"] {
            assert!(is_integer(raw.as_bytes()), "{raw}");
        }
        for raw in ["1.5", "-1.5", "1e-1", "5e-99999999999999999999", "", "-", "--1", "true"] {
            assert!(!is_integer(raw.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn ids_are_the_same_by_text_or_by_value() {
        assert!(is_same_id(b"\"a\"", b"\"a\"") && is_same_id(b"7", b"7.0") && is_same_id(b"-3", b"-3"));
        assert!(!is_same_id(b"7", b"\"7\"") && !is_same_id(b"7", b"8") && !is_same_id(b"x", b"y"));
    }
}
