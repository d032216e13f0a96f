//! Bytes of a server at [`Client`]: heads, interim responses, framing, and connections that are used again.
//!
//! Byte 0: limits, mode and how often the connection is used; byte 1: how the input is cut; byte 2: the method; the rest:
//! what the server sends.
//!
//! Properties: every cut tells the same story, data joined; nothing follows the end; what our own writer writes (heads,
//! chunks, lengths) is read as it was meant.

use crate::tape::{Tape, every_way};
use mcp_proxy_core::http::{
    Body, Client, ClientEvent, Limits, Method, encode_chunk, encode_last_chunk, encode_response_head,
};

const TIGHT: Limits = Limits { head_bytes_max: 100, body_bytes_max: 0, headers_max: 5 };
const METHODS: [Method; 5] = [Method::Get, Method::Post, Method::Head, Method::Delete, Method::Other];

/// See the module.
pub fn http_client(data: &[u8]) {
    let mut tape = Tape::new(data);
    let mode = tape.byte();
    let limits = if mode & 1 == 0 { TIGHT } else { Limits::default() };
    let seed = tape.byte();
    if mode & 2 == 0 {
        let method = tape.pick(&METHODS);
        every_way(seed, tape.rest(), |parts| story(limits, method, parts));
    } else {
        check_round_trip(&mut tape, seed);
    }
}

/// Sends one request, feeds the parts, closes, and tells what happened; data is joined. Whether the surplus after a
/// response is noticed at its end or a moment later depends on the cut, so the end is the same word in either case.
fn story(limits: Limits, method: Method, parts: &[&[u8]]) -> Vec<String> {
    let mut client = Client::new(limits);
    client.begin(method);
    let mut story = Vec::new();
    for part in parts {
        client.push(part);
        drain(&mut client, &mut story);
    }
    client.close_read();
    drain(&mut client, &mut story);
    assert_eq!(client.next(), Ok(None), "nothing after the end");
    assert!(!client.is_reusable(), "a closed connection is used again");
    story
}

fn drain(client: &mut Client, story: &mut Vec<String>) {
    loop {
        match client.next() {
            Ok(None) => return,
            Ok(Some(ClientEvent::Head)) => {
                let head = client.head();
                assert!((200..1000).contains(&head.status()), "{}", head.status());
                let fields: Vec<_> = head.headers().collect();
                for (name, value) in &fields {
                    assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']), "{name:?}: {value:?}");
                }
                story.push(format!("head {} {fields:?}", head.status()));
            }
            Ok(Some(ClientEvent::Data(data))) => {
                assert!(!data.is_empty(), "empty data");
                let text: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                match story.last_mut().filter(|line| line.starts_with("data ")) {
                    Some(line) => line.push_str(&text),
                    None => story.push(format!("data {text}")),
                }
            }
            Ok(Some(ClientEvent::End)) => story.push("end".to_owned()),
            Err(fault) => story.push(format!("{:?}", fault.code)),
        }
    }
}

/// A response of our own writer: status, fields, and a body in the framing that the tape picks.
fn check_round_trip(tape: &mut Tape<'_>, seed: u8) {
    let status = tape.pick(&[200, 201, 202, 400, 404, 500, 503, 999]);
    let framing = tape.below(3);
    let name = String::from_utf8_lossy(tape.until(b'\n'));
    let value = String::from_utf8_lossy(tape.until(b'\n'));
    let chunks: Vec<&[u8]> = tape.rest().chunks(1 + usize::from(seed)).collect();
    let content = chunks.concat();

    let body = [Body::Length(content.len()), Body::Chunked, Body::UntilClose][framing];
    let mut text = Vec::new();
    encode_response_head(&mut text, status, &[(&name, &value)], body, seed & 1 == 1);
    if framing == 1 {
        for chunk in &chunks {
            encode_chunk(&mut text, |out| out.extend_from_slice(chunk));
        }
        encode_last_chunk(&mut text);
    } else {
        text.extend_from_slice(&content);
    }

    let limits = Limits { head_bytes_max: 1 << 20, headers_max: 8, ..Limits::default() };
    let story = every_way(seed, &text, |parts| story(limits, Method::Get, parts));
    let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = std::iter::once(format!("data {hex}")).filter(|_| !content.is_empty()).chain(["end".to_owned()]);
    assert!(story[0].starts_with(&format!("head {status} ")), "{story:?}");
    assert_eq!(story[1..], expected.collect::<Vec<_>>(), "{:?}", String::from_utf8_lossy(&text));
}
