//! `client-config`: what MCP clients are to be configured with to use this proxy.
//!
//! The merged endpoint is one entry; with `-server`, or where nothing is merged, each server is one. With `-for`
//! stdout holds the client's file and nothing else, ready to be saved, and stderr says where it lies and what is left
//! to do. Without it all clients follow each other on stdout, for people to read.
//!
//! Invariants: no token is printed, clients get theirs from a variable or by asking; an entry's name holds nothing of
//! what follows the first `/` of a server's key, which may be a secret, its URL all of it; names and variables depend
//! on the configuration alone, so what is printed for one server fits what was printed for another.
//! Left out on purpose: finding and changing the files of clients.

use crate::args::{Client, Load, Log};
use crate::check::base;
use crate::load::{load, say};
use crate::nearest::nearest;
use mcp_proxy_core::config::{Config, Server};
use mcp_proxy_core::log::Level;
use mcp_proxy_core::route::{merged_paths, public_paths};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;

mod document;
mod notes;

/// All that a client has to know to use one URL of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    /// What the client calls it: letters, digits, `_` and `-`, which is what all of them accept.
    name: String,
    url: String,
    /// It is served over HTTP+SSE alone.
    sse_only: bool,
    /// The variable that is to hold the token; `None` where none is asked for.
    variable: Option<String>,
    /// A part of the URL may be a secret.
    has_secret_path: bool,
    /// What an operator should know, in whole sentences without names of clients.
    remarks: Vec<String>,
}

/// Loads the configuration and prints what was asked for.
pub(crate) fn run(from: &Load, log: Log, client: Option<Client>, server: Option<&str>) -> ExitCode {
    let Some(config) = load(from, log) else { return ExitCode::FAILURE };
    let endpoints = match endpoints(&config, server) {
        Ok(endpoints) => endpoints,
        Err(problem) => {
            say(log, Level::Error, problem);
            return ExitCode::FAILURE;
        }
    };
    let (stdout, stderr) = match client {
        Some(client) => (document::text(client, &endpoints), notes::text(client, &endpoints)),
        None => (all(&endpoints), String::new()),
    };
    // Whoever closed one of them does not want to know.
    let _gone = std::io::stderr().write_all(stderr.as_bytes());
    let _gone = std::io::stdout().write_all(stdout.as_bytes());
    ExitCode::SUCCESS
}

/// Every client under a heading.
fn all(endpoints: &[Endpoint]) -> String {
    let parts: Vec<String> = CLIENTS
        .into_iter()
        .map(|client| format!("{}\n{}", notes::text(client, endpoints), document::text(client, endpoints)))
        .collect();
    parts.join("\n\n")
}

/// What is to be configured.
///
/// # Errors
/// There is no such server, or nothing that could be used.
fn endpoints(config: &Config, server: Option<&str>) -> Result<Vec<Endpoint>, String> {
    let names = names(&config.servers);
    let named = || config.servers.iter().zip(&names);
    if let Some(wanted) = server {
        let found = find(&config.servers, wanted)?;
        return Ok(named().filter(|(server, _)| *server == found).map(|it| of_server(config, it)).collect());
    }
    if let Some(path) = merged_paths(config).into_iter().next() {
        return Ok(vec![of_merged(config, &path)]);
    }
    let endpoints: Vec<Endpoint> =
        named().filter(|(server, _)| !server.disabled).map(|it| of_server(config, it)).collect();
    if endpoints.is_empty() {
        return Err(
            "the merged endpoint is turned off and no server is enabled, so clients have nothing to use"
                .into(),
        );
    }
    Ok(endpoints)
}

/// The server that is meant by its key, or by what stands before the first `/` of it, which need not be secret.
fn find<'a>(servers: &'a [Server], wanted: &str) -> Result<&'a Server, String> {
    if let Some(exact) = servers.iter().find(|server| server.name == wanted) {
        return Ok(exact);
    }
    // What follows the first `/` may be a secret with a slip of the pen in it.
    let shown = head(wanted).escape_debug();
    let by_head = |server: &&Server| head(&server.name) == wanted || server.label() == wanted;
    let found: Vec<&Server> = servers.iter().filter(by_head).collect();
    match found.as_slice() {
        [server] => return Ok(server),
        [] => {}
        several => {
            return Err(format!(
                "the keys of {} servers begin with `{shown}/`, give a whole one",
                several.len()
            ));
        }
    }
    let rest = if wanted.contains('/') { "/***" } else { "" };
    let hint = match nearest(head(wanted), servers.iter().map(|server| head(&server.name))) {
        Some(near) => format!("did you mean `{near}`?"),
        None if servers.is_empty() => "there is none at all".to_owned(),
        None => {
            let known: Vec<String> = servers.iter().map(|server| format!("`{}`", server.label())).collect();
            format!("there are {}", known.join(", "))
        }
    };
    Err(format!("there is no server `{shown}{rest}` in the configuration, {hint}"))
}

fn of_server(config: &Config, (server, name): (&Server, &String)) -> Endpoint {
    let paths = public_paths(config, &server.name);
    let path = paths.iter().find(|path| path.ends_with("/mcp")).or_else(|| paths.first());
    let path = path.map_or("", String::as_str).strip_prefix(&config.base_path).unwrap_or_default();
    let mut remarks = general_remarks(config);
    if server.disabled {
        remarks.push(format!("The server {name} is disabled in the configuration of mcp-proxy."));
    }
    let has_secret_path = server.name.contains('/');
    if has_secret_path {
        remarks.push(format!(
            "The URL of {name} holds what follows the first `/` of its key: if that is a secret, keep this file secret too."
        ));
    }
    Endpoint {
        name: name.clone(),
        url: format!("{}{}{}", base(config), config.base_path, escape(path)),
        sse_only: !config.serve.has_streamable_http(),
        variable: variable(config, server, name),
        has_secret_path,
        remarks,
    }
}

fn of_merged(config: &Config, path: &str) -> Endpoint {
    let mut remarks = general_remarks(config);
    let first = protected(config).next();
    if first.is_some_and(|first| !has_master_token(config, first)) {
        remarks.push(
            "No single token opens all servers: the merged endpoint shows to each token only what it opens."
                .to_owned(),
        );
    }
    Endpoint {
        name: MERGED_NAME.to_owned(),
        url: format!("{}{path}", base(config)),
        sse_only: !config.serve.has_streamable_http(),
        variable: first
            .filter(|_| !config.servers.iter().any(|server| !server.disabled && has_login(config, server)))
            .map(|_| VARIABLE.to_owned()),
        has_secret_path: false,
        remarks,
    }
}

fn general_remarks(config: &Config) -> Vec<String> {
    let local =
        "The configuration of mcp-proxy has no baseURL, so these URLs are for clients on the same machine.";
    let mut remarks = if config.base_url.is_none() { vec![local.to_owned()] } else { Vec::new() };
    if config.servers.iter().any(|server| !server.disabled && has_login(config, server)) {
        remarks.push(
            "The client opens a page to sign in. mcp-proxy admits only clients of allowedRedirectURIs: \"claude\" alone \
             unless others are written there, such as \"loopback\" for programs on the user's computer."
                .to_owned(),
        );
    }
    remarks
}

/// Whether clients sign in to a server, so that they need no token.
fn has_login(config: &Config, server: &Server) -> bool {
    config.oauth2.as_ref().is_some_and(|oauth2| oauth2.enabled) && !server.options.oauth2_exempt
}

/// The enabled servers that ask for a token.
fn protected(config: &Config) -> impl Iterator<Item = &Server> {
    let asks = |server: &&Server| !server.options.auth_tokens.is_empty() && !has_login(config, server);
    config.servers.iter().filter(|server| !server.disabled).filter(asks)
}

/// Whether one of its tokens opens every server that asks for one.
fn has_master_token(config: &Config, server: &Server) -> bool {
    let opens_all = |token| protected(config).all(|server| server.options.auth_tokens.contains(token));
    server.options.auth_tokens.iter().any(opens_all)
}

/// The variable for the token of a server: the same for all where one token opens them all.
fn variable(config: &Config, server: &Server, name: &str) -> Option<String> {
    if server.options.auth_tokens.is_empty() || has_login(config, server) {
        return None;
    }
    Some(match has_master_token(config, server) {
        true => VARIABLE.to_owned(),
        false => format!("{VARIABLE}_{}", upper(name)),
    })
}

/// The variables that these ask for, each once.
fn variables(endpoints: &[Endpoint]) -> Vec<&str> {
    let mut variables: Vec<&str> = Vec::new();
    for variable in endpoints.iter().filter_map(|endpoint| endpoint.variable.as_deref()) {
        if !variables.contains(&variable) {
            variables.push(variable);
        }
    }
    variables
}

/// A name for every server, in their order: what stands before the first `/`, made fit for all clients and numbered
/// where two would get the same.
fn names(servers: &[Server]) -> Vec<String> {
    let mut taken = BTreeSet::from([upper(MERGED_NAME)]);
    let mut names = Vec::with_capacity(servers.len());
    for server in servers {
        let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let plain: String = head(&server.name).chars().map(fit).collect();
        let numbered = (2_usize..).map(|number| format!("{plain}-{number}"));
        let mut candidates = std::iter::once(plain.clone()).chain(numbered);
        let name = candidates.find(|name| taken.insert(upper(name)));
        names.push(name.unwrap_or(plain));
    }
    names
}

/// As part of the name of a variable. Two entries never share it.
fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// What stands before the first `/`.
fn head(key: &str) -> &str {
    key.split('/').next().unwrap_or(key)
}

/// RFC 3986 §2.1, leaving only letters, digits, `-._~` and the slashes. The proxy resolves it.
fn escape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What the merged endpoint is called.
const MERGED_NAME: &str = "mcp-proxy";

/// The variable for a token, or the beginning of it.
const VARIABLE: &str = "MCP_PROXY_TOKEN";

/// In the order of their appearance.
const CLIENTS: [Client; 14] = [
    Client::Claude,
    Client::ClaudeCode,
    Client::Cursor,
    Client::VsCode,
    Client::Codex,
    Client::Gemini,
    Client::Qwen,
    Client::OpenCode,
    Client::Copilot,
    Client::Cline,
    Client::Continue,
    Client::Goose,
    Client::Zed,
    Client::Windsurf,
];

/// Whether a client of this kind cannot reach these endpoints without a program between.
fn is_bridged(client: Client, endpoints: &[Endpoint]) -> bool {
    match client {
        Client::Claude => true,
        // These do not speak HTTP+SSE.
        Client::Codex | Client::Goose | Client::Zed => endpoints.iter().any(|endpoint| endpoint.sse_only),
        Client::ClaudeCode
        | Client::Cursor
        | Client::VsCode
        | Client::Gemini
        | Client::Qwen
        | Client::OpenCode
        | Client::Copilot
        | Client::Cline
        | Client::Continue
        | Client::Windsurf => false,
    }
}

#[cfg(test)]
mod tests;
