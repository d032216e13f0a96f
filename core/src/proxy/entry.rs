//! Who a request is from, and what they see: tokens of the configuration, and logins.
//!
//! A server that the authorization server guards takes either (SEED-150). What a login shows on the merged endpoint
//! depends on its token and its user; those who see the same servers share a view, which is made when it is first needed.
//!
//! Invariants: a credential is looked at before anything else of a request that is not in its head, for every method;
//! whatever comes upstream, it does not come from there (`Authorization` is never handed on).

use super::Proxy;
use super::clients::Refusal;
use crate::config::Config;
use crate::downstream::client::Client;
use crate::fault::{Code, Fault};
use crate::http::RequestHead;
use crate::id::UpstreamId;
use crate::log::Level;
use crate::oauth;
use crate::policy::{Keyring, Principal};
use crate::route::Place;
use crate::servers::Connection;
use crate::servers::Servers;
use crate::view::View;

/// The views of the merged endpoint.
#[derive(Debug, Default)]
pub(super) struct MergedViews {
    /// Servers, and the index of the view of them.
    sets: Vec<(Vec<UpstreamId>, usize)>,
    /// Of principals that are known from the configuration.
    fixed: Vec<(Principal, usize)>,
}

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
}

impl MergedViews {
    /// What each principal of the configuration sees.
    pub(super) fn new(config: &Config, servers: &Servers, keyring: &Keyring, views: &mut Vec<View>) -> Self {
        let mut merged = Self::default();
        for principal in keyring.principals().filter(|_| config.merged.enabled) {
            let opens = |place| keyring.opens(principal, place);
            let index = merged.find(opens, config, servers, views, usize::MAX);
            merged.fixed.extend(index.map(|index| (principal, index)));
        }
        merged
    }

    /// The view of the servers that are open; `None` if it had to be made and there are `max` already.
    fn find(
        &mut self,
        opens: impl Fn(usize) -> bool,
        config: &Config,
        servers: &Servers,
        views: &mut Vec<View>,
        max: usize,
    ) -> Option<usize> {
        let shared = || servers.shared().enumerate();
        let ids: Vec<UpstreamId> =
            shared().filter(|(place, _)| opens(*place)).map(|(_, server)| server.id()).collect();
        if let Some((_, index)) = self.sets.iter().find(|(same, _)| *same == ids) {
            return Some(*index);
        }
        if self.sets.len() >= max {
            return None;
        }
        let servers = shared().map(|(_, server)| (server.id(), server.config().clone()));
        let servers: Vec<_> = servers.filter(|(id, _)| ids.contains(id)).collect();
        views.push(View::merged(&servers, &config.merged));
        self.sets.push((ids, views.len() - 1));
        Some(views.len() - 1)
    }
}

impl Proxy {
    /// Who this is, and what they see.
    pub(super) fn enter(&mut self, client: &mut Client, place: Place) -> Result<(usize, Principal), Refusal> {
        let who = self.identify(client.http.head(), place)?;
        if let Who::LoggedIn(login) = &who {
            client.login = Some(login.token);
        }
        Ok(match (place, who) {
            (Place::Server(index), who) => (index, who.principal()),
            (Place::Merged, Who::Known(principal)) => self.merged_of(principal)?,
            (Place::Merged, Who::LoggedIn(login)) => {
                (self.merged_of_login(&login.servers)?, Principal::Login(login.principal))
            }
        })
    }

    /// The servers that are open to whoever asks for all, by their places. Without a credential a web page under a
    /// name that was pointed here could be asking, and its browser would not say so.
    pub(super) fn open_servers(&mut self, head: &RequestHead) -> Result<Vec<usize>, Refusal> {
        let who = self.identify(head, Place::Merged)?;
        if matches!(who, Who::Known(Principal::Anonymous)) {
            self.gate.check_reader(head.host())?;
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

    fn merged_of(&self, principal: Principal) -> Result<(usize, Principal), Fault> {
        let view = self.merged.fixed.iter().find(|(known, _)| *known == principal);
        let nothing = || Fault::peer(Code::UnknownRoute, "there is nothing at this path");
        Ok((view.ok_or_else(nothing)?.1, principal))
    }

    /// The view of what a login opens, and of what is open to everybody.
    fn merged_of_login(&mut self, opened: &[usize]) -> Result<usize, Fault> {
        let Self { merged, keyring, config, servers, views, fx, .. } = self;
        let opens = |place: usize| opened.contains(&place) || keyring.opens(Principal::Anonymous, place);
        let full = || Fault::local(Code::Overloaded, "there are too many selections of servers");
        merged.find(opens, config, servers, views, fx.limits.views_max).ok_or_else(full)
    }

    /// Event streams end with the token they were opened with (T-56).
    pub(super) fn end_streams_of_the_past(&mut self) {
        for (conn, token) in self.down.streams_of_logins() {
            if self.oauth.as_ref().is_some_and(|oauth| !oauth.holds(&token)) {
                self.fx.log(Level::Debug, None, format!("oauth event=stream_ended token={token}"));
                self.drop_client(conn);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};
    use crate::limits::Limits;
    use std::sync::Arc;

    #[test]
    fn there_are_as_many_selections_of_servers_as_the_limit() {
        // limit: views_max
        let text =
            r#"{"mcpProxy":{},"mcpServers":{"a":{"command":"x"},"b":{"command":"x"},"c":{"command":"x"}}}"#;
        let source = Source { text, name: "test.json", strict: true, env: None };
        let config = config::parse(&source).unwrap().config;
        let servers = Servers::new(Arc::new(config.clone()), &Limits::default());
        let (mut merged, mut views) = (MergedViews::default(), Vec::new());
        let mut find =
            |open: &[usize]| merged.find(|place| open.contains(&place), &config, &servers, &mut views, 2);
        assert_eq!((find(&[0]), find(&[0, 1])), (Some(0), Some(1)));
        assert_eq!(find(&[2]), None);
        assert_eq!((find(&[0]), find(&[1, 0])), (Some(0), Some(1)), "those that are there serve on");
    }
}
