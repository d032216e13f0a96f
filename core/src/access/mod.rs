//! Who a request is from: tokens of the configuration, and logins.
//!
//! A server that the authorization server guards takes either (SEED-150). What a login shows on the merged endpoint
//! depends on its token and its user.
//!
//! | module | what it decides |
//! |---|---|
//! | `logins` | what the authorization server wants, and what comes of it |
//! | `documents` | descriptions of its clients, fetched from the world |
//!
//! Invariants: a credential is looked at before anything else of a request that is not in its head, for every method;
//! whatever comes upstream, it does not come from there (`Authorization` is never handed on).

mod documents;
mod logins;

pub(crate) use logins::AccessEvent;

use crate::clients::Refusal;
use crate::config::Config;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::RequestHead;
use crate::id::ServerId;
use crate::log::Level;
use crate::oauth;
use crate::policy::{Keyring, Principal};
use crate::route::Place;
use documents::Documents;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who may in.
#[derive(Debug)]
pub(crate) struct Access {
    config: Arc<Config>,
    /// The keys of servers, as logs may show them.
    labels: BTreeMap<ServerId, Arc<str>>,
    keyring: Keyring,
    oauth: Option<oauth::Server>,
    documents: Documents,
    /// Whether it was said that the start is over.
    told: bool,
    /// Logins may have ended since that was last said.
    has_expired: bool,
}

/// Who asks.
#[derive(Debug)]
pub(crate) enum Who {
    /// Nobody in particular, or the holder of a token of the configuration.
    Known(Principal),
    /// Somebody with a token of the authorization server.
    LoggedIn(oauth::Login),
}

impl Who {
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Self::Known(principal) => *principal,
            Self::LoggedIn(login) => Principal::Login(login.principal),
        }
    }

    /// The token that they logged in with.
    pub(crate) fn token(&self) -> Option<oauth::Hash> {
        match self {
            Self::Known(_) => None,
            Self::LoggedIn(login) => Some(login.token),
        }
    }
}

impl Access {
    /// By this configuration. `seed` is for the authorization server, if there is one.
    pub(crate) fn new(config: Arc<Config>, seed: [u8; 32]) -> Self {
        let labels = config.enabled().map(|server| (server.id, server.label().into())).collect();
        let oauth = oauth::Settings::of(&config).map(|settings| oauth::Server::new(settings, seed));
        let (keyring, documents) = (keyring(&config), Documents::default());
        Self { labels, keyring, oauth, documents, told: false, has_expired: false, config }
    }

    /// The tokens of the configuration.
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Which fronts are believed about addresses, if there is an authorization server to tell.
    pub(crate) fn trust(&self) -> Option<&crate::net::Trust> {
        self.oauth.as_ref().map(oauth::Server::trust)
    }

    /// Whether a server is open to who asks for all.
    pub(crate) fn opens(&self, who: &Who, server: ServerId) -> bool {
        match who {
            Who::Known(principal) => self.keyring.opens(*principal, server),
            Who::LoggedIn(login) => {
                login.servers.contains(&server) || self.keyring.opens(Principal::Anonymous, server)
            }
        }
    }

    /// Whether a token that was logged in with still opens something.
    pub(crate) fn holds(&self, token: &oauth::Hash) -> bool {
        self.oauth.as_ref().is_none_or(|oauth| oauth.holds(token))
    }

    /// Who this is, if they may in.
    ///
    /// # Errors
    /// How the request is to be refused.
    pub(crate) fn identify(
        &mut self,
        fx: &mut Effects,
        head: &RequestHead,
        place: Place,
    ) -> Result<Who, Refusal> {
        let header = head.credential()?;
        if self.oauth.as_ref().is_none_or(|oauth| !oauth.protects(place)) {
            return Ok(Who::Known(match place {
                Place::Server(id) => self.keyring.enter(id, header)?,
                Place::Merged => self.keyring.identify(header)?,
            }));
        }
        if head.count("authorization") > 1 {
            return Err(self.refuse_login(
                fx,
                place,
                (oauth::Refusal::Malformed, "more than one header"),
                head,
            ));
        }
        let server = match place {
            Place::Server(id) => Some(id),
            Place::Merged => None,
        };
        if let Some(holder) = self.keyring.holder(server, header) {
            return Ok(Who::Known(holder));
        }
        let Some(oauth) = &mut self.oauth else {
            return Err(Fault::peer(Code::Unauthorized, "Unauthorized").into());
        };
        oauth.set_now(fx.now);
        match oauth.check(place, head.header("authorization")) {
            Err(refused) => Err(self.refuse_login(fx, place, refused, head)),
            Ok(login) => Ok(Who::LoggedIn(login)),
        }
    }

    fn refuse_login(
        &mut self,
        fx: &mut Effects,
        place: Place,
        (refusal, reason): (oauth::Refusal, &str),
        head: &RequestHead,
    ) -> Refusal {
        // Every client comes without a token first.
        let level = if refusal == oauth::Refusal::Missing { Level::Debug } else { Level::Info };
        if fx.logs(level) {
            let label = match place {
                Place::Server(id) => self.labels.get(&id).cloned(),
                Place::Merged => None,
            };
            fx.log(level, label.as_ref(), format!("oauth event=refused reason=\"{reason}\""));
        }
        match &mut self.oauth {
            Some(oauth) => Refusal::Reply(Box::new(oauth.refusal(refusal, head))),
            None => Fault::peer(Code::Unauthorized, "Unauthorized").into(),
        }
    }

    /// SEED-110: what protects each server, said at the start so that a slip is seen (T-51).
    pub(crate) fn tell_protection(&self, fx: &mut Effects) {
        if self.oauth.is_none() {
            return;
        }
        for server in self.config.enabled() {
            let login = !server.options.oauth2_exempt;
            let counted = !login || self.config.oauth2.as_ref().is_some_and(|oauth2| oauth2.static_tokens);
            let tokens = counted && !server.options.auth_tokens.is_empty();
            let (level, text) = match (login, tokens) {
                (true, true) => (Level::Info, "protected by login or token"),
                (true, false) => (Level::Info, "protected by login"),
                (false, true) => (Level::Info, "protected by token"),
                (false, false) => (Level::Warn, "open to everybody who can reach it"),
            };
            let label = server.label().into();
            fx.log(level, Some(&label), text);
        }
    }
}

/// The tokens that open each server, and whether it needs a login otherwise.
fn keyring(config: &Config) -> Keyring {
    let oauth2 = config.oauth2.as_ref().filter(|oauth2| oauth2.enabled);
    Keyring::new(config.enabled().map(|server| {
        let login = oauth2.is_some() && !server.options.oauth2_exempt;
        let is_closed = login && oauth2.is_some_and(|oauth2| !oauth2.static_tokens);
        let tokens = if is_closed { &[] } else { server.options.auth_tokens.as_slice() };
        (server.id, tokens, login)
    }))
}
