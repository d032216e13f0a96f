//! The first format: `server` and `clients` (SEED-050 to SEED-056).
//!
//! Tokens add up here, unlike in the second format, where a server's own list replaces the default. A client
//! that cannot be read is skipped; what was an error in it becomes a warning.
//! Deliberately absent: writing the converted file.

use super::duration;
use super::fields::{At, Fields};
use super::notice::Report;
use super::options::{Inheritable, Options, ServerOptions, read_tokens};
use super::proxy::ProxySection;
use super::server::{Era, Server, label};
use super::transport::{self, HttpKind, KINDS};
use super::tree::Member;
use crate::id::ServerId;

/// `server`. There is no `type` in it: the proxy serves HTTP+SSE (SEED-056).
pub(super) fn read_server(report: &mut Report<'_>, mut fields: Fields<'_>) -> ProxySection {
    let mut section = ProxySection::read_identity(report, &mut fields);
    section.defaults.auth_tokens = read_tokens(report, &mut fields, "globalAuthTokens").unwrap_or_default();
    fields.finish(report, &[]);
    section
}

/// One entry of `clients`; `None` if it cannot be read (SEED-054).
pub(super) fn read_client(report: &mut Report<'_>, member: &Member, defaults: &Options) -> Option<Server> {
    let mark = report.mark();
    let server = try_read_client(report, member, defaults);
    if report.demote_since(mark) || server.is_none() {
        report.warn(member.at, format!("the client `{}` cannot be read, it is skipped", label(&member.key)));
        return None;
    }
    server
}

fn try_read_client(report: &mut Report<'_>, member: &Member, defaults: &Options) -> Option<Server> {
    let path = format!("clients.{}", label(&member.key));
    let mut fields = Fields::open(report, &member.node, path)?;
    let kind = fields.string(report, "type");
    let mut own = Inheritable::read_v1(report, &mut fields);
    let config = fields.object(report, "config");
    let at = fields.at;
    fields.finish(report, &[]);
    if !kind.is_some_and(|kind| KINDS.contains(&kind.value)) {
        let at = kind.map_or(at, |kind| kind.at);
        report.error(at, "invalid server type: expected `type` to be `stdio`, `sse` or `streamable-http`");
        return None;
    }
    let Some(mut config) = config else {
        report.error(at, "`config` is required");
        return None;
    };
    let transport = transport::read(report, &mut config, kind, HttpKind::Sse);
    let timeout = duration::read_ms(report, &mut config, "timeout");
    config.finish(report, &[]);
    own.times.silence_ms = timeout.map(|timeout| timeout.value);
    own.auth_tokens = own.auth_tokens.map(|own| sum(own, &defaults.auth_tokens));
    let ServerOptions { filters, tools, disabled, .. } = ServerOptions::default();
    Some(Server {
        id: ServerId(0),
        name: member.key.clone(),
        transport: transport?,
        options: own.over(defaults),
        filters,
        tools,
        disabled,
        era: Era::Auto,
    })
}

/// A client's own tokens, then the global ones that are not among them (SEED-053).
fn sum<T: Clone + PartialEq>(mut own: Vec<T>, global: &[T]) -> Vec<T> {
    for token in global {
        if !own.contains(token) {
            own.push(token.clone());
        }
    }
    own
}

/// Says what of the first format is ignored beside the second one (SEED-051, SEED-052).
pub(super) fn warn_ignored(report: &mut Report<'_>, ignored: Option<usize>, key: &str, because: &str) {
    if let Some(at) = ignored {
        report.warn(at, format!("`{key}` of the old format is ignored, because there is `{because}`"));
    }
}

/// Reads `clients` in the order of the text.
pub(super) fn read_clients(
    report: &mut Report<'_>,
    clients: &Fields<'_>,
    defaults: &Options,
) -> Vec<At<Server>> {
    let mut servers = Vec::new();
    for member in clients.entries() {
        if let Some(value) = read_client(report, member, defaults) {
            servers.push(At { at: member.at, value });
        }
    }
    servers
}
