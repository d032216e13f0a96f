//! Servers that lost a session and say so in other words than a bare 404.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::http::Head;
use mcp_proxy_tests::site::Site;
use mcp_proxy_tests::site::odd::Reply;
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

/// Whether a request names a session that is over.
fn is_over(site: &Site, head: &Head) -> bool {
    let session = head.get("mcp-session-id");
    head.method() == "POST" && session.is_some_and(|session| !site.live.contains_key(session))
}

/// An error with this message, under the id of the request or none.
fn error(request: &str, named: bool, code: i32, message: &str) -> String {
    let request: Value = serde_json::from_str(request).expect("a request is JSON");
    let id = if named { request["id"].clone() } else { Value::Null };
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string()
}

fn refusing(status: u16, named: bool, message: &'static str) -> Cast {
    Cast::default().streamable("web").change_site("web", move |site| {
        site.set_odd(move |site, head, body| {
            is_over(site, head).then(|| Reply::json(status, &error(body, named, -32001, message)))
        });
    })
}

#[test]
fn a_session_that_is_plainly_lost_costs_no_call() {
    // FT-102
    for (status, named, message) in [
        (404, true, "Session not found"),
        (404, true, "Not Found"),
        (404, false, "Session not found"),
        (410, true, "Session expired"),
        (410, false, "Gone"),
        (400, true, "Bad Request: No valid session ID provided"),
        (400, false, "Bad Request: No valid session ID provided"),
    ] {
        story(refusing(status, named, message), |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
            w.with_site("web", |site, _| site.live.clear());
            for _ in 0..3 {
                w.check_echo(c);
            }
            assert_eq!(w.site("web").mind.count("initialize"), 2, "{status} {named}");
        });
    }
}

#[test]
fn a_lost_session_named_in_a_text_is_made_anew() {
    // FT-102: what many servers built on Express say
    let cast = Cast::default().streamable("web").change_site("web", |site| {
        site.set_odd(|site, head, _| {
            is_over(site, head).then(|| Reply::bare(400).body("Invalid or missing session ID"))
        });
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        w.with_site("web", |site, _| site.live.clear());
        w.check_echo(c);
        assert_eq!(w.site("web").mind.count("initialize"), 2);
    });
}

#[test]
fn a_call_and_a_ping_that_fail_lead_to_one_handshake() {
    // FT-102
    for (status, named, message) in [
        (503, false, "MCP session is unknown on this instance"),
        (503, true, "MCP session is unknown on this instance"),
        (200, true, "Session not found"),
        (200, false, "unknown session"),
        (401, false, "session expired"),
        (500, true, "Session terminated"),
        (502, false, "bad gateway"),
        (503, false, ""),
    ] {
        story(refusing(status, named, message), |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
            // So that pings are known to be answered.
            w.run_ms(40_000);
            w.with_site("web", |site, _| site.live.clear());
            let calls = [(); 3].map(|()| w.start_call(c, "echo", json!({"text": "again"})));
            for call in calls {
                assert!(w.outcome(call)["error"].is_object(), "{status}: it is not repeated");
            }
            w.run_ms(2_000);
            w.check_echo(c);
            assert_eq!(w.site("web").mind.count("initialize"), 2, "{status} {named} {message}");
        });
    }
}

#[test]
fn pings_that_are_answered_with_the_same_error_tell_as_well() {
    // FT-102: nobody calls.
    for status in [200, 503] {
        for message in ["session unknown", "no"] {
            story(refusing(status, true, message).change_site("web", |site| site.offers_get = false), |w| {
                let c = w.client("web", Kind::Streamable);
                w.run_ms(40_000);
                w.with_site("web", |site, _| site.live.clear());
                w.run_ms(130_000);
                assert_eq!(w.site("web").mind.count("initialize"), 2, "{status} {message}");
                w.check_echo(c);
            });
        }
    }
}

#[test]
fn a_refusal_that_is_about_the_call_costs_nobody_a_session() {
    // FT-102: at most one ping a second asks what it means.
    // limit: doubt_ms
    for (status, code, message) in [
        (404, -32601, "no such method"),
        (404, -32602, "bad arguments"),
        (422, -32000, "no"),
        (500, -32603, "oops"),
        (200, -32000, "your browser session is over"),
        (413, -32600, "too large"),
    ] {
        let cast = Cast::default().streamable("web").change_site("web", move |site| {
            site.set_odd(move |_, _, body| {
                body.contains("\"fail\"").then(|| Reply::json(status, &error(body, true, code, message)))
            });
        });
        story(cast.calm(), |w| {
            let c = w.client("web", Kind::Streamable);
            for _ in 0..50 {
                let answer = w.ask(c, "tools/call", json!({"name": "fail", "arguments": {}}));
                assert_eq!(answer["error"]["message"], message, "{status}");
                w.run_ms(100);
            }
            w.check_echo(c);
            let mind = &w.site("web").mind;
            assert_eq!(mind.count("initialize"), 1, "{status} {code}");
            assert!((4..=7).contains(&mind.count("ping")), "{status}: {}", mind.count("ping"));
        });
    }
}

#[test]
fn an_error_to_a_ping_is_fine_from_a_server_that_has_none() {
    // FT-102
    let cast = Cast::default().streamable("web").change_site("web", |site| {
        site.set_odd(|_, _, body| {
            body.contains("\"ping\"").then(|| Reply::json(200, &error(body, true, -32601, "no ping")))
        });
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        w.run_ms(200_000);
        w.check_echo(c);
        assert_eq!(w.site("web").mind.count("initialize"), 1);
    });
}

#[test]
fn calls_that_run_outlive_a_server_that_gives_out_no_session_for_a_while() {
    // FT-102: a gateway that is overloaded refuses everything new, and what runs goes on.
    let cast = Cast::default().streamable("web").change_site("web", |site| site.json = false);
    story(cast.calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        let slow = w.start_call(c, "slow", json!({"ms": 20_000, "text": "slow"}));
        w.until_heard(slow);
        w.run_ms(100);
        w.site("web").set_odd(|_, head, _| (head.method() == "POST").then(|| Reply::bare(503)));
        let refused = w.start_call(c, "echo", json!({"text": "no"}));
        assert!(w.outcome(refused)["error"].is_object());
        w.run_ms(8_000);
        w.site("web").set_odd(|_, _, _| None);
        assert_eq!(w.text(slow), "slow");
        w.check_echo(c);
        assert_eq!(w.site("web").mind.calls("slow"), 1);
    });
}

#[test]
fn an_event_stream_that_is_no_session_any_more_is_opened_again() {
    // FT-102: the same over HTTP+SSE.
    for (status, message) in
        [(404, "gone"), (410, "gone"), (400, "no session"), (503, "no session"), (503, "no")]
    {
        let cast = Cast::default().sse("old").change_site("old", move |site| {
            site.set_odd(move |site, head, body| {
                let lost = head.method() == "POST" && site.count("GET") < 2 && site.lapsed;
                lost.then(|| Reply::json(status, &error(body, true, -32001, message)))
            });
        });
        story(cast, |w| {
            let c = w.client("old", Kind::Streamable);
            w.check_echo(c);
            w.site("old").lapsed = true;
            let call = w.start_call(c, "echo", json!({"text": "again"}));
            w.outcome(call);
            w.run_ms(2_000);
            w.check_echo(c);
            assert_eq!(w.site("old").count("GET"), 2, "{status} {message}");
        });
    }
}
