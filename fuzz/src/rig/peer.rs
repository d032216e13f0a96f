//! The other end of one connection: what it has heard, as a strict reader understands it.

use mcp_proxy_tests::http::{Head, Part, Reader};
use serde_json::Value;
use std::collections::VecDeque;

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A client of the proxy.
    Client,
    /// A process.
    Child,
    /// An HTTP server; of HTTP+SSE if so.
    Server(bool),
}

/// How far the connection is, as the engine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asked for.
    Opening,
    /// Bytes flow.
    Open,
    /// It is over.
    Over,
}

/// A request that the engine made, and that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whom: a command or a host.
    pub to: String,
    /// Method of HTTP; empty on a pipe.
    pub verb: String,
    /// Id in raw JSON; empty for what has none.
    pub id: String,
    /// Method of MCP.
    pub method: String,
    /// The whole message.
    pub text: Vec<u8>,
}

/// The other end.
#[derive(Debug)]
pub struct Peer {
    /// Who.
    pub side: Side,
    /// Its command or host; empty for clients.
    pub name: String,
    /// How far.
    pub phase: Phase,
    /// The engine has ended its direction.
    pub shut: bool,
    /// It has ended its own.
    pub ended: bool,
    /// A child does not read any more.
    pub deaf: bool,
    /// Requests to it that wait, oldest first.
    pub asked: VecDeque<Asked>,
    /// Messages to a client or a child, in raw text.
    pub inbox: Vec<Vec<u8>>,
    /// The session a client was given.
    pub session: String,
    /// Where a client of HTTP+SSE is to post.
    pub endpoint: String,
    reader: Option<Reader>,
    sent: Vec<u8>,
    head: Head,
    body: Vec<u8>,
    lines: Vec<u8>,
    event: String,
}

impl Peer {
    /// Nobody yet.
    pub fn new(side: Side, name: &str) -> Self {
        let reader = match side {
            Side::Client => Some(Reader::responses()),
            Side::Server(_) => Some(Reader::requests()),
            Side::Child => None,
        };
        Self {
            side,
            name: name.to_owned(),
            phase: Phase::Opening,
            shut: false,
            ended: false,
            deaf: false,
            asked: VecDeque::new(),
            inbox: Vec::new(),
            session: String::new(),
            endpoint: String::new(),
            reader,
            sent: Vec::new(),
            head: Head::default(),
            body: Vec::new(),
            lines: Vec::new(),
            event: String::new(),
        }
    }

    /// It has sent these bytes. The answer to HEAD has no body, which only a reader knows that has seen the request: its
    /// connection is not read.
    pub fn said(&mut self, bytes: &[u8]) {
        if self.side == Side::Client && self.reader.is_some() {
            self.sent.extend_from_slice(bytes);
            if self.sent.windows(5).any(|window| window == b"HEAD ") {
                self.reader = None;
            }
            let old = self.sent.len().saturating_sub(5);
            self.sent.drain(..old);
        }
    }

    /// It gets these bytes.
    pub fn hears(&mut self, bytes: &[u8]) {
        if self.side == Side::Child {
            self.lines.extend_from_slice(bytes);
            while let Some(line) = take_line(&mut self.lines) {
                check_json(&line);
                self.inbox.push(line.clone());
                self.note("", line);
            }
            return;
        }
        let Some(mut reader) = self.reader.take() else { return };
        reader.push(bytes);
        while let Some(part) = reader.part() {
            self.read(part);
        }
        self.reader = Some(reader);
    }

    fn read(&mut self, part: Part) {
        match part {
            Part::Head(head) => {
                if let Some(session) = head.get("mcp-session-id").filter(|_| self.side == Side::Client) {
                    session.clone_into(&mut self.session);
                }
                self.head = head;
                self.body.clear();
                self.lines.clear();
            }
            Part::Body(bytes) if self.is_stream() => {
                self.lines.extend_from_slice(&bytes);
                while let Some(line) = take_line(&mut self.lines) {
                    self.read_event_line(&line);
                }
            }
            Part::Body(bytes) => self.body.extend_from_slice(&bytes),
            Part::End => {
                let body = std::mem::take(&mut self.body);
                let is_json =
                    self.head.get("content-type").is_some_and(|kind| kind.starts_with("application/json"));
                if is_json {
                    check_json(&body);
                }
                if self.side != Side::Client {
                    let verb = self.head.method().to_owned();
                    self.note(&verb, body);
                } else if is_json {
                    self.inbox.push(body);
                }
            }
        }
    }

    fn is_stream(&self) -> bool {
        self.side == Side::Client
            && self.head.get("content-type").is_some_and(|it| it.starts_with("text/event-stream"))
    }

    /// Our writer makes each event of single lines.
    fn read_event_line(&mut self, line: &[u8]) {
        assert!(!line.contains(&b'\r'), "a carriage return in an event stream");
        let text = String::from_utf8_lossy(line);
        match text.split_once(": ") {
            _ if text.is_empty() => self.event.clear(),
            Some(("event", name)) => name.clone_into(&mut self.event),
            Some(("data", path)) if self.event == "endpoint" => path.clone_into(&mut self.endpoint),
            Some(("data", data)) if !data.is_empty() => {
                check_json(data.as_bytes());
                self.inbox.push(data.as_bytes().to_vec());
            }
            Some(("id" | "retry" | "data" | "", _)) => {}
            _ => {
                assert!(text.starts_with(':') || text == "data:", "an odd line in an event stream: {text:?}")
            }
        }
    }

    fn note(&mut self, verb: &str, text: Vec<u8>) {
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let method = value["method"].as_str().unwrap_or_default().to_owned();
        let id =
            if value["id"].is_null() || method.is_empty() { String::new() } else { value["id"].to_string() };
        if !id.is_empty() || !verb.is_empty() {
            self.asked.push_back(Asked { to: self.name.clone(), verb: verb.to_owned(), id, method, text });
        }
    }
}

fn take_line(lines: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = lines.iter().position(|byte| *byte == b'\n')?;
    let mut line: Vec<u8> = lines.drain(..=end).collect();
    line.pop();
    Some(line)
}

/// Everything that leaves is JSON in one line, in UTF-8.
fn check_json(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    assert!(std::str::from_utf8(text).is_ok(), "not UTF-8: {shown}");
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok(), "no JSON: {shown}");
}
