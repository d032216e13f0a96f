//! Which redirect targets clients may have: the policy of `oauth2.allowedRedirectURIs` (RFC 9700 §2.1 and §4.1).
//!
//! A target is a text. It is taken apart once, by `Target::read`, which refuses whatever a browser might
//! read in another way; after that targets are compared as strings. The one exception is a loopback target,
//! whose port the client learns only when it listens (RFC 8252 §7.3); an empty port, `http://localhost:/`, is none there.
//! An `https` target with an empty port is refused, since as a text it equals no other spelling.
//!
//! Invariants: an admitted target is free of fragments, user information, `*`, backslashes and control
//! characters, escaped ones included, and consists of the characters of RFC 3986; a loopback target has one of
//! three hosts, spelled out; a scheme of an application's own is admitted only with its whole URI.
//! Deliberately absent: which client has registered what; the `[::1]` of a loose loopback (no client changes
//! between that and the others); schemes that a browser runs or that leave it for the network.

mod target;

use crate::url::Url;
use target::Target;

use crate::url::percent::encode_component;

/// The list of what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    entries: Vec<Entry>,
    /// See [`document_hosts`](Policy::document_hosts).
    hosts: Vec<&'static str>,
    loose_loopback: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// An `https` target.
    Exact(String),
    /// `https://host/path/`, and behind it one more segment.
    Prefix(String),
    /// A target with an application's own scheme.
    Custom(String),
    /// A loopback target, its port left open.
    LoopbackTarget(String),
    /// Every loopback target.
    Loopback,
    /// Every `https` target.
    AnyHttps,
}

/// How a target came to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The very target is in the list, and it is `https`: an error may be sent there without a user's doing.
    Exact,
    /// Anybody might stand behind it: loopback, a prefix, an application's own scheme, or any `https`.
    Open,
}

impl Policy {
    /// Reads the entries of `allowedRedirectURIs`: presets and targets. With `loose_loopback` the loopback hosts
    /// `localhost` and `127.0.0.1` are one.
    ///
    /// # Errors
    /// For each bad entry its place and a sentence that says what would be right.
    pub fn parse<'a>(
        entries: impl Iterator<Item = &'a str>,
        loose_loopback: bool,
    ) -> Result<Self, Vec<(usize, String)>> {
        let mut policy = Self { entries: Vec::new(), hosts: Vec::new(), loose_loopback };
        let mut problems = Vec::new();
        for (place, text) in entries.enumerate() {
            if let Err(problem) = policy.add(text) {
                problems.push((place, problem));
            }
        }
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let entry = match text {
            "loopback" => Entry::Loopback,
            "any-https" => Entry::AnyHttps,
            "claude" => return CLAUDE.into_iter().try_for_each(|target| self.add(target)),
            "cursor" => return CURSOR.into_iter().try_for_each(|target| self.add(target)),
            "vscode" => return VSCODE.into_iter().try_for_each(|target| self.add(target)),
            "chatgpt" => return CHATGPT.into_iter().try_for_each(|target| self.add(target)),
            "inspector" => return INSPECTOR.into_iter().try_for_each(|target| self.add(target)),
            target => Entry::read(target)?,
        };
        for host in entry.document_hosts() {
            if !self.hosts.contains(host) {
                self.hosts.push(host);
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Whether a client may have this target.
    ///
    /// # Errors
    /// A reason in ASCII that repeats nothing of the target, for the client.
    pub fn admits(&self, uri: &str) -> Result<Admission, String> {
        let target = Target::read(uri)?;
        let exact = |entry: &Entry| matches!(entry, Entry::Exact(known) if known == uri);
        if self.entries.iter().any(exact) {
            return Ok(Admission::Exact);
        }
        if self.entries.iter().any(|entry| entry.leaves_open(uri, target, self.loose_loopback)) {
            return Ok(Admission::Open);
        }
        Err("the redirect URI is not in the list of allowed ones (allowedRedirectURIs)".to_owned())
    }

    /// Whether `localhost` and `127.0.0.1` are one, for [`same_target`].
    pub const fn loose_loopback(&self) -> bool {
        self.loose_loopback
    }

    /// The hosts of the client ID metadata documents of those clients that the list is meant for.
    pub fn document_hosts(&self) -> Vec<&'static str> {
        self.hosts.clone()
    }
}

impl Default for Policy {
    /// The preset `claude`.
    fn default() -> Self {
        Self {
            entries: CLAUDE.into_iter().map(|target| Entry::Exact(target.to_owned())).collect(),
            hosts: vec![CLAUDE_HOST],
            loose_loopback: true,
        }
    }
}

impl Entry {
    /// Reads an entry that is no preset.
    fn read(text: &str) -> Result<Self, String> {
        if !text.contains(':') {
            return Err(format!("expected a URI or one of the presets {PRESETS}"));
        }
        if let Some(folder) = text.strip_suffix('*') {
            let prefix = folder.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
            return match (prefix, Target::read(folder)?) {
                (Some((_, path)), Target::Https) if folder.ends_with('/') && !path.contains('?') => {
                    Ok(Self::Prefix(folder.to_owned()))
                }
                _ => {
                    Err("a * is allowed for the last segment of an https URI only, https://host/path/*"
                        .into())
                }
            };
        }
        Ok(match Target::read(text)? {
            Target::Https => Self::Exact(text.to_owned()),
            Target::Loopback { .. } => Self::LoopbackTarget(text.to_owned()),
            Target::Custom => Self::Custom(text.to_owned()),
        })
    }

    /// Whether it admits a target that is not in the list as it stands. `target` is what `uri` has been read as.
    fn leaves_open(&self, uri: &str, target: Target<'_>, loose: bool) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Prefix(folder) => {
                target == Target::Https && uri.strip_prefix(folder).is_some_and(is_segment)
            }
            Self::Custom(known) => known == uri,
            Self::LoopbackTarget(known) => same_target(known, uri, loose),
            Self::Loopback => matches!(target, Target::Loopback { .. }),
            Self::AnyHttps => target == Target::Https,
        }
    }

    /// Whose documents name targets that this entry admits. Those of `any-https` and of unknown targets are
    /// for the operator to list.
    fn document_hosts(&self) -> &'static [&'static str] {
        match self {
            Self::Exact(target) => {
                let shared = DOCUMENT_HOSTS.iter().find(|(known, _)| known == target);
                shared.map_or(&[], |(_, hosts)| hosts)
            }
            Self::Loopback => &LOOPBACK_DOCUMENT_HOSTS,
            Self::Prefix(_) | Self::Custom(_) | Self::LoopbackTarget(_) | Self::AnyHttps => &[],
        }
    }
}

/// Whether a client that has registered one target may use the other: the same text, or a loopback target that
/// differs in its port only. With `loose_loopback` the hosts `localhost` and `127.0.0.1` are one.
pub fn same_target(registered: &str, given: &str, loose_loopback: bool) -> bool {
    if registered == given {
        return true;
    }
    let (Ok(registered), Ok(given)) = (Target::read(registered), Target::read(given)) else { return false };
    match (registered, given) {
        (Target::Loopback { host: a, rest: rest_a }, Target::Loopback { host: b, rest: rest_b }) => {
            rest_a == rest_b && (a == b || loose_loopback && ![a, b].contains(&"[::1]"))
        }
        _ => false,
    }
}

/// Checks the form of a target, whatever the list says: for clients that are configured.
///
/// # Errors
/// As [`Policy::admits`].
pub fn check(uri: &str) -> Result<(), String> {
    Target::read(uri).map(|_| ())
}

/// Whether it is an application on the user's own machine that listens there.
pub fn is_loopback(uri: &str) -> bool {
    matches!(Target::read(uri), Ok(Target::Loopback { .. }))
}

/// Whether it is one of Claude's own callbacks.
pub fn is_builtin_claude(uri: &str) -> bool {
    CLAUDE.contains(&uri)
}

/// Where a target leads, in short, for people: `host[:port]`, or `scheme://authority` of an application. Empty for what is
/// no target.
pub fn shown_host(uri: &str) -> String {
    match Target::read(uri) {
        Ok(Target::Custom) => {
            let (scheme, rest) = uri.split_once("://").unwrap_or_default();
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            if authority.is_empty() { scheme_source(uri) } else { format!("{scheme}://{authority}") }
        }
        Ok(Target::Https | Target::Loopback { .. }) => {
            Url::parse(uri).map(|url| url.authority()).unwrap_or_default()
        }
        Err(_) => String::new(),
    }
}

/// The source expression that lets a `form-action` of a content security policy reach a target: its origin, or
/// its scheme where the grammar of sources has no word for the host (CSP3 §2.3.1 knows names and `127.0.0.1`).
/// `'none'` for what is no target.
pub fn form_action_source(uri: &str) -> String {
    match Target::read(uri) {
        Ok(Target::Custom) => scheme_source(uri),
        Ok(Target::Https | Target::Loopback { .. }) => match Url::parse(uri) {
            Ok(url) if is_source_host(url.host()) => url.origin(),
            Ok(_) | Err(_) => scheme_source(uri),
        },
        Err(_) => "'none'".to_owned(),
    }
}

/// A target with more parameters behind those of its query. Of a fragment, which no target has, nothing is kept.
pub fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = uri.split_once('#').map_or(uri, |(uri, _)| uri).to_owned();
    for (name, value) in parameters {
        if !out.contains('?') {
            out.push('?');
        } else if !out.ends_with(['?', '&']) {
            out.push('&');
        }
        out.push_str(&encode_component(name));
        out.push('=');
        out.push_str(&encode_component(value));
    }
    out
}

fn scheme_source(uri: &str) -> String {
    uri.split_once(':').map_or_else(String::new, |(scheme, _)| format!("{scheme}:"))
}

fn is_source_host(host: &str) -> bool {
    let is_name = host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    host == "127.0.0.1" || is_name && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// Whether this is one segment of a path that reads the same everywhere: not empty, no dot segment, no escapes.
fn is_segment(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !text.is_empty() && !matches!(text, "." | "..") && text.bytes().all(unreserved)
}

const PRESETS: &str = "`claude`, `loopback`, `cursor`, `vscode`, `chatgpt`, `inspector`, `any-https`";

const CLAUDE: [&str; 2] =
    ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"];
/// All three come in one registration.
const CURSOR: [&str; 3] = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
];
const VSCODE: [&str; 4] = [
    "https://vscode.dev/redirect",
    "https://insiders.vscode.dev/redirect",
    "http://127.0.0.1:33418/",
    "http://localhost:33418/",
];
/// The second is for issuers it does not trust to send `iss`, one callback for each connector.
const CHATGPT: [&str; 2] =
    ["https://chatgpt.com/connector_platform_oauth_redirect", "https://chatgpt.com/connector/oauth/*"];
const INSPECTOR: [&str; 4] = [
    "http://localhost:6274/oauth/callback",
    "http://localhost:6274/oauth/callback/debug",
    "http://127.0.0.1:6274/oauth/callback",
    "http://127.0.0.1:6274/oauth/callback/debug",
];

const CLAUDE_HOST: &str = "claude.ai";
/// Whose documents name which targets.
const DOCUMENT_HOSTS: [(&str, &[&str]); 4] = [
    (CLAUDE[0], &[CLAUDE_HOST]),
    (CLAUDE[1], &[CLAUDE_HOST]),
    (VSCODE[0], &["vscode.dev"]),
    (CHATGPT[0], &["chatgpt.com"]),
];
/// The programs that listen on a port of their own: Claude Code, Codex, Zed, OpenCode.
const LOOPBACK_DOCUMENT_HOSTS: [&str; 4] = [CLAUDE_HOST, "chatgpt.com", "zed.dev", "opencode.ai"];

#[cfg(test)]
mod tests;
