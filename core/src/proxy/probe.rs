//! The page with which `oauth doctor` looks at what stands in front: what of its request arrives, and whether the parts of
//! an answer do when they are sent.
//!
//! Invariants: it says nothing but what the request itself says, and of header fields only how often they are there; an
//! answer has a bound in parts and bytes, and all together have one in the minute, since everybody may ask.
//! Deliberately absent: judging what is seen; the doctor does.

use super::Proxy;
use crate::clients::{Exchange, Refusal};
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::{Method, RequestHead};
use crate::net::Trust;
use crate::throttle::{Bucket, Rate};
use std::net::IpAddr;

/// The longest answer, in parts a second apart.
const SECONDS_MAX: u32 = 20;
/// What is repeated of the request is cut here.
const REPEATED_CHARS_MAX: usize = 300;
/// Fields that clients send, and without which they do not work.
const FIELDS: [&str; 8] = [
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];

impl Proxy {
    /// Begins the answer: what arrived, then a part each second, one unless `seconds` says how many.
    pub(super) fn on_probe(&mut self, exchange: Exchange) {
        if let Err(refusal) = admit(&mut self.probes, &self.fx, exchange.head()) {
            return self.clients.refuse(&mut self.fx, exchange, refusal);
        }
        let seconds = exchange.head().query().and_then(|query| query.strip_prefix("seconds="));
        let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1).min(SECONDS_MAX);
        let of_nobody = Trust::default();
        let trust = self.access.trust().unwrap_or(&of_nobody);
        let seen = seen(trust, exchange.head(), exchange.peer().ip());
        self.clients.begin_probe(&mut self.fx, exchange, seconds, &seen);
    }
}

/// What arrived.
fn seen(trust: &Trust, head: &RequestHead, peer: IpAddr) -> String {
    let address = match (trust.trusts(peer.to_canonical()), trust.is_silent(peer, head)) {
        (false, _) => "peer",
        (true, true) => "missing",
        (true, false) => "named",
    };
    let cut = |text: &str| text.chars().take(REPEATED_CHARS_MAX).collect::<String>();
    let fields: serde_json::Map<_, _> =
        FIELDS.iter().map(|name| ((*name).to_owned(), head.count(name).into())).collect();
    serde_json::json!({
        "host": head.host().map(cut),
        "target": cut(head.target()),
        "address": address,
        "header": trust.header,
        "fields": fields,
    })
    .to_string()
}

/// Whether the page may be asked for so, and now.
fn admit(probes: &mut Bucket, fx: &Effects, head: &RequestHead) -> Result<(), Refusal> {
    if head.method() != Method::Get {
        let fault = Fault::peer(Code::BadMethod, "this method is not allowed here");
        return Err(Refusal::Fault { fault, header: Some(("allow", "GET")) });
    }
    let per_minute = fx.limits.probes_per_minute;
    if probes.admit(fx.mono(), Rate::new(per_minute, per_minute)).is_err() {
        let fault = Fault::local(Code::Overloaded, "this page was asked for too often in the last minute");
        return Err(Refusal::Fault { fault, header: Some(("retry-after", "60")) });
    }
    Ok(())
}
