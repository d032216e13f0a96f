//! Event streams towards clients: when they start, how they stay alive, how they are resumed, what goes where.

use super::{KINDS, one, three};
use mcp_proxy_tests::client::{Kind, Progress, State, Xid};
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

/// The server's tools change, and it says so.
fn change(w: &mut World, tool: &str) {
    w.child("fs").mind().tools.push(tool.to_owned());
    w.say("fs", r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
}

#[test]
fn a_plain_answer_becomes_a_stream_after_200_ms() {
    // DL-44, DL-49
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for (ms, stream) in [(20, false), (1_000, true)] {
            let req = w.start_call(c, "slow", json!({"ms": ms}));
            assert_eq!(w.text(req), "done");
            let xid = w.exchange_of(req);
            assert_eq!(w.response(xid).progress, Progress::Complete);
            assert_eq!(w.exchange(xid).is_stream(), stream);
        }
    });
}

#[test]
fn silent_streams_are_kept_alive_by_comments() {
    story(one(), |w| {
        let (a, b) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Sse));
        let standalone = w.listen(a);
        let legacy = Xid { client: b, index: w.clients[b].stream.unwrap() };
        let req = w.start_call(a, "slow", json!({"ms": 50_000}));
        assert_eq!(w.text(req), "done");
        for xid in [standalone, legacy, w.exchange_of(req)] {
            assert!((2..=5).contains(&w.exchange(xid).comments), "{:?}", w.exchange(xid));
        }
    });
}

#[test]
fn the_first_event_primes_resumption_in_2025_11_25_only() {
    // DL-61, DL-62
    story(one(), |w| {
        for (revision, primed) in [("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)] {
            let c = w.client_with("fs", Kind::Streamable, |c| c.revision = revision.to_owned());
            let req = w.start_watched(c, "progress", json!({"n": 2, "ms": 400}), json!("t"));
            assert_eq!(w.text(req), "done");
            let first = &w.exchange(w.exchange_of(req)).events[0];
            assert_eq!(first.id.is_some() && first.data.is_empty(), primed, "{revision}: {first:?}");
            assert!(w.exchange(w.exchange_of(req)).events[1..].iter().all(|event| !event.data.is_empty()));
        }
    });
}

#[test]
fn a_broken_request_stream_is_resumed_without_loss_or_repetition() {
    // DL-57, DL-58, DL-59
    story(one(), |w| {
        for rude in [false, true] {
            let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-11-25".to_owned());
            let req = w.start_watched(c, "progress", json!({"n": 6, "ms": 1_000}), json!("t"));
            let xid = w.exchange_of(req);
            w.run_until("two steps", |w| w.clients[c].requests[req.index].steps.len() == 2);
            let last = w.exchange(xid).last_event_id().expect("event ids").to_owned();
            if rude {
                w.reset(xid)
            } else {
                w.hang_up(xid)
            }
            w.run_ms(2_500);
            let resumed = w.resume(xid, &last);
            assert_eq!(w.exchange(resumed).status(), 200);
            assert_eq!(w.response(resumed).progress, Progress::Complete);
            assert_eq!(w.clients[c].requests[req.index].steps, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            assert!(matches!(w.state(req), State::Answered(_)));
        }
    });
}

#[test]
fn a_stream_can_be_resumed_after_its_answer_was_made() {
    // DL-59
    story(one(), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-11-25".to_owned());
        let req = w.start_watched(c, "progress", json!({"n": 3, "ms": 500}), json!("t"));
        let xid = w.exchange_of(req);
        w.run_until("a step", |w| w.clients[c].requests[req.index].steps.len() == 1);
        let last = w.exchange(xid).last_event_id().unwrap().to_owned();
        w.reset(xid);
        w.run_ms(10_000);
        let resumed = w.resume(xid, &last);
        w.response(resumed);
        assert!(matches!(w.state(req), State::Answered(_)));
        assert_eq!(w.clients[c].requests[req.index].steps.len(), 3);
    });
}

#[test]
fn an_event_id_that_cannot_be_placed_is_400() {
    // DL-60
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let stream = w.listen(c);
        for id in ["nonsense", "999999-1", "1-99999", "", "-", "18446744073709551616-1", "é"] {
            let resumed = w.resume(stream, id);
            let status = w.exchange(resumed).status();
            assert!(status == 400 || id.is_empty() && status == 200, "{id:?}: {status}");
        }
        w.check_echo(c);
    });
}

#[test]
fn a_resumed_stream_takes_over_from_one_that_still_looks_alive() {
    // rmcp #659: two streams replacing each other in an endless reconnect
    story(one(), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-11-25".to_owned());
        let req = w.start_watched(c, "progress", json!({"n": 4, "ms": 1_000}), json!("t"));
        let xid = w.exchange_of(req);
        w.run_until("two steps", |w| w.clients[c].requests[req.index].steps.len() == 2);
        w.stall(xid, true);
        let last = w.exchange(xid).last_event_id().unwrap().to_owned();
        let resumed = w.resume(xid, &last);
        w.response(resumed);
        assert!(matches!(w.state(req), State::Answered(_)));
        assert_eq!(w.clients[c].requests[req.index].steps.len(), 4);
    });
}

#[test]
fn change_notices_go_to_the_newest_standalone_stream_only() {
    // DL-51, DL-53, DL-55
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let older = w.listen(c);
        let newer = w.listen(c);
        change(w, "fresh");
        w.run_ms(2_000);
        let notices: Vec<usize> = w.clients[c]
            .inbox
            .iter()
            .filter(|(_, m)| m["method"] == "notifications/tools/list_changed")
            .map(|(x, _)| *x)
            .collect();
        assert_eq!(notices, [newer.index], "not on {older:?}");
        assert!(w.ask(c, "tools/list", json!({})).to_string().contains("fresh"), "BR-59");
    });
}

#[test]
fn change_notices_wait_collapsed_for_a_stream_to_open() {
    // DL-54
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for tool in ["x1", "x2", "x3"] {
            change(w, tool);
            w.run_ms(1_000);
        }
        w.listen(c);
        w.run_ms(500);
        assert_eq!(w.inbox(c, "notifications/tools/list_changed").len(), 1);
    });
}

#[test]
fn each_session_hears_of_a_change_once() {
    // BR-51
    story(one(), |w| {
        let clients: Vec<usize> = (0..6).map(|n| w.client("fs", KINDS[n % 2])).collect();
        for c in clients.iter().filter(|c| *c % 2 == 0) {
            w.listen(*c);
        }
        change(w, "fresh");
        w.run_ms(2_000);
        for c in clients {
            assert_eq!(w.inbox(c, "notifications/tools/list_changed").len(), 1, "client {c}");
        }
    });
}

#[test]
fn a_get_that_does_not_accept_streams_is_406() {
    // DL-52
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let fields = [("mcp-session-id", session.as_str()), ("accept", "application/json")];
        assert_eq!(w.http("GET", "/fs/mcp", &fields, "").status(), 406);
    });
}

#[test]
fn before_2025_11_25_no_stream_ends_before_its_answer() {
    // DL-64
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
                let c = w.client_with(server, Kind::Streamable, |c| c.revision = revision.to_owned());
                let req = w.start_call(c, "slow", json!({"ms": 70_000, "text": "late"}));
                let xid = w.exchange_of(req);
                for _ in 0..6 {
                    w.run_ms(10_000);
                    assert_eq!(w.exchange(xid).progress, Progress::Running, "{server} {revision}");
                }
                assert_eq!(w.text(req), "late");
                assert_eq!(w.response(xid).progress, Progress::Complete);
            }
        }
    });
}

/// The server logs something: a note that belongs to no request.
const LOG: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"x"}}"#;

#[test]
fn every_message_is_named_however_its_event_comes_about() {
    // FT-201. In every other story, too, a client refuses an event without a name: questions, replays, batches.
    story(one(), |w| {
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let c = w.client_with("fs", Kind::Streamable, |c| {
                c.revision = revision.to_owned();
                c.accept = "text/event-stream".to_owned();
            });
            let standalone = w.listen(c);
            let reqs = [
                w.start(c, "ping", json!({})),
                w.start(c, "no/such", json!({})),
                w.start_watched(c, "progress", json!({"n": 2, "ms": 400}), json!("t")),
                w.start_call(c, "slow", json!({"ms": 900})),
            ];
            w.say("fs", LOG);
            change(w, revision);
            for req in reqs {
                w.outcome(req);
            }
            w.run_ms(1_000);
            let mut seen = vec![standalone];
            seen.extend(reqs.map(|req| w.exchange_of(req)));
            for xid in seen {
                let said = w.exchange(xid).events.iter().filter(|event| !event.data.is_empty());
                let names: Vec<&str> = said.map(|event| event.name.as_str()).collect();
                assert!(
                    !names.is_empty() && names.iter().all(|name| *name == "message"),
                    "{xid:?}: {names:?}"
                );
            }
        }
    });
}

#[test]
fn a_stream_without_an_event_begins_with_one_comment() {
    // FT-604: fronts hold a head until the first byte of the body.
    story(one().calm(), |w| {
        for (revision, primed) in [("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)] {
            let c = w.client_with("fs", Kind::Streamable, |c| c.revision = revision.to_owned());
            let standalone = w.listen(c);
            let slow = w.start_call(c, "slow", json!({"ms": 5_000}));
            let slow = w.exchange_of(slow);
            let noisy = w.start_watched(c, "progress", json!({"n": 2, "ms": 2_000}), json!("t"));
            w.run_ms(1_000);
            for xid in [standalone, slow] {
                let exchange = w.exchange(xid);
                assert_eq!(
                    (exchange.comments, exchange.events.len()),
                    (1 - primed as usize, primed as usize)
                );
            }
            w.outcome(noisy);
            w.run_ms(6_000);
            if primed {
                // Resumed where nothing was missed.
                change(w, revision);
                w.run_ms(1_000);
                let last = w.exchange(standalone).last_event_id().expect("event ids").to_owned();
                let resumed = w.resume(standalone, &last);
                w.run_ms(100);
                assert_eq!((w.exchange(resumed).comments, w.exchange(resumed).events.len()), (1, 0));
            }
        }
        let legacy = w.client("fs", Kind::Sse);
        let stream = Xid { client: legacy, index: w.clients[legacy].stream.unwrap() };
        assert_eq!(
            (w.exchange(stream).comments, w.exchange(stream).events[0].name.as_str()),
            (0, "endpoint")
        );
    });
}
