//! `mcpProxy.options.oauth2`, read and checked (SEED-100 to SEED-106).
//!
//! Deliberately absent: the OAuth server itself. As long as there is none, a configuration that relies on it
//! does not load, so that nothing is open that was meant to be protected.

use std::net::IpAddr;

use super::Server;
use super::fields::{At, Fields};
use super::notice::Report;
use super::proxy::Serve;
use crate::redacted::Redacted;

/// The configuration of the OAuth server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Whether it is to run.
    pub enabled: bool,
    /// Name and password, or password hash.
    pub users: Vec<(String, Redacted<String>)>,
    /// Directory of its data; `None` is `$HOME/.mcpproxy`.
    pub persistence_dir: Option<String>,
    /// Who may register clients; empty is everyone.
    pub allowed_ips: Vec<IpRange>,
    /// Life of an access token.
    pub token_minutes: u32,
    /// Templates are in `oauth` below this directory.
    pub template_dir: String,
    /// Redirect targets and presets that clients may use; empty is the default preset.
    pub allowed_redirect_uris: Vec<String>,
}

/// An address, or all that share its first bits (CIDR, RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    addr: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
    pub fn parse(text: &str) -> Option<Self> {
        let (addr, bits) = match text.trim().split_once('/') {
            Some((addr, bits)) => (addr, Some(bits)),
            None => (text.trim(), None),
        };
        let addr: IpAddr = addr.parse().ok()?;
        let all = if addr.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|parsed| *parsed <= all && bits.bytes().all(|b| b.is_ascii_digit()))?,
        };
        Some(Self { addr, bits })
    }

    /// Whether an address is in the range; an IPv4 address may come in its IPv6 form.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32u32.saturating_sub(self.bits.into());
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128u32.saturating_sub(self.bits.into());
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Reads the section and checks what does not depend on the rest; its offset is that of `enabled`.
pub(super) fn read(report: &mut Report<'_>, options: &mut Fields<'_>) -> Option<At<OAuth2>> {
    let mut fields = options.object(report, "oauth2")?;
    let enabled = fields.bool(report, "enabled");
    if let Some(users) = fields.node(report, "users") {
        report.hide(users.span.clone());
    }
    let users = fields.string_map(report, "users").unwrap_or_default();
    let oauth2 = OAuth2 {
        enabled: enabled.is_some_and(|it| it.value),
        users: users
            .iter()
            .map(|user| (user.key.value.to_owned(), user.value.value.to_owned().into()))
            .collect(),
        persistence_dir: not_empty(fields.string(report, "persistenceDir")),
        allowed_ips: read_ranges(report, &mut fields),
        token_minutes: read_minutes(report, &mut fields),
        template_dir: not_empty(fields.string(report, "templateDir"))
            .unwrap_or_else(|| "templates".to_owned()),
        allowed_redirect_uris: fields
            .strings(report, "allowedRedirectURIs")
            .unwrap_or_default()
            .iter()
            .map(|uri| uri.value.to_owned())
            .collect(),
    };
    if oauth2.enabled && oauth2.users.is_empty() {
        report.error(
            fields.at,
            format!("`{}` is required: without users nobody can sign in", fields.name_of("users")),
        );
    }
    for user in users
        .iter()
        .filter(|user| oauth2.enabled && (user.key.value.is_empty() || user.value.value.is_empty()))
    {
        report.error(
            user.key.at,
            format!("`{}`: neither name nor password may be empty", fields.name_of("users")),
        );
    }
    let at = enabled.map_or(fields.at, |it| it.at);
    fields.finish(report, &[]);
    Some(At { at, value: oauth2 })
}

/// Checks the section against the type of the proxy and its servers, and says what is left of it.
pub(super) fn settle(
    report: &mut Report<'_>,
    oauth2: Option<At<OAuth2>>,
    serve: Serve,
    servers: &[Server],
) -> Option<OAuth2> {
    let At { at, value: mut oauth2 } = oauth2?;
    if !oauth2.enabled {
        return Some(oauth2);
    }
    if serve != Serve::Sse {
        report.error(
            at,
            "the OAuth server is not part of this version yet; start with oauth2.enabled false or protect the servers \
             with authTokens",
        );
        return Some(oauth2);
    }
    // SEED-100
    oauth2.enabled = false;
    let open = |server: &&Server| !server.disabled && server.options.auth_tokens.is_empty();
    let open: Vec<String> =
        servers.iter().filter(open).map(|server| format!("`{}`", server.label())).collect();
    let consequence = if open.is_empty() {
        "every server is protected by authTokens".to_owned()
    } else {
        format!("anybody can use these servers, they have no authTokens: {}", open.join(", "))
    };
    report.warn(at, format!("oauth2 is ignored, because `mcpProxy.type` is `sse`; {consequence}"));
    Some(oauth2)
}

fn read_ranges(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<IpRange> {
    let written = fields.strings(report, "allowedIPs").unwrap_or_default();
    let name = fields.name_of("allowedIPs");
    let mut ranges = Vec::with_capacity(written.len());
    for At { at, value } in &written {
        match IpRange::parse(value) {
            Some(range) => ranges.push(range),
            None => {
                report.error(*at, format!("`{name}`: expected an address or a range such as 160.79.104.0/21"))
            }
        }
    }
    let retired = |range: &IpRange| RETIRED_IPS.into_iter().any(|ip| IpRange::parse(ip) == Some(*range));
    if let Some(first) = written.first().filter(|_| !ranges.is_empty() && ranges.iter().all(retired)) {
        let message = "Claude no longer uses any of these addresses, its requests come from 160.79.104.0/21";
        report.warn(first.at, format!("`{name}`: {message}"));
    }
    ranges
}

/// 0 and negative numbers are the default (SEED-105).
fn read_minutes(report: &mut Report<'_>, fields: &mut Fields<'_>) -> u32 {
    let Some(At { at, value }) = fields.integer(report, "tokenExpirationMinutes").filter(|it| it.value > 0)
    else {
        return 60;
    };
    match u32::try_from(value).ok().filter(|minutes| *minutes <= MINUTES_MAX) {
        Some(minutes) => minutes,
        None => {
            let name = fields.name_of("tokenExpirationMinutes");
            report.error(at, format!("`{name}`: expected at most {MINUTES_MAX} (a year), found {value}"));
            60
        }
    }
}

fn not_empty(text: Option<At<&str>>) -> Option<String> {
    text.map(|text| text.value).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A token that lives longer than a year is a password.
const MINUTES_MAX: u32 = 366 * 24 * 60;

/// Claude's addresses in the documentation of the original, out of use since.
const RETIRED_IPS: [&str; 5] =
    ["34.162.46.92", "34.162.102.82", "34.162.136.91", "34.162.142.92", "34.162.183.95"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_the_addresses_that_share_their_bits() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("160.79.104.0/21", "160.79.111.255", true),
            ("160.79.104.0/21", "160.79.112.0", false),
            ("160.79.104.0/21", "::ffff:160.79.105.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::1", "::1", true),
        ];
        for (range, ip, inside) in table {
            let range = IpRange::parse(range).expect(range);
            assert_eq!(range.contains(ip.parse().expect(ip)), inside, "{range:?} {ip}");
        }
        for text in [
            "",
            "localhost",
            "1.2.3",
            "1.2.3.4/33",
            "::1/129",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/-1",
            "::1%eth0",
        ] {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
    }
}
