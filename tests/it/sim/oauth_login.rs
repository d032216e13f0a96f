//! The login page: what passes it, what it says to whom, and how often it may be tried.

use super::one;
use mcp_proxy_core::event::StoreKey;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{ANN, Answer, App, BEN, CALLBACK, FORM, Form, STATE, code_in};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::net::IpAddr;

const OTHER_CALLBACK: &str = "https://claude.com/api/mcp/auth_callback";

fn cast() -> Cast {
    one().with_logins(&json!({}))
}

fn from(w: &mut World, last: u8) {
    w.visitors_from = IpAddr::from([198, 51, 100, last]);
}

/// A page without what differs on every page, and with this user under another name.
fn normal(page: &Answer, user: &str) -> (u16, Vec<(String, String)>, String) {
    let token = Form::of(page).get("form_token").to_owned();
    let policy = page.field("content-security-policy").expect("a policy");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    let clean = |text: &str| text.replace(nonce, "NONCE").replace(&token, "TOKEN").replace(user, "USER");
    let fields = page.head.iter().flat_map(|head| &head.fields).filter(|(name, _)| name != "date");
    let fields = fields.map(|(name, value)| (name.clone(), clean(value))).collect();
    (page.status(), fields, clean(&page.body))
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    // OA-121, OA-122, T-14
    for cast in [cast(), cast().with_own_pages(), cast().hashed_user("cat", "password-of-cat")] {
        story_of([0, 1, 2, 5], cast, |w| {
            w.until_open();
            let app = w.app("Guest");
            let form = w.open_form(&app, &[("resource", &w.url("fs")), ("scope", "mcp")]);
            let derived = w.derived;
            let wrong = w.sign_in(&form, "ann", "not-it");
            let known = w.derived - derived;
            let unknown = w.sign_in(&form, "zoe", "not-it");
            assert_eq!(w.derived - derived, 2 * known, "both cost the same");
            assert_eq!(normal(&wrong, "ann"), normal(&unknown, "zoe"));
            assert_eq!((wrong.status(), code_in(&wrong)), (200, None));
            assert!(wrong.body.contains("Invalid username or password. Please try again."));
            let again = Form::of(&wrong);
            assert_eq!(
                (again.get("username"), again.get("password"), again.get("state")),
                ("ann", "", STATE)
            );
            for name in ["client_id", "redirect_uri", "code_challenge", "resource", "scope", "response_type"]
            {
                assert_eq!(again.get(name), form.get(name));
            }
            assert!(code_in(&w.sign_in(&again, "ann", ANN)).is_some());
        });
    }
}

#[test]
fn every_password_is_compared_off_the_engine_if_one_is_hashed() {
    // OA-122, OA-133, T-14, T-16
    story(cast().hashed_user("cat", "password-of-cat"), |w| {
        w.until_open();
        let app = w.app("Guest");
        let form = w.open_form(&app, &[]);
        for (count, (user, password, good)) in (1..).zip([
            ("cat", "password-of-cat", true),
            ("cat", "not-it", false),
            ("ann", ANN, true),
            ("ann", "not-it", false),
            ("zoe", "not-it", false),
            ("zoe", "", false),
            ("", "not-it", false),
        ]) {
            let form = if good { w.open_form(&app, &[]) } else { form.clone() };
            let begun = w.now_ms();
            let page = w.sign_in(&form, user, password);
            assert_eq!((code_in(&page).is_some(), w.derived), (good, count), "{user} {password}");
            assert!(w.now_ms() - begun >= 50, "the answer waits for the comparison");
        }
        let long = w.sign_in(&form, "cat", &"x".repeat(2_000));
        assert_eq!(code_in(&long), None);
    });
    story_of([0], cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        w.log_in(&app, "ann", &[]);
        assert_eq!(w.derived, 0, "plain ones need no hash");
    });
}

#[test]
fn many_who_sign_in_at_once_wait_their_turn_or_are_told_to_come_back() {
    // T-16
    let cast = cast().hashed_user("cat", "password-of-cat");
    let rate =
        json!({"loginRateLimit": {"addressPerMinute": 1000, "globalPerMinute": 1000, "quickTries": 1000}});
    story_of([0, 2, 4], cast.oauth(&rate), |w| {
        w.until_open();
        let app = w.app("Guest");
        let token = w.log_in(&app, "ann", &[]).access;
        let form = w.open_form(&app, &[]);
        let all: Vec<_> = (0..100).map(|n| w.begin_login(&form, &format!("user-{n}"), "not-it")).collect();
        assert_eq!(w.opens("fs", &token), 200);
        let pages: Vec<u16> = all.into_iter().map(|xid| w.signed_in(xid).status()).collect();
        assert!(pages.iter().all(|status| [200, 503].contains(status)), "{pages:?}");
        assert!(pages.contains(&200));
        assert!(code_in(&w.sign_in(&form, "cat", "password-of-cat")).is_some());
    });
}

#[test]
fn one_password_is_compared_at_a_time_and_nobody_waits_for_long() {
    // FT-503
    let rate =
        json!({"loginRateLimit": {"addressPerMinute": 1000, "globalPerMinute": 1000, "quickTries": 1000}});
    story_of([0], cast().hashed_user("cat", "password-of-cat").oauth(&rate), |w| {
        w.until_open();
        let app = w.app("Guest");
        let form = w.open_form(&app, &[]);
        from(w, 1);
        assert!(code_in(&w.sign_in(&form, "cat", "password-of-cat")).is_some());
        w.hashing_ms = 400;
        from(w, 2);
        let all: Vec<_> = (0..70).map(|n| w.begin_login(&form, &format!("user-{n}"), "not-it")).collect();
        w.run_ms(1_000);
        from(w, 1);
        let form = w.open_form(&app, &[]);
        let start = w.now_ms();
        assert!(code_in(&w.sign_in(&form, "cat", "password-of-cat")).is_some());
        assert!(w.now_ms() - start < 1_500, "who is known goes first");
        let pages: Vec<u16> = all.into_iter().map(|xid| w.signed_in(xid).status()).collect();
        assert!(w.now_ms() - start < 10_500, "the wait has a bound");
        assert_eq!(w.hashing_most, 1);
        let counts = [200, 503].map(|status| pages.iter().filter(|page| **page == status).count());
        assert!(counts[0] >= 20 && counts[1] >= 40 && counts[0] + counts[1] == 70, "{counts:?}");
    });
}

#[test]
fn guessing_is_slowed_down_and_nobody_else_is() {
    // OA-132, T-15, T-55
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        from(w, 1);
        let form = w.open_form(&app, &[]);
        let statuses: Vec<u16> = (0..100).map(|_| w.sign_in(&form, "ann", "not-it").status()).collect();
        assert_eq!(statuses[..5], [200; 5]);
        assert!(statuses[5..].iter().filter(|status| **status == 429).count() > 90, "{statuses:?}");
        let refused = w.sign_in(&form, "ann", ANN);
        assert_eq!((refused.status(), code_in(&refused)), (429, None), "the right one neither");
        let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
        assert!(Form::of(&refused).get("username") == "ann" && refused.body.contains(&format!("{wait} s")));
        from(w, 2);
        let other = w.open_form(&app, &[]);
        assert!(code_in(&w.sign_in(&other, "ann", ANN)).is_some(), "from elsewhere");
        let other = w.open_form(&app, &[]);
        assert!(code_in(&w.sign_in(&other, "ben", BEN)).is_some(), "and somebody else");
        from(w, 1);
        w.run_ms(wait * 1_000);
        assert!(code_in(&w.sign_in(&form, "ann", ANN)).is_some(), "after the wait");
        assert!(w.watch.logged("event=login_throttled"));
    });
}

#[test]
fn one_address_may_not_try_many_names_and_many_addresses_not_one() {
    // OA-132, T-15
    story_of([0, 1, 2], cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        from(w, 1);
        let form = w.open_form(&app, &[]);
        let statuses: Vec<u16> =
            (0..40).map(|n| w.sign_in(&form, &format!("user-{n}"), "not-it").status()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 30, "{statuses:?}");
        let mut let_in = 0;
        for n in 10..90 {
            from(w, n);
            let_in += u32::from(w.sign_in(&form, "ann", "not-it").status() == 200);
        }
        assert!((20..30).contains(&let_in), "{let_in}");
        w.run_ms(2_000);
        from(w, 9);
        assert!(code_in(&w.sign_in(&form, "ann", ANN)).is_some(), "and never for long");
    });
}

#[test]
fn a_form_that_is_sent_twice_gives_one_code_that_works() {
    // OA-126
    story_of(0..12, cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let form = w.open_form(&app, &[]);
        let both = [w.begin_login(&form, "ann", ANN), w.begin_login(&form, "ann", ANN)];
        let codes = both.map(|xid| code_in(&w.signed_in(xid)).unwrap());
        let statuses = codes.map(|code| w.redeem(&app, &code).status());
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        let late = w.sign_in(&form, "ann", ANN);
        assert_eq!((late.status(), code_in(&late)), (200, None));
        assert!(late.body.contains("Already connected"), "{late:?}");
    });
}

#[test]
fn two_tabs_do_not_disturb_each_other() {
    // OA-125, T-18
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let tabs = [w.open_form(&app, &[]), w.open_form(&app, &[]), w.open_form(&app, &[("state", "other")])];
        let codes = tabs.map(|form| code_in(&w.sign_in(&form, "ann", ANN)).unwrap());
        for code in codes {
            let answer = w.redeem(&app, &code);
            assert_eq!(w.opens("fs", &mcp_proxy_tests::login::tokens(&answer).access), 200);
        }
        let third = w.open_form(&app, &[]);
        assert_eq!(third.get("password"), "", "every login takes a password");
    });
}

#[test]
fn a_form_that_was_open_for_half_an_hour_is_shown_again() {
    // README section 5.3
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let (good, stale) = (w.open_form(&app, &[]), w.open_form(&app, &[]));
        w.run_ms(29 * 60_000);
        assert!(code_in(&w.sign_in(&good, "ann", ANN)).is_some());
        w.run_ms(61_000);
        let page = w.sign_in(&stale, "ann", ANN);
        assert_eq!((page.status(), code_in(&page)), (200, None));
        assert!(page.body.contains("open too long"), "{page:?}");
        assert!(code_in(&w.sign_in(&Form::of(&page), "ann", ANN)).is_some());
        let crashed = w.open_form(&app, &[]);
        w.crash_here();
        w.until_open();
        assert!(code_in(&w.sign_in(&crashed, "ann", ANN)).is_some(), "a restart is no reason");
    });
}

#[test]
fn hidden_fields_that_were_changed_are_noticed() {
    // OA-123, T-01, T-17
    story(cast(), |w| {
        w.until_open();
        let registered = w
            .register(&json!({"client_name": "Guest", "redirect_uris": [CALLBACK, OTHER_CALLBACK],
            "token_endpoint_auth_method": "none"}));
        let app = App::new(registered.json()["client_id"].as_str().unwrap(), CALLBACK);
        let other = App { pkce: 1, ..w.app("Other guest") };
        let form = w.open_form(&app, &[("resource", &w.url("fs")), ("scope", "mcp")]);
        let (all, foreign) = (w.url(""), w.open_form(&other, &[]).get("form_token").to_owned());
        let changes = [
            ("client_id", other.id.as_str()),
            ("redirect_uri", OTHER_CALLBACK),
            ("redirect_uri", "https://evil.test/cb"),
            ("redirect_uri", "https://claude.ai/api/mcp/auth_callback/"),
            ("state", "other"),
            ("state", ""),
            ("code_challenge", other.challenge()),
            ("code_challenge", ""),
            ("resource", all.as_str()),
            ("resource", ""),
            ("scope", "mcp offline_access"),
            ("form_token", ""),
            ("form_token", "x"),
            ("form_token", foreign.as_str()),
        ];
        for (n, (name, value)) in (0..).zip(changes) {
            from(w, n);
            let page = w.sign_in(&form.clone().with(name, value), "ann", ANN);
            assert_eq!(code_in(&page), None, "{name}={value}");
            assert!([303, 400].contains(&page.status()), "{name}={value}: {page:?}");
            let targets = page.links().into_iter().chain(page.field("location").map(str::to_owned));
            assert!(targets.into_iter().all(|url| !url.contains("evil")), "{page:?}");
        }
        assert!(code_in(&w.sign_in(&form, "ann", ANN)).is_some());
    });
}

#[test]
fn a_form_of_another_site_is_refused() {
    // OA-124, T-17
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        for (fields, code) in [
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("origin", "https://evil.test")], false),
            (vec![("origin", "http://localhost:9091"), ("sec-fetch-site", "same-origin")], false),
            (vec![("origin", "null")], true),
            (vec![("sec-fetch-site", "same-origin"), ("origin", "http://localhost:9090")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![], true),
        ] {
            let form = w.open_form(&app, &[]).with("username", "ann").with("password", ANN);
            let all = [vec![FORM], fields.clone()].concat();
            let page = w.visit("POST", &form.action, &all, &form.body());
            assert_eq!(
                (code_in(&page).is_some(), page.status()),
                (code, if code { 200 } else { 403 }),
                "{fields:?}"
            );
        }
        let null =
            w.open_form(&app, &[]).with("username", "ann").with("password", ANN).with("form_token", "x");
        let page = w.visit("POST", &null.action, &[FORM, ("origin", "null")], &null.body());
        assert_eq!((page.status(), code_in(&page)), (400, None));
        let json = ("content-type", "application/json");
        assert_eq!(w.visit("POST", "/oauth/authorize", &[json], "{}").status(), 415);
    });
}

#[test]
fn a_user_of_a_file_who_was_taken_out_gets_nothing_back_though_the_disk_was_full() {
    // FT-507
    let mut cast = cast().oauth(&json!({"users": {}, "usersFile": "users.txt"}));
    let hash = cast.hash_of(ANN);
    let (both, ben) = (format!("ann:{hash}\nben:{BEN}\n"), format!("ben:{BEN}\n"));
    cast.disk.put(StoreKey::Users, both.as_str());
    story(cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        let old = [w.log_in(&app, "ann", &[]), w.log_in(&app, "ann", &[])];
        let code = w.code(&app, "ann", &[]);
        w.disk.full = true;
        w.disk.put(StoreKey::Users, ben.as_str());
        w.run_ms(61_000);
        w.disk.put(StoreKey::Users, both.as_str());
        w.run_ms(61_000);
        let dead = |w: &mut World, what: &str| {
            for old in &old {
                assert_eq!(w.opens("fs", &old.access), 401, "{what}");
            }
        };
        dead(w, "what is on disk counts for nothing");
        w.disk.full = false;
        assert_eq!(w.refresh(&app, &old[0].refresh).error(), (400, "invalid_grant".to_owned()));
        assert_eq!(w.redeem(&app, &code).error(), (400, "invalid_grant".to_owned()));
        w.run_ms(121_000);
        let again = w.log_in(&app, "ann", &[]);
        w.crash_here();
        w.until_open();
        dead(w, "the end is on disk");
        assert_eq!(w.refresh(&app, &old[1].refresh).error(), (400, "invalid_grant".to_owned()));
        assert_eq!(w.opens("fs", &again.access), 200);
    });
}

#[test]
fn a_file_of_users_that_is_empty_for_a_moment_ends_no_login() {
    // FT-507
    let mut cast = cast().oauth(&json!({"users": {}, "usersFile": "users.txt"}));
    cast.disk.put(StoreKey::Users, format!("ben:{BEN}\n"));
    story(cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        let ben = w.log_in(&app, "ben", &[]);
        w.disk.put(StoreKey::Users, "");
        w.run_until("the look at the file", |w| w.watch.logged("users=0"));
        assert_eq!(w.opens("fs", &ben.access), 401);
        w.disk.put(StoreKey::Users, format!("ben:{BEN}\n"));
        w.run_ms(61_000);
        assert_eq!(w.opens("fs", &ben.access), 200);
        w.disk.put(StoreKey::Users, "");
        w.run_ms(400_000);
        w.disk.put(StoreKey::Users, format!("ben:{BEN}\n"));
        w.run_ms(61_000);
        assert_eq!(w.opens("fs", &ben.access), 401, "empty for longer, it is meant so");
    });
}

#[test]
fn users_of_a_file_come_and_go_with_it() {
    // OA-158, README section 10
    let mut cast = cast().oauth(&json!({"users": {}, "usersFile": "users.txt"}));
    let hash = cast.hash_of(ANN);
    cast.disk.put(StoreKey::Users, format!("# who may in\nann:{hash}\nben:{BEN}\n"));
    story(cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        let (ann, ben) = (w.log_in(&app, "ann", &[]), w.log_in(&app, "ben", &[]));
        w.disk.put(StoreKey::Users, "this is no file of users");
        w.run_ms(61_000);
        assert_eq!(
            (w.opens("fs", &ann.access), w.opens("fs", &ben.access)),
            (200, 200),
            "the users before stay"
        );
        assert!(w.watch.logged("event=users_file"));
        w.disk.put(StoreKey::Users, "ann:another-password\n");
        w.watch.guard("another-password");
        let form = w.open_form(&app, &[]);
        assert_eq!(code_in(&w.sign_in(&form, "ann", ANN)), None, "looked at before each login");
        assert_eq!((w.opens("fs", &ann.access), w.opens("fs", &ben.access)), (401, 401));
        let code = code_in(&w.sign_in(&form, "ann", "another-password")).unwrap();
        assert_eq!(w.redeem(&app, &code).status(), 200);
        for old in [ann, ben] {
            assert_eq!(w.refresh(&app, &old.refresh).error(), (400, "invalid_grant".to_owned()));
        }
        w.disk.remove(StoreKey::Users);
        w.run_ms(61_000);
        let form = w.open_form(&app, &[]);
        assert!(code_in(&w.sign_in(&form, "ann", "another-password")).is_some());
    });
}
