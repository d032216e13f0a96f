//! Batches of revision 2025-03-26: from clients, from servers, and where they are none.

use super::{KINDS, one};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, Progress, State};
use mcp_proxy_tests::mind::{Deed, What, note};
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

const BATCHED: &str = "2025-03-26";

fn answer(id: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})
}

#[test]
fn a_batch_of_a_child_is_split_whatever_its_revision() {
    // ST-20, UP-51, FT-105
    for revision in [BATCHED, "2024-11-05", "2025-06-18"] {
        story(one().program("fs", |p| p.mind.revision = Some(revision)), |w| {
            let c = w.client("fs", Kind::Streamable);
            let calls = [(); 2].map(|()| {
                let req = w.start_call(c, "never", json!({}));
                w.until_heard(req);
                (req, w.child("fs").mind().last("tools/call").unwrap().value["id"].clone())
            });
            let [(a, first), (b, second)] = &calls;
            let answers = [answer(second, "b"), answer(first, "a")];
            let note = json!({"jsonrpc": "2.0", "method": "notifications/x"});
            w.say("fs", &json!([answers[0], note, 7, answers[1]]).to_string());
            assert_eq!((w.text(*a), w.text(*b)), ("a".to_owned(), "b".to_owned()), "{revision}");
        });
    }
}

#[test]
fn a_batch_of_an_http_server_is_split_whatever_brings_it() {
    // UP-51
    for (server, json) in [("web", true), ("web", false), ("old", false)] {
        let cast = Cast::default().streamable("web").sse("old").change_site(server, |s| {
            s.mind.revision = Some(BATCHED);
            s.json = json;
        });
        story(cast, |w| {
            let c = w.client(server, Kind::Streamable);
            let req = w.start_watched(c, "never", json!({}), json!("token"));
            w.until_heard(req);
            let call = w.site(server).mind.last("tools/call").unwrap().value.clone();
            let token = &call["params"]["_meta"]["progressToken"];
            let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": 1}});
            let batch = json!([progress, answer(&call["id"], "batched")]).to_string();
            let about = Some(call["id"].to_string());
            let deed = Deed { about, what: What::Answer(batch), ..note(String::new()) };
            w.with_site(server, |site, net| site.on_deed(&deed, net));
            assert_eq!(w.text(req), "batched", "{server}");
            assert_eq!(w.clients[c].requests[req.index].steps, [1.0], "{server}");
        });
    }
}

#[test]
fn a_batch_is_answered_in_its_order() {
    // DL-65
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, |c| c.revision = BATCHED.to_owned());
            let pings: Vec<Value> =
                (1..=4).map(|n| json!({"jsonrpc": "2.0", "id": format!("p{n}"), "method": "ping"})).collect();
            let ids: Vec<Value> = pings.iter().map(|ping| ping["id"].clone()).collect();
            let reqs = w.start_raw(c, &ids, &json!(pings).to_string());
            for req in &reqs {
                w.raw_answer(*req);
            }
            let exchanges = w.clients[c].exchanges.iter();
            let heard: String = exchanges
                .flat_map(|exchange| exchange.events.iter().map(|event| &event.data).chain([&exchange.body]))
                .cloned()
                .collect();
            let places: Vec<usize> =
                ids.iter().map(|id| heard.find(&format!("\"id\":{id}")).unwrap()).collect();
            assert!(places.is_sorted(), "{kind:?}: {heard}");
        }
    });
}

#[test]
fn a_cancellation_inside_the_batch_of_its_call_counts() {
    // DL-24, DL-65
    const CALL: &str = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"slow","arguments":{"ms":900000}}}"#;
    const CANCEL: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#;
    const OTHER: &str = r#"{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"echo","arguments":{"text":"b"}}}"#;
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, |c| c.revision = BATCHED.to_owned());
            for alone in [true, false] {
                let body =
                    if alone { format!("[{CALL},{CANCEL}]") } else { format!("[{CALL},{CANCEL},{OTHER}]") };
                let ids = [json!("a"), json!("b")];
                let reqs = w.start_raw(c, &ids[..if alone { 1 } else { 2 }], &body);
                w.clients[c].requests[reqs[0].index].cancelled = true;
                let xid = w.exchange_of(reqs[0]);
                assert_eq!(w.response(xid).progress, Progress::Complete);
                if let Some(other) = reqs.get(1) {
                    assert_eq!(w.text(*other), "b");
                }
                w.run_ms(500);
                assert!(!matches!(w.state(reqs[0]), State::Answered(_)), "{kind:?}");
            }
            let mind = w.child("fs").mind();
            assert_eq!(mind.calls("slow"), mind.count("notifications/cancelled"), "{kind:?}");
            w.check_echo(c);
        }
    });
}
