//! Fetches client metadata documents from the world.
//!
//! ```text
//! Resolve ─▶ every address is of the whole world? ─▶ Connect (that very address) ─▶ GET ─▶ 200, JSON, short ─▶ done
//!                │ no: refused                          │ next address                 │ anything else: refused
//! ```
//! What is fetched is chosen by strangers, so this must not become a way into our own networks (T-24): all addresses of a
//! name must be good, the one that was looked at is the one that is dialled (T-25), no redirect is followed, nothing of
//! an answer is told to whoever asked, and everything together takes 5 s at most.

use crate::effects::Effects;
use crate::event::{ConnEvent, Output};
use crate::http::{self, ClientEvent, Method, encode_request_head};
use crate::id::ConnId;
use crate::log::Level;
use crate::net::is_global;
use crate::oauth::{DOCUMENT_BYTES_MAX, FETCH_MS, Fetched};
use crate::timer::{Timer, TimerKind};
use crate::url::Url;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// All fetches that are under way. There are never more than visitors who wait for them.
#[derive(Debug, Default)]
pub(super) struct Documents {
    fetches: BTreeMap<ConnId, Fetch>,
    /// Those that are over: what for, and what came of it.
    results: VecDeque<(u64, Result<Fetched, String>)>,
}

#[derive(Debug)]
struct Fetch {
    job: u64,
    url: Url,
    addrs: VecDeque<SocketAddr>,
    http: http::Client,
    fetched: Fetched,
    timer: Timer,
}

impl Documents {
    /// Begins to fetch one; `job` comes back with what comes of it.
    pub(super) fn fetch(&mut self, fx: &mut Effects, job: u64, url: Url) {
        let conn = fx.mint();
        let timer = fx.after(FETCH_MS, TimerKind::Document, conn.0);
        let limits = http::Limits { head_bytes_max: fx.limits.head_bytes_max, ..http::Limits::default() };
        fx.output(Output::Resolve { conn, name: url.host().into(), port: url.port() });
        let fetched =
            Fetched { status: 0, media_type: String::new(), cache_control: String::new(), body: Vec::new() };
        let http = http::Client::new(limits);
        self.fetches.insert(conn, Fetch { job, url, addrs: VecDeque::new(), http, fetched, timer });
    }

    /// What came of a fetch.
    pub(super) fn poll_event(&mut self) -> Option<(u64, Result<Fetched, String>)> {
        self.results.pop_front()
    }

    /// Something happened to the connection of a fetch.
    pub(super) fn handle(&mut self, fx: &mut Effects, conn: ConnId, event: ConnEvent<'_>) {
        match event {
            ConnEvent::Received(bytes) => self.on_bytes(fx, conn, bytes),
            ConnEvent::Eof => self.on_eof(fx, conn),
            ConnEvent::Closed(_) => {
                fx.mark_gone(conn);
                self.on_eof(fx, conn);
            }
            ConnEvent::Resolved(result) => self.on_resolved(fx, conn, result),
            ConnEvent::Connected => self.on_connected(fx, conn),
            ConnEvent::Failed(reason) => self.on_failed(fx, conn, reason),
            ConnEvent::Stderr(_) | ConnEvent::Spawned(_) | ConnEvent::Exited(_) => {
                debug_assert!(false, "a document comes over a socket");
            }
        }
    }

    /// Whether a connection carries a document.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        !self.fetches.is_empty() && self.fetches.contains_key(&conn)
    }

    fn on_resolved(&mut self, fx: &mut Effects, conn: ConnId, result: Result<&[SocketAddr], &str>) {
        let Some(fetch) = self.fetches.get_mut(&conn) else { return };
        match result {
            Err(reason) => {
                let reason = format!("its name cannot be resolved: {reason}");
                self.end(fx, conn, Err(reason));
            }
            Ok(addrs) if addrs.is_empty() || !addrs.iter().all(|addr| is_global(addr.ip())) => {
                self.end(
                    fx,
                    conn,
                    Err("its name leads to an address that is not of the whole world".to_owned()),
                );
            }
            Ok(addrs) => {
                fetch.addrs = addrs.iter().copied().collect();
                self.dial(fx, conn);
            }
        }
    }

    fn dial(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(fetch) = self.fetches.get_mut(&conn) else { return };
        match fetch.addrs.pop_front() {
            Some(addr) => {
                let tls = Some(fetch.url.host().into());
                fx.output(Output::Connect { conn, addr, tls });
            }
            None => self.end(fx, conn, Err("nothing answers at its address".to_owned())),
        }
    }

    fn on_failed(&mut self, fx: &mut Effects, conn: ConnId, reason: &str) {
        fx.log(Level::Debug, None, format!("a client metadata document: {reason}"));
        self.dial(fx, conn);
    }

    fn on_connected(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(fetch) = self.fetches.get_mut(&conn) else { return };
        fetch.http.begin(Method::Get);
        let (target, host) = (fetch.url.target(), fetch.url.authority());
        let agent = concat!("mcp-proxy/", env!("CARGO_PKG_VERSION"));
        let headers =
            [("accept", "application/json"), ("accept-encoding", "identity"), ("user-agent", agent)];
        fx.send(conn, 512, |out| encode_request_head(out, "GET", &target, &host, headers, None));
    }

    fn on_bytes(&mut self, fx: &mut Effects, conn: ConnId, bytes: &[u8]) {
        let Some(fetch) = self.fetches.get_mut(&conn) else { return };
        fetch.http.push(bytes);
        self.read(fx, conn);
    }

    fn on_eof(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(fetch) = self.fetches.get_mut(&conn) else { return };
        fetch.http.close_read();
        self.read(fx, conn);
        if self.has(conn) {
            self.end(fx, conn, Err("the connection was closed".to_owned()));
        }
    }

    /// A fetch takes too long.
    pub(super) fn on_timer(&mut self, fx: &mut Effects, conn: ConnId) {
        self.end(fx, conn, Err("it takes too long".to_owned()));
    }

    fn read(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(fetch) = self.fetches.get_mut(&conn) else { return };
        match read(fetch) {
            Ok(false) => {}
            Ok(true) => {
                let body = std::mem::take(&mut fetch.fetched.body);
                let fetched = Fetched { body, ..fetch.fetched.clone() };
                self.end(fx, conn, Ok(fetched));
            }
            Err(reason) => self.end(fx, conn, Err(reason)),
        }
    }

    fn end(&mut self, fx: &mut Effects, conn: ConnId, result: Result<Fetched, String>) {
        let Some(fetch) = self.fetches.remove(&conn) else { return };
        fx.timers.cancel(fetch.timer);
        fx.close(conn);
        self.results.push_back((fetch.job, result));
    }

    /// Nobody waits for a document any more.
    pub(super) fn end_all(&mut self, fx: &mut Effects) {
        let conns: Vec<ConnId> = self.fetches.keys().copied().collect();
        for conn in conns {
            self.end(fx, conn, Err("the proxy is shutting down".to_owned()));
        }
    }
}

/// Looks at what has come; true when it is complete.
fn read(fetch: &mut Fetch) -> Result<bool, String> {
    loop {
        match fetch.http.next().map_err(|fault| fault.to_string())? {
            None => return Ok(false),
            Some(ClientEvent::End) => return Ok(true),
            Some(ClientEvent::Data(bytes)) => {
                if fetch.fetched.body.len().saturating_add(bytes.len()) > DOCUMENT_BYTES_MAX {
                    return Err(format!("it is longer than {DOCUMENT_BYTES_MAX} bytes"));
                }
                fetch.fetched.body.extend_from_slice(bytes);
            }
            Some(ClientEvent::Head) => {
                let head = fetch.http.head();
                if head.status() != 200 {
                    return Err(format!("status {}", head.status()));
                }
                if head
                    .header("content-encoding")
                    .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
                {
                    return Err("it is compressed, which was not asked for".to_owned());
                }
                let text = |name| head.header(name).unwrap_or_default().to_owned();
                let (media_type, cache_control) = (text("content-type"), text("cache-control"));
                fetch.fetched.status = head.status();
                fetch.fetched.media_type = media_type;
                fetch.fetched.cache_control = cache_control;
            }
        }
    }
}
