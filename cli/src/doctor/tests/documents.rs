//! Metadata: of the server, of the authorization server, and what else is at well-known addresses.

use super::super::finding::Judged;
use super::super::*;
use super::{Said, answer_of, check, html, json, server_metadata, url};
use Grade::{Fail, Ok as Good, Warn};

#[test]
fn resource_documents() {
    let at = url("https://a.example/fetch/mcp");
    let good = r#"{"resource":"https://a.example/fetch/mcp","authorization_servers":["https://a.example"],
        "scopes_supported":["mcp"]}"#;
    let with = |from: &str, to: &str| json(200, &good.replace(from, to));
    let table: &[(&str, Response, &[Said<'_>])] = &[
        ("good", json(200, good), &[(Good, "about")]),
        ("one slash", with("fetch/mcp", "fetch/mcp/"), &[(Good, "about")]),
        ("another path", with("fetch/mcp", "x/mcp"), &[(Fail, "path differs")]),
        ("http", with("resource\":\"https", "resource\":\"http"), &[(Fail, "scheme differs")]),
        ("another host", with("resource\":\"https://a", "resource\":\"https://b"), &[(Fail, "host differs")]),
        ("no resource", with("resource\"", "other\""), &[(Fail, "no `resource`")]),
        ("a null", with("{", "{\"x\":null,"), &[(Warn, "null: `x`"), (Good, "")]),
        ("no scopes", with("\"mcp\"]", "]"), &[(Good, ""), (Warn, "scopes_supported")]),
        ("offline", with("\"mcp\"]", "\"offline_access\"]"), &[(Good, ""), (Warn, "offline_access")]),
        (
            "two issuers",
            with("example\"]", "example\",\"https://c.example\"]"),
            &[(Good, ""), (Warn, "2 auth")],
        ),
        ("no issuer", with("[\"https://a.example\"]", "[]"), &[(Good, ""), (Fail, "sign in")]),
        (
            "an issuer elsewhere",
            with("[\"https://a", "[\"https://b"),
            &[(Good, ""), (Fail, "another origin")],
        ),
        ("a login", html(401, "nginx"), &[(Fail, "basic authentication")]),
        ("hidden by nginx", html(403, "nginx"), &[(Fail, "dot files")]),
        ("not there", json(404, "{}"), &[(Fail, "oauth2 is not on")]),
        ("a page", html(200, "x"), &[(Fail, "web page")]),
        ("no JSON", answer_of(200, &[("Content-Type", "application/json")], "{"), &[(Fail, "JSON object")]),
        ("text", answer_of(200, &[("Content-Type", "text/plain")], good), &[(Fail, "application/json")]),
    ];
    for (name, response, expected) in table {
        check(name, &metadata::resource(response, Some(&at)).findings, expected);
    }
    let Judged { value, .. } = metadata::resource(&json(200, good), Some(&at));
    assert_eq!(value.as_deref(), Some("https://a.example"));
    check("the base", &metadata::resource(&json(200, good), None).findings, &[(Good, "about")]);
}

#[test]
fn server_documents() {
    let good = server_metadata("https://a.example");
    let with = |from: &str, to: &str| json(200, &good.replace(from, to));
    let table: &[(&str, Response, &[Said<'_>])] = &[
        ("good", json(200, &good), &[(Good, "issuer")]),
        ("a slash", with("/tools\"", "/tools/\""), &[(Fail, "byte by byte")]),
        ("no issuer", with("\"issuer\"", "\"x\""), &[(Fail, "expected `https://a.example/tools`")]),
        ("no PKCE", with("S256", "plain"), &[(Good, ""), (Fail, "PKCE")]),
        ("secrets only", with("\"none\",", ""), &[(Good, ""), (Warn, "`none`")]),
        ("no refresh", with(",\"refresh_token\"", ""), &[(Good, ""), (Warn, "login every hour")]),
        ("no iss", with("supported\":true", "supported\":false"), &[(Good, ""), (Warn, "ChatGPT")]),
        (
            "no token endpoint",
            with("token_endpoint\"", "x\""),
            &[(Good, ""), (Fail, "token_endpoint is missing")],
        ),
        (
            "http",
            with("https://a.example/tools/oauth/token", "http://a.example/t"),
            &[(Good, ""), (Fail, "not https")],
        ),
        (
            "elsewhere",
            with("https://a.example/tools/oauth/token", "https://b.example/t"),
            &[(Good, ""), (Fail, "another origin")],
        ),
        ("not forwarded", html(404, "cloudflare"), &[(Fail, "public host name")]),
    ];
    for (name, response, expected) in table {
        check(name, &metadata::server(response, "https://a.example/tools").findings, expected);
    }
    let read = |response: &Response| metadata::server(response, "https://a.example/tools").value;
    let endpoints = read(&json(200, &good)).unwrap();
    assert_eq!(endpoints.register, Some(url("https://a.example/tools/oauth/register")));
    assert!(!endpoints.takes_documents);
    let other = good
        .replace("registration_endpoint", "x")
        .replace("}", ",\"client_id_metadata_document_supported\":true}");
    let endpoints = read(&json(200, &other)).unwrap();
    assert!(endpoints.register.is_none() && endpoints.takes_documents);
}

#[test]
fn further_addresses() {
    use Expected::{Document, Either, Nothing};
    let table: &[(&str, Response, Expected, Option<Said<'_>>)] = &[
        ("a document", json(200, "{}"), Either, None),
        ("nothing", json(404, "{}"), Either, None),
        ("nothing, as it should be", json(404, "{}"), Nothing, None),
        ("the root copy", json(200, "{}"), Document, None),
        ("no root copy", json(404, "{}"), Document, Some((Warn, "Hosted Claude"))),
        ("a page for everything", html(200, "nginx"), Nothing, Some((Fail, "every path"))),
        ("a page instead of a document", html(200, "nginx"), Either, Some((Fail, "web page"))),
        ("a page says no", html(404, "nginx"), Either, Some((Fail, "an HTML page says so"))),
        ("silence says no", answer_of(404, &[], ""), Nothing, Some((Fail, "no media type"))),
        ("a login", json(401, "{}"), Nothing, Some((Fail, "asks for a login"))),
        ("a redirect", answer_of(302, &[], ""), Either, Some((Fail, "redirect"))),
    ];
    for (name, response, expected, wanted) in table {
        let found = metadata::alias(response, &url("https://a.example/.well-known/x"), *expected);
        check(name, found.as_slice(), wanted.as_slice());
    }
}
