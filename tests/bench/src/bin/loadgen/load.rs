//! The closed loop: N clients, each a small state machine over its connection(s), all in one epoll set. What a client
//! sends is in [`send`].

mod send;

use std::borrow::Cow;

use mcp_proxy_bench::http::Body;
use mcp_proxy_bench::net::{self, Poller, Ready};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::Config;
use crate::sock::{Input, Sock};

/// Clients that may be connecting or initializing at the same time.
const RAMP: usize = 32;

#[derive(PartialEq, Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// Not started yet.
    New,
    /// sse: waiting for the `endpoint` event.
    Endpoint,
    Initialize,
    Initialized,
    /// idle: waiting for the head of the GET stream.
    Stream,
    /// Ready for a request.
    Ready,
    Calling,
    Holding,
    Dead,
}

pub(crate) struct Client {
    index: usize,
    pub(crate) phase: Phase,
    rpc: Option<Sock>,
    pub(crate) stream: Option<Sock>,
    session: Option<String>,
    endpoint: String,
    seq: u64,
    id: u64,
    sent_at: u64,
    got_reply: bool,
    got_http_end: bool,
    pub(crate) failures: u32,
    pub(crate) stream_status: u16,
}

#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) ok: u64,
    pub(crate) errors: u64,
    pub(crate) reconnects: u64,
    pub(crate) bytes: u64,
    pub(crate) latencies_ns: Vec<u64>,
    pub(crate) first_error: Option<String>,
    pub(crate) max_tools: usize,
}

pub(crate) struct Load {
    cfg: Config,
    poller: Poller,
    pub(crate) clients: Vec<Client>,
    pub(crate) stats: Stats,
    filler: Vec<u8>,
    /// Requests that may still be started.
    budget: u64,
    stop_at: u64,
    events: Vec<(u64, Ready)>,
    scratch: Vec<u8>,
}

impl Load {
    pub(crate) fn new(cfg: Config, n: usize) -> std::io::Result<Load> {
        let filler = vec![b'x'; cfg.payload.max(64)];
        let clients = (0..n)
            .map(|index| Client {
                index,
                phase: Phase::New,
                rpc: None,
                stream: None,
                session: None,
                endpoint: cfg.path.clone(),
                seq: 0,
                id: 0,
                sent_at: 0,
                got_reply: false,
                got_http_end: false,
                failures: 0,
                stream_status: 0,
            })
            .collect();
        Ok(Load {
            cfg,
            poller: Poller::new()?,
            clients,
            stats: Stats::default(),
            filler,
            budget: 0,
            stop_at: u64::MAX,
            events: Vec::new(),
            scratch: Vec::new(),
        })
    }

    fn fail(&mut self, i: usize, why: String) {
        self.stats.errors += 1;
        self.stats.first_error.get_or_insert(why);
        let c = &mut self.clients[i];
        c.failures += 1;
        c.rpc = None;
        c.stream = None;
        c.session = None;
        c.phase = if c.failures > 5 { Phase::Dead } else { Phase::New };
    }

    /// Checks a reply to the running request.
    fn check(&mut self, i: usize, data: &[u8]) -> Result<(), String> {
        let brief = || String::from_utf8_lossy(&data[..data.len().min(300)]).into_owned();
        let reply: Reply =
            serde_json::from_slice(data).map_err(|e| format!("bad JSON ({e}): {}", brief()))?;
        let c = &self.clients[i];
        if reply.id.is_none_or(|id| id.get().parse() != Ok(c.id)) {
            return Err(format!("id is not {}: {}", c.id, brief()));
        }
        let Some(result) = reply.result else { return Err(format!("no result: {}", brief())) };
        if reply.error.is_some() || result.is_error == Some(true) {
            return Err(format!("error: {}", brief()));
        }
        if c.phase != Phase::Calling {
            return Ok(());
        }
        if self.cfg.method == "tools/list" {
            let n = result.tools.map_or(0, |t| t.len());
            self.stats.max_tools = self.stats.max_tools.max(n);
            if n < self.cfg.expect_tools {
                return Err(format!("{n} tools instead of {}", self.cfg.expect_tools));
            }
            return Ok(());
        }
        let text = result.content.first().and_then(|c| c.text.as_deref()).unwrap_or("").as_bytes();
        let good = match self.cfg.tool.as_str() {
            "sleep" => true,
            "blob" => text == &self.filler[..self.cfg.payload],
            _ => {
                let mark = marker(c);
                text.strip_prefix(mark.as_bytes())
                    .is_some_and(|rest| rest == &self.filler[..self.cfg.payload.saturating_sub(mark.len())])
            }
        };
        if good { Ok(()) } else { Err(format!("wrong payload: {}", brief())) }
    }

    fn on_event(&mut self, token: u64, ev: Ready) {
        let i = (token / 2) as usize;
        let is_stream = token % 2 == 1;
        let c = &mut self.clients[i];
        let Some(s) = (if is_stream { c.stream.as_mut() } else { c.rpc.as_mut() }) else { return };
        if ev.contains(net::OUT)
            && let Err(e) = s.flush(&self.poller, token)
        {
            return self.fail(i, format!("write: {e}"));
        }
        if (ev - net::OUT).is_empty() {
            return;
        }
        let open = s.fill();
        loop {
            let c = &mut self.clients[i];
            let Some(s) = (if is_stream { c.stream.as_mut() } else { c.rpc.as_mut() }) else { return };
            let before = s.in_pos;
            let input = match s.next() {
                Err(e) => return self.fail(i, e.to_string()),
                Ok(input) => input,
            };
            self.stats.bytes += (s.in_pos - before) as u64;
            match input {
                None => break,
                Some(Input::Head) => {
                    let head = s.head.as_ref().expect("head");
                    let status = head.status;
                    if is_stream {
                        c.stream_status = status;
                        if c.phase == Phase::Stream {
                            c.phase = Phase::Holding;
                        } else if status != 200 {
                            return self.fail(i, format!("stream: HTTP {status}"));
                        }
                    } else {
                        if c.phase == Phase::Initialize
                            && let Some(sid) = &head.session
                        {
                            c.session = Some(sid.clone());
                        }
                        if !(200..300).contains(&status) {
                            let rest = String::from_utf8_lossy(&s.inbuf[s.in_pos..]).into_owned();
                            let phase = c.phase;
                            return self.fail(
                                i,
                                format!("HTTP {status} in {phase:?}: {}", &rest[..rest.len().min(200)]),
                            );
                        }
                    }
                }
                Some(Input::Message(name, data)) => self.on_message(i, name.as_deref(), &data),
                Some(Input::End) if is_stream && c.stream_status != 200 => {
                    c.stream = None;
                    return;
                }
                Some(Input::End) if is_stream => return self.fail(i, "stream ended".into()),
                Some(Input::End) => {
                    // A server may close after a response; open anew then.
                    c.got_http_end = true;
                    self.progress(i);
                }
            }
        }
        if !open {
            let c = &mut self.clients[i];
            if is_stream {
                if c.stream.is_some() {
                    c.stream = None;
                    if c.phase != Phase::Holding || c.stream_status == 200 {
                        self.fail(i, "stream closed".into());
                    }
                }
                return;
            }
            let Some(s) = c.rpc.take() else { return };
            if s.body == Body::UntilClose && s.head.is_some() {
                c.got_http_end = true;
                if !s.body_buf.is_empty() {
                    let data = s.body_buf.clone();
                    self.on_message(i, None, &data);
                }
                self.progress(i);
            } else if matches!(c.phase, Phase::Initialize | Phase::Initialized | Phase::Calling)
                && !(c.got_http_end)
            {
                self.fail(i, "connection closed in mid-request".into());
            } else {
                self.stats.reconnects += 1;
            }
        }
    }

    fn on_message(&mut self, i: usize, event: Option<&str>, data: &[u8]) {
        let c = &mut self.clients[i];
        if event == Some("endpoint") {
            let text = String::from_utf8_lossy(data).trim().to_string();
            // An absolute URL is reduced to its path.
            c.endpoint = match text.split_once("://") {
                Some((_, rest)) => rest.find('/').map_or("/".into(), |p| rest[p..].to_string()),
                None => text,
            };
            if c.phase == Phase::Endpoint {
                self.send_initialize(i);
            }
            return;
        }
        if data.iter().all(u8::is_ascii_whitespace) || c.got_reply {
            return;
        }
        if !matches!(c.phase, Phase::Initialize | Phase::Calling) {
            return;
        }
        // The plain-text body of a 202 on the POST side of HTTP+SSE.
        if self.cfg.sse && event.is_none() {
            return;
        }
        if event.is_some() {
            // Notifications and requests of the server are of no interest here.
            if let Ok(Reply { method: Some(_), .. }) = serde_json::from_slice(data) {
                return;
            }
        }
        match self.check(i, data) {
            Err(e) => self.fail(i, e),
            Ok(()) => {
                let c = &mut self.clients[i];
                c.got_reply = true;
                if c.phase == Phase::Calling {
                    self.stats.latencies_ns.push(net::now_ns() - c.sent_at);
                }
                if self.cfg.sse {
                    self.progress(i);
                }
            }
        }
    }

    /// Goes on with client `i` once its request is answered in full.
    fn progress(&mut self, i: usize) {
        let c = &mut self.clients[i];
        match c.phase {
            Phase::Initialize if c.got_http_end && c.got_reply => {
                c.phase = Phase::Initialized;
                self.post(
                    i,
                    br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                    "notifications/initialized",
                );
            }
            Phase::Initialized if c.got_http_end => {
                if self.cfg.idle {
                    self.open_idle_stream(i);
                } else {
                    c.phase = Phase::Ready;
                }
            }
            Phase::Calling if c.got_http_end && c.got_reply => {
                self.stats.ok += 1;
                c.failures = 0;
                c.phase = Phase::Ready;
                self.next_call(i);
            }
            Phase::Initialize | Phase::Calling if c.got_http_end && !self.cfg.sse => {
                self.fail(i, "response without a reply".into());
            }
            _ => {}
        }
    }

    fn next_call(&mut self, i: usize) {
        if self.budget > 0 && net::now_ns() < self.stop_at {
            self.budget -= 1;
            self.send_call(i);
        }
    }

    /// One turn of the reactor.
    pub(crate) fn turn(&mut self, timeout_ms: u64) {
        let mut events = std::mem::take(&mut self.events);
        if self.poller.wait(Some(timeout_ms), &mut events).is_ok() {
            for &(token, ev) in &events {
                self.on_event(token, ev);
            }
        }
        self.events = events;
    }

    fn expire(&mut self) {
        let now = net::now_ns();
        for i in 0..self.clients.len() {
            let c = &self.clients[i];
            let waiting =
                matches!(c.phase, Phase::Endpoint | Phase::Initialize | Phase::Initialized | Phase::Calling);
            if waiting && now.saturating_sub(c.sent_at) > self.cfg.timeout_ns {
                let phase = c.phase;
                self.fail(i, format!("timeout in {phase:?}"));
            } else if c.phase == Phase::Stream && now.saturating_sub(c.sent_at) > 1_000_000_000 {
                // Some servers send the head of an event stream only with its first event.
                self.clients[i].phase = Phase::Holding;
            }
        }
    }

    /// Brings every client to `Ready` (or `Holding`); false if some died.
    pub(crate) fn connect_all(&mut self, deadline: u64) -> bool {
        let target = if self.cfg.idle { Phase::Holding } else { Phase::Ready };
        let mut last_check = 0;
        loop {
            let settled = self.clients.iter().filter(|c| c.phase == target || c.phase == Phase::Dead).count();
            if settled == self.clients.len() {
                return self.clients.iter().all(|c| c.phase == target);
            }
            let now = net::now_ns();
            if now > deadline {
                return false;
            }
            let busy = self
                .clients
                .iter()
                .filter(|c| !matches!(c.phase, Phase::New | Phase::Dead) && c.phase != target)
                .count();
            let fresh: Vec<usize> = self
                .clients
                .iter()
                .filter(|c| c.phase == Phase::New)
                .map(|c| c.index)
                .take(RAMP.saturating_sub(busy))
                .collect();
            for i in fresh {
                self.start(i);
            }
            self.turn(if busy > 0 { 20 } else { 0 });
            if now - last_check > 100_000_000 {
                last_check = now;
                self.expire();
            }
        }
    }

    /// Runs up to `budget` requests, at most until `stop_at`.
    pub(crate) fn run(&mut self, budget: u64, stop_at: u64) {
        self.budget = budget;
        self.stop_at = stop_at;
        for i in 0..self.clients.len() {
            if self.clients[i].phase == Phase::Ready {
                self.next_call(i);
            }
        }
        let mut last_check = net::now_ns();
        loop {
            let open = self.budget > 0 && net::now_ns() < self.stop_at;
            let mut active = false;
            let mut alive = false;
            for c in &self.clients {
                active |= !matches!(c.phase, Phase::Ready | Phase::Dead | Phase::New);
                alive |= c.phase != Phase::Dead;
            }
            if !active && (!open || !alive) {
                return;
            }
            // Turn a number of times before looking over all the clients again.
            for _ in 0..64 {
                self.turn(10);
                let now = net::now_ns();
                if now - last_check > 50_000_000 {
                    last_check = now;
                    self.expire();
                    if open {
                        // Failed clients come back.
                        for i in 0..self.clients.len() {
                            match self.clients[i].phase {
                                Phase::New => self.start(i),
                                Phase::Ready => self.next_call(i),
                                _ => {}
                            }
                        }
                    }
                    break;
                }
                if self.budget == 0 || now >= self.stop_at {
                    break;
                }
            }
        }
    }
}

/// First characters of an echo payload: who asked, and for which request.
fn marker(c: &Client) -> String {
    format!("c{:05}r{:09}-", c.index, c.seq)
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<ReplyResult<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ReplyResult<'a> {
    #[serde(borrow, default)]
    content: Vec<Content<'a>>,
    tools: Option<Vec<IgnoredAny>>,
    #[serde(rename = "isError")]
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}
