//! Peers that break off, dawdle, flood, or send what nobody should.

use super::{one, three};
use mcp_proxy_tests::client::{AUTHORITY, Kind, Progress, State};
use mcp_proxy_tests::http::message;
use mcp_proxy_tests::story::{story, story_of};
use serde_json::{Value, json};

const POST: [(&str, &str); 3] = [
    ("host", AUTHORITY),
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

#[test]
fn a_client_may_break_off_anywhere_in_its_request() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let mut fields = POST.to_vec();
        fields.push(("mcp-session-id", &session));
        let body = r#"{"jsonrpc":"2.0","id":"cut","method":"tools/call","params":{"name":"slow","arguments":{"ms":100}}}"#;
        let text = message("POST /fs/mcp HTTP/1.1", &fields, body);
        for (n, at) in (0..=text.len()).step_by(23).enumerate() {
            let xid = w.raw(&text[..at]);
            w.run_ms([0, 1, 5, 60][n % 4]);
            match n % 3 {
                0 => w.hang_up(xid),
                1 => w.reset(xid),
                _ => w.net.close_write(w.exchange(xid).conn),
            }
        }
        w.run_ms(500);
        w.check_echo(c);
    });
}

#[test]
fn a_half_closed_client_neither_spins_nor_stalls_anything() {
    // hyper #4085
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 300}));
        w.run_ms(10);
        w.net.close_write(w.exchange(w.exchange_of(req)).conn);
        let before = w.watch.inputs;
        w.run_ms(2_000);
        assert!(w.watch.inputs - before < 3_000, "busy loop");
        assert_ne!(*w.state(req), State::Waiting);
        w.check_echo(c);
    });
}

#[test]
fn a_request_that_never_ends_is_timed_out() {
    // limit: request_ms
    story(one(), |w| {
        w.client("fs", Kind::Streamable);
        for start in [
            "POST /fs/mcp HTTP/1.1\r\nhost: localhost",
            "POST /fs/mcp HTTP/1.1\r\nhost: localhost:9090\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{",
        ] {
            let xid = w.raw(start);
            w.run_ms(40_000);
            let exchange = w.exchange(xid);
            assert!(
                exchange.progress != Progress::Running && matches!(exchange.status(), 0 | 408),
                "{exchange:?}"
            );
        }
    });
}

#[test]
fn an_idle_connection_is_closed_and_a_used_one_is_not() {
    // limit: conn_idle_ms
    story(one(), |w| {
        let (idle, active) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        for _ in 0..5 {
            w.run_ms(40_000);
            w.check_echo(active);
        }
        let conn = w.clients[active].exchanges[0].conn;
        assert_eq!(w.clients[active].exchanges.last().unwrap().conn, conn, "one connection was enough");
        w.check_echo(idle);
        assert_ne!(w.clients[idle].exchanges.last().unwrap().conn, w.clients[idle].exchanges[0].conn);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let mut fields = POST.to_vec();
        fields.push(("mcp-session-id", &session));
        let call = |n: u32, ms: u32| {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"slow","arguments":{{"ms":{ms}}}}}}}"#
            );
            message("POST /fs/mcp HTTP/1.1", &fields, &body)
        };
        let xid = w.raw(&(call(1, 150) + &call(2, 0) + &call(3, 50)));
        w.run_ms(2_000);
        let ids: Vec<Value> =
            w.clients[xid.client].exchanges.iter().map(|exchange| exchange.json()["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 3]);
    });
}

#[test]
fn oversized_messages_are_refused_on_the_way_in() {
    // GN-14
    story(one().limits(|l| l.message_bytes_max = 2_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#, "y".repeat(3_000));
        let mut fields = POST.to_vec();
        fields.push(("mcp-session-id", &session));
        let xid = w.raw(&message("POST /fs/mcp HTTP/1.1", &fields, &body));
        assert_eq!(w.response(xid).status(), 413);
        let mut head = String::from("POST /fs/mcp HTTP/1.1\r\ntransfer-encoding: chunked\r\n");
        for (name, value) in &fields {
            head += &format!("{name}: {value}\r\n");
        }
        let chunks: String = (0..4).map(|_| mcp_proxy_tests::http::chunk(&"z".repeat(1_000))).collect();
        let xid = w.raw(&format!("{head}\r\n{chunks}"));
        assert_eq!(w.response(xid).status(), 413);
        let xid = w.raw(&format!("POST /fs/mcp HTTP/1.1\r\nx: {}", "h".repeat(20_000)));
        assert_eq!(w.response(xid).status(), 431);
        w.check_echo(c);
    });
}

#[test]
fn oversized_messages_of_a_server_do_not_take_it_down() {
    // GN-14
    story(
        three().limits(|l| {
            l.message_bytes_max = 8_000;
            l.call_ms = 5_000;
        }),
        |w| {
            for server in ["fs", "web", "old"] {
                let c = w.client(server, Kind::Streamable);
                let req = w.start_call(c, "big", json!({"bytes": 20_000}));
                let answer = w.outcome(req);
                assert!(answer["error"]["code"] == -32603 || answer.is_null(), "{server}: {answer}");
                w.run_ms(3_000);
                let c = w.client(server, Kind::Streamable);
                w.check_echo(c);
            }
        },
    );
}

#[test]
fn nesting_is_bounded_before_anybody_else_sees_it() {
    story(one().limits(|l| l.json_depth_max = 32), |w| {
        let c = w.client("fs", Kind::Streamable);
        for depth in [40, 10_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":50,"method":"tools/call","params":{{"name":"echo","arguments":{{"x":{deep}}}}}}}"#
            );
            let exchange = w.post_wait(c, &body);
            assert_eq!(exchange.status(), 400);
        }
        assert_eq!(w.child("fs").mind().calls("echo"), 0);
        w.check_echo(c);
    });
}

#[test]
fn broken_http_is_refused_and_hurts_nobody_else() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for (bytes, statuses) in [
            ("GET / HTTP/1.1\r\n\r\n", [400, 400]),
            ("GET / HTTP/2.0\r\nhost: localhost\r\n\r\n", [505, 400]),
            ("nonsense\r\n\r\n", [400, 400]),
            (
                "POST /fs/mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
                [400, 400],
            ),
            (
                "POST /fs/mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
                [400, 400],
            ),
            ("POST /fs/mcp HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n", [501, 400]),
            ("POST /fs/mcp HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\n\r\n", [400, 400]),
            ("GET /fs/sse HTTP/1.1\r\nhost : localhost\r\n\r\n", [400, 400]),
        ] {
            let xid = w.raw(bytes);
            let status = w.response(xid).status();
            assert!(statuses.contains(&status), "{bytes:?}: {status}");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_slow_reader_stalls_nobody_else_and_loses_no_answer() {
    // BR-60
    story(one(), |w| {
        let (slow, quick) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let req = w.start_call(slow, "big", json!({"bytes": 60_000}));
        w.stall(w.exchange_of(req), true);
        for _ in 0..5 {
            w.check_echo(quick);
        }
        assert_eq!(*w.state(req), State::Waiting);
        w.stall(w.exchange_of(req), false);
        assert_eq!(w.text(req).len(), 60_000);
    });
}

#[test]
fn a_reader_that_never_reads_is_cut_off_at_the_cap() {
    // limit: send_cap_bytes
    // BR-60
    let cast = one().limits(|l| {
        l.send_cap_bytes = 50_000;
        l.send_high_bytes = 12_000;
    });
    story(cast, |w| {
        let (slow, quick) = (w.client("fs", Kind::Sse), w.client("fs", Kind::Streamable));
        let stream = mcp_proxy_tests::client::Xid { client: slow, index: w.clients[slow].stream.unwrap() };
        w.stall(stream, true);
        let reqs: Vec<_> = (0..10).map(|_| w.start_call(slow, "big", json!({"bytes": 15_000}))).collect();
        w.run_ms(5_000);
        w.check_echo(quick);
        w.stall(stream, false);
        w.run_ms(5_000);
        assert!(reqs.iter().any(|req| *w.state(*req) == State::Lost), "the stream was cut");
        assert_eq!(w.exchange(stream).progress, Progress::Cut);
        w.check_echo(quick);
    });
}

#[test]
fn droppable_messages_are_dropped_for_a_slow_reader_and_answers_are_not() {
    // limit: send_high_bytes
    // BR-60
    let cast = one().limits(|l| {
        l.send_cap_bytes = 1_000_000;
        l.send_high_bytes = 3_000;
    });
    story(cast, |w| {
        let slow = w.client("fs", Kind::Sse);
        let stream = mcp_proxy_tests::client::Xid { client: slow, index: w.clients[slow].stream.unwrap() };
        w.stall(stream, true);
        let req = w.start_watched(slow, "progress", json!({"n": 500, "ms": 1}), json!("t"));
        w.run_ms(4_000);
        w.stall(stream, false);
        assert_eq!(w.text(req), "done");
        let steps = w.clients[slow].requests[req.index].steps.len();
        assert!((1..500).contains(&steps), "{steps} steps arrived");
    });
}

#[test]
fn too_many_connections_wait_at_the_door() {
    story(one().limits(|l| l.downstream_conns_max = 8), |w| {
        w.client("fs", Kind::Streamable);
        let held: Vec<_> = (0..10).map(|_| w.raw("GET")).collect();
        w.run_ms(100);
        for xid in held {
            w.hang_up(xid);
        }
        w.run_ms(100);
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
    });
}

#[test]
fn calls_of_one_session_are_bounded() {
    story(one().limits(|l| l.session_calls_max = 10), |w| {
        let (busy, other) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let reqs: Vec<_> = (0..15).map(|_| w.start_call(busy, "slow", json!({"ms": 1_000}))).collect();
        w.run_ms(200);
        w.check_echo(other);
        let refused = reqs.iter().filter(|req| w.outcome(**req)["result"].is_null()).count();
        assert_eq!(refused, 5);
        w.check_echo(busy);
    });
}

#[test]
fn a_client_that_has_said_its_last_word_gets_a_large_answer_however_slowly_it_reads() {
    story_of([0, 2, 3], one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let body = r#"{"jsonrpc":"2.0","id":"last","method":"tools/call","params":{"name":"big","arguments":{"bytes":100000}}}"#;
        for (says_close, half_closes) in [(true, false), (false, true), (true, true)] {
            let mut fields = POST.to_vec();
            fields.push(("mcp-session-id", &session));
            if says_close {
                fields.push(("connection", "close"));
            }
            let xid = w.raw(&message("POST /fs/mcp HTTP/1.1", &fields, body));
            if half_closes {
                w.net.close_write(w.exchange(xid).conn);
            }
            w.run_until("the first bytes of the answer", |w| w.exchange(xid).head.is_some());
            for _ in 0..4 {
                w.stall(xid, true);
                w.run_ms(5_000);
                w.stall(xid, false);
                w.run_ms(1);
            }
            let exchange = w.response(xid);
            assert_eq!((exchange.status(), exchange.progress), (200, Progress::Complete));
            // It is a stream if its head had to go ahead.
            let streamed = exchange.events.last().map(|event| event.data.clone());
            let answer =
                streamed.map_or_else(|| exchange.json(), |data| serde_json::from_str(&data).unwrap());
            let text = answer["result"]["content"][0]["text"].as_str().map(str::len);
            assert_eq!(text, Some(100_000), "{says_close} {half_closes}");
        }
    });
}
