//! The listen address, as Go's `net.Listen` takes it: `:9090`, `127.0.0.1:9090`, `[::1]:9090`, `localhost:0`.
//!
//! Deliberately absent: service names as ports, zones of IPv6 addresses, resolving names.

use std::fmt;
use std::net::IpAddr;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addr {
    /// `None` is every interface, IPv6 and IPv4.
    pub host: Option<Host>,
    /// 0 lets the system choose.
    pub port: u16,
}

/// An interface to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// By its address.
    Ip(IpAddr),
    /// By a name to resolve, in lower case.
    Name(String),
}

impl Addr {
    /// Reads `host:port`; an empty text is `:9090`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            let looks_like_port = text.bytes().all(|byte| byte.is_ascii_digit());
            let (problem, right) = if looks_like_port {
                ("the colon is missing", format!(":{text}"))
            } else {
                ("the port is missing", ":9090 or 127.0.0.1:9090".to_owned())
            };
            return Err(format!("{problem}, write for example {right}"));
        };
        // `str::parse` also takes `+80`.
        let digits = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(port) = digits.and_then(|digits| digits.parse().ok()) else {
            return Err("the port is not a number from 0 to 65535, write for example :9090".to_owned());
        };
        Ok(Self { host: parse_host(host)?, port })
    }

    /// Whether only this machine can connect. A name other than `localhost` counts as open to others.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Some(Host::Ip(ip)) => ip.to_canonical().is_loopback(),
            Some(Host::Name(name)) => name == "localhost",
            None => false,
        }
    }
}

impl Default for Addr {
    /// `:9090`, what the documentation and the container image have always used.
    fn default() -> Self {
        Self { host: None, port: 9090 }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(Host::Ip(IpAddr::V6(ip))) => write!(f, "[{ip}]:{}", self.port),
            Some(Host::Ip(IpAddr::V4(ip))) => write!(f, "{ip}:{}", self.port),
            Some(Host::Name(name)) => write!(f, "{name}:{}", self.port),
        }
    }
}

fn parse_host(host: &str) -> Result<Option<Host>, String> {
    if host.is_empty() {
        return Ok(None);
    }
    if host == "*" {
        return Err("`*` is no address, leave the host out to listen on every interface".to_owned());
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse() {
            Ok(ip) => Ok(Some(Host::Ip(IpAddr::V6(ip)))),
            Err(_) => Err("what stands in brackets is not an IPv6 address".to_owned()),
        };
    }
    if host.contains("//") {
        return Err("this is a URL, write only host and port, for example 127.0.0.1:9090".to_owned());
    }
    if host.contains(':') {
        return Err("an IPv6 address needs brackets, for example [::1]:9090".to_owned());
    }
    if let Ok(ip) = host.parse() {
        return Ok(Some(Host::Ip(ip)));
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let looks_like_ip = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_name || looks_like_ip {
        return Err("the host is neither an address nor a name".to_owned());
    }
    Ok(Some(Host::Name(host.to_ascii_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_again() {
        // (text, shown, loopback). SEED-022
        let table = [
            ("", ":9090", false),
            (":9090", ":9090", false),
            (":0", ":0", false),
            ("localhost:0", "localhost:0", true),
            ("LocalHost:1", "localhost:1", true),
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("0.0.0.0:80", "0.0.0.0:80", false),
            ("[::1]:9090", "[::1]:9090", true),
            ("[::]:9090", "[::]:9090", false),
            ("my-host.lan:65535", "my-host.lan:65535", false),
        ];
        for (text, shown, loopback) in table {
            let addr = Addr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((addr.to_string().as_str(), addr.is_loopback()), (shown, loopback));
        }
    }

    #[test]
    fn a_wrong_address_is_refused_with_a_suggestion() {
        let table = [
            ("9090", "write for example :9090"),
            ("localhost", "the port is missing"),
            ("localhost:", "the port is not a number"),
            (":http", "the port is not a number"),
            (":65536", "the port is not a number"),
            (":+80", "the port is not a number"),
            ("*:9090", "leave the host out"),
            ("::1:9090", "needs brackets"),
            ("[::1:9090", "needs brackets"),
            ("[localhost]:9090", "not an IPv6 address"),
            ("http://localhost:9090", "this is a URL"),
            ("1.2.3:80", "neither an address nor a name"),
            ("a b:80", "neither an address nor a name"),
        ];
        for (text, part) in table {
            let error = Addr::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
