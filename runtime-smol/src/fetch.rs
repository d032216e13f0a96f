//! Fetches a configuration over HTTP, once, before the engine runs. [`exchange()`] is the single request it is made of.
//!
//! Invariants: extra headers (they may hold a token) go only to the origin that was asked for; a redirect never
//! leads from `https` to `http`; body, redirects and, if wanted, time are bounded; an error shows no query.
//! Deliberately absent: proxies, compression, cookies, connection reuse.

use std::time::Duration;

use mcp_proxy_core::url::Url;
use smol::Timer;
use smol::future::FutureExt;

mod exchange;

pub use exchange::{Exchange, ExchangeError, ExchangeErrorKind, Response, Terms, exchange};

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
    // The time is for the whole chain, so each exchange has none of its own.
    let terms = Terms { body_bytes_max: BODY_BYTES_MAX, timeout: None, insecure, extra_roots };
    smol::block_on(async {
        let Some(timeout) = timeout else { return follow(url, headers, &terms).await };
        let late = async {
            Timer::after(timeout).await;
            Err(format!("cannot fetch {url}: no answer within {timeout:?}"))
        };
        follow(url, headers, &terms).or(late).await
    })
}

async fn follow(start: &Url, headers: &[(String, String)], terms: &Terms<'_>) -> Result<Vec<u8>, String> {
    let mut url = start.clone();
    for _ in 0..=REDIRECTS_MAX {
        let headers = if url.origin() == start.origin() { headers } else { &[] };
        let request = Exchange { method: "GET", url: &url, headers, body: None };
        let response = request.send(terms, |head| is_success(head.status())).await;
        let response = response.map_err(|reason| format!("cannot fetch {url}: {reason}"))?;
        let location = match (response.status, response.header("location")) {
            (status, _) if is_success(status) => return Ok(response.body),
            (301 | 302 | 303 | 307 | 308, Some(location)) => location,
            (status, _) => return Err(format!("cannot fetch {url}: server answered with status {status}")),
        };
        let next = url.resolve(location).map_err(|error| format!("{url} redirects to a bad URL: {error}"))?;
        if url.is_secure() && !next.is_secure() {
            return Err(format!("{url} redirects from https to {next}, which is not safe"));
        }
        url = next;
    }
    Err(format!("cannot fetch {start}: more than {REDIRECTS_MAX} redirects"))
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
