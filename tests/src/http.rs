//! A small HTTP/1.1 and SSE reader and writer for the peers of the simulation.
//!
//! Independent of the engine's codecs on purpose, and strict: whatever breaks RFC 9112 is a failure of the run,
//! because only the engine writes what is read here. Left out: trailers, obsolete folding, 1xx other than 100.

/// Start line and headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// First line.
    pub start: String,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a field; the run fails if it occurs twice.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "field {name} twice: {self:?}");
        first
    }

    /// Status of a response.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("a head is ASCII");
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "bare CR or LF in a head: {text:?}");
        let fields = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
                assert!(!name.is_empty() && !name.contains(' '), "bad field name in {line:?}");
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        Self { start, fields }
    }
}

/// What a reader has found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A head.
    Head(Head),
    /// A piece of the body.
    Body(Vec<u8>),
    /// The end of the message.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Sized(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    LastChunk,
    UntilClose,
    Finish,
}

/// Reads one message after the other from a byte stream.
#[derive(Debug)]
pub struct Reader {
    buf: Vec<u8>,
    state: State,
    responses: bool,
}

impl Reader {
    /// A reader of requests.
    pub fn requests() -> Self {
        Self { buf: Vec::new(), state: State::Head, responses: false }
    }

    /// A reader of responses (none of them to HEAD).
    pub fn responses() -> Self {
        Self { buf: Vec::new(), state: State::Head, responses: true }
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Whether nothing has come since the last complete message.
    pub fn is_idle(&self) -> bool {
        self.state == State::Head && self.buf.is_empty()
    }

    /// Tells that no more bytes come: ends a body that runs until the close. False when a message is cut.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Finish;
        }
        self.is_idle() || self.state == State::Finish
    }

    /// The next part, if it is there.
    pub fn part(&mut self) -> Option<Part> {
        loop {
            match self.state {
                State::Head => {
                    let end = find(&self.buf, b"\r\n\r\n")?;
                    let head = Head::parse(&self.buf[..end]);
                    self.buf.drain(..end + 4);
                    if head.start.starts_with("HTTP/1.1 100") {
                        continue;
                    }
                    self.state = self.framing(&head);
                    return Some(Part::Head(head));
                }
                State::Sized(0) | State::Finish => {
                    self.state = State::Head;
                    return Some(Part::End);
                }
                State::Sized(left) => {
                    let piece = self.piece(left)?;
                    self.state = State::Sized(left - piece.len());
                    return Some(Part::Body(piece));
                }
                State::ChunkSize => self.chunk_size()?,
                State::Chunk(left) => {
                    let piece = self.piece(left)?;
                    let left = left - piece.len();
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Some(Part::Body(piece));
                }
                State::ChunkEnd => self.expect_crlf(State::ChunkSize)?,
                State::LastChunk => self.expect_crlf(State::Finish)?,
                State::UntilClose => {
                    let piece = self.piece(usize::MAX)?;
                    return Some(Part::Body(piece));
                }
            }
        }
    }

    fn framing(&self, head: &Head) -> State {
        let (length, coding) = (head.get("content-length"), head.get("transfer-encoding"));
        assert!(length.is_none() || coding.is_none(), "two kinds of framing: {head:?}");
        if self.responses {
            assert!(head.start.starts_with("HTTP/1.1 "), "bad status line {:?}", head.start);
            assert!((200..600).contains(&head.status()), "bad status {:?}", head.start);
        } else {
            assert!(head.start.ends_with(" HTTP/1.1"), "bad request line {:?}", head.start);
            assert!(head.get("host").is_some(), "no host: {head:?}");
        }
        match (length, coding) {
            (Some(length), _) => State::Sized(length.parse().expect("a length is a number")),
            (None, Some(coding)) => {
                assert_eq!(coding, "chunked");
                State::ChunkSize
            }
            (None, None) if !self.responses || matches!(head.status(), 204 | 304) => State::Sized(0),
            (None, None) => State::UntilClose,
        }
    }

    fn chunk_size(&mut self) -> Option<()> {
        let end = find(&self.buf, b"\r\n")?;
        let text = std::str::from_utf8(&self.buf[..end]).expect("a chunk size is ASCII");
        let size = usize::from_str_radix(text, 16).unwrap_or_else(|_| panic!("bad chunk size {text:?}"));
        self.buf.drain(..end + 2);
        self.state = if size == 0 { State::LastChunk } else { State::Chunk(size) };
        Some(())
    }

    fn expect_crlf(&mut self, then: State) -> Option<()> {
        let pair = self.buf.get(..2)?;
        assert_eq!(pair, b"\r\n", "a chunk must end with CR LF");
        self.buf.drain(..2);
        self.state = then;
        Some(())
    }

    fn piece(&mut self, most: usize) -> Option<Vec<u8>> {
        let len = most.min(self.buf.len());
        (len > 0).then(|| self.buf.drain(..len).collect())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// `event:`, empty when absent.
    pub name: String,
    /// `data:` lines joined by LF.
    pub data: String,
    /// `id:`, if this event had one.
    pub id: Option<String>,
    /// `retry:` in milliseconds.
    pub retry: Option<u64>,
}

/// Reads events from the body of an event stream.
#[derive(Debug, Default)]
pub struct SseReader {
    line: Vec<u8>,
    event: SseEvent,
    touched: bool,
    /// How many comment lines have come.
    pub comments: usize,
}

impl SseReader {
    /// Adds bytes and gives the events they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut out = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).expect("an event stream is UTF-8");
            let line = line.strip_suffix('\r').unwrap_or(&line);
            assert!(!line.contains('\r'), "bare CR in an event stream: {line:?}");
            if line.is_empty() {
                if std::mem::take(&mut self.touched) {
                    out.push(std::mem::take(&mut self.event));
                }
            } else {
                self.field(line);
            }
        }
        out
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.comments += 1,
            "event" => self.event.name = value.to_owned(),
            "id" => self.event.id = Some(value.to_owned()),
            "retry" => self.event.retry = Some(value.parse().expect("retry is a number")),
            "data" if self.event.data.is_empty() => self.event.data = value.to_owned(),
            "data" => self.event.data = format!("{}\n{value}", self.event.data),
            other => panic!("unknown field {other:?} in an event stream"),
        }
        self.touched |= !name.is_empty();
    }
}

/// Writes a message with a body of known length. `start` is the first line without its end.
pub fn message(start: &str, fields: &[(&str, &str)], body: &str) -> String {
    let mut out = format!("{start}\r\n");
    for (name, value) in fields {
        out += &format!("{name}: {value}\r\n");
    }
    format!("{out}content-length: {}\r\n\r\n{body}", body.len())
}

/// Writes one chunk.
pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], step: usize) -> Vec<Part> {
        let mut reader = Reader::responses();
        let mut parts: Vec<Part> = Vec::new();
        for piece in bytes.chunks(step) {
            reader.push(piece);
            while let Some(part) = reader.part() {
                match (parts.last_mut(), part) {
                    (Some(Part::Body(whole)), Part::Body(more)) => whole.extend(more),
                    (_, part) => parts.push(part),
                }
            }
        }
        assert!(reader.close());
        parts
    }

    #[test]
    fn messages_read_the_same_however_they_are_cut() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n\
                      HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nhi";
        let whole = read(bytes, bytes.len());
        assert_eq!(whole[1], Part::Body(b"abc0123456789".to_vec()));
        assert_eq!(whole.len(), 6);
        for step in 1..9 {
            assert_eq!(read(bytes, step), whole);
        }
    }

    #[test]
    fn events_carry_id_name_data_and_retry() {
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        for byte in b": hello\n\nid: 7\nevent: endpoint\nretry: 30\ndata: a\ndata: b\n\ndata:\n\n" {
            events.extend(reader.push(&[*byte]));
        }
        assert_eq!(reader.comments, 1);
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].data.as_str(), events[0].id.as_deref()), ("a\nb", Some("7")));
        assert_eq!((events[0].name.as_str(), events[0].retry), ("endpoint", Some(30)));
    }
}
