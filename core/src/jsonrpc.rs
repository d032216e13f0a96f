//! Messages of our own in the frame of JSON-RPC 2.0.
//!
//! Ids, results and parameters are given as raw JSON. Answers are pieces around what is there already, so that a payload
//! is copied once, into the queue of its connection.

use crate::fault::Fault;
use crate::json::{Pieces, quote};

/// The id of an error for a request whose id could not be read (JSON-RPC 2.0 §5).
pub(crate) const NO_ID: &[u8] = b"null";

/// The answer to a request.
pub(crate) fn result<'a>(id: &'a [u8], result: &'a [u8]) -> Pieces<'a> {
    Pieces::of(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":", result, b"}"])
}

/// The answer to a request whose outcome is there as a member: `"result":…` or `"error":…`.
pub(crate) fn answer<'a>(id: &'a [u8], outcome: &'a [u8]) -> Pieces<'a> {
    Pieces::of(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",", outcome, b"}"])
}

/// The error that a fault is to a request.
pub(crate) fn error(id: &[u8], fault: &Fault) -> String {
    let id = std::str::from_utf8(id).unwrap_or("null");
    let (code, message) = (fault.code.json_rpc(), quote(&fault.detail));
    let data = fault.code.data().map(|data| format!(",\"data\":{}", quote(data))).unwrap_or_default();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":{message}{data}}}}}")
}

/// A request; `method` is a JSON string. Without parameters there is no `params`.
pub(crate) fn request(id: &[u8], method: &[u8], params: &[u8]) -> Vec<u8> {
    let params: [&[u8]; 2] = if params.is_empty() { [b"", b""] } else { [b",\"params\":", params] };
    let parts: [&[u8]; 7] =
        [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"method\":", method, params[0], params[1], b"}"];
    parts.concat()
}

/// A notification. Without parameters there is no `params`.
pub(crate) fn notification(method: &str, params: &str) -> String {
    let (separator, method) = (if params.is_empty() { "" } else { ",\"params\":" }, quote(method));
    format!("{{\"jsonrpc\":\"2.0\",\"method\":{method}{separator}{params}}}")
}

/// `notifications/cancelled` (2025-11-25 basic/utilities/cancellation).
pub(crate) fn cancelled(id: u32, reason: Option<&str>) -> String {
    let reason = reason.map_or_else(String::new, |reason| format!(",\"reason\":{}", quote(reason)));
    notification("notifications/cancelled", &format!("{{\"requestId\":{id}{reason}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Code;

    #[test]
    fn every_frame_is_one_json_object_with_its_members() {
        let whole = |pieces: Pieces<'_>| {
            let mut text = Vec::new();
            pieces.write(&mut text);
            text
        };
        let fault = Fault::peer(Code::InvalidParams, "no \"such\" tool");
        let frames: [(Vec<u8>, &str); 8] = [
            (whole(result(b"1", b"{}")), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            (whole(answer(b"\"a\"", b"\"error\":{}")), r#"{"jsonrpc":"2.0","id":"a","error":{}}"#),
            (
                error(b"7", &fault).into_bytes(),
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no \"such\" tool"}}"#,
            ),
            (request(b"2", b"\"ping\"", b""), r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#),
            (
                request(b"2", b"\"x\"", b"{\"a\":1}"),
                r#"{"jsonrpc":"2.0","id":2,"method":"x","params":{"a":1}}"#,
            ),
            (notification("n", "").into_bytes(), r#"{"jsonrpc":"2.0","method":"n"}"#),
            (
                cancelled(3, None).into_bytes(),
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#,
            ),
            (
                cancelled(3, Some("a\nb")).into_bytes(),
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3,"reason":"a\nb"}}"#,
            ),
        ];
        for (frame, expected) in frames {
            assert_eq!(String::from_utf8(frame).unwrap(), expected);
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok());
        }
    }
}
