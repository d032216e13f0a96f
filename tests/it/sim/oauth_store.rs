//! What is kept of logins: on disks that are full, by processes that are killed, in files that are broken or of others,
//! and for how long.

use super::one;
use mcp_proxy_core::event::StoreKey;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{App, CALLBACK, public};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

fn cast() -> Cast {
    one().with_logins(&json!({}))
}

fn unavailable() -> (u16, String) {
    (503, "temporarily_unavailable".to_owned())
}

fn dead() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

/// What the disk does while `act` runs: fails from the first replacement on.
fn while_full<T>(w: &mut World, act: impl FnOnce(&mut World) -> T) -> T {
    let before = w.disk.logins();
    w.disk.full = true;
    let out = act(w);
    assert_eq!(w.disk.logins(), before, "nothing has changed");
    w.disk.full = false;
    out
}

#[test]
fn a_full_disk_refuses_each_step_and_changes_nothing() {
    // OA-177, T-41
    story(cast(), |w| {
        w.until_open();
        let refused = while_full(w, |w| w.register(&public("Guest", CALLBACK)));
        assert_eq!(refused.error(), unavailable());
        assert!(refused.field("retry-after").is_some());
        let app = w.app("Guest");
        let code = w.code(&app, "ann", &[]);
        for _ in 0..3 {
            assert_eq!(while_full(w, |w| w.redeem(&app, &code)).error(), unavailable());
        }
        let answer = w.redeem(&app, &code);
        assert_eq!(answer.status(), 200, "the code was not used: {answer:?}");
        let first = mcp_proxy_tests::login::tokens(&answer);
        let access = first.access.as_str();
        for _ in 0..3 {
            assert_eq!(while_full(w, |w| w.refresh(&app, &first.refresh)).error(), unavailable());
            assert_eq!(while_full(w, |w| w.opens("fs", access)), 200);
        }
        let second = w.renewed(&app, &first.refresh);
        assert_eq!(while_full(w, |w| w.revoke(&app, &second.refresh)).error(), unavailable());
        assert_eq!((w.opens("fs", &second.access), w.opens("fs", access)), (200, 200));
        let third = w.renewed(&app, &second.refresh);
        assert_eq!(while_full(w, |w| w.revoke(&app, &third.access)).error(), unavailable());
        assert_eq!(w.opens("fs", &third.access), 200);
        assert_eq!(w.revoke(&app, &third.refresh).status(), 200);
        assert_eq!((w.opens("fs", &third.access), w.opens("fs", access)), (401, 401));
        assert_eq!(w.refresh(&app, &third.refresh).error(), dead());
        assert!(w.watch.logged("event=store_error"));
    });
}

#[test]
fn whoever_asks_at_the_same_time_on_a_full_disk_can_ask_again() {
    // OA-177
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let logins = [w.log_in(&app, "ann", &[]), w.log_in(&app, "ben", &[])];
        let codes = [w.code(&app, "ann", &[]), w.code(&app, "ben", &[])];
        w.disk.full = true;
        let mut all = Vec::new();
        for round in 0..3 {
            all.extend(logins.iter().map(|login| w.begin_refresh(&app, &login.refresh)));
            if let Some(code) = codes.get(round) {
                all.push(w.begin_redeem(&app, code));
            }
            all.push(w.begin_registration(&public(&format!("Guest {round}"), CALLBACK)));
        }
        for xid in all {
            assert_eq!(w.ended(xid).error(), unavailable());
        }
        w.disk.full = false;
        for login in logins {
            assert_eq!(w.opens("fs", &login.access), 200);
            let next = w.renewed(&app, &login.refresh);
            assert_eq!(w.opens("fs", &next.access), 200);
        }
        for code in codes {
            assert_eq!(w.redeem(&app, &code).status(), 200);
        }
    });
}

#[test]
fn a_disk_that_fills_up_in_the_middle_keeps_what_was_answered() {
    // OA-173, OA-177
    for room in 0..6 {
        story_of([0, 1, 3, 5], cast(), |w| {
            w.until_open();
            w.disk.full_after = Some(room);
            let mut known = Vec::new();
            let app = w.register(&public("Guest", CALLBACK));
            if app.status() == 201 {
                let app = App::new(app.json()["client_id"].as_str().unwrap(), CALLBACK);
                let code = w.code(&app, "ann", &[]);
                let mut answer = w.redeem(&app, &code);
                while answer.status() == 200 {
                    let tokens = mcp_proxy_tests::login::tokens(&answer);
                    answer = w.refresh(&app, &tokens.refresh);
                    known.push((app.clone(), tokens));
                    if known.len() > 8 {
                        break;
                    }
                }
                assert_eq!(answer.error(), unavailable());
            }
            assert_eq!(known.len() as u32, room.saturating_sub(1));
            w.crash_here();
            w.disk.full_after = None;
            w.until_open();
            for (_, tokens) in &known {
                assert_eq!(w.opens("fs", &tokens.access), 200);
            }
            if let Some((app, last)) = known.last() {
                w.renewed(app, &last.refresh);
            }
        });
    }
}

/// Kills the process while a save is under way.
fn crash_while_saving(w: &mut World) {
    w.run_until("a save", |w| w.disk.is_saving());
    w.crash_here();
    w.until_open();
}

#[test]
fn a_crash_loses_nothing_that_was_answered_and_grants_nothing_else() {
    // OA-87, OA-151, OA-173, T-40
    story_of(0..24, cast(), |w| {
        w.until_open();
        w.begin_registration(&public("Lost", CALLBACK));
        crash_while_saving(w);
        let app = w.app("Guest");
        w.crash_here();
        w.until_open();
        let code = w.code(&app, "ann", &[]);
        w.begin_redeem(&app, &code);
        crash_while_saving(w);
        assert_eq!(w.redeem(&app, &code).error(), dead(), "codes live in memory");
        let first = w.log_in(&app, "ann", &[]);
        w.crash_here();
        w.until_open();
        assert_eq!(w.opens("fs", &first.access), 200);
        w.begin_refresh(&app, &first.refresh);
        crash_while_saving(w);
        assert_eq!(w.opens("fs", &first.access), 200);
        let second = w.renewed(&app, &first.refresh);
        w.crash_here();
        w.until_open();
        assert_eq!((w.opens("fs", &first.access), w.opens("fs", &second.access)), (200, 200));
        let sibling = w.renewed(&app, &first.refresh);
        assert_ne!(sibling.refresh, second.refresh, "what was answered before is not in memory");
        let third = w.renewed(&app, &second.refresh);
        w.begin_form(&app, "revoke", &[("token", third.refresh.as_str())]);
        crash_while_saving(w);
        let all = [&first, &second, &third, &sibling];
        let alive: Vec<u16> = all.iter().map(|tokens| w.opens("fs", &tokens.access)).collect();
        assert!(alive.iter().all(|status| *status == alive[0]), "a login ends as a whole: {alive:?}");
        assert_eq!(w.revoke(&app, &third.refresh).status(), 200);
        w.crash_here();
        w.until_open();
        for tokens in all {
            assert_eq!(w.opens("fs", &tokens.access), 401);
            assert_eq!(w.refresh(&app, &tokens.refresh).error(), dead());
        }
    });
}

/// A disk on which somebody has logged in, and what they have.
fn used() -> (Cast, String) {
    let mut w = World::new(0, cast().calm());
    w.until_open();
    let app = w.app("Guest");
    let first = w.log_in(&app, "ann", &[]);
    w.renewed(&app, &first.refresh);
    let text = w.disk.logins();
    w.finish();
    (cast().calm(), text)
}

/// Starts on these contents and ends again.
fn start_on(cast: &Cast, contents: &[u8]) -> World {
    let mut cast = cast.clone();
    cast.disk.put(StoreKey::OAuth, contents);
    let mut w = World::new(1, cast);
    w.run_until("a decision", |w| w.is_listening() || w.stopped.is_some());
    w
}

#[test]
fn what_cannot_be_read_is_set_aside_and_the_start_goes_on() {
    // OA-174, T-40
    let (cast, text) = used();
    for len in (0..text.len()).step_by(7) {
        let mut w = start_on(&cast, &text.as_bytes()[..len]);
        assert!(w.is_listening(), "cut at {len}");
        assert_eq!(w.disk.aside, [&text.as_bytes()[..len]]);
        assert!(w.watch.logged("event=store_error"));
        w.finish();
    }
    for garbage in
        ["", "null", "[]", "{}", "{\"format\":2}", "{\"format\":\"2\"}", "{\"format\":-1}", "\u{0}"]
    {
        let mut w = start_on(&cast, garbage.as_bytes());
        assert!(w.is_listening(), "{garbage:?}");
        w.finish();
    }
}

#[test]
fn a_flipped_bit_neither_stops_the_start_nor_makes_a_token_of_another() {
    // OA-174, T-40
    let (cast, text) = used();
    for (at, bit) in (0..text.len()).step_by(5).flat_map(|at| [0, 1, 4, 7].map(|bit| (at, bit))) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << bit;
        let mut w = start_on(&cast, &bytes);
        if w.stopped.is_some() {
            assert!(w.stopped == Some(1) && w.watch.logged("newer version"), "bit {bit} of byte {at}");
            assert_eq!(w.disk.get(StoreKey::OAuth), Some(bytes.as_slice()));
        }
        w.finish();
    }
}

#[test]
fn a_newer_format_is_left_alone() {
    // OA-174, T-42
    let newer = r#"{"format":99,"clients":{},"future":true}"#;
    let mut cast = cast();
    cast.disk.put(StoreKey::OAuth, newer);
    story(cast, |w| {
        w.run_until("the end", |w| w.stopped.is_some());
        assert_eq!(w.stopped, Some(1));
        assert_eq!((w.disk.logins().as_str(), w.disk.saves), (newer, 0));
        assert!(w.disk.aside.is_empty() && w.watch.logged("format 99"));
    });
}

#[test]
fn a_directory_that_cannot_be_used_is_said_at_the_start() {
    // OA-178
    for break_it in [
        |cast: &mut Cast| cast.disk.full = true,
        |cast: &mut Cast| cast.disk.unreadable = Some("it is not ours"),
    ] {
        let mut cast = cast();
        break_it(&mut cast);
        story_of([0, 1], cast, |w| {
            w.run_until("the end", |w| w.stopped.is_some());
            assert_eq!(w.stopped, Some(1));
            assert!(w.watch.logged("Failed to start the OAuth server"));
        });
    }
    story_of([0, 2], cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let token = w.log_in(&app, "ann", &[]).access;
        w.disk.full = true;
        w.crash_here();
        w.until_open();
        assert_eq!(w.opens("fs", &token), 200, "what is stored can be used");
        assert_eq!(w.register(&public("x", CALLBACK)).error(), unavailable());
    });
}

#[test]
fn no_secret_is_in_the_file() {
    // OA-172, T-47
    story(cast(), |w| {
        w.until_open();
        let registered = w.register(
            &json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"}),
        );
        let text = |name: &str| registered.json()[name].as_str().unwrap().to_owned();
        let app = App { secret: Some(text("client_secret")), ..App::new(&text("client_id"), CALLBACK) };
        let first = w.log_in(&app, "ann", &[]);
        w.renewed(&app, &first.refresh);
        w.code(&app, "ben", &[]);
        let file = w.disk.logins();
        assert!(file.contains(&app.id) && w.watch.secrets().len() > 8);
        assert!(!w.watch.secrets().iter().any(|secret| file.contains(secret)), "{file}");
    });
}

/// A file of the original program.
fn original() -> Value {
    json!({
        "clients": {
            "old-client": {"client_id": "old-client", "client_secret": "secret-in-clear", "client_name": "Claude",
                "redirect_uris": [CALLBACK], "client_id_issued_at": "2025-12-01T10:00:00.123456789+01:00"},
            "bad-client": {"client_id": "bad-client", "redirect_uris": ["https://evil.test/cb"]},
        },
        "accessTokens": {
            "access-in-clear": {"Token": "access-in-clear", "RefreshToken": "refresh-in-clear", "ClientID": "old-client",
                "Scope": "mcp", "Resource": "", "ExpiresAt": "2026-01-01T00:30:00Z"},
            "expired-in-clear": {"Token": "expired-in-clear", "RefreshToken": "x-in-clear", "ClientID": "old-client",
                "Scope": "", "Resource": "", "ExpiresAt": "2025-12-31T23:30:00Z"},
            "orphan-in-clear": {"Token": "orphan-in-clear", "ClientID": "nobody", "ExpiresAt": "2026-01-01T00:30:00Z"},
        },
        "savedAt": "2025-12-31T23:59:00Z",
    })
}

#[test]
fn files_of_the_original_program_are_taken_over_and_written_anew() {
    // OA-176
    let bare = original()["clients"].clone();
    for (file, tokens, import) in [(original(), 200, true), (original(), 401, false), (bare, 401, true)] {
        let mut cast = cast().oauth(&json!({"importLegacyTokens": import}));
        cast.disk.put(StoreKey::OAuth, file.to_string());
        for secret in
            ["secret-in-clear", "access-in-clear", "refresh-in-clear", "expired-in-clear", "orphan-in-clear"]
        {
            cast = cast.secret(secret);
        }
        story_of([0, 1, 2, 3], cast, |w| {
            w.until_open();
            w.run_ms(1_000);
            let file = w.disk.logins();
            assert!(!file.contains("in-clear") && file.contains("\"format\":2"), "{file}");
            assert_eq!(w.opens("fs", "access-in-clear"), tokens);
            assert_eq!((w.opens("fs", "expired-in-clear"), w.opens("fs", "orphan-in-clear")), (401, 401));
            let app = App::new("old-client", CALLBACK);
            assert_eq!(w.refresh(&app, "refresh-in-clear").error(), dead());
            w.crash_here();
            w.until_open();
            assert_eq!(w.opens("fs", "access-in-clear"), tokens, "after another start");
            let code = w.code(&app, "ann", &[]);
            let wrong = App { secret: Some("wrong".to_owned()), ..app.clone() };
            assert_eq!(w.redeem(&wrong, &code).error(), (401, "invalid_client".to_owned()));
            assert_eq!(w.redeem(&app, &code).status(), 200, "it never used its secret");
            let right = App { secret: Some("secret-in-clear".to_owned()), ..app.clone() };
            w.log_in(&right, "ann", &[]);
            let path = w.authorize_path(&App::new("bad-client", "https://evil.test/cb"), &[]);
            assert_eq!(w.get(&path).status(), 400);
            w.run_ms(31 * 60_000);
            assert_eq!(w.opens("fs", "access-in-clear"), 401);
        });
    }
}

#[test]
fn parallel_registrations_share_their_saves() {
    // T-28, README section 8 of the storage
    story_of([0, 2, 4], cast().calm(), |w| {
        w.until_open();
        let before = w.disk.saves;
        let all: Vec<_> =
            (0..50).map(|n| w.begin_registration(&public(&format!("Guest {n}"), CALLBACK))).collect();
        let mut ids: Vec<String> = all
            .into_iter()
            .map(|xid| {
                let answer = w.ended(xid);
                assert_eq!(answer.status(), 201);
                answer.json()["client_id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert!(w.disk.saves - before <= 5, "{} saves", w.disk.saves - before);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 50);
        w.crash_here();
        w.until_open();
        for id in ids {
            w.open_form(&App::new(&id, CALLBACK), &[]);
        }
    });
}
