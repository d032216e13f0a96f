use super::*;

mod foreign;
mod guards;
mod merged;
mod oauth2;
mod problems;
mod seed;
mod tools;
mod variables;

const SAMPLE: &str = include_str!("../../../templates/config.jsonc");

fn source(text: &str) -> Source<'_> {
    Source { text, name: "config.json", strict: false, env: None }
}

fn load(text: &str) -> Loaded {
    parse(&source(text)).unwrap_or_else(|notices| panic!("{text}\n{}", lines(&notices)))
}

fn refuse(text: &str) -> Vec<Notice> {
    parse(&source(text)).map(|loaded| format!("{loaded:?}")).expect_err(text)
}

/// A configuration with these members in `mcpProxy` and in `mcpServers`.
fn v2(proxy: &str, servers: &str) -> String {
    format!(r#"{{"mcpProxy": {{{proxy}}}, "mcpServers": {{{servers}}}}}"#)
}

fn server(text: &str) -> Server {
    load(&v2("", &format!(r#""s": {text}"#))).config.servers.remove(0)
}

fn lines(notices: &[Notice]) -> String {
    notices.iter().map(|notice| format!("{notice}\n")).collect()
}

/// Asserts that exactly one notice is about `part`.
#[track_caller]
fn only(notices: &[Notice], severity: Severity, part: &str) {
    let hits =
        notices.iter().filter(|notice| notice.severity == severity && notice.message.contains(part)).count();
    assert_eq!(hits, 1, "{part}\n{}", lines(notices));
}

fn exposed(tokens: &[crate::redacted::Redacted<String>]) -> Vec<&str> {
    tokens.iter().map(|token| token.expose().as_str()).collect()
}

#[test]
fn the_sample_loads_without_a_warning() {
    let lookup = |name: &str| Some(format!("value of {name}"));
    let source = Source { strict: true, env: Some(&lookup), ..source(SAMPLE) };
    let loaded = parse(&source).unwrap_or_else(|notices| panic!("{}", lines(&notices)));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.servers.len(), 3);
    // The bounds in it are said to be the defaults.
    let defaults = crate::limits::Limits::default();
    assert_eq!(loaded.config.limits.apply(defaults.clone()), defaults);
    assert_eq!(loaded.config.merged, Merged::default());
    assert!(loaded.config.servers[1].tools.values().any(|tool| tool.hidden));
    let Transport::Http { headers, .. } = &loaded.config.servers[2].transport else {
        panic!("remote is not http");
    };
    assert_eq!(headers[0].1.expose(), "Bearer value of REMOTE_TOKEN");
    assert_eq!(loaded.config.servers[2].options.times.silence_ms, Some(30_000));
}

#[test]
fn every_prefix_of_the_sample_is_refused_in_peace() {
    let lookup = |_: &str| Some("x".to_owned());
    let whole = SAMPLE.trim_end().len();
    for end in 0..whole {
        let text = SAMPLE.get(..end).expect("the sample is ASCII");
        let notices = parse(&Source { env: Some(&lookup), ..source(text) }).expect_err(text);
        assert!(notices.iter().any(|notice| notice.severity == Severity::Error), "{end}");
    }
}

#[test]
fn changing_any_byte_of_the_sample_never_panics() {
    let replacements = ["\"", "{", "]", ",", "\\", "$", "\u{e4}", "0", ""];
    for (at, byte) in (0..SAMPLE.len()).zip(replacements.into_iter().cycle()) {
        let mut text = SAMPLE.to_owned();
        text.replace_range(at..=at, byte);
        let _ = parse(&Source { env: Some(&|_| None), ..source(&text) });
    }
}

#[test]
fn limits_replace_defaults_within_bounds() {
    let text = v2(
        r#""limits": {"headBytes": 1024, "messageBytes": 2048, "sessions": 1, "sessionIdleSeconds": 5,
            "memoryBytes": 1048576, "connections": 7, "connectionsPerAddress": 3}"#,
        "",
    );
    let limits = load(&text).config.limits.apply(crate::limits::Limits::default());
    assert_eq!((limits.head_bytes_max, limits.message_bytes_max), (1024, 2048));
    assert_eq!((limits.sessions_max, limits.session_idle_ms), (1, 5_000));
    assert_eq!((limits.downstream_conns_max, limits.conns_per_address_max), (7, 3));
    assert_eq!(limits.memory_bytes_max, 1 << 20);
    for limit in [r#""headBytes": 1023"#, r#""headBytes": 1048577"#, r#""sessions": 0"#, r#""sessions": -1"#]
    {
        only(
            &refuse(&v2(&format!(r#""limits": {{{limit}}}"#), "")),
            Severity::Error,
            "expected a number from",
        );
    }
}

#[test]
fn origins_and_hosts_are_normalised() {
    let origins =
        r#"["https://App.example.com:443/", "http://localhost:6274", "*", "null", "vscode-webview://x"]"#;
    let hosts = r#"["MCP.example.com", "localhost:9090", "[::1]:9090", "*"]"#;
    let config =
        load(&v2(&format!(r#""type": "both", "allowedOrigins": {origins}, "allowedHosts": {hosts}"#), ""))
            .config;
    let origins = ["https://app.example.com", "http://localhost:6274", "*", "null", "vscode-webview://x"];
    assert_eq!(config.allowed_origins, origins);
    assert_eq!(config.allowed_hosts, ["mcp.example.com", "localhost:9090", "[::1]:9090", "*"]);
    assert!(config.serve == Serve::Both && config.serve.has_sse() && config.serve.has_streamable_http());
    for origin in ["https://a/b", "a.example", "http://*.example", "", "https://u@a"] {
        let notices = refuse(&v2(&format!(r#""allowedOrigins": ["{origin}"]"#), ""));
        only(&notices, Severity::Error, "expected an origin");
    }
    for host in ["https://a", "a/b", "a b", "", "u@a", "a:b"] {
        only(&refuse(&v2(&format!(r#""allowedHosts": ["{host}"]"#), "")), Severity::Error, "expected a host");
    }
}

#[test]
fn options_that_the_original_does_not_have_are_read_and_checked() {
    let own = r#"{"command": "x", "era": "legacy", "workingDir": "/w",
                  "options": {"sessions": "dedicated", "maxSessions": 3, "idleSeconds": 60}}"#;
    let server = server(own);
    assert_eq!(server.era, Era::Legacy);
    assert_eq!(server.options.sessions, Sharing::Dedicated);
    assert_eq!((server.options.sessions_max, server.options.idle_ms), (Some(3), Some(60_000)));
    let Transport::Stdio { cwd, .. } = server.transport else { panic!("not stdio") };
    assert_eq!(cwd.as_deref(), Some("/w"));
    let table = [
        (r#"{"command": "x", "era": "modern"}"#, "`modern` is not part of this version yet"),
        (r#"{"command": "x", "era": "old"}"#, "expected `legacy` or `modern`, found `old`"),
        (r#"{"command": "x", "options": {"sessions": "all"}}"#, "expected `auto`, `shared` or `dedicated`"),
        (r#"{"command": "x", "options": {"maxSessions": 0}}"#, "expected a number from 1"),
    ];
    for (text, part) in table {
        only(&refuse(&v2("", &format!(r#""s": {text}"#))), Severity::Error, part);
    }
}
