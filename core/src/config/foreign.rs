//! What files of MCP clients have: where their servers stand, and their words for what our keys say (FT-402).
//!
//! | client | servers | of its own |
//! |---|---|---|
//! | Claude, Cursor, Cline, Copilot CLI, LM Studio … | `mcpServers` | `type`, `disabled`, `tools`, `autoApprove` |
//! | Gemini CLI, Qwen Code | `mcpServers` | `httpUrl`, `includeTools`, `excludeTools`, `trust`, `timeout` in ms |
//! | Windsurf | `mcpServers` | `serverUrl`, `disabledTools` |
//! | VS Code | `servers`, in its settings `mcp.servers` | `type`, `${input:…}` |
//! | Zed | `context_servers` | `source`, `enabled` |
//! | OpenCode, Crush | `mcp` | `command` as a list, `environment`, `type` `local` and `remote`, `enabled` |
//! | Amp | `amp.mcpServers` | |
//! | some plug-ins | the whole file | |
//!
//! Deliberately absent: TOML and YAML files, and changing any file.

use super::fields::{At, Fields};
use super::filter::Filter;
use super::notice::Report;
use super::tree::{Member, Node, Value};

/// The servers in the file of a client.
pub(super) struct Found<'a> {
    /// Where they stand, for messages.
    pub(super) path: &'static str,
    pub(super) members: Vec<&'a Member>,
}

/// Finds the servers at the top level of the file of a client.
pub(super) fn find<'a>(report: &mut Report<'_>, top: &mut Fields<'a>) -> Option<Found<'a>> {
    for key in ["mcpServers", "servers", "context_servers", "amp.mcpServers"] {
        if top.has(key) {
            let servers = top.object(report, key);
            return Some(Found { path: key, members: servers.iter().flat_map(Fields::entries).collect() });
        }
    }
    if top.has("mcp") {
        let mcp = top.object(report, "mcp")?;
        let nested = mcp.entries().find(|member| member.key == "servers");
        let servers = match nested {
            Some(servers) => Fields::open(report, &servers.node, "mcp.servers")?,
            None => mcp,
        };
        return Some(Found { path: "mcp", members: servers.entries().collect() });
    }
    let members: Vec<&Member> = top.entries().filter(|member| member.key != "$schema").collect();
    let is_bare = !members.is_empty() && members.iter().all(|member| is_server(&member.node));
    if is_bare {
        top.accept_all();
    }
    is_bare.then_some(Found { path: "servers", members })
}

/// Whether this can only be a server.
fn is_server(node: &Node) -> bool {
    let Value::Object(members) = &node.value else { return false };
    members.iter().any(|member| ["command", "url", "httpUrl", "serverUrl"].contains(&member.key.as_str()))
}

/// `transportType`, or what clients call it and its values.
pub(super) fn read_kind<'a>(report: &mut Report<'_>, fields: &mut Fields<'a>) -> Option<At<&'a str>> {
    let own = fields.string(report, "transportType");
    let foreign = fields.string(report, "type");
    let other = fields.string(report, "transport");
    own.or_else(|| {
        let kind = foreign.or(other)?;
        let value = match kind.value {
            "local" => "stdio",
            "http" | "remote" | "streamableHttp" | "streamable_http" | "streamable" => "streamable-http",
            known => known,
        };
        Some(At { value, ..kind })
    })
}

/// Whether the server is switched off beside its options.
pub(super) fn read_off(report: &mut Report<'_>, fields: &mut Fields<'_>) -> bool {
    let disabled = fields.bool(report, "disabled").is_some_and(|it| it.value);
    let enabled = fields.bool(report, "enabled").is_none_or(|it| it.value);
    let active = fields.bool(report, "isActive").is_none_or(|it| it.value);
    disabled || !enabled || !active
}

/// Lists of tools that are to be had, or not.
pub(super) fn read_tools(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<Filter> {
    let mut names = |key| {
        let is_list = matches!(fields.node(report, key)?.value, Value::Array(_));
        let names = if is_list { fields.strings(report, key)? } else { return None };
        Some(names.into_iter().map(|name| name.value).collect::<Vec<_>>())
    };
    let (tools, included) = (names("tools"), names("includeTools"));
    let (excluded, disabled) = (names("excludeTools"), names("disabledTools"));
    let excluded: Vec<&str> = [excluded, disabled].into_iter().flatten().flatten().collect();
    let included = included.or(tools).filter(|included| !included.contains(&"*"));
    match included {
        // A star in an excluded name has no meaning in any of these clients.
        Some(included) => {
            Some(Filter::Allow(included.into_iter().filter(|name| !excluded.contains(name)).collect()))
        }
        None if excluded.is_empty() => None,
        None => Some(Filter::Block(excluded.into_iter().collect())),
    }
}

/// Keys of clients that say nothing to a proxy.
pub(super) fn skip(report: &mut Report<'_>, fields: &mut Fields<'_>) {
    for key in HARMLESS {
        let _known = fields.node(report, key);
    }
}

const HARMLESS: [&str; 15] = [
    "alwaysAllow",
    "always_allow",
    "autoApprove",
    "trust",
    "name",
    "title",
    "description",
    "icon",
    "version",
    "gallery",
    "source",
    "settings",
    "dev",
    "lifecycle",
    "metadata",
];
