//! Files of MCP clients are served as they are, and keys of the original of 2026 are known (FT-402, FT-403).

use super::*;

/// One line for a server: its name, and how it is reached.
fn shown(server: &Server) -> String {
    let how = match &server.transport {
        Transport::Stdio { command, args, .. } => format!("{command} {}", args.join(" ")).trim().to_owned(),
        Transport::Http { url, first: HttpKind::Streamable, .. } => format!("http {url}"),
        Transport::Http { url, first: HttpKind::Sse, .. } => format!("sse {url}"),
    };
    format!("{}: {how}{}", server.name, if server.disabled { " off" } else { "" })
}

#[test]
fn a_file_of_a_client_is_served_on_this_machine_alone() {
    // (file, servers)
    let table: [(&str, &[&str]); 13] = [
        (
            r#"{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}"#,
            &["time: uvx mcp-server-time"],
        ),
        // VS Code
        (
            r#"{"inputs": [{"id": "k"}], "servers": {"a": {"type": "stdio", "command": "x"}, "b": {"type": "http", "url": "https://b/mcp"}}}"#,
            &["a: x", "b: http https://b/mcp"],
        ),
        (r#"{"editor.tabSize": 2, "mcp": {"inputs": [], "servers": {"a": {"command": "x"}}}}"#, &["a: x"]),
        // Gemini CLI, Qwen Code
        (
            r#"{"theme": "x", "mcpServers": {"a": {"httpUrl": "https://a/mcp", "trust": true, "timeout": 5000}, "b": {"url": "https://b/sse"}}}"#,
            &["a: http https://a/mcp", "b: sse https://b/sse"],
        ),
        // Cline, Copilot CLI, Windsurf
        (
            r#"{"mcpServers": {"a": {"type": "streamableHttp", "url": "https://a/mcp", "disabled": true, "autoApprove": []},
                "b": {"type": "local", "command": "x", "tools": ["*"]}, "c": {"serverUrl": "https://c/mcp"}}}"#,
            &["a: http https://a/mcp off", "b: x", "c: http https://c/mcp"],
        ),
        // Zed
        (
            r#"{"context_servers": {"a": {"source": "custom", "command": "x", "enabled": false}}}"#,
            &["a: x off"],
        ),
        // OpenCode
        (
            r#"{"$schema": "https://opencode.ai/config.json", "mcp": {
                "a": {"type": "local", "command": ["npx", "-y", "x"], "environment": {"A": "b"}, "enabled": true},
                "b": {"type": "remote", "url": "https://b/mcp", "oauth": false}}}"#,
            &["a: npx -y x", "b: http https://b/mcp"],
        ),
        (r#"{"amp.mcpServers": {"a": {"command": "x"}}}"#, &["a: x"]),
        (r#"{"a": {"command": "x"}, "b": {"url": "https://b/"}}"#, &["a: x", "b: http https://b/"]),
        (
            r#"{"mcpServers": {"a": {"isActive": false, "url": "https://a", "type": "sse"}}}"#,
            &["a: sse https://a/ off"],
        ),
        (r#"{"mcpProxy": null, "mcpServers": {"a": {"command": "x"}}}"#, &["a: x"]),
        (
            r#"{"numStartups": 7, "oauthAccount": {}, "projects": {"/x": {}}, "mcpServers": {"a": {"command": "x"}}}"#,
            &["a: x"],
        ),
        (r#"{"MCPServers": {"a": {"command": "x", "type": null}}}"#, &["a: x"]),
    ];
    for (text, servers) in table {
        let loaded = load(text);
        assert_eq!(loaded.config.servers.iter().map(shown).collect::<Vec<_>>(), servers, "{text}");
        assert!(loaded.of_client && loaded.config.serve == Serve::Both, "{text}");
        assert_eq!(
            (loaded.config.addr.to_string().as_str(), loaded.config.exposure()),
            ("127.0.0.1:9090", None)
        );
        let unexpected = loaded.warnings.iter().find(|notice| !notice.message.contains("is spelled"));
        assert_eq!(unexpected, None, "{text}");
    }
    assert!(!load(r#"{"mcpProxy": {}, "mcpServers": {}}"#).of_client);
    let timeout = load(
        r#"{"mcpServers": {"a": {"url": "http://a", "timeout": 60}, "b": {"url": "http://b", "timeout": 60000}}}"#,
    );
    for server in &timeout.config.servers {
        assert_eq!(server.options.times.silence_ms, Some(60_000));
    }
    for text in ["{}", r#"{"other": {"a": {"command": "x"}}}"#, r#"{"a": {"command": "x"}, "b": 1}"#] {
        only(&refuse(text), Severity::Error, "mcpProxy is required");
    }
}

#[test]
fn what_a_client_file_keeps_back_is_kept_back() {
    // (keys, admits `a`, admits `b`)
    let table = [
        (r#""includeTools": ["a"]"#, true, false),
        (r#""excludeTools": ["a"]"#, false, true),
        (r#""includeTools": ["a", "b"], "excludeTools": ["b"]"#, true, false),
        (r#""disabledTools": ["b"]"#, true, false),
        (r#""tools": ["*"]"#, true, true),
        (r#""tools": ["b"]"#, false, true),
        (r#""tools": []"#, false, false),
        (r#""options": {"toolFilter": {"mode": "allow", "list": ["b"]}}, "tools": ["*"]"#, false, true),
    ];
    for (keys, a, b) in table {
        let text = format!(r#"{{"mcpServers": {{"s": {{"command": "x", {keys}}}}}}}"#);
        let tools = load(&text).config.servers.remove(0).filters.tools;
        assert_eq!((tools.admits("a"), tools.admits("b")), (a, b), "{keys}");
    }
    // What is ours and would restrict access is not skipped there either.
    for (key, meant) in [
        ("mcpProxi", "mcpProxy"),
        ("addr", "mcpProxy"),
        ("options", "mcpProxy"),
        ("authTokens", "authTokens"),
    ] {
        let text = format!(r#"{{"{key}": {{}}, "mcpServers": {{"s": {{"command": "x"}}}}}}"#);
        only(&refuse(&text), Severity::Error, &format!("unknown key `{key}`, did you mean `{meant}`?"));
    }
    let text = r#"{"mcpServers": {"s": {"command": "x", "option": {}}}}"#;
    only(&refuse(text), Severity::Error, "unknown key `mcpServers.s.option`, did you mean `options`?");
}

#[test]
fn keys_of_the_original_of_2026_are_known() {
    // FT-403
    let reconnect = r#""options": {"autoReconnect": true, "reconnectInterval": 15000000000}"#;
    for text in [v2(reconnect, ""), v2("", &format!(r#""s": {{"command": "x", {reconnect}}}"#))] {
        let loaded = parse(&Source { strict: true, ..source(&text) }).expect("it loads");
        assert!(loaded.warnings.iter().all(|notice| notice.message.contains("there is no server")));
    }
    let oauth = r#""oauth": {"clientId": "a", "scopes": ["b"], "pkceDisabled": false}"#;
    let text = v2("", &format!(r#""s": {{"url": "https://h/mcp", {oauth}}}"#));
    let loaded = parse(&Source { strict: true, ..source(&text) }).expect("it loads");
    only(
        &loaded.warnings,
        Severity::Warning,
        "`mcpServers.s.oauth` has no effect: this version cannot log in",
    );
    // `timeout` is `silenceTimeout`, for every transport: before the default, behind the server's own option.
    let table = [
        (r#"{"command": "x", "timeout": "2s"}"#, Some(2_000)),
        (r#"{"url": "http://h", "timeout": "2s"}"#, Some(2_000)),
        (r#"{"command": "x"}"#, Some(9_000)),
        (r#"{"command": "x", "timeout": "2s", "options": {"silenceTimeout": "3s"}}"#, Some(3_000)),
        (r#"{"command": "x", "timeout": "2s", "options": {"logEnabled": true}}"#, Some(2_000)),
    ];
    for (server, silence_ms) in table {
        let text = v2(r#""options": {"silenceTimeout": "9s"}"#, &format!(r#""s": {server}"#));
        assert_eq!(load(&text).config.servers[0].options.times.silence_ms, silence_ms, "{server}");
    }
}

#[test]
fn keys_without_effect_are_warned_about() {
    // FT-403
    let table = [
        (
            r#"{"command": "x", "headers": {"X": "y"}}"#,
            "`mcpServers.s.headers` has no effect beside `command`",
        ),
        (r#"{"command": "x", "oauth": {}}"#, ""),
        (
            r#"{"command": "x", "oauth": {"clientId": "a"}}"#,
            "`mcpServers.s.oauth` has no effect beside `command`",
        ),
        (r#"{"command": "x", "url": "http://h"}"#, "`mcpServers.s.url` is ignored"),
        (r#"{"command": "x", "httpUrl": "http://h"}"#, "`mcpServers.s.httpUrl` is ignored"),
        (r#"{"command": "x", "headers": {}}"#, ""),
        (r#"{"url": "http://h", "args": ["a"]}"#, "`mcpServers.s.args` has no effect beside `url`"),
        (r#"{"url": "http://h", "env": {"A": "b"}}"#, "`mcpServers.s.env` has no effect beside `url`"),
        (r#"{"url": "http://h", "cwd": "/x"}"#, "`mcpServers.s.cwd` has no effect beside `url`"),
        (r#"{"url": "http://h", "workingDir": "/x"}"#, "`mcpServers.s.workingDir` has no effect"),
        (r#"{"url": "http://h", "args": [], "env": {}, "cwd": ""}"#, ""),
        (
            r#"{"url": "http://h", "headers": {"accept": "x"}}"#,
            "the header `accept` is set by the proxy itself",
        ),
        (
            r#"{"url": "http://h", "headers": {"Mcp-Session-Id": "x"}}"#,
            "the header `Mcp-Session-Id` is set by",
        ),
        (r#"{"command": "x", "era": "legacy"}"#, "`mcpServers.s.era` has no effect"),
    ];
    for (server, warning) in table {
        let loaded = load(&v2("", &format!(r#""s": {server}"#)));
        assert_eq!(loaded.warnings.len(), usize::from(!warning.is_empty()), "{}", lines(&loaded.warnings));
        assert!(lines(&loaded.warnings).contains(warning), "{server} {}", lines(&loaded.warnings));
    }
}
