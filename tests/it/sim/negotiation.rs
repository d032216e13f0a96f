//! Handshakes, revisions, headers, media types, batches.

use super::{KINDS, one, three};
use mcp_proxy_tests::client::{AUTHORITY, Kind, State};
use mcp_proxy_tests::http::chunk;
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[test]
fn a_served_revision_is_answered_with_itself() {
    // DL-01, DL-03
    story(one(), |w| {
        for (revision, kind) in REVISIONS.into_iter().flat_map(|r| KINDS.map(|k| (r, k))) {
            let c = w.client_with("fs", kind, |c| c.revision = revision.to_owned());
            let State::Answered(raw) = &w.clients[c].requests.last().unwrap().state else { panic!() };
            let result = &serde_json::from_str::<Value>(raw).unwrap()["result"];
            assert_eq!(result["protocolVersion"], revision);
            assert!(result["capabilities"]["tools"].is_object() && result["serverInfo"]["name"].is_string());
            assert_eq!(result["capabilities"]["completions"].is_object(), revision != "2024-11-05", "DL-13");
            w.check_echo(c);
        }
    });
}

#[test]
fn any_other_revision_is_answered_with_the_newest_legacy_one() {
    // DL-02
    story(one(), |w| {
        for revision in ["2026-07-28", "1.0", "2099-01-01"] {
            let c = w.client_with("fs", Kind::Streamable, |c| c.revision = revision.to_owned());
            assert_eq!(w.clients[c].revision, "2025-11-25");
        }
    });
}

#[test]
fn an_upstream_of_any_revision_serves_a_client_of_any_other() {
    for revision in REVISIONS {
        let cast = three().program("fs", |p| p.mind.revision = Some(revision));
        let cast = cast.change_site("web", |s| s.mind.revision = Some(revision));
        story(cast.change_site("old", |s| s.mind.revision = Some(revision)), |w| {
            for server in ["fs", "web", "old"] {
                for asked in ["2024-11-05", "2025-11-25"] {
                    let c = w.client_with(server, Kind::Streamable, |c| c.revision = asked.to_owned());
                    w.check_echo(c);
                }
            }
        });
    }
}

#[test]
fn a_strange_revision_header_is_refused_and_a_missing_or_other_served_one_is_not() {
    // DL-46, DL-47, DL-48
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let body = r#"{"jsonrpc":"2.0","id":900,"method":"ping"}"#;
        for (value, status) in [("1999-01-01", 400), ("nonsense", 400), ("", 200), ("2025-03-26", 200)] {
            w.clients[c].fields = vec![("mcp-protocol-version".to_owned(), value.to_owned())];
            w.start_raw(c, &[json!(900)], body);
            let index = w.clients[c].exchanges.len() - 1;
            let exchange = w.response(mcp_proxy_tests::client::Xid { client: c, index });
            assert_eq!(exchange.status(), status, "{value:?}");
        }
        w.clients[c].fields.clear();
        w.check_echo(c);
    });
}

#[test]
fn accept_decides_between_json_and_stream() {
    // DL-44, DL-45
    story(one(), |w| {
        let cases = [
            ("application/json", 200, "application/json"),
            ("text/event-stream", 200, "text/event-stream"),
            ("*/*", 200, "application/json"),
            ("application/*, text/*;q=0.5", 200, "application/json"),
            ("application/json;q=0, text/event-stream", 200, "text/event-stream"),
            ("text/html", 406, ""),
        ];
        for (accept, status, kind) in cases {
            let c = w.client("fs", Kind::Streamable);
            w.clients[c].accept = accept.to_owned();
            let req = w.start_call(c, "echo", json!({"text": "a"}));
            let xid = w.exchange_of(req);
            let exchange = w.response(xid);
            assert_eq!(exchange.status(), status, "{accept}");
            if status == 200 {
                assert!(
                    exchange.field("content-type").unwrap().starts_with(kind),
                    "{accept}: {:?}",
                    exchange.head
                );
                assert_eq!(w.text(req), "a");
            }
        }
    });
}

#[test]
fn a_client_that_only_accepts_json_gets_json_however_long_it_takes() {
    // DL-45
    story(one(), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.accept = "application/json".to_owned());
        let req = w.start_watched(c, "slow", json!({"ms": 3_000, "text": "late"}), json!("t"));
        assert_eq!(w.text(req), "late");
        assert!(!w.exchange(w.exchange_of(req)).is_stream());
    });
}

#[test]
fn notifications_and_answers_are_accepted_with_202_and_nothing_else() {
    // DL-43, DL-26, GN-02
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for body in [
            r#"{"jsonrpc":"2.0","method":"notifications/unheard_of"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4711}}"#,
            r#"{"jsonrpc":"2.0","id":"nobody-asked","result":{}}"#,
        ] {
            let exchange = w.post_wait(c, body);
            assert_eq!((exchange.status(), exchange.body.as_str()), (202, ""), "{body}");
        }
    });
}

#[test]
fn unusable_bodies_are_refused_with_the_right_code() {
    // GN-01, GN-04, GN-05, DL-68
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for (body, code) in [
            ("{", -32700),
            ("", -32700),
            ("nonsense", -32700),
            ("42", -32600),
            ("{}", -32600),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"1.0","id":1000,"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1000,"method":7}"#, -32600),
            (r#"[{"jsonrpc":"2.0","id":1000,"method":"ping"}]"#, -32600),
        ] {
            let exchange = w.post_wait(c, body);
            assert_eq!((exchange.status(), &exchange.json()["error"]["code"]), (400, &json!(code)), "{body}");
        }
        w.check_echo(c);
    });
}

#[test]
fn ping_is_answered_by_the_proxy_and_what_nobody_knows_is_32601_with_200() {
    // DL-07, DL-08
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            assert_eq!(w.ask(c, "ping", json!({}))["result"], json!({}));
            for method in ["tasks/list", "tasks/get", "server/discover", "Tools/Call", "roots/list"] {
                assert_eq!(w.ask(c, method, json!({}))["error"]["code"], -32601, "{method}");
                assert!(w.heard("fs", method).is_empty(), "{method} is not for servers");
            }
            // What the proxy does not know the server may: this one does not.
            assert_eq!(w.ask(c, "no/such", json!({}))["error"]["message"], "no such method");
            w.check_echo(c);
        }
    });
}

#[test]
fn batches_are_served_in_sessions_of_2025_03_26() {
    // DL-65, DL-66
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, |c| c.revision = "2025-03-26".to_owned());
            let call = |id: &str| {
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":{id}}}}}}}"#
                )
            };
            let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
            let body = format!(
                "[{},{note},{},\n{}]",
                call("\"a\""),
                call("\"b\""),
                r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#
            );
            let reqs = w.start_raw(c, &[json!("a"), json!("b"), json!(9)], &body);
            assert_eq!(w.text(reqs[0]), "a");
            assert_eq!(w.text(reqs[1]), "b");
            assert_eq!(w.outcome(reqs[2])["result"], json!({}));
            let exchange = w.post_wait(c, &format!("[{note},{note}]"));
            assert_eq!(exchange.status(), 202);
        }
    });
}

#[test]
fn broken_batches_are_refused() {
    // DL-67
    story(one(), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-03-26".to_owned());
        assert_eq!(w.post_wait(c, "[]").json()["error"]["code"], -32600);
        let hello = r#"{"jsonrpc":"2.0","id":70,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
        let req = w.start_raw(c, &[json!(70)], &format!("[{hello}]"))[0];
        let answer = w.outcome(req);
        assert!(answer.is_null() || answer["error"]["code"] == -32600, "{answer}");
        w.check_echo(c);
    });
}

#[test]
fn a_second_initialize_in_a_live_session_is_refused() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let req = w.start(c, "initialize", params);
        let xid = w.exchange_of(req);
        assert_eq!(w.response(xid).status(), 400);
        w.check_echo(c);
    });
}

#[test]
fn a_chunked_body_and_an_expectation_are_served() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let mut head =
            String::from("POST /fs/mcp HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n");
        for (name, value) in w.clients[c].common() {
            head += &format!("{name}: {value}\r\n");
        }
        head += "content-type: application/json; charset=utf-8\r\n\r\n";
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let (first, second) = body.split_at(11);
        let text = format!("{head}{}{}0\r\n\r\n", chunk(first), chunk(second));
        let xid = w.raw(&text);
        let exchange = w.response(xid);
        assert_eq!((exchange.status(), &exchange.json()["result"]), (200, &json!({})));
    });
}

#[test]
fn a_packed_body_is_415_and_says_what_is_taken() {
    // FT-511, RFC 9110 §15.5.16
    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let kind = ("content-type", "application/json");
        for coding in ["gzip", "deflate", "br", "GZIP, identity", "x"] {
            for path in ["/fs/mcp", "/fs/sse", "/fs/message"] {
                let fields = [("mcp-session-id", session.as_str()), kind, ("content-encoding", coding)];
                let exchange = w.http("POST", path, &fields, PING);
                let told = (exchange.status(), exchange.field("accept-encoding"));
                assert_eq!(told, (415, Some("identity")), "{path} {coding}");
                assert!(exchange.json()["error"]["message"].as_str().unwrap().contains("packed"));
            }
        }
        for coding in ["identity", "Identity", ""] {
            let fields = [("mcp-session-id", session.as_str()), kind, ("content-encoding", coding)];
            assert_eq!(w.http("POST", "/fs/mcp", &fields, PING).status(), 200, "{coding}");
        }
    });
}

#[test]
fn a_trailer_that_is_none_is_400() {
    // FT-511, RFC 9112 §7.1.2
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let fields = [
            ("host", AUTHORITY),
            ("content-type", "application/json"),
            ("mcp-session-id", session.as_str()),
            ("transfer-encoding", "chunked"),
        ];
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = chunk(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        for (trailer, status) in [
            ("", 200),
            ("Digest: x\r\nExpires:\r\n", 200),
            ("Digest\r\n", 400),
            ("Digest : x\r\n", 400),
            (": x\r\n", 400),
            ("Digest: x\r\n y\r\n", 400),
        ] {
            let text = format!("POST /fs/mcp HTTP/1.1\r\n{fields}\r\n{body}0\r\n{trailer}\r\n");
            let xid = w.raw(&text);
            assert_eq!(w.response(xid).status(), status, "{trailer:?}");
        }
    });
}

#[test]
fn a_body_of_another_media_type_is_415() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let fields = [("mcp-session-id", session.as_str()), ("content-type", kind)];
            assert_eq!(
                w.http("POST", "/fs/mcp", &fields, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).status(),
                415
            );
        }
    });
}
