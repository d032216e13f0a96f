//! `mcpProxy.options.oauth2`: the configuration of the OAuth server (SEED-100 to SEED-106).
//!
//! Invariants: an OAuth server that is on has users, and a public URL over which passwords may go; whatever it
//! would silently not protect is named.
//! Deliberately absent: the file with further users, the directories, which only a runtime can look at.

mod clients;
mod read;

use std::net::IpAddr;

use super::Server;
use super::addr::Addr;
use super::fields::At;
use super::filter::Filter;
use super::notice::Report;
use super::proxy::Serve;
use crate::net::IpRange;
use crate::net::Trust;
use crate::redacted::Redacted;
use crate::redirect_uri::Policy;
use crate::throttle::LoginRate;
use crate::url::Url;

pub(super) use read::read;

/// The configuration of the OAuth server: `mcpProxy.options.oauth2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Whether it is to run.
    pub enabled: bool,
    /// Name and password, or password hash.
    pub users: Vec<(String, Redacted<String>)>,
    /// A file with more of them, one `name:hash` a line.
    pub users_file: Option<String>,
    /// Directory of its data; `None` is `$HOME/.mcpproxy`.
    pub persistence_dir: Option<String>,
    /// Who may register clients; empty is everyone.
    pub allowed_ips: Vec<IpRange>,
    /// Life of an access token.
    pub token_minutes: u32,
    /// Life of a refresh token that is not used.
    pub refresh_idle_days: u32,
    /// Life of a login, however often its refresh tokens are used.
    pub refresh_max_days: u32,
    /// How long a refresh token may be used again; 0 is not at all.
    pub refresh_grace_seconds: u32,
    /// What follows when one is used later.
    pub refresh_reuse: RefreshReuse,
    /// Life of an authorization code.
    pub code_seconds: u32,
    /// Templates are in `oauth` below this directory.
    pub template_dir: String,
    /// Redirect targets that clients may have.
    pub redirects: Policy,
    /// Hosts whose client ID metadata documents are read; none turns them off.
    pub document_hosts: DocumentHosts,
    /// Clients that need no registration.
    pub clients: Vec<FixedClient>,
    /// Whether clients may register.
    pub registration: bool,
    /// How many registered clients are kept.
    pub clients_max: u32,
    /// Whose word about the address of a client counts, and in which field.
    pub trust: Trust,
    /// What a login without `resource` is for.
    pub default_resource: DefaultResource,
    /// Whether `authTokens` open servers beside it.
    pub static_tokens: bool,
    /// How fast passwords may be tried.
    pub login_rate: LoginRate,
    /// Whether a page stands between the login and the client.
    pub success_page: bool,
    /// Whether access tokens of the original program stay valid until they expire.
    pub import_legacy_tokens: bool,
    /// Whether clients of the type `web` may have no loopback or custom targets.
    pub strict_application_type: bool,
    /// Whether the metadata is not at the root when `baseURL` has a path.
    pub strict_discovery: bool,
}

/// What happens when a refresh token is used after its grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefreshReuse {
    /// Somebody stole it: the whole login ends.
    #[default]
    Revoke,
    /// Only this request is refused.
    Reject,
}

/// `oauth2.clientIdMetadata.allowedHosts`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentHosts {
    /// `["*"]`
    Any,
    /// These, in lower case.
    These(Vec<String>),
}

impl DocumentHosts {
    /// Whether documents of this host (lower case) are read.
    pub fn admit(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(hosts) => hosts.iter().any(|known| known == host),
        }
    }

    /// Whether any are.
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::These(hosts) if hosts.is_empty())
    }
}

/// An entry of `oauth2.clients`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedClient {
    /// `client_id`
    pub id: String,
    /// Plain or as `sha256:<hex>`; a client without one is public.
    pub secret: Option<Redacted<String>>,
    /// Its redirect targets, which need not be in the policy.
    pub redirect_uris: Vec<String>,
    /// What it is called on the page.
    pub name: String,
}

/// `oauth2.defaultResource`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultResource {
    /// All servers that the user may use.
    #[default]
    All,
    /// The only server; an error if there are several.
    Single,
    /// It must be named.
    Require,
}

/// The section, and what is left to check when the rest has been read.
pub(super) struct Section {
    /// Where `enabled` stands, or else the section.
    at: usize,
    oauth2: OAuth2,
    /// `allowInsecureBaseURL`
    insecure_allowed: bool,
}

/// What the section depends on.
pub(super) struct Around<'a> {
    pub(super) serve: Serve,
    pub(super) addr: &'a Addr,
    pub(super) base_url: Option<At<&'a Url>>,
    pub(super) servers: &'a [At<Server>],
}

/// Checks the section against the rest of the configuration, and says what is left of it.
pub(super) fn settle(
    report: &mut Report<'_>,
    section: Option<Section>,
    around: &Around<'_>,
) -> Option<OAuth2> {
    let is_on = section.as_ref().is_some_and(|section| section.oauth2.enabled);
    warn_filters_without_users(report, is_on && around.serve.has_streamable_http(), around.servers);
    let Section { at, mut oauth2, insecure_allowed } = section?;
    if !is_on {
        return Some(oauth2);
    }
    if !around.serve.has_streamable_http() {
        oauth2.enabled = false;
        warn_ignored(report, at, around.servers);
        return Some(oauth2);
    }
    match around.base_url {
        Some(At { at, value: url }) if !url.is_secure() && !is_loopback(url.host()) && !insecure_allowed => {
            report.error(
                at,
                "with oauth2 the public URL must be https, or passwords and tokens cross the network in the clear; \
                 where TLS ends at a reverse proxy, write the https URL of that (or set oauth2.allowInsecureBaseURL)",
            );
        }
        None if !around.addr.is_loopback() => report.warn(
            at,
            "without `mcpProxy.baseURL` only programs on this machine can sign in with oauth2; write the URL under \
             which clients reach the proxy, for example https://mcp.example.com",
        ),
        Some(_) | None => {}
    }
    Some(oauth2)
}

/// SEED-100
fn warn_ignored(report: &mut Report<'_>, at: usize, servers: &[At<Server>]) {
    let servers = servers.iter().map(|server| &server.value);
    let open: Vec<String> = servers
        .filter(|server| !server.disabled && server.options.auth_tokens.is_empty())
        .map(|server| format!("`{}`", server.label()))
        .collect();
    let consequence = if open.is_empty() {
        "every server is protected by authTokens".to_owned()
    } else {
        format!("anybody can use these servers, they have no authTokens: {}", open.join(", "))
    };
    report.warn(at, format!("oauth2 is ignored, because `mcpProxy.type` is `sse`; {consequence}"));
}

/// A filter of users looks like protection; it is none where nobody signs in.
fn warn_filters_without_users(report: &mut Report<'_>, is_on: bool, servers: &[At<Server>]) {
    for At { at, value: server } in servers {
        let filtered = server.options.users != Filter::None;
        if filtered && !server.disabled && (!is_on || server.options.oauth2_exempt) {
            let label = server.label();
            report.warn(
                *at,
                format!(
                    "`userFilter` of the server `{label}` has no effect, because oauth2 does not protect it"
                ),
            );
        }
    }
}

/// Whether what goes to this host (lower case) stays on this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}
