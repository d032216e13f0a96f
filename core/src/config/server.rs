//! `mcpServers`: each entry as a [`Server`], and the rules for its key, which is a path (SEED-042).
//!
//! Invariants: the routes of two enabled servers never collide; a key is never shown beyond its first `/`,
//! because what follows may be a token.
//! Deliberately absent: routing itself.

use std::collections::BTreeMap;
use std::fmt;

use super::duration;
use super::fields::{At, Fields, shown};
use super::filter::{Filter, Filters};
use super::foreign;
use super::notice::Report;
use super::options::{Options, ServerOptions};
use super::overrides::ToolOverride;
use super::transport::{self, HttpKind, Transport};
use super::tree::Member;
use crate::id::ServerId;

/// A configured server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Names it for as long as a proxy runs. Reading numbers the servers of a text in order.
    pub id: ServerId,
    /// The key: the path below that of `baseURL`. May hold a secret after the first `/`; for logs there is
    /// [`label`](Self::label).
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// Its options, inherited ones included.
    pub options: Options,
    /// What of it is served.
    pub filters: Filters,
    /// What is shown of its tools instead of what it says, by its own names.
    pub tools: BTreeMap<String, ToolOverride>,
    /// It is not started.
    pub disabled: bool,
    /// Which era of the protocol to speak.
    pub era: Era,
}

/// `era` of a server. Not in effect yet: one era is implemented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Era {
    /// Whatever the server turns out to speak.
    #[default]
    Auto,
    /// The revisions with `initialize`, up to 2025-11-25.
    Legacy,
}

impl Server {
    /// The name with everything after the first `/` masked: `fetch/***`.
    pub fn label(&self) -> String {
        label(&self.name)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.label())
            .field("transport", &self.transport)
            .field("options", &self.options)
            .field("filters", &self.filters)
            .field("tools", &self.tools)
            .field("disabled", &self.disabled)
            .field("era", &self.era)
            .finish()
    }
}

/// Whose words a server is described in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A configuration of this program.
    Ours,
    /// The file of an MCP client.
    Client,
}

/// Reads one entry of `mcpServers`; `path` is where the entries are.
pub(super) fn read(
    report: &mut Report<'_>,
    path: &str,
    member: &Member,
    defaults: &Options,
    dialect: Dialect,
) -> Option<Server> {
    let mut fields = Fields::open(report, &member.node, format!("{path}.{}", label(&member.key)))?;
    let kind = foreign::read_kind(report, &mut fields);
    let default = match dialect {
        Dialect::Ours => HttpKind::Sse,
        Dialect::Client => HttpKind::Streamable,
    };
    let transport = transport::read(report, &mut fields, kind, default);
    let timeout = match dialect {
        Dialect::Ours => duration::read_ms(report, &mut fields, "timeout"),
        Dialect::Client => duration::read_client_ms(report, &mut fields, "timeout"),
    };
    let silence_ms = timeout.map(|timeout| timeout.value);
    let own = ServerOptions::read(report, &mut fields, defaults, silence_ms);
    let ServerOptions { options, mut filters, tools, mut disabled } = own;
    disabled |= foreign::read_off(report, &mut fields);
    if let Some(filter) = foreign::read_tools(report, &mut fields).filter(|_| filters.tools == Filter::None) {
        filters.tools = filter;
    }
    let era = read_era(report, &mut fields);
    if dialect == Dialect::Client {
        foreign::skip(report, &mut fields);
    }
    fields.finish(report, &HINTS);
    let id = ServerId(0);
    Some(Server {
        id,
        name: member.key.clone(),
        transport: transport?,
        options,
        filters,
        tools,
        disabled,
        era,
    })
}

/// The key with everything after the first `/` masked, fit for a message.
pub(super) fn label(key: &str) -> String {
    match key.split_once('/') {
        Some((first, _)) => format!("{}/***", shown(first)),
        None => shown(key),
    }
}

/// Checks the key of a server as a path.
pub(super) fn check_key(report: &mut Report<'_>, key: At<&str>) {
    let At { at, value } = key;
    let problem = if value.is_empty() {
        "is empty"
    } else if value.starts_with('/') || value.ends_with('/') {
        "starts or ends with `/`"
    } else if value.contains("//") {
        "contains `//`"
    } else if value.contains(['?', '#']) {
        "contains `?` or `#`, which end a path"
    } else if value.chars().any(char::is_control) {
        "contains a control character"
    } else if value.split('/').any(|segment| matches!(segment, "." | "..")) {
        "contains the path segment `.` or `..`"
    } else {
        return check_reserved(report, key);
    };
    report
        .error(at, format!("the server key `{}` {problem}, but it is the path of the server", label(value)));
}

/// First segments that the proxy uses itself (DESIGN §2.2).
fn check_reserved(report: &mut Report<'_>, At { at, value }: At<&str>) {
    let first = value.split('/').next().unwrap_or(value);
    if ["oauth", ".well-known"].contains(&first) {
        report.error(
            at,
            format!("the server key `{first}` is reserved for the proxy itself, take another one"),
        );
    } else if OWN_PATHS.contains(&first) {
        let label = label(value);
        report.warn(
            at,
            format!(
                "the path `/{first}` belongs to the proxy itself: the server `{label}` is reached only under \
                 `/{label}/mcp` and `/{label}/sse`, better take another key"
            ),
        );
    }
}

/// Finds enabled servers whose routes are those of another: `a/mcp` is also the endpoint of `a`.
pub(super) fn check_collisions(report: &mut Report<'_>, servers: &[At<Server>]) {
    let enabled = || servers.iter().filter(|server| !server.value.disabled);
    let places: BTreeMap<&str, usize> =
        enabled().map(|server| (server.value.name.as_str(), server.at)).collect();
    for At { at, value: server } in enabled() {
        let Some((parent, last)) = server.name.rsplit_once('/') else { continue };
        let Some(parent_at) = places.get(parent).filter(|_| ["mcp", "sse", "message"].contains(&last)) else {
            continue;
        };
        let line = report.line_of(*parent_at);
        // `last` is a word of ours, what stands before it may be a secret.
        let parent = label(parent);
        let own = format!("{parent}/{last}");
        report.error(
            *at,
            format!("the routes of the servers `{own}` and `{parent}` ({line}) collide, rename one of them"),
        );
    }
}

fn read_era(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Era {
    let Some(At { at, value }) = fields.string(report, "era") else { return Era::Auto };
    let name = fields.name_of("era");
    match value {
        "legacy" => {
            report.warn(
                at,
                format!("`{name}` has no effect: this version speaks the revisions of `legacy` alone"),
            );
            return Era::Legacy;
        }
        "modern" => {
            report
                .error(at, format!("`{name}`: `modern` is not part of this version yet, leave the key out"));
        }
        other => {
            report.error(at, format!("`{name}`: expected `legacy` or `modern`, found `{}`", shown(other)))
        }
    }
    Era::Auto
}

/// First segments of the proxy's own paths, which leave a server of that name its longer forms.
pub(crate) const OWN_PATHS: [&str; 9] =
    ["mcp", "sse", "message", "authorize", "token", "register", "health", "_healthz", "_readyz"];

/// What other programs call our keys.
const HINTS: [(&str, &str); 6] = [
    ("authTokens", "options.authTokens"),
    ("toolFilter", "options.toolFilter"),
    ("promptFilter", "options.promptFilter"),
    ("resourceFilter", "options.resourceFilter"),
    ("toolOverrides", "options.toolOverrides"),
    ("userFilter", "options.userFilter"),
];
