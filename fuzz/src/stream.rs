//! The two framings of messages: event streams ([`Decoder`]) and lines ([`LineDecoder`]).
//!
//! Byte 0: which, and whether limits are tight; byte 1: how the input is cut; the rest: the stream.
//!
//! Properties: every cut tells the same story; with room enough it is the story of a plain reading of the specification,
//! made here from the whole input at once; what our own writer writes is read as it was meant, in one event.

use crate::tape::{Tape, every_way};
use mcp_proxy_core::line::LineDecoder;
use mcp_proxy_core::sse::{Decoder, ID_BYTES_MAX, encode_comment, encode_event};

const ROOMY: usize = 1 << 20;

/// An event: name, data, id, retry.
type Event = (String, Vec<u8>, Option<String>, Option<u64>);

/// See the module.
pub fn stream(data: &[u8]) {
    let mut tape = Tape::new(data);
    let (mode, seed) = (tape.byte(), tape.byte());
    let max = if mode & 4 == 0 { ROOMY } else { usize::from(mode >> 3) };
    match mode & 3 {
        0 => {
            let input = tape.rest();
            let found = every_way(seed, input, |parts| events(max, parts));
            if max == ROOMY {
                assert_eq!(found, Ok(plain_events(input)));
            }
        }
        1 => {
            let input = tape.rest();
            let found = every_way(seed, input, |parts| lines(max, parts));
            assert_eq!(found, plain_lines(max, input));
        }
        _ => check_round_trip(&mut tape, seed),
    }
}

fn events(max: usize, parts: &[&[u8]]) -> Result<(Vec<Event>, Option<String>), Vec<Event>> {
    let mut decoder = Decoder::new(max);
    let mut found: Vec<Event> = Vec::new();
    for part in parts {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(event)) => {
                    assert!(event.data.len() <= max, "more data than an event may have");
                    let id = event.id.map(str::to_owned);
                    found.push((event.name.to_owned(), event.data.to_vec(), id, event.retry_ms));
                }
                Err(_) => {
                    decoder.push(b"data: more\n\n");
                    assert_eq!(decoder.next(), Ok(None), "an event after a fault");
                    return Err(found);
                }
            }
        }
    }
    Ok((found, decoder.last_event_id().map(str::to_owned)))
}

/// HTML Standard § 9.2.6, but events without data are passed over unless they set an id or a retry time, and ids have a
/// bound.
fn plain_events(input: &[u8]) -> (Vec<Event>, Option<String>) {
    let input = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    let (mut found, mut last_id) = (Vec::new(), None);
    let mut event: (String, Option<Vec<u8>>, Option<String>, Option<u64>) = Default::default();
    for line in whole_lines(input) {
        if line.is_empty() {
            let (name, data, id, retry) = std::mem::take(&mut event);
            let data = data.unwrap_or_default();
            last_id = id.clone().or(last_id);
            if !data.is_empty() || id.is_some() || retry.is_some() {
                found.push((name, data, id, retry));
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = String::from_utf8_lossy(value).into_owned();
        match &line[..colon] {
            b"event" => event.0 = text,
            b"data" => match &mut event.1 {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                none => *none = Some(value.to_vec()),
            },
            b"id" if !value.contains(&0) => event.2 = Some(if value.len() > ID_BYTES_MAX { String::new() } else { text }),
            b"retry" if value.iter().all(u8::is_ascii_digit) => event.3 = text.parse().ok().or(event.3),
            _ => {}
        }
    }
    (found, last_id.filter(|id| !id.is_empty()))
}

/// Lines that have an end: CR, LF or CRLF.
fn whole_lines(mut input: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = input.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&input[..end]);
        let pair = input[end..].starts_with(b"\r\n");
        input = &input[end + 1 + usize::from(pair)..];
    }
    lines
}

/// A line, or head and tail of one that was too long.
type Line = Result<Vec<u8>, (Vec<u8>, Vec<u8>)>;

fn lines(max: usize, parts: &[&[u8]]) -> Vec<Line> {
    let mut decoder = LineDecoder::new(max);
    let mut found = Vec::new();
    for part in parts {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(line)) => found.push(Ok(line.to_vec())),
                Err(_) => {
                    let (head, tail) = decoder.skipped();
                    found.push(Err((head.to_vec(), tail.to_vec())));
                }
            }
        }
    }
    found.extend(decoder.finish().map(|line| Ok(line.to_vec())));
    assert!(decoder.finish().is_none(), "a line after the last");
    found
}

fn plain_lines(max: usize, input: &[u8]) -> Vec<Line> {
    const REMEMBERED: usize = 128;
    let mut found = Vec::new();
    let mut parts = input.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = parts.next() {
        let is_whole = parts.peek().is_some();
        if line.len() > max {
            // The end of the stream tells nothing of a line that never ended.
            let ends = (line[..REMEMBERED.min(line.len())].to_vec(), line[line.len().saturating_sub(REMEMBERED)..].to_vec());
            found.extend(is_whole.then_some(Err(ends)));
        } else if !line.trim_ascii().is_empty() {
            found.push(Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
        }
    }
    found
}

/// Two events and a comment of our own writer.
fn check_round_trip(tape: &mut Tape<'_>, seed: u8) {
    let name = String::from_utf8_lossy(tape.until(b'|'));
    let id = tape.until(b'|');
    let id = String::from_utf8_lossy(id.get(..ID_BYTES_MAX / 3).unwrap_or(id)).replace('\0', "");
    let retry = tape.one_in(2).then(|| u64::from(tape.byte()) << tape.below(57));
    let comment = String::from_utf8_lossy(tape.until(b'|'));
    let data: Vec<&[u8]> = tape.rest().chunks(1 + usize::from(seed)).collect();

    let mut text = Vec::new();
    encode_comment(&mut text, &comment);
    encode_event(&mut text, Some(format_args!("{id}")), Some(&name), retry, &data);
    encode_event(&mut text, None, None, None, &[b"{}"]);

    let in_line = |text: &str| text.replace(['\r', '\n'], " ");
    let data: Vec<u8> =
        data.concat().iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect();
    let first = (in_line(&name), data, Some(in_line(&id)), retry);
    let second = (String::new(), b"{}".to_vec(), None, None);
    let last = Some(in_line(&id)).filter(|id| !id.is_empty());
    let found = every_way(seed, &text, |parts| events(ROOMY, parts));
    assert_eq!(found, Ok((vec![first, second], last)), "{:?}", String::from_utf8_lossy(&text));
}
