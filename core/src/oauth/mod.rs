//! The OAuth 2.1 authorization server: logs users in at its own page and protects the servers behind the proxy.
//!
//! A state machine of its own, usable and testable without the proxy: requests go in with [`Server::handle`], what
//! should happen comes out of [`Server::poll_effect`], and what came of it goes back in (`on_…`). It reads no clock, no
//! file and no network, and knows nothing of MCP.
//!
//! | module | what it is |
//! |---|---|
//! | `endpoint`, `intake` | which path is which endpoint, and what may come there |
//! | `issuer`, `metadata` | who the server is, and the documents that say so (RFC 8414, 9728) |
//! | `registration`, `client_metadata`, `client` | clients: registered, described by a document, configured |
//! | [`redirect_uri`](crate::redirect_uri) | where they may send a browser |
//! | `authorize`, [`page`] | the request, the login, the code, the pages |
//! | `token`, `refresh`, `revoke`, `client_auth` | tokens for codes and refresh tokens, and their end |
//! | `access`, `challenge` | what a request to a server may do, and the answer if it may not |
//! | `object` | JSON that others wrote |
//! | `store` | what survives a restart |
//! | `users`, [`password`](crate::password), [`throttle`](crate::throttle), [`net`](crate::net) | who signs in, how often, from where |
//!
//! Invariants: whatever a client will rely on is on disk before it is answered; no secret is in a log line, in the store
//! or in a `Debug` text; what is kept is bounded.
//! Deliberately absent: logins elsewhere, ID tokens, signed tokens, introspection (RFC 7662), management of
//! registrations (RFC 7592).

mod access;
mod authorize;
mod challenge;
mod client;
mod client_auth;
mod client_metadata;
pub(crate) mod endpoint;
pub(crate) mod form;
mod intake;
mod issuer;
mod metadata;
mod object;
pub mod page;
mod params;
mod refresh;
mod registration;
mod reply;
mod resource;
mod revoke;
mod scope;
mod secret;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod upkeep;
mod users;

pub use crate::digest::Hash;
pub use crate::http::Reply;
pub use access::Login;
pub use challenge::Refusal;
pub use client_metadata::{DOCUMENT_BYTES_MAX, FETCH_MS, Fetched};
pub use secret::Purpose;
pub use settings::{Resource, Settings};
pub use upkeep::Start;

use crate::event::{Candidate, StoreKey};
use crate::http::RequestHead;
use crate::limits::RECONNECTS_PER_MINUTE;
use crate::log::Level;
use crate::net::ClientAddress;
use crate::redacted::Redacted;
use crate::rng::Rng;
use crate::throttle::{Bucket, Buckets, Throttle};
use crate::time::Now;
use crate::url::Url;
use authorize::{Codes, Logins, Presenter};
use client_metadata::Documents;
use endpoint::Endpoint;
use issuer::Issuer;
use refresh::Successors;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use store::{Book, Outcome, State};
use users::Users;

/// Names a request until it is answered. The caller's choice.
pub type RequestId = u64;

/// A request at one of the endpoints.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a RequestHead,
    /// Its body, at most what [`Server::admit`] said.
    pub body: &'a [u8],
    /// Who sent it.
    pub peer: IpAddr,
}

/// Something the authorization server wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer a request.
    Reply {
        /// As it was named.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Read what is stored; the answer goes to [`Server::on_loaded`].
    Load(StoreKey),
    /// Replace the stored state durably; the answer goes to [`Server::on_saved`].
    Save {
        /// To be given back.
        ticket: u64,
        /// The new text.
        bytes: Redacted<Arc<[u8]>>,
    },
    /// Move a stored state away that cannot be read; the answer goes to [`Server::on_set_aside`].
    SetAside,
    /// Compare a password; the answer goes to [`Server::on_compared`].
    Derive {
        /// To be given back.
        job: u64,
        /// What to compare.
        candidate: Box<Candidate>,
    },
    /// Fetch a document from the world, not from our own networks; the answer goes to [`Server::on_fetched`].
    Fetch {
        /// To be given back.
        job: u64,
        /// Its address.
        url: Url,
    },
    /// Write a log line.
    Log(Level, String),
}

/// The authorization server.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    issuer: Option<Issuer>,
    now: Now,
    rng: Rng,
    effects: VecDeque<Effect>,
    book: Book,
    users: Users,
    codes: Codes,
    logins: Logins,
    successors: Successors,
    documents: Documents,
    presenter: Presenter,
    throttle: Throttles,
    upkeep: upkeep::Upkeep,
}

#[derive(Debug)]
struct Throttles {
    logins: Throttle,
    registrations: Buckets,
    documents: Buckets,
    /// Pages with a link that makes a client register anew.
    reconnects: Buckets,
    all_reconnects: Bucket,
}

impl Server {
    /// A server that knows nobody yet: see [`Server::start`].
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = Rng::new(seed);
        let key = secret::Key::new(&mut rng);
        let options = &settings.options;
        let throttle = Throttles {
            logins: Throttle::new(options.login_rate, THROTTLED_MAX),
            documents: Buckets::new(DOCUMENTS_PER_MINUTE, DOCUMENTS_PER_MINUTE, THROTTLED_MAX),
            reconnects: Buckets::new(RECONNECTS_PER_MINUTE, RECONNECTS_PER_MINUTE, THROTTLED_MAX),
            all_reconnects: Bucket::default(),
            registrations: Buckets::new(REGISTRATIONS_PER_MINUTE, REGISTRATIONS_PER_MINUTE, THROTTLED_MAX),
        };
        Self {
            issuer: settings.base.as_ref().map(Issuer::of_url),
            users: Users::new(options.users.clone()),
            settings,
            now: Now::default(),
            rng,
            effects: VecDeque::new(),
            book: Book::new(State::new(key)),
            codes: Codes::default(),
            logins: Logins::default(),
            successors: Successors::default(),
            documents: Documents::default(),
            presenter: Presenter::new(),
            throttle,
            upkeep: upkeep::Upkeep::default(),
        }
    }

    /// The clock of everything that follows.
    pub fn set_now(&mut self, now: Now) {
        self.now = Now { mono: now.mono.max(self.now.mono), unix: now.unix };
    }

    /// Takes a request that was admitted. It is answered by [`Effect::Reply`], now or later.
    pub fn handle(&mut self, id: RequestId, request: &Request<'_>) {
        let (Some(endpoint), Some(issuer)) =
            (self.endpoint(request.head.path()), self.issuer_for(request.head))
        else {
            return self.reply(id, Reply::not_found());
        };
        match endpoint {
            Endpoint::Metadata => self.reply(id, self.metadata(&issuer)),
            Endpoint::OpenId => self.reply(id, self.openid(&issuer)),
            Endpoint::Keys => self.reply(id, Reply::document("{\"keys\":[]}".to_owned())),
            Endpoint::Resource(path) => self.reply(id, self.resource_metadata(&issuer, path)),
            Endpoint::Unknown => self.reply(id, Reply::not_found().open()),
            Endpoint::Register => {
                let address = self.address(request);
                self.register(id, request, &address);
            }
            Endpoint::Authorize => {
                let address = self.address(request);
                self.visit(id, request, issuer, address);
            }
            Endpoint::Token | Endpoint::Revoke => match intake::read_form(request) {
                Err(reply) => self.reply(id, reply.open()),
                Ok(params) if endpoint == Endpoint::Token => self.token(id, request, &issuer, &params),
                Ok(params) => self.revoke(id, request, &params),
            },
        }
        self.save();
    }

    /// The next thing to do. Drain it after each call that may change something.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A save has ended.
    pub fn on_saved(&mut self, ticket: u64, result: Result<(), &str>) {
        let outcome = self.book.on_saved(ticket, result.is_ok());
        if !matches!(outcome, Outcome::Stale) {
            self.on_proof(result);
        }
        match outcome {
            Outcome::Stale => {}
            Outcome::Durable(replies) => {
                self.codes.settle(self.book.durable(), self.book.staged());
                self.upkeep.saved(self.book.durable());
                for (request, reply) in replies {
                    self.reply(request, reply);
                }
            }
            Outcome::Undone(requests) => {
                self.codes.restore();
                self.successors.restore(self.book.durable());
                self.complain(result.err().unwrap_or_default());
                for request in requests {
                    self.reply(request, Reply::unavailable().open());
                }
            }
        }
        self.save();
    }

    /// A document was fetched, or why not.
    pub fn on_fetched(&mut self, job: u64, result: Result<Fetched, String>) {
        self.on_document(job, result);
        self.save();
    }

    /// The answer to a request that may not in. `path` is that of the request.
    pub fn refusal(&mut self, refusal: Refusal, head: &RequestHead) -> Reply {
        let issuer = self.issuer_for(head);
        self.hint_about_host(head);
        refusal.reply(issuer.as_ref(), head.path())
    }

    fn endpoint<'a>(&self, path: &'a str) -> Option<Endpoint<'a>> {
        let base = self.issuer.as_ref().map_or("", Issuer::path);
        endpoint::find(base, self.settings.options.strict_discovery, path)
    }

    fn issuer_for(&self, head: &RequestHead) -> Option<Issuer> {
        self.issuer.clone().or_else(|| Issuer::of_host(head))
    }

    /// Whose word about addresses counts.
    pub(crate) fn trust(&self) -> &crate::net::Trust {
        &self.settings.options.trust
    }

    fn address(&mut self, request: &Request<'_>) -> ClientAddress {
        let address = self.settings.options.trust.client(request.peer, request.head);
        if address.is_doubtful() {
            self.tell_doubt(&address);
        }
        address
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        self.effect(Effect::Reply { request, reply });
    }

    /// Answers once everything that was changed so far is on disk.
    fn reply_after_save(&mut self, request: RequestId, reply: Reply) {
        if let Some(reply) = self.book.after_save(request, reply) {
            self.reply(request, reply);
        }
    }

    fn save(&mut self) {
        let now = self.now;
        if let Some((ticket, bytes)) = self.book.next_save(now) {
            self.effect(Effect::Save { ticket, bytes: Redacted::new(bytes.into()) });
        }
    }

    /// A log line (README §13): what happened, and facts about it. Foreign text is escaped and cut.
    fn event(&mut self, level: Level, event: &str, facts: &[(&str, &str)]) {
        let mut line = format!("oauth event={event}");
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            let cut: String = value.chars().take(FACT_CHARS_MAX).collect();
            let plain = cut.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
            let shown = if plain { cut } else { format!("\"{}\"", cut.escape_debug()) };
            line.push_str(&format!(" {name}={shown}"));
        }
        self.effect(Effect::Log(level, line));
    }
}

/// Entries of one table of who tried how often.
const THROTTLED_MAX: usize = 10_000;
/// Registrations of one address. Hosted clients share addresses and register twice for every attempt.
const REGISTRATIONS_PER_MINUTE: u32 = 120;
/// Documents that are fetched at the wish of one address.
const DOCUMENTS_PER_MINUTE: u32 = 60;
/// Foreign text in a log line is cut here.
const FACT_CHARS_MAX: usize = 200;
