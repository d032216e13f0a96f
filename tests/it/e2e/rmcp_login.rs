//! The official Rust SDK logs in: it finds the authorization server, registers, signs in through the stand-in for a
//! browser, calls, refreshes, and starts again when the proxy has forgotten it.

use super::browser::{Answer, CALLBACK, Form, STORE, browser, guarded, post_form, stored};
use super::client::{Client, http, initialize, post};
use super::ears::Ears;
use super::proxy::{Proxy, Scratch};
use super::upstream::stdio;
use super::within;
use axum::http::header;
use rmcp::ServiceExt;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthError, AuthorizationManager, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rustix::process::Signal;
use serde_json::{Value, json};

type Authorized = AuthClient<reqwest::Client>;

/// Registers and logs in; `challenge` is that of a refusal, if the client had one.
async fn log_in(url: &str, user: &str, challenge: Option<&str>) -> AuthorizationManager {
    // The SDK's state is large.
    Box::pin(walk(url, user, challenge)).await
}

async fn walk(url: &str, user: &str, challenge: Option<&str>) -> AuthorizationManager {
    let mut state = OAuthState::new(url, Some(http())).await.unwrap();
    let mut request = AuthorizationRequest::new(CALLBACK).with_client_name("The Rust SDK");
    if let Some(challenge) = challenge {
        request = request.with_challenge(challenge);
    }
    within("discovery and registration", state.start_authorization(request)).await.unwrap();
    let page = Answer::to(browser().get(state.get_authorization_url().await.unwrap())).await;
    assert!(page.body.contains("The Rust SDK"), "{page:?}");
    let base = url.split_inclusive('/').take(3).collect::<String>();
    let done = Form::of(base.trim_end_matches('/'), &page).sign_in(user).await;
    // The SDK compares `iss` with the issuer of the metadata.
    let back = done.way_back().unwrap_or_else(|| panic!("no way back: {done:?}"));
    within("the exchange", state.handle_callback_url(&back)).await.unwrap();
    state.into_authorization_manager().unwrap()
}

/// Connects with what it got.
async fn connect(url: &str, manager: AuthorizationManager) -> (Client, Authorized) {
    let authorized = AuthClient::new(http(), manager);
    let (ears, heard) = Ears::new(json!({}));
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(authorized.clone(), config);
    let service = within("the handshake", ears.serve(transport)).await.unwrap();
    (Client { service, heard, prefix: "" }, authorized)
}

async fn token(authorized: &Authorized) -> String {
    within("the token", authorized.get_access_token()).await.unwrap()
}

async fn revoke(proxy: &Proxy, authorized: &Authorized, token: &str) {
    let (client, _) = authorized.auth_manager.lock().await.get_credentials().await.unwrap();
    let fields = [("token", token), ("client_id", client.as_str())];
    let answer = Answer::to(post_form(&proxy.url("/oauth/revoke"), &fields)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn start(home: &Scratch, more: Value) -> Proxy {
    let servers = json!({"everything": stdio(), "other": stdio()});
    let mut config = guarded(home.path(), servers, &json!({}));
    for (name, value) in more.as_object().unwrap() {
        config["mcpProxy"][name] = value.clone();
    }
    let proxy = Proxy::start(config, &[]).await;
    proxy.logged("servers are ready").await;
    proxy
}

#[tokio::test]
async fn the_sdk_finds_its_way_from_the_url_alone() {
    // OA-205, OA-53
    let home = Scratch::empty();
    let proxy = start(&home, json!({})).await;
    let url = proxy.url("/everything/mcp");
    let (client, authorized) = connect(&url, log_in(&url, "ann", None).await).await;
    assert_eq!(client.text("echo", json!({"text": "signed in"})).await, "signed in");
    let other =
        Answer::to(post(&proxy.url("/other/mcp"), &initialize()).bearer_auth(token(&authorized).await)).await;
    assert_eq!(other.status, 401, "{other:?}"); // OA-57
}

#[tokio::test]
async fn the_sdk_follows_a_challenge_below_a_path() {
    // OA-09, OA-50
    let home = Scratch::empty();
    let proxy = start(&home, json!({"baseURL": "http://127.0.0.1:1/deep"})).await;
    let refused = Answer::to(post(&proxy.url("/deep/everything/mcp"), &initialize())).await;
    let challenge = refused.header(header::WWW_AUTHENTICATE).unwrap();
    let metadata = "http://127.0.0.1:1/.well-known/oauth-protected-resource/deep/everything/mcp";
    assert!(challenge.contains(metadata), "{challenge}");
    proxy.log_to_the_end().await;
    // Again where the URL says.
    let proxy = start(&home, json!({})).await;
    let port = proxy.url("").rsplit(':').next().unwrap().to_owned();
    proxy.log_to_the_end().await;
    let addr =
        json!({"addr": format!("127.0.0.1:{port}"), "baseURL": format!("http://127.0.0.1:{port}/deep")});
    let proxy = start(&home, addr).await;
    let url = proxy.url("/deep/everything/mcp");
    let refused = Answer::to(post(&url, &initialize())).await;
    let manager = log_in(&url, "bob", refused.header(header::WWW_AUTHENTICATE)).await;
    let (client, _) = connect(&url, manager).await;
    assert_eq!(client.text("echo", json!({"text": "deep down"})).await, "deep down");
}

#[tokio::test]
async fn a_session_of_the_sdk_outlives_its_tokens() {
    // OA-150, OA-62: the session belongs to user and client, not to a token
    let home = Scratch::empty();
    let proxy = start(&home, json!({})).await;
    let url = proxy.url("/everything/mcp");
    let (client, authorized) = connect(&url, log_in(&url, "ann", None).await).await;
    let before = client.pid().await;
    let first = token(&authorized).await;
    revoke(&proxy, &authorized, &first).await;
    assert_eq!(client.pid().await, before);
    let second = token(&authorized).await;
    assert_ne!(first, second);
    authorized.auth_manager.lock().await.refresh_token().await.unwrap();
    assert_ne!(token(&authorized).await, second);
    assert_eq!(client.text("echo", json!({"text": "still here"})).await, "still here");
}

#[tokio::test]
async fn the_sdk_registers_anew_when_it_is_forgotten() {
    // OA-145, OA-151
    let home = Scratch::empty();
    let mut proxy = start(&home, json!({})).await;
    let url = proxy.url("/everything/mcp");
    let manager = log_in(&url, "ann", None).await;
    let (known, _) = manager.get_credentials().await.unwrap();
    let addr = json!({"addr": url.trim_start_matches("http://").trim_end_matches("/everything/mcp")});

    proxy.signal(Signal::TERM);
    proxy.ended().await;
    let mut proxy = start(&home, addr.clone()).await;
    within("a refresh after a restart", manager.refresh_token()).await.unwrap();

    proxy.signal(Signal::TERM);
    proxy.ended().await;
    std::fs::remove_file(home.path().join(STORE)).unwrap();
    let _proxy = start(&home, addr).await;
    let refused = within("a refresh of nobody", manager.refresh_token()).await.unwrap_err();
    assert!(matches!(refused, AuthError::TokenRefreshFailed(_)), "{refused:?}");
    assert!(refused.to_string().contains("invalid_client"), "{refused}");
    let manager = log_in(&url, "ann", None).await;
    assert_ne!(manager.get_credentials().await.unwrap().0, known);
    assert_eq!(stored(home.path()).0.as_object().unwrap().len(), 1);
    let (client, _) = connect(&url, manager).await;
    assert_eq!(client.text("echo", json!({"text": "again"})).await, "again");
}
