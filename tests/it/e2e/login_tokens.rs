//! Attacks with tokens as requests at the running program: on other servers, in other sessions, used again, taken by
//! other clients. What is refused has changed nothing that is stored.

use super::browser::{Answer, App, Tokens, assert_dead, knock, password};
use super::client::{Client, http, initialize, post};
use super::everything::Everything;
use super::login::{Stage, assert_refused};
use super::upstream::{serve, stdio, streamable};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn};
use futures::future::join_all;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_token_opens_what_it_was_made_for() {
    // T-10, OA-56, OA-57, OA-58, OA-149
    let stage = Stage::new(json!({})).await;
    let app = App::register(&stage.base).await;
    let tokens = app.log_in_to("ann", "a").await;
    let grants = stage.stored().1;
    for path in ["/a", "/a/", "/a/mcp"] {
        assert_eq!(knock(&stage.base, path, &tokens.access).await.status, 200, "{path}");
    }
    let foreign = knock(&stage.base, "/b/mcp", &tokens.access).await;
    assert_refused(&foreign, 401, "invalid_token");
    let unknown = knock(&stage.base, "/b/mcp", "mcpx_at_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(
        (unknown.body, unknown.headers.get("www-authenticate")),
        (foreign.body, foreign.headers.get("www-authenticate"))
    );
    // A refresh token is no access token, nor the other way round.
    assert_refused(&knock(&stage.base, "/a/mcp", &tokens.refresh).await, 401, "invalid_token");
    assert_refused(&app.refresh(&tokens.access).await, 400, "invalid_grant");
    for other in ["/b/mcp", "/b", "", "/c/mcp", "/a/../b/mcp"] {
        let resource = format!("{}{other}", stage.base);
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("resource", &resource)];
        assert_refused(&Answer::to(app.ask(&fields)).await, 400, "invalid_target");
    }
    assert_eq!(stage.stored().1, grants);
    let both = app.log_in("ann").await;
    for path in ["/a/mcp", "/b/mcp"] {
        assert_eq!(knock(&stage.base, path, &both.access).await.status, 200, "{path}");
    }
    let resource = format!("{}/b/mcp", stage.base);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &both.refresh), ("resource", &resource)];
    let narrow = Answer::to(app.ask(&fields)).await.tokens();
    assert_refused(&knock(&stage.base, "/a/mcp", &narrow.access).await, 401, "invalid_token");
    assert_eq!(knock(&stage.base, "/b/mcp", &narrow.access).await.status, 200);
}

#[tokio::test]
async fn the_credential_of_a_client_stays_with_the_proxy() {
    // T-12, OA-61
    let heard = Arc::new(Mutex::new(Vec::<HeaderMap>::new()));
    let ear = heard.clone();
    let record = move |request: Request, next: Next| {
        ear.lock().unwrap().push(request.headers().clone());
        next.run(request)
    };
    let (url, server) = serve(streamable(Everything::default()).layer(from_fn(record))).await;
    let mut upstream = json!({"url": format!("{url}/mcp"), "transportType": "streamable-http"});
    upstream["options"] = json!({"authTokens": ["a static token"]});
    let stage = Stage::before(json!({ "a": upstream }), json!({})).await;
    let tokens = App::register(&stage.base).await.log_in("ann").await;
    for token in [tokens.access.as_str(), "a static token"] {
        let spoof = "ann@evil.test";
        let request = post(&format!("{}/a/mcp", stage.base), &initialize()).bearer_auth(token);
        let request = request
            .header("cookie", "session=1")
            .header("x-forwarded-user", spoof)
            .header("x-api-key", token);
        let opened = Answer::to(request).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x"}}});
        let request =
            post(&format!("{}/a/mcp", stage.base), &call).bearer_auth(token).header("cookie", "session=1");
        let request = request.header("mcp-session-id", opened.headers["mcp-session-id"].clone());
        assert_eq!(Answer::to(request).await.status, 200);
    }
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 3, "{heard:?}");
    for headers in heard.iter() {
        let text = format!("{headers:?}");
        for secret in [tokens.access.as_str(), "a static token", "session=1", "evil.test"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(
            !headers.contains_key(header::AUTHORIZATION) && !headers.contains_key(header::COOKIE),
            "{text}"
        );
    }
    server.abort();
}

#[tokio::test]
async fn a_session_is_closed_to_everybody_else() {
    // T-35, OA-60, OA-62
    let mut a = stdio();
    a["options"] = json!({"authTokens": ["for-a"]});
    let mut b = stdio();
    b["options"] = json!({"authTokens": ["for-b"]});
    let stage = Stage::before(json!({"a": a, "b": b}), json!({})).await;
    let (app, other) = (App::register(&stage.base).await, App::register(&stage.base).await);
    let ann = app.log_in("ann").await.access;
    let ann_again = app.log_in("ann").await.access;
    let strangers = [app.log_in("bob").await.access, other.log_in("ann").await.access, "for-a".to_owned()];
    let opened = knock(&stage.base, "/a/mcp", &ann).await;
    let session = opened.headers["mcp-session-id"].clone();
    let url = format!("{}/a/mcp", stage.base);
    let ping = |token: &str| {
        let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
        post(&url, &ping).bearer_auth(token).header("mcp-session-id", session.clone())
    };
    for stranger in &strangers {
        assert_eq!(knock(&stage.base, "/a/mcp", stranger).await.status, 200);
        assert_eq!(Answer::to(ping(stranger)).await.status, 404);
        let stream = http().get(&url).header("accept", "text/event-stream").bearer_auth(stranger);
        let stream = stream.header("mcp-session-id", session.clone()).header("last-event-id", "1"); // T-36
        assert_eq!(Answer::to(stream).await.status, 404);
        let gone = http().delete(&url).bearer_auth(stranger).header("mcp-session-id", session.clone());
        assert_eq!(Answer::to(gone).await.status, 404);
    }
    assert_refused(&knock(&stage.base, "/a/mcp", "for-b").await, 401, "invalid_token");
    assert_eq!(Answer::to(ping(&ann)).await.status, 200);
    assert_eq!(Answer::to(ping(&ann_again)).await.status, 200);
    app.revoke(&ann).await;
    assert_refused(&Answer::to(ping(&ann)).await, 401, "invalid_token");
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_in_time_has_one_successor() {
    // T-38, T-39, OA-150, OA-152
    let stage = Stage::new(json!({})).await;
    let app = App::register(&stage.base).await;
    let first = app.log_in("ann").await;
    let second = app.refresh(&first.refresh).await;
    for answer in join_all((0..10).map(|_| app.refresh(&first.refresh))).await {
        assert_eq!(answer.body, second.body);
    }
    let grants = stage.stored().1;
    assert_eq!(grants.as_object().unwrap().len(), 1);
    let thief = App::register(&stage.base).await;
    for token in [&first.refresh, &second.tokens().refresh] {
        assert_refused(&thief.refresh(token).await, 400, "invalid_grant"); // OA-154
    }
    assert_eq!(stage.stored().1, grants);
    let crowd = app.log_in("bob").await;
    let bodies: Vec<Tokens> =
        join_all((0..20).map(|_| app.refresh(&crowd.refresh))).await.iter().map(Answer::tokens).collect();
    assert!(bodies.iter().all(|tokens| *tokens == bodies[0]));
    assert_eq!(knock(&stage.base, "/a/mcp", &bodies[0].access).await.status, 200);
    stage.proxy.logged("oauth event=refresh_grace").await;
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_late_ends_its_family() {
    // T-38, OA-153
    let stage = Stage::new(json!({"refreshGraceSeconds": 0})).await;
    let app = App::register(&stage.base).await;
    let (first, bystander) = (app.log_in("ann").await, app.log_in("ann").await);
    let second = app.refresh(&first.refresh).await.tokens();
    let third = app.refresh(&second.refresh).await.tokens();
    assert_refused(&app.refresh(&first.refresh).await, 400, "invalid_grant");
    for tokens in [first, second, third] {
        assert_dead(&app, "/a/mcp", &tokens).await;
    }
    stage.proxy.logged("oauth event=refresh_reuse").await;
    assert_eq!(knock(&stage.base, "/a/mcp", &bystander.access).await.status, 200);
    app.refresh(&bystander.refresh).await.tokens();
}

#[tokio::test]
async fn a_client_is_who_it_proves_to_be() {
    // OA-71, OA-72, OA-145, OA-146, OA-147, OA-148
    let stage = Stage::new(json!({})).await;
    let public = App::register(&stage.base).await;
    assert_eq!(public.secret, None);
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "mcpx_rt_x")];
    let nobody = App { id: "mcpx_nobody".into(), ..public.clone() };
    assert_refused(&Answer::to(nobody.ask(&grant)).await, 401, "invalid_client");
    for method in ["client_secret_post", "client_secret_basic"] {
        let app = stage.secretive(method).await;
        let secret = app.secret.clone().unwrap();
        assert_refused(&Answer::to(app.ask(&grant)).await, 400, "invalid_grant");
        for wrong in [None, Some("mcpx_cs_wrong".to_owned())] {
            let app = App { secret: wrong, ..app.clone() };
            assert_refused(&Answer::to(app.ask(&grant)).await, 401, "invalid_client");
        }
        let bare = App { secret: None, ..app.clone() };
        let right = bare.ask(&grant).basic_auth(&app.id, Some(&secret));
        assert_refused(&Answer::to(right).await, 400, "invalid_grant");
        let wrong = Answer::to(bare.ask(&grant).basic_auth(&app.id, Some("wrong"))).await;
        assert_refused(&wrong, 401, "invalid_client");
        assert!(wrong.header(header::WWW_AUTHENTICATE).unwrap().starts_with("Basic "), "{wrong:?}");
        let twice = app.ask(&grant).basic_auth(&app.id, Some(&secret));
        assert_refused(&Answer::to(twice).await, 400, "invalid_request");
        let tokens = app.log_in("ann").await;
        assert_refused(&Answer::to(bare.refreshing(&tokens.refresh)).await, 401, "invalid_client");
        assert_eq!(knock(&stage.base, "/a/mcp", &tokens.access).await.status, 200);
    }
    for other in ["password", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"] {
        let fields = [("grant_type", other), ("username", "ann"), ("password", password("ann"))];
        assert_refused(&Answer::to(public.ask(&fields)).await, 400, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn whoever_gives_tokens_back_gives_only_their_own() {
    // OA-159
    let stage = Stage::new(json!({})).await;
    let (mine, yours) = (App::register(&stage.base).await, App::register(&stage.base).await);
    let tokens = mine.log_in("ann").await;
    let grants = stage.stored().1;
    for token in [tokens.access.as_str(), tokens.refresh.as_str(), "mcpx_at_unknown", "x"] {
        assert_eq!(yours.revoke(token).await.status, 200);
    }
    assert_eq!(stage.stored().1, grants);
    assert_eq!(mine.revoke(&tokens.access).await.status, 200);
    assert_refused(&knock(&stage.base, "/a/mcp", &tokens.access).await, 401, "invalid_token");
    let next = mine.refresh(&tokens.refresh).await.tokens();
    assert_eq!(mine.revoke(&next.refresh).await.status, 200);
    assert_dead(&mine, "/a/mcp", &next).await;
}

#[tokio::test]
async fn logins_are_quick_while_everybody_calls() {
    // OA-161
    let stage = Stage::new(json!({})).await;
    let token = App::register(&stage.base).await.log_in("ann").await.access;
    let url = format!("{}/a/mcp", stage.base);
    let crowd = join_all((0..32).map(|_| Client::connect(&url, Some(&token)))).await;
    let calls = join_all(crowd.iter().map(|client| async {
        for _ in 0..100_000 {
            client.call("echo", json!({"text": "x"})).await.unwrap();
        }
    }));
    let logins = async {
        let mut times = Vec::new();
        for _ in 0..10 {
            let discovery = http().get(format!("{}/.well-known/oauth-authorization-server", stage.base));
            times.push(timed(async { assert_eq!(Answer::to(discovery).await.status, 200) }).await.1);
            let (app, time) = timed(App::register(&stage.base)).await;
            times.push(time);
            let visit = app.visit();
            let code = visit.sign_in("ann").await.code();
            let (tokens, time) = timed(app.redeem(&visit, &code)).await;
            times.push(time);
            times.push(timed(app.refresh(&tokens.tokens().refresh)).await.1);
        }
        times
    };
    let mut times = tokio::select! {
        _ = calls => panic!("the calls ended before the logins"),
        times = logins => times,
    };
    times.sort();
    // The clients in the cloud give up after ten; the rest is for a machine that does other things too.
    let (most, longest) = (times[times.len() * 9 / 10], times[times.len() - 1]);
    assert!(most < Duration::from_secs(1) && longest < Duration::from_secs(10), "{times:?}");
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (work.await, start.elapsed())
}
