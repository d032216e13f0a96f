//! May this request in? Host, origin and credential, as pure functions of the configuration and the headers.
//!
//! A browser is the threat behind the first two: a page of somebody else's that reaches a listener on this
//! machine or network, directly (checked by `Origin`) or by DNS rebinding (checked by `Host`). A browser names the
//! origin of a page with every POST, and with no GET to the page's own host: so a page that a GET without a credential
//! may read is shown under names only that no stranger can point here.

use crate::fault::{Code, Fault};
use crate::id::ServerId;
use crate::redacted::Redacted;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// Which hosts and origins are welcome.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    /// The listener can be reached from this machine only, so only names of this machine are honest.
    pub(crate) loopback_only: bool,
    /// The host of the public URL, lower case.
    pub(crate) base_host: Option<String>,
    /// Further hosts, lower case, with or without port. When there are any, no others are welcome.
    pub(crate) hosts: Vec<String>,
    /// Further origins, lower case; `*` is everybody.
    pub(crate) origins: Vec<String>,
}

/// Whose request this is. A session belongs to the principal that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    /// No credential was asked for.
    Anonymous,
    /// The holder of the n-th token of all.
    Token(usize),
    /// Somebody who logged in: user and client, sealed by the authorization server.
    Login([u8; 16]),
}

impl Gate {
    /// Checks `Host`.
    pub(crate) fn check_host(&self, host: Option<&str>) -> Result<(), Fault> {
        let Some(host) = host.filter(|_| self.loopback_only || !self.hosts.is_empty()) else { return Ok(()) };
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        let known = self.hosts.iter().chain(&self.base_host).any(|known| *known == host || known == name);
        if known || is_loopback(name) {
            return Ok(());
        }
        let detail =
            format!("host `{}` is not served here (see allowedHosts)", Fault::quoted(host.as_bytes()));
        Err(Fault::peer(Code::ForeignOrigin, detail))
    }

    /// Checks `Host` of a request that reads something without a credential. Addresses and names that the public DNS
    /// does not hold cannot be rebound; of the others only those of the configuration are welcome.
    pub(crate) fn check_reader(&self, host: Option<&str>) -> Result<(), Fault> {
        let Some(host) = host else { return Ok(()) };
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        let known = self.hosts.iter().chain(&self.base_host).any(|known| *known == host || known == name);
        if known || is_loopback(name) || is_private(name) {
            return Ok(());
        }
        let detail = format!(
            "host `{}` is not known here, and no credential was given (see baseURL, allowedHosts)",
            Fault::quoted(host.as_bytes())
        );
        Err(Fault::peer(Code::ForeignOrigin, detail))
    }

    /// Checks `Origin`. A missing one is normal: only browsers send it.
    pub(crate) fn check_origin(&self, origin: Option<&str>) -> Result<(), Fault> {
        let Some(origin) = origin else { return Ok(()) };
        let origin = origin.to_ascii_lowercase();
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if host.is_some_and(|host| is_loopback(without_port(host)))
            || self.origins.iter().any(|known| known == "*" || *known == origin)
        {
            return Ok(());
        }
        let detail =
            format!("origin `{}` is not welcome (see allowedOrigins)", Fault::quoted(origin.as_bytes()));
        Err(Fault::peer(Code::ForeignOrigin, detail))
    }
}

/// All tokens, and which servers each of them opens (SEED-029).
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    /// Each once, without blanks around and without `Bearer`.
    tokens: Vec<Redacted<String>>,
    servers: BTreeMap<ServerId, Lock>,
}

/// What opens one server.
#[derive(Debug)]
struct Lock {
    /// Tokens by their places; without any everybody may in, unless a login is needed.
    places: Vec<usize>,
    /// The authorization server guards it.
    login: bool,
}

impl Keyring {
    /// The tokens of all servers, and whether each needs a login otherwise.
    pub(crate) fn new<'a>(servers: impl Iterator<Item = (ServerId, &'a [Redacted<String>], bool)>) -> Self {
        let mut keyring = Self::default();
        for (id, tokens, login) in servers {
            let places = tokens.iter().map(|token| keyring.place(token.expose())).collect();
            keyring.servers.insert(id, Lock { places, login });
        }
        keyring
    }

    fn place(&mut self, token: &str) -> usize {
        let token = bare_token(token);
        let known = self.tokens.iter().position(|known| known.expose() == token);
        known.unwrap_or_else(|| {
            self.tokens.push(Redacted::new(token.to_owned()));
            self.tokens.len() - 1
        })
    }

    /// Everybody who may come without a login.
    pub(crate) fn principals(&self) -> impl Iterator<Item = Principal> + use<> {
        std::iter::once(Principal::Anonymous).chain((0..self.tokens.len()).map(Principal::Token))
    }

    /// Whether a server is open to somebody. What a login opens beside what is open to everybody is for the
    /// authorization server to say.
    pub(crate) fn opens(&self, principal: Principal, server: ServerId) -> bool {
        let Some(lock) = self.servers.get(&server) else { return false };
        let open = lock.places.is_empty() && !lock.login;
        match principal {
            Principal::Anonymous | Principal::Login(_) => open,
            Principal::Token(place) => open || lock.places.contains(&place),
        }
    }

    /// Checks an `Authorization` header at one server.
    ///
    /// # Errors
    /// [`Code::Unauthorized`].
    pub(crate) fn enter(&self, server: ServerId, header: Option<&str>) -> Result<Principal, Fault> {
        if self.opens(Principal::Anonymous, server) {
            return Ok(Principal::Anonymous);
        }
        let known = self.find(header).filter(|principal| self.opens(*principal, server));
        known.ok_or_else(unauthorized)
    }

    /// Checks an `Authorization` header where each is shown what is open to them. A token that opens nothing is
    /// refused rather than taken for none: its owner expects more than is open to everybody.
    ///
    /// # Errors
    /// [`Code::Unauthorized`].
    pub(crate) fn identify(&self, header: Option<&str>) -> Result<Principal, Fault> {
        let open = self.servers.keys().any(|server| self.opens(Principal::Anonymous, *server));
        match self.find(header) {
            Some(principal) => Ok(principal),
            None if self.tokens.is_empty() || (open && header.is_none()) => Ok(Principal::Anonymous),
            None => Err(unauthorized()),
        }
    }

    /// Whose token this is, if it opens this server, or any.
    pub(crate) fn holder(&self, server: Option<ServerId>, header: Option<&str>) -> Option<Principal> {
        self.find(header).filter(|principal| server.is_none_or(|server| self.opens(*principal, server)))
    }

    /// Whose token this is. `Bearer` is optional. The time does not depend on which token matches or how far.
    fn find(&self, header: Option<&str>) -> Option<Principal> {
        let bare = bare_token(header.unwrap_or_default());
        let mut found = None;
        for (place, token) in self.tokens.iter().enumerate() {
            if bool::from(token.expose().as_bytes().ct_eq(bare.as_bytes())) && !bare.is_empty() {
                found = Some(Principal::Token(place));
            }
        }
        found
    }
}

fn unauthorized() -> Fault {
    Fault::peer(Code::Unauthorized, "Unauthorized")
}

pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

pub(crate) fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name.ends_with(".localhost")
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|addr| addr.is_loopback())
}

/// Whether this is an address, or a name of one label or below a domain that is reserved for private networks
/// (RFC 6762, RFC 8375; `internal` by ICANN).
fn is_private(name: &str) -> bool {
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.map_or_else(
        || name.parse::<std::net::Ipv4Addr>().is_ok(),
        |ip| ip.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let single = !name.is_empty() && name.bytes().all(label);
    address || single || [".local", ".internal", ".home.arpa"].iter().any(|domain| name.ends_with(domain))
}

/// A token without blanks around and without the scheme `Bearer`, whose case does not matter (RFC 9110 §11.1).
pub(crate) fn bare_token(text: &str) -> &str {
    let text = text.trim();
    match text.split_at_checked(6) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") && rest.starts_with([' ', '\t']) => {
            rest.trim()
        }
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_serves_loopback_names_only() {
        let gate = Gate { loopback_only: true, hosts: vec!["proxy.lan".into()], ..Gate::default() }; // DL-35
        for good in
            ["localhost", "LOCALHOST:9090", "127.0.0.1:1", "127.8.0.1", "[::1]:9090", "[::1]", "proxy.lan:80"]
        {
            assert_eq!(gate.check_host(Some(good)), Ok(()), "{good}");
        }
        for bad in
            ["evil.example.com", "localhost.evil.com:9090", "127.0.0.1.evil.com", "", "[::2]", "::1evil"]
        {
            assert!(gate.check_host(Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(Gate::default().check_host(Some("mcp.example.com")), Ok(()));
    }

    #[test]
    fn what_is_read_without_a_credential_is_read_under_names_that_cannot_be_rebound() {
        // FT-508
        let gate = Gate {
            base_host: Some("proxy.example".into()),
            hosts: vec!["other.example:81".into()],
            ..Gate::default()
        };
        let good = [
            "localhost:9090",
            "a.localhost",
            "127.0.0.1:9090",
            "192.168.1.5:9090",
            "[fd00::1]:9090",
            "PROXY.example:9090",
            "other.example:81",
            "nas",
            "nas:9090",
            "nas.local",
            "mcp.default.svc.cluster.local:9090",
            "mcp.corp.internal",
            "nas.home.arpa",
        ];
        for host in good {
            assert_eq!(gate.check_reader(Some(host)), Ok(()), "{host}");
        }
        assert_eq!(gate.check_reader(None), Ok(()), "no browser leaves it out");
        let bad = [
            "rebound.example",
            "REBOUND.example:9090",
            "rebound.example.",
            "nas.",
            "other.example",
            "127.0.0.1.rebound.example:9090",
            "proxy.example.rebound.example",
            "notlocal.example",
            "[::1].rebound.example",
            "",
            "a@b",
        ];
        for host in bad {
            assert!(gate.check_reader(Some(host)).is_err(), "{host}");
        }
    }

    #[test]
    fn foreign_origins_are_refused() {
        let gate = Gate { origins: vec!["https://app.example.com".into()], ..Gate::default() }; // DL-32, DL-34
        let good =
            [None, Some("http://localhost:6274"), Some("https://APP.example.com"), Some("http://[::1]:1")];
        for origin in good {
            assert_eq!(gate.check_origin(origin), Ok(()), "{origin:?}");
        }
        for origin in
            ["http://evil.example.com", "null", "https://app.example.com.evil.com", "file://localhost"]
        {
            assert!(gate.check_origin(Some(origin)).is_err(), "{origin}");
        }
        let open = Gate { origins: vec!["*".into()], ..Gate::default() };
        assert_eq!(open.check_origin(Some("https://any.example")), Ok(()));
    }

    fn keyring(servers: &[&[&str]]) -> Keyring {
        let servers: Vec<Vec<Redacted<String>>> = servers
            .iter()
            .map(|tokens| tokens.iter().map(|token| Redacted::new((*token).to_owned())).collect())
            .collect();
        Keyring::new((0..).zip(&servers).map(|(n, tokens)| (ServerId(n), tokens.as_slice(), false)))
    }

    #[test]
    fn either_spelling_of_a_token_passes_and_nothing_else() {
        let keys = keyring(&[&["one", "bEARER  two"], &[]]); // SEED-029, FT-511
        for (header, place) in
            [("one", 0), ("Bearer one", 0), (" bearer  one ", 0), ("Bearer two", 1), ("two", 1)]
        {
            assert_eq!(keys.enter(ServerId(0), Some(header)), Ok(Principal::Token(place)), "{header}");
        }
        for bad in ["", "Bearer", "Bearer ", "on", "onee", "Basic one", "ONE"] {
            assert_eq!(keys.enter(ServerId(0), Some(bad)).unwrap_err().code, Code::Unauthorized, "{bad}");
        }
        assert!(keys.enter(ServerId(0), None).is_err());
        assert_eq!(keys.enter(ServerId(1), None), Ok(Principal::Anonymous));
        assert_eq!(keys.enter(ServerId(1), Some("anything")), Ok(Principal::Anonymous));
    }

    #[test]
    fn an_empty_token_lets_nobody_in() {
        assert!(keyring(&[&[""]]).enter(ServerId(0), Some("")).is_err());
    }

    #[test]
    fn a_token_opens_its_servers_and_those_open_to_everybody() {
        let keys = keyring(&[&["a", "b"], &["b"], &[]]);
        let (a, b) = (keys.identify(Some("a")).unwrap(), keys.identify(Some("Bearer b")).unwrap());
        let open = |who| (0..3).map(|server| keys.opens(who, ServerId(server))).collect::<Vec<_>>();
        assert_eq!(open(a), [true, false, true]);
        assert_eq!(open(b), [true, true, true]);
        assert_eq!(keys.identify(None), Ok(Principal::Anonymous));
        assert_eq!(open(Principal::Anonymous), [false, false, true]);
        assert_eq!(keys.enter(ServerId(1), Some("a")).unwrap_err().code, Code::Unauthorized);
    }

    #[test]
    fn an_unknown_token_is_refused_where_tokens_are_asked_for() {
        assert!(keyring(&[&["a"], &[]]).identify(Some("x")).is_err());
        assert!(keyring(&[&["a"]]).identify(None).is_err());
        assert_eq!(keyring(&[&[], &[]]).identify(Some("x")), Ok(Principal::Anonymous));
    }
}
