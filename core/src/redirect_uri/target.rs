//! A redirect target, taken apart.
//!
//! The rules are stricter than RFC 3986 and than any browser, so that there is no text the two read in
//! different ways.

use crate::url::Url;
use crate::url::percent::escaped_byte;

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `https` with a well-formed host.
    Https,
    /// `http` with one of [`LOOPBACK_HOSTS`], and any port, or none, or an empty one.
    Loopback {
        /// As it is written.
        host: &'a str,
        /// Path and query, as they are written.
        rest: &'a str,
    },
    /// The scheme of an application.
    Custom,
}

impl<'a> Target<'a> {
    /// Reads a target.
    ///
    /// # Errors
    /// Why it is none, in ASCII, without a word of it.
    pub(super) fn read(uri: &'a str) -> Result<Self, String> {
        check_text(uri)?;
        let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return Err("the redirect URI must start with a scheme in lower case and a colon".to_owned());
        };
        let authority = rest.strip_prefix("//").map(|rest| split_authority(rest).0);
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err("the redirect URI must have no user name or password".to_owned());
        }
        match scheme {
            // It equals no port (RFC 3986 §3.2.3), but not to those who compare texts, as clients and we do.
            "https" if authority.is_some_and(|authority| authority.ends_with(':')) => {
                Err("the redirect URI must have a port behind the colon of its host, or no colon".to_owned())
            }
            "https" => match Url::parse(uri) {
                Ok(url) if ends_in_hex_number(url.host()) => {
                    Err("the host of the redirect URI must be a name or an address in its usual form"
                        .to_owned())
                }
                Ok(_) => Ok(Self::Https),
                Err(error) => Err(format!("the redirect URI is no usable URL: {error}")),
            },
            "http" => Self::read_loopback(uri, rest),
            scheme if FORBIDDEN_SCHEMES.contains(&scheme) => {
                Err("the scheme of the redirect URI is not that of an application".to_owned())
            }
            _ if rest.trim_start_matches('/').is_empty() => {
                Err("the redirect URI must have something behind its scheme".to_owned())
            }
            _ => Ok(Self::Custom),
        }
    }

    fn read_loopback(uri: &'a str, after_scheme: &'a str) -> Result<Self, String> {
        let refused = || {
            "the redirect URI must be https, or http with the host localhost, 127.0.0.1 or [::1]".to_owned()
        };
        let (authority, rest) = after_scheme.strip_prefix("//").map(split_authority).ok_or_else(refused)?;
        let host =
            LOOPBACK_HOSTS.into_iter().find_map(|host| authority.get(..host.len()).filter(|it| *it == host));
        let host = host.ok_or_else(refused)?;
        let port = authority.get(host.len()..).unwrap_or_default();
        if !port.is_empty() && !port.starts_with(':') {
            return Err(refused());
        }
        // The digits of the port are the parser's matter, and it must see the same host.
        match Url::parse(uri) {
            Ok(url) if url.host() == host.trim_matches(['[', ']']) => Ok(Self::Loopback { host, rest }),
            Ok(_) => Err(refused()),
            Err(error) => Err(format!("the redirect URI is no usable URL: {error}")),
        }
    }
}

/// Authority, and what follows it.
fn split_authority(hierarchy: &str) -> (&str, &str) {
    let end = hierarchy.find(['/', '?']).unwrap_or(hierarchy.len());
    hierarchy.split_at_checked(end).unwrap_or((hierarchy, ""))
}

/// Whether a browser takes a host for an IPv4 address that others take for a name: `0x7f.1`, `0x7f000001`
/// (WHATWG URL §3.5). Decimal and octal ones are no hosts to our parser at all.
fn ends_in_hex_number(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// At least two characters: a single letter is a drive.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
        })
}

/// The characters of RFC 3986 §2, without fragments and `*`, and whole escapes of more than control characters.
fn check_text(uri: &str) -> Result<(), String> {
    if uri.len() > TARGET_BYTES_MAX {
        return Err(format!("the redirect URI must have at most {TARGET_BYTES_MAX} bytes"));
    }
    if uri.contains('#') {
        return Err("the redirect URI must have no fragment".to_owned());
    }
    if uri.contains('*') {
        return Err("the redirect URI must have no *".to_owned());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()+,;=%".contains(&byte);
    if !uri.bytes().all(allowed) {
        return Err("the redirect URI has characters that no URI may have unescaped".to_owned());
    }
    let mut escapes = uri.split('%').skip(1).map(|after| escaped_byte(after.as_bytes()));
    if escapes.any(|byte| byte.is_none_or(|byte| byte.is_ascii_control())) {
        return Err("the redirect URI has an escape that is incomplete or a control character".to_owned());
    }
    Ok(())
}

const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What a browser runs, shows or fetches itself, or hands to a program that expects no callback.
const FORBIDDEN_SCHEMES: [&str; 26] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "ftps",
    "intent",
    "jar",
    "javascript",
    "ldap",
    "livescript",
    "mailto",
    "mhtml",
    "mocha",
    "resource",
    "search-ms",
    "sms",
    "ssh",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
    "wyciwyg",
];

/// No client comes near; bounds what is stored and shown.
const TARGET_BYTES_MAX: usize = 2048;
