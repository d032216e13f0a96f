//! Whether a server still knows the session it is asked in.
//!
//! | what came back | what it means |
//! |---|---|
//! | 404 or 410 to a request that named a session | it is lost |
//! | 400 whose body speaks of the session | the same: servers built on the TypeScript SDK say so after a restart |
//! | the same to a GET that was never served | there is no such route, as far as one can tell: in doubt |
//! | 404 with the code of an unknown method, resource or parameter | an answer, but in doubt |
//! | any other refusal, or an error that speaks of the session | an answer, but in doubt |
//!
//! In doubt a ping decides, at most one in [`doubt_ms`](crate::limits::Limits::doubt_ms): a server that refuses it as
//! well does not know the session. The call was answered by then, so nothing is executed twice. Over HTTP+SSE, where
//! the event stream is the session, the server counts as lost.

use super::exchanges::http_link;
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::{self, Envelope, Span};
use crate::servers::Phase;
use crate::servers::ServersMut;
use crate::servers::calls::{Origin, Own};
use crate::timer::ServerTimer;

/// How much of a body that is no JSON-RPC error is searched for the word.
const SEARCHED_BYTES: usize = 1_024;

/// What a refusal says of the session that its request named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::servers) enum Verdict {
    /// It is gone, and the request was not executed.
    Lost,
    /// It may be gone.
    Doubtful,
    /// Nothing.
    Silent,
}

/// Judges a response with this status and body.
pub(in crate::servers) fn judge(status: u16, body: &[u8], answer: Option<&Envelope>) -> Verdict {
    let error = answer.and_then(|answer| answer.outcome);
    match status {
        404 if error.is_some_and(|error| is_about_request(body, error)) => Verdict::Doubtful,
        404 | 410 => Verdict::Lost,
        400 if speaks_of_session(body, error) => Verdict::Lost,
        300.. => Verdict::Doubtful,
        _ => Verdict::Silent,
    }
}

/// Whether a body, or the error in it, speaks of the session.
fn speaks_of_session(body: &[u8], error: Option<Span>) -> bool {
    match error {
        Some(error) => says_session(body, error),
        None => {
            let text = String::from_utf8_lossy(body.get(..SEARCHED_BYTES).unwrap_or(body));
            text.to_ascii_lowercase().contains("session")
        }
    }
}

/// Whether the message of an error speaks of the session.
pub(in crate::servers) fn says_session(body: &[u8], error: Span) -> bool {
    let message = json::member(body, error, "message").ok().flatten();
    let message = message.and_then(|span| json::unquote(span.of(body))).unwrap_or_default();
    message.to_ascii_lowercase().contains("session")
}

/// Whether an error is about what was asked: an unknown method, bad parameters, an unknown resource.
fn is_about_request(body: &[u8], error: Span) -> bool {
    let code = json::member(body, error, "code").ok().flatten();
    let code = code.map_or(b"".as_slice(), |span| span.of(body));
    matches!(code, b"-32601" | b"-32602" | b"-32002") && !says_session(body, error)
}

impl ServersMut<'_> {
    /// What a response that is no answer to a call says of the session.
    pub(in crate::servers) fn judge_response(&self, status: u16, body: &[u8]) -> Verdict {
        if status < 300 {
            return Verdict::Silent;
        }
        let answer = Envelope::parse(body, self.fx.limits.json_depth_max).ok();
        judge(status, body, answer.filter(|answer| answer.outcome.is_some()).as_ref())
    }

    /// A server answered with an error.
    pub(in crate::servers) fn heed_error(&mut self, id: UpstreamId, error: Span, text: &[u8]) {
        if http_link(self.conns, id).is_some() && says_session(text, error) {
            self.doubt_session(id);
        }
    }

    /// A server refused something in a way that may mean that it lost the session: a ping decides.
    pub(in crate::servers) fn doubt_session(&mut self, id: UpstreamId) {
        let now = self.fx.mono();
        let Some(server) = self.conns.get_mut(id).filter(|server| server.phase == Phase::Ready) else {
            return;
        };
        let Some(link) = server.link.http() else { return };
        if link.kind == HttpKind::Streamable && link.session.is_none() {
            return;
        }
        if !server.pulse.doubts(now, self.fx.limits.doubt_ms) {
            return;
        }
        server.arm(self.fx, |limits| limits.ping_ms, ServerTimer::Ping);
        let ping = self.submit_own(id, Own::Ping, "ping", "");
        if let Some(server) = self.server(id) {
            server.pulse.sent(ping);
        }
    }

    /// The same where a call was refused, unless it is the ping itself.
    pub(in crate::servers) fn doubt_after(&mut self, id: UpstreamId, key: Key) {
        let is_ping = self
            .calls
            .get(key)
            .is_some_and(|call| matches!(call.origin, Origin::Own(Own::Ping | Own::Initialize)));
        if !is_ping {
            self.doubt_session(id);
        }
    }

    /// A ping got an error in place of its answer: no sign of life from a server that has answered one properly.
    pub(in crate::servers) fn on_ping_denied(&mut self, id: UpstreamId, key: Key, fault: &Fault) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let before = server.pulse.missed();
        // What stands before a dead server answers with a status.
        if fault.code != Code::UpstreamBroken {
            if !server.pulse.denied(key, fault.code != Code::MethodNotFound) {
                return self.on_ping_answered(id, key);
            }
            self.tell_pulse(id, before);
        }
        let says = fault.detail.to_ascii_lowercase().contains("session");
        if says || self.server(id).is_some_and(|server| server.pulse.is_doubted()) {
            self.on_session_unknown(id, fault);
        }
    }

    /// A call and a ping were refused in the present session.
    fn on_session_unknown(&mut self, id: UpstreamId, fault: &Fault) {
        let Some(link) = http_link(self.conns, id) else { return };
        if link.kind == HttpKind::Sse {
            return self.lose(id, fault);
        }
        let session = link.present_session();
        self.renew_session(id, session, &format!("calls and pings fail: {fault}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_they_say_of_the_session() {
        let error = |code: i32, message: &str| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{{\"code\":{code},\"message\":\"{message}\"}}}}"
            )
        };
        for (status, body, verdict) in [
            (404, String::new(), Verdict::Lost),
            (404, "Cannot POST /mcp".to_owned(), Verdict::Lost),
            (404, error(-32001, "Session not found"), Verdict::Lost),
            (404, error(-32600, "Not Found"), Verdict::Lost),
            (404, error(-32602, "unknown SESSION id"), Verdict::Lost),
            (404, error(-32601, "no such method"), Verdict::Doubtful),
            (404, error(-32002, "no such resource"), Verdict::Doubtful),
            (410, String::new(), Verdict::Lost),
            (400, error(-32000, "Bad Request: No valid session ID provided"), Verdict::Lost),
            (400, "Invalid or missing session ID".to_owned(), Verdict::Lost),
            (400, error(-32000, "Bad Request: no"), Verdict::Doubtful),
            (400, String::new(), Verdict::Doubtful),
            (503, error(-32001, "MCP session is unknown"), Verdict::Doubtful),
            (500, String::new(), Verdict::Doubtful),
            (200, error(-32001, "Session not found"), Verdict::Silent),
        ] {
            let answer = Envelope::parse(body.as_bytes(), 10).ok();
            assert_eq!(judge(status, body.as_bytes(), answer.as_ref()), verdict, "{status} {body}");
        }
    }
}
