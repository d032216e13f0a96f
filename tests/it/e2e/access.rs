//! Who may in, to what, and what is answered elsewhere.

use super::client::{Client, Down, http, initialize, post, send};
use super::everything::TOOLS;
use super::proxy::{Proxy, config};
use super::upstream::stdio;
use axum::http::{StatusCode, header};
use rmcp::service::ServiceError;
use serde_json::{Value, json};

/// The stdio server with `options`.
fn server_with(options: Value) -> Value {
    let mut server = stdio();
    server["options"] = options;
    json!({ "everything": server })
}

#[tokio::test]
async fn no_token_and_a_wrong_one_are_refused_with_a_challenge() {
    let proxy = Proxy::in_front_of(server_with(json!({"authTokens": ["s3cret"]}))).await; // SEED-029
    for wrong in [None, Some("Bearer other"), Some("other"), Some("Bearer "), Some("Basic s3cret")] {
        let authorized = |request: reqwest::RequestBuilder| match wrong {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        };
        let mcp = send(authorized(post(&proxy.url("/everything/mcp"), &initialize()))).await;
        let sse = send(authorized(http().get(proxy.url("/everything/sse")))).await;
        for response in [mcp, sse] {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{wrong:?}");
            let challenge = response.headers().get(header::WWW_AUTHENTICATE).unwrap();
            assert!(challenge.to_str().unwrap().starts_with("Bearer"), "{challenge:?}");
        }
    }
}

#[tokio::test]
async fn the_right_token_opens_in_both_spellings() {
    let proxy = Proxy::in_front_of(server_with(json!({"authTokens": ["s3cret", "Bearer 0ther"]}))).await;
    for right in ["Bearer s3cret", "s3cret", "Bearer 0ther", "0ther"] {
        let request = post(&proxy.url("/everything/mcp"), &initialize()).header(header::AUTHORIZATION, right);
        assert_eq!(send(request).await.status(), StatusCode::OK, "{right}");
    }
    for down in [Down::Mcp, Down::Sse] {
        let client = Client::connect(&proxy.url(&down.path("everything")), Some("s3cret")).await;
        assert_eq!(client.text("echo", json!({"text": "in"})).await, "in");
    }
}

#[tokio::test]
async fn a_session_is_closed_to_the_holder_of_another_token() {
    let proxy = Proxy::in_front_of(server_with(json!({"authTokens": ["one", "two"]}))).await;
    let url = proxy.url("/everything/mcp");
    let opened = send(post(&url, &initialize()).bearer_auth("one")).await;
    let session = opened.headers().get("mcp-session-id").unwrap().clone();
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    // DL-41
    let ping = |token: &str| post(&url, &ping).bearer_auth(token).header("mcp-session-id", session.clone());
    assert_eq!(send(ping("two")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send(ping("one")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_allow_list_leaves_nothing_else() {
    let filter = json!({"toolFilter": {"mode": "allow", "list": ["echo", "no such tool"]}});
    let proxy = Proxy::in_front_of(server_with(filter)).await; // SEED-031
    for down in [Down::Mcp, Down::Sse] {
        let client = Client::connect(&proxy.url(&down.path("everything")), None).await;
        assert_eq!(client.tools().await, ["echo"]);
        assert_eq!(client.text("echo", json!({"text": "yes"})).await, "yes");
        let refused = client.call("pid", json!({})).await;
        assert!(matches!(refused, Err(ServiceError::McpError(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_block_list_takes_away_what_it_names() {
    let filter = json!({"toolFilter": {"mode": "block", "list": ["crash", "pid"]}});
    let proxy = Proxy::in_front_of(server_with(filter)).await; // SEED-031
    let client = Client::connect(&proxy.url("/everything/mcp"), None).await;
    let left: Vec<&str> = TOOLS.into_iter().filter(|tool| !["crash", "pid"].contains(tool)).collect();
    assert_eq!(client.tools().await, left);
    let refused = client.call("pid", json!({})).await;
    assert!(matches!(refused, Err(ServiceError::McpError(_))), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_cannot_be_started_harms_no_other() {
    // BR-16
    let missing = json!({"command": "/no/such/program"});
    let proxy = Proxy::in_front_of(json!({"missing": missing, "everything": stdio()})).await;
    let client = Client::connect(&proxy.url("/everything/mcp"), None).await;
    assert_eq!(client.text("echo", json!({"text": "fine"})).await, "fine");
    let mcp = send(post(&proxy.url("/missing/mcp"), &initialize())).await;
    let sse = send(http().get(proxy.url("/missing/sse"))).await;
    for response in [mcp, sse] {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE); // SEED-083
        let wait = response.headers().get(header::RETRY_AFTER).unwrap().to_str().unwrap();
        assert!(wait.parse::<u32>().is_ok(), "{wait}");
    }
}

#[tokio::test]
async fn unknown_routes_are_not_found() {
    let mut disabled = stdio();
    disabled["options"] = json!({"disabled": true});
    let proxy = Proxy::in_front_of(json!({"everything": stdio(), "off": disabled})).await;
    for path in ["/", "/other/mcp", "/mcp/other", "/everything/other", "/off/mcp", "/everything/mcp/more"] {
        let response = send(post(&proxy.url(path), &initialize())).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(send(http().get(proxy.url("/other/sse"))).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_path_of_the_base_url_prefixes_all_routes() {
    let mut config = config(json!({"everything": stdio()}));
    config["mcpProxy"]["baseURL"] = json!("http://mcp.example.com/deep/down/");
    let proxy = Proxy::start(config, &[]).await; // SEED-021
    proxy.logged("servers are ready").await;
    for down in [Down::Mcp, Down::Sse] {
        let path = down.path("everything");
        let client = Client::connect(&proxy.url(&format!("/deep/down{path}")), None).await;
        assert_eq!(client.text("echo", json!({"text": "deep"})).await, "deep");
        let bare = send(post(&proxy.url(&path), &initialize())).await;
        assert_eq!(bare.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_deleted_session_is_not_found() {
    let proxy = Proxy::in_front_of(json!({"everything": stdio()})).await;
    let url = proxy.url("/everything/mcp");
    let opened = send(post(&url, &initialize())).await;
    assert_eq!(opened.status(), StatusCode::OK);
    let session = opened.headers().get("mcp-session-id").unwrap().clone();
    let named = |request: reqwest::RequestBuilder| request.header("mcp-session-id", session.clone());
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    assert_eq!(send(named(post(&url, &ping))).await.status(), StatusCode::OK);
    assert!(send(named(http().delete(&url))).await.status().is_success()); // DL-40
    assert_eq!(send(named(post(&url, &ping))).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send(named(http().delete(&url))).await.status(), StatusCode::NOT_FOUND);
}
