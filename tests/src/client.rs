//! Model clients: Streamable HTTP and HTTP+SSE over keep-alive HTTP/1.1, and raw requests for ill-behaved ones.
//!
//! Checked on everything that arrives: each request gets at most one answer, on its own stream or a resumption
//! of it (DL-50); no tag of another client, no message twice (DL-51); progress only while its request is open
//! and only upwards (DL-21, DL-22); event ids unique in a session (DL-57); each event of a message named `message`
//! (FT-201); questions only after the handshake, only what was declared, each withdrawn at most once and by its name
//! (DL-04, DL-09 to DL-12).
//!
//! Questions are answered by [`Client::replies`]; see there.

mod asked;
mod exchange;
mod judge;
#[cfg(test)]
mod tests;

pub use asked::{Asked, Stand};
pub use exchange::{Exchange, Kind, Progress, Req, Request, State, Xid};

use crate::http::{Part, Reader, SseEvent, SseReader};
use crate::net::Net;
use mcp_proxy_core::id::ConnId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its place in the world, also in its tags.
    pub index: usize,
    /// Its transport.
    pub kind: Kind,
    /// Path of the endpoint, without `/mcp` or `/sse`; [`MERGED`] for that of all servers.
    pub server: String,
    /// What ends its URL, if it is not `mcp` or `sse` by its transport.
    pub end: Option<&'static str>,
    /// The revision it asks for, then the one that was agreed.
    pub revision: String,
    /// What it declares.
    pub capabilities: Value,
    /// `Accept` of its POSTs.
    pub accept: String,
    /// More fields of each of its requests.
    pub fields: Vec<(String, String)>,
    /// Where it comes from.
    pub address: IpAddr,
    /// Its session, if it has one.
    pub session: Option<String>,
    /// Where it posts (HTTP+SSE).
    pub endpoint: Option<String>,
    /// Its event stream (HTTP+SSE) or newest standalone stream.
    pub stream: Option<usize>,
    /// What it answers to requests of the server, by method: an object with a `result` or `error` member, which it
    /// signs. `after_ms` is how long it thinks, `within_ms` the most of it if that is left to chance, `reports` how
    /// often it tells meanwhile how it is coming along. `null` is no answer: [`Client::answer`] gives one.
    pub replies: BTreeMap<String, Value>,
    /// Requests of the server, in order.
    pub questions: Vec<Asked>,
    /// It has said that it is ready.
    pub ready: bool,
    /// All exchanges.
    pub exchanges: Vec<Exchange>,
    /// All requests.
    pub requests: Vec<Request>,
    /// Notifications and requests of the server: which exchange brought each, and its meaning.
    pub inbox: Vec<(usize, Value)>,
    conns: BTreeMap<ConnId, ClientConn>,
    idle: Vec<ConnId>,
    seen: BTreeSet<String>,
    event_ids: BTreeSet<String>,
}

#[derive(Debug)]
struct ClientConn {
    reader: Reader,
    waiting: VecDeque<usize>,
}

/// The server name of a client of the merged endpoint.
pub const MERGED: &str = "*";

/// What every client sends as `Host`.
pub const AUTHORITY: &str = "localhost:9090";

impl Client {
    /// A client that has done nothing yet.
    pub fn new(index: usize, server: &str, kind: Kind) -> Self {
        Self {
            index,
            kind,
            server: server.to_owned(),
            end: None,
            revision: "2025-06-18".to_owned(),
            capabilities: json!({}),
            accept: "application/json, text/event-stream".to_owned(),
            fields: Vec::new(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            session: None,
            endpoint: None,
            stream: None,
            replies: BTreeMap::new(),
            questions: Vec::new(),
            ready: false,
            exchanges: Vec::new(),
            requests: Vec::new(),
            inbox: Vec::new(),
            conns: BTreeMap::new(),
            idle: Vec::new(),
            seen: BTreeSet::new(),
            event_ids: BTreeSet::new(),
        }
    }

    /// Sends one JSON-RPC message by POST.
    pub fn post(&mut self, net: &mut Net, body: &str) -> usize {
        let mut fields = self.common();
        fields.push(("accept".to_owned(), self.accept.clone()));
        fields.push(("content-type".to_owned(), "application/json".to_owned()));
        let path = match self.kind {
            Kind::Streamable => self.path("mcp"),
            Kind::Sse => self.endpoint.clone().unwrap_or_default(),
        };
        self.send(net, "POST", &path, &fields, Some(body))
    }

    /// Sends a request; `id` and `params` are the caller's, the tag is added.
    pub fn request(&mut self, net: &mut Net, id: Value, method: &str, mut params: Value) -> usize {
        let tag = self.requests.len();
        let token = params["_meta"]["progressToken"].clone();
        if method != "initialize" {
            params["_meta"]["sim/tag"] = json!(format!("@c{}.{tag}@", self.index));
        }
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        self.raw_request(net, id, token, &body)
    }

    /// Sends a request whose text is the caller's business.
    pub fn raw_request(&mut self, net: &mut Net, id: Value, token: Value, body: &str) -> usize {
        let index = self.adopt(id);
        self.requests[index].token = token;
        self.post(net, body);
        index
    }

    /// Notes requests that the next POST will carry in one body.
    pub fn adopt(&mut self, id: Value) -> usize {
        let (tag, exchange) = (self.requests.len(), self.exchanges.len());
        let (state, steps, token) = (State::Waiting, Vec::new(), Value::Null);
        self.requests.push(Request { id, tag, exchange, state, cancelled: false, steps, token });
        tag
    }

    /// Opens a standalone stream, or resumes the stream of `resumes` after the event id.
    pub fn listen(&mut self, net: &mut Net, resumes: Option<(usize, String)>) -> usize {
        let mut fields = self.common();
        fields.push(("accept".to_owned(), "text/event-stream".to_owned()));
        if let Some((_, id)) = &resumes {
            fields.push(("last-event-id".to_owned(), id.clone()));
        }
        let path = self.path(if self.kind == Kind::Sse { "sse" } else { "mcp" });
        let index = self.send(net, "GET", &path, &fields, None);
        self.exchanges[index].resumes = resumes.map(|(of, _)| of);
        self.stream = Some(index);
        index
    }

    /// Ends the session (Streamable HTTP).
    pub fn delete(&mut self, net: &mut Net) -> usize {
        let fields = self.common();
        self.send(net, "DELETE", &self.path("mcp"), &fields, None)
    }

    fn path(&self, end: &'static str) -> String {
        format!("/{}/{}", self.server, self.end.unwrap_or(end)).replace("*/", "")
    }

    /// Sends any HTTP request over an idle connection or a new one.
    pub fn send(
        &mut self,
        net: &mut Net,
        method: &str,
        path: &str,
        fields: &[(String, String)],
        body: Option<&str>,
    ) -> usize {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            text += &format!("content-length: {}\r\n\r\n{body}", body.len());
        } else {
            text += "\r\n";
        }
        let conn = self.idle.pop().unwrap_or_else(|| self.connect(net));
        self.write(net, conn, text.as_bytes())
    }

    /// A new connection.
    pub fn connect(&mut self, net: &mut Net) -> ConnId {
        let conn = net.dial(self.index);
        self.conns.insert(conn, ClientConn { reader: Reader::responses(), waiting: VecDeque::new() });
        conn
    }

    /// Writes bytes that should bring one response.
    pub fn write(&mut self, net: &mut Net, conn: ConnId, bytes: &[u8]) -> usize {
        let index = self.expect(conn);
        net.send(conn, bytes);
        index
    }

    /// The fields of each request: host, session, revision, and the client's own.
    pub fn common(&self) -> Vec<(String, String)> {
        let mut fields = vec![("host".to_owned(), AUTHORITY.to_owned())];
        if let Some(session) = &self.session {
            fields.push(("mcp-session-id".to_owned(), session.clone()));
            fields.push(("mcp-protocol-version".to_owned(), self.revision.clone()));
        }
        fields.retain(|(name, _)| !self.fields.iter().any(|(own, _)| own == name));
        fields.extend(self.fields.iter().filter(|(_, value)| !value.is_empty()).cloned());
        fields
    }

    /// Bytes from the proxy.
    pub fn on_bytes(&mut self, conn: ConnId, bytes: &[u8], net: &mut Net) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        state.reader.push(bytes);
        while let Some(state) = self.conns.get_mut(&conn)
            && let Some(part) = state.reader.part()
        {
            let front = state.waiting.front().copied();
            let index = front.unwrap_or_else(|| self.expect(conn));
            self.on_part(conn, index, part, net);
        }
    }

    /// The connection ended.
    pub fn on_end(&mut self, conn: ConnId, net: &mut Net) {
        self.idle.retain(|idle| *idle != conn);
        if let Some(state) = self.conns.get_mut(&conn)
            && !state.waiting.is_empty()
            && state.reader.close()
            && let Some(part) = state.reader.part()
            && let Some(index) = state.waiting.front().copied()
        {
            self.on_part(conn, index, part, net);
        }
        let Some(state) = self.conns.remove(&conn) else { return };
        net.close(conn);
        for index in state.waiting {
            self.exchanges[index].progress = Progress::Cut;
            self.settle(index);
        }
    }

    /// Leaves a connection: politely (FIN) or not (RST).
    pub fn hang_up(&mut self, conn: ConnId, rudely: bool, net: &mut Net) {
        if rudely {
            net.reset(conn);
        } else {
            self.on_end(conn, net);
        }
    }

    /// Closes all connections that wait for nothing.
    pub fn go(&mut self, net: &mut Net) {
        for conn in std::mem::take(&mut self.idle) {
            self.on_end(conn, net);
        }
    }

    /// Closes all connections, as a process does that ends.
    pub fn quit(&mut self, net: &mut Net) {
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            self.on_end(conn, net);
        }
    }

    fn expect(&mut self, conn: ConnId) -> usize {
        self.exchanges.push(Exchange {
            conn,
            resumes: None,
            head: None,
            body: String::new(),
            cut_char: Vec::new(),
            events: Vec::new(),
            comments: 0,
            progress: Progress::Running,
            sse: None,
        });
        let index = self.exchanges.len() - 1;
        if let Some(state) = self.conns.get_mut(&conn) {
            state.waiting.push_back(index);
        }
        index
    }

    fn on_part(&mut self, conn: ConnId, index: usize, part: Part, net: &mut Net) {
        let exchange = &mut self.exchanges[index];
        match part {
            Part::Head(head) => {
                let stream =
                    head.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
                exchange.sse = stream.then(SseReader::default);
                exchange.head = Some(head);
            }
            Part::Body(bytes) => match &mut exchange.sse {
                None => exchange.read_text(&bytes),
                Some(reader) => {
                    let events = reader.push(&bytes);
                    exchange.comments = reader.comments;
                    for event in events {
                        self.on_event(index, event, net);
                    }
                }
            },
            Part::End => {
                exchange.progress = Progress::Complete;
                if exchange.sse.is_none() {
                    self.on_body(index, net);
                }
                self.settle(index);
                self.release(conn, index);
            }
        }
    }

    fn release(&mut self, conn: ConnId, index: usize) {
        let closes = self.exchanges[index].field("connection").is_some_and(|value| value == "close");
        if let Some(state) = self.conns.get_mut(&conn) {
            state.waiting.pop_front();
            if state.waiting.is_empty() && !closes {
                self.idle.push(conn);
            }
        }
    }

    fn on_body(&mut self, index: usize, net: &mut Net) {
        let body = self.exchanges[index].body.clone();
        match self.exchanges[index].json() {
            Value::Object(_) => self.on_message(index, &body, net),
            Value::Array(all) => {
                for each in all {
                    self.on_message(index, &each.to_string(), net);
                }
            }
            _ => {}
        }
    }

    fn on_event(&mut self, index: usize, event: SseEvent, net: &mut Net) {
        if let Some(id) = &event.id {
            assert!(self.event_ids.insert(id.clone()), "client {}: event id {id} twice (DL-57)", self.index);
        }
        match event.name.as_str() {
            "endpoint" => self.endpoint = Some(event.data.clone()),
            "" if event.data.is_empty() => {}
            // FT-201
            "" => panic!("an event without a name: {event:?}"),
            "message" => self.on_message(index, &event.data, net),
            // The page for the doctor.
            "probe" => {}
            other => panic!("unknown event {other:?}"),
        }
        self.exchanges[index].events.push(event);
    }
}
