//! Codes and refresh tokens: what they are good for, once, and what happens when they come again.

use super::one;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{App, CALLBACK, redeeming, tokens};
use mcp_proxy_tests::story::{story, story_of};
use serde_json::json;

fn cast() -> Cast {
    one().with_logins(&json!({}))
}

fn dead() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

fn other(code: &str) -> (u16, String) {
    (400, code.to_owned())
}

#[test]
fn a_code_is_good_for_two_minutes_and_once() {
    // OA-131, OA-144, T-06
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let (early, late) = (w.code(&app, "ann", &[]), w.code(&app, "ben", &[]));
        w.run_ms(118_000);
        let answer = w.redeem(&app, &early);
        assert_eq!(answer.status(), 200);
        w.run_ms(3_000);
        assert_eq!(w.redeem(&app, &late).error(), dead());
        let first = tokens(&answer);
        let next = w.renewed(&app, &first.refresh);
        assert_eq!(w.opens("fs", &first.access), 200);
        assert_eq!(w.redeem(&app, &early).error(), dead(), "somebody has it twice");
        assert_eq!((w.opens("fs", &first.access), w.opens("fs", &next.access)), (401, 401));
        assert_eq!(w.refresh(&app, &next.refresh).error(), dead());
        assert_eq!(w.redeem(&app, "mcpx_ac_unknown").error(), dead());
    });
}

#[test]
fn of_many_who_present_a_code_at_once_one_wins_and_loses_it_again() {
    // T-06
    story_of(0..12, cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let code = w.code(&app, "ann", &[]);
        let all: Vec<_> = (0..50).map(|_| w.begin_redeem(&app, &code)).collect();
        let answers: Vec<_> = all.into_iter().map(|xid| w.issued(xid)).collect();
        let won: Vec<_> = answers.iter().filter(|answer| answer.status() == 200).map(tokens).collect();
        assert_eq!(won.len(), 1);
        assert!(answers.iter().all(|answer| answer.status() == 200 || answer.error() == dead()));
        assert_eq!(w.opens("fs", &won[0].access), 401);
        assert_eq!(w.refresh(&app, &won[0].refresh).error(), dead());
    });
}

#[test]
fn a_code_is_bound_to_all_of_its_request() {
    // OA-142, OA-145, OA-148, T-05, T-07, T-08
    story(cast(), |w| {
        w.until_open();
        let (app, second) = (w.app("Guest"), App { pkce: 1, ..w.app("Other guest") });
        let wrong_verifier = App { pkce: 2, ..app.clone() };
        let wrong_target =
            App { redirect: "https://claude.com/api/mcp/auth_callback".to_owned(), ..app.clone() };
        let foreign = App { pkce: 0, ..second.clone() };
        let mut bodies = Vec::new();
        for thief in [&wrong_verifier, &wrong_target, &foreign, &second] {
            let code = w.code(&app, "ann", &[]);
            let answer = w.redeem(thief, &code);
            assert_eq!(answer.error(), dead());
            bodies.push(answer.body);
            assert_eq!(w.redeem(&app, &code).error(), dead(), "it was burnt by its first presentation");
        }
        bodies.push(w.redeem(&app, "mcpx_ac_unknown").body);
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        let code = w.code(&app, "ann", &[]);
        let without = |name: &str| -> Vec<(&str, &str)> {
            redeeming(&app, &code).into_iter().filter(|(known, _)| *known != name).collect()
        };
        assert_eq!(w.token(&app, &without("code")).error(), other("invalid_request"));
        assert_eq!(w.token(&app, &without("grant_type")).error(), other("invalid_request"));
        assert_eq!(w.token(&app, &[("grant_type", "password")]).error(), other("unsupported_grant_type"));
        assert_eq!(w.token(&app, &without("code_verifier")).error(), other("invalid_request"));
        let nobody = App::new("nobody", CALLBACK);
        assert_eq!(w.redeem(&nobody, &code).error(), (401, "invalid_client".to_owned()));
    });
}

#[test]
fn a_redirect_uri_may_be_left_out_and_must_not_differ() {
    // FT-511
    story(cast(), |w| {
        w.until_open();
        let empty_port = "http://127.0.0.1:/cb?a=b";
        for redirect in [CALLBACK, "http://127.0.0.1:5555/cb", empty_port] {
            let app = w.app_at("Guest", redirect);
            let code = w.code(&app, "ann", &[]);
            let rest: Vec<_> =
                redeeming(&app, &code).into_iter().filter(|(name, _)| *name != "redirect_uri").collect();
            let answer = w.token(&app, &rest);
            assert_eq!(answer.status(), 200, "{redirect}");
            assert_eq!(w.opens("fs", &tokens(&answer).access), 200);
            let valueless = w.code(&app, "ann", &[]);
            let mut params = redeeming(&app, &valueless);
            params[3].1 = "";
            assert_eq!(w.token(&app, &params).status(), 200, "no value is none");
            let longer = format!("{redirect}/");
            for other in
                ["https://evil.test/cb", "x", "http://127.0.0.1:5556/cb", "http://localhost:5555/cb", &longer]
            {
                let code = w.code(&app, "ann", &[]);
                let mut params = redeeming(&app, &code);
                params[3].1 = other;
                assert_eq!(w.token(&app, &params).error(), dead(), "{redirect} {other}");
            }
        }
    });
}

#[test]
fn a_confidential_client_proves_who_it_is() {
    // OA-71, OA-146, OA-147
    story(cast(), |w| {
        w.until_open();
        for method in ["client_secret_post", "client_secret_basic"] {
            let answer =
                w.register(&json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": method}));
            let json = answer.json();
            assert_eq!(json["client_secret_expires_at"], json!(0));
            let secret = json["client_secret"].as_str().unwrap().to_owned();
            let app = App { secret: Some(secret), ..App::new(json["client_id"].as_str().unwrap(), CALLBACK) };
            let without = App { secret: None, ..app.clone() };
            let wrong = App { secret: Some("wrong".to_owned()), ..app.clone() };
            let code = w.code(&app, "ann", &[]);
            for bad in [&without, &wrong] {
                assert_eq!(w.redeem(bad, &code).error(), (401, "invalid_client".to_owned()));
            }
            let first = tokens(&w.redeem(&app, &code));
            for bad in [&without, &wrong] {
                assert_eq!(w.refresh(bad, &first.refresh).error(), (401, "invalid_client".to_owned()));
                assert_eq!(w.revoke(bad, &first.refresh).error(), (401, "invalid_client".to_owned()));
            }
            w.renewed(&app, &first.refresh);
        }
    });
}

#[test]
fn refreshes_at_once_all_get_the_same_tokens() {
    // OA-150, OA-152, T-39
    story_of(0..12, cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let first = w.log_in(&app, "ann", &[]);
        let all: Vec<_> = (0..20).map(|_| w.begin_refresh(&app, &first.refresh)).collect();
        let got: Vec<_> = all.into_iter().map(|xid| tokens(&w.issued(xid))).collect();
        assert!(got.iter().all(|each| *each == got[0]), "one successor");
        w.run_ms(100_000);
        assert_eq!(w.renewed(&app, &first.refresh), got[0], "for two minutes");
        assert!(w.watch.logged("event=refresh_grace"));
        let next = w.renewed(&app, &got[0].refresh);
        for token in [&first, &got[0], &next] {
            assert_eq!(w.opens("fs", &token.access), 200, "calls are under way with the old ones");
        }
    });
}

#[test]
fn a_refresh_token_that_comes_again_late_ends_everything() {
    // OA-153, T-38
    for (setting, survives) in [("revoke", false), ("reject", true)] {
        story(cast().oauth(&json!({"refreshReuse": setting})), |w| {
            w.until_open();
            let app = w.app("Guest");
            let (first, beside) = (w.log_in(&app, "ann", &[]), w.log_in(&app, "ann", &[]));
            let second = w.renewed(&app, &first.refresh);
            w.run_ms(121_000);
            assert_eq!(w.refresh(&app, &first.refresh).error(), dead());
            assert!(w.watch.logged("event=refresh_reuse"));
            assert_eq!(w.opens("fs", &second.access), if survives { 200 } else { 401 });
            assert_eq!(w.refresh(&app, &second.refresh).status(), if survives { 200 } else { 400 });
            w.renewed(&app, &beside.refresh);
        });
    }
}

#[test]
fn without_a_grace_a_refresh_token_is_good_once() {
    // OA-150, OA-153
    story(cast().oauth(&json!({"refreshGraceSeconds": 0})), |w| {
        w.until_open();
        let app = w.app("Guest");
        let first = w.log_in(&app, "ann", &[]);
        let both = [w.begin_refresh(&app, &first.refresh), w.begin_refresh(&app, &first.refresh)];
        let answers = both.map(|xid| w.issued(xid));
        let good: Vec<_> = answers.iter().filter(|answer| answer.status() == 200).collect();
        assert_eq!(good.len(), 1, "{answers:?}");
        assert_eq!(w.opens("fs", &tokens(good[0]).access), 401);
    });
}

#[test]
fn after_a_restart_a_family_grows_by_few_siblings() {
    // OA-152, T-39
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let first = w.log_in(&app, "ann", &[]);
        let mut leaves = vec![w.renewed(&app, &first.refresh)];
        for _ in 0..6 {
            w.crash_here();
            w.until_open();
            let answer = w.refresh(&app, &first.refresh);
            if answer.status() == 200 {
                leaves.push(tokens(&answer));
            } else {
                assert_eq!(answer.error(), dead());
            }
        }
        assert_eq!(leaves.len(), 4);
        for leaf in &leaves {
            assert_eq!(w.opens("fs", &leaf.access), 200);
        }
        let next = w.renewed(&app, &leaves[0].refresh);
        w.revoke(&app, &next.refresh);
        for leaf in &leaves {
            assert_eq!(w.opens("fs", &leaf.access), 401);
        }
    });
}

#[test]
fn what_belongs_to_another_client_is_left_unharmed() {
    // OA-154, OA-159
    story(cast(), |w| {
        w.until_open();
        let (app, thief) = (w.app("Guest"), w.app("Thief"));
        let first = w.log_in(&app, "ann", &[]);
        assert_eq!(w.refresh(&thief, &first.refresh).error(), dead());
        for token in [&first.refresh, &first.access, "nonsense"] {
            assert_eq!(w.revoke(&thief, token).status(), 200);
        }
        assert_eq!(w.opens("fs", &first.access), 200);
        let second = w.renewed(&app, &first.refresh);
        assert_eq!(w.revoke(&app, &second.access).status(), 200);
        assert_eq!(
            (w.opens("fs", &second.access), w.opens("fs", &first.access)),
            (401, 200),
            "only that token"
        );
        w.renewed(&app, &second.refresh);
    });
}

#[test]
fn the_oldest_of_very_many_logins_of_one_user_end() {
    // T-28
    story_of([0], cast().calm(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let logins: Vec<_> = (0..25)
            .map(|_| {
                w.run_ms(2_100);
                w.log_in(&app, "ann", &[])
            })
            .collect();
        let alive: Vec<u16> = logins.iter().map(|login| w.opens("fs", &login.access)).collect();
        assert!(
            alive[..5].iter().all(|status| *status == 401) && alive[5..].iter().all(|status| *status == 200)
        );
    });
}
