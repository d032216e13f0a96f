//! The configuration: from text to a checked [`Config`].
//!
//! [`parse`] takes the text of a file (both formats of TBXark/mcp-proxy, JSON with comments) and gives either
//! a configuration that nothing is wrong with, together with warnings, or **all** problems at once, each with
//! its position and, for an unknown key, the nearest known one.
//!
//! ```text
//! text ── tree (JSON with places) · env (variables) ── fields (types) ── proxy · merged · options · oauth2
//!                                                                    └─ server · transport · filter · overrides · v1
//! ```
//! `access` says in words who may in.
//!
//! Invariants: a key or value is read in one place only; reading never stops at the first problem; where
//! security is concerned doubt is an error (a list of tokens that turns out empty, an OAuth server that would
//! not run); no message and no `Debug` output holds a secret.
//! Deliberately absent: reading files and URLs, the environment, the clock; a `validate` step: what has been
//! built is right.

mod access;
mod addr;
mod duration;
mod env;
mod fields;
mod filter;
mod foreign;
mod guards;
mod merged;
mod notice;
mod oauth2;
mod options;
mod overrides;
mod proxy;
mod server;
mod transport;
mod tree;
mod uri_filter;
mod v1;

pub use addr::{Addr, Host};
pub use env::{Expanded, Undefined, expand_env};
pub use filter::{Filter, Filters};
pub use merged::{Merged, Prefix};
pub use notice::{Notice, Severity};
pub use oauth2::{DefaultResource, DocumentHosts, FixedClient, OAuth2, RefreshReuse};
pub use options::{Options, Sharing, Times};
pub use overrides::ToolOverride;
pub use proxy::{LimitOverrides, Serve};
pub(crate) use server::OWN_PATHS;
pub use server::{Era, Server};
pub use transport::{HttpKind, Transport};
pub use uri_filter::UriFilter;

use crate::id::ServerId;
use crate::url::Url;
use fields::{At, Fields};
use notice::Report;
use proxy::ProxySection;
use server::Dialect;
use tree::Node;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub addr: Addr,
    /// The public URL, if it is known.
    pub base_url: Option<Url>,
    /// Its path, which prefixes every route: empty, or `/…` without a slash at the end.
    pub base_path: String,
    /// Name in MCP handshakes towards upstream servers.
    pub name: String,
    /// Version in MCP handshakes.
    pub version: String,
    /// Which transports are served.
    pub serve: Serve,
    /// The endpoint for all servers together.
    pub merged: Merged,
    /// Origins that web pages may call from; empty leaves it to the policy's default.
    pub allowed_origins: Vec<String>,
    /// Names that the `Host` header may have; empty leaves it to the policy's default.
    pub allowed_hosts: Vec<String>,
    /// The servers in the order of the text, disabled ones included.
    pub servers: Vec<Server>,
    /// The OAuth server; `enabled` only if it is to run.
    pub oauth2: Option<OAuth2>,
    /// What replaces defaults of [`Limits`](crate::limits::Limits).
    pub limits: LimitOverrides,
}

/// A configuration text and how to read it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The text, as it is in the file, at most 4 MiB.
    pub text: &'a str,
    /// File name or URL, for messages (a query is not shown).
    pub name: &'a str,
    /// Unknown keys are errors.
    pub strict: bool,
    /// Looks up environment variables for the text; `None` leaves every `$` alone (`-expand-env=false`).
    pub env: Option<Lookup<'a>>,
}

/// Gives the value of an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A configuration, and what an operator may want to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// It was the file of an MCP client, without `mcpProxy`: served on this machine alone, over both transports.
    pub of_client: bool,
    /// In the order of the text.
    pub warnings: Vec<Notice>,
}

/// Reads and checks a configuration, variables replaced by their values.
///
/// # Errors
/// All problems, warnings included, in the order of the text; at least one of them is an error.
pub fn parse(source: &Source<'_>) -> Result<Loaded, Vec<Notice>> {
    let mut report = Report::new(source);
    let config = if source.text.len() > TEXT_BYTES_MAX {
        report.error(0, format!("a configuration of more than {TEXT_BYTES_MAX} bytes is not read"));
        None
    } else {
        let mut env = env::Env::new(source.env, TEXT_BYTES_MAX);
        let root = tree::read(source.text, &mut env);
        report.know(env);
        match root {
            Ok(root) => read(&mut report, &root),
            Err(error) => {
                report.error(error.at, error.message);
                None
            }
        }
    };
    match (config, report.finish()) {
        (Some((config, of_client)), (warnings, false)) => Ok(Loaded { config, of_client, warnings }),
        (_, (notices, _)) => Err(notices),
    }
}

/// Reads the top level; says whether it is that of a client. `None` only after an error.
fn read(report: &mut Report<'_>, root: &Node) -> Option<(Config, bool)> {
    let mut top = Fields::open(report, root, "")?;
    let is_ours = ["mcpProxy", "server", "clients"].into_iter().any(|key| top.has(key));
    let found = if is_ours { None } else { foreign::find(report, &mut top) };
    match found {
        Some(found) => read_of_client(report, root, top, &found).map(|config| (config, true)),
        None => read_ours(report, root, top).map(|config| (config, false)),
    }
}

/// A configuration of this program.
fn read_ours(report: &mut Report<'_>, root: &Node, mut top: Fields<'_>) -> Option<Config> {
    let proxy = top.object(report, "mcpProxy");
    let old_proxy = top.object(report, "server");
    let servers = top.object(report, "mcpServers");
    let old_servers = top.object(report, "clients");
    let section = read_proxy(report, &mut top, proxy, old_proxy);
    let servers = read_servers(report, servers, old_servers, &section.defaults);
    top.finish(report, &[("servers", "mcpServers"), ("proxy", "mcpProxy")]);
    settle(report, root, section, servers)
}

/// The file of an MCP client.
fn read_of_client(
    report: &mut Report<'_>,
    root: &Node,
    top: Fields<'_>,
    found: &foreign::Found<'_>,
) -> Option<Config> {
    let section = ProxySection::of_client();
    top.finish_foreign(report);
    let mut servers = Vec::with_capacity(found.members.len());
    for member in &found.members {
        if let Some(value) = server::read(report, found.path, member, &section.defaults, Dialect::Client) {
            servers.push(At { at: member.at, value });
        }
    }
    settle(report, root, section, servers)
}

/// Checks what has been read as a whole.
fn settle(
    report: &mut Report<'_>,
    root: &Node,
    section: ProxySection,
    servers: Vec<At<Server>>,
) -> Option<Config> {
    for server in &servers {
        server::check_key(report, At { at: server.at, value: &server.value.name });
    }
    server::check_collisions(report, &servers);
    if servers.is_empty() {
        report.warn(root.span.start, "there is no server in `mcpServers`");
    }
    let base_path = section.base_path();
    let around = oauth2::Around {
        serve: section.serve,
        addr: &section.addr,
        base_url: section.base_url.as_ref().map(|url| At { at: url.at, value: &url.value }),
        servers: &servers,
    };
    Some(Config {
        oauth2: oauth2::settle(report, section.oauth2, &around),
        addr: section.addr,
        base_url: section.base_url.map(|url| url.value),
        base_path,
        name: section.name,
        version: section.version,
        serve: section.serve,
        merged: section.merged,
        allowed_origins: section.allowed_origins,
        allowed_hosts: section.allowed_hosts,
        servers: (0..).zip(servers).map(|(n, read)| Server { id: ServerId(n), ..read.value }).collect(),
        limits: section.limits,
    })
}

/// `mcpProxy`, or else `server` of the first format.
fn read_proxy(
    report: &mut Report<'_>,
    top: &mut Fields<'_>,
    proxy: Option<Fields<'_>>,
    old: Option<Fields<'_>>,
) -> ProxySection {
    match (proxy, old) {
        (Some(proxy), old) => {
            v1::warn_ignored(report, old.map(|old| old.at), "server", "mcpProxy");
            ProxySection::read(report, proxy)
        }
        (None, Some(old)) => v1::read_server(report, old),
        (None, None) => {
            let is_there = top.node(report, "mcpProxy").is_some() || top.node(report, "server").is_some();
            if !is_there {
                report.error(top.at, "mcpProxy is required, or else `mcpServers` as MCP clients have it");
            }
            ProxySection::default()
        }
    }
}

/// `mcpServers`, or else `clients` of the first format.
fn read_servers(
    report: &mut Report<'_>,
    servers: Option<Fields<'_>>,
    old: Option<Fields<'_>>,
    defaults: &Options,
) -> Vec<At<Server>> {
    let members: Vec<_> = servers.iter().flat_map(Fields::entries).collect();
    match old {
        Some(old) if members.is_empty() => return v1::read_clients(report, &old, defaults),
        old => v1::warn_ignored(report, old.map(|old| old.at), "clients", "mcpServers"),
    }
    let mut read = Vec::with_capacity(members.len());
    for member in members {
        if let Some(value) = server::read(report, "mcpServers", member, defaults, Dialect::Ours) {
            read.push(At { at: member.at, value });
        }
    }
    read
}

/// Far beyond any configuration, small enough to read a wrong file without harm.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
