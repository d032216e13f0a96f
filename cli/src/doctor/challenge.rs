//! The first answer: 401 with the challenge that starts everything (RFC 9110 §11.6.1, RFC 9728 §5.1).

use super::address::{as_resource, is_loopback, well_known};
use super::finding::{Finding, Judged, quoted};
use super::front::{error_code, is_html, json_object, not_forwarded, unexpected};
use mcp_proxy_core::url::Url;
use mcp_proxy_os::Response;

/// The body of the first request of every client.
pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{
    "protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcp-proxy doctor","version":"1"}}}"#;

/// Judges the answer to `initialize` without a token. 404 is for [`unknown_path`].
pub(super) fn refusal(response: &Response) -> Judged<()> {
    let what = "a request without a token";
    match response.status {
        401 => Judged::new(vec![Finding::ok(format!("{what} is refused with 401"))], Some(())),
        200..=299 if !is_html(response) => Judged::end(Finding::fail(
            format!("{what} is answered with {}: this server is open", response.status),
            "Clients do not ask for a login here, and everybody who can reach it may use it. Set \
             `mcpProxy.options.oauth2.enabled: true` (with type streamable-http) and look for an \
             `oauth2: {\"enabled\": false}` in the options of this server.",
        )),
        400 if is_html(response) => Judged::end(unexpected(what, response).with(
            "nginx says 400 when plain HTTP meets its port for HTTPS: is the scheme of the URL right?",
        )),
        403 if json_object(response).is_some() => Judged::end(Finding::fail(
            format!("{what}: status 403 with a JSON body"),
            "The proxy refuses the host name or the origin of the request. baseURL has to name the host that \
             clients use, and the reverse proxy has to pass it on (nginx: `proxy_set_header Host $host`).",
        )),
        406 | 415 => Judged::end(Finding::fail(
            format!("{what}: status {} before the 401", response.status),
            "Something on the way changes Accept or Content-Type, or a server other than the proxy answers: the \
             proxy asks for a token before it looks at these.",
        )),
        _ => Judged::end(unexpected(what, response)),
    }
}

/// Nothing is at the path; `answered` are other addresses that were tried, with their status.
pub(super) fn unknown_path(url: &Url, response: &Response, answered: &[(Url, u16)]) -> Finding {
    let serves = |status: u16| status == 401 || (200..300).contains(&status);
    let meant = answered.iter().find(|(_, status)| serves(*status));
    let what = format!("a request without a token: status 404, nothing is served at {}", url.path());
    match meant {
        Some((other, _)) => Finding::fail(what, format!("{other} is served: type that into the client.")),
        None if is_html(response) => not_forwarded("a request without a token", response),
        None => Finding::fail(
            what,
            "Addresses look like <baseURL>/<server>/mcp with the key of the server in mcpServers, or <baseURL>/mcp \
             for all servers; `mcp-proxy -check` prints them. If this one is among them, what stands in front of \
             the proxy removes or adds a part of the path: the path of baseURL and what the proxy sees must agree.",
        ),
    }
}

/// The base address was typed, where no server is; `instead` is what the walk goes on with.
pub(super) fn base_only(url: &Url, instead: Option<&Url>) -> Finding {
    let finding = Finding::warn(
        format!("no server is at {} itself", as_resource(url)),
        "That is the base address. Clients need the one of a server: <baseURL>/<server>/mcp, or <baseURL>/mcp for \
         all of them.",
    );
    match instead {
        Some(instead) => finding.with(&format!("What follows is about {instead}.")),
        None => finding,
    }
}

/// Judges the challenge of the 401. The value is where the metadata is, if that is usable.
pub(super) fn challenge(response: &Response, url: &Url) -> Judged<Url> {
    let lines: Vec<&str> = response.values("www-authenticate").collect();
    let all: Vec<Challenge> = lines.iter().flat_map(|line| challenges(line)).collect();
    let Some(bearer) = all.iter().find(|one| one.scheme.eq_ignore_ascii_case("bearer")) else {
        return Judged::end(no_bearer(response, &all));
    };
    let mut findings = Vec::new();
    if lines.len() > 1 || all.len() > 1 {
        findings.push(Finding::warn(
            format!("the 401 has {} challenges instead of one", all.len()),
            "Many clients read the first only. Something in front of the proxy adds one; switch its authentication \
             off for this host.",
        ));
    }
    let (finding, place) = match bearer.get("resource_metadata") {
        Some(text) => metadata_url(text, url),
        None => (
            Finding::fail(
                "the challenge names no resource_metadata",
                "So the proxy asks for one of its authTokens here and not for OAuth: oauth2 is off, or off for this \
                 server, or another program answers at this address.",
            ),
            None,
        ),
    };
    findings.push(finding);
    Judged::new(findings, place)
}

/// There is no Bearer challenge.
fn no_bearer(response: &Response, others: &[Challenge]) -> Finding {
    if let Some(other) = others.first() {
        return Finding::fail(
            format!("the 401 asks for {} instead of Bearer", quoted(&other.scheme)),
            "It does not come from the proxy: basic authentication of the reverse proxy, most likely. Switch it off \
             for this host, the proxy has a login of its own.",
        );
    }
    let own =
        error_code(response).is_some_and(|code| matches!(code.as_str(), "unauthorized" | "invalid_token"));
    let advice = if own {
        "The body is the proxy's, so something in front strips the header: look for `proxy_hide_header`, \
         `more_clear_headers` or a rule that rewrites response headers, and let WWW-Authenticate through."
    } else {
        "Without it clients do not know where to sign in. Either something in front of the proxy makes this 401 \
         (an access policy, `auth_request`, `proxy_intercept_errors`) or strips the header, or another program \
         answers."
    };
    Finding::fail("the 401 has no WWW-Authenticate header", advice)
}

/// Judges the address of the metadata.
fn metadata_url(text: &str, url: &Url) -> (Finding, Option<Url>) {
    let Ok(place) = Url::parse(text) else {
        let finding = Finding::fail(
            format!("resource_metadata is not an absolute URL: {}", quoted(text)),
            "Clients cannot resolve it. Set baseURL to the whole public address, with https:// and the host.",
        );
        return (finding, None);
    };
    if place.origin() == url.origin() {
        let expected = well_known(url, "oauth-protected-resource");
        let finding = match expected {
            Some(expected) if expected != place => Finding::warn(
                format!("resource_metadata is {place}, expected {expected}"),
                "Some clients derive the second from the URL. If the paths differ by a prefix, what stands in front \
                 of the proxy removes or adds it, and baseURL does not say so.",
            ),
            _ => Finding::ok(format!("the challenge names its metadata: {place}")),
        };
        return (finding, Some(place));
    }
    let what = format!("resource_metadata is on {}, but the URL on {}", place.origin(), url.origin());
    let advice = if place.authority() == url.authority() {
        "baseURL begins with http:// while clients come by https://: write https:// there, also when TLS ends at \
         the reverse proxy or tunnel."
    } else if is_loopback(&place) {
        "baseURL names this computer or is not set. Set it to the public address, with https:// and the path if \
         there is one."
    } else {
        "Clients ignore metadata on another origin. Either type the address that baseURL names into the client, or \
         set baseURL to the one that was typed; several names for one proxy do not work with OAuth."
    };
    (Finding::fail(what, advice), None)
}

/// One challenge of a `WWW-Authenticate` field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    pub(super) params: Vec<(String, String)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Takes a field apart, tolerantly: what is no parameter begins a challenge.
pub(super) fn challenges(field: &str) -> Vec<Challenge> {
    let mut all: Vec<Challenge> = Vec::new();
    for item in split_list(field) {
        let (head, value) = match item.split_once('=') {
            Some((head, value)) => (head.trim(), Some(value.trim())),
            None => (item, None),
        };
        let (scheme, name) = match (head.split_once(char::is_whitespace), value) {
            (Some((scheme, name)), _) => (Some(scheme), name.trim()),
            (None, Some(_)) => (None, head),
            (None, None) => (Some(head), ""),
        };
        if let Some(scheme) = scheme {
            all.push(Challenge { scheme: scheme.to_owned(), params: Vec::new() });
        }
        if let (Some(challenge), Some(value)) = (all.last_mut(), value) {
            challenge.params.push((name.to_owned(), unquoted(value)));
        }
    }
    all
}

/// Splits at commas outside of quotes.
fn split_list(field: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let items = field.split(|c: char| {
        let was_escaped = std::mem::replace(&mut escaped, false);
        match c {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        c == ',' && !quoted
    });
    items.map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        })
        .collect()
}
