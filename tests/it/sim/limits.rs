//! Bounds in number or size: each is reached, and passed by one. Those of connections and memory are in
//! [`super::floods`]; others stand where what they bound is told. A comment `limit:` names each, and the last test here
//! sees to it that none is forgotten.

use super::one;
use super::questions::{able, able_but_silent, asking};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{AUTHORITY, Kind, State};
use mcp_proxy_tests::http::message;
use mcp_proxy_tests::mind::asking::Asked;
use mcp_proxy_tests::net::{Phase, Who};
use mcp_proxy_tests::story::story_of;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const POST: [(&str, &str); 3] = [
    ("host", AUTHORITY),
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// Plays a story in three weathers: what is bounded has nothing to do with the network.
fn bound(cast: Cast, tell: impl Fn(&mut World)) {
    story_of([0, 2, 3], cast, tell);
}

/// The status of the answer to a body with requests of these ids.
fn said(w: &mut World, client: usize, ids: &[Value], body: &str) -> u16 {
    let xid = {
        let reqs = w.start_raw(client, ids, body);
        w.exchange_of(reqs[0])
    };
    w.response(xid).status()
}

/// `text` made `len` bytes long by what stands for `~` in it.
fn padded(text: &str, len: usize) -> String {
    text.replace('~', &"p".repeat(len + 1 - text.len()))
}

#[test]
fn a_head_may_be_as_long_as_the_limit() {
    // limit: head_bytes_max
    bound(one().limits(|l| l.head_bytes_max = 1_024), |w| {
        let c = w.client("fs", Kind::Streamable);
        let head = format!("PUT /fs/sse HTTP/1.1\r\nhost: {AUTHORITY}\r\nx: ~\r\n\r\n");
        for (len, status) in [(1_024, 405), (1_025, 431)] {
            let xid = w.raw(&padded(&head, len));
            assert_eq!(w.response(xid).status(), status, "{len}");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_message_may_be_as_long_as_the_limit() {
    // limit: message_bytes_max
    bound(one().limits(|l| l.message_bytes_max = 3_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let ping = r##"{"jsonrpc":"2.0","id":#,"method":"ping","params":{"x":"~"}}"##;
        for (len, status) in [(3_000, 200), (3_001, 413)] {
            assert_eq!(said(w, c, &[json!(len)], &padded(&ping.replace('#', &len.to_string()), len)), status);
            w.check_echo(c);
        }
    });
}

#[test]
fn a_message_may_be_as_deep_as_the_limit() {
    // limit: json_depth_max
    bound(one().limits(|l| l.json_depth_max = 16), |w| {
        let c = w.client("fs", Kind::Streamable);
        // The message, its parameters, their member.
        for (depth, status) in [(16, 200), (17, 400)] {
            let deep = format!("{}{}", "[".repeat(depth - 2), "]".repeat(depth - 2));
            let ping =
                format!(r#"{{"jsonrpc":"2.0","id":{depth}00,"method":"ping","params":{{"x":{deep}}}}}"#);
            assert_eq!(said(w, c, &[json!(depth * 100)], &ping), status, "{depth}");
            w.check_echo(c);
        }
    });
}

#[test]
fn an_id_may_be_as_long_as_the_limit() {
    // limit: id_bytes_max
    bound(one().limits(|l| l.id_bytes_max = 40), |w| {
        let c = w.client("fs", Kind::Streamable);
        // Two quotes belong to it.
        for (len, status) in [(38, 200), (39, 400)] {
            let id = json!("i".repeat(len));
            let ping = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert_eq!(said(w, c, &[id], &ping), status, "{len}");
        }
        w.check_echo(c);
    });
}

#[test]
fn a_batch_may_have_as_many_messages_as_the_limit() {
    // limit: batch_max
    bound(one().limits(|l| l.batch_max = 3), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-03-26".to_owned());
        for (count, status) in [(3, 200), (4, 400)] {
            let ids: Vec<Value> = (0..count).map(|n| json!(100 * count + n)).collect();
            let pings = ids.iter().map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
            let batch = Value::from_iter(pings).to_string();
            assert_eq!(said(w, c, &ids, &batch), status, "{count}");
        }
        w.check_echo(c);
    });
}

#[test]
fn all_clients_together_have_as_many_calls_as_the_limit() {
    // limit: calls_max
    bound(one().limits(|l| l.calls_max = 3), |w| {
        let (busy, other) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let calls: Vec<_> = (0..3).map(|_| w.start_call(busy, "slow", json!({"ms": 2_000}))).collect();
        calls.iter().for_each(|req| w.until_heard(*req));
        let refused = w.ask(other, "tools/call", json!({"name": "echo", "arguments": {}}));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        assert_eq!(w.ask(other, "ping", json!({}))["result"], json!({}), "what we answer is no call");
        calls.iter().for_each(|req| assert_eq!(w.text(*req), "done"));
        w.check_echo(other);
    });
}

#[test]
fn a_session_has_as_many_streams_as_the_limit() {
    // limit: session_streams_max
    bound(one().limits(|l| l.session_streams_max = 3), |w| {
        let (c, other) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let streams: Vec<_> = (0..3).map(|_| w.listen(c)).collect();
        assert!(streams.iter().all(|xid| w.exchange(*xid).status() == 200));
        let fourth = w.listen(c);
        assert_eq!(w.exchange(fourth).status(), 503);
        let call = w.start_call(c, "echo", json!({}));
        let xid = w.exchange_of(call);
        assert_eq!(w.response(xid).status(), 503);
        w.check_echo(other);
    });
}

#[test]
fn as_many_calls_wait_for_a_server_as_the_limit() {
    // limit: upstream_queue_max
    bound(one().outage("fs", 3).limits(|l| l.upstream_queue_max = 2), |w| {
        let c = lost(w);
        let waiting: Vec<_> = (0..2).map(|_| w.start_call(c, "echo", json!({"text": "later"}))).collect();
        w.run_ms(100);
        let refused = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {}}));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        waiting.iter().for_each(|req| assert_eq!(w.text(*req), "later"));
    });
}

#[test]
fn as_many_bytes_wait_for_a_server_as_the_limit() {
    // limit: upstream_queue_bytes_max
    bound(one().outage("fs", 3).limits(|l| l.upstream_queue_bytes_max = 10_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let around = around(w, c);
        let crash = w.start_call(c, "crash", json!({}));
        w.outcome(crash);
        let text = |len: usize| json!({"text": "z".repeat(len - around)});
        let first = w.start_call(c, "echo", text(5_000));
        w.run_until("it waits", |w| w.shard.proxy().health().servers[0].calls_waiting == 1);
        let refused = w.ask(c, "tools/call", json!({"name": "echo", "arguments": text(5_001)}));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        let second = w.start_call(c, "echo", text(5_000));
        w.run_until("both wait", |w| w.shard.proxy().health().servers[0].calls_waiting == 2);
        let refused = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {}}));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        [first, second].iter().for_each(|req| assert_eq!(w.text(*req).len(), 5_000 - around));
    });
}

/// Bytes of a call of `echo` on its way to the server `fs`, without its text.
fn around(w: &mut World, client: usize) -> usize {
    // From here on ids have two digits.
    (0..10).for_each(|_| w.check_echo(client));
    w.call(client, "echo", json!({"text": "x"}));
    w.child("fs").mind().last("tools/call").expect("the server heard a call").raw.len() - 1
}

#[test]
fn as_many_bytes_are_queued_for_a_child_that_does_not_read_as_the_limit() {
    // limit: upstream_send_cap_bytes
    bound(one().limits(|l| l.upstream_send_cap_bytes = 50_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let around = around(w, c);
        let conn = w.child("fs").conn;
        w.net.stall(conn, true);
        let text = |len: usize| json!({"text": "z".repeat(len - around)});
        let first = w.start_call(c, "echo", text(30_000));
        w.run_until("it is sent", |w| w.shard.proxy().health().servers[0].calls_in_flight == 1);
        w.run_ms(500);
        // The pipe has taken some of it.
        let room = 50_000 - w.shard.proxy().outgoing(conn).len();
        let refused = w.ask(c, "tools/call", json!({"name": "echo", "arguments": text(room + 1)}));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        let second = w.start_call(c, "echo", text(room));
        w.run_until("both are sent", |w| w.shard.proxy().health().servers[0].calls_in_flight == 2);
        assert_eq!(*w.state(second), State::Waiting);
        w.net.stall(conn, false);
        [first, second].iter().for_each(|req| assert!(!w.text(*req).is_empty()));
    });
}

/// A client whose server has just been lost.
fn lost(w: &mut World) -> usize {
    let c = w.client("fs", Kind::Streamable);
    let req = w.start_call(c, "crash", json!({}));
    assert_eq!(w.outcome(req)["error"]["code"], -32603);
    c
}

#[test]
fn a_server_has_as_many_open_questions_as_the_limit() {
    // limit: questions_max
    bound(one().limits(|l| l.questions_max = 2), |w| {
        let c = w.client_with("fs", Kind::Streamable, able_but_silent);
        let mut arguments = asking("roots/list");
        arguments["n"] = json!(3);
        w.start_call(c, "ask", arguments);
        w.asked(c, 2);
        w.run_ms(500);
        assert_eq!(w.clients[c].questions.len(), 2);
        let refused: Vec<_> =
            w.mind("fs").questions.iter().filter(|question| question.state == Asked::Answered).collect();
        assert!(refused.len() == 1 && !refused[0].is_signed(), "{refused:?}");
        for place in 0..2 {
            w.answer(c, place, &json!({"result": {"roots": []}}));
        }
    });
}

#[test]
fn a_question_as_long_as_the_limit_waits_for_a_stream() {
    // limit: held_question_bytes_max
    bound(one().limits(|l| l.held_question_bytes_max = 1_000), |w| {
        let c = w.client_with("fs", Kind::Streamable, able);
        w.check_echo(c);
        w.run_ms(500);
        let ask = |w: &mut World, len: usize| {
            let params = json!({"messages": [], "systemPrompt": "s".repeat(len)});
            let place = w.ask_outside("fs", "sampling/createMessage", &params);
            w.run_ms(2_000);
            w.mind("fs").questions[place].state == Asked::Open
        };
        assert!(ask(w, 1));
        let stream = w.listen(c);
        w.run_ms(2_000);
        let around = w.exchange(stream).events.last().unwrap().data.len() - 1;
        w.hang_up(stream);
        w.run_ms(2_000);
        assert!(!ask(w, 1_001 - around));
        assert!(ask(w, 1_000 - around));
        w.listen(c);
    });
}

#[test]
fn a_session_watches_as_much_as_the_limits_say() {
    // limit: watches_max
    // limit: uri_bytes_max
    let cast = one().limits(|l| {
        l.watches_max = 2;
        l.uri_bytes_max = 40;
    });
    bound(cast, |w| {
        let (c, other) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let uri = |len| json!({"uri": padded("sim://fs/~", len)});
        for (len, fits) in [(40, true), (41, false), (30, true), (31, false)] {
            let answer = w.ask(c, "resources/subscribe", uri(len));
            assert_eq!(answer["result"].is_object(), fits, "{len}: {answer}");
        }
        assert!(w.ask(other, "resources/subscribe", uri(31))["result"].is_object());
        assert!(w.ask(c, "resources/unsubscribe", uri(30))["result"].is_object());
        assert!(w.ask(c, "resources/subscribe", uri(31))["result"].is_object());
    });
}

#[test]
fn a_server_has_as_many_connections_of_sessions_as_the_limits_say() {
    // limit: server_conns_max
    // limit: shared_server_conns_max
    for sessions in ["dedicated", "shared"] {
        let cast = one().options("fs", json!({"sessions": sessions})).limits(|l| {
            l.server_conns_max = 2;
            l.shared_server_conns_max = 2;
        });
        bound(cast, |w| {
            w.client_with("fs", Kind::Streamable, |_| {});
            w.run_ms(3_000);
            let clients = [(); 3].map(|()| w.client_with("fs", Kind::Streamable, able_but_silent));
            for c in clients {
                w.start_call(c, "ask", asking("roots/list"));
                w.run_ms(2_000);
                assert!(w.alive("fs") <= 3, "{sessions}: {} processes", w.alive("fs"));
            }
            assert_eq!(w.alive("fs"), 3, "{sessions}: the one for all, and as many as there may be");
            clients.iter().for_each(|c| w.end_session(*c));
            w.run_ms(3_000);
        });
    }
}

#[test]
fn an_http_server_gets_as_many_connections_as_the_limit() {
    // limit: pool_conns_max
    let cast = Cast::default().streamable("web").change_site("web", |s| s.offers_get = false);
    bound(cast.limits(|l| l.pool_conns_max = 2), |w| {
        let c = w.client("web", Kind::Streamable);
        let calls: Vec<_> = (0..5).map(|_| w.start_call(c, "slow", json!({"ms": 300}))).collect();
        let mut most = 0;
        for _ in 0..100 {
            w.run_ms(20);
            let of_site = |link: &&mcp_proxy_tests::net::Link| {
                matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open
            };
            most = most.max(w.net.links.values().filter(of_site).count());
        }
        assert_eq!(most, 2);
        calls.iter().for_each(|req| assert_eq!(w.text(*req), "done"));
    });
}

#[test]
fn a_line_of_stderr_may_be_as_long_as_the_limit() {
    // limit: stderr_line_bytes_max
    bound(one().limits(|l| l.stderr_line_bytes_max = 100), |w| {
        let c = w.client("fs", Kind::Streamable);
        for (letter, len) in [("e", 100), ("f", 101)] {
            let line = letter.repeat(len);
            let conn = w.child("fs").conn;
            w.net.send_stderr(conn, format!("{line}\n").as_bytes());
            w.run_ms(1_000);
            assert_eq!(w.watch.logged(&line), len == 100, "{len}");
        }
        assert!(w.watch.logged("a very long line of stderr was skipped"));
        w.check_echo(c);
    });
}

#[test]
fn a_server_prints_as_many_lines_a_second_as_the_limit() {
    // limit: printed_lines_max
    bound(one().calm().limits(|l| l.printed_lines_max = 5), |w| {
        let c = w.client("fs", Kind::Streamable);
        let conn = w.child("fs").conn;
        for (what, pipe) in [("words", true), ("noise", false)] {
            w.run_ms(2_000);
            let lines: String = (0..7).map(|n| format!("{what} {n}.\n")).collect();
            if pipe {
                w.net.send_stderr(conn, lines.as_bytes());
            } else {
                w.net.send(conn, lines.as_bytes());
            }
            w.run_ms(500);
            let logged: Vec<_> = (0..7).filter(|n| w.watch.logged(&format!("{what} {n}."))).collect();
            assert_eq!(logged, [0, 1, 2, 3, 4]);
            assert!(w.watch.logged("it prints more than 5 lines a second"));
        }
        w.check_echo(c);
    });
}

#[test]
fn a_server_may_miss_one_ping_less_than_the_limit() {
    // limit: ping_failures_max
    let cast = Cast::default().sse("old").limits(|l| {
        l.ping_failures_max = 2;
        l.ping_ms = 10_000;
        l.own_call_ms = 3_000;
    });
    story_of([0], cast, |w| {
        let c = w.client("old", Kind::Streamable);
        let misses = |w: &World, count: u32| w.watch.logged(&format!("no answer (count={count})"));
        w.site("old").mind.ping_mute = true;
        w.run_until("a missed ping", |w| misses(w, 1));
        w.site("old").mind.ping_mute = false;
        w.run_until("a ping", |w| w.watch.logged("MCP Ping recovered after 1 failures"));
        assert!(!w.watch.logged("Lost"), "one is fewer than two");
        w.site("old").mind.ping_mute = true;
        w.run_until("two missed pings", |w| misses(w, 2));
        w.site("old").mind.ping_mute = false;
        w.run_ms(100);
        assert!(w.watch.logged("Lost"), "two are too many");
        w.check_echo(c);
    });
}

#[test]
fn a_call_beyond_the_calls_of_its_session_is_refused_whatever_came_before() {
    // limit: session_calls_max
    bound(one().limits(|l| l.session_calls_max = 2), |w| {
        let (busy, other) = (w.client("fs", Kind::Sse), w.client("fs", Kind::Sse));
        let calls: Vec<_> = (0..2).map(|_| w.start_call(busy, "slow", json!({"ms": 1_000}))).collect();
        calls.iter().for_each(|req| w.until_heard(*req));
        let third = w.start_call(busy, "echo", json!({}));
        assert_eq!(w.outcome(third)["error"]["code"], -32603);
        w.check_echo(other);
        calls.iter().for_each(|req| assert_eq!(w.text(*req), "done"));
        w.check_echo(busy);
        assert!(matches!(w.state(third), State::Answered(_)));
    });
}

#[test]
fn a_body_that_is_announced_too_long_is_refused_before_it_comes() {
    bound(one().limits(|l| l.message_bytes_max = 3_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let whole = message("POST /fs/mcp HTTP/1.1", &POST, &"x".repeat(3_001));
        let xid = w.raw(&whole[..whole.len() - 3_001]);
        assert_eq!(w.response(xid).status(), 413);
        w.check_echo(c);
    });
}

#[test]
fn every_limit_is_named_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("core/src/limits.rs")).unwrap();
    let field = |line: &str| {
        let (name, kind) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
        matches!(kind, "usize," | "u32," | "u64,").then(|| name.to_owned())
    };
    let fields: BTreeSet<String> = text.lines().filter_map(field).collect();
    assert!(fields.len() > 60, "{fields:?}");
    let mut named = BTreeSet::new();
    let mut folders = vec![root.join("core/src"), root.join("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                named.extend(
                    text.lines().filter_map(|line| line.trim().strip_prefix("// limit: ")).map(str::to_owned),
                );
            }
        }
    }
    let missing: Vec<&String> = fields.difference(&named).collect();
    assert!(missing.is_empty(), "no test says `// limit:` for {missing:?}");
    let unknown: Vec<&String> = named.difference(&fields).collect();
    assert!(unknown.is_empty(), "there is no limit {unknown:?}");
}
