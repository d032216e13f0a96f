use super::*;
use mcp_proxy_core::config::{Source, parse};
use serde_json::{Value, json};

/// Two servers, one of which asks for a token of its own.
const TWO: &str =
    r#""fetch": {"command": "x"}, "git": {"command": "x", "options": {"authTokens": ["s3cret"]}}"#;

#[test]
fn claude_desktop_starts_a_bridge() {
    let expected = r#"{
  "mcpServers": {
    "mcp-proxy": {
      "command": "npx",
      "args": ["-y", "mcp-remote", "https://a.example/pre/mcp", "--header", "Authorization:${AUTH_HEADER}"],
      "env": {
        "AUTH_HEADER": "Bearer <token>"
      }
    }
  }
}
"#;
    assert_eq!(file(Client::Claude, PUBLIC, TWO, None), expected);
    let args = |proxy: &str| {
        let text = file(Client::Claude, proxy, r#""a": {"command": "x"}"#, None);
        let value: Value = serde_json::from_str(&text).unwrap();
        let entry = &value["mcpServers"]["mcp-proxy"];
        assert_eq!((entry.get("env"), entry.get("headers")), (None, None));
        entry["args"].clone()
    };
    // What is not on this machine and not encrypted the bridge refuses unless told; so it is with another transport.
    assert_eq!(args(r#""type": "both""#), json!(["-y", "mcp-remote", "http://localhost:9090/mcp"]));
    let far = args(r#""baseURL": "http://nas.lan:81""#);
    let expected = ["-y", "mcp-remote", "http://nas.lan:81/sse", "--transport", "sse-only", "--allow-http"];
    assert_eq!(far, json!(expected));
}

#[test]
fn claude_code_takes_a_type_and_expands_variables() {
    let expected = r#"{
  "mcpServers": {
    "mcp-proxy": {
      "type": "http",
      "url": "https://a.example/pre/mcp",
      "headers": {
        "Authorization": "Bearer ${MCP_PROXY_TOKEN}"
      }
    }
  }
}
"#;
    assert_eq!(file(Client::ClaudeCode, PUBLIC, TWO, None), expected);
    let expected = r#"{
  "mcpServers": {
    "mcp-proxy": {
      "type": "sse",
      "url": "http://localhost:9090/sse"
    }
  }
}
"#;
    assert_eq!(file(Client::ClaudeCode, "", r#""a": {"command": "x"}"#, None), expected);
}

#[test]
fn cursor_has_its_own_way_to_name_variables() {
    let expected = r#"{
  "mcpServers": {
    "git": {
      "url": "https://a.example/pre/git/mcp",
      "headers": {
        "Authorization": "Bearer ${env:MCP_PROXY_TOKEN}"
      }
    }
  }
}
"#;
    assert_eq!(file(Client::Cursor, PUBLIC, TWO, Some("git")), expected);
}

#[test]
fn vs_code_asks_for_each_token_once() {
    let expected = r#"{
  "servers": {
    "fetch": {
      "type": "http",
      "url": "https://a.example/pre/fetch/mcp"
    },
    "git": {
      "type": "http",
      "url": "https://a.example/pre/git/mcp",
      "headers": {
        "Authorization": "Bearer ${input:mcp-proxy-token}"
      }
    },
    "hub": {
      "type": "http",
      "url": "https://a.example/pre/hub/mcp",
      "headers": {
        "Authorization": "Bearer ${input:mcp-proxy-token}"
      }
    }
  },
  "inputs": [
    {
      "type": "promptString",
      "id": "mcp-proxy-token",
      "description": "MCP_PROXY_TOKEN: a token of mcp-proxy",
      "password": true
    }
  ]
}
"#;
    let proxy = format!(r#"{PUBLIC}, "merged": {{"enabled": false}}"#);
    let servers =
        format!(r#"{TWO}, "hub": {{"command": "x", "options": {{"authTokens": ["own", "s3cret"]}}}}"#);
    assert_eq!(file(Client::VsCode, &proxy, &servers, None), expected);
    let open: Value =
        serde_json::from_str(&file(Client::VsCode, PUBLIC, r#""a": {"command": "x"}"#, None)).unwrap();
    assert_eq!(open, json!({"servers": {"mcp-proxy": {"type": "http", "url": "https://a.example/pre/mcp"}}}));
}

#[test]
fn codex_is_told_where_its_token_is() {
    let proxy = format!(r#"{PUBLIC}, "merged": {{"enabled": false}}"#);
    let expected = r#"[mcp_servers.fetch]
url = "https://a.example/pre/fetch/mcp"

[mcp_servers.git]
url = "https://a.example/pre/git/mcp"
bearer_token_env_var = "MCP_PROXY_TOKEN"
"#;
    assert_eq!(file(Client::Codex, &proxy, TWO, None), expected);
    let expected = r#"[mcp_servers.mcp-proxy]
command = "npx"
args = ["-y", "mcp-remote", "http://localhost:9090/sse", "--transport", "sse-only", "--header", "Authorization:${AUTH_HEADER}"]
env = { AUTH_HEADER = "Bearer <token>" }
"#;
    assert_eq!(file(Client::Codex, "", TWO, None), expected);
    assert!(notes::text(Client::Codex, &some("", TWO, None)).contains("does not speak HTTP+SSE"));
}

/// FT-706: what each client's own reader or documentation takes.
#[test]
fn other_clients_have_their_own_words() {
    let entry = |client, path: [&str; 2], proxy: &str| {
        let value: Value = serde_json::from_str(&file(client, proxy, TWO, None)).unwrap();
        value[path[0]][path[1]].clone()
    };
    const URL: &str = "https://a.example/pre/mcp";
    let bearer = |token: &str| json!({"Authorization": format!("Bearer {token}")});
    let ours = ["mcpServers", "mcp-proxy"];
    for client in [Client::Gemini, Client::Qwen] {
        let expected = json!({"httpUrl": URL, "headers": bearer("${MCP_PROXY_TOKEN}")});
        assert_eq!(entry(client, ours, PUBLIC), expected);
        let expected = json!({"url": "http://localhost:9090/sse", "headers": bearer("${MCP_PROXY_TOKEN}")});
        assert_eq!(entry(client, ours, ""), expected);
    }
    let expected = json!({"type": "remote", "url": URL, "headers": bearer("{env:MCP_PROXY_TOKEN}")});
    assert_eq!(entry(Client::OpenCode, ["mcp", "mcp-proxy"], PUBLIC), expected);
    let expected = json!({"type": "http", "url": URL, "headers": bearer("${MCP_PROXY_TOKEN}")});
    assert_eq!(entry(Client::Copilot, ours, PUBLIC), expected);
    let expected = json!({"type": "streamableHttp", "url": URL, "headers": bearer("<token>")});
    assert_eq!(entry(Client::Cline, ours, PUBLIC), expected);
    assert_eq!(entry(Client::Cline, ours, "")["type"], "sse");
    let expected = json!({"url": URL, "headers": bearer("<token>")});
    assert_eq!(entry(Client::Zed, ["context_servers", "mcp-proxy"], PUBLIC), expected);
    assert_eq!(entry(Client::Zed, ["context_servers", "mcp-proxy"], "")["command"], "npx");
    let expected = json!({"serverUrl": URL, "headers": bearer("${env:MCP_PROXY_TOKEN}")});
    assert_eq!(entry(Client::Windsurf, ours, PUBLIC), expected);
    let expected = r#"name: mcp-proxy
version: 0.0.1
schema: v1
mcpServers:
  - name: "mcp-proxy"
    type: streamable-http
    url: "https://a.example/pre/mcp"
    requestOptions:
      headers:
        Authorization: "Bearer <token>"
"#;
    assert_eq!(file(Client::Continue, PUBLIC, TWO, None), expected);
    assert!(file(Client::Continue, "", TWO, None).contains("\n    type: sse\n"));
    let expected = r#"extensions:
  "mcp-proxy":
    enabled: true
    name: "mcp-proxy"
    description: ""
    type: streamable_http
    uri: "https://a.example/pre/mcp"
    headers:
      Authorization: "Bearer <token>"
    timeout: 300
"#;
    assert_eq!(file(Client::Goose, PUBLIC, TWO, None), expected);
    let bridged = file(Client::Goose, "", TWO, None);
    assert!(
        bridged.contains("\n    type: stdio\n    cmd: npx\n    args: [\"-y\", \"mcp-remote\","),
        "{bridged}"
    );
    assert!(bridged.contains("\n    envs:\n      AUTH_HEADER: \"Bearer <token>\"\n"), "{bridged}");
    // What is printed for clients of this kind is a configuration for this program, too.
    for client in CLIENTS {
        let text = document::text(client, &some(PUBLIC, TWO, None));
        if serde_json::from_str::<Value>(&text).is_ok() {
            let loaded = parse(&Source { text: &text, name: "test", strict: true, env: None }).unwrap();
            assert!(loaded.of_client && loaded.config.servers.len() == 1, "{text}");
        }
    }
}

#[test]
fn no_client_is_shown_a_token_and_each_is_told_how_to_get_it() {
    for client in CLIENTS {
        let endpoints = some(PUBLIC, TWO, None);
        let (notes, file) = (notes::text(client, &endpoints), document::text(client, &endpoints));
        assert!(!notes.contains("s3cret") && !file.contains("s3cret"), "{notes}{file}");
        assert!(notes.contains("authTokens)"), "{notes}");
        assert!(notes.lines().all(|line| line.starts_with("# ")), "{notes}");
        let open = notes::text(client, &some(PUBLIC, r#""a": {"command": "x"}"#, None));
        assert!(!open.contains("authTokens)") && !open.contains("TOKEN"), "{open}");
    }
    assert!(notes::text(Client::ClaudeCode, &some(PUBLIC, TWO, None)).contains(
        "# Or: claude mcp add --transport http mcp-proxy 'https://a.example/pre/mcp' \
         --header 'Authorization: Bearer ${MCP_PROXY_TOKEN}'\n"
    ));
}

#[test]
fn servers_with_different_tokens_have_different_variables() {
    let servers = format!(r#"{TWO}, "my-hub": {{"command": "x", "options": {{"authTokens": ["other"]}}}}"#);
    let variable = |server| some(PUBLIC, &servers, server).remove(0).variable;
    assert_eq!(variable(Some("git")).as_deref(), Some("MCP_PROXY_TOKEN_GIT"));
    assert_eq!(variable(Some("my-hub")).as_deref(), Some("MCP_PROXY_TOKEN_MY_HUB"));
    assert_eq!((variable(Some("fetch")), variable(None).as_deref()), (None, Some("MCP_PROXY_TOKEN")));
    let remark = "No single token opens all servers";
    assert!(notes::text(Client::Cursor, &some(PUBLIC, &servers, None)).contains(remark));
    assert!(!notes::text(Client::Cursor, &some(PUBLIC, TWO, None)).contains(remark));
}

#[test]
fn names_hold_no_secret_and_urls_hold_all_of_it() {
    let servers = r#""fetch/s3cret": {"command": "x"}, "ä b": {"command": "x"}"#;
    for client in CLIENTS {
        let endpoints = some(PUBLIC, servers, Some("fetch"));
        assert_eq!((endpoints.len(), endpoints[0].name.as_str()), (1, "fetch"));
        assert!(document::text(client, &endpoints).contains("https://a.example/pre/fetch/s3cret/mcp"));
        let notes = notes::text(client, &endpoints);
        assert!(!notes.contains("s3cret") && notes.contains("keep this file secret"), "{notes}");
    }
    let odd = some(PUBLIC, servers, Some("ä b")).remove(0);
    assert_eq!((odd.name.as_str(), odd.url.as_str()), ("__b", "https://a.example/pre/%C3%A4%20b/mcp"));
}

#[test]
fn names_differ_also_as_variables_and_from_the_merged_one() {
    let keys = ["a/1", "a/2", "A", "b-c", "b_c", "mcp-proxy", "a-2"];
    let servers: Vec<String> = keys.iter().map(|key| format!(r#""{key}": {{"command": "x"}}"#)).collect();
    let names = names(&config("", &servers.join(", ")).servers);
    assert_eq!(names, ["a", "a-2", "A-3", "b-c", "b_c-2", "mcp-proxy-2", "a-2-2"]);
}

#[test]
fn a_server_is_found_by_what_need_not_be_secret() {
    let servers = r#""fetch/s3cret": {"command": "x"}, "git": {"command": "x"}, "two/a": {"command": "x"},
                     "two/b": {"command": "x", "options": {"disabled": true}}"#;
    for name in ["fetch", "fetch/***", "fetch/s3cret"] {
        assert_eq!(some(PUBLIC, servers, Some(name))[0].name, "fetch", "{name}");
    }
    let table = [
        ("fetsch", "there is no server `fetsch` in the configuration, did you mean `fetch`?"),
        ("fetch/s3crte", "there is no server `fetch/***` in the configuration, did you mean `fetch`?"),
        ("two", "the keys of 2 servers begin with `two/`, give a whole one"),
        (
            "x",
            "there is no server `x` in the configuration, there are `fetch/***`, `git`, `two/***`, `two/***`",
        ),
        ("\u{1b}", "there is no server `\\u{1b}` in the configuration, there are"),
    ];
    for (name, problem) in table {
        let error = endpoints(&config(PUBLIC, servers), Some(name)).expect_err(name);
        assert!(error.starts_with(problem) && !error.contains("s3cr"), "{error}");
    }
    let notes = notes::text(Client::Cursor, &some(PUBLIC, servers, Some("two/b")));
    assert!(notes.contains("The server two-2 is disabled"), "{notes}");
}

#[test]
fn without_a_merged_endpoint_every_enabled_server_is_an_entry() {
    let off = r#""merged": {"enabled": false}"#;
    let servers = format!(r#"{TWO}, "off": {{"command": "x", "options": {{"disabled": true}}}}"#);
    let names: Vec<String> = some(off, &servers, None).into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["fetch", "git"]);
    let problem = endpoints(&config(off, ""), None).expect_err("no server");
    assert!(problem.contains("nothing to use"), "{problem}");
}

#[test]
fn all_clients_follow_each_other_with_headings() {
    let endpoints = some("", TWO, None);
    let text = all(&endpoints);
    let mut from = 0;
    for (client, heading) in CLIENTS.into_iter().zip(HEADINGS) {
        let at = text[from..].find(&format!("# {heading}: ")).expect(heading);
        from += at;
        assert!(text[from..].contains(&document::text(client, &endpoints)), "{heading}");
    }
    assert!(text.contains("has no baseURL"), "{text}");
    assert!(!all(&some(PUBLIC, TWO, None)).contains("baseURL"));
}

/// A public URL with a path, both transports.
const PUBLIC: &str = r#""type": "both", "baseURL": "https://a.example/pre/""#;

fn config(proxy: &str, servers: &str) -> Config {
    let text = format!(r#"{{"mcpProxy": {{{proxy}}}, "mcpServers": {{{servers}}}}}"#);
    parse(&Source { text: &text, name: "test", strict: true, env: None }).unwrap().config
}

fn some(proxy: &str, servers: &str, server: Option<&str>) -> Vec<Endpoint> {
    endpoints(&config(proxy, servers), server).unwrap()
}

const HEADINGS: [&str; CLIENTS.len()] = [
    "Claude Desktop",
    "Claude Code",
    "Cursor",
    "VS Code",
    "Codex",
    "Gemini CLI",
    "Qwen Code",
    "OpenCode",
    "Copilot CLI",
    "Cline",
    "Continue",
    "Goose",
    "Zed",
    "Windsurf",
];

/// The file of a client; valid JSON where it is neither TOML nor YAML.
fn file(client: Client, proxy: &str, servers: &str, server: Option<&str>) -> String {
    let text = document::text(client, &some(proxy, servers, server));
    if !matches!(client, Client::Codex | Client::Continue | Client::Goose) {
        serde_json::from_str::<Value>(&text).expect("JSON");
    }
    text
}

#[test]
fn where_clients_sign_in_they_need_no_token() {
    let proxy = r#""baseURL": "https://a.example", "type": "both",
        "options": {"authTokens": ["s3cret"], "oauth2": {"enabled": true, "users": {"ann": "x"}}}"#;
    let exempt =
        r#""fetch": {"command": "x"}, "git": {"command": "x", "options": {"oauth2": {"enabled": false}}}"#;
    assert!(!file(Client::ClaudeCode, proxy, exempt, None).contains("Authorization"));
    assert!(!file(Client::ClaudeCode, proxy, exempt, Some("fetch")).contains("Authorization"));
    assert!(file(Client::ClaudeCode, proxy, exempt, Some("git")).contains("Bearer ${MCP_PROXY_TOKEN}"));
}
