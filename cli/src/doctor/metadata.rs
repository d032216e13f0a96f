//! The documents that clients find the way with: of the resource (RFC 9728) and of the server (RFC 8414).

use super::address::{as_resource, is_loopback, without_slash};
use super::finding::{Finding, Judged, quoted};
use super::front::{is_html, json_object, media_type, unexpected};
use mcp_proxy_core::url::Url;
use mcp_proxy_os::Response;
use serde_json::{Map, Value};

/// Judges the metadata of the resource; the value is the issuer. `url` is what was typed, unless that is the base.
pub(super) fn resource(response: &Response, url: Option<&Url>) -> Judged<String> {
    let what = "the metadata of the server";
    if response.status == 404 && json_object(response).is_some() {
        return Judged::end(Finding::fail(
            format!("{what}: status 404"),
            "The proxy says so itself: oauth2 is not on, or not for this server, or there is no such server at this \
             path. If the reverse proxy removes a part of the path, baseURL must have the path that clients see.",
        ));
    }
    let object = match document(what, response) {
        Ok(object) => object,
        Err(finding) => return Judged::end(finding),
    };
    let mut findings = nulls(what, &object);
    match (object.get("resource").and_then(Value::as_str), url) {
        (None, _) => findings.push(Finding::fail(
            format!("{what} has no `resource`"),
            "Clients refuse it. The document is not the proxy's, or something on the way has changed it.",
        )),
        (Some(resource), Some(url)) if without_slash(resource) != as_resource(url) => {
            findings.push(other_resource(resource, url));
        }
        (Some(resource), _) => findings.push(Finding::ok(format!("{what} is about {}", quoted(resource)))),
    }
    let scopes = strings(&object, "scopes_supported");
    if scopes.is_empty() {
        findings.push(Finding::warn(
            format!("{what} lists no scopes_supported"),
            "Some clients then ask for no scope, or for all that the authorization server lists.",
        ));
    } else if scopes.contains(&"offline_access") {
        findings.push(Finding::warn(
            format!("{what} lists the scope offline_access"),
            "It belongs to the authorization server's list only.",
        ));
    }
    let servers = strings(&object, "authorization_servers");
    if servers.len() > 1 {
        findings.push(Finding::warn(
            format!("{what} names {} authorization servers instead of one", servers.len()),
            "Clients use the first. The proxy names itself alone, so this document is not its own.",
        ));
    }
    let issuer = servers.first().filter(|issuer| Url::parse(issuer).is_ok());
    match issuer {
        Some(issuer) => {
            findings.extend(url.and_then(|url| foreign_issuer(issuer, url)));
            Judged::new(findings, Some((*issuer).to_owned()))
        }
        None => {
            findings.push(Finding::fail(
                format!("{what} names no authorization server"),
                "Clients do not know where to sign in. The document is not the proxy's, or something on the way has \
                 changed it.",
            ));
            Judged::new(findings, None)
        }
    }
}

fn other_resource(resource: &str, url: &Url) -> Finding {
    let what = format!("the metadata is about {}, not about {}", quoted(resource), as_resource(url));
    let other = Url::parse(resource).ok();
    let advice = match other {
        Some(other) if other.origin() != url.origin() && other.authority() == url.authority() => {
            "The scheme differs: write https:// into baseURL."
        }
        Some(other) if other.origin() != url.origin() => {
            "The host differs: set baseURL to the address that clients use, or type the address of baseURL into the \
             client."
        }
        _ => {
            "The path differs. Type the address that the metadata is about, or, if what stands in front removes or \
             adds a part of the path, make the path of baseURL the public one."
        }
    };
    Finding::fail(what, "Clients compare the two character for character and give up.").with(advice)
}

/// The authorization server lives elsewhere than the resource.
fn foreign_issuer(issuer: &str, url: &Url) -> Option<Finding> {
    let place = Url::parse(issuer).ok()?;
    if place.origin() == url.origin() {
        return None;
    }
    Some(Finding::fail(
        format!("the authorization server is {}, on another origin than the URL", quoted(issuer)),
        "The proxy is its own authorization server, at baseURL. Make baseURL the address that clients use, scheme \
         and host included.",
    ))
}

/// Where the authorization server does what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) authorize: Url,
    pub(super) token: Url,
    /// `None` when registration is off.
    pub(super) register: Option<Url>,
    /// Clients may identify themselves by a document of their own.
    pub(super) takes_documents: bool,
}

/// Judges the metadata of the authorization server.
pub(super) fn server(response: &Response, issuer: &str) -> Judged<Endpoints> {
    let what = "the metadata of the authorization server";
    let object = match document(what, response) {
        Ok(object) => object,
        Err(finding) => return Judged::end(finding),
    };
    let mut findings = nulls(what, &object);
    match object.get("issuer").and_then(Value::as_str) {
        Some(found) if found == issuer => {
            findings.push(Finding::ok(format!("{what} has the issuer {}", quoted(issuer))));
        }
        found => findings.push(Finding::fail(
            format!("the issuer is {}, expected {}", quoted(found.unwrap_or_default()), quoted(issuer)),
            "Clients compare the two byte by byte; one slash or one s of https too many is enough. Both come from \
             baseURL: if they differ, something on the way rewrites bodies (nginx: `sub_filter`) or caches an old \
             document.",
        )),
    }
    findings.extend(abilities(what, &object));
    let authorize = endpoint(&object, "authorization_endpoint", issuer, &mut findings);
    let token = endpoint(&object, "token_endpoint", issuer, &mut findings);
    let register = match object.contains_key("registration_endpoint") {
        true => endpoint(&object, "registration_endpoint", issuer, &mut findings),
        false => None,
    };
    let takes_documents = object.get("client_id_metadata_document_supported") == Some(&Value::Bool(true));
    let value = authorize.zip(token).map(|(authorize, token)| Endpoints {
        authorize,
        token,
        register,
        takes_documents,
    });
    Judged::new(findings, value)
}

/// What clients look for before they dare to begin.
fn abilities(what: &str, object: &Map<String, Value>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let has = |key: &str, value: &str| strings(object, key).contains(&value);
    if !has("code_challenge_methods_supported", "S256") {
        findings.push(Finding::fail(
            format!("{what} does not offer PKCE with S256"),
            "MCP clients must refuse to go on without it. The document is not the proxy's.",
        ));
    }
    for (key, value, suffering) in [
        (
            "token_endpoint_auth_methods_supported",
            "none",
            "Clients without a secret, which most are, may give up.",
        ),
        ("response_types_supported", "code", "Strict clients may give up."),
        ("grant_types_supported", "refresh_token", "Clients may ask for a new login every hour."),
    ] {
        if !has(key, value) {
            findings.push(Finding::warn(format!("{what} has no `{value}` in {key}"), suffering));
        }
    }
    if object.get("authorization_response_iss_parameter_supported") != Some(&Value::Bool(true)) {
        findings.push(Finding::warn(
            format!("{what} does not promise `iss` in its answers"),
            "ChatGPT then uses another callback for each connector, which allowedRedirectURIs may not have.",
        ));
    }
    findings
}

/// One endpoint, on the origin of the issuer.
fn endpoint(
    object: &Map<String, Value>,
    key: &str,
    issuer: &str,
    findings: &mut Vec<Finding>,
) -> Option<Url> {
    let text = object.get(key).and_then(Value::as_str);
    let Some(url) = text.and_then(|text| Url::parse(text).ok()) else {
        findings.push(Finding::fail(
            format!("{key} is missing or no absolute URL"),
            "Clients cannot go on. The document is not the proxy's, or something on the way has changed it.",
        ));
        return None;
    };
    if !url.is_secure() && !is_loopback(&url) {
        findings.push(Finding::fail(
            format!("{key} is not https: {url}"),
            "Clients refuse to send passwords and tokens there. Write https:// into baseURL.",
        ));
    } else if Url::parse(issuer).is_ok_and(|issuer| issuer.origin() != url.origin()) {
        findings.push(Finding::fail(
            format!("{key} is on another origin than the issuer: {url}"),
            "Clients do not trust that. Both come from baseURL, so something on the way rewrites one of them.",
        ));
    }
    Some(url)
}

/// What may be at a further well-known address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A document or nothing.
    Either,
    /// A document: old clients and hosted Claude look nowhere else.
    Document,
    /// Nothing.
    Nothing,
}

/// Judges a further address that clients try; `None` when it is as it should be.
pub(super) fn alias(response: &Response, url: &Url, expected: Expected) -> Option<Finding> {
    let json = json_object(response).is_some();
    match (response.status, expected) {
        (200, Expected::Either | Expected::Document) | (404, Expected::Either | Expected::Nothing)
            if json =>
        {
            None
        }
        (404, Expected::Document) if json => Some(Finding::warn(
            format!("{url} has no document"),
            "Hosted Claude and clients of the 2025-03-26 revision leave the path of baseURL out and look only here. \
             Forward this address to the proxy too, and leave `strictDiscovery` off.",
        )),
        (200..=299, Expected::Nothing) => Some(Finding::fail(
            format!("{url} answers {}, though nothing is there", response.status),
            "Something in front answers every path with a page. Clients take that for metadata and get stuck: let \
             /.well-known/ go to the proxy.",
        )),
        (404, Expected::Either | Expected::Document | Expected::Nothing) => Some(Finding::fail(
            format!("{url} is missing, but {} says so instead of JSON", describe(response)),
            "Clients try this address; some take an answer that is not JSON for a broken server and never ask \
             again. Let all of /.well-known/ go to the proxy, and do not replace its errors (nginx: \
             `proxy_intercept_errors off`).",
        )),
        (_, Expected::Either | Expected::Document | Expected::Nothing) => {
            Some(unexpected(&url.to_string(), response))
        }
    }
}

fn describe(response: &Response) -> String {
    match media_type(response).as_str() {
        "" => "no media type".to_owned(),
        "text/html" => "an HTML page".to_owned(),
        "application/json" => "something broken".to_owned(),
        other => quoted(other),
    }
}

/// The object of a document that must be there.
fn document(what: &str, response: &Response) -> Result<Map<String, Value>, Finding> {
    if response.status != 200 || is_html(response) {
        return Err(unexpected(what, response));
    }
    json_object(response).ok_or_else(|| {
        Finding::fail(
            format!("{what} is not a JSON object with the media type application/json"),
            "Clients cannot read it. The document is not the proxy's, or something on the way has changed it.",
        )
    })
}

/// Members that are `null`, which strict clients do not take.
fn nulls(what: &str, object: &Map<String, Value>) -> Vec<Finding> {
    let names: Vec<String> =
        object.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| quoted(name)).collect();
    match names.is_empty() {
        true => Vec::new(),
        false => vec![Finding::warn(
            format!("{what} has members that are null: {}", names.join(", ")),
            "Clients with strict schemas refuse the document; the proxy leaves such members out.",
        )],
    }
}

fn strings<'a>(object: &'a Map<String, Value>, key: &str) -> Vec<&'a str> {
    let list = object.get(key).and_then(Value::as_array);
    list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}
