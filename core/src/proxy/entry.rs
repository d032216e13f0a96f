//! Who a request is from, and what they see: tokens of the configuration, and logins.
//!
//! A server that the authorization server guards takes either (SEED-150). What a login shows on the merged endpoint
//! depends on its token and its user.
//!
//! Invariants: a credential is looked at before anything else of a request that is not in its head, for every method;
//! whatever comes upstream, it does not come from there (`Authorization` is never handed on).

use super::Proxy;
use crate::clients::{Exchange, Refusal};
use crate::config::Config;
use crate::fault::{Code, Fault};
use crate::http::{Method, RequestHead};
use crate::id::UpstreamId;
use crate::log::Level;
use crate::oauth;
use crate::policy::{Keyring, Principal};
use crate::route::{Endpoint, Place, Route};
use crate::servers::{Connection, Servers};

/// Who asks.
enum Who {
    /// Nobody in particular, or the holder of a token of the configuration.
    Known(Principal),
    /// Somebody with a token of the authorization server.
    LoggedIn(oauth::Login),
}

impl Who {
    fn principal(&self) -> Principal {
        match self {
            Self::Known(principal) => *principal,
            Self::LoggedIn(login) => Principal::Login(login.principal),
        }
    }

    fn token(&self) -> Option<oauth::Hash> {
        match self {
            Self::Known(_) => None,
            Self::LoggedIn(login) => Some(login.token),
        }
    }
}

impl Proxy {
    /// The head of a request at an endpoint of MCP: may it in, and to what?
    pub(super) fn on_entry(&mut self, exchange: Exchange, route: Route) {
        self.log_request(route, exchange.head());
        if exchange.head().method() == Method::Options {
            return self.clients.answer_preflight(&mut self.fx, exchange);
        }
        match self.enter(exchange.head(), route.place) {
            Ok((seen, login)) => {
                self.clients.admit(&mut self.fx, exchange, route.endpoint, seen, login);
            }
            Err(refusal) => self.clients.refuse(&mut self.fx, exchange, refusal),
        }
    }

    /// What who sends this sees, who it is, and the token that they logged in with.
    fn enter(
        &mut self,
        head: &RequestHead,
        place: Place,
    ) -> Result<((usize, Principal), Option<oauth::Hash>), Refusal> {
        let who = self.identify(head, place)?;
        let view = match (place, &who) {
            (Place::Server(index), _) => index,
            (Place::Merged, Who::Known(principal)) => self.bridge.views().merged_of(*principal)?,
            (Place::Merged, Who::LoggedIn(login)) => {
                let Self { bridge, keyring, config, servers, fx, .. } = self;
                let max = fx.limits.views_max;
                bridge.views_mut().merged_of_login(&login.servers, keyring, config, servers, max)?
            }
        };
        Ok(((view, who.principal()), who.token()))
    }

    /// SEED-028: server, method and path of each request.
    fn log_request(&mut self, route: Route, head: &RequestHead) {
        if !self.fx.logs(Level::Info) {
            return;
        }
        let server = match route.place {
            Place::Server(index) => self.servers.get(UpstreamId(index as u64)),
            Place::Merged => None,
        };
        let on = |server: &Connection| server.config().options.log_enabled;
        if !server.map_or_else(|| self.servers.iter().any(on), on) {
            return;
        }
        let label = server.map(|server| server.label().clone());
        // Not the path of the request, which may hold a secret in any spelling.
        let suffix = match route.endpoint {
            Endpoint::Mcp => "mcp",
            Endpoint::Sse => "sse",
            Endpoint::Message => "message",
        };
        let (base, slash) = (&self.config.base_path, if label.is_some() { "/" } else { "" });
        let shown = label.as_deref().unwrap_or_default();
        let line = format!("{} {base}/{shown}{slash}{suffix}", head.method_str());
        self.fx.log(Level::Info, label.as_ref(), line);
    }

    /// The servers that are open to whoever asks for all, by their places. Without a credential a web page under a
    /// name that was pointed here could be asking, and its browser would not say so.
    pub(super) fn open_servers(&mut self, head: &RequestHead) -> Result<Vec<usize>, Refusal> {
        let who = self.identify(head, Place::Merged)?;
        if matches!(who, Who::Known(Principal::Anonymous)) {
            self.clients.gate().check_reader(head.host())?;
        }
        let opens = |place: &usize| match &who {
            Who::Known(principal) => self.keyring.opens(*principal, *place),
            Who::LoggedIn(login) => {
                login.servers.contains(place) || self.keyring.opens(Principal::Anonymous, *place)
            }
        };
        Ok((0..self.servers.shared().count()).filter(opens).collect())
    }

    /// Who this is, if they may in.
    fn identify(&mut self, head: &RequestHead, place: Place) -> Result<Who, Refusal> {
        let header = head.credential()?;
        if self.oauth.as_ref().is_none_or(|oauth| !oauth.protects(place)) {
            return Ok(Who::Known(match place {
                Place::Server(index) => self.keyring.enter(index, header)?,
                Place::Merged => self.keyring.identify(header)?,
            }));
        }
        if head.count("authorization") > 1 {
            return Err(self.refuse_login(place, (oauth::Refusal::Malformed, "more than one header"), head));
        }
        let server = match place {
            Place::Server(index) => Some(index),
            Place::Merged => None,
        };
        if let Some(holder) = self.keyring.holder(server, header) {
            return Ok(Who::Known(holder));
        }
        let Some(oauth) = &mut self.oauth else {
            return Err(Fault::peer(Code::Unauthorized, "Unauthorized").into());
        };
        oauth.set_now(self.fx.now);
        match oauth.check(place, head.header("authorization")) {
            Err(refused) => Err(self.refuse_login(place, refused, head)),
            Ok(login) => Ok(Who::LoggedIn(login)),
        }
    }

    fn refuse_login(
        &mut self,
        place: Place,
        (refusal, reason): (oauth::Refusal, &str),
        head: &RequestHead,
    ) -> Refusal {
        // Every client comes without a token first.
        let level = if refusal == oauth::Refusal::Missing { Level::Debug } else { Level::Info };
        if self.fx.logs(level) {
            let label = match place {
                Place::Server(index) => {
                    self.servers.get(UpstreamId(index as u64)).map(|it| it.label().clone())
                }
                Place::Merged => None,
            };
            self.fx.log(level, label.as_ref(), format!("oauth event=refused reason=\"{reason}\""));
        }
        match &mut self.oauth {
            Some(oauth) => Refusal::Reply(Box::new(oauth.refusal(refusal, head))),
            None => Fault::peer(Code::Unauthorized, "Unauthorized").into(),
        }
    }

    /// Event streams end with the token they were opened with (T-56).
    pub(super) fn end_streams_of_the_past(&mut self) {
        let Self { clients, oauth, fx, .. } = self;
        clients.end_streams(fx, |token| oauth.as_ref().is_none_or(|oauth| oauth.holds(token)));
    }
}

/// The tokens that open each server, and whether it needs a login otherwise.
pub(super) fn keyring(config: &Config, servers: &Servers) -> Keyring {
    let oauth2 = config.oauth2.as_ref().filter(|oauth2| oauth2.enabled);
    let lock = |server: &Connection| {
        let login = oauth2.is_some() && !server.config().options.oauth2_exempt;
        let closed = login && oauth2.is_some_and(|oauth2| !oauth2.static_tokens);
        (server.config().clone(), login, closed)
    };
    let locks: Vec<_> = servers.shared().map(lock).collect();
    Keyring::new(locks.iter().map(|(server, login, closed)| {
        let tokens = if *closed { &[] } else { server.options.auth_tokens.as_slice() };
        (tokens, *login)
    }))
}
