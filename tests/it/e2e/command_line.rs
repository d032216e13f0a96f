//! Flags, exit codes, and where configurations come from.

use super::browser::guarded;
use super::client::Client;
use super::proxy::{Proxy, Scratch, config, run, run_with};
use super::upstream::{serve, stdio};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use mcp_proxy_core::oauth::page::PageKind;
use serde_json::json;
use std::net::TcpListener;

#[tokio::test]
async fn the_version_is_one_line_on_stdout() {
    for flag in ["-version", "--version", "-version=true"] {
        let run = run(&[flag]).await;
        assert_eq!(run.code, Some(0));
        assert!(run.stdout.starts_with("mcp-proxy "), "{}", run.stdout);
        assert_eq!(run.stdout.lines().count(), 1);
        assert_eq!(run.stderr, "");
    }
}

#[tokio::test]
async fn help_names_the_flags_on_stdout() {
    for flag in ["-help", "--help", "-h"] {
        let run = run(&[flag]).await;
        assert_eq!(run.code, Some(0));
        for known in ["-config", "-check", "-demo", "-http-headers", "client-config"] {
            assert!(run.stdout.contains(known), "no {known} in {}", run.stdout);
        }
        assert_eq!(run.stderr, "");
    }
}

#[tokio::test]
async fn an_unknown_flag_is_misuse() {
    let run = run(&["-confg", "x.json"]).await;
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("-confg") && run.stderr.contains("-config"), "{}", run.stderr);
}

#[tokio::test]
async fn a_missing_configuration_is_a_failure() {
    // SEED-016
    let run = run(&["-config", "/no/such/file.json"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("/no/such/file.json"), "{}", run.stderr);
    // FT-402
    for next in ["--demo", "mcp-proxy -- npx", "mcpServers", "README"] {
        assert!(run.stderr.contains(next), "no {next} in {}", run.stderr);
    }
    assert!(run.stderr.lines().count() < 12, "{}", run.stderr);
}

#[tokio::test]
async fn the_file_of_a_client_is_taken_as_it_is() {
    // FT-402
    let text =
        r#"{"mcpServers": {"some": {"command": "/no/such/program", "type": "stdio", "autoApprove": []}}}"#;
    let run = run_with(text, &["--check", "--strict"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for words in ["http://127.0.0.1:9090/mcp", "this machine alone", "1 server"] {
        assert!(run.stderr.contains(words), "no {words} in {}", run.stderr);
    }
    assert!(run.stdout.contains("listens on 127.0.0.1:9090 (both)"), "{}", run.stdout);
}

#[tokio::test]
async fn one_server_is_served_without_a_file() {
    // FT-402
    let run = run(&["--check", "--", "npx", "-y", "@x/some-server@1", "--key", "$HOME"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("serving some-server"), "{}", run.stderr);
    for words in ["http://localhost:9090/mcp", "http://localhost:9090/some-server/sse", "with 4 arguments"] {
        assert!(run.stdout.contains(words), "no {words} in {}", run.stdout);
    }
}

#[tokio::test]
async fn check_shows_servers_and_routes_but_no_secret() {
    let config = json!({
        "mcpProxy": {"addr": "127.0.0.1:0", "baseURL": "https://mcp.example.com/x", "type": "both"},
        "mcpServers": {
            "one": {
                "command": "/no/such/program",
                "args": ["--key", "s3cret-argument"],
                "env": {"KEY": "s3cret-env"},
                "options": {"authTokens": ["s3cret-token"]},
            },
            "two": {"url": "http://127.0.0.1:1/sse", "headers": {"X-Key": "s3cret-header"}},
        },
    });
    let run = run_with(&config.to_string(), &["--check"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let shown = [
        "/no/such/program",
        "1 token",
        "https://mcp.example.com/x/one/mcp",
        "https://mcp.example.com/x/one/sse",
        "https://mcp.example.com/x/two/mcp",
        "http://127.0.0.1:1/sse",
    ];
    for words in shown {
        assert!(run.stdout.contains(words), "no {words} in {}", run.stdout);
    }
    assert!(!run.stdout.contains("s3cret") && !run.stderr.contains("s3cret"), "{}{}", run.stdout, run.stderr);
}

#[tokio::test]
async fn check_reports_every_problem_with_its_place() {
    let text = "{\n  \"mcpProxy\": {\"addr\": \"nonsense\"},\n  \"mcpServers\": {\n    \"a\": {},\n    \"b\": {\"url\": \"ftp://x\"}\n  }\n}\n";
    let run = run_with(text, &["--check"]).await;
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stdout, "");
    for place in ["config.json:2:", "config.json:4:", "config.json:5:"] {
        assert!(run.stderr.contains(place), "no {place} in {}", run.stderr);
    }
}

#[tokio::test]
async fn an_unknown_key_warns_unless_strict() {
    let text = r#"{"mcpProxy": {"nmae": "x"}, "mcpServers": {}}"#;
    let lenient = run_with(text, &["--check"]).await;
    assert_eq!(lenient.code, Some(0));
    assert!(lenient.stderr.contains("nmae"), "{}", lenient.stderr);
    assert_eq!(run_with(text, &["--check", "--strict"]).await.code, Some(1));
}

#[tokio::test]
async fn a_typing_error_in_a_key_that_restricts_access_is_a_failure() {
    // FT-401
    let text = r#"{"mcpProxy": {"addr": "127.0.0.1:0", "options": {"authToken": ["t"]}}, "mcpServers": {}}"#;
    for flags in [&[][..], &["--check"]] {
        let run = run_with(text, flags).await;
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains("did you mean `authTokens`?"), "{}", run.stderr);
    }
}

#[tokio::test]
async fn check_warns_about_a_listener_that_is_open_to_everybody() {
    // FT-401
    let text = |more: &str| {
        format!(r#"{{"mcpProxy": {{"addr": "0.0.0.0:0"{more}}}, "mcpServers": {{"a": {{"command": "x"}}}}}}"#)
    };
    let open = run_with(&text(""), &["--check", "--strict"]).await;
    assert_eq!(open.code, Some(0));
    assert!(open.stderr.contains("WARN OPEN TO THE NETWORK"), "{}", open.stderr);
    let closed = run_with(&text(r#", "options": {"authTokens": ["t"]}"#), &["--check"]).await;
    assert_eq!((closed.code, closed.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn check_says_whose_word_counts_about_addresses() {
    // FT-602
    for (option, part) in [
        (r#""enabled": true"#, "A reverse proxy that adds none leaves it to clients"),
        (
            r#""enabled": true, "clientIPHeader": "X-Forwarded-For""#,
            "from x-forwarded-for, which the reverse proxy must",
        ),
        (r#""enabled": true, "trustedProxies": ["none"]"#, "those of their connections"),
    ] {
        let text = format!(
            r#"{{"mcpProxy": {{"addr": "127.0.0.1:0", "type": "streamable-http", "baseURL": "https://a.example",
                "options": {{"oauth2": {{"users": {{"ann": "x"}}, {option}}}}}}}, "mcpServers": {{"a": {{"command": "x"}}}}}}"#
        );
        let run = run_with(&text, &["--check"]).await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains(part), "{}", run.stdout);
    }
}

#[tokio::test]
async fn check_tells_what_servers_offer_when_asked() {
    // FT-407
    let mut config = config(json!({"everything": stdio()}));
    let run = run_with(&config.to_string(), &["--check", "--tools"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stdout.contains("\neverything: ") && run.stdout.contains("\n  tool echo\n"),
        "{}",
        run.stdout
    );
    config["mcpServers"]["bad"] = json!({"command": "/no/such/program"});
    let run = run_with(&config.to_string(), &["--check", "--tools"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("bad: not ready") && run.stdout.contains("tool echo"), "{}", run.stdout);
    assert!(run.stderr.contains("/no/such/program"), "{}", run.stderr);
}

#[tokio::test]
async fn a_taken_port_is_a_failure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(json!({"everything": stdio()}));
    config["mcpProxy"]["addr"] = json!(taken.local_addr().unwrap().to_string());
    let run = run_with(&config.to_string(), &[]).await;
    assert_eq!(run.code, Some(1), "{}", run.stderr); // SEED-069
    // FT-406
    let reason = format!("Failed to listen on {}: Address already in use", taken.local_addr().unwrap());
    assert!(run.stderr.contains(&reason), "{}", run.stderr);
    assert!(!run.stderr.contains("Connecting"), "{}", run.stderr);
}

#[tokio::test]
async fn the_first_format_works() {
    let config = json!({
        "server": {"addr": "127.0.0.1:0", "name": "old", "version": "1", "globalAuthTokens": ["all"]},
        "clients": {
            "everything": {"type": "stdio", "config": stdio(), "authTokens": ["own"]},
            "broken": {"type": "stdio"},
        },
    });
    let proxy = Proxy::start(config, &[]).await; // SEED-050 to SEED-056
    proxy.logged("servers are ready").await;
    for token in ["own", "all"] {
        let client = Client::connect(&proxy.url("/everything/sse"), Some(token)).await;
        assert_eq!(client.text("echo", json!({"text": token})).await, token);
    }
}

#[tokio::test]
async fn a_configuration_is_fetched_with_the_given_headers() {
    let config =
        json!({"mcpProxy": {"addr": "127.0.0.1:0"}, "mcpServers": {"far": {"command": "x"}}}).to_string();
    let answer = async move |headers: HeaderMap| match headers.get("x-key").map(|key| key.as_bytes()) {
        Some(b"a key") if headers.get("x-more").is_some() => (StatusCode::OK, config.clone()),
        _ => (StatusCode::FORBIDDEN, String::new()),
    };
    let (url, task) = serve(Router::new().route("/config.json", get(answer))).await;
    let url = format!("{url}/config.json");
    let fetched = run(&["-config", &url, "-http-headers", "X-Key: a key; X-More: 1", "-check"]).await;
    assert_eq!(fetched.code, Some(0), "{}", fetched.stderr);
    assert!(fetched.stdout.contains("far"), "{}", fetched.stdout);
    let refused = run(&["-config", &url, "-check"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("403"), "{}", refused.stderr);
    task.abort();
}

#[tokio::test]
async fn the_environment_is_expanded_in_the_configuration() {
    let text = r#"{"mcpProxy": {}, "mcpServers": {"a": {"command": "${E2E_WORDS}"}}}"#;
    let run = run_with(text, &["--check"]).await; // SEED-013
    assert!(run.stdout.contains("starts from the environment"), "{}{}", run.stdout, run.stderr);
    let plain = run_with(text, &["--check", "-expand-env=false"]).await;
    assert!(plain.stdout.contains("starts ${E2E_WORDS}"), "{}{}", plain.stdout, plain.stderr);
}

#[tokio::test]
async fn a_configuration_is_a_path_or_a_web_address() {
    for address in ["ftp://example.com/config.json", "s3://bucket/config.json"] {
        let run = run(&["-config", address]).await; // SEED-011
        assert_eq!(run.code, Some(1), "{address}");
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("unsupported config path"), "{}", run.stderr);
    }
}

#[tokio::test]
async fn a_page_template_that_was_cut_off_is_told_by_check_and_at_the_start() {
    // FT-511
    let home = Scratch::empty();
    let oauth = home.path().join("pages").join("oauth");
    std::fs::create_dir_all(&oauth).unwrap();
    let config = guarded(
        home.path(),
        json!({"everything": stdio()}),
        &json!({"templateDir": home.path().join("pages")}),
    );
    let text = config.to_string();
    assert_eq!(run_with(&text, &["--check"]).await.code, Some(0), "no template is no fault");
    for (name, whole) in [
        ("authorize.html", PageKind::Authorize.source()),
        ("success.html", PageKind::Success.source()),
        ("error.html", PageKind::Error.source()),
    ] {
        let path = oauth.join(name);
        std::fs::write(&path, whole).unwrap();
        let good = run_with(&text, &["--check"]).await;
        assert_eq!(good.code, Some(0), "{}", good.stderr);
        let cut = whole.find("</body>").unwrap();
        for part in ["", &whole[..cut / 2], &whole[..cut], whole.trim_end().strip_suffix("</html>").unwrap()]
        {
            std::fs::write(&path, part).unwrap();
            let check = run_with(&text, &["--check"]).await;
            assert_eq!(check.code, Some(1), "{name} {}: {}", part.len(), check.stderr);
            for words in [name, "cannot be used", "line "] {
                assert!(check.stderr.contains(words), "no {words} in {}", check.stderr);
            }
        }
        let proxy = Proxy::start(config.clone(), &[]).await;
        proxy.logged("The built-in page is shown until it is mended").await;
        std::fs::remove_file(&path).unwrap();
    }
    std::fs::create_dir(oauth.join("error.html")).unwrap();
    let check = run_with(&text, &["--check"]).await;
    assert!(check.code == Some(1) && check.stderr.contains("it is not a file"), "{}", check.stderr);
}
