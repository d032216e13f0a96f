//! Whether scripts of other sites may ask: clients that run in a browser, such as MCP Inspector, need it.

use super::finding::Finding;
use mcp_proxy_os::Response;

/// Where MCP Inspector runs.
pub(super) const ORIGIN: &str = "http://localhost:6274";

/// Judges the answer to a preflight for `method` with the header `header`.
pub(super) fn preflight(what: &str, response: &Response, method: &str, header: &str) -> Finding {
    let suffering = "Only clients that run in a browser suffer, such as MCP Inspector.";
    let origins: Vec<&str> = listed(response, "access-control-allow-origin");
    if !(200..300).contains(&response.status) {
        return Finding::warn(
            format!("{what}: the preflight of a browser is answered with {}", response.status),
            suffering,
        )
        .with("Let OPTIONS requests reach the proxy; it answers them without a login.");
    }
    match origins.as_slice() {
        ["*"] | [ORIGIN] => {}
        [] => {
            return Finding::warn(format!("{what} may not be asked by scripts of other sites"), suffering).with(
                "Let OPTIONS requests reach the proxy, and do not strip Access-Control-Allow-Origin from its answers.",
            );
        }
        _ => {
            return Finding::warn(format!("{what} has more or other than `*` as Access-Control-Allow-Origin"), suffering)
                .with(
                    "The proxy sets it already: remove the `add_header Access-Control-…` of the reverse proxy, since \
                     browsers refuse two of them.",
                );
        }
    }
    let allows = |field: &str, wanted: &str| {
        listed(response, field).iter().any(|item| *item == "*" || item.eq_ignore_ascii_case(wanted))
    };
    // GET and POST need no permission (Fetch standard, safelisted methods).
    if !allows("access-control-allow-headers", header) {
        return Finding::warn(format!("{what} may not be sent {header} by a script ({method})"), suffering)
            .with("The proxy allows it, so the answer is that of something in front.");
    }
    Finding::ok(format!("{what} may be asked from a browser"))
}

/// The items of a list header, over all its lines.
fn listed<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let items = response.values(name).flat_map(|value| value.split(','));
    items.map(str::trim).filter(|item| !item.is_empty()).collect()
}
