//! What the log says about logins, and what it never says.

use super::browser::{Answer, App, USERS, escape, guarded, knock, password};
use super::client::{initialize, post};
use super::proxy::{Proxy, Scratch};
use super::upstream::stdio;
use serde_json::json;

#[tokio::test]
async fn the_most_talkative_log_holds_no_secret() {
    // T-32, T-33, OA-202
    for format in ["text", "json"] {
        let home = Scratch::empty();
        let mut a = stdio();
        a["options"] = json!({"authTokens": ["st4tic t0ken"]});
        let client =
            json!({"id": "fixed", "secret": "f1xed secret", "redirectURIs": ["http://localhost/callback"]});
        let config =
            guarded(home.path(), json!({ "a": a }), &json!({"clients": [client], "refreshGraceSeconds": 0}));
        let proxy = Proxy::start(config, &["-log-level", "trace", "-log-format", format]).await;
        proxy.logged("servers are ready").await;
        let base = proxy.url("");
        let mut secrets: Vec<String> = USERS.iter().map(|(_, password)| (*password).to_owned()).collect();
        secrets.extend(
            ["st4tic t0ken", "f1xed secret", "wr0ng p4ssword &", "s3cret state/+%"].map(str::to_owned),
        );

        let metadata = json!({
            "redirect_uris": ["http://127.0.0.1:7777/callback?s3cret=target"], "token_endpoint_auth_method": "client_secret_post",
        });
        let app = App::register_as(&base, &metadata).await;
        secrets.extend(app.secret.clone());
        let visit = app.visit().with("state", "s3cret state/+%").with("resource", &format!("{base}/a/mcp"));
        let form = visit.form().await;
        Answer::to(form.post("ann", "wr0ng p4ssword &")).await;
        Answer::to(form.post("ann", password("ann")).header("origin", "https://evil.test")).await;
        Answer::to(form.clone().with("form_token", "x").post("bob", password("bob"))).await;
        let page = form.sign_in("ann").await;
        secrets.extend(["form_token", "code_challenge"].map(|name| form.field(name).to_owned()));
        secrets.extend([visit.verifier.clone(), page.code(), page.way_back().unwrap()]);

        let tokens = app.redeem(&visit, &page.code()).await.tokens();
        let next = app.refresh(&tokens.refresh).await.tokens();
        app.redeem(&visit, &page.code()).await;
        let other = app.log_in("bob").await;
        let last = app.refresh(&other.refresh).await.tokens();
        knock(&base, "/a/mcp", &last.access).await;
        knock(&base, "/a/mcp", "st4tic t0ken").await;
        knock(&base, "/a/mcp", &tokens.access).await;
        for query in ["access_token", "code", "password"] {
            let url = format!("{base}/a/mcp?{query}={}", last.access);
            Answer::to(post(&url, &initialize())).await;
            Answer::to(super::client::http().get(format!("{base}/oauth/token?{query}={}", last.access)))
                .await;
        }
        app.refresh(&other.refresh).await;
        app.revoke(&last.refresh).await;
        let fixed = App {
            id: "fixed".into(),
            secret: Some("f1xed secret".into()),
            redirect: "http://localhost/callback".into(),
            ..app.clone()
        };
        let more = fixed.log_in("ann").await;
        let unknown = App { id: "mcpx_nobody".into(), ..app.clone() };
        unknown.refresh(&more.refresh).await;
        unknown.visit().open().await;
        for tokens in [tokens, next, other, last, more] {
            secrets.extend([tokens.access, tokens.refresh]);
        }

        let log = proxy.log_to_the_end().await;
        for event in [
            "register",
            "login_ok",
            "login_failed",
            "code_issued",
            "token_issued",
            "refreshed",
            "revoked",
            "code_replay",
            "refresh_reuse",
            "invalid_client",
        ] {
            assert!(log.contains(&format!("event={event}")), "no {event} in the log: {log}");
        }
        for secret in secrets {
            let plus = escape(&secret).replace("%20", "+");
            let quoted = serde_json::to_string(&secret).unwrap();
            for form in [secret.as_str(), &escape(&secret), &plus, quoted.trim_matches('"')] {
                assert!(!log.contains(form), "{format}: {form} in the log: {log}");
            }
        }
    }
}

#[tokio::test]
async fn foreign_words_stay_in_their_line_and_are_cut() {
    // T-22, T-33, OA-203
    let home = Scratch::empty();
    let proxy = Proxy::start(guarded(home.path(), json!({}), &json!({})), &[]).await;
    let base = proxy.url("");
    let name = format!("App\u{202e}\r\n2026-01-01 INFO oauth event=login_ok user=root {}", "x".repeat(1000));
    let app =
        App::register_as(&base, &json!({"client_name": name, "redirect_uris": ["http://localhost/x"]})).await;
    let form = app.visit().form().await;
    let user = format!("ann\r\nINFO oauth event=login_ok user=root\u{1b}[31m \u{2028}{}", "y".repeat(5000));
    Answer::to(form.post(&user, "x")).await;
    app.visit().with("client_id", "x\r\ny\u{85}z").open().await;
    let log = proxy.log_to_the_end().await;
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("event=login_failed")).collect();
    assert_eq!(failed.len(), 1, "{log}");
    assert!(failed[0].len() < 1000 && failed[0].contains("ann\\r\\n"), "{failed:?}");
    for line in log.lines() {
        assert!(!line.trim_start().starts_with("INFO oauth event=login_ok"), "{log}");
        assert!(line.chars().all(|c| !c.is_control() && c != '\u{2028}' && c != '\u{85}'), "{line:?}");
    }
}
