//! The judgements, each as a table of answers and what is said to them. These are about addresses, challenges
//! and the report; the others are in modules of their own, and so is the whole walk.

use super::challenge::{Challenge, challenges};
use super::*;
use Grade::{Fail, Ok as Good, Warn};
use mcp_proxy_os::{ExchangeError, ExchangeErrorKind};

mod documents;
mod probes;
mod sign_up;
mod walk;

/// What is to be found: a grade, and a part of what is printed.
type Said<'a> = (Grade, &'a str);

/// Fields of a head.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn answer_of(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Response { status, headers: headers.iter().map(owned).collect(), body: body.as_bytes().to_vec() }
}

fn json(status: u16, body: &str) -> Response {
    answer_of(status, &[("Content-Type", "application/json"), ("Cache-Control", "no-store")], body)
}

fn html(status: u16, server: &str) -> Response {
    answer_of(status, &[("Content-Type", "text/html; charset=utf-8"), ("Server", server)], "<h1>Sorry</h1>")
}

fn server_metadata(origin: &str) -> String {
    format!(
        r#"{{"issuer":"{origin}/tools","authorization_endpoint":"{origin}/tools/oauth/authorize",
        "token_endpoint":"{origin}/tools/oauth/token","registration_endpoint":"{origin}/tools/oauth/register",
        "response_types_supported":["code"],"grant_types_supported":["authorization_code","refresh_token"],
        "token_endpoint_auth_methods_supported":["none","client_secret_post"],
        "code_challenge_methods_supported":["S256"],"authorization_response_iss_parameter_supported":true}}"#
    )
}

const REGISTERED: &str = r#"{"client_id":"mcpx_1","token_endpoint_auth_method":"none",
    "redirect_uris":["https://claude.ai/api/mcp/auth_callback"]}"#;

const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; form-action 'self' https://claude.ai";

fn login_page() -> Response {
    let headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("X-Frame-Options", "DENY"),
        ("Content-Security-Policy", POLICY),
    ];
    let form = r#"<!-- <form action="//x"> --><script>"<form action=y>"</script>
        <form method=post action="/tools/oauth/authorize?a=1&amp;b"><input type='Password' name=p/></form>"#;
    answer_of(200, &headers, form)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// All that is printed about these findings.
fn printed(findings: &[Finding]) -> String {
    let mut out = Vec::new();
    let mut report = Report::new(&mut out);
    findings.iter().for_each(|finding| report.add(finding));
    String::from_utf8(out).unwrap()
}

/// The findings are exactly these.
fn check(name: &str, findings: &[Finding], expected: &[Said<'_>]) {
    let grades: Vec<Grade> = findings.iter().map(|finding| finding.grade).collect();
    let wanted: Vec<Grade> = expected.iter().map(|(grade, _)| *grade).collect();
    assert_eq!(grades, wanted, "{name}: {}", printed(findings));
    for (finding, (grade, part)) in findings.iter().zip(expected) {
        let text = format!("{} {}", finding.what, finding.advice);
        assert!(text.contains(part), "{name}: {grade:?} without {part:?}: {text}");
        assert!(!finding.advice.is_empty() || *grade == Good, "{name}: no advice: {text}");
    }
}

#[test]
fn addresses() {
    let table: &[(&str, &[Said<'_>])] = &[
        ("https://mcp.example.com/fetch/mcp", &[(Good, "well formed")]),
        ("https://mcp.example.com", &[(Good, "well formed")]),
        ("http://localhost:9090/fetch/mcp", &[(Good, "claude.ai cannot")]),
        ("http://[::1]/mcp", &[(Good, "claude.ai cannot")]),
        ("http://mcp.example.com/mcp", &[(Fail, "https")]),
        ("https://mcp.example.com:8443/mcp", &[(Good, ""), (Warn, "443")]),
        ("https://10.1.2.3/mcp", &[(Good, ""), (Warn, "private")]),
        ("https://box.local/mcp", &[(Good, ""), (Warn, "private")]),
        ("https://mcp.example.com/mcp?key=hidden", &[(Good, ""), (Fail, "query")]),
        ("https://mcp.example.com/mcp#x", &[(Good, ""), (Fail, "fragment")]),
        ("https://mcp.example.com//mcp", &[(Good, ""), (Warn, "two slashes")]),
        ("https://mcp.example.com/fetch/sse", &[(Good, ""), (Warn, "/mcp")]),
        ("https://MCP.example.com:443/mcp", &[(Good, ""), (Warn, "https://mcp.example.com/mcp")]),
        ("https://mcp.example.com/mcp\",", &[(Fail, "copied")]),
        ("mcp.example.com/mcp", &[(Fail, "http://")]),
        ("https://user:hidden@mcp.example.com/mcp", &[(Fail, "user name")]),
    ];
    for (typed, expected) in table {
        let judged = address::address(typed);
        check(typed, &judged.findings, expected);
        assert!(!printed(&judged.findings).contains("hidden"), "{typed}");
    }
}

#[test]
fn addresses_that_follow() {
    let list = |text: &str| candidates(&url(text)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(list("https://a.example/"), ["https://a.example/mcp"]);
    assert_eq!(
        list("https://a.example/fetch/sse"),
        ["https://a.example/fetch/mcp", "https://a.example/fetch"]
    );
    assert_eq!(list("https://a.example/fetch/mcp"), ["https://a.example/mcp"]);
    assert_eq!(list("https://a.example/mcp"), [""; 0]);
    let place = well_known(&url("https://a.example/fetch/mcp/"), "x").unwrap();
    assert_eq!(place.to_string(), "https://a.example/.well-known/x/fetch/mcp");
    assert_eq!(
        well_known(&url("https://a.example"), "x").unwrap().to_string(),
        "https://a.example/.well-known/x"
    );
}

#[test]
fn first_answers() {
    let moved = [("Location", "https://www.example.com/mcp?key=hidden")];
    let access = [("Location", "https://team.cloudflareaccess.com/cdn-cgi/access/login")];
    let mitigated = [("Content-Type", "text/html"), ("cf-mitigated", "challenge"), ("cf-ray", "1")];
    let table: &[(&str, Response, Said<'_>)] = &[
        ("refused", json(401, "{}"), (Good, "401")),
        ("open", json(200, "{}"), (Fail, "open")),
        ("a page", html(200, "x"), (Fail, "web page")),
        ("moved", answer_of(301, &moved, ""), (Fail, "https://www.example.com/mcp?***")),
        ("moved nowhere", answer_of(308, &[], ""), (Fail, "to nowhere")),
        ("a slash", answer_of(307, &[("Location", "/mcp/?key=hidden")], ""), (Fail, "to `/mcp/`")),
        ("an access policy", answer_of(302, &access, ""), (Fail, "Cloudflare Access")),
        ("a scheme mixed up", html(400, "nginx"), (Fail, "HTTPS")),
        ("a firewall", html(403, "cloudflare"), (Fail, "WAF")),
        ("a bot check", answer_of(403, &mitigated, ""), (Fail, "prove itself")),
        ("a host refused", json(403, "{}"), (Fail, "baseURL")),
        ("files", html(405, "Apache/2.4"), (Fail, "refuses the method")),
        ("headers changed", json(406, "{}"), (Fail, "Accept")),
        ("too many", json(429, "{}"), (Fail, "wait")),
        ("the proxy is down", html(502, "nginx/1.26"), (Fail, "through nginx")),
        ("no tunnel", html(530, "cloudflare"), (Fail, "cloudflared")),
        ("odd", json(418, "{}"), (Fail, "not what the proxy answers")),
    ];
    for (name, response, expected) in table {
        let judged = challenge::refusal(response);
        check(name, &judged.findings, &[*expected]);
        assert_eq!(judged.value.is_some(), expected.0 == Good, "{name}");
        assert!(!printed(&judged.findings).contains("hidden"), "{name}");
    }
}

#[test]
fn a_path_where_nothing_is() {
    let at = url("https://a.example/fetch");
    let other = (url("https://a.example/fetch/mcp"), 401);
    check(
        "named",
        &[challenge::unknown_path(&at, &json(404, "{}"), &[other])],
        &[(Fail, "/fetch/mcp is served")],
    );
    let none = (url("https://a.example/fetch/mcp"), 404);
    check("unknown", &[challenge::unknown_path(&at, &json(404, "{}"), &[none])], &[(Fail, "<server>/mcp")]);
    check("a page", &[challenge::unknown_path(&at, &html(404, "nginx"), &[])], &[(Fail, "location /")]);
}

#[test]
fn challenge_fields() {
    let one = |scheme: &str, params: &[(&str, &str)]| Challenge {
        scheme: scheme.to_owned(),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let table = [
        ("Bearer", vec![one("Bearer", &[])]),
        ("Bearer a=\"x, y\" , b=z", vec![one("Bearer", &[("a", "x, y"), ("b", "z")])]),
        (r#"Bearer a="q\"\\,", b="#, vec![one("Bearer", &[("a", r#"q"\,"#), ("b", "")])]),
        (
            "Negotiate, Basic realm=x, Bearer a=1",
            vec![one("Negotiate", &[]), one("Basic", &[("realm", "x")]), one("Bearer", &[("a", "1")])],
        ),
        ("", vec![]),
        (",=,\"", vec![one("\"", &[])]),
    ];
    for (field, expected) in table {
        assert_eq!(challenges(field), expected, "{field}");
    }
}

#[test]
fn challenge_judgements() {
    let at = url("https://a.example/fetch/mcp");
    let place = "https://a.example/.well-known/oauth-protected-resource/fetch/mcp";
    let bearer = |metadata: &str| format!("Bearer resource_metadata=\"{metadata}\", scope=\"mcp\"");
    let table: &[(&str, &[String], &[Said<'_>])] = &[
        ("good", &[bearer(place)], &[(Good, place)]),
        ("none", &[], &[(Fail, "proxy_hide_header")]),
        ("basic", &["Basic realm=x".to_owned()], &[(Fail, "`Basic`")]),
        ("a token", &["Bearer".to_owned()], &[(Fail, "authTokens")]),
        ("two", &["Basic realm=x".to_owned(), bearer(place)], &[(Warn, "2 challenges"), (Good, place)]),
        ("relative", &[bearer("/.well-known/x")], &[(Fail, "absolute")]),
        ("http", &[bearer(&place.replace("https", "http"))], &[(Fail, "write https://")]),
        ("this computer", &[bearer("http://localhost:9090/x")], &[(Fail, "not set")]),
        ("another host", &[bearer("https://b.example/x")], &[(Fail, "several names")]),
        ("another path", &[bearer(&place.replace("fetch", "x/fetch"))], &[(Warn, "prefix")]),
    ];
    for (name, lines, expected) in table {
        let headers: Vec<(&str, &str)> =
            lines.iter().map(|line| ("www-authenticate", line.as_str())).collect();
        let mut response = json(401, r#"{"error":"unauthorized"}"#);
        response.headers.extend(answer_of(0, &headers, "").headers);
        let judged = challenge::challenge(&response, &at);
        check(name, &judged.findings, expected);
        assert_eq!(judged.value.is_some(), expected.iter().all(|(grade, _)| *grade != Fail), "{name}");
    }
}

#[test]
fn who_stands_in_front() {
    let table: &[(Fields<'_>, Option<&str>)] = &[
        (&[("Server", "cloudflare")], Some("Cloudflare")),
        (&[("Server", "nginx"), ("CF-Ray", "1")], Some("Cloudflare")),
        (&[("Server", "nginx/1.26.0")], Some("nginx")),
        (&[("Server", "openresty")], Some("nginx")),
        (&[("Server", "Apache/2.4 (Unix)")], Some("Apache")),
        (&[("Via", "1.1 Caddy")], Some("Caddy")),
        (&[("ngrok-error-code", "ERR_NGROK_3200")], Some("ngrok")),
        (&[("Via", "1.1 x.cloudfront.net (CloudFront)")], Some("CloudFront")),
        (&[("Server", "istio-envoy")], Some("Envoy")),
        (&[("Server", "lighttpd/1.4.69")], Some("lighttpd")),
        (&[("Server", "awselb/2.0")], Some("`awselb/2.0`")),
        (&[("Via", "1.1 google")], Some("`1.1 google`")),
        (&[("Server", "mcp-proxy/1")], None),
        (&[], None),
    ];
    for (headers, expected) in table {
        let front = Front::of(&answer_of(200, headers, ""));
        assert_eq!(front.as_ref().map(Front::name), *expected, "{headers:?}");
        check("front", &[front::named(front.as_ref())], &[(Good, "")]);
    }
}

#[test]
fn no_answer_is_explained() {
    for (kind, part) in [
        (ExchangeErrorKind::Lookup, "DNS"),
        (ExchangeErrorKind::Connect, "firewall"),
        (ExchangeErrorKind::Certificate, "fullchain.pem"),
        (ExchangeErrorKind::Tls, "plain HTTP"),
        (ExchangeErrorKind::Config, "this command"),
        (ExchangeErrorKind::Broken, "port"),
        (ExchangeErrorKind::TooLarge, "large"),
        (ExchangeErrorKind::Timeout, "ten seconds"),
    ] {
        let error = ExchangeError { kind, detail: "what was seen".to_owned() };
        let finding = net::unreachable("a step", &url("https://a.example/x?key=hidden"), &error);
        check(part, std::slice::from_ref(&finding), &[(Fail, part)]);
        assert!(finding.what.contains("what was seen") && !finding.what.contains("hidden"), "{finding:?}");
    }
}

#[test]
fn the_report_is_plain_text() {
    let advice = "word ".repeat(30);
    let (bad, again) = (Finding::fail("bad", "mend it"), Finding::fail("worse", "mend it"));
    let findings = [Finding::ok("fine"), Finding::warn("odd \u{1b}[31m", advice), bad, again];
    let text = printed(&findings);
    assert!(text.starts_with("ok   fine\nwarn odd ?[31m\n     word word"), "{text}");
    assert!(text.ends_with("FAIL bad\n     mend it\nFAIL worse\n     As above.\n"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    let long = finding::quoted(&"x".repeat(500));
    assert_eq!(long.chars().count(), 203);
}

#[test]
fn verdicts() {
    let verdict = |findings: &[Finding], complete: bool| {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        findings.iter().for_each(|finding| report.add(finding));
        let passed = report.verdict(complete);
        (passed, String::from_utf8(out).unwrap().lines().last().unwrap().to_owned())
    };
    let (warn, fail) = (Finding::warn("w", "x"), Finding::fail("f", "x"));
    for (findings, complete, passed, part) in [
        (&[][..], true, true, "connect and sign in"),
        (std::slice::from_ref(&warn), true, true, "sign in, but see the warnings"),
        (std::slice::from_ref(&warn), false, true, "not everything"),
        (std::slice::from_ref(&fail), true, false, "1 problem, see the line"),
        (&[warn.clone(), fail.clone(), fail.clone()], false, false, "2 problems, mend"),
    ] {
        let (has_passed, line) = verdict(findings, complete);
        assert!(has_passed == passed && line.contains(part), "{line}");
    }
}
