use super::*;

fn whole(text: &str) -> Span {
    Span { start: 0, end: text.len() }
}

#[test]
fn accepts_and_rejects_what_serde_json_does() {
    let good = [
        "0",
        "-0",
        "-0.0e+1",
        "1E9",
        "123456789012345678901234567890",
        "1.5",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\\u00e9\\n\\\"\\\\\\/\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,[2,[3]],{}]",
        "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
        " \t\r\n{\"a\" : 1 , \"b\" : [ ] }",
        "\"0123456789abcdef0123\\\"456789\"",
        "\"\u{7f}é😀\"",
    ];
    for text in good {
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(text.trim()).is_ok(), "{text}");
        assert_eq!(check(text.as_bytes(), 0, 128).map(|c| c.end), Ok(text.len()), "{text}");
    }
    let bad = [
        "",
        " ",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "tru",
        "nul",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\",
        "\"\n\"",
        "\"01234567\u{1}9\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,]",
        "{",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "[1}",
        "{\"a\":1]",
        "'a'",
        "NaN",
        "Infinity",
    ];
    for text in bad {
        let fault = check(text.as_bytes(), 0, 128).map(|c| text[c.end..].trim().is_empty());
        assert_ne!(fault, Ok(true), "{text}");
    }
}

#[test]
fn nesting_is_bounded_exactly() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(check(nested(128).as_bytes(), 0, 128).is_ok());
    assert_eq!(check(nested(129).as_bytes(), 0, 128).unwrap_err().code, Code::InvalidRequest);
    assert_eq!(check(nested(129).as_bytes(), 0, 9_999).unwrap_err().code, Code::InvalidRequest);
    assert!(check(nested(3).as_bytes(), 0, 3).is_ok());
    assert!(check(nested(4).as_bytes(), 0, 3).is_err());
    let mixed = format!("{}1{}", "{\"a\":[".repeat(64), "]}".repeat(64));
    assert!(check(mixed.as_bytes(), 0, 128).is_ok());
}

#[test]
fn newlines_count_only_between_tokens() {
    assert!(!check(b"{\"a\":\"x\\ny\"}", 0, 9).unwrap().newlines);
    assert!(check(b"{\"a\":\n1}", 0, 9).unwrap().newlines);
    assert!(check(b"[1,\r2]", 0, 9).unwrap().newlines);
}

#[test]
fn special_bytes_are_found_at_every_offset() {
    for special in [b'"', b'\\', 0u8, 0x1f] {
        for at in 0..24 {
            let mut text = vec![b'x'; 24];
            text[at] = special;
            assert_eq!(plain_until(&text, 0), at, "{special:#x}");
            // Bytes that differ from a special one by the high bit or by one must not be taken for it.
            for near in [special.wrapping_add(0x80), 0x20, 0x21, 0x23, 0x5b, 0x5d, 0xff, 0x7f] {
                let mut noisy = vec![near; 24];
                if near < 0x20 {
                    continue;
                }
                noisy[at] = special;
                assert_eq!(plain_until(&noisy, 0), at, "{near:#x} before {special:#x}");
            }
        }
    }
}

#[test]
fn members_are_found_in_one_pass() {
    let text = r#" {"x":{"name":"inner"},"name" : "a\"b" ,"n":[1,{"name":2}],"uri":null}"#;
    let object = Span { start: 1, end: text.len() };
    let [name, uri, none] = members(text.as_bytes(), object, ["name", "uri", "none"]).unwrap();
    assert_eq!(name.map(|s| s.of(text.as_bytes())), Some(br#""a\"b""#.as_slice()));
    assert_eq!(uri.map(|s| s.of(text.as_bytes())), Some(b"null".as_slice()));
    assert_eq!(none, None);
    let all: Vec<_> =
        each_member(text.as_bytes(), object).map(|m| m.key.of(text.as_bytes()).to_vec()).collect();
    assert_eq!(all, [b"x".to_vec(), b"name".to_vec(), b"n".to_vec(), b"uri".to_vec()]);
}

#[test]
fn a_deciding_member_may_not_occur_twice_even_escaped() {
    let text = r#"{"name":"a","\u006eame":"b"}"#;
    assert_eq!(member(text.as_bytes(), whole(text), "name").unwrap_err().code, Code::InvalidRequest);
    assert_eq!(member(text.as_bytes(), whole(text), "other"), Ok(None));
    let escaped = r#"{"n\u0061me":7}"#;
    assert!(member(escaped.as_bytes(), whole(escaped), "name").unwrap().is_some());
}

#[test]
fn elements_are_walked_in_order() {
    let text = r#"[1, "a,]" ,[2,3],{"k":"}"},-1.5e3 ]"#;
    let seen: Vec<_> = elements(text.as_bytes(), whole(text)).map(|s| &text[s.start..s.end]).collect();
    assert_eq!(seen, ["1", "\"a,]\"", "[2,3]", "{\"k\":\"}\"}", "-1.5e3"]);
    assert_eq!(elements(b"{}", Span { start: 0, end: 2 }).count(), 0);
    assert_eq!(elements(b"[]", Span { start: 0, end: 2 }).count(), 0);
}

#[test]
fn unquote_resolves_escapes_and_refuses_lone_surrogates() {
    assert_eq!(unquote(br#""tools\/call""#).as_deref(), Some("tools/call"));
    assert_eq!(unquote(br#""\ud83d\ude00""#).as_deref(), Some("😀"));
    assert_eq!(unquote(br#""\ud83d""#), None);
    assert_eq!(unquote(br#""\ud83d\u0041""#), None);
    assert_eq!(unquote(b"7"), None);
}

#[test]
fn a_member_is_cut_out_with_one_comma() {
    for (text, rest) in [
        (r#"{"task":{"ttl":1},"name":"a"}"#, r#"{"name":"a"}"#),
        (r#"{"name":"a" , "task" : [1,2] }"#, r#"{"name":"a"  }"#),
        (r#"{"a":1,"t\u0061sk":null,"b":2}"#, r#"{"a":1,"b":2}"#),
        (r#"{"task":1}"#, "{}"),
    ] {
        let cut = member_with_comma(text.as_bytes(), whole(text), "task").unwrap();
        let left = format!("{}{}", &text[..cut.start], &text[cut.end..]);
        assert_eq!(left, rest);
        assert!(check(left.as_bytes(), 0, 9).is_ok());
    }
    assert_eq!(member_with_comma(b"{}", Span { start: 0, end: 2 }, "task"), None);
}

#[test]
fn a_name_is_what_its_escapes_say_and_not_how_it_is_written() {
    let text = r#"{"a\\\\b":1,"a\\b":2,"\u0061\\\\b":3}"#.as_bytes();
    let object = Span { start: 0, end: text.len() };
    let value = |name| member(text, object, name).map(|span| span.map(|span| span.of(text)));
    assert_eq!(value(r"a\b"), Ok(Some(b"2".as_slice())));
    assert!(value(r"a\\b").is_err(), "twice, written in two ways");
    assert_eq!(value(r"a\\\\b"), Ok(None));
    let cut = member_with_comma(text, object, r"a\\b").unwrap();
    assert_eq!(cut.of(text), br#""a\\\\b":1,"#);
    let cut = member_with_comma(text, object, r"a\b").unwrap();
    assert_eq!(cut.of(text), br#""a\\b":2,"#);
}
