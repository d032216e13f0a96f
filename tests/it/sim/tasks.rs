//! Tools that their server only runs as tasks, called like any other.

use super::questions::{able, able_but_silent, asking};
use super::{KINDS, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, Stand, State};
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

/// Three servers with a tool that wants to be a task.
fn cast() -> Cast {
    let cast = three().program("fs", |p| p.mind.tools.push("task".to_owned()));
    let cast = cast.change_site("web", |s| s.mind.tools.push("task".to_owned()));
    cast.change_site("old", |s| s.mind.tools.push("task".to_owned()))
}

#[test]
fn a_tool_that_wants_to_be_a_task_is_called_like_any_other() {
    // BR-63
    story(cast(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            for ms in [0, 5_500] {
                let polls = w.mind(server).count("tasks/get");
                let req = w.start_call(c, "task", json!({"ms": ms, "text": "worked"}));
                let answer = w.outcome(req);
                assert_eq!(answer["result"]["content"][0]["text"], "worked", "{server} {kind:?} {ms}");
                let meta = answer["result"]["_meta"].as_object().unwrap();
                assert!(meta.keys().all(|key| !key.contains("task")), "{meta:?}");
                w.run_ms(10_000);
                let polls = w.mind(server).count("tasks/get") - polls;
                assert_eq!(
                    polls,
                    ms / 1_000,
                    "{server} {kind:?}: as often as it wished, and no more when it was done"
                );
            }
            let sent = &w.mind(server).last("tools/call").unwrap().value;
            assert_eq!(sent["params"]["task"], json!({}));
        }
    });
}

#[test]
fn a_task_that_fails_is_a_call_that_fails() {
    // BR-63
    story(cast(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let req = w.start_call(c, "task", json!({"ms": 1_500, "fail": true}));
            assert_eq!(w.outcome(req)["error"]["code"], -7, "{server} {kind:?}");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_cancelled_call_ends_its_task() {
    // BR-63
    story(cast(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let before = w.mind(server).count("tasks/cancel");
            let req = w.start_call(c, "task", json!({"ms": 600_000}));
            w.run_ms(3_000);
            let call = w.mind(server).last("tools/call").unwrap().value["id"].clone();
            w.cancel(req);
            w.run_ms(10_000);
            let polls = w.mind(server).count("tasks/get");
            assert_eq!(w.mind(server).count("tasks/cancel"), before + 1, "{server} {kind:?}");
            w.run_ms(10_000);
            assert_eq!(w.mind(server).count("tasks/get"), polls, "nobody asks any more");
            let cancelled = |value: &Value| {
                value["method"] == "notifications/cancelled" && value["params"]["requestId"] == call
            };
            assert!(
                !w.mind(server).heard.iter().any(|heard| cancelled(&heard.value)),
                "the call itself was over"
            );
            assert!(!matches!(w.state(req), State::Answered(_)));
            w.check_echo(c);
        }
    });
}

#[test]
fn a_session_that_ends_ends_its_tasks() {
    // BR-63, BR-55
    story(cast(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let before = w.mind(server).count("tasks/cancel");
            let req = w.start_call(c, "task", json!({"ms": 600_000}));
            w.until_heard(req);
            w.run_ms(500);
            w.end_session(c);
            w.run_ms(1_000);
            assert_eq!(w.mind(server).count("tasks/cancel"), before + 1, "{server} {kind:?}");
        }
    });
}

#[test]
fn a_task_asks_the_client_of_its_call() {
    // BR-63, BR-43, DL-69
    story(cast(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let (a, b) = (w.client_with(server, kind, able), w.client_with(server, kind, able));
            let requests = [a, b].map(|c| {
                let mut arguments = asking("elicitation/create");
                arguments["ms"] = json!(2_500);
                (c, w.start_call(c, "task", arguments))
            });
            for (c, req) in requests {
                assert!(w.text(req).contains("Ada"), "{server} {kind:?}");
                let question = &w.clients[c].questions[0];
                if kind == Kind::Streamable {
                    assert_eq!(question.exchange, w.exchange_of(req).index);
                }
            }
            for c in [a, b] {
                w.end_session(c);
            }
            w.run_ms(3_000);
        }
    });
}

#[test]
fn a_task_with_an_open_question_is_cancelled_whole() {
    // BR-63, BR-38
    story(cast(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able_but_silent);
            let req = w.start_call(c, "task", asking("elicitation/create"));
            w.asked(c, 1);
            w.cancel(req);
            w.run_ms(2_000);
            assert_eq!(w.mind(server).questions.last().unwrap().answer["result"]["action"], "cancel");
            assert_eq!(w.clients[c].questions[0].stand, Stand::Withdrawn, "{server} {kind:?}");
            w.check_echo(c);
            w.end_session(c);
            w.run_ms(3_000);
        }
    });
}

#[test]
fn a_server_that_dies_takes_its_tasks_with_it() {
    // BR-63, UP-42
    story(cast(), |w| {
        let (a, b) = (w.client("fs", KINDS[0]), w.client("fs", KINDS[1]));
        let requests = [a, b].map(|c| w.start_call(c, "task", json!({"ms": 600_000})));
        w.run_ms(5_000);
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
        for req in requests {
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
        }
        w.check_echo(a);
        w.run_ms(10_000);
        assert_eq!(w.child("fs").mind().count("tasks/get"), 0, "nobody asks a new server of old tasks");
    });
}

#[test]
fn the_result_of_a_task_is_asked_for_again_when_its_stream_breaks() {
    // BR-63
    let cast = cast().change_site("web", |s| s.event_ids = false);
    story(cast, |w| {
        for kind in KINDS {
            let c = w.client("web", kind);
            for (ms, breaks) in [(10_000, 2), (600_000, 5)] {
                let cancels = w.mind("web").count("tasks/cancel");
                let req = w.start_call(c, "task", json!({"ms": ms}));
                for _ in 0..breaks {
                    w.run_ms(1_500);
                    w.with_site("web", |site, net| site.break_stream_of("tasks/result", net));
                }
                let answer = w.outcome(req);
                w.run_ms(500);
                let lost = breaks > 3;
                assert_eq!(answer["error"]["code"] == -32603, lost, "{kind:?}: {answer}");
                assert_eq!(w.mind("web").count("tasks/cancel") - cancels, usize::from(lost), "{kind:?}");
            }
        }
    });
}

#[test]
fn a_task_lives_as_long_as_its_server_says_so() {
    // BR-63, GN-09
    story(cast().limits(|l| l.call_ms = 20_000), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Sse);
            let req = w.start_call(c, "task", json!({"ms": 90_000, "poll_ms": 5_000}));
            assert_eq!(w.text(req), "done", "{server}");
        }
    });
}
