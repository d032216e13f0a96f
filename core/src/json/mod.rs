//! JSON as byte ranges: validated once, never parsed into a tree, changed only by splicing.
//!
//! | module | purpose |
//! |---|---|
//! | [`scan`] | strict, non-recursive syntax check, and skipping over values already checked |
//! | [`envelope`] | which JSON-RPC members a message has and where their bytes are |
//! | [`pieces`] | a message as slices that together are its text, after replacing an id or a token |
//!
//! Invariants: a payload leaves byte for byte as it came (numbers keep their spelling, unknown members stay);
//! nesting is bounded before a message is forwarded; a member that decides something may not occur twice, since
//! peers disagree which one counts. Deliberately absent: a `Value`, and any interpretation of schemas.
#![warn(clippy::arithmetic_side_effects)]

pub mod envelope;
pub mod number;
pub mod pieces;
pub mod salvage;
pub mod scan;

pub(crate) use envelope::refuse_look_alike;
pub use envelope::{Envelope, Kind};
pub use number::{integer, is_same_id};
pub use pieces::{Decimal, Pieces, Raw};
pub use salvage::Salvage;
pub use scan::{Span, elements, member, members, unquote};

/// A Rust string as JSON text, with quotes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{2028}' || c == '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_makes_valid_json() {
        for text in ["", "plain", "q\"b\\s\n\r\t\u{1}\u{2028}é😀"] {
            let quoted = quote(text);
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
            assert_eq!(unquote(quoted.as_bytes()).as_deref(), Some(text));
        }
    }
}
