//! The HTTP transports: Streamable HTTP with sessions, or HTTP+SSE of 2024-11-05.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};

use mcp_proxy_bench::http::{self, Body};
use mcp_proxy_bench::net::{self, Poller, ReadOutcome};

use crate::mcp::{Answer, MODERN, Mcp};
use crate::timers::Timers;

const READ_CHUNK: usize = 256 * 1024;

struct Conn {
    sock: TcpStream,
    inbuf: Vec<u8>,
    out: Vec<u8>,
    out_pos: usize,
    head: Option<http::Head>,
    body: Body,
    body_buf: Vec<u8>,
    /// A delayed reply is pending; later requests of this connection wait.
    busy: bool,
    /// This connection carries a GET event stream.
    stream: bool,
    session: Option<String>,
    close_after: bool,
    want_out: bool,
}

pub(crate) struct Server {
    mcp: Mcp,
    poller: Poller,
    conns: HashMap<u64, Conn>,
    next_token: u64,
    timers: Timers,
    sse_mode: bool,
    sse_response: bool,
    sessions: HashSet<String>,
    /// sse mode: session id -> token of its event stream
    streams: HashMap<String, u64>,
    next_session: u64,
    seed: u64,
}

fn event_chunk(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    // "event: " + name + "\ndata: " + data + "\n\n"
    let size = 7 + name.len() + 7 + data.len() + 2;
    let _ = write!(out, "{size:x}\r\nevent: {name}\ndata: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n\r\n");
}

impl Server {
    pub(crate) fn new(mcp: Mcp, sse_mode: bool, sse_response: bool) -> io::Result<Self> {
        Ok(Self {
            mcp,
            poller: Poller::new()?,
            conns: HashMap::new(),
            next_token: 0,
            timers: Timers::default(),
            sse_mode,
            sse_response,
            sessions: HashSet::new(),
            streams: HashMap::new(),
            next_session: 0,
            seed: net::now_ns(),
        })
    }

    pub(crate) fn run(&mut self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        self.poller.add(&listener, 0, net::IN)?;
        let mut events = Vec::new();
        loop {
            self.poller.wait(self.timers.timeout(), &mut events)?;
            while let Some((token, bytes)) = self.timers.pop_due() {
                if let Some(c) = self.conns.get_mut(&token) {
                    c.out.extend_from_slice(&bytes);
                    c.busy = false;
                    self.advance(token);
                }
            }
            for &(token, ev) in &events {
                if token == 0 {
                    while let Ok((sock, _)) = listener.accept() {
                        self.accept(sock)?;
                    }
                    continue;
                }
                if !(ev - net::OUT).is_empty() {
                    self.readable(token);
                }
                if ev.contains(net::OUT) {
                    self.flush(token);
                }
            }
        }
    }

    fn accept(&mut self, sock: TcpStream) -> io::Result<()> {
        sock.set_nonblocking(true)?;
        let _ = sock.set_nodelay(true);
        self.next_token += 1;
        let token = self.next_token;
        self.poller.add(&sock, token, net::IN)?;
        self.conns.insert(
            token,
            Conn {
                sock,
                inbuf: Vec::new(),
                out: Vec::new(),
                out_pos: 0,
                head: None,
                body: Body::Done,
                body_buf: Vec::new(),
                busy: false,
                stream: false,
                session: None,
                close_after: false,
                want_out: false,
            },
        );
        Ok(())
    }

    fn drop_conn(&mut self, token: u64) {
        if let Some(c) = self.conns.remove(&token)
            && let (true, true, Some(s)) = (self.sse_mode, c.stream, &c.session)
        {
            self.streams.remove(s);
        }
    }

    fn readable(&mut self, token: u64) {
        let Some(c) = self.conns.get_mut(&token) else { return };
        loop {
            match net::read_some(&c.sock, &mut c.inbuf, READ_CHUNK) {
                ReadOutcome::Data(true) if c.inbuf.len() < 8 << 20 => continue,
                ReadOutcome::Data(_) | ReadOutcome::WouldBlock => break,
                ReadOutcome::Closed => return self.drop_conn(token),
            }
        }
        self.advance(token);
    }

    /// Handles every complete request in the connection's buffer.
    fn advance(&mut self, token: u64) {
        loop {
            let Some(c) = self.conns.get_mut(&token) else { return };
            if c.busy || c.stream {
                break;
            }
            if c.head.is_none() {
                let Some(n) = http::head_len(&c.inbuf) else { break };
                let Some(head) = http::parse_head(&c.inbuf[..n]) else { return self.drop_conn(token) };
                c.inbuf.drain(..n);
                c.body = Body::of_request(&head);
                c.body_buf.clear();
                c.head = Some(head);
            }
            let Some(used) = c.body.feed(&c.inbuf, &mut c.body_buf) else { return self.drop_conn(token) };
            c.inbuf.drain(..used);
            if c.body != Body::Done {
                break;
            }
            let head = c.head.take().expect("head was parsed");
            let body = std::mem::take(&mut c.body_buf);
            if self.sse_mode {
                self.request_sse(token, head, &body);
            } else {
                self.request_http(token, head, &body);
            }
            if let Some(c) = self.conns.get_mut(&token) {
                c.body_buf = body;
            }
        }
        self.flush(token);
    }

    fn flush(&mut self, token: u64) {
        let Some(c) = self.conns.get_mut(&token) else { return };
        match net::write_some(&c.sock, &mut c.out, &mut c.out_pos) {
            Err(_) => self.drop_conn(token),
            Ok(true) => {
                if c.want_out {
                    c.want_out = false;
                    let _ = self.poller.modify(&c.sock, token, net::IN);
                }
                if c.close_after && !c.busy {
                    self.drop_conn(token);
                }
            }
            Ok(false) => {
                if !c.want_out {
                    c.want_out = true;
                    let _ = self.poller.modify(&c.sock, token, net::IN | net::OUT);
                }
            }
        }
    }

    fn new_session(&mut self) -> String {
        self.next_session += 1;
        // splitmix64, so that the ids look like ids; they guard nothing here.
        let mut z = self.seed.wrapping_add(self.next_session.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        format!("{:016x}{:016x}", z ^ (z >> 31), self.next_session)
    }

    fn status(&mut self, token: u64, line: &str) {
        if let Some(c) = self.conns.get_mut(&token) {
            let _ = write!(c.out, "HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n");
        }
    }

    fn request_http(&mut self, token: u64, head: http::Head, body: &[u8]) {
        if let Some(c) = self.conns.get_mut(&token) {
            c.close_after |= head.close;
        }
        let known = head.session.as_ref().is_some_and(|s| self.sessions.contains(s));
        match head.method.as_str() {
            "POST" => {}
            "GET" if known => {
                let c = self.conns.get_mut(&token).expect("live connection");
                c.stream = true;
                c.out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
                return;
            }
            "GET" => {
                return self
                    .status(token, if head.session.is_some() { "404 Not Found" } else { "400 Bad Request" });
            }
            "DELETE" => {
                let gone = head.session.is_some_and(|s| self.sessions.remove(&s));
                return self.status(token, if gone { "200 OK" } else { "404 Not Found" });
            }
            _ => return self.status(token, "405 Method Not Allowed"),
        }
        let mut reply = Vec::with_capacity(256);
        let answer = self.mcp.handle(body, &mut reply);
        let initialize = matches!(answer, Answer::Now { initialize: true });
        let modern = head.protocol_version.as_deref() == Some(MODERN);
        if !initialize && !known && !modern {
            return self
                .status(token, if head.session.is_some() { "404 Not Found" } else { "400 Bad Request" });
        }
        let session = initialize.then(|| self.new_session());
        let c = self.conns.get_mut(&token).expect("live connection");
        let delay = match answer {
            Answer::None => {
                c.out.extend_from_slice(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
                return;
            }
            Answer::Now { .. } => None,
            Answer::After(ms) => Some(ms),
        };
        let mut delayed = Vec::new();
        let out = if delay.is_some() { &mut delayed } else { &mut c.out };
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        if let Some(s) = session {
            let _ = write!(out, "mcp-session-id: {s}\r\n");
            self.sessions.insert(s);
        }
        if self.sse_response {
            out.extend_from_slice(b"content-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
            event_chunk(out, "message", &reply);
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            let _ = write!(out, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", reply.len());
            out.extend_from_slice(&reply);
        }
        if let Some(ms) = delay {
            c.busy = true;
            self.timers.add(ms, token, delayed);
        }
    }

    fn request_sse(&mut self, token: u64, head: http::Head, body: &[u8]) {
        if let Some(c) = self.conns.get_mut(&token) {
            c.close_after |= head.close;
        }
        if head.method == "GET" {
            let session = self.new_session();
            self.streams.insert(session.clone(), token);
            let c = self.conns.get_mut(&token).expect("live connection");
            c.stream = true;
            c.close_after = false;
            c.out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
            event_chunk(&mut c.out, "endpoint", format!("/message?sessionId={session}").as_bytes());
            c.session = Some(session);
            return;
        }
        let stream = head
            .target
            .split_once("sessionId=")
            .and_then(|(_, s)| self.streams.get(s.split('&').next().unwrap_or(s)).copied());
        let (true, Some(stream)) = (head.method == "POST", stream) else {
            return self.status(token, "404 Not Found");
        };
        let mut reply = Vec::with_capacity(256);
        let answer = self.mcp.handle(body, &mut reply);
        self.status(token, "202 Accepted");
        match answer {
            Answer::None => {}
            Answer::Now { .. } => {
                if let Some(c) = self.conns.get_mut(&stream) {
                    event_chunk(&mut c.out, "message", &reply);
                }
                self.flush(stream);
            }
            Answer::After(ms) => {
                let mut bytes = Vec::new();
                event_chunk(&mut bytes, "message", &reply);
                self.timers.add(ms, stream, bytes);
            }
        }
    }
}
