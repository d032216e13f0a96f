//! Watched resources, and news of URLs that were visited.

use super::questions::{able, asking};
use super::{KINDS, one, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::mind::{Deed, note};
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

const UPDATED: &str = "notifications/resources/updated";
const VISITED: &str = "notifications/elicitation/complete";

fn uri(server: &str, n: usize) -> Value {
    json!({"uri": format!("sim://{server}/{n}")})
}

fn watch(w: &mut World, client: usize, params: &Value) {
    assert_eq!(w.ask(client, "resources/subscribe", params.clone())["result"], json!({}));
}

fn unwatch(w: &mut World, client: usize, params: &Value) {
    assert_eq!(w.ask(client, "resources/unsubscribe", params.clone())["result"], json!({}));
}

/// The server says that a resource has changed, in the session that watches something if there is one.
fn change(w: &mut World, server: &str, params: &Value) {
    let text = json!({"jsonrpc": "2.0", "method": UPDATED, "params": params}).to_string();
    let session = w.mind(server).watched.first().and_then(|(session, _)| session.clone());
    if session.is_some() {
        w.with_site(server, |site, net| site.on_deed(&Deed { session, ..note(text) }, net));
    } else {
        w.say(server, &text);
    }
    w.run_ms(1_000);
}

fn heard(w: &World, client: usize) -> usize {
    w.inbox(client, UPDATED).len()
}

#[test]
fn a_watched_resource_is_reported_until_nobody_watches_it() {
    // DL-23, BR-52
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let (a, b, other) =
                (w.client(server, KINDS[0]), w.client(server, KINDS[1]), w.client(server, KINDS[1]));
            w.listen(a);
            let one = uri(server, 0);
            for c in [a, b, a] {
                watch(w, c, &one);
            }
            assert_eq!(w.mind(server).count("resources/subscribe"), 1, "{server}");
            change(w, server, &one);
            unwatch(w, a, &one);
            assert_eq!(w.mind(server).count("resources/unsubscribe"), 0);
            change(w, server, &one);
            assert_eq!((heard(w, a), heard(w, b), heard(w, other)), (1, 2, 0), "{server}");
            unwatch(w, b, &one);
            w.run_ms(300);
            assert_eq!(w.mind(server).count("resources/unsubscribe"), 1, "{server}");
            change(w, server, &one);
            assert_eq!((heard(w, a), heard(w, b)), (1, 2), "{server}");
            watch(w, a, &one);
            assert_eq!(w.mind(server).count("resources/subscribe"), 2);
        }
    });
}

#[test]
fn a_session_that_ends_lets_go_of_what_it_watched() {
    // BR-52
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let clients = [w.client(server, KINDS[0]), w.client(server, KINDS[1])];
            for c in clients {
                watch(w, c, &uri(server, 0));
            }
            watch(w, clients[0], &uri(server, 1));
            w.end_session(clients[0]);
            w.run_ms(500);
            assert_eq!(w.mind(server).watched.len(), 1, "{server}");
            w.end_session(clients[1]);
            w.run_ms(500);
            assert!(w.mind(server).watched.is_empty(), "{server}");
        }
    });
}

#[test]
fn many_changes_in_a_moment_are_told_once_to_who_was_not_there() {
    // DL-23, DL-54
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        watch(w, c, &uri("fs", 0));
        for _ in 0..5 {
            change(w, "fs", &uri("fs", 0));
        }
        w.listen(c);
        w.run_ms(500);
        assert_eq!(heard(w, c), 1);
    });
}

#[test]
fn only_who_watches_a_resource_hears_of_it_on_connections_of_their_own() {
    // DL-23, BR-55
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let (a, b) = (w.client_with(server, Kind::Sse, able), w.client(server, Kind::Sse));
            w.check_echo(a);
            watch(w, a, &uri(server, 0));
            w.run_ms(500);
            change(w, server, &uri(server, 0));
            assert_eq!((heard(w, a), heard(w, b)), (1, 0), "{server}");
            w.end_session(a);
            w.run_ms(3_000);
        }
    });
}

#[test]
fn what_is_watched_is_watched_again_after_a_restart() {
    // ST-19
    story(three(), |w| {
        for (server, change_client) in ["fs", "web", "old"].into_iter().flat_map(|s| [(s, false), (s, true)])
        {
            let c = w.client_with(server, Kind::Sse, |c| {
                if change_client {
                    able(c);
                }
            });
            w.check_echo(c);
            watch(w, c, &uri(server, 0));
            watch(w, c, &uri(server, 1));
            unwatch(w, c, &uri(server, 1));
            w.run_ms(500);
            if server == "fs" {
                w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
            } else {
                w.with_site(server, |site, net| site.restart(net));
                w.mind(server).watched.clear();
            }
            w.run_ms(200);
            w.check_echo(c);
            w.run_ms(5_000);
            let watched: Vec<String> = w.mind(server).watched.iter().map(|(_, uri)| uri.clone()).collect();
            assert_eq!(watched, [format!("sim://{server}/0")], "{server} {change_client}");
            assert_eq!(heard(w, c), 1, "{server} {change_client}: it may have changed meanwhile");
            change(w, server, &uri(server, 0));
            assert_eq!(heard(w, c), 2, "{server} {change_client}");
            w.end_session(c);
            w.run_ms(3_000);
        }
    });
}

#[test]
fn a_server_without_subscriptions_says_so() {
    // DL-23
    story(one().program("fs", |p| p.mind.others = 0), |w| {
        let c = w.client("fs", Kind::Streamable);
        assert_eq!(w.ask(c, "resources/subscribe", uri("fs", 0))["error"]["code"], -32601);
    });
}

#[test]
fn who_was_sent_to_a_url_hears_that_it_was_visited() {
    // BR-43; bridging 6.7
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let sent = |w: &mut World| {
                w.client_with(server, kind, |c| {
                    able(c);
                    c.revision = "2025-11-25".to_owned();
                    c.capabilities = json!({"elicitation": {"form": {}, "url": {}}});
                })
            };
            let (a, b) = (sent(w), sent(w));
            for c in [a, b] {
                if kind == Kind::Streamable {
                    w.listen(c);
                }
                w.check_echo(c);
            }
            w.run_ms(300);
            let answer =
                w.ask(a, "tools/call", json!({"name": "url", "arguments": {"id": "visit-1", "ms": 500}}));
            assert_eq!(answer["error"]["code"], -32042, "{server} {kind:?}: {answer}");
            assert_eq!(answer["error"]["data"]["elicitations"][0]["elicitationId"], "visit-1");
            w.run_ms(2_000);
            assert_eq!(w.inbox(a, VISITED).len(), 1, "{server} {kind:?}");
            assert!(w.inbox(b, VISITED).is_empty());
            for c in [a, b] {
                w.end_session(c);
            }
            w.run_ms(3_000);
        }
    });
}

#[test]
fn a_client_that_cannot_be_sent_to_a_url_is_told_in_words() {
    // DL-10
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            for change in [able as fn(&mut _), |_: &mut _| {}] {
                let c = w.client_with(server, kind, change);
                let answer =
                    w.ask(c, "tools/call", json!({"name": "url", "arguments": {"id": "v", "ms": 100}}));
                assert_eq!(answer["result"]["isError"], true, "{server} {kind:?}: {answer}");
                assert!(answer.to_string().contains("https://example.com/in"), "{answer}");
                w.run_ms(1_000);
                assert!(w.inbox(c, VISITED).is_empty());
            }
        }
    });
}

#[test]
fn a_question_by_url_is_told_to_be_over_to_its_client_alone() {
    // DL-10, BR-43
    story(one(), |w| {
        let url =
            json!({"mode": "url", "elicitationId": "e-1", "url": "https://example.com", "message": "Go"});
        let clients = [0, 1].map(|_| {
            w.client_with("fs", Kind::Sse, |c| {
                able(c);
                c.revision = "2025-11-25".to_owned();
                c.capabilities = json!({"elicitation": {"url": {}}});
            })
        });
        w.check_echo(clients[1]);
        let mut arguments = asking("elicitation/create");
        arguments["params"] = url;
        assert!(w.call(clients[0], "ask", arguments).contains("accept"));
        let done =
            json!({"jsonrpc": "2.0", "method": VISITED, "params": {"elicitationId": "e-1"}}).to_string();
        w.say("fs", &done);
        w.say("fs", &done);
        w.run_ms(500);
        assert_eq!(w.inbox(clients[0], VISITED).len(), 1);
        assert!(w.inbox(clients[1], VISITED).is_empty());
    });
}
