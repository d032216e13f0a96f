//! Absolute `http` and `https` URLs, checked once and then ready to dial.
//!
//! A [`Url`] is what we need of RFC 3986 to be an HTTP client: scheme, host, port and the request target. The
//! fragment never goes over the wire and is dropped.
//!
//! Invariants: the text is visible ASCII, so neither host nor target can smuggle a line end or a blank into
//! an HTTP head; the host is in lower case and either a name or an address in canonical form; the path starts
//! with `/` and is free of dot segments. Neither `Display` nor `Debug` shows the query, which may carry keys;
//! an error never repeats the text it is about.
//! Deliberately absent: user information (refused: credentials belong into headers), international host names
//! (write the `xn--` form), percent-decoding (the target goes out as it came), every other scheme.

pub(crate) mod forms;
pub(crate) mod percent;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An absolute `http` or `https` URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    secure: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    /// `None` is the default port of the scheme, also when it was written out.
    port: Option<u16>,
    path: String,
    /// Without the `?`.
    query: Option<String>,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// Everything that is not an `http` or `https` URL with a host, that has user information, is longer than
    /// 8 KiB, or contains something else than visible ASCII.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check_text(text)?;
        let (scheme, rest) = split_scheme(text).ok_or(UrlError::NoScheme)?;
        let rest = rest.strip_prefix("//");
        if scheme.eq_ignore_ascii_case("https") {
            Self::from_hierarchy(true, rest.ok_or(UrlError::NoHost)?)
        } else if scheme.eq_ignore_ascii_case("http") {
            Self::from_hierarchy(false, rest.ok_or(UrlError::NoHost)?)
        } else if rest.is_none() && scheme.contains('.') || scheme.eq_ignore_ascii_case("localhost") {
            // `example.com:80` is a host and a port to the one who wrote it.
            Err(UrlError::NoScheme)
        } else {
            Err(UrlError::BadScheme)
        }
    }

    /// Reads what follows `scheme://`.
    fn from_hierarchy(secure: bool, rest: &str) -> Result<Self, UrlError> {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).ok_or(UrlError::BadHost)?;
        let (host, port) = parse_authority(authority)?;
        let port = port.filter(|port| *port != default_port(secure));
        let (path, query) = split_query(tail);
        Ok(Self { secure, host, port, path: remove_dot_segments(path), query: query.map(str::to_owned) })
    }

    /// Resolves a reference against this URL (RFC 3986 §5.2), as a server gives it in an `endpoint` event or
    /// a `Location`. Whether the answer may have another [`origin`](Self::origin) is for the caller to
    /// decide.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn resolve(&self, reference: &str) -> Result<Self, UrlError> {
        check_text(reference)?;
        if split_scheme(reference).is_some() {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::from_hierarchy(self.secure, rest);
        }
        let (path, query) = split_query(reference);
        let mut url = self.clone();
        if path.is_empty() {
            if query.is_some() {
                url.query = query.map(str::to_owned);
            }
            return Ok(url);
        }
        let merged = if path.starts_with('/') {
            path.to_owned()
        } else {
            let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{path}")
        };
        url.path = remove_dot_segments(&merged);
        url.query = query.map(str::to_owned);
        Ok(url)
    }

    /// The same path and query at the origin of another URL.
    pub fn at_origin_of(&self, other: &Self) -> Self {
        let (path, query) = (self.path.clone(), self.query.clone());
        Self { path, query, ..other.clone() }
    }

    /// Whether the scheme is `https`.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Name or address to connect to, in lower case, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to: the written one, or that of the scheme.
    pub const fn port(&self) -> u16 {
        match self.port {
            Some(port) => port,
            None => default_port(self.secure),
        }
    }

    /// Host and port as the `Host` header has them: brackets around IPv6, no default port.
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match self.port {
            Some(port) => format!("{open}{}{close}:{port}", self.host),
            None => format!("{open}{}{close}", self.host),
        }
    }

    /// Scheme and authority (RFC 6454), equal exactly for URLs of the same origin.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    /// The path; starts with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the `?`, if there is one. May hold secrets.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The request target: path and query. May hold secrets.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query.is_some() { "?***" } else { "" };
        write!(f, "{}{}{query}", self.origin(), self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a [`Url`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// Longer than 8 KiB.
    TooLong,
    /// A blank, a control character, a backslash, or something beyond ASCII.
    BadCharacter,
    /// It does not start with `http://` or `https://`.
    NoScheme,
    /// Another scheme than `http` and `https`.
    BadScheme,
    /// No host.
    NoHost,
    /// Neither a host name nor an address.
    BadHost,
    /// Not a number from 1 to 65535.
    BadPort,
    /// `user:password@` in front of the host.
    HasUserInfo,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "expected a URL of at most 8192 characters",
            Self::BadCharacter => {
                "blanks, control characters, backslashes and non-ASCII characters must be percent-encoded in a URL"
            }
            Self::NoScheme => "expected a URL that starts with http:// or https://",
            Self::BadScheme => "expected an http or https URL, found another scheme",
            Self::NoHost => "expected a host after http:// or https://",
            Self::BadHost => "the host of the URL is neither a name nor an address",
            Self::BadPort => "the port of the URL is not a number from 1 to 65535",
            Self::HasUserInfo => "a user name or password in a URL is refused, put credentials into headers",
        })
    }
}

impl std::error::Error for UrlError {}

fn check_text(text: &str) -> Result<(), UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        return Err(UrlError::BadCharacter);
    }
    Ok(())
}

/// Splits `scheme:rest` (RFC 3986 §3.1); `None` for a relative reference.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let well_formed = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    well_formed.then_some((scheme, rest))
}

/// Path and query, without the fragment.
fn split_query(tail: &str) -> (&str, Option<&str>) {
    let tail = tail.split_once('#').map_or(tail, |(tail, _)| tail);
    match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    }
}

/// Host and port; the port may be empty (RFC 3986 §3.2.3).
fn parse_authority(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::HasUserInfo);
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(UrlError::BadHost)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::BadHost)?;
        (address.to_string(), port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at_checked(end).ok_or(UrlError::BadHost)?;
        (parse_host(host)?, port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err(UrlError::BadHost),
        Some("") => None,
        Some(digits) => Some(parse_port(digits)?),
    };
    Ok((host, port))
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::BadPort);
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(UrlError::BadPort)
}

/// A host name or IPv4 address in lower case.
fn parse_host(host: &str) -> Result<String, UrlError> {
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let absolute = host.strip_suffix('.').unwrap_or(host);
    let labels_fit = absolute.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    });
    if host.len() > HOST_BYTES_MAX || !labels_fit {
        return Err(UrlError::BadHost);
    }
    // A name that ends in a number would be read as an address by some resolvers and not by others.
    let numeric =
        absolute.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(UrlError::BadHost);
    }
    Ok(host.to_ascii_lowercase())
}

/// RFC 3986 §5.2.4, with a leading `/` in any case.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// What common servers accept as a request line.
const URL_BYTES_MAX: usize = 8 * 1024;
/// RFC 1035 §2.3.4.
const HOST_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests;
