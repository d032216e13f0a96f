//! Methods that the proxy does not know: they pass between a server and the clients of its own endpoint.

use super::{KINDS, one, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, MERGED, State};
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

const SERVERS: [&str; 3] = ["fs", "web", "old"];

/// A client that declares an extension and answers its question.
fn knowing(client: &mut Client) {
    client.capabilities = json!({"extensions": {"com.example/x": {}}});
    let reply = json!({"result": {"answer": [1.0], "extra": "x"}});
    client.replies.insert("com.example/question".to_owned(), reply);
}

fn question() -> Value {
    json!({"method": "com.example/question", "params": {"task": {}, "x": 1}, "token": true})
}

#[test]
fn a_method_that_only_the_server_knows_is_called_like_any_other() {
    // FT-302
    for server in SERVERS {
        story(three(), |w| {
            for kind in KINDS {
                let c = w.client(server, kind);
                let params = json!({"arguments": {"text": "hello"}, "task": {}, "uri": 7, "name": [1.0]});
                let answer = w.ask(c, "com.example/echo", params);
                assert_eq!(answer["result"]["content"][0]["text"], "hello");
                let heard = w.heard(server, "com.example/echo").last().unwrap().value.clone();
                assert_eq!(heard["params"]["task"], json!({}), "what it means is not ours");
                assert_eq!(heard["params"]["name"], json!([1.0]));
                let answer = w.ask(c, "com.example/fail", json!({}));
                assert_eq!(answer["error"], json!({"code": -5, "message": "as you wish", "data": {"n": 1}}));
                // Without params, and with an id that is text.
                let body = r#"{"jsonrpc":"2.0","id":"x","method":"com.example\/echo"}"#;
                let req = w.start_raw(c, &[json!("x")], body)[0];
                assert_eq!(w.outcome(req)["result"]["content"][0]["text"], "done");
            }
        });
    }
}

#[test]
fn its_progress_cancellation_and_limits_are_those_of_any_call() {
    // FT-302
    let cast = three();
    let cast = SERVERS.iter().fold(cast, |cast, s| cast.options(s, json!({"silenceTimeout": "5s"})));
    for server in SERVERS {
        story(cast.clone(), |w| {
            for kind in KINDS {
                let c = w.client(server, kind);
                let meta = json!({"arguments": {"ms": 100, "n": 3}, "_meta": {"progressToken": "mine"}});
                let answer = w.ask(c, "com.example/progress", meta);
                assert_eq!(answer["result"]["content"][0]["text"], "done");
                let told = w.inbox(c, "notifications/progress");
                assert_eq!(told.len(), 3);
                assert!(told.iter().all(|told| told["params"]["progressToken"] == "mine"));

                let req = w.start(c, "com.example/never", json!({}));
                w.until_heard(req);
                w.cancel(req);
                let before = w.heard(server, "notifications/cancelled").len();
                w.run_until("the server hears of it", |w| {
                    w.heard(server, "notifications/cancelled").len() > before
                });
                assert!(!matches!(w.state(req), State::Answered(_)));

                let answer = w.ask(c, "com.example/never", json!({}));
                assert!(answer["error"]["message"].as_str().unwrap().contains("did not answer"), "{answer}");
                w.check_echo(c);
            }
        });
    }
}

#[test]
fn a_client_can_be_asked_what_only_it_knows() {
    // FT-302
    for server in SERVERS {
        story(three(), |w| {
            for (kind, call) in KINDS
                .into_iter()
                .flat_map(|kind| ["tools/call", "com.example/ask"].map(|method| (kind, method)))
            {
                let c = w.client_with(server, kind, knowing);
                let answer = w.ask(c, call, json!({"name": "ask", "arguments": question()}));
                let told = answer["result"]["content"][0]["text"].as_str().unwrap();
                let told: Value = serde_json::from_str(told).unwrap();
                assert_eq!((&told["answer"], &told["extra"]), (&json!([1.0]), &json!("x")), "{answer}");
                let asked = w.inbox(c, "com.example/question");
                assert_eq!((asked.len(), &asked[0]["params"]["task"]), (1, &json!({})));
                assert!(asked[0]["params"]["_meta"]["progressToken"].is_number(), "of this hop");

                // Who has declared nothing may know it all the same; what the protocol knows has to be declared.
                let plain = w.client_with(server, kind, |c| {
                    knowing(c);
                    c.capabilities = json!({});
                });
                let told = w.call(plain, "ask", question());
                assert!(told.contains("answer"), "{told}");
                let told = w.call(c, "ask", json!({"method": "elicitation/create", "params": {}}));
                assert!(told.contains("-32601"), "{told}");
            }
        });
    }
}

#[test]
fn a_question_of_an_extension_that_could_belong_to_two_is_refused() {
    // FT-302
    story(one(), |w| {
        let clients = [0, 1].map(|_| w.client_with("fs", Kind::Streamable, knowing));
        let busy = w.start_call(clients[0], "slow", json!({"ms": 5_000}));
        w.until_heard(busy);
        let told = w.call(clients[1], "ask", question());
        assert!(told.contains("-32601"), "{told}");
        assert!(clients.iter().all(|c| w.inbox(*c, "com.example/question").is_empty()));
        w.text(busy);
        assert!(w.call(clients[1], "ask", question()).contains("answer"));
    });
}

#[test]
fn notifications_pass_both_ways() {
    // FT-302
    let note = r#"{"jsonrpc":"2.0","method":"notifications/com.example/x","params":{"n":[1.0]}}"#;
    for server in SERVERS {
        story(three().calm(), |w| {
            let clients = KINDS.map(|kind| w.client(server, kind));
            w.listen(clients[0]);
            for (count, c) in clients.into_iter().enumerate() {
                w.post(c, note);
                w.run_until("the server hears it", |w| {
                    w.heard(server, "notifications/com.example/x").len() > count
                });
            }
            let heard = w.heard(server, "notifications/com.example/x");
            assert!(heard.iter().all(|heard| heard.raw.contains("[1.0]")));
            // Nothing runs: it is for everybody who is here.
            w.run_ms(1_000);
            w.say(server, note);
            w.run_until("everybody hears it", |w| {
                clients.iter().all(|c| w.inbox(*c, "notifications/com.example/x").len() == 1)
            });
            // It came while one client's call ran, and nobody else's.
            if server != "web" {
                let req = w.start_call(clients[0], "slow", json!({"ms": 3_000}));
                w.until_heard(req);
                w.say(server, note);
                w.text(req);
                w.run_ms(1_000);
                let heard = clients.map(|c| w.inbox(c, "notifications/com.example/x").len());
                assert_eq!(heard, [2, 1], "{server}");
            }
            // Known to be a server's business only.
            w.say(server, r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{}}"#);
            w.run_ms(1_000);
            assert!(clients.iter().all(|c| w.inbox(*c, "notifications/tasks/status").is_empty()));
        });
    }
}

#[test]
fn a_notification_while_its_server_starts_waits_for_it() {
    // FT-302
    // limit: upstream_notes_max
    let cast = one().limits(|limits| limits.upstream_notes_max = 3).mind("fs", |mind| mind.delay_ms = 300);
    story(cast, |w| {
        let c = w.client_with("fs", Kind::Streamable, knowing);
        for n in 0..5 {
            let xid = w.notify(c, "com.example/note", json!({"n": n}));
            w.response(xid);
        }
        w.check_echo(c);
        let heard = w.heard("fs", "com.example/note");
        let heard: Vec<&Value> = heard.iter().map(|heard| &heard.value["params"]["n"]).collect();
        assert_eq!(heard, [0, 1, 2], "three wait, the others are lost");
        w.notify(c, "com.example/note", json!({"n": 5}));
        w.run_until("it passes at once", |w| w.heard("fs", "com.example/note").len() == 4);
    });
}

#[test]
fn on_the_merged_endpoint_nothing_unknown_passes() {
    // FT-302
    story(Cast::default().stdio("fs").calm(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client_with(MERGED, kind, knowing);
            assert_eq!(w.error_of(c, "com.example/echo", json!({})), -32601);
            w.notify(c, "com.example/note", json!({}));
            let told = w.call(c, "fs__ask", question());
            assert!(told.contains("-32601"), "{told}");
            w.say("fs", r#"{"jsonrpc":"2.0","method":"com.example/note"}"#);
            w.run_ms(1_000);
            assert!(
                w.inbox(c, "com.example/note").is_empty() && w.inbox(c, "com.example/question").is_empty()
            );
        }
        assert!(w.heard("fs", "com.example/note").is_empty() && w.heard("fs", "com.example/echo").is_empty());
    });
}
