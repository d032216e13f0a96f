//! `initialize`: how a client begins, over either transport.

use super::BridgeMut;
use super::client::ClientState;
use super::greetings::Readiness;
use crate::clients::{Body, Entry, Exchange, Message, Served};
use crate::fault::{Code, Fault};
use crate::id::{Key, ViewId};
use crate::json::{self, Envelope};
use crate::ledger::NO_MEMORY;
use crate::log::Level;
use crate::mcp::{Declared, Profile, Revision};
use crate::short_id::ShortIds;

impl BridgeMut<'_> {
    /// A request names no session and opens none: it has to, if there is a server to speak to.
    pub(super) fn refuse_sessionless(&mut self, exchange: Exchange, entry: Entry) {
        let required = || Fault::peer(Code::SessionRequired, "a session is required: send initialize first");
        let fault = self.readiness(entry.view).err().unwrap_or_else(required);
        self.clients.refuse(self.fx, exchange, fault);
    }

    /// The GET of HTTP+SSE, which is a session.
    pub(super) fn on_connect(&mut self, exchange: Exchange, entry: Entry) {
        if let Err(fault) = self.readiness(entry.view) {
            return self.clients.refuse(self.fx, exchange, fault);
        }
        if let Some(key) = self.clients.open_event_session(self.fx, exchange, entry) {
            self.add_client(key, entry.view);
        }
    }

    /// `initialize` of a client that has no session yet.
    pub(super) fn on_initialize(&mut self, mut message: Message) {
        let view = message.entry().view;
        let session = self
            .readiness(view)
            .and_then(|readiness| Ok((readiness, self.clients.open_session(self.fx, &mut message)?)));
        let (readiness, key) = match session {
            Ok(session) => session,
            Err(fault) => return self.clients.refuse(self.fx, message.into_exchange(), fault),
        };
        self.add_client(key, view);
        let served = match self.open(key, message.envelope(), message.text()) {
            Ok(()) => self.greet_or_wait(key, readiness, &message),
            Err(fault) => Served::Refused(fault),
        };
        self.clients.serve(self.fx, message, served);
    }

    /// `initialize` in a session of HTTP+SSE.
    pub(super) fn on_event_initialize(&mut self, message: &Message) -> Served {
        let key = message.session();
        if let Err(fault) = self.open(key, message.envelope(), message.text()) {
            return Served::Refused(fault);
        }
        // It may wait for a server, but what it waits for was looked at when it connected.
        let readiness = self.readiness(message.entry().view).unwrap_or(Readiness::Ready);
        self.greet_or_wait(key, readiness, message)
    }

    fn greet_or_wait(&mut self, key: Key, readiness: Readiness, message: &Message) -> Served {
        match readiness {
            Readiness::Starting(server) => {
                self.await_start(message.requester(), server, message.id());
                Served::Later
            }
            Readiness::Ready => self.greet(key),
        }
    }

    /// The answer to `initialize`.
    pub(super) fn greet(&self, key: Key) -> Served {
        let client = self.sessions.get(key);
        let greeting = client.and_then(|client| self.greeting(client.view, client.revision));
        greeting.map_or(Served::Later, |text| Served::Now(Body::Owned(text)))
    }

    /// A session has begun.
    fn add_client(&mut self, key: Key, view: ViewId) {
        // It may have the place of one that made room for it.
        while let Some(ended) = self.clients.next_ended() {
            self.forget_client(ended);
        }
        let ids = ShortIds::new(self.fx.limits.call_id_max, self.fx.limits.owed_ids_max);
        self.sessions.insert(key, ClientState::new(&self.fx.ledger, ids, view));
    }

    /// Takes an `initialize`: negotiates the revision and notes what the client can do.
    fn open(&mut self, key: Key, envelope: &Envelope, text: &[u8]) -> Result<(), Fault> {
        let asked = match envelope.params.map(|params| json::member(text, params, "protocolVersion")) {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(span)) => span.and_then(|span| json::unquote(span.of(text))),
            None => None,
        };
        let Some(asked) = asked else {
            return Err(Fault::peer(Code::InvalidParams, "initialize needs a protocolVersion"));
        };
        let revision = Revision::from_name(&asked).unwrap_or(Revision::NEWEST);
        let capabilities =
            envelope.params.and_then(|params| json::member(text, params, "capabilities").ok()?);
        let profile = match capabilities.map(|span| Profile::parse(text, span)) {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(profile)) => profile.usable(revision),
            None => Profile::default(),
        };
        let bytes_max = self.fx.limits.declared_bytes_max;
        let declared = match capabilities.map(|span| Declared::parse(text, span, bytes_max)) {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(None)) => {
                let line = "a client declares more extensions than servers are told of: none of them is";
                self.fx.log(Level::Warn, None, line);
                Declared::default()
            }
            Some(Ok(Some(declared))) => declared,
            None => Declared::default(),
        };
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        if session.opened {
            return Err(Fault::peer(Code::InvalidRequest, "the session is initialized already"));
        }
        if !session.has_room(self.fx, declared.size()) {
            return Err(Fault::local(Code::Overloaded, NO_MEMORY));
        }
        session.opened = true;
        session.revision = revision;
        session.profile = profile;
        session.declare(declared);
        self.clients.set_revision(key, revision);
        Ok(())
    }

    /// `notifications/initialized`: it may be asked and told things from now on.
    pub(super) fn on_initialized(&mut self, message: &Message) {
        if let Some(client) = self.sessions.get_mut(message.session()) {
            client.ready = true;
        }
        self.changed.push_back(message.session());
    }
}
