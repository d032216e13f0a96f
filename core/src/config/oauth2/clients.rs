//! `oauth2.clients`: clients that need no registration.
//!
//! Invariant: a client that was meant to have a secret never becomes a public one, not even when the variable
//! that the secret is in is not set.

use std::collections::BTreeSet;

use super::super::fields::{At, Fields, shown};
use super::super::notice::Report;
use super::super::tree::Value;
use super::FixedClient;
use crate::redacted::Redacted;
use crate::redirect_uri;

/// Reads the list.
pub(super) fn read(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<FixedClient> {
    let Some(node) = fields.node(report, "clients") else { return Vec::new() };
    let name = fields.name_of("clients");
    let Value::Array(items) = &node.value else {
        report.error(node.span.start, format!("`{name}`: expected a list, found {}", node.value.kind()));
        return Vec::new();
    };
    let mut clients = Vec::with_capacity(items.len());
    let mut ids = BTreeSet::new();
    for (place, item) in items.iter().enumerate() {
        let Some(fields) = Fields::open_login(report, item, format!("{name}[{place}]")) else { continue };
        let Some(client) = read_client(report, fields) else { continue };
        if !ids.insert(client.id.clone()) {
            let id = shown(&client.id);
            report.error(item.span.start, format!("`{name}[{place}]`: there is another client `{id}`"));
        }
        clients.push(client);
    }
    clients
}

/// `None` only after an error.
fn read_client(report: &mut Report<'_>, mut fields: Fields<'_>) -> Option<FixedClient> {
    let id = read_id(report, &mut fields);
    let secret = read_secret(report, &mut fields);
    let redirect_uris = read_targets(report, &mut fields);
    let name = fields.string(report, "name").map(|it| it.value).filter(|name| !name.is_empty());
    let name = name.map(str::to_owned);
    fields.finish(
        report,
        &[("client_id", "id"), ("client_secret", "secret"), ("redirect_uris", "redirectURIs")],
    );
    let id = id?;
    Some(FixedClient { name: name.unwrap_or_else(|| id.clone()), id, secret, redirect_uris })
}

fn read_id(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<String> {
    let name = fields.name_of("id");
    let Some(At { at, value }) = fields.string(report, "id") else {
        report.error(fields.at, format!("`{name}` is required"));
        return None;
    };
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
    // A URL is that of a metadata document, and the prefix is that of registered clients.
    let taken = ["https:", "http:", "mcpx_"].iter().any(|prefix| value.starts_with(prefix));
    if value.is_empty() || value.len() > ID_BYTES_MAX || !is_plain || taken {
        let expected =
            "1 to 200 characters of printable ASCII without blanks, no URL, not starting with mcpx_";
        report.error(at, format!("`{name}`: expected {expected}"));
        return None;
    }
    Some(value.to_owned())
}

fn read_secret(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<Redacted<String>> {
    if let Some(node) = fields.node(report, "secret") {
        report.hide(node.span.clone());
    }
    let secret = fields.string(report, "secret");
    let is_public = fields.bool(report, "public");
    let name = fields.name_of("secret");
    match (secret, is_public.filter(|it| !it.value || secret.is_some())) {
        (Some(secret), Some(At { at, value: true })) => {
            report.error(at, format!("a client that is public has no secret, but `{name}` is there"));
            Some(secret.value.to_owned().into())
        }
        (Some(At { at, value }), _) => {
            if let Some(problem) = secret_problem(value) {
                report.error(at, format!("`{name}`: {problem}"));
            }
            Some(value.to_owned().into())
        }
        (None, Some(At { at, .. })) => {
            report.error(at, format!("`{name}` is required, because the client is not public"));
            None
        }
        (None, None) => None,
    }
}

/// What is wrong with a secret, without a word of it.
fn secret_problem(secret: &str) -> Option<&'static str> {
    if secret.is_empty() {
        return Some("the secret is empty; for a client without one leave the key out");
    }
    if secret.strip_prefix('$').is_some_and(|rest| rest.contains('$')) {
        return Some(
            "password hashes are not for secrets, write it as it is or as sha256:<64 hexadecimal digits>",
        );
    }
    if let Some(hash) = secret.strip_prefix("sha256:") {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        return (!is_hash).then_some("expected 64 hexadecimal digits after sha256:");
    }
    let is_plain = secret.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    (!is_plain).then_some("a secret must be printable ASCII (RFC 6749, appendix A.2)")
}

fn read_targets(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<String> {
    let written = fields.strings(report, "redirectURIs").unwrap_or_default();
    let name = fields.name_of("redirectURIs");
    if written.is_empty() {
        report
            .error(fields.at, format!("`{name}` is required: without one the client cannot sign anybody in"));
    }
    for At { at, value } in &written {
        if let Err(problem) = redirect_uri::check(value) {
            report.error(*at, format!("`{name}`: {problem}"));
        }
    }
    written.iter().map(|target| target.value.to_owned()).collect()
}

/// As many as any server gives out.
const ID_BYTES_MAX: usize = 200;
