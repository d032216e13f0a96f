use std::io::{BufReader, Cursor, PipeReader};

use serde_json::Value;

use super::*;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;

#[test]
fn lines_fed_are_answered_in_order_and_the_end_of_input_ends_it() {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"countdown","arguments":{"steps":2,"delayMs":0},"_meta":{"progressToken":"t"}}}"#;
    let input =
        format!("{INITIALIZE}\r\n\n{call}\nnonsense\n{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}}");
    let mut output = Vec::new();
    run(Cursor::new(input), &mut output).unwrap();
    assert!(output.ends_with(b"\n"));
    let sent: Vec<Value> = messages(&output);
    assert_eq!(sent.len(), 6);
    assert_eq!(sent[0]["id"], 0);
    assert_eq!(
        (&sent[1]["params"]["progress"], &sent[2]["params"]["progress"]),
        (&Value::from(1), &Value::from(2))
    );
    assert_eq!(sent[3]["id"], 1);
    assert_eq!(sent[4]["error"]["code"], -32700);
    assert_eq!(sent[5]["id"], 2, "the last line needs no line feed");
}

#[test]
fn input_is_read_while_a_countdown_runs_and_cancels_it() {
    let (input, mut to_server) = io::pipe().unwrap();
    let (from_server, output) = io::pipe().unwrap();
    let server = thread::Builder::new().spawn(move || run(BufReader::new(input), output)).unwrap();
    let mut from_server = BufReader::new(from_server);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"countdown","arguments":{"steps":20,"delayMs":1000}}}"#;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let ping = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    write!(to_server, "{INITIALIZE}\n{call}\n{}\n", ping(2)).unwrap();
    assert_eq!(next(&mut from_server)["id"], 0);
    assert_eq!(next(&mut from_server)["id"], 2, "answered although the countdown is not over");
    // Cancelled, the id is free again; still open, it would be refused.
    write!(to_server, "{cancel}\n{}\n", ping(1)).unwrap();
    let answer = next(&mut from_server);
    assert_eq!(answer["id"], 1);
    assert!(answer.get("result").is_some(), "{answer}");
    drop(to_server);
    server.join().unwrap().unwrap();
}

#[test]
fn reader_that_went_away_is_an_orderly_end() {
    let (from_server, output) = io::pipe().unwrap();
    drop(from_server);
    run(Cursor::new(format!("{INITIALIZE}\n")), output).unwrap();
}

#[test]
fn read_error_is_reported() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    assert_eq!(run(BufReader::new(Broken), Vec::new()).unwrap_err().kind(), io::ErrorKind::Other);
}

#[test]
fn line_above_the_limit_is_skipped_whole() {
    let whole = |text: &str| Some(Line::Whole(text.as_bytes().to_vec()));
    // Limit 6 with the line feed: "12345\n" fits, "123456\n" does not.
    for buffered in 1..20 {
        let mut input = BufReader::with_capacity(buffered, b"12345\n123456\n\n12345678901234\nab".as_slice());
        let mut next = || read_line(&mut input, 6).unwrap();
        assert_eq!(next(), whole("12345\n"));
        assert_eq!(next(), Some(Line::TooLong));
        assert_eq!(next(), whole("\n"));
        assert_eq!(next(), Some(Line::TooLong));
        assert_eq!(next(), whole("ab"));
        assert_eq!(next(), None);
    }
}

#[test]
fn line_above_the_limit_is_answered_as_unreadable() {
    let mut input = vec![b' '; LINE_BYTES_MAX as usize];
    input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n");
    let mut output = Vec::new();
    run(Cursor::new(input), &mut output).unwrap();
    let sent = messages(&output);
    assert_eq!(
        (sent.len(), &sent[0]["error"]["code"], &sent[1]["id"]),
        (2, &Value::from(-32700), &Value::from(2))
    );
}

fn next(from_server: &mut BufReader<PipeReader>) -> Value {
    let mut line = String::new();
    from_server.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn messages(output: &[u8]) -> Vec<Value> {
    std::str::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
