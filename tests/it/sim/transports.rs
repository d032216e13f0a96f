//! Either transport on either path, where both are served: an entry that only has a URL works in every client.

use super::{KINDS, one, three};
use mcp_proxy_tests::client::{AUTHORITY, Kind, MERGED, Progress, Xid};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
const EVENTS: (&str, &str) = ("accept", "text/event-stream");
const POST: [(&str, &str); 2] =
    [("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
const EVERY: &str = "GET, POST, DELETE, OPTIONS";

/// Sends the head of a GET.
fn get(w: &mut World, path: &str, fields: &[(&str, &str)]) -> Xid {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    w.raw(&format!("GET {path} HTTP/1.1\r\nhost: {AUTHORITY}\r\n{fields}\r\n"))
}

/// The path that a stream of HTTP+SSE names for messages.
fn endpoint(w: &mut World, xid: Xid) -> String {
    w.run_until("the endpoint", |w| {
        let exchange = w.exchange(xid);
        !exchange.events.is_empty() || exchange.progress != Progress::Running
    });
    let exchange = w.exchange(xid);
    assert_eq!(exchange.status(), 200, "{exchange:?}");
    let first = &exchange.events[0];
    assert_eq!(first.name, "endpoint");
    let (path, token) = first.data.split_once("?sessionId=").expect("a session");
    let (path, token) = (path.to_owned(), token.to_owned());
    w.watch.guard(&token);
    path
}

#[test]
fn a_client_of_either_transport_works_at_every_path() {
    // FT-705
    for base in ["", "hub/"] {
        let cast = one().with_proxy("baseURL", json!(format!("http://localhost:9090/{base}")));
        story_of([0, 1, 4], cast, |w| {
            let server = format!("{base}fs");
            let merged = if base.is_empty() { MERGED } else { "hub" };
            for kind in KINDS {
                for end in ["mcp", "mcp/", "sse", "sse/", ""] {
                    let c = w.client_with(&server, kind, |client| client.end = Some(end));
                    w.check_echo(c);
                }
                for end in ["mcp", "mcp/", "sse", "sse/"] {
                    let c = w.client_with(merged, kind, |client| client.end = Some(end));
                    assert_eq!(w.call(c, "fs__echo", json!({"text": "hello"})), "hello", "{end}");
                }
            }
        });
    }
}

#[test]
fn streamable_http_at_sse_is_whole() {
    // FT-705: notifications, batches, the standalone stream, its end, and the other path under the same session.
    story(one(), |w| {
        let c = w.client_with("fs", Kind::Streamable, |client| {
            client.end = Some("sse");
            client.revision = "2025-03-26".to_owned();
        });
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(w.post_wait(c, note).status(), 202);
        let session = w.clients[c].session.clone().expect("a session");
        let named = ("mcp-session-id", session.as_str());
        let pings = r#"[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":8,"method":"ping"}]"#;
        for path in ["/fs/sse", "/fs/sse/", "/fs/mcp"] {
            let answer = w.http("POST", path, &[POST[0], POST[1], named], pings);
            let answers: String = answer.events.iter().map(|event| event.data.as_str()).collect();
            assert_eq!(answer.status(), 200, "{path}");
            assert!(answers.contains("\"id\":7") && answers.contains("\"id\":8"), "{path}: {answers}");
        }
        let stream = w.listen(c);
        w.run_ms(1_000);
        let exchange = w.exchange(stream);
        assert_eq!((exchange.status(), exchange.progress), (200, Progress::Running));
        assert!(exchange.events.iter().all(|event| event.name != "endpoint"), "no HTTP+SSE: {exchange:?}");
        let unacceptable = w.http("GET", "/fs/sse", &[named, ("accept", "application/json")], "");
        assert_eq!(unacceptable.status(), 406);
        assert_eq!(w.http("DELETE", "/fs/sse/", &[named], "").status(), 204);
        assert_eq!(w.http("GET", "/fs/sse", &[named, EVENTS], "").status(), 404, "an ended session");
        assert_eq!(w.http("POST", "/fs/sse", &[POST[0], POST[1], named], pings).status(), 404);
    });
}

#[test]
fn http_sse_at_mcp_names_the_messages_of_its_server() {
    // FT-705
    for base in ["", "/hub"] {
        let cast = three().with_proxy("baseURL", json!(format!("http://localhost:9090{base}")));
        story_of([0, 2], cast, |w| {
            w.run_ms(5_000);
            for (path, message) in [
                ("/fs/mcp", "/fs/message"),
                ("/fs/mcp/", "/fs/message"),
                ("/fs/sse/", "/fs/message"),
                ("/fs", "/fs/message"),
                ("/fs/", "/fs/message"),
                ("/web/mcp", "/web/message"),
                ("/mcp", "/message"),
                ("/mcp/", "/message"),
                ("/sse", "/message"),
            ] {
                for accept in ["text/event-stream", "Text/Event-Stream;q=0.9, */*;q=0.1"] {
                    let xid = get(w, &format!("{base}{path}"), &[("accept", accept)]);
                    assert_eq!(endpoint(w, xid), format!("{base}{message}"), "{path}");
                    w.hang_up(xid);
                }
            }
        });
    }
}

#[test]
fn a_get_at_mcp_that_may_be_streamable_http_is_told_that_it_needs_a_session() {
    // FT-705: a stream would keep those waiting who only look who is there, or who lost their session.
    let both = ("accept", "application/json, text/event-stream");
    story(one(), |w| {
        w.client("fs", Kind::Streamable);
        for path in ["/fs/mcp", "/fs/mcp/", "/fs", "/mcp"] {
            let asks: [&[(&str, &str)]; 8] = [
                &[both],
                &[("accept", "application/json"), EVENTS],
                &[EVENTS, ("mcp-protocol-version", "2025-06-18")],
                &[EVENTS, ("mcp-protocol-version", "1999-01-01")],
                &[EVENTS, ("last-event-id", "1-1")],
                &[("accept", "*/*")],
                &[("accept", "text/*")],
                &[],
            ];
            for fields in asks {
                let answer = w.http("GET", path, fields, "");
                assert_eq!(answer.status(), 400, "{path} {fields:?}");
                assert!(answer.body.contains("session is required"), "{path} {fields:?}");
            }
            let answer = w.http("GET", path, &[EVENTS, ("mcp-session-id", "nobody")], "");
            assert_eq!(answer.status(), 404, "{path}");
            for accept in ["application/json", "text/html", "text/event-stream;q=0"] {
                assert_eq!(w.http("GET", path, &[("accept", accept)], "").status(), 406, "{path} {accept}");
            }
        }
    });
}

#[test]
fn a_stream_that_its_client_would_not_read_is_refused_at_once() {
    // FT-705: on the path of HTTP+SSE too, whatever is served.
    for kind in ["both", "sse"] {
        story(one().with_proxy("type", json!(kind)), |w| {
            w.client("fs", Kind::Sse);
            for path in ["/fs/sse", "/fs/sse/", "/sse"] {
                for accept in ["application/json", "text/html", "*/*;q=0", "text/event-stream;q=0.0, */*"] {
                    let answer = w.http("GET", path, &[("accept", accept)], "");
                    assert_eq!(answer.status(), 406, "{path} {accept}");
                }
                let asks: [&[(&str, &str)]; 6] = [
                    &[],
                    &[("accept", "*/*")],
                    &[("accept", "application/json, text/event-stream")],
                    &[EVENTS, ("mcp-protocol-version", "2025-06-18")],
                    &[EVENTS, ("last-event-id", "1-1")],
                    &[("accept", "text/*")],
                ];
                for fields in asks {
                    let xid = get(w, path, fields);
                    endpoint(w, xid);
                    w.hang_up(xid);
                }
            }
        });
    }
}

#[test]
fn what_a_path_allows_is_what_it_serves() {
    // FT-705
    story(one(), |w| {
        w.client("fs", Kind::Streamable);
        for path in ["/fs/mcp", "/fs/sse", "/fs/sse/", "/fs", "/mcp", "/sse"] {
            for method in ["PUT", "HEAD", "PATCH"] {
                let answer = w.http(method, path, &[], "");
                assert_eq!((answer.status(), answer.field("allow")), (405, Some(EVERY)), "{method} {path}");
            }
            let plain = [POST[0], ("content-type", "text/plain")];
            assert_eq!(w.http("POST", path, &plain, HELLO).status(), 415, "{path}");
            let html = [("accept", "text/html"), POST[1]];
            assert_eq!(w.http("POST", path, &html, HELLO).status(), 406, "{path}");
            assert_eq!(w.http("DELETE", path, &[], "").status(), 400, "{path}");
            let ping = r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#;
            assert_eq!(w.http("POST", path, &POST, ping).status(), 400, "{path}");
        }
        for path in ["/fs/message", "/message/"] {
            let answer = w.http("GET", path, &[EVENTS], "");
            assert_eq!((answer.status(), answer.field("allow")), (405, Some("POST, OPTIONS")), "{path}");
            assert_eq!(w.http("POST", path, &POST, HELLO).status(), 404, "{path}");
        }
    });
}

#[test]
fn one_transport_alone_is_served_at_its_own_path() {
    // FT-705
    story(one().with_proxy("type", json!("sse")), |w| {
        let c = w.client("fs", Kind::Sse);
        w.check_echo(c);
        for path in ["/fs/sse", "/sse"] {
            for method in ["POST", "DELETE"] {
                let answer = w.http(method, path, &POST, HELLO);
                let seen = (answer.status(), answer.field("allow"));
                assert_eq!(seen, (405, Some("GET, OPTIONS")), "{method} {path}");
            }
        }
        for path in ["/fs/mcp", "/fs", "/mcp"] {
            assert_eq!(w.http("GET", path, &[EVENTS], "").status(), 404, "{path}");
        }
    });
    story(one().with_proxy("type", json!("streamable-http")), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        for path in ["/fs/mcp", "/fs", "/mcp"] {
            assert_eq!(w.http("GET", path, &[EVENTS], "").status(), 400, "{path}");
        }
        for path in ["/fs/sse", "/sse", "/fs/message"] {
            assert_eq!(w.http("POST", path, &POST, HELLO).status(), 404, "{path}");
        }
    });
}

#[test]
fn a_login_is_for_the_address_that_was_asked_for_whatever_is_spoken_there() {
    // FT-705
    let resource = "/.well-known/oauth-protected-resource";
    story(three().with_logins(&json!({})), |w| {
        w.until_open();
        for path in ["/fs/mcp", "/fs/sse", "/fs/sse/", "/fs", "/mcp", "/sse", "/sse/"] {
            let named = format!("resource_metadata=\"http://localhost:9090{resource}{path}\"");
            for (method, fields, body) in
                [("POST", &POST[..], HELLO), ("GET", &[EVENTS], ""), ("DELETE", &[], "")]
            {
                let refused = w.http(method, path, fields, body);
                assert_eq!(refused.status(), 401, "{method} {path}");
                let challenge = refused.field("www-authenticate").expect("a challenge");
                assert!(challenge.contains(&named), "{method} {path}: {challenge}");
            }
            let url = format!("http://localhost:9090{path}");
            assert_eq!(w.get(&format!("{resource}{path}")).json()["resource"], json!(url));
        }
        let app = w.app("Guest");
        let token = w.log_in(&app, "ann", &[("resource", "http://localhost:9090/fs/sse")]);
        let bearer = format!("Bearer {}", token.access);
        let credential = ("authorization", bearer.as_str());
        for path in ["/fs/sse", "/fs/mcp"] {
            assert_eq!(w.knock(path, &token.access).status(), 200, "{path}");
            let xid = get(w, path, &[EVENTS, credential]);
            assert_eq!(endpoint(w, xid), "/fs/message");
            w.hang_up(xid);
        }
    });
}
