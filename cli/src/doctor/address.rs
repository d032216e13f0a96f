//! The address that was typed, and the ones that follow from it (RFC 8414 §3.1, RFC 9728 §3.1).

use super::finding::{Finding, Judged};
use mcp_proxy_core::url::Url;
use std::net::IpAddr;

/// Reads what was typed. The value has neither query nor fragment.
pub(super) fn address(typed: &str) -> Judged<Url> {
    let text = typed.trim();
    if text.ends_with(['"', '\'', '`', ',', ';', ')', ']', '}', '>']) {
        return Judged::end(Finding::fail(
            "the URL ends with a character that does not belong to it",
            "It was copied together with the quote, comma or bracket around it. Give it without, here and in the \
             client.",
        ));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let advice = "Give the address as the client has it, such as https://mcp.example.com/fetch/mcp.";
            return Judged::end(Finding::fail(format!("the URL cannot be used: {error}"), advice));
        }
    };
    let bare = match Url::parse(&format!("{}{}", url.origin(), url.path())) {
        Ok(bare) => bare,
        Err(error) => return Judged::end(Finding::fail(format!("the URL cannot be used: {error}"), "")),
    };
    let mut findings = Vec::from([scheme(&bare)]);
    findings.extend(reach(&bare));
    if url.query().is_some() || text.contains('#') {
        findings.push(Finding::fail(
            "the URL has a query or a fragment",
            "Clients compare the address with the metadata character for character, and tokens are not taken from a \
             query. Remove what follows the `?` or `#`; it is left out from here on.",
        ));
    }
    if bare.path().contains("//") {
        findings.push(Finding::warn(
            "the path of the URL has two slashes in a row",
            "Some reverse proxies join them and some do not, so clients may end up at another path. Write one.",
        ));
    }
    if bare.path().ends_with("/sse") {
        findings.push(Finding::warn(
            "the URL ends with /sse, the address of the older transport",
            "OAuth is for streamable HTTP: give clients the address that ends with /mcp.",
        ));
    }
    let canonical = format!("{}{}", bare.origin(), bare.path());
    let written = text.split(['?', '#']).next().unwrap_or_default();
    if written != canonical && format!("{written}/") != canonical {
        findings.push(Finding::warn(
            format!("the URL is not written as it is sent: {bare}"),
            "Host names are in lower case, the default port and `.` or `..` in the path are left out. Some clients \
             compare the text that was typed with the metadata, so type it this way.",
        ));
    }
    Judged::new(findings, Some(bare))
}

fn scheme(url: &Url) -> Finding {
    if url.is_secure() {
        Finding::ok(format!("the URL is well formed: {url}"))
    } else if is_loopback(url) {
        Finding::ok(format!("the URL is well formed: {url}")).with(
            "It is on this computer, so programs on it can connect, hosted clients such as claude.ai cannot.",
        )
    } else {
        Finding::fail(
            format!("the URL is not https: {url}"),
            "Passwords and tokens would travel in the clear, and clients refuse that. Put TLS in front (nginx, \
             Caddy, a tunnel), write the https address into baseURL and into the client.",
        )
    }
}

/// Whether hosted clients get there.
fn reach(url: &Url) -> Option<Finding> {
    let inside = match url.host().parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => {
            let host = url.host();
            [".local", ".lan", ".internal", ".home.arpa"].iter().any(|end| host.ends_with(end))
        }
    };
    if is_loopback(url) {
        None
    } else if inside {
        Some(Finding::warn(
            format!("{} is an address of a private network", url.host()),
            "Programs in that network can connect. Hosted clients such as claude.ai come from the internet and \
             need a public name or a tunnel.",
        ))
    } else if url.is_secure() && url.port() != 443 {
        Some(Finding::warn(
            format!("the port is {}, not 443", url.port()),
            "Hosted Claude connects to port 443 only. Other clients do not mind.",
        ))
    } else {
        None
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The address as metadata must name it: without one final slash.
pub(super) fn as_resource(url: &Url) -> String {
    without_slash(&format!("{}{}", url.origin(), url.path())).to_owned()
}

pub(super) fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

/// Where the document called `name` about `url` lies: the path of `url` follows it.
pub(super) fn well_known(url: &Url, name: &str) -> Option<Url> {
    on_origin(url, &format!("/.well-known/{name}{}", without_slash(url.path())))
}

pub(super) fn on_origin(url: &Url, path: &str) -> Option<Url> {
    Url::parse(&format!("{}{path}", url.origin())).ok()
}

/// What may have been meant by an address where nothing is, the likeliest first.
pub(super) fn candidates(url: &Url) -> Vec<Url> {
    let path = without_slash(url.path());
    let paths = if let Some(server) = path.strip_suffix("/sse") {
        vec![format!("{server}/mcp"), server.to_owned()]
    } else if path.ends_with("/mcp") {
        // A front may take the beginning of a path off, or the proxy may have only the merged endpoint.
        let rest = path.get(1..).and_then(|rest| rest.split_once('/')).map(|(_, rest)| format!("/{rest}"));
        rest.filter(|rest| rest != "/mcp").into_iter().chain(["/mcp".to_owned()]).collect()
    } else {
        vec![format!("{path}/mcp")]
    };
    paths
        .iter()
        .filter(|other| !other.is_empty() && *other != path)
        .filter_map(|path| on_origin(url, path))
        .collect()
}
