//! Incremental server-sent-events parser.

use memchr::memchr;

#[derive(Default)]
pub struct SseParser {
    buf: Vec<u8>,
    /// Start of the first unread line in `buf`.
    start: usize,
    /// Where to go on looking for the end of that line.
    scan: usize,
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
}

impl SseParser {
    pub fn new() -> SseParser {
        SseParser::default()
    }

    /// The buffer to which decoded stream bytes are appended.
    pub fn input(&mut self) -> &mut Vec<u8> {
        if self.start > 0 && self.start == self.buf.len() {
            self.buf.clear();
            self.start = 0;
            self.scan = 0;
        }
        &mut self.buf
    }

    pub fn clear(&mut self) {
        *self = SseParser { buf: std::mem::take(&mut self.buf), ..SseParser::default() };
        self.buf.clear();
    }

    /// The next complete event as `(name, data)`; an unnamed event is "message".
    pub fn next_event(&mut self) -> Option<(String, Vec<u8>)> {
        loop {
            let Some(i) = memchr(b'\n', &self.buf[self.scan..]) else {
                self.scan = self.buf.len();
                if self.start > 1 << 20 {
                    self.buf.drain(..self.start);
                    self.scan -= self.start;
                    self.start = 0;
                }
                return None;
            };
            let end = self.scan + i;
            let mut line = &self.buf[self.start..end];
            if line.last() == Some(&b'\r') {
                line = &line[..line.len() - 1];
            }
            self.start = end + 1;
            self.scan = end + 1;
            if line.is_empty() {
                let name = std::mem::take(&mut self.event);
                let data = std::mem::take(&mut self.data);
                if std::mem::take(&mut self.has_data) {
                    let name = if name.is_empty() {
                        "message".into()
                    } else {
                        String::from_utf8_lossy(&name).into_owned()
                    };
                    return Some((name, data));
                }
            } else if let Some(v) = line.strip_prefix(b"data:") {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(v.strip_prefix(b" ").unwrap_or(v));
                self.has_data = true;
            } else if let Some(v) = line.strip_prefix(b"event:") {
                self.event = v.strip_prefix(b" ").unwrap_or(v).to_vec();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_pieces() {
        let wire = b": hi\r\n\r\nevent: endpoint\r\ndata: /m?x=1\r\n\r\nid: 7\ndata: {\"a\":1}\n\ndata: a\ndata: b\n\n";
        for cut in 0..wire.len() {
            let mut p = SseParser::new();
            let mut got = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                p.input().extend_from_slice(part);
                while let Some(e) = p.next_event() {
                    got.push(e);
                }
            }
            assert_eq!(
                got,
                vec![
                    ("endpoint".to_string(), b"/m?x=1".to_vec()),
                    ("message".to_string(), b"{\"a\":1}".to_vec()),
                    ("message".to_string(), b"a\nb".to_vec()),
                ]
            );
        }
    }
}
