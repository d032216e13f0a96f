//! `mcpProxy`: the listener, the identity and the defaults (SEED-021 to SEED-025).
//!
//! Deliberately absent: `options` and `merged`, which have modules of their own.

use std::net::Ipv4Addr;

use super::addr::{Addr, Host};
use super::fields::{At, Fields, nearest, shown};
use super::merged::{self, Merged};
use super::notice::Report;
use super::oauth2;
use super::options::{Options, SECONDS_MAX, read_defaults};
use crate::limits::Limits;
use crate::url::Url;

/// Which transports are served (`mcpProxy.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serve {
    /// HTTP+SSE.
    #[default]
    Sse,
    /// Streamable HTTP.
    StreamableHttp,
    /// Both.
    Both,
}

impl Serve {
    /// Whether `/{server}/sse` is served.
    pub const fn has_sse(self) -> bool {
        matches!(self, Self::Sse | Self::Both)
    }

    /// Whether `/{server}/mcp` is served.
    pub const fn has_streamable_http(self) -> bool {
        matches!(self, Self::StreamableHttp | Self::Both)
    }

    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::StreamableHttp => "streamable-http",
            Self::Both => "both",
        }
    }
}

/// `mcpProxy.limits`: what replaces a default of [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitOverrides {
    /// `headBytes`
    pub head_bytes_max: Option<usize>,
    /// `messageBytes`
    pub message_bytes_max: Option<usize>,
    /// `memoryBytes`
    pub memory_bytes_max: Option<usize>,
    /// `connections`
    pub downstream_conns_max: Option<usize>,
    /// `connectionsPerAddress`
    pub conns_per_address_max: Option<usize>,
    /// `sessions`
    pub sessions_max: Option<usize>,
    /// `sessionIdleSeconds`, in milliseconds.
    pub session_idle_ms: Option<u64>,
}

impl LimitOverrides {
    /// `limits` with what the configuration says instead.
    pub fn apply(&self, limits: Limits) -> Limits {
        Limits {
            head_bytes_max: self.head_bytes_max.unwrap_or(limits.head_bytes_max),
            message_bytes_max: self.message_bytes_max.unwrap_or(limits.message_bytes_max),
            memory_bytes_max: self.memory_bytes_max.unwrap_or(limits.memory_bytes_max),
            downstream_conns_max: self.downstream_conns_max.unwrap_or(limits.downstream_conns_max),
            conns_per_address_max: self.conns_per_address_max.unwrap_or(limits.conns_per_address_max),
            sessions_max: self.sessions_max.unwrap_or(limits.sessions_max),
            session_idle_ms: self.session_idle_ms.unwrap_or(limits.session_idle_ms),
            ..limits
        }
    }
}

/// What `mcpProxy`, or `server` of the first format, says.
pub(super) struct ProxySection {
    pub(super) addr: Addr,
    pub(super) base_url: Option<At<Url>>,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) serve: Serve,
    pub(super) merged: Merged,
    pub(super) allowed_origins: Vec<String>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) limits: LimitOverrides,
    pub(super) defaults: Options,
    pub(super) oauth2: Option<oauth2::Section>,
}

impl ProxySection {
    /// The keys that both formats have; the rest is at its default.
    pub(super) fn read_identity(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Self {
        let name = fields.string(report, "name").map(|name| name.value).filter(|name| !name.is_empty());
        let version = fields.string(report, "version").map(|it| it.value).filter(|it| !it.is_empty());
        let default = Self::default();
        Self {
            addr: read_addr(report, fields),
            base_url: read_base_url(report, fields),
            name: name.map_or(default.name, str::to_owned),
            version: version.map_or(default.version, str::to_owned),
            ..default
        }
    }

    /// `mcpProxy`.
    pub(super) fn read(report: &mut Report<'_>, mut fields: Fields<'_>) -> Self {
        let mut section = Self::read_identity(report, &mut fields);
        section.serve = read_serve(report, &mut fields);
        section.merged = merged::read(report, &mut fields);
        section.allowed_origins = read_origins(report, &mut fields);
        section.allowed_hosts = read_hosts(report, &mut fields);
        section.limits = read_limits(report, &mut fields);
        (section.defaults, section.oauth2) = read_defaults(report, &mut fields);
        fields.finish(
            report,
            &[("globalAuthTokens", "options.authTokens"), ("authTokens", "options.authTokens")],
        );
        section
    }

    /// What goes with the file of an MCP client: this machine alone, both transports.
    pub(super) fn of_client() -> Self {
        let addr = Addr { host: Some(Host::Ip(Ipv4Addr::LOCALHOST.into())), ..Addr::default() };
        Self { addr, serve: Serve::Both, ..Self::default() }
    }

    /// The path of `baseURL` that prefixes every route: empty, or `/…` without a slash at the end.
    pub(super) fn base_path(&self) -> String {
        self.base_url.as_ref().map_or("", |url| url.value.path().trim_end_matches('/')).to_owned()
    }
}

impl Default for ProxySection {
    fn default() -> Self {
        Self {
            addr: Addr::default(),
            base_url: None,
            name: "mcp-proxy".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            serve: Serve::default(),
            merged: Merged::default(),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            limits: LimitOverrides::default(),
            defaults: Options::default(),
            oauth2: None,
        }
    }
}

fn read_addr(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Addr {
    let Some(At { at, value }) = fields.string(report, "addr") else { return Addr::default() };
    Addr::parse(value).unwrap_or_else(|problem| {
        report.error(at, format!("`{}`: {problem}", fields.name_of("addr")));
        Addr::default()
    })
}

fn read_base_url(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<At<Url>> {
    let At { at, value } = fields.string(report, "baseURL").filter(|url| !url.value.is_empty())?;
    let name = fields.name_of("baseURL");
    if value.contains(['?', '#']) {
        report.error(at, format!("`{name}`: the public URL has neither query nor fragment"));
        return None;
    }
    match Url::parse(value) {
        Ok(url) if url.path().contains("//") => {
            report.error(at, format!("`{name}`: the path of the public URL contains `//`"));
            None
        }
        Ok(url) => Some(At { at, value: url }),
        Err(error) => {
            report.error(at, format!("`{name}`: {error}, for example https://mcp.example.com"));
            None
        }
    }
}

fn read_serve(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Serve {
    let Some(At { at, value }) = fields.string(report, "type") else { return Serve::default() };
    match value {
        "" => Serve::default(),
        "sse" => Serve::Sse,
        "streamable-http" => Serve::StreamableHttp,
        "both" => Serve::Both,
        other => {
            let suggestion = match nearest(other, &["sse", "streamable-http", "both"]) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "expected `sse`, `streamable-http` or `both`".to_owned(),
            };
            let name = fields.name_of("type");
            report.error(at, format!("`{name}`: unknown server type `{}`, {suggestion}", shown(other)));
            Serve::default()
        }
    }
}

/// Origins as browsers send them: scheme and authority in lower case, `null`, or `*` for all.
fn read_origins(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<String> {
    let written = fields.strings(report, "allowedOrigins").unwrap_or_default();
    let name = fields.name_of("allowedOrigins");
    let mut origins = Vec::with_capacity(written.len());
    for At { at, value } in written {
        let origin = match Url::parse(value) {
            Ok(url) => Some(url).filter(|url| url.target() == "/").map(|url| url.origin()),
            Err(_) => Some(value.to_ascii_lowercase()).filter(|value| is_foreign_origin(value)),
        };
        match origin {
            Some(origin) => origins.push(origin),
            None => report.error(
                at,
                format!("`{name}`: expected an origin such as https://app.example.com (without a path), `null` or `*`"),
            ),
        }
    }
    origins
}

/// `null`, `*`, or the origin of an application with a scheme of its own, such as `vscode-webview://x`.
fn is_foreign_origin(value: &str) -> bool {
    if matches!(value, "null" | "*") {
        return true;
    }
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    !matches!(scheme, "http" | "https" | "")
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte))
}

/// Values of the `Host` header, with or without a port, in lower case, or `*` for all.
fn read_hosts(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<String> {
    let written = fields.strings(report, "allowedHosts").unwrap_or_default();
    let name = fields.name_of("allowedHosts");
    let mut hosts = Vec::with_capacity(written.len());
    for At { at, value } in written {
        let has_host_only = !value.contains(['/', '?', '#', '\\']);
        if value == "*" || has_host_only && Url::parse(&format!("https://{value}")).is_ok() {
            hosts.push(value.to_ascii_lowercase());
        } else {
            report.error(
                at,
                format!("`{name}`: expected a host such as mcp.example.com or localhost:9090, or `*`"),
            );
        }
    }
    hosts
}

/// Less than this is no room for one message beside the small ones of others.
const MEMORY_BYTES_MIN: u32 = 1024 * 1024;

fn read_limits(report: &mut Report<'_>, fields: &mut Fields<'_>) -> LimitOverrides {
    let Some(mut fields) = fields.object(report, "limits") else { return LimitOverrides::default() };
    let mut size =
        |key, min, max| fields.bounded(report, key, min, max).and_then(|n| usize::try_from(n).ok());
    let limits = LimitOverrides {
        head_bytes_max: size("headBytes", 1024, 1024 * 1024),
        message_bytes_max: size("messageBytes", 1024, 1024 * 1024 * 1024),
        memory_bytes_max: size("memoryBytes", MEMORY_BYTES_MIN, u32::MAX),
        downstream_conns_max: size("connections", 1, 1_000_000),
        conns_per_address_max: size("connectionsPerAddress", 1, 1_000_000),
        sessions_max: size("sessions", 1, 1_000_000),
        session_idle_ms: fields
            .bounded(report, "sessionIdleSeconds", 1, SECONDS_MAX)
            .map(|seconds| u64::from(seconds).saturating_mul(1000)),
    };
    fields.finish(report, &[]);
    limits
}
