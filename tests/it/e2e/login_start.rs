//! With which configurations there is an authorization server, what it says at the start, and who it says it is.

use super::browser::{Answer, App, CALLBACK, guarded, knock, password, raw, registration};
use super::client::{http, initialize, post};
use super::login::assert_refused;
use super::proxy::{Proxy, Scratch, run_with};
use super::upstream::stdio;
use axum::http::header;
use serde_json::{Value, json};

const ENDPOINTS: [&str; 9] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/a/mcp",
    "/oauth/register",
    "/oauth/authorize",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/jwks",
];

async fn assert_no_server(proxy: &Proxy) {
    for path in ENDPOINTS {
        for request in [http().get(proxy.url(path)), http().post(proxy.url(path)).body("{}")] {
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
            assert_eq!(answer.json(), json!({"error": "not_found"}), "{path}");
        }
    }
}

#[tokio::test]
async fn without_being_switched_on_there_is_none() {
    // OA-01, OA-66
    let mut a = stdio();
    a["options"] = json!({"authTokens": ["a token"]});
    let home = Scratch::empty();
    for enabled in [Value::Null, json!(false)] {
        let mut config = guarded(home.path(), json!({ "a": a }), &json!({}));
        config["mcpProxy"]["options"]["oauth2"]["enabled"] = enabled.clone();
        if enabled.is_null() {
            config["mcpProxy"]["options"] = json!({});
        }
        let proxy = Proxy::start(config, &[]).await;
        proxy.logged("servers are ready").await;
        assert_no_server(&proxy).await;
        let refused = Answer::to(post(&proxy.url("/a/mcp"), &initialize())).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.header(header::WWW_AUTHENTICATE).unwrap();
        assert!(challenge.starts_with("Bearer") && !challenge.contains("resource_metadata"), "{challenge}");
        assert_eq!(knock(&proxy.url(""), "/a/mcp", "a token").await.status, 200);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn over_http_with_sse_it_does_not_protect_and_says_so() {
    // T-51, OA-02
    let home = Scratch::empty();
    let mut closed = stdio();
    closed["options"] = json!({"authTokens": ["a token"]});
    let mut config = guarded(home.path(), json!({"open": stdio(), "closed": closed}), &json!({}));
    config["mcpProxy"]["type"] = json!("sse");
    let proxy = Proxy::start(config, &[]).await;
    let warning = proxy.logged("oauth2 is ignored").await;
    assert!(warning.contains("`open`") && !warning.contains("`closed`"), "{warning}");
    assert_no_server(&proxy).await;
}

#[tokio::test]
async fn what_would_not_protect_is_not_started() {
    // T-50, OA-03, OA-06, OA-07
    let home = Scratch::empty();
    let with = |base: &str, more: Value| {
        let mut config = guarded(home.path(), json!({}), &more);
        if !base.is_empty() {
            config["mcpProxy"]["baseURL"] = json!(base);
        }
        config.to_string()
    };
    let cases = [
        (with("", json!({"users": {}})), "usersFile"),
        (with("", json!({"users": {"ann": ""}})), "password"),
        (with("", json!({"users": {"ann": "$argon2id$v=19$broken"}})), "users"),
        (with("", json!({"allowedIPs": ["160.79.104.0/33"]})), "160.79.104.0/33"),
        (with("", json!({"allowedIPs": ["claude.ai"]})), "claude.ai"),
        (with("", json!({"allowedRedirectURIs": ["javascript:alert(1)"]})), "allowedRedirectURIs[0]"),
        (with("", json!({"usersFile": home.path().join("missing")})), "usersFile"),
        (with("http://mcp.example.com", json!({})), "https"),
        (with("http://192.0.2.1:8080/x", json!({})), "https"),
        (with("https://mcp.example.com/?x=y", json!({})), "baseURL"),
        (with("https://mcp.example.com/#x", json!({})), "baseURL"),
        (with("mcp.example.com", json!({})), "baseURL"),
    ];
    for (config, reason) in cases {
        let run = run_with(&config, &[]).await;
        assert_eq!(run.code, Some(1), "{config}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
    }
}

#[tokio::test]
async fn the_start_says_what_protects_each_server() {
    // T-51, OA-11, OA-12, OA-14
    let home = Scratch::empty();
    let server = |options: Value| {
        let mut server = stdio();
        server["options"] = options;
        server
    };
    let servers = json!({
        "login": stdio(),
        "both": server(json!({"authTokens": ["t"]})),
        "tokens": server(json!({"authTokens": ["t"], "oauth2": {"enabled": false}})),
        "bare": server(json!({"oauth2": {"enabled": false}})),
    });
    let proxy = Proxy::start(guarded(home.path(), servers, &json!({"pageColour": "red"})), &[]).await;
    proxy.logged("servers are ready").await;
    let base = proxy.url("");
    for (server, bare, token) in
        [("login", 401, 401), ("both", 401, 200), ("tokens", 401, 200), ("bare", 200, 200)]
    {
        let path = format!("/{server}/mcp");
        assert_eq!(Answer::to(post(&format!("{base}{path}"), &initialize())).await.status, bare, "{server}");
        assert_eq!(knock(&base, &path, "t").await.status, token, "{server}");
        let metadata =
            Answer::to(http().get(format!("{base}/.well-known/oauth-protected-resource{path}"))).await;
        let status = if matches!(server, "login" | "both") { 200 } else { 404 };
        assert_eq!(metadata.status, status, "{server}: {metadata:?}");
    }
    let log = proxy.log_to_the_end().await;
    let says =
        |server: &str, text: &str| log.lines().any(|line| line.contains(server) && line.contains(text));
    assert!(says("login", "protected by login") && says("both", "protected by login or token"), "{log}");
    assert!(says("tokens", "protected by token") && says("bare", "open to everybody"), "{log}");
    assert!(says("pageColour", "unknown key"), "{log}");
}

#[tokio::test]
async fn who_it_is_does_not_depend_on_who_asks() {
    // T-49, OA-08, OA-10
    let home = Scratch::empty();
    let mut config = guarded(home.path(), json!({"a": stdio()}), &json!({}));
    config["mcpProxy"]["baseURL"] = json!("https://mcp.example.com/deep/");
    let proxy = Proxy::start(config, &[]).await;
    let asked = |path: &str, host: &str| {
        let lies = "X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: http\r\nForwarded: host=evil.test\r\nX-Original-URL: //evil.test/\r\n";
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{lies}Connection: close\r\n\r\n");
        let base = proxy.url("");
        async move { raw(&base, request.as_bytes()).await }
    };
    let metadata = "/.well-known/oauth-authorization-server/deep";
    for host in ["mcp.example.com", "localhost", "127.0.0.1:1"] {
        let answer = asked(metadata, host).await;
        let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["issuer"], "https://mcp.example.com/deep", "{answer}");
        assert_eq!(body["token_endpoint"], "https://mcp.example.com/deep/oauth/token", "{answer}");
        let refused = asked("/deep/a/mcp", host).await;
        let resource =
            "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/deep/a/mcp\"";
        assert!(refused.contains(resource), "{refused}");
        assert!(!answer.contains("evil") && !refused.contains("evil"), "{answer}{refused}");
    }
    let odd = [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "localhost@evil.test",
        "localhost:80@evil.test",
        "[::1].evil.test",
        "localhost/evil.test",
        "",
    ];
    for host in odd {
        for path in [metadata, "/deep/oauth/authorize", "/deep/a/mcp"] {
            let answer = asked(path, host).await;
            assert!(
                !answer.contains("evil.test/") && !answer.contains("\"issuer\":\"https://evil"),
                "{host}: {answer}"
            );
        }
    }
    // Without a public URL it is whoever of this machine was asked.
    let home = Scratch::empty();
    let proxy = Proxy::start(guarded(home.path(), json!({"a": stdio()}), &json!({})), &[]).await;
    for host in ["localhost:99", "127.0.0.1", "[::1]:99"] {
        let request = format!(
            "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&proxy.url(""), request.as_bytes()).await;
        assert!(answer.contains(&format!("\"issuer\":\"http://{host}\"")), "{answer}");
    }
    for host in odd {
        for path in ENDPOINTS {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: localhost\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(&proxy.url(""), request.as_bytes()).await;
            let status = answer.split(' ').nth(1).unwrap();
            assert!(["400", "403", "405"].contains(&status), "{host} {path}: {answer}");
            assert!(!answer.contains("issuer"), "{answer}");
        }
    }
}

#[tokio::test]
async fn behind_https_the_browser_is_held_to_it() {
    // T-19, T-50, OA-129
    let home = Scratch::empty();
    let mut config = guarded(home.path(), json!({"a": stdio()}), &json!({}));
    config["mcpProxy"]["baseURL"] = json!("https://mcp.example.com");
    let proxy = Proxy::start(config, &[]).await;
    let app = App::register(&proxy.url("")).await;
    let visit = app.visit();
    let form = visit.form().await;
    let error = visit.clone().with("client_id", "nobody").open().await;
    for page in
        [visit.open().await, form.sign_in("ann").await, Answer::to(form.post("ann", "x")).await, error]
    {
        let expected = [
            ("strict-transport-security", "max-age="),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
        ];
        for (name, value) in expected {
            assert!(page.header(name).is_some_and(|found| found.contains(value)), "{name}: {page:?}");
        }
        assert_eq!((page.header("access-control-allow-origin"), page.header("set-cookie")), (None, None));
    }
}

#[tokio::test]
async fn a_user_whom_a_server_does_not_admit_gets_no_further() {
    // T-37, OA-59
    let home = Scratch::empty();
    let mut a = stdio();
    a["options"] = json!({"userFilter": {"mode": "allow", "list": ["ann"]}});
    let start = async |a: Value| {
        let proxy = Proxy::start(guarded(home.path(), json!({"a": a, "b": stdio()}), &json!({})), &[]).await;
        proxy.logged("servers are ready").await;
        proxy
    };
    let proxy = start(stdio()).await;
    let mut app = App::register(&proxy.url("")).await;
    let before = app.log_in("bob").await;
    assert_eq!(knock(&app.base, "/a/mcp", &before.access).await.status, 200);
    proxy.log_to_the_end().await;
    let proxy = start(a).await;
    app.base = proxy.url("");
    let page = app.visit().with("resource", &format!("{}/a/mcp", app.base)).sign_in("bob").await;
    assert_eq!((page.status, page.way_back()), (403, None), "{page:?}");
    let all = app.log_in("bob").await;
    for token in [before.access, all.access] {
        let refused = knock(&app.base, "/a/mcp", &token).await;
        assert_refused(&refused, 403, "access_denied");
        assert_eq!(refused.header(header::WWW_AUTHENTICATE), None);
        assert_eq!(knock(&app.base, "/b/mcp", &token).await.status, 200);
    }
    let ann = app.log_in("ann").await;
    assert_eq!(knock(&app.base, "/a/mcp", &ann.access).await.status, 200);
}

#[tokio::test]
async fn lifetimes_and_registrations_are_as_configured() {
    // OA-04, OA-22, OA-70, OA-73
    let home = Scratch::empty();
    for (minutes, seconds) in [(json!(5), 300), (json!(0), 3600), (json!(-1), 3600)] {
        let proxy = Proxy::start(
            guarded(home.path(), json!({"a": stdio()}), &json!({"tokenExpirationMinutes": minutes})),
            &[],
        )
        .await;
        let metadata = json!({"redirect_uris": [CALLBACK], "client_name": "x", "scope": "claudeai mcp", "jwks": null, "contacts": ["a@b.c"]});
        let answer = Answer::to(registration(&proxy.url(""), &metadata)).await;
        let body = answer.json();
        assert_eq!((answer.status, answer.header(header::CACHE_CONTROL)), (201, Some("no-store")));
        assert_eq!(body["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert_eq!(
            (&body["response_types"], &body["token_endpoint_auth_method"]),
            (&json!(["code"]), &json!("none"))
        );
        assert!(body["client_id_issued_at"].is_u64() && body.get("client_secret").is_none(), "{body}");
        assert!(!answer.body.contains("null"), "{body}");
        let app = App::registered(&proxy.url(""), &answer);
        let visit = app.visit();
        let code = visit.form().await.sign_in("ann").await.code();
        let body = app.redeem(&visit, &code).await.json();
        assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(seconds), &json!("Bearer")), "{body}");
        proxy.log_to_the_end().await;
    }
    let proxy = Proxy::start(guarded(home.path(), json!({}), &json!({"registration": false})), &[]).await;
    let refused = Answer::to(registration(&proxy.url(""), &json!({"redirect_uris": [CALLBACK]}))).await;
    assert_eq!(refused.status, 404);
    let metadata = Answer::to(http().get(proxy.url("/.well-known/oauth-authorization-server"))).await.json();
    assert!(metadata.get("registration_endpoint").is_none(), "{metadata}");
}

#[tokio::test]
async fn a_password_hash_may_hold_dollars() {
    // OA-13, OA-133
    let home = Scratch::empty();
    // bcrypt of "U*U", from the test vectors of crypt_blowfish.
    let users = json!({"ann": "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"});
    let proxy =
        Proxy::start(guarded(home.path(), json!({"a": stdio()}), &json!({ "users": users })), &[]).await;
    let app = App::register(&proxy.url("")).await;
    let form = app.visit().form().await;
    assert_eq!(Answer::to(form.post("ann", password("ann"))).await.way_back(), None);
    assert!(Answer::to(form.post("ann", "U*U")).await.way_back().is_some());
}
