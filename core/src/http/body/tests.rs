use super::*;
use crate::buf::tests::every_split;

/// Reads a chunked body and gives it with what follows it, or the code of the fault.
fn read(parts: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), Code> {
    let mut recv = RecvBuf::default();
    let mut body = BodyReader::Chunked(ChunkReader::Size);
    let mut data = Vec::new();
    let mut ended = false;
    for part in parts {
        recv.push(part);
        while !ended {
            match body.next(&mut recv, false).map_err(|fault| fault.code)? {
                Step::Pending => break,
                Step::Data(len) => {
                    assert!(len > 0 && len <= recv.len());
                    data.extend_from_slice(&recv.as_slice()[..len]);
                    recv.consume(len);
                }
                Step::End => ended = true,
            }
        }
    }
    match ended {
        true => Ok((data, recv.as_slice().to_vec())),
        false => body.next(&mut recv, true).map(|_| unreachable!("ended")).map_err(|fault| fault.code),
    }
}

#[test]
fn chunked_bodies_that_are_read() {
    // FT-511, limit: TRAILERS_MAX
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(SIZE_LINE_BYTES_MAX - 3));
    let most = format!("1\r\nx\r\n0\r\n{}\r\n", "A: b\r\n".repeat(TRAILERS_MAX));
    let table: &[(&str, &[u8], &[u8])] = &[
        ("empty", b"0\r\n\r\n", b""),
        ("zeros", b"0000000000000000\r\n\r\n", b""),
        ("two", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        ("hexadecimal", b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", b"01234567890123456789a"),
        ("data like framing", b"7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n\r\n"),
        ("extension", b"1;a=b;c\r\nx\r\n0;d\r\n\r\n", b"x"),
        ("blank before extension", b"1 \t;a\r\nx\r\n0\r\n\r\n", b"x"),
        ("padded size", b"1  \r\nx\r\n0\r\n\r\n", b"x"),
        ("longest extension", long.as_bytes(), b"a"),
        ("trailers", b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"x"),
        ("trailer without blank", b"1\r\nx\r\n0\r\nA:b\r\n\r\n", b"x"),
        ("trailer without value", b"1\r\nx\r\n0\r\nA:\r\n\r\n", b"x"),
        ("tab and colons in a trailer", b"1\r\nx\r\n0\r\nA:\tb\t c:d:\r\n\r\n", b"x"),
        ("odd name of a trailer", b"1\r\nx\r\n0\r\n!#$%&'*+-.^_`|~9z: b\r\n\r\n", b"x"),
        ("Latin-1 in a trailer", b"1\r\nx\r\n0\r\nA: \xe9\r\n\r\n", b"x"),
        ("framing as a trailer", b"1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n", b"x"),
        ("most trailers", most.as_bytes(), b"x"),
    ];
    for (name, input, data) in table {
        let expected = Ok((data.to_vec(), Vec::new()));
        assert_eq!(every_split(name, input, read), expected, "{name}");
        let tail = b"GET / HTTP/1.1\r\n\r\n";
        let (body, rest) = read(&[&[input, &tail[..]].concat()]).unwrap();
        assert_eq!((body, rest), (data.to_vec(), tail.to_vec()), "{name}");
    }
}

#[test]
fn chunked_bodies_that_are_refused() {
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(SIZE_LINE_BYTES_MAX - 2));
    let endless = "1;".repeat(SIZE_LINE_BYTES_MAX);
    let trailers = format!("0\r\nA: {}\r\n\r\n", "b".repeat(TRAILER_BYTES_MAX));
    let many = format!("0\r\n{}\r\n", "A: b\r\n".repeat(TRAILERS_MAX + 1));
    // FT-511
    let table: &[(&str, &[u8])] = &[
        ("nothing", b""),
        ("empty size", b"\r\n\r\n"),
        ("only an extension", b";a\r\n\r\n"),
        ("sign", b"+1\r\nx\r\n0\r\n\r\n"),
        ("minus", b"-1\r\nx\r\n0\r\n\r\n"),
        ("0x", b"0x1\r\nx\r\n0\r\n\r\n"),
        ("underscore", b"1_0\r\nx\r\n0\r\n\r\n"),
        ("leading blank", b" 1\r\nx\r\n0\r\n\r\n"),
        ("inner blank", b"1 1\r\nx\r\n0\r\n\r\n"),
        ("17 digits", b"00000000000000001\r\nx\r\n0\r\n\r\n"),
        ("overflow", b"10000000000000000\r\nx"),
        ("bare LF after size", b"1\nx\r\n0\r\n\r\n"),
        ("bare LF in extension", b"1;a\nb\r\nx\r\n0\r\n\r\n"),
        ("CR in extension", b"1;a\rb\r\nx\r\n0\r\n\r\n"),
        ("NUL in extension", b"1;\0\r\nx\r\n0\r\n\r\n"),
        ("long extension", long.as_bytes()),
        ("endless extension", endless.as_bytes()),
        ("bare LF after data", b"1\r\nx\n0\r\n\r\n"),
        ("no end after data", b"1\r\nxy\r\n0\r\n\r\n"),
        ("half an end after data", b"1\r\nx\rx0\r\n\r\n"),
        ("bare LF at the end", b"0\r\n\n"),
        ("bare LF in trailers", b"0\r\nA: b\n\r\n"),
        ("CR in trailers", b"0\r\nA: b\rC: d\r\n\r\n"),
        ("long trailers", trailers.as_bytes()),
        ("too many trailers", many.as_bytes()),
        ("trailer without colon", b"0\r\nA\r\n\r\n"),
        ("trailer without name", b"0\r\n: b\r\n\r\n"),
        ("blank before the colon", b"0\r\nA : b\r\n\r\n"),
        ("tab before the colon", b"0\r\nA\t: b\r\n\r\n"),
        ("blank before the name", b"0\r\n A: b\r\n\r\n"),
        ("folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
        ("trailer folded with a tab", b"0\r\nA: b\r\n\tc: d\r\n\r\n"),
        ("blank line of blanks", b"0\r\n  \r\n\r\n"),
        ("NUL in a trailer", b"0\r\nA: b\0\r\n\r\n"),
        ("DEL in a trailer", b"0\r\nA: \x7f\r\n\r\n"),
        ("escape in a trailer", b"0\r\nA: \x1b[0m\r\n\r\n"),
        ("NUL in a name", b"0\r\nA\0: b\r\n\r\n"),
        ("Latin-1 in a name", b"0\r\n\xe9: b\r\n\r\n"),
        ("separator in a name", b"0\r\nA(b): c\r\n\r\n"),
        ("next request in place of the end", b"0\r\nGET / HTTP/1.1\r\n\r\n"),
        ("cut in size", b"1"),
        ("cut in data", b"5\r\nabc"),
        ("cut in trailers", b"0\r\nA: b\r\n"),
    ];
    for (name, input) in table {
        let result = match input.len() {
            0..2000 => every_split(name, input, read),
            _ => read(&[input]),
        };
        assert_eq!(result, Err(Code::BadFraming), "{name}");
    }
}

#[test]
fn the_largest_size_is_no_overflow() {
    let mut recv = RecvBuf::default();
    recv.push(b"FFFFFFFFFFFFFFFF\r\nx");
    let mut body = BodyReader::Chunked(ChunkReader::Size);
    assert_eq!(body.next(&mut recv, false), Ok(Step::Data(1)));
    assert_eq!(body, BodyReader::Chunked(ChunkReader::Data(u64::MAX - 1)));
}

#[test]
fn trailers_are_bounded_also_without_a_line_end() {
    let mut recv = RecvBuf::default();
    let mut body = BodyReader::Chunked(ChunkReader::Size);
    recv.push(b"0\r\n");
    recv.push(&[b'a'; TRAILER_BYTES_MAX]);
    assert_eq!(body.next(&mut recv, false), Ok(Step::Pending));
    recv.push(b"a");
    assert_eq!(body.next(&mut recv, false).unwrap_err().code, Code::BadFraming);
}

#[test]
fn responses_have_the_length_their_request_and_status_allow() {
    let body = |method, text: &str| {
        let mut head = ResponseHead::default();
        head.parse(text.as_bytes(), 9).unwrap();
        response_body(method, &head).map_err(|fault| fault.code)
    };
    let chunked = BodyReader::Chunked(ChunkReader::Size);
    let table = [
        (Method::Get, "200 A\r\nContent-Length: 5", Ok(BodyReader::Length(5))),
        (Method::Get, "200 A\r\nTransfer-Encoding: chunked", Ok(chunked)),
        (Method::Get, "200 A", Ok(BodyReader::UntilClose)),
        (Method::Head, "200 A\r\nContent-Length: 5", Ok(BodyReader::Length(0))),
        (Method::Head, "200 A\r\nTransfer-Encoding: chunked", Ok(BodyReader::Length(0))),
        (Method::Head, "200 A", Ok(BodyReader::Length(0))),
        (Method::Post, "204 A", Ok(BodyReader::Length(0))),
        (Method::Post, "304 A\r\nContent-Length: 5", Ok(BodyReader::Length(0))),
        (Method::Post, "202 A\r\nContent-Length: 0", Ok(BodyReader::Length(0))),
        (Method::Get, "200 A\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", Err(Code::BadFraming)),
        (Method::Get, "200 A\r\nContent-Length: 5\r\nContent-Length: 6", Err(Code::BadFraming)),
        (Method::Head, "200 A\r\nContent-Length: 5, 6", Err(Code::BadFraming)),
        (Method::Get, "200 A\r\nTransfer-Encoding: gzip", Err(Code::UnknownCoding)),
    ];
    for (method, text, expected) in table {
        assert_eq!(body(method, &format!("HTTP/1.1 {text}\r\n\r\n")), expected, "{method:?} {text}");
    }
    let old = "HTTP/1.0 200 A\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(body(Method::Get, old), Err(Code::BadFraming));
}
