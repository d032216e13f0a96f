use super::*;
use crate::http::{Client, ClientEvent, Limits, Method, Server, ServerEvent};

fn response(status: u16, headers: &[(&str, &str)], body: Body, close: bool) -> String {
    let mut out = Vec::new();
    encode_response_head(&mut out, status, headers, body, close);
    String::from_utf8(out).unwrap()
}

fn request(method: &str, target: &str, host: &str, headers: &[(&str, &str)], len: Option<usize>) -> String {
    let mut out = Vec::new();
    encode_request_head(&mut out, method, target, host, headers.iter().copied(), len);
    String::from_utf8(out).unwrap()
}

#[test]
fn response_heads_say_how_their_body_ends() {
    let head = |body, close| response(200, &[("A", "b")], body, close);
    assert_eq!(head(Body::Length(12), false), "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\n");
    assert_eq!(head(Body::Chunked, false), "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(head(Body::UntilClose, false), "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n");
    assert_eq!(
        head(Body::Length(0), true),
        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(response(204, &[], Body::None, false), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(response(299, &[], Body::None, false), "HTTP/1.1 299 \r\n\r\n");
}

#[test]
fn request_heads_name_host_and_length() {
    let head = request("POST", "/a?b", "h:1", &[("A", "b"), ("C", "")], Some(3));
    assert_eq!(head, "POST /a?b HTTP/1.1\r\nHost: h:1\r\nA: b\r\nC: \r\nContent-Length: 3\r\n\r\n");
    assert_eq!(request("GET", "", "h", &[], None), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn nothing_in_the_arguments_starts_a_new_line_or_a_second_framing() {
    let evil = [
        ("A", "b\r\nInjected: x\n\0"),
        ("B\r\nInjected", "x"),
        ("", "x"),
        ("C d", "x"),
        ("content-length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "upgrade"),
    ];
    assert_eq!(
        response(200, &evil, Body::Length(1), false),
        "HTTP/1.1 200 OK\r\nA: b  Injected: x  \r\nContent-Length: 1\r\n\r\n"
    );
    assert_eq!(
        request("GE\r\nT", "/a b\r\n\u{e4}#", "h\r\nX: y", &[evil[0], evil[4], ("host", "x")], None),
        "GET /a%20b%0D%0A%C3%A4%23 HTTP/1.1\r\nHost: h  X: y\r\nA: b  Injected: x  \r\n\r\n"
    );
}

#[test]
fn chunks_have_a_size_of_fixed_width_and_are_never_empty() {
    let mut out = Vec::new();
    encode_chunk(&mut out, |out| out.extend_from_slice(b"hello world..."));
    encode_chunk(&mut out, |_| ());
    encode_last_chunk(&mut out);
    assert_eq!(out, b"0000000e\r\nhello world...\r\n0\r\n\r\n");
}

#[test]
fn a_client_reads_what_the_response_encoders_write() {
    let body = b"x".repeat(300);
    for (framing, ends) in [(Body::Length(300), true), (Body::Chunked, true), (Body::UntilClose, false)] {
        let mut wire = Vec::new();
        encode_response_head(&mut wire, 200, &[("Content-Type", "a/b")], framing, false);
        match framing {
            Body::Chunked => {
                encode_chunk(&mut wire, |out| out.extend_from_slice(&body[..200]));
                encode_chunk(&mut wire, |out| out.extend_from_slice(&body[200..]));
                encode_last_chunk(&mut wire);
            }
            Body::None | Body::Length(_) | Body::UntilClose => wire.extend_from_slice(&body),
        }
        let mut client = Client::new(Limits::default());
        client.begin(Method::Get);
        client.push(&wire);
        assert_eq!(client.next(), Ok(Some(ClientEvent::Head)));
        assert_eq!(client.head().header("content-type"), Some("a/b"));
        let mut seen = Vec::new();
        while let Some(ClientEvent::Data(data)) = client.next().unwrap() {
            seen.extend_from_slice(data);
        }
        assert_eq!(seen, body);
        assert_eq!(client.is_reusable(), ends, "{framing:?}");
    }
}

#[test]
fn a_server_reads_what_the_request_encoder_writes() {
    let mut wire =
        request("POST", "/a?b=%20", "h:1", &[("X-A", "b c"), ("X-A", "\u{e4}")], Some(2)).into_bytes();
    wire.extend_from_slice(b"ab");
    let mut server = Server::new(Limits::default());
    server.push(&wire);
    assert_eq!(server.next(), Ok(Some(ServerEvent::Head)));
    let head = server.head();
    assert_eq!((head.method(), head.target(), head.host()), (Method::Post, "/a?b=%20", Some("h:1")));
    assert_eq!(
        head.headers().filter(|(name, _)| *name == "X-A").map(|(_, value)| value).collect::<Vec<_>>(),
        ["b c", "\u{e4}"]
    );
    assert_eq!(server.next(), Ok(Some(ServerEvent::Request)));
    assert_eq!(server.body(), b"ab");
}
