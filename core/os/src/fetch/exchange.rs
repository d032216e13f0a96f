//! One HTTP request on a connection of its own, and its response as it is.
//!
//! Invariants: no redirect is followed, the caller sees it; body and, if wanted, time are bounded; an event stream
//! has no end, so its head alone is the response; an error says who can help and shows no query.
//! Deliberately absent: proxies, compression, cookies, connection reuse, upgrades.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mcp_proxy_core::http::{Client, ClientEvent, Limits, Method, ResponseHead, encode_request_head};
use mcp_proxy_core::tls::{TlsCodec, TlsConfig, TlsFault, TlsFaultKind};
use mcp_proxy_core::url::Url;

use super::deadline::{Deadline, is_late, now};
use crate::reason;

/// One request.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// As it goes out, such as `POST`.
    pub method: &'a str,
    /// Where to.
    pub url: &'a Url,
    /// Beside `Host`, the framing, and a `User-Agent` and an `Accept` where these are missing.
    pub headers: &'a [(String, String)],
    /// What to send, if anything.
    pub body: Option<&'a [u8]>,
}

/// Bounds of one exchange, and whom it trusts.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Longest body, after the chunks are taken apart.
    pub body_bytes_max: usize,
    /// From the look-up of the name to the last byte; without it we wait as long as the system does.
    pub timeout: Option<Duration>,
    /// Trusts any certificate.
    pub insecure: bool,
    /// Root certificates (PEM) trusted beside the built-in ones.
    pub extra_roots: Option<&'a [u8]>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// 200 to 999.
    pub status: u16,
    /// In their order, names as sent.
    pub headers: Vec<(String, String)>,
    /// Empty for an event stream.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeError {
    /// Who can help.
    pub kind: ExchangeErrorKind,
    /// A lower-case sentence without a full stop, for an operator.
    pub detail: String,
}

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeErrorKind {
    /// The name has no address.
    Lookup,
    /// Nobody listens there, or nothing leads there.
    Connect,
    /// The server's certificate is not trusted.
    Certificate,
    /// There is no TLS, or none in common.
    Tls,
    /// Our own settings are of no use.
    Config,
    /// The connection was lost, or what came is no HTTP.
    Broken,
    /// The body is longer than the limit.
    TooLarge,
    /// There was no complete response in time.
    Timeout,
}

/// Sends a request and waits for its response. Blocks.
///
/// # Errors
/// There is no complete response within these terms.
pub fn exchange(request: &Exchange<'_>, terms: &Terms<'_>) -> Result<Response, ExchangeError> {
    request.send(terms, Deadline::after(terms.timeout), |head| !is_event_stream(head), &mut |_| {})
}

/// As [`exchange()`], but an event stream is read to its end as well, and `seen` gets each piece of the body when it
/// arrives, also when no end follows, with the time since the request began.
///
/// # Errors
/// There is no complete response within these terms.
pub fn watch(
    request: &Exchange<'_>,
    terms: &Terms<'_>,
    seen: &mut dyn FnMut(Duration, &[u8]),
) -> Result<Response, ExchangeError> {
    let begun = now();
    let mut seen = |piece: &[u8]| seen(now().saturating_duration_since(begun), piece);
    request.send(terms, Deadline::after(terms.timeout), |_| true, &mut seen)
}

fn is_event_stream(head: &ResponseHead) -> bool {
    let media = head.header("content-type").and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

impl Exchange<'_> {
    /// The body is read where the head is worth it.
    pub(super) fn send(
        &self,
        terms: &Terms<'_>,
        deadline: Deadline,
        wants_body: fn(&ResponseHead) -> bool,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Response, ExchangeError> {
        let late = |error| deadline.explain(error, terms.timeout);
        let mut stream = Stream::open(self.url, terms, deadline).map_err(late)?;
        stream.send(&self.encode()).map_err(late)?;
        let mut client = Client::new(Limits::default());
        client.begin(Method::from(self.method));
        let mut response = Response::default();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            while let Some(event) = client.next().map_err(|fault| broken(fault.to_string()))? {
                match event {
                    ClientEvent::Data(data) if response.body.len() + data.len() > terms.body_bytes_max => {
                        let mib = terms.body_bytes_max >> 20;
                        let detail = format!("larger than {mib} MiB");
                        return Err(ExchangeError::new(ExchangeErrorKind::TooLarge, detail));
                    }
                    ClientEvent::Data(data) => {
                        seen(data);
                        response.body.extend_from_slice(data);
                    }
                    ClientEvent::Head => {
                        let head = client.head();
                        response.status = head.status();
                        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                        response.headers = head.headers().map(owned).collect();
                        if !wants_body(head) {
                            return Ok(response);
                        }
                    }
                    ClientEvent::End => return Ok(response),
                }
            }
            match stream.receive(&mut chunk).map_err(late)? {
                Some(bytes) => client.push(&bytes),
                None => client.close_read(),
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let agent = concat!("mcp-proxy/", env!("CARGO_PKG_VERSION"));
        let named = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let defaults =
            [("User-Agent", agent), ("Accept", "*/*")].into_iter().filter(|(name, _)| !named(name));
        let given = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut out = Vec::new();
        let (target, authority) = (self.url.target(), self.url.authority());
        let len = self.body.map(<[u8]>::len);
        encode_request_head(&mut out, self.method, &target, &authority, defaults.chain(given), len);
        out.extend_from_slice(self.body.unwrap_or_default());
        out
    }
}

impl Response {
    /// The first field of this name (any case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Every field of this name (any case), in their order.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }
}

impl ExchangeError {
    pub(super) fn new(kind: ExchangeErrorKind, detail: String) -> Self {
        Self { kind, detail }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ExchangeError {}

impl From<TlsFault> for ExchangeError {
    fn from(fault: TlsFault) -> Self {
        let kind = match fault.kind {
            TlsFaultKind::Certificate => ExchangeErrorKind::Certificate,
            TlsFaultKind::Protocol => ExchangeErrorKind::Tls,
            TlsFaultKind::Config => ExchangeErrorKind::Config,
        };
        Self::new(kind, fault.to_string())
    }
}

fn broken(detail: String) -> ExchangeError {
    ExchangeError::new(ExchangeErrorKind::Broken, detail)
}

fn lost(error: &io::Error) -> ExchangeError {
    match is_late(error) {
        true => ExchangeError::new(ExchangeErrorKind::Timeout, String::new()),
        false => broken(reason(error)),
    }
}

/// A connection that is used for one request.
struct Stream {
    io: TcpStream,
    tls: Option<TlsCodec>,
    deadline: Deadline,
}

impl Stream {
    fn open(url: &Url, terms: &Terms<'_>, deadline: Deadline) -> Result<Self, ExchangeError> {
        let addrs = deadline.lookup(url.host(), url.port())?.map_err(|error| {
            let detail = format!("cannot resolve {}: {}", url.host(), reason(&error));
            ExchangeError::new(ExchangeErrorKind::Lookup, detail)
        })?;
        let mut stream = Self { io: connect(&addrs, deadline)?, tls: None, deadline };
        if url.is_secure() {
            let roots: Vec<&[u8]> = terms.extra_roots.into_iter().collect();
            let config = TlsConfig::new(&roots, terms.insecure)?;
            stream.shake_hands(config.client(url.host())?)?;
        }
        Ok(stream)
    }

    fn shake_hands(&mut self, mut codec: TlsCodec) -> Result<(), ExchangeError> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut out = Vec::new();
        codec.flush(&mut out);
        while codec.is_handshaking() || !out.is_empty() {
            self.write(&out)?;
            out.clear();
            if !codec.is_handshaking() {
                break;
            }
            let len = self.read(&mut chunk)?;
            if len == 0 {
                return Err(ExchangeError::new(
                    ExchangeErrorKind::Tls,
                    "connection closed during the TLS handshake".to_owned(),
                ));
            }
            // No server speaks before it is asked.
            let result = codec.decrypt(chunk.get(..len).unwrap_or_default(), &mut Vec::new());
            codec.flush(&mut out);
            if let Err(fault) = result {
                let _ = self.write(&out);
                return Err(fault.into());
            }
        }
        self.tls = Some(codec);
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        let mut out = Vec::new();
        match &mut self.tls {
            None => return self.write(bytes),
            Some(codec) => codec.encrypt(bytes, &mut out)?,
        };
        self.write(&out)
    }

    /// Some bytes (maybe none yet), or `None` at the end.
    fn receive(&mut self, chunk: &mut [u8]) -> Result<Option<Vec<u8>>, ExchangeError> {
        if self.tls.as_ref().is_some_and(TlsCodec::is_read_closed) {
            return Ok(None);
        }
        let len = self.read(chunk)?;
        let bytes = chunk.get(..len).unwrap_or_default();
        let Some(codec) = &mut self.tls else {
            return Ok((len > 0).then(|| bytes.to_vec()));
        };
        if len == 0 {
            return Err(broken("connection closed without a TLS close_notify".to_owned()));
        }
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        codec.decrypt(bytes, &mut plain)?;
        codec.flush(&mut out);
        self.write(&out)?;
        Ok(Some(plain))
    }

    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, ExchangeError> {
        loop {
            let left = self.deadline.left().map_err(|error| lost(&error))?;
            match self.io.set_read_timeout(left).and_then(|()| self.io.read(chunk)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(|error| lost(&error)),
            }
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), ExchangeError> {
        while !bytes.is_empty() {
            let left = self.deadline.left().map_err(|error| lost(&error))?;
            match self.io.set_write_timeout(left).and_then(|()| self.io.write(bytes)) {
                Ok(0) => return Err(lost(&io::ErrorKind::WriteZero.into())),
                Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(&error)),
            }
        }
        Ok(())
    }
}

/// The first address that accepts.
fn connect(addrs: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, ExchangeError> {
    let mut detail = "the name has no address".to_owned();
    for addr in addrs {
        let stream = match deadline.left().map_err(|error| lost(&error))? {
            None => TcpStream::connect(addr),
            Some(left) => TcpStream::connect_timeout(addr, left),
        };
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => detail = format!("cannot connect to {addr}: {}", reason(&error)),
        }
    }
    // The system may have given up just in time.
    deadline.left().map_err(|error| lost(&error))?;
    Err(ExchangeError::new(ExchangeErrorKind::Connect, detail))
}

const CHUNK_BYTES: usize = 16 * 1024;
