//! What a server or a child says stands where its failure is told: in the log, in health, in the error of who called.

use super::{one, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

fn health(w: &mut World, name: &str) -> Value {
    let report: Value = serde_json::from_str(&w.http("GET", "/health/servers", &[], "").body).expect("JSON");
    let servers = report["servers"].as_array().expect("a list");
    servers.iter().find(|server| server["name"] == name).cloned().expect("a server of this name")
}

/// What went wrong last, as health tells it.
fn last_error(w: &mut World, name: &str) -> String {
    health(w, name)["lastError"].to_string()
}

/// What a client is told that wants in while the server is not there.
fn refused(w: &mut World, name: &str) -> String {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "sim", "version": "1"}}});
    let fields = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let path = format!("/{name}/mcp");
    let exchange = w.http("POST", &path, &fields, &body.to_string());
    exchange.body.clone()
}

#[track_caller]
fn told_everywhere(w: &mut World, name: &str, what: &str) {
    let error = last_error(w, name);
    assert!(error.contains(what), "health: {error}");
    assert!(w.watch.logged(what), "the log:\n{}", w.watch.report());
    let body = refused(w, name);
    assert!(body.contains(what), "the client: {body}");
}

#[test]
fn the_first_line_of_a_refusal_stands_everywhere() {
    // FT-107
    for server in ["web", "old"] {
        for (status, says, first) in [
            (
                403,
                "Only requests for localhost:1234 are served here\nsecond",
                "Only requests for localhost:1234 are served here",
            ),
            (
                500,
                "\r\n  \u{1b}[31mDatabase\u{7} is\u{0} down\u{1b}[0m\r\nat main.js:7",
                "HTTP 500: Database is down",
            ),
            (502, "<html>\r\n<head><title>502 Bad Gateway</title></head>", "HTTP 502: 502 Bad Gateway"),
            (429, "{\"error\":\"too many\"}", "HTTP 429: {"),
            (
                403,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Forbidden host"}}"#,
                "Forbidden host",
            ),
        ] {
            let cast = Cast::default().streamable("web").sse("old").change_site(server, |s| {
                s.fails_with = Some(status);
                s.fails_saying = says.to_owned();
            });
            story_of([0], cast, |w| {
                w.run_ms(300);
                told_everywhere(w, server, first);
                let error = last_error(w, server);
                assert!(error.contains(&status.to_string()) && !error.contains("credential"), "{error}");
                assert!(!error.contains("second") && !error.contains("main.js"), "{error}");
            });
        }
    }
}

#[test]
fn of_credentials_only_a_challenge_speaks() {
    // FT-107
    for (status, challenge, wants) in [
        (401, "", true),
        (403, "Bearer realm=\"x\"", true),
        (403, "", false),
        (404, "", false),
        (407, "", false),
    ] {
        let cast = Cast::default().streamable("web").change_site("web", |s| {
            s.fails_with = Some(status);
            s.challenge = challenge.to_owned();
            s.fails_saying = "not so".to_owned();
        });
        story_of([0], cast, |w| {
            w.run_ms(300);
            let error = last_error(w, "web");
            assert_eq!(error.contains("credential"), wants, "{status} {challenge}: {error}");
            assert!(error.contains("not so"), "{error}");
        });
    }
}

#[test]
fn what_a_server_repeats_of_its_secrets_is_not_told() {
    // FT-107: the watch looks for the secret in the log
    let cast = Cast::default().streamable("web").change_site("web", |s| {
        s.fails_with = Some(403);
        s.fails_saying = "no such key: header-secret-of-web".to_owned();
    });
    story_of([0], cast, |w| {
        w.run_ms(300);
        let error = last_error(w, "web");
        assert!(error.contains("no such key: ***"), "{error}");
    });
}

#[test]
fn a_call_that_is_refused_is_told_why() {
    // FT-107
    story(three(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.site("web").fails_with = Some(503);
        w.site("web").fails_saying = format!("maintenance {}\nuntil noon", "x".repeat(5_000));
        let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {}}));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("HTTP 503: maintenance xxx") && message.len() < 400, "{message}");
        assert!(!message.contains("noon"), "{message}");
        w.site("web").fails_with = None;
        w.check_echo(c);
    });
}

#[test]
fn the_end_of_a_child_names_its_exit_code_everywhere() {
    // FT-107: whether its pipes or its exit are seen first
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let waiting = w.start_call(c, "never", json!({}));
        w.until_heard(waiting);
        let crash = w.start_call(c, "crash", json!({}));
        for req in [waiting, crash] {
            let message = w.outcome(req)["error"]["message"].to_string();
            assert!(message.contains("it exited with code 3"), "{message}");
        }
        assert!(last_error(w, "fs").contains("it exited with code 3"));
        assert!(w.watch.logged("Lost: it exited with code 3"), "{}", w.watch.report());
        w.check_echo(c);
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Signal(9)));
        w.run_ms(300);
        assert!(w.watch.logged("Lost: it was ended by signal 9"), "{}", w.watch.report());
    });
    story(one().program("fs", |p| p.exits_at_once = Some(7)), |w| {
        w.run_ms(2_000);
        told_everywhere(w, "fs", "it exited with code 7");
    });
}

#[test]
fn a_call_that_comes_while_a_child_ends_waits_for_the_next() {
    // FT-107
    // limit: exit_wait_ms
    story(one().calm().first_program("fs", |p| p.ignores_eof = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        w.with_child("fs", |child, net| child.close_stdout(net));
        w.run_ms(100);
        assert!(!w.watch.logged("it closed its output"), "it is given a moment");
        let req = w.start_call(c, "echo", json!({"text": "patience"}));
        w.run_ms(500);
        assert!(w.watch.logged("it closed its output"));
        assert_eq!(w.text(req), "patience");
        assert_eq!(w.children_of("fs").len(), 2);
    });
}

#[test]
fn escape_sequences_of_stderr_go_as_a_whole() {
    // FT-107
    let printed = [
        "\x1b[32mINFO\x1b[0m \x1b[1;38;5;208mstarted\x1b[m at \x1b]8;;http://x.example/\x07link\x1b]8;;\x07 here\n",
        "well [32m] and ]8;; are text\n",
        "a \x1b]8;;http://y.exa\nmple/\x1b\\wrapped\x1b]8;;\x1b\\ link and a \x1b[3\n1mred\x1b[0m word\n",
        "\x1bP+q\x1b\\\x1b_x\x1b\\\x1b(B last words without an end",
    ]
    .concat();
    for size in [1, 7, 1_000] {
        story_of([0], one(), |w| {
            let c = w.client("fs", Kind::Streamable);
            w.check_echo(c);
            for piece in printed.as_bytes().chunks(size) {
                w.with_child("fs", |child, net| net.send_stderr(child.conn, piece));
                w.run_ms(1);
            }
            w.run_ms(50);
            w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
            w.run_ms(50);
            let said = health(w, "fs").to_string();
            for text in [
                "INFO started at link here",
                "well [32m] and ]8;; are text",
                "wrapped link and a",
                "red word",
                "last words without an end",
            ] {
                assert!(w.watch.logged(text), "{size}: {text}\n{}", w.watch.report());
                assert!(said.contains(text), "{size}: {text}: {said}");
            }
            for piece in ["[0m", "exa", "1m", "38;5", "+q", "\u{1b}"] {
                assert!(!said.contains(piece), "{size}: {piece}: {said}");
            }
        });
    }
}

#[test]
fn a_server_of_other_revisions_is_named_and_not_tried_all_the_time() {
    // FT-107
    let ours = r#"{"code":-32602,"message":"lacking _meta"}"#;
    let discovery =
        r#"{"resultType":"complete","supportedVersions":["2026-07-28","2027-01-01"],"capabilities":{}}"#;
    for (refusal, discovery, named) in [
        (ours, discovery, "2026-07-28, 2027-01-01"),
        (
            r#"{"code":-32022,"message":"no","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}"#,
            "",
            "2026-07-28",
        ),
        (
            r#"{"code":-32602,"message":"each request has to carry io.modelcontextprotocol/protocolVersion"}"#,
            "",
            "2026-07-28",
        ),
        (
            r#"{"code":-32000,"message":"Unsupported protocol version 2025-11-25 (only 2024-10-07)"}"#,
            "",
            "2024-10-07",
        ),
    ] {
        for server in ["fs", "web", "old"] {
            let mut cast = three();
            for program in cast.programs.values_mut().flatten() {
                (program.mind.refuses, program.mind.refusal, program.mind.discovery) =
                    (true, refusal, discovery);
            }
            let cast = cast.change_site("web", |s| {
                (s.mind.refuses, s.mind.refusal, s.mind.discovery, s.sessions) =
                    (true, refusal, discovery, false);
            });
            let cast = cast.change_site("old", |s| {
                (s.mind.refuses, s.mind.refusal, s.mind.discovery) = (true, refusal, discovery);
            });
            story_of([0], cast, |w| {
                w.run_ms(2_000);
                told_everywhere(w, server, &format!("only speaks protocol revision {named}"));
                assert_eq!(health(w, server)["state"], "suspended");
                w.run_ms(600_000);
                let tries = w.watch.records.iter().filter(|(_, record)| {
                    record.server.as_deref() == Some(server)
                        && record.message.contains("only speaks protocol")
                });
                let tries = tries.count();
                assert!((2..6).contains(&tries), "{server}: {tries} tries in ten minutes");
            });
        }
    }
    story_of([0], one().program("fs", |p| p.mind.revision = Some("2099-01-01")), |w| {
        w.run_ms(2_000);
        told_everywhere(w, "fs", "only speaks protocol revision 2099-01-01");
    });
    // One that refuses for a reason of its own says so, and is tried as ever.
    story_of([0], one().program("fs", |p| p.mind.refuses = true), |w| {
        w.run_ms(2_000);
        told_everywhere(w, "fs", "go away");
        assert!(w.children_of("fs").len() > 1);
    });
}
