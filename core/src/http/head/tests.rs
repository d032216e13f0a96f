use super::*;

fn request(text: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.parse(text.as_bytes(), 100).unwrap();
    head
}

#[test]
fn fields_are_found_by_name_in_any_case() {
    let head = request("GET /a?b=?c HTTP/1.1\r\nHost: a:1\r\nX-One: \t 1 2\t \r\nx-one: 3\r\nEmpty:\r\n\r\n");
    assert_eq!((head.method(), head.method_str(), head.version_minor()), (Method::Get, "GET", 1));
    assert_eq!((head.target(), head.path(), head.query()), ("/a?b=?c", "/a", Some("b=?c")));
    assert_eq!(head.header("x-ONE"), Some("1 2"));
    assert_eq!((head.count("X-one"), head.count("x"), head.header("x")), (2, 0, None));
    assert_eq!(head.header("empty"), Some(""));
    let all: Vec<_> = head.headers().collect();
    assert_eq!(all, [("Host", "a:1"), ("X-One", "1 2"), ("x-one", "3"), ("Empty", "")]);
}

#[test]
fn every_known_method_is_told_apart_from_other_tokens() {
    let table = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("get", Method::Other),
        ("PATCH", Method::Other),
    ];
    for (name, method) in table {
        assert_eq!(request(&format!("{name} / HTTP/1.0\r\n\r\n")).method(), method, "{name}");
    }
}

#[test]
fn an_absolute_target_gives_path_and_host() {
    let table = [
        ("http://b:1/x?y", "/x?y", "/x", Some("y")),
        ("HTTPS://b:1/", "/", "/", None),
        ("http://b:1", "/", "/", None),
    ];
    for (sent, target, path, query) in table {
        let head = request(&format!("GET {sent} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((head.target(), head.path(), head.query()), (target, path, query), "{sent}");
        assert_eq!(head.host(), Some("b:1"), "{sent}");
    }
    assert_eq!(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").host(), Some("a"));
    assert_eq!(request("GET / HTTP/1.0\r\n\r\n").host(), None);
    for bad in ["http:///x", "http://?x", "http://b?x", "//", "b:1", "?x"] {
        let mut head = RequestHead::default();
        let text = format!("GET {bad} HTTP/1.1\r\nHost: a\r\n\r\n");
        let result = head.parse(text.as_bytes(), 9);
        // Two slashes are a path of an empty segment.
        assert_eq!(result.is_ok(), bad == "//", "{bad}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_lose_no_field() {
    let mut head = RequestHead::default();
    head.parse(b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://\xE4\r\nX: \xC3\xA4\r\n\r\n", 9).unwrap();
    assert_eq!(head.header("origin"), Some("http://ä"));
    assert_eq!(head.header("x"), Some("Ã¤"));
    head.parse(b"GET / HTTP/1.1\r\nHost: a\r\nX: \xC3\xA4\r\n\r\n", 9).unwrap();
    assert_eq!((head.header("x"), head.header("origin")), (Some("ä"), None));
}

#[test]
fn connection_options_decide_on_keep_alive() {
    let table = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("HTTP/1.1", "Connection: CLOSE\r\n", false),
        ("HTTP/1.1", "Connection: x\r\nConnection: keep-alive , close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive\r\n", false),
        ("HTTP/1.0", "", false),
    ];
    for (version, field, keeps) in table {
        let head = request(&format!("GET / {version}\r\nHost: a\r\n{field}\r\n"));
        assert_eq!(head.keep_alive(), keeps, "{version} {field}");
        let mut head = ResponseHead::default();
        head.parse(format!("{version} 200 OK\r\n{field}\r\n").as_bytes(), 9).unwrap();
        assert_eq!(head.keep_alive(), keeps, "{version} {field}");
    }
}

#[test]
fn a_failed_parse_leaves_an_empty_head() {
    let mut head = request("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.parse(b"GET /b HTTP/1.1\r\n\r\n", 9).is_err());
    assert_eq!((head.method_str(), head.target(), head.headers().count()), ("", "/", 0));
}

#[test]
fn the_cap_on_fields_holds_whatever_the_limit_says() {
    let text = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(count));
    let mut head = RequestHead::default();
    assert!(head.parse(text(HEADERS_CAP).as_bytes(), usize::MAX).is_ok());
    let fault = head.parse(text(HEADERS_CAP + 1).as_bytes(), usize::MAX).unwrap_err();
    assert_eq!(fault.code, Code::HeadTooLarge);
}

#[test]
fn a_status_line_may_lack_its_phrase() {
    for line in ["HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1 200 \u{e4} b"] {
        let mut head = ResponseHead::default();
        head.parse(format!("{line}\r\nA: b\r\n\r\n").as_bytes(), 9).unwrap();
        assert_eq!((head.status(), head.header("a"), head.version_minor()), (200, Some("b"), 1), "{line}");
    }
}

#[test]
fn status_lines_that_are_refused() {
    let table = [
        ("HTTP/1.1 99 A", Code::BadHead),
        ("HTTP/1.1 099 A", Code::BadHead),
        ("HTTP/1.1 2000 A", Code::BadHead),
        ("HTTP/1.1  200 A", Code::BadHead),
        ("HTTP/1.1 abc A", Code::BadHead),
        ("HTTP/2.0 200 A", Code::BadHttpVersion),
        ("ICY 200 OK", Code::BadHttpVersion),
    ];
    for (line, code) in table {
        let mut head = ResponseHead::default();
        let result = head.parse(format!("{line}\r\n\r\n").as_bytes(), 9);
        assert_eq!(result.map_err(|fault| fault.code), Err(code), "{line}");
    }
}

#[test]
fn what_is_said_again_counts_once_and_different_values_are_refused() {
    // FT-202
    let table: [(&str, Option<Option<&str>>); 14] = [
        ("", Some(None)),
        ("X: a\r\n", Some(Some("a"))),
        ("X: a\r\nx: a\r\n", Some(Some("a"))),
        ("X: a, a\r\n", Some(Some("a"))),
        ("X: a,a\t, a\r\nX:a\r\n", Some(Some("a"))),
        ("X: a,\r\n", Some(Some("a"))),
        ("X:\r\n", Some(Some(""))),
        ("X: ,\r\n", Some(Some(""))),
        ("X: \"a,b\"\r\n", Some(Some("\"a,b\""))),
        ("X: \"a\\\",b\", \"a\\\",b\"\r\n", Some(Some("\"a\\\",b\""))),
        ("X: a\r\nX: A\r\n", None),
        ("X: a\r\nX: b\r\n", None),
        ("X: a, b\r\n", None),
        ("X: a\r\nX:\r\n", None),
    ];
    for (fields, value) in table {
        let head = request(&format!("GET / HTTP/1.0\r\n{fields}\r\n"));
        assert_eq!(head.single("x").ok(), value, "{fields:?}");
    }
}

#[test]
fn media_types_origins_and_credentials_are_compared_by_their_own_rules() {
    // FT-202, FT-510
    let head = |lines: &str| request(&format!("GET / HTTP/1.0\r\n{lines}\r\n"));
    for (one, other, same) in [
        ("application/json", "Application/JSON", true),
        ("application/json; charset=utf-8", "application/json;charset=UTF-8", true),
        ("application/json", "application/json; charset=utf-8", false),
        ("application/json", "text/plain", false),
    ] {
        for text in [
            format!("Content-Type: {one}\r\nContent-Type: {other}\r\n"),
            format!("Content-Type: {one}, {other}\r\n"),
        ] {
            let expected = same.then_some(Some(one));
            assert_eq!(head(&text).content_type().ok(), expected, "{text:?}");
        }
    }
    for (lines, origin) in [
        ("Origin: http://a.example\r\nOrigin: http://A.example\r\n", Some(Some("http://a.example"))),
        ("Origin: http://a.example, null\r\n", None),
        ("Origin: null\r\nOrigin: http://a.example\r\n", None),
    ] {
        assert_eq!(head(lines).origin().ok(), origin, "{lines:?}");
    }
    for (lines, credential) in [
        ("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n", Some(Some("Bearer a"))),
        ("Authorization: Bearer a, bearer a\r\n", None),
        ("Authorization: Bearer a, Bearer a\r\n", Some(Some("Bearer a"))),
        ("Authorization: Bearer a, Bearer b\r\n", None),
        ("Authorization: a\r\nAuthorization: b\r\n", None),
        ("Authorization: Bearer a\r\nAuthorization:\r\n", None),
        ("Authorization: Bearer a\r\nAuthorization: Basic a\r\n", None),
        ("Authorization: Digest a=1, b=2\r\n", Some(Some("Digest a=1, b=2"))),
        ("Authorization: Bearer a,b\r\n", Some(Some("Bearer a,b"))),
    ] {
        assert_eq!(head(lines).credential().ok(), credential, "{lines:?}");
    }
}
