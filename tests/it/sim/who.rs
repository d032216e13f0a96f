//! Who is served by which connection: connections of their own, shared ones, how many, and how long they live.

use super::questions::{able, able_but_silent, asking};
use super::{KINDS, one, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, Req, Stand, State};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// One stdio server with these options.
fn with(options: Value) -> Cast {
    one().options("fs", options)
}

/// Each client starts a call that leads to a question, one after the other.
fn in_turn(w: &mut World, clients: &[usize]) -> Vec<Req> {
    let mut ask = |c: &usize| {
        let req = w.start_call(*c, "ask", asking("elicitation/create"));
        w.run_ms(1_000);
        req
    };
    clients.iter().map(&mut ask).collect()
}

/// Five clients hold a form open each, and fill it in in reverse order.
fn five_forms(w: &mut World) {
    let clients: Vec<usize> = (0..5).map(|n| w.client_with("fs", KINDS[n % 2], able_but_silent)).collect();
    let requests: Vec<_> =
        clients.iter().map(|c| w.start_call(*c, "ask", asking("elicitation/create"))).collect();
    for c in &clients {
        w.asked(*c, 1);
    }
    for (c, req) in clients.iter().zip(&requests).rev() {
        let content = json!({"who": format!("client {c}")});
        w.answer(*c, 0, &json!({"result": {"action": "accept", "content": content}}));
        assert!(w.text(*req).contains(&format!("client {c}")));
    }
    assert!(clients.iter().all(|c| w.clients[*c].questions.len() == 1));
}

#[test]
fn five_clients_hold_forms_open_at_one_server_each_over_a_connection_of_its_own() {
    // BR-43, BR-55
    story(one(), |w| {
        five_forms(w);
        assert_eq!(w.children_of("fs").len(), 6, "and the one for everybody");
    });
}

#[test]
fn five_clients_hold_forms_open_over_five_shared_connections() {
    // BR-43, BR-44, BR-55
    story(with(json!({"sessions": "shared", "maxSessions": 5})), |w| {
        five_forms(w);
        assert_eq!(w.children_of("fs").len(), 6);
    });
}

#[test]
fn five_clients_hold_forms_open_at_an_http_server() {
    // BR-43
    for sessions in ["auto", "shared", "dedicated"] {
        let options = json!({"sessions": sessions});
        let cast = Cast::default().streamable("web").options("web", options);
        story(cast, |w| {
            let clients: Vec<usize> =
                (0..5).map(|n| w.client_with("web", KINDS[n % 2], able_but_silent)).collect();
            let requests: Vec<_> =
                clients.iter().map(|c| w.start_call(*c, "ask", asking("elicitation/create"))).collect();
            for c in &clients {
                w.asked(*c, 1);
            }
            for (c, req) in clients.iter().zip(&requests).rev() {
                w.answer(*c, 0, &json!({"result": {"action": "accept", "content": {"who": c}}}));
                assert!(w.text(*req).contains(&format!("\"who\":{c}")));
            }
            let sessions_there = w.site("web").open_sessions();
            assert_eq!(sessions_there, if sessions == "shared" { 2 } else { 6 }, "{sessions}");
        });
    }
}

#[test]
fn on_one_shared_connection_sessions_take_turns() {
    // BR-43, BR-44
    for server in ["fs", "old"] {
        let options = json!({"sessions": "shared", "maxSessions": 1});
        story(three().options(server, options), |w| {
            let clients: Vec<usize> =
                (0..3).map(|n| w.client_with(server, KINDS[n % 2], able_but_silent)).collect();
            let requests = in_turn(w, &clients);
            for (place, c) in clients.iter().enumerate() {
                w.asked(*c, 1);
                w.run_ms(500);
                let later = &clients[place + 1..];
                assert!(later.iter().all(|other| w.clients[*other].questions.is_empty()), "{server}");
                // What cannot lead to questions goes ahead, and so do more calls of the session whose turn it is.
                assert!(w.ask(clients[2], "completion/complete", json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}))["result"].is_object());
                w.check_echo(*c);
                w.answer(*c, 0, &json!({"result": {"action": "decline"}}));
                assert!(w.text(requests[place]).contains("decline"));
            }
        });
    }
}

#[test]
fn a_waiting_turn_is_lost_by_cancelling_and_by_leaving() {
    // BR-44
    story(with(json!({"sessions": "shared", "maxSessions": 1})), |w| {
        let clients: Vec<usize> =
            (0..4).map(|n| w.client_with("fs", KINDS[n % 2], able_but_silent)).collect();
        let requests = in_turn(w, &clients);
        w.asked(clients[0], 1);
        w.cancel(requests[1]);
        w.end_session(clients[2]);
        w.run_ms(500);
        w.answer(clients[0], 0, &json!({"result": {"action": "decline"}}));
        w.asked(clients[3], 1);
        w.answer(clients[3], 0, &json!({"result": {"action": "decline"}}));
        assert!(w.text(requests[3]).contains("decline"));
        assert_eq!(w.child("fs").mind().calls("ask"), 2, "the others were never sent");
    });
}

#[test]
fn a_question_that_crosses_a_cancellation_reaches_nobody_else() {
    // BR-43, BR-44: the next session has its turn only when the server has read of the end
    for server in ["fs", "old"] {
        let options = json!({"sessions": "shared", "maxSessions": 1});
        story_of(0..12, three().options(server, options), |w| {
            let (a, b) = (w.client_with(server, KINDS[0], able), w.client_with(server, KINDS[1], able));
            w.check_echo(a);
            w.check_echo(b);
            for ms in 0..12 {
                let mut arguments = asking("elicitation/create");
                arguments["ms"] = json!(ms);
                let first = w.start_call(a, "ask", arguments);
                w.run_ms(ms);
                w.cancel(first);
                let second = w.start_call(b, "slow", json!({"ms": 20}));
                assert_eq!(w.text(second), "done");
                // That it is not the other's is checked by the clients themselves.
                assert!(w.clients[b].questions.is_empty(), "{server} {ms}");
            }
        });
    }
}

#[test]
fn a_shared_connection_that_dies_after_its_last_session_is_not_kept() {
    // BR-55
    story(with(json!({"sessions": "shared"})), |w| {
        let c = w.client_with("fs", KINDS[0], able);
        w.check_echo(c);
        w.end_session(c);
        w.run_ms(1_000);
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
        w.run_ms(130_000);
        assert_eq!((w.alive("fs"), w.shard.proxy().census().upstreams), (1, 1));
    });
}

#[test]
fn a_session_at_an_http_server_sleeps_and_begins_anew() {
    // BR-55, UP-36: the new session is not the old one, even while that is being deleted
    let options = json!({"idleSeconds": 3});
    story(three().options("web", options.clone()).options("old", options), |w| {
        for server in ["web", "old"] {
            let c = w.client_with(server, Kind::Sse, able);
            w.check_echo(c);
            let open = w.site(server).open_sessions();
            for wait in [10_000, 10_000] {
                w.run_ms(wait);
                assert_eq!(w.site(server).open_sessions(), open - 1, "{server}: asleep");
                assert!(w.call(c, "ask", json!({})).contains("file:///home"), "{server}");
                assert_eq!(w.site(server).open_sessions(), open, "{server}: awake");
            }
            // It may wake at any moment of its falling asleep.
            for _ in 0..20 {
                let (from, wait) = (w.now_ms(), 3_000);
                w.run_until("the end of the session", |w| w.now_ms() >= from + wait);
                w.check_echo(c);
                w.run_ms(1);
            }
        }
    });
}

#[test]
fn a_turn_that_does_not_come_ends_in_an_error() {
    // BR-44
    let cast = with(json!({"sessions": "shared", "maxSessions": 1})).limits(|l| l.call_ms = 20_000);
    story(cast, |w| {
        let (a, b) =
            (w.client_with("fs", KINDS[0], able_but_silent), w.client_with("fs", KINDS[1], able_but_silent));
        let first = w.start_call(a, "ask", asking("elicitation/create"));
        w.asked(a, 1);
        let second = w.start_call(b, "ask", asking("elicitation/create"));
        let answer = w.outcome(second);
        assert_eq!(answer["error"]["code"], -32603);
        assert!(answer["error"]["message"].as_str().unwrap().contains("busy"), "{answer}");
        w.answer(a, 0, &json!({"result": {"action": "decline"}}));
        assert!(w.text(first).contains("decline"));
    });
}

#[test]
fn clients_with_different_capabilities_never_share_a_connection() {
    // BR-55
    story(with(json!({"sessions": "shared"})), |w| {
        let kinds =
            [json!({"roots": {}}), json!({"sampling": {}}), json!({"roots": {}, "sampling": {}}), json!({})];
        let clients: Vec<usize> = (0..8)
            .map(|n| {
                w.client_with("fs", KINDS[n % 2], |c| {
                    able(c);
                    c.capabilities = kinds[n % 4].clone();
                })
            })
            .collect();
        for c in &clients {
            w.check_echo(*c);
        }
        assert_eq!(w.children_of("fs").len(), 4, "one for each kind of client");
        for child in w.children_of("fs") {
            let mind = &child.program.mind;
            let told = &mind.last("initialize").unwrap().value["params"]["capabilities"];
            for heard in mind.heard.iter().filter(|heard| heard.value["method"] == "tools/call") {
                let tag = heard.value["params"]["_meta"]["sim/tag"].as_str().unwrap();
                let client: usize = tag[2..].split_once('.').unwrap().0.parse().unwrap();
                assert_eq!(w.clients[client].capabilities, *told);
            }
        }
    });
}

#[test]
fn a_connection_of_its_own_ends_with_its_session() {
    // BR-55
    for sessions in ["auto", "dedicated"] {
        story(with(json!({"sessions": sessions})), |w| {
            for kind in KINDS {
                let c = w.client_with("fs", kind, able);
                w.check_echo(c);
                assert_eq!(w.alive("fs"), 2);
                w.end_session(c);
                w.run_ms(3_000);
                assert_eq!(w.alive("fs"), 1, "{sessions} {kind:?}");
                // Even one that is still being started, or in the middle of a call.
                let c = w.client_with("fs", kind, able);
                w.start_call(c, "slow", json!({"ms": 60_000}));
                w.end_session(c);
                w.run_ms(3_000);
                assert_eq!(w.alive("fs"), 1, "{sessions} {kind:?}");
            }
            assert_eq!(w.shard.proxy().census().upstreams, 1);
        });
    }
}

#[test]
fn a_session_at_an_http_server_of_its_own_ends_with_its_client() {
    // BR-55, UP-49
    story(three(), |w| {
        for (server, kind) in ["web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able);
            w.check_echo(c);
            assert_eq!(w.site(server).open_sessions(), 2, "{server} {kind:?}");
            w.end_session(c);
            w.run_ms(3_000);
            assert_eq!(w.site(server).open_sessions(), 1, "{server} {kind:?}");
        }
        assert_eq!(w.shard.proxy().census().upstreams, 3);
    });
}

#[test]
fn beyond_the_cap_a_session_shares_or_is_told_that_the_server_is_busy() {
    // BR-55
    story(with(json!({"sessions": "auto", "maxSessions": 2})), |w| {
        let clients: Vec<usize> = (0..3).map(|n| w.client_with("fs", KINDS[n % 2], able)).collect();
        for c in &clients {
            w.check_echo(*c);
        }
        assert_eq!(w.children_of("fs").len(), 3);
        assert!(w.call(clients[2], "ask", json!({})).contains("-3260"), "nobody can be asked there");
        assert!(w.clients[clients[2]].questions.is_empty());
        assert!(w.watch.logged("maxSessions"));
    });
    story(with(json!({"sessions": "dedicated", "maxSessions": 2})), |w| {
        let clients: Vec<usize> = (0..3).map(|n| w.client_with("fs", KINDS[n % 2], able)).collect();
        w.check_echo(clients[0]);
        w.check_echo(clients[1]);
        let refused = w.ask(clients[2], "tools/call", json!({"name": "echo", "arguments": {}}));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        w.end_session(clients[0]);
        w.run_ms(5_000);
        w.check_echo(clients[2]);
    });
}

#[test]
fn a_connection_that_has_nothing_to_do_sleeps_and_wakes_with_the_next_call() {
    // BR-55, ST-19
    for sessions in ["auto", "shared", "dedicated"] {
        story(with(json!({"sessions": sessions, "idleSeconds": 5})), |w| {
            let c = w.client_with("fs", Kind::Sse, able);
            w.ask(c, "logging/setLevel", json!({"level": "error"}));
            w.check_echo(c);
            assert_eq!(w.alive("fs"), 2, "{sessions}");
            w.run_ms(20_000);
            assert_eq!(w.alive("fs"), 1, "{sessions}: asleep");
            assert!(w.call(c, "ask", json!({})).contains("file:///home"));
            assert_eq!(w.children_of("fs").len(), 3);
            let level = w.child("fs").mind().last("logging/setLevel").map(|heard| heard.value.clone());
            assert_eq!(level.unwrap()["params"]["level"], "error", "{sessions}: told again");
            // An open question keeps it awake, and so does a watched resource.
            w.clients[c]
                .replies
                .insert("roots/list".to_owned(), json!({"after_ms": 30_000, "result": {"roots": []}}));
            assert!(w.call(c, "ask", json!({})).contains("roots"));
            w.ask(c, "resources/subscribe", json!({"uri": "sim://fs/0"}));
            w.run_ms(30_000);
            assert_eq!(w.children_of("fs").len(), 3, "{sessions}");
            w.ask(c, "resources/unsubscribe", json!({"uri": "sim://fs/0"}));
            w.run_ms(20_000);
            assert_eq!(w.alive("fs"), 1, "{sessions}");
            w.end_session(c);
        });
    }
}

#[test]
fn nobody_hears_of_another_when_a_connection_of_its_own_dies() {
    // BR-43, BR-55
    story(one(), |w| {
        let (a, b) =
            (w.client_with("fs", KINDS[0], able_but_silent), w.client_with("fs", KINDS[1], able_but_silent));
        let (mine, theirs) = (
            w.start_call(a, "ask", asking("elicitation/create")),
            w.start_call(b, "ask", asking("elicitation/create")),
        );
        w.asked(a, 1);
        w.asked(b, 1);
        let tag = format!("\"@c{a}.");
        let place = w
            .children
            .iter()
            .position(|child| child.program.mind.heard.iter().any(|heard| heard.raw.contains(&tag)));
        w.children[place.unwrap()].exit(&mut w.net, ExitStatus::Code(1));
        assert_eq!(w.outcome(mine)["error"]["code"], -32603);
        w.run_ms(500);
        assert_eq!((w.clients[b].questions[0].stand, w.state(theirs)), (Stand::Open, &State::Waiting));
        w.answer(b, 0, &json!({"result": {"action": "decline"}}));
        assert!(w.text(theirs).contains("decline"));
        w.check_echo(a);
    });
}

#[test]
fn an_answer_counts_only_from_who_was_asked() {
    // BR-43
    story(one(), |w| {
        let (a, b) =
            (w.client_with("fs", KINDS[0], able_but_silent), w.client_with("fs", KINDS[0], able_but_silent));
        let req = w.start_call(a, "ask", asking("elicitation/create"));
        w.asked(a, 1);
        let id = w.clients[a].questions[0].id.clone();
        w.post(b, &json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept"}}).to_string());
        w.run_ms(500);
        assert_eq!(*w.state(req), State::Waiting);
        w.answer(a, 0, &json!({"result": {"action": "decline"}}));
        assert!(w.text(req).contains("decline"));
    });
}

#[test]
fn changed_roots_are_told_to_connections_of_their_own_alone() {
    // BR-54
    for (sessions, told) in [("auto", 1), ("dedicated", 1), ("shared", 0)] {
        let mut cast = three();
        for server in ["fs", "web", "old"] {
            cast = cast.options(server, json!({"sessions": sessions}));
        }
        story_of([0, 2], cast, |w| {
            for server in ["fs", "web", "old"] {
                let c = w.client_with(server, Kind::Streamable, |c| {
                    able(c);
                    c.capabilities["roots"]["listChanged"] = json!(true);
                });
                w.check_echo(c);
                w.notify(c, "notifications/roots/list_changed", json!({}));
                w.run_ms(500);
                assert_eq!(
                    w.mind(server).count("notifications/roots/list_changed"),
                    told,
                    "{server} {sessions}"
                );
            }
        });
    }
}
