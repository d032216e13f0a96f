//! What is refused is refused under its own id, and what is merely written oddly is served.

use super::{KINDS, one};
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":"probe","method":"server/discover","params":{}}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":"probe","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

/// Path, header fields and body of a request; status of its answer, and the id in it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, Value);

#[test]
fn an_error_names_its_request_whatever_the_status() {
    // FT-204
    story(one().limits(|l| l.sessions_max = 1), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.listen(c);
        let session = w.clients[c].session.clone().unwrap();
        let known = ("mcp-session-id", session.as_str());
        let unknown = ("mcp-session-id", "0123456789abcdefghijkl");
        let odd = r#"{"jsonrpc":"1.0","id":"probe","method":"ping"}"#;
        let cases: [Case<'_>; 13] = [
            ("/fs/mcp", &[JSON, ACCEPT], DISCOVER, 400, json!("probe")),
            ("/mcp", &[JSON, ACCEPT], DISCOVER, 400, json!("probe")),
            ("/fs/mcp", &[JSON, ACCEPT, unknown], DISCOVER, 404, json!("probe")),
            ("/fs/message?sessionId=x", &[JSON], DISCOVER, 404, json!("probe")),
            ("/fs/mcp", &[JSON, known, ("accept", "text/html")], DISCOVER, 406, json!("probe")),
            ("/fs/mcp", &[JSON, ACCEPT, known, ("mcp-protocol-version", "x")], DISCOVER, 400, json!("probe")),
            (
                "/fs/mcp",
                &[JSON, ACCEPT, known, ("mcp-protocol-version", "x, y")],
                DISCOVER,
                400,
                json!("probe"),
            ),
            ("/fs/mcp", &[JSON, ACCEPT, known], HELLO, 400, json!("probe")),
            ("/fs/mcp", &[JSON, ACCEPT], HELLO, 503, json!("probe")),
            ("/fs/mcp", &[JSON, ACCEPT, known], odd, 400, json!("probe")),
            ("/fs/mcp", &[JSON, ACCEPT], r#"{"jsonrpc":"2.0","method":"x"}"#, 400, json!(null)),
            (
                "/fs/mcp",
                &[JSON, ACCEPT, unknown],
                r#"{"jsonrpc":"2.0","id":3,"result":{}}"#,
                404,
                json!(null),
            ),
            ("/fs/mcp", &[JSON, ACCEPT], r#"{"id":7,"method":"x""#, 400, json!(null)),
        ];
        for (path, fields, body, status, id) in cases {
            let exchange = w.http("POST", path, fields, body);
            let seen = (exchange.status(), exchange.json()["id"].clone());
            assert_eq!(seen, (status, id), "{path} {fields:?} {body}: {}", exchange.body);
        }
    });
}

#[test]
fn an_unusable_part_of_a_batch_is_named_as_well() {
    // FT-204
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, |c| c.revision = "2025-03-26".to_owned());
            let body = r#"[{"jsonrpc":"1.0","id":"odd","method":"ping"},{"jsonrpc":"2.0","id":"even","method":"ping"}]"#;
            let reqs = w.start_raw(c, &[json!("odd"), json!("even")], body);
            assert_eq!(w.outcome(reqs[0])["error"]["code"], -32600, "{kind:?}");
            assert_eq!(w.outcome(reqs[1])["result"], json!({}), "{kind:?}");
        }
    });
}

#[test]
fn params_that_are_null_and_ids_with_a_fraction_of_zero_are_served() {
    // FT-204
    story(one(), |w| {
        for (server, kind) in ["fs", "*"].into_iter().flat_map(|server| KINDS.map(|kind| (server, kind))) {
            let c = w.client(server, kind);
            for (id, body) in [
                (json!(97), r#"{"jsonrpc":"2.0","id":97,"method":"tools/list","params":null}"#),
                (json!(98.0), r#"{"jsonrpc":"2.0","id":98.0,"method":"tools/list","params":{}}"#),
                (json!(99.0), r#"{"jsonrpc":"2.0","id":99.0,"method":"ping","params":null}"#),
            ] {
                let req = w.start_raw(c, &[id], body)[0];
                let answer = w.raw_answer(req);
                let spelled = body.split(',').nth(1).unwrap();
                assert!(answer.contains(spelled) && answer.contains("result"), "{server} {kind:?}: {answer}");
            }
            let note = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":null}"#;
            assert_eq!(w.post_wait(c, note).status(), 202, "{server} {kind:?}");
        }
    });
}

#[test]
fn an_unknown_session_is_told_in_the_words_on_which_hosts_begin_anew() {
    // FT-701
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let unknown = "0123456789abcdefghijkl";
        w.clients[c].session = Some(unknown.to_owned());
        let ping = r#"{"jsonrpc":"2.0","id":40,"method":"ping"}"#;
        let post = w.post(c, ping);
        let get = w.listen(c);
        let index = w.clients[c].delete(&mut w.net);
        for xid in [post, get, mcp_proxy_tests::client::Xid { client: c, index }] {
            let exchange = w.response(xid);
            let error = exchange.json()["error"].clone();
            assert_eq!(exchange.status(), 404);
            assert_eq!((&error["code"], &error["message"]), (&json!(-32600), &json!("Session terminated")));
            let data = error["data"].as_str().unwrap();
            assert!(data.starts_with("HTTP 404 ") && !data.contains(unknown), "{data}");
        }
        let again = w.client("fs", Kind::Streamable);
        w.check_echo(again);
    });
}
