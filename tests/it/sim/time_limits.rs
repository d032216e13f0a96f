//! Calls that take too long, and answers that are too long.

use super::{KINDS, one, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn progress_does_not_keep_a_call_for_ever() {
    // limit: call_total_ms
    // GN-09
    let cast = one().limits(|l| {
        l.call_ms = 20_000;
        l.call_total_ms = 60_000;
    });
    story(cast, |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            let before = w.child("fs").mind().count("notifications/cancelled");
            let from = w.now_ms();
            let req = w.start_watched(c, "progress", json!({"n": 20, "ms": 15_000}), json!("t"));
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
            let waited = w.now_ms() - from;
            assert!((60_000..61_000).contains(&waited), "{kind:?}: {waited} ms");
            assert_eq!(w.clients[c].requests[req.index].steps.len(), 3);
            w.run_ms(100);
            assert_eq!(w.child("fs").mind().count("notifications/cancelled"), before + 1);
        }
    });
}

#[test]
fn the_timeout_of_a_server_ends_its_calls() {
    // SEED-041
    let cast = Cast::default().streamable("web").server("web", "timeout", json!("5s")).streamable("other");
    story(cast, |w| {
        let (c, other) = (w.client("web", Kind::Streamable), w.client("other", Kind::Streamable));
        assert_eq!(w.call(c, "slow", json!({"ms": 4_000, "text": "in time"})), "in time");
        let patient = w.start_call(other, "slow", json!({"ms": 20_000, "text": "patient"}));
        let from = w.now_ms();
        let answer = w.ask(c, "tools/call", json!({"name": "never"}));
        assert_eq!(answer["error"]["code"], -32603);
        let waited = w.now_ms() - from;
        assert!((5_000..5_500).contains(&waited), "{waited} ms");
        assert_eq!(w.text(patient), "patient");
    });
}

#[test]
fn an_answer_over_the_limit_fails_its_call_at_once_wherever_it_says_its_id() {
    // GN-14
    story(one().limits(|l| l.message_bytes_max = 8_000), |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            for id_first in [true, false] {
                let req = w.start_call(c, "never", json!({}));
                w.until_heard(req);
                let id = w.child("fs").mind().last("tools/call").unwrap().value["id"].clone();
                let result = json!({"content": [{"type": "text", "text": "x".repeat(20_000)}]});
                let line = match id_first {
                    true => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
                    false => format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{id}}}"#),
                };
                let from = w.now_ms();
                w.say("fs", &line);
                assert_eq!(w.outcome(req)["error"]["code"], -32603);
                assert!(w.now_ms() - from < 1_000, "{kind:?} {id_first}: {} ms", w.now_ms() - from);
                w.check_echo(c);
            }
        }
        assert_eq!(w.children_of("fs").len(), 1);
    });
}

#[test]
fn a_call_that_is_silent_for_too_long_fails_and_progress_keeps_it_alive() {
    let cast = three();
    let cast = ["fs", "web", "old"]
        .into_iter()
        .fold(cast, |cast, name| cast.options(name, json!({"silenceTimeout": "5s", "callTimeout": "1m"})));
    story(cast, |w| {
        for (name, kind) in [("fs", KINDS[0]), ("fs", KINDS[1]), ("web", KINDS[0]), ("old", KINDS[1])] {
            let c = w.client(name, kind);
            let from = w.now_ms();
            let silent = w.start_call(c, "never", json!({}));
            let busy = w.start_watched(c, "progress", json!({"n": 5, "ms": 4_000}), json!("t"));
            let error = w.outcome(silent)["error"]["message"].clone();
            assert!(error.as_str().unwrap().contains("did not answer within 5 s"), "{name}: {error}");
            assert!((5_000..5_500).contains(&(w.now_ms() - from)), "{name} {kind:?}");
            assert!(w.outcome(busy)["result"].is_object(), "{name} {kind:?}: twenty seconds, but not silent");
            let endless = w.start_watched(c, "progress", json!({"n": 100, "ms": 4_000}), json!("u"));
            let from = w.now_ms();
            assert_eq!(w.outcome(endless)["error"]["code"], -32603);
            assert!((60_000..60_500).contains(&(w.now_ms() - from)), "{name} {kind:?}");
            w.run_ms(200);
            assert!(w.mind(name).count("notifications/cancelled") >= 2, "{name}");
        }
    });
}

#[test]
fn the_default_of_the_proxy_holds_where_a_server_has_no_limit_of_its_own() {
    let cast = one().stdio("db").options("db", json!({"silenceTimeout": "3s"}));
    story(cast.with_proxy("options", json!({"silenceTimeout": "9s"})), |w| {
        for (name, ms) in [("fs", 9_000), ("db", 3_000)] {
            let c = w.client(name, Kind::Streamable);
            let from = w.now_ms();
            assert_eq!(w.ask(c, "tools/call", json!({"name": "never"}))["error"]["code"], -32603);
            assert!((ms..ms + 500).contains(&(w.now_ms() - from)), "{name}");
        }
    });
}

#[test]
fn a_server_that_does_not_come_up_in_its_time_is_tried_again() {
    // The time is for all of the start: handshake and lists.
    for slow_ms in [4_000, 8_000] {
        let cast = three();
        let cast = ["fs", "web", "old"]
            .into_iter()
            .fold(cast, |cast, name| cast.options(name, json!({"startupTimeout": "7s"})));
        let cast = cast.first_program("fs", move |p| p.mind.delay_ms = slow_ms);
        story(cast, |w| {
            w.run_until("the second child", |w| w.children_of("fs").len() == 2);
            let waited = w.now_ms();
            assert!((7_000..8_500).contains(&waited), "{slow_ms}: {waited}");
            w.mind("web").mute = true;
            let before = w.mind("web").count("initialize");
            w.with_site("web", |site, net| site.restart(net));
            w.mind("web").mute = true;
            w.run_ms(60_000);
            assert!(w.mind("web").count("initialize") > before + 1);
            for name in ["fs", "old"] {
                let c = w.client(name, Kind::Streamable);
                w.check_echo(c);
            }
        });
    }
}
