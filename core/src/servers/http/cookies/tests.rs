use super::*;
use crate::time::Unix;

/// 2026-11-30T00:00:00Z.
const NOW: Now = Now { mono: Mono(5_000_000_000), unix: Unix(1_795_996_800_000) };

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn jar(from: &str, fields: &[&str]) -> Jar {
    let mut jar = Jar::default();
    fields.iter().for_each(|field| jar.take(&url(from), field, NOW));
    jar
}

fn sent(jar: &Jar, to: &str) -> String {
    jar.field(&url(to), None, NOW.mono).unwrap_or_default()
}

#[test]
fn a_cookie_goes_back_where_its_attributes_say() {
    for (from, field, to, goes) in [
        ("http://a.test/mcp", "x=1", "http://a.test/mcp", true),
        ("http://a.test/mcp", "x=1", "http://a.test/other/path", true),
        ("http://a.test/v1/mcp", "x=1", "http://a.test/v1/other", true),
        ("http://a.test/v1/mcp", "x=1", "http://a.test/v2/mcp", false),
        ("http://a.test/v1/mcp", "x=1; Path=/", "http://a.test/v2/mcp", true),
        ("http://a.test/v1/mcp", "x=1; path=/v2", "http://a.test/v2", true),
        ("http://a.test/v1/mcp", "x=1; PATH=/v2", "http://a.test/v22", false),
        ("http://a.test/v1/mcp", "x=1; Path=/v2/", "http://a.test/v2/x", true),
        ("http://a.test/v1/mcp", "x=1; Path=v2", "http://a.test/v1/x", true),
        ("http://a.test/mcp", "x=1; Secure", "http://a.test/mcp", false),
        ("https://a.test/mcp", "x=1; Secure; HttpOnly; SameSite=None", "https://a.test/mcp", true),
        ("https://a.test/mcp", "x=1; secure", "http://a.test/mcp", false),
        ("https://a.test/mcp", "x=1", "http://a.test/mcp", true),
        ("http://b.a.test/mcp", "x=1; Domain=a.test", "http://b.a.test/mcp", true),
        ("http://b.a.test/mcp", "x=1; Domain=.A.Test", "http://b.a.test/mcp", true),
        ("http://b.a.test/mcp", "x=1; Domain=", "http://b.a.test/mcp", true),
        ("http://b.a.test/mcp", "x=1; Domain=c.a.test", "http://b.a.test/mcp", false),
        ("http://a.test/mcp", "x=1; Domain=b.a.test", "http://a.test/mcp", false),
        ("http://aa.test/mcp", "x=1; Domain=a.test", "http://aa.test/mcp", false),
        ("http://127.0.0.1/mcp", "x=1; Domain=127.0.0.1", "http://127.0.0.1/mcp", true),
        ("http://127.0.0.1/mcp", "x=1; Domain=0.0.1", "http://127.0.0.1/mcp", false),
        ("http://a.test:8080/mcp", "x=1", "http://a.test:8080/mcp", true),
        ("http://a.test/mcp", "x=1; Max-Age=60", "http://a.test/mcp", true),
        ("http://a.test/mcp", "x=1; Max-Age=0", "http://a.test/mcp", false),
        ("http://a.test/mcp", "x=1; Max-Age=-5", "http://a.test/mcp", false),
        ("http://a.test/mcp", "x=1; Max-Age=soon", "http://a.test/mcp", true),
        ("http://a.test/mcp", "x=1; Max-Age=99999999999999999999999", "http://a.test/mcp", true),
        ("http://a.test/mcp", "x=1; Expires=Mon, 30 Nov 2026 00:00:01 GMT", "http://a.test/mcp", true),
        ("http://a.test/mcp", "x=1; Expires=Sun, 29 Nov 2026 23:59:59 GMT", "http://a.test/mcp", false),
        ("http://a.test/mcp", "x=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT", "http://a.test/mcp", false),
        (
            "http://a.test/mcp",
            "x=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=5",
            "http://a.test/mcp",
            true,
        ),
        ("http://a.test/mcp", "x=1; Expires=whenever", "http://a.test/mcp", true),
        ("http://a.test/mcp", "no pair", "http://a.test/mcp", false),
        ("http://a.test/mcp", "=1", "http://a.test/mcp", false),
        ("http://a.test/mcp", "x=1\u{7f}", "http://a.test/mcp", false),
        ("http://a.test/mcp", "x=\u{e9}", "http://a.test/mcp", false),
    ] {
        let expected = if goes { "x=1" } else { "" };
        assert_eq!(sent(&jar(from, &[field]), to), expected, "{from} {field} {to}");
    }
}

#[test]
fn values_go_back_as_they_came() {
    for value in ["\"quoted\"", "a=b==", "", "%20+/"] {
        assert_eq!(
            sent(&jar("http://a.test/", &[&format!("x= {value} ; Path=/")]), "http://a.test/"),
            format!("x={value}")
        );
    }
}

#[test]
fn a_cookie_is_replaced_or_deleted_by_its_name_domain_and_path() {
    let mut jar = jar("http://a.test/mcp", &["x=1", "y=2", "x=3", "x=4; Path=/mcp"]);
    assert_eq!(sent(&jar, "http://a.test/mcp"), "x=4; x=3; y=2", "longer paths first, then the older");
    jar.take(&url("http://a.test/mcp"), "x=; Max-Age=0", NOW);
    assert_eq!(sent(&jar, "http://a.test/mcp"), "x=4; y=2");
    jar.take(&url("http://a.test/mcp"), "x=gone; Path=/mcp; Expires=Thu, 01 Jan 1970 00:00:00 GMT", NOW);
    assert_eq!(sent(&jar, "http://a.test/mcp"), "y=2");
}

#[test]
fn cookies_expire_by_the_clock_that_does_not_jump() {
    let jar = jar("http://a.test/", &["a=1; Max-Age=10", "b=2; Expires=Mon, 30 Nov 2026 00:00:20 GMT"]);
    let after = |ms| jar.field(&url("http://a.test/"), None, NOW.mono.plus_ms(ms)).unwrap_or_default();
    assert_eq!((after(9_999), after(10_000)), ("a=1; b=2".to_owned(), "b=2".to_owned()));
    assert_eq!((after(19_999), after(20_000)), ("b=2".to_owned(), String::new()));
}

#[test]
fn cookies_of_the_configuration_win() {
    let jar = jar("http://a.test/", &["a=1", "b=2"]);
    let field = |configured| jar.field(&url("http://a.test/"), configured, NOW.mono);
    assert_eq!(field(Some("b=mine; c=3")).as_deref(), Some("b=mine; c=3; a=1"));
    assert_eq!(field(None).as_deref(), Some("a=1; b=2"));
    assert_eq!(Jar::default().field(&url("http://a.test/"), None, NOW.mono), None);
    assert_eq!(Jar::default().field(&url("http://a.test/"), Some("c=3"), NOW.mono).as_deref(), Some("c=3"));
}

#[test]
fn the_jar_is_bounded() {
    let mut jar = Jar::default();
    let mut set = |field: &str| jar.take(&url("http://a.test/"), field, NOW);
    (0..COOKIES_MAX + 1).for_each(|n| set(&format!("c{n}=1")));
    let kept = sent(&jar, "http://a.test/");
    assert_eq!(kept.split("; ").count(), COOKIES_MAX);
    assert!(kept.starts_with("c1=1; c2=1"), "the oldest is gone");
    let mut set = |field: &str| jar.take(&url("http://a.test/"), field, NOW);
    set(&format!("big={}", "x".repeat(COOKIE_BYTES_MAX - 4)));
    set(&format!("bigger={}", "x".repeat(COOKIE_BYTES_MAX)));
    let kept = sent(&jar, "http://a.test/");
    assert!(kept.contains("big=x") && !kept.contains("bigger"));
    let mut set = |field: &str| jar.take(&url("http://a.test/"), field, NOW);
    (0..4).for_each(|n| set(&format!("d{n}={}", "x".repeat(3_000))));
    assert!(jar.size() <= JAR_BYTES_MAX && sent(&jar, "http://a.test/").contains("d3="));
}

#[test]
fn dates_are_read_in_all_their_forms() {
    for (text, seconds) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        ("Thu, 29-Feb-2024 12:00:00 GMT", Some(1_709_208_000)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("31 Dec 69 23:59:59", Some(3_155_759_999)),
        ("Sun, 06 Nov 1994 08:49 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ("06 Nov 1600 08:49:37", None),
        ("", None),
    ] {
        assert_eq!(date(text), seconds, "{text}");
    }
}
