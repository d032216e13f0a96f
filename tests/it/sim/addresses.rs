//! Addresses as users write them: with a slash at the end.

use super::one;
use mcp_proxy_tests::client::Xid;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Greets at a path; gives the session.
fn greet_at(w: &mut World, path: &str) -> String {
    let exchange = w.http("POST", path, &[JSON, ACCEPT], HELLO);
    assert_eq!(exchange.status(), 200, "{path}: {exchange:?}");
    exchange.field("mcp-session-id").expect("a session").to_owned()
}

/// Opens an event stream of HTTP+SSE at a path; gives it and where its messages go.
fn stream_at(w: &mut World, path: &str) -> (Xid, String) {
    let fields = "host: localhost:9090\r\naccept: text/event-stream";
    let xid = w.raw(&format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
    w.run_until("the endpoint", |w| !w.exchange(xid).events.is_empty());
    let first = &w.exchange(xid).events[0];
    assert_eq!((w.exchange(xid).status(), first.name.as_str()), (200, "endpoint"), "{path}");
    let endpoint = first.data.clone();
    let (_, token) = endpoint.split_once('=').expect("a token");
    w.watch.guard(token);
    (xid, endpoint)
}

#[test]
fn a_slash_at_the_end_of_an_address_changes_nothing() {
    // FT-203: no redirect either, since clients lose their body or their credential on the way.
    for base in ["", "/hub"] {
        let cast = one().with_proxy("baseURL", json!(format!("http://localhost:9090{base}")));
        story(cast, |w| {
            w.run_ms(5_000);
            for path in ["/fs", "/fs/", "/fs/mcp", "/fs/mcp/", "/mcp", "/mcp/"] {
                let path = format!("{base}{path}");
                let session = greet_at(w, &path);
                w.watch.guard(&session);
                let named = ("mcp-session-id", session.as_str());
                let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
                let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
                assert_eq!(w.http("POST", &other, &[JSON, ACCEPT, named], ping).status(), 200, "{other}");
                assert_eq!(w.http("DELETE", &other, &[named], "").status(), 204, "{other}");
            }
            for path in ["/fs/sse", "/fs/sse/", "/sse", "/sse/"] {
                let (xid, endpoint) = stream_at(w, &format!("{base}{path}"));
                let bare = format!("{base}{}", path.trim_end_matches('/').replace("/sse", "/message"));
                assert!(endpoint.starts_with(&format!("{bare}?sessionId=")), "{endpoint}");
                for target in [endpoint.clone(), endpoint.replace("/message?", "/message/?")] {
                    assert_eq!(w.http("POST", &target, &[JSON], HELLO).status(), 202, "{target}");
                }
                w.run_until("both answers", |w| w.exchange(xid).events.len() == 3);
                w.hang_up(xid);
            }
            for path in ["/fs/mcp//", "/fs//mcp", "//mcp"] {
                let path = format!("{base}{path}");
                assert_eq!(w.http("POST", &path, &[JSON, ACCEPT], HELLO).status(), 404, "{path}");
            }
        });
    }
}
