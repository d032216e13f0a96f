//! Fetches a configuration over HTTP, once, before the engine runs.
//!
//! Invariants: extra headers (they may hold a token) go only to the origin that was asked for; a redirect never
//! leads from `https` to `http`; body, redirects and, if wanted, time are bounded; an error shows no query.
//! Deliberately absent: proxies, compression, cookies, connection reuse.

use std::net::TcpStream;
use std::time::Duration;

use mcp_proxy_core::http::{Client, ClientEvent, Limits, Method, encode_request_head};
use mcp_proxy_core::tls::{TlsCodec, TlsConfig};
use mcp_proxy_core::url::Url;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};

use crate::dial;

/// Gets the body behind a URL, following redirects. Blocks. `insecure` trusts any certificate, `extra_roots`
/// (PEM) are trusted beside the built-in ones, and without a `timeout` it waits as long as the system does.
///
/// # Errors
/// In words for an operator: no connection, no trust, another status than 2xx, too large, too late.
pub fn fetch(
    url: &Url,
    headers: &[(String, String)],
    timeout: Option<Duration>,
    insecure: bool,
    extra_roots: Option<&[u8]>,
) -> Result<Vec<u8>, String> {
    let roots: Vec<&[u8]> = extra_roots.into_iter().collect();
    let fetch = Fetch { headers, insecure, roots: &roots };
    smol::block_on(async {
        let Some(timeout) = timeout else { return fetch.follow(url).await };
        let late = async {
            Timer::after(timeout).await;
            Err(format!("cannot fetch {url}: no answer within {timeout:?}"))
        };
        fetch.follow(url).or(late).await
    })
}

struct Fetch<'a> {
    headers: &'a [(String, String)],
    insecure: bool,
    roots: &'a [&'a [u8]],
}

/// What one request gave.
enum Answer {
    Body(Vec<u8>),
    Redirect(String),
}

impl Fetch<'_> {
    async fn follow(&self, start: &Url) -> Result<Vec<u8>, String> {
        let mut url = start.clone();
        for _ in 0..=REDIRECTS_MAX {
            let headers = if url.origin() == start.origin() { self.headers } else { &[] };
            let answer = self.exchange(&url, headers).await;
            match answer.map_err(|reason| format!("cannot fetch {url}: {reason}"))? {
                Answer::Body(body) => return Ok(body),
                Answer::Redirect(location) => {
                    let next = url.resolve(&location);
                    let next = next.map_err(|error| format!("{url} redirects to a bad URL: {error}"))?;
                    if url.is_secure() && !next.is_secure() {
                        return Err(format!("{url} redirects from https to {next}, which is not safe"));
                    }
                    url = next;
                }
            }
        }
        Err(format!("cannot fetch {start}: more than {REDIRECTS_MAX} redirects"))
    }

    async fn exchange(&self, url: &Url, headers: &[(String, String)]) -> Result<Answer, String> {
        let mut stream = self.connect(url).await?;
        stream.send(&request(url, headers)).await?;
        let mut client = Client::new(Limits::default());
        client.begin(Method::Get);
        let mut body = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            while let Some(event) = client.next().map_err(|fault| fault.to_string())? {
                match event {
                    ClientEvent::Data(data) if body.len() + data.len() > BODY_BYTES_MAX => {
                        return Err(format!("larger than {} MiB", BODY_BYTES_MAX >> 20));
                    }
                    ClientEvent::Data(data) => body.extend_from_slice(data),
                    ClientEvent::Head => {
                        if !(200..300).contains(&client.head().status()) {
                            return refusal(&client);
                        }
                    }
                    ClientEvent::End => return Ok(Answer::Body(body)),
                }
            }
            match stream.receive(&mut chunk).await? {
                Some(bytes) => client.push(&bytes),
                None => client.close_read(),
            }
        }
    }

    async fn connect(&self, url: &Url) -> Result<Stream, String> {
        let addrs = dial::lookup(url.host(), url.port()).await;
        let addrs =
            addrs.map_err(|error| format!("cannot resolve {}: {}", url.host(), dial::reason(&error)))?;
        let mut result = Err("the name has no address".to_owned());
        for addr in addrs {
            result = Async::<TcpStream>::connect(addr)
                .await
                .map_err(|error| format!("cannot connect to {addr}: {}", dial::reason(&error)));
            if result.is_ok() {
                break;
            }
        }
        let mut stream = Stream { io: result?, tls: None };
        if url.is_secure() {
            let config = TlsConfig::new(self.roots, self.insecure).map_err(|fault| fault.to_string())?;
            stream.shake_hands(config.client(url.host()).map_err(|fault| fault.to_string())?).await?;
        }
        Ok(stream)
    }
}

fn request(url: &Url, headers: &[(String, String)]) -> Vec<u8> {
    let agent = concat!("mcp-proxy/", env!("CARGO_PKG_VERSION"));
    let named = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let defaults = [("User-Agent", agent), ("Accept", "*/*")].into_iter().filter(|(name, _)| !named(name));
    let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut out = Vec::new();
    encode_request_head(&mut out, "GET", &url.target(), &url.authority(), defaults.chain(given), None);
    out
}

fn refusal(client: &Client) -> Result<Answer, String> {
    let head = client.head();
    match (head.status(), head.header("location")) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => Ok(Answer::Redirect(location.to_owned())),
        (status, _) => Err(format!("server answered with status {status}")),
    }
}

/// A connection that is used for one request.
struct Stream {
    io: Async<TcpStream>,
    tls: Option<TlsCodec>,
}

impl Stream {
    async fn shake_hands(&mut self, mut codec: TlsCodec) -> Result<(), String> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut out = Vec::new();
        codec.flush(&mut out);
        while codec.is_handshaking() || !out.is_empty() {
            self.write(&out).await?;
            out.clear();
            if !codec.is_handshaking() {
                break;
            }
            let len = self.io.read(&mut chunk).await.map_err(|error| dial::reason(&error))?;
            if len == 0 {
                return Err("connection closed during the TLS handshake".to_owned());
            }
            // No server speaks before it is asked.
            let result = codec.decrypt(chunk.get(..len).unwrap_or_default(), &mut Vec::new());
            codec.flush(&mut out);
            if let Err(fault) = result {
                let _ = self.write(&out).await;
                return Err(fault.to_string());
            }
        }
        self.tls = Some(codec);
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut out = Vec::new();
        match &mut self.tls {
            None => return self.write(bytes).await,
            Some(codec) => codec.encrypt(bytes, &mut out).map_err(|fault| fault.to_string())?,
        };
        self.write(&out).await
    }

    /// Some bytes (maybe none yet), or `None` at the end.
    async fn receive(&mut self, chunk: &mut [u8]) -> Result<Option<Vec<u8>>, String> {
        if self.tls.as_ref().is_some_and(TlsCodec::is_read_closed) {
            return Ok(None);
        }
        let len = self.io.read(chunk).await.map_err(|error| dial::reason(&error))?;
        let bytes = chunk.get(..len).unwrap_or_default();
        let Some(codec) = &mut self.tls else {
            return Ok((len > 0).then(|| bytes.to_vec()));
        };
        if len == 0 {
            return Err("connection closed without a TLS close_notify".to_owned());
        }
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        codec.decrypt(bytes, &mut plain).map_err(|fault| fault.to_string())?;
        codec.flush(&mut out);
        self.write(&out).await?;
        Ok(Some(plain))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.io.write_all(bytes).await.map_err(|error| dial::reason(&error))
    }
}

/// More than enough for a chain of "add www, add https, moved".
const REDIRECTS_MAX: usize = 5;

/// A configuration is text that people write.
const BODY_BYTES_MAX: usize = 4 << 20;

const CHUNK_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
