//! JSON objects that others wrote: registrations, forms, documents, the store.
//!
//! Invariant: nothing is built of a text that nests deeper than its bound, so neither building nor dropping it recurses
//! far.

use crate::fault::Code;
use crate::json::scan::check;
use serde_json::{Map, Value};
use std::fmt;

/// Why a text is not read.
#[derive(Debug)]
pub(in crate::oauth) enum ObjectError {
    /// It nests deeper than so many levels.
    Deep(usize),
    /// It is no JSON object.
    Json(serde_json::Error),
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deep(depth_max) => write!(f, "it nests too deeply: at most {depth_max} levels are read"),
            Self::Json(_) => f.write_str("it is no JSON object"),
        }
    }
}

/// Reads an object.
///
/// # Errors
/// See [`ObjectError`].
pub(in crate::oauth) fn read_object(
    bytes: &[u8],
    depth_max: usize,
) -> Result<Map<String, Value>, ObjectError> {
    if check(bytes, 0, depth_max).is_err_and(|fault| fault.code == Code::InvalidRequest) {
        return Err(ObjectError::Deep(depth_max));
    }
    serde_json::from_slice(bytes).map_err(ObjectError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{OAUTH_JSON_DEPTH_MAX, STORE_JSON_DEPTH_MAX};

    #[test]
    fn an_object_nests_to_the_bound_and_no_deeper() {
        // FT-511, limit: OAUTH_JSON_DEPTH_MAX, STORE_JSON_DEPTH_MAX
        for max in [OAUTH_JSON_DEPTH_MAX, STORE_JSON_DEPTH_MAX] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
                let levels = |count: usize| {
                    let count = count / open.matches(['[', '{']).count();
                    format!("{{\"x\":{}1{}}}", open.repeat(count), close.repeat(count))
                };
                assert!(read_object(levels(max - 2).as_bytes(), max).is_ok(), "{open} {max}");
                for deeper in [max + 1, max * 10, 200_000] {
                    let read = read_object(levels(deeper).as_bytes(), max);
                    assert!(matches!(read, Err(ObjectError::Deep(_))), "{open} {deeper}");
                }
            }
            let exact = format!("{{\"x\":{}{}}}", "[".repeat(max - 1), "]".repeat(max - 1));
            assert!(read_object(exact.as_bytes(), max).is_ok(), "{max}");
            let over = format!("{{\"x\":{}{}}}", "[".repeat(max), "]".repeat(max));
            assert!(matches!(read_object(over.as_bytes(), max), Err(ObjectError::Deep(_))), "{max}");
            let open = format!("{{\"x\":{}", "[".repeat(1_000_000));
            assert!(matches!(read_object(open.as_bytes(), max), Err(ObjectError::Deep(_))), "{max}");
        }
        for text in ["", "[]", "{", "\"x\"", "{} {}", "{\"a\":\"\u{1}\"}"] {
            assert!(
                matches!(read_object(text.as_bytes(), OAUTH_JSON_DEPTH_MAX), Err(ObjectError::Json(_))),
                "{text}"
            );
        }
    }
}
