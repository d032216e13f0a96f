//! The files of the clients.
//!
//! | client | what it takes |
//! |---|---|
//! | Claude Desktop | programs only: `mcp-remote` (npm) is the bridge |
//! | Claude Code | `type`, `url`, `headers`; `${NAME}` is a variable |
//! | Cursor | `url`, `headers`; `${env:NAME}` is a variable |
//! | VS Code | `servers` with `type`, `url`, `headers`; `${input:id}` is asked for once |
//! | Codex | TOML; Streamable HTTP only, the token from a variable that is named |
//! | Gemini CLI, Qwen Code | `httpUrl`, for HTTP+SSE `url`; `headers`; `${NAME}` is a variable |
//! | OpenCode | `mcp` with `type` `remote`, `url`, `headers`; `{env:NAME}` is a variable |
//! | Copilot CLI | as Claude Code |
//! | Cline | `type` `streamableHttp`, without it nothing; `url`, `headers`; no variables |
//! | Continue | YAML: a list; headers in `requestOptions`; no variables that are sure |
//! | Goose | YAML: `extensions` with `uri`, Streamable HTTP only; no variables that are sure |
//! | Zed | `context_servers` with `url`, `headers`; Streamable HTTP only, no variables |
//! | Windsurf | `serverUrl`, `headers`; `${env:NAME}` is a variable |
//!
//! Invariant: any endpoint gives a valid file.

use super::{Endpoint, variables};
use crate::args::Client;

/// The whole file, ending in a line feed.
pub(super) fn text(client: Client, endpoints: &[Endpoint]) -> String {
    match client {
        Client::Claude => mcp_servers(endpoints, bridge),
        Client::ClaudeCode => mcp_servers(endpoints, |it| remote(it, true, |name| format!("${{{name}}}"))),
        Client::Cursor => mcp_servers(endpoints, |it| remote(it, false, |name| format!("${{env:{name}}}"))),
        Client::VsCode => vscode(endpoints),
        Client::Codex => endpoints.iter().map(codex).collect::<Vec<_>>().join("\n"),
        Client::Gemini | Client::Qwen => mcp_servers(endpoints, |it| {
            let key = if it.sse_only { "url" } else { "httpUrl" };
            entry(it, &[], key, |name| format!("Bearer ${{{name}}}"))
        }),
        Client::OpenCode => {
            let remote = |it: &Endpoint| {
                entry(it, &[("type", "remote")], "url", |name| format!("Bearer {{env:{name}}}"))
            };
            Json::Object(vec![("mcp", named(endpoints, remote))]).document()
        }
        Client::Copilot => text(Client::ClaudeCode, endpoints),
        Client::Cline => mcp_servers(endpoints, |it| {
            let kind = if it.sse_only { "sse" } else { "streamableHttp" };
            entry(it, &[("type", kind)], "url", placeholder)
        }),
        Client::Continue => continues(endpoints),
        Client::Goose => goose(endpoints),
        Client::Zed => {
            let server = |it: &Endpoint| match it.sse_only {
                true => bridge(it),
                false => entry(it, &[], "url", placeholder),
            };
            Json::Object(vec![("context_servers", named(endpoints, server))]).document()
        }
        Client::Windsurf => {
            mcp_servers(endpoints, |it| entry(it, &[], "serverUrl", |name| format!("Bearer ${{env:{name}}}")))
        }
    }
}

/// The file that most clients have.
fn mcp_servers(endpoints: &[Endpoint], entry: impl Fn(&Endpoint) -> Json) -> String {
    Json::Object(vec![("mcpServers", named(endpoints, entry))]).document()
}

fn vscode(endpoints: &[Endpoint]) -> String {
    let reference = |variable: &str| format!("${{input:{}}}", input_id(variable));
    let mut file = vec![("servers", named(endpoints, |it| remote(it, true, reference)))];
    let inputs: Vec<Json> = variables(endpoints)
        .into_iter()
        .map(|variable| {
            Json::Object(vec![
                ("type", Json::text("promptString")),
                ("id", Json::Text(input_id(variable))),
                ("description", Json::Text(format!("{variable}: a token of mcp-proxy"))),
                ("password", Json::True),
            ])
        })
        .collect();
    if !inputs.is_empty() {
        file.push(("inputs", Json::List(inputs)));
    }
    Json::Object(file).document()
}

fn codex(endpoint: &Endpoint) -> String {
    let Endpoint { name, url, sse_only, variable, .. } = endpoint;
    let mut out = format!("[mcp_servers.{name}]\n");
    if *sse_only {
        let args: Vec<String> = bridge_args(endpoint).iter().map(|arg| quoted(arg)).collect();
        out.push_str(&format!("command = \"npx\"\nargs = [{}]\n", args.join(", ")));
        if variable.is_some() {
            out.push_str(&format!("env = {{ {BRIDGE_VARIABLE} = {} }}\n", quoted(PLACEHOLDER)));
        }
        return out;
    }
    out.push_str(&format!("url = {}\n", quoted(url)));
    if let Some(variable) = variable {
        out.push_str(&format!("bearer_token_env_var = {}\n", quoted(variable)));
    }
    out
}

/// An entry of a client that speaks HTTP.
fn remote(endpoint: &Endpoint, with_type: bool, reference: impl Fn(&str) -> String) -> Json {
    let kind = [("type", if endpoint.sse_only { "sse" } else { "http" })];
    let before = if with_type { &kind[..] } else { &[] };
    entry(endpoint, before, "url", |name| format!("Bearer {}", reference(name)))
}

/// The same with these members before, the URL under this key, and what stands for the token.
fn entry(
    endpoint: &Endpoint,
    before: &[(&'static str, &str)],
    url: &'static str,
    bearer: impl Fn(&str) -> String,
) -> Json {
    let mut entry: Vec<_> = before.iter().map(|(key, value)| (*key, Json::text(value))).collect();
    entry.push((url, Json::text(&endpoint.url)));
    if let Some(variable) = &endpoint.variable {
        entry.push(("headers", Json::Object(vec![("Authorization", Json::Text(bearer(variable)))])));
    }
    Json::Object(entry)
}

/// For clients that have no variables.
fn placeholder(_variable: &str) -> String {
    PLACEHOLDER.to_owned()
}

/// A file of its own below `.continue/mcpServers`. Strings of JSON are strings of YAML, too.
fn continues(endpoints: &[Endpoint]) -> String {
    let mut out = "name: mcp-proxy\nversion: 0.0.1\nschema: v1\nmcpServers:\n".to_owned();
    for endpoint in endpoints {
        let kind = if endpoint.sse_only { "sse" } else { "streamable-http" };
        let (name, url) = (quoted(&endpoint.name), quoted(&endpoint.url));
        out.push_str(&format!("  - name: {name}\n    type: {kind}\n    url: {url}\n"));
        if endpoint.variable.is_some() {
            let header = quoted(PLACEHOLDER);
            out.push_str(&format!("    requestOptions:\n      headers:\n        Authorization: {header}\n"));
        }
    }
    out
}

fn goose(endpoints: &[Endpoint]) -> String {
    let mut out = "extensions:\n".to_owned();
    for endpoint in endpoints {
        let Endpoint { name, url, sse_only, variable, .. } = endpoint;
        let name = quoted(name);
        out.push_str(&format!("  {name}:\n    enabled: true\n    name: {name}\n    description: \"\"\n"));
        if *sse_only {
            let args: Vec<String> = bridge_args(endpoint).iter().map(|arg| quoted(arg)).collect();
            out.push_str(&format!("    type: stdio\n    cmd: npx\n    args: [{}]\n", args.join(", ")));
            if variable.is_some() {
                out.push_str(&format!("    envs:\n      {BRIDGE_VARIABLE}: {}\n", quoted(PLACEHOLDER)));
            }
        } else {
            out.push_str(&format!("    type: streamable_http\n    uri: {}\n", quoted(url)));
            if variable.is_some() {
                out.push_str(&format!("    headers:\n      Authorization: {}\n", quoted(PLACEHOLDER)));
            }
        }
        out.push_str("    timeout: 300\n");
    }
    out
}

/// An entry of a client that only starts programs.
fn bridge(endpoint: &Endpoint) -> Json {
    let args = bridge_args(endpoint).into_iter().map(Json::Text).collect();
    let mut entry = vec![("command", Json::text("npx")), ("args", Json::List(args))];
    if endpoint.variable.is_some() {
        entry.push(("env", Json::Object(vec![(BRIDGE_VARIABLE, Json::text(PLACEHOLDER))])));
    }
    Json::Object(entry)
}

/// No argument has a space in it: some clients on Windows pass those on wrongly.
fn bridge_args(endpoint: &Endpoint) -> Vec<String> {
    let mut args = vec!["-y".to_owned(), "mcp-remote".to_owned(), endpoint.url.clone()];
    if endpoint.sse_only {
        args.extend(["--transport".to_owned(), "sse-only".to_owned()]);
    }
    if is_plain_http_elsewhere(&endpoint.url) {
        args.push("--allow-http".to_owned());
    }
    if endpoint.variable.is_some() {
        args.extend(["--header".to_owned(), format!("Authorization:${{{BRIDGE_VARIABLE}}}")]);
    }
    args
}

/// The bridge wants to be told that this is meant.
fn is_plain_http_elsewhere(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    !matches!(host, "localhost" | "127.0.0.1")
}

fn input_id(variable: &str) -> String {
    variable.to_ascii_lowercase().replace('_', "-")
}

fn named(endpoints: &[Endpoint], entry: impl Fn(&Endpoint) -> Json) -> Json {
    Json::Named(endpoints.iter().map(|endpoint| (endpoint.name.clone(), entry(endpoint))).collect())
}

/// What there is of JSON in these files, in the order in which it is to appear.
enum Json {
    True,
    Text(String),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
    /// An object whose keys are names of endpoints.
    Named(Vec<(String, Self)>),
}

impl Json {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn document(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out.push('\n');
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        match self {
            Self::True => out.push_str("true"),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::List(items) => {
                let one_line = items.iter().all(|item| matches!(item, Self::Text(_)));
                write_items(out, "[]", depth, one_line, items.iter().map(|item| (None, item)));
            }
            Self::Object(members) => {
                let members = members.iter().map(|(key, value)| (Some(*key), value));
                write_items(out, "{}", depth, false, members);
            }
            Self::Named(members) => {
                let members = members.iter().map(|(key, value)| (Some(key.as_str()), value));
                write_items(out, "{}", depth, false, members);
            }
        }
    }
}

fn write_items<'a>(
    out: &mut String,
    brackets: &str,
    depth: usize,
    one_line: bool,
    items: impl Iterator<Item = (Option<&'a str>, &'a Json)>,
) {
    let (open, close) = brackets.split_at(1);
    let line = |out: &mut String, depth: usize| {
        if !one_line {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
    };
    out.push_str(open);
    for (index, (key, value)) in items.enumerate() {
        if index > 0 {
            out.push_str(if one_line { ", " } else { "," });
        }
        line(out, depth + 1);
        if let Some(key) = key {
            out.push_str(&format!("{}: ", quoted(key)));
        }
        value.write(depth + 1, out);
    }
    line(out, depth);
    out.push_str(close);
}

/// As a string of JSON, which TOML reads as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The variable in which the bridge finds the header's value.
const BRIDGE_VARIABLE: &str = "AUTH_HEADER";

/// What stands in that variable until somebody replaces it.
const PLACEHOLDER: &str = "Bearer <token>";
