//! What TBXark/mcp-proxy promises, row by row.

use super::*;

/// The example of its README, verbatim.
const FULL: &str = include_str!("seed_full.jsonc");
/// The OAuth example of its README, verbatim.
const OAUTH: &str = include_str!("seed_oauth.jsonc");
/// Its remaining examples, verbatim.
const SNIPPETS: &str = include_str!("seed_snippets.jsonc");

const V1: &str = r#"{
  "server": {
    "baseURL": "https://my.mcp.example/prefix/", "addr": ":9091", "name": "old", "version": "0.9",
    "globalAuthTokens": ["global"]
  },
  "clients": {
    "one": {"type": "stdio", "config": {"command": "npx", "args": ["-y", "x"], "env": {"A": "B"}},
            "authTokens": ["own", "global"], "panicIfInvalid": true, "logEnabled": true},
    "two": {"type": "sse", "config": {"url": "https://two.example/sse", "headers": {"K": "V"}}},
    "three": {"type": "streamable-http", "config": {"url": "https://three.example/mcp", "timeout": 30000000000}},
    "four": {"type": "carrier-pigeon", "config": {}},
    "five": {"type": "stdio", "config": {"args": []}},
    "six": {"type": "sse", "config": "x"},
    "seven": {"type": "sse"},
    "eight": 8
  }
}"#;

#[test]
fn the_examples_load_with_their_oauth_server() {
    // SEED-018, SEED-020, SEED-030, SEED-100 to SEED-106
    // The same when both transports are served.
    for text in [FULL.to_owned(), FULL.replace(r#""streamable-http","#, r#""both","#), OAUTH.to_owned()] {
        let loaded = load(&text);
        assert!(loaded.config.oauth2.as_ref().is_some_and(|oauth2| oauth2.enabled));
        only(&loaded.warnings, Severity::Warning, "160.79.104.0/21");
        assert_eq!(loaded.warnings.len(), 1, "{}", lines(&loaded.warnings));
        assert!(!format!("{loaded:?}").contains("password123"));
    }
}

#[test]
fn the_oauth_snippets_are_protected_or_said_to_be_open() {
    // The other examples of the README, verbatim: the first two without a type, so with `sse`.
    let snippets: Vec<&str> = SNIPPETS.split("----\n").collect();
    let [no_type @ .., minimal, production, testing] = snippets.as_slice() else { panic!("five snippets") };
    assert_eq!(no_type.len(), 2);
    for text in no_type {
        only(&load(text).warnings, Severity::Warning, "oauth2 is ignored, because `mcpProxy.type` is `sse`");
    }
    for text in [minimal, production, testing] {
        let loaded = load(text);
        assert!(loaded.config.oauth2.is_some_and(|oauth2| oauth2.enabled));
        only(&loaded.warnings, Severity::Warning, "without `mcpProxy.baseURL` only programs on this machine");
    }
}

#[test]
fn the_full_example_loads_without_oauth() {
    // SEED-018, SEED-020, SEED-039
    let text = FULL.replace(r#""enabled": true"#, r#""enabled": false"#);
    let config = load(&text).config;
    assert_eq!(config.base_url.as_ref().map(Url::origin).as_deref(), Some("https://mcp.example.com"));
    assert_eq!(config.base_path, "");
    assert_eq!(
        (config.addr.to_string().as_str(), config.name.as_str(), config.version.as_str()),
        (":9090", "MCP Proxy", "1.0.0")
    );
    assert_eq!(config.serve, Serve::StreamableHttp);
    let oauth2 = config.oauth2.as_ref().expect("oauth2");
    assert!(!oauth2.enabled);
    assert_eq!(oauth2.users.iter().map(|user| user.0.as_str()).collect::<Vec<_>>(), ["admin", "user"]);
    assert_eq!(oauth2.persistence_dir.as_deref(), Some("/custom/path/oauth"));
    assert_eq!((oauth2.template_dir.as_str(), oauth2.token_minutes), ("/custom/templates", 60));
    assert_eq!(oauth2.allowed_ips.len(), 5);

    let [github, fetch, amap] = config.servers.as_slice() else { panic!("three servers") };
    assert_eq!((github.name.as_str(), fetch.name.as_str(), amap.name.as_str()), ("github", "fetch", "amap"));
    // SEED-025, SEED-026: inherited, or replaced as a whole.
    assert_eq!(exposed(&github.options.auth_tokens), ["DefaultTokens"]);
    assert_eq!((github.options.panic_if_invalid, github.options.log_enabled), (false, true));
    assert_eq!(exposed(&fetch.options.auth_tokens), ["SpecificTokens"]);
    assert_eq!((fetch.options.panic_if_invalid, fetch.options.log_enabled), (true, false));
    // SEED-031
    assert!(!github.filters.tools.admits("create_or_update_file") && github.filters.tools.admits("get_me"));
    assert!(fetch.filters.tools.admits("fetch"));
    let Transport::Stdio { command, args, env, cwd } = &github.transport else { panic!("github is stdio") };
    assert_eq!((command.as_str(), args.len(), cwd), ("npx", 2, &None));
    assert_eq!(
        (env[0].0.as_str(), env[0].1.expose().as_str()),
        ("GITHUB_PERSONAL_ACCESS_TOKEN", "<YOUR_TOKEN>")
    );
    // SEED-037, SEED-040
    let Transport::Http { url, first, headers } = &amap.transport else { panic!("amap is http") };
    assert_eq!((url.target().as_str(), *first), ("/sse?key=<YOUR_TOKEN>", HttpKind::Sse));
    assert_eq!((amap.options.times.silence_ms, headers.len()), (None, 0));
}

#[test]
fn with_sse_oauth_is_ignored_and_every_open_server_is_named() {
    // SEED-100
    let text = FULL
        .replace(r#""streamable-http",//"#, r#""sse",//"#)
        .replace(r#""SpecificTokens""#, "")
        .replace(r#""amap": {"#, r#""closed": {"url": "http://x"}, "open/secret": {"url": "http://x", "options": {"authTokens": []}}, "amap": {"#);
    let loaded = load(&text);
    only(
        &loaded.warnings,
        Severity::Warning,
        "oauth2 is ignored, because `mcpProxy.type` is `sse`; anybody can use these servers, they have no authTokens: \
         `fetch`, `open/***`",
    );
    assert!(!loaded.config.oauth2.expect("kept for its templateDir").enabled);
}

#[test]
fn mcp_proxy_is_required() {
    // SEED-017
    for text in ["{}", r#"{"clients": {}}"#, r#"{"mcpProxy": null}"#] {
        only(&refuse(text), Severity::Error, "mcpProxy is required");
    }
    // A wrong type is another problem.
    assert_eq!(refuse(r#"{"mcpProxy": 1}"#).iter().filter(|n| n.severity == Severity::Error).count(), 1);
}

#[test]
fn the_smallest_configuration_has_defaults() {
    // SEED-022, SEED-024
    let loaded = load(r#"{"mcpProxy": {}}"#);
    let config = loaded.config;
    assert_eq!((config.addr, config.base_url, config.base_path.as_str()), (Addr::default(), None, ""));
    assert_eq!((config.serve, config.name.as_str()), (Serve::Sse, "mcp-proxy"));
    only(&loaded.warnings, Severity::Warning, "there is no server");
}

#[test]
fn base_url_gives_the_prefix_of_the_routes() {
    // SEED-021
    for (url, path) in
        [("https://h", ""), ("https://h/", ""), ("https://h/a", "/a"), ("https://h/a/b/", "/a/b")]
    {
        assert_eq!(load(&v2(&format!(r#""baseURL": "{url}""#), "")).config.base_path, path);
    }
    for url in ["h/a", "ftp://h", "https://h/a?b", "https://h/#x", "https://u:p@h", "https://h//a"] {
        only(&refuse(&v2(&format!(r#""baseURL": "{url}""#), "")), Severity::Error, "`mcpProxy.baseURL`: ");
    }
}

#[test]
fn an_unknown_type_of_the_proxy_is_named() {
    // SEED-024
    let table = [
        ("http", "expected `sse`, `streamable-http` or `both`"),
        ("streamable_http", "did you mean `streamable-http`?"),
        ("SSE", "did you mean `sse`?"),
    ];
    for (kind, suggestion) in table {
        let notices = refuse(&v2(&format!(r#""type": "{kind}""#), ""));
        only(&notices, Severity::Error, &format!("unknown server type `{kind}`, {suggestion}"));
    }
}

#[test]
fn the_transport_follows_from_the_keys() {
    // SEED-035 to SEED-038: (server, transport, warnings)
    let table = [
        (r#"{"command": "x"}"#, "stdio", 0),
        (r#"{"command": "x", "transportType": "stdio"}"#, "stdio", 0),
        (r#"{"command": "x", "url": "http://h"}"#, "stdio", 1),
        (r#"{"command": "x", "transportType": "sse"}"#, "stdio", 1),
        (r#"{"url": "http://h"}"#, "sse", 0),
        (r#"{"url": "http://h", "transportType": ""}"#, "sse", 0),
        (r#"{"url": "http://h", "command": ""}"#, "sse", 0),
        (r#"{"url": "http://h", "transportType": "sse"}"#, "sse", 0),
        (r#"{"url": "http://h", "transportType": "streamable-http"}"#, "streamable-http", 0),
        (r#"{"url": "http://h", "transportType": "streamable"}"#, "sse", 1),
    ];
    for (text, expected, warnings) in table {
        let mut loaded = load(&v2("", &format!(r#""s": {text}"#)));
        let kind = match loaded.config.servers.remove(0).transport {
            Transport::Stdio { .. } => "stdio",
            Transport::Http { first: HttpKind::Sse, .. } => "sse",
            Transport::Http { first: HttpKind::Streamable, .. } => "streamable-http",
        };
        assert_eq!((kind, loaded.warnings.len()), (expected, warnings), "{text}");
    }
    let stdio = refuse(&v2("", r#""s": {"transportType": "stdio", "url": "http://h"}"#));
    only(&stdio, Severity::Error, "command is required for stdio transport");
    for text in ["{}", r#"{"transportType": "sse"}"#, r#"{"transportType": "x"}"#, r#"{"args": []}"#] {
        only(&refuse(&v2("", &format!(r#""s": {text}"#))), Severity::Error, "invalid server type");
    }
}

#[test]
fn options_are_inherited_field_by_field() {
    // SEED-026: (server's options, panicIfInvalid, logEnabled, tokens)
    let table: [(&str, bool, bool, &[&str]); 6] = [
        ("{}", true, true, &["d"]),
        (r#"{"panicIfInvalid": false}"#, false, true, &["d"]),
        (r#"{"logEnabled": false}"#, true, false, &["d"]),
        (r#"{"authTokens": []}"#, true, true, &[]),
        (r#"{"authTokens": ["a", "b"]}"#, true, true, &["a", "b"]),
        (r#"{"authTokens": null}"#, true, true, &["d"]),
    ];
    let proxy =
        r#""options": {"panicIfInvalid": true, "logEnabled": true, "authTokens": ["d"], "idleSeconds": 9}"#;
    for (own, panic_if_invalid, log_enabled, tokens) in table {
        let options = load(&v2(proxy, &format!(r#""s": {{"command": "x", "options": {own}}}"#)))
            .config
            .servers
            .remove(0)
            .options;
        assert_eq!((options.panic_if_invalid, options.log_enabled), (panic_if_invalid, log_enabled), "{own}");
        assert_eq!(exposed(&options.auth_tokens), tokens, "{own}");
        assert_eq!(options.idle_ms, Some(9_000));
    }
    // SEED-027 to SEED-029: defaults. `toolFilter` and `disabled` are not inherited (SEED-031).
    let proxy = r#""options": {"disabled": true, "toolFilter": {"mode": "allow", "list": ["t"]}}"#;
    let loaded =
        load(&v2(proxy, r#""s": {"command": "x"}, "t": {"command": "x", "options": {"disabled": true}}"#));
    let [s, t] = loaded.config.servers.as_slice() else { panic!("two servers") };
    assert_eq!(s.options, Options::default());
    assert_eq!((&s.filters, s.disabled, t.disabled), (&Filters::default(), false, true));
    assert_eq!(
        loaded.warnings.iter().filter(|n| n.message.contains("only effective in `mcpServers`")).count(),
        2
    );
}

#[test]
fn time_limits_are_durations_with_an_upper_bound_and_are_inherited() {
    let proxy = r#""options": {"startupTimeout": "30s", "silenceTimeout": 90, "listWait": 0}"#;
    let own = r#""s": {"command": "x", "options": {"silenceTimeout": "1500ms", "callTimeout": "24h"}}"#;
    let times = load(&v2(proxy, own)).config.servers.remove(0).options.times;
    let expected = Times {
        startup_ms: Some(30_000),
        call_ms: Some(24 * 3_600_000),
        silence_ms: Some(1_500),
        list_wait_ms: Some(0),
    };
    assert_eq!(times, expected);
    // (key, one beyond, what is said)
    let table = [
        ("startupTimeout", "\"1h1ms\"", "`mcpServers.s.options.startupTimeout`: at most 1h"),
        ("listWait", "\"1m1ms\"", "`mcpServers.s.options.listWait`: at most 1m"),
        ("silenceTimeout", "\"24h1ms\"", "`mcpServers.s.options.silenceTimeout`: at most 24h"),
        ("callTimeout", "\"25h\"", "`mcpServers.s.options.callTimeout`: at most 24h"),
        ("callTimeout", "\"soon\"", "`mcpServers.s.options.callTimeout`: expected a duration"),
        ("callTimeout", "-1", "`mcpServers.s.options.callTimeout`: expected a duration"),
    ];
    for (key, value, part) in table {
        let text = v2("", &format!(r#""s": {{"command": "x", "options": {{"{key}": {value}}}}}"#));
        only(&refuse(&text), Severity::Error, part);
    }
    // Zero is none, as for `timeout`.
    let text = v2("", r#""s": {"command": "x", "options": {"callTimeout": 0, "startupTimeout": "0s"}}"#);
    assert_eq!(load(&text).config.servers[0].options.times, Times::default());
}

#[test]
fn a_tool_filter_without_a_valid_mode_is_skipped_with_a_warning() {
    // SEED-031, SEED-032: (filter, admits listed, admits other, warning)
    let table = [
        (r#"{"mode": "allow", "list": ["a"]}"#, true, false, ""),
        (r#"{"mode": "BLOCK", "list": ["a"]}"#, false, true, ""),
        (r#"{"mode": "Allow", "list": []}"#, true, true, "every tool is served"),
        (r#"{"mode": "block", "list": []}"#, true, true, ""),
        (r#"{"mode": "block"}"#, true, true, ""),
        (r#"{}"#, true, true, ""),
        (r#"{"list": ["a"]}"#, true, true, "Unknown tool filter mode: , skipping tool filter"),
        (
            r#"{"mode": "some", "list": ["a"]}"#,
            true,
            true,
            "Unknown tool filter mode: some, skipping tool filter (it must be `allow` or `block`)",
        ),
    ];
    for (filter, listed, other, warning) in table {
        let loaded =
            load(&v2("", &format!(r#""s": {{"command": "x", "options": {{"toolFilter": {filter}}}}}"#)));
        let filter = &loaded.config.servers[0].filters.tools;
        assert_eq!((filter.admits("a"), filter.admits("b")), (listed, other), "{filter:?}");
        assert_eq!(loaded.warnings.len(), usize::from(!warning.is_empty()));
        if !warning.is_empty() {
            only(&loaded.warnings, Severity::Warning, warning);
        }
    }
}

#[test]
fn timeouts_have_units() {
    // SEED-041: (value, milliseconds, warning)
    let table = [
        (r#""30s""#, Some(30_000), ""),
        (r#""1m30s""#, Some(90_000), ""),
        (r#""500ms""#, Some(500), ""),
        (r#""1ns""#, Some(1), ""),
        (r#""0""#, None, ""),
        ("0", None, ""),
        ("30", Some(30_000), "is read as 30 seconds"),
        ("999999", Some(999_999_000), "is read as 999999 seconds"),
        ("1000000", Some(1), "is read as nanoseconds"),
        ("30000000000", Some(30_000), "is read as nanoseconds"),
    ];
    for (value, expected, warning) in table {
        let loaded = load(&v2("", &format!(r#""s": {{"url": "http://h", "timeout": {value}}}"#)));
        assert_eq!(loaded.config.servers[0].options.times.silence_ms, expected, "{value}");
        assert_eq!(loaded.warnings.len(), usize::from(!warning.is_empty()));
        assert!(loaded.warnings.iter().all(|notice| notice.message.contains(warning)));
    }
    for value in [r#""30""#, r#""-1s""#, r#""soon""#, "-1", "1.5", "true"] {
        let notices = refuse(&v2("", &format!(r#""s": {{"url": "http://h", "timeout": {value}}}"#)));
        only(&notices, Severity::Error, "`mcpServers.s.timeout`: expected ");
    }
}

#[test]
fn server_keys_are_paths() {
    // SEED-042
    let keys = |list: &[&str]| {
        list.iter().map(|key| format!(r#""{key}": {{"command": "x"}}"#)).collect::<Vec<_>>().join(", ")
    };
    let loaded = load(&v2("", &keys(&["fetch", "fetch/secret", "a.b", "mcp2", "x/mcp/y", "ä b"])));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.servers[1].name, "fetch/secret");
    assert_eq!(loaded.config.servers[1].label(), "fetch/***");
    for key in ["", "/", "/a", "a/", "a//b", "a?b", "a#b", "a\\nb", ".", "a/..", "../a", "a/./b"] {
        only(&refuse(&v2("", &keys(&[key]))), Severity::Error, "but it is the path of the server");
    }
    for key in ["oauth", ".well-known", "oauth/x"] {
        only(&refuse(&v2("", &keys(&[key]))), Severity::Error, "is reserved for the proxy itself");
    }
    for key in ["mcp", "sse", "message", "authorize", "token", "register", "health", "mcp/x"] {
        only(&load(&v2("", &keys(&[key]))).warnings, Severity::Warning, "belongs to the proxy itself");
    }
    let collisions = [
        (["a", "a/mcp"], "the routes of the servers `a/mcp` and `a` (line 1) collide"),
        (["a/sse", "a"], "the routes of the servers `a/sse` and `a` (line 1) collide"),
        (["a/x", "a/x/message"], "the routes of the servers `a/***/message` and `a/***` (line 1) collide"),
    ];
    for (pair, message) in collisions {
        only(&refuse(&v2("", &keys(&pair))), Severity::Error, message);
    }
    let disabled = r#""a": {"command": "x"}, "a/mcp": {"command": "x", "options": {"disabled": true}}"#;
    assert_eq!(load(&v2("", disabled)).config.servers.len(), 2);
}

#[test]
fn the_first_format_is_converted() {
    // SEED-050 to SEED-052, SEED-056
    let Loaded { config, warnings, .. } = load(V1);
    assert_eq!((config.base_path.as_str(), config.addr.port), ("/prefix", 9091));
    assert_eq!((config.name.as_str(), config.version.as_str(), config.serve), ("old", "0.9", Serve::Sse));
    let [one, two, three] = config.servers.as_slice() else { panic!("{:?}", config.servers) };
    // SEED-053: tokens add up.
    assert_eq!(exposed(&one.options.auth_tokens), ["own", "global"]);
    assert_eq!(exposed(&two.options.auth_tokens), ["global"]);
    // SEED-055: what upstream loses.
    assert!(one.options.panic_if_invalid && one.options.log_enabled);
    assert!(!two.options.panic_if_invalid && !two.options.log_enabled);
    assert!(
        matches!(&one.transport, Transport::Stdio { command, args, .. } if command == "npx" && args.len() == 2)
    );
    assert!(
        matches!(&two.transport, Transport::Http { first: HttpKind::Sse, headers, .. } if headers.len() == 1)
    );
    assert!(matches!(&three.transport, Transport::Http { first: HttpKind::Streamable, .. }));
    assert_eq!(three.options.times.silence_ms, Some(30_000));
    // SEED-054: unreadable clients are skipped, and it is said why.
    for name in ["four", "five", "six", "seven", "eight"] {
        only(&warnings, Severity::Warning, &format!("the client `{name}` cannot be read, it is skipped"));
    }
    only(&warnings, Severity::Warning, "command is required for stdio transport");
    only(&warnings, Severity::Warning, "`clients.six.config`: expected an object, found a string");
    // Who asks for strictness does not want a client to go missing.
    let strict = parse(&Source { strict: true, ..source(V1) }).map(|_| ()).expect_err("strict");
    only(&strict, Severity::Error, "command is required for stdio transport");
}

#[test]
fn the_second_format_wins_over_the_first() {
    // SEED-051, SEED-052
    let clients =
        r#""clients": {"old": {"type": "stdio", "config": {"command": "x"}, "authTokens": ["own"]}}"#;
    let proxy = r#""server": {"addr": ":1"}, "mcpProxy": {"addr": ":2", "options": {"authTokens": ["d"]}}"#;
    let loaded = load(&format!(r#"{{{proxy}, {clients}, "mcpServers": {{"new": {{"command": "y"}}}}}}"#));
    assert_eq!((loaded.config.addr.port, loaded.config.servers[0].name.as_str()), (2, "new"));
    only(&loaded.warnings, Severity::Warning, "`server` of the old format is ignored");
    only(&loaded.warnings, Severity::Warning, "`clients` of the old format is ignored");
    for servers in ["", r#", "mcpServers": {}"#] {
        let loaded = load(&format!("{{{proxy}, {clients}{servers}}}"));
        assert_eq!(loaded.config.servers[0].name, "old");
        assert_eq!(exposed(&loaded.config.servers[0].options.auth_tokens), ["own", "d"]);
    }
}
