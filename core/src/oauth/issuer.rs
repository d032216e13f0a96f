//! Who the authorization server is: one issuer, exactly the same text everywhere (RFC 8414 §3.3, RFC 9207 §2.4).
//!
//! Clients compare issuers byte by byte, so there is one place that makes the text. It comes from `baseURL`. Without one
//! it is derived from the `Host` of the request, but only for names of this machine: an issuer made of whatever somebody
//! writes into `Host` would let them put their own addresses into documents (T-49).

use crate::http::RequestHead;
use crate::policy::{is_loopback, without_port};
use crate::url::Url;

/// The issuer as one request sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    origin: String,
    path: String,
}

impl Issuer {
    /// The issuer of a public URL.
    pub(crate) fn of_url(url: &Url) -> Self {
        Self { origin: url.origin(), path: url.path().trim_end_matches('/').to_owned() }
    }

    /// The issuer for a request, where no public URL is configured. `None` unless the request was for this machine.
    pub(crate) fn of_host(head: &RequestHead) -> Option<Self> {
        let host = head.host()?.to_ascii_lowercase();
        let url = Url::parse(&format!("http://{host}")).ok()?;
        (is_loopback(without_port(&host)) && url.target() == "/").then(|| Self::of_url(&url))
    }

    /// The identifier itself: no slash at the end.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The path of the public URL: empty, or `/…` without a slash at the end.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The URL of an endpoint below it.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.path)
    }

    /// Whether browsers reach it over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }
}
