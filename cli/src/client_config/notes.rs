//! What is said beside a client's file: where it lies, and what is left to do.
//!
//! Invariant: neither a token nor the secret part of a URL is in it.

use super::{Endpoint, is_bridged, variables};
use crate::args::Client;

/// Lines that begin with `#`.
pub(super) fn text(client: Client, endpoints: &[Endpoint]) -> String {
    let mut lines = vec![place(client).to_owned()];
    let bridged = is_bridged(client, endpoints);
    lines.extend(bridge(client, bridged));
    lines.extend(command(client, endpoints));
    lines.extend(token(client, bridged, endpoints));
    for remark in endpoints.iter().flat_map(|endpoint| &endpoint.remarks) {
        if !lines.contains(remark) {
            lines.push(remark.clone());
        }
    }
    lines.iter().map(|line| format!("# {line}\n")).collect()
}

/// The name of the client and where its file is.
const fn place(client: Client) -> &'static str {
    match client {
        Client::Claude => {
            "Claude Desktop: claude_desktop_config.json, which Settings > Developer > Edit Config opens \
             (macOS: ~/Library/Application Support/Claude, Windows: %APPDATA%\\Claude)"
        }
        Client::ClaudeCode => {
            "Claude Code: .mcp.json of a project, or for all projects `mcpServers` in ~/.claude.json"
        }
        Client::Cursor => "Cursor: ~/.cursor/mcp.json, or .cursor/mcp.json of a project",
        Client::VsCode => {
            "VS Code: .vscode/mcp.json of a project, or what the command `MCP: Open User Configuration` opens"
        }
        Client::Codex => "Codex: ~/.codex/config.toml",
        Client::Gemini => "Gemini CLI: ~/.gemini/settings.json, or .gemini/settings.json of a project",
        Client::Qwen => "Qwen Code: ~/.qwen/settings.json, or .qwen/settings.json of a project",
        Client::OpenCode => {
            "OpenCode: opencode.json of a project, or ~/.config/opencode/opencode.json; OpenCode 2 has the entries one \
             level deeper, in mcp.servers"
        }
        Client::Copilot => "Copilot CLI: .mcp.json of a project",
        Client::Cline => {
            "Cline: cline_mcp_settings.json, which MCP Servers > Configure opens; of the CLI \
             ~/.cline/data/settings/cline_mcp_settings.json"
        }
        Client::Continue => {
            "Continue: mcp-proxy.yaml in .continue/mcpServers of a project or of your home directory; of \
             the CLI, which reads no other file, the mcpServers in ~/.continue/config.yaml"
        }
        Client::Goose => "Goose: ~/.config/goose/config.yaml",
        Client::Zed => "Zed: settings.json, which the command `zed: open settings file` opens",
        Client::Windsurf => "Windsurf: ~/.codeium/windsurf/mcp_config.json",
    }
}

/// Why a program is started, and how to do without.
fn bridge(client: Client, bridged: bool) -> Option<String> {
    let text = if client == Client::Claude {
        "This file takes programs only, so mcp-remote (which needs Node.js) is started as a bridge. A public https URL \
         without authTokens can be added under Settings > Connectors instead."
    } else {
        "This client does not speak HTTP+SSE, so mcp-remote (which needs Node.js) is started as a bridge. With \
         \"type\": \"both\" in mcpProxy there is no need for it."
    };
    bridged.then(|| text.to_owned())
}

/// The command that does the same, where there is one for it and no secret is in it.
fn command(client: Client, endpoints: &[Endpoint]) -> Option<String> {
    let [endpoint] = endpoints else { return None };
    if client != Client::ClaudeCode || endpoint.has_secret_path {
        return None;
    }
    let transport = if endpoint.sse_only { "sse" } else { "http" };
    let header =
        endpoint.variable.as_ref().map(|name| format!(" --header 'Authorization: Bearer ${{{name}}}'"));
    let (name, url) = (&endpoint.name, &endpoint.url);
    Some(format!("Or: claude mcp add --transport {transport} {name} '{url}'{}", header.unwrap_or_default()))
}

/// What to do about tokens.
fn token(client: Client, bridged: bool, endpoints: &[Endpoint]) -> Option<String> {
    let variables = variables(endpoints);
    if variables.is_empty() {
        return None;
    }
    let all = variables.join(", ");
    let replace = "Replace <token> by a token that mcp-proxy accepts (authTokens).".to_owned();
    if bridged {
        return Some(replace);
    }
    Some(match client {
        Client::Claude | Client::Cline | Client::Continue | Client::Goose | Client::Zed => replace,
        Client::VsCode => {
            "VS Code asks for the token (one of authTokens) at the first start and keeps it.".to_owned()
        }
        Client::ClaudeCode
        | Client::Cursor
        | Client::Codex
        | Client::Gemini
        | Client::Qwen
        | Client::OpenCode
        | Client::Copilot
        | Client::Windsurf => {
            format!(
                "Set in the environment of the client, to a token that mcp-proxy accepts (authTokens): {all}"
            )
        }
    })
}
