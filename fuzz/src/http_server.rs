//! Bytes of a client at [`Server`]: heads, framing, bodies, pipelining.
//!
//! Byte 0: limits and mode, byte 1: how the input is cut, or the first act; the rest: what the client sends.
//!
//! Properties: every cut tells the same story; bodies and heads are within their limits; nothing follows the end; a
//! request that was understood is understood in the same way when our own writer writes it. In the other mode the owner
//! acts at any time (answers early, gives up, lowers the limit) and the getters must agree with each other.

use crate::tape::{Tape, every_way};
use mcp_proxy_core::fault::Fault;
use mcp_proxy_core::http::{Limits, RequestHead, Server, ServerEvent, encode_request_head};

const TIGHT: Limits = Limits { head_bytes_max: 200, body_bytes_max: 20, headers_max: 5 };

/// See the module.
pub fn http_server(data: &[u8]) {
    let mut tape = Tape::new(data);
    let mode = tape.byte();
    let limits = if mode & 1 == 0 { TIGHT } else { Limits { body_bytes_max: 4_096, ..Limits::default() } };
    if mode & 2 == 0 {
        let seed = tape.byte();
        every_way(seed, tape.rest(), |parts| story(limits, parts));
    } else {
        act(limits, &mut tape);
    }
}

/// Feeds the parts, answers each request when it is complete, closes, and tells what happened.
fn story(limits: Limits, parts: &[&[u8]]) -> Vec<String> {
    let mut server = Server::new(limits);
    let mut story = Vec::new();
    for part in parts {
        server.push(part);
        drain(limits, &mut server, &mut story);
    }
    server.close_read();
    drain(limits, &mut server, &mut story);
    assert_eq!(server.next(), Ok(None), "nothing after the end");
    story
}

fn drain(limits: Limits, server: &mut Server, story: &mut Vec<String>) {
    loop {
        match server.next() {
            Ok(None) => return,
            Ok(Some(ServerEvent::Head)) => {
                check_head(limits, server.head());
                assert!(server.body().is_empty(), "a body before it is whole");
                story.push(format!("{} {}", server.head().method_str(), server.head().target()));
            }
            Ok(Some(ServerEvent::Request)) => {
                assert!(server.body().len() <= limits.body_bytes_max, "a body over the limit");
                check_round_trip(server.head(), server.body());
                story.push(format!("body {:?} {}", server.body(), server.will_close()));
                server.finish();
            }
            Ok(Some(ServerEvent::Eof)) => story.push("eof".to_owned()),
            Err(Fault { code, .. }) => {
                assert!(server.will_close() && (400..=505).contains(&code.status()), "{code:?}");
                story.push(format!("{code:?}"));
            }
        }
    }
}

fn check_head(limits: Limits, head: &RequestHead) {
    assert!(head.headers().count() <= limits.headers_max);
    assert!(head.target().starts_with('/') || head.target() == "*", "{:?}", head.target());
    assert!(head.target().bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", head.target());
    let text = head.headers().flat_map(|(name, value)| [name, value]).chain([head.method_str()]);
    for part in text {
        assert!(!part.contains(['\r', '\n', '\0']), "{part:?} could smuggle a line");
    }
    let whole = head.query().map_or_else(|| head.path().to_owned(), |query| format!("{}?{query}", head.path()));
    assert_eq!(whole, head.target());
}

/// What our own writer makes of a request is read as the same request.
fn check_round_trip(head: &RequestHead, body: &[u8]) {
    let host = head.host().unwrap_or_default();
    let mut text = Vec::new();
    encode_request_head(&mut text, head.method_str(), head.target(), host, head.headers(), Some(body.len()));
    text.extend_from_slice(body);
    let mut again = Server::new(Limits { head_bytes_max: 1 << 20, body_bytes_max: 1 << 20, headers_max: 256 });
    again.push(&text);
    if head.version_minor() == 0 && head.header("expect").is_some() {
        // Means nothing in HTTP/1.0, and what it says may be refused in HTTP/1.1.
        return;
    }
    assert_eq!(again.next(), Ok(Some(ServerEvent::Head)), "{:?}", String::from_utf8_lossy(&text));
    assert_eq!(again.next(), Ok(Some(ServerEvent::Request)));
    assert_eq!((again.head().method_str(), again.head().target()), (head.method_str(), head.target()));
    assert_eq!(again.head().host(), Some(host));
    assert_eq!(again.body(), body);
    let framing = ["host", "content-length", "transfer-encoding", "connection"];
    let own = |head: &RequestHead| {
        let fields = head.headers().filter(|(name, _)| !framing.iter().any(|it| name.eq_ignore_ascii_case(it)));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(own(again.head()), own(head));
}

/// The owner does as it likes, between pieces of any length.
fn act(limits: Limits, tape: &mut Tape<'_>) {
    let mut server = Server::new(limits);
    let mut faults = 0;
    while !tape.is_over() {
        match tape.byte() {
            0 => server.finish(),
            1 => server.abort(),
            2 => {
                let _ = server.limit_body(tape.below(256));
            }
            3 => server.close_read(),
            length @ 4..128 => server.push(tape.take(length.into())),
            128.. => match server.next() {
                Ok(Some(ServerEvent::Head)) => check_head(limits, server.head()),
                Ok(Some(ServerEvent::Request)) => {
                    assert!(!server.is_mid_request() && server.body().len() <= limits.body_bytes_max);
                }
                Ok(Some(ServerEvent::Eof) | None) => {}
                Err(_) => faults += 1,
            },
        }
        assert!(!(server.is_idle() && server.is_mid_request()), "idle in the middle of a request");
        assert!(!server.wants_continue() || server.body().is_empty(), "waits to send what is here");
        assert!(faults <= 1, "nothing is read after a fault");
    }
}
