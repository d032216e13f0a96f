//! Registration of a client (RFC 7591).

use super::finding::{Finding, Judged, quoted};
use super::front::{error_code, is_html, json_object, unexpected};
use mcp_proxy_os::Response;
use serde_json::{Map, Value, json};

/// What a hosted Claude asks to be sent back to.
pub(super) const CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";

/// What a hosted Claude registers as, but for the name. Without a secret the same client comes back each time.
pub(super) fn request() -> String {
    json!({
        "client_name": "mcp-proxy doctor",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
    .to_string()
}

/// Judges the metadata that offers no registration.
pub(super) fn off(takes_documents: bool) -> Finding {
    if takes_documents {
        Finding::warn(
            "registration is off",
            "Clients with a metadata document of their own, such as Claude, can connect; others need an entry in \
             `oauth2.clients`.",
        )
    } else {
        Finding::fail(
            "registration is off, and metadata documents of clients are not taken either",
            "Only clients that let you type an ID from `oauth2.clients` can connect. Set `oauth2.registration: true` \
             or put hosts into `oauth2.clientIdMetadata.allowedHosts`.",
        )
    }
}

/// Judges the answer; the value is the id of the client.
pub(super) fn registration(response: &Response, takes_documents: bool) -> Judged<String> {
    let what = "registration";
    let code = error_code(response).unwrap_or_default();
    let finding = match response.status {
        200 | 201 => match json_object(response) {
            Some(object) => return registered(response.status, &object),
            None => unexpected(what, response),
        },
        403 if code == "access_denied" => Finding::warn(
            "registration is refused for the address of this computer",
            "`oauth2.allowedIPs` does not have it, which is right if only a hosted client is to register. For Claude \
             the list needs 160.79.104.0/21. If a client is refused that should not be, the log of the proxy has the \
             address it saw (event=register_denied): is it that of the reverse proxy, set `trustedProxies` and \
             `clientIPHeader`.",
        ),
        400 if code == "invalid_redirect_uri" => Finding::fail(
            format!("registration: the callback of Claude is refused ({CALLBACK})"),
            "`oauth2.allowedRedirectURIs` replaces the default. Add \"claude\" to it, beside the presets of the other \
             clients.",
        ),
        404 if !is_html(response) && json_object(response).is_some() => off(takes_documents),
        400 | 413 | 415 => Finding::fail(
            format!("registration: status {} {}", response.status, quoted(&code)),
            "The request is well formed, so something on the way changes or cuts its body or its Content-Type.",
        ),
        429 => Finding::fail(
            "registration: status 429, too many at the moment",
            "Wait and try again. Hosted clients share their addresses and register twice for each attempt; a limit of \
             the reverse proxy must be roomy.",
        ),
        503 if !code.is_empty() => Finding::fail(
            format!("registration: status 503 {}", quoted(&code)),
            "The proxy cannot store the client. Look into its log: the disk or `persistenceDir`, or `maxClients` is \
             reached.",
        ),
        _ => unexpected(what, response),
    };
    Judged::end(finding)
}

fn registered(status: u16, object: &Map<String, Value>) -> Judged<String> {
    let Some(id) = object.get("client_id").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return Judged::end(Finding::fail(
            "registration gives no client_id",
            "Clients cannot go on. The answer is not the proxy's.",
        ));
    };
    let mut findings = vec![Finding::ok(format!(
        "registration works: a client \"mcp-proxy doctor\" was registered as {}",
        quoted(id)
    ))
    .with("It comes back each time this is run, so it does not pile up, and is removed when it is not used.")];
    let mut strict = |bad: bool, what: &str| {
        if bad {
            findings.push(Finding::warn(
                format!("registration: {what}"),
                "Strict clients refuse that. The answer is not what the proxy gives.",
            ));
        }
    };
    strict(status != 201, "the status is 200 instead of 201");
    strict(object.contains_key("client_secret"), "there is a secret, though none was asked for");
    strict(object.values().any(Value::is_null), "there are members that are null");
    let method = object.get("token_endpoint_auth_method").and_then(Value::as_str);
    strict(method != Some("none"), "the token_endpoint_auth_method is not `none`");
    let uris = object.get("redirect_uris").and_then(Value::as_array);
    strict(
        !uris.is_some_and(|uris| uris.iter().any(|uri| uri == CALLBACK)),
        "the callback is not in redirect_uris",
    );
    Judged::new(findings, Some(id.to_owned()))
}
