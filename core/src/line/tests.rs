use super::*;
use crate::buf::tests::every_split;

/// The lines of the parts, a fault as `!`, and the unfinished rest after `~`.
fn run(line_bytes_max: usize, parts: &[&[u8]]) -> Vec<String> {
    let mut decoder = LineDecoder::new(line_bytes_max);
    let mut story = Vec::new();
    for part in parts {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(line)) => story.push(String::from_utf8_lossy(line).into_owned()),
                Err(fault) => {
                    assert_eq!(fault.code, Code::BodyTooLarge);
                    story.push("!".to_owned());
                }
            }
        }
    }
    if let Some(rest) = decoder.finish() {
        story.push(format!("~{}", String::from_utf8_lossy(rest)));
    }
    story
}

#[test] // ST-03
fn lines_are_told_apart() {
    let table: &[(&str, &[u8], &[&str])] = &[
        ("nothing", b"", &[]),
        ("two", b"a\nbc\n", &["a", "bc"]),
        ("crlf", b"a\r\nb\r\n", &["a", "b"]),
        ("blank lines", b"\n\r\n \t\na\n\n", &["a"]),
        ("inner CR", b"a\rb\n", &["a\rb"]),
        ("CR before CRLF", b"a\r\r\n", &["a\r"]),
        ("blanks are kept", b" a \n", &[" a "]),
        ("unfinished", b"a\nb", &["a", "~b"]),
        ("unfinished with CR", b"b\r", &["~b"]),
        ("unfinished blanks", b"a\n \r", &["a"]),
        ("invalid UTF-8", b"\xFF\xFE\nok\n", &["\u{fffd}\u{fffd}", "ok"]),
    ];
    for (name, input, expected) in table {
        assert_eq!(every_split(name, input, |parts| run(10, parts)), *expected, "{name}");
    }
}

#[test] // GN-14
fn a_line_over_the_limit_costs_one_fault_and_nothing_else() {
    let table: &[(&str, &[u8], &[&str])] = &[
        ("at the limit", b"12345\n1\n", &["12345", "1"]),
        ("one above", b"123456\n1\n", &["!", "1"]),
        ("far above", b"1234567890123456789012345\n1\n", &["!", "1"]),
        ("two in a row", b"123456\n123456\n1\n", &["!", "!", "1"]),
        ("unfinished", b"1\n123456", &["1"]),
        ("blank but long", b"      \n1\n", &["!", "1"]),
    ];
    for (name, input, expected) in table {
        assert_eq!(every_split(name, input, |parts| run(5, parts)), *expected, "{name}");
    }
}

#[test]
fn an_overlong_line_is_not_kept_but_its_ends_are() {
    let mut decoder = LineDecoder::new(1000);
    decoder.push(b"head ");
    for _ in 0..100 {
        decoder.push(&[b'x'; 1000]);
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.recv.len() <= 1000);
    }
    assert_eq!(decoder.finish(), None);
    decoder.push(b" tail\nnext\n");
    assert!(decoder.next().is_err());
    let (head, tail) = decoder.skipped();
    assert!(head.starts_with(b"head x") && head.len() == REMEMBERED);
    assert!(tail.ends_with(b"x tail") && tail.len() == REMEMBERED);
    assert_eq!(decoder.next().unwrap().map(|line| line.to_vec()), Some(b"next".to_vec()));
}

#[test]
fn a_line_that_trickles_in_is_searched_once() {
    let mut decoder = LineDecoder::new(100_000);
    for at in 0..50_000 {
        decoder.push(b"x");
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.recv.scanned(), at + 1);
    }
}

#[test]
fn what_was_searched_is_not_searched_again() {
    let mut decoder = LineDecoder::new(100);
    decoder.push(b"abc");
    assert_eq!(decoder.next(), Ok(None));
    decoder.recv.as_mut_slice()[1] = b'\n';
    decoder.push(b"d");
    assert_eq!(decoder.next(), Ok(None), "a line end where none was is not noticed");
}

#[test]
fn a_refused_line_costs_one_fault_of_its_own_and_its_ends_are_kept() {
    let mut decoder = LineDecoder::new(1_000);
    decoder.refuse_line();
    decoder.push(b"one\nhead ");
    assert_eq!(decoder.next().unwrap().unwrap(), b"one");
    assert_eq!(decoder.next(), Ok(None));
    decoder.refuse_line();
    assert_eq!(decoder.pending(), 0);
    decoder.push(b"middle ");
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"tail\ntwo\n");
    assert_eq!(decoder.next().unwrap_err().code, Code::Overloaded);
    let (head, tail) = decoder.skipped();
    assert!(head.starts_with(b"head ") && tail.ends_with(b" tail"));
    assert_eq!(decoder.next().unwrap().unwrap(), b"two");
    decoder.push(&[b'x'; 1_001]);
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"\n");
    assert_eq!(decoder.next().unwrap_err().code, Code::BodyTooLarge, "the next one is judged by itself");
}
