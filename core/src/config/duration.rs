//! Durations as Go writes them: `30s`, `1m30s`, `500ms`, `1.5h`.
//!
//! Deliberately absent: negative durations, which mean nothing where we read one.

use super::fields::{At, Fields};
use super::notice::Report;
use super::tree::Value;

/// A field in milliseconds: `"30s"`, or a number: of nanoseconds, as the original has it, if it is large, else of
/// seconds. Zero is none.
pub(super) fn read_ms(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<At<u64>> {
    read_ms_or_zero(report, fields, key).filter(|ms| ms.value > 0)
}

/// The same, where zero means something.
pub(super) fn read_ms_or_zero(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<At<u64>> {
    let node = fields.node(report, key)?;
    let at = node.span.start;
    let name = fields.name_of(key);
    let ns = if let Value::String(text) = &node.value {
        parse_ns(text.trim())
    } else {
        let value = fields.integer(report, key)?.value;
        let ns = u128::try_from(value).ok();
        if value >= NUMBER_NS_MIN {
            report.warn(at, format!("`{name}` is read as nanoseconds, better write a text such as \"30s\""));
            ns
        } else {
            if value > 0 {
                report.warn(at, format!("`{name}` is read as {value} seconds, better write \"{value}s\""));
            }
            ns.and_then(|seconds| seconds.checked_mul(1_000_000_000))
        }
    };
    // Rounded up, so that a very short time does not become none.
    let ms = ns.and_then(|ns| u64::try_from(ns.div_ceil(1_000_000)).ok());
    if ms.is_none() {
        report.error(at, format!("`{name}`: expected a duration such as \"30s\", \"1m30s\" or \"500ms\""));
    }
    ms.map(|value| At { at, value })
}

/// The same in the file of a client, without a remark: some count seconds there, others milliseconds. From 1000 on it
/// is taken for milliseconds.
pub(super) fn read_client_ms(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<At<u64>> {
    let node = fields.node(report, key)?;
    let Value::Number(number) = &node.value else { return read_ms(report, fields, key) };
    let Some(value) = number.as_u64() else { return read_ms(report, fields, key) };
    let value = if value < CLIENT_MS_MIN { value.saturating_mul(1000) } else { value };
    Some(At { at: node.span.start, value }).filter(|ms| ms.value > 0)
}

/// Nanoseconds of a text that Go's `time.ParseDuration` would take; `None` for any other, and for negative
/// ones.
pub(super) fn parse_ns(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, tail) = split_digits(rest)?;
        let (fraction, tail) = match tail.strip_prefix('.') {
            Some(tail) => split_digits(tail)?,
            None => ("", tail),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let unit = unit_ns(unit)?;
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction_ns(fraction, unit)?)?;
        rest = tail;
    }
    Some(total)
}

fn split_digits(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// The digits after the point, of which more than 18 make no difference to a nanosecond of an hour.
fn fraction_ns(digits: &str, unit: u128) -> Option<u128> {
    let digits = digits.get(..18).unwrap_or(digits);
    if digits.is_empty() {
        return Some(0);
    }
    let scale = 10u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    digits.parse::<u128>().ok()?.checked_mul(unit)?.checked_div(scale)
}

fn unit_ns(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The smallest number that is taken for nanoseconds: a millisecond, or eleven days of seconds.
const NUMBER_NS_MIN: i64 = 1_000_000;

/// The smallest number that is taken for milliseconds in the file of a client: a second, or a quarter of an hour.
const CLIENT_MS_MIN: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        const S: u128 = 1_000_000_000;
        let table = [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30s", Some(30 * S)),
            ("1m30s", Some(90 * S)),
            ("500ms", Some(S / 2)),
            ("1.5h", Some(5400 * S)),
            (".5s", Some(S / 2)),
            ("1.s", Some(S)),
            ("+5s", Some(5 * S)),
            ("10µs", Some(10_000)),
            ("10μs", Some(10_000)),
            ("7ns", Some(7)),
            ("0.3333333333333333333h", Some(1_199_999_999_999)),
            ("", None),
            ("30", None),
            ("-5s", None),
            (".s", None),
            ("s", None),
            ("1d", None),
            ("1 s", None),
            ("3s4", None),
            ("1S", None),
            ("99999999999999999999999999999999999999h", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_ns(text), expected, "{text}");
        }
    }
}
