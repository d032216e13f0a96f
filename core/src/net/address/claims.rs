//! What header fields say about the address of a client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Trust;
use crate::http::RequestHead;
use crate::net::IpRange;

/// How a field is written.
#[derive(Clone, Copy)]
enum Form {
    /// One address.
    Single,
    /// Addresses with commas between, the nearest last.
    List,
    /// RFC 7239.
    Forwarded,
}

/// Every claim that the head of a trusted peer's request makes, in the order of precedence (SEED-130).
pub(super) fn read(trust: &Trust, peer: IpAddr, head: &RequestHead) -> Vec<Option<IpAddr>> {
    let claim = |name: &str, form: Form| (head.count(name) > 0).then(|| read_field(trust, head, name, form));
    match &trust.header {
        Some(name) => {
            let mut known = KNOWN.iter().chain(&OF_CLOUDFLARE);
            let known = known.find(|(known, _)| known.eq_ignore_ascii_case(name));
            // What is written into an unknown field may be a list; one address is one as well.
            claim(name, known.map_or(Form::List, |(_, form)| *form)).into_iter().collect()
        }
        None => {
            let cloudflare = IpRange::preset("cloudflare").unwrap_or_default();
            let is_cloudflare = cloudflare.iter().any(|range| range.contains(peer));
            let of_service = OF_CLOUDFLARE.iter().filter(|_| is_cloudflare);
            of_service.chain(&KNOWN).filter_map(|(name, form)| claim(name, *form)).collect()
        }
    }
}

/// The client in a field that is there. `None` if it cannot be told.
fn read_field(trust: &Trust, head: &RequestHead, name: &str, form: Form) -> Option<IpAddr> {
    let values: Vec<&str> = head.fields().values(name).collect();
    match (form, values.as_slice()) {
        (Form::Single, [value]) => parse_node(value),
        // The proxy's and the client's own, and no way to tell which is which.
        (Form::Single, _) => None,
        (Form::List, values) => {
            walk(trust, values.iter().rev().flat_map(|value| value.rsplit(',')).map(parse_node))
        }
        (Form::Forwarded, values) => {
            let mut nodes = Vec::new();
            for value in values {
                nodes.extend(forwarded_nodes(value)?);
            }
            walk(trust, nodes.iter().rev().map(|node| parse_node(node.as_deref()?)))
        }
    }
}

/// The first node from the right that is no trusted proxy; the last one if all are.
fn walk(trust: &Trust, from_the_right: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
    let mut farthest = None;
    for node in from_the_right {
        let ip = node?;
        if !trust.trusts(ip) {
            return Some(ip);
        }
        farthest = Some(ip);
    }
    farthest
}

/// An address, with or without port: `192.0.2.1:5`, `[2001:db8::1]:5`, `2001:db8::1`. Names such as `unknown` and
/// `_hidden` (RFC 7239 §6) are none.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let is_port = |text: &str| match text.strip_prefix(':') {
        Some(port) => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, _) = rest.split_once(']').filter(|(_, port)| is_port(port))?;
        return Some(IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?).to_canonical());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let end = text.find(':').unwrap_or(text.len());
    let (ip, _) = text.split_at_checked(end).filter(|(_, port)| is_port(port))?;
    Some(IpAddr::V4(ip.parse::<Ipv4Addr>().ok()?))
}

/// The `for` of each element of a `Forwarded` field, `None` for an element without one. `None` for a field that
/// is not well-formed: then nobody knows where one element ends and the next begins.
fn forwarded_nodes(value: &str) -> Option<Vec<Option<String>>> {
    let mut nodes = Vec::new();
    let mut node: Option<String> = None;
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            let (name, after) = rest.split_once('=').filter(|(name, _)| is_token(name))?;
            let (text, after) = parameter_value(after)?;
            if name.eq_ignore_ascii_case("for") && node.replace(text).is_some() {
                return None;
            }
            rest = after.trim_start_matches([' ', '\t']);
        }
        if let Some(after) = rest.strip_prefix(';') {
            rest = after;
            continue;
        }
        nodes.push(node.take());
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(nodes),
        }
    }
}

/// A token or quoted string (RFC 9110 §5.6.4), and what follows it. A token may be the address that the grammar
/// wants quoted, brackets and port included, because proxies write that.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        let is_node = !token.is_empty() && !token.contains(['"', '\\', '=']);
        return is_node.then(|| (token.to_owned(), rest));
    };
    let mut out = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => out.push(chars.next()?),
            other => out.push(other),
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The fields that Cloudflare sets, in the order of precedence. Akamai has the second one as well; its addresses are not
/// public, so there the operator names the field.
const OF_CLOUDFLARE: [(&str, Form); 2] =
    [("cf-connecting-ip", Form::Single), ("true-client-ip", Form::Single)];

/// The fields of the reverse proxies in use, in the order of precedence.
const KNOWN: [(&str, Form); 5] = [
    ("x-real-ip", Form::Single),
    ("x-forwarded-for", Form::List),
    ("x-cluster-client-ip", Form::List),
    ("x-forwarded", Form::Forwarded),
    ("forwarded", Form::Forwarded),
];
