//! Where a redirecting server sends a request (RFC 9110 §15.4).
//!
//! | status | GET | POST, DELETE |
//! |---|---|---|
//! | 307, 308 | followed | followed, with method and body |
//! | 301, 302, 303 | followed | refused: clients of the field turn these into a GET |
//! | any other 3xx | refused | refused |
//!
//! Followed means within the origin, or from `http` to `https` of the same host, where TLS proves who answers.
//! Configured headers are secrets of one origin, so nothing is sent to another. Invariant: at most
//! [`redirects_max`](crate::limits::Limits::redirects_max) hops for one request.

use crate::fault::{Code, Fault};
use crate::url::Url;

/// Characters of a target that are shown.
const SHOWN_CHARS: usize = 500;

/// Where requests go.
#[derive(Debug)]
pub(crate) struct Place {
    pub(in crate::servers) url: Url,
    pub(in crate::servers) target: String,
    pub(in crate::servers) authority: String,
}

impl Place {
    pub(crate) fn new(url: Url) -> Self {
        Self { target: url.target(), authority: url.authority(), url }
    }
}

/// A response that redirects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redirect<'a> {
    pub(in crate::servers) status: u16,
    pub(in crate::servers) location: Option<&'a str>,
    /// What was asked for.
    pub(in crate::servers) from: &'a Url,
    /// It was asked for by GET.
    pub(in crate::servers) is_get: bool,
}

/// Whether a response with this status points elsewhere.
pub(crate) const fn is_redirect(status: u16) -> bool {
    matches!(status, 300..=303 | 305..=399)
}

impl Redirect<'_> {
    /// Where to ask instead.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] with the target, and what to do about it, where it is not followed.
    pub(crate) fn target(&self) -> Result<Url, Fault> {
        let status = self.status;
        let refuse = |why: String| Err(Fault::peer(Code::UpstreamBroken, why));
        let Some(location) = self.location else {
            return refuse(format!("the server answered HTTP {status} without saying where to go"));
        };
        let target = match self.from.resolve(location.trim()) {
            Ok(target) => target,
            Err(why) => {
                // A text that is no URL may hold a password or a key all the same.
                let shown = location.split(['?', '#']).next().filter(|text| !text.contains('@'));
                let shown = shown.map_or_else(|| "…".to_owned(), |text| Fault::quoted(text.as_bytes()));
                return refuse(format!("the server redirects (HTTP {status}) to `{shown}`: {why}"));
            }
        };
        let name = shown(&target);
        let is_upgrade = target.is_secure() && !self.from.is_secure() && target.host() == self.from.host();
        if target.origin() != self.from.origin() && !is_upgrade {
            return refuse(format!(
                "the server redirects (HTTP {status}) to another origin, where no headers are sent: if that is where \
                 the server is, write {name} into `url`"
            ));
        }
        match (status, self.is_get) {
            (307 | 308, _) | (301..=303, true) => Ok(target),
            (301..=303, false) => refuse(format!(
                "the server redirects (HTTP {status}) to {name}, which a POST cannot follow: write that into `url`"
            )),
            _ => refuse(format!("the server answered HTTP {status} and points to {name}")),
        }
    }
}

/// The target for an error or the log: without its query, which may carry keys.
pub(crate) fn shown(target: &Url) -> String {
    let text = target.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(status: u16, is_get: bool, from: &str, location: Option<&str>) -> Result<String, String> {
        let from = Url::parse(from).map_err(|why| why.to_string())?;
        let redirect = Redirect { status, location, from: &from, is_get };
        let text = |url: Url| format!("{}{}", url.origin(), url.target());
        redirect.target().map(text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn redirects_within_the_origin_are_followed() {
        for (status, is_get, location, to) in [
            (307, false, "/mcp/", "http://a.test/mcp/"),
            (308, false, "http://a.test/v2/mcp?k=1", "http://a.test/v2/mcp?k=1"),
            (307, false, "http://A.test:80/mcp/#top", "http://a.test/mcp/"),
            (308, false, "mcp/", "http://a.test/x/mcp/"),
            (307, true, "?k=2", "http://a.test/x/mcp?k=2"),
            (301, true, "/sse/", "http://a.test/sse/"),
            (302, true, "/sse/", "http://a.test/sse/"),
            (303, true, "/sse/", "http://a.test/sse/"),
            (307, false, "https://a.test/mcp", "https://a.test/mcp"),
            (308, true, "https://a.test:8443/mcp", "https://a.test:8443/mcp"),
        ] {
            assert_eq!(target(status, is_get, "http://a.test/x/mcp", Some(location)).as_deref(), Ok(to));
        }
    }

    #[test]
    fn what_is_not_followed_is_named() {
        for (status, is_get, from, location, said) in [
            (
                307,
                false,
                "http://a.test/mcp",
                Some("http://b.test/mcp"),
                "write http://b.test/mcp into `url`",
            ),
            (308, true, "http://a.test/mcp", Some("//b.test/mcp"), "write http://b.test/mcp into `url`"),
            (
                307,
                false,
                "http://a.test/mcp",
                Some("http://a.test:81/mcp"),
                "write http://a.test:81/mcp into `url`",
            ),
            (
                307,
                false,
                "https://a.test/mcp",
                Some("http://a.test/mcp"),
                "write http://a.test/mcp into `url`",
            ),
            (
                307,
                false,
                "https://a.test/mcp",
                Some("https://a.test:444/"),
                "write https://a.test:444/ into `url`",
            ),
            (307, false, "http://a.test/mcp", Some("https://sub.a.test/mcp"), "to another origin"),
            (
                302,
                false,
                "http://a.test/mcp",
                Some("https://b.test/login?state=secret"),
                "https://b.test/login?***",
            ),
            (
                301,
                false,
                "http://a.test/mcp",
                Some("/mcp/"),
                "http://a.test/mcp/, which a POST cannot follow",
            ),
            (303, false, "http://a.test/mcp", Some("/done"), "http://a.test/done"),
            (300, true, "http://a.test/mcp", Some("/done"), "points to http://a.test/done"),
            (307, false, "http://a.test/mcp", None, "HTTP 307 without saying where to go"),
            (
                307,
                false,
                "http://a.test/mcp",
                Some("ftp://a.test/"),
                "`ftp://a.test/`: expected an http or https",
            ),
            (
                307,
                false,
                "http://a.test/mcp",
                Some("http://u:secret@a.test/"),
                "to `…`: a user name or password",
            ),
            (307, false, "http://a.test/mcp", Some("ftp://a.test/x?secret"), "`ftp://a.test/x`"),
        ] {
            let why = target(status, is_get, from, location).unwrap_err();
            assert!(why.contains(said) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_long_target_is_cut() {
        let url = Url::parse(&format!("http://a.test/{}", "x".repeat(2_000))).unwrap();
        assert_eq!(shown(&url).chars().count(), 501);
    }
}
