use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn urls_are_taken_apart_and_normalised() {
    // (text, origin, host, port, target)
    let table = [
        ("http://example.com", "http://example.com", "example.com", 80, "/"),
        ("HTTPS://Example.COM:443/A?b#c", "https://example.com", "example.com", 443, "/A?b"),
        ("https://example.com:8443/x", "https://example.com:8443", "example.com", 8443, "/x"),
        ("http://example.com:443", "http://example.com:443", "example.com", 443, "/"),
        ("http://example.com:/x", "http://example.com", "example.com", 80, "/x"),
        ("http://[::1]:9090/mcp", "http://[::1]:9090", "::1", 9090, "/mcp"),
        ("http://[2001:DB8:0::1]", "http://[2001:db8::1]", "2001:db8::1", 80, "/"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1", "127.0.0.1", 1, "/"),
        ("http://my_host.local./a", "http://my_host.local.", "my_host.local.", 80, "/a"),
        ("http://h?q=/../x", "http://h", "h", 80, "/?q=/../x"),
        ("http://h/a/./b/../c/..", "http://h", "h", 80, "/a/"),
        ("http://h/../../a//b", "http://h", "h", 80, "/a//b"),
        ("https://mcp.amap.com/sse?key=<K>", "https://mcp.amap.com", "mcp.amap.com", 443, "/sse?key=<K>"),
    ];
    for (text, origin, host, port, target) in table {
        let url = url(text);
        assert_eq!(
            (url.origin().as_str(), url.host(), url.port(), url.target().as_str()),
            (origin, host, port, target)
        );
        assert_eq!(url.is_secure(), origin.starts_with("https:"));
        assert_eq!(Url::parse(&format!("{origin}{target}")), Ok(url), "{text}");
    }
}

#[test]
fn what_is_no_http_url_is_refused() {
    let table = [
        ("", UrlError::NoScheme),
        ("example.com", UrlError::NoScheme),
        ("example.com:80", UrlError::NoScheme),
        ("localhost:9090/x", UrlError::NoScheme),
        ("/path", UrlError::NoScheme),
        ("ftp://example.com", UrlError::BadScheme),
        ("javascript:alert(1)", UrlError::BadScheme),
        ("http:example.com", UrlError::NoHost),
        ("http://", UrlError::NoHost),
        ("http:///path", UrlError::NoHost),
        ("http://:80", UrlError::NoHost),
        ("http://user@host", UrlError::HasUserInfo),
        ("http://user:pw@host/", UrlError::HasUserInfo),
        ("http://good.example@evil.example/", UrlError::HasUserInfo),
        ("http://a b/", UrlError::BadCharacter),
        ("http://a/\r\nX: y", UrlError::BadCharacter),
        ("http://a/\u{7f}", UrlError::BadCharacter),
        ("http://münchen.example", UrlError::BadCharacter),
        ("http://a\\b/", UrlError::BadCharacter),
        ("http://a..b/", UrlError::BadHost),
        ("http://a%20b/", UrlError::BadHost),
        ("http://[::1/", UrlError::BadHost),
        ("http://[fe80::1%25eth0]/", UrlError::BadHost),
        ("http://[::1]x/", UrlError::BadHost),
        ("http://1.2.3/", UrlError::BadHost),
        ("http://1.2.3.256/", UrlError::BadHost),
        ("http://2130706433/", UrlError::BadHost),
        ("http://::1/", UrlError::NoHost),
        ("http://h:0/", UrlError::BadPort),
        ("http://h:65536/", UrlError::BadPort),
        ("http://h:+80/", UrlError::BadPort),
        ("http://h:80:80/", UrlError::BadPort),
    ];
    for (text, error) in table {
        assert_eq!(Url::parse(text), Err(error), "{text:?}");
    }
    let long = format!("http://h/{}", "a".repeat(URL_BYTES_MAX));
    assert_eq!(Url::parse(&long), Err(UrlError::TooLong));
    assert!(Url::parse(&long[..URL_BYTES_MAX]).is_ok());
    assert_eq!(Url::parse(&format!("http://{}/", "a".repeat(64))), Err(UrlError::BadHost));
}

#[test]
fn references_resolve_as_rfc_3986_says() {
    // The base and the results of RFC 3986 §5.4, as far as they concern http.
    let base = url("http://a/b/c/d;p?q");
    let table = [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        ("", "/b/c/d;p?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/./x", "/b/c/g?y/./x"),
        ("/messages?url=http://x", "/messages?url=http://x"),
    ];
    for (reference, target) in table {
        let resolved = base.resolve(reference).unwrap_or_else(|error| panic!("{reference}: {error}"));
        assert_eq!(
            (resolved.origin().as_str(), resolved.target().as_str()),
            ("http://a", target),
            "{reference}"
        );
    }
}

#[test]
fn a_reference_may_leave_the_origin_and_the_caller_can_see_it() {
    let base = url("https://a:8443/sse");
    let table = [
        ("//g/x", "https://g"),
        ("http://a:8443/m", "http://a:8443"),
        ("https://a/m", "https://a"),
        ("https://A:8443/m", "https://a:8443"),
    ];
    for (reference, origin) in table {
        assert_eq!(base.resolve(reference).map(|url| url.origin()).as_deref(), Ok(origin), "{reference}");
    }
    assert_eq!(base.resolve("//u@g/"), Err(UrlError::HasUserInfo));
    assert_eq!(base.resolve("file:///etc/passwd"), Err(UrlError::BadScheme));
    assert_eq!(base.resolve("/a b"), Err(UrlError::BadCharacter));
}

#[test]
fn display_and_debug_hide_the_query() {
    let url = url("https://h:1/sse?key=hunter2");
    assert_eq!(format!("{url} {url:?}"), "https://h:1/sse?*** https://h:1/sse?***");
    assert_eq!(url.query(), Some("key=hunter2"));
}
