//! Requests for a login that are not in order: where a browser is sent then, and where not.

use super::one;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{ANN, App, CALLBACK, STATE, parameter, public};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::net::IpAddr;

fn cast() -> Cast {
    one().with_logins(&json!({}))
}

#[test]
fn no_error_leads_a_browser_to_where_it_does_not_belong() {
    // OA-111, OA-112, T-01
    story_of([0, 1, 2, 3], cast(), |w| {
        w.until_open();
        let (app, local) = (w.app("Guest"), w.app_at("Local", "http://127.0.0.1:5555/cb?fixed=1"));
        for redirect in [
            "https://evil.test/cb",
            "https://claude.ai.evil.test/api/mcp/auth_callback",
            "https://claude.ai@evil.test/api/mcp/auth_callback",
            "//evil.test",
            "HTTPS://CLAUDE.AI/api/mcp/auth_callback",
            "https://claude.ai/api/mcp/auth_callback/",
            "https://claude.ai/api/mcp/auth_callback?evil=1",
            "https://claude.ai/api/mcp/%2e%2e/evil",
            "https://claude.ai\\@evil.test/",
            "javascript:alert(1)",
            "http://127.0.0.1.evil.test/cb",
        ] {
            for app in [&app, &local] {
                let path = w.authorize_path(app, &[("redirect_uri", redirect)]);
                let page = w.get(&path);
                assert_eq!((page.status(), page.field("location")), (400, None), "{redirect}");
                assert!(
                    page.links().iter().all(|link| !link.contains("evil") && !link.contains("script")),
                    "{page:?}"
                );
            }
        }
        let form = w.open_form(&local, &[("redirect_uri", "http://127.0.0.1:61234/cb?fixed=1")]);
        let page = w.sign_in(&form, "ann", ANN);
        let link = page.links().into_iter().find(|link| link.contains("code=")).unwrap();
        assert!(link.starts_with("http://127.0.0.1:61234/cb?fixed=1&"), "OA-120: {link}");
    });
}

#[test]
fn errors_are_sent_to_exact_targets_only_and_say_who_sends_them() {
    // OA-113, OA-114, OA-117 to OA-119, T-07, T-09, T-54
    story(cast(), |w| {
        w.until_open();
        let (app, local) = (w.app("Guest"), w.app_at("Local", "http://127.0.0.1:5555/cb"));
        let challenge = app.challenge();
        for (params, code) in [
            (vec![("response_type", "token")], "unsupported_response_type"),
            (vec![("code_challenge", "")], "invalid_request"),
            (vec![("code_challenge", "short")], "invalid_request"),
            (vec![("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge_method", "plain")], "invalid_request"),
            (vec![("resource", "http://localhost:9090/nobody/mcp")], "invalid_target"),
            (vec![("resource", "http://evil.test/fs/mcp")], "invalid_target"),
            (vec![("resource", "/fs/mcp")], "invalid_target"),
            (vec![("scope", "a\"b")], "invalid_scope"),
            (vec![("prompt", "none")], "login_required"),
            (vec![("request", "x")], "request_not_supported"),
            (vec![("request_uri", "https://evil.test/x")], "request_uri_not_supported"),
            (vec![("code_challenge", challenge), ("code_challenge", challenge)], "invalid_request"),
            (vec![("scope", "mcp"), ("scope", "mcp")], "invalid_request"),
        ] {
            let path = w.authorize_path(&app, &params);
            let answer = w.get(&path);
            let url = answer.field("location").unwrap_or_default().to_owned();
            assert!(
                answer.status() == 303 && url.starts_with(&format!("{CALLBACK}?")),
                "{params:?}: {answer:?}"
            );
            assert_eq!(parameter(&url, "error").as_deref(), Some(code), "{params:?}");
            assert_eq!(
                (parameter(&url, "state").as_deref(), parameter(&url, "iss")),
                (Some(STATE), Some(w.url("")))
            );
            let path = w.authorize_path(&local, &params);
            let answer = w.get(&path);
            assert_eq!((answer.status(), answer.field("location")), (400, None), "RFC 9700 section 4.11.2");
            let link =
                answer.links().into_iter().find(|link| link.starts_with("http://127.0.0.1:5555/cb")).unwrap();
            assert_eq!(
                (parameter(&link, "error").as_deref(), parameter(&link, "iss")),
                (Some(code), Some(w.url("")))
            );
        }
        for twice in ["client_id", "redirect_uri"] {
            let path = format!("{}&{twice}=x", w.authorize_path(&app, &[]));
            assert_eq!((w.get(&path).status(), w.get(&path).field("location")), (400, None));
        }
    });
}

#[test]
fn an_unknown_client_of_a_known_target_is_helped_to_register_anew() {
    // T-57, README section 5.1
    story(cast(), |w| {
        w.until_open();
        let (ghost, foreign) =
            (App::new("mcpx_ghost", CALLBACK), App::new("mcpx_ghost", "http://127.0.0.1:1/cb"));
        let path = w.authorize_path(&ghost, &[]);
        let page = w.get(&path);
        assert_eq!((page.status(), page.field("location")), (400, None), "somebody has to press it");
        let link = page.links().into_iter().find(|link| link.starts_with(CALLBACK)).unwrap();
        assert_eq!(
            (parameter(&link, "state").as_deref(), parameter(&link, "iss")),
            (Some(STATE), Some(w.url("")))
        );
        let code = parameter(&link, "code").unwrap();
        assert_eq!(w.redeem(&ghost, &code).error(), (401, "invalid_client".to_owned()));
        let app = w.app("Guest");
        assert_eq!(
            w.redeem(&app, &code).error(),
            (400, "invalid_grant".to_owned()),
            "it is good for nothing"
        );
        let path = w.authorize_path(&foreign, &[]);
        assert!(w.get(&path).links().is_empty());
    });
}

#[test]
fn an_empty_port_is_none_on_loopback_and_refused_at_registration_elsewhere() {
    // FT-511
    let cast = cast().oauth(&json!({"allowedRedirectURIs": ["claude", "loopback", "any-https"]}));
    story_of([0, 1], cast, |w| {
        w.until_open();
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            for port in [":", "", ":7777"] {
                let app = w.app_at("Local", &format!("http://{host}{port}/cb"));
                for asked in [":", "", ":61234"] {
                    let asked = format!("http://{host}{asked}/cb");
                    let form = w.open_form(&app, &[("redirect_uri", &asked)]);
                    let page = w.sign_in(&form, "ann", ANN);
                    let link = page.links().into_iter().find(|link| link.contains("code=")).unwrap();
                    assert!(link.starts_with(&format!("{asked}?")), "{link}");
                    let code = parameter(&link, "code").unwrap();
                    let asking = App { redirect: asked, ..app.clone() };
                    assert_eq!(w.redeem(&asking, &code).status(), 200);
                }
            }
        }
        for target in [
            "https://app.example:/cb",
            "https://localhost:/cb",
            "https://[2001:db8::1]:",
            "https://192.0.2.1:/?a",
        ] {
            let answer = w.register(&public("Hosted", target));
            assert_eq!(answer.error(), (400, "invalid_redirect_uri".to_owned()), "{target}");
            assert!(answer.body.contains("port behind the colon"), "{target}: {}", answer.body);
            let app = w.app_at("Hosted", "https://app.example/cb");
            let path = w.authorize_path(&app, &[("redirect_uri", target)]);
            assert_eq!((w.get(&path).status(), w.get(&path).field("location")), (400, None), "{target}");
        }
    });
}

#[test]
fn ways_back_for_unknown_clients_are_given_at_a_bounded_rate() {
    // FT-511, limit: RECONNECTS_PER_MINUTE, RECONNECTS_ALL_PER_MINUTE
    let address = |net: u8, last: u8| IpAddr::from([203, 0, net, last]);
    story_of([0], cast(), |w| {
        w.until_open();
        let ghost = App::new("mcpx_ghost", CALLBACK);
        let path = w.authorize_path(&ghost, &[]);
        let offered = |w: &mut World| {
            let page = w.get(&path);
            let link = page.links().iter().any(|link| link.starts_with(CALLBACK));
            let wait: Option<u64> = page.field("retry-after").map(|wait| wait.parse().unwrap());
            assert_eq!((link, wait.is_some()), (page.status() == 400, page.status() == 429), "{page:?}");
            wait
        };
        w.visitors_from = address(113, 1);
        let waits: Vec<_> = (0..60).map(|_| offered(w)).collect();
        let given = waits.iter().filter(|wait| wait.is_none()).count();
        assert!((30..=32).contains(&given), "{given}");
        let wait = offered(w).unwrap();
        assert!((1..=2).contains(&wait), "{wait}");
        let json = w.visit("GET", &path, &[("accept", "application/json")], "");
        assert_eq!((json.status(), json.links().len()), (400, 0), "a program gets no way back");
        let foreign = w.authorize_path(&App::new("mcpx_ghost", "http://127.0.0.1:1/cb"), &[]);
        assert_eq!(w.get(&foreign).status(), 400, "and of another target nobody");
        // Who is known is not concerned.
        let app = w.app("Guest");
        w.open_form(&app, &[]);
        w.run_ms(wait * 1_000);
        assert_eq!(offered(w), None);
        // Nobody else waits for this address, until all have had their share.
        let mut all = 0;
        for last in 0..=99 {
            w.visitors_from = address(114, last);
            all += (0..5).filter(|_| offered(w).is_none()).count();
        }
        assert!((200..400).contains(&all), "{all}");
        assert!(offered(w).is_some());
        w.run_ms(61_000);
        assert_eq!(offered(w), None);
    });
}
