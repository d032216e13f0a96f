//! What a hostile reading of the engine found, each as a story: connections that were not forgotten, calls that waited
//! for ever, questions in the wrong hands.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, State, Xid};
use mcp_proxy_tests::story::story_of;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

fn roots(text: &str) -> impl Fn(&mut Client) + use<> {
    let uri = format!("file:///{text}");
    move |c| {
        c.capabilities = json!({"roots": {}});
        c.replies.insert("roots/list".into(), json!({"result": {"roots": [{"uri": uri}]}}));
    }
}

fn sampler(c: &mut Client) {
    c.capabilities = json!({"sampling": {}});
    c.replies.insert(
        "sampling/createMessage".into(),
        json!({"result": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "sampled"}}}),
    );
}

fn end(w: &mut World, c: usize) {
    let index = w.clients[c].delete(&mut w.net);
    assert_eq!(w.response(Xid { client: c, index }).status(), 204);
}

fn tell(cast: Cast, f: impl Fn(&mut World)) {
    story_of([1], cast.calm(), f);
}

#[test]
fn http_lanes_are_forgotten() {
    let cast = Cast::default().streamable("web").options("web", json!({"maxSessions": 2}));
    tell(cast, |w| {
        for n in 0..4 {
            let c = w.client_with("web", Kind::Streamable, roots("a"));
            let text = w.call(c, "ask", json!({"method": "roots/list"}));
            end(w, c);
            w.run_ms(20_000);
            assert!(text.contains("file:///a"), "session {n}: {text}");
        }
    });
}

#[test]
fn http_lane_wakes_without_its_old_session() {
    let cast = Cast::default().streamable("web").options("web", json!({"idleSeconds": 5}));
    tell(cast, |w| {
        let c = w.client_with("web", Kind::Streamable, roots("a"));
        w.check_echo(c);
        w.run_ms(70_000);
        w.check_echo(c);
    });
}

#[test]
fn a_crashed_unused_shared_lane_is_forgotten() {
    let cast = Cast::default().stdio("fs").options("fs", json!({"sessions": "shared", "maxSessions": 1}));
    tell(cast, |w| {
        let c = w.client_with("fs", Kind::Streamable, roots("a"));
        assert!(w.call(c, "ask", json!({"method": "roots/list"})).contains("file:///a"));
        end(w, c);
        w.run_ms(1_000);
        w.with_child("fs", |child, net| child.exit(net, mcp_proxy_core::event::ExitStatus::Code(3)));
        w.run_ms(600_000);
        let c = w.client_with("fs", Kind::Streamable, sampler);
        let text = w.call(
            c,
            "ask",
            json!({"method": "sampling/createMessage",
            "params": {"messages": [], "maxTokens": 1}}),
        );
        assert!(text.contains("sampled"), "{text}");
    });
}

#[test]
fn a_session_whose_lane_sleeps_sees_changes() {
    let cast = Cast::default().stdio("fs");
    tell(cast, |w| {
        let c = w.client_with("fs", Kind::Streamable, roots("a"));
        w.listen(c);
        let tools = |v: &Value| v["result"]["tools"].as_array().unwrap().len();
        let first = w.ask(c, "tools/list", json!({}));
        w.run_ms(130_000);
        w.children[0].program.mind.tools.push("new".into());
        let child = &mut w.children[0];
        child.print(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, &mut w.net);
        w.run_ms(5_000);
        let told = w.inbox(c, "notifications/tools/list_changed").len();
        let second = w.ask(c, "tools/list", json!({}));
        assert_eq!((told, tools(&second)), (1, tools(&first) + 1));
    });
}

#[test]
fn a_question_of_a_cancelled_call_does_not_reach_another() {
    let cast = Cast::default().stdio("fs").options("fs", json!({"sessions": "shared", "maxSessions": 1}));
    tell(cast, |w| {
        let a = w.client_with("fs", Kind::Streamable, roots("a"));
        let b = w.client_with("fs", Kind::Streamable, roots("b"));
        let slow = w.start_call(a, "stubborn", json!({"ms": 60_000}));
        w.until_heard(slow);
        w.cancel(slow);
        let other = w.start_call(b, "slow", json!({"ms": 5_000}));
        // Still about the call of `a`, which its server did not stop; it is ended for that.
        w.say("fs", r#"{"jsonrpc":"2.0","id":"qa","method":"roots/list"}"#);
        w.run_ms(1_000);
        let got = w.inbox(b, "roots/list").len();
        w.outcome(other);
        assert_eq!(got, 0);
    });
}

#[test]
fn a_question_of_a_lost_session_is_not_answered_in_the_next() {
    let cast = Cast::default().streamable("web").options("web", json!({"sessions": "shared"}));
    tell(cast, |w| {
        let a = w.client_with("web", Kind::Streamable, |c| {
            roots("a")(c);
            c.replies.insert("roots/list".into(), Value::Null);
        });
        let b = w.client_with("web", Kind::Streamable, |c| {
            roots("b")(c);
            c.replies.insert("roots/list".into(), Value::Null);
        });
        w.listen(a);
        w.listen(b);
        w.start_call(a, "ask", json!({"method": "roots/list"}));
        w.run_ms(1_000);
        assert_eq!(w.inbox(a, "roots/list").len(), 1);
        w.with_site("web", |site, net| {
            site.restart(net);
            site.mind = mcp_proxy_tests::mind::Mind::new("web");
        });
        w.run_ms(5_000);
        let mine = w.start_call(b, "ask", json!({"method": "roots/list"}));
        w.run_ms(1_000);
        assert_eq!(w.inbox(b, "roots/list").len(), 1);
        let id = w.inbox(a, "roots/list")[0]["id"].clone();
        let body = json!({"jsonrpc":"2.0","id":id,"result":{"roots":[{"uri":"file:///private-of-a"}]}});
        w.post(a, &body.to_string());
        w.run_ms(1_000);
        let state = format!("{:?}", w.state(mine));
        assert!(!state.contains("private-of-a"), "{state}");
        let id = w.inbox(b, "roots/list")[0]["id"].clone();
        w.post(b, &json!({"jsonrpc":"2.0","id":id,"result":{"roots":[]}}).to_string());
        w.run_ms(1_000);
    });
}

#[test]
fn a_completion_outlives_the_idle_time() {
    let cast = Cast::default().stdio("fs");
    tell(cast, |w| {
        let c = w.client_with("fs", Kind::Streamable, roots("a"));
        w.ask(c, "tools/list", json!({}));
        w.run_ms(1_000);
        w.child("fs").mind().delay_ms = 150_000;
        let req = w.start(c, "completion/complete", json!({"ref": {"type": "ref/prompt", "name": "prompt0"}, "argument": {"name": "x", "value": "y"}}));
        w.run_ms(200_000);
        assert_ne!(*w.state(req), State::Waiting);
    });
}

#[test]
fn unsent_calls_wake_a_lost_connection() {
    for k in 0..12 {
        let cast = Cast::default().sse("old");
        tell(cast, |w| {
            let c = w.client_with("old", Kind::Streamable, roots("a"));
            w.check_echo(c);
            w.run_ms(10_000);
            let req = w.start_call(c, "echo", json!({"text": "x"}));
            for _ in 0..k {
                w.step();
            }
            w.with_site("old", |site, net| site.restart(net));
            w.run_ms(20_000);
            assert_ne!(*w.state(req), State::Waiting, "k={k}");
        });
    }
}

#[test]
fn servers_are_told_before_the_end() {
    let cast =
        Cast::default().streamable("lone").change_site("lone", |s| s.sessions = false).streamable("web");
    tell(cast, |w| {
        let c = w.client_with("lone", Kind::Streamable, roots("a"));
        w.check_echo(c);
        let d = w.client("web", Kind::Streamable);
        w.check_echo(d);
        w.command(mcp_proxy_core::event::Command::Stop);
        w.run_ms(20_000);
        assert!(w.stopped.is_some());
        assert_eq!(w.site("web").count("DELETE"), 1);
    });
}

#[test]
fn a_server_that_runs_only_once_still_serves_clients_with_roots() {
    let cast =
        Cast::default().stdio("fs").program("fs", |p| p.exits_at_once = Some(1)).first_program("fs", |_| {});
    tell(cast, |w| {
        let c = w.client_with("fs", Kind::Streamable, roots("a"));
        let before = w.now_ms();
        let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
        let took = w.now_ms() - before;
        assert!(answer["result"].is_object(), "after {took} ms: {answer}");
    });
}

fn heard_id(w: &mut World, method: &str) -> String {
    w.child("fs").mind().last(method).unwrap_or_else(|| panic!("no {method}")).value["id"].to_string()
}

/// A server that runs `t` as a task, played by hand; the call is under way.
fn by_hand(w: &mut World) -> mcp_proxy_tests::client::Req {
    w.run_ms(100);
    let id = heard_id(w, "initialize");
    w.say("fs", &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}},"tasks":{{"requests":{{"tools":{{"call":{{}}}}}}}}}},"serverInfo":{{"name":"x","version":"1"}}}}}}"#));
    w.run_ms(100);
    let id = heard_id(w, "tools/list");
    w.say("fs", &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[{{"name":"t","inputSchema":{{"type":"object"}},"execution":{{"taskSupport":"required"}}}}]}}}}"#));
    w.run_ms(100);
    let c = w.client("fs", Kind::Streamable);
    let req = w.start_call(c, "t", json!({}));
    w.run_ms(100);
    req
}

fn mute() -> Cast {
    Cast::default().stdio("fs").program("fs", |p| {
        p.mind.mute = true;
        p.mind.ping_mute = true;
    })
}

#[test]
fn a_task_id_that_is_no_string() {
    tell(mute(), |w| {
        let req = by_hand(w);
        let id = heard_id(w, "tools/call");
        w.say(
            "fs",
            &format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"task\":{{\"taskId\":[\r1]}}}}}}"),
        );
        w.run_ms(1_000);
        assert_eq!(w.child("fs").mind().count("tasks/result"), 0);
        assert!(format!("{:?}", w.state(req)).contains("whose id is no string"));
    });
}

#[test]
fn a_task_is_asked_about_once_at_a_time() {
    tell(mute(), |w| {
        by_hand(w);
        let id = heard_id(w, "tools/call");
        w.say(
            "fs",
            &format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"task":{{"taskId":"a","pollInterval":1}}}}}}"#
            ),
        );
        w.run_ms(55_000);
        let n = w.child("fs").mind().count("tasks/get");
        assert!(n <= 2, "{n} unanswered tasks/get");
        let id = heard_id(w, "tasks/result");
        w.say("fs", &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#));
        w.run_ms(1_000);
    });
}

#[test]
fn log_of_somebody_elses_completion() {
    let cast = Cast::default().stdio("fs");
    tell(cast, |w| {
        let a = w.client("fs", Kind::Streamable);
        let b = w.client("fs", Kind::Streamable);
        let slow = w.start_call(a, "slow", json!({"ms": 10_000}));
        w.until_heard(slow);
        w.child("fs").mind().delay_ms = 5_000;
        w.start(b, "completion/complete", json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "x", "value": "secret-of-b"}}));
        w.run_ms(1_000);
        w.say("fs", r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"completing secret-of-b"}}"#);
        w.run_ms(1_000);
        assert_eq!(w.inbox(a, "notifications/message").len(), 0);
    });
}

#[test]
fn a_cancelled_call_that_speaks_on_is_heard_by_no_other_session() {
    // BR-50. Found by a storm: the only call that was not cancelled was taken for what the server spoke of.
    let secret =
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"of-a"}}"#;
    let completion =
        json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "x", "value": "y"}});
    for (method, params) in [
        ("tools/call", json!({"name": "slow", "arguments": {"ms": 5_000}})),
        ("completion/complete", completion),
    ] {
        for can in [json!({}), json!({"roots": {}})] {
            let cast = Cast::default().stdio("fs").options("fs", json!({"sessions": "shared"}));
            tell(cast.program("fs", |program| program.mind.delay_ms = 500), |w| {
                let [a, b] = [(); 2].map(|()| {
                    w.client_with("fs", Kind::Streamable, |client| client.capabilities = can.clone())
                });
                let left = w.start(a, method, params.clone());
                w.until_heard(left);
                w.cancel(left);
                let slow = w.start_call(b, "slow", json!({"ms": 60_000}));
                w.run_ms(100);
                w.say("fs", secret);
                w.run_ms(1_000);
                assert_eq!(w.inbox(b, "notifications/message").len(), 0, "{method} {can}");
                // Of its own calls a session may hear, whichever it was.
                w.cancel(slow);
                w.run_ms(10_000);
            });
        }
    }
}

#[test]
fn what_runs_on_a_connection_that_is_made_anew_fails_at_once() {
    let cast = Cast::default().stdio("fs").options("fs", json!({"sessions": "shared", "maxSessions": 1}));
    tell(cast, |w| {
        let a = w.client_with("fs", Kind::Streamable, roots("a"));
        let b = w.client_with("fs", Kind::Streamable, roots("b"));
        let slow = w.start_call(a, "stubborn", json!({"ms": 600_000}));
        w.until_heard(slow);
        w.cancel(slow);
        w.mind("fs").mute = true;
        let complete =
            json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "x", "value": "y"}});
        let runs = w.start(a, "completion/complete", complete);
        w.until_heard(runs);
        let waits = w.start_call(b, "echo", json!({"text": "x"}));
        w.run_ms(5_000);
        assert!(matches!(w.state(runs), State::Answered(_)));
        assert!(w.outcome(runs)["error"]["message"].as_str().unwrap().contains("started anew"));
        assert_eq!(w.text(waits), "x");
    });
}

#[test]
fn nobody_is_kept_waiting_by_a_busy_session() {
    let cast = Cast::default().stdio("fs").options("fs", json!({"sessions": "shared", "maxSessions": 1}));
    tell(cast, |w| {
        let a = w.client_with("fs", Kind::Streamable, roots("a"));
        let b = w.client_with("fs", Kind::Streamable, roots("b"));
        w.start_call(a, "slow", json!({"ms": 2_000}));
        w.run_ms(1_000);
        let waits = w.start_call(b, "echo", json!({"text": "x"}));
        for _ in 0..100 {
            w.start_call(a, "slow", json!({"ms": 2_000}));
            w.run_ms(1_000);
        }
        assert_ne!(*w.state(waits), State::Waiting);
    });
}

#[test]
fn one_more_lane_that_cannot_be_made_takes_nothing_from_the_first() {
    // Found by a storm: the first lane was never stopped, because its sessions were counted as its users for ever.
    let cast = Cast::default().stdio("fs").options("fs", json!({"sessions": "shared"}));
    let cast = cast.first_program("fs", |_| {}).first_program("fs", |_| {}).program("fs", |_| {});
    let mut cast = cast.limits(|l| l.server_conn_idle_ms = 5_000);
    cast.programs.get_mut("sim-fs").unwrap()[2].missing = true;
    tell(cast, |w| {
        let (a, b) = (
            w.client_with("fs", Kind::Streamable, roots("a")),
            w.client_with("fs", Kind::Streamable, roots("a")),
        );
        let slow = w.start_call(a, "slow", json!({"ms": 3_000, "text": "slow"}));
        w.until_heard(slow);
        assert_eq!(w.call(b, "echo", json!({"text": "b"})), "b", "it waits for its turn");
        assert_eq!(w.text(slow), "slow");
        for c in [a, b] {
            assert!(w.call(c, "ask", json!({"method": "roots/list"})).contains("file:///a"));
        }
        end(w, a);
        end(w, b);
        w.run_ms(20_000);
        assert_eq!(w.alive("fs"), 1);
    });
}
