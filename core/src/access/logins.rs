//! Carries out what the authorization server wants, and brings it what comes of it.

use super::Access;
use crate::clients::{Exchange, Refusal};
use crate::effects::Effects;
use crate::event::{ConnEvent, Content, Output, StoreKey};
use crate::id::ConnId;
use crate::oauth::{self, Effect, Reply, Request, Start, endpoint};
use crate::timer::TimerKind;

/// Something that others have to do.
#[derive(Debug)]
pub(crate) enum AccessEvent {
    /// The answer to a request for the authorization server.
    Reply { conn: ConnId, reply: Reply },
    /// It is known who has logged in: clients may come.
    Ready,
    /// That cannot be found out, for this reason.
    Failed(String),
    /// Logins have ended by themselves.
    Expired,
}

impl Access {
    /// Reads who has logged in, if there is an authorization server.
    pub(crate) fn start(&mut self, fx: &mut Effects) {
        self.with_oauth(fx, oauth::Server::start);
        self.watch_upkeep(fx);
    }

    /// The next thing that others have to do. What the authorization server wants of the world is put out on the way.
    pub(crate) fn poll_event(&mut self, fx: &mut Effects) -> Option<AccessEvent> {
        loop {
            if let Some((job, result)) = self.documents.poll_event() {
                self.with_oauth(fx, |oauth| oauth.on_fetched(job, result));
            }
            let Some(effect) = self.oauth.as_mut().and_then(oauth::Server::poll_effect) else {
                let has_expired = std::mem::take(&mut self.has_expired);
                return has_expired.then_some(AccessEvent::Expired).or_else(|| self.progress());
            };
            match effect {
                Effect::Reply { request, reply } => {
                    return Some(AccessEvent::Reply { conn: ConnId(request), reply });
                }
                Effect::Load(key) => fx.output(Output::Load { key }),
                Effect::Save { ticket, bytes } => {
                    fx.output(Output::Save { key: StoreKey::OAuth, ticket, bytes });
                }
                Effect::SetAside => fx.output(Output::SetAside { key: StoreKey::OAuth }),
                Effect::Derive { job, candidate } => fx.output(Output::Derive { job, candidate }),
                Effect::Fetch { job, url } => self.documents.fetch(fx, job, url),
                Effect::Log(level, line) => fx.log(level, None, line),
            }
        }
    }

    /// Whether the start is over, once.
    fn progress(&mut self) -> Option<AccessEvent> {
        if self.told {
            return None;
        }
        let event = match self.oauth.as_ref().map(|oauth| oauth.progress().clone()) {
            Some(Start::Pending) => return None,
            Some(Start::Failed(reason)) => AccessEvent::Failed(reason),
            Some(Start::Ready) | None => AccessEvent::Ready,
        };
        self.told = true;
        Some(event)
    }

    fn with_oauth(&mut self, fx: &Effects, act: impl FnOnce(&mut oauth::Server)) {
        if let Some(oauth) = &mut self.oauth {
            oauth.set_now(fx.now);
            act(oauth);
        }
    }

    /// Whether a path that leads to no server is one of OAuth's, whether there is an authorization server or not.
    pub(crate) fn is_oauth_path(&self, path: &str) -> bool {
        endpoint::find(&self.config.base_path, false, path).is_some()
    }

    /// How many bytes the body of a request for the authorization server may have.
    ///
    /// # Errors
    /// How the request is to be refused.
    pub(crate) fn admit_oauth(&mut self, fx: &Effects, exchange: &Exchange) -> Result<usize, Refusal> {
        let head = exchange.head();
        head.credential().and_then(|_| head.origin()).map_err(|fault| Reply::of_fault(&fault))?;
        let Some(oauth) = &mut self.oauth else { return Err(Reply::not_found().open().into()) };
        oauth.set_now(fx.now);
        Ok(oauth.admit(head, exchange.peer().ip())?)
    }

    /// A request for the authorization server is complete. The answer comes as an event.
    pub(crate) fn on_request(&mut self, fx: &Effects, exchange: &Exchange) {
        let peer = exchange.peer().ip();
        let request = Request { head: exchange.head(), body: exchange.body(), peer };
        self.with_oauth(fx, |oauth| oauth.handle(exchange.conn().0, &request));
    }

    /// The store was read.
    pub(crate) fn on_loaded(&mut self, fx: &Effects, key: StoreKey, result: Result<Content<'_>, &str>) {
        self.with_oauth(fx, |oauth| oauth.on_loaded(key, result));
    }

    /// The store was written.
    pub(crate) fn on_saved(&mut self, fx: &Effects, ticket: u64, result: Result<(), &str>) {
        self.with_oauth(fx, |oauth| oauth.on_saved(ticket, result));
    }

    /// A broken store was put away.
    pub(crate) fn on_set_aside(&mut self, fx: &Effects, result: Result<&str, &str>) {
        self.with_oauth(fx, |oauth| oauth.on_set_aside(result));
    }

    /// A password was compared.
    pub(crate) fn on_compared(&mut self, fx: &Effects, job: u64, matches: bool) {
        self.with_oauth(fx, |oauth| oauth.on_compared(job, matches));
    }

    /// Time to clear away what is over.
    pub(crate) fn on_upkeep_timer(&mut self, fx: &mut Effects) {
        self.with_oauth(fx, oauth::Server::tick);
        self.has_expired = self.oauth.is_some();
        self.watch_upkeep(fx);
    }

    fn watch_upkeep(&self, fx: &mut Effects) {
        if let Some(at) = self.oauth.as_ref().and_then(oauth::Server::deadline) {
            fx.timers.set(at, TimerKind::Upkeep, 0);
        }
    }

    /// Whether a connection carries a document of a client.
    pub(crate) fn has(&self, conn: ConnId) -> bool {
        self.documents.has(conn)
    }

    /// Something happened to such a connection.
    pub(crate) fn handle(&mut self, fx: &mut Effects, conn: ConnId, event: ConnEvent<'_>) {
        self.documents.handle(fx, conn, event);
    }

    /// A document takes too long.
    pub(crate) fn on_document_timer(&mut self, fx: &mut Effects, conn: ConnId) {
        self.documents.on_timer(fx, conn);
    }

    /// Nobody waits for documents any more.
    pub(crate) fn end_documents(&mut self, fx: &mut Effects) {
        self.documents.end_all(fx);
    }
}
