use super::*;

const AI: &str = "https://claude.ai/api/mcp/auth_callback";
const COM: &str = "https://claude.com/api/mcp/auth_callback";

fn policy(entries: &[&str]) -> Policy {
    Policy::parse(entries.iter().copied(), true)
        .unwrap_or_else(|problems| panic!("{entries:?}: {problems:?}"))
}

/// Every preset, so everything that any of them admits.
fn widest() -> Policy {
    policy(&["claude", "loopback", "cursor", "vscode", "chatgpt", "inspector", "any-https"])
}

#[test]
fn the_default_admits_exactly_the_two_callbacks_of_claude() {
    // OA-76, SEED-113, T-01
    let default = Policy::default();
    assert_eq!(default, policy(&["claude"]));
    assert!(default.loose_loopback());
    for good in [AI, COM] {
        assert_eq!(default.admits(good), Ok(Admission::Exact), "{good}");
        assert!(is_builtin_claude(good));
    }
    let bad = [
        "",
        "claude",
        "https://claude.ai",
        "https://claude.ai/",
        "https://claude.ai/api/mcp/auth_callback/",
        "https://claude.ai/api/mcp/auth_callback?x=y",
        "https://claude.ai/api/mcp/auth_callback#x",
        "https://claude.ai/api/mcp/auth_callback/x",
        "https://claude.ai/api/mcp/../mcp/auth_callback",
        "https://claude.ai/api/mcp/%61uth_callback",
        "https://claude.ai/api/mcp/%2e%2e/mcp/auth_callback",
        "https://claude.ai:443/api/mcp/auth_callback",
        "https://claude.ai./api/mcp/auth_callback",
        "https://CLAUDE.ai/api/mcp/auth_callback",
        "HTTPS://claude.ai/api/mcp/auth_callback",
        "http://claude.ai/api/mcp/auth_callback",
        "https://claude.ai.evil.test/api/mcp/auth_callback",
        "https://claude.ai@evil.test/api/mcp/auth_callback",
        "https://evil.test/https://claude.ai/api/mcp/auth_callback",
        "https://claude.ai\\@evil.test/api/mcp/auth_callback",
        "//claude.ai/api/mcp/auth_callback",
        " https://claude.ai/api/mcp/auth_callback",
        "https://claude.ai/api/mcp/auth_callback\n",
        "http://localhost:3118/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
    ];
    for uri in bad {
        let reason = default.admits(uri).expect_err(uri);
        assert!(reason.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{reason}");
        assert!(!reason.contains("evil"), "{reason}");
        assert!(!is_builtin_claude(uri), "{uri}");
    }
}

#[test]
fn presets_admit_what_their_clients_send() {
    // OA-78: (preset, target, how)
    let table = [
        ("loopback", "http://localhost:3118/callback", Some(Admission::Open)),
        ("loopback", "http://localhost/callback", Some(Admission::Open)),
        ("loopback", "http://127.0.0.1:1/a/b?c=d", Some(Admission::Open)),
        ("loopback", "http://127.0.0.1", Some(Admission::Open)),
        ("loopback", "http://[::1]:65535/", Some(Admission::Open)),
        ("loopback", "https://localhost:3118/callback", None),
        ("loopback", AI, None),
        ("cursor", "cursor://anysphere.cursor-mcp/oauth/callback", Some(Admission::Open)),
        ("cursor", "https://www.cursor.com/agents/mcp/oauth/callback", Some(Admission::Exact)),
        ("cursor", "http://localhost:8787/callback", Some(Admission::Open)),
        ("cursor", "http://127.0.0.1:8788/callback", Some(Admission::Open)),
        ("cursor", "http://localhost:8787/other", None),
        ("cursor", "cursor://anysphere.cursor-mcp/oauth/callback/x", None),
        ("cursor", "cursor://evil/oauth/callback", None),
        ("vscode", "http://127.0.0.1:33418/", Some(Admission::Open)),
        ("vscode", "http://127.0.0.1/", Some(Admission::Open)),
        ("vscode", "http://localhost:50123/", Some(Admission::Open)),
        ("vscode", "https://vscode.dev/redirect", Some(Admission::Exact)),
        ("vscode", "https://insiders.vscode.dev/redirect", Some(Admission::Exact)),
        ("vscode", "http://127.0.0.1:33418/x", None),
        ("chatgpt", "https://chatgpt.com/connector_platform_oauth_redirect", Some(Admission::Exact)),
        ("chatgpt", "https://chatgpt.com/connector/oauth/aB_1-x", Some(Admission::Open)),
        ("inspector", "http://localhost:6274/oauth/callback", Some(Admission::Open)),
        ("inspector", "http://127.0.0.1:6274/oauth/callback/debug", Some(Admission::Open)),
        ("any-https", "https://evil.test:8443/x?y=z", Some(Admission::Open)),
        ("any-https", AI, Some(Admission::Open)),
        ("any-https", "http://evil.test/", None),
        ("any-https", "http://localhost/", None),
        ("any-https", "app://callback", None),
    ];
    for (preset, uri, expected) in table {
        assert_eq!(policy(&[preset]).admits(uri).ok(), expected, "{preset} {uri}");
    }
    // In the company of a wider entry an exact one stays exact.
    assert_eq!(widest().admits(AI), Ok(Admission::Exact));
    assert_eq!(Policy::parse(std::iter::empty(), true).map(|none| none.admits(AI).is_err()), Ok(true));
}

#[test]
fn what_only_looks_like_loopback_is_refused_under_every_preset() {
    // T-03
    let bad = [
        "http://127.0.0.1.evil.test/",
        "http://localhost.evil.test:1/",
        "http://localhost.:1/",
        "http://localhostevil/",
        "http://localhost:80@evil.test/",
        "http://localhost@evil.test/",
        "http://evil.test@localhost/",
        "http://@localhost/",
        "http://localhost\\@evil.test/",
        "http://localhost\\.evil.test/",
        "http://[::ffff:127.0.0.1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::1%25eth0]/",
        "http://[::1].evil.test/",
        "http://[::1]evil/",
        "http://[::1/",
        "http://[::]/",
        "http://::1/",
        "http://0.0.0.0/",
        "http://0/",
        "http://127.1/",
        "http://127.0.0.2/",
        "http://127.0.0.01/",
        "http://0127.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://2130706433/",
        "http://LOCALHOST/",
        "http://LocalHost:1/",
        "HTTP://localhost/",
        "http://loc%61lhost/",
        "http://127%2e0.0.1/",
        "http://localhos\u{ff54}/",
        "http://local\thost/",
        "http:localhost/",
        "http:/localhost/",
        "http:///localhost/",
        "http:////localhost/",
        "http://",
        "http:///",
        "http://localhost:0/",
        "http://localhost:65536/",
        "http://localhost:+1/",
        "http://localhost:-1/",
        "http://localhost:1:2/",
        "http://localhost:1evil.test/",
        "http://localhost::1/",
        "http://localhost;evil.test/",
        "http://localhost,evil.test/",
        "//localhost/",
        "localhost:80/",
    ];
    for uri in bad {
        assert!(widest().admits(uri).is_err(), "{uri}");
        assert!(!is_loopback(uri), "{uri}");
    }
}

#[test]
fn every_port_of_loopback_is_admitted() {
    // T-03
    let loopback = policy(&["loopback"]);
    for port in 1..=u16::MAX {
        let uri = format!("http://localhost:{port}/callback");
        assert_eq!(loopback.admits(&uri), Ok(Admission::Open));
        assert!(same_target("http://localhost/callback", &uri, false));
    }
}

#[test]
fn targets_of_a_forbidden_form_are_refused_under_every_preset() {
    // OA-79, T-02, T-23
    let long = format!("https://example.com/{}", "x".repeat(2048));
    let bad = [
        "https://example.com/#",
        "https://example.com/a#b",
        "http://localhost/#x",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://@example.com/",
        "https://example.com/*",
        "https://*.example.com/",
        "https://example.com/\r\nSet-Cookie:%20a=b",
        "https://example.com/%0d%0aSet-Cookie:%20a=b",
        "https://example.com/%00",
        "https://example.com/%7F",
        "https://example.com/%",
        "https://example.com/%1",
        "https://example.com/%zz",
        "https://example.com/\t",
        "https://example.com/a b",
        "https://example.com/ä",
        "https://example.com/\u{202e}",
        "https://example.com/\\",
        "https://example.com/\"><script>",
        "https://example.com/`",
        "https:\\\\example.com/",
        "https:example.com",
        "https:///example.com",
        "https://",
        "https://ex%61mple.com/",
        "https://ex..mple.com/",
        "https://0x7f000001/",
        "https://0X7F.1/",
        "https://a.example.0x/",
        "https://127.0.0.0x1./",
        "https://2130706433/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://[::1/",
        "https://example.com:99999/",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "javascript://claude.ai/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://claude.ai/x",
        "about:blank",
        "ftp://example.com/",
        "ws://localhost/",
        "wss://example.com/",
        "intent://x",
        "view-source:https://claude.ai/",
        "filesystem:https://claude.ai/x",
        "mailto:a@example.com",
        "c:/windows",
        "1a:x",
        ":x",
        "app:",
        "app://",
        "",
        "/callback",
        "*",
        &long,
    ];
    for uri in bad {
        let reason = widest().admits(uri).expect_err(uri);
        assert!(reason.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{reason}");
        assert_eq!(check(uri), Err(reason), "{uri}");
        // Nor can the list name it; a single `*` at the end of a path is the list's own sign.
        if uri != "https://example.com/*" {
            assert!(Policy::parse([uri].into_iter(), true).is_err(), "{uri}");
        }
    }
    let longest = format!("https://example.com/{}", "x".repeat(2048 - 20));
    assert_eq!(widest().admits(&longest), Ok(Admission::Open));
}

#[test]
fn a_prefix_stands_for_one_plain_segment() {
    let prefix = policy(&["https://example.com/a/*"]);
    for good in ["https://example.com/a/b", "https://example.com/a/b-1_2.3~", "https://example.com/a/.b"] {
        assert_eq!(prefix.admits(good), Ok(Admission::Open), "{good}");
    }
    for bad in [
        "https://example.com/a/",
        "https://example.com/a",
        "https://example.com/a/b/c",
        "https://example.com/a/b/",
        "https://example.com/a/..",
        "https://example.com/a/.",
        "https://example.com/a/../../x",
        "https://example.com/a/%2e%2e",
        "https://example.com/a/%2e.",
        "https://example.com/a/b%2f..",
        "https://example.com/a/b?c",
        "https://example.com/a/b;c",
        "https://example.com/ab",
        "https://example.com.evil.test/a/b",
        "https://example.com@evil.test/a/b",
        "https://EXAMPLE.com/a/b",
        "https://example.com:444/a/b",
        "http://example.com/a/b",
    ] {
        assert!(prefix.admits(bad).is_err(), "{bad}");
    }
    for entry in [
        "https://example.com/a*",
        "https://example.com*",
        "https://*",
        "https://*/a/*",
        "https://*.example.com/",
        "https://example.com/a/**",
        "https://example.com/*/b",
        "https://example.com/?a=/*",
        "http://localhost/*",
        "app://x/*",
        "*",
    ] {
        assert!(Policy::parse([entry].into_iter(), true).is_err(), "{entry}");
    }
}

#[test]
fn bad_entries_are_named_by_their_places() {
    let entries = ["claude", "claud", "http://example.com/", "app://x/y", "javascript:x"];
    let problems = Policy::parse(entries.into_iter(), true).expect_err("three bad entries");
    let places: Vec<usize> = problems.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [1, 2, 4]);
    assert!(problems[0].1.contains("presets `claude`, `loopback`"), "{problems:?}");
}

#[test]
fn targets_are_compared_as_strings_but_for_the_port_of_loopback() {
    // OA-112: (registered, given, same, same when loose)
    let table = [
        (AI, AI, true, true),
        (AI, COM, false, false),
        (AI, "https://claude.ai:443/api/mcp/auth_callback", false, false),
        (AI, "https://claude.ai/api/mcp/auth_callback?", false, false),
        ("https://a.example/x", "https://a.example:8443/x", false, false),
        ("https://localhost:1/x", "https://localhost:2/x", false, false),
        ("app://x/y", "app://x/y", true, true),
        ("app://x:1/y", "app://x:2/y", false, false),
        ("http://localhost/callback", "http://localhost:3118/callback", true, true),
        ("http://localhost:1/callback", "http://localhost/callback", true, true),
        ("http://127.0.0.1:1/?a=b", "http://127.0.0.1:2/?a=b", true, true),
        ("http://[::1]:1/", "http://[::1]:2/", true, true),
        ("http://localhost", "http://localhost:1", true, true),
        ("http://localhost/callback", "http://127.0.0.1:1/callback", false, true),
        ("http://127.0.0.1/callback", "http://localhost:1/callback", false, true),
        ("http://localhost/callback", "http://[::1]:1/callback", false, false),
        ("http://[::1]/callback", "http://127.0.0.1:1/callback", false, false),
        ("http://localhost/callback", "http://localhost:1/callback/", false, false),
        ("http://localhost/callback", "http://localhost:1/Callback", false, false),
        ("http://localhost/callback", "http://localhost:1/callback?a", false, false),
        ("http://localhost/callback", "http://localhost:1/callback#a", false, false),
        ("http://localhost/callback", "http://localhost:1/x/../callback", false, false),
        ("http://localhost/callback", "https://localhost:1/callback", false, false),
        ("http://localhost/callback", "http://localhost:1@evil.test/callback", false, false),
        ("http://localhost/callback", "http://localhost.evil.test/callback", false, false),
        ("http://localhost/callback", "http://LOCALHOST:1/callback", false, false),
        ("http://localhost/callback", "http://localhost:0/callback", false, false),
    ];
    for (registered, given, strict, loose) in table {
        assert_eq!(same_target(registered, given, false), strict, "{registered} {given}");
        assert_eq!(same_target(registered, given, true), loose, "{registered} {given}");
    }
    // An entry of the list that is a loopback target is compared in the same way.
    let strict =
        Policy::parse(["http://localhost:1/callback"].into_iter(), false).expect("a loopback target");
    assert_eq!(strict.admits("http://localhost:2/callback"), Ok(Admission::Open));
    assert!(strict.admits("http://127.0.0.1:2/callback").is_err());
}

#[test]
fn presets_bring_the_hosts_of_their_documents() {
    let table: [(&[&str], &[&str]); 8] = [
        (&["claude"], &["claude.ai"]),
        (&[AI], &["claude.ai"]),
        (&["vscode"], &["vscode.dev"]),
        (&["claude", "chatgpt", "claude"], &["claude.ai", "chatgpt.com"]),
        (&["loopback"], &["claude.ai", "chatgpt.com", "zed.dev", "opencode.ai"]),
        (&["cursor", "inspector"], &[]),
        (&["any-https"], &[]),
        (&["https://example.com/cb"], &[]),
    ];
    for (entries, hosts) in table {
        assert_eq!(policy(entries).document_hosts(), hosts, "{entries:?}");
    }
    assert_eq!(Policy::default().document_hosts(), ["claude.ai"]);
}

#[test]
fn a_target_is_shown_and_named_to_a_browser_by_where_it_leads() {
    // (target, shown, source of form-action)
    let table = [
        (AI, "claude.ai", "https://claude.ai"),
        ("https://example.com:8443/x?y", "example.com:8443", "https://example.com:8443"),
        ("https://Example.com:443/", "example.com", "https://example.com"),
        ("https://a_b.example/", "a_b.example", "https:"),
        ("https://a.example./", "a.example.", "https:"),
        ("https://192.0.2.1/", "192.0.2.1", "https:"),
        ("https://[2001:db8::1]:1/", "[2001:db8::1]:1", "https:"),
        ("http://localhost:3118/callback", "localhost:3118", "http://localhost:3118"),
        ("http://127.0.0.1/", "127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:1/", "[::1]:1", "http:"),
        ("cursor://anysphere.cursor-mcp/oauth", "cursor://anysphere.cursor-mcp", "cursor:"),
        ("com.example.app:/cb", "com.example.app:", "com.example.app:"),
        ("javascript:alert(1)", "", "'none'"),
        ("http://evil.test/", "", "'none'"),
        ("", "", "'none'"),
    ];
    for (uri, shown, source) in table {
        assert_eq!((shown_host(uri).as_str(), form_action_source(uri).as_str()), (shown, source), "{uri}");
    }
    assert!(is_loopback("http://[::1]:1/") && !is_loopback(AI) && !is_loopback("app://localhost/"));
}

#[test]
fn parameters_are_added_behind_those_that_are_there() {
    let table = [
        ("https://a/b", "https://a/b?code=x%20y%26&state=%C3%A4%3D"),
        ("https://a/b?c=d", "https://a/b?c=d&code=x%20y%26&state=%C3%A4%3D"),
        ("https://a/b?c=d&", "https://a/b?c=d&code=x%20y%26&state=%C3%A4%3D"),
        ("https://a?", "https://a?code=x%20y%26&state=%C3%A4%3D"),
        ("app:/b", "app:/b?code=x%20y%26&state=%C3%A4%3D"),
        ("https://a/b#c?d", "https://a/b?code=x%20y%26&state=%C3%A4%3D"),
    ];
    for (uri, expected) in table {
        assert_eq!(with_parameters(uri, &[("code", "x y&"), ("state", "ä=")]), expected);
    }
    assert_eq!(with_parameters("https://a", &[]), "https://a");
}

#[test]
fn an_empty_port_is_none_on_loopback_and_refused_elsewhere() {
    // FT-511
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        for rest in ["/cb", "", "/", "?a=b", "/cb?a=b"] {
            let empty = format!("http://{host}:{rest}");
            assert_eq!(widest().admits(&empty), Ok(Admission::Open), "{empty}");
            assert!(is_loopback(&empty) && check(&empty).is_ok(), "{empty}");
            for port in ["", ":", ":1", ":65535"] {
                let other = format!("http://{host}{port}{rest}");
                assert!(same_target(&empty, &other, false) && same_target(&other, &empty, false), "{other}");
            }
            assert!(!same_target(&empty, &format!("http://{host}/other"), true), "{empty}");
        }
        assert_eq!(
            policy(&[&format!("http://{host}:/cb")]).admits(&format!("http://{host}:7/cb")),
            Ok(Admission::Open)
        );
    }
    assert!(same_target("http://localhost:/cb", "http://127.0.0.1:5/cb", true));
    assert!(!same_target("http://localhost:/cb", "http://127.0.0.1:5/cb", false));
    for host in ["app.example", "localhost", "192.0.2.1", "[2001:db8::1]", "claude.ai"] {
        for rest in ["/cb", "", "/", "?a=b", "/api/mcp/auth_callback"] {
            let empty = format!("https://{host}:{rest}");
            let reason = widest().admits(&empty).expect_err(&empty);
            assert!(reason.contains("port"), "{empty}: {reason}");
            assert!(check(&empty).is_err() && Policy::parse([empty.as_str()].into_iter(), true).is_err());
        }
    }
    for bad in ["http://localhost::/cb", "http://localhost: /cb", "http://[::1]::/cb", "http://evil.test:/cb"]
    {
        assert!(widest().admits(bad).is_err(), "{bad}");
    }
}
