//! Preflights, registration, the login page, and the errors of the token endpoint.

use super::super::*;
use super::{Fields, POLICY, REGISTERED, Said, answer_of, check, html, json, login_page, printed, url};
use Grade::{Fail, Ok as Good, Warn};

#[test]
fn preflights() {
    let (origin, allowed) =
        ("Access-Control-Allow-Origin", ("Access-Control-Allow-Headers", "Content-Type, X"));
    let table: &[(&str, u16, Fields<'_>, Said<'_>)] = &[
        ("good", 204, &[(origin, "*"), allowed], (Good, "from a browser")),
        ("this origin", 200, &[(origin, cors::ORIGIN), allowed], (Good, "from a browser")),
        ("no method", 405, &[], (Warn, "OPTIONS")),
        ("none", 204, &[allowed], (Warn, "strip")),
        ("two", 204, &[(origin, "*"), (origin, "*"), allowed], (Warn, "add_header")),
        ("two in one", 204, &[(origin, "*, *"), allowed], (Warn, "add_header")),
        ("another", 204, &[(origin, "https://x.example"), allowed], (Warn, "add_header")),
        ("no headers", 204, &[(origin, "*")], (Warn, "content-type")),
    ];
    for (name, status, headers, expected) in table {
        let response = answer_of(*status, headers, "");
        check(name, &[cors::preflight("it", &response, "POST", "content-type")], &[*expected]);
    }
}

#[test]
fn registrations() {
    let with = |from: &str, to: &str| json(201, &REGISTERED.replace(from, to));
    let table: &[(&str, Response, &[Said<'_>])] = &[
        ("good", json(201, REGISTERED), &[(Good, "`mcpx_1`")]),
        ("200", json(200, REGISTERED), &[(Good, ""), (Warn, "201")]),
        ("a secret", with("{", "{\"client_secret\":\"hidden\","), &[(Good, ""), (Warn, "secret")]),
        ("a null", with("{", "{\"x\":null,"), &[(Good, ""), (Warn, "null")]),
        ("another method", with("\"none\"", "\"any\""), &[(Good, ""), (Warn, "not `none`")]),
        ("another callback", with("claude", "x"), &[(Good, ""), (Warn, "callback")]),
        ("no id", with("client_id", "x"), &[(Fail, "client_id")]),
        ("a page", html(200, "x"), &[(Fail, "web page")]),
        ("an address", json(403, r#"{"error":"access_denied"}"#), &[(Warn, "160.79.104.0/21")]),
        ("a firewall", html(403, "cloudflare"), &[(Fail, "WAF")]),
        ("a callback", json(400, r#"{"error":"invalid_redirect_uri"}"#), &[(Fail, "allowedRedirectURIs")]),
        ("a body cut", json(400, r#"{"error":"invalid_client_metadata"}"#), &[(Fail, "cuts its body")]),
        ("too many", json(429, "{}"), &[(Fail, "Wait")]),
        ("a full disk", json(503, r#"{"error":"temporarily_unavailable"}"#), &[(Fail, "persistenceDir")]),
        ("the proxy is down", html(503, "nginx"), &[(Fail, "`addr`")]),
        ("off", json(404, r#"{"error":"not_found"}"#), &[(Fail, "oauth2.registration")]),
        ("not forwarded", html(404, "nginx"), &[(Fail, "/oauth/")]),
    ];
    for (name, response, expected) in table {
        let judged = registration::registration(response, false);
        check(name, &judged.findings, expected);
        assert!(!printed(&judged.findings).contains("hidden"), "{name}");
    }
    check("documents", &[registration::off(true)], &[(Warn, "registration is off")]);
}

#[test]
fn login_pages() {
    let (policy, frame) = ("Content-Security-Policy", ("X-Frame-Options", "DENY"));
    let page = "<form action=/x><input type=password></form>";
    let at = url("https://a.example/oauth/authorize?state=hidden");
    let found = |headers: &[(&str, &str)], body: &str| {
        let base = [("Content-Type", "text/html"), ("Cache-Control", "no-store")];
        page::page(&answer_of(200, &[&base, headers].concat(), body), &at, registration::CALLBACK)
    };
    let good = [(policy, POLICY), frame];
    let table: &[(&str, Vec<Finding>, &[Said<'_>])] = &[
        ("good", found(&good, page), &[(Good, "form")]),
        ("the page itself", found(&good, "<form><INPUT type=password></form>"), &[(Good, "form")]),
        (
            "another origin",
            found(&good, &page.replace("/x", "http://a.example/x")),
            &[(Fail, "another origin")],
        ),
        ("no password", found(&good, "<form action=/x><input></form>"), &[(Fail, "templateDir")]),
        ("no form", found(&good, "<input type=password>"), &[(Fail, "no form")]),
        ("no headers", found(&[], page), &[(Good, ""), (Warn, "frame")]),
        ("no policy", found(&[frame], page), &[(Good, ""), (Warn, "frame-ancestors")]),
        ("no frame header", found(&[(policy, POLICY)], page), &[(Good, ""), (Warn, "X-Frame-Options")]),
        ("two frame headers", found(&[good[0], frame, frame], page), &[(Good, ""), (Warn, "more than once")]),
        (
            "a second policy",
            found(&[good[0], good[1], (policy, "form-action 'self'")], page),
            &[(Good, ""), (Warn, "2 content security policies"), (Warn, "https://claude.ai")],
        ),
        (
            "a dead button",
            found(&[(policy, "frame-ancestors 'none'; form-action 'none'"), frame], page),
            &[(Good, ""), (Fail, "button does nothing")],
        ),
        (
            "a referrer",
            found(&[good[0], frame, ("Referrer-Policy", "no-referrer")], page),
            &[(Good, ""), (Warn, "null")],
        ),
        (
            "a popup",
            found(&[good[0], frame, ("Cross-Origin-Opener-Policy", "same-origin")], page),
            &[(Good, ""), (Warn, "popup")],
        ),
    ];
    for (name, findings, expected) in table {
        check(name, findings, expected);
    }
}

#[test]
fn pages_that_are_none() {
    let at = url("https://a.example/oauth/authorize?state=hidden");
    let back = |query: &str| answer_of(303, &[("Location", &format!("https://claude.ai/cb?{query}"))], "");
    let table: &[(&str, Response, Said<'_>)] = &[
        ("cached", answer_of(400, &[("Content-Type", "text/html")], ""), (Fail, "persistenceDir")),
        ("a target", back("error=invalid_target&state=hidden"), (Fail, "baseURL")),
        ("an error", back("state=hidden&error=invalid_request"), (Fail, "`invalid_request`")),
        ("moved", back("state=hidden"), (Fail, "redirect to https://claude.ai/cb")),
        (
            "ngrok",
            answer_of(200, &[("Content-Type", "text/html"), ("ngrok-trace-id", "1")], ""),
            (Fail, "warning page"),
        ),
        ("Cloudflare", html(200, "cloudflare"), (Fail, "page of its own")),
        ("JSON", json(404, "{}"), (Fail, "oauth2 is not on")),
    ];
    for (name, response, expected) in table {
        let findings = page::page(response, &at, registration::CALLBACK);
        check(name, &findings, &[*expected]);
        assert!(!printed(&findings).contains("hidden"), "{name}");
    }
    check("a document", &[page::document_page(&login_page())], &[(Good, "Claude")]);
    check("a document refused", &[page::document_page(&html(400, "x"))], &[(Warn, "allowedHosts")]);
}

#[test]
fn the_address_of_the_login_page_is_encoded() {
    let endpoint = url("https://a.example/authorize?x=1");
    let address = page::address(&endpoint, "c&d", "https://e/?f", "g", "h", "https://a.example/m").unwrap();
    let expected = "x=1&response_type=code&client_id=c%26d&redirect_uri=https%3A%2F%2Fe%2F%3Ff&scope=mcp&state=h\
                    &code_challenge=g&code_challenge_method=S256&resource=https%3A%2F%2Fa.example%2Fm";
    assert_eq!(address.query(), Some(expected));
}

#[test]
fn token_errors() {
    let code = |code: &str| format!(r#"{{"error":"{code}"}}"#);
    let table: &[(&str, Response, Said<'_>, Said<'_>)] = &[
        ("grant", json(400, &code("invalid_grant")), (Good, "invalid_grant"), (Fail, "dead registration")),
        ("client", json(401, &code("invalid_client")), (Fail, "persistenceDir"), (Good, "401")),
        ("request", json(400, &code("invalid_request")), (Fail, "stuck"), (Fail, "dead registration")),
        ("a page", html(400, "nginx"), (Fail, "proxy_intercept_errors"), (Fail, "proxy_intercept_errors")),
        ("a firewall", html(403, "cloudflare"), (Fail, "WAF"), (Fail, "WAF")),
    ];
    for (name, response, grant, client) in table {
        check(name, &[token::dead_grant(response)], &[*grant]);
        check(name, &[token::unknown_client(response)], &[*client]);
    }
    let cached = answer_of(400, &[("Content-Type", "application/json")], &code("invalid_grant"));
    check("cached", &[token::dead_grant(&cached)], &[(Warn, "no-store")]);
}

#[test]
fn a_page_cut_anywhere_is_read_to_its_end() {
    let page = "<!-- é --><é><form =x a='é' b=é/><script>a</b</script><input type=\"password\"></form><";
    for (at, _) in page.char_indices() {
        let (before, after) = page.split_at(at);
        html::tags(before);
        html::tags(after);
    }
    let names: Vec<String> = html::tags(page).into_iter().map(|tag| tag.name).collect();
    assert_eq!(names, ["form", "script", "input"]);
}
