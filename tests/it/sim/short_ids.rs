//! Ids of what goes to servers and clients: small, and never taken for one another.

use super::{one, three};
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The ids of the calls that a server has heard of, in order.
fn ids(w: &mut World, server: &str) -> Vec<u64> {
    let heard = w.mind(server).heard.iter().filter(|heard| heard.value["method"] == "tools/call");
    heard.map(|heard| heard.value["id"].as_u64().expect("an integer")).collect()
}

#[test]
fn ids_of_calls_and_questions_stay_small() {
    // FT-106
    story_of([0, 3], three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Streamable);
            (0..150).for_each(|_| w.check_echo(c));
            let ids = ids(w, server);
            assert!(ids.iter().all(|id| *id < 200), "{server}: {ids:?}");
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 150, "{server}: an id twice");
            assert!(ids.is_sorted(), "{server}: they count up");
        }
        let asks = |c: &mut mcp_proxy_tests::client::Client| c.capabilities = json!({"elicitation": {}});
        let c = w.client_with("fs", Kind::Streamable, asks);
        for n in 1..=20 {
            let params = json!({"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}});
            let arguments = json!({"method": "elicitation/create", "params": params});
            let req = w.start_call(c, "ask", arguments);
            w.run_until("a question or the end", |w| {
                w.inbox(c, "elicitation/create").len() >= n
                    || *w.state(req) != mcp_proxy_tests::client::State::Waiting
            });
            w.outcome(req);
        }
        let asked = w.inbox(c, "elicitation/create");
        assert!(!asked.is_empty());
        assert!(asked.iter().all(|asked| asked["id"].as_u64().unwrap() <= 20), "{asked:?}");
    });
}

#[test]
fn a_late_answer_hits_no_successor_when_ids_begin_again() {
    // FT-106
    // limit: call_id_max
    for (server, json) in [("fs", true), ("web", true), ("web", false), ("old", true)] {
        let cast = three().calm().change_site("web", |s| s.json = json).limits(|l| {
            l.call_id_max = 40;
            l.owed_ids_max = 10;
        });
        story_of([0, 2], cast, |w| {
            let c = w.client(server, Kind::Streamable);
            let old = w.start_call(c, "stubborn", json!({"ms": 4_000, "text": "old"}));
            w.until_heard(old);
            let owed = *ids(w, server).last().unwrap();
            w.cancel(old);
            let kept = w.start_call(c, "slow", json!({"ms": 60_000, "text": "kept"}));
            w.until_heard(kept);
            (0..100).for_each(|_| w.check_echo(c));
            assert!(w.now_ms() < 4_000, "the late answer is still to come");
            let given = ids(w, server).split_off(1);
            assert!(given.iter().all(|id| (1..=40).contains(id) && *id != owed), "{server}: {given:?}");
            assert!(given.iter().collect::<BTreeSet<_>>().len() < 50, "{server}: they began again");
            let next = w.start_call(c, "slow", json!({"ms": 6_000, "text": "mine"}));
            assert_eq!(w.text(next), "mine", "{server}");
            // It came, so the id is free.
            (0..50).for_each(|_| w.check_echo(c));
            assert!(ids(w, server).split_off(102).contains(&owed), "{server}");
            assert_eq!(w.text(kept), "kept", "{server}");
        });
    }
}

#[test]
fn what_a_child_owed_is_forgotten_with_it() {
    // FT-106
    // limit: owed_ids_max
    let cast = one().limits(|l| {
        l.call_id_max = 20;
        l.owed_ids_max = 5;
    });
    story(cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        for round in 0..4 {
            for _ in 0..8 {
                let req = w.start_call(c, "never", json!({}));
                w.until_heard(req);
                w.cancel(req);
            }
            (0..30).for_each(|_| w.check_echo(c));
            let crash = w.start_call(c, "crash", json!({}));
            assert_eq!(w.outcome(crash)["error"]["code"], -32603, "{round}");
        }
        w.check_echo(c);
    });
}

#[test]
fn with_all_ids_taken_a_call_is_refused() {
    // FT-106
    let cast = one().limits(|l| {
        l.call_id_max = 8;
        l.owed_ids_max = 1;
    });
    story(cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        let open: Vec<_> = (0..8).map(|_| w.start_call(c, "never", json!({}))).collect();
        open.iter().for_each(|req| w.until_heard(*req));
        let refused: Value = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {}}));
        assert_eq!(refused["error"]["message"], "too many calls are in flight", "{refused}");
        open.into_iter().for_each(|req| {
            w.cancel(req);
        });
        w.check_echo(c);
    });
}
