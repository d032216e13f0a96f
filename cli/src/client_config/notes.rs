//! What is said beside a client's file: where it lies, and what is left to do.
//!
//! Invariant: neither a token nor the secret part of a URL is in it.

use super::{Endpoint, variables};
use crate::args::Client;

/// Lines that begin with `#`.
pub(super) fn text(client: Client, endpoints: &[Endpoint]) -> String {
    let mut lines = vec![place(client).to_owned()];
    let bridged =
        client == Client::Claude || client == Client::Codex && endpoints.iter().any(|it| it.sse_only);
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
    }
}

/// Why a program is started, and how to do without.
fn bridge(client: Client, bridged: bool) -> Option<String> {
    let text = match client {
        Client::Claude => {
            "This file takes programs only, so mcp-remote (which needs Node.js) is started as a bridge. A public https \
             URL without authTokens can be added under Settings > Connectors instead."
        }
        Client::Codex if bridged => {
            "Codex does not speak HTTP+SSE, so mcp-remote (which needs Node.js) is started as a bridge. With \
             \"type\": \"both\" in mcpProxy there is no need for it."
        }
        Client::ClaudeCode | Client::Cursor | Client::VsCode | Client::Codex => return None,
    };
    Some(text.to_owned())
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
    Some(match client {
        Client::Claude | Client::Codex if bridged => {
            "Replace <token> by a token that mcp-proxy accepts (authTokens).".to_owned()
        }
        Client::VsCode => {
            "VS Code asks for the token (one of authTokens) at the first start and keeps it.".to_owned()
        }
        Client::Claude | Client::ClaudeCode | Client::Cursor | Client::Codex => {
            format!(
                "Set in the environment of the client, to a token that mcp-proxy accepts (authTokens): {all}"
            )
        }
    })
}
