//! How long things live: registrations, logins, tokens, codes; and clocks that are turned.

use super::one;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{CALLBACK, public};
use mcp_proxy_tests::story::{story, story_of};
use serde_json::json;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

fn cast() -> Cast {
    one().with_logins(&json!({}))
}

fn dead() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

#[test]
fn turning_the_clock_revives_nothing() {
    // OA-179, T-46
    story(cast().oauth(&json!({"tokenExpirationMinutes": 5})), |w| {
        w.until_open();
        for off_ms in [0, -(DAY_MS as i64), YEAR_MS, 0, -YEAR_MS, 40 * YEAR_MS, 0] {
            let app = w.app("Guest");
            w.turn_clock(0);
            let before = w.log_in(&app, "ann", &[]);
            let code = w.code(&app, "ann", &[]);
            w.run_ms(130_000);
            w.turn_clock(off_ms);
            assert_eq!(w.redeem(&app, &code).error(), dead(), "a code of two minutes ago");
            w.run_ms(171_000);
            assert_eq!(w.opens("fs", &before.access), 401, "{off_ms}");
            // As far ahead as the clock is now it may have ended the registration as well.
            let app = w.app(&format!("Guest at {off_ms}"));
            let now = w.log_in(&app, "ann", &[]);
            assert_eq!((now.seconds, w.opens("fs", &now.access)), (300, 200));
            for back in [-(DAY_MS as i64), -1_000, 0] {
                w.turn_clock(off_ms + back);
                assert_eq!((w.opens("fs", &now.access), w.opens("fs", &before.access)), (200, 401));
            }
            w.run_ms(299_000);
            for off in [off_ms, off_ms - DAY_MS as i64, 0, -(DAY_MS as i64)] {
                w.turn_clock(off);
                w.run_ms(1_000);
                assert_eq!((w.opens("fs", &now.access), w.opens("fs", &before.access)), (401, 401), "{off}");
            }
            // Everything that looks after itself runs at these clocks too.
            w.run_ms(700_000);
        }
    });
}

#[test]
fn turning_the_clock_back_does_not_give_a_used_refresh_token_another_grace() {
    // OA-179, T-46
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let first = w.log_in(&app, "ann", &[]);
        w.renewed(&app, &first.refresh);
        w.run_ms(10 * 60_000);
        w.turn_clock(-(10 * 60_000));
        assert_eq!(w.refresh(&app, &first.refresh).error(), dead());
    });
}

#[test]
fn turning_the_clock_does_not_make_a_thief_of_a_client_that_asks_twice() {
    // OA-152, OA-179
    for off_ms in [-(HOUR_MS as i64), HOUR_MS as i64, -(DAY_MS as i64)] {
        story_of([0, 1, 2], cast(), |w| {
            w.until_open();
            let app = w.app("Guest");
            let first = w.log_in(&app, "ann", &[]);
            let second = w.renewed(&app, &first.refresh);
            w.turn_clock(off_ms);
            w.run_ms(1_000);
            assert_eq!(w.renewed(&app, &first.refresh), second, "the clock was set by {off_ms} ms");
        });
    }
}

#[test]
fn a_registration_that_nobody_uses_is_forgotten_after_a_week_and_not_before() {
    // OA-91
    story_of([0, 1, 2], cast(), |w| {
        w.until_open();
        let (unused, used) = (w.app("Unused"), w.app("Used"));
        let first = w.log_in(&used, "ann", &[]);
        w.run_ms(7 * DAY_MS - HOUR_MS);
        w.open_form(&unused, &[]);
        w.run_ms(HOUR_MS + 6 * 60_000);
        let path = w.authorize_path(&unused, &[]);
        assert_eq!(w.get(&path).status(), 400);
        w.open_form(&used, &[]);
        let second = w.renewed(&used, &first.refresh);
        assert_eq!(w.opens("fs", &second.access), 200);
        assert!(!w.disk.logins().contains(&unused.id) && w.disk.logins().contains(&used.id));
    });
}

#[test]
fn a_registration_that_comes_again_has_its_week_again() {
    // OA-89, OA-91: whoever was told a moment ago that it is registered can log in
    story_of([0, 1, 2], cast(), |w| {
        w.until_open();
        let app = w.app("Hosted");
        w.run_ms(7 * DAY_MS - 60_000);
        let again = w.app("Hosted");
        assert_eq!(again, app);
        w.run_ms(10 * 60_000);
        let path = w.authorize_path(&again, &[]);
        assert_eq!(w.get(&path).status(), 200);
    });
}

#[test]
fn a_client_whose_logins_are_over_is_kept_for_a_season() {
    // OA-91
    let cast = cast().oauth(&json!({"refreshTokenExpirationDays": 1, "refreshTokenMaxDays": 1}));
    story_of([0], cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        w.log_in(&app, "ann", &[]);
        w.run_ms(89 * DAY_MS);
        w.open_form(&app, &[]);
        w.run_ms(DAY_MS + HOUR_MS);
        let path = w.authorize_path(&app, &[]);
        assert_eq!(w.get(&path).status(), 400);
    });
}

#[test]
fn a_login_ends_when_it_rests_too_long_and_when_it_is_too_old() {
    // OA-151, OA-157
    let cast = cast().oauth(&json!({"refreshTokenExpirationDays": 2, "refreshTokenMaxDays": 5}));
    story_of([0, 1, 2], cast, |w| {
        w.until_open();
        let app = w.app("Guest");
        let (mut busy, lazy) = (w.log_in(&app, "ann", &[]), w.log_in(&app, "ben", &[]));
        for day in 1..=4 {
            w.run_ms(DAY_MS);
            if day == 2 {
                w.crash_here();
                w.until_open();
            }
            assert_eq!(w.opens("fs", &busy.access), 401, "an hour is over");
            busy = w.renewed(&app, &busy.refresh);
            assert_eq!(w.opens("fs", &busy.access), 200);
        }
        assert_eq!(w.refresh(&app, &lazy.refresh).error(), dead());
        w.run_ms(DAY_MS);
        assert_eq!(w.refresh(&app, &busy.refresh).error(), dead());
    });
}

#[test]
fn registrations_that_nobody_uses_make_room_and_live_ones_stay() {
    // OA-88, T-28
    story(cast().oauth(&json!({"maxClients": 5})), |w| {
        w.until_open();
        let live = w.app("Live");
        let tokens = w.log_in(&live, "ann", &[]);
        let mut apps = Vec::new();
        for n in 0..10 {
            w.run_ms(1_100);
            apps.push(w.app(&format!("Guest {n}")));
        }
        for (n, app) in apps.iter().enumerate() {
            let path = w.authorize_path(app, &[]);
            assert_eq!(w.get(&path).status(), if n < 6 { 400 } else { 200 }, "{n}");
        }
        assert_eq!(w.opens("fs", &tokens.access), 200);
        for app in &apps[6..] {
            w.log_in(app, "ann", &[]);
        }
        let refused = w.register(&public("One more", CALLBACK));
        assert_eq!(refused.error(), (503, "temporarily_unavailable".to_owned()));
        w.renewed(&live, &tokens.refresh);
    });
}

#[test]
fn identical_registrations_of_hosted_clients_share_one_id() {
    // OA-89
    story(cast(), |w| {
        w.until_open();
        let all: Vec<_> = (0..6).map(|_| w.begin_registration(&public("Claude", CALLBACK))).collect();
        let ids: Vec<String> =
            all.into_iter().map(|xid| w.ended(xid).json()["client_id"].to_string()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let local = ["http://127.0.0.1:1/cb"; 2].map(|uri| w.app_at("Local", uri).id);
        assert_ne!(local[0], local[1]);
    });
}

#[test]
fn the_file_stays_small_however_many_log_in() {
    // OA-180, T-28
    story_of([0], cast().oauth(&json!({"maxClients": 10})), |w| {
        w.until_open();
        let mut sizes = Vec::new();
        for n in 0..600 {
            if n % 100 == 0 {
                sizes.push(w.disk.logins().len());
                w.clients.iter_mut().for_each(|client| client.exchanges.clear());
            }
            let app = w.app(&format!("Guest {}", n % 2));
            w.log_in(&app, "ann", &[]);
            w.run_ms(2_100);
        }
        let last = w.disk.logins().len();
        assert!(last < 100_000 && last <= sizes[3] * 11 / 10, "{sizes:?} {last}");
    });
}
