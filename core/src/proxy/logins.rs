//! Carries out what the authorization server wants, and brings it what comes of it.

use super::{LISTENER, Proxy, Stage};
use crate::clients::{Exchange, Refusal, as_oauth_error};
use crate::config::Host;
use crate::event::{Content, ListenAddr, Output, StoreKey};
use crate::fault::{Code, Fault};
use crate::health::Page;
use crate::id::ConnId;
use crate::log::Level;
use crate::oauth::{Effect, Fetched, Reply, Request, Start, endpoint};
use crate::timer::TimerKind;
use std::sync::Arc;

impl Proxy {
    /// Listens, at once or as soon as it is known who has logged in.
    pub(super) fn open_door(&mut self) {
        match &mut self.oauth {
            None => self.listen(),
            Some(oauth) => {
                oauth.set_now(self.fx.now);
                oauth.start();
                self.watch_upkeep();
            }
        }
    }

    fn listen(&mut self) {
        let host = self.config.addr.host.as_ref().map(|host| match host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        });
        let addr = Arc::new(ListenAddr { host, port: self.config.addr.port });
        self.fx.output(Output::Listen { listener: LISTENER, addr });
        self.door_is_open = true;
    }

    /// Whether a path that leads to no server is one of OAuth's, whether there is an authorization server or not.
    pub(super) fn is_oauth_path(&self, path: &str) -> bool {
        endpoint::find(&self.config.base_path, false, path).is_some()
    }

    /// The head of a request that leads to no server: for the authorization server, or for a page about the proxy.
    pub(super) fn on_unrouted(&mut self, mut exchange: Exchange) {
        if self.is_oauth_path(exchange.head().path()) {
            return self.on_oauth_head(exchange);
        }
        if let Err(fault) = self.clients.check_origin(&mut exchange) {
            return self.clients.refuse(&mut self.fx, exchange, fault);
        }
        match Page::find(&self.config.base_path, exchange.head().path()) {
            Some(page) => self.on_health(exchange, page),
            None => {
                let fault = Fault::peer(Code::UnknownRoute, "there is nothing at this path");
                self.clients.refuse(&mut self.fx, exchange, fault);
            }
        }
    }

    fn on_oauth_head(&mut self, exchange: Exchange) {
        match self.admit_oauth(&exchange) {
            Ok(body_max) => self.clients.admit_oauth(&mut self.fx, exchange, body_max),
            Err(refusal) => self.clients.refuse(&mut self.fx, exchange, refusal),
        }
    }

    /// How many bytes the body of a request for the authorization server may have.
    fn admit_oauth(&mut self, exchange: &Exchange) -> Result<usize, Refusal> {
        let head = exchange.head();
        head.credential().and_then(|_| head.origin()).map_err(|fault| as_oauth_error(&fault))?;
        let Some(oauth) = &mut self.oauth else { return Err(Reply::not_found().open().into()) };
        oauth.set_now(self.fx.now);
        Ok(oauth.admit(head, exchange.peer().ip())?)
    }

    /// A request for the authorization server is complete. The answer comes as an effect.
    pub(super) fn on_oauth_request(&mut self, exchange: Exchange) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            let peer = exchange.peer().ip();
            let request = Request { head: exchange.head(), body: exchange.body(), peer };
            oauth.handle(exchange.conn().0, &request);
        }
        self.clients.await_reply(exchange);
    }

    /// A document of a client was fetched, or not.
    pub(super) fn on_fetched(&mut self, job: u64, result: Result<Fetched, String>) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.on_fetched(job, result);
        }
    }

    pub(super) fn on_loaded(&mut self, key: StoreKey, result: Result<Content<'_>, &str>) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.on_loaded(key, result);
        }
    }

    pub(super) fn on_saved(&mut self, ticket: u64, result: Result<(), &str>) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.on_saved(ticket, result);
        }
    }

    pub(super) fn on_set_aside(&mut self, result: Result<&str, &str>) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.on_set_aside(result);
        }
    }

    pub(super) fn on_compared(&mut self, job: u64, matches: bool) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.on_compared(job, matches);
        }
    }

    pub(super) fn on_upkeep_timer(&mut self) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(self.fx.now);
            oauth.tick();
            self.watch_upkeep();
            self.end_streams_of_the_past();
        }
    }

    fn watch_upkeep(&mut self) {
        if let Some(at) = self.oauth.as_ref().and_then(|oauth| oauth.deadline()) {
            self.fx.timers.set(at, TimerKind::Upkeep, 0);
        }
    }

    /// Carries out the next wish of the authorization server. False when there is none.
    pub(super) fn serve_oauth(&mut self) -> bool {
        let Some(oauth) = &mut self.oauth else { return false };
        let Some(effect) = oauth.poll_effect() else {
            self.check_door();
            return false;
        };
        match effect {
            Effect::Reply { request, reply } => {
                self.clients.reply(&mut self.fx, ConnId(request), &reply);
            }
            Effect::Load(key) => self.fx.output(Output::Load { key }),
            Effect::Save { ticket, bytes } => {
                self.fx.output(Output::Save { key: StoreKey::OAuth, ticket, bytes })
            }
            Effect::SetAside => self.fx.output(Output::SetAside { key: StoreKey::OAuth }),
            Effect::Derive { job, candidate } => self.fx.output(Output::Derive { job, candidate }),
            Effect::Fetch { job, url } => self.documents.fetch(&mut self.fx, job, url),
            Effect::Log(level, line) => self.fx.log(level, None, line),
        }
        true
    }

    /// Goes on with the start when the authorization server is ready, or gives up with it.
    fn check_door(&mut self) {
        if self.door_is_open || self.stage != Stage::Serving {
            return;
        }
        match self.oauth.as_ref().map(|oauth| oauth.progress().clone()) {
            Some(Start::Ready) => self.listen(),
            Some(Start::Failed(reason)) => {
                self.fx.log(Level::Error, None, format!("Failed to start the OAuth server: {reason}"));
                self.give_up();
            }
            Some(Start::Pending) | None => {}
        }
    }

    /// SEED-110: what protects each server, said at the start so that a slip is seen (T-51).
    pub(super) fn tell_protection(&mut self) {
        if self.oauth.is_none() {
            return;
        }
        for server in self.config.servers.iter().filter(|server| !server.disabled) {
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
            self.fx.log(level, Some(&label), text);
        }
    }
}
