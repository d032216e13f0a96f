//! What the authorization server answers: status, header fields and a text.
//!
//! Invariants: nothing that may hold a token is cached anywhere; every error in JSON is an object with a string `error`
//! (a client that finds anything else there gives up for good); no member is ever `null`.

use crate::fault::Fault;
use crate::http::Reply;
use crate::json::quote;
use std::borrow::Cow;

impl Reply {
    fn new(status: u16, media_type: &'static str, body: String) -> Self {
        let headers = vec![
            ("content-type", Cow::Borrowed(media_type)),
            ("x-content-type-options", Cow::Borrowed("nosniff")),
        ];
        Self { status, headers, body }
    }

    /// A JSON text that must not be kept by anybody on the way.
    pub(crate) fn json(status: u16, body: String) -> Self {
        let mut reply = Self::new(status, "application/json", body);
        reply.no_store();
        reply
    }

    /// A document that everybody may keep for a while: short, since a change of the configuration must reach clients.
    pub(crate) fn document(body: String) -> Self {
        Self::new(200, "application/json", body).with("cache-control", "public, max-age=300").open()
    }

    /// An OAuth error (RFC 6749 §5.2). The description is for the developer of the client.
    pub(crate) fn error(status: u16, code: &str, description: &str) -> Self {
        let description = printable(description);
        Self::json(
            status,
            format!("{{\"error\":{},\"error_description\":{}}}", quote(code), quote(&description)),
        )
    }

    /// A fault of HTTP, in the words of the authorization server.
    pub(crate) fn of_fault(fault: &Fault) -> Self {
        Self::error(fault.code.status(), "invalid_request", &fault.detail).open()
    }

    /// There is nothing here.
    pub(crate) fn not_found() -> Self {
        Self::json(404, "{\"error\":\"not_found\"}".to_owned())
    }

    /// The store could not be written; nothing has changed.
    pub(crate) fn unavailable() -> Self {
        Self::error(
            503,
            "temporarily_unavailable",
            "the server cannot save its state at the moment, try again later",
        )
        .with("retry-after", "5")
    }

    /// Somebody asks too often.
    pub(crate) fn too_many(seconds: u64) -> Self {
        Self::error(429, "temporarily_unavailable", "too many requests, try again later")
            .with("retry-after", seconds.to_string())
    }

    /// A page.
    pub(crate) fn html(status: u16, body: String) -> Self {
        let mut reply = Self::new(status, "text/html; charset=utf-8", body);
        reply.no_store();
        reply
    }

    /// A redirect after a form (303): the next request is a GET, whatever this one was (RFC 9700 §4.12).
    pub(crate) fn redirect(to: &str) -> Self {
        let mut reply =
            Self::new(303, "text/plain; charset=utf-8", String::new()).with("location", to.to_owned());
        reply.no_store();
        reply.with("referrer-policy", "no-referrer")
    }

    /// This method is not for this path.
    pub(crate) fn bad_method(allow: &'static str) -> Self {
        Self::error(405, "invalid_request", "this method is not allowed here").with("allow", allow)
    }

    /// Answers a preflight request of a browser (Fetch standard, CORS protocol).
    pub(crate) fn preflight(methods: &'static str) -> Self {
        Self { status: 204, headers: Vec::new(), body: String::new() }
            .open()
            .with("access-control-allow-methods", methods)
            .with("access-control-allow-headers", CORS_HEADERS)
            .with("access-control-max-age", "86400")
    }

    /// Lets pages of any origin read it. No credentials of the browser are involved anywhere here.
    pub(crate) fn open(self) -> Self {
        self.with("access-control-allow-origin", "*")
            .with("access-control-expose-headers", "WWW-Authenticate, Mcp-Session-Id, Retry-After")
    }

    fn no_store(&mut self) {
        self.headers.push(("cache-control", Cow::Borrowed("no-store")));
        self.headers.push(("pragma", Cow::Borrowed("no-cache")));
    }
}

/// Fields that clients in browsers may send.
pub(crate) const CORS_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, \
                                       Last-Event-ID, Mcp-Method, Mcp-Name";

/// What may stand in an `error_description` (RFC 6749 §5.2): printable ASCII without quotes and backslashes.
pub(crate) fn printable(text: &str) -> String {
    let keep = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' };
    text.chars().take(DESCRIPTION_CHARS_MAX).map(keep).collect()
}

/// Foreign text in a description or a log line is cut here.
const DESCRIPTION_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_json_with_a_string_and_never_cached() {
        let reply = Reply::error(400, "invalid_grant", "no \"quotes\"\r\nor lines\u{e9}"); // OA-160
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["error"], "invalid_grant");
        assert_eq!(body["error_description"], "no ?quotes???or lines?");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("pragma"), Some("no-cache"));
    }
}
