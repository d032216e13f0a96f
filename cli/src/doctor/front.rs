//! What stands in front of the proxy, and what its answers mean when they are not the proxy's.

use super::finding::{Finding, quoted};
use mcp_proxy_core::url::Url;
use mcp_proxy_os::Response;
use serde_json::{Map, Value};

/// Something between clients and the proxy that gives itself away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Front {
    Cloudflare,
    Nginx,
    Apache,
    Caddy,
    Ngrok,
    /// CloudFront.
    Amazon,
    Envoy,
    Lighttpd,
    /// What it calls itself.
    Other(String),
}

impl Front {
    /// Who has left a mark in this answer. The one nearest to the client counts: it is the last to change anything.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let server = response.header("server").unwrap_or_default().to_ascii_lowercase();
        let via = response.header("via").unwrap_or_default().to_ascii_lowercase();
        let has = |name: &str| response.header(name).is_some();
        let front = if has("cf-ray") || server == "cloudflare" {
            Self::Cloudflare
        } else if response.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("ngrok-")) {
            Self::Ngrok
        } else if has("x-amz-cf-id") || via.contains("cloudfront") {
            Self::Amazon
        } else if server.starts_with("nginx") || server.starts_with("openresty") {
            Self::Nginx
        } else if server.starts_with("apache") {
            Self::Apache
        } else if server.starts_with("caddy") || via.contains("caddy") {
            Self::Caddy
        } else if server.contains("envoy") || has("x-envoy-upstream-service-time") {
            Self::Envoy
        } else if server.starts_with("lighttpd") {
            Self::Lighttpd
        } else if !server.is_empty() && !server.starts_with("mcp-proxy") {
            Self::Other(quoted(&server))
        } else if !via.is_empty() {
            Self::Other(quoted(&via))
        } else {
            return None;
        };
        Some(front)
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Cloudflare => "Cloudflare",
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Caddy => "Caddy",
            Self::Ngrok => "ngrok",
            Self::Amazon => "CloudFront",
            Self::Envoy => "Envoy",
            Self::Lighttpd => "lighttpd",
            Self::Other(name) => name,
        }
    }

    /// How to forward everything to the proxy.
    fn forwarding(&self) -> &str {
        match self {
            Self::Cloudflare => {
                "In Cloudflare look at the tunnel's public host name (its path must be empty), at Access policies \
                 and at WAF, bot and cache rules for this host."
            }
            Self::Nginx => {
                "In nginx one `location / { proxy_pass http://127.0.0.1:9090; }` does it; with a location per path, \
                 /.well-known/ and /oauth/ need theirs, and a rule such as `location ~ /\\.` that hides dot files \
                 hides /.well-known/ too."
            }
            Self::Apache => {
                "In Apache `ProxyPass / http://127.0.0.1:9090/` does it; an `Alias /.well-known` of a certificate \
                 tool takes that path away from the proxy."
            }
            Self::Caddy => {
                "In Caddy `reverse_proxy 127.0.0.1:9090` without a path matcher does it; a `handle` block for one \
                 path leaves /.well-known/ and /oauth/ out."
            }
            Self::Ngrok => "With ngrok look at the traffic policy and whether the tunnel is still open.",
            Self::Amazon => {
                "In CloudFront the behaviour must allow all methods, disable caching and forward all headers."
            }
            Self::Envoy => {
                "In Envoy or an ingress built on it, route the prefix `/` of this host to the proxy."
            }
            Self::Lighttpd => {
                "In lighttpd `proxy.server = ( \"\" => ( ( \"host\" => \"127.0.0.1\", \"port\" => 9090 ) ) )` does it."
            }
            Self::Other(_) => "It has to forward every path of this host to the proxy.",
        }
    }
}

/// Names what stands in front.
pub(super) fn named(front: Option<&Front>) -> Finding {
    match front {
        Some(front) => Finding::ok(format!("{} stands in front of the proxy", front.name())),
        None => Finding::ok("nothing in front of the proxy shows itself"),
    }
}

/// What an answer means that is not the expected one, whatever was asked.
pub(super) fn unexpected(what: &str, response: &Response) -> Finding {
    let status = response.status;
    let front = Front::of(response);
    let forwarding = front.as_ref().map_or("", Front::forwarding);
    let from = match &front {
        Some(front) => format!(" (through {})", front.name()),
        None => String::new(),
    };
    let kind = if is_html(response) { ", an HTML page" } else { "" };
    let seen = format!("{what}: status {status}{kind}{from}");
    let challenged = response.header("cf-mitigated").is_some();
    let advice = match status {
        300..=399 => return redirected(what, response),
        _ if challenged => {
            "Cloudflare wants a browser to prove itself, which MCP clients cannot do. Turn bot protection and \
             challenges off for this host, or add a rule that skips them."
        }
        401 => {
            "Something asks for a login where there must be none: basic authentication or an access policy of the \
             reverse proxy. It must leave /.well-known/, /oauth/ and the MCP paths alone; the proxy has a login of \
             its own."
        }
        403 => {
            "A firewall, a bot filter or a deny rule refuses the request. Clients come from data centres and send no \
             browser's headers; let them pass for this host."
        }
        404 => {
            "Either oauth2 is not on (`mcpProxy.options.oauth2.enabled`, with type streamable-http), or what stands \
             in front forwards only some paths to the proxy: it must forward all, /.well-known/ and /oauth/ too."
        }
        405 => {
            "Something on the way refuses the method; the proxy itself would not. A web server that serves files at \
             this path answers so."
        }
        429 => {
            "Too many requests; wait a minute and try again. Limits by address have to be roomy, since many \
                users of hosted clients share one."
        }
        530 => "Cloudflare has no tunnel for this name at the moment. Is cloudflared running?",
        500..=599 => {
            "What stands in front cannot get an answer from the proxy. Check that the proxy runs and that host and \
             port it is forwarded to are those of `addr`."
        }
        200..=299 if is_html(response) => {
            "A web page came back instead of the proxy's answer: a login or interstitial page, or a web server that \
             gives its start page for every path."
        }
        _ => "This is not what the proxy answers.",
    };
    Finding::fail(seen, advice).with(forwarding)
}

/// A page that is not the proxy's at the address of a server.
pub(super) fn not_forwarded(what: &str, response: &Response) -> Finding {
    let front = Front::of(response);
    Finding::fail(
        format!("{what}: status {}, an HTML page", response.status),
        "The page is not the proxy's: what stands in front of it does not forward this path.",
    )
    .with(front.as_ref().map_or("It has to forward every path of this host.", Front::forwarding))
}

/// A redirect, which no client of this kind follows well.
pub(super) fn redirected(what: &str, response: &Response) -> Finding {
    let location = response.header("location").unwrap_or_default();
    let to = Url::parse(location).ok();
    let place = match (&to, location.split(['?', '#']).next()) {
        (Some(to), _) => to.to_string(),
        (None, Some(path)) if path.starts_with('/') => quoted(path),
        (None, _) => "nowhere".to_owned(),
    };
    let access = to.as_ref().is_some_and(|to| to.host().ends_with("cloudflareaccess.com"));
    let advice = if access {
        "That is a login of Cloudflare Access, which MCP clients cannot pass. Add a bypass policy for this host; the \
         proxy has a login of its own."
    } else {
        "Clients lose the body and the Authorization header on the way, or refuse to follow. Type the address it \
         leads to (mind http and https, www, and the final slash), write the same into baseURL, and switch the \
         redirect off for this path."
    };
    Finding::fail(format!("{what}: status {}, a redirect to {place}", response.status), advice)
}

pub(super) fn is_html(response: &Response) -> bool {
    media_type(response) == "text/html"
}

/// In lower case, without parameters.
pub(super) fn media_type(response: &Response) -> String {
    let value = response.header("content-type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The JSON object in the body of an answer that says it is JSON.
pub(super) fn json_object(response: &Response) -> Option<Map<String, Value>> {
    if media_type(response) != "application/json" {
        return None;
    }
    match serde_json::from_slice(&response.body) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

/// The `error` of an OAuth answer.
pub(super) fn error_code(response: &Response) -> Option<String> {
    json_object(response)?.get("error")?.as_str().map(str::to_owned)
}
