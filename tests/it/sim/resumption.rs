//! A client whose connection breaks and who comes back: what happened meanwhile is delivered, once, within limits.

use super::three;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, MERGED, Req, State, Xid};
use mcp_proxy_tests::lists::with_roots;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;

const SERVERS: [&str; 3] = ["fs", "web", "old"];

/// How long a stream waits for its client.
const RETENTION_MS: u64 = 10_000;

fn cast() -> Cast {
    three().limits(|l| l.stream_retention_ms = RETENTION_MS)
}

fn newest(client: &mut Client) {
    client.revision = "2025-11-25".to_owned();
}

/// Endpoints with the servers behind each: the name of the endpoint, the server, what stands before its names.
fn places() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let singles = SERVERS.into_iter().map(|server| (server, server, String::new()));
    singles.chain(SERVERS.into_iter().map(|server| (MERGED, server, format!("{server}__"))))
}

/// Waits for the beginning of the answer's stream, breaks it, and gives the last event id.
fn leave(w: &mut World, req: Req, rude: bool) -> (Xid, String) {
    let xid = w.exchange_of(req);
    w.run_until("an event id", |w| w.exchange(xid).last_event_id().is_some());
    let last = w.exchange(xid).last_event_id().unwrap_or_default().to_owned();
    if rude {
        w.reset(xid)
    } else {
        w.hang_up(xid)
    }
    (xid, last)
}

#[test]
fn an_answer_made_while_the_client_was_away_is_delivered_on_return() {
    // DL-56, DL-58, DL-59, DL-61
    story(cast(), |w| {
        w.until_all_tried();
        for (n, (endpoint, server, prefix)) in places().enumerate() {
            let c = w.client_with(endpoint, Kind::Streamable, newest);
            let req = w.start_call(c, &format!("{prefix}slow"), json!({"ms": 3_000, "text": "late"}));
            let other = w.start_call(c, &format!("{prefix}slow"), json!({"ms": 4_000, "text": "later"}));
            let (left, also_left) = (leave(w, req, n % 2 == 0), leave(w, other, n % 2 == 1));
            w.run_ms(6_000);
            assert!(!matches!(w.state(req), State::Answered(_)));
            for ((xid, last), req, text) in [(also_left, other, "later"), (left, req, "late")] {
                let back = w.resume(xid, &last);
                assert_eq!((w.exchange(back).status(), w.response(back).status()), (200, 200));
                assert_eq!(w.text(req), text);
            }
            assert!(w.heard(server, "notifications/cancelled").is_empty());
        }
    });
}

#[test]
fn before_2025_11_25_a_stream_can_be_resumed_from_its_first_message_on() {
    // DL-59, DL-62
    story(cast(), |w| {
        w.until_all_tried();
        for (endpoint, _, prefix) in places() {
            let c = w.client(endpoint, Kind::Streamable);
            let tool = format!("{prefix}progress");
            let req = w.start_watched(c, &tool, json!({"n": 4, "ms": 700}), json!("t"));
            let (xid, last) = leave(w, req, true);
            w.run_ms(5_000);
            let back = w.resume(xid, &last);
            w.response(back);
            assert_eq!(w.text(req), "done");
            assert_eq!(w.clients[c].requests[req.index].steps, [1.0, 2.0, 3.0, 4.0]);
        }
    });
}

#[test]
fn whoever_does_not_come_back_in_time_has_cancelled() {
    // limit: stream_retention_ms
    // DL-56, DL-60, BR-46
    story(cast(), |w| {
        w.until_all_tried();
        for (endpoint, server, prefix) in places() {
            let c = w.client_with(endpoint, Kind::Streamable, newest);
            let before = w.heard(server, "notifications/cancelled").len();
            let req = w.start_call(c, &format!("{prefix}slow"), json!({"ms": 600_000}));
            let (xid, last) = leave(w, req, true);
            w.run_ms(RETENTION_MS - 1_000);
            assert_eq!(w.heard(server, "notifications/cancelled").len(), before);
            w.run_ms(RETENTION_MS + 2_000);
            let cancelled = w.heard(server, "notifications/cancelled");
            assert_eq!(cancelled.len(), before + 1, "{endpoint} {server}");
            let call = w.heard(server, "tools/call").pop().unwrap();
            assert_eq!(cancelled[before].value["params"]["requestId"], call.value["id"]);
            let back = w.resume(xid, &last);
            assert_eq!(w.exchange(back).status(), 400);
            assert_eq!(
                w.call(c, &format!("{prefix}echo"), json!({"text": "hi"})),
                "hi",
                "the session lives on"
            );
        }
    });
}

#[test]
fn each_absence_has_a_limit_of_its_own() {
    // DL-56
    story(cast(), |w| {
        w.until_all_tried();
        let c = w.client_with(MERGED, Kind::Streamable, newest);
        let req = w.start_watched(c, "web__progress", json!({"n": 50, "ms": 900}), json!("t"));
        let (mut xid, mut last) = leave(w, req, true);
        for n in 0..4 {
            w.run_ms(RETENTION_MS - 2_000);
            xid = w.resume(xid, &last);
            w.run_until("two more steps", |w| w.exchange(xid).events.len() >= 9);
            last = w.exchange(xid).last_event_id().unwrap().to_owned();
            if n < 3 {
                w.reset(xid);
            }
        }
        w.response(xid);
        assert_eq!(w.text(req), "done");
        assert_eq!(w.clients[c].requests[req.index].steps.len(), 50);
        assert!(w.heard("web", "notifications/cancelled").is_empty());
    });
}

#[test]
fn a_question_asked_while_the_client_was_away_waits_for_it() {
    // DL-59, DL-69, BR-38
    story(cast(), |w| {
        w.until_all_tried();
        for (endpoint, server, prefix) in places() {
            let c = w.client_with(endpoint, Kind::Streamable, |client| {
                newest(client);
                with_roots(client);
            });
            let ask = format!("{prefix}ask");
            assert!(w.call(c, &ask, json!({})).contains(r#""roots":[]"#));
            w.teach(server, |mind| mind.delay_ms = 2_000);
            let req = w.start_call(c, &ask, json!({}));
            let (xid, last) = leave(w, req, true);
            w.run_ms(5_000);
            assert_eq!(w.inbox(c, "roots/list").len(), 1, "only the one before");
            let back = w.resume(xid, &last);
            w.response(back);
            assert!(w.text(req).contains(r#""roots":[]"#), "{endpoint} {server}");
            assert_eq!(w.inbox(c, "roots/list").len(), 2);
            assert_eq!(w.clients[c].inbox.last().unwrap().0, back.index, "on the stream of its call");
            w.teach(server, |mind| mind.delay_ms = 0);
        }
    });
}

#[test]
fn a_question_nobody_comes_back_for_ends_with_its_call() {
    // BR-43, BR-46
    story_of(0..2, cast(), |w| {
        w.until_all_tried();
        for (endpoint, server, prefix) in places() {
            let c = w.client_with(endpoint, Kind::Streamable, |client| {
                newest(client);
                with_roots(client);
            });
            let ask = format!("{prefix}ask");
            w.call(c, &ask, json!({}));
            w.teach(server, |mind| mind.delay_ms = 2_000);
            let before = w.heard(server, "notifications/cancelled").len();
            let req = w.start_call(c, &ask, json!({}));
            leave(w, req, true);
            w.run_ms(2 * RETENTION_MS + 2_000);
            assert_eq!(w.heard(server, "notifications/cancelled").len(), before + 1);
            let told = w.minds(server).into_iter().flat_map(|mind| &mind.heard);
            let told = told.filter(|heard| heard.value["error"].is_object()).count();
            assert!(told >= 1, "the question is answered in place of the client");
            w.teach(server, |mind| mind.delay_ms = 0);
        }
    });
}

#[test]
fn no_more_events_are_kept_than_the_limit_says() {
    // limit: replay_events_max
    // DL-58, DL-60
    story(cast().limits(|l| l.replay_events_max = 10), |w| {
        w.until_all_tried();
        for (endpoint, _, prefix) in places() {
            let c = w.client_with(endpoint, Kind::Streamable, newest);
            let tool = format!("{prefix}progress");
            let req = w.start_watched(c, &tool, json!({"n": 30, "ms": 100}), json!("t"));
            let (xid, last) = leave(w, req, true);
            let stream = last.split_once('-').unwrap().0.to_owned();
            w.run_ms(5_000);
            for sequence in [20, 0] {
                let back = w.resume(xid, &format!("{stream}-{sequence}"));
                assert_eq!(w.exchange(back).status(), 400, "what came next is forgotten");
            }
            let back = w.resume(xid, &format!("{stream}-21"));
            assert_eq!(w.response(back).events.len(), 10);
            assert_eq!(w.text(req), "done");
        }
    });
}

#[test]
fn no_more_bytes_are_kept_than_the_limit_says_but_the_answer_always_is() {
    // limit: replay_bytes_max
    // DL-58
    story(cast().limits(|l| l.replay_bytes_max = 4_000), |w| {
        w.until_all_tried();
        for (endpoint, _, prefix) in places() {
            let c = w.client_with(endpoint, Kind::Streamable, newest);
            let tool = format!("{prefix}progress");
            let req = w.start_watched(c, &tool, json!({"n": 60, "ms": 50}), json!("t"));
            let (xid, last) = leave(w, req, true);
            let stream = last.split_once('-').unwrap().0.to_owned();
            w.run_ms(5_000);
            let mut back = xid;
            for sequence in 0..=61 {
                back = w.resume(xid, &format!("{stream}-{sequence}"));
                if w.exchange(back).status() == 200 {
                    break;
                }
            }
            let kept: usize = w.response(back).events.iter().map(|event| event.data.len()).sum();
            assert!((3_500..=4_000).contains(&kept), "{kept}");

            for server in SERVERS {
                w.teach(server, |mind| mind.delay_ms = 1_000);
            }
            let req = w.start_call(c, &format!("{prefix}big"), json!({"bytes": 20_000}));
            let (xid, last) = leave(w, req, true);
            w.run_ms(3_000);
            let back = w.resume(xid, &last);
            w.response(back);
            assert_eq!(w.text(req).len(), 20_000);
            for server in SERVERS {
                w.teach(server, |mind| mind.delay_ms = 0);
            }
        }
    });
}

#[test]
fn notices_missed_on_the_standalone_stream_are_told_on_return_once() {
    // DL-54, DL-57, DL-58, BR-51
    story(cast(), |w| {
        w.until_all_tried();
        for (endpoint, revision) in [("fs", "2025-11-25"), (MERGED, "2025-11-25"), (MERGED, "2025-06-18")] {
            let c = w.client_with(endpoint, Kind::Streamable, |c| c.revision = revision.to_owned());
            let mut stream = w.listen(c);
            for n in 1..4 {
                w.teach("fs", |mind| mind.tools.push(format!("{endpoint}-{revision}-{n}")));
                w.say_changed("fs", "tools");
                w.run_ms(1_000);
                assert_eq!(w.notices(c), [2 * n - 1, 0, 0]);
                let last = w.exchange(stream).last_event_id().unwrap().to_owned();
                // The connection is dead already, but the proxy does not know yet.
                w.stall(stream, true);
                for name in ["x", "y"] {
                    w.teach("fs", |mind| mind.tools.push(format!("{endpoint}-{revision}-{n}{name}")));
                    w.say_changed("fs", "tools");
                    if name == "x" {
                        w.run_ms(20);
                        w.reset(stream);
                    }
                }
                w.run_ms(2_000);
                stream = w.resume(stream, &last);
                w.run_ms(1_000);
                assert_eq!(w.notices(c), [2 * n, 0, 0], "{endpoint} {revision} {n}");
            }
        }
    });
}

#[test]
fn an_event_id_is_good_in_its_own_session_only() {
    // DL-58, DL-60, DL-41
    story(cast(), |w| {
        w.until_all_tried();
        let (a, b) = (
            w.client_with(MERGED, Kind::Streamable, newest),
            w.client_with(MERGED, Kind::Streamable, newest),
        );
        let req = w.start_call(a, "fs__slow", json!({"ms": 2_000, "text": "mine"}));
        let (xid, last) = leave(w, req, true);
        w.run_ms(3_000);
        let index = w.clients[b].listen(&mut w.net, Some((0, last.clone())));
        let foreign = Xid { client: b, index };
        assert_eq!(w.response(foreign).status(), 400);
        w.clients[a].server = "fs".to_owned();
        let elsewhere = w.resume(xid, &last);
        assert_eq!(w.exchange(elsewhere).status(), 404);
        w.clients[a].server = MERGED.to_owned();
        let back = w.resume(xid, &last);
        w.response(back);
        assert_eq!(w.text(req), "mine");
    });
}
