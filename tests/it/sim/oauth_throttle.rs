//! How fast passwords are tried when many addresses try one name, or when one claims to be many.

use super::one;
use mcp_proxy_tests::login::{App, code_in};
use mcp_proxy_tests::story::story_of;
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::net::IpAddr;

const ANN: &str = "password-of-ann";

fn from(w: &mut World, net: u8, last: u8) {
    w.visitors_from = IpAddr::from([203, 0, net, last]);
}

/// Whether somebody who types the right password gets a code.
fn logs_in(w: &mut World, app: &App) -> bool {
    let form = w.open_form(app, &[]);
    code_in(&w.sign_in(&form, "ann", ANN)).is_some()
}

#[test]
fn a_crowd_that_tries_one_name_delays_nobody_who_has_logged_in_from_there() {
    // FT-505
    let cast = one().with_logins(&json!({"users": {"ann": ANN}})).secret(ANN);
    story_of([0], cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        from(w, 112, 1);
        assert!(logs_in(w, &app));
        let form = w.open_form(&app, &[]);
        let (mut guesses, mut good, start) = (0, 0, w.now_ms());
        for round in 0..20 {
            for last in 0..200 {
                from(w, 113, last);
                let answer = w.sign_in(&form, "ann", "a guess");
                guesses += u64::from(answer.status() != 429);
            }
            from(w, 112, 1);
            good += u32::from(logs_in(w, &app));
            from(w, 114, round);
            w.sign_in(&form, "ann", "a guess");
        }
        assert_eq!(good, 20, "of 20 right logins");
        let seconds = (w.now_ms() - start).div_ceil(1_000);
        assert!(guesses <= 21 + seconds, "{guesses} guesses in {seconds} s");
    });
}

#[test]
fn an_address_that_a_client_writes_gives_it_no_more_guesses_and_is_told_once() {
    // FT-601
    let cast = one().with_logins(&json!({"users": {"ann": ANN, "ben": ANN}})).secret(ANN);
    for header in ["cf-connecting-ip", "true-client-ip", "x-forwarded-for", "forwarded"] {
        story_of([0], cast.clone(), |w| {
            w.until_open();
            let app = w.app("Guest");
            let form = w.open_form(&app, &[]);
            let fields =
                [("content-type", "application/x-www-form-urlencoded"), ("x-real-ip", "198.51.100.7")];
            let guess = |w: &mut World, user: &str, claim: &str| {
                let body = form.clone().with("username", user).with("password", "a guess").body();
                let fields = [fields[0], fields[1], (header, claim)];
                w.visit("POST", &form.action, &fields, &body).status() != 429
            };
            let claim = |n: u8| match header {
                "forwarded" => format!("for=192.0.2.{n}"),
                _ => format!("192.0.2.{n}"),
            };
            let guesses = (0..60).filter(|n| guess(w, "ann", &claim(*n))).count();
            assert!(guesses <= 6, "{guesses} guesses");
            // The address that was written has all its tries.
            let theirs = [fields[0], ("x-real-ip", "192.0.2.1")];
            let body = form.clone().with("username", "ann").with("password", ANN).body();
            let answer = w.visit("POST", &form.action, &theirs, &body);
            let code = code_in(&answer);
            w.watch.guard(code.as_deref().unwrap_or("no code"));
            assert!(code.is_some(), "{answer:?}");
            let told = w.watch.records.iter().filter(|(_, r)| r.message.contains("addresses_differ")).count();
            assert_eq!(told, usize::from(header.contains("for")), "a field of a service is not even a claim");
        });
    }
}
