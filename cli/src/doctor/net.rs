//! The doctor's own client: what it sends, and what it means when nothing comes back.
//!
//! Invariants: no redirect is followed, no credential is ever sent, an answer has bounds in bytes and time.

use super::finding::{Finding, Report};
use mcp_proxy_core::url::Url;
use mcp_proxy_os::{Exchange, ExchangeError, ExchangeErrorKind, Response, Terms, exchange, watch};
use std::time::Duration;

/// How to get out.
pub(super) struct Net {
    pub(super) insecure: bool,
    pub(super) extra_roots: Option<Vec<u8>>,
}

impl Net {
    pub(super) fn get(&self, url: &Url, accept: &str) -> Result<Response, ExchangeError> {
        self.send("GET", url, &[("Accept", accept)], None)
    }

    pub(super) fn post(&self, url: &Url, media: &str, body: &str) -> Result<Response, ExchangeError> {
        let accept = "application/json, text/event-stream";
        self.send("POST", url, &[("Accept", accept), ("Content-Type", media)], Some(body))
    }

    /// Asks as a browser does before a script of `origin` may send `method` with a header `header`.
    pub(super) fn preflight(
        &self,
        url: &Url,
        origin: &str,
        method: &str,
        header: &str,
    ) -> Result<Response, ExchangeError> {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", header),
        ];
        self.send("OPTIONS", url, &headers, None)
    }

    /// Gets an answer that comes in parts, `seconds` long.
    pub(super) fn watch(&self, url: &Url, headers: &[(&str, &str)], seconds: u64) -> Watched {
        let headers = owned(headers);
        let request = Exchange { method: "GET", url, headers: &headers, body: None };
        let terms = self.terms(TIMEOUT.saturating_add(Duration::from_secs(seconds)));
        let mut pieces = Vec::new();
        let result = watch(&request, &terms, &mut |at, piece| pieces.push((at, piece.to_vec())));
        Watched { result, pieces }
    }

    fn terms(&self, timeout: Duration) -> Terms<'_> {
        Terms {
            body_bytes_max: BODY_BYTES_MAX,
            timeout: Some(timeout),
            insecure: self.insecure,
            extra_roots: self.extra_roots.as_deref(),
        }
    }

    fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Response, ExchangeError> {
        let headers = owned(headers);
        let request = Exchange { method, url, headers: &headers, body: body.map(str::as_bytes) };
        exchange(&request, &self.terms(TIMEOUT))
    }
}

/// An answer, or why there is none, and when each piece of its body came.
pub(super) struct Watched {
    pub(super) result: Result<Response, ExchangeError>,
    pub(super) pieces: Vec<(Duration, Vec<u8>)>,
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The answer; if there is none, the report says why.
pub(super) fn answer(
    report: &mut Report<'_>,
    what: &str,
    url: &Url,
    result: Result<Response, ExchangeError>,
) -> Option<Response> {
    result.inspect_err(|error| report.add(&unreachable(what, url, error))).ok()
}

/// What it means that there was no answer.
pub(super) fn unreachable(what: &str, url: &Url, error: &ExchangeError) -> Finding {
    let advice = match error.kind {
        ExchangeErrorKind::Lookup => {
            "The name in the URL has no address. Check its spelling and the DNS record; a fresh record or tunnel \
             takes some minutes to be known."
        }
        ExchangeErrorKind::Connect => {
            "Nothing takes connections there. Check that the proxy runs, that whatever stands in front of it \
             (nginx, a tunnel) runs too, that the port is the right one and that no firewall closes it."
        }
        ExchangeErrorKind::Certificate => {
            "No client connects to a server with such a certificate. Use one of a public authority for exactly this \
             name and serve its whole chain (nginx: `ssl_certificate` names fullchain.pem, not cert.pem)."
        }
        ExchangeErrorKind::Tls => {
            "Something answers there, but not with TLS a client accepts. The proxy itself speaks plain HTTP: TLS is \
             ended in front of it, by nginx, Caddy or a tunnel, and the URL must name the port of that."
        }
        ExchangeErrorKind::Config => "This is about the settings of this command, not about the server.",
        ExchangeErrorKind::Broken => {
            "What came back is not a complete HTTP answer. Is the port the one of the proxy, and is `https` right? \
             A reverse proxy that restarts looks like this too."
        }
        ExchangeErrorKind::TooLarge => "No answer of the proxy is that large, so something else gave it.",
        ExchangeErrorKind::Timeout => {
            "Clients give up after about ten seconds as well. A firewall that drops packets looks like this, and so \
             does a reverse proxy or tunnel that cannot reach the proxy."
        }
    };
    Finding::fail(format!("{what}: no answer from {url}: {error}"), advice)
}

/// What hosted clients wait for discovery, registration and tokens.
const TIMEOUT: Duration = Duration::from_secs(10);

const BODY_BYTES_MAX: usize = 1 << 20;
