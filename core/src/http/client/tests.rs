use super::*;
use crate::buf::tests::every_split;

const LIMITS: Limits = Limits { head_bytes_max: 100, body_bytes_max: 0, headers_max: 5 };

/// Sends one request, feeds the parts, closes, and tells what happened; data is joined.
fn run(method: Method, parts: &[&[u8]]) -> Vec<String> {
    let mut client = Client::new(LIMITS);
    client.begin(method);
    let mut story = Vec::new();
    for part in parts {
        client.push(part);
        drain(&mut client, &mut story);
    }
    client.close_read();
    drain(&mut client, &mut story);
    assert_eq!(client.next(), Ok(None), "nothing after the end");
    assert!(!client.is_reusable());
    story
}

fn drain(client: &mut Client, story: &mut Vec<String>) {
    loop {
        match client.next() {
            Ok(None) => return,
            Ok(Some(ClientEvent::Head)) => story.push(format!("head {}", client.head().status())),
            Ok(Some(ClientEvent::Data(data))) => {
                assert!(!data.is_empty());
                let text = String::from_utf8_lossy(data).into_owned();
                match story.last_mut().filter(|line| line.starts_with("data ")) {
                    Some(line) => line.push_str(&text),
                    None => story.push(format!("data {text}")),
                }
            }
            Ok(Some(ClientEvent::End)) => {
                story.push(if client.is_reusable() { "end" } else { "last end" }.to_owned());
            }
            Err(fault) => story.push(format!("{:?}", fault.code)),
        }
    }
}

#[test]
fn responses_that_are_read() {
    let table: &[(&str, Method, &[u8], &[&str])] = &[
        (
            "length",
            Method::Get,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            &["head 200", "data hello", "end"],
        ),
        (
            "chunks",
            Method::Post,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: x\r\n\r\n",
            &["head 200", "data abcd", "end"],
        ),
        ("until close", Method::Get, b"HTTP/1.1 200 OK\r\n\r\nabc", &["head 200", "data abc", "last end"]),
        ("empty until close", Method::Get, b"HTTP/1.1 200 OK\r\n\r\n", &["head 200", "last end"]),
        (
            "closing",
            Method::Get,
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
            &["head 200", "data a", "last end"],
        ),
        (
            "http/1.0",
            Method::Get,
            b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
            &["head 200", "data a", "last end"],
        ),
        ("head", Method::Head, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &["head 200", "end"]),
        ("no content", Method::Post, b"HTTP/1.1 204\r\n\r\n", &["head 204", "end"]),
        ("not modified", Method::Get, b"HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", &["head 304", "end"]),
        (
            "interim",
            Method::Post,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 A\r\nLink: x\r\n\r\n\
              HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
            &["head 202", "end"],
        ),
    ];
    for (name, method, input, expected) in table {
        assert_eq!(every_split(name, input, |parts| run(*method, parts)), *expected, "{name}");
    }
}

#[test]
fn responses_that_are_refused() {
    let interim = b"HTTP/1.1 100 A\r\n\r\n".repeat(INTERIM_MAX as usize + 1);
    let long = [b"HTTP/1.1 200 A\r\nX: ", &[b'x'; 100][..], b"\r\n\r\n"].concat();
    let table: &[(&str, &[u8], &[&str])] = &[
        ("nothing", b"", &["UpstreamLost"]),
        ("cut head", b"HTTP/1.1 200 OK\r\n", &["BadHead"]),
        ("cut after interim", b"HTTP/1.1 100 A\r\n\r\n", &["BadHead"]),
        ("cut body", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", &["head 200", "data a", "BadFraming"]),
        (
            "cut chunks",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            &["head 200", "data a", "BadFraming"],
        ),
        ("upgrade", b"HTTP/1.1 101 A\r\n\r\n", &["BadHead"]),
        ("many interim", &interim, &["BadHead"]),
        ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", &["BadHead"]),
        ("folded line", b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", &["BadHead"]),
        ("other protocol", b"SSH-2.0-x\r\n", &["BadHead"]),
        (
            "length and chunks",
            b"HTTP/1.1 200 A\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            &["BadFraming"],
        ),
        ("long head", &long, &["HeadTooLarge"]),
        (
            "too much",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            &["head 200", "data a", "last end", "BadFraming"],
        ),
    ];
    for (name, input, expected) in table {
        // Whether the surplus byte is here already at the end of the response depends on the split.
        let story = every_split(name, input, |parts| {
            let story = run(Method::Get, parts);
            story.into_iter().map(|line| if line == "end" { "last end".to_owned() } else { line }).collect()
        });
        let story: Vec<String> = story;
        assert_eq!(story, *expected, "{name}");
    }
}

#[test]
fn a_connection_is_used_again_after_a_complete_response() {
    let mut client = Client::new(LIMITS);
    assert!(client.is_reusable() && client.is_idle());
    for _ in 0..3 {
        client.begin(Method::Post);
        assert!(!client.is_reusable() && !client.started());
        client.push(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
        assert!(client.started());
        assert_eq!(client.next(), Ok(Some(ClientEvent::Head)));
        assert_eq!(client.next(), Ok(Some(ClientEvent::Data(b"ab"))));
        assert_eq!(client.next(), Ok(Some(ClientEvent::End)));
        assert_eq!(client.next(), Ok(None));
        assert!(client.is_reusable() && client.is_idle());
    }
    client.close_read();
    assert!(!client.is_reusable());
    assert_eq!(client.next(), Ok(None), "an idle connection may be closed");
}

#[test]
fn bytes_on_an_idle_connection_are_a_fault() {
    let mut client = Client::new(LIMITS);
    client.push(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
    assert!(!client.is_reusable());
    assert_eq!(client.next().unwrap_err().code, Code::BadFraming);
    assert_eq!(client.next(), Ok(None));
}

#[test]
fn bytes_that_came_before_the_request_are_never_its_response() {
    let mut client = Client::new(LIMITS);
    client.push(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.begin(Method::Get);
    assert_eq!(client.next().unwrap_err().code, Code::BadFraming);
}

#[test]
fn interim_responses_are_counted_per_request() {
    let mut client = Client::new(LIMITS);
    for _ in 0..2 {
        client.begin(Method::Post);
        client.push(&b"HTTP/1.1 102 A\r\n\r\n".repeat(INTERIM_MAX as usize));
        client.push(b"HTTP/1.1 204 A\r\n\r\n");
        assert_eq!(client.next(), Ok(Some(ClientEvent::Head)));
        assert_eq!(client.next(), Ok(Some(ClientEvent::End)));
    }
}

#[test]
fn an_event_stream_is_lent_as_it_comes_without_an_end() {
    let mut client = Client::new(LIMITS);
    client.begin(Method::Get);
    client.push(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.next(), Ok(Some(ClientEvent::Head)));
    for _ in 0..1000 {
        client.push(b"6\r\nabc");
        assert_eq!(client.next(), Ok(Some(ClientEvent::Data(b"abc"))));
        client.push(b"def\r\n");
        assert_eq!(client.next(), Ok(Some(ClientEvent::Data(b"def"))));
        assert_eq!(client.next(), Ok(None));
        assert!(client.recv.is_empty());
    }
}

#[test]
fn a_broken_trailer_costs_the_connection_and_not_the_response() {
    // FT-511
    let long = format!("A: {}", "b".repeat(9_000));
    let good = ["\r\n", "A: b\r\n\r\n", "A: b\r\nC:d\r\n\r\n"];
    let bad = [
        "A\r\n\r\n",
        "A : b\r\n\r\n",
        "A: b\r\n c\r\n\r\n",
        ": b\r\n\r\n",
        "A: \0\r\n\r\n",
        "A: b\n\n",
        "\n",
        &long,
    ];
    let cut = ["", "A: b", "A: b\r\n"];
    let cases = good.iter().map(|end| (*end, true)).chain(bad.iter().chain(&cut).map(|end| (*end, false)));
    for (end, reusable) in cases {
        let mut client = Client::new(LIMITS);
        client.begin(Method::Post);
        client.push(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n");
        client.push(end.as_bytes());
        assert_eq!(client.next(), Ok(Some(ClientEvent::Head)), "{end:?}");
        assert_eq!(client.next(), Ok(Some(ClientEvent::Data(b"ab"))), "{end:?}");
        if cut.contains(&end) {
            assert_eq!(client.next(), Ok(None), "{end:?}");
            client.close_read();
        }
        assert_eq!(client.next(), Ok(Some(ClientEvent::End)), "{end:?}");
        assert_eq!(client.is_reusable(), reusable, "{end:?}");
        client.push(b"HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(client.next().is_ok(), !reusable, "what comes later is nobody's answer");
    }
}
