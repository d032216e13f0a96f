//! Calls that take too long, and answers that are too long.

use super::{KINDS, one};
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
