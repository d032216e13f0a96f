//! Clients that greet while a server is in its first start.

use super::{KINDS, one};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, MERGED, Progress, Xid};
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

const PARAMS: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}"#;

/// A server that says nothing until it is told to.
fn slow() -> Cast {
    one().program("fs", |p| p.mind.mute = true)
}

/// A client that has its event stream, if it needs one.
fn visitor(w: &mut World, server: &str, kind: Kind, accept: &str) -> usize {
    let c = w.stranger_with(server, kind, |c| c.accept = accept.to_owned());
    if kind == Kind::Sse {
        w.clients[c].listen(&mut w.net, None);
        w.run_until("an endpoint", |w| w.clients[c].endpoint.is_some());
        let endpoint = w.clients[c].endpoint.clone().unwrap_or_default();
        w.watch.guard(endpoint.split_once('=').expect("a session in the endpoint").1);
    }
    c
}

fn greeting() -> serde_json::Value {
    serde_json::from_str(PARAMS).expect("JSON")
}

#[test]
fn a_greeting_that_the_first_start_outlasts_is_refused_after_half_a_minute() {
    // FT-205
    // limit: greeting_ms
    story(slow().calm(), |w| {
        let from = w.net.now;
        let both = visitor(w, "fs", Kind::Streamable, "application/json, text/event-stream");
        let events = visitor(w, "fs", Kind::Streamable, "text/event-stream");
        let legacy = visitor(w, "fs", Kind::Sse, "*/*");
        let reqs = [both, events, legacy].map(|c| w.start(c, "initialize", greeting()));
        w.run_ms(29_000);
        let stream = w.exchange_of(reqs[1]);
        assert!(w.exchange(stream).is_stream() && w.exchange(stream).comments >= 2, "kept alive");
        assert_eq!(w.exchange(w.exchange_of(reqs[0])).progress, Progress::Running);
        for req in reqs {
            let answer = w.outcome(req);
            assert_eq!(answer["error"]["code"], -32603, "{answer}");
        }
        let waited = (w.net.now - from) / MS;
        assert!((29_900..31_000).contains(&waited), "{waited} ms");
        let plain = w.exchange(w.exchange_of(reqs[0]));
        assert_eq!((plain.status(), plain.field("mcp-session-id")), (503, None));
        assert!(plain.field("retry-after").is_some());
        assert_eq!(w.response(stream).progress, Progress::Complete);
    });
    let hasty = slow().options("fs", json!({"startupTimeout": "2s"})).calm();
    story(hasty, |w| {
        let c = visitor(w, "fs", Kind::Streamable, "application/json, text/event-stream");
        let req = w.start(c, "initialize", greeting());
        assert!(w.outcome(req)["error"].is_object());
        assert!(w.net.now < 3_000 * MS, "not longer than the server may take");
    });
}

#[test]
fn a_greeting_waits_for_the_first_start_and_is_answered_with_it() {
    // FT-205
    let cast = one().program("fs", |p| p.mind.delay_ms = 3_000).calm();
    story(cast, |w| {
        let cases = [
            (Kind::Streamable, "application/json, text/event-stream"),
            (Kind::Streamable, "text/event-stream"),
            (Kind::Streamable, "application/json"),
            (Kind::Sse, "*/*"),
        ];
        let waiting = cases.map(|(kind, accept)| {
            let c = visitor(w, "fs", kind, accept);
            (c, w.start(c, "initialize", greeting()))
        });
        for (c, req) in waiting {
            let answer = w.outcome(req);
            assert!(answer["result"]["capabilities"]["tools"].is_object(), "{answer}");
            let xid: Xid = w.exchange_of(req);
            if w.clients[c].kind == Kind::Streamable {
                let session = w.response(xid).field("mcp-session-id").expect("a session").to_owned();
                w.watch.guard(&session);
                w.clients[c].session = Some(session);
            }
            w.notify(c, "notifications/initialized", json!({}));
            w.check_echo(c);
        }
    });
}

#[test]
fn a_first_start_that_fails_refuses_at_once_and_the_merged_endpoint_waits_for_nobody() {
    // FT-205
    story(slow().calm(), |w| {
        for kind in KINDS {
            let merged = visitor(w, MERGED, kind, "application/json, text/event-stream");
            let from = w.net.now;
            let req = w.start(merged, "initialize", greeting());
            assert!(w.outcome(req)["result"]["capabilities"]["tools"].is_object());
            assert!(w.net.now - from < 1_000 * MS, "at once");
            let xid = w.exchange_of(req);
            if let Some(session) = w.exchange(xid).field("mcp-session-id").map(str::to_owned) {
                w.watch.guard(&session);
            }
        }
        let c = visitor(w, "fs", Kind::Streamable, "application/json, text/event-stream");
        let gone = w.start(c, "initialize", greeting());
        w.clients[c].requests[gone.index].cancelled = true;
        w.run_ms(500);
        w.reset(w.exchange_of(gone));
        let other = visitor(w, "fs", Kind::Streamable, "application/json, text/event-stream");
        let req = w.start(other, "initialize", greeting());
        w.run_ms(1_000);
        let from = w.net.now;
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(3)));
        assert!(w.outcome(req)["error"]["message"].as_str().unwrap().contains("not connected yet: "));
        assert!(w.net.now - from < 3_000 * MS, "not after the time is over");
        let late = visitor(w, "fs", Kind::Streamable, "application/json");
        let req = w.start(late, "initialize", greeting());
        assert!(w.outcome(req)["error"].is_object());
        assert_eq!(w.exchange(w.exchange_of(req)).status(), 503, "a server that failed is not waited for");
    });
}
