//! How one server is reached: the keys of `mcpServers.<key>` that say so (SEED-035 to SEED-041).
//!
//! Invariant: what leaves here can be handed to the host as it is: no NUL in what goes to a child, no line
//! end in what goes into an HTTP head.
//! Deliberately absent: looking whether a command exists, which may change until it is started.

use std::fmt;

use super::fields::{At, Entry, Fields, nearest, shown};
use super::notice::Report;
use super::tree::Value;
use crate::redacted::Redacted;
use crate::url::Url;

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// A child process.
    Stdio {
        /// Name or path of the program, never empty.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Added to the environment of the proxy.
        env: Vec<(String, Redacted<String>)>,
        /// Working directory; `None` is that of the proxy.
        cwd: Option<String>,
    },
    /// HTTP.
    Http {
        /// Where the endpoint is.
        url: Url,
        /// Sent with every request.
        headers: Vec<(String, Redacted<String>)>,
        /// Which transport to try first.
        first: HttpKind,
    },
}

/// An HTTP transport of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpKind {
    /// HTTP+SSE; if the server does not speak it, Streamable HTTP.
    Sse,
    /// Streamable HTTP.
    Streamable,
}

impl fmt::Debug for Transport {
    /// Without arguments, which may be secrets as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio { command, args, env, cwd } => f
                .debug_struct("Stdio")
                .field("command", command)
                .field("args", &args.len())
                .field("env", env)
                .field("cwd", cwd)
                .finish(),
            Self::Http { url, headers, first } => f
                .debug_struct("Http")
                .field("url", url)
                .field("headers", headers)
                .field("first", first)
                .finish(),
        }
    }
}

/// Reads the keys of all transports and then decides which one is meant, so that every problem is found at
/// once. `kind` is what `transportType` says, or in the first format `type`; `default` is what is tried first at a
/// URL without one.
pub(super) fn read(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    kind: Option<At<&str>>,
    default: HttpKind,
) -> Option<Transport> {
    let command = Command::read(report, fields);
    let url = read_url(report, fields);
    let stdio = Stdio::read(report, fields);
    let headers = read_headers(report, fields);
    let oauth = fields.node(report, "oauth").filter(|node| !matches!(node.value, Value::Bool(false)));
    let kind = kind.filter(|kind| !kind.value.is_empty());
    let known_kind = kind.is_none_or(|kind| KINDS.contains(&kind.value));

    let Some(command) = command else {
        if kind.is_some_and(|kind| kind.value == "stdio") {
            report.error(fields.at, "command is required for stdio transport");
            return None;
        }
        let Some((key, url)) = url else {
            let at = kind.map_or(fields.at, |kind| kind.at);
            report
                .error(at, format!("invalid server type: expected `command` or `url`{}", unknown_kind(kind)));
            return None;
        };
        if !known_kind {
            report.warn(url.at, format!("this server is taken for an `sse` one{}", unknown_kind(kind)));
        }
        let name = fields.name_of(key);
        if let Some(oauth) = oauth {
            let message = "this version cannot log in to a server; if the server wants a login, put a token into \
                           `headers`: \"Authorization\": \"Bearer ${TOKEN}\"";
            report.warn(oauth.span.start, format!("`{}` has no effect: {message}", fields.name_of("oauth")));
        }
        warn_without_effect(report, fields, &["args", "env", "environment", "cwd", "workingDir"], "url");
        let parsed =
            Url::parse(url.value).map_err(|error| report.error(url.at, format!("`{name}`: {error}")));
        let url = parsed.ok()?;
        let first = match kind.map(|kind| kind.value) {
            Some("streamable-http") => HttpKind::Streamable,
            None if key == "httpUrl" => HttpKind::Streamable,
            // What ends like this is the older transport, whoever wrote it.
            None if default == HttpKind::Streamable && !url.path().ends_with("/sse") => HttpKind::Streamable,
            Some(_) | None => HttpKind::Sse,
        };
        return Some(Transport::Http { url, headers, first });
    };
    if kind.is_some_and(|kind| kind.value != "stdio") {
        report.warn(
            command.at,
            format!("this server has a `command`, so it is a `stdio` one{}", unknown_kind(kind)),
        );
    }
    if let Some((key, url)) = url {
        report.warn(url.at, format!("`{}` is ignored, because there is a `command`", fields.name_of(key)));
    }
    warn_without_effect(report, fields, &["headers", "oauth"], "command");
    let Stdio { args, env, cwd } = stdio;
    let args = command.args.into_iter().chain(args).collect();
    Some(Transport::Stdio { command: command.program, args, env, cwd })
}

/// Keys that mean nothing beside the one that decides how the server is reached.
fn warn_without_effect(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    keys: &[&'static str],
    beside: &str,
) {
    for key in keys {
        let Some(node) = fields.node(report, key) else { continue };
        let is_empty = match &node.value {
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(value) => !value,
            Value::Null | Value::Number(_) => false,
        };
        if !is_empty {
            let name = fields.name_of(key);
            report.warn(node.span.start, format!("`{name}` has no effect beside `{beside}`, it is ignored"));
        }
    }
}

/// The URL, under one of the names it has in the files of clients.
fn read_url<'a>(report: &mut Report<'_>, fields: &mut Fields<'a>) -> Option<(&'static str, At<&'a str>)> {
    let mut urls = ["url", "httpUrl", "serverUrl"].into_iter().filter_map(|key| {
        let url = fields.string(report, key).filter(|url| !url.value.is_empty())?;
        Some((key, url))
    });
    let first = urls.next();
    // The others are known, too.
    let _unused = urls.count();
    first
}

/// `command`: a program, or a list of a program and its first arguments.
struct Command {
    at: usize,
    program: String,
    args: Vec<String>,
}

impl Command {
    fn read(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<Self> {
        let is_list = matches!(fields.node(report, "command")?.value, Value::Array(_));
        let words = match is_list {
            true => fields.strings(report, "command")?,
            false => vec![fields.string(report, "command")?],
        };
        let [program, args @ ..] = words.as_slice() else { return None };
        // Each of them is told.
        let fit = words.iter().filter(|word| !no_nul(report, **word, "command")).count() == 0;
        Some(Self {
            at: program.at,
            program: program.value.to_owned(),
            args: args.iter().map(|arg| arg.value.to_owned()).collect(),
        })
        .filter(|command| fit && !command.program.is_empty())
    }
}

/// The keys beside `command`.
struct Stdio {
    args: Vec<String>,
    env: Vec<(String, Redacted<String>)>,
    cwd: Option<String>,
}

impl Stdio {
    fn read(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Self {
        let mut args = fields.strings(report, "args").unwrap_or_default();
        args.retain(|arg| no_nul(report, *arg, "args"));
        let environment = fields.string_map(report, "environment");
        let mut env = fields.string_map(report, "env").or(environment).unwrap_or_default();
        env.retain(|entry| {
            let fit = !entry.key.value.is_empty() && !entry.key.value.contains(['=', '\0']);
            if !fit {
                report.error(
                    entry.key.at,
                    "the name of an environment variable is empty or contains `=` or NUL",
                );
            }
            fit && no_nul(report, entry.value, "env")
        });
        let cwd = fields.string(report, "cwd");
        let other = fields.string(report, "workingDir");
        if let (Some(_), Some(other)) = (cwd, other) {
            report.warn(other.at, "`workingDir` is ignored, because there is a `cwd`");
        }
        let cwd = cwd.or(other).filter(|cwd| !cwd.value.is_empty() && no_nul(report, *cwd, "cwd"));
        Self {
            args: args.iter().map(|arg| arg.value.to_owned()).collect(),
            env: env.iter().map(redacted).collect(),
            cwd: cwd.map(|cwd| cwd.value.to_owned()),
        }
    }
}

/// Field names and values of RFC 9110 §5, without those that the proxy sets.
fn read_headers(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<(String, Redacted<String>)> {
    let mut headers = fields.string_map(report, "headers").unwrap_or_default();
    headers.retain(|Entry { key, value }| {
        let is_token = !key.value.is_empty()
            && key.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let is_own = OWN_HEADERS.iter().any(|name| key.value.eq_ignore_ascii_case(name));
        let is_value = value.value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        if !is_token {
            report.error(key.at, "this is not the name of an HTTP header");
        } else if is_own {
            report.warn(
                key.at,
                format!("the header `{}` is set by the proxy itself, it is ignored", shown(key.value)),
            );
        } else if !is_value {
            report
                .error(value.at, "a line end or another control character cannot be part of an HTTP header");
        }
        is_token && is_value && !is_own
    });
    headers
        .iter()
        .map(|Entry { key, value }| (key.value.to_owned(), value.value.trim().to_owned().into()))
        .collect()
}

fn no_nul(report: &mut Report<'_>, text: At<&str>, key: &str) -> bool {
    let fit = !text.value.contains('\0');
    if !fit {
        report.error(text.at, format!("`{key}` must not contain NUL"));
    }
    fit
}

fn redacted(entry: &Entry<'_>) -> (String, Redacted<String>) {
    (entry.key.value.to_owned(), entry.value.value.to_owned().into())
}

/// A half-sentence about a `transportType` that is none.
fn unknown_kind(kind: Option<At<&str>>) -> String {
    match kind.map(|kind| kind.value).filter(|kind| !KINDS.contains(kind)) {
        None => String::new(),
        Some(kind) => match nearest(kind, &KINDS) {
            Some(known) => format!("; unknown transport type `{}`, did you mean `{known}`?", shown(kind)),
            None => {
                format!(
                    "; unknown transport type `{}`, there are `stdio`, `sse` and `streamable-http`",
                    shown(kind)
                )
            }
        },
    }
}

/// The values of `transportType`.
pub(super) const KINDS: [&str; 3] = ["stdio", "sse", "streamable-http"];

/// Headers that belong to the connection and the protocol, not to the configuration.
const OWN_HEADERS: [&str; 10] = [
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Upgrade",
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Last-Event-ID",
];
