use super::*;

fn parse(text: &str) -> Result<Envelope, Code> {
    Envelope::parse(text.as_bytes(), 128).map_err(|fault| fault.code)
}

#[test]
fn messages_are_classified_by_what_is_present() {
    let table = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Ok(Kind::Request)),
        (r#"{"jsonrpc":"2.0","id":"x","method":"m","params":{}}"#, Ok(Kind::Request)),
        (r#"{"jsonrpc":"2.0","method":"m"}"#, Ok(Kind::Notification)),
        (r#"{"jsonrpc":"2.0","id":-7,"result":null}"#, Ok(Kind::Result)),
        (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Ok(Kind::Error)),
        (r#"{"jsonrpc":"2.0","error":{}}"#, Ok(Kind::Error)),
        (r#"{"id":1,"method":"m","result":1}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1,"result":1,"error":{}}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1}"#, Err(Code::InvalidRequest)),
        ("{}", Err(Code::InvalidRequest)),
        ("[]", Err(Code::InvalidRequest)),
        ("7", Err(Code::InvalidRequest)),
        (r#"{"id":null,"method":"m"}"#, Err(Code::InvalidRequest)), // GN-01
        (r#"{"id":null,"result":1}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1.5,"method":"m"}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1e3,"method":"m"}"#, Ok(Kind::Request)), // FT-105
        (r#"{"id":1.0,"result":{}}"#, Ok(Kind::Result)),
        (r#"{"id":15e-1,"result":{}}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1,"result":{},"error":null}"#, Ok(Kind::Result)),
        (r#"{"id":1,"result":null,"error":{}}"#, Ok(Kind::Error)),
        (r#"{"id":1,"result":null,"error":null}"#, Ok(Kind::Result)),
        (r#"{"id":1,"error":null}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1,"method":null,"params":null,"result":{},"error":null}"#, Ok(Kind::Result)),
        (r#"{"id":1,"method":"m","params":null,"result":null,"error":null}"#, Ok(Kind::Request)),
        (r#"{"method":"m","params":null}"#, Ok(Kind::Notification)),
        (r#"{"id":1,"method":null}"#, Err(Code::InvalidRequest)),
        (r#"{"id":true,"method":"m"}"#, Err(Code::InvalidRequest)),
        (r#"{"id":{},"method":"m"}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1,"method":7}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1,"method":"m","params":[1]}"#, Err(Code::InvalidRequest)),
        (r#"{"id":1,"method":"m","params":null}"#, Ok(Kind::Request)),
        (r#"{"id":1,"method":"m""#, Err(Code::ParseError)), // GN-05
        (r#"{"id":1,"method":"m"} x"#, Err(Code::ParseError)),
        (r#"{"id":1,,"method":"m"}"#, Err(Code::ParseError)),
        ("", Err(Code::ParseError)),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text).map(|e| e.kind), expected, "{text}");
    }
}

#[test]
fn members_are_ranges_of_the_very_text() {
    let text =
        r#" { "params" : {"a":1} , "id" : 12345678901234567890123 , "x":[], "method":"tools\/call" } "#;
    let envelope = parse(text).unwrap();
    assert_eq!(envelope.id.unwrap().of(text.as_bytes()), b"12345678901234567890123");
    assert_eq!(envelope.params.unwrap().of(text.as_bytes()), b"{\"a\":1}");
    assert_eq!(envelope.method_name(text.as_bytes()), "tools/call");
    assert!(!envelope.versioned && !envelope.newlines);
}

#[test]
fn what_is_only_null_can_be_left_out() {
    // FT-105
    let table = [
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, false, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        (
            "{\"method\":null,\"id\":1.0,\r\n\"error\":null,\"x\":1,\"result\":{\n}}",
            true,
            r#"{"jsonrpc":"2.0","id":1.0,"result":{ }}"#,
        ),
        (r#"{"error":{"a":1},"result":null,"id":2}"#, true, r#"{"jsonrpc":"2.0","id":2,"error":{"a":1}}"#),
        (r#"{"params":null,"method":"m"}"#, true, r#"{"jsonrpc":"2.0","method":"m"}"#),
        (
            r#"{"params":{},"id":3,"method":"m"}"#,
            false,
            r#"{"jsonrpc":"2.0","id":3,"method":"m","params":{}}"#,
        ),
        (r#"{"error":{}}"#, false, r#"{"jsonrpc":"2.0","error":{}}"#),
    ];
    for (text, padded, plain) in table {
        let envelope = parse(text).unwrap();
        assert_eq!(envelope.padded, padded, "{text}");
        let own = String::from_utf8(envelope.plain(text.as_bytes())).unwrap();
        assert_eq!(own, plain, "{text}");
        let again = parse(&own).unwrap();
        assert_eq!((again.kind, again.padded, again.versioned), (envelope.kind, false, true));
    }
}

#[test]
fn duplicate_members_are_refused_also_when_escaped() {
    assert_eq!(parse(r#"{"id":1,"method":"a","method":"b"}"#), Err(Code::InvalidRequest));
    assert_eq!(parse(r#"{"id":1,"method":"a","\u006dethod":"b"}"#), Err(Code::InvalidRequest));
    assert_eq!(parse(r#"{"id":1,"method":"a","x":1,"x":2}"#).map(|e| e.kind), Ok(Kind::Request));
}

#[test]
fn an_escaped_member_name_counts_like_the_plain_one() {
    assert_eq!(parse(r#"{"i\u0064":1,"method":"a"}"#).map(|e| e.kind), Ok(Kind::Request));
}

#[test]
fn depth_counts_the_envelope_itself() {
    let message =
        |n: usize| format!(r#"{{"method":"m","params":{{"a":{}{}}}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(Envelope::parse(message(8).as_bytes(), 10).is_ok());
    assert!(Envelope::parse(message(9).as_bytes(), 10).is_err());
}

#[test]
fn invalid_utf8_is_a_parse_error() {
    let fault = Envelope::parse(b"{\"method\":\"\xff\"}", 9).unwrap_err(); // GN-04
    assert_eq!(fault.code, Code::ParseError);
}

#[test]
fn no_prefix_of_a_message_panics_or_passes() {
    let text = r#"{"jsonrpc":"2.0","id":"\u00e9","method":"m","params":{"a":[1,-2.5e3,true,null,"x\\y"]}}"#;
    for end in 0..text.len() {
        assert!(Envelope::parse(&text.as_bytes()[..end], 128).is_err(), "{end}");
    }
    assert!(parse(text).is_ok());
}

#[test]
fn members_that_differ_by_case_alone_are_refused() {
    for text in [
        r#"{"id":1,"method":"prompts/get","Method":"tools/call"}"#,
        r#"{"id":1,"method":"m","PARAMS":{}}"#,
        r#"{"method":"m","I\u0064":5}"#,
        r#"{"method":"m","\u0049D":5}"#,
        "{\"id\":1,\"method\":\"m\",\"param\u{17f}\":{}}",
        r#"{"id":1,"method":"m","param\u017f":{}}"#,
        r#"{"id":1,"method":"m","JSONRPC":"2.0"}"#,
    ] {
        assert_eq!(parse(text).map(|e| e.kind), Err(Code::InvalidRequest), "{text}");
    }
    assert_eq!(parse(r#"{"id":1,"method":"m","methods":1}"#).map(|e| e.kind), Ok(Kind::Request));
}
