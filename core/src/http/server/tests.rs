use super::*;
use crate::buf::tests::every_split;

const LIMITS: Limits = Limits { head_bytes_max: 200, body_bytes_max: 20, headers_max: 5 };

/// Feeds the parts, answers each request when it is complete, closes, and tells what happened.
fn run(limits: Limits, parts: &[&[u8]]) -> Vec<String> {
    let mut server = Server::new(limits);
    let mut story = Vec::new();
    for part in parts {
        server.push(part);
        drain(&mut server, &mut story);
    }
    server.close_read();
    drain(&mut server, &mut story);
    assert_eq!(server.next(), Ok(None), "nothing after the end");
    story
}

fn drain(server: &mut Server, story: &mut Vec<String>) {
    loop {
        match server.next() {
            Ok(None) => return,
            Ok(Some(ServerEvent::Head)) => {
                let head = server.head();
                story.push(format!("{} {}", head.method_str(), head.target()));
            }
            Ok(Some(ServerEvent::Request)) => {
                story.push(format!("body {}", String::from_utf8_lossy(server.body())));
                if server.will_close() {
                    story.push("last".to_owned());
                }
                server.finish();
            }
            Ok(Some(ServerEvent::Eof)) => story.push("eof".to_owned()),
            Err(fault) => {
                assert!(server.will_close());
                story.push(format!("{} {:?}", fault.code.status(), fault.code));
            }
        }
    }
}

fn check(table: &[(&str, &[u8], &[&str])]) {
    for (name, input, expected) in table {
        assert_eq!(every_split(name, input, |parts| run(LIMITS, parts)), *expected, "{name}");
    }
}

/// A server that was given `bytes` and was asked for one event.
fn after(bytes: &[u8], expected: ServerEvent) -> Server {
    let mut server = Server::new(LIMITS);
    server.push(bytes);
    assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
    if expected == ServerEvent::Request {
        assert_eq!(server.next(), Ok(Some(ServerEvent::Request)));
    }
    server
}

#[test]
fn requests_that_are_served() {
    check(&[
        ("nothing", b"", &["eof"]),
        ("get", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /", "body ", "eof"]),
        ("blank lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /", "body ", "eof"]),
        (
            "blank lines before each",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &["GET /", "body ", "GET /", "body ", "eof"],
        ),
        (
            "chunks twice",
            b"PUT /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\
              PUT /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n",
            &["PUT /1", "body a", "PUT /2", "body b", "eof"],
        ),
        ("blank line last", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", &["GET /", "body ", "eof"]),
        ("close", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\nx", &["GET /", "body ", "last"]),
        ("http/1.0", b"GET /a HTTP/1.0\r\n\r\n", &["GET /a", "body ", "last"]),
        (
            "length",
            b"POST /a HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhello",
            &["POST /a", "body hello", "eof"],
        ),
        (
            "length 0",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n",
            &["POST /", "body ", "eof"],
        ),
        (
            "pipelining",
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["POST /1", "body hi", "GET /2", "body ", "eof"],
        ),
        (
            "chunks",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
              2\r\nhe\r\n003;a=\"b\"\r\nllo\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &["POST /", "body hello", "GET /", "body ", "eof"],
        ),
        ("absolute target", b"GET http://b:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /x?y", "body ", "eof"]),
        ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &["OPTIONS *", "body ", "eof"]),
        ("empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", &["GET /", "body ", "eof"]),
    ]);
}

#[test]
fn heads_that_are_refused() {
    let table: &[(&str, &[u8], &str)] = &[
        ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", "400 BadHead"),
        ("bare LF in the last line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", "400 BadHead"),
        ("bare LF after the first line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", "400 BadHead"),
        ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", "400 BadHead"),
        ("lone CR in a value", b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "400 BadHead"),
        ("lone CR first", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "400 BadHead"),
        ("blank before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 BadHead"),
        ("blank before the first name", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 BadHead"),
        ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "400 BadHead"),
        ("no name", b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "400 BadHead"),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", "400 BadHead"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n", "400 BadHead"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "400 BadHead"),
        ("two hosts in 1.0", b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", "400 BadHead"),
        ("three blank lines", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01", "400 BadHead"),
        ("two blanks", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("bad method", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("relative target", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("asterisk of GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("raw UTF-8 target", b"GET /\xC3\xA4 HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("raw Latin-1 target", b"GET /\xE4 HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("foreign scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("tunnel", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400 BadHead"),
        ("cut", b"GET / HTTP/1.1\r\nHost: a", "400 BadHead"),
        ("http/2", b"PRI * HTTP/2.0\r\n\r\n", "505 BadHttpVersion"),
        ("http/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505 BadHttpVersion"),
        ("expectation", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", "417 BadExpectation"),
    ];
    for (name, input, expected) in table {
        let with_tail = [input, &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]].concat();
        assert_eq!(every_split(name, input, |parts| run(LIMITS, parts)), [*expected], "{name}");
        if *name != "cut" {
            assert_eq!(every_split(name, &with_tail, |parts| run(LIMITS, parts)), [*expected], "{name}");
        }
    }
}

#[test]
fn framing_that_is_refused() {
    let table: &[(&str, &str, &str)] = &[
        ("both", "Content-Length: 1\r\nTransfer-Encoding: chunked", "400 BadFraming"),
        ("both, turned", "Transfer-Encoding: chunked\r\nContent-Length: 1", "400 BadFraming"),
        ("equal lengths", "Content-Length: 1\r\nContent-Length: 1", "400 BadFraming"),
        ("list of lengths", "Content-Length: 1, 1", "400 BadFraming"),
        ("sign", "Content-Length: +1", "400 BadFraming"),
        ("negative", "Content-Length: -1", "400 BadFraming"),
        ("inner blank", "Content-Length: 1 1", "400 BadFraming"),
        ("no digits", "Content-Length:", "400 BadFraming"),
        ("hexadecimal", "Content-Length: 0x1", "400 BadFraming"),
        ("overflow", "Content-Length: 18446744073709551616", "400 BadFraming"),
        ("coding", "Transfer-Encoding: gzip", "501 UnknownCoding"),
        ("coding before chunked", "Transfer-Encoding: gzip, chunked", "501 UnknownCoding"),
        (
            "coding in two fields",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "501 UnknownCoding",
        ),
        ("almost chunked", "Transfer-Encoding: xchunked", "501 UnknownCoding"),
        ("chunked with parameter", "Transfer-Encoding: chunked;a=b", "501 UnknownCoding"),
        ("chunked not last", "Transfer-Encoding: chunked, gzip", "400 BadFraming"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "400 BadFraming"),
        ("empty coding", "Transfer-Encoding:", "400 BadFraming"),
        ("empty list item", "Transfer-Encoding: , chunked", "400 BadFraming"),
        ("too long", "Content-Length: 21", "413 BodyTooLarge"),
        ("far too long", "Content-Length: 18446744073709551615", "413 BodyTooLarge"),
    ];
    for (name, fields, expected) in table {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nx");
        assert_eq!(every_split(name, input.as_bytes(), |parts| run(LIMITS, parts)), [*expected], "{name}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(run(LIMITS, &[old]), ["400 BadFraming"]);
}

#[test]
fn bodies_that_are_refused() {
    let chunked =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let table: &[(&str, &str, &str)] = &[
        ("no terminator", "1\r\nab\r\n0\r\n\r\n", "400 BadFraming"),
        ("cut in a chunk", "5\r\nab", "400 BadFraming"),
        ("cut in the end", "0\r\n", "400 BadFraming"),
        ("long in one chunk", "15\r\n123456789012345678901\r\n", "413 BodyTooLarge"),
        ("long in two chunks", "a\r\n1234567890\r\nb\r\n12345678901\r\n", "413 BodyTooLarge"),
    ];
    for (name, body, expected) in table {
        let input = chunked(body);
        let story = every_split(name, input.as_bytes(), |parts| run(LIMITS, parts));
        assert_eq!(story, ["POST /", expected], "{name}");
    }
    let cut = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab";
    assert_eq!(every_split("cut", cut, |parts| run(LIMITS, parts)), ["POST /", "400 BadFraming"]);
    let full = chunked("a\r\n1234567890\r\na\r\n1234567890\r\n0\r\n\r\n");
    assert_eq!(run(LIMITS, &[full.as_bytes()]), ["POST /", "body 12345678901234567890", "eof"]);
}

#[test] // GN-14
fn limits_hold_at_the_limit_and_break_one_above() {
    let head = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        frame.replace("X: ", &format!("X: {}", "x".repeat(bytes - frame.len())))
    };
    let story = |input: &str| every_split("limit", input.as_bytes(), |parts| run(LIMITS, parts));
    assert_eq!(story(&head(200)), ["GET /", "body ", "eof"]);
    assert_eq!(story(&format!("\r\n\r\n{}", head(200))), ["GET /", "body ", "eof"]);
    assert_eq!(story(&head(201)), ["431 HeadTooLarge"]);
    assert_eq!(story(&"GET /aaaaaaaaa".repeat(100)), ["431 HeadTooLarge"]);

    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(story(&fields(5)), ["GET /", "body ", "eof"]);
    assert_eq!(story(&fields(6)), ["431 HeadTooLarge"]);

    let body =
        |len: usize| format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{}", "x".repeat(len));
    assert_eq!(story(&body(20)), ["PUT /", "body xxxxxxxxxxxxxxxxxxxx", "eof"]);
    assert_eq!(story(&body(21)), ["413 BodyTooLarge"]);
}

#[test]
fn a_head_that_trickles_in_is_searched_once() {
    let fields: String = (0..90).map(|n| format!("Field-{n}: {}\r\n", "v".repeat(150))).collect();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let mut server = Server::new(Limits::default());
    let (last, rest) = head.as_bytes().split_last().unwrap();
    for (at, byte) in rest.iter().enumerate() {
        server.push(&[*byte]);
        assert_eq!(server.next(), Ok(None));
        assert_eq!(server.recv.scanned(), at + 1, "the next search starts at the next byte");
        assert_eq!(server.head.headers().count(), 0, "nothing is parsed before the end");
    }
    server.push(&[*last]);
    assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
    assert_eq!(server.head().headers().count(), 91);
}

#[test]
fn what_was_searched_is_not_searched_again() {
    let mut server = Server::new(LIMITS);
    server.push(b"GET / HTTP/1.1");
    assert_eq!(server.next(), Ok(None));
    server.recv.as_mut_slice()[5] = b'\n';
    server.push(b"\r\n");
    assert_eq!(server.next(), Ok(None), "a bare line feed where none was is not noticed");
}

#[test]
fn a_bare_line_feed_is_refused_at_once() {
    let mut server = Server::new(LIMITS);
    server.push(b"GET / HTTP/1.1\n");
    assert_eq!(server.next().unwrap_err().code, Code::BadHead);
}

#[test]
fn a_chunk_that_is_too_long_is_refused_before_it_is_here() {
    let mut server =
        after(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", ServerEvent::Head);
    server.push(b"15\r\nx");
    assert_eq!(server.next().unwrap_err().code, Code::BodyTooLarge);
}

#[test]
fn continue_is_wanted_until_a_byte_of_the_body_comes() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let mut server = after(head, ServerEvent::Head);
    assert!(server.wants_continue());
    server.push(b"a");
    assert!(!server.wants_continue());
    assert!(
        !after(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", ServerEvent::Head)
            .wants_continue()
    );
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert!(!after(old, ServerEvent::Head).wants_continue());
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(after(chunked, ServerEvent::Head).wants_continue());
}

#[test]
fn an_early_answer_keeps_the_connection_when_little_is_unread() {
    let mut server = after(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123", ServerEvent::Head);
    assert!(!server.will_close());
    server.finish();
    assert!(!server.is_idle() && server.is_mid_request());
    server.push(b"456");
    assert_eq!(server.next(), Ok(None));
    server.push(b"789GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
    assert_eq!(server.head().target(), "/2");
}

#[test]
fn an_early_answer_to_a_body_that_is_here_leaves_the_connection_idle() {
    let mut server = after(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n123", ServerEvent::Head);
    server.finish();
    assert!(server.is_idle() && !server.is_mid_request());
}

#[test]
fn an_early_answer_closes_when_the_rest_is_long_or_unclear() {
    let limits = Limits { body_bytes_max: usize::MAX, ..LIMITS };
    for (length, closes) in [(DRAIN_BYTES_MAX, false), (DRAIN_BYTES_MAX + 1, true)] {
        let mut server = Server::new(limits);
        server.push(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
        assert_eq!(server.will_close(), closes, "{length}");
        server.finish();
        server.push(&vec![b'x'; length as usize]);
        server.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(server.next().unwrap().is_none(), closes);
    }
    let waits = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert!(after(waits, ServerEvent::Head).will_close());
    let chunked = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(after(chunked, ServerEvent::Head).will_close());
}

#[test]
fn a_client_that_goes_away_while_a_rest_is_drained_is_an_eof() {
    let mut server = after(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1", ServerEvent::Head);
    server.finish();
    server.close_read();
    assert_eq!(server.next(), Ok(Some(ServerEvent::Eof)));
    assert_eq!(server.next(), Ok(None));
}

#[test]
fn a_backlog_behind_a_pending_request_stops_reading() {
    let mut server =
        after(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", ServerEvent::Request);
    server.push(&[b'x'; 200]);
    assert!(server.wants_read());
    server.push(b"x");
    assert!(!server.wants_read());
    assert_eq!(server.next(), Ok(None));
    assert_eq!(server.body(), b"abc");
    server.finish();
    assert!(server.wants_read());
    assert_eq!(server.next().unwrap_err().code, Code::HeadTooLarge);
}

#[test]
fn half_close_leaves_the_pipelined_requests_and_ends_after_the_last() {
    let mut server = after(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", ServerEvent::Request);
    server.push(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    server.close_read();
    assert!(!server.will_close());
    server.finish();
    assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
    assert_eq!(server.next(), Ok(Some(ServerEvent::Request)));
    assert!(server.will_close());
    server.finish();
    assert_eq!(server.next(), Ok(None));
}

#[test]
fn a_refused_body_leaves_the_head_for_the_answer() {
    let mut server = Server::new(LIMITS);
    server.push(b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 21\r\n\r\n");
    assert_eq!(server.next().unwrap_err().code, Code::BodyTooLarge);
    assert_eq!(server.head().target(), "/a");
    assert!(!server.wants_continue() && server.will_close() && server.wants_read());
    server.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.finish();
    assert_eq!(server.next(), Ok(None));
}

#[test]
fn idle_and_mid_request_follow_the_request() {
    let mut server = Server::new(LIMITS);
    let state = |server: &Server| (server.is_idle(), server.is_mid_request());
    assert_eq!(state(&server), (true, false));
    server.push(b"POST / HTTP/1.1\r\n");
    assert_eq!(server.next(), Ok(None));
    assert_eq!(state(&server), (false, true));
    server.push(b"Host: a\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
    assert_eq!(state(&server), (false, true));
    server.push(b"x");
    assert_eq!(server.next(), Ok(Some(ServerEvent::Request)));
    assert_eq!(state(&server), (false, false));
    server.finish();
    assert_eq!(state(&server), (true, false));
}

#[test]
fn debug_output_shows_no_payload() {
    let secret = b"POST /?token=secret HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\nContent-Length: 6\r\n\r\nsecret";
    let server = after(secret, ServerEvent::Request);
    assert!(!format!("{server:?} {:?}", server.head()).contains("secret"));
}
