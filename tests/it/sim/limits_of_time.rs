//! Bounds in time that no other test is about: each a little before and a little after.

use super::questions::{able, able_but_silent, asking};
use super::{KINDS, one};
use mcp_proxy_core::event::Command;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{AUTHORITY, Kind, MERGED, Progress, State};
use mcp_proxy_tests::mind::asking::Asked;
use mcp_proxy_tests::net::{Link, Phase, Who};
use mcp_proxy_tests::story::story_of;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// Plays a story once, in calm weather: it is about time.
fn timed(cast: Cast, tell: impl Fn(&mut World)) {
    story_of([0], cast.calm(), tell);
}

#[test]
fn an_answer_becomes_a_stream_when_it_takes_too_long() {
    // limit: sse_after_ms
    timed(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for (ms, streams) in [(190, false), (210, true)] {
            let req = w.start_call(c, "slow", json!({"ms": ms}));
            w.text(req);
            let xid = w.exchange_of(req);
            assert_eq!(w.exchange(xid).is_stream(), streams, "{ms}");
        }
    });
}

#[test]
fn a_client_is_told_when_to_come_back() {
    // limit: retry_ms
    timed(one().limits(|l| l.retry_ms = 4_321), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-11-25".to_owned());
        let stream = w.listen(c);
        w.run_ms(100);
        assert_eq!(w.exchange(stream).events[0].retry, Some(4_321));
    });
}

#[test]
fn a_client_that_does_not_close_is_closed() {
    // limit: linger_ms
    timed(one(), |w| {
        w.client("fs", Kind::Streamable);
        let before = w.shard.proxy().census().clients;
        let xid = w.raw("nonsense\r\n\r\n");
        w.stall(xid, true);
        w.run_ms(1_900);
        assert_eq!(w.shard.proxy().census().clients, before + 1);
        w.run_ms(200);
        assert_eq!(w.shard.proxy().census().clients, before);
        w.stall(xid, false);
    });
}

#[test]
fn a_dial_without_an_answer_is_given_up() {
    // limit: connect_ms
    let cast = Cast::default().streamable("web").change_site("web", |s| s.unreachable = true);
    timed(cast, |w| {
        w.run_ms(9_900);
        assert!(!w.watch.logged("could not be established in time"));
        w.run_ms(200);
        assert!(w.watch.logged("could not be established in time"));
        w.site("web").unreachable = false;
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
    });
}

#[test]
fn a_connection_that_idles_is_closed_before_its_server_does() {
    // limit: pool_idle_ms
    timed(Cast::default().streamable("web").change_site("web", |s| s.offers_get = false), |w| {
        let c = w.client("web", Kind::Streamable);
        w.run_ms(2_500);
        w.check_echo(c);
        let open = |w: &World| {
            let to_site = |link: &&Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
            w.net.links.values().filter(to_site).count()
        };
        w.run_ms(3_900);
        assert_eq!(open(w), 1, "the one that was used last");
        w.run_ms(150);
        assert_eq!(open(w), 0);
        w.check_echo(c);
    });
}

#[test]
fn a_stop_waits_for_calls_only_so_long() {
    // limit: shutdown_ms
    // SEED-068
    timed(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 900_000}));
        w.until_heard(req);
        w.command(Command::Stop);
        w.run_ms(4_990);
        assert!(*w.state(req) == State::Waiting && w.stopped.is_none());
        w.run_ms(20);
        assert!(
            matches!(w.state(req), State::Answered(raw) if raw.contains("shutting down")),
            "{:?}",
            w.state(req)
        );
    });
}

#[test]
fn a_call_without_a_sign_of_life_is_given_up() {
    // limit: call_ms
    timed(one().limits(|l| l.call_ms = 20_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "never", json!({}));
        w.run_ms(19_990);
        assert_eq!(*w.state(req), State::Waiting);
        w.run_ms(20);
        assert_eq!(w.outcome(req)["error"]["code"], -32603);
    });
}

#[test]
fn a_server_has_so_long_to_come_up() {
    // limit: handshake_ms
    let cast = one().first_program("fs", |p| p.mind.mute = true).limits(|l| l.handshake_ms = 3_000);
    timed(cast, |w| {
        w.run_ms(2_990);
        assert!(!w.watch.logged("Failed to connect"));
        w.run_ms(20);
        assert!(w.watch.logged("Failed to connect"));
    });
}

#[test]
fn a_list_that_was_never_read_is_asked_for_again_soon_and_then_less_often() {
    // limit: list_first_retry_ms
    // limit: list_retry_ms
    // FT-108
    timed(one().program("fs", |p| p.mind.list_failures = 99), |w| {
        let mut at = 0;
        for (place, wait) in [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000].into_iter().enumerate() {
            at += wait;
            w.run_ms(at - 50 - w.now_ms());
            assert_eq!(w.child("fs").mind().count("tools/list"), 1 + place, "before {at} ms");
            w.run_ms(150);
            assert_eq!(w.child("fs").mind().count("tools/list"), 2 + place, "after {at} ms");
        }
    });
}

#[test]
fn a_list_that_cannot_be_read_again_stays_and_is_asked_for_after_a_while() {
    // limit: list_retry_ms
    timed(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let before = w.listed(c, "tools/list");
        w.teach("fs", |mind| mind.list_failures = 1);
        w.say_changed("fs", "tools");
        w.run_ms(500);
        assert_eq!(w.child("fs").mind().count("tools/list"), 2);
        assert_eq!(w.listed(c, "tools/list"), before);
        w.run_ms(9_000);
        assert_eq!(w.child("fs").mind().count("tools/list"), 2);
        w.run_ms(1_000);
        assert_eq!(w.child("fs").mind().count("tools/list"), 3);
    });
}

#[test]
fn servers_are_pinged_and_streams_kept_alive_as_often_as_the_limits_say() {
    // limit: ping_ms
    // limit: keep_alive_ms
    // UP-50
    timed(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let stream = w.listen(c);
        let from = w.now_ms();
        let seen = |w: &mut World| (w.exchange(stream).comments, w.child("fs").mind().count("ping"));
        for (at, expected) in [
            // The first comment shows the head (FT-604).
            (14_900, (1, 0)),
            (15_200, (2, 0)),
            (29_800, (2, 0)),
            (30_200, (3, 1)),
            (59_700, (4, 1)),
            (60_200, (5, 2)),
        ] {
            w.run_ms(from + at - w.now_ms());
            assert_eq!(seen(w), expected, "{at}");
        }
    });
}

#[test]
fn a_list_that_is_never_announced_is_read_again_when_it_is_old() {
    // limit: list_age_ms
    timed(one().program("fs", |p| p.mind.list_changed = false), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.child("fs").mind().tools.push("new".to_owned());
        let known = |w: &mut World| {
            w.ask(c, "tools/list", json!({}));
            w.run_ms(500);
            w.ask(c, "tools/list", json!({})).to_string().contains(r#""new""#)
        };
        w.run_ms(50_000);
        assert!(!known(w), "younger than a minute");
        w.run_ms(10_000);
        assert!(known(w));
    });
}

#[test]
fn the_first_list_waits_for_a_first_start_only_so_long() {
    // limit: lists_ms
    // FT-703
    timed(one().stdio("slow").program("slow", |p| p.mind.mute = true), |w| {
        w.run_until("one is there", |w| w.watch.logged("handling requests"));
        for (kind, ms) in [("tools/list", 3_000), ("prompts/list", 0)] {
            let c = w.client(MERGED, Kind::Streamable);
            let from = w.now_ms();
            assert_eq!(w.listed(c, "tools/list").len(), 14);
            let waited = w.now_ms() - from;
            assert!((2_990..3_100).contains(&waited), "{waited} ms");
            let from = w.now_ms();
            w.ask(c, kind, json!({}));
            assert!(w.now_ms() - from < 100, "{ms}: waited once already");
        }
    });
}

#[test]
fn a_server_has_a_moment_to_stop_before_its_question_is_answered_for_the_client() {
    // limit: cancel_grace_ms
    timed(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, able_but_silent);
            let req = w.start_call(c, "ask", asking("roots/list"));
            let seen = w.clients[c].questions.len() + 1;
            w.asked(c, seen);
            w.cancel(req);
            w.run_ms(490);
            let state = |w: &mut World| w.child("fs").mind().questions.last().unwrap().state;
            assert_eq!(state(w), Asked::Open, "{kind:?}");
            w.run_ms(20);
            assert_eq!(state(w), Asked::Answered, "{kind:?}");
            w.end_session(c);
            w.run_ms(5_000);
        }
    });
}

#[test]
fn a_connection_that_no_call_has_used_is_stopped() {
    // limit: server_conn_idle_ms
    timed(one().limits(|l| l.server_conn_idle_ms = 5_000), |w| {
        let c = w.client_with("fs", Kind::Sse, able);
        w.ask(c, "tools/list", json!({}));
        w.run_ms(4_500);
        assert_eq!(w.alive("fs"), 2);
        w.run_ms(6_000);
        assert_eq!(w.alive("fs"), 1);
        w.check_echo(c);
    });
}

#[test]
fn a_task_is_asked_about_as_often_as_we_like_if_its_server_does_not_say() {
    // limit: task_poll_ms
    let cast = one().program("fs", |p| p.mind.tools.push("task".to_owned()));
    timed(cast.limits(|l| l.task_poll_ms = 3_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "task", json!({"ms": 9_500, "poll_ms": Value::Null}));
        w.text(req);
        assert_eq!(w.child("fs").mind().count("tasks/get"), 3);
    });
}

#[test]
fn a_server_that_crashes_again_waits_longer_up_to_a_bound_and_starts_small_after_good_service() {
    // limit: backoff_ms
    // limit: backoff_max_ms
    // limit: backoff_reset_ms
    let cast = one().limits(|l| {
        l.backoff_ms = 1_000;
        l.backoff_max_ms = 8_000;
        l.backoff_reset_ms = 60_000;
        l.queue_ms = 60_000;
    });
    timed(cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        // A quarter more or less is left to chance.
        let about = |waited: u64, ms: u64| (ms / 4 * 3..=ms / 4 * 5 + 100).contains(&waited);
        for ms in [1_000, 2_000, 4_000, 8_000, 8_000] {
            let waited = crash(w, c);
            assert!(about(waited, ms), "{waited} ms instead of {ms}");
        }
        w.run_ms(59_000);
        let waited = crash(w, c);
        assert!(about(waited, 8_000), "{waited} ms after too short a service");
        w.run_ms(60_000);
        let waited = crash(w, c);
        assert!(about(waited, 1_000), "{waited} ms after a minute of service");
    });
}

/// The server crashes; gives how long it is away.
fn crash(w: &mut World, c: usize) -> u64 {
    let req = w.start_call(c, "crash", json!({}));
    w.outcome(req);
    let from = w.now_ms();
    w.check_echo(c);
    w.now_ms() - from
}

#[test]
fn a_body_that_comes_in_drops_has_the_time_of_a_request() {
    // T-30
    timed(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let slow = w.raw(&format!(
            "POST /fs/mcp HTTP/1.1\r\nhost: {AUTHORITY}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
        ));
        let conn = w.exchange(slow).conn;
        for second in 0..29 {
            w.net.send(conn, b"x");
            w.run_ms(1_000);
            assert_eq!(w.exchange(slow).progress, Progress::Running, "{second}");
        }
        w.run_ms(1_500);
        assert_eq!(w.exchange(slow).status(), 408, "drops do not buy more time");
        let req = w.start_call(c, "echo", json!({}));
        w.text(req);
        assert!(matches!(w.state(req), State::Answered(_)));
    });
}
