//! What stands in front, seen with the page that the proxy has for it: an event stream that says what of the request has
//! arrived, and then sends a part each second. And whether a large request arrives at all.
//!
//! Deliberately absent: the page itself, which is core/src/proxy/probe.rs.

use super::finding::{Finding, quoted};
use super::front::{Front, is_html, json_object, unexpected};
use super::mend::{Trouble, mend};
use super::net::Watched;
use mcp_proxy_core::url::Url;
use mcp_proxy_os::{ExchangeError, ExchangeErrorKind, Response};
use serde_json::{Map, Value};
use std::time::Duration;

/// Where the page is, under the path of `baseURL`; below it are paths that fronts like to change.
pub(super) const PAGE: &str = "/health/front";
pub(super) const ODD_PAGE: &str = "/health/front/a%2Fb/%63";

/// What a client sends with most requests. Nobody's token.
pub(super) const FIELDS: [(&str, &str); 8] = [
    ("Accept", "text/event-stream"),
    ("Authorization", "Bearer mcp-proxy-doctor"),
    ("Last-Event-ID", "mcp-proxy-doctor"),
    ("Mcp-Method", "ping"),
    ("Mcp-Name", "mcp-proxy-doctor"),
    ("MCP-Protocol-Version", "2025-11-25"),
    ("MCP-Protocol-Version", "2025-11-25"),
    ("Mcp-Session-Id", "mcp-proxy-doctor"),
];

/// Longer than what fronts allow by default that are known to cut.
pub(super) const LONG_BODY_BYTES: usize = 1_153_434;

/// Judges the page, asked for as `url` with `seconds` between its first and its last part. `may_be_direct` when there
/// may be nothing in front.
pub(super) fn page(watched: &Watched, url: &Url, seconds: u64, may_be_direct: bool) -> Vec<Finding> {
    let response = match &watched.result {
        Ok(response) => response,
        Err(error) => return vec![broken_off(watched, error, seconds)],
    };
    let front = Front::of(response);
    let front = front.as_ref();
    let parts = parts(watched);
    let first = parts.first().and_then(|(_, text)| serde_json::from_str::<Map<String, Value>>(text).ok());
    let seen = match (response.status, first) {
        (200, Some(seen)) if seen.contains_key("fields") => seen,
        (502 | 504 | 408, _) => return vec![cut(watched, front, seconds)],
        _ => return vec![not_there(response)],
    };
    let mut findings = vec![streaming(&parts, watched, front, seconds)];
    findings.extend(host(&seen, url, front));
    findings.extend(address(&seen, front, may_be_direct));
    findings.extend(fields(&seen, front));
    findings
}

/// The events of the answer: when each was complete, and its data.
fn parts(watched: &Watched) -> Vec<(Duration, String)> {
    let (mut parts, mut text) = (Vec::new(), Vec::new());
    for (at, piece) in &watched.pieces {
        text.extend_from_slice(piece);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = text.drain(..end.saturating_add(2)).collect();
            let event = String::from_utf8_lossy(&event).into_owned();
            parts.extend(
                event.lines().find_map(|line| line.strip_prefix("data: ")).map(|data| (*at, data.to_owned())),
            );
        }
    }
    parts
}

/// Whether the parts arrived when they were sent, and all of them.
fn streaming(
    parts: &[(Duration, String)],
    watched: &Watched,
    front: Option<&Front>,
    seconds: u64,
) -> Finding {
    let is_last = |(_, text): &(Duration, String)| text == "{\"left\":0}";
    let (Some((began, _)), Some((ended, _))) = (parts.first(), parts.iter().find(|part| is_last(part)))
    else {
        return cut(watched, front, seconds);
    };
    // Half of it is for networks that are slow at times.
    if ended.saturating_sub(*began) < Duration::from_millis(seconds.saturating_mul(500)) {
        return Finding::fail(
            "event streams arrive as a whole when they end",
            "Clients get no progress, no questions and no notifications, and those of HTTP+SSE cannot connect: \
             something in front holds back what the proxy sends.",
        )
        .with(&mend(front, Trouble::Buffering));
    }
    match seconds {
        0..=5 => Finding::ok("event streams arrive while they are sent"),
        _ => Finding::ok(format!("an answer that takes {seconds} s arrives as a whole")),
    }
}

fn cut(watched: &Watched, front: Option<&Front>, seconds: u64) -> Finding {
    let after = watched.pieces.last().map_or(String::new(), |(at, _)| format!(" after {} s", at.as_secs()));
    Finding::fail(
        format!("an answer that takes {seconds} s is cut{after}"),
        "The tool has run, and its client sees no answer. Something in front has a time limit for whole answers.",
    )
    .with(&mend(front, Trouble::TimeLimit))
}

fn broken_off(watched: &Watched, error: &ExchangeError, seconds: u64) -> Finding {
    match error.kind {
        ExchangeErrorKind::Broken | ExchangeErrorKind::Timeout if !watched.pieces.is_empty() => {
            cut(watched, None, seconds)
        }
        ExchangeErrorKind::Timeout => Finding::fail(
            "event streams do not arrive",
            "Something in front holds back what the proxy sends.",
        )
        .with(&mend(None, Trouble::Buffering)),
        ExchangeErrorKind::Lookup
        | ExchangeErrorKind::Connect
        | ExchangeErrorKind::Certificate
        | ExchangeErrorKind::Tls
        | ExchangeErrorKind::Config
        | ExchangeErrorKind::Broken
        | ExchangeErrorKind::TooLarge => Finding::warn(
            format!("whether event streams arrive cannot be told: {error}"),
            "Try again, and look into the log of what stands in front.",
        ),
    }
}

/// Another answer than the page.
fn not_there(response: &Response) -> Finding {
    let what = "whether event streams arrive cannot be told";
    match response.status {
        404 | 405 if json_object(response).is_some() => {
            Finding::ok(format!("{what}: the proxy is of a version without {PAGE}"))
        }
        404 if is_html(response) => Finding::warn(
            format!("{what}: {PAGE} is not forwarded to the proxy"),
            "What stands in front forwards only some paths. That is enough if it is meant so, but then look yourself: \
             templates/fronts says what each needs.",
        ),
        503 if json_object(response).is_some() => {
            Finding::ok(format!("{what} now: {PAGE} was asked for too often, wait a minute"))
        }
        _ => {
            let finding = unexpected(PAGE, response);
            Finding::warn(finding.what, finding.advice)
        }
    }
}

fn host(seen: &Map<String, Value>, url: &Url, front: Option<&Front>) -> Option<Finding> {
    let arrived = seen.get("host").and_then(Value::as_str).unwrap_or_default();
    if arrived.eq_ignore_ascii_case(&url.authority()) {
        return None;
    }
    let finding = Finding::warn(
        format!("the Host header arrives as {}, not as {}", quoted(arrived), url.authority()),
        "The proxy refuses names it does not know (`allowedHosts`), and without baseURL it takes this one for its own.",
    );
    Some(finding.with(&mend(front, Trouble::Host)))
}

fn address(seen: &Map<String, Value>, front: Option<&Front>, may_be_direct: bool) -> Option<Finding> {
    if seen.get("address").and_then(Value::as_str) != Some("missing") || may_be_direct {
        return None;
    }
    let what = match seen.get("header").and_then(Value::as_str) {
        Some(header) => {
            format!("nothing says where clients are: {} (clientIPHeader) does not arrive", quoted(header))
        }
        None => "nothing says where clients are: no header with an address arrives".to_owned(),
    };
    let finding = Finding::warn(
        what,
        "All clients count as one, and whoever writes such a header passes for another: allowedIPs, limits of logins \
         and the log rest on it. Where the front cannot write it: `\"trustedProxies\": [\"none\"]`.",
    );
    Some(finding.with(&mend(front, Trouble::Address)))
}

fn fields(seen: &Map<String, Value>, front: Option<&Front>) -> Vec<Finding> {
    let count = |name: &str| {
        let fields = seen.get("fields").and_then(Value::as_object);
        fields.and_then(|fields| fields.get(&name.to_ascii_lowercase())).and_then(Value::as_u64)
    };
    let mut lost: Vec<&str> =
        FIELDS.iter().map(|(name, _)| *name).filter(|name| count(name) == Some(0)).collect();
    lost.dedup();
    let mut findings = Vec::new();
    if !lost.is_empty() {
        findings.push(
            Finding::fail(
                format!("header fields do not arrive: {}", lost.join(", ")),
                "Clients say with them who they are and what belongs together.",
            )
            .with(&mend(front, Trouble::Fields)),
        );
    }
    if count("mcp-protocol-version") == Some(1) {
        findings.push(Finding::ok("header fields that are there twice arrive as one; the proxy takes that"));
    }
    findings
}

/// Judges the page at a path that some fronts change, asked for as `url`.
pub(super) fn odd_page(watched: &Watched, url: &Url) -> Option<Finding> {
    let response = watched.result.as_ref().ok()?;
    let front = Front::of(response);
    let of_proxy = json_object(response).is_some();
    if matches!(response.status, 400 | 403 | 404) && !of_proxy {
        let finding = Finding::warn(
            format!("a path with %2F is refused with status {}", response.status),
            "Servers and templates with a slash in their names are written so by some clients.",
        );
        return Some(finding.with(&mend(front.as_ref(), Trouble::Path)));
    }
    let (_, first) = parts(watched).into_iter().next()?;
    let seen: Map<String, Value> = serde_json::from_str(&first).ok()?;
    let arrived = seen.get("target").and_then(Value::as_str)?;
    if arrived == url.target() {
        return None;
    }
    let what = format!("paths are rewritten on the way: {} arrives as {}", url.target(), quoted(arrived));
    Some(
        Finding::ok(what)
            .with("The proxy takes either, unless the path of baseURL itself has escapes in it."),
    )
}

/// Judges the answer to a request of more than 1 MiB without a token.
pub(super) fn long_body(result: &Result<Response, ExchangeError>) -> Finding {
    let what = "a request of 1.1 MiB";
    match result {
        Ok(response) if response.status == 401 => Finding::ok(format!("{what} gets through")),
        Ok(response) if response.status == 413 => Finding::warn(
            format!("{what} is refused with 413"),
            "The proxy takes 16 MiB (`limits.messageBytes`); calls with large arguments fail.",
        )
        .with(&mend(Front::of(response).as_ref(), Trouble::BodyLimit)),
        Ok(response) => {
            let finding = unexpected(what, response);
            Finding::warn(finding.what, finding.advice)
                .with(&mend(Front::of(response).as_ref(), Trouble::BodyLimit))
        }
        Err(error) => Finding::warn(
            format!("{what} gets no answer: {error}"),
            "Something in front may close the connection at its limit for requests.",
        )
        .with(&mend(None, Trouble::BodyLimit)),
    }
}
