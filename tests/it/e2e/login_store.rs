//! What the authorization server keeps: for whose eyes, in which form, what it takes over and what it does not touch.

use super::browser::{Answer, App, CALLBACK, STORE, Tokens, assert_dead, guarded, knock, stored};
use super::login::Stage;
use super::proxy::{Proxy, Run, Scratch, run_with};
use super::upstream::stdio;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn config(dir: &Path, more: &Value) -> Value {
    guarded(dir, json!({}), more)
}

/// A start that ends by itself.
async fn refused(dir: &Path) -> Run {
    let run = run_with(&config(dir, &json!({})).to_string(), &[]).await;
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    run
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn files_are_for_their_owner_whatever_the_umask() {
    // T-43, OA-170, OA-171
    for umask in ["umask 0", "umask 077", "umask 0777"] {
        let home = Scratch::empty();
        let deep = home.path().join("deep/down");
        for (dir, written) in [(deep.clone(), json!(deep)), (home.path().join(".mcpproxy"), json!(""))] {
            let config = config(&deep, &json!({"persistenceDir": written}));
            let proxy = Proxy::start_after(umask, config, home.path()).await;
            App::register(&proxy.url("")).await;
            proxy.log_to_the_end().await;
            assert_eq!(mode(&dir), 0o700, "{umask}: {}", dir.display());
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(mode(&path), 0o600, "{umask}: {}", path.display());
            }
            assert_eq!(stored(&dir).0.as_object().unwrap().len(), 1, "{umask}");
        }
        assert_eq!(mode(&home.path().join("deep")), 0o700, "{umask}");
    }
}

#[tokio::test]
async fn a_file_that_others_can_read_is_closed_to_them() {
    // T-43
    let home = Scratch::empty();
    let proxy = Proxy::start(config(home.path(), &json!({})), &[]).await;
    App::register(&proxy.url("")).await;
    proxy.log_to_the_end().await;
    let file = home.path().join(STORE);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let proxy = Proxy::start(config(home.path(), &json!({})), &[]).await;
    assert_eq!(mode(&file), 0o600);
    proxy.logged("0644").await;
    assert_eq!(stored(home.path()).0.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn something_else_in_place_of_a_file_is_not_touched() {
    // T-44, OA-178
    let make: [(&str, &str, Make); 6] = [
        (STORE, "symbolic link", |file, other| symlink(other, file).unwrap()),
        (STORE, "hard links", |file, other| fs::hard_link(other, file).unwrap()),
        (STORE, STORE, |file, _| fifo(file)),
        (STORE, STORE, |file, _| fs::create_dir(file).unwrap()),
        ("oauth.lock", "symbolic link", |file, other| symlink(other, file).unwrap()),
        ("oauth.lock", "oauth.lock", |file, _| fifo(file)),
    ];
    for (name, reason, make) in make {
        let (home, outside) = (Scratch::empty(), Scratch::empty());
        let other = outside.path().join("other");
        fs::write(&other, "{\"format\": 2, \"hmacKey\": \"\"}").unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o640)).unwrap();
        make(&home.path().join(name), &other);
        let kind = fs::symlink_metadata(home.path().join(name)).unwrap().file_type();
        let run = refused(home.path()).await;
        assert!(run.stderr.contains(reason) && run.stderr.contains(name), "{reason}: {}", run.stderr);
        assert_eq!(fs::symlink_metadata(home.path().join(name)).unwrap().file_type(), kind);
        assert_eq!(fs::read_to_string(&other).unwrap(), "{\"format\": 2, \"hmacKey\": \"\"}");
        assert_eq!(mode(&other), 0o640);
    }
    let home = Scratch::empty();
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    let run = refused(home.path()).await;
    assert!(run.stderr.contains("0777"), "{}", run.stderr);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let file = Scratch::empty();
    fs::write(file.path().join("file"), "").unwrap();
    refused(&file.path().join("file")).await;
}

/// Makes something at the first path, of the file at the second.
type Make = fn(&Path, &Path);

fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn two_processes_do_not_share_a_directory() {
    // T-45, OA-178
    let home = Scratch::empty();
    let proxy = Proxy::start(guarded(home.path(), json!({"a": stdio()}), &json!({})), &[]).await;
    let app = App::register(&proxy.url("")).await;
    let before = fs::read(home.path().join(STORE)).unwrap();
    let run = refused(home.path()).await;
    assert!(run.stderr.contains("another process uses"), "{}", run.stderr);
    // FT-510: and it has started and opened nothing.
    assert!(!run.stderr.contains("Connecting") && !run.stderr.contains("listening"), "{}", run.stderr);
    assert_eq!(fs::read(home.path().join(STORE)).unwrap(), before);
    // The first one goes on.
    app.log_in("ann").await;
}

#[tokio::test]
async fn a_newer_format_is_not_touched_and_a_broken_file_set_aside() {
    // T-42, OA-174
    let home = Scratch::empty();
    let file = home.path().join(STORE);
    let newer = "{\"format\": 99, \"clients\": {\"x\": 1}}";
    fs::write(&file, newer).unwrap();
    let run = refused(home.path()).await;
    assert!(run.stderr.contains("99"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
    for broken in [
        "{\"format\": 2, \"clients\"",
        "",
        "[]",
        "null",
        "{\"format\": \"2\"}",
        "{\"format\": 2, \"hmacKey\": \"\"}",
        "\0\0",
    ] {
        fs::write(&file, broken).unwrap();
        let proxy = Proxy::start(config(home.path(), &json!({})), &[]).await;
        proxy.logged("event=store_error").await;
        App::register(&proxy.url("")).await;
        assert_eq!(stored(home.path()).0.as_object().unwrap().len(), 1, "{broken}");
        proxy.log_to_the_end().await;
        let entries = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<PathBuf> =
            entries.filter(|path| path.to_string_lossy().contains(".corrupt-")).collect();
        assert_eq!(aside.len(), 1, "{broken}: {aside:?}");
        assert_eq!((fs::read_to_string(&aside[0]).unwrap(), mode(&aside[0])), (broken.to_owned(), 0o600));
        fs::remove_file(&aside[0]).unwrap();
    }
}

#[tokio::test]
async fn the_file_holds_no_secret() {
    // T-47, OA-172
    let stage = Stage::new(json!({})).await;
    let app = stage.secretive("client_secret_post").await;
    let visit = app.visit();
    let form = visit.form().await;
    let code = form.sign_in("ann").await.code();
    let tokens = app.redeem(&visit, &code).await.tokens();
    let next = app.refresh(&tokens.refresh).await.tokens();
    let unused = app.visit().sign_in("bob").await.code();
    let text = fs::read_to_string(stage.home.path().join(STORE)).unwrap();
    assert!(text.contains(&app.id) && text.contains("ann"), "{text}");
    let secrets = [
        app.secret.as_deref().unwrap(),
        &tokens.access,
        &tokens.refresh,
        &next.access,
        &next.refresh,
        &code,
        &unused,
        &visit.verifier,
        form.field("code_challenge"),
        form.field("form_token"),
    ];
    for secret in secrets {
        // Not even without its prefix.
        let bare = secret.get(8..).unwrap();
        assert!(!text.contains(bare), "{secret} in {text}");
    }
    for (_, password) in super::browser::USERS {
        assert!(!text.contains(password), "{text}");
    }
}

#[tokio::test]
async fn tokens_end_with_the_password_or_the_user() {
    // T-56, OA-158
    let home = Scratch::empty();
    let upstream = json!({"a": stdio()});
    let start = async |users: Value| {
        let proxy = Proxy::start(guarded(home.path(), upstream.clone(), &json!({"users": users})), &[]).await;
        proxy.logged("servers are ready").await;
        proxy
    };
    let users = super::browser::USERS.map(|(name, password)| (name.to_owned(), json!(password)));
    let all: Value = users.clone().into_iter().collect::<serde_json::Map<_, _>>().into();
    let proxy = start(all.clone()).await;
    let mut app = App::register(&proxy.url("")).await;
    let (ann, bob) = (app.log_in("ann").await, app.log_in("bob").await);
    let waiting = app.log_in("ann").await;
    proxy.log_to_the_end().await;

    let mut changed = all.clone();
    changed["ann"] = json!("a new password");
    let proxy = start(changed).await;
    app.base = proxy.url("");
    assert_dead(&app, "/a/mcp", &ann).await;
    let bob = still(&app, &bob).await;
    proxy.log_to_the_end().await;

    let proxy = start(json!({"bob": all["bob"]})).await;
    app.base = proxy.url("");
    assert_dead(&app, "/a/mcp", &ann).await;
    let bob = still(&app, &bob).await;
    proxy.log_to_the_end().await;

    // FT-507: who comes back comes without the old logins, also those that nobody asked for meanwhile.
    let proxy = start(all).await;
    app.base = proxy.url("");
    assert_dead(&app, "/a/mcp", &ann).await;
    assert_dead(&app, "/a/mcp", &waiting).await;
    still(&app, &bob).await;
    let again = app.log_in("ann").await;
    still(&app, &again).await;
}

async fn still(app: &App, tokens: &Tokens) -> Tokens {
    assert_eq!(knock(&app.base, "/a/mcp", &tokens.access).await.status, 200);
    app.refresh(&tokens.refresh).await.tokens()
}

#[tokio::test]
async fn files_of_the_original_are_taken_over_without_their_secrets() {
    // OA-176
    let client = |id: &str, redirect: &str| {
        json!({
            "client_id": id, "client_secret": format!("secret-of-{id}"), "redirect_uris": [redirect],
            "client_id_issued_at": "2025-07-01T12:00:00.5Z", "client_name": "Old", "grant_types": ["authorization_code"],
            "response_types": ["code"], "token_endpoint_auth_method": "client_secret_basic", "scope": "",
        })
    };
    let clients =
        json!({"old": client("old", CALLBACK), "evil": client("evil", "https://evil.test/callback")});
    let token = |client: &str, expires: &str| {
        json!({
            "Token": format!("token-of-{client}"), "RefreshToken": format!("refresh-of-{client}"), "ClientID": client,
            "Scope": "mcp", "Resource": "", "ExpiresAt": expires, "Username": "ann",
        })
    };
    let tokens = json!({
        "token-of-old": token("old", "2099-01-01T00:00:00+02:00"),
        "token-of-evil": token("evil", "2099-01-01T00:00:00Z"),
        "expired": {"Token": "expired", "ClientID": "old", "ExpiresAt": "2020-01-01T00:00:00Z"},
    });
    let newer = json!({"clients": clients, "accessTokens": tokens, "savedAt": "2025-07-02T12:00:00Z"});
    for (file, has_tokens) in [(newer, true), (clients, false)] {
        let home = Scratch::empty();
        fs::write(home.path().join(STORE), file.to_string()).unwrap();
        let proxy = Proxy::start(guarded(home.path(), json!({"a": stdio()}), &json!({})), &[]).await;
        proxy.logged("event=migrated").await;
        proxy.logged("servers are ready").await;
        let base = proxy.url("");
        let app = App { base: base.clone(), id: "old".into(), secret: None, redirect: CALLBACK.into() };
        // With and without its secret, as it was there.
        let tokens = app.log_in("ann").await;
        assert_eq!(knock(&base, "/a/mcp", &tokens.access).await.status, 200);
        App { secret: Some("secret-of-old".into()), ..app.clone() }.log_in("ann").await;
        let wrong = App { secret: Some("wrong".into()), ..app.clone() };
        assert_eq!(wrong.refresh("x").await.error(), (401, "invalid_client".into()));
        let evil = App { id: "evil".into(), redirect: "https://evil.test/callback".into(), ..app.clone() };
        assert_eq!(evil.visit().open().await.status, 400);
        let status = if has_tokens { 200 } else { 401 };
        assert_eq!(knock(&base, "/a/mcp", "token-of-old").await.status, status);
        for dead in ["token-of-evil", "expired"] {
            assert_eq!(knock(&base, "/a/mcp", dead).await.status, 401, "{dead}");
        }
        assert_eq!(app.refresh("refresh-of-old").await.error(), (400, "invalid_grant".into()));
        let text = fs::read_to_string(home.path().join(STORE)).unwrap();
        assert!(text.contains("\"format\":2"), "{text}");
        for secret in ["secret-of", "token-of", "refresh-of"] {
            assert!(!text.contains(secret), "{text}");
        }
        let log = proxy.log_to_the_end().await;
        assert!(!log.contains("secret-of") && !log.contains("token-of"), "{log}");
    }
}

#[tokio::test]
async fn registrations_and_logins_survive_a_restart() {
    // OA-87, OA-151
    let home = Scratch::empty();
    let start = async || {
        let proxy = Proxy::start(guarded(home.path(), json!({"a": stdio()}), &json!({})), &[]).await;
        proxy.logged("servers are ready").await;
        proxy
    };
    let proxy = start().await;
    let mut app = App::register(&proxy.url("")).await;
    let tokens = app.log_in("ann").await;
    let visit = app.visit();
    let code = visit.sign_in("ann").await.code();
    proxy.log_to_the_end().await;
    let proxy = start().await;
    app.base = proxy.url("");
    let visit = app.visit();
    // Codes live in memory only.
    assert_eq!(app.redeem(&visit, &code).await.error(), (400, "invalid_grant".into()));
    still(&app, &tokens).await;
    let page: Answer = visit.sign_in("bob").await;
    app.redeem(&visit, &page.code()).await.tokens();
}
