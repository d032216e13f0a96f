//! Fetches a configuration over HTTP, once, before the engine runs. [`exchange()`] is the single request it is made of.
//!
//! Invariants: extra headers (they may hold a token) go only to the origin that was asked for; a redirect never
//! leads from `https` to `http`; body, redirects and, if wanted, time are bounded; an error shows no query.
//! Deliberately absent: proxies, compression, cookies, connection reuse.

use std::time::Duration;

use mcp_proxy_core::url::Url;

mod deadline;
mod exchange;

use deadline::Deadline;

pub use exchange::{Exchange, ExchangeError, ExchangeErrorKind, Response, Terms, exchange, watch};

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
    // The time is for the whole chain, not for each exchange.
    let deadline = Deadline::after(timeout);
    let terms = Terms { body_bytes_max: BODY_BYTES_MAX, timeout, insecure, extra_roots };
    let mut next = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let url_now = next;
        let headers = if url_now.origin() == url.origin() { headers } else { &[] };
        let request = Exchange { method: "GET", url: &url_now, headers, body: None };
        let response = request.send(&terms, deadline, |head| is_success(head.status()), &mut |_| {});
        let response = response.map_err(|reason| format!("cannot fetch {url_now}: {reason}"))?;
        let location = match (response.status, response.header("location")) {
            (status, _) if is_success(status) => return Ok(response.body),
            (301 | 302 | 303 | 307 | 308, Some(location)) => location,
            (status, _) => {
                return Err(format!("cannot fetch {url_now}: server answered with status {status}"));
            }
        };
        next = url_now
            .resolve(location)
            .map_err(|error| format!("{url_now} redirects to a bad URL: {error}"))?;
        if url_now.is_secure() && !next.is_secure() {
            return Err(format!("{url_now} redirects from https to {next}, which is not safe"));
        }
    }
    Err(format!("cannot fetch {url}: more than {REDIRECTS_MAX} redirects"))
}

const fn is_success(status: u16) -> bool {
    status >= 200 && status < 300
}

/// More than enough for a chain of "add www, add https, moved".
const REDIRECTS_MAX: usize = 5;

/// A configuration is text that people write.
const BODY_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests;
