//! Log messages: each session hears what it wants to hear of its own calls, and servers are told once.

use super::questions::able;
use super::{KINDS, one, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::mind::LEVELS;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

const LOG: &str = "notifications/message";

/// The levels of the log messages a client has got.
fn got(w: &World, client: usize) -> Vec<String> {
    w.inbox(client, LOG)
        .iter()
        .map(|note| note["params"]["level"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn set(w: &mut World, client: usize, level: &str) {
    assert_eq!(w.ask(client, "logging/setLevel", json!({"level": level}))["result"], json!({}));
    // The server is told meanwhile; over HTTP that may be overtaken by a call.
    w.run_ms(300);
}

#[test]
fn an_unknown_level_is_refused() {
    // DL-18
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            for params in
                [json!({"level": "shout"}), json!({"level": 3}), json!({"level": "INFO"}), json!({})]
            {
                assert_eq!(w.ask(c, "logging/setLevel", params)["error"]["code"], -32602);
            }
            for level in LEVELS {
                set(w, c, level);
            }
        }
    });
}

#[test]
fn a_session_hears_its_level_and_what_is_worse() {
    // DL-19, BR-49
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            for wanted in [0, 3, 7] {
                let c = w.client(server, kind);
                set(w, c, LEVELS[wanted]);
                for level in LEVELS {
                    w.call(c, "log", json!({"level": level}));
                }
                w.run_ms(300);
                assert_eq!(got(w, c), LEVELS[wanted..], "{server} {kind:?}");
                w.end_session(c);
            }
        }
    });
}

#[test]
fn a_shared_server_is_told_the_most_verbose_level_and_everybody_hears_their_own() {
    // BR-49, DL-19
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let (a, b, quiet) =
                (w.client(server, KINDS[0]), w.client(server, KINDS[1]), w.client(server, KINDS[0]));
            for (client, level, told) in
                [(a, "error", "error"), (b, "debug", "debug"), (a, "warning", "debug")]
            {
                set(w, client, level);
                w.run_ms(300);
                assert_eq!(w.mind(server).last("logging/setLevel").unwrap().value["params"]["level"], told);
            }
            assert_eq!(
                w.mind(server).count("logging/setLevel"),
                2,
                "{server}: what changes nothing is not told"
            );
            for c in [a, b, quiet] {
                for level in ["debug", "info", "warning", "alert"] {
                    w.call(c, "log", json!({"level": level}));
                }
            }
            w.run_ms(300);
            assert_eq!(got(w, a), ["warning", "alert"]);
            assert_eq!(got(w, b), ["debug", "info", "warning", "alert"]);
            assert_eq!(got(w, quiet), ["info", "warning", "alert"], "as if nobody else had spoken");
        }
    });
}

#[test]
fn a_message_that_could_belong_to_two_calls_reaches_nobody() {
    // BR-43, BR-49: on one channel a log message names no call
    story(one(), |w| {
        let (a, b) = (w.client("fs", KINDS[0]), w.client("fs", KINDS[1]));
        for c in [a, b] {
            set(w, c, "debug");
        }
        let busy = [a, b].map(|c| w.start_call(c, "slow", json!({"ms": 3_000})));
        busy.iter().for_each(|req| w.until_heard(*req));
        let note = json!({"jsonrpc": "2.0", "method": LOG, "params": {"level": "alert", "data": "whose?"}});
        w.say("fs", &note.to_string());
        w.run_ms(500);
        assert!(got(w, a).is_empty() && got(w, b).is_empty());
        for req in busy {
            w.text(req);
        }
        let single = w.start_call(a, "slow", json!({"ms": 1_000}));
        w.until_heard(single);
        w.say("fs", &note.to_string());
        w.text(single);
        w.run_ms(300);
        assert_eq!((got(w, a).len(), got(w, b).len()), (1, 0));
    });
}

#[test]
fn messages_of_calls_side_by_side_reach_their_own_clients() {
    // BR-43: over Streamable HTTP each call has a stream, and a connection of its own has one client
    story(three(), |w| {
        for (server, change) in [("web", false), ("fs", true), ("old", true)] {
            let clients: Vec<usize> = (0..4)
                .map(|n| {
                    w.client_with(server, KINDS[n % 2], |c| {
                        if change {
                            able(c);
                        }
                    })
                })
                .collect();
            for c in &clients {
                set(w, *c, "debug");
                w.check_echo(*c);
            }
            let requests: Vec<_> = (0..12)
                .map(|n| w.start_call(clients[n % 4], "log", json!({"n": 5, "level": "debug", "ms": 200})))
                .collect();
            for req in requests {
                w.text(req);
            }
            w.run_ms(300);
            // Whose they are, and that they come before the answer, is checked by the clients.
            for c in clients {
                assert_eq!(got(w, c).len(), 15, "{server} client {c}");
            }
        }
    });
}

#[test]
fn log_messages_come_before_the_answer_of_their_call() {
    // BR-59
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let req = w.start_call(c, "log", json!({"n": 20, "level": "alert"}));
            w.text(req);
            assert_eq!(got(w, c).len(), 20, "{server} {kind:?}");
        }
    });
}

#[test]
fn a_server_that_came_back_is_told_the_level_again() {
    // ST-19
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Sse);
            set(w, c, "error");
            w.run_ms(300);
            let before = if server == "fs" { 0 } else { w.mind(server).count("logging/setLevel") };
            if server == "fs" {
                w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
            } else {
                w.with_site(server, |site, net| site.restart(net));
            }
            w.run_ms(3_000);
            w.check_echo(c);
            w.run_ms(1_000);
            let mind = w.mind(server);
            assert_eq!(mind.count("logging/setLevel"), before + 1, "{server}");
            assert_eq!(mind.last("logging/setLevel").unwrap().value["params"]["level"], "error");
            w.call(c, "log", json!({"level": "info"}));
            w.call(c, "log", json!({"level": "error"}));
            w.run_ms(300);
            assert_eq!(got(w, c), ["error"], "{server}");
        }
    });
}

#[test]
fn a_level_that_is_set_before_the_connection_is_there_counts() {
    // DL-19, ST-19
    story(one(), |w| {
        for kind in KINDS {
            w.client("fs", kind);
            let c = w.client_with("fs", kind, able);
            set(w, c, "critical");
            for level in ["error", "critical"] {
                w.call(c, "log", json!({"level": level}));
            }
            w.run_ms(300);
            assert_eq!(got(w, c), ["critical"], "{kind:?}");
        }
    });
}

#[test]
fn broken_log_messages_are_dropped() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Sse);
        let req = w.start_call(c, "slow", json!({"ms": 2_000}));
        w.until_heard(req);
        for params in [Value::Null, json!({}), json!({"level": "loud", "data": 1}), json!({"level": 3})] {
            w.say("fs", &json!({"jsonrpc": "2.0", "method": LOG, "params": params}).to_string());
        }
        w.text(req);
        assert!(got(w, c).is_empty());
    });
}
