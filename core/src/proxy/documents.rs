//! Fetches client metadata documents from the world.
//!
//! ```text
//! Resolve ─▶ every address is of the whole world? ─▶ Connect (that very address) ─▶ GET ─▶ 200, JSON, short ─▶ done
//!                │ no: refused                          │ next address                 │ anything else: refused
//! ```
//! What is fetched is chosen by strangers, so this must not become a way into our own networks (T-24): all addresses of a
//! name must be good, the one that was looked at is the one that is dialled (T-25), no redirect is followed, nothing of
//! an answer is told to whoever asked, and everything together takes 5 s at most.

use super::Proxy;
use crate::event::Output;
use crate::http::{self, ClientEvent, Method, encode_request_head};
use crate::id::ConnId;
use crate::log::Level;
use crate::oauth::address::is_global;
use crate::oauth::{DOCUMENT_BYTES_MAX, FETCH_MS, Fetched};
use crate::timer::{Timer, TimerKind};
use crate::url::Url;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// All fetches that are under way. There are never more than visitors who wait for them.
#[derive(Debug, Default)]
pub(super) struct Fetches(BTreeMap<ConnId, Fetch>);

#[derive(Debug)]
struct Fetch {
    job: u64,
    url: Url,
    addrs: VecDeque<SocketAddr>,
    http: http::Client,
    fetched: Fetched,
    timer: Timer,
}

impl Proxy {
    pub(super) fn fetch_document(&mut self, job: u64, url: Url) {
        let conn = self.fx.mint();
        let timer = self.fx.after(FETCH_MS, TimerKind::Document, conn.0);
        let limits =
            http::Limits { head_bytes_max: self.fx.limits.head_bytes_max, ..http::Limits::default() };
        self.fx.output(Output::Resolve { conn, name: url.host().into(), port: url.port() });
        let fetched =
            Fetched { status: 0, media_type: String::new(), cache_control: String::new(), body: Vec::new() };
        let http = http::Client::new(limits);
        self.fetches.0.insert(conn, Fetch { job, url, addrs: VecDeque::new(), http, fetched, timer });
    }

    /// Whether a connection carries a document.
    pub(super) fn is_fetch(&self, conn: ConnId) -> bool {
        !self.fetches.0.is_empty() && self.fetches.0.contains_key(&conn)
    }

    pub(super) fn on_fetch_resolved(&mut self, conn: ConnId, result: Result<&[SocketAddr], &str>) {
        let Some(fetch) = self.fetches.0.get_mut(&conn) else { return };
        match result {
            Err(reason) => {
                let reason = format!("its name cannot be resolved: {reason}");
                self.end_fetch(conn, Err(reason));
            }
            Ok(addrs) if addrs.is_empty() || !addrs.iter().all(|addr| is_global(addr.ip())) => {
                self.end_fetch(
                    conn,
                    Err("its name leads to an address that is not of the whole world".to_owned()),
                );
            }
            Ok(addrs) => {
                fetch.addrs = addrs.iter().copied().collect();
                self.dial_fetch(conn);
            }
        }
    }

    fn dial_fetch(&mut self, conn: ConnId) {
        let Some(fetch) = self.fetches.0.get_mut(&conn) else { return };
        match fetch.addrs.pop_front() {
            Some(addr) => {
                let tls = Some(fetch.url.host().into());
                self.fx.output(Output::Connect { conn, addr, tls });
            }
            None => self.end_fetch(conn, Err("nothing answers at its address".to_owned())),
        }
    }

    pub(super) fn on_fetch_failed(&mut self, conn: ConnId, reason: &str) {
        self.fx.log(Level::Debug, None, format!("a client metadata document: {reason}"));
        self.dial_fetch(conn);
    }

    pub(super) fn on_fetch_connected(&mut self, conn: ConnId) {
        let Some(fetch) = self.fetches.0.get_mut(&conn) else { return };
        fetch.http.begin(Method::Get);
        let (target, host) = (fetch.url.target(), fetch.url.authority());
        let agent = concat!("mcp-proxy/", env!("CARGO_PKG_VERSION"));
        let headers =
            [("accept", "application/json"), ("accept-encoding", "identity"), ("user-agent", agent)];
        self.fx.send(conn, 512, |out| encode_request_head(out, "GET", &target, &host, headers, None));
    }

    pub(super) fn on_fetch_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(fetch) = self.fetches.0.get_mut(&conn) else { return };
        fetch.http.push(bytes);
        self.read_fetch(conn);
    }

    pub(super) fn on_fetch_eof(&mut self, conn: ConnId) {
        let Some(fetch) = self.fetches.0.get_mut(&conn) else { return };
        fetch.http.close_read();
        self.read_fetch(conn);
        if self.is_fetch(conn) {
            self.end_fetch(conn, Err("the connection was closed".to_owned()));
        }
    }

    pub(super) fn on_fetch_timer(&mut self, conn: ConnId) {
        self.end_fetch(conn, Err("it takes too long".to_owned()));
    }

    fn read_fetch(&mut self, conn: ConnId) {
        let Some(fetch) = self.fetches.0.get_mut(&conn) else { return };
        match read(fetch) {
            Ok(false) => {}
            Ok(true) => {
                let body = std::mem::take(&mut fetch.fetched.body);
                let fetched = Fetched { body, ..fetch.fetched.clone() };
                self.end_fetch(conn, Ok(fetched));
            }
            Err(reason) => self.end_fetch(conn, Err(reason)),
        }
    }

    pub(super) fn end_fetch(&mut self, conn: ConnId, result: Result<Fetched, String>) {
        let Some(fetch) = self.fetches.0.remove(&conn) else { return };
        self.fx.timers.cancel(fetch.timer);
        self.fx.close(conn);
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.on_fetched(fetch.job, result);
        }
    }

    /// Nobody waits for a document any more.
    pub(super) fn end_fetches(&mut self) {
        let conns: Vec<ConnId> = self.fetches.0.keys().copied().collect();
        for conn in conns {
            self.end_fetch(conn, Err("the proxy is shutting down".to_owned()));
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
