//! The errors of the token endpoint, by which clients know what to do next (RFC 6749 §5.2).

use super::finding::{Finding, quoted};
use super::front::{error_code, unexpected};
use mcp_proxy_os::Response;

/// Judges the answer to a refresh with a token that never was, of a client that is registered.
pub(super) fn dead_grant(response: &Response) -> Finding {
    let what = "a dead refresh token";
    match (response.status, error_code(response).as_deref()) {
        (400, Some("invalid_grant")) => {
            no_store(response, Finding::ok(format!("{what} is refused with invalid_grant")))
        }
        (401, Some("invalid_client")) => Finding::fail(
            format!("{what}: the client that was just registered is unknown"),
            "Registrations get lost: several instances behind one name that do not share `persistenceDir`, or a \
             restart without it.",
        ),
        (_, Some(code)) => Finding::fail(
            format!("{what}: status {} {}", response.status, quoted(code)),
            "Clients expect 400 invalid_grant, then sign in again; other answers leave them stuck. Something on the \
             way changes the request (is the body cut, the Content-Type changed?) or the answer.",
        ),
        (_, None) => unexpected(what, response).with(INTERCEPTED),
    }
}

/// Judges the answer to a client that never was.
pub(super) fn unknown_client(response: &Response) -> Finding {
    let what = "an unknown client";
    match (response.status, error_code(response).as_deref()) {
        (401, Some("invalid_client")) => {
            no_store(response, Finding::ok(format!("{what} is refused with 401 invalid_client")))
        }
        (_, Some(code)) => Finding::fail(
            format!("{what}: status {} {}", response.status, quoted(code)),
            "Clients expect 401 invalid_client at the token endpoint and register again; after other answers they \
             keep a dead registration.",
        ),
        (_, None) => unexpected(what, response).with(INTERCEPTED),
    }
}

fn no_store(response: &Response, good: Finding) -> Finding {
    let kept = response.values("cache-control").any(|value| value.to_ascii_lowercase().contains("no-store"));
    match kept {
        true => good,
        false => Finding::warn(
            "the token endpoint's answer may be cached",
            "`Cache-Control: no-store` is missing: something in front of the proxy strips or replaces it. It must not \
             cache /oauth/.",
        ),
    }
}

const INTERCEPTED: &str = "Errors of the token endpoint have to reach the client as the proxy gives them: no error \
                           pages of the reverse proxy (nginx: `proxy_intercept_errors off`), no firewall rule \
                           about bodies.";
