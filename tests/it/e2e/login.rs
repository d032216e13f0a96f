//! Attacks on logins as requests at the running program: redirects, codes, passwords, forms. What is refused has
//! changed nothing that is stored.

use super::browser::{
    Answer, App, CALLBACK, Form, assert_dead, guarded, knock, password, registration, stored,
};
use super::proxy::{Proxy, Scratch};
use super::upstream::stdio;
use axum::http::header;
use futures::future::join_all;
use serde_json::{Value, json};

const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";

/// A proxy with the servers `a` and `b`.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    pub(crate) home: Scratch,
    pub(crate) base: String,
}

impl Stage {
    pub(crate) async fn new(more: Value) -> Self {
        Self::before(json!({"a": stdio(), "b": stdio()}), more).await
    }

    pub(crate) async fn before(servers: Value, more: Value) -> Self {
        let home = Scratch::empty();
        let proxy = Proxy::start(guarded(home.path(), servers, &more), &[]).await;
        proxy.logged("servers are ready").await;
        let base = proxy.url("");
        Self { proxy, home, base }
    }

    pub(crate) fn stored(&self) -> (Value, Value) {
        stored(self.home.path())
    }

    pub(crate) async fn public(&self, redirect: &str) -> App {
        let metadata = json!({"redirect_uris": [redirect], "token_endpoint_auth_method": "none"});
        App::register_as(&self.base, &metadata).await
    }

    pub(crate) async fn secretive(&self, method: &str) -> App {
        let metadata = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": method});
        App::register_as(&self.base, &metadata).await
    }
}

#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.error(), (status, error.to_owned()), "{answer:?}");
}

#[tokio::test]
async fn nobody_is_sent_to_a_foreign_target() {
    // T-01, T-02, OA-111, OA-112, OA-123
    let stage = Stage::new(json!({})).await;
    let app = stage.public(CLAUDE).await;
    let before = stage.stored();
    let foreign = [
        "https://evil.test/api/mcp/auth_callback",
        "https://claude.ai.evil.test/api/mcp/auth_callback",
        "https://claude.ai@evil.test/api/mcp/auth_callback",
        "//evil.test/api/mcp/auth_callback",
        "https://CLAUDE.AI/api/mcp/auth_callback",
        "https://claude.ai/api/mcp/auth_callback/",
        "https://claude.ai/api/mcp/auth_callback/more",
        "https://claude.ai/api/mcp/auth_callback?to=evil.test",
        "https://claude.ai/api/mcp/auth_callback#evil",
        "https://claude.ai/api/mcp/%2e%2e/auth_callback",
        "https://claude.ai\\@evil.test/api/mcp/auth_callback",
        "https://claude.ai:8443/api/mcp/auth_callback",
        "http://claude.ai/api/mcp/auth_callback",
        "https://claude.com/api/mcp/auth_callback",
        "javascript:alert(1)",
        CALLBACK,
    ];
    for target in foreign {
        let visit = app.visit().with("redirect_uri", target);
        // An error that would be told to the right target is told to nobody.
        for page in [visit.open().await, visit.with("response_type", "token").open().await] {
            assert_leads_nowhere(&page, target);
        }
        let form = app.visit().form().await.with("redirect_uri", target);
        assert_leads_nowhere(&form.sign_in("ann").await, target);
    }
    let unknown = app.visit().with("client_id", "mcpx_AAAAAAAAAAAAAAAAAAAAAA").with("redirect_uri", CALLBACK);
    assert_leads_nowhere(&unknown.open().await, CALLBACK);
    assert_eq!(stage.stored(), before);
    // And the right one is.
    let done = app.visit().sign_in("ann").await;
    assert!(done.way_back().unwrap().starts_with(&format!("{CLAUDE}?code=")), "{done:?}");
}

#[track_caller]
fn assert_leads_nowhere(page: &Answer, target: &str) {
    assert_eq!(page.status, 400, "{target}: {page:?}");
    assert_eq!(page.header(header::LOCATION), None, "{target}");
    let links = page.links();
    let leading = |link: &&String| link.contains("evil") || link.contains("code=") || link.contains(target);
    assert_eq!(links.iter().find(leading), None, "{target}");
}

#[tokio::test]
async fn errors_go_to_exact_targets_only_and_with_the_issuer() {
    // T-02, T-07, T-09, OA-113, OA-114, OA-119
    let stage = Stage::new(json!({})).await;
    let (exact, local) = (stage.public(CLAUDE).await, stage.public(CALLBACK).await);
    let before = stage.stored();
    let cases: [(&str, &str, &str); 6] = [
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("resource", "https://elsewhere.test/mcp", "invalid_target"),
    ];
    for (name, value, error) in cases {
        let answer = exact.visit().with(name, value).open().await;
        assert_eq!(answer.status, 303, "{name}={value}: {answer:?}");
        let told = super::browser::query(answer.header(header::LOCATION).unwrap());
        assert_eq!((told["error"].as_str(), told["state"].as_str()), (error, "a state"), "{name}={value}");
        assert_eq!(told["iss"], stage.base);
        let page = local.visit().with(name, value).open().await;
        assert_eq!((page.status, page.header(header::LOCATION)), (400, None), "{name}={value}");
    }
    assert_eq!(stage.stored(), before);
}

#[tokio::test]
async fn forbidden_targets_cannot_be_registered() {
    // T-02, T-23, OA-70, OA-75, OA-76, OA-77, OA-79
    let stage = Stage::new(json!({})).await;
    let before = stage.stored();
    let forbidden = [
        json!(["https://evil.test/callback"]),
        json!([CLAUDE, "https://evil.test/callback"]),
        json!(["https://claude.ai/api/mcp/auth_callback#x"]),
        json!(["https://user@claude.ai/api/mcp/auth_callback"]),
        json!(["https://claude.ai/*"]),
        json!(["javascript:alert(1)"]),
        json!(["data:text/html,x"]),
        json!(["cursor://anysphere.cursor-mcp/oauth/callback"]),
        json!(["http://127.0.0.1.evil.test/callback"]),
        json!(["http://localhost:80@evil.test/"]),
        json!(["http://0.0.0.0/callback"]),
        json!(["http://[::ffff:127.0.0.1]/callback"]),
        json!(["http://2130706433/callback"]),
        json!(["http://127.0.0.1/callback\r\nLocation: https://evil.test"]),
        json!([]),
        json!(CLAUDE),
        json!([7]),
        Value::Null,
    ];
    for targets in forbidden {
        let answer = Answer::to(registration(&stage.base, &json!({"redirect_uris": targets}))).await;
        assert_refused(&answer, 400, "invalid_redirect_uri");
    }
    assert_eq!(stage.stored(), before);
}

#[tokio::test]
async fn a_narrower_policy_holds_for_old_clients_too() {
    // T-02, OA-87
    let home = Scratch::empty();
    let config = |targets: Value| guarded(home.path(), json!({}), &json!({"allowedRedirectURIs": targets}));
    let proxy = Proxy::start(config(json!(["claude", "loopback"])), &[]).await;
    let mut app = App::register(&proxy.url("")).await;
    assert_eq!(app.visit().open().await.status, 200);
    proxy.log_to_the_end().await;
    let proxy = Proxy::start(config(json!(["claude"])), &[]).await;
    app.base = proxy.url("");
    assert_leads_nowhere(&app.visit().open().await, CALLBACK);
    proxy.log_to_the_end().await;
    let proxy = Proxy::start(config(json!(["loopback"])), &[]).await;
    app.base = proxy.url("");
    assert_eq!(app.visit().open().await.status, 200);
}

#[tokio::test]
async fn a_code_works_once_and_its_tokens_end_with_the_second_try() {
    // T-06, OA-131, OA-142, OA-144
    let stage = Stage::new(json!({})).await;
    let app = App::register(&stage.base).await;
    let visit = app.visit();
    let code = visit.sign_in("ann").await.code();
    let tokens = app.redeem(&visit, &code).await.tokens();
    assert_eq!(knock(&stage.base, "/a/mcp", &tokens.access).await.status, 200);
    assert_refused(&app.redeem(&visit, &code).await, 400, "invalid_grant");
    assert_dead(&app, "/a/mcp", &tokens).await;
    assert_eq!(stage.stored().1, json!({}));

    let visit = app.visit();
    let code = visit.sign_in("ann").await.code();
    let crowd = (0..50).map(|_| app.redeem(&visit, &code));
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        join_all(crowd).await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((winners.len(), losers.len()), (1, 49));
    losers.iter().for_each(|loser| assert_refused(loser, 400, "invalid_grant"));
    assert_dead(&app, "/a/mcp", &winners[0].tokens()).await;
    assert_eq!(stage.stored().1, json!({}));
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    // T-04, T-05, T-07, OA-142
    let stage = Stage::new(json!({})).await;
    for app in [App::register(&stage.base).await, stage.secretive("client_secret_post").await] {
        let other = app.visit();
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[], "invalid_request"),
            (&[("code_verifier", "")], "invalid_request"),
            (&[("code_verifier", "short")], "invalid_grant"),
            (&[("code_verifier", &other.verifier)], "invalid_grant"),
            (&[("code_verifier", "the challenge itself would be plain, which is no more")], "invalid_grant"),
        ];
        for (verifier, error) in cases {
            let visit = app.visit();
            let code = visit.sign_in("ann").await.code();
            let fields = [&[("grant_type", "authorization_code"), ("code", &code)], verifier].concat();
            assert_refused(&Answer::to(app.ask(&fields)).await, 400, error);
            // It is burnt: the right verifier comes too late.
            assert_refused(&app.redeem(&visit, &code).await, 400, "invalid_grant");
        }
    }
    assert_eq!(stage.stored().1, json!({}));
}

#[tokio::test]
async fn a_code_belongs_to_its_client_target_and_request() {
    // T-05, T-08, OA-142
    let stage = Stage::new(json!({})).await;
    let (mine, yours) = (App::register(&stage.base).await, App::register(&stage.base).await);
    let unknown = mine.redeem(&mine.visit(), "mcpx_ac_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_refused(&unknown, 400, "invalid_grant");
    let (one, two) = (mine.visit(), mine.visit());
    let (code_one, code_two) = (one.sign_in("ann").await.code(), two.sign_in("bob").await.code());
    let (moved, elsewhere) =
        (App { redirect: "http://127.0.0.1:7778/callback".into(), ..mine.clone() }, mine.visit());
    let third = elsewhere.sign_in("ann").await.code();
    let visit = mine.visit();
    let fourth = visit.sign_in("ann").await.code();
    let answers = [
        mine.redeem(&one, &code_two).await,
        mine.redeem(&two, &code_one).await,
        moved.redeem(&elsewhere, &third).await,
        yours.redeem(&visit, &fourth).await,
    ];
    // The same words for all.
    answers.iter().for_each(|answer| assert_eq!((answer.status, &answer.body), (400, &unknown.body)));
    assert_eq!(stage.stored().1, json!({}));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_nobody_locked_out() {
    // T-14, T-15, OA-121, OA-122, OA-132
    let rate = json!({"loginRateLimit": {"quickTries": 3, "maxDelaySeconds": 2, "addressPerMinute": 1000}});
    let stage = Stage::new(rate).await;
    let app = App::register(&stage.base).await;
    let form = app.visit().form().await;
    let wrong = Answer::to(form.post("ann", "wrong")).await;
    assert_eq!(wrong.status, 200);
    assert!(wrong.body.contains("Invalid username or password. Please try again."), "{wrong:?}");
    assert_eq!(wrong.way_back(), None);
    assert_eq!(Form::of(&stage.base, &wrong).field("state"), "a state");
    let unknown = Answer::to(form.post("nobody", "wrong")).await;
    assert_eq!(blank(&unknown, "nobody"), blank(&wrong, "ann"));
    let mut throttled = 0;
    for _ in 0..100 {
        let answer = Answer::to(form.post("ann", "wrong")).await;
        if answer.status == 429 {
            throttled += 1;
            let wait: u32 = answer.header(header::RETRY_AFTER).unwrap().parse().unwrap();
            assert!((1..=2).contains(&wait), "{answer:?}");
        }
    }
    assert!(throttled > 80, "{throttled}");
    // Another user and another address are not concerned, and the right password works as soon as it is looked at.
    assert!(form.sign_in("bob").await.way_back().is_some());
    let elsewhere = form.post("ann", password("ann")).header("x-forwarded-for", "203.0.113.9");
    assert!(Answer::to(elsewhere).await.way_back().is_some());
    loop {
        let answer = form.sign_in("ann").await;
        match answer.status {
            429 => tokio::task::yield_now().await,
            _ => break assert!(answer.way_back().is_some(), "{answer:?}"),
        }
    }
    assert_eq!(stage.stored().1, json!({}));
}

/// A page without what differs from page to page.
fn blank(page: &Answer, user: &str) -> String {
    let nonce = page.body.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let token = page.body.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    page.body.replace(nonce, "").replace(token, "").replace(&format!("value=\"{user}\""), "value=\"\"")
}

#[tokio::test]
async fn a_form_that_somebody_else_sends_signs_nobody_in() {
    // T-17, T-18, OA-123, OA-124
    let stage = Stage::new(json!({})).await;
    let app = App::register(&stage.base).await;
    let form = app.visit().form().await;
    let headers = [
        ("origin", "https://evil.test"),
        ("origin", "null.evil.test"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for (name, value) in headers {
        let answer = Answer::to(form.post("ann", password("ann")).header(name, value)).await;
        assert_eq!((answer.status, answer.way_back()), (403, None), "{name}: {value}");
    }
    let foreign = app.visit().with("state", "another state").form().await;
    let token = form.field("form_token").to_owned();
    let forged = [
        form.clone().with("form_token", ""),
        form.clone().with("form_token", "x"),
        form.clone().with("form_token", &format!("{token}A")),
        form.clone().with("form_token", foreign.field("form_token")),
        form.clone().with("state", "another state"),
        form.clone().with("scope", "mcp offline_access"),
        form.clone().with("code_challenge", foreign.field("code_challenge")),
        form.clone().with("resource", &format!("{}/b/mcp", stage.base)),
    ];
    for form in forged {
        let answer = form.sign_in("ann").await;
        assert_eq!((answer.status, answer.way_back()), (400, None), "{answer:?}");
    }
    let null = Answer::to(
        form.clone().with("form_token", "x").post("ann", password("ann")).header("origin", "null"),
    )
    .await;
    assert_eq!(null.way_back(), None);
    assert_eq!(stage.stored().1, json!({}));
    let own = form
        .post("ann", password("ann"))
        .header("origin", stage.base.as_str())
        .header("sec-fetch-site", "same-origin");
    assert!(Answer::to(own).await.way_back().is_some());
    // Who is signed in is asked again the next time.
    assert_eq!(app.visit().form().await.field("client_id"), app.id);
}
