//! Who may do what with a token: audiences, users, sessions, streams, and what lies beside logins.

use super::{KINDS, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, MERGED, Progress, Xid};
use mcp_proxy_tests::login::{ANN, BEN, code_in, parameter};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;

const PING: &str = r#"{"jsonrpc":"2.0","id":999,"method":"ping"}"#;

fn cast() -> Cast {
    three().stdio("db").with_logins(&json!({}))
}

fn bearer(token: &str) -> impl Fn(&mut Client) {
    let value = format!("Bearer {token}");
    move |client| client.fields = vec![("authorization".to_owned(), value.clone())]
}

#[test]
fn a_token_for_one_server_opens_no_other() {
    // OA-56, OA-57, OA-115, OA-149, T-10
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let (fs, web) = (w.url("fs"), w.url("web"));
        let one = w.log_in(&app, "ann", &[("resource", &fs)]);
        let two = w.log_in(&app, "ann", &[("resource", &fs), ("resource", &web)]);
        let all = w.log_in(&app, "ann", &[]);
        for (token, opens) in
            [(&one, [200, 401, 401, 401]), (&two, [200, 200, 401, 401]), (&all, [200, 200, 200, 200])]
        {
            let seen = ["fs", "web", "old", "db"].map(|server| w.opens(server, &token.access));
            assert_eq!(seen, opens);
            assert_eq!(w.opens(MERGED, &token.access), 200);
        }
        let foreign = w.knock("/web/mcp", &one.access);
        assert_eq!(foreign, w.knock("/web/mcp", "mcpx_at_unknown"), "nobody can tell why");
        let refresh = |w: &mut World, resource: &str, token: &str| {
            let url = if resource.contains("://") { resource.to_owned() } else { w.url(resource) };
            let params =
                [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", url.as_str())];
            w.token(&app, &params)
        };
        for wide in ["web", "", "nobody", "http://evil.test/fs/mcp", "http://localhost:9090/fs/../fs/mcp"] {
            assert_eq!(refresh(w, wide, &one.refresh).error(), (400, "invalid_target".to_owned()), "{wide}");
        }
        let narrow = refresh(w, "web", &two.refresh);
        let narrow = mcp_proxy_tests::login::tokens(&narrow);
        assert_eq!((w.opens("web", &narrow.access), w.opens("fs", &narrow.access)), (200, 401));
        let wide = w.renewed(&app, &narrow.refresh);
        assert_eq!(w.opens("fs", &wide.access), 200, "the login itself is as wide as it was");
    });
}

#[test]
fn a_login_that_names_no_server_is_for_what_the_operator_says() {
    // OA-116
    for (setting, code) in
        [("all", None), ("single", Some("invalid_target")), ("require", Some("invalid_target"))]
    {
        story_of([0, 1, 2], cast().oauth(&json!({"defaultResource": setting})), |w| {
            w.until_open();
            let app = w.app("Guest");
            let path = w.authorize_path(&app, &[]);
            let answer = w.get(&path);
            let error = answer.field("location").and_then(|url| parameter(url, "error"));
            assert_eq!((answer.status(), error.as_deref()), (if code.is_some() { 303 } else { 200 }, code));
            let fs = w.url("fs");
            let token = w.log_in(&app, "ann", &[("resource", &fs)]).access;
            assert_eq!(w.opens("fs", &token), 200);
        });
    }
}

#[test]
fn a_user_outside_a_filter_is_told_so_and_not_sent_round_in_circles() {
    // OA-59, T-37
    let cast = cast().options("db", json!({"userFilter": {"mode": "allow", "list": ["ann"]}}));
    story(cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        let db = w.url("db");
        let form = w.open_form(&app, &[("resource", &db)]);
        let page = w.sign_in(&form, "ben", BEN);
        assert_eq!((page.status(), code_in(&page)), (403, None));
        assert!(page.body.contains("not permitted"), "{}", page.body);
        let ben = w.log_in(&app, "ben", &[]).access;
        let refused = w.knock("/db/mcp", &ben);
        assert_eq!(refused.error(), (403, "access_denied".to_owned()));
        assert_eq!(refused.field("www-authenticate"), None);
        assert_eq!(w.opens("fs", &ben), 200);
        let ann = w.log_in(&app, "ann", &[("resource", &db)]).access;
        assert_eq!(w.opens("db", &ann), 200);
        // The filter is as it is now, not as it was at the login.
        w.recast(|cast| cast.options("db", json!({"userFilter": {"mode": "block", "list": ["ann"]}})));
        w.crash_here();
        w.until_open();
        assert_eq!((w.opens("db", &ann), w.opens("db", &ben)), (403, 200));
    });
}

#[test]
fn tokens_of_the_configuration_stand_beside_logins() {
    // OA-14, OA-60
    let cast = cast()
        .options("fs", json!({"authTokens": ["static-of-fs"]}))
        .options("web", json!({"authTokens": ["static-of-web"]}))
        .options("old", json!({"oauth2": {"enabled": false}}))
        .secret("static-of-fs")
        .secret("static-of-web");
    story(cast.clone(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let login = w.log_in(&app, "ann", &[]).access;
        for (token, opens) in [
            ("static-of-fs", [200, 401, 200, 401]),
            ("static-of-web", [401, 200, 200, 401]),
            ("", [401, 401, 200, 401]),
            (login.as_str(), [200, 200, 200, 200]),
        ] {
            assert_eq!(["fs", "web", "old", "db"].map(|server| w.opens(server, token)), opens, "{token}");
        }
        for (token, servers) in
            [("static-of-fs", vec!["fs", "old"]), (&login, vec!["fs", "web", "old", "db"])]
        {
            let c = w.client_with(MERGED, Kind::Streamable, bearer(token));
            let expected: Vec<String> =
                servers.iter().flat_map(|s| [format!("{s}__prompt0"), format!("{s}__prompt1")]).collect();
            assert_eq!(w.listed(c, "prompts/list"), expected);
        }
    });
    story_of([0, 2], cast.oauth(&json!({"staticTokens": false})), |w| {
        w.until_open();
        for (token, server) in [("static-of-fs", "fs"), ("static-of-web", "web"), ("static-of-fs", MERGED)] {
            assert_eq!(w.opens(server, token), 401);
        }
        assert_eq!(w.opens("old", ""), 200);
        let app = w.app("Guest");
        let login = w.log_in(&app, "ann", &[]).access;
        assert_eq!(w.opens("fs", &login), 200);
    });
}

#[test]
fn the_merged_endpoint_shows_what_user_and_token_open() {
    // OA-59, BR-55
    let cast = cast()
        .options("db", json!({"userFilter": {"mode": "allow", "list": ["ann"]}}))
        .options("old", json!({"userFilter": {"mode": "block", "list": ["ann"]}}));
    story(cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        let web = w.url("web");
        let ann = w.log_in(&app, "ann", &[]).access;
        let ben = w.log_in(&app, "ben", &[]).access;
        let narrow = w.log_in(&app, "ben", &[("resource", &web)]).access;
        for kind in KINDS {
            for (token, servers, hidden) in [
                (&ann, vec!["fs", "web", "db"], "old"),
                (&ben, vec!["fs", "web", "old"], "db"),
                (&narrow, vec!["web"], "fs"),
            ] {
                let c = w.client_with(MERGED, kind, bearer(token));
                let expected: Vec<String> =
                    servers.iter().flat_map(|s| [format!("{s}__prompt0"), format!("{s}__prompt1")]).collect();
                assert_eq!(w.listed(c, "prompts/list"), expected);
                for server in servers {
                    assert_eq!(w.call(c, &format!("{server}__echo"), json!({"text": server})), server);
                }
                assert_eq!(w.error_of(c, "tools/call", json!({"name": format!("{hidden}__echo")})), -32602);
            }
        }
    });
}

/// Tries a session by every method.
fn statuses(w: &mut World, client: usize) -> Vec<u16> {
    let post = w.post_wait(client, PING).status();
    if w.clients[client].kind == Kind::Sse {
        return vec![post];
    }
    let get = w.listen(client);
    let index = w.clients[client].delete(&mut w.net);
    let delete = w.response(Xid { client, index }).status();
    vec![post, w.exchange(get).status(), delete]
}

#[test]
fn a_session_is_of_its_user_and_application_and_outlives_its_token() {
    // OA-62, T-35, T-36
    let cast = cast().options("fs", json!({"authTokens": ["static-of-fs"]})).secret("static-of-fs");
    story(cast, |w| {
        w.until_open();
        let (app, other) = (w.app("Guest"), w.app("Other guest"));
        for (kind, server) in KINDS.into_iter().flat_map(|kind| ["fs", MERGED].map(|server| (kind, server))) {
            let first = w.log_in(&app, "ann", &[]);
            let c = w.client_with(server, kind, bearer(&first.access));
            let tool = if server == MERGED { "fs__echo" } else { "echo" };
            let ben = w.log_in(&app, "ben", &[]).access;
            let elsewhere = w.log_in(&other, "ann", &[]).access;
            for token in [&ben, &elsewhere, "static-of-fs"] {
                let thief = w.stranger_with(server, kind, bearer(token));
                w.clients[thief].session = w.clients[c].session.clone();
                w.clients[thief].endpoint = w.clients[c].endpoint.clone();
                assert!(statuses(w, thief).iter().all(|status| *status == 404), "{server}");
            }
            let next = w.renewed(&app, &first.refresh);
            bearer(&next.access)(&mut w.clients[c]);
            assert_eq!(w.call(c, tool, json!({"text": "refreshed"})), "refreshed");
            let anew = w.log_in(&app, "ann", &[]);
            bearer(&anew.access)(&mut w.clients[c]);
            assert_eq!(w.call(c, tool, json!({"text": "anew"})), "anew");
            assert_eq!(w.revoke(&app, &anew.refresh).status(), 200);
            assert_eq!(w.post_wait(c, PING).status(), 401);
            bearer(&next.access)(&mut w.clients[c]);
            assert_eq!(w.call(c, tool, json!({"text": "again"})), "again");
        }
    });
}

#[test]
fn a_narrowed_scope_opens_nothing_and_says_which_is_missing() {
    // OA-65, OA-130, OA-156
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let wide = w.log_in(&app, "ann", &[("scope", "mcp offline_access claudeai")]);
        assert_eq!(wide.scope, "mcp offline_access");
        let refresh = |scope| [("grant_type", "refresh_token"), ("scope", scope)];
        let params = [&refresh("offline_access")[..], &[("refresh_token", wide.refresh.as_str())]].concat();
        let narrow = mcp_proxy_tests::login::tokens(&w.token(&app, &params));
        assert_eq!(narrow.scope, "offline_access");
        for path in ["/fs/mcp", "/mcp"] {
            let refused = w.knock(path, &narrow.access);
            assert_eq!(refused.error(), (403, "insufficient_scope".to_owned()));
            let challenge = refused.field("www-authenticate").unwrap();
            assert!(
                challenge.contains("scope=\"mcp\"") && challenge.contains("resource_metadata=\""),
                "{challenge}"
            );
        }
        let back = w.renewed(&app, &narrow.refresh);
        assert_eq!((back.scope.as_str(), w.opens("fs", &back.access)), ("mcp offline_access", 200));
        let small = w.log_in(&app, "ann", &[("scope", "mcp")]);
        let params =
            [&refresh("mcp offline_access")[..], &[("refresh_token", small.refresh.as_str())]].concat();
        assert_eq!(w.token(&app, &params).error(), (400, "invalid_scope".to_owned()));
        assert_eq!(w.renewed(&app, &small.refresh).scope, "mcp", "and nothing was used up");
    });
}

#[test]
fn streams_end_with_their_token_and_others_go_on() {
    // OA-63, T-56
    let cast = cast()
        .oauth(&json!({"tokenExpirationMinutes": 5}))
        .options("fs", json!({"authTokens": ["static-of-fs"]}));
    story(cast.secret("static-of-fs"), |w| {
        w.until_open();
        let app = w.app("Guest");
        for kind in KINDS {
            let first = w.log_in(&app, "ann", &[]);
            w.run_ms(100_000);
            let second = w.log_in(&app, "ben", &[]);
            let open = |w: &mut World, server: &str, token: &str| -> Xid {
                let client = w.client_with(server, kind, bearer(token));
                match w.clients[client].stream {
                    Some(index) => Xid { client, index },
                    None => w.listen(client),
                }
            };
            let runs = |w: &World, xid: Xid| w.exchange(xid).progress == Progress::Running;
            let (a, b, c) = (
                open(w, "fs", &first.access),
                open(w, MERGED, &second.access),
                open(w, "fs", "static-of-fs"),
            );
            w.run_ms(65_000);
            assert_eq!((runs(w, a), runs(w, b), runs(w, c)), (true, true, true));
            w.revoke(&app, &first.access);
            w.run_ms(61_000);
            assert_eq!((runs(w, a), runs(w, b), runs(w, c)), (false, true, true));
            w.check_echo(c.client);
            w.run_ms(300_000 + 61_000 - 126_000);
            assert_eq!((runs(w, b), runs(w, c)), (false, true), "five minutes and one");
            w.check_echo(c.client);
        }
    });
}

#[test]
fn nothing_of_a_login_goes_upstream() {
    // OA-61, T-12
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let token = w.log_in(&app, "ann", &[]).access;
        for (server, prefix) in [("web", ""), ("old", ""), (MERGED, "web__")] {
            let c = w.client_with(server, Kind::Streamable, |client| {
                bearer(&token)(client);
                client.fields.push(("cookie".to_owned(), "sid=cookie-of-ann".to_owned()));
                client.fields.push(("x-forwarded-for".to_owned(), "198.51.100.7".to_owned()));
            });
            assert_eq!(w.call(c, &format!("{prefix}echo"), json!({"text": "hi"})), "hi");
        }
        for hit in w.sites.iter().flat_map(|site| &site.hits) {
            let text = format!("{:?} {}", hit.head, hit.body);
            assert!(!text.contains(&token) && !text.contains("cookie-of-ann"), "{text}");
            assert!(
                !hit.head.fields.iter().any(|(name, _)| ["authorization", "cookie"].contains(&name.as_str()))
            );
        }
    });
}

#[test]
fn a_user_who_is_gone_or_has_another_password_is_out() {
    // OA-158, T-56
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let (ann, ben) = (w.log_in(&app, "ann", &[]), w.log_in(&app, "ben", &[]));
        w.recast(|cast| cast.oauth(&json!({"users": {"ann": "another-password", "cat": ANN, "ben": BEN}})));
        w.watch.guard("another-password");
        w.crash_here();
        w.until_open();
        assert_eq!((w.opens("fs", &ann.access), w.opens("fs", &ben.access)), (401, 200));
        assert_eq!(w.refresh(&app, &ann.refresh).error(), (400, "invalid_grant".to_owned()));
        w.recast(|cast| cast.oauth(&json!({"users": {"ann": ANN}})));
        w.crash_here();
        w.until_open();
        assert_eq!((w.opens("fs", &ann.access), w.opens("fs", &ben.access)), (401, 401));
        for gone in [&ann, &ben] {
            assert_eq!(w.refresh(&app, &gone.refresh).error(), (400, "invalid_grant".to_owned()));
        }
        let again = w.log_in(&app, "ann", &[]);
        assert_eq!(w.opens("fs", &again.access), 200);
    });
}

#[test]
fn a_user_who_was_removed_or_had_another_password_meanwhile_gets_nothing_back() {
    // FT-507
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let (ann, ben) = (w.log_in(&app, "ann", &[]), w.log_in(&app, "ben", &[]));
        let kept = w.log_in(&app, "ben", &[]);
        w.watch.guard("another-password");
        for users in [json!({"ann": "another-password"}), json!({"ann": ANN, "ben": BEN})] {
            // Nobody needs to ask while they are away.
            w.recast(|cast| cast.oauth(&json!({"users": users})));
            w.crash_here();
            w.until_open();
            w.run_ms(2_000);
        }
        for old in [&ann, &ben, &kept] {
            assert_eq!(w.opens("fs", &old.access), 401);
            assert_eq!(w.refresh(&app, &old.refresh).error(), (400, "invalid_grant".to_owned()));
        }
        assert!(!w.disk.logins().contains("\"ben\""), "nothing of it is kept");
        for user in ["ann", "ben"] {
            let again = w.log_in(&app, user, &[]);
            assert_eq!(w.opens("fs", &again.access), 200);
        }
    });
}
