//! Writes what leaves: response and request heads, and chunks (RFC 9112 §2–4, §7.1).
//!
//! All functions append to a `Vec<u8>` and allocate nothing else.
//!
//! Invariants: whatever the arguments hold, exactly one head is written. Control characters in values become
//! spaces, a field whose name is no token is left out, and so is one that would speak about framing
//! (`Content-Length`, `Transfer-Encoding`, `Connection`, and `Host` of a request), for those are written here.
//! Deliberately absent: `Date` (there is no clock here), trailers, and chunk extensions.

use std::io::Write;

/// The interim response that lets a client send its body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How the body of a response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There can be none: 204 and 304.
    None,
    /// So many bytes follow. The answer to `HEAD` says the length and leaves the body out.
    Length(usize),
    /// Chunks follow; only for HTTP/1.1 clients.
    Chunked,
    /// Everything until the connection closes; for HTTP/1.0 clients. The caller closes it.
    UntilClose,
}

/// Appends a response head. `close` announces the end of the connection; `UntilClose` implies it.
pub fn encode_response_head(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, &str)],
    body: Body,
    close: bool,
) {
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        push_field(out, name, value);
    }
    match body {
        Body::None | Body::UntilClose => {}
        Body::Length(len) => {
            let _ = write!(out, "Content-Length: {len}\r\n");
        }
        Body::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if close || body == Body::UntilClose {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a request head. `target` is path and query; `body_len` is `None` for a request without a body.
pub fn encode_request_head<'a>(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    host: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body_len: Option<usize>,
) {
    out.extend(method.bytes().filter(|&byte| is_token(byte)));
    out.push(b' ');
    push_target(out, target);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    push_value(out, host);
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if !name.eq_ignore_ascii_case("host") {
            push_field(out, name, value);
        }
    }
    if let Some(len) = body_len {
        let _ = write!(out, "Content-Length: {len}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends what `encode` appends as one chunk, without another copy: the size is written in a fixed width
/// (leading zeros are allowed, RFC 9112 §7.1) and filled in afterwards. Nothing is written when it is empty.
pub fn encode_chunk(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    const SIZE_LINE: usize = 10;
    let start = out.len();
    out.extend_from_slice(b"00000000\r\n");
    encode(out);
    let len = out.len().saturating_sub(start).saturating_sub(SIZE_LINE);
    if len == 0 {
        out.truncate(start);
        return;
    }
    let digits = out.get_mut(start..).unwrap_or_default().iter_mut().take(8);
    for (place, digit) in digits.rev().enumerate() {
        let nibble = (len >> place.saturating_mul(4)) & 0xf;
        *digit = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'0');
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body.
pub fn encode_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    let framing = ["content-length", "transfer-encoding", "connection"];
    let ours = framing.iter().any(|other| name.eq_ignore_ascii_case(other));
    if name.is_empty() || !name.bytes().all(is_token) || ours {
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    push_value(out, value);
    out.extend_from_slice(b"\r\n");
}

fn push_value(out: &mut Vec<u8>, value: &str) {
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }));
}

/// Escapes what would break the request line.
fn push_target(out: &mut Vec<u8>, target: &str) {
    if target.is_empty() {
        out.push(b'/');
    }
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && byte != b'#' {
            out.push(byte);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The phrase for the statuses that are sent here; others go without, which is allowed.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
