//! `client-config`: what clients are to be configured with, and that it works.

use super::client::Client;
use super::proxy::{Proxy, config, run_with};
use super::upstream::stdio;
use serde_json::{Value, json};

/// A public URL, and three servers of which one needs a token and one has a secret in its path.
fn sample() -> String {
    let mut config = config(json!({
        "fetch": {"command": "x"},
        "git": {"command": "x", "options": {"authTokens": ["s3cret-token"]}},
        "notes/s3cret-path": {"command": "x"},
    }));
    config["mcpProxy"]["baseURL"] = json!("https://mcp.example.com/x");
    config.to_string()
}

#[tokio::test]
async fn stdout_is_the_file_of_the_client_and_stderr_what_is_left_to_do() {
    // SEED-008
    for (client, servers) in [
        ("claude", "mcpServers"),
        ("claude-code", "mcpServers"),
        ("cursor", "mcpServers"),
        ("vscode", "servers"),
        // FT-706
        ("gemini", "mcpServers"),
        ("qwen", "mcpServers"),
        ("opencode", "mcp"),
        ("copilot", "mcpServers"),
        ("cline", "mcpServers"),
        ("zed", "context_servers"),
        ("windsurf", "mcpServers"),
    ] {
        let run = run_with(&sample(), &["client-config", "--for", client]).await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let file: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let entry = &file[servers]["mcp-proxy"];
        assert!(entry.to_string().contains("https://mcp.example.com/x/mcp"), "{file}");
        assert!(entry.to_string().contains("Authorization"), "{file}");
        assert!(run.stderr.contains("authTokens") && run.stderr.contains(".json"), "{}", run.stderr);
        assert!(
            !run.stdout.contains("s3cret") && !run.stderr.contains("s3cret"),
            "{}{}",
            run.stdout,
            run.stderr
        );
    }
    let codex = run_with(&sample(), &["client-config", "-for=codex", "-server=git"]).await;
    let expected = "[mcp_servers.git]\nurl = \"https://mcp.example.com/x/git/mcp\"\nbearer_token_env_var = \"MCP_PROXY_TOKEN\"\n";
    assert_eq!(codex.stdout, expected, "{}", codex.stderr);
    assert!(codex.stderr.contains("config.toml"), "{}", codex.stderr);
}

#[tokio::test]
async fn without_a_client_all_of_them_are_printed_under_headings() {
    let run = run_with(&sample(), &["client-config"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for heading in ["# Claude Desktop:", "# Claude Code:", "# Cursor:", "# VS Code:", "# Codex:"] {
        assert!(run.stdout.contains(heading), "no {heading} in {}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}

#[tokio::test]
async fn a_server_that_does_not_exist_is_told_with_the_one_that_may_be_meant() {
    let run = run_with(&sample(), &["client-config", "-for=cursor", "-server", "nots/s3cret-path"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(
        run.stderr.contains("no server `nots/***`") && run.stderr.contains("did you mean `notes`?"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    let typo = run_with(&sample(), &["client-config", "-sever=git"]).await;
    assert_eq!(typo.code, Some(2));
}

#[tokio::test]
async fn the_url_of_a_server_leads_to_it() {
    let servers = json!({"two words/ä%20": stdio()});
    let proxy = Proxy::in_front_of(servers.clone()).await;
    let mut config = config(servers);
    config["mcpProxy"]["baseURL"] = json!(proxy.url(""));
    for (kind, ending) in [("both", "/mcp"), ("sse", "/sse")] {
        config["mcpProxy"]["type"] = json!(kind);
        let run = run_with(&config.to_string(), &["client-config", "-for=cursor", "-server=two words"]).await;
        let file: Value = serde_json::from_str(&run.stdout).expect(&run.stderr);
        let url = file["mcpServers"]["two_words"]["url"].as_str().expect("a URL");
        assert!(url.ends_with(ending), "{url}");
        let client = Client::connect(url, None).await;
        assert_eq!(client.text("echo", json!({"text": kind})).await, kind);
    }
}
