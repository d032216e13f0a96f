use super::*;
use crate::buf::tests::every_split;

/// One line per event: name, data, id, retry.
fn run(event_bytes_max: usize, parts: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::new(event_bytes_max);
    let mut story = Vec::new();
    for part in parts {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(event)) => story.push(format!(
                    "{}|{}|{}|{}",
                    event.name,
                    String::from_utf8_lossy(event.data),
                    event.id.unwrap_or("-"),
                    event.retry_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
                )),
                Err(fault) => story.push(format!("{:?}", fault.code)),
            }
        }
    }
    story.push(format!("last {}", decoder.last_event_id().unwrap_or("-")));
    story
}

fn check(table: &[(&str, &[u8], &[&str])]) {
    for (name, input, expected) in table {
        assert_eq!(every_split(name, input, |parts| run(100, parts)), *expected, "{name}");
    }
}

#[test] // UP-61
fn events_are_told_apart() {
    check(&[
        ("nothing", b"", &["last -"]),
        ("LF", b"data: a\n\ndata: b\n\n", &["|a|-|-", "|b|-|-", "last -"]),
        ("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", &["|a|-|-", "|b|-|-", "last -"]),
        ("CR", b"data: a\r\rdata: b\r\r", &["|a|-|-", "|b|-|-", "last -"]),
        (
            "mixed ends",
            b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r",
            &["|a\nb\nc|-|-", "|d|-|-", "last -"],
        ),
        (
            "LF after CR is one end",
            b"data: a\r\n\ndata: b\r\r\ndata: c\n\n",
            &["|a|-|-", "|b|-|-", "|c|-|-", "last -"],
        ),
        ("mark", b"\xEF\xBB\xBFdata: a\n\n", &["|a|-|-", "last -"]),
        ("two marks", b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n", &["last -"]),
        ("mark later", b"data: a\n\n\xEF\xBB\xBFdata: b\n\n", &["|a|-|-", "last -"]),
        ("half a mark", b"\xEF\xBBdata: a\n\ndata: b\n\n", &["|b|-|-", "last -"]),
        ("comments", b": x\n:\n:data: no\ndata: a\n: y\n\n:z\n\n", &["|a|-|-", "last -"]),
        ("all fields", b"event: e\nid: 1\nretry: 20\ndata: a\n\n", &["e|a|1|20", "last 1"]),
        (
            "order is free",
            b"data: aaaa\nid: 1\ndata: bb\nevent: e\ndata: c\nretry: 5\n\n",
            &["e|aaaa\nbb\nc|1|5", "last 1"],
        ),
        ("one blank", b"data:  a\ndata:b\ndata\ndata: \n\n", &["| a\nb\n\n|-|-", "last -"]),
        (
            "unknown fields",
            b"foo: x\ndatax: y\nData: z\n data: z\ndata : z\ndata: a\n\n",
            &["|a|-|-", "last -"],
        ),
        ("last name counts", b"event: a\nevent: b\ndata: x\n\ndata: y\n\n", &["b|x|-|-", "|y|-|-", "last -"]),
        ("split UTF-8", "data: äöü€😀\nevent: ä\n\n".as_bytes(), &["ä|äöü€😀|-|-", "last -"]),
        ("unfinished", b"data: a\n\nid: 7\ndata: b\n", &["|a|-|-", "last -"]),
        ("colons in data", b"data: a: b\ndata:: c\n\n", &["|a: b\n: c|-|-", "last -"]),
    ]);
}

#[test] // UP-61
fn events_without_data_count_by_their_id_and_retry_only() {
    check(&[
        ("id", b"id: 1\n\n", &["||1|-", "last 1"]),
        ("id and empty data", b"id: 1\ndata:\n\n", &["||1|-", "last 1"]),
        ("retry", b"retry: 1\n\n", &["||-|1", "last -"]),
        ("name", b"event: e\n\ndata: a\n\n", &["|a|-|-", "last -"]),
        ("empty data", b"event: e\ndata\n\ndata: a\n\n", &["|a|-|-", "last -"]),
        ("two empty lines of data", b"data\ndata\n\n", &["|\n|-|-", "last -"]),
        ("blank lines", b"\n\n\r\n\r\r\n", &["last -"]),
    ]);
}

#[test]
fn ids_stay_until_another_event_sets_one() {
    check(&[
        ("stays", b"id: 1\ndata: a\n\ndata: b\n\n", &["|a|1|-", "|b|-|-", "last 1"]),
        ("reset", b"id: 1\ndata: a\n\nid\ndata: b\n\n", &["|a|1|-", "|b||-", "last -"]),
        ("NUL", b"id: 1\n\nid: 2\0\ndata: a\n\n", &["||1|-", "|a|-|-", "last 1"]),
        ("the last of two", b"id: 1\nid: 2\n\n", &["||2|-", "last 2"]),
    ]);
}

#[test]
fn retry_counts_only_as_digits() {
    check(&[
        ("sign", b"retry: +1\ndata: a\n\n", &["|a|-|-", "last -"]),
        ("unit", b"retry: 1s\ndata: a\n\n", &["|a|-|-", "last -"]),
        ("empty", b"retry:\ndata: a\n\n", &["|a|-|-", "last -"]),
        ("overflow", b"retry: 99999999999999999999\ndata: a\n\n", &["|a|-|-", "last -"]),
        ("overflow after good", b"retry: 7\nretry: 99999999999999999999\n\n", &["||-|7", "last -"]),
        ("bad after good", b"retry: 7\nretry: x\n\n", &["||-|7", "last -"]),
    ]);
}

#[test] // GN-14
fn an_event_over_the_limit_ends_the_stream() {
    let one = |len: usize| format!("data: {}\n\ndata: b\n\n", "x".repeat(len));
    let many = |count: usize| format!("{}\ndata: b\n\n", "data: x\n".repeat(count));
    let story = |input: &str| every_split("limit", input.as_bytes(), |parts| run(100, parts));
    assert_eq!(
        story(&one(93)),
        [format!("|{}|-|-", "x".repeat(93)), "|b|-|-".to_owned(), "last -".to_owned()]
    );
    assert_eq!(story(&one(94)), ["BadStream", "last -"]);
    assert_eq!(story(&many(12)).len(), 3);
    assert_eq!(story(&many(13)), ["BadStream", "last -"]);
    assert_eq!(story(&"x".repeat(300)), ["BadStream", "last -"]);
    assert_eq!(story(&": comment\n".repeat(30)), ["last -"], "comments between events are not kept");
}

#[test]
fn a_long_event_that_trickles_in_is_searched_once() {
    let mut decoder = Decoder::new(1_000_000);
    let line = format!("data: {}\n", "x".repeat(993));
    for n in 1..=100 {
        for byte in line.as_bytes() {
            decoder.push(&[*byte]);
            assert_eq!(decoder.next(), Ok(None));
            assert!(decoder.recv.scanned().max(decoder.line) == decoder.recv.len());
        }
        assert_eq!(decoder.recv.len(), n * 1000);
    }
    decoder.push(b"\n");
    let data = decoder.next().unwrap().unwrap().data;
    assert_eq!(data, vec!["x".repeat(993); 100].join("\n").as_bytes());
}

#[test]
fn what_was_searched_is_not_searched_again() {
    let mut decoder = Decoder::new(100);
    decoder.push(b"data: abc");
    assert_eq!(decoder.next(), Ok(None));
    decoder.recv.as_mut_slice()[7..9].copy_from_slice(b"\n\n");
    decoder.push(b"d");
    assert_eq!(decoder.next(), Ok(None), "a line end where none was is not noticed");
}

#[test]
fn a_stream_of_events_leaves_nothing_behind() {
    let mut decoder = Decoder::new(100);
    for n in 0..10_000 {
        decoder.push(format!(": ping\n\nid: {n}\ndata: {n}\n\n").as_bytes());
        assert_eq!(decoder.next().unwrap().unwrap().data, n.to_string().as_bytes());
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.recv.is_empty());
    }
}

#[test] // DL-29, DL-61
fn encoded_events_are_read_back() {
    let mut out = Vec::new();
    encode_comment(&mut out, "ping\n\ndata: no");
    encode_event(
        &mut out,
        Some(format_args!("{}-{}", 7, 1)),
        Some("message"),
        Some(50),
        &[b"{\r\n\"a\"", b":1}\n"],
    );
    encode_event(&mut out, Some(format_args!("8\ndata: no")), None, None, &[]);
    encode_event(&mut out, None, Some("e\r\n\r\nid: 9"), None, &[b"x"]);
    let story = every_split("encoded", &out, |parts| run(1000, parts));
    let expected = ["message|{  \"a\":1} |7-1|50", "||8 data: no|-", "e    id: 9|x|-|-", "last 8 data: no"];
    assert_eq!(story, expected);
    assert_eq!(&out[..20], b": ping  data: no\n\nev");
}

#[test]
fn an_id_that_is_too_long_is_none() {
    for (len, last) in [(ID_BYTES_MAX, true), (ID_BYTES_MAX + 1, false)] {
        let mut decoder = Decoder::new(10_000);
        decoder.push(format!("id: 1\ndata: a\n\nid: {}\ndata: b\n\n", "x".repeat(len)).as_bytes());
        while decoder.next().unwrap().is_some() {}
        assert_eq!(decoder.last_event_id().is_some(), last, "{len}");
    }
}
