//! Scripted HTTP servers: Streamable HTTP and HTTP+SSE, with their lapses.
//!
//! Checked on every request of the proxy: a media type and an `Accept` as the transports demand, the session id
//! and, from 2025-06-18 on, the negotiated revision on everything after the handshake (UP-38, UP-39), no
//! request before the response to the one before (pipelining). Left out: TLS; `https` links are plain here.

pub mod odd;
pub mod packing;

use crate::http::{Head, Part, Reader, chunk};
use crate::mind::{Deed, Mind, What, note};
use crate::net::{Event, MS, Net, Who};
use mcp_proxy_core::id::ConnId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Which transport a site speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Streamable HTTP, 2025-03-26 and later.
    Streamable,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// One request it got.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Head of the request.
    pub head: Head,
    /// Body of it.
    pub body: String,
    /// Virtual time, nanoseconds.
    pub at: u64,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its place in the world.
    pub index: usize,
    /// Host name.
    pub host: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Which transport.
    pub style: Style,
    /// What it thinks.
    pub mind: Mind,
    /// Nobody can connect.
    pub down: bool,
    /// Nobody learns whether they could connect: every packet is lost.
    pub unreachable: bool,
    /// Its name cannot be looked up.
    pub nameless: bool,
    /// Its name has another address in front, where nobody listens.
    pub decoy: bool,
    /// Answers requests as JSON where it can.
    pub json: bool,
    /// Gives out session ids.
    pub sessions: bool,
    /// Offers the standalone stream; 405 otherwise.
    pub offers_get: bool,
    /// Gives its events ids, so that streams can be resumed.
    pub event_ids: bool,
    /// Sends `retry:` in the first event of each stream.
    pub retry_ms: Option<u64>,
    /// Breaks streams by closing the connection instead of ending the body.
    pub cuts_rudely: bool,
    /// Asks to be polled: ends each stream after one event without data, until the answer is there.
    pub polls: bool,
    /// Packs all it answers in these codings: see [`packing`].
    pub packs: Option<&'static str>,
    /// Takes requests and answers none of them: one thing keeps it from all others.
    pub stuck: bool,
    /// Answers everything with this status.
    pub fails_with: Option<u16>,
    /// Answers some requests otherwise: see [`Site::set_odd`].
    odd: Option<odd::Odd>,
    /// Fields of every answer that is not a stream.
    pub fields: Vec<(String, String)>,
    /// A mark for these.
    pub lapsed: bool,
    /// What it serves.
    pub path: String,
    /// Where GET is served, if not there.
    pub get_path: Option<String>,
    /// Another port it listens on.
    pub second_port: Option<u16>,
    /// And with this body.
    pub fails_saying: String,
    /// And with this `WWW-Authenticate`, if it is not empty.
    pub challenge: String,
    /// How long each refusal of a forgotten session takes, milliseconds, the next one last; 0 when none is left.
    pub refusals_ms: Vec<u64>,
    /// What it says to a POST to the event stream of HTTP+SSE.
    pub misdirected: u16,
    /// Answers DELETE with 405.
    pub keeps_sessions: bool,
    /// What the `endpoint` event says, without its query; there is none when empty.
    pub endpoint: String,
    /// All requests so far.
    pub hits: Vec<Hit>,
    /// Sessions alive, with the revision each negotiated.
    pub live: BTreeMap<String, String>,
    conns: BTreeMap<ConnId, SiteConn>,
    streams: Vec<Stream>,
    session_count: u64,
}

#[derive(Debug)]
struct SiteConn {
    reader: Reader,
    head: Option<Head>,
    body: String,
    busy: bool,
}

impl Clone for SiteConn {
    fn clone(&self) -> Self {
        Self { reader: Reader::requests(), head: None, body: String::new(), busy: false }
    }
}

#[derive(Debug, Clone)]
struct Stream {
    request: Option<String>,
    session: Option<String>,
    conn: Option<ConnId>,
    json: bool,
    events: Vec<String>,
    over: bool,
}

impl Site {
    /// A well-behaved server with sessions, a standalone stream, and event ids.
    pub fn new(index: usize, name: &str, style: Style) -> Self {
        Self {
            index,
            host: format!("{name}.test"),
            addr: SocketAddr::from(([10, 0, 0, index as u8 + 1], 80)),
            style,
            mind: Mind::new(name),
            down: false,
            unreachable: false,
            nameless: false,
            decoy: false,
            json: true,
            sessions: true,
            offers_get: true,
            event_ids: true,
            retry_ms: None,
            cuts_rudely: false,
            polls: false,
            packs: None,
            stuck: false,
            fails_with: None,
            odd: None,
            fields: Vec::new(),
            lapsed: false,
            path: if style == Style::Sse { "/sse" } else { "/mcp" }.to_owned(),
            get_path: None,
            second_port: None,
            fails_saying: String::new(),
            challenge: String::new(),
            refusals_ms: Vec::new(),
            misdirected: 405,
            keeps_sessions: false,
            endpoint: "/messages".to_owned(),
            hits: Vec::new(),
            live: BTreeMap::new(),
            conns: BTreeMap::new(),
            streams: Vec::new(),
            session_count: 0,
        }
    }

    /// How many requests had this method.
    pub fn count(&self, method: &str) -> usize {
        self.hits.iter().filter(|hit| hit.head.method() == method).count()
    }

    /// The server restarts: sessions are forgotten, connections closed.
    pub fn restart(&mut self, net: &mut Net) {
        for session in self.sessions_known() {
            self.mind.forget(&session);
        }
        self.live.clear();
        self.streams.clear();
        for conn in std::mem::take(&mut self.conns).into_keys() {
            net.close(conn);
        }
    }

    /// The proxy connected.
    pub fn on_open(&mut self, conn: ConnId) {
        let reader = Reader::requests();
        self.conns.insert(conn, SiteConn { reader, head: None, body: String::new(), busy: false });
    }

    /// The proxy closed, or the connection broke.
    pub fn on_close(&mut self, conn: ConnId, net: &mut Net) {
        self.conns.remove(&conn);
        for stream in self.streams.iter_mut().filter(|stream| stream.conn == Some(conn)) {
            stream.conn = None;
            if self.style == Style::Sse {
                stream.over = true;
                stream.session.iter().for_each(|session| self.mind.forget(session));
            }
        }
        net.close(conn);
    }

    fn sessions_known(&self) -> Vec<String> {
        let mut known: Vec<String> =
            self.streams.iter().filter_map(|stream| stream.session.clone()).collect();
        known.dedup();
        known
    }

    /// The connection with the answer stream of the newest request of this method breaks.
    pub fn break_stream_of(&mut self, method: &str, net: &mut Net) {
        let request = self.mind.last(method).map(|heard| heard.value["id"].to_string());
        let stream = self.streams.iter().rev().find(|stream| stream.request == request);
        if let Some(conn) = stream.and_then(|stream| stream.conn) {
            net.reset(conn);
        }
    }

    /// The session whose standalone stream was opened last.
    pub fn newest_session(&self) -> Option<String> {
        let open = |stream: &&Stream| stream.request.is_none() && !stream.over && stream.conn.is_some();
        self.streams.iter().rev().find(open).and_then(|stream| stream.session.clone())
    }

    /// How many sessions are open, by what the proxy does: sessions of Streamable HTTP, streams of HTTP+SSE.
    pub fn open_sessions(&self) -> usize {
        match self.style {
            Style::Streamable => self.live.len(),
            Style::Sse => self.streams.iter().filter(|stream| stream.conn.is_some()).count(),
        }
    }

    /// Its end of all connections that are open.
    pub fn open_conns(&self) -> Vec<ConnId> {
        self.conns.keys().copied().collect()
    }

    /// Bytes from the proxy.
    pub fn on_bytes(&mut self, conn: ConnId, bytes: &[u8], net: &mut Net) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        state.reader.push(bytes);
        while let Some(state) = self.conns.get_mut(&conn) {
            match state.reader.part() {
                None => return,
                Some(Part::Head(head)) => {
                    assert!(!state.busy, "a request before the response to the one before: {head:?}");
                    state.head = Some(head);
                }
                Some(Part::Body(bytes)) => {
                    state.body.push_str(std::str::from_utf8(&bytes).expect("simulated bodies are ASCII"));
                }
                Some(Part::End) => {
                    state.busy = true;
                    let (head, body) =
                        (state.head.take().unwrap_or_default(), std::mem::take(&mut state.body));
                    self.hits.push(Hit { head: head.clone(), body: body.clone(), at: net.now });
                    self.on_request(conn, &head, &body, net);
                }
            }
        }
    }

    fn on_request(&mut self, conn: ConnId, head: &Head, body: &str, net: &mut Net) {
        if self.stuck {
            return;
        }
        if let Some(status) = self.fails_with {
            let (says, challenge) = (self.fails_saying.clone(), self.challenge.clone());
            let challenge: Vec<_> = Some(("www-authenticate", challenge.as_str()))
                .into_iter()
                .filter(|(_, it)| !it.is_empty())
                .collect();
            return self.reply(conn, status, &challenge, &says, net);
        }
        if let Some(reply) = self.odd_reply(head, body) {
            return self.send_reply(conn, &reply, net);
        }
        let path = self.get_path.as_ref().filter(|_| head.method() == "GET").unwrap_or(&self.path);
        let is_here = head.target() == path;
        match (self.style, head.method()) {
            (Style::Sse, "GET") if is_here => self.open_sse(conn, net),
            (Style::Sse, "POST") if head.target().contains("sid=") => self.post_sse(conn, head, body, net),
            (Style::Streamable, "POST") if is_here => self.post(conn, head, body, net),
            (Style::Streamable, "GET") if is_here => self.get(conn, head, net),
            (Style::Streamable, "DELETE") if self.keeps_sessions => {
                // Nobody will come back to it.
                head.get("mcp-session-id").iter().for_each(|session| self.mind.forget(session));
                self.reply(conn, 405, &[("allow", "POST, GET")], "", net);
            }
            (Style::Streamable, "DELETE") => {
                let named = head.get("mcp-session-id");
                named.iter().for_each(|session| self.mind.forget(session));
                let known = named.and_then(|id| self.live.remove(id)).is_some();
                self.reply(conn, if known { 204 } else { 404 }, &[], "", net);
            }
            (Style::Sse, _) if is_here => self.reply(conn, self.misdirected, &[], "", net),
            _ => self.reply(conn, 404, &[], "", net),
        }
    }

    fn post(&mut self, conn: ConnId, head: &Head, body: &str, net: &mut Net) {
        assert_eq!(head.get("content-type"), Some("application/json"), "{head:?}");
        let accept = head.get("accept").unwrap_or_default();
        assert!(accept.contains("application/json") && accept.contains("text/event-stream"), "{head:?}");
        let value: Value = serde_json::from_str(body).expect("a body is JSON");
        assert!(value.is_object(), "one message a request: {body}");
        let session = if value["method"] == "initialize" {
            assert_eq!(head.get("mcp-session-id"), None, "initialize carries no session id (UP-36)");
            self.session_count += 1;
            format!("sess-{}-{}", self.index, self.session_count)
        } else if self.sessions {
            let Some(session) = head.get("mcp-session-id") else {
                panic!("no session id on {head:?}");
            };
            match self.live.get(session) {
                None => return self.refuse(conn, net),
                Some(revision) if revision.as_str() >= "2025-06-18" => {
                    assert_eq!(head.get("mcp-protocol-version"), Some(revision.as_str()), "UP-39");
                }
                Some(_) => {}
            }
            session.to_owned()
        } else {
            String::new()
        };
        let deeds = self.mind.hear(body, Some(&session), net.now);
        if value["method"].is_null() || value["id"].is_null() {
            self.reply(conn, 202, &[], "", net);
        } else {
            self.begin(conn, &value, session, &deeds, net);
        }
        self.plan(deeds, net);
    }

    fn refuse(&mut self, conn: ConnId, net: &mut Net) {
        let after_ms = self.refusals_ms.pop().unwrap_or(0);
        let deed = Deed { after_ms, ..note(String::new()) };
        self.plan(vec![Deed { what: What::Refuse(conn), ..deed }], net);
    }

    /// Opens the answer to a request: nothing yet for a JSON one, the head of a stream otherwise.
    fn begin(&mut self, conn: ConnId, value: &Value, session: String, deeds: &[Deed], net: &mut Net) {
        let plain = deeds.iter().all(|deed| matches!(deed.what, What::Answer(_)));
        let greets = value["method"] == "initialize";
        if greets && self.sessions && !self.mind.refuses {
            let asked = value["params"]["protocolVersion"].as_str().unwrap_or_default();
            let revision = self.mind.revision.unwrap_or(asked).to_owned();
            self.live.insert(session.clone(), revision);
        }
        let waits = value["method"] == "tasks/result";
        let json = greets || (self.json && plain && !waits);
        let request = Some(value["id"].to_string());
        let (session, index) = (Some(session), self.streams.len());
        self.streams.push(Stream {
            request,
            session,
            conn: Some(conn),
            json,
            events: Vec::new(),
            over: false,
        });
        if !json {
            self.open_stream(conn, index, net);
            self.turn_away(index, net);
        }
    }

    /// Whoever asked is to come back with the id of this event.
    fn turn_away(&mut self, index: usize, net: &mut Net) {
        if self.polls {
            self.write(index, "", net);
            self.end(index, net);
        }
    }

    fn open_stream(&mut self, conn: ConnId, index: usize, net: &mut Net) {
        let packed = self.coding_field().map(|coding| format!("content-encoding: {coding}\r\n"));
        let packed = packed.unwrap_or_default();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
        net.send(conn, format!("{head}{packed}\r\n").as_bytes());
        if let Some(ms) = self.retry_ms {
            let id = format!("id: {index}-0\n");
            let id = if self.event_ids { id.as_str() } else { "" };
            net.send(conn, &self.packed_chunk(&format!("{id}retry: {ms}\ndata:\n\n")));
        }
    }

    fn get(&mut self, conn: ConnId, head: &Head, net: &mut Net) {
        assert!(head.get("accept").unwrap_or_default().contains("text/event-stream"), "{head:?}");
        let session = head.get("mcp-session-id").map(str::to_owned);
        if self.sessions && session.as_ref().is_some_and(|session| !self.live.contains_key(session)) {
            return self.reply(conn, 404, &[], "", net);
        }
        if let Some(last) = head.get("last-event-id") {
            assert!(!self.sessions || session.is_some(), "a resumption names its session (UP-38): {head:?}");
            let place = last.split_once('-').and_then(|(s, e)| Some((s.parse().ok()?, e.parse().ok()?)));
            return self.resume(conn, place, net);
        }
        if !self.offers_get || (self.sessions && session.is_none()) {
            return self.reply(conn, 405, &[("allow", "POST, DELETE")], "", net);
        }
        let index = self.streams.len();
        let stream =
            Stream { request: None, session, conn: Some(conn), json: false, events: Vec::new(), over: false };
        self.streams.push(stream);
        self.open_stream(conn, index, net);
    }

    fn resume(&mut self, conn: ConnId, place: Option<(usize, usize)>, net: &mut Net) {
        let Some((index, seen)) = place.filter(|(index, _)| *index < self.streams.len()) else {
            return self.reply(conn, 400, &[], "", net);
        };
        net.send(
            conn,
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        let stream = &mut self.streams[index];
        stream.conn = Some(conn);
        for (n, text) in stream.events.iter().enumerate().skip(seen) {
            net.send(conn, chunk(&format!("id: {index}-{}\ndata: {text}\n\n", n + 1)).as_bytes());
        }
        if stream.over {
            self.end(index, net);
        } else if stream.request.is_some() {
            self.turn_away(index, net);
        }
    }

    fn open_sse(&mut self, conn: ConnId, net: &mut Net) {
        self.session_count += 1;
        let session = self.session_count.to_string();
        let endpoint = format!("event: endpoint\ndata: {}?sid={session}\n\n", self.endpoint);
        net.send(
            conn,
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        if !self.endpoint.is_empty() {
            net.send(conn, chunk(&endpoint).as_bytes());
        }
        let (session, events) = (Some(session), Vec::new());
        self.streams.push(Stream {
            request: None,
            session,
            conn: Some(conn),
            json: false,
            events,
            over: false,
        });
    }

    fn post_sse(&mut self, conn: ConnId, head: &Head, body: &str, net: &mut Net) {
        let session = head.target().split_once("sid=").map(|(_, sid)| sid.to_owned());
        let open = self.streams.iter().any(|stream| stream.session == session && stream.conn.is_some());
        self.reply(conn, if open { 202 } else { 404 }, &[], "", net);
        if !open {
            return;
        }
        let deeds = self.mind.hear(body, session.as_deref(), net.now);
        self.plan(deeds, net);
    }

    fn plan(&self, deeds: Vec<Deed>, net: &mut Net) {
        for deed in deeds {
            net.plan(deed.after_ms * MS, Event::Deed(Who::Site(self.index), deed));
        }
    }

    /// The time for something it planned has come.
    pub fn on_deed(&mut self, deed: &Deed, net: &mut Net) {
        if !self.mind.still_wants(deed) {
            return;
        }
        if let What::Refuse(conn) = deed.what {
            return self.reply(conn, 404, &[], "", net);
        }
        if let What::Recall(recall) = &deed.what {
            for next in self.mind.recall(recall, deed) {
                match next.after_ms {
                    0 => self.on_deed(&next, net),
                    _ => self.plan(vec![next], net),
                }
            }
            return;
        }
        let Some(index) = self.stream_of(deed) else { return };
        match &deed.what {
            What::Say(text) => self.write(index, text, net),
            What::Answer(text) if self.streams[index].json => {
                let session = self.streams[index].session.clone().unwrap_or_default();
                let greeting = self.sessions && deed.about.is_some() && text.contains("\"protocolVersion\"");
                let fields = if greeting { vec![("mcp-session-id", session.as_str())] } else { Vec::new() };
                self.streams[index].over = true;
                if let Some(conn) = self.streams[index].conn {
                    self.reply(conn, 200, &fields, text, net);
                }
            }
            What::Answer(text) => {
                self.write(index, text, net);
                if self.style == Style::Streamable {
                    self.streams[index].over = true;
                    self.end(index, net);
                }
            }
            What::Cut => self.cut(index, net),
            What::Exit(_) => self.restart(net),
            What::Refuse(_) | What::Recall(_) => {}
        }
    }

    /// The stream a deed belongs on: its request's, else the newest standalone one of the session.
    fn stream_of(&self, deed: &Deed) -> Option<usize> {
        let same = |stream: &Stream| deed.session.is_none() || stream.session == deed.session;
        let find = |request: &Option<String>| {
            self.streams.iter().rposition(|stream| !stream.over && same(stream) && stream.request == *request)
        };
        match self.style {
            Style::Sse => self.streams.iter().rposition(|stream| !stream.over && same(stream)),
            Style::Streamable if deed.about.is_some() => find(&deed.about),
            Style::Streamable => find(&None),
        }
    }

    fn write(&mut self, index: usize, text: &str, net: &mut Net) {
        let (streamable, stream) = (self.style == Style::Streamable, &mut self.streams[index]);
        stream.events.push(text.to_owned());
        let conn = stream.conn;
        let id = if streamable && self.event_ids {
            format!("id: {index}-{}\n", stream.events.len())
        } else {
            String::new()
        };
        if let Some(conn) = conn {
            net.send(conn, &self.packed_chunk(&format!("event: message\n{id}data: {text}\n\n")));
        }
    }

    fn end(&mut self, index: usize, net: &mut Net) {
        if let Some(conn) = self.streams[index].conn.take() {
            net.send(conn, b"0\r\n\r\n");
            if let Some(state) = self.conns.get_mut(&conn) {
                state.busy = false;
            }
        }
    }

    /// Breaks a stream before its answer.
    fn cut(&mut self, index: usize, net: &mut Net) {
        if self.style == Style::Sse {
            // The stream is the session.
            self.streams[index].over = true;
            self.streams[index].session.iter().for_each(|session| self.mind.forget(session));
        }
        if !self.cuts_rudely {
            return self.end(index, net);
        }
        if let Some(conn) = self.streams[index].conn.take() {
            self.conns.remove(&conn);
            net.close(conn);
        }
    }

    fn reply(&mut self, conn: ConnId, status: u16, fields: &[(&str, &str)], body: &str, net: &mut Net) {
        let mut reply = odd::Reply::bare(status).body(self.packed(body));
        for (name, value) in fields {
            reply = reply.with(name, value);
        }
        reply.fields.extend(self.fields.iter().cloned());
        if body.is_empty() {
            reply.body.clear();
        } else {
            reply = reply.with("content-type", "application/json");
            if let Some(coding) = self.coding_field() {
                reply = reply.with("content-encoding", &coding);
            }
        }
        self.send_reply(conn, &reply, net);
    }
}
