//! Media types: what a client takes, and what it sends.

use crate::fault::{Code, Fault};
use crate::http::RequestHead;

/// The media types in which an answer may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    /// `application/json`.
    pub(super) json: bool,
    /// `text/event-stream`.
    pub(super) events: bool,
}

impl Accepted {
    /// What the answer to a POST may be.
    ///
    /// # Errors
    /// [`Code::NotAcceptable`] if neither is taken.
    pub(super) fn of_post(head: &RequestHead) -> Result<Self, Fault> {
        let (json, events) = (accepts(head, "application/json"), accepts(head, "text/event-stream"));
        if json || events {
            return Ok(Self { json, events });
        }
        let detail = "the answer is application/json or text/event-stream, and neither is accepted";
        Err(Fault::peer(Code::NotAcceptable, detail))
    }
}

/// A stream that its client would not read is refused at once: clients that find out what a server speaks ask so, and
/// would wait for the end of it.
pub(super) fn check_takes_events(head: &RequestHead) -> Result<(), Fault> {
    if accepts(head, "text/event-stream") {
        return Ok(());
    }
    Err(Fault::peer(Code::NotAcceptable, "a GET must accept text/event-stream"))
}

pub(super) fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|value| media_type(value).eq_ignore_ascii_case("application/json"))
}

fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether the client takes this media type (RFC 9110 §12.5.1): the most specific range that covers it decides, and
/// a weight of 0 refuses. No `Accept` accepts everything.
pub(super) fn accepts(head: &RequestHead, wanted: &str) -> bool {
    let kind = wanted.split('/').next().unwrap_or_default();
    let mut said = false;
    let mut best = (0, false);
    for (_, value) in head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        for item in value.split(',') {
            let range = media_type(item);
            said |= !range.is_empty();
            let specificity = match range.strip_suffix("/*") {
                Some("*") => 1,
                Some(prefix) if prefix.eq_ignore_ascii_case(kind) => 2,
                None if range.eq_ignore_ascii_case(wanted) => 3,
                Some(_) | None => 0,
            };
            best = best.max((specificity, specificity > 0 && !is_refused(item)));
        }
    }
    best.1 || !said
}

/// Whether `Accept` names this media type itself, and does not refuse it.
pub(super) fn names(head: &RequestHead, wanted: &str) -> bool {
    let fields = head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let mut items = fields.flat_map(|(_, value)| value.split(','));
    items.any(|item| media_type(item).eq_ignore_ascii_case(wanted) && !is_refused(item))
}

/// Whether an element of `Accept` has the weight 0.
fn is_refused(item: &str) -> bool {
    let weight = item.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    weight.is_some_and(|weight| weight.trim().parse::<f32>() == Ok(0.0))
}
