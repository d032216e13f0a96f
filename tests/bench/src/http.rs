//! HTTP/1.1 message heads and bodies, for both the server and the client side.

use memchr::memchr;

/// Length of the message head including the blank line, if it is complete.
pub fn head_len(buf: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(i) = memchr(b'\n', &buf[from..]) {
        let nl = from + i;
        if nl >= 3 && &buf[nl - 3..=nl] == b"\r\n\r\n" {
            return Some(nl + 1);
        }
        from = nl + 1;
    }
    None
}

/// The parts of a head that the benchmark programs look at.
#[derive(Default, Debug)]
pub struct Head {
    /// Request: method and target. Response: empty.
    pub method: String,
    pub target: String,
    /// Response status; 0 for a request.
    pub status: u16,
    pub content_length: Option<usize>,
    pub chunked: bool,
    pub close: bool,
    pub event_stream: bool,
    pub session: Option<String>,
    pub protocol_version: Option<String>,
}

/// Parses `buf`, which must hold a complete head (see [`head_len`]).
pub fn parse_head(buf: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(buf).ok()?;
    let mut lines = text.split("\r\n");
    let first = lines.next()?;
    let mut head = Head::default();
    if let Some(rest) = first.strip_prefix("HTTP/1.") {
        head.status = rest.get(2..5)?.parse().ok()?;
        head.close = rest.starts_with('0');
    } else {
        let mut it = first.split(' ');
        head.method = it.next()?.to_string();
        head.target = it.next()?.to_string();
        head.close = it.next()? == "HTTP/1.0";
    }
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        // Compare by length first: most headers are of no interest here.
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                if value.eq_ignore_ascii_case("close") {
                    head.close = true;
                } else if value.eq_ignore_ascii_case("keep-alive") {
                    head.close = false;
                }
            }
            12 if name.eq_ignore_ascii_case("content-type") => {
                head.event_stream =
                    value.get(..17).is_some_and(|v| v.eq_ignore_ascii_case("text/event-stream"));
            }
            14 if name.eq_ignore_ascii_case("content-length") => head.content_length = value.parse().ok(),
            14 if name.eq_ignore_ascii_case("mcp-session-id") => head.session = Some(value.to_string()),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                head.chunked = value.to_ascii_lowercase().contains("chunked");
            }
            20 if name.eq_ignore_ascii_case("mcp-protocol-version") => {
                head.protocol_version = Some(value.to_string());
            }
            _ => {}
        }
    }
    Some(head)
}

/// Incremental body decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Body {
    Length(usize),
    /// Reading a chunk-size line.
    ChunkSize,
    /// Reading chunk data; the count includes the trailing CRLF.
    ChunkData(usize),
    /// Reading trailers up to the blank line.
    Trailers,
    UntilClose,
    Done,
}

impl Body {
    pub fn of_request(head: &Head) -> Body {
        if head.chunked { Body::ChunkSize } else { Body::with_length(head.content_length.unwrap_or(0)) }
    }

    pub fn of_response(head: &Head) -> Body {
        if head.status == 204 || head.status == 304 || head.status / 100 == 1 {
            Body::Done
        } else if head.chunked {
            Body::ChunkSize
        } else if let Some(n) = head.content_length {
            Body::with_length(n)
        } else {
            Body::UntilClose
        }
    }

    fn with_length(n: usize) -> Body {
        if n == 0 { Body::Done } else { Body::Length(n) }
    }

    /// Decodes as much of `input` as possible into `out`; returns the number of
    /// input bytes used, or `None` on malformed chunking.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match *self {
                Body::Done => return Some(used),
                Body::UntilClose => {
                    out.extend_from_slice(rest);
                    return Some(input.len());
                }
                Body::Length(n) => {
                    let take = n.min(rest.len());
                    out.extend_from_slice(&rest[..take]);
                    used += take;
                    *self = Body::with_length(n - take);
                    if take < n {
                        return Some(used);
                    }
                }
                Body::ChunkSize => {
                    let Some(nl) = memchr(b'\n', rest) else { return Some(used) };
                    let line = std::str::from_utf8(&rest[..nl]).ok()?.trim();
                    let size = line.split(';').next()?.trim();
                    let n = usize::from_str_radix(size, 16).ok()?;
                    used += nl + 1;
                    *self = if n == 0 { Body::Trailers } else { Body::ChunkData(n + 2) };
                }
                Body::ChunkData(n) => {
                    if rest.is_empty() {
                        return Some(used);
                    }
                    let take = n.min(rest.len());
                    // The last two bytes of the count are the chunk's CRLF.
                    let data = take.min(n.saturating_sub(2));
                    out.extend_from_slice(&rest[..data]);
                    used += take;
                    *self = if take == n { Body::ChunkSize } else { Body::ChunkData(n - take) };
                }
                Body::Trailers => {
                    let Some(nl) = memchr(b'\n', rest) else { return Some(used) };
                    used += nl + 1;
                    if rest[..nl].iter().all(|b| *b == b'\r') {
                        *self = Body::Done;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_body_split_at_every_byte() {
        let wire = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\nNEXT";
        for cut in 0..wire.len() {
            let mut body = Body::ChunkSize;
            let mut out = Vec::new();
            let mut buf = wire[..cut].to_vec();
            let used = body.feed(&buf, &mut out).unwrap();
            buf.drain(..used);
            buf.extend_from_slice(&wire[cut..]);
            let used = body.feed(&buf, &mut out).unwrap();
            assert_eq!(body, Body::Done);
            assert_eq!(out, b"hello world");
            assert_eq!(&buf[used..], b"NEXT");
        }
    }

    #[test]
    fn heads() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: abc\r\nTransfer-Encoding: chunked\r\n\r\nrest";
        let n = head_len(raw).unwrap();
        assert_eq!(&raw[n..], b"rest");
        let head = parse_head(&raw[..n]).unwrap();
        assert!(head.event_stream && head.chunked && !head.close);
        assert_eq!((head.status, head.session.as_deref()), (200, Some("abc")));
        let head =
            parse_head(b"POST /mcp HTTP/1.1\r\nconnection: close\r\ncontent-length: 12\r\n\r\n").unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("POST", "/mcp"));
        assert!(head.close && head.content_length == Some(12));
    }
}
