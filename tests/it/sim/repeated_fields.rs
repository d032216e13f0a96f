//! Header fields that are said more than once: the same again changes nothing, something else is refused.

use super::one;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{AUTHORITY, Kind};
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

const PING: &str = r#"{"jsonrpc":"2.0","id":"named","method":"ping"}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":"named","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");
const BOTH: &str = "both spellings of a field are one field";

/// Two values of a field as two lines, and as one.
fn spellings(one: &str, other: &str) -> [Vec<String>; 3] {
    [
        vec![one.to_owned(), other.to_owned()],
        vec![format!("{one}, {other}")],
        vec![format!("{one},{other}"), one.to_owned()],
    ]
}

/// POSTs a ping in a session, with these values of a field in place of its own.
fn ping(w: &mut World, session: &str, name: &str, values: &[String]) -> u16 {
    let usual = [("mcp-session-id", session), ("mcp-protocol-version", "2025-06-18"), JSON, ACCEPT];
    let mut fields: Vec<(&str, &str)> = usual.into_iter().filter(|(usual, _)| *usual != name).collect();
    fields.extend(values.iter().map(|value| (name, value.as_str())));
    w.http("POST", "/fs/mcp", &fields, PING).status()
}

#[test]
fn the_same_value_again_counts_once_and_another_one_is_400() {
    // FT-202
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let other = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let other = w.clients[other].session.clone().unwrap();
        for (name, value, different) in [
            ("mcp-protocol-version", "2025-06-18", "2025-11-25"),
            ("mcp-protocol-version", "2025-06-18", "1999-01-01"),
            ("mcp-session-id", &session, &other),
            ("content-type", "application/json", "text/plain"),
            ("content-type", "application/json", "application/json; charset=utf-8"),
        ] {
            for values in spellings(value, value) {
                assert_eq!(ping(w, &session, name, &values), 200, "{BOTH}: {name} {values:?}");
            }
            for values in spellings(value, different).into_iter().chain(spellings(different, value)) {
                assert_eq!(ping(w, &session, name, &values), 400, "{BOTH}: {name} {values:?}");
            }
        }
        let upper = spellings("application/json; charset=utf-8", "Application/JSON;charset=UTF-8");
        for values in upper {
            assert_eq!(ping(w, &session, "content-type", &values), 200, "{values:?}");
        }
        for values in spellings("text/plain", "text/plain") {
            assert_eq!(ping(w, &session, "content-type", &values), 415, "{values:?}");
        }
        let split = ["text/html".to_owned(), "application/json".to_owned(), "text/event-stream".to_owned()];
        assert_eq!(ping(w, &session, "accept", &split), 200, "a list stays one");
    });
}

#[test]
fn streams_and_ends_of_sessions_take_repeated_fields_as_well() {
    // FT-202
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let twice = format!("{session}, {session}");
        let versions = [("mcp-protocol-version", "2025-06-18"), ("mcp-protocol-version", "2025-11-25")];
        let named = ("mcp-session-id", twice.as_str());
        for method in ["GET", "DELETE"] {
            let fields = [named, versions[0], versions[1], ("accept", "text/event-stream")];
            assert_eq!(w.http(method, "/fs/mcp", &fields, "").status(), 400, "{method}");
        }
        let fields = [JSON, ACCEPT, versions[0], versions[1]];
        assert_eq!(w.http("POST", "/fs/mcp", &fields, HELLO).status(), 400, "a greeting, too");
        let events =
            [named, ("accept", "text/event-stream"), ("last-event-id", "1-1"), ("last-event-id", "1-2")];
        let exchange = w.http("GET", "/fs/mcp", &events, "");
        assert!(exchange.status() == 400 && exchange.body.contains("last-event-id"), "{exchange:?}");
        assert_eq!(w.http("DELETE", "/fs/mcp", &[named], "").status(), 204);
    });
}

/// One server that a token opens, one that a login opens.
fn locked() -> Cast {
    one()
        .stdio("db")
        .options("fs", json!({"authTokens": ["token-secret-1"], "oauth2": {"enabled": false}}))
        .with_logins(&json!({}))
        .secret("token-secret-1")
}

#[test]
fn two_credentials_or_two_origins_are_400_on_every_route() {
    // FT-510
    story(locked(), |w| {
        w.run_ms(5_000);
        let (good, bad) = (("authorization", "Bearer token-secret-1"), ("authorization", "Bearer other"));
        let here = format!("http://{AUTHORITY}");
        let origins = [("origin", here.as_str()), ("origin", "http://evil.test")];
        let routes = [
            ("POST", "/fs/mcp"),
            ("GET", "/fs/mcp"),
            ("DELETE", "/fs/mcp"),
            ("OPTIONS", "/fs/mcp"),
            ("GET", "/fs/sse"),
            ("POST", "/fs/message?sessionId=x"),
            ("POST", "/db/mcp"),
            ("POST", "/mcp"),
            ("GET", "/sse"),
            ("GET", "/health/live"),
            ("GET", "/health/ready"),
            ("GET", "/health/servers"),
            ("GET", "/.well-known/oauth-authorization-server"),
            ("GET", "/.well-known/oauth-protected-resource/db/mcp"),
            ("POST", "/oauth/register"),
            ("POST", "/oauth/token"),
            ("POST", "/oauth/revoke"),
            ("GET", "/oauth/authorize"),
            ("POST", "/oauth/authorize"),
            ("GET", "/nothing"),
        ];
        for (method, path) in routes {
            for pair in [[good, bad], [bad, good], origins, [origins[1], origins[0]]] {
                let fields = [JSON, ACCEPT, pair[0], pair[1]];
                let body = if method == "POST" { HELLO } else { "" };
                assert_eq!(w.http(method, path, &fields, body).status(), 400, "{method} {path} {pair:?}");
            }
        }
        for values in [["Bearer token-secret-1, Bearer token-secret-1"; 2], ["Bearer token-secret-1"; 2]] {
            let fields = [
                JSON,
                ACCEPT,
                ("authorization", values[0]),
                ("authorization", values[1]),
                origins[0],
                origins[0],
            ];
            assert_eq!(w.http("POST", "/fs/mcp", &fields, HELLO).status(), 200, "{values:?}");
        }
        let fields = [JSON, ACCEPT, ("authorization", "Bearer token-secret-1, Bearer other")];
        assert_eq!(w.http("POST", "/fs/mcp", &fields, HELLO).status(), 400);
    });
}
