//! Calls in flight: whose answer is whose, progress, cancellation, questions of the server.

use super::{KINDS, one, three};
use mcp_proxy_tests::client::{Kind, State};
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn equal_ids_of_two_clients_do_not_mix() {
    // BR-01
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let clients: Vec<usize> = (0..4).map(|n| w.client(server, KINDS[n % 2])).collect();
            let reqs: Vec<_> = clients
                .iter()
                .map(|c| w.start_as(*c, json!(1_000), "tools/call", json!({"name": "slow", "arguments": {"text": format!("of {c}"), "ms": 50 - 10 * (c % 4)}})))
                .collect();
            for (c, req) in clients.iter().zip(reqs) {
                assert_eq!(w.text(req), format!("of {c}"));
            }
        }
    });
}

#[test]
fn ids_keep_their_json_type_and_text() {
    // GN-01
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            let number = w.start_as(
                c,
                json!(500),
                "tools/call",
                json!({"name": "slow", "arguments": {"ms": 20, "text": "n"}}),
            );
            let string = w.start_as(
                c,
                json!("500"),
                "tools/call",
                json!({"name": "echo", "arguments": {"text": "s"}}),
            );
            assert_eq!((w.text(number), w.text(string)), ("n".to_owned(), "s".to_owned()));
            for id in [r#""a\u0062\n\"""#, "9007199254740993", "-7", "0", "\"\""] {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo"}}}}"#
                );
                let req = w.start_raw(c, &[serde_json::from_str(id).unwrap()], &body)[0];
                let raw = w.raw_answer(req);
                assert!(raw.contains(&format!("\"id\":{id}")), "{raw}");
            }
        }
    });
}

#[test]
fn answers_may_come_in_any_order() {
    // UP-55
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let reqs: Vec<_> = (0..8)
                .map(|n| w.start_call(c, "slow", json!({"ms": 200 - 10 * n, "text": n.to_string()})))
                .collect();
            for (n, req) in reqs.into_iter().enumerate().rev() {
                assert_eq!(w.text(req), n.to_string());
            }
        }
    });
}

#[test]
fn equal_progress_tokens_of_two_clients_do_not_mix() {
    // DL-21, DL-22, BR-45, BR-59
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let clients: Vec<usize> = (0..4).map(|n| w.client(server, KINDS[n % 2])).collect();
            for token in [json!("tok"), json!(7)] {
                let reqs: Vec<_> = clients
                    .iter()
                    .map(|c| w.start_watched(*c, "progress", json!({"n": 4, "ms": 10}), token.clone()))
                    .collect();
                for req in reqs {
                    assert_eq!(w.text(req), "done");
                    assert_eq!(w.clients[req.client].requests[req.index].steps, [1.0, 2.0, 3.0, 4.0]);
                }
            }
        }
    });
}

#[test]
fn without_a_token_there_is_no_progress() {
    // DL-22
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        assert_eq!(w.call(c, "progress", json!({"n": 3, "ms": 5})), "done");
        assert!(w.inbox(c, "notifications/progress").is_empty());
    });
}

#[test]
fn cancelling_reaches_the_server_and_its_late_answer_is_dropped() {
    // GN-11, DL-24, DL-71, UP-48
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            for (tool, ms) in [("slow", 900_000), ("stubborn", 400)] {
                let req = w.start_call(c, tool, json!({"ms": ms}));
                w.until_heard(req);
                let before = w.exchange_of(req);
                let note = w.cancel(req);
                assert_eq!(w.response(note).status(), 202);
                w.run_ms(1_000);
                assert!(!matches!(w.state(req), State::Answered(_)), "{server} {kind:?} {tool}");
                if kind == Kind::Streamable {
                    assert_eq!(*w.state(req), State::Lost, "the response ends without an answer");
                    assert_eq!(w.exchange(before).status(), 200);
                }
                let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
                let (call, cancel) =
                    (mind.last("tools/call").unwrap(), mind.last("notifications/cancelled").unwrap());
                assert_eq!(cancel.value["params"]["requestId"], call.value["id"]);
            }
            w.check_echo(c);
        }
    });
}

#[test]
fn cancelling_what_is_over_or_unknown_does_nothing() {
    // GN-10, DL-06
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            let hello = mcp_proxy_tests::client::Req { client: c, index: w.clients[c].requests.len() - 1 };
            let done = w.start_call(c, "echo", json!({}));
            w.outcome(done);
            w.cancel(done);
            w.cancel(hello);
            w.notify(c, "notifications/cancelled", json!({"requestId": "unheard of"}));
            w.notify(c, "notifications/cancelled", json!({}));
            w.run_ms(200);
            assert_eq!(w.child("fs").mind().count("notifications/cancelled"), 0);
            w.check_echo(c);
        }
    });
}

#[test]
fn one_client_cannot_cancel_the_call_of_another() {
    story(one(), |w| {
        let (a, b) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let req =
            w.start_as(a, json!("same"), "tools/call", json!({"name": "slow", "arguments": {"ms": 300}}));
        w.until_heard(req);
        w.notify(b, "notifications/cancelled", json!({"requestId": "same"}));
        assert_eq!(w.text(req), "done");
    });
}

#[test]
fn a_call_without_any_sign_of_life_is_given_up() {
    // GN-09
    story(one().limits(|l| l.call_ms = 20_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let silent = w.start_call(c, "never", json!({}));
        let lively = w.start_watched(c, "progress", json!({"n": 5, "ms": 15_000}), json!(1));
        assert_eq!(w.outcome(silent)["error"]["code"], -32603);
        w.run_ms(100);
        assert_eq!(w.child("fs").mind().count("notifications/cancelled"), 1);
        assert_eq!(w.text(lively), "done");
    });
}

#[test]
fn a_question_the_client_cannot_answer_is_refused_by_the_proxy() {
    // DL-09
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let answer =
                w.call(c, "ask", json!({"method": "elicitation/create", "params": {"message": "?"}}));
            assert!(answer.contains("-326"), "{answer}");
            assert!(w.inbox(c, "elicitation/create").is_empty());
        }
    });
}
