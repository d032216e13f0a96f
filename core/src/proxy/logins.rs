//! Carries out what the authorization server wants, and brings it what comes of it.

use super::clients::Refusal;
use super::{LISTENER, Proxy, Stage};
use crate::config::Host;
use crate::downstream::client::{Admission, Client};
use crate::event::{Content, ListenAddr, Output, StoreKey};
use crate::fault::{Code, Fault};
use crate::id::ConnId;
use crate::log::Level;
use crate::oauth::{Effect, Reply, Request, Start, endpoint};
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

    /// Looks at the head of a request at such a path.
    pub(super) fn admit_oauth(&mut self, client: &mut Client) -> Result<Option<Admission>, Refusal> {
        let Some(oauth) = &mut self.oauth else { return Err(Reply::not_found().open().into()) };
        oauth.set_now(self.fx.now);
        let peer = client.peer().ip();
        let max = oauth.admit(client.http.head(), peer).map_err(Refusal::from)?;
        let too_large =
            |fault: Fault| Refusal::from(Reply::error(fault.code.status(), "invalid_request", &fault.detail));
        client.http.limit_body(max).map_err(too_large)?;
        Ok(Some(Admission::OAuth))
    }

    /// A request for the authorization server is complete. The answer comes as an effect.
    pub(super) fn on_oauth_request(&mut self, client: &mut Client) {
        let Some(oauth) = &mut self.oauth else { return };
        oauth.set_now(self.fx.now);
        let peer = client.peer().ip();
        let request = Request { head: client.http.head(), body: client.http.body(), peer };
        oauth.handle(client.conn.0, &request);
        client.decide();
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
                let conn = ConnId(request);
                if let Some(mut client) = self.down.take(conn) {
                    client.answer_reply(&mut self.fx, &reply);
                    self.down.put(&self.fx, client);
                    self.down.set_ready(conn);
                }
            }
            Effect::Load(key) => self.fx.output(Output::Load { key }),
            Effect::Save { ticket, bytes } => {
                self.fx.output(Output::Save { key: StoreKey::OAuth, ticket, bytes })
            }
            Effect::SetAside => self.fx.output(Output::SetAside { key: StoreKey::OAuth }),
            Effect::Derive { job, candidate } => self.fx.output(Output::Derive { job, candidate }),
            Effect::Fetch { job, url } => self.fetch_document(job, url),
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

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// A body that was too long after all, and other faults of HTTP, at an endpoint of OAuth.
pub(super) fn as_oauth_error(fault: &Fault) -> Reply {
    let status = if fault.code == Code::BodyTooLarge { 413 } else { fault.code.status() };
    Reply::error(status, "invalid_request", &fault.detail).open()
}
