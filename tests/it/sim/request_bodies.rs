//! How the body of a request may come: not packed, and with trailers that are ones.

use super::three;
use mcp_proxy_tests::client::{AUTHORITY, Kind};
use mcp_proxy_tests::http::chunk;
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");
const PING: &str = r#"{"jsonrpc":"2.0","id":"named","method":"ping"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody"}}"#;

/// Fields that say that a body is packed.
const PACKED: [&[&str]; 10] = [
    &["gzip"],
    &["GZIP"],
    &["x-gzip"],
    &["deflate"],
    &["br"],
    &["zstd"],
    &["compress"],
    &["aes128gcm"],
    &["identity, gzip"],
    &["identity", "br"],
];

fn coded<'a>(values: &[&'a str], fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().copied().chain(values.iter().map(|value| ("content-encoding", *value))).collect()
}

#[test]
fn a_packed_request_is_415_at_every_mcp_route_and_told_what_to_do() {
    // FT-511
    story(three(), |w| {
        for (server, kind) in [("fs", Kind::Streamable), ("web", Kind::Streamable), ("fs", Kind::Sse)] {
            let c = w.client(server, kind);
            let session = w.clients[c].session.clone().unwrap_or_default();
            let path = match kind {
                Kind::Streamable => format!("/{server}/mcp"),
                Kind::Sse => w.clients[c].endpoint.clone().unwrap(),
            };
            let mut fields = vec![ACCEPT, JSON];
            if kind == Kind::Streamable {
                fields.push(("mcp-session-id", session.as_str()));
            }
            // Its answer would come on the stream of a client that did not ask.
            let (taken, good) = if kind == Kind::Streamable { (PING, 200) } else { (NOTE, 202) };
            for values in PACKED {
                for (body, id) in
                    [(PING, json!("named")), ("\u{1f}\u{8b}\u{8}", Value::Null), ("", Value::Null)]
                {
                    let answer = w.http("POST", &path, &coded(values, &fields), body);
                    let seen = (answer.status(), answer.field("accept-encoding"));
                    assert_eq!(seen, (415, Some("identity")), "{path} {values:?}");
                    let error = answer.json();
                    assert_eq!((&error["id"], &error["error"]["code"]), (&id, &json!(-32600)), "{values:?}");
                }
            }
            for values in [
                vec!["identity"],
                vec!["Identity"],
                vec![""],
                vec!["identity, identity"],
                vec!["identity", ""],
            ] {
                let answer = w.http("POST", &path, &coded(&values, &fields), taken);
                assert_eq!(answer.status(), good, "{path} {values:?}");
                assert_eq!(answer.field("accept-encoding"), None);
            }
            w.check_echo(c);
        }
        let hello = coded(&["gzip"], &[ACCEPT, JSON]);
        for path in ["/fs/mcp", "/fs/sse", "/fs", "/mcp", "/web/mcp"] {
            let answer = w.http("POST", path, &hello, PING);
            assert_eq!((answer.status(), answer.field("accept-encoding")), (415, Some("identity")), "{path}");
        }
    });
}

#[test]
fn a_packed_request_is_415_at_the_endpoints_of_the_login() {
    // FT-511
    story(three().with_logins(&json!({})), |w| {
        w.until_open();
        let form = ("content-type", "application/x-www-form-urlencoded");
        for values in PACKED {
            for (path, kind) in [
                ("/oauth/register", JSON),
                ("/oauth/token", form),
                ("/oauth/token", JSON),
                ("/oauth/revoke", form),
                ("/oauth/authorize", form),
            ] {
                let answer = w.visit("POST", path, &coded(values, &[kind]), "{}");
                let seen = (answer.status(), answer.field("accept-encoding"));
                assert_eq!(seen, (415, Some("identity")), "{path} {values:?}");
                assert_eq!(answer.json()["error"], "invalid_request", "{path} {values:?}");
            }
        }
        let plain = coded(&["Identity"], &[form]);
        assert_eq!(w.visit("POST", "/oauth/token", &plain, "grant_type=x").field("accept-encoding"), None);
    });
}

#[test]
fn a_malformed_trailer_is_400_and_ends_the_connection_and_a_good_one_is_ignored() {
    // FT-511
    story(three(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let session = w.clients[c].session.clone().unwrap();
        let posted = |trailers: &str| {
            let mut head =
                format!("POST /fs/mcp HTTP/1.1\r\nhost: {AUTHORITY}\r\ntransfer-encoding: chunked\r\n");
            for (name, value) in [ACCEPT, JSON, ("mcp-session-id", session.as_str())] {
                head += &format!("{name}: {value}\r\n");
            }
            format!("{head}\r\n{}0\r\n{trailers}\r\n", chunk(PING))
        };
        for good in ["", "A: b\r\n", "x-a:\r\nx-b: \u{e9}\r\n", "Host: elsewhere\r\nContent-Length: 7\r\n"] {
            let xid = w.raw(&posted(good));
            let answer = w.response(xid);
            assert_eq!((answer.status(), &answer.json()["id"]), (200, &json!("named")), "{good:?}");
            assert_eq!(answer.field("connection"), None, "{good:?}");
        }
        let (long, many) = (format!("A: {}\r\n", "b".repeat(8 * 1024)), "A: b\r\n".repeat(65));
        let bad = [
            "A\r\n",
            ": b\r\n",
            "A : b\r\n",
            " A: b\r\n",
            "A: b\r\n c\r\n",
            "A: b\r\n\tc: d\r\n",
            "A: \0\r\n",
            "A: \u{7f}\r\n",
            "A: b\n",
            "A: b\rC: d\r\n",
            &long,
            &many,
        ];
        for bad in bad {
            let xid = w.raw(&posted(bad));
            let answer = w.response(xid);
            assert_eq!((answer.status(), answer.field("connection")), (400, Some("close")), "{bad:?}");
            assert_eq!(answer.json()["error"]["code"], -32600, "{bad:?}");
        }
        w.check_echo(c);
    });
}
