//! Attacks below the level of parameters: header injection, ambiguous framing, sizes, repeated parameters, paths that
//! could mean two things, addresses that are only claimed.

use super::browser::{Answer, App, CALLBACK, encode, post_form, raw, registration};
use super::login::{Stage, assert_refused};
use super::upstream::stdio;
use axum::http::header;
use serde_json::json;

/// The status and header lines of the only response in what came.
#[track_caller]
fn only_response(answer: &str) -> (u16, Vec<&str>) {
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
    let (head, _) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.split("\r\n").collect())
}

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n")
}

fn post(path: &str, kind: &str, more: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n{more}\r\n{body}"
    )
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn nothing_in_a_request_ends_a_line_of_the_response() {
    // T-22, OA-203
    let stage = Stage::new(json!({})).await;
    let injected = "x\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil";
    let claude = "https://claude.ai/api/mcp/auth_callback";
    let local = App::register(&stage.base).await;
    let app = stage.public(claude).await;
    for name in ["state", "redirect_uri", "resource", "scope", "client_id", "code_challenge", "response_type"]
    {
        for visit in [app.visit().with(name, injected), local.visit().with(name, injected)] {
            // As the redirect of an error, and as a page.
            let broken = visit.clone().with("code_challenge_method", "plain").query();
            for query in [visit.query(), broken] {
                let answer = raw(&stage.base, get(&format!("/oauth/authorize?{query}"), "").as_bytes()).await;
                assert_clean(&answer);
            }
        }
    }
    let escaped = "%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0aevil";
    for path in [format!("/a/{escaped}"), format!("/a/mcp?{escaped}"), format!("/a%22{escaped}/mcp")] {
        assert_clean(&raw(&stage.base, get(&path, "").as_bytes()).await);
    }
    for path in ["/.well-known/oauth-protected-resource/", "/oauth/", "/"] {
        assert_clean(&raw(&stage.base, get(&format!("{path}{escaped}"), "").as_bytes()).await);
    }
    let challenge = raw(&stage.base, get("/a/mcp", "Authorization: Bearer x\"\\y\r\n").as_bytes()).await;
    assert_eq!(only_response(&challenge).0, 401);
    let log = stage.proxy.log_to_the_end().await;
    let intruder =
        |line: &&str| line.starts_with("Set-Cookie") || line.starts_with("evil") || line.starts_with("HTTP/");
    assert_eq!(log.lines().find(intruder), None);
}

#[track_caller]
fn assert_clean(answer: &str) {
    let head = answer.split("\r\n\r\n").next().unwrap();
    assert_eq!(head.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
    for line in head.split("\r\n").skip(1) {
        let (name, value) =
            line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?} in {answer:?}"));
        assert!(!name.eq_ignore_ascii_case("set-cookie"), "{answer:?}");
        assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    }
}

#[tokio::test]
async fn an_ambiguous_request_gets_one_answer_and_the_connection_ends() {
    // T-31, OA-201
    let stage = Stage::new(json!({})).await;
    let before = stage.stored();
    let hidden = "POST /oauth/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 51\r\n\r\n{\"redirect_uris\":[\"http://127.0.0.1:7777/callback\"]}";
    let corpus = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 6\r\n\r\nabcdef",
        "Content-Length: 6\r\nContent-Length: 0\r\n\r\nabcdef",
        "Content-Length: 0, 6\r\n\r\nabcdef",
        "Content-Length: +6\r\n\r\nabcdef",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x6\r\n\r\nabcdef",
        "Content-Length: 6 \u{b}\r\n\r\nabcdef",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Content-Length:\r\n\r\n",
        "Content-Length : 6\r\n\r\nabcdef",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\nabcdef",
        "Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X: y\r\n Content-Length: 6\r\n\r\nabcdef",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 6\n\nabcdef",
        "Content-Length: 6\r\n\nabcdef",
        "X: y\rContent-Length: 6\r\n\r\nabcdef",
        "Content-Length: 0\r\nHost: other\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\nab0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\na\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    ];
    for case in corpus {
        let head = format!("POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n");
        let answer = raw(&stage.base, format!("{head}{case}{hidden}").as_bytes()).await;
        let (status, _) = only_response(&answer);
        assert!((400..=501).contains(&status), "{case:?}: {answer:?}");
    }
    assert_eq!(stage.stored(), before);
}

#[tokio::test]
async fn sizes_are_what_they_may_be_and_not_one_more() {
    // T-29, OA-90, OA-200
    let stage = Stage::new(json!({})).await;
    let before = stage.stored();
    let chunked = |path: &str, kind: &str, body: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n"
        );
        format!("{head}Connection: close\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let json_of = |len: usize| {
        let rest = "{\"redirect_uris\":[],\"x\":\"\"}";
        format!("{{\"redirect_uris\":[],\"x\":\"{}\"}}", "x".repeat(len - rest.len()))
    };
    let form_of =
        |len: usize| format!("client_id=nobody&x={}", "x".repeat(len - "client_id=nobody&x=".len()));
    let (json, max_json, max_form) = ("application/json", 64 * 1024, 32 * 1024);
    let cases = [
        ("/oauth/register", json, json_of(max_json), 400),
        ("/oauth/register", json, json_of(max_json + 1), 413),
        ("/oauth/token", FORM, form_of(max_form), 401),
        ("/oauth/token", FORM, form_of(max_form + 1), 413),
        ("/oauth/revoke", FORM, form_of(max_form), 401),
        ("/oauth/revoke", FORM, form_of(max_form + 1), 413),
        ("/oauth/authorize", FORM, form_of(max_form), 400),
        ("/oauth/authorize", FORM, form_of(max_form + 1), 413),
    ];
    for (path, kind, body, status) in &cases {
        for request in [post(path, kind, "Connection: close\r\n", body), chunked(path, kind, body)] {
            let answer = raw(&stage.base, request.as_bytes()).await;
            assert_eq!(only_response(&answer).0, *status, "{path} {}: {answer:.300}", body.len());
        }
    }
    let announced = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 1000000000\r\n\r\n"
    );
    assert_eq!(only_response(&raw(&stage.base, announced.as_bytes()).await).0, 413);
    let bomb = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    for body in
        [bomb.clone(), format!("{{\"redirect_uris\":{bomb}}}"), "[]".into(), "{".into(), "\"x\"".into()]
    {
        let answer =
            raw(&stage.base, post("/oauth/register", json, "Connection: close\r\n", &body).as_bytes()).await;
        assert_eq!(only_response(&answer).0, 400, "{answer:?}");
    }
    // FT-511
    let nested = |levels: usize| {
        let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!("{{\"redirect_uris\":[\"{CALLBACK}\"],\"jwks\":{value}}}")
    };
    for (levels, status) in [(15, 201), (16, 400), (1_000, 400), (30_000, 400)] {
        let request = post("/oauth/register", json, "Connection: close\r\n", &nested(levels));
        let answer = raw(&stage.base, request.as_bytes()).await;
        assert_eq!(only_response(&answer).0, status, "{levels}");
        assert_eq!(answer.contains("\"invalid_client_metadata\""), status == 400, "{answer}");
        assert_eq!(answer.contains("nests too deeply"), status == 400, "{answer}");
    }
    let fields = |count: usize| format!("client_id=nobody{}", "&x=".repeat(count - 1).replace("x", "y"));
    let (good, bad) = (fields(2), fields(101));
    assert_eq!(
        only_response(
            &raw(&stage.base, post("/oauth/token", FORM, "Connection: close\r\n", &good).as_bytes()).await
        )
        .0,
        401
    );
    assert_eq!(
        only_response(
            &raw(&stage.base, post("/oauth/token", FORM, "Connection: close\r\n", &bad).as_bytes()).await
        )
        .0,
        400
    );
    let app = App::register(&stage.base).await;
    let fill = |len: usize| {
        let visit = app.visit().with("state", "");
        let missing = len - visit.query().len();
        visit.with("state", &"s".repeat(missing))
    };
    assert_eq!(fill(8 * 1024).open().await.status, 200);
    assert_eq!(fill(8 * 1024 + 1).open().await.status, 400);
    let long = get(&format!("/oauth/authorize?{}", "x".repeat(64 * 1024)), "");
    assert!((400..=431).contains(&only_response(&raw(&stage.base, long.as_bytes()).await).0));
    assert_eq!(stage.stored().1, before.1);
}

#[tokio::test]
async fn only_the_media_types_that_are_meant_are_read() {
    // T-59, OA-90, OA-141
    let stage = Stage::new(json!({})).await;
    let metadata = json!({"redirect_uris": [CALLBACK]});
    let before = stage.stored();
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, identity"] {
        let register = registration(&stage.base, &metadata).header(header::CONTENT_ENCODING, coding);
        let token = post_form(&format!("{}/oauth/token", stage.base), &[("client_id", "x")]);
        for request in [register, token.header(header::CONTENT_ENCODING, coding)] {
            assert_refused(&Answer::to(request).await, 415, "invalid_request");
        }
    }
    for kind in ["text/plain", FORM, "application/jsonp", ""] {
        let request = super::browser::browser().post(format!("{}/oauth/register", stage.base));
        let request = request.header(header::CONTENT_TYPE, kind).body(metadata.to_string());
        assert_refused(&Answer::to(request).await, 415, "invalid_request");
    }
    for kind in ["text/plain", "multipart/form-data; boundary=x"] {
        let request = super::browser::browser().post(format!("{}/oauth/token", stage.base));
        let answer = Answer::to(request.header(header::CONTENT_TYPE, kind).body("client_id=x")).await;
        assert_refused(&answer, 415, "invalid_request");
    }
    assert_eq!(stage.stored(), before);
    let app = App::register(&stage.base).await;
    let tokens = app.log_in("ann").await;
    let body = json!({"grant_type": "refresh_token", "refresh_token": tokens.refresh, "client_id": app.id});
    let request = super::browser::browser().post(format!("{}/oauth/token", stage.base));
    let request =
        request.header(header::CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string());
    Answer::to(request).await.tokens();
}

#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    // T-54, OA-117
    let stage = Stage::new(json!({})).await;
    let app = App::register(&stage.base).await;
    let tokens = app.log_in("ann").await;
    let before = stage.stored();
    let names = [
        "client_id",
        "redirect_uri",
        "response_type",
        "state",
        "code_challenge",
        "code_challenge_method",
        "scope",
    ];
    for name in names {
        let visit = app.visit().with("scope", "mcp");
        let value = super::browser::query(&format!("?{}", visit.query()))[name].clone();
        for again in [value.as_str(), "other"] {
            let page = visit.clone().and(name, again).open().await;
            assert_eq!(page.status, 400, "{name}: {page:?}");
            assert!(!page.body.contains("form_token"), "{name}");
        }
    }
    let grant = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    for twice in [grant[0], grant[1], ("client_id", "other"), ("client_id", app.id.as_str()), ("code", "")] {
        let fields = if twice.0 == "code" {
            [&grant[..], &[twice, twice]].concat()
        } else {
            [&grant[..], &[twice]].concat()
        };
        assert_refused(&Answer::to(app.ask(&fields)).await, 400, "invalid_request");
    }
    // In the body and in the URL.
    let fields = [grant[0], grant[1], ("client_id", app.id.as_str())];
    for query in [encode(fields.iter().copied()), format!("client_id={}", app.id)] {
        let request = post_form(&format!("{}/oauth/token?{query}", stage.base), &fields);
        assert_refused(&Answer::to(request).await, 400, "invalid_request");
    }
    assert_eq!(stage.stored(), before);
    app.refresh(&tokens.refresh).await.tokens();
}

#[tokio::test]
async fn no_path_leads_from_one_server_to_another() {
    // T-11
    let stage = Stage::new(json!({})).await;
    let token = App::register(&stage.base).await.log_in_to("ann", "a").await.access;
    let body = super::client::initialize().to_string();
    let status_of = |path: &str| {
        let more = format!(
            "Authorization: Bearer {token}\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\n"
        );
        let (request, base) = (post(path, "application/json", &more, &body), stage.base.clone());
        async move { only_response(&raw(&base, request.as_bytes()).await).0 }
    };
    assert_eq!(status_of("/a/mcp").await, 200);
    let tricks = [
        "/a/../b/mcp",
        "/a/mcp/../../b/mcp",
        "/a/%2e%2e/b/mcp",
        "/a/..%2fb/mcp",
        "/a%2f..%2fb/mcp",
        "/a/.%2e/b/mcp",
        "//b/mcp",
        "/./b/mcp",
        "/b//mcp",
        "/b/./mcp",
        "/B/mcp",
        "/%62/mcp",
        "/b/mcp?x=/a/mcp",
        "/b/mcp;x=/a/mcp",
        "/b%00/mcp",
        "/a/mcp/b/mcp",
        "/b/mcp/",
        "/b/mcp#/a/mcp",
        "/a\\..\\b/mcp",
        "/b",
        "/b/",
        "/b/sse",
        "/b/mcp%20",
        "/a/mcp%2f..%2f..%2fb",
    ];
    for trick in tricks {
        let status = status_of(trick).await;
        assert!(matches!(status, 400 | 401 | 404 | 405), "{trick}: {status}");
    }
}

#[tokio::test]
async fn a_claimed_address_never_widens_what_is_allowed() {
    // T-27, OA-05, OA-80, OA-81, OA-82, OA-83, OA-84
    let stage = Stage::new(json!({"allowedIPs": ["160.79.104.0/21", "2607:6bc0::/48"]})).await;
    let before = stage.stored();
    let metadata = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
    let ask = |headers: &[(&str, &str)]| {
        let request = registration(&stage.base, &metadata);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::to(request)
    };
    let (good, bad) = ("160.79.104.10", "203.0.113.5");
    let refused: [&[(&str, &str)]; 19] = [
        &[],
        &[("x-forwarded-for", bad)],
        &[("x-forwarded-for", "160.79.104.10, 203.0.113.5")],
        &[("x-forwarded-for", good), ("x-forwarded-for", bad)],
        &[("x-forwarded-for", good), ("x-real-ip", bad)],
        &[("x-forwarded-for", good), ("x-cluster-client-ip", bad)],
        &[("x-forwarded-for", good), ("forwarded", "for=203.0.113.5")],
        &[("x-real-ip", good), ("x-real-ip", bad)],
        // FT-601: whoever is not Cloudflare passes these on as the client wrote them.
        &[("cf-connecting-ip", good)],
        &[("true-client-ip", good)],
        &[("x-real-ip", "160.79.104.10, 203.0.113.5")],
        &[("forwarded", "for=160.79.104.10, for=unknown")],
        &[("forwarded", "for=160.79.104.10;for=203.0.113.5")],
        &[("forwarded", "for=\"160.79.104.10")],
        &[("x-forwarded-for", "unknown")],
        &[("x-forwarded-for", "160.79.104.10x")],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("x-client-ip", good)],
        &[("x-real-ip", "::ffff:203.0.113.5")],
    ];
    for headers in refused {
        assert_refused(&ask(headers).await, 403, "access_denied");
    }
    assert_eq!(stage.stored(), before);
    let allowed: [&[(&str, &str)]; 11] = [
        &[("x-real-ip", good)],
        &[("x-forwarded-for", good)],
        &[("x-cluster-client-ip", good)],
        &[("x-forwarded", "for=160.79.104.10")],
        &[("forwarded", "for=160.79.104.10")],
        &[("forwarded", "For=\"160.79.104.10:4711\"; proto=https")],
        &[("forwarded", "for=\"[2607:6bc0::1]:443\"")],
        // What the client wrote itself stands on the left.
        &[("x-forwarded-for", "203.0.113.5, 160.79.104.10")],
        &[("x-forwarded-for", "160.79.104.10, 10.0.0.7, 127.0.0.1")],
        &[("x-real-ip", "::ffff:160.79.104.10")],
        &[("x-real-ip", good), ("cf-connecting-ip", bad)],
    ];
    for headers in allowed {
        assert_eq!(ask(headers).await.status, 201, "{headers:?}");
    }
}

#[tokio::test]
async fn a_named_field_alone_tells_the_address() {
    // FT-601, OA-81
    let (good, bad) = ("160.79.104.10", "203.0.113.5");
    for name in ["CF-Connecting-IP", "True-Client-IP"] {
        let more = json!({"allowedIPs": ["160.79.104.0/21"], "clientIPHeader": name});
        let stage = Stage::before(json!({"a": stdio()}), more).await;
        for (headers, status) in [
            (&[(name, good)][..], 201),
            (&[(name, good), ("x-real-ip", bad)], 201),
            (&[(name, bad)], 403),
            (&[(name, good), (name, bad)], 403),
            (&[(name, bad), ("x-real-ip", good)], 403),
            (&[("x-real-ip", good)], 403),
        ] {
            let request = registration(&stage.base, &json!({"redirect_uris": [CALLBACK]}));
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            assert_eq!(Answer::to(request).await.status, status, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_speaks_for_nobody() {
    // T-27, OA-82
    let more = json!({"allowedIPs": ["160.79.104.0/21"], "trustedProxies": ["none"]});
    let stage = Stage::before(json!({"a": stdio()}), more).await;
    let before = stage.stored();
    let metadata = json!({"redirect_uris": [CALLBACK]});
    for name in [
        "cf-connecting-ip",
        "true-client-ip",
        "x-real-ip",
        "x-forwarded-for",
        "x-cluster-client-ip",
        "x-forwarded",
        "forwarded",
    ] {
        let value = if name.ends_with("forwarded") { "for=160.79.104.10" } else { "160.79.104.10" };
        let answer = Answer::to(registration(&stage.base, &metadata).header(name, value)).await;
        assert_refused(&answer, 403, "access_denied");
    }
    assert_eq!(stage.stored(), before);
    // The other way round: whoever is allowed stays so, whatever is claimed.
    let stage = Stage::before(
        json!({"a": stdio()}),
        json!({"allowedIPs": ["127.0.0.0/8"], "trustedProxies": ["none"]}),
    )
    .await;
    let answer = Answer::to(registration(&stage.base, &metadata).header("x-real-ip", "203.0.113.5")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_credential_is_expected_once_and_in_its_place() {
    // T-32, OA-50, OA-51, OA-52, OA-54, OA-55
    let stage = Stage::new(json!({})).await;
    let token = App::register(&stage.base).await.log_in("ann").await.access;
    let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/a/mcp\"", stage.base);
    let http = super::client::http();
    let url = format!("{}/a/mcp", stage.base);
    for method in ["GET", "POST", "DELETE", "HEAD"] {
        let answer = Answer::to(http.request(method.parse().unwrap(), &url)).await;
        let challenge = answer.header(header::WWW_AUTHENTICATE).unwrap();
        assert_eq!(answer.status, 401, "{method}");
        assert!(challenge.contains(&metadata) && challenge.contains("scope=\"mcp\""), "{challenge}");
        assert!(!challenge.contains("error"), "{challenge}");
    }
    let message = super::client::initialize();
    for query in
        [format!("access_token={token}"), format!("token={token}"), format!("authorization=Bearer%20{token}")]
    {
        let answer = Answer::to(super::client::post(&format!("{url}?{query}"), &message)).await;
        assert_refused(&answer, 401, "unauthorized");
    }
    let body = post_form(&url, &[("access_token", &token)]);
    assert_eq!(Answer::to(body).await.status, 401);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request =
            super::client::post(&url, &message).header(header::AUTHORIZATION, format!("{scheme} {token}"));
        assert_eq!(Answer::to(request).await.status, 200, "{scheme}");
    }
    for (credentials, status) in [
        (vec![format!("Bearer {token}"), format!("Bearer {token}")], 400),
        (vec![format!("Bearer {token} {token}")], 400),
        (vec![format!("Bearer {token}, Bearer {token}")], 400),
        (vec!["Bearer".to_owned()], 400),
        (vec![format!("Basic {token}")], 401),
        (vec![token.clone()], 401),
        (vec!["Bearer x".to_owned()], 401),
    ] {
        let request = super::client::post(&url, &message);
        let request =
            credentials.iter().fold(request, |request, value| request.header(header::AUTHORIZATION, value));
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{credentials:?}: {answer:?}");
        let challenge = answer.header(header::WWW_AUTHENTICATE).unwrap_or_default();
        assert_eq!(challenge.contains("error=\"invalid_token\""), status == 401, "{answer:?}");
    }
    let log = stage.proxy.log_to_the_end().await;
    assert!(!log.contains(&token), "{log}");
}
