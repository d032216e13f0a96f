//! The login page, as the browser of a user gets it (RFC 6749 §3.1). It is looked at, never filled in.

use super::finding::{Finding, quoted};
use super::front::{Front, is_html, redirected, unexpected};
use super::html::{Tag, tags};
use mcp_proxy_core::url::Url;
use mcp_proxy_os::Response;

/// The document by which a hosted Claude identifies itself where it may.
pub(super) const CLAUDE_DOCUMENT: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";

/// Where a browser goes to sign in. The code that it would lead to is good for nobody: no one knows a verifier for
/// `challenge`.
pub(super) fn address(
    endpoint: &Url,
    client: &str,
    callback: &str,
    challenge: &str,
    state: &str,
    resource: &str,
) -> Option<Url> {
    let parameters = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", callback),
        ("scope", "mcp"),
        ("state", state),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("resource", resource),
    ];
    let query = form(&parameters);
    let join = if endpoint.query().is_some() { '&' } else { '?' };
    Url::parse(&format!("{}{}{join}{query}", endpoint.origin(), endpoint.target())).ok()
}

/// As HTML forms are sent (RFC 6749 appendix B), blanks as `%20`.
pub(super) fn form(parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Judges the page for a registered client that wants to go back to `callback`.
pub(super) fn page(response: &Response, url: &Url, callback: &str) -> Vec<Finding> {
    let what = "the login page";
    match response.status {
        200 if is_html(response) => {}
        300..=399 => return vec![sent_back(response)],
        400 if is_html(response) => {
            return vec![Finding::fail(
                format!("{what}: status 400, an error page instead of the form"),
                "The request is a good one. Either the client that was just registered is unknown (several instances \
                 behind one name that do not share `persistenceDir`), or something on the way changes or drops the \
                 query.",
            )];
        }
        _ => return vec![unexpected(what, response)],
    }
    let body = String::from_utf8_lossy(&response.body);
    let tags = tags(&body);
    let Some(action) = login_form(&tags) else {
        return vec![no_form(response)];
    };
    let mut findings = vec![submit(action, url)];
    findings.extend(framing(response));
    findings.extend(policies(response, url, callback));
    findings.extend(privacy(response));
    findings
}

/// Judges the page for the document of a hosted Claude, which takes this way where it is offered.
pub(super) fn document_page(response: &Response) -> Finding {
    let body = String::from_utf8_lossy(&response.body);
    if response.status == 200 && login_form(&tags(&body)).is_some() {
        return Finding::ok("the login page also takes the metadata document of Claude");
    }
    Finding::warn(
        format!("the login page does not take the metadata document of Claude: status {}", response.status),
        "Hosted Claude identifies itself this way when it is offered, and does not fall back to registration. Has \
         `oauth2.clientIdMetadata.allowedHosts` claude.ai in it, and can the proxy get",
    )
    .with(&format!("{CLAUDE_DOCUMENT}? Its log says why (event=cimd_fetch). If Claude is not to connect, ignore this."))
}

/// The action of the form that has a password field.
fn login_form(tags: &[Tag]) -> Option<&str> {
    let mut action = None;
    for tag in tags {
        let is_password = tag.get("type").is_some_and(|kind| kind.eq_ignore_ascii_case("password"));
        if tag.name == "form" {
            action = Some(tag.get("action").unwrap_or_default());
        } else if tag.name == "input" && is_password && action.is_some() {
            return action;
        }
    }
    None
}

fn no_form(response: &Response) -> Finding {
    let advice = match Front::of(response) {
        Some(Front::Ngrok) => {
            "ngrok shows its warning page first. People can click it away, but in the popup of a client it confuses \
             them; a plan or a header rule switches it off."
        }
        Some(Front::Cloudflare) => {
            "Cloudflare shows a page of its own: a challenge, Access, or an error. Let /oauth/ through without."
        }
        Some(_) | None => {
            "Another page came back: that of something in front, or a template of your own (`templateDir`) that has \
             lost its form with the field of type password."
        }
    };
    Finding::fail("the login page has no form with a password field", advice)
}

/// The proxy sends a browser away instead of asking for a password.
fn sent_back(response: &Response) -> Finding {
    let location = response.header("location").and_then(|location| Url::parse(location).ok());
    let query = location.as_ref().and_then(Url::query).unwrap_or_default();
    let error = query.split('&').find_map(|pair| pair.strip_prefix("error="));
    match error {
        Some("invalid_target") => Finding::fail(
            "the login page sends the browser back: invalid_target",
            "The proxy does not know the address as one of its own: baseURL and the URL that was typed differ, or \
             OAuth is off for this server.",
        ),
        Some(error) => Finding::fail(
            format!("the login page sends the browser back: {}", quoted(error)),
            "The request is a good one, so something on the way changes its query.",
        ),
        None => redirected("the login page", response),
    }
}

/// Where the form goes.
fn submit(action: &str, page: &Url) -> Finding {
    match if action.is_empty() { Ok(page.clone()) } else { page.resolve(action) } {
        Ok(target) if target.origin() == page.origin() => Finding::ok("the login page has its form"),
        Ok(target) => Finding::fail(
            format!("the form of the login page goes to {}", target.origin()),
            "The password would go to another origin than the page's, which browsers block here. Set baseURL to the \
             public address, https included, and look into the template if you have one.",
        ),
        Err(error) => Finding::fail(
            format!("the form of the login page goes nowhere: {error}"),
            "Look into the template in `templateDir`: the action of the form is {{.FormAction}} or left out.",
        ),
    }
}

/// Whether other sites may show the page in a frame.
fn framing(response: &Response) -> Option<Finding> {
    let policies = directives(response);
    let by_policy = policies.iter().flatten().any(|directive| directive.0 == "frame-ancestors");
    let old: Vec<&str> = response.values("x-frame-options").collect();
    match (by_policy, old.as_slice()) {
        (true, [_]) => None,
        (false, []) => Some(Finding::warn(
            "the login page may be shown in a frame of another site",
            "X-Frame-Options and Content-Security-Policy are missing. The proxy sets both, so something in front \
             strips them: let them through.",
        )),
        (true, []) => Some(Finding::warn(
            "the login page has no X-Frame-Options",
            "Old browsers need it. The proxy sets it, so something in front strips it.",
        )),
        (false, [_]) => Some(Finding::warn(
            "the login page has no Content-Security-Policy with frame-ancestors",
            "The proxy sets one, so something in front strips or replaces it: let it through.",
        )),
        (_, _) => Some(Finding::warn(
            "the login page has X-Frame-Options more than once",
            "Browsers ignore contradicting ones. Remove the one that the reverse proxy adds for this host.",
        )),
    }
}

/// Whether the form can be sent, and its answer lead back to the client.
fn policies(response: &Response, page: &Url, callback: &str) -> Vec<Finding> {
    let policies = directives(response);
    let mut findings = Vec::new();
    if policies.len() > 1 {
        findings.push(Finding::warn(
            format!("the login page has {} content security policies instead of one", policies.len()),
            "Browsers obey all of them together, so the strictest wins: style, script and button may be dead. Remove \
             the one that the reverse proxy adds for this host.",
        ));
    }
    let back = Url::parse(callback).map(|callback| callback.origin()).unwrap_or_default();
    for sources in
        policies.iter().flatten().filter(|(name, _)| name == "form-action").map(|(_, sources)| sources)
    {
        let allows = |origin: &str| sources.iter().any(|source| matches_source(source, origin));
        let own = sources.iter().any(|source| source == "'self'") || allows(&page.origin());
        if !own {
            findings.push(Finding::fail(
                "the content security policy forbids the form of the login page",
                "Its form-action has neither 'self' nor the page's own origin, so the button does nothing. The proxy \
                 allows it: remove the policy that the reverse proxy adds for this host.",
            ));
        } else if !allows(&back) {
            findings.push(Finding::warn(
                format!("the content security policy does not let the form lead to {back}"),
                "The form-action of the proxy names the client's callback. With another policy the button seems dead \
                 in Chromium and Safari whenever `successPage` is false. Remove the policy that something in front \
                 adds.",
            ));
        }
    }
    findings
}

/// A source of a policy, as far as it is an origin, a scheme or everything.
fn matches_source(source: &str, origin: &str) -> bool {
    let scheme = origin.split("//").next().unwrap_or_default();
    source == "*" || source == scheme || source.trim_end_matches('/').eq_ignore_ascii_case(origin)
}

/// Caches, referrers and popups.
fn privacy(response: &Response) -> Vec<Finding> {
    let says =
        |name: &str, part: &str| response.values(name).any(|value| value.to_ascii_lowercase().contains(part));
    let mut findings = Vec::new();
    if !says("cache-control", "no-store") {
        findings.push(Finding::warn(
            "the login page may be cached",
            "`Cache-Control: no-store` is missing: something in front strips or replaces it. Somebody else's login \
             could be shown; caching rules must leave /oauth/ out.",
        ));
    }
    if says("referrer-policy", "no-referrer") && !says("referrer-policy", "no-referrer-when-downgrade") {
        findings.push(Finding::warn(
            "the login page has Referrer-Policy: no-referrer",
            "Browsers then send `Origin: null` with the form, which looks like a forged request. The proxy says \
             same-origin; remove the header that the reverse proxy adds.",
        ));
    }
    let opener = response.header("cross-origin-opener-policy");
    if opener.is_some_and(|value| !value.trim().eq_ignore_ascii_case("unsafe-none")) {
        findings.push(Finding::warn(
            "the login page has a Cross-Origin-Opener-Policy",
            "Hosted clients open the page as a popup and wait for it; the header cuts it off from them. Remove it for \
             this host.",
        ));
    }
    findings
}

/// The directives of each policy: names in lower case, and sources.
fn directives(response: &Response) -> Vec<Vec<(String, Vec<String>)>> {
    let policies = response.values("content-security-policy").flat_map(|value| value.split(','));
    let policies = policies.map(|policy| {
        let directives = policy.split(';').filter_map(|directive| {
            let mut words = directive.split_whitespace().map(str::to_owned);
            Some((words.next()?.to_ascii_lowercase(), words.collect()))
        });
        directives.collect::<Vec<_>>()
    });
    policies.filter(|directives| !directives.is_empty()).collect()
}
