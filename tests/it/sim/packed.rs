//! Servers, or what stands before them, that pack what they answer although they were asked not to.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::site::odd::Reply;
use mcp_proxy_tests::site::packing::pack;
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn packed_answers_are_unpacked() {
    // FT-104
    for codings in ["gzip", "x-gzip", "deflate", "raw", "deflate, gzip", "identity"] {
        let cast = Cast::default().streamable("web").change_site("web", |site| site.packs = Some(codings));
        story(cast, |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
            let big = w.call(c, "big", json!({"bytes": 100_000}));
            assert_eq!(big.len(), 100_000, "{codings}");
        });
    }
}

#[test]
fn packed_event_streams_are_unpacked_as_they_come() {
    // FT-104
    for codings in ["gzip", "x-gzip"] {
        let cast = Cast::default().streamable("web").sse("old");
        let cast = cast.change_site("web", |site| {
            site.packs = Some(codings);
            site.json = false;
        });
        story(cast, |w| {
            let c = w.client("web", Kind::Streamable);
            let req = w.start_watched(c, "progress", json!({"n": 3, "ms": 2_000}), json!("p"));
            w.run_ms(5_000);
            assert_eq!(w.inbox(c, "notifications/progress").len(), 2, "before the answer");
            assert!(w.outcome(req)["result"].is_object());
            w.ask_outside("web", "roots/list", &json!({}));
            w.run_ms(1_000);
            w.mind("web").questions.clear();
            w.check_echo(c);
        });
    }
}

#[test]
fn what_becomes_too_large_ends_its_call_alone() {
    // FT-104; limit: message_bytes_max
    for json in [true, false] {
        for codings in ["gzip", "deflate"] {
            let cast = Cast::default().streamable("web").limits(|l| l.message_bytes_max = 200_000);
            story(cast.calm(), |w| {
                let c = w.client("web", Kind::Streamable);
                w.check_echo(c);
                w.site("web").json = json;
                let text =
                    json!({"jsonrpc": "2.0", "id": 1, "result": {"text": "x".repeat(8_000_000)}}).to_string();
                let (kind, text) = match json {
                    true => ("application/json", text),
                    false => ("text/event-stream", format!("data: {text}\n\n")),
                };
                let packed = pack(codings, text.as_bytes());
                assert!(packed.len() < 20_000);
                w.site("web").set_odd(move |_, _, body| {
                    let reply = Reply::bare(200).with("content-type", kind).with("content-encoding", codings);
                    body.contains("\"bomb\"").then(|| reply.body(packed.clone()))
                });
                let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {"bomb": 1}}));
                assert!(answer["error"]["message"].is_string(), "{answer}");
                assert!(w.most_held < 3_000_000, "{} bytes were held", w.most_held);
                w.check_echo(c);
                assert_eq!(w.site("web").mind.count("initialize"), 1);
            });
        }
    }
}

#[test]
fn a_damaged_answer_ends_its_call_alone() {
    // FT-104
    let cast = Cast::default().streamable("web").change_site("web", |site| {
        site.set_odd(|_, _, body| {
            let mut packed = pack("gzip", br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
            packed.truncate(packed.len() - 4);
            let reply = Reply::json(200, "").with("content-encoding", "gzip").body(packed);
            body.contains("\"torn\"").then_some(reply)
        });
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {"torn": 1}}));
        let why = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(why.contains("cut off or damaged"), "{answer}");
        w.check_echo(c);
    });
}

#[test]
fn a_packed_refusal_says_what_it_says() {
    // FT-104, FT-102: a lost session, in packed words
    let cast = Cast::default().streamable("web").change_site("web", |site| {
        site.set_odd(|site, head, _| {
            let over = head.get("mcp-session-id").is_some_and(|session| !site.live.contains_key(session));
            let reply = Reply::bare(400).with("content-encoding", "gzip");
            (over && head.method() == "POST").then(|| reply.body(pack("gzip", b"Invalid session ID")))
        });
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        w.with_site("web", |site, _| site.live.clear());
        w.check_echo(c);
        assert_eq!(w.site("web").mind.count("initialize"), 2);
    });
}
