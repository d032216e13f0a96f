//! Makes values harmless for the place they stand in.
//!
//! Each place has its filter; which one a value gets is decided when the template is loaded. The filters end in one
//! of three formatters, so no value can go out as it came in: [`html`] for text and quoted attributes, [`js`] within a
//! string of a script, [`js_value`] where a script expects a value.
//!
//! Invariants: what `html` writes has none of `<`, `>`, `"`, `'` and no `&` that is not ours; what `js` writes has in
//! addition no backslash that is not ours and no line end, and is the same text to JavaScript and to JSON. A URL whose
//! scheme is not welcome becomes `#`.

use std::borrow::Cow;
use std::fmt::Write;
use upon::{Value, fmt};

/// The text of a value; nothing for what is not there.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::None | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            Cow::Borrowed("")
        }
    }
}

/// Whether a value counts as true in a condition.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Bool(flag) => *flag,
        Value::None | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => false,
    }
}

/// Whether two values are the same; something missing is the empty text and also `false`.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Bool(_), _) | (_, Value::Bool(_)) => truth(left) == truth(right),
        _ => text(left) == text(right),
    }
}

/// Writes for text and for attributes in quotes of either kind.
pub(super) fn html(out: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    for c in text(value).chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&#34;")?,
            '\'' => out.write_str("&#39;")?,
            '\0' => out.write_char('\u{fffd}')?,
            _ => out.write_char(c)?,
        }
    }
    Ok(())
}

/// Writes within a string of a script.
pub(super) fn js(out: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    for c in text(value).chars() {
        let plain = match c {
            '\u{feff}' | '\u{2028}' | '\u{2029}' => false,
            _ if c.is_ascii() => c.is_ascii_alphanumeric() || " -_.,:;?#%()[]{}".contains(c),
            _ => !c.is_control(),
        };
        if plain {
            out.write_char(c)?;
        } else {
            write!(out, "\\u{:04x}", u32::from(c))?;
        }
    }
    Ok(())
}

/// Writes a whole value of a script: a flag, or a string in its quotes.
pub(super) fn js_value(out: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    if let Value::Bool(flag) = value {
        return Ok(write!(out, "{flag}")?);
    }
    out.write_char('"')?;
    js(out, value)?;
    Ok(out.write_char('"')?)
}

/// A URL from anywhere: relative, or of the web.
pub(super) fn link(value: &Value) -> String {
    admit(&text(value), |scheme| matches!(scheme, "http" | "https" | "mailto"))
}

/// A URL the server has checked: any scheme but those that show or run what they contain.
pub(super) fn checked_link(value: &Value) -> String {
    admit(&text(value), |scheme| {
        !matches!(
            scheme,
            "javascript"
                | "data"
                | "vbscript"
                | "file"
                | "blob"
                | "filesystem"
                | "about"
                | "view-source"
                | "jar"
        )
    })
}

/// A part of a URL of the template: everything that could end the part is encoded.
pub(super) fn part(value: &Value) -> String {
    let value = text(value);
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_encoded(&mut out, byte);
        }
    }
    out
}

/// Lets a URL pass if it is relative or has a welcome scheme.
///
/// Browsers drop blanks around a URL and line ends within before they look at the scheme. Here the former are dropped
/// too, and the latter are encoded, which makes the scheme an unknown one.
fn admit(url: &str, welcome: impl Fn(&str) -> bool) -> String {
    let url = url.trim_matches(|c: char| c <= ' ');
    let end = url.find([':', '/', '?', '#']).unwrap_or(url.len());
    let (scheme, rest) = url.split_at_checked(end).unwrap_or_default();
    if rest.starts_with(':') {
        let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !starts_well || !is_scheme || !welcome(&scheme.to_ascii_lowercase()) {
            return "#".to_owned();
        }
    }
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        match u8::try_from(c) {
            Ok(byte) if byte <= b' ' || byte == 0x7f => push_encoded(&mut out, byte),
            Ok(_) | Err(_) => out.push(c),
        }
    }
    out
}

fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push('%');
    for digit in [byte >> 4, byte & 0x0f] {
        out.extend(DIGITS.get(usize::from(digit)));
    }
}
