//! What the engine says of its health is what is the case.

use super::{KINDS, one, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

const ALL: &str = "/health/servers";

/// The report, as somebody with these fields in the request sees it.
fn report(w: &mut World, fields: &[(&str, &str)]) -> Value {
    let exchange = w.http("GET", ALL, fields, "");
    assert_eq!(exchange.status(), 200, "{}", exchange.body);
    assert_eq!(exchange.field("content-type"), Some("application/json"));
    assert_eq!(exchange.field("cache-control"), Some("no-store"));
    serde_json::from_str(&exchange.body).expect("JSON")
}

/// What is said of one server.
fn server(w: &mut World, name: &str) -> Value {
    let report = report(w, &[]);
    let servers = report["servers"].as_array().expect("a list");
    servers.iter().find(|server| server["name"] == name).cloned().expect("a server of this name")
}

fn names(report: &Value) -> Vec<String> {
    let servers = report["servers"].as_array().expect("a list").iter();
    servers.map(|server| server["name"].as_str().expect("a text").to_owned()).collect()
}

fn ready(w: &mut World) -> (u16, String) {
    let exchange = w.http("GET", "/health/ready", &[], "");
    let body: Value = serde_json::from_str(&exchange.body).expect("JSON");
    (exchange.status(), body["status"].as_str().expect("a text").to_owned())
}

#[test]
fn live_is_always_200_and_ready_only_when_a_server_is_up() {
    let cast = one().first_program("fs", |p| p.mind.delay_ms = 4_000);
    story(cast, |w| {
        w.run_ms(500);
        assert_eq!(ready(w), (503, "starting".to_owned()));
        assert_eq!(w.http("GET", "/health/live", &[], "").status(), 200);
        w.run_ms(30_000);
        assert_eq!(ready(w), (200, "ready".to_owned()));
        w.change_program("fs", |p| p.missing = true);
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(3)));
        w.run_ms(3_000);
        assert_eq!(ready(w), (503, "unavailable".to_owned()));
        assert_eq!(w.http("GET", "/health/live", &[], "").status(), 200);
    });
}

#[test]
fn probes_of_the_original_are_answered() {
    // FT-403
    let cast = one().first_program("fs", |p| p.mind.delay_ms = 4_000);
    story(cast.with_proxy("baseURL", json!("https://mcp.example.com/deep")), |w| {
        w.run_ms(500);
        let probe = |w: &mut World, path: &str| w.http("GET", path, &[], "").status();
        for (path, status) in
            [("/_healthz", 200), ("/deep/_healthz", 200), ("/_readyz", 503), ("/deep/_readyz", 503)]
        {
            assert_eq!(probe(w, path), status, "{path}");
        }
        w.run_ms(30_000);
        assert_eq!(probe(w, "/_readyz"), 200);
        for path in ["/_healthz", "/_readyz"] {
            let head = w.http("HEAD", path, &[], "");
            assert_eq!((head.status(), head.body.as_str()), (200, ""), "{path}");
            assert_eq!(w.http("POST", path, &[], "").status(), 405);
        }
        w.change_program("fs", |p| p.missing = true);
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(3)));
        w.run_ms(3_000);
        assert_eq!((probe(w, "/_readyz"), probe(w, "/_healthz")), (503, 200));
    });
}

#[test]
fn head_is_answered_without_a_body_and_other_methods_are_refused() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for page in ["/health/live", "/health/ready", ALL] {
            let head = w.http("HEAD", page, &[], "");
            assert_eq!((head.status(), head.body.as_str()), (200, ""), "{page}");
            let post = w.http("POST", page, &[("content-type", "application/json")], "{}");
            assert_eq!((post.status(), post.field("allow")), (405, Some("GET, HEAD")), "{page}");
        }
        assert_eq!(w.http("GET", "/health/other", &[], "").status(), 404);
        assert_eq!(w.http("GET", "/health", &[], "").status(), 404);
        w.check_echo(c);
    });
}

#[test]
fn a_page_of_somebody_else_may_not_ask() {
    story(one(), |w| {
        let foreign = [("origin", "https://evil.example")];
        assert_eq!(w.http("GET", ALL, &foreign, "").status(), 403);
        assert_eq!(w.http("GET", ALL, &[("host", "evil.example")], "").status(), 403);
    });
}

#[test]
fn a_page_under_a_rebound_name_reads_nothing_where_everybody_may_in() {
    // FT-508
    let cast = one().stdio("kept").options("kept", json!({"authTokens": ["kept-secret"]}));
    let cast = cast.with_proxy("addr", json!(":9090")).with_proxy("baseURL", json!("http://proxy.example"));
    let token = ("authorization", "Bearer kept-secret");
    story(cast.secret("kept-secret"), |w| {
        w.client("fs", Kind::Streamable);
        for method in ["GET", "HEAD"] {
            for host in ["rebound.example:9090", "Rebound.Example", "127.0.0.1.rebound.example"] {
                assert_eq!(w.http(method, ALL, &[("host", host)], "").status(), 403, "{method} {host}");
                let target = format!("http://{host}{ALL}");
                assert_eq!(w.http(method, &target, &[], "").status(), 403, "{method} {target}");
                assert_eq!(w.http(method, ALL, &[("host", host), token], "").status(), 200);
            }
            for host in ["localhost:9090", "127.0.0.1", "192.168.1.2:9090", "[::1]:9090", "proxy.example"] {
                assert_eq!(w.http(method, ALL, &[("host", host)], "").status(), 200, "{method} {host}");
            }
        }
        for page in ["/health/live", "/health/ready"] {
            assert_eq!(w.http("GET", page, &[("host", "rebound.example")], "").status(), 200, "{page}");
        }
    });
}

#[test]
fn the_report_names_servers_versions_sessions_and_calls() {
    story(three(), |w| {
        let kinds = ["stdio", "streamable-http", "sse"];
        let servers = ["fs", "web", "old"];
        for name in servers {
            w.client(name, Kind::Streamable);
        }
        let c = w.client("fs", Kind::Streamable);
        let calls: Vec<_> = (0..3).map(|_| w.start_call(c, "slow", json!({"ms": 60_000}))).collect();
        for call in &calls {
            w.until_heard(*call);
        }
        let report = report(w, &[]);
        assert_eq!(report["status"], "ready");
        assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&report["sessions"], &report["callsInFlight"]), (&json!(4), &json!(3)));
        assert_eq!(names(&report), servers);
        for ((said, kind), sessions) in report["servers"].as_array().unwrap().iter().zip(kinds).zip([2, 1, 1])
        {
            assert_eq!(said["state"], "ready");
            assert_eq!(said["transport"], kind);
            assert_eq!(said["sessions"], sessions, "{said}");
            assert_eq!(said["connections"], 1);
            assert_eq!(said["lastError"], Value::Null);
            assert_eq!(said["restarts"], 0);
            assert_eq!(said["protocolVersion"], "2025-11-25");
            assert!(said["serverName"].is_string() && said["serverVersion"].is_string(), "{said}");
            let calls = if kind == "stdio" { 3 } else { 0 };
            assert_eq!((&said["callsInFlight"], &said["callsWaiting"]), (&json!(calls), &json!(0)));
        }
        for call in calls {
            assert!(w.outcome(call)["result"].is_object());
        }
    });
}

#[test]
fn a_crash_is_told_with_its_last_words_and_since_when() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.run_ms(5_000);
        let up = server(w, "fs")["since"].clone();
        w.with_child("fs", |child, net| {
            net.send_stderr(child.conn, b"Traceback\n  boom \x1b[31mred\n");
            child.exit(net, ExitStatus::Code(7));
        });
        w.run_until("the exit", |w| w.children_of("fs").iter().all(|child| !child.alive));
        w.run_ms(100);
        let lost = server(w, "fs");
        assert_eq!(lost["state"], "reconnecting");
        assert_ne!(lost["since"], up);
        let message = lost["lastError"]["message"].as_str().unwrap();
        assert!(message.contains("it exited with code 7"), "{message}");
        assert_eq!(lost["lastError"]["stderr"], json!(["Traceback", "  boom red"]));
        assert_eq!(lost["lastError"]["at"], lost["since"]);
        let waits = w.start_call(c, "echo", json!({"text": "again"}));
        assert_eq!(w.text(waits), "again");
        let back = server(w, "fs");
        assert_eq!((&back["state"], &back["restarts"]), (&json!("ready"), &json!(1)));
        assert_eq!(back["lastError"], lost["lastError"]);
    });
}

#[test]
fn a_server_that_never_came_up_is_failing_and_its_clients_are_told_why() {
    story(one().program("fs", |p| p.missing = true), |w| {
        w.run_ms(3_000);
        let said = server(w, "fs");
        assert_eq!((&said["state"], &said["connections"]), (&json!("failing"), &json!(0)));
        assert_eq!(said["protocolVersion"], Value::Null);
        let reason = said["lastError"]["message"].as_str().unwrap().to_owned();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        let fields = [("content-type", "application/json")];
        let refused = w.http("POST", "/fs/mcp", &fields, body);
        assert_eq!(refused.status(), 503);
        assert!(refused.body.contains(&reason), "{} does not say {reason}", refused.body);
    });
}

#[test]
fn a_server_that_hangs_is_unresponsive_and_one_that_recovers_is_ready() {
    story(three(), |w| {
        for name in ["fs", "web", "old"] {
            w.client(name, Kind::Streamable);
            w.run_ms(31_000);
            w.mind(name).ping_mute = true;
            w.run_ms(65_000);
            assert_eq!(server(w, name)["state"], "unresponsive", "{name}");
            w.mind(name).ping_mute = false;
            w.run_ms(31_000);
            assert_eq!(server(w, name)["state"], "ready", "{name}");
        }
    });
}

#[test]
fn a_hanging_server_that_nobody_waits_for_is_replaced() {
    story(three(), |w| {
        for name in ["fs", "web", "old"] {
            let c = w.client(name, Kind::Streamable);
            w.run_ms(35_000);
            w.mind(name).mute = true;
            w.run_ms(95_000);
            w.mind(name).mute = false;
            w.run_ms(35_000);
            let said = server(w, name);
            assert_eq!((&said["state"], &said["restarts"]), (&json!("ready"), &json!(1)), "{name}");
            assert!(said["lastError"]["message"].as_str().unwrap().contains("ping"), "{said}");
            w.check_echo(c);
        }
        assert_eq!(w.children_of("fs").len(), 2);
    });
}

#[test]
fn a_child_that_is_busy_with_a_call_or_knows_no_pings_is_left_alone() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.run_ms(35_000);
        let call = w.start_call(c, "slow", json!({"ms": 600_000, "text": "at last"}));
        w.until_heard(call);
        w.mind("fs").ping_mute = true;
        w.run_ms(500_000);
        assert_eq!(server(w, "fs")["state"], "unresponsive");
        assert_eq!(w.text(call), "at last");
    });
    story(one().program("fs", |p| p.mind.ping_mute = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.run_ms(500_000);
        assert_eq!(w.children_of("fs").len(), 1);
        w.check_echo(c);
    });
}

#[test]
fn a_status_without_an_answer_is_no_sign_of_life() {
    // UP-50. What stands before a dead server goes on answering for it.
    story(Cast::default().streamable("web").sse("old"), |w| {
        for name in ["web", "old"] {
            let c = w.client(name, Kind::Streamable);
            w.run_ms(35_000);
            w.site(name).fails_with = Some(502);
            w.run_ms(65_000);
            assert_eq!(server(w, name)["state"], "unresponsive", "{name}");
            w.run_ms(55_000);
            assert_eq!(server(w, name)["state"], "reconnecting", "{name}");
            w.site(name).fails_with = None;
            w.run_ms(60_000);
            assert_eq!(server(w, name)["state"], "ready", "{name}");
            w.check_echo(c);
        }
    });
}

#[test]
fn whatever_a_server_says_is_a_sign_of_life() {
    story(three(), |w| {
        for name in ["fs", "web", "old"] {
            w.client(name, Kind::Streamable);
            w.run_ms(35_000);
            w.mind(name).ping_mute = true;
            for _ in 0..20 {
                w.run_ms(10_000);
                w.say(name, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":""}}"#);
                assert_eq!(server(w, name)["state"], "ready", "{name}");
            }
            assert_eq!(server(w, name)["restarts"], 0, "{name}");
        }
    });
}

#[test]
fn an_event_stream_is_dead_if_its_server_takes_pings_and_nothing_comes_and_busy_if_it_takes_none() {
    story(Cast::default().sse("old"), |w| {
        let c = w.client("old", Kind::Streamable);
        w.run_ms(35_000);
        let call = w.start_call(c, "slow", json!({"ms": 300_000, "text": "at last"}));
        w.until_heard(call);
        w.site("old").stuck = true;
        w.run_ms(295_000);
        assert_eq!(server(w, "old")["state"], "unresponsive");
        w.site("old").stuck = false;
        assert_eq!(w.text(call), "at last");
        assert_eq!(server(w, "old")["restarts"], 0);

        let call = w.start_call(c, "slow", json!({"ms": 3_000_000}));
        w.until_heard(call);
        w.mind("old").mute = true;
        w.run_ms(125_000);
        w.mind("old").mute = false;
        assert!(w.outcome(call)["error"]["message"].as_str().unwrap().contains("it answers no ping"));
        // Its first handshake fell on deaf ears.
        w.run_ms(120_000);
        w.check_echo(c);
    });
}

#[test]
fn each_sees_the_servers_that_are_open_to_them() {
    // Protected like the merged endpoint (CD-08).
    let cast = one().stdio("open").options("fs", json!({"authTokens": ["secret-of-ann-1234"]}));
    story(cast.secret("secret-of-ann-1234"), |w| {
        w.run_ms(2_000);
        assert_eq!(names(&report(w, &[])), ["open"]);
        assert_eq!(names(&report(w, &[("authorization", "Bearer secret-of-ann-1234")])), ["fs", "open"]);
        assert_eq!(w.http("GET", ALL, &[("authorization", "Bearer wrong")], "").status(), 401);
    });
    let closed = one().options("fs", json!({"authTokens": ["secret-of-ann-1234"]}));
    story(closed.secret("secret-of-ann-1234"), |w| {
        w.run_ms(2_000);
        assert_eq!(w.http("GET", ALL, &[], "").status(), 401);
        assert_eq!(w.http("GET", "/health/live", &[], "").status(), 200);
        assert_eq!(ready(w), (200, "ready".to_owned()));
    });
}

#[test]
fn late_answers_are_counted_and_dropped() {
    let cast = three().streamable("events").change_site("events", |s| s.json = false);
    story(cast, |w| {
        for (name, kind) in
            ["fs", "web", "events", "old"].iter().flat_map(|name| KINDS.map(|kind| (name, kind)))
        {
            let c = w.client(name, kind);
            let before = server(w, name)["lateAnswers"].as_u64().unwrap();
            let req = w.start_call(c, "stubborn", json!({"ms": 2_000}));
            w.until_heard(req);
            w.cancel(req);
            w.run_ms(5_000);
            assert_eq!(server(w, name)["lateAnswers"], before + 1, "{name} {kind:?}");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_server_that_fails_again_and_again_is_left_alone_until_somebody_needs_it() {
    // limit: suspend_failures
    // limit: suspend_ms
    story_of([0, 3], one().program("fs", |p| p.exits_at_once = Some(1)), |w| {
        w.run_ms(300_000);
        assert_eq!(server(w, "fs")["state"], "suspended");
        let starts = w.children_of("fs").len();
        assert_eq!(starts, 10);
        w.run_ms(30_000);
        assert_eq!(w.children_of("fs").len(), starts);
        // A client that needs it brings the next try forward, but not each of them.
        for _ in 0..5 {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
            let refused = w.http("POST", "/fs/mcp", &[("content-type", "application/json")], body);
            assert_eq!(refused.status(), 503);
            w.run_ms(1_000);
        }
        assert_eq!(w.children_of("fs").len(), starts + 1);
        w.run_ms(400_000);
        assert_eq!(w.children_of("fs").len(), starts + 2, "without anybody it is tried all the same");
    });
}

#[test]
fn calls_for_a_server_that_is_left_alone_fail_at_once_or_wait_for_its_next_try() {
    story_of([0, 3], one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.change_program("fs", |p| p.exits_at_once = Some(1));
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
        w.run_ms(240_000);
        assert_eq!(server(w, "fs")["state"], "suspended");
        let from = w.now_ms();
        let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("fs is not connected: it "),
            "{answer}"
        );
        assert!(w.now_ms() - from < 1_000);
        w.run_ms(31_000);
        w.change_program("fs", |p| p.exits_at_once = None);
        w.check_echo(c);
        assert_eq!(server(w, "fs")["state"], "ready");
    });
}

#[test]
fn a_client_that_takes_nothing_of_its_stream_is_given_up() {
    // limit: stall_ms
    // DL-21
    story_of([0, 2], one(), |w| {
        let (deaf, other) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Streamable));
        let stream = w.listen(deaf);
        w.run_ms(100);
        w.stall(stream, true);
        for _ in 0..40 {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message",
                              "params": {"level": "alert", "data": "x".repeat(4_000)}});
            w.say("fs", &note.to_string());
        }
        let connections = |w: &mut World| report(w, &[])["connections"].as_u64().expect("a number");
        w.run_ms(30_000);
        let before = connections(w);
        w.run_ms(130_000);
        assert!(connections(w) < before, "the stream is closed");
        w.check_echo(other);
    });
}

#[test]
fn a_server_that_takes_nothing_of_a_request_fails_it() {
    story_of([0, 2], three().calm(), |w| {
        for name in ["web", "old"] {
            let c = w.client(name, Kind::Streamable);
            w.check_echo(c);
            w.with_site(name, |site, net| {
                let stalled: Vec<_> = site.open_conns();
                for conn in stalled {
                    net.stall(conn, true);
                }
            });
            let from = w.net.now / MS;
            let text = "y".repeat(2_000_000);
            let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {"text": text}}));
            assert!(answer["error"]["message"].is_string(), "{name}: {answer}");
            assert!(w.net.now / MS - from < 125_000);
        }
    });
}
